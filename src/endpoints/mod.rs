//! What the gateway answers itself, below its prefix: sign-in, callback, the ways out, one's sessions, who am I, keys.
//!
//! Each endpoint gets what the gateway found out about the request and returns an answer or an [`EndpointError`]; what callers see of an
//! error is decided in `gateway::reply`.

mod agent;
mod backchannel;
mod callback;
mod choosing;
mod form;
mod frontchannel;
mod jwks;
mod links;
mod login;
mod logout;
pub mod pages;
mod sessions;
mod whoami;

use std::{sync::Arc, time::Duration};

use http::{HeaderMap, HeaderValue, Method, Response, StatusCode, header};
use hyper::body::Incoming;

use crate::{
    body::Body,
    clock::UnixTime,
    origin::{Origin, ReturnTo},
    providers::{Provider, Providers, SignInError, Unavailable},
    sessions::{LoginStateError, ReturnsBy, Session, Sessions, TooLarge, Whence, store::StoreError},
};

pub use backchannel::{LogoutRefused, UsedLogoutTokens};
pub use form::BadForm;
pub(crate) use form::one;
pub use links::Links;
use pages::{Page, Pages};
pub use sessions::described;

/// What the endpoints work with.
#[derive(Debug)]
pub struct Endpoints {
    origin: Origin,
    links: Links,
    pages: Arc<Pages>,
    sessions: Arc<Sessions>,
    providers: Arc<Providers>,
    /// From its sign-in a session lives at most this long.
    max_age: Duration,
    /// The published keys of assertions; `None` where there are none.
    jwks: Option<String>,
    used_logout_tokens: Arc<UsedLogoutTokens>,
}

/// A request to one of the endpoints.
#[derive(Debug)]
pub struct Visit<'r> {
    /// The path behind the prefix: `/login`.
    pub path: &'r str,
    /// The method.
    pub method: &'r Method,
    /// The query, without `?`.
    pub query: Option<&'r str>,
    /// The headers, cleaned.
    pub headers: &'r HeaderMap,
    /// The caller's session, when there is one.
    pub session: Option<&'r Session>,
    /// Where the caller is.
    pub whence: &'r Whence,
    /// The time.
    pub now: UnixTime,
}

/// Why an endpoint did not do what was asked.
#[derive(Debug, thiserror::Error)]
pub enum EndpointError {
    /// Nothing of ours has this path.
    #[error("there is no such endpoint")]
    NotFound,
    /// The endpoint exists; these methods are its own.
    #[error("the endpoint does not take this method")]
    MethodNotAllowed(&'static str),
    /// Nobody is signed in.
    #[error("nobody is signed in")]
    NotSignedIn,
    /// Nobody is signed in, and the page is somebody's own: a navigation signs in first and comes back.
    #[error("nobody is signed in whose page this could be")]
    SignInFirst,
    /// No provider of this name is configured.
    #[error("no provider of this name is configured")]
    UnknownProvider,
    /// The query or form of a sign-in cannot be read.
    #[error("the parameters cannot be read")]
    Form(#[from] BadForm),
    /// The same where nobody is signing in.
    #[error("the parameters cannot be read")]
    Parameters(#[source] BadForm),
    /// Another site, or nobody knows who, asks for something that only a person on our own page may ask for.
    #[error("another site asks for this")]
    NotFromHere,
    /// A provider's logout did not happen. The answer is for its server.
    #[error("a back-channel logout was refused")]
    Logout(#[from] LogoutRefused),
    /// The caller has no session with this id.
    #[error("the caller has no such session")]
    NoSuchSession,
    /// Somebody's sessions cannot be listed.
    #[error("the sessions of this person cannot be listed")]
    NoListing(#[source] StoreError),
    /// A provider's frame cannot be answered without the store.
    #[error("nobody can tell whether anybody signed in with this session")]
    Store(#[source] StoreError),
    /// The provider cannot be asked now.
    #[error("the provider cannot be reached")]
    Unavailable(#[source] Unavailable),
    /// The callback belongs to no login of this browser.
    #[error("the callback belongs to no login of this browser")]
    LoginState(#[from] LoginStateError),
    /// The same callback a second time, and nobody is signed in.
    #[error("this callback has been used already")]
    Replayed(ReturnTo),
    /// The provider sent the browser back with an error (RFC 6749 §4.1.2.1).
    #[error("the provider refused the sign-in ({code})")]
    ProviderRefused {
        /// Its code, such as `access_denied`: short and printable.
        code: Box<str>,
        /// Where the person wanted to go.
        return_to: ReturnTo,
    },
    /// The sign-in failed after the provider had been asked.
    #[error("the sign-in failed")]
    SignIn {
        /// Why.
        #[source]
        error: Box<SignInError>,
        /// What people call the provider.
        provider: Box<str>,
        /// Where the person wanted to go.
        return_to: ReturnTo,
    },
    /// The session does not fit into its cookie.
    #[error("the session does not fit into its cookie")]
    TooLarge(#[from] TooLarge),
}

impl Endpoints {
    /// Everything is built by `app`.
    #[must_use]
    pub fn new(
        links: Links,
        pages: Arc<Pages>,
        sessions: Arc<Sessions>,
        providers: Arc<Providers>,
        max_age: Duration,
        jwks: Option<String>,
        used_logout_tokens: Arc<UsedLogoutTokens>,
    ) -> Self {
        let origin = links.origin().clone();
        Self { origin, links, pages, sessions, providers, max_age, jwks, used_logout_tokens }
    }

    /// Our own addresses.
    #[must_use]
    pub fn links(&self) -> &Links {
        &self.links
    }

    /// The pages people see.
    #[must_use]
    pub fn pages(&self) -> &Arc<Pages> {
        &self.pages
    }

    /// Whether the endpoint at `path` says something about a session, rather than ends it or begins another.
    #[must_use]
    pub fn speaks_of_sessions(path: &str) -> bool {
        path.ends_with("/whoami") || path.ends_with("/sessions")
    }

    /// What a log calls the endpoint at `path`: the rest of an address is a stranger's to choose.
    #[must_use]
    pub fn name(path: &str) -> &'static str {
        match path {
            "/login" => "login",
            "/logout" => "logout",
            "/signed-out" => "signed-out",
            "/sessions" => "sessions",
            "/whoami" => "whoami",
            "/jwks.json" => "jwks",
            path if path.starts_with("/callback/") => "callback",
            path if path.starts_with("/backchannel-logout/") => "backchannel-logout",
            path if path.starts_with("/frontchannel-logout/") => "frontchannel-logout",
            _ => "unknown endpoint",
        }
    }

    /// Answers `visit`; only what is posted reads `body`.
    ///
    /// # Errors
    /// [`EndpointError`].
    pub async fn answer(&self, visit: Visit<'_>, body: Incoming) -> Result<Response<Body>, EndpointError> {
        let read = matches!(*visit.method, Method::GET | Method::HEAD);
        let post = *visit.method == Method::POST;
        match visit.path {
            "/login" if read => self.login(&visit).await,
            "/login" if post => self.login_form(&visit, body).await,
            "/logout" if read || post => self.logout(&visit, body).await,
            "/signed-out" if read => Ok(self.signed_out(&visit)),
            "/sessions" if read => self.sessions(&visit).await,
            "/sessions" if post => self.end_sessions(&visit, body).await,
            "/whoami" if read => self.whoami(&visit),
            "/jwks.json" if read => self.jwks(),
            "/signed-out" | "/whoami" | "/jwks.json" => Err(EndpointError::MethodNotAllowed("GET, HEAD")),
            "/login" | "/logout" | "/sessions" => Err(EndpointError::MethodNotAllowed("GET, HEAD, POST")),
            path => self.answer_named(&visit, path, body).await,
        }
    }

    /// What has a provider's name in its path.
    async fn answer_named(
        &self,
        visit: &Visit<'_>,
        path: &str,
        body: Incoming,
    ) -> Result<Response<Body>, EndpointError> {
        let (endpoint, name) = path.strip_prefix('/').and_then(|path| path.split_once('/')).unwrap_or_default();
        match (endpoint, visit.method) {
            // Boxed: the exchange is rare and carries much; other requests should not make room for it.
            ("callback", &Method::GET | &Method::POST) => Box::pin(self.callback(visit, name, body)).await,
            ("callback", _) => Err(EndpointError::MethodNotAllowed("GET, POST")),
            ("backchannel-logout", &Method::POST) => Box::pin(self.backchannel_logout(visit, name, body)).await,
            ("backchannel-logout", _) => Err(EndpointError::MethodNotAllowed("POST")),
            ("frontchannel-logout", &Method::GET) => self.frontchannel_logout(visit, name).await,
            ("frontchannel-logout", _) => Err(EndpointError::MethodNotAllowed("GET")),
            _ => Err(EndpointError::NotFound),
        }
    }
}

/// How `provider` sends browsers back.
fn returns_by(provider: &Provider) -> ReturnsBy {
    if provider.posts_answers() { ReturnsBy::Form } else { ReturnsBy::Link }
}

/// A redirect to `to`, one of our own paths or a parsed URL, that no cache keeps. `status` is 302 or 303.
#[must_use]
pub fn redirect(status: StatusCode, to: &str) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    // One that is no header value leads home.
    let to = HeaderValue::from_str(to).unwrap_or(HeaderValue::from_static("/"));
    response.headers_mut().insert(header::LOCATION, to);
    response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

/// A page as a browser gets it; the status is 200.
#[must_use]
pub fn page(page: Page) -> Response<Body> {
    let headers = page.headers();
    let mut response = Response::new(Body::from(page.html));
    response.headers_mut().extend(headers);
    response
}
