//! Where the store is: `session.store`. A URL may hold a password, so no message repeats any of it.

use figment::value::Value;
use percent_encoding::percent_decode_str;
use serde_json::json;
use url::Host;

use super::leaf::{Leaf, shown, text};
use crate::{secret::Secret, sessions::store::Location};

const EXPECTED: &str = "`memory`, `redis://HOST:PORT/DATABASE`, `redis+sentinel://HOST:PORT,HOST:PORT/PRIMARY` or \
                        `redis+cluster://HOST:PORT,HOST:PORT` is expected; with TLS, `rediss` in place of `redis`";

/// Where the store is.
pub(super) enum Store {
    /// In this process.
    Memory,
    /// In Redis.
    Redis(RedisUrl),
}

/// What a URL says about Redis.
pub(super) struct RedisUrl {
    pub(super) location: Location,
    pub(super) has_tls: bool,
    pub(super) username: Option<Box<str>>,
    pub(super) password: Option<Secret<String>>,
    /// Those of its hosts that are not this machine.
    pub(super) far_hosts: Vec<String>,
}

#[derive(Clone, Copy)]
enum Kind {
    Standalone,
    Sentinel,
    Cluster,
}

const SCHEMES: [(&str, Kind, bool); 6] = [
    ("redis", Kind::Standalone, false),
    ("rediss", Kind::Standalone, true),
    ("redis+sentinel", Kind::Sentinel, false),
    ("rediss+sentinel", Kind::Sentinel, true),
    ("redis+cluster", Kind::Cluster, false),
    ("rediss+cluster", Kind::Cluster, true),
];

impl Leaf for Store {
    fn parse(value: &Value) -> Result<Self, String> {
        let text = text(value)?;
        if text == "memory" {
            return Ok(Self::Memory);
        }
        let (scheme, rest) = text.split_once("://").ok_or_else(|| format!("is no store; {EXPECTED}"))?;
        let known = SCHEMES.iter().find(|(known, ..)| *known == scheme);
        let (_, kind, has_tls) = known.ok_or_else(|| format!("has an unknown scheme; {EXPECTED}"))?;
        url(rest, *kind, *has_tls).map(Self::Redis)
    }

    fn schema() -> serde_json::Value {
        json!({
            "type": "string",
            "minLength": 1,
            "examples": ["memory", "rediss://redis.internal:6379", "rediss+sentinel://a:26379,b:26379,c:26379/main"]
        })
    }
}

/// What stands behind `scheme://`.
fn url(rest: &str, kind: Kind, has_tls: bool) -> Result<RedisUrl, String> {
    if rest.contains(['?', '#']) {
        return Err("has a query or a fragment (`?`, `#`); in a password they are written `%3F` and `%23`".to_owned());
    }
    let (authority, path) = rest.split_once('/').unwrap_or((rest, ""));
    if path.contains('@') {
        return Err("has a `/` before its `@`; in a password it is written `%2F`".to_owned());
    }
    let (credentials, hosts) = match authority.rsplit_once('@') {
        Some((credentials, hosts)) => (Some(credentials), hosts),
        None => (None, authority),
    };
    let (username, password) = credentials.map_or(Ok((None, None)), user_and_password)?;
    let usual_port = if matches!(kind, Kind::Sentinel) { 26_379 } else { 6_379 };
    let hosts: Vec<_> = hosts.split(',').map(|host| address(host, usual_port)).collect::<Result<_, _>>()?;
    let addresses = || hosts.iter().map(|(host, port)| format!("{host}:{port}").into()).collect();
    let location = match (kind, hosts.as_slice()) {
        (Kind::Standalone, [(host, port)]) => {
            Location::Standalone { address: format!("{host}:{port}").into(), database: database(path)? }
        }
        (Kind::Standalone, _) => {
            return Err("has several hosts; `redis+sentinel` or `redis+cluster` is for those".to_owned());
        }
        (Kind::Sentinel, _) => {
            let (primary, path) = path.split_once('/').unwrap_or((path, ""));
            let is_name = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_');
            if primary.is_empty() {
                return Err("does not name the primary that the sentinels watch (`…/PRIMARY`)".to_owned());
            }
            if !primary.bytes().all(is_name) {
                return Err("names a primary with other signs than letters, digits, `.`, `-` and `_`".to_owned());
            }
            Location::Sentinel { sentinels: addresses(), primary: primary.into(), database: database(path)? }
        }
        (Kind::Cluster, _) if !path.is_empty() => {
            return Err("has a path; a cluster has no databases".to_owned());
        }
        (Kind::Cluster, _) => Location::Cluster { nodes: addresses() },
    };
    let far = hosts.iter().map(|(host, _)| host).filter(|host| !is_loopback(host));
    Ok(RedisUrl { location, has_tls, username, password, far_hosts: far.map(ToString::to_string).collect() })
}

type Credentials = (Option<Box<str>>, Option<Secret<String>>);

/// `user:password`, `:password` or `user`.
fn user_and_password(credentials: &str) -> Result<Credentials, String> {
    let decoded = |text: &str| match percent_decode_str(text).decode_utf8() {
        // A sign that stands alone would be taken for itself, and another password be sent than was meant.
        Ok(decoded) if is_encoded(text) => Ok(decoded.into_owned()),
        Ok(_) | Err(_) => {
            Err("holds a user or password that is not percent-encoded UTF-8 (`%` is written `%25`)".to_owned())
        }
    };
    let (username, password) = match credentials.split_once(':') {
        Some((_, "")) => return Err("holds an empty password".to_owned()),
        Some((username, password)) => (username, Some(Secret::new(decoded(password)?))),
        None if credentials.is_empty() => return Err("holds an empty user".to_owned()),
        None => (credentials, None),
    };
    let username = if username.is_empty() { None } else { Some(decoded(username)?.into()) };
    Ok((username, password))
}

/// Whether every `%` has two digits behind it.
fn is_encoded(text: &str) -> bool {
    text.split('%').skip(1).all(|rest| rest.bytes().take(2).filter(u8::is_ascii_hexdigit).count() == 2)
}

fn address(text: &str, usual_port: u16) -> Result<(Host, u16), String> {
    if text.is_empty() {
        return Err("names no host".to_owned());
    }
    let (host, port) = match text.rsplit_once(':') {
        Some((host, port)) if !port.ends_with(']') => (host, Some(port)),
        Some(_) | None => (text, None),
    };
    // An address in brackets may end in a group of digits; one without is not whole.
    let is_plain = host.starts_with('[') || !host.contains(':');
    let host = Host::parse(host).ok().filter(|_| is_plain && !host.contains('%'));
    let host = host.ok_or("names a host that is none; IPv6 stands in brackets: `[::1]:6379`")?;
    let number = |port: &str| port.bytes().all(|b| b.is_ascii_digit()).then(|| port.parse().ok()).flatten();
    let port = port.map_or(Some(usual_port), number).filter(|port| *port > 0);
    Ok((host, port.ok_or("names a port that is none")?))
}

fn database(path: &str) -> Result<u16, String> {
    let is_number = path.bytes().all(|b| b.is_ascii_digit());
    match path {
        "" => Ok(0),
        number => number.parse().ok().filter(|_| is_number).ok_or("has a database that is not a number".to_owned()),
    }
}

fn is_loopback(host: &Host) -> bool {
    match host {
        Host::Domain(name) => name == "localhost",
        Host::Ipv4(address) => address.is_loopback(),
        Host::Ipv6(address) => address.is_loopback(),
    }
}

/// What every key of ours begins with in Redis.
pub(super) struct Prefix(pub(super) Box<str>);

impl Leaf for Prefix {
    fn parse(value: &Value) -> Result<Self, String> {
        const LONGEST: usize = 64;
        let text = text(value)?;
        // Braces would put all keys on one node of a cluster; `*`, `?` and `[` mean something in a user's rights.
        let is_ok = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'.' | b'-' | b'_' | b':' | b'/');
        if text.len() > LONGEST || !text.bytes().all(is_ok) {
            return Err(format!("is {}; at most {LONGEST} letters, digits and `.-_:/` are expected", shown(text)));
        }
        Ok(Self(text.into()))
    }

    fn schema() -> serde_json::Value {
        json!({ "type": "string", "pattern": "^[A-Za-z0-9._:/-]{1,64}$" })
    }
}

/// `text` without the password of a URL in it.
pub(super) fn without_password(text: &str, mask: &str) -> String {
    let masked = || {
        let (scheme, rest) = text.split_once("://")?;
        let (authority, path) = rest.find('/').map_or((rest, ""), |at| rest.split_at(at));
        let (credentials, hosts) = authority.rsplit_once('@')?;
        let (username, _) = credentials.split_once(':')?;
        Some(format!("{scheme}://{username}:{mask}@{hosts}{path}"))
    };
    masked().unwrap_or_else(|| text.to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(text: &str) -> String {
        match Store::parse(&text.into()) {
            Err(what) => what,
            Ok(Store::Memory) => "memory".to_owned(),
            Ok(Store::Redis(url)) => {
                let place = match &url.location {
                    Location::Standalone { address, database } => format!("one {address}/{database}"),
                    Location::Sentinel { sentinels, primary, database } => {
                        format!("sentinels {} {primary}/{database}", sentinels.join(" "))
                    }
                    Location::Cluster { nodes } => format!("cluster {}", nodes.join(" ")),
                };
                let password = url.password.as_ref().map(|password| password.expose().clone());
                let tls = if url.has_tls { "tls " } else { "" };
                let who = format!("{} {}", url.username.unwrap_or_default(), password.unwrap_or_default());
                format!("{tls}{place} {who}").trim_end().to_owned()
            }
        }
    }

    #[test]
    fn a_store_that_cannot_be_meant_is_refused() {
        for (text, expected) in [
            ("", "is empty"),
            ("Memory", "is no store"),
            ("redis", "is no store"),
            ("localhost:6379", "is no store"),
            ("redis:/localhost", "is no store"),
            ("http://localhost", "has an unknown scheme"),
            ("REDIS://localhost", "has an unknown scheme"),
            ("unix:///run/redis.sock", "has an unknown scheme"),
            ("redis+tls://localhost", "has an unknown scheme"),
            ("redis://", "names no host"),
            ("redis:///0", "names no host"),
            ("redis://:6379", "names a host that is none"),
            ("redis://hunter2@", "names no host"),
            ("redis+cluster://a,,b", "names no host"),
            ("redis+cluster://a,", "names no host"),
            ("redis://a b", "names a host that is none"),
            ("redis://::1", "names a host that is none"),
            ("redis://::1:6379", "names a host that is none"),
            ("redis://a:b:6379", "names a host that is none"),
            ("redis://a%62:6379", "names a host that is none"),
            ("redis://localhost:", "names a port that is none"),
            ("redis://localhost:0", "names a port that is none"),
            ("redis://localhost:65536", "names a port that is none"),
            ("redis://localhost:+80", "names a port that is none"),
            ("redis://localhost/zero", "has a database that is not a number"),
            ("redis://localhost/-1", "has a database that is not a number"),
            ("redis://localhost/+1", "has a database that is not a number"),
            ("redis://localhost/0/", "has a database that is not a number"),
            ("redis://localhost/70000", "has a database that is not a number"),
            ("redis://localhost?db=1", "has a query or a fragment"),
            ("redis://localhost#1", "has a query or a fragment"),
            ("redis://a,b", "has several hosts"),
            ("redis+sentinel://a,b", "does not name the primary"),
            ("redis+sentinel://a,b/", "does not name the primary"),
            ("redis+sentinel://a,b//0", "does not name the primary"),
            ("redis+sentinel://a,b/ma in", "names a primary with other signs"),
            ("redis+sentinel://a,b/main/x", "has a database that is not a number"),
            ("redis+cluster://a,b/0", "has a path; a cluster has no databases"),
            ("redis://:@localhost", "holds an empty password"),
            ("redis://me:@localhost", "holds an empty password"),
            ("redis://@localhost", "holds an empty user"),
            ("redis://:hunter2%@localhost", "not percent-encoded"),
            ("redis://:hunter2%4@localhost", "not percent-encoded"),
            ("redis://:hunter2%ff@localhost", "not percent-encoded"),
            ("redis://:hunter/2@localhost", "has a `/` before its `@`"),
            ("redis://:hunter?2@localhost", "has a query or a fragment"),
        ] {
            let told = told(text);
            assert!(told.starts_with(expected) || told.contains(expected), "{text}: {told}");
            assert!(!told.contains("hunter"), "{told}");
        }
    }

    #[test]
    fn a_store_is_read_as_it_is_meant() {
        for (text, expected) in [
            ("memory", "memory"),
            ("redis://localhost", "one localhost:6379/0"),
            ("redis://localhost/", "one localhost:6379/0"),
            ("redis://127.0.0.1:7000/15", "one 127.0.0.1:7000/15"),
            ("rediss://[::1]:7000", "tls one [::1]:7000/0"),
            ("redis://[::1]", "one [::1]:6379/0"),
            ("rediss://:hunter2@redis.internal", "tls one redis.internal:6379/0  hunter2"),
            ("redis://gate@localhost", "one localhost:6379/0 gate"),
            ("redis://gate:h%40%3A%2f%25@localhost", "one localhost:6379/0 gate h@:/%"),
            ("redis://gate:a:b@localhost", "one localhost:6379/0 gate a:b"),
            ("redis://gate:a@b@localhost", "one localhost:6379/0 gate a@b"),
            ("redis+sentinel://a,b:1,[::1]/main-1", "sentinels a:26379 b:1 [::1]:26379 main-1/0"),
            ("rediss+sentinel://:x@a/main/2", "tls sentinels a:26379 main/2  x"),
            ("redis+cluster://a,b:1", "cluster a:6379 b:1"),
            ("rediss+cluster://gate:x@a/", "tls cluster a:6379 gate x"),
        ] {
            assert_eq!(told(text), expected, "{text}");
        }
    }

    #[test]
    fn hosts_that_are_elsewhere_are_known() {
        for (text, expected) in [
            ("redis://localhost", ""),
            ("redis://127.0.0.2", ""),
            ("redis://[::1]", ""),
            ("redis://10.0.0.1", "10.0.0.1"),
            ("redis://localhost.example.com", "localhost.example.com"),
            ("redis+cluster://localhost,a,b", "a b"),
        ] {
            let Ok(Store::Redis(url)) = Store::parse(&text.into()) else { panic!("{text}") };
            assert_eq!(url.far_hosts.join(" "), expected, "{text}");
        }
    }

    #[test]
    fn a_password_is_masked_and_nothing_else() {
        for (text, expected) in [
            ("memory", "memory"),
            ("redis://localhost:6379/0", "redis://localhost:6379/0"),
            ("redis://gate@localhost:6379/0", "redis://gate@localhost:6379/0"),
            ("redis://gate:hunter2@localhost:6379/0", "redis://gate:…@localhost:6379/0"),
            ("redis://gate:hunter2@hunter2@localhost", "redis://gate:…@localhost"),
            ("redis+sentinel://:hunter2@a:1,b:2/main/0", "redis+sentinel://:…@a:1,b:2/main/0"),
        ] {
            assert_eq!(without_password(text, "…"), expected);
        }
    }

    #[test]
    fn a_prefix_is_plain() {
        for (text, ok) in [
            ("doorward", true),
            ("team-a:doorward", true),
            ("", false),
            ("door{ward}", false),
            ("door*", false),
            ("door ward", false),
            ("türsteher", false),
            (&"x".repeat(65), false),
        ] {
            assert_eq!(Prefix::parse(&text.into()).is_ok(), ok, "{text}");
        }
    }
}
