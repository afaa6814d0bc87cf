//! The code from a callback, or a refresh token, becomes tokens (RFC 6749 §4.1.3, §6).
//!
//! openidconnect makes the request. The answer is read by ourselves, because real token endpoints differ: `expires_in` as text or absent,
//! `token_type` in any case, errors with status 200, where there is no OpenID Connect a form instead of JSON. What is not needed is not read.

use std::time::Duration;

use openidconnect::{AuthorizationCode, PkceCodeVerifier, RefreshToken, RequestTokenError, TokenUrl};
use serde_json::{Map, Value};

use super::{
    Protocol,
    client_auth::{ASSERTION_TYPE, Client},
    error::{AnswerError, ErrorCode, SignInError},
    http::HttpError,
    metadata::Metadata,
    relying_party::{Refusal, TokenEndpoint},
};
use crate::{
    clock::UnixTime,
    grant::{AccessToken, Grant},
    secret::Secret,
};

/// No access token is good for longer: what says so has miscounted.
const LONGEST_LIFETIME: f64 = 100.0 * 365.0 * 86_400.0;

/// What the token endpoint gave.
#[derive(Debug, Default)]
pub(super) struct Tokens {
    /// For a code, always there with OpenID Connect. Never there without it: nothing could vouch for it.
    pub(super) id_token: Option<Secret<String>>,
    /// For a code, always there without OpenID Connect.
    pub(super) access_token: Option<Secret<String>>,
    /// Until when the access token is good; `None` where that is not said, or makes no sense.
    pub(super) expires: Option<UnixTime>,
    /// `None` where there is none, or the old one stays good (RFC 6749 §6).
    pub(super) refresh_token: Option<Secret<String>>,
}

impl Tokens {
    /// What a session has from now on that had `old` before.
    pub(super) fn over(self, old: Grant) -> Grant {
        let expires = self.expires;
        Grant {
            refresh_token: self.refresh_token.or(old.refresh_token),
            id_token: self.id_token.or(old.id_token),
            access_token: self.access_token.map(|token| AccessToken { token, expires }).or(old.access_token),
        }
    }
}

impl Client {
    /// The tokens for `code`.
    pub(super) async fn exchange(
        &self,
        metadata: &Metadata,
        code: &Secret<String>,
        verifier: &Secret<String>,
        now: UnixTime,
    ) -> Result<Tokens, SignInError> {
        let party = self.party.clone().set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
        let (party, assertion) = self.authenticated(party, metadata, now)?;
        let mut asked = party.exchange_code(AuthorizationCode::new(code.expose().clone()));
        if self.settings.pkce {
            asked = asked.set_pkce_verifier(PkceCodeVerifier::new(verifier.expose().clone()));
        }
        if let Some(assertion) = &assertion {
            asked = asked.add_extra_param("client_assertion_type", ASSERTION_TYPE);
            asked = asked.add_extra_param("client_assertion", assertion.expose());
        }
        let answer = asked.request_async(&self.token_endpoint()).await.map_err(failed)?;
        for_code(answer.members, &self.settings.protocol, now)
    }

    /// The tokens for `refresh_token`, and whether they say anything about anybody.
    pub(super) async fn renew(
        &self,
        metadata: &Metadata,
        refresh_token: &Secret<String>,
        now: UnixTime,
    ) -> Result<(Tokens, Result<(), AnswerError>), SignInError> {
        let party = self.party.clone().set_token_uri(TokenUrl::from_url(metadata.token_endpoint.clone()));
        let (party, assertion) = self.authenticated(party, metadata, now)?;
        let refresh_token = RefreshToken::new(refresh_token.expose().clone());
        let mut asked = party.exchange_refresh_token(&refresh_token);
        if let Some(assertion) = &assertion {
            asked = asked.add_extra_param("client_assertion_type", ASSERTION_TYPE);
            asked = asked.add_extra_param("client_assertion", assertion.expose());
        }
        let answer = asked.request_async(&self.token_endpoint()).await.map_err(failed)?;
        for_refresh_token(answer.members, &self.settings.protocol, now)
    }

    fn token_endpoint(&self) -> TokenEndpoint<'_> {
        TokenEndpoint { http: &self.http, reads_forms: self.settings.protocol != Protocol::Oidc }
    }
}

fn failed(error: RequestTokenError<HttpError, Refusal>) -> SignInError {
    match error {
        RequestTokenError::ServerResponse(refusal) => refused(refusal.0),
        RequestTokenError::Request(error) => SignInError::Exchange(error),
        // Holds the body, which may hold tokens: dropped here.
        RequestTokenError::Parse(..) | RequestTokenError::Other(_) => AnswerError::NotJson.into(),
    }
}

/// RFC 6749 §5.2: what an error code means for us. The longer names are GitHub's.
fn refused(code: ErrorCode) -> SignInError {
    match code.as_str() {
        "invalid_grant" | "bad_verification_code" => SignInError::CodeSpent,
        "invalid_client"
        | "unauthorized_client"
        | "unsupported_grant_type"
        | "invalid_scope"
        | "incorrect_client_credentials"
        | "redirect_uri_mismatch" => SignInError::Misconfigured(code),
        _ => SignInError::Refused(code),
    }
}

fn for_code(members: Map<String, Value>, protocol: &Protocol, now: UnixTime) -> Result<Tokens, SignInError> {
    let (tokens, is_bearer) = tokens(members, protocol, now)?;
    match protocol {
        Protocol::Oidc if tokens.id_token.is_none() => return Err(AnswerError::NoIdToken.into()),
        Protocol::OAuth2(_) if tokens.access_token.is_none() => return Err(AnswerError::NoAccessToken.into()),
        Protocol::Oidc | Protocol::OAuth2(_) => {}
    }
    if !is_bearer {
        return Err(AnswerError::TokenType.into());
    }
    Ok(tokens)
}

/// OpenID Connect Core §12.2: there may be no ID token. Whatever is wrong with the access token, a new refresh token has to be kept.
fn for_refresh_token(
    members: Map<String, Value>,
    protocol: &Protocol,
    now: UnixTime,
) -> Result<(Tokens, Result<(), AnswerError>), SignInError> {
    let (tokens, is_bearer) = tokens(members, protocol, now)?;
    if !is_bearer {
        return Ok((Tokens { access_token: None, ..tokens }, Err(AnswerError::TokenType)));
    }
    match (&tokens.access_token, &tokens.id_token, &tokens.refresh_token) {
        (None, None, None) => Err(AnswerError::NoAccessToken.into()),
        (None, None, Some(_)) => Ok((tokens, Err(AnswerError::NoAccessToken))),
        (Some(_), _, _) | (None, Some(_), _) => Ok((tokens, Ok(()))),
    }
}

/// What `members` hold, and whether the access token is a bearer token.
fn tokens(mut members: Map<String, Value>, protocol: &Protocol, now: UnixTime) -> Result<(Tokens, bool), SignInError> {
    // Whatever the status: some send it with 200.
    if let Some(error) = members.get("error") {
        return Err(refused(ErrorCode::of(Some(error))));
    }
    let expires = members.get("expires_in").and_then(lifetime).map(|lifetime| now.plus(lifetime));
    let mut text = |name: &str| match members.remove(name) {
        Some(Value::String(text)) if !text.is_empty() => Some(text),
        _ => None,
    };
    let tokens = Tokens {
        id_token: text("id_token").filter(|_| *protocol == Protocol::Oidc).map(Secret::new),
        access_token: text("access_token").map(Secret::new),
        expires,
        refresh_token: text("refresh_token").map(Secret::new),
    };
    // RFC 6749 §5.1: case-insensitive. Absent is against the rule, and means Bearer wherever it was seen.
    Ok((tokens, text("token_type").is_none_or(|kind| kind.eq_ignore_ascii_case("Bearer"))))
}

/// RFC 6749 §5.1: seconds, which some write as a text. Zero is how some say that there is no end.
fn lifetime(expires_in: &Value) -> Option<Duration> {
    let seconds = match expires_in {
        Value::Number(number) => number.as_f64(),
        Value::String(text) => text.parse().ok(),
        Value::Null | Value::Bool(_) | Value::Array(_) | Value::Object(_) => None,
    };
    let seconds = seconds.filter(|seconds| (1.0..=LONGEST_LIFETIME).contains(seconds))?;
    Some(Duration::from_secs(seconds as u64))
}

#[cfg(test)]
mod tests {
    use super::*;

    use crate::providers::{OAuth2, json::Object, relying_party::form};

    const NOW: UnixTime = UnixTime(1_800_000_000);

    fn oidc(body: &str) -> Result<Tokens, SignInError> {
        for_code(Object::parse(body.as_bytes()).ok_or(AnswerError::NotJson)?, &Protocol::Oidc, NOW)
    }

    fn plain() -> Protocol {
        Protocol::OAuth2(OAuth2 { subject_claim: "id".into(), appsecret_proof: false, email_endpoint: None })
    }

    /// T-140: what differs between providers and does not matter.
    #[test]
    fn a_token_answer_is_read_leniently_where_nothing_depends_on_it() {
        for rest in [
            r#""token_type":"Bearer","expires_in":3600"#,
            r#""token_type":"BEARER","expires_in":"3600""#,
            r#""token_type":"bearer","expires_in":3599.5"#,
            r#""expires_in":1e300"#,
            r#""expires_in":-1"#,
            r#""expires_in":null,"scope":["a","b"],"refresh_token":7"#,
            r#""expires_in":{"a":1},"extra":[[[]]]"#,
        ] {
            let body = format!(r#"{{"access_token":"at","id_token":"a.b.c",{rest}}}"#);
            let tokens = oidc(&body).unwrap_or_else(|error| panic!("{body}: {error}"));
            assert_eq!(tokens.id_token.unwrap().expose(), "a.b.c");
            assert_eq!(tokens.access_token.unwrap().expose(), "at");
            assert!(tokens.refresh_token.is_none());
        }
    }

    /// T-059.
    #[test]
    fn an_access_token_is_good_for_as_long_as_makes_sense() {
        for (expires_in, seconds) in [
            ("", None),
            (r#","expires_in":null"#, None),
            (r#","expires_in":true"#, None),
            (r#","expires_in":[3600]"#, None),
            (r#","expires_in":"soon""#, None),
            (r#","expires_in":"""#, None),
            (r#","expires_in":"inf""#, None),
            (r#","expires_in":"NaN""#, None),
            (r#","expires_in":0"#, None),
            (r#","expires_in":0.5"#, None),
            (r#","expires_in":-1"#, None),
            (r#","expires_in":"-3600""#, None),
            (r#","expires_in":1e300"#, None),
            (r#","expires_in":18446744073709551615"#, None),
            (r#","expires_in":1"#, Some(1)),
            (r#","expires_in":3600"#, Some(3600)),
            (r#","expires_in":"3600""#, Some(3600)),
            (r#","expires_in":3599.5"#, Some(3599)),
            (r#","expires_in":2147483647"#, Some(2_147_483_647)),
        ] {
            let tokens = oidc(&format!(r#"{{"access_token":"at","id_token":"a.b.c"{expires_in}}}"#)).unwrap();
            let access_token = tokens.over(Grant::default()).access_token.unwrap();
            assert_eq!(access_token.expires, seconds.map(|seconds| UnixTime(NOW.0 + seconds)), "{expires_in}");
        }
    }

    /// T-091: what a refresh brings takes the place of what was there, and the rest stays.
    #[test]
    fn what_stays_good_is_kept() {
        let old = || Grant {
            refresh_token: Some("old-rt".to_owned().into()),
            id_token: Some("old-id".to_owned().into()),
            access_token: Some(AccessToken { token: "old-at".to_owned().into(), expires: Some(UnixTime(7)) }),
        };
        let later = Some(UnixTime(NOW.0 + 60));
        for (body, told) in [
            (r#"{"access_token":"at"}"#, ("old-rt", "old-id", "at", None)),
            (r#"{"access_token":"at","expires_in":60}"#, ("old-rt", "old-id", "at", later)),
            (r#"{"access_token":"at","refresh_token":""}"#, ("old-rt", "old-id", "at", None)),
            (r#"{"access_token":"at","refresh_token":7}"#, ("old-rt", "old-id", "at", None)),
            (r#"{"access_token":"at","refresh_token":"rt"}"#, ("rt", "old-id", "at", None)),
            (r#"{"id_token":"id","refresh_token":"rt","expires_in":60}"#, ("rt", "id", "old-at", Some(UnixTime(7)))),
            (r#"{"refresh_token":"rt"}"#, ("rt", "old-id", "old-at", Some(UnixTime(7)))),
            (
                r#"{"access_token":"at","token_type":"DPoP","refresh_token":"rt"}"#,
                ("rt", "old-id", "old-at", Some(UnixTime(7))),
            ),
        ] {
            let (tokens, _) = for_refresh_token(Object::parse(body.as_bytes()).unwrap(), &Protocol::Oidc, NOW).unwrap();
            let Grant { refresh_token, id_token, access_token } = tokens.over(old());
            let text = |token: Option<Secret<String>>| token.unwrap().expose().clone();
            let (refresh_token, id_token, access_token) = (text(refresh_token), text(id_token), access_token.unwrap());
            let found = (&*refresh_token, &*id_token, &**access_token.token.expose(), access_token.expires);
            assert_eq!(found, told, "{body}");
        }
    }

    #[test]
    fn a_refresh_that_brings_nothing_usable_says_so() {
        let renewed = |body: &str| for_refresh_token(Object::parse(body.as_bytes()).unwrap(), &Protocol::Oidc, NOW);
        for (body, error) in [
            ("{}", "has no access token"),
            (r#"{"token_type":"Bearer","access_token":7}"#, "has no access token"),
            (r#"{"error":"invalid_grant","access_token":"at"}"#, "no longer accepts this code"),
            (r#"{"error":"bad_refresh_token"}"#, "`bad_refresh_token`"),
            (r#"{"error":"invalid_client"}"#, "`invalid_client`"),
            (r#"{"error":"temporarily_unavailable"}"#, "`temporarily_unavailable`"),
        ] {
            let found = renewed(body).unwrap_err().to_string();
            assert!(found.contains(error), "{body}: {found}");
        }
        for (body, usable) in [
            (r#"{"refresh_token":"rt"}"#, Err(AnswerError::NoAccessToken)),
            (r#"{"access_token":"at","id_token":"a.b.c","token_type":"mac"}"#, Err(AnswerError::TokenType)),
            (r#"{"access_token":"at"}"#, Ok(())),
            (r#"{"id_token":"a.b.c"}"#, Ok(())),
        ] {
            assert_eq!(renewed(body).unwrap().1, usable, "{body}");
        }
    }

    #[test]
    fn an_answer_that_signs_nobody_in_says_why() {
        for (body, answer) in [
            ("", "the token endpoint's answer is not a JSON object"),
            ("access_token=at&id_token=a.b.c", "the token endpoint's answer is not a JSON object"),
            ("[]", "the token endpoint's answer is not a JSON object"),
            (r#"{"id_token":"a","id_token":"b"}"#, "the token endpoint's answer is not a JSON object"),
            (r#"{"access_token":"at"}"#, "the token endpoint's answer has no ID token"),
            (r#"{"id_token":""}"#, "the token endpoint's answer has no ID token"),
            (r#"{"id_token":{"a":1}}"#, "the token endpoint's answer has no ID token"),
            (
                r#"{"id_token":"a.b.c","token_type":"DPoP"}"#,
                "the token endpoint's answer has another token type than Bearer",
            ),
            (r#"{"error":"invalid_grant","id_token":"a.b.c"}"#, "the provider no longer accepts this code"),
            (r#"{"error":"invalid_client"}"#, "the provider refuses this gateway as a client (`invalid_client`)"),
            (r#"{"error":"server_error"}"#, "the provider gives no tokens (`server_error`)"),
            (r#"{"error":"<b>\n"}"#, "the provider gives no tokens (`unreadable error code`)"),
            (
                r#"{"error":{"message":"m","type":"OAuthException","code":1}}"#,
                "the provider gives no tokens (`OAuthException`)",
            ),
            (r#"{"error":{"message":"m","code":1}}"#, "the provider gives no tokens (`unreadable error code`)"),
        ] {
            assert_eq!(oidc(body).unwrap_err().to_string(), answer, "{body}");
        }
    }

    /// T-131, T-136.
    #[test]
    fn without_openid_connect_the_answer_may_be_a_form() {
        let oauth2 = |body: &str| {
            let members = form(body.as_bytes()).or_else(|| Object::parse(body.as_bytes()));
            for_code(members.ok_or(AnswerError::NotJson)?, &plain(), NOW)
        };
        for (body, answer) in [
            ("", "the token endpoint's answer is not a JSON object"),
            ("<html>", "the token endpoint's answer is not a JSON object"),
            ("scope=user&token_type=bearer", "the token endpoint's answer is not a JSON object"),
            ("access_token=a&access_token=b", "the token endpoint's answer is not a JSON object"),
            ("access_token=&scope=", "the token endpoint's answer has no access token"),
            (r#"{"token_type":"bearer","id_token":"a.b.c"}"#, "the token endpoint's answer has no access token"),
            ("access_token=a&token_type=mac", "the token endpoint's answer has another token type than Bearer"),
            ("error=bad_verification_code&error_description=x+y", "the provider no longer accepts this code"),
            (
                "error=incorrect_client_credentials&error_uri=https%3A%2F%2Fx",
                "the provider refuses this gateway as a client (`incorrect_client_credentials`)",
            ),
            (r#"{"error":"bad_verification_code"}"#, "the provider no longer accepts this code"),
        ] {
            assert_eq!(oauth2(body).unwrap_err().to_string(), answer, "{body}");
        }
        for body in [
            "access_token=gho%5F1&scope=user%3Aemail&token_type=bearer",
            r#"{"access_token":"gho_1","scope":"user:email","token_type":"bearer"}"#,
            r#"{"access_token":"gho_1","token_type":"bearer","expires_in":5183944}"#,
            r#"{"access_token":"gho_1","id_token":"a.b.c"}"#,
        ] {
            let tokens = oauth2(body).unwrap();
            assert_eq!(tokens.access_token.unwrap().expose(), "gho_1", "{body}");
            assert!(tokens.id_token.is_none(), "nothing vouches for one");
        }
        let tokens = oauth2("access_token=ghu_1&expires_in=28800&refresh_token=ghr_1&token_type=bearer").unwrap();
        assert_eq!(tokens.refresh_token.as_ref().unwrap().expose(), "ghr_1");
        assert_eq!(tokens.expires, Some(UnixTime(NOW.0 + 28_800)));
    }
}
