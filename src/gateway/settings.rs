//! What the gateway is told at start: our origin, the routes, the headers, the proxies we believe.

use std::{collections::BTreeSet, sync::Arc, time::Duration};

use http::{HeaderName, HeaderValue};
use ipnet::IpNet;
use url::Url;

use crate::{assertion, identity::ProviderName, origin::Origin, policy::Access};

/// Everything the request path needs, resolved.
#[derive(Clone, Debug)]
pub struct Settings {
    /// The origin browsers use.
    pub origin: Origin,
    /// Where our own endpoints live: `/_auth`, without a closing slash.
    pub prefix: PathPrefix,
    /// Never empty; the order does not matter, the longest match wins.
    pub routes: Vec<RouteSettings>,
    /// What the upstream is told.
    pub headers: HeaderSettings,
    /// The signed word about who is calling, where there is one.
    pub assertion: Option<assertion::Settings>,
    /// Who may speak for others in `X-Forwarded-*`.
    pub trusted_proxies: TrustedProxies,
    /// Limits of the connections to upstreams.
    pub upstream: UpstreamLimits,
    /// Answers about tokens that are kept at most; one with more than a kilobyte of claims counts as several.
    pub token_answers: usize,
}

impl Settings {
    /// Every header that nobody but us may send to an application, whichever route it is for.
    pub(super) fn own_headers(&self) -> impl Iterator<Item = &HeaderName> {
        let claims = self.headers.claims.iter().map(|claim| &claim.header);
        let of_routes = self.routes.iter().flat_map(|route| {
            let named = [&route.user_header, &route.access_token_header].into_iter().flatten();
            named.chain(route.secret_headers.iter().map(|secret| &secret.name))
        });
        let assertion = self.assertion.iter().map(|assertion| &assertion.header);
        [&self.headers.user].into_iter().chain(claims).chain(of_routes).chain(assertion)
    }
}

/// One route as configured.
#[derive(Clone, Debug)]
pub struct RouteSettings {
    /// The host it is for, in lower case without port or closing dot; `None` for any host.
    pub host: Option<Box<str>>,
    /// Served are the prefix itself and everything below it.
    pub path: PathPrefix,
    /// The application: scheme `http` or `https`, host and port, no path.
    pub upstream: Url,
    /// Who may use it.
    pub access: Access,
    /// The providers whose sessions count here; all when it is empty.
    pub providers: Box<[ProviderName]>,
    /// What callers may show here.
    pub credentials: Credentials,
    /// What a token has to allow here, and what becomes of it.
    pub tokens: TokenRules,
    /// Carries the user identifier here, when it is not [`HeaderSettings::user`].
    pub user_header: Option<HeaderName>,
    /// Carries the access token of the session here.
    pub access_token_header: Option<HeaderName>,
    /// Sent with every request, also where nobody is asked who they are.
    pub secret_headers: Box<[SecretHeader]>,
    /// Whom assertions are for here.
    pub audience: Arc<str>,
}

/// What tells who a caller is.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Credentials {
    /// The session cookie; `Authorization` is the application's affair.
    #[default]
    Cookie,
    /// A token in `Authorization` (RFC 6750 §2.1).
    Bearer,
    /// Either, not both at once.
    Both,
}

/// What a token has to allow at a route.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TokenRules {
    /// All of them.
    pub scopes: BTreeSet<Box<str>>,
    /// Whom it has to be for, one of them, whatever the provider's settings say; empty: as they say.
    pub audiences: BTreeSet<Box<str>>,
    /// The application gets it too.
    pub forward: bool,
}

/// A header by whose value an application knows that a request comes from us.
#[derive(Clone, Debug)]
pub struct SecretHeader {
    /// Its name.
    pub name: HeaderName,
    /// Its value: sensitive, so that nothing prints it.
    pub value: HeaderValue,
}

/// A path that stands for itself and everything below it, segment by segment: `/app` covers `/app` and `/app/x`, not
/// `/application`. Stored without a closing slash; `/` is the empty text.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PathPrefix(Arc<str>);

impl PathPrefix {
    /// Accepts `/`, `/app`, `/app/`, `/a/b`: absolute, without empty, `.` or `..` segments, without `%`, `?`, `#`, `\`, `;` and without
    /// anything outside printable ASCII.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let trimmed = text.strip_prefix('/')?;
        let trimmed = trimmed.strip_suffix('/').unwrap_or(trimmed);
        if trimmed.is_empty() {
            return (text == "/").then(|| Self("".into()));
        }
        let plain = |s: &str| {
            !matches!(s, "" | "." | "..")
                && s.bytes().all(|b| b.is_ascii_graphic() && !matches!(b, b'%' | b'?' | b'#' | b'\\' | b';'))
        };
        trimmed.split('/').all(plain).then(|| Self(format!("/{trimmed}").into()))
    }

    /// Whether `path` is this prefix or lies below it.
    #[must_use]
    pub fn covers(&self, path: &str) -> bool {
        path.strip_prefix(&*self.0).is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
    }

    /// The prefix without its closing slash; empty for `/`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// The identity headers.
#[derive(Clone, Debug)]
pub struct HeaderSettings {
    /// Carries the user identifier: `X-User`.
    pub user: HeaderName,
    /// How that is written.
    pub user_encoding: Encoding,
    /// Further headers, each from a claim.
    pub claims: Vec<ClaimHeader>,
}

/// A header that carries a claim.
#[derive(Clone, Debug)]
pub struct ClaimHeader {
    /// The header's name.
    pub header: HeaderName,
    /// The claim's name.
    pub claim: Box<str>,
    /// How it is written.
    pub format: ClaimFormat,
}

/// How a claim is written into its header.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ClaimFormat {
    /// How a list is written. When it is said, the header holds a list even where the claim has a single value; otherwise that stays as it
    /// is and lists are joined.
    pub list: Option<ListForm>,
    /// Between joined values; neither `\` nor a letter or digit.
    pub separator: char,
    /// How the text is carried.
    pub encoding: Encoding,
    /// The most that is sent, once it is encoded.
    pub max_bytes: usize,
    /// What happens when it is more.
    pub too_long: TooLong,
}

impl Default for ClaimFormat {
    fn default() -> Self {
        Self { list: None, separator: ',', encoding: Encoding::Utf8, max_bytes: 4_096, too_long: TooLong::Omit }
    }
}

/// How a list becomes one text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ListForm {
    /// Its values with a separator between them.
    Joined,
    /// A JSON array.
    Json,
}

/// How a text becomes a header's value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Utf8,
    /// RFC 3986, all but the unreserved characters.
    Percent,
    /// Encoded-words where it is not ASCII.
    Rfc2047,
    /// Without padding.
    Base64Url,
}

/// What happens to a claim that is longer than its header may be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TooLong {
    /// There is no header.
    Omit,
    /// There is no request.
    Refuse,
}

/// The peers whose `X-Forwarded-For`, `-Proto` and `-Host` count.
#[derive(Clone, Debug, Default)]
pub struct TrustedProxies {
    /// Address ranges.
    pub nets: Vec<IpNet>,
    /// Whether whoever connects through our unix socket is one.
    pub unix: bool,
}

/// Limits towards the applications.
#[derive(Clone, Debug)]
pub struct UpstreamLimits {
    /// To open a connection, TLS included.
    pub connect_timeout: Duration,
    /// From the end of our request, or from the last of its body that moved, to the head of the answer; noticed at the latest after
    /// twice this time.
    pub response_timeout: Duration,
    /// How long an unused connection is kept for the next request.
    pub idle_timeout: Duration,
    /// How long a tunnel (WebSocket) may be silent in both directions.
    pub tunnel_idle_timeout: Duration,
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    /// Settings with `routes` and nothing special.
    pub(in crate::gateway) fn settings(routes: Vec<RouteSettings>) -> Settings {
        let second = Duration::from_secs(1);
        Settings {
            origin: Origin::parse("https://app.example.com").unwrap(),
            prefix: PathPrefix::parse("/_auth").unwrap(),
            routes,
            headers: HeaderSettings {
                user: HeaderName::from_static("x-user"),
                user_encoding: Encoding::Utf8,
                claims: Vec::new(),
            },
            assertion: None,
            trusted_proxies: TrustedProxies::default(),
            upstream: UpstreamLimits {
                connect_timeout: second,
                response_timeout: second,
                idle_timeout: second,
                tunnel_idle_timeout: second,
            },
            token_answers: 100,
        }
    }

    #[test]
    fn a_prefix_is_a_path_segment() {
        for (prefix, path, covers) in [
            ("/", "/", true),
            ("/", "/anything/at/all", true),
            ("/app", "/app", true),
            ("/app", "/app/", true),
            ("/app", "/app/x", true),
            ("/app/", "/app", true),
            ("/app", "/application", false),
            ("/app", "/ap", false),
            ("/app", "/App", false),
            ("/a/b", "/a/b/c", true),
            ("/a/b", "/a", false),
        ] {
            assert_eq!(PathPrefix::parse(prefix).unwrap().covers(path), covers, "{prefix} covers {path}");
        }
    }

    #[test]
    fn a_prefix_has_one_reading() {
        for text in
            ["", "app", "//", "/a//b", "/a/../b", "/./a", "/a%2fb", "/a?b", "/a#b", "/a\\b", "/a;b", "/a b", "/\u{e9}"]
        {
            assert!(PathPrefix::parse(text).is_none(), "{text:?}");
        }
    }
}
