//! What a provider says about itself: its endpoints, and which of the optional things it does (OpenID Connect Discovery §4, RFC 8414).
//!
//! * Only the members that are used are looked at, so that an odd value elsewhere keeps nobody out. Endpoints may stand on
//!   other hosts than the issuer (some do), but never on plain http.
//! * An endpoint by hand wins over the metadata's. Where all that are needed are there by hand, or the provider is plain OAuth 2.0 and has no
//!   metadata, nothing is fetched.
//! * Endpoints are kept as browsers know them; `http.rs` knows where else we may have to ask.

use std::sync::Arc;

use serde_json::{Map, Value};
use url::Url;

use super::{
    Bearer, ClientAuth, Endpoints, Protocol, Settings,
    cached::Source,
    error::{FetchError, printable},
    http::{Http, HttpError},
    json::Object,
};

/// A provider's metadata, checked.
#[derive(Clone, Debug)]
pub(super) struct Metadata {
    pub(super) authorization_endpoint: Url,
    pub(super) token_endpoint: Url,
    /// For plain OAuth 2.0 the profile.
    pub(super) userinfo_endpoint: Option<Url>,
    pub(super) end_session: Option<EndSession>,
    /// Where authorization requests can be pushed to (RFC 9126 §5).
    pub(super) pushed_requests_endpoint: Option<Url>,
    /// Others than pushed ones are refused.
    pub(super) requires_pushed_requests: bool,
    /// Absent for plain OAuth 2.0 only: it signs nothing.
    pub(super) jwks_uri: Option<Url>,
    /// Where black boxes are asked about (RFC 7662, RFC 8414 §2).
    pub(super) introspection_endpoint: Option<Url>,
    /// `iss` of access tokens, where it is not that of ID tokens (AD FS).
    pub(super) access_token_issuer: Option<Box<str>>,
    /// How a client may authenticate, of the ways that we know; `None` when the document does not say.
    pub(super) client_auth: Option<Vec<ClientAuth>>,
    /// Every callback carries `iss` (RFC 9207 §3).
    pub(super) callbacks_have_issuer: bool,
}

/// Where browsers sign out, and in whose words.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum EndSession {
    /// RP-Initiated Logout.
    Standard(Url),
    /// PingFederate's own endpoint, which knows one parameter: `TargetResource`.
    Ping(Url),
}

/// Fetches the metadata of one provider.
#[derive(Clone, Debug)]
pub(super) struct Discovery {
    pub(super) http: Http,
    pub(super) settings: Arc<Settings>,
    /// `None` where nothing is fetched.
    pub(super) url: Option<Url>,
}

impl Source for Discovery {
    type Value = Metadata;
    const WHAT: &'static str = "metadata";

    async fn fetch(&self) -> Result<Metadata, FetchError> {
        let Some(url) = &self.url else { return self.by_hand() };
        let document = self.http.document(url).await;
        let document = document.map_err(|error| FetchError::Http { url: url.as_str().into(), error })?;
        let members = Object::parse(&document).ok_or_else(|| FetchError::NotJson { url: url.as_str().into() })?;
        check_issuer(&members, &self.settings)?;
        Metadata::read(&members, &self.settings, |url| self.http.check(url))
    }
}

impl Discovery {
    /// What is known without asking anybody.
    pub(super) fn by_hand(&self) -> Result<Metadata, FetchError> {
        Metadata::read(&Map::new(), &self.settings, |url| self.http.check(url))
    }
}

/// Discovery §4.3: exactly, so that nobody's document speaks for somebody else. Of a provider with many tenants, the configured issuer holds the
/// same `{tenantid}` as the document.
fn check_issuer(members: &Map<String, Value>, settings: &Settings) -> Result<(), FetchError> {
    let found = members.get("issuer").and_then(Value::as_str).unwrap_or_default();
    if found == settings.issuer || settings.issuer_aliases.iter().any(|alias| alias == found) {
        return Ok(());
    }
    Err(FetchError::Issuer { configured: settings.issuer.as_str().into(), found: printable(found) })
}

/// Whether nothing is left to be found out about a provider's endpoints.
pub(super) fn is_by_hand(settings: &Settings) -> bool {
    let Endpoints { authorization, token, jwks, introspection, .. } = &settings.endpoints;
    let asks = settings.bearer.as_ref().is_some_and(Bearer::takes_black_boxes);
    match settings.protocol {
        Protocol::OAuth2(_) => true,
        Protocol::Oidc if !settings.login => jwks.is_some() && (introspection.is_some() || !asks),
        Protocol::Oidc => authorization.is_some() && token.is_some() && jwks.is_some(),
    }
}

/// Where the metadata of `issuer` is: at most one closing slash removed, then the well-known path (Discovery §4.1).
pub(super) fn discovery_url(issuer: &str) -> Option<Url> {
    let base = issuer.strip_suffix('/').unwrap_or(issuer);
    let url = Url::parse(&format!("{base}/.well-known/openid-configuration")).ok()?;
    // An issuer has neither query nor fragment (Discovery §3): with one, the path would end up inside it.
    (url.query().is_none() && url.fragment().is_none()).then_some(url)
}

impl Metadata {
    fn read(
        members: &Map<String, Value>,
        settings: &Settings,
        check: impl Fn(&Url) -> Result<(), HttpError>,
    ) -> Result<Self, FetchError> {
        let endpoint = |member: &'static str, by_hand: Option<&Url>| {
            // Some write "" for what they do not offer.
            let theirs = || members.get(member).and_then(Value::as_str).and_then(|text| Url::parse(text).ok());
            let url = by_hand.cloned().or_else(theirs);
            url.map(|url| check(&url).map(|()| url)).transpose().map_err(|error| FetchError::Endpoint { member, error })
        };
        let required = |member, by_hand| endpoint(member, by_hand)?.ok_or(FetchError::Member(member));
        // Where only tokens count there may be none. Nobody is sent there, and what signs for us is then meant for the issuer (RFC 7523 §3).
        let of_logins = |member, by_hand| match endpoint(member, by_hand)? {
            None if !settings.login => Url::parse(&settings.issuer).map_err(|_| FetchError::Member(member)),
            found => found.ok_or(FetchError::Member(member)),
        };
        let by_hand = &settings.endpoints;
        let end_session = endpoint("end_session_endpoint", by_hand.end_session.as_ref())?.map(EndSession::Standard);
        let is_true = |member| members.get(member) == Some(&Value::Bool(true));
        Ok(Self {
            authorization_endpoint: of_logins("authorization_endpoint", by_hand.authorization.as_ref())?,
            token_endpoint: of_logins("token_endpoint", by_hand.token.as_ref())?,
            userinfo_endpoint: match settings.protocol {
                Protocol::Oidc => endpoint("userinfo_endpoint", by_hand.userinfo.as_ref())?,
                Protocol::OAuth2(_) => Some(required("userinfo_endpoint", by_hand.userinfo.as_ref())?),
            },
            end_session: match end_session {
                Some(standard) => Some(standard),
                None => endpoint("ping_end_session_endpoint", None)?.map(EndSession::Ping),
            },
            pushed_requests_endpoint: endpoint(
                "pushed_authorization_request_endpoint",
                by_hand.pushed_requests.as_ref(),
            )?,
            requires_pushed_requests: is_true("require_pushed_authorization_requests"),
            jwks_uri: match settings.protocol {
                Protocol::Oidc => Some(required("jwks_uri", by_hand.jwks.as_ref())?),
                Protocol::OAuth2(_) => None,
            },
            introspection_endpoint: endpoint("introspection_endpoint", by_hand.introspection.as_ref())?,
            access_token_issuer: members.get("access_token_issuer").and_then(Value::as_str).map(Into::into),
            client_auth: members
                .get("token_endpoint_auth_methods_supported")
                .and_then(Value::as_array)
                .map(|methods| offered(methods)),
            callbacks_have_issuer: is_true("authorization_response_iss_parameter_supported"),
        })
    }
}

/// The methods that we know, in the order they are listed.
fn offered(methods: &[Value]) -> Vec<ClientAuth> {
    let known = |method: &Value| match method.as_str()? {
        "client_secret_basic" => Some(ClientAuth::Basic),
        "client_secret_post" => Some(ClientAuth::Post),
        "private_key_jwt" => Some(ClientAuth::PrivateKeyJwt),
        _ => None,
    };
    methods.iter().filter_map(known).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::providers::{OAuth2, testing::settings};

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
        read_for(&settings(ISSUER), change)
    }

    fn read_for(settings: &Settings, change: impl FnOnce(&mut Map<String, Value>)) -> Result<Metadata, FetchError> {
        let mut members = document();
        change(&mut members);
        Metadata::read(&members, settings, https_only)
    }

    fn url(text: &str) -> Url {
        Url::parse(text).unwrap()
    }

    /// T-080, T-127.
    #[test]
    fn metadata_is_of_exactly_the_configured_issuer() {
        let mut settings = settings(ISSUER);
        settings.issuer_aliases = vec!["op.example".into()];
        let check = |found: &str, settings: &Settings| {
            let Value::Object(members) = json!({"issuer": found}) else { unreachable!() };
            check_issuer(&members, settings)
        };
        for other in [
            "https://op.example/realm",
            "http://op.example/realm/",
            "https://op.example:443/realm/",
            "https://evil/",
            "OP.example",
            "",
        ] {
            let error = check(other, &settings).unwrap_err().to_string();
            assert!(error.contains(ISSUER) && error.contains(&format!("`{other}`")), "{error}");
        }
        assert!(matches!(check_issuer(&Map::new(), &settings), Err(FetchError::Issuer { .. })));
        assert!(check(ISSUER, &settings).is_ok() && check("op.example", &settings).is_ok());

        settings.issuer = "https://login.example/{tenantid}/v2.0".into();
        assert!(check("https://login.example/t-1/v2.0", &settings).is_err());
        assert!(check("https://login.example/{tenantid}/v2.0", &settings).is_ok());
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
        for member in [
            "authorization_endpoint",
            "token_endpoint",
            "jwks_uri",
            "userinfo_endpoint",
            "end_session_endpoint",
            "ping_end_session_endpoint",
            "pushed_authorization_request_endpoint",
            "introspection_endpoint",
        ] {
            let result = read(|m| drop(m.insert(member.into(), json!("http://op.example/x"))));
            assert!(matches!(result, Err(FetchError::Endpoint { member: m, .. }) if m == member), "{member}");
        }
    }

    /// An issuer of tokens alone: GitHub Actions, for instance, has keys and nothing else.
    #[test]
    fn where_nobody_signs_in_only_keys_are_needed() {
        let bare = |m: &mut Map<String, Value>| m.retain(|name, _| matches!(name.as_str(), "issuer" | "jwks_uri"));
        let mut settings = settings(ISSUER);
        assert!(matches!(read_for(&settings, bare), Err(FetchError::Member("authorization_endpoint"))));
        settings.login = false;
        assert_eq!(read_for(&settings, bare).unwrap().token_endpoint.as_str(), ISSUER);
        let nothing = read_for(&settings, |m| m.retain(|name, _| name == "issuer"));
        assert!(matches!(nothing, Err(FetchError::Member("jwks_uri"))));
    }

    /// T-137, T-140: odd values where nobody looks keep nobody out.
    #[test]
    fn only_what_is_used_is_read() {
        let metadata = read(|m| {
            m.insert("registration_endpoint".into(), json!(""));
            m.insert("end_session_endpoint".into(), json!(""));
            m.insert("response_types_supported".into(), json!("code"));
            m.insert("scopes_supported".into(), json!({"a": 1}));
            m.insert("require_pushed_authorization_requests".into(), json!("true"));
            m.insert(
                "token_endpoint_auth_methods_supported".into(),
                json!(["tls_client_auth", 7, "private_key_jwt", "client_secret_post"]),
            );
            m.insert("authorization_response_iss_parameter_supported".into(), json!(true));
            m.insert("access_token_issuer".into(), json!("http://op.example/trust"));
        })
        .unwrap();
        assert_eq!(metadata.authorization_endpoint.query(), Some("realm=/x"));
        assert!(metadata.end_session.is_none());
        assert_eq!(metadata.client_auth, Some(vec![ClientAuth::PrivateKeyJwt, ClientAuth::Post]));
        assert!(metadata.callbacks_have_issuer);
        assert!(!metadata.requires_pushed_requests);
        assert_eq!(metadata.access_token_issuer.as_deref(), Some("http://op.example/trust"));
        let least = read(|_| ()).unwrap();
        assert!(!least.callbacks_have_issuer && least.client_auth.is_none() && least.access_token_issuer.is_none());
    }

    #[test]
    fn an_endpoint_by_hand_wins() {
        let by_hand = |member: &str| Some(url(&format!("https://by-hand.example/{member}?x=/y")));
        let mut settings = settings(ISSUER);
        settings.endpoints = Endpoints {
            authorization: by_hand("authorization"),
            token: by_hand("token"),
            userinfo: by_hand("userinfo"),
            jwks: by_hand("jwks"),
            end_session: by_hand("end_session"),
            pushed_requests: by_hand("pushed_requests"),
            introspection: by_hand("introspection"),
        };
        let metadata = read_for(&settings, |m| {
            m.insert("userinfo_endpoint".into(), json!("https://op.example/userinfo"));
            m.insert("end_session_endpoint".into(), json!("http://op.example/not-even-https"));
            m.remove("token_endpoint"); // Facebook's has none
        })
        .unwrap();
        for (found, member) in [
            (Some(metadata.authorization_endpoint), "authorization"),
            (Some(metadata.token_endpoint), "token"),
            (metadata.userinfo_endpoint, "userinfo"),
            (metadata.jwks_uri, "jwks"),
            (metadata.pushed_requests_endpoint, "pushed_requests"),
            (metadata.introspection_endpoint, "introspection"),
        ] {
            assert_eq!(found, by_hand(member));
        }
        assert_eq!(metadata.end_session, by_hand("end_session").map(EndSession::Standard));
    }

    #[test]
    fn what_is_there_by_hand_is_not_fetched() {
        let endpoint = || Some(url("https://op.example/x"));
        let oauth2 = OAuth2 { subject_claim: "id".into(), appsecret_proof: false, email_endpoint: None };
        let three =
            Endpoints { authorization: endpoint(), token: endpoint(), jwks: endpoint(), ..Endpoints::default() };
        let two = Endpoints { jwks: None, ..three.clone() };
        for (protocol, endpoints, by_hand) in [
            (Protocol::Oidc, Endpoints::default(), false),
            (Protocol::Oidc, two.clone(), false),
            (Protocol::Oidc, three, true),
            (Protocol::OAuth2(oauth2), two, true),
        ] {
            let settings = Settings { protocol, endpoints, ..settings(ISSUER) };
            assert_eq!(is_by_hand(&settings), by_hand, "{:?} {:?}", settings.protocol, settings.endpoints);
        }
    }

    /// T-133.
    #[test]
    fn the_standard_way_out_is_preferred_to_pings_own() {
        let ping = json!("https://op.example/idp/startSLO.ping");
        let metadata = read(|m| drop(m.insert("ping_end_session_endpoint".into(), ping.clone()))).unwrap();
        assert_eq!(metadata.end_session, Some(EndSession::Ping(url("https://op.example/idp/startSLO.ping"))));
        let metadata = read(|m| {
            m.insert("ping_end_session_endpoint".into(), ping);
            m.insert("end_session_endpoint".into(), json!("https://op.example/logout"));
        });
        let standard = EndSession::Standard(url("https://op.example/logout"));
        assert_eq!(metadata.unwrap().end_session, Some(standard));
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
