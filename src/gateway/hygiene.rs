//! Step 1: refuse what HTTP forbids, remove what only we may say.
//!
//! * A request has one host, one target with a meaning, and a method that is forwarded at all.
//! * No identity header of a caller's survives, however it is spelled; neither do `X-Forwarded-*` nor hop-by-hop fields.
//! * `Connection` cannot name away what the request needs: it is read before anything of ours is added, and only fields that are the
//!   caller's to name are dropped.
//!
//! Relies on hyper for message framing (RFC 9112 §6): what arrives here has exactly one length.

use http::{
    HeaderMap, HeaderName, Method, Request, Version,
    header::{self, HeaderValue},
    request,
};
use hyper::{body::Incoming, upgrade::OnUpgrade};

use super::{
    peer::{Forwarded, forwarded},
    reply::Rejection,
    settings::TrustedProxies,
    target,
};
use crate::{origin::Origin, server::Connection, sessions::Whence};

/// A request that HTTP allows, without anything only we may say. Made by [`Hygiene::clean`] alone.
#[derive(Debug)]
pub(super) struct Clean {
    parts: request::Parts,
    body: Incoming,
    host: Box<str>,
    forwarded: Forwarded,
    is_websocket: bool,
}

/// What a request may not bring along, decided once at start.
#[derive(Debug)]
pub(super) struct Hygiene {
    identity: Box<[Box<str>]>,
    /// The [`initial`]s of all of them.
    initials: u64,
    trusted: TrustedProxies,
    proto: HeaderValue,
    header_bytes: usize,
}

/// Headers that applications are known to believe, beside those that are configured: in the form that [`alike`] compares.
const BELIEVED: &[&str] = &[
    "x-user",
    "x-user-id",
    "x-email",
    "x-groups",
    "x-forwarded-user",
    "x-forwarded-email",
    "x-forwarded-groups",
    "x-forwarded-preferred-username",
    "x-forwarded-access-token",
    "x-auth-request-user",
    "x-auth-request-email",
    "x-auth-request-groups",
    "x-auth-request-preferred-username",
    "x-auth-request-access-token",
    "x-remote-user",
    "x-remote-email",
    "x-remote-groups",
    "x-webauth-user",
    "x-webauth-email",
    "x-webauth-name",
    "x-webauth-groups",
    "remote-user",
    "remote-email",
    "remote-groups",
    "remote-name",
    // Ours to set (`peer`), in every spelling.
    "x-forwarded-for",
    "x-forwarded-proto",
    "x-forwarded-host",
    "x-forwarded-port",
    "x-forwarded-prefix",
    "x-real-ip",
    "forwarded",
];

impl Hygiene {
    /// `identity` are the configured headers that only we may send: those that say who it is, and those that say it is us.
    #[must_use]
    pub(super) fn new<'a>(
        identity: impl Iterator<Item = &'a HeaderName>,
        trusted: TrustedProxies,
        origin: &Origin,
        header_bytes: usize,
    ) -> Self {
        let configured = identity.map(|name| canonical(name.as_str()).into());
        let identity: Box<[Box<str>]> = configured.chain(BELIEVED.iter().map(|name| Box::from(*name))).collect();
        // A sign may stand for a `-` at the beginning too.
        let bytes = identity.iter().filter_map(|name| name.bytes().next()).map(|byte| match byte {
            b'-' => u64::MAX,
            byte => initial(byte),
        });
        let initials = bytes.fold(0, |all, one| all | one);
        let proto = HeaderValue::from_static(if origin.is_https() { "https" } else { "http" });
        Self { identity, initials, trusted, proto, header_bytes }
    }

    /// Where `request` comes from.
    pub(super) fn whence(&self, request: &Clean) -> Whence {
        let agent = request.headers().get(header::USER_AGENT).and_then(|agent| agent.to_str().ok()).unwrap_or_default();
        Whence::new(agent, request.forwarded.caller(&self.trusted))
    }

    /// Checks and cleans `request`, which came in `on` this connection.
    ///
    /// # Errors
    /// [`Rejection`]: what HTTP forbids.
    pub(super) fn clean(&self, request: Request<Incoming>, on: &Connection) -> Result<Clean, Rejection> {
        let (mut parts, body) = request.into_parts();
        // TRACE would show a caller the headers we add; CONNECT is for forward proxies (RFC 9110 §9.3.6, §9.3.8).
        if matches!(parts.method, Method::CONNECT | Method::TRACE) {
            return Err(Rejection::MethodNotAllowed);
        }
        let target = parts.uri.path_and_query().map_or(0, |target| target.as_str().len());
        if target > target::MAX_BYTES {
            return Err(Rejection::BadTarget(target::BadTarget::TooLong));
        }
        target::check(parts.uri.path()).map_err(Rejection::BadTarget)?;
        if header_bytes(&parts.headers) + target > self.header_bytes {
            return Err(Rejection::HeadersTooLarge);
        }
        let host = host(&parts)?;
        let is_websocket = wants_websocket(&parts);
        // HTTP/2 names the host in the target only, port included.
        let named = parts.uri.authority().map_or(&*host, |authority| authority.as_str());
        let forwarded = forwarded(&parts.headers, named, on, &self.trusted, &self.proto)?;
        drop_fields(&mut parts.headers, |name| self.is_identity(name));
        Ok(Clean { parts, body, host: forwarded.canonical_host(host), forwarded, is_websocket })
    }

    fn is_identity(&self, name: &HeaderName) -> bool {
        let first = name.as_str().bytes().next().unwrap_or_default();
        self.initials & initial(first) != 0 && self.identity.iter().any(|identity| alike(identity, name.as_str()))
    }
}

/// A bit for a first byte: few headers begin as an identity header does, and the others are told by this alone.
fn initial(byte: u8) -> u64 {
    1 << (byte % 64)
}

impl Clean {
    /// The method.
    #[must_use]
    pub(super) fn method(&self) -> &Method {
        &self.parts.method
    }

    /// The path as it was written.
    #[must_use]
    pub(super) fn path(&self) -> &str {
        self.parts.uri.path()
    }

    /// The headers, cleaned.
    #[must_use]
    pub(super) fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    /// The same, for what only we may say.
    #[must_use]
    pub(super) fn headers_mut(&mut self) -> &mut HeaderMap {
        &mut self.parts.headers
    }

    /// The host asked for: lower case, without port and closing dot.
    #[must_use]
    pub(super) fn host(&self) -> &str {
        &self.host
    }

    /// Whether a WebSocket is asked for (RFC 6455 §4.1); no other upgrade is passed on.
    #[must_use]
    pub(super) fn wants_websocket(&self) -> bool {
        self.is_websocket
    }

    /// The caller's connection once it has been told 101, when a WebSocket is asked for. Can be taken once.
    #[must_use]
    pub(super) fn upgrade(&mut self) -> Option<OnUpgrade> {
        self.parts.extensions.remove::<OnUpgrade>().filter(|_| self.is_websocket)
    }

    /// Everything, to send it on.
    pub(super) fn into_parts(self) -> (request::Parts, Incoming, Forwarded) {
        (self.parts, self.body, self.forwarded)
    }
}

/// Whether an upstream may take `name` for `identity` (which is [`canonical`]): CGI and WSGI make `_` of `-`, some servers of any
/// other sign, and none looks at the case.
fn alike(identity: &str, name: &str) -> bool {
    identity.len() == name.len()
        && identity.bytes().zip(name.bytes()).all(|(ours, theirs)| {
            ours == theirs.to_ascii_lowercase() || (ours == b'-' && !theirs.is_ascii_alphanumeric())
        })
}

/// Lower case, every sign a `-`.
fn canonical(name: &str) -> String {
    let one = |c: char| if c.is_ascii_alphanumeric() { c.to_ascii_lowercase() } else { '-' };
    name.chars().map(one).collect()
}

/// Takes the fields of one hop out of a message, and those that `also` names. One look at each name, as this is on the way of every request.
pub(super) fn drop_fields(headers: &mut HeaderMap, also: impl Fn(&HeaderName) -> bool) {
    let named = named_by_connection(headers);
    let goes = |name: &&HeaderName| is_hop_by_hop(name.as_str()) || also(name) || named.contains(name);
    let gone: Vec<HeaderName> = headers.keys().filter(goes).cloned().collect();
    for name in gone {
        headers.remove(name);
    }
}

/// Fields of one hop (RFC 9110 §7.6.1). What a WebSocket needs of them is set anew.
fn is_hop_by_hop(name: &str) -> bool {
    matches!(
        name,
        "connection"
            | "upgrade"
            | "te"
            | "trailer"
            | "transfer-encoding"
            | "proxy-authorization"
            | "proxy-connection"
            | "keep-alive"
            | "http2-settings"
    )
}

/// The fields of one hop that a message names itself (RFC 9110 §7.6.1), without those that are not a peer's to name.
fn named_by_connection(headers: &HeaderMap) -> Vec<HeaderName> {
    headers
        .get_all(header::CONNECTION)
        .iter()
        .flat_map(|value| value.as_bytes().split(|&b| b == b','))
        .map(<[u8]>::trim_ascii)
        // What nearly every message says, and no header's name.
        .filter(|name| !name.eq_ignore_ascii_case(b"keep-alive") && !name.eq_ignore_ascii_case(b"close"))
        .filter_map(|name| HeaderName::from_bytes(name).ok())
        .filter(is_callers_to_name)
        .collect()
}

/// What `Connection` may not take away: the request's meaning, its framing and its cookies stay.
fn is_callers_to_name(name: &HeaderName) -> bool {
    ![
        header::HOST,
        header::COOKIE,
        header::CONTENT_LENGTH,
        header::CONTENT_TYPE,
        header::CONTENT_ENCODING,
        header::AUTHORIZATION,
        header::ORIGIN,
        header::RANGE,
    ]
    .contains(name)
}

/// Bytes of the header section as HTTP/1.1 writes it.
fn header_bytes(headers: &HeaderMap) -> usize {
    headers.iter().map(|(name, value)| name.as_str().len() + value.len() + 4).sum()
}

/// The one host a request names (RFC 9112 §3.2, RFC 9113 §8.3.1): lower case, without port and closing dot.
fn host(parts: &request::Parts) -> Result<Box<str>, Rejection> {
    let mut lines = parts.headers.get_all(header::HOST).iter();
    let line = lines.next();
    if lines.next().is_some() {
        return Err(Rejection::BadHost("more than one Host"));
    }
    let line = line.map(|host| host.to_str().ok().and_then(canonical_host).ok_or(Rejection::BadHost("no valid Host")));
    let line = line.transpose()?;
    let target = parts.uri.authority();
    let target =
        target.map(|host| canonical_host(host.as_str()).ok_or(Rejection::BadHost("no valid host in the target")));
    let target = target.transpose()?;
    match (target, line) {
        (Some(target), Some(line)) if target != line => Err(Rejection::BadHost("Host and target name different hosts")),
        (Some(host), _) => Ok(host),
        (None, Some(host)) => Ok(host),
        (None, None) => Err(Rejection::BadHost("no Host")),
    }
}

/// `host[:port]`: `None` for anything else, such as credentials.
pub(super) fn canonical_host(text: &str) -> Option<Box<str>> {
    let (host, port) = match text.strip_prefix('[') {
        Some(v6) => {
            let (v6, port) = v6.split_once(']')?;
            v6.parse::<std::net::Ipv6Addr>().ok()?;
            (text.get(..v6.len() + 2)?, port)
        }
        None => {
            let at = text.find(':').unwrap_or(text.len());
            let (host, port) = text.split_at_checked(at)?;
            let plain = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'.' | b'_');
            (host.bytes().all(plain).then_some(host)?, port)
        }
    };
    if !port.is_empty() {
        port.strip_prefix(':').filter(|p| p.bytes().all(|b| b.is_ascii_digit()))?.parse::<u16>().ok()?;
    }
    let host = host.strip_suffix('.').unwrap_or(host);
    (!host.is_empty() && host.len() <= 253).then(|| host.to_ascii_lowercase().into())
}

/// RFC 6455 §4.1: GET, HTTP/1.1, `Connection` naming `upgrade`, `Upgrade` naming `websocket` and nothing else.
fn wants_websocket(parts: &request::Parts) -> bool {
    let mut upgrade = parts.headers.get_all(header::UPGRADE).iter();
    // Nearly always there is none, and nothing else needs to be looked at.
    let (Some(protocol), None) = (upgrade.next(), upgrade.next()) else { return false };
    let names_upgrade = parts.headers.get_all(header::CONNECTION).iter().any(|value| {
        value.as_bytes().split(|&b| b == b',').any(|token| token.trim_ascii().eq_ignore_ascii_case(b"upgrade"))
    });
    let has_body = parts.headers.contains_key(header::TRANSFER_ENCODING)
        || parts.headers.get(header::CONTENT_LENGTH).is_some_and(|length| length != "0");
    protocol.as_bytes().eq_ignore_ascii_case(b"websocket")
        && parts.version == Version::HTTP_11
        && parts.method == Method::GET
        && names_upgrade
        && !has_body
}

#[cfg(test)]
mod tests {
    use super::*;

    /// T-002.
    #[test]
    fn every_spelling_an_upstream_may_take_for_the_header_is_alike() {
        for (name, is) in [
            ("x-user", true),
            ("X-USER", true),
            ("X_User", true),
            ("x.user", true),
            ("x+user", true),
            ("x-users", false),
            ("xuser", false),
            ("y-user", false),
        ] {
            assert_eq!(alike("x-user", name), is, "{name}");
        }
        assert_eq!(canonical("X_Remote.User"), "x-remote-user");
    }

    /// T-028, T-040.
    #[test]
    fn a_host_has_one_spelling() {
        for (text, host) in [
            ("APP.example.com", Some("app.example.com")),
            ("app.example.com.", Some("app.example.com")),
            ("app.example.com:443", Some("app.example.com")),
            ("app.example.com:", None),
            ("127.0.0.1:4180", Some("127.0.0.1")),
            ("[::1]:80", Some("[::1]")),
            ("[::1", None),
            ("[evil]", None),
            ("app@evil", None),
            ("app:99999", None),
            ("app:80:80", None),
            ("app:+80", None),
            ("a b", None),
            ("a/b", None),
            ("", None),
            (".", None),
        ] {
            assert_eq!(canonical_host(text).as_deref(), host, "{text:?}");
        }
    }
}
