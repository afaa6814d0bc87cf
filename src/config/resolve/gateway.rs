//! The request path: routes and who may use them, trusted proxies.

use std::{
    collections::{BTreeMap, BTreeSet},
    sync::Arc,
};

use http::HeaderName;
use url::Url;

use super::{
    Reading, assertion,
    credentials::{self, Usual},
    headers::{self, Taken},
};
use crate::{
    config::{
        addresses::{TrustedPeer, Upstream},
        leaf::{Given as Value, shown},
        raw::{Allow, Assertion, Headers, Route, SecretHeader, Tokens},
        shape::dotted,
        values::EmailDomain,
    },
    gateway::settings::{
        Credentials, HeaderSettings, PathPrefix, RouteSettings, Settings, TrustedProxies, UpstreamLimits,
    },
    identity::{NeededClaims, ProviderName, UserId},
    origin::Origin,
    policy::{Access, Rules},
};

/// What was written about the request path.
pub(super) struct Given {
    pub(super) prefix: Value<PathPrefix>,
    pub(super) upstream: Value<Upstream>,
    pub(super) allow: Option<Allow>,
    pub(super) access_token_header: Value<HeaderName>,
    pub(super) secret_headers: BTreeMap<String, SecretHeader>,
    pub(super) routes: Vec<Route>,
    pub(super) headers: Headers,
    pub(super) assertion: Assertion,
    pub(super) trusted_proxies: Value<Vec<TrustedPeer>>,
    pub(super) credentials: Value<Credentials>,
    pub(super) tokens: Tokens,
    /// The names of the providers.
    pub(super) providers: BTreeSet<String>,
}

pub(super) fn resolve(
    raw: Given,
    origin: Option<Origin>,
    limits: Option<UpstreamLimits>,
    reading: &mut Reading<'_>,
) -> Option<Settings> {
    let prefix = reading.required(raw.prefix, "prefix");
    if prefix.as_ref().is_some_and(|prefix| prefix.as_str().is_empty()) {
        reading.wrong("prefix", "is `/`; nothing would be left for the application");
    }
    let (headers, mut taken) = headers::resolve(raw.headers, reading);
    let has_assertion = raw.assertion.header.is_given();
    let assertion = assertion::resolve(raw.assertion, &mut taken, reading);
    let usual = credentials::usual(raw.credentials, raw.tokens, reading);
    let usual = usual.as_ref();
    let routes = if raw.upstream.is_given() {
        if !raw.routes.is_empty() {
            let upstream = reading.named("upstream");
            reading
                .wrong("routes", format!("stand beside {upstream}, which is short for a route; give one of the two"));
        }
        let access_token = raw.access_token_header;
        single(raw.upstream, raw.allow, access_token, raw.secret_headers, usual, taken, reading)
            .map(|route| vec![route])
    } else {
        if raw.allow.is_some() && !raw.routes.is_empty() {
            reading.wrong_near("allow", "stands beside `routes`; write it at each route it is meant for");
        }
        if raw.access_token_header.is_given() && !raw.routes.is_empty() {
            reading.wrong("access_token_header", "stands beside `routes`; write it at each route it is meant for");
        }
        if !raw.secret_headers.is_empty() && !raw.routes.is_empty() {
            reading.wrong_near("secret_headers", "stand beside `routes`; write them at each route they are meant for");
        }
        let beside = Beside {
            prefix: prefix.as_ref(),
            origin: origin.as_ref(),
            providers: &raw.providers,
            usual,
            taken,
            has_assertion,
        };
        routes(raw.routes, &beside, reading)
    };
    let trusted_proxies = reading.required(raw.trusted_proxies, "trusted_proxies").map(|peers| trusted(peers, reading));
    Some(Settings {
        origin: origin?,
        prefix: prefix?,
        routes: routes?,
        headers: headers?,
        assertion,
        trusted_proxies: trusted_proxies?,
        upstream: limits?,
        token_answers: usual?.answers,
    })
}

/// What sessions must keep so that headers and rules have it.
pub(super) fn needed_claims(headers: &HeaderSettings, routes: &[RouteSettings]) -> NeededClaims {
    let mut needed = NeededClaims::default();
    for header in &headers.claims {
        needed.add_whole(&header.claim);
    }
    for route in routes {
        route.access.add_needed(&mut needed);
    }
    needed
}

/// `upstream` is short for a route with path `/`.
fn single(
    upstream: Value<Upstream>,
    allow: Option<Allow>,
    access_token: Value<HeaderName>,
    secret_headers: BTreeMap<String, SecretHeader>,
    usual: Option<&Usual>,
    mut taken: Taken,
    reading: &mut Reading<'_>,
) -> Option<RouteSettings> {
    let upstream = reading.value(upstream, "upstream");
    let access = allow.map_or(Some(Access::SignedIn), |allow| rules("allow", allow, reading));
    let access_token_header = taken.with(access_token, "access_token_header", reading);
    let secret_headers = headers::secret(secret_headers, "secret_headers", taken, reading);
    let upstream = upstream?.0;
    Some(RouteSettings {
        host: None,
        path: root(),
        audience: own_audience(&upstream),
        upstream,
        access: access?,
        providers: Box::default(),
        credentials: usual?.credentials,
        tokens: usual?.tokens.clone(),
        user_header: None,
        access_token_header,
        secret_headers: secret_headers?,
    })
}

/// Whom assertions are for when nothing is said: the application, by its own address.
fn own_audience(upstream: &Url) -> Arc<str> {
    upstream.origin().ascii_serialization().into()
}

fn root() -> PathPrefix {
    #[expect(clippy::expect_used, reason = "`/` is a path prefix")]
    PathPrefix::parse("/").expect("the root is a path prefix")
}

/// What a route is compared with.
struct Beside<'a> {
    prefix: Option<&'a PathPrefix>,
    origin: Option<&'a Origin>,
    providers: &'a BTreeSet<String>,
    usual: Option<&'a Usual>,
    taken: Taken,
    has_assertion: bool,
}

fn routes(raw: Vec<Route>, beside: &Beside<'_>, reading: &mut Reading<'_>) -> Option<Vec<RouteSettings>> {
    if raw.is_empty() {
        if !reading.is_reported("routes") {
            reading.missing("upstream", "is required, or `routes`: which application stands behind the gateway?");
        }
        return None;
    }
    let mut known: BTreeMap<(Option<Box<str>>, PathPrefix), String> = BTreeMap::new();
    let count = raw.len();
    let mut routes = Vec::with_capacity(count);
    for (number, raw) in raw.into_iter().enumerate() {
        let key = format!("routes[{number}]");
        let Some(route) = route(&key, raw, beside, reading) else { continue };
        if beside.prefix.is_some_and(|prefix| prefix.covers(route.path.as_str())) {
            let prefix = reading.named("prefix");
            reading.wrong(&format!("{key}.path"), format!("lies within {prefix}, which the gateway answers itself"));
        }
        if let Some(other) = known.insert((route.host.clone(), route.path.clone()), key.clone()) {
            let other = reading.named(&other);
            reading.wrong(&key, format!("has the host and path of {other}"));
        }
        // Browsers keep the session cookie for the public origin's host only.
        if let (Some(host), Some(origin)) = (&route.host, beside.origin)
            && &**host != origin.host()
            && credentials::counts_cookies(&route)
        {
            let key = format!("{key}.host");
            reading.warn(&key, format!("is not the host of `public_url` ({origin}); browsers have no session there"));
        }
        routes.push(route);
    }
    // What is said of them later goes by their numbers.
    (routes.len() == count).then_some(routes)
}

fn route(key: &str, raw: Route, beside: &Beside<'_>, reading: &mut Reading<'_>) -> Option<RouteSettings> {
    let host = reading.value(raw.host, &format!("{key}.host"));
    let path = match raw.path.is_given() {
        true => reading.value(raw.path, &format!("{key}.path")),
        false => Some(root()),
    };
    if !raw.upstream.is_given() {
        reading.missing(&format!("{key}.upstream"), "is required: the application's scheme, host and port");
    }
    let upstream = reading.value(raw.upstream, &format!("{key}.upstream"));
    let is_anonymous = reading.value(raw.anonymous, &format!("{key}.anonymous")).unwrap_or_default();
    let access = match (is_anonymous, raw.allow) {
        (true, None) => Some(Access::Anonymous),
        (false, None) => Some(Access::SignedIn),
        (false, Some(allow)) => rules(&format!("{key}.allow"), allow, reading),
        (true, Some(_)) => {
            let what = "stands beside `allow`: either everybody may use this route or only those whom `allow` names";
            reading.wrong(&format!("{key}.anonymous"), what);
            None
        }
    };
    for (is_given, name, what) in [
        (raw.providers.is_given(), "providers", "no provider counts"),
        (raw.credentials.is_given(), "credentials", "no credentials count"),
        (raw.token_scopes.is_given(), "token_scopes", "no token counts"),
        (raw.token_audiences.is_given(), "token_audiences", "no token counts"),
        (raw.forward_token.is_given(), "forward_token", "no token counts"),
        (raw.user_header.is_given(), "user_header", "nobody is named"),
        (raw.access_token_header.is_given(), "access_token_header", "there is no session"),
        (raw.audience.is_given(), "audience", "nothing is asserted"),
    ] {
        if is_anonymous && is_given {
            let anonymous = reading.named(&format!("{key}.anonymous"));
            let what = format!("stands beside {anonymous}: where nobody is asked who they are, {what}");
            reading.wrong(&format!("{key}.{name}"), what);
        }
    }
    let written = credentials::Written {
        credentials: raw.credentials,
        scopes: raw.token_scopes,
        audiences: raw.token_audiences,
        forward: raw.forward_token,
    };
    let tokens = credentials::at_route(written, key, is_anonymous, beside.usual, reading);
    let providers = providers(raw.providers, &format!("{key}.providers"), beside.providers, reading);
    let audience_key = format!("{key}.audience");
    if raw.audience.is_given() && !beside.has_assertion {
        reading.wrong(&audience_key, "is for the signed assertion, but there is no `assertion.header`");
    }
    let audience = reading.value(raw.audience, &audience_key).map(Arc::from);
    let user_key = format!("{key}.user_header");
    let user_header = reading.value(raw.user_header, &user_key);
    let mut taken = beside.taken.at_route(user_header.as_ref(), &user_key, reading);
    let access_token_header = taken.with(raw.access_token_header, &format!("{key}.access_token_header"), reading);
    let secret_headers = headers::secret(raw.secret_headers, &format!("{key}.secret_headers"), taken, reading);
    let upstream = upstream?.0;
    let (credentials, tokens) = tokens?;
    Some(RouteSettings {
        host: host.map(|host| host.0),
        path: path?,
        audience: audience.unwrap_or_else(|| own_audience(&upstream)),
        upstream,
        access: access?,
        providers: providers?,
        credentials,
        tokens,
        user_header,
        access_token_header,
        secret_headers: secret_headers?,
    })
}

/// The providers whose sessions count. A list without entries would let nobody in; left out, it lets everybody in.
fn providers(
    given: Value<Vec<String>>,
    key: &str,
    known: &BTreeSet<String>,
    reading: &mut Reading<'_>,
) -> Option<Box<[ProviderName]>> {
    if !given.is_given() {
        return Some(Box::default());
    }
    let names: Vec<String> = reading.value(given, key)?;
    if names.is_empty() {
        reading.wrong(key, "is empty; nobody's session would count");
    }
    for name in names.iter().filter(|name| !known.contains(*name)) {
        let known: Vec<_> = known.iter().map(|name| format!("`{name}`")).collect();
        let what = format!("names {}, which is no provider here; there are {}", shown(name), known.join(", "));
        reading.wrong(key, what);
    }
    // A name that cannot be parsed is reported where the provider is.
    names.iter().map(|name| ProviderName::parse(name)).collect()
}

/// Whom `allow` names. A list that names nobody is a mistake: left out, it would have let everybody in.
fn rules(key: &str, raw: Allow, reading: &mut Reading<'_>) -> Option<Access> {
    let users_key = dotted(key, "users");
    let users = list(raw.users, &users_key, reading, |user: UserId| user.as_str().into());
    let domains_key = dotted(key, "email_domains");
    let email_domains = list(raw.email_domains, &domains_key, reading, |EmailDomain(domain)| domain);
    let claims_key = dotted(key, "claims");
    let mut claims = BTreeMap::new();
    for (claim, values) in raw.claims {
        let values = list(values, &dotted(&claims_key, &claim), reading, String::into_boxed_str);
        claims.insert(claim.into(), values);
    }
    let rules = Rules { users, email_domains, claims };
    if rules.users.is_empty() && rules.email_domains.is_empty() && rules.claims.is_empty() {
        reading.missing(key, "is empty and would let nobody in; name `users`, `email_domains` or `claims`");
    }
    Some(Access::Allow(rules))
}

fn list<T>(
    given: Value<Vec<T>>,
    key: &str,
    reading: &mut Reading<'_>,
    text: impl Fn(T) -> Box<str>,
) -> BTreeSet<Box<str>> {
    let is_given = given.is_given();
    let list: Option<Vec<T>> = reading.value(given, key);
    if is_given && list.as_ref().is_some_and(Vec::is_empty) {
        reading.wrong(key, "is empty; it lets nobody in");
    }
    list.into_iter().flatten().map(text).collect()
}

fn trusted(peers: Vec<TrustedPeer>, reading: &mut Reading<'_>) -> TrustedProxies {
    let mut trusted = TrustedProxies::default();
    for peer in peers {
        match peer {
            TrustedPeer::Unix => trusted.unix = true,
            TrustedPeer::Net(net) => trusted.nets.push(net),
        }
    }
    if trusted.nets.iter().any(|net| net.prefix_len() == 0) {
        reading.warn("trusted_proxies", "names every address: each caller can say where it comes from");
    }
    trusted
}
