//! Sockets in: accepts connections, speaks TLS and HTTP on them, hands each request to a [`Handler`], and drains.
//!
//! Knows nothing of what a request means.

mod activity;
mod client_certificate;
mod connection;
mod listener;
pub mod tls;
mod watched;

use std::{
    future::Future,
    net::{IpAddr, SocketAddr},
    path::PathBuf,
    sync::Arc,
    time::Duration,
};

use http::{HeaderValue, Request, Response};
use hyper::body::Incoming;
use tokio::sync::Semaphore;
use tokio_util::{sync::CancellationToken, task::TaskTracker};
use tracing::{info, warn};

use crate::body::Body;

pub use listener::{BindError, Listener};

/// Where to listen and how much a peer may ask of us.
#[derive(Clone, Debug)]
pub struct Settings {
    /// Where callers connect.
    pub listen: Listen,
    /// How, when we end TLS ourselves.
    pub tls: Option<Tls>,
    /// What one peer, and all together, may use.
    pub limits: Limits,
    /// How long requests in flight may go on after SIGTERM.
    pub shutdown_grace: Duration,
}

/// A place to listen at.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// `host:port`; the host may be a name. Port 0 takes any free one.
    Tcp(String),
    /// `unix:/path`.
    Unix(PathBuf),
    /// `systemd`: the socket that the service manager passes.
    Systemd,
}

/// TLS towards callers: PEM files, and what is asked of callers.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Tls {
    /// The certificate chain, our own certificate first.
    pub cert: PathBuf,
    /// The private key.
    pub key: PathBuf,
    /// Callers are asked for a certificate, so that tokens can be bound to it (RFC 8705 §3). They need not have one.
    pub client_certificates: bool,
}

/// What one connection may use, and how many there may be.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's line and header section.
    pub header_bytes: usize,
    /// Header fields of a request.
    pub header_count: usize,
    /// For a TLS handshake, and for a header section from its first byte to its end. Noticed at the latest after twice this time.
    pub header_timeout: Duration,
    /// How long a connection may wait for its next request. Noticed at most `header_timeout` later.
    pub idle_timeout: Duration,
    /// Connections open at the same time; further ones wait in the listen queue.
    pub connections: usize,
}

/// The other end of a connection: a browser, or the load balancer in front of us.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Peer {
    /// An address.
    Tcp(SocketAddr),
    /// Whoever may open our unix socket.
    Unix,
}

impl Peer {
    /// Its address; a unix socket has none.
    #[must_use]
    pub fn ip(self) -> Option<IpAddr> {
        match self {
            Self::Tcp(address) => Some(address.ip().to_canonical()),
            Self::Unix => None,
        }
    }
}

/// What a request came in on.
#[derive(Debug)]
pub struct Connection {
    /// The other end.
    pub peer: Peer,
    /// Its address as headers carry it, written once for all requests; a unix socket has none.
    pub peer_ip: Option<HeaderValue>,
    /// SHA-256 of the certificate that the other end has shown and holds the key of (DER), where it was asked for one.
    pub client_certificate: Option<[u8; 32]>,
    /// Fires when the grace period is over: whatever outlives its request (a tunnel) ends then.
    pub cut: CancellationToken,
}

/// Answers requests.
pub trait Handler: Send + Sync + 'static {
    /// The answer to `request`, whatever happens.
    fn handle(
        &self,
        request: Request<Incoming>,
        connection: &Connection,
    ) -> impl Future<Output = Response<Body>> + Send;
}

/// Accepts connections until `stop`, then lets requests in flight finish within `settings.shutdown_grace`.
///
/// `tls` is `Some` exactly when this listener ends TLS.
pub async fn serve<H: Handler>(
    mut listener: Listener,
    handler: Arc<H>,
    settings: &Settings,
    tls: Option<tls::Acceptor>,
    stop: CancellationToken,
) {
    let connections = TaskTracker::new();
    let places = Arc::new(Semaphore::new(settings.limits.connections));
    let protocols = Arc::new(connection::Protocols::new(&settings.limits));
    // Cut when the grace is over.
    let cut = CancellationToken::new();

    loop {
        // A place first: without one, callers wait in the listen queue instead of being turned away.
        let place = tokio::select! {
            () = stop.cancelled() => break,
            place = Arc::clone(&places).acquire_owned() => place,
        };
        // Never closed; if it were, nothing more could be accepted.
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Out of descriptors, most likely: spinning would make it worse.
                warn!(error = %error, "Could not accept a connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Held as long as the stream lives, which may be longer than HTTP is spoken on it.
        let lease = connection::Lease { _place: place, _token: connections.token() };
        let peer_ip = peer.ip().and_then(|ip| HeaderValue::try_from(ip.to_string()).ok());
        let on = Connection { peer, peer_ip, client_certificate: None, cut: cut.clone() };
        let serving = connection::serve(
            stream,
            lease,
            on,
            Arc::clone(&handler),
            Arc::clone(&protocols),
            tls.clone(),
            stop.clone(),
        );
        let cut = cut.clone();
        tokio::spawn(async move {
            tokio::select! {
                () = serving => {}
                () = cut.cancelled() => {}
            }
        });
    }

    drop(listener);
    connections.close();
    let open = connections.len();
    if open > 0 {
        info!(connections = open, grace_s = settings.shutdown_grace.as_secs(), "Draining");
    }
    if tokio::time::timeout(settings.shutdown_grace, connections.wait()).await.is_err() {
        warn!(connections = connections.len(), "Grace period is over: cutting what is left");
        cut.cancel();
        connections.wait().await;
    }
}
