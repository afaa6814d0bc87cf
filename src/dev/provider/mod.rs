//! A small OpenID provider for this machine: authorization code flow with PKCE, ID tokens, refresh tokens, userinfo,
//! introspection, revocation and logout.
//!
//! Everything OAuth asks of a provider is asked of its clients here too, so that a gateway that works with it has not been
//! spoilt: exact redirect URIs, PKCE S256 always, codes once and for a minute, rotated refresh tokens, client
//! authentication. Only the people are not asked for anything: whoever sits at the browser picks whom to be.
//!
//! What the page of people sends can be sent without it: `POST /authorize/decision` with the form fields `request` (the
//! query of the authorization request) and `person` (`ada`, `grace`, `refuse`, or `other` with `sub`, `email`, `name`,
//! `groups` and `claims`).
//!
//! Every authorization request shows the page, also to somebody who is signed in. Only `prompt=none` shows nothing: it goes by the
//! session that the browser's last choice began, for any client, or ends in `login_required`. A person's claims are all in the ID
//! token, at userinfo and in introspection, whatever scope was asked for; `offline_access` brings a refresh token. Sessions and tokens
//! can be ended by whoever embeds the provider, and clients told (see `logout`).
//!
//! Tests can make it play a provider that is not this well-behaved: [`Faults`] are what a gateway has to refuse, [`Quirks`] what it has to live
//! with.

mod assertion;
mod authorization;
mod client;
mod end_session;
mod faults;
mod grants;
mod id_token;
mod keys;
mod logout;
mod metadata;
mod people;
mod pushed;
mod quirks;
mod refusal;
mod request;
mod token;
mod token_status;

use std::{
    collections::HashMap,
    io,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use http::{Method, Request, StatusCode, header::ALLOW};
use hyper::body::Incoming;
use tokio::{net::TcpListener, sync::watch};
use url::Url;

pub use self::{
    assertion::{ClientKey, KeyProof},
    client::Client,
    faults::{Fault, Faults, HmacKey, JsonObject, Signature},
    logout::{Notice, Refreshes},
    quirks::{Asked, Quirk, Quirks},
};
use self::{grants::Grants, keys::KeySet, request::Received};
use super::{
    answer::{self, Answer},
    loopback::{self, BodyError, HangUp},
    page::Pages,
};
use crate::{clock::Clock, origin};

/// The largest request body, in bytes: five hundred groups of a hundred characters, typed in, fit.
const BODY_BYTES: usize = 256 * 1024;
/// How long a request's body may take to arrive.
const BODY_TIME: Duration = Duration::from_secs(10);

/// The provider. Clones are the same provider: it can be served, stopped and served again.
#[derive(Clone)]
pub struct Provider(Arc<State>);

/// What can be asked of the provider.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Endpoint {
    /// The metadata document.
    Discovery,
    /// The JWKS.
    Keys,
    /// Shows the page of people.
    Authorization,
    /// Takes that page's answer.
    Decision,
    /// Takes authorization requests ahead of the browser (RFC 9126), as a [quirk](Quirk::PushedRequests).
    PushedRequests,
    /// Codes and refresh tokens become tokens.
    Token,
    /// What is known about the person an access token is for.
    Userinfo,
    /// Whether an access token is good (RFC 7662).
    Introspection,
    /// Ends tokens (RFC 7009).
    Revocation,
    /// RP-initiated logout.
    EndSession,
}

impl Endpoint {
    const ALL: [Self; 10] = [
        Self::Discovery,
        Self::Keys,
        Self::Authorization,
        Self::Decision,
        Self::PushedRequests,
        Self::Token,
        Self::Userinfo,
        Self::Introspection,
        Self::Revocation,
        Self::EndSession,
    ];

    /// Where it is, below the issuer.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Discovery => "/.well-known/openid-configuration",
            Self::Keys => "/keys",
            Self::Authorization => "/authorize",
            Self::Decision => "/authorize/decision",
            Self::PushedRequests => "/par",
            Self::Token => "/token",
            Self::Userinfo => "/userinfo",
            Self::Introspection => "/introspect",
            Self::Revocation => "/revoke",
            Self::EndSession => "/end-session",
        }
    }

    /// The methods it takes, as `Allow` lists them. HEAD goes with GET.
    fn methods(self) -> &'static [Method] {
        match self {
            Self::Discovery | Self::Keys => &[Method::GET, Method::HEAD],
            // OpenID Connect Core §3.1.2.1 and §5.3.1, RP-Initiated Logout §2: GET and POST.
            Self::Authorization | Self::Userinfo | Self::EndSession => &[Method::GET, Method::HEAD, Method::POST],
            Self::Decision | Self::PushedRequests | Self::Token | Self::Introspection | Self::Revocation => {
                &[Method::POST]
            }
        }
    }
}

/// Everything the endpoints share.
struct State {
    issuer: Issuer,
    clients: Vec<Client>,
    clock: Clock,
    keys: Mutex<Arc<KeySet>>,
    grants: Mutex<Grants>,
    pages: Pages,
    faults: Faults,
    quirks: Quirks,
    received: watch::Sender<HashMap<Endpoint, usize>>,
}

impl Provider {
    /// A provider that calls itself `issuer` and serves `clients`. It makes its signing key now and keeps everything in
    /// memory.
    ///
    /// `issuer` is where its listener will be, as others reach it: `http://127.0.0.1:PORT`, with a path if wanted.
    #[must_use]
    pub fn new(issuer: String, clients: Vec<Client>, clock: Clock) -> Self {
        Self(Arc::new(State {
            issuer: Issuer::new(issuer),
            clients,
            clock,
            keys: Mutex::new(Arc::new(KeySet::generate())),
            grants: Mutex::new(Grants::new()),
            pages: Pages::new(),
            faults: Faults::default(),
            quirks: Quirks::default(),
            received: watch::Sender::new(HashMap::new()),
        }))
    }

    /// What it shall get wrong. Nothing, until a test says so; no request reaches these switches.
    #[must_use]
    pub fn faults(&self) -> &Faults {
        &self.0.faults
    }

    /// What it shall do in its own way. Nothing, until a test says so.
    #[must_use]
    pub fn quirks(&self) -> &Quirks {
        &self.0.quirks
    }

    /// The issuer identifier, as given.
    #[must_use]
    pub fn issuer(&self) -> &str {
        &self.0.issuer.text
    }

    /// The address of `endpoint`.
    #[must_use]
    pub fn url(&self, endpoint: Endpoint) -> String {
        self.0.issuer.at(endpoint)
    }

    /// How many requests have reached `endpoint`, those that were refused and those that met a fault included.
    #[must_use]
    pub fn requests(&self, endpoint: Endpoint) -> usize {
        count(&self.0.received.borrow(), endpoint)
    }

    /// Waits until `endpoint` has received `requests` in all. The caller limits the time.
    pub async fn received(&self, endpoint: Endpoint, requests: usize) {
        let mut received = self.0.received.subscribe();
        // It fails only when the sender is gone, and we hold that.
        let _ = received.wait_for(|all| count(all, endpoint) >= requests).await;
    }

    /// Signs with a new key from now on. The one before stays published; those before that are gone.
    pub fn rotate_keys(&self) {
        let mut keys = lock(&self.0.keys);
        *keys = Arc::new(keys.rotated());
    }

    /// The `kid` of the key that signs now.
    #[must_use]
    pub fn kid(&self) -> String {
        lock(&self.0.keys).current().kid().to_owned()
    }

    /// A JWS over exactly these bytes by the key that signs now: any token a test can think of, duplicate members included.
    #[must_use]
    pub fn sign(&self, header: &[u8], payload: &[u8]) -> String {
        let keys = lock(&self.0.keys).clone();
        keys::compact(header, payload, |input| keys.current().sign(input))
    }

    /// Serves on `listener` until `stop` is ready.
    ///
    /// # Errors
    /// [`NotLoopback`](super::NotLoopback) inside an [`io::Error`], and what asking the listener for its address may fail
    /// with.
    pub async fn serve(self, listener: TcpListener, stop: impl Future<Output = ()>) -> io::Result<()> {
        tracing::warn!(
            provider.issuer = self.issuer(),
            "The development provider lets anyone be anyone; it is for this machine only"
        );
        let handler = move |request| {
            let state = self.0.clone();
            async move { state.handle(request).await }
        };
        loopback::serve(listener, handler, stop).await
    }
}

fn count(received: &HashMap<Endpoint, usize>, endpoint: Endpoint) -> usize {
    received.get(&endpoint).copied().unwrap_or_default()
}

/// A lock whose holder panicked is taken over: what it guards is replaced or inserted whole.
fn lock<T: ?Sized>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl State {
    async fn handle(&self, request: Request<Incoming>) -> Result<Answer, HangUp> {
        let (head, body) = request.into_parts();
        if !self.issuer.is_meant(&head.headers) {
            return Ok(answer::bare(StatusCode::MISDIRECTED_REQUEST));
        }
        let Some(endpoint) = self.issuer.endpoint(head.uri.path()) else {
            let text = "Nothing lives at this address. Open your application instead; it sends you here to sign in.";
            return Ok(self.pages.notice(StatusCode::NOT_FOUND, "Nothing to see here", text));
        };
        let body = match loopback::read(body, BODY_BYTES, BODY_TIME).await {
            Ok(body) => body,
            Err(BodyError::TooSlow) => return Ok(answer::bare(StatusCode::REQUEST_TIMEOUT)),
            Err(BodyError::TooLong { .. }) => return Ok(answer::bare(StatusCode::PAYLOAD_TOO_LARGE)),
        };
        self.received.send_modify(|all| *all.entry(endpoint).or_default() += 1);
        if let Some(answer) = self.faults.strike(endpoint).await? {
            return Ok(answer);
        }
        if !endpoint.methods().contains(&head.method) {
            let allowed: Vec<&str> = endpoint.methods().iter().map(Method::as_str).collect();
            let mut answer = answer::bare(StatusCode::METHOD_NOT_ALLOWED);
            answer::set(&mut answer, ALLOW, &allowed.join(", "));
            return Ok(answer);
        }
        let received = Received { head, body };
        if let Some(refusal) = self.quirks.refusal(endpoint, &received) {
            return Ok(refusal);
        }
        let mut answer = self.answer(endpoint, &received);
        self.quirks.label(endpoint, &mut answer);
        Ok(answer)
    }

    /// What it calls itself.
    fn name(&self) -> String {
        self.quirks.issuer().unwrap_or_else(|| self.issuer.text.clone())
    }

    fn answer(&self, endpoint: Endpoint, received: &Received) -> Answer {
        match endpoint {
            Endpoint::Discovery => metadata::discovery(self),
            Endpoint::Keys => metadata::keys(self),
            Endpoint::Authorization => authorization::ask(self, received),
            Endpoint::Decision => authorization::decide(self, received),
            Endpoint::PushedRequests => pushed::answer(self, received),
            Endpoint::Token => token::answer(self, received),
            Endpoint::Userinfo => token_status::userinfo(self, received),
            Endpoint::Introspection => token_status::introspect(self, received),
            Endpoint::Revocation => token_status::revoke(self, received),
            Endpoint::EndSession => end_session::answer(self, received),
        }
    }
}

/// Who the provider says it is, and what follows for addresses.
struct Issuer {
    text: String,
    /// Where the endpoints begin: without a closing slash.
    base: String,
    /// The path of `base`; empty when it has none.
    path: String,
    host: Option<String>,
}

impl Issuer {
    fn new(text: String) -> Self {
        // OpenID Connect Discovery §4.1: exactly one closing slash is left out.
        let base = text.strip_suffix('/').unwrap_or(&text).to_owned();
        let url = Url::parse(&base).ok();
        let path = url.as_ref().map_or("", Url::path).trim_end_matches('/').to_owned();
        let host = url.and_then(|url| url.host_str().map(str::to_owned));
        Self { text, base, path, host }
    }

    fn at(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.base, endpoint.path())
    }

    fn path_of(&self, endpoint: Endpoint) -> String {
        format!("{}{}", self.path, endpoint.path())
    }

    fn endpoint(&self, path: &str) -> Option<Endpoint> {
        let path = path.strip_prefix(&self.path)?;
        Endpoint::ALL.into_iter().find(|endpoint| endpoint.path() == path)
    }

    /// Whether the request names this machine or the issuer's host. A page elsewhere whose own name leads to loopback
    /// (DNS rebinding) does not, and must not read what we say.
    fn is_meant(&self, headers: &http::HeaderMap) -> bool {
        let host = headers.get(http::header::HOST).and_then(|host| host.to_str().ok());
        let Some(url) = host.and_then(|host| Url::parse(&format!("http://{host}")).ok()) else { return false };
        origin::is_loopback(&url) || url.host_str() == self.host.as_deref()
    }
}

#[cfg(test)]
mod testing;
#[cfg(test)]
mod tests;
