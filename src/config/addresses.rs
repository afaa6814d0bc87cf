//! Where things are: places to listen at, origins, path prefixes, hosts, ranges of peers.
//!
//! Only what one value shows by itself is decided here; what depends on another key is `resolve`'s.

use std::net::IpAddr;

use figment::value::Value;
use ipnet::IpNet;
use serde_json::json;
use url::{Host, Url};

use super::leaf::{Leaf, any_text, shown, text};
use crate::{gateway::settings::PathPrefix, origin::Origin, server::Listen};

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
}
