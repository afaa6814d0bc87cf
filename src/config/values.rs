//! What things are called: headers, scopes, algorithms, users, and the words that some keys choose from.
//!
//! Only what one value shows by itself is decided here; what depends on another key is `resolve`'s.

use figment::value::Value;
use http::HeaderName;
use jsonwebtoken::Algorithm;
use serde_json::json;

use super::leaf::{Leaf, any_text, one_of, one_of_schema, shown, text};
use crate::{
    gateway::settings::Credentials,
    identity::UserId,
    providers::{ClientAuth, UserinfoMode},
    secret::Secret,
    telemetry::Format,
};

impl Leaf for HeaderName {
    fn parse(value: &Value) -> Result<Self, String> {
        header_name(text(value)?)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["X-User"] })
    }
}

/// A header that may carry an identity.
pub(super) fn header_name(text: &str) -> Result<HeaderName, String> {
    let name =
        HeaderName::from_bytes(text.as_bytes()).map_err(|_| format!("is {}, which is no header name", shown(text)))?;
    match OTHERS_HEADERS.contains(&as_read_upstream(&name).as_str()) {
        true => {
            Err(format!("is {}, which has another meaning; choose a header of your own such as `X-User`", shown(text)))
        }
        false => Ok(name),
    }
}

/// Headers that say who is asked, carry credentials, frame the message, belong to one connection (RFC 9110 §7.6.1) or are set by the gateway.
const OTHERS_HEADERS: [&str; 25] = [
    "host",
    "cookie",
    "set-cookie",
    "authorization",
    "proxy-authorization",
    "proxy-authenticate",
    "content-length",
    "content-type",
    "content-encoding",
    "transfer-encoding",
    "te",
    "trailer",
    "trailers",
    "connection",
    "proxy-connection",
    "keep-alive",
    "upgrade",
    "http2-settings",
    "expect",
    "via",
    "forwarded",
    "x-forwarded-for",
    "x-forwarded-host",
    "x-forwarded-proto",
    "x-forwarded-port",
];

/// How applications behind CGI, WSGI and the like see a header's name: `X-User`, `x_user` and `X.User` are the same to them.
pub(super) fn as_read_upstream(name: &HeaderName) -> String {
    name.as_str().replace(['_', '.'], "-")
}

/// One scope (RFC 6749 §3.3).
pub(super) struct Scope(pub(super) String);

impl Leaf for Scope {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let ok = |b: u8| matches!(b, 0x21 | 0x23..=0x5b | 0x5d..=0x7e);
        let wrong =
            || format!("is {}, which is not one scope; entries are separated, not joined by spaces", shown(text));
        text.bytes().all(ok).then(|| Self(text.to_owned())).ok_or_else(wrong)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[!#-\\[\\]-~]+$" })
    }
}

/// Asymmetric ones only: a provider's public keys must never be usable as a shared secret (RFC 8725 §2.1).
const ALGORITHMS: [(&str, Algorithm); 9] = [
    ("RS256", Algorithm::RS256),
    ("RS384", Algorithm::RS384),
    ("RS512", Algorithm::RS512),
    ("PS256", Algorithm::PS256),
    ("PS384", Algorithm::PS384),
    ("PS512", Algorithm::PS512),
    ("ES256", Algorithm::ES256),
    ("ES384", Algorithm::ES384),
    ("EdDSA", Algorithm::EdDSA),
];

impl Leaf for Algorithm {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &ALGORITHMS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&ALGORITHMS)
    }
}

const CLIENT_AUTH: [(&str, ClientAuth); 4] = [
    ("client_secret_basic", ClientAuth::Basic),
    ("client_secret_post", ClientAuth::Post),
    ("private_key_jwt", ClientAuth::PrivateKeyJwt),
    ("minted_secret", ClientAuth::MintedSecret),
];

impl Leaf for ClientAuth {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &CLIENT_AUTH)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&CLIENT_AUTH)
    }
}

const USERINFO: [(&str, UserinfoMode); 3] =
    [("never", UserinfoMode::Never), ("when_missing", UserinfoMode::WhenMissing), ("always", UserinfoMode::Always)];

impl Leaf for UserinfoMode {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &USERINFO)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&USERINFO)
    }
}

const CREDENTIALS: [(&str, Credentials); 3] =
    [("cookie", Credentials::Cookie), ("bearer", Credentials::Bearer), ("both", Credentials::Both)];

impl Leaf for Credentials {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &CREDENTIALS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&CREDENTIALS)
    }
}

const LOG_FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

impl Leaf for Format {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &LOG_FORMATS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&LOG_FORMATS)
    }
}

/// Private keys in PEM, which has several lines.
pub(super) struct Pem(pub(super) Secret<String>);

impl Leaf for Pem {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = any_text(value)?;
        if text.contains("-----BEGIN ") {
            Ok(Self(Secret::new(text.to_owned())))
        } else {
            Err("is no PEM: `-----BEGIN PRIVATE KEY-----` is expected".to_owned())
        }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1, "writeOnly": true })
    }
}

/// An `EnvFilter` directive.
pub(super) struct LogFilter(pub(super) String);

impl Leaf for LogFilter {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let filter = tracing_subscriber::EnvFilter::builder().with_regex(false).parse(text);
        filter.map_err(|error| format!("is {}, which is no filter: {error}", shown(text)))?;
        Ok(Self(text.to_owned()))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["info", "doorward=debug,access=off"] })
    }
}

impl Leaf for UserId {
    fn parse(value: &Value) -> Result<Self, String> {
        Self::parse(any_text(value)?).map_err(|wrong| format!("names nobody: {wrong}"))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "minLength": 1, "maxLength": Self::MAX_BYTES })
    }
}

/// The domain of an e-mail address, in lower case.
pub(super) struct EmailDomain(pub(super) Box<str>);

impl Leaf for EmailDomain {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let plain = |c: char| !c.is_whitespace() && !matches!(c, '@' | '*' | '/' | ':');
        let ok = text.chars().all(plain) && text.split('.').all(|label| !label.is_empty());
        let wrong = || format!("is {}; a domain such as `example.com` is expected, without `@` and `*`", shown(text));
        ok.then(|| Self(text.to_lowercase().into())).ok_or_else(wrong)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["example.com"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_identity_header_means_nothing_else() {
        for (text, ok) in [
            ("X-User", true),
            ("x_user", true),
            ("X-Forwarded-User", true),
            ("Remote-User", true),
            ("Host", false),
            ("COOKIE", false),
            ("authorization", false),
            ("Content_Length", false),
            ("transfer.encoding", false),
            ("X-Forwarded-For", false),
            ("X_Forwarded_Proto", false),
            ("Connection", false),
            ("X User", false),
            ("X:User", false),
            ("Ü", false),
        ] {
            assert_eq!(header_name(text).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_rule_names_somebody() {
        for (text, answer) in [
            ("Example.COM", Some("example.com")),
            ("@example.com", None),
            ("*.example.com", None),
            ("alice@example.com", None),
            (".example.com", None),
            ("example..com", None),
        ] {
            assert_eq!(EmailDomain::parse(&text.into()).ok().as_ref().map(|domain| &*domain.0), answer, "{text}");
        }
    }

    #[test]
    fn a_shared_secret_verifies_nothing() {
        for name in ["HS256", "HS512", "none", "rs256", "ES512"] {
            assert!(Algorithm::parse(&name.into()).is_err(), "{name}");
        }
    }
}
