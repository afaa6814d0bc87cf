//! The operator's own listener: liveness and readiness, never on the public one.

use std::{
    io,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use http::{HeaderValue, Method, Request, Response, StatusCode, header};
use hyper::body::Incoming;
use tokio::{
    io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _},
    net::{TcpStream, UnixStream},
};

use crate::{
    body::Body,
    server::{Connection, Handler, Listen},
};

/// Where operators connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` when `admin.listen` is empty: no listener.
    pub listen: Option<Listen>,
}

/// `/livez` and `/readyz`.
#[derive(Debug, Default)]
pub struct Admin {
    is_ready: AtomicBool,
}

impl Admin {
    /// Whether new requests should be sent here: from the first accepted connection on, until a shutdown begins.
    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Release);
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, &'static str) {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n");
        }
        match path {
            "/livez" => (StatusCode::OK, "alive\n"),
            "/readyz" if self.is_ready.load(Ordering::Acquire) => (StatusCode::OK, "ready\n"),
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n"),
            _ => (StatusCode::NOT_FOUND, "/livez or /readyz\n"),
        }
    }
}

impl Handler for Admin {
    async fn handle(&self, request: Request<Incoming>, _: &Connection) -> Response<Body> {
        let (status, text) = self.answer(request.method(), request.uri().path());
        let mut response = Response::new(Body::from(text));
        *response.status_mut() = status;
        response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("text/plain; charset=utf-8"));
        response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        response
    }
}

/// Why a running gateway is not known to be ready.
#[derive(Debug, thiserror::Error)]
pub enum HealthError {
    /// Nobody answers there.
    #[error("the gateway does not answer at its admin listener")]
    Unreachable(#[from] io::Error),
    /// It took too long.
    #[error("the gateway does not answer within two seconds")]
    Timeout,
    /// It says so.
    #[error("the gateway says that it is not ready")]
    NotReady,
    /// A passed socket has no address that could be asked.
    #[error("`admin.listen` is a passed socket, which has no address to ask at")]
    NoAddress,
}

/// Asks the gateway that listens at `listen` for `/readyz`: the health check of a container without a shell.
///
/// # Errors
/// [`HealthError`] when it is not ready, or nobody knows.
pub async fn ask_ready(listen: &Listen) -> Result<(), HealthError> {
    let asking = async {
        match listen {
            Listen::Tcp(address) => ask(TcpStream::connect(address).await?).await,
            Listen::Unix(path) => ask(UnixStream::connect(path).await?).await,
            Listen::Systemd => Err(HealthError::NoAddress),
        }
    };
    tokio::time::timeout(Duration::from_secs(2), asking).await.map_err(|_| HealthError::Timeout)?
}

async fn ask(mut stream: impl AsyncRead + AsyncWrite + Unpin) -> Result<(), HealthError> {
    stream.write_all(b"GET /readyz HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n").await?;
    let mut head = [0; 12];
    stream.read_exact(&mut head).await?;
    if head.ends_with(b" 200") { Ok(()) } else { Err(HealthError::NotReady) }
}
