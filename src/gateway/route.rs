//! Step 2: host and path → our own endpoint, a route, or nothing.
//!
//! The longest prefix wins, a route for the host before one for any host. A path with several readings is served only when all of them
//! lead to the same place.

use std::{collections::BTreeSet, sync::Arc};

use http::HeaderName;
use url::Url;

use super::{
    hygiene::Clean,
    reply::Rejection,
    resource::{self, Challenge},
    settings::{Credentials, PathPrefix, RouteSettings, SecretHeader, Settings, TokenRules},
    target,
    upstream::Upstream,
};
use crate::{identity::ProviderName, origin::Origin, policy::Access, providers::Providers, tokens::Realm};

/// One route, ready to serve.
#[derive(Debug)]
pub(super) struct Route {
    /// As logs name it: `app.example.com/admin`.
    pub(super) name: Arc<str>,
    host: Option<Box<str>>,
    prefix: PathPrefix,
    /// Who may use it.
    pub(super) access: Access,
    /// The providers whose sessions and tokens count; all when it is empty.
    providers: Box<[ProviderName]>,
    /// Those of them where somebody can sign in.
    logins: Box<[ProviderName]>,
    /// What callers may show.
    pub(super) credentials: Credentials,
    /// Where tokens count, whose and which.
    pub(super) tokens: Option<TokenRoute>,
    /// Carries the user identifier, when it is not the usual header.
    pub(super) user_header: Option<HeaderName>,
    /// Carries the access token of the session.
    pub(super) access_token_header: Option<HeaderName>,
    /// Sent with every request.
    pub(super) secret_headers: Box<[SecretHeader]>,
    /// Whom assertions are for.
    pub(super) audience: Arc<str>,
    /// The application behind it.
    pub(super) upstream: Upstream,
}

impl Route {
    /// Whether sessions of every provider count here.
    #[must_use]
    pub(super) fn accepts_all(&self) -> bool {
        self.providers.is_empty()
    }

    /// Whether a session that `provider` vouched for counts here.
    #[must_use]
    pub(super) fn accepts(&self, provider: &ProviderName) -> bool {
        self.accepts_all() || self.providers.contains(provider)
    }

    /// Where to sign in for this route; anywhere when there are none.
    #[must_use]
    pub(super) fn logins(&self) -> &[ProviderName] {
        &self.logins
    }
}

/// What a route asks of tokens.
#[derive(Debug)]
pub(super) struct TokenRoute {
    /// Whose count.
    pub(super) realm: Realm,
    /// What they have to allow.
    pub(super) rules: TokenRules,
    /// The route as a resource that tokens are for (RFC 8707 §2).
    pub(super) resource: Box<str>,
    /// That, and all of us.
    pub(super) resources: BTreeSet<Box<str>>,
    /// What callers are told.
    pub(super) challenge: Challenge,
}

/// Where a request leads.
#[derive(Debug)]
pub(super) enum Destination<'t> {
    /// One of our own endpoints.
    Endpoint,
    /// What programs are told about a route where tokens count.
    Metadata(&'t TokenRoute),
    /// An application.
    Route(&'t Route),
}

/// All routes, the first that covers a path being the right one.
#[derive(Debug)]
pub(super) struct Table {
    routes: Vec<Route>,
    prefix: PathPrefix,
    /// The hosts we answer for. A name nobody configured is somebody's mistake or trick (T-040).
    hosts: Vec<Box<str>>,
    origin: Origin,
}

impl Table {
    /// `upstream` makes the way to each application.
    ///
    /// # Errors
    /// Those of `upstream`.
    pub(super) fn new<E>(
        settings: &Settings,
        providers: &Providers,
        upstream: impl Fn(&Url) -> Result<Upstream, E>,
    ) -> Result<Self, E> {
        let mut routes = Vec::with_capacity(settings.routes.len());
        for route in &settings.routes {
            let has_login = |name: &&ProviderName| providers.find(name.as_str()).is_some();
            routes.push(Route {
                name: format!("{}{}/", route.host.as_deref().unwrap_or("*"), route.path.as_str()).into(),
                host: route.host.clone(),
                prefix: route.path.clone(),
                access: route.access.clone(),
                providers: route.providers.clone(),
                logins: route.providers.iter().filter(has_login).cloned().collect(),
                credentials: route.credentials,
                tokens: (route.credentials != Credentials::Cookie)
                    .then(|| TokenRoute::new(route, &settings.origin, providers)),
                user_header: route.user_header.clone(),
                access_token_header: route.access_token_header.clone(),
                secret_headers: route.secret_headers.clone(),
                audience: Arc::clone(&route.audience),
                upstream: upstream(&route.upstream)?,
            });
        }
        routes.sort_by_key(|route| std::cmp::Reverse((route.host.is_some(), route.prefix.as_str().len())));
        let mut hosts: Vec<Box<str>> = routes.iter().filter_map(|route| route.host.clone()).collect();
        hosts.push(settings.origin.host().into());
        Ok(Self { routes, prefix: settings.prefix.clone(), hosts, origin: settings.origin.clone() })
    }

    /// Where `request` leads. There is no default: what nobody configured is not served.
    ///
    /// # Errors
    /// [`Rejection`]: unknown host, no route, or a path that leads to several places.
    pub(super) fn find(&self, request: &Clean) -> Result<Destination<'_>, Rejection> {
        self.lookup(request.host(), request.path())
    }

    fn lookup(&self, host: &str, path: &str) -> Result<Destination<'_>, Rejection> {
        if !self.hosts.iter().any(|known| **known == *host) {
            return Err(Rejection::UnknownHost);
        }
        if !target::has_one_reading(path) {
            let mut places = target::readings(path).into_iter().map(|reading| self.place(host, &reading));
            let first = places.next();
            if places.any(|place| Some(place) != first) {
                return Err(Rejection::AmbiguousPath);
            }
        }
        if self.prefix.covers(path) {
            return Ok(Destination::Endpoint);
        }
        if let Some(about) = path.strip_prefix(resource::WELL_KNOWN)
            && let Some(tokens) = self.described(host, about)
        {
            return Ok(Destination::Metadata(tokens));
        }
        let route = self.route(host, path).ok_or(Rejection::NoRoute)?;
        // Where nobody is asked who they are, a path that climbs has no business, wherever it ends (T-022).
        if route.access == Access::Anonymous && target::climbs(path) {
            return Err(Rejection::AmbiguousPath);
        }
        Ok(Destination::Route(route))
    }

    /// What a route asks of tokens that `path`, byte for byte, is the prefix of. Others' metadata is the applications' own.
    fn described(&self, host: &str, path: &str) -> Option<&TokenRoute> {
        let mut own = self.routes.iter().filter(|route| route.host.as_deref().is_none_or(|own| own == host));
        own.find(|route| route.prefix.as_str() == path)?.tokens.as_ref()
    }

    /// Scheme, host and port that callers see of `host`.
    pub(super) fn origin_of(&self, host: &str) -> String {
        origin_of(&self.origin, Some(host))
    }

    fn route(&self, host: &str, path: &str) -> Option<&Route> {
        self.routes
            .iter()
            .find(|route| route.host.as_deref().is_none_or(|own| own == host) && route.prefix.covers(path))
    }

    /// A place two readings can be compared by.
    fn place(&self, host: &str, path: &str) -> Place {
        // Compared without case: `/_AUTH` is not ours, and should not look as if it were either.
        let lower = path.to_ascii_lowercase();
        if self.prefix.covers(&lower) {
            return Place::Endpoint;
        }
        self.route(host, path).map_or(Place::Nowhere, |route| Place::Route(Arc::clone(&route.name)))
    }
}

impl TokenRoute {
    fn new(route: &RouteSettings, origin: &Origin, providers: &Providers) -> Self {
        let counts = |name: &ProviderName| route.providers.is_empty() || route.providers.contains(name);
        let base = origin_of(origin, route.host.as_deref());
        let resource: Box<str> = format!("{base}{}", route.path.as_str()).into();
        Self {
            realm: Realm::new(providers.all().filter(|provider| counts(provider.name()))),
            rules: route.tokens.clone(),
            // With and without the slash that a bare origin may be written with.
            resources: [resource.clone(), base.as_str().into(), format!("{base}/").into()].into(),
            challenge: Challenge::new(&base, route.path.as_str()),
            resource,
        }
    }
}

/// Another host than that of `origin` is reached by the same scheme, and its usual port.
fn origin_of(origin: &Origin, host: Option<&str>) -> String {
    match host {
        Some(host) if host != origin.host() => {
            format!("{}://{host}", if origin.is_https() { "https" } else { "http" })
        }
        Some(_) | None => origin.as_str().to_owned(),
    }
}

#[derive(PartialEq)]
enum Place {
    Endpoint,
    Route(Arc<str>),
    Nowhere,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table() -> Table {
        let route = |host: Option<&str>, path: &str, access: Access| RouteSettings {
            host: host.map(Into::into),
            path: PathPrefix::parse(path).unwrap(),
            upstream: Url::parse("http://127.0.0.1:1").unwrap(),
            access,
            providers: Box::default(),
            credentials: Credentials::Cookie,
            tokens: TokenRules::default(),
            user_header: None,
            access_token_header: None,
            secret_headers: Box::default(),
            audience: "http://127.0.0.1:1".into(),
        };
        let settings = super::super::settings::tests::settings(vec![
            route(None, "/", Access::SignedIn),
            route(None, "/app", Access::SignedIn),
            route(None, "/app/open", Access::Anonymous),
            route(None, "/public", Access::Anonymous),
            route(Some("static.example.com"), "/", Access::Anonymous),
        ]);
        Table::new(&settings, &Providers::default(), |_| Ok::<_, std::convert::Infallible>(Upstream::nowhere()))
            .unwrap()
    }

    fn place(host: &str, path: &str) -> String {
        match table().lookup(host, path) {
            Ok(Destination::Endpoint) => "endpoint".to_owned(),
            Ok(Destination::Metadata(tokens)) => format!("metadata of {}", tokens.resource),
            Ok(Destination::Route(route)) => route.name.to_string(),
            Err(rejection) => format!("{rejection:?}"),
        }
    }

    /// T-022 to T-028; the longest prefix wins, segment by segment.
    #[test]
    fn each_request_has_one_place() {
        let app = "app.example.com";
        for (host, path, expected) in [
            (app, "/", "*/"),
            (app, "/app", "*/app/"),
            (app, "/app/x", "*/app/"),
            (app, "/application", "*/"),
            (app, "/app/open/x", "*/app/open/"),
            (app, "/app/opened", "*/app/"),
            (app, "/_auth/login", "endpoint"),
            (app, "/_auth", "endpoint"),
            (app, "/_authx", "*/"),
            ("static.example.com", "/app/x", "static.example.com/"),
            ("evil.com", "/", "UnknownHost"),
            // several readings, one place
            (app, "/x%2Fy", "*/"),
            (app, "/x//y;z", "*/"),
            (app, "/app/a%20b", "*/app/"),
            (app, "/public/a%20b", "*/public/"),
            // several readings, several places
            (app, "/public/../admin", "AmbiguousPath"),
            (app, "/public/x/../y", "AmbiguousPath"),
            (app, "/public/%23/../admin", "AmbiguousPath"),
            (app, "/public/%2e%2e/admin", "AmbiguousPath"),
            (app, "/public/..;/admin", "AmbiguousPath"),
            (app, "/public/%252e%252e/admin", "AmbiguousPath"),
            (app, "/public%2f..%2fadmin", "*/"),
            (app, "//public/x", "AmbiguousPath"),
            (app, "/%70ublic/x", "AmbiguousPath"),
            (app, "/app/open/..%5c..%5cadmin", "AmbiguousPath"),
            (app, "/%5fauth/logout", "AmbiguousPath"),
            (app, "//_auth/logout", "AmbiguousPath"),
            (app, "/admin%23/public/", "*/"),
        ] {
            assert_eq!(place(host, path), expected, "{host} {path}");
        }
    }
}
