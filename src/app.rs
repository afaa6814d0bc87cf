//! Composition root: from [`Settings`] to every part, once. A reload builds the request path anew, swaps it as a whole, and lets requests on
//! the old one finish.

use std::sync::Arc;

use arc_swap::ArcSwap;
use http::{Request, Response};
use hyper::body::Incoming;
use tokio::signal::unix::{SignalKind, signal};
use tokio_util::sync::CancellationToken;
use tracing::{error, info, warn};

use crate::{
    admin::{Admin, InForce},
    assertion,
    body::Body,
    clock::Clock,
    config::Settings,
    endpoints::{
        Endpoints, Links, UsedLogoutTokens,
        pages::{Pages, PagesError},
    },
    gateway::{Gateway, InvalidUpstream, Kept},
    outgoing,
    providers::{self, Providers},
    server::{self, BindError, Connection, Handler, Listener, tls},
    sessions::Sessions,
    tokens::dpop::Proofs,
};

/// The whole process, built and bound, not yet serving.
pub struct App {
    settings: Settings,
    clock: Clock,
    listener: Listener,
    tls: Option<tls::Acceptor>,
    admin_listener: Option<Listener>,
    current: Arc<Current>,
    kept: Kept,
}

/// Proofs of possession that are remembered as used, for two minutes each.
const MAX_PROOFS: usize = 100_000;

/// Logout tokens that are remembered as used, for as long as each would be accepted.
const MAX_LOGOUT_TOKENS: usize = 100_000;

/// Why the process cannot start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// A place to listen at.
    #[error(transparent)]
    Bind(#[from] BindError),
    /// Certificate and key.
    #[error(transparent)]
    Tls(#[from] tls::TlsError),
    /// A provider's settings, its CA for instance.
    #[error(transparent)]
    Provider(#[from] providers::BuildError),
    /// An upstream.
    #[error(transparent)]
    Upstream(#[from] InvalidUpstream),
    /// The pages compiled in; a defect of ours.
    #[error(transparent)]
    Pages(#[from] PagesError),
    /// TLS towards upstreams.
    #[error("TLS cannot be set up")]
    Rustls(#[from] rustls::Error),
}

/// What a reload replaces as a whole.
struct Path {
    gateway: Gateway,
    /// The same for operators.
    in_force: InForce,
}

/// The request path in force.
struct Current(ArcSwap<Path>);

impl Handler for Current {
    async fn handle(&self, request: Request<Incoming>, on: &Connection) -> Response<Body> {
        // Held by the request: a reload meanwhile changes nothing for it.
        let path = self.0.load_full();
        path.gateway.handle(request, on).await
    }
}

impl App {
    /// Builds every part and binds the listeners.
    ///
    /// # Errors
    /// [`StartError`] names the part.
    pub fn build(settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let listener = Listener::bind(&settings.server.listen)?;
        Self::on(listener, settings, clock)
    }

    /// The same on a listener that is bound already.
    ///
    /// # Errors
    /// As [`App::build`].
    pub fn on(listener: Listener, settings: Settings, clock: Clock) -> Result<Self, StartError> {
        let admin_listener = settings.admin.listen.as_ref().map(Listener::bind).transpose()?;
        let tls = settings.server.tls.as_ref().map(tls::Acceptor::load).transpose()?;
        let sessions = Arc::new(Sessions::new(&settings.sessions, clock.clone()));
        let kept = Kept {
            sessions,
            proofs: Arc::new(Proofs::new(MAX_PROOFS)),
            refresher: Arc::default(),
            logout_tokens: Arc::new(UsedLogoutTokens::new(MAX_LOGOUT_TOKENS)),
        };
        let path = path(&settings, kept.clone(), clock.clone())?;
        let current = Arc::new(Current(ArcSwap::from_pointee(path)));
        Ok(Self { settings, clock, listener, tls, admin_listener, current, kept })
    }

    /// Where callers connect, when that is a TCP socket.
    #[must_use]
    pub fn address(&self) -> Option<std::net::SocketAddr> {
        self.listener.tcp_address()
    }

    /// Where operators connect, when that is a TCP socket.
    #[must_use]
    pub fn admin_address(&self) -> Option<std::net::SocketAddr> {
        self.admin_listener.as_ref().and_then(Listener::tcp_address)
    }

    /// Serves until `stop`, then drains. `reload` is asked for new settings after SIGHUP; it reports its own problems.
    pub async fn run(self, stop: CancellationToken, reload: impl Fn() -> Option<Settings> + Send + 'static) {
        let Self { settings, clock, listener, tls, admin_listener, current, kept } = self;
        let in_force = Arc::clone(&current);
        let admin = Arc::new(Admin::new(move || in_force.0.load().in_force.clone(), clock.clone()));
        let mut tasks = tokio::task::JoinSet::new();
        // The operator's listener outlives the drain, so that it can be watched.
        let admin_stop = CancellationToken::new();
        if let Some(listener) = admin_listener {
            let (admin, settings, stop) = (Arc::clone(&admin), settings.server.clone(), admin_stop.clone());
            tasks.spawn(async move { server::serve(listener, admin, &settings, None, stop).await });
        }
        let ledger = Arc::clone(kept.sessions.ledger());
        tasks.spawn(async move { ledger.keep_in_step().await });
        // So that the first person finds what is needed, and the first logout knows where the provider wants it.
        current.0.load().gateway.warm();
        match signal(SignalKind::hangup()) {
            Ok(mut hangups) => {
                let reloading = Reloading {
                    current: Arc::clone(&current),
                    tls: tls.clone(),
                    kept,
                    clock,
                    started: settings.clone(),
                };
                tasks.spawn(async move {
                    while hangups.recv().await.is_some() {
                        if let Some(settings) = reload() {
                            reloading.apply(&settings);
                        }
                    }
                });
            }
            Err(error) => warn!(error = %error, "SIGHUP cannot be received: no reload without a restart"),
        }

        // Readiness turns first, then the listener closes: whoever sends requests here should have looked by then.
        let unready = {
            let (admin, stop) = (Arc::clone(&admin), stop.clone());
            async move {
                stop.cancelled().await;
                admin.set_ready(false);
                info!("Stopping");
            }
        };
        admin.set_ready(true);
        info!(listen = %listener, "Ready");
        tokio::join!(unready, server::serve(listener, current, &settings.server, tls, stop.clone()));
        admin_stop.cancel();
        tasks.abort_all();
        info!("Stopped");
    }
}

/// What a reload replaces.
struct Reloading {
    current: Arc<Current>,
    tls: Option<tls::Acceptor>,
    kept: Kept,
    clock: Clock,
    started: Settings,
}

impl Reloading {
    /// As a whole or not at all.
    fn apply(&self, settings: &Settings) {
        let sessions = Arc::new(self.kept.sessions.reconfigured(&settings.sessions));
        let kept = Kept { sessions, ..self.kept.clone() };
        let path = match path(settings, kept, self.clock.clone()) {
            Ok(path) => path,
            Err(error) => {
                error!(error = &error as &dyn std::error::Error, "Reload failed: the old configuration stays in force");
                return;
            }
        };
        if let (Some(acceptor), Some(files)) = (&self.tls, &settings.server.tls)
            && let Err(error) = acceptor.reload(files)
        {
            error!(error = &error as &dyn std::error::Error, "Reload failed: the old configuration stays in force");
            return;
        }
        if settings.server.listen != self.started.server.listen || settings.server.limits != self.started.server.limits
        {
            warn!("Listeners and connection limits change with a restart only; everything else is in force");
        }
        if !self.kept.sessions.kept_in().reconfigure(&settings.sessions.store) {
            warn!("Another kind of session store comes with a restart only; everything else is in force");
        }
        self.current.0.store(Arc::new(path));
        info!("Reloaded");
    }
}

/// The request path and everything on it.
fn path(settings: &Settings, kept: Kept, clock: Clock) -> Result<Path, StartError> {
    let roots = outgoing::system_roots();
    let origin = settings.gateway.origin.clone();
    let pages = Arc::new(Pages::new(&origin)?);
    let links = Links::new(origin, settings.gateway.prefix.as_str());
    let providers =
        Arc::new(Providers::new(settings.providers.clone(), |name| links.callback_uri(name), &roots, &clock)?);
    let jwks = settings.gateway.assertion.as_ref().map(assertion::Settings::jwks);
    let max_age = settings.sessions.max_age;
    let (sessions, used) = (Arc::clone(&kept.sessions), Arc::clone(&kept.logout_tokens));
    let in_force = InForce { sessions: Arc::clone(&sessions), providers: Arc::clone(&providers) };
    let endpoints = Endpoints::new(links, pages, sessions, Arc::clone(&providers), max_age, jwks, used);
    let tls = outgoing::tls(roots)?;
    let header_bytes = settings.server.limits.header_bytes;
    let gateway = Gateway::new(settings.gateway.clone(), header_bytes, &tls, kept, providers, endpoints, clock)?;
    Ok(Path { gateway, in_force })
}
