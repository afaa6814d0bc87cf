//! What a provider says about itself: its endpoints, and which of the optional things it does (OpenID Connect Discovery §4).
//!
//! Only the members that are used are looked at, so that an odd value elsewhere keeps nobody out. Endpoints may stand on
//! other hosts than the issuer (some do), but never on plain http.

use openidconnect::{
    AuthUrl, EndSessionUrl, ProviderMetadataWithLogout, TokenUrl, UserInfoUrl, core::CoreClientAuthMethod,
};
use serde_json::{Map, Value};
use url::Url;

use super::{
    ClientAuth,
    cached::Source,
    error::{FetchError, printable},
    http::{Http, HttpError},
    json::Object,
};

/// A provider's metadata, checked.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: AuthUrl,
    pub(super) token_endpoint: TokenUrl,
    pub(super) userinfo_endpoint: Option<UserInfoUrl>,
    pub(super) end_session_endpoint: Option<EndSessionUrl>,
    pub(super) jwks_uri: Url,
    /// How a client may authenticate, the first of ours that is offered; `None` when the document does not say.
    pub(super) client_auth: Option<ClientAuth>,
    /// Every callback carries `iss` (RFC 9207 §3).
    pub(super) callbacks_have_issuer: bool,
}

/// Fetches the metadata of one provider.
#[derive(Clone, Debug)]
pub(super) struct Discovery {
    pub(super) http: Http,
    pub(super) issuer: Box<str>,
    pub(super) url: Url,
}

impl Source for Discovery {
    type Value = Metadata;
    const WHAT: &'static str = "metadata";

    async fn fetch(&self) -> Result<Metadata, FetchError> {
        let document = self.http.document(&self.url).await;
        let document = document.map_err(|error| FetchError::Http { url: self.url.as_str().into(), error })?;
        let members = Object::parse(&document).ok_or_else(|| FetchError::NotJson { url: self.url.as_str().into() })?;
        Metadata::read(members, &self.issuer, |url| self.http.check(url))
    }
}

/// Where the metadata of `issuer` is: at most one closing slash removed, then the well-known path (Discovery §4.1).
pub(super) fn discovery_url(issuer: &str) -> Option<Url> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let url = Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()?;
    // An issuer has neither query nor fragment (Discovery §3): with one, the path would end up inside it.
    (url.query().is_none() && url.fragment().is_none()).then_some(url)
}

/// Members without which openidconnect's type is not complete, although nothing here needs them.
const UNUSED_LISTS: [&str; 3] =
    ["response_types_supported", "subject_types_supported", "id_token_signing_alg_values_supported"];

impl Metadata {
    fn read(
        mut members: Map<String, Value>,
        issuer: &str,
        check: impl Fn(&Url) -> Result<(), HttpError>,
    ) -> Result<Self, FetchError> {
        let found = members.get("issuer").and_then(Value::as_str).unwrap_or_default();
        if found != issuer {
            // Discovery §4.3: exactly, so that nobody's document speaks for somebody else.
            return Err(FetchError::Issuer { configured: issuer.into(), found: printable(found) });
        }
        let callbacks_have_issuer =
            members.get("authorization_response_iss_parameter_supported") == Some(&Value::Bool(true));

        let mut used = Map::new();
        for (name, required) in [
            ("issuer", true),
            ("authorization_endpoint", true),
            ("token_endpoint", true),
            ("jwks_uri", true),
            ("userinfo_endpoint", false),
            ("end_session_endpoint", false),
        ] {
            match members.remove(name) {
                Some(Value::String(text)) if Url::parse(&text).is_ok() => {
                    used.insert(name.to_owned(), Value::String(text));
                }
                _ if required => return Err(FetchError::Member(name)),
                None | Some(_) => {} // some write "" for what they do not offer
            }
        }
        if let Some(Value::Array(methods)) = members.remove("token_endpoint_auth_methods_supported") {
            let methods = methods.into_iter().filter(Value::is_string).collect();
            used.insert("token_endpoint_auth_methods_supported".to_owned(), Value::Array(methods));
        }
        for name in UNUSED_LISTS {
            used.insert(name.to_owned(), Value::Array(Vec::new()));
        }
        let document: ProviderMetadataWithLogout =
            serde_json::from_value(Value::Object(used)).map_err(|_| FetchError::Member("issuer"))?;

        let end_session_endpoint = document.additional_metadata().end_session_endpoint.clone();
        let metadata = Self {
            authorization_endpoint: document.authorization_endpoint().clone(),
            token_endpoint: document.token_endpoint().ok_or(FetchError::Member("token_endpoint"))?.clone(),
            userinfo_endpoint: document.userinfo_endpoint().cloned(),
            end_session_endpoint,
            jwks_uri: document.jwks_uri().url().clone(),
            client_auth: document.token_endpoint_auth_methods_supported().and_then(|methods| offered(methods)),
            callbacks_have_issuer,
        };
        let endpoints = [
            ("authorization_endpoint", Some(metadata.authorization_endpoint.url())),
            ("token_endpoint", Some(metadata.token_endpoint.url())),
            ("jwks_uri", Some(&metadata.jwks_uri)),
            ("userinfo_endpoint", metadata.userinfo_endpoint.as_ref().map(|endpoint| endpoint.url())),
            ("end_session_endpoint", metadata.end_session_endpoint.as_ref().map(|endpoint| endpoint.url())),
        ];
        for (member, url) in endpoints {
            if let Some(Err(error)) = url.map(&check) {
                return Err(FetchError::Endpoint { member, error });
            }
        }
        Ok(metadata)
    }
}

/// Basic first: every server has to support it (RFC 6749 §2.3.1).
fn offered(methods: &[CoreClientAuthMethod]) -> Option<ClientAuth> {
    if methods.contains(&CoreClientAuthMethod::ClientSecretBasic) {
        Some(ClientAuth::Basic)
    } else {
        methods.contains(&CoreClientAuthMethod::ClientSecretPost).then_some(ClientAuth::Post)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    const ISSUER: &str = "https://op.example/realm/";

    fn document() -> Map<String, Value> {
        let Value::Object(members) = json!({
            "issuer": ISSUER,
            "authorization_endpoint": "https://login.example/authorize?realm=/x",
            "token_endpoint": "https://op.example/token",
            "jwks_uri": "https://keys.example/jwks",
        }) else {
            unreachable!()
        };
        members
    }

    fn https_only(url: &Url) -> Result<(), HttpError> {
        (url.scheme() == "https").then_some(()).ok_or(HttpError::Url)
    }

    fn read(change: impl FnOnce(&mut Map<String, Value>)) -> Result<Metadata, FetchError> {
        let mut members = document();
        change(&mut members);
        Metadata::read(members, ISSUER, https_only)
    }

    /// T-080.
    #[test]
    fn metadata_is_of_exactly_the_configured_issuer() {
        for other in [
            "https://op.example/realm",
            "http://op.example/realm/",
            "https://op.example:443/realm/",
            "https://evil/",
            "",
        ] {
            let error = read(|m| drop(m.insert("issuer".into(), json!(other)))).unwrap_err().to_string();
            assert!(error.contains(ISSUER) && error.contains(&format!("`{other}`")), "{error}");
        }
        assert!(matches!(read(|m| drop(m.remove("issuer"))), Err(FetchError::Issuer { .. })));
        assert!(read(|_| ()).is_ok());
    }

    #[test]
    fn endpoints_are_needed_and_are_https() {
        for member in ["authorization_endpoint", "token_endpoint", "jwks_uri"] {
            assert!(matches!(read(|m| drop(m.remove(member))), Err(FetchError::Member(m)) if m == member));
            for not_a_url in [json!(""), json!("/relative"), json!(7), json!(null)] {
                let result = read(|m| drop(m.insert(member.into(), not_a_url)));
                assert!(matches!(result, Err(FetchError::Member(m)) if m == member));
            }
        }
        for member in
            ["authorization_endpoint", "token_endpoint", "jwks_uri", "userinfo_endpoint", "end_session_endpoint"]
        {
            let result = read(|m| drop(m.insert(member.into(), json!("http://op.example/x"))));
            assert!(matches!(result, Err(FetchError::Endpoint { member: m, .. }) if m == member));
        }
    }

    /// T-137, T-140: odd values where nobody looks keep nobody out.
    #[test]
    fn only_what_is_used_is_read() {
        let metadata = read(|m| {
            m.insert("registration_endpoint".into(), json!(""));
            m.insert("end_session_endpoint".into(), json!(""));
            m.insert("response_types_supported".into(), json!("code"));
            m.insert("scopes_supported".into(), json!({"a": 1}));
            m.insert(
                "token_endpoint_auth_methods_supported".into(),
                json!(["private_key_jwt", 7, "client_secret_post"]),
            );
            m.insert("authorization_response_iss_parameter_supported".into(), json!(true));
        })
        .unwrap();
        assert_eq!(metadata.authorization_endpoint.url().query(), Some("realm=/x"));
        assert!(metadata.end_session_endpoint.is_none());
        assert_eq!(metadata.client_auth, Some(ClientAuth::Post));
        assert!(metadata.callbacks_have_issuer);
        assert!(!read(|_| ()).unwrap().callbacks_have_issuer);
    }

    #[test]
    fn one_closing_slash_at_most_is_removed() {
        for (issuer, url) in [
            ("https://op.example", Some("https://op.example/.well-known/openid-configuration")),
            ("https://op.example/", Some("https://op.example/.well-known/openid-configuration")),
            ("https://op.example/a/", Some("https://op.example/a/.well-known/openid-configuration")),
            ("https://op.example/a//", Some("https://op.example/a//.well-known/openid-configuration")),
            ("https://op.example/a?x=1", None),
            ("https://op.example/a#x", None),
            ("op.example", None),
        ] {
            assert_eq!(discovery_url(issuer).as_ref().map(Url::as_str), url, "{issuer}");
        }
    }
}
