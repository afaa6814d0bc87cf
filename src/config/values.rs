//! What single values mean to the parts: an address to listen at, an origin, a path prefix, a scope.
//!
//! Only what one value shows by itself is decided here; what depends on another key is `resolve`'s.

use std::net::IpAddr;

use figment::value::Value;
use http::HeaderName;
use ipnet::IpNet;
use jsonwebtoken::Algorithm;
use serde_json::json;
use url::{Host, Url};

use super::leaf::{Leaf, any_text, one_of, one_of_schema, shown, text};
use crate::{
    gateway::settings::PathPrefix,
    identity::UserId,
    origin::Origin,
    providers::{ClientAuth, UserinfoMode},
    server::Listen,
    telemetry::Format,
};

impl Leaf for Listen {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        listen(text).ok_or_else(|| {
            format!(
                "is {}; `host:port`, `unix:/path` or `systemd` is expected (all addresses: `0.0.0.0:4180`)",
                shown(text)
            )
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["0.0.0.0:4180", "[::]:4180", "unix:/run/doorward.sock", "systemd"] })
    }
}

fn listen(text: &str) -> Option<Listen> {
    // sun_path holds 108 bytes with its closing NUL (unix(7)).
    const LONGEST_SOCKET_PATH: usize = 107;
    if text == "systemd" {
        return Some(Listen::Systemd);
    }
    if let Some(path) = text.strip_prefix("unix:") {
        return (path.starts_with('/') && path.len() <= LONGEST_SOCKET_PATH).then(|| Listen::Unix(path.into()));
    }
    let (host, port) = text.rsplit_once(':')?;
    let is_port = port.bytes().all(|b| b.is_ascii_digit()) && port.parse::<u16>().is_ok();
    (is_port && Host::parse(host).is_ok()).then(|| Listen::Tcp(text.to_owned()))
}

/// `admin.listen`: an empty text is no listener.
pub(super) struct AdminListen(pub(super) Option<Listen>);

impl Leaf for AdminListen {
    fn parse(value: &Value) -> Result<Self, String> {
        if any_text(value)?.is_empty() { Ok(Self(None)) } else { Listen::parse(value).map(|listen| Self(Some(listen))) }
    }

    fn schema() -> serde_json::Value {
        Listen::schema()
    }
}

impl Leaf for Origin {
    fn parse(value: &Value) -> Result<Self, String> {
        // The value is not repeated: it may hold credentials by mistake.
        Self::parse(text(value)?).map_err(|wrong| format!("cannot be used: {wrong}"))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "format": "uri", "examples": ["https://app.example.com"] })
    }
}

/// The origin of an application.
pub(super) struct Upstream(pub(super) Url);

impl Leaf for Upstream {
    fn parse(value: &Value) -> Result<Self, String> {
        let url = http_url(text(value)?, "http://127.0.0.1:8080")?;
        if url.path() != "/" || url.query().is_some() || url.fragment().is_some() {
            return Err("has more than scheme, host and port; requests keep their own path".to_owned());
        }
        Ok(Self(url))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "format": "uri", "examples": ["http://127.0.0.1:8080"] })
    }
}

/// A URL at a provider, as it was written (issuers are compared byte for byte) and as it is understood.
pub(super) struct ProviderUrl {
    pub(super) text: String,
    pub(super) url: Url,
}

impl Leaf for ProviderUrl {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let url = http_url(text, "https://login.example.com")?;
        if url.fragment().is_some() {
            return Err("has a fragment (`#`)".to_owned());
        }
        Ok(Self { text: text.to_owned(), url })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "format": "uri", "examples": ["https://login.example.com"] })
    }
}

/// An issuer identifier: no query either (OpenID Connect Discovery §3).
pub(super) struct Issuer(pub(super) ProviderUrl);

impl Leaf for Issuer {
    fn parse(value: &Value) -> Result<Self, String> {
        let issuer = ProviderUrl::parse(value)?;
        if issuer.url.query().is_some() {
            return Err("has a query (`?`), which an issuer cannot have".to_owned());
        }
        Ok(Self(issuer))
    }

    fn schema() -> serde_json::Value {
        ProviderUrl::schema()
    }
}

/// An absolute http or https URL without credentials. No message repeats it: it may hold some by mistake.
fn http_url(text: &str, example: &str) -> Result<Url, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a URL such as `{example}` ({error})"))?;
    if !matches!(url.scheme(), "http" | "https") || url.host().is_none() {
        return Err(format!("is not an http or https URL such as `{example}`"));
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err("holds credentials (`user@`)".to_owned());
    }
    Ok(url)
}

impl Leaf for PathPrefix {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        Self::parse(text).ok_or_else(|| {
            let why = if !text.starts_with('/') {
                "it must begin with `/`"
            } else if text.contains('%') {
                "write it decoded: requests are decoded before they are compared"
            } else if text.contains("//") {
                "a segment is empty (`//`)"
            } else if text.contains(['?', '#', ';', '\\', '*']) {
                "only a plain path is compared, without `?`, `#`, `;`, `\\`"
            } else if text.split('/').any(|segment| matches!(segment, "." | "..")) {
                "`.` and `..` cannot be segments"
            } else {
                "only printable ASCII without spaces can stand in it"
            };
            format!("is {}, which is no path prefix such as `/app`: {why}", shown(text))
        })
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^/", "examples": ["/", "/app"] })
    }
}

/// The host of a route: lower case, without port or closing dot.
pub(super) struct RouteHost(pub(super) Box<str>);

impl Leaf for RouteHost {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        let host = Host::parse(text.strip_suffix('.').unwrap_or(text)).ok().filter(|_| !text.contains('*'));
        let wrong =
            || format!("is {}; a host such as `app.example.com` is expected, without scheme, port or `*`", shown(text));
        host.map(|host| Self(host.to_string().into())).ok_or_else(wrong)
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["app.example.com"] })
    }
}

/// Whom `trusted_proxies` names.
pub(super) enum TrustedPeer {
    /// Whoever connects from there.
    Net(IpNet),
    /// Whoever connects through our unix socket.
    Unix,
}

impl Leaf for TrustedPeer {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        if text == "unix" {
            return Ok(Self::Unix);
        }
        let net: Option<IpNet> =
            text.parse().ok().or_else(|| text.parse().map(|address: IpAddr| IpNet::from(address)).ok());
        let net = net.ok_or_else(|| {
            format!("is {}; an address, a range such as `10.0.0.0/8`, or `unix` is expected", shown(text))
        })?;
        // 10.0.0.1/8 is a mistake in one of its halves, and guessing which would trust the wrong peers.
        if net.addr() != net.network() {
            return Err(format!("is {}; that range begins at `{}`", shown(text), net.trunc()));
        }
        Ok(Self::Net(net))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "examples": ["10.0.0.0/8", "unix"] })
    }
}

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

const CLIENT_AUTH: [(&str, ClientAuth); 2] =
    [("client_secret_basic", ClientAuth::Basic), ("client_secret_post", ClientAuth::Post)];

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

const LOG_FORMATS: [(&str, Format); 2] = [("text", Format::Text), ("json", Format::Json)];

impl Leaf for Format {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &LOG_FORMATS)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&LOG_FORMATS)
    }
}

/// Where sessions live. The sealed cookie needs no store; others come with what needs them.
#[derive(Clone, Copy)]
pub(super) enum Store {
    /// This process.
    Memory,
}

const STORES: [(&str, Store); 1] = [("memory", Store::Memory)];

impl Leaf for Store {
    fn parse(value: &Value) -> Result<Self, String> {
        one_of(value, &STORES)
    }

    fn schema() -> serde_json::Value {
        one_of_schema(&STORES)
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
    fn a_place_to_listen_is_whole() {
        for (text, answer) in [
            ("127.0.0.1:4180", Some(Listen::Tcp("127.0.0.1:4180".to_owned()))),
            ("[::]:4180", Some(Listen::Tcp("[::]:4180".to_owned()))),
            ("localhost:0", Some(Listen::Tcp("localhost:0".to_owned()))),
            ("unix:/run/d.sock", Some(Listen::Unix("/run/d.sock".into()))),
            ("systemd", Some(Listen::Systemd)),
            (":4180", None),
            ("4180", None),
            ("127.0.0.1", None),
            ("127.0.0.1:65536", None),
            ("127.0.0.1:+80", None),
            ("127.0.0.1:", None),
            ("::1:4180", None),
            ("http://127.0.0.1:4180", None),
            ("unix:run/d.sock", None),
            ("unix:", None),
        ] {
            assert_eq!(Listen::parse(&text.into()).ok(), answer, "{text}");
        }
    }

    #[test]
    fn an_upstream_is_an_origin() {
        for (text, ok) in [
            ("http://127.0.0.1:8080", true),
            ("https://app.internal/", true),
            ("http://[::1]:8080", true),
            ("127.0.0.1:8080", false),
            ("localhost:8080", false),
            ("ftp://app", false),
            ("unix:/run/app.sock", false),
            ("http://app/base", false),
            ("http://app?x", false),
            ("http://app#x", false),
            ("http://user:pass@app", false),
            ("http://user@app", false),
        ] {
            assert_eq!(Upstream::parse(&text.into()).is_ok(), ok, "{text}");
        }
    }

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
    fn a_trusted_range_begins_where_it_says() {
        for (text, ok) in [
            ("10.0.0.0/8", true),
            ("10.0.0.1", true),
            ("::1", true),
            ("fd00::/8", true),
            ("unix", true),
            ("10.0.0.1/8", false),
            ("fd00::1/8", false),
            ("10.0.0.0/33", false),
            ("10.0.0", false),
            ("proxy.internal", false),
        ] {
            assert_eq!(TrustedPeer::parse(&text.into()).is_ok(), ok, "{text}");
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
