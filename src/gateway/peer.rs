//! Step 1, continued: who is at the other end, and which proxies may speak for others.
//!
//! `X-Forwarded-For`, `-Proto` and `-Host` are ours to set. What a caller sends of them counts only when the peer is a trusted proxy;
//! from everybody else it is dropped, together with `Forwarded` (RFC 7239) and `X-Real-IP`.

use std::net::IpAddr;

use http::{HeaderMap, HeaderName, HeaderValue};

use super::{hygiene::canonical_host, reply::Rejection, settings::TrustedProxies};
use crate::server::{Connection, Peer};

/// For whom a request was forwarded.
pub(super) const X_FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
/// By which scheme the caller came.
pub(super) const X_FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
/// Which host the caller asked for.
pub(super) const X_FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// What the upstream is told about the way a request took.
#[derive(Debug)]
pub(super) struct Forwarded {
    /// `X-Forwarded-For`; absent behind a unix socket whose peer says nothing.
    pub(super) chain: Option<HeaderValue>,
    /// `X-Forwarded-Proto`.
    pub(super) proto: HeaderValue,
    /// `X-Forwarded-Host`.
    pub(super) host: HeaderValue,
    /// What a trusted proxy says the host was, as rules compare it.
    asked: Option<Box<str>>,
}

impl Forwarded {
    pub(super) fn canonical_host(&self, named: Box<str>) -> Box<str> {
        self.asked.clone().unwrap_or(named)
    }

    /// Who began the chain, as far as that can be believed: the last hop that is no trusted proxy, or the first of all.
    pub(super) fn caller(&self, trusted: &TrustedProxies) -> Option<IpAddr> {
        let chain = self.chain.as_ref()?.to_str().ok()?;
        let mut caller = None;
        for hop in chain.rsplit(',') {
            let Ok(address) = hop.trim().parse() else { break };
            caller = Some(address);
            if !trusted.nets.iter().any(|net| net.contains(&address)) {
                break;
            }
        }
        caller
    }

    /// Writes the three headers.
    pub(super) fn apply(self, headers: &mut HeaderMap) {
        if let Some(chain) = self.chain {
            headers.insert(X_FORWARDED_FOR, chain);
        }
        headers.insert(X_FORWARDED_PROTO, self.proto);
        headers.insert(X_FORWARDED_HOST, self.host);
    }
}

impl TrustedProxies {
    fn contain(&self, peer: Peer) -> bool {
        match peer.ip() {
            Some(ip) => self.nets.iter().any(|net| net.contains(&ip)),
            None => self.unix,
        }
    }
}

/// `host` is what stands for `Host` where there is none; `proto` is the scheme of our public origin: what a caller without a proxy in front must have used.
pub(super) fn forwarded(
    headers: &HeaderMap,
    host: &str,
    on: &Connection,
    trusted: &TrustedProxies,
    proto: &HeaderValue,
) -> Result<Forwarded, Rejection> {
    let as_received = || headers.get(http::header::HOST).cloned().or_else(|| HeaderValue::from_str(host).ok());
    let bad_host = Rejection::BadHost("no valid Host");
    if !trusted.contain(on.peer) {
        return Ok(Forwarded {
            chain: on.peer_ip.clone(),
            proto: proto.clone(),
            host: as_received().ok_or(bad_host)?,
            asked: None,
        });
    }
    // Lines of one field are one list (RFC 9110 §5.3); ours is appended at its end.
    let mut chain: Vec<u8> = Vec::new();
    let lines = headers.get_all(X_FORWARDED_FOR).iter().map(HeaderValue::as_bytes);
    for hop in lines.chain(on.peer_ip.as_ref().map(HeaderValue::as_bytes)).filter(|hop| !hop.trim_ascii().is_empty()) {
        if !chain.is_empty() {
            chain.extend_from_slice(b", ");
        }
        chain.extend_from_slice(hop.trim_ascii());
    }
    let said_proto = headers.get(X_FORWARDED_PROTO).filter(|said| matches!(said.as_bytes(), b"http" | b"https"));
    let said_host = headers.get(X_FORWARDED_HOST);
    let asked = said_host.map(|said| said.to_str().ok().and_then(canonical_host)).map(|asked| asked.ok_or(bad_host));
    Ok(Forwarded {
        chain: HeaderValue::try_from(chain).ok().filter(|chain| !chain.is_empty()),
        proto: said_proto.unwrap_or(proto).clone(),
        host: said_host.cloned().or_else(as_received).ok_or(Rejection::BadHost("no valid Host"))?,
        asked: asked.transpose()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(trusted: &str, peer: &str, sent: &[(&'static str, &'static str)]) -> (String, String, String) {
        let mut headers = HeaderMap::new();
        headers.insert("host", HeaderValue::from_static("app.example.com"));
        for (name, value) in sent {
            headers.append(*name, HeaderValue::from_static(value));
        }
        let trusted = TrustedProxies { nets: vec![trusted.parse().unwrap()], unix: false };
        let on = Connection {
            peer: Peer::Tcp(format!("{peer}:1000").parse().unwrap()),
            client_certificate: None,
            peer_ip: Some(peer.parse().unwrap()),
            cut: tokio_util::sync::CancellationToken::new(),
        };
        let proto = HeaderValue::from_static("https");
        let told = forwarded(&headers, "app.example.com", &on, &trusted, &proto).unwrap();
        let text = |value: &HeaderValue| value.to_str().unwrap().to_owned();
        (text(&told.chain.unwrap()), text(&told.proto), text(&told.host))
    }

    #[test]
    fn a_stranger_speaks_only_for_itself() {
        let sent = [("x-forwarded-for", "1.1.1.1"), ("x-forwarded-proto", "http"), ("x-forwarded-host", "evil")];
        let (chain, proto, host) = told("10.0.0.0/8", "192.0.2.7", &sent);
        assert_eq!((&*chain, &*proto, &*host), ("192.0.2.7", "https", "app.example.com"));
    }

    #[test]
    fn a_trusted_proxy_is_believed_and_appended() {
        let sent = [
            ("x-forwarded-for", "1.1.1.1"),
            ("x-forwarded-for", "2.2.2.2"),
            ("x-forwarded-proto", "http"),
            ("x-forwarded-host", "www"),
        ];
        let (chain, proto, host) = told("10.0.0.0/8", "10.1.2.3", &sent);
        assert_eq!((&*chain, &*proto, &*host), ("1.1.1.1, 2.2.2.2, 10.1.2.3", "http", "www"));
        let (_, proto, _) = told("10.0.0.0/8", "10.1.2.3", &[("x-forwarded-proto", "javascript")]);
        assert_eq!(proto, "https");
    }
}
