//! The operator's own listener: liveness, readiness, and people's sessions. Never on the public one.
//!
//! Whoever reaches it is an administrator: it listens on loopback unless configured otherwise. What pages in an administrator's browser send
//! there is not the administrator's wish; see `browsers`.

mod browsers;
mod sessions;

use std::{
    borrow::Cow,
    fmt, io,
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
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
    clock::Clock,
    providers::Providers,
    server::{Connection, Handler, Listen},
    sessions::{Sessions, Standing},
};

/// Where operators connect.
#[derive(Clone, Debug)]
pub struct Settings {
    /// `None` when `admin.listen` is empty: no listener.
    pub listen: Option<Listen>,
}

/// What operators look at and change.
#[derive(Clone, Debug)]
pub struct InForce {
    /// Everybody's.
    pub sessions: Arc<Sessions>,
    /// Those that are configured.
    pub providers: Arc<Providers>,
}

/// `/livez`, `/readyz` and `/sessions`.
pub struct Admin {
    is_ready: AtomicBool,
    in_force: Box<dyn Fn() -> InForce + Send + Sync>,
    clock: Clock,
}

impl fmt::Debug for Admin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Admin").field("is_ready", &self.is_ready).finish_non_exhaustive()
    }
}

impl Admin {
    /// `in_force` is asked at each request, because a reload changes what it says.
    #[must_use]
    pub fn new(in_force: impl Fn() -> InForce + Send + Sync + 'static, clock: Clock) -> Self {
        Self { is_ready: AtomicBool::new(false), in_force: Box::new(in_force), clock }
    }

    /// Whether new requests should be sent here: from the first accepted connection on, until a shutdown begins.
    pub fn set_ready(&self, is_ready: bool) {
        self.is_ready.store(is_ready, Ordering::Release);
    }

    fn answer(&self, method: &Method, path: &str) -> (StatusCode, Cow<'static, str>) {
        if !matches!(*method, Method::GET | Method::HEAD) {
            return (StatusCode::METHOD_NOT_ALLOWED, "GET or HEAD\n".into());
        }
        match path {
            "/livez" => (StatusCode::OK, "alive\n".into()),
            "/readyz" if self.is_ready.load(Ordering::Acquire) => {
                let sessions = (self.in_force)().sessions;
                readiness(sessions.ledger().standing(), sessions.is_cut_off(self.clock.now()))
            }
            "/readyz" => (StatusCode::SERVICE_UNAVAILABLE, "not ready\n".into()),
            _ => (StatusCode::NOT_FOUND, "/livez, /readyz or /sessions\n".into()),
        }
    }
}

/// Whether requests should come here, as far as ended sessions are known: where `is_cut_off`, no session counts.
fn readiness(standing: Standing, is_cut_off: bool) -> (StatusCode, Cow<'static, str>) {
    match standing {
        Standing::InStep => (StatusCode::OK, "ready\n".into()),
        Standing::Unread { .. } => {
            (StatusCode::SERVICE_UNAVAILABLE, "not ready: the session store has not answered yet\n".into())
        }
        Standing::CutOff { since } if is_cut_off => {
            let text = format!("not ready: the session store has not answered since {}\n", since.utc());
            (StatusCode::SERVICE_UNAVAILABLE, text.into())
        }
        Standing::CutOff { since } => {
            (StatusCode::OK, format!("ready, but the session store has not answered since {}\n", since.utc()).into())
        }
    }
}

impl Handler for Admin {
    async fn handle(&self, request: Request<Incoming>, on: &Connection) -> Response<Body> {
        let path = request.uri().path();
        if path == "/sessions" || path.starts_with("/sessions/") {
            return sessions::answer(&request, on.peer, &(self.in_force)(), self.clock.now()).await;
        }
        let (status, text) = self.answer(request.method(), path);
        let body = match text {
            Cow::Borrowed(text) => Body::from(text),
            Cow::Owned(text) => Body::from(text),
        };
        with_headers(status, "text/plain; charset=utf-8", body)
    }
}

fn with_headers(status: StatusCode, content_type: &'static str, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(content_type));
    headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    headers.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    response
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::UnixTime;

    #[test]
    fn a_replica_that_does_not_know_what_has_ended_is_not_ready() {
        let since = UnixTime(1_800_000_000);
        let silent = "the session store has not answered since 2027-01-15T08:00:00Z\n";
        for (standing, is_cut_off, status, text) in [
            (Standing::Unread { since }, true, 503, "not ready: the session store has not answered yet\n".to_owned()),
            (Standing::Unread { since }, false, 503, "not ready: the session store has not answered yet\n".to_owned()),
            (Standing::CutOff { since }, true, 503, format!("not ready: {silent}")),
            (Standing::CutOff { since }, false, 200, format!("ready, but {silent}")),
            (Standing::InStep, false, 200, "ready\n".to_owned()),
        ] {
            let (answer, said) = readiness(standing, is_cut_off);
            assert_eq!((answer.as_u16(), &*said), (status, &*text), "{standing:?}");
        }
    }
}
