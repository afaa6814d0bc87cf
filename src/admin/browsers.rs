//! Keeps pages away that an administrator's browser has open: a page anywhere can send requests to loopback, and one whose name has been made to
//! point there (DNS rebinding) can read the answers.
//!
//! * A browser says by `Host` which name it believes to ask. Addresses and `localhost` are names that nobody can point elsewhere.
//! * It says by `Sec-Fetch-Site` or `Origin` that a page asks. What an administrator types is a navigation of nobody's.
//!
//! Programs send none of these, and are let in.

use std::net::{Ipv4Addr, Ipv6Addr};

use http::{HeaderMap, Uri, header, uri::Authority};

use crate::server::Peer;

/// Why a request may be a page's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum FromAPage {
    /// A host that is neither.
    #[error("the host has to be an IP address or `localhost`")]
    Host,
    /// Another site's, or one of ours; there are none.
    #[error("pages may not ask here")]
    Page,
}

/// Whether a page may have sent this.
pub(super) fn check(uri: &Uri, headers: &HeaderMap, peer: Peer) -> Result<(), FromAPage> {
    let is_own_wish = headers.get_all("sec-fetch-site").iter().all(|site| site == "none");
    if !is_own_wish || headers.contains_key(header::ORIGIN) {
        return Err(FromAPage::Page);
    }
    match peer {
        // No browser speaks to one.
        Peer::Unix => Ok(()),
        Peer::Tcp(_) => names_an_address(uri, headers).then_some(()).ok_or(FromAPage::Host),
    }
}

/// Whether the host, in the target and in the one `Host`, is an address or `localhost`.
fn names_an_address(uri: &Uri, headers: &HeaderMap) -> bool {
    let mut hosts = headers.get_all(header::HOST).iter();
    let host = hosts.next().map(|host| host.to_str().ok().and_then(|host| host.parse::<Authority>().ok()));
    let of_target = uri.authority();
    let all_good = match host {
        Some(host) => host.as_ref().is_some_and(is_address) && of_target.is_none_or(is_address),
        // HTTP/2 has it in the target.
        None => of_target.is_some_and(is_address),
    };
    all_good && hosts.next().is_none()
}

fn is_address(authority: &Authority) -> bool {
    let host = authority.host();
    let v6 = host.strip_prefix('[').and_then(|host| host.strip_suffix(']'));
    !authority.as_str().contains('@')
        && (host.eq_ignore_ascii_case("localhost")
            || host.parse::<Ipv4Addr>().is_ok()
            || v6.is_some_and(|host| host.parse::<Ipv6Addr>().is_ok()))
}

#[cfg(test)]
mod tests {
    use http::HeaderValue;

    use super::*;

    #[test]
    fn a_page_is_kept_away_and_a_program_is_not() {
        use FromAPage as E;
        let tcp = Peer::Tcp(([127, 0, 0, 1], 50_000).into());
        for (peer, target, headers, answer) in [
            (tcp, "/sessions", &[][..], Err(E::Host)),
            (tcp, "/sessions", &[("host", "")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "evil.example")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "evil.example:4181")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "localhost.evil.example")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "127.0.0.1.evil.example")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "127.0.0.1@evil.example")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "evil.example@127.0.0.1")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "2130706433")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "127.1")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "localhost"), ("host", "evil.example")], Err(E::Host)),
            (tcp, "/sessions", &[("host", "localhost"), ("host", "localhost")], Err(E::Host)),
            (tcp, "http://evil.example/sessions", &[("host", "localhost")], Err(E::Host)),
            (tcp, "http://localhost/sessions", &[("host", "evil.example")], Err(E::Host)),
            (tcp, "http://evil.example/sessions", &[], Err(E::Host)),
            (tcp, "/sessions", &[("host", "localhost"), ("sec-fetch-site", "cross-site")], Err(E::Page)),
            (tcp, "/sessions", &[("host", "localhost"), ("sec-fetch-site", "same-site")], Err(E::Page)),
            (tcp, "/sessions", &[("host", "localhost"), ("sec-fetch-site", "same-origin")], Err(E::Page)),
            (tcp, "/sessions", &[("host", "localhost"), ("sec-fetch-site", "")], Err(E::Page)),
            (
                tcp,
                "/sessions",
                &[("host", "localhost"), ("sec-fetch-site", "none"), ("sec-fetch-site", "cross-site")],
                Err(E::Page),
            ),
            (tcp, "/sessions", &[("host", "localhost"), ("origin", "http://localhost:4181")], Err(E::Page)),
            (tcp, "/sessions", &[("host", "localhost"), ("origin", "null")], Err(E::Page)),
            (Peer::Unix, "/sessions", &[("host", "doorward"), ("origin", "https://evil.example")], Err(E::Page)),
            (tcp, "/sessions", &[("host", "localhost")], Ok(())),
            (tcp, "/sessions", &[("host", "LocalHost:4181"), ("sec-fetch-site", "none")], Ok(())),
            (tcp, "/sessions", &[("host", "127.0.0.1:4181")], Ok(())),
            (tcp, "/sessions", &[("host", "10.0.0.7:4181")], Ok(())),
            (tcp, "/sessions", &[("host", "[::1]:4181")], Ok(())),
            (tcp, "http://127.0.0.1:4181/sessions", &[], Ok(())),
            (Peer::Unix, "/sessions", &[("host", "doorward")], Ok(())),
            (Peer::Unix, "/sessions", &[], Ok(())),
        ] {
            let mut map = HeaderMap::new();
            for (name, value) in headers {
                map.append(*name, HeaderValue::from_static(value));
            }
            assert_eq!(check(&target.parse().unwrap(), &map, peer), answer, "{peer:?} {target} {headers:?}");
        }
    }
}
