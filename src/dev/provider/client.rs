//! Who may ask the provider: the registered clients, and how they prove who they are.

use base64::{Engine, engine::general_purpose::STANDARD};
use http::header::AUTHORIZATION;
use percent_encoding::percent_decode_str;
use subtle::ConstantTimeEq;

use super::{
    State,
    assertion::{self, ClientKey},
    refusal::{ErrorCode, Refusal},
    request::{Params, Received},
};
use crate::secret::Secret;

/// A registered client.
#[derive(Clone, Debug)]
pub struct Client {
    /// `client_id`.
    pub id: String,
    /// `client_secret`; a public client, or one with a key, has none.
    pub secret: Option<Secret<String>>,
    /// What it proves itself with instead of a secret.
    pub key: Option<ClientKey>,
    /// Where codes may go, compared byte for byte (RFC 9700 §4.1.3). Without fragments.
    pub redirect_uris: Vec<String>,
    /// Where browsers may go after a logout, compared byte for byte.
    pub post_logout_redirect_uris: Vec<String>,
    /// Where it is told behind the browser's back that somebody is logged out.
    pub backchannel_logout_uri: Option<String>,
    /// Where browsers' frames tell it.
    pub frontchannel_logout_uri: Option<String>,
}

impl State {
    /// The client of that name.
    pub(super) fn client(&self, id: &str) -> Option<&Client> {
        self.clients.iter().find(|client| client.id == id)
    }

    /// The client that makes this request, proven (RFC 6749 §2.3): by Basic, by the form, by a key, or by its name alone when
    /// it is a public client.
    pub(super) fn authenticated(&self, received: &Received, form: &Params) -> Result<&Client, Refusal> {
        if let Some(client) = self.asserted(form)? {
            return Ok(client);
        }
        let basic = received.head.headers.contains_key(AUTHORIZATION);
        let (id, secret) = match (basic, form.one("client_id")?, form.one("client_secret")?) {
            // RFC 6749 §2.3: one method a request.
            (true, _, Some(_)) => {
                return Err(Refusal::new(ErrorCode::InvalidRequest, "two client authentication methods"));
            }
            (true, id, None) => {
                let (user, password) = basic_credentials(received)?;
                if id.is_some_and(|id| id != user) {
                    return Err(Refusal::new(ErrorCode::InvalidRequest, "client_id differs from the Authorization"));
                }
                (user, Some(password))
            }
            (false, Some(id), secret) => (id.to_owned(), secret.map(|text| Secret::new(text.to_owned()))),
            (false, None, _) => {
                return Err(Refusal::new(ErrorCode::InvalidClient, "the client does not say who it is"));
            }
        };
        let refused = || Refusal::new(ErrorCode::InvalidClient, "unknown client, or not its secret");
        let client = self.client(&id).ok_or_else(refused)?;
        let proven = match (&client.secret, &client.key, secret) {
            (None, Some(key), Some(given)) => assertion::is_minted(key, &id, given.expose(), self.clock.now()),
            (Some(known), _, Some(given)) => known.expose().as_bytes().ct_eq(given.expose().as_bytes()).into(),
            (None, None, None) => true,
            (Some(_), _, None) | (None, Some(_), None) | (None, None, Some(_)) => false,
        };
        if proven { Ok(client) } else { Err(refused()) }
    }
}

/// RFC 6749 §2.3.1: both parts are form-encoded before they are joined.
fn basic_credentials(received: &Received) -> Result<(String, Secret<String>), Refusal> {
    let parsed = || {
        let (scheme, credentials) = received.header(AUTHORIZATION)?.split_once(' ')?;
        let credentials = STANDARD.decode(credentials.trim()).ok().filter(|_| scheme.eq_ignore_ascii_case("basic"))?;
        let credentials = Secret::new(String::from_utf8(credentials).ok()?);
        let (id, secret) = credentials.expose().split_once(':')?;
        Some((form_decoded(id)?, Secret::new(form_decoded(secret)?)))
    };
    parsed()
        .ok_or_else(|| Refusal::new(ErrorCode::InvalidClient, "the Authorization header is not Basic, form-encoded"))
}

/// One value, decoded; `None` when it was not encoded: a bare `%`, or bytes that a form would have escaped.
fn form_decoded(text: &str) -> Option<String> {
    let escapes = text.split('%').skip(1);
    let well_formed = |escape: &str| escape.get(..2).is_some_and(|hex| hex.bytes().all(|b| b.is_ascii_hexdigit()));
    let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'*' | b'-' | b'.' | b'_' | b'~' | b'+' | b'%');
    if !escapes.into_iter().all(well_formed) || !text.bytes().all(plain) {
        return None;
    }
    percent_decode_str(&text.replace('+', " ")).decode_utf8().ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-140.
    #[test]
    fn credentials_are_form_encoded() {
        for (text, decoded) in [
            ("plain-1_2.3~", Some("plain-1_2.3~")),
            ("a%3Ab%2F%2B%25", Some("a:b/+%")),
            ("a+b", Some("a b")),
            ("a%20b", Some("a b")),
            ("", Some("")),
            ("a:b", None),
            ("a/b", None),
            ("100%", None),
            ("%zz", None),
            ("%ff", None),
        ] {
            assert_eq!(form_decoded(text).as_deref(), decoded, "{text}");
        }
    }
}
