//! The path of a request, one file a step, on one screen: [`Gateway::handle`].

mod authenticate;
mod authorise;
mod encoding;
mod hygiene;
mod identity_headers;
mod peer;
mod reply;
mod resource;
mod route;
pub mod settings;
mod target;
mod upgrade;
mod upstream;
mod wants;

use std::sync::Arc;

use http::{HeaderValue, Request, Response, header};
use hyper::body::Incoming;

use crate::{
    body::Body,
    clock::{Clock, UnixTime},
    endpoints::{Endpoints, Visit},
    providers::Providers,
    server::{Connection, Handler},
    sessions::{Session, Sessions},
    telemetry::Record,
    tokens::{Tokens, dpop::Proofs},
};
use authenticate::Caller;
use hygiene::{Clean, Hygiene};
use identity_headers::IdentityHeaders;
use reply::{Rejection, Replies};
use route::{Destination, Table};
use settings::Settings;
use upstream::Upstream;
use wants::Wants;

pub use upstream::InvalidUpstream;

/// Everything a request meets. Built once by `app`; a reload builds another.
#[derive(Debug)]
pub struct Gateway {
    hygiene: Hygiene,
    routes: Table,
    sessions: Arc<Sessions>,
    providers: Arc<Providers>,
    tokens: Tokens,
    proofs: Arc<Proofs>,
    identity_headers: IdentityHeaders,
    endpoints: Endpoints,
    replies: Replies,
    settings: Settings,
    clock: Clock,
}

/// What outlives a reload: that something was ended or used must not be forgotten.
#[derive(Clone, Debug)]
pub struct Kept {
    /// Sessions that were ended, logins that were used.
    pub sessions: Arc<Sessions>,
    /// Proofs of possession that were used.
    pub proofs: Arc<Proofs>,
}

impl Handler for Gateway {
    async fn handle(&self, request: Request<Incoming>, on: &Connection) -> Response<Body> {
        let mut record = Record::begin(&request, on.peer);
        let wants = Wants::of(request.method(), request.headers());
        let target = request.uri().path_and_query().cloned();
        let response = match self.answer(request, on, &mut record).await {
            Ok(response) => response,
            Err(rejection) => {
                let target = target.as_ref().map_or("/", |target| target.as_str());
                self.replies.reject(&rejection, wants, target, &record.id().to_string())
            }
        };
        record.answered(response.status());
        response
    }
}

impl Gateway {
    /// Puts the path together. `tls` is used towards upstreams; `header_bytes` is the most a request's header section may have.
    ///
    /// # Errors
    /// [`InvalidUpstream`].
    pub fn new(
        settings: Settings,
        header_bytes: usize,
        tls: &rustls::ClientConfig,
        Kept { sessions, proofs }: Kept,
        providers: Arc<Providers>,
        endpoints: Endpoints,
        clock: Clock,
    ) -> Result<Self, InvalidUpstream> {
        let trusted = settings.trusted_proxies.clone();
        Ok(Self {
            hygiene: Hygiene::new(settings.own_headers(), trusted, &settings.origin, header_bytes),
            routes: Table::new(&settings, &providers, |url| Upstream::new(url, &settings.upstream, tls))?,
            sessions,
            providers,
            tokens: Tokens::new(settings.token_answers, clock.clone()),
            proofs,
            identity_headers: IdentityHeaders::new(&settings),
            replies: Replies::new(settings.origin.clone(), endpoints.links().clone(), Arc::clone(endpoints.pages())),
            endpoints,
            settings,
            clock,
        })
    }

    /// Begins to ask the providers for what a sign-in will need; waits for nothing.
    pub fn warm(&self) {
        self.providers.all().for_each(|provider| provider.warm());
    }

    async fn answer(
        &self,
        request: Request<Incoming>,
        on: &Connection,
        record: &mut Record,
    ) -> Result<Response<Body>, Rejection> {
        let now = self.clock.now();
        let mut request = self.hygiene.clean(request, on)?; // 1
        let route = match self.routes.find(&request)? {
            // 2
            Destination::Route(route) => route,
            // Boxed: rare, and every other request would have to make room for it.
            Destination::Endpoint => return Box::pin(self.endpoint(request, now, record)).await,
            Destination::Metadata(route) => {
                record.endpoint("resource-metadata");
                return resource::metadata(request.method(), route);
            }
        };
        record.route(&route.name);
        let caller = self.caller(&request, route, on, now).await?; // 3
        let permit = authorise::permit(route, caller)?; // 4
        let upgrade = request.upgrade();
        self.identity_headers.apply(request.headers_mut(), &permit, now)?; // 5
        let sending = upstream::send(request, &permit, &self.sessions); // 6
        let response = sending.await.map_err(Rejection::Upstream)?;
        let mut response = if upgrade::is_switch(&response) {
            let idle = self.settings.upstream.tunnel_idle_timeout;
            upgrade::tunnel(response, upgrade, idle, on.cut.clone()).map_err(Rejection::Upstream)?
        } else {
            upstream::answer(response, &self.sessions)
        };
        if let Some(Caller::Session(session)) = permit.caller() {
            self.keep_alive(session, &mut response, now);
        }
        Ok(response)
    }

    /// A session that is being used is sealed anew now and then, so that it does not become idle.
    fn keep_alive(&self, session: &Session, response: &mut Response<Body>, now: UnixTime) {
        if !self.sessions.is_due(session, now) {
            return;
        }
        if let Ok(cookie) = self.sessions.seal(&self.sessions.renewed(session, now)) {
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, cookie);
            // A shared cache must not give this cookie to anybody else (T-038).
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    async fn endpoint(&self, request: Clean, now: UnixTime, record: &mut Record) -> Result<Response<Body>, Rejection> {
        let session = authenticate::session(&request, &self.sessions, &self.providers, now);
        let (parts, body, _) = request.into_parts();
        let path = parts.uri.path().strip_prefix(self.settings.prefix.as_str()).unwrap_or_default();
        record.endpoint(Endpoints::name(path));
        let visit = Visit {
            path,
            method: &parts.method,
            query: parts.uri.query(),
            headers: &parts.headers,
            session: session.as_ref(),
            now,
        };
        Ok(self.endpoints.answer(visit, body).await?)
    }
}
