//! The path of a request, one file a step, on one screen: [`Gateway::handle`].

mod authenticate;
mod authorise;
mod encoding;
mod hygiene;
mod identity_headers;
mod peer;
mod refresh;
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
    endpoints::{Endpoints, UsedLogoutTokens, Visit},
    providers::Providers,
    server::{Connection, Handler},
    sessions::{Session, Sessions, Whence},
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

pub use {refresh::Refresher, upstream::InvalidUpstream};

/// Everything a request meets. Built once by `app`; a reload builds another.
#[derive(Debug)]
pub struct Gateway {
    hygiene: Hygiene,
    routes: Table,
    sessions: Arc<Sessions>,
    providers: Arc<Providers>,
    tokens: Tokens,
    proofs: Arc<Proofs>,
    refresher: Arc<Refresher>,
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
    /// What came of the last look at sessions.
    pub refresher: Arc<Refresher>,
    /// Logout tokens of providers that were used.
    pub logout_tokens: Arc<UsedLogoutTokens>,
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
        Kept { sessions, proofs, refresher, .. }: Kept,
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
            refresher,
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
        let whence = self.is_renewal(caller.as_ref(), now).then(|| Box::new(self.hygiene.whence(&request)));
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
        if let (Some(Caller::Session { session, .. }), Some(whence)) = (permit.caller(), whence) {
            self.renew(session, *whence, &mut response, now);
        }
        Ok(response)
    }

    /// Whether this answer seals the session anew: it has been looked at, or would become idle otherwise.
    fn is_renewal(&self, caller: Option<&Caller>, now: UnixTime) -> bool {
        match caller {
            Some(Caller::Session { session, is_renewed, .. }) => *is_renewed || self.sessions.is_due(session, now),
            Some(Caller::Token(_)) | None => false,
        }
    }

    fn renew(&self, session: &Session, whence: Whence, response: &mut Response<Body>, now: UnixTime) {
        let renewed = self.sessions.renewed(session, now);
        if let Ok(cookie) = self.sessions.seal(&renewed) {
            if self.refresher.notes(&renewed.id, self.sessions.renewal(), now) {
                // Nobody waits for the listing.
                let sessions = Arc::clone(&self.sessions);
                tokio::spawn(async move { sessions.list(&renewed, &whence).await });
            }
            let headers = response.headers_mut();
            headers.append(header::SET_COOKIE, cookie);
            // A shared cache must not give this cookie to anybody else (T-038).
            headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        }
    }

    async fn endpoint(&self, request: Clean, now: UnixTime, record: &mut Record) -> Result<Response<Body>, Rejection> {
        let session = authenticate::session(&request, &self.sessions, &self.providers, now);
        if session.is_some() && self.sessions.is_cut_off(now) && Endpoints::speaks_of_sessions(request.path()) {
            return Err(Rejection::CutOff);
        }
        let whence = self.hygiene.whence(&request);
        let (parts, body, _) = request.into_parts();
        let path = parts.uri.path().strip_prefix(self.settings.prefix.as_str()).unwrap_or_default();
        record.endpoint(Endpoints::name(path));
        let visit = Visit {
            path,
            method: &parts.method,
            query: parts.uri.query(),
            headers: &parts.headers,
            session: session.as_ref(),
            whence: &whence,
            now,
        };
        Ok(self.endpoints.answer(visit, body).await?)
    }
}
