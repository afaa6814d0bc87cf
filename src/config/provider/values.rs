//! The words and forms that only providers' keys have.

use figment::value::Value;
use serde_json::json;
use url::Url;

use crate::{
    config::leaf::{Leaf, any_text, one_of, one_of_schema, shown, text},
    providers::{PushedRequests, ResponseMode, SilentCheck},
};

/// What is spoken with a provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Spoken {
    Oidc,
    OAuth2,
}

const SPOKEN: [(&str, Spoken); 2] = [("oidc", Spoken::Oidc), ("oauth2", Spoken::OAuth2)];

impl Leaf for Spoken {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &SPOKEN)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&SPOKEN)
    }
}

const RESPONSE_MODES: [(&str, ResponseMode); 2] =
    [("query", ResponseMode::Query), ("form_post", ResponseMode::FormPost)];

impl Leaf for ResponseMode {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &RESPONSE_MODES)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&RESPONSE_MODES)
    }
}

const SILENT_CHECKS: [(&str, SilentCheck); 3] =
    [("prompt_none", SilentCheck::PromptNone), ("redirect", SilentCheck::Redirect), ("off", SilentCheck::Off)];

impl Leaf for SilentCheck {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &SILENT_CHECKS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&SILENT_CHECKS)
    }
}

const PUSHED_REQUESTS: [(&str, PushedRequests); 2] =
    [("when_offered", PushedRequests::WhenOffered), ("when_required", PushedRequests::WhenRequired)];

impl Leaf for PushedRequests {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &PUSHED_REQUESTS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&PUSHED_REQUESTS)
    }
}

/// Where groups are looked up.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(in crate::config) enum Lookup {
    None,
    MicrosoftGraph,
    GoogleDirectory,
    GitHub,
}

const LOOKUPS: [(&str, Lookup); 4] = [
    ("none", Lookup::None),
    ("microsoft_graph", Lookup::MicrosoftGraph),
    ("google_directory", Lookup::GoogleDirectory),
    ("github", Lookup::GitHub),
];

impl Leaf for Lookup {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &LOOKUPS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&LOOKUPS)
    }
}

/// A tenant: it becomes a part of URLs, so it cannot hold what means something there.
#[derive(Debug)]
pub(in crate::config) struct Tenant(pub(in crate::config) Box<str>);

impl Tenant {
    pub(in crate::config) fn read(text: &str) -> Option<Self> {
        let ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
        let length = (1..=64).contains(&text.len());
        (length && text.bytes().all(ok) && !matches!(text, "." | "..")).then(|| Self(text.into()))
    }
}

impl Leaf for Tenant {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let wrong = || format!("is {}, which is no tenant: letters, digits, `-`, `_`, `.` are expected", shown(text));
        Self::read(text).ok_or_else(wrong)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._-]{1,64}$" })
    }
}

/// One claim, or several in order; from the environment separated by commas.
#[derive(Debug)]
pub(in crate::config) struct Claims(pub(in crate::config) Vec<String>);

impl Leaf for Claims {
    fn parse(value: &Value) -> Result<Self, String> {
        let claims = Vec::<String>::parse(value)?;
        if claims.is_empty() { Err("is empty; nobody would have a name".to_owned()) } else { Ok(Self(claims)) }
    }

    fn schema() -> serde_json::Value {
        json!({ "type": ["string", "array"], "items": String::schema(), "minLength": 1, "minItems": 1 })
    }
}

/// Where browsers sign out; empty for nowhere.
pub(in crate::config) struct LogoutUrl(pub(in crate::config) Box<str>);

impl LogoutUrl {
    /// What may be replaced in it, and what could come of that.
    const PLACEHOLDERS: [(&str, &str); 6] = [
        ("{client_id}", "id"),
        ("{return_to}", "https%3A%2F%2Fapp.example.com%2F"),
        ("{issuer_origin}", "https://login.example.com"),
        ("{authorization_origin}", "https://login.example.com"),
        ("{end_session_endpoint}", "https://login.example.com/logout"),
        ("{id_token}", "a.b.c"),
    ];

    /// The URL as it could be once everything is replaced.
    pub(in crate::config) fn filled(&self) -> Option<Url> {
        let filled = Self::PLACEHOLDERS.iter().fold(self.0.to_string(), |text, (name, with)| text.replace(name, with));
        Url::parse(&filled).ok().filter(|_| !filled.contains(['{', '}']))
    }
}

impl Leaf for LogoutUrl {
    fn parse(value: &Value) -> Result<Self, String> {
        let url = Self(any_text(value)?.into());
        if url.0.is_empty() {
            return Ok(url);
        }
        text(value)?;
        let usable = |url: &Url| matches!(url.scheme(), "http" | "https") && url.username().is_empty();
        if url.filled().as_ref().is_some_and(usable) {
            return Ok(url);
        }
        let names: Vec<_> = Self::PLACEHOLDERS.iter().map(|(name, _)| format!("`{name}`")).collect();
        Err(format!("is no http or https URL; replaced in it are {}", names.join(", ")))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["{issuer_origin}/v2/logout?client_id={client_id}&returnTo={return_to}"] })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_is_one_segment() {
        for (text, ok) in [
            ("9188040d-6c67-4c5b-b112-36a304b66dad", true),
            ("contoso.onmicrosoft.com", true),
            ("common", true),
            ("", false),
            (".", false),
            ("..", false),
            ("a/b", false),
            ("a?b", false),
            ("{tenantid}", false),
            ("a b", false),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(Tenant::parse(&text.into()).is_ok(), ok, "{text}");
        }
    }

    #[test]
    fn a_logout_url_is_one_once_it_is_filled() {
        for (text, ok) in [
            ("", true),
            ("https://login.example.com/out?back={return_to}", true),
            ("{issuer_origin}/v2/logout?client_id={client_id}&returnTo={return_to}", true),
            ("{authorization_origin}/logout", true),
            ("{end_session_endpoint}?id_token_hint={id_token}&post_logout_redirect_uri={return_to}", true),
            ("{origin}/logout", false),
            ("https://login.example.com/{x}", false),
            ("/logout", false),
            ("{client_id}", false),
            ("javascript:{return_to}", false),
            ("https://me@login.example.com/", false),
            (" https://login.example.com", false),
        ] {
            assert_eq!(LogoutUrl::parse(&text.into()).is_ok(), ok, "{text}");
        }
    }
}
