//! A JWT: the provider's keys vouch for what it says (RFC 9068 §4).

use std::{fmt, mem};

use base64::{Engine, engine::general_purpose::URL_SAFE_NO_PAD};
use serde::{
    Deserialize, Deserializer,
    de::{Error, IgnoredAny, MapAccess, Visitor},
};
use serde_json::{Map, Value};

use super::{BearerError, BearerRefusal, Said, Shape};
use crate::{
    providers::{
        Bearer, Provider,
        error::TokenError,
        jwe,
        jws::{TokenKind, Unverified},
        keys::{self, VerifyError},
    },
    secret::Secret,
};

/// The longest issuer that is looked up, in bytes.
const MAX_ISSUER: usize = 2_048;

/// What `token` shows of itself. Reads no more than that: what the token is worth, its signature says.
pub(super) fn shape(token: &str) -> Shape {
    match Form::of(token) {
        Form::Signed { payload } => Shape::Jwt(Marks::of(payload).and_then(|marks| marks.iss)),
        Form::Encrypted { iss } => Shape::Encrypted(iss),
        Form::Other => Shape::BlackBox,
    }
}

/// Whether `token` is neither signed nor encrypted in the manner of JWTs.
pub(super) fn is_black_box(token: &str) -> bool {
    matches!(Form::of(token), Form::Other)
}

/// What the header and the dots of a token make it.
enum Form<'t> {
    Signed { payload: &'t str },
    Encrypted { iss: Option<Box<str>> },
    Other,
}

impl<'t> Form<'t> {
    fn of(token: &'t str) -> Self {
        let mut parts = token.splitn(6, '.');
        let (header, second) = (parts.next().unwrap_or_default(), parts.next());
        // Dots alone make no JWT: other tokens may have them too.
        let Some(head) = Marks::of(header).filter(|marks| marks.has_alg) else { return Self::Other };
        match (second, parts.count()) {
            (Some(payload), 1) => Self::Signed { payload },
            (Some(_), 3) => Self::Encrypted { iss: head.iss },
            _ => Self::Other,
        }
    }
}

/// The members of a part by which it is told whose a token is; the others are passed over and not kept. Nothing is believed because of them:
/// a token is read whole, and strictly, once somebody answers for it.
#[derive(Default)]
struct Marks {
    has_alg: bool,
    iss: Option<Box<str>>,
}

impl Marks {
    fn of(part: &str) -> Option<Self> {
        let json = URL_SAFE_NO_PAD.decode(part).ok()?;
        serde_json::from_slice(&json).ok()
    }
}

impl<'de> Deserialize<'de> for Marks {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        #[derive(Deserialize)]
        #[serde(field_identifier, rename_all = "lowercase")]
        enum Name {
            Alg,
            Iss,
            #[serde(other)]
            Other,
        }

        struct Members;

        impl<'de> Visitor<'de> for Members {
            type Value = Marks;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut members: A) -> Result<Marks, A::Error> {
                let (mut marks, mut has_iss) = (Marks::default(), false);
                while let Some(name) = members.next_key()? {
                    let is_again = match name {
                        Name::Alg => mem::replace(&mut marks.has_alg, true),
                        Name::Iss => mem::replace(&mut has_iss, true),
                        Name::Other => false,
                    };
                    if is_again {
                        return Err(A::Error::custom("a member name occurs twice"));
                    }
                    match name {
                        Name::Iss => marks.iss = issuer(members.next_value()?),
                        Name::Alg | Name::Other => drop(members.next_value::<IgnoredAny>()?),
                    }
                }
                Ok(marks)
            }
        }

        from.deserialize_map(Members)
    }
}

fn issuer(iss: Value) -> Option<Box<str>> {
    match iss {
        Value::String(iss) if iss.len() <= MAX_ISSUER => Some(iss.into()),
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) | Value::Array(_) | Value::Object(_) => None,
    }
}

impl Provider {
    /// What `token` claims, once a key of this provider has vouched for it and it is of a kind that counts.
    pub(super) async fn verified(&self, token: &Secret<String>, rules: &Bearer) -> Result<Said, BearerError> {
        let opened = jwe::opened(token, &self.settings.decryption_keys);
        let opened = opened.map_err(|error| BearerRefusal::Token(TokenError::from(error)))?;
        let token = opened.as_ref().unwrap_or(token);
        let token = Unverified::parse(token.expose(), TokenKind::AccessToken, &self.settings.algorithms)
            .map_err(|error| BearerRefusal::Token(TokenError::from(error)))?;
        let verified = keys::verify(&token, &self.keys).await.map_err(|error| match error {
            VerifyError::Unavailable(error) => BearerError::Unavailable(error),
            VerifyError::Token(error) => BearerRefusal::Token(error).into(),
        })?;
        let claims = verified.claims().map_err(|error| BearerRefusal::Token(TokenError::from(error)))?;
        if token.is_access_token {
            return Ok(Said::by_keys(claims, false));
        }
        let is_id_token = is_id_token(&claims, &self.settings.client_id, rules);
        match (is_id_token, rules.id_tokens, rules.plain_jwt) {
            (true, false, _) => Err(BearerRefusal::IdToken.into()),
            (false, _, false) => Err(BearerRefusal::Untyped.into()),
            (true, true, _) | (false, _, true) => Ok(Said::by_keys(claims, is_id_token)),
        }
    }
}

/// Whether a JWT whose header does not say what it is, is an ID token. Providers that say it in a claim of their own are believed; otherwise
/// only ID tokens have some claims and only access tokens others. One that has neither is an ID token when it is for a client.
fn is_id_token(claims: &Map<String, Value>, client_id: &str, rules: &Bearer) -> bool {
    let text = |name: &str| claims.get(name).and_then(Value::as_str);
    let is = |name: &str, value: &str| text(name).is_some_and(|found| found.eq_ignore_ascii_case(value));
    let has = |names: &[&str]| names.iter().any(|name| claims.contains_key(*name));
    if is("typ", "ID") || is("token_use", "id") {
        return true;
    }
    if is("typ", "Bearer") || is("token_use", "access") {
        return false;
    }
    if has(&["nonce", "at_hash", "c_hash", "s_hash"]) {
        return true;
    }
    if has(&["scope", "scp", "client_id", "cid", "appid", "azpacr", "gty"]) {
        return false;
    }
    let is_client = |audience: &Value| {
        audience.as_str().is_some_and(|audience| audience == client_id || rules.clients.contains(audience))
    };
    match claims.get("aud") {
        Some(Value::Array(many)) => many.iter().any(is_client),
        Some(one) => is_client(one),
        None => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn part(json: &str) -> String {
        URL_SAFE_NO_PAD.encode(json)
    }

    /// Nothing is asked of anybody because of what a stranger wrote twice, or wrote where an object should be.
    #[test]
    fn a_token_shows_an_issuer_in_one_way_or_none() {
        let long = format!(r#"{{"iss":"{}"}}"#, "i".repeat(MAX_ISSUER + 1));
        let deep = format!(r#"{{"a":{}{},"iss":"i"}}"#, "[".repeat(10_000), "]".repeat(10_000));
        let deep_issuer = format!(r#"{{"iss":{}{}}}"#, "[".repeat(10_000), "]".repeat(10_000));
        for (payload, iss) in [
            ("", None),
            ("{}", None),
            ("[]", None),
            (r#"["alg","i"]"#, None),
            (r#""i""#, None),
            (r#"{"iss":null}"#, None),
            (r#"{"iss":["i"]}"#, None),
            (r#"{"iss":{"iss":"i"}}"#, None),
            (r#"{"a":{"iss":"i"}}"#, None),
            (r#"{"ISS":"i"}"#, None),
            (r#"{"iss":"i","iss":"i"}"#, None),
            (r#"{"iss":"i","\u0069ss":"j"}"#, None),
            (r#"{"iss":"i"} {}"#, None),
            (r#"{"iss":"i","#, None),
            (&long, None),
            (&deep_issuer, None),
            (r#"{"iss":"i"}"#, Some("i")),
            (r#"{"sub":"s","aud":["a"],"\u0069ss":"\u0069","n":1.5}"#, Some("i")),
            (&deep, Some("i")),
        ] {
            let token = format!("{}.{}.c2ln", part(r#"{"alg":"ES256"}"#), part(payload));
            assert_eq!(shape(&token), Shape::Jwt(iss.map(Into::into)), "{payload:.60}");
            assert!(!is_black_box(&token), "{payload:.60}");
        }
    }

    #[test]
    fn a_header_and_its_dots_make_a_jwt() {
        let (signed, payload) = (part(r#"{"alg":"ES256","iss":"h"}"#), part(r#"{"iss":"i"}"#));
        let (jwt, encrypted) = (Shape::Jwt(Some("i".into())), Shape::Encrypted(Some("h".into())));
        for (token, shape) in [
            (String::new(), Shape::BlackBox),
            ("..".to_owned(), Shape::BlackBox),
            (signed.clone(), Shape::BlackBox),
            (format!("{signed}.{payload}"), Shape::BlackBox),
            (format!("{signed}.{payload}.a.b"), Shape::BlackBox),
            (format!("{signed}.a.b.c.d.e"), Shape::BlackBox),
            (format!("{}.{payload}.c2ln", part("{}")), Shape::BlackBox),
            (format!("{}.{payload}.c2ln", part(r#"["alg"]"#)), Shape::BlackBox),
            (format!("{}.{payload}.c2ln", part(r#"{"alg":"ES256","alg":"none"}"#)), Shape::BlackBox),
            (format!("{signed}=.{payload}.c2ln"), Shape::BlackBox),
            (format!("{}.{payload}.c2ln", part(r#"{"alg":null}"#)), jwt.clone()),
            (format!("{signed}.{payload}."), jwt.clone()),
            (format!("{signed}.{payload}.c2ln"), jwt),
            (format!("{signed}.a.b.c.d"), encrypted),
            (format!("{}....", part(r#"{"alg":"dir"}"#)), Shape::Encrypted(None)),
        ] {
            assert_eq!(super::shape(&token), shape, "{token}");
            assert_eq!(is_black_box(&token), shape == Shape::BlackBox, "{token}");
        }
    }
}
