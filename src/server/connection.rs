//! One connection: HTTP/1.1 or HTTP/2 by hyper, under our limits, until its peer, a timeout or a drain ends it.
//!
//! * hyper's own header timeout also counts the time between requests and arms a timer for each of them. Here one timer a connection looks,
//!   now and then, at what the connection is waiting for and since when; a request costs it two readings of the clock.
//! * An HTTP/1.1 connection that is idle for a while rests: hyper and its two buffers go, only the stream stays. The next byte brings them
//!   back. That is half of what an idle connection would hold otherwise.

use std::{
    convert::Infallible,
    future::poll_fn,
    pin::{Pin, pin},
    sync::{Arc, atomic::Ordering},
    task::Poll,
    time::Duration,
};

use http::Request;
use hyper::{
    body::Incoming,
    server::conn::http1,
    service::{HttpService, service_fn},
};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, AsyncWriteExt as _},
    sync::OwnedSemaphorePermit,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};
use tracing::debug;

use super::{
    Connection, Handler, Limits,
    activity::{Activity, Busy, Tracked},
    client_certificate,
    listener::Stream,
    tls,
    watched::Watched,
};

/// What is read of a body at once, at most: more makes no upload faster.
const BUFFER: usize = 64 * 1024;
/// The header fields that hyper takes when it is told nothing.
const HYPER_HEADERS: usize = 100;
/// HTTP/2 streams of one connection at the same time.
const STREAMS: u32 = 100;
/// HTTP/2: how often a silent peer is asked whether it is still there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How often a connection looks at itself, at least.
const LOOK: Duration = Duration::from_secs(2);
/// How long it is idle before it rests: a caller who goes on within a page's loading time finds everything in place.
const REST_AFTER: Duration = Duration::from_secs(2);

/// hyper, set up once for all connections of a listener.
pub(super) struct Protocols {
    http1: http1::Builder,
    /// HTTP/2, or what turns out to be spoken.
    other: auto::Builder<TokioExecutor>,
    header_timeout: Duration,
    idle_timeout: Duration,
}

/// What a peer speaks.
#[derive(Clone, Copy)]
enum Spoken {
    Http1,
    /// HTTP/2, or not known yet.
    Other,
}

impl Protocols {
    pub(super) fn new(limits: &Limits) -> Self {
        let mut http1 = http1::Builder::new();
        http1
            .header_read_timeout(None)
            .max_header_size(limits.header_bytes)
            .max_buf_size(BUFFER.max(limits.header_bytes))
            .half_close(false);
        let mut other = auto::Builder::new(TokioExecutor::new());
        // This builder knows no limit for the header section alone.
        other.http1().header_read_timeout(None).max_buf_size(limits.header_bytes.max(8_192)).half_close(false);
        // Setting it, even to its default, has hyper take another and slower way for every request.
        if limits.header_count != HYPER_HEADERS {
            http1.max_headers(limits.header_count);
            other.http1().max_headers(limits.header_count);
        }
        other
            .http2()
            .timer(TokioTimer::new())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(u32::try_from(limits.header_bytes).unwrap_or(u32::MAX))
            .keep_alive_interval(PING_INTERVAL)
            .keep_alive_timeout(PING_TIMEOUT);
        Self { http1, other, header_timeout: limits.header_timeout, idle_timeout: limits.idle_timeout }
    }
}

impl Protocols {
    /// What a peer without TLS speaks, by a look at its first bytes (RFC 9113 §3.4); `None` when it says nothing in time.
    async fn spoken_on(&self, stream: &Stream) -> Option<Spoken> {
        const HTTP2: [u8; 3] = *b"PRI";
        let Stream::Tcp(tcp) = stream else { return Some(Spoken::Other) };
        let mut first = [0; HTTP2.len()];
        let seen = tokio::time::timeout(self.header_timeout, tcp.peek(&mut first)).await.ok()?.ok()?;
        let seen = first.get(..seen).filter(|seen| !seen.is_empty())?;
        Some(if HTTP2.starts_with(seen) { Spoken::Other } else { Spoken::Http1 })
    }
}

/// A connection's place among those allowed, and its mark among those a drain waits for.
pub(super) struct Lease {
    pub(super) _place: OwnedSemaphorePermit,
    pub(super) _token: TaskTrackerToken,
}

/// Serves one connection to its end.
pub(super) async fn serve<H: Handler>(
    stream: Stream,
    lease: Lease,
    on: Connection,
    handler: Arc<H>,
    protocols: Arc<Protocols>,
    tls: Option<tls::Acceptor>,
    stop: CancellationToken,
) {
    let Some(tls) = tls else {
        let spoken = tokio::select! {
            spoken = protocols.spoken_on(&stream) => spoken,
            () = stop.cancelled() => None,
        };
        if let Some(spoken) = spoken {
            speak(stream, lease, on, handler, spoken, &protocols, stop).await;
        }
        return;
    };
    // Boxed: plain connections should not carry the room that TLS needs.
    match Box::pin(tokio::time::timeout(protocols.header_timeout, tls.accept(stream))).await {
        Ok(Ok(stream)) => {
            let (_, session) = stream.get_ref();
            let is_http2 = session.alpn_protocol() == Some(b"h2");
            let spoken = if is_http2 { Spoken::Other } else { Spoken::Http1 };
            let on = Connection { client_certificate: client_certificate::thumbprint(session), ..on };
            Box::pin(speak(stream, lease, on, handler, spoken, &protocols, stop)).await;
        }
        Ok(Err(error)) => debug!(error = %error, "TLS handshake failed"),
        Err(_) => debug!("TLS handshake took too long"),
    }
}

async fn speak<S, H>(
    stream: S,
    lease: Lease,
    on: Connection,
    handler: Arc<H>,
    spoken: Spoken,
    protocols: &Protocols,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    H: Handler,
{
    let activity = Arc::new(Activity::new());
    let stream = Watched::new(stream, Arc::clone(&activity), lease);
    let shared = Arc::new((handler, on));
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let busy = Busy::new(Arc::clone(&activity), &request);
        async move {
            let (handler, on) = &*shared;
            let response = handler.handle(request, on).await;
            Ok::<_, Infallible>(response.map(|body| Tracked::new(body, busy)))
        }
    });
    match spoken {
        Spoken::Http1 => http1(stream, service, &activity, protocols, stop).await,
        // Boxed: HTTP/1 is what most connections speak, and this is three times as large.
        Spoken::Other => {
            let connection = protocols.other.serve_connection_with_upgrades(TokioIo::new(stream), service);
            let mut connection = Box::pin(connection);
            let shutdown = auto::UpgradeableConnection::graceful_shutdown;
            drive(connection.as_mut(), shutdown, |_| false, &activity, protocols, &stop).await;
        }
    }
}

/// HTTP/1.1 until the end, with rests.
async fn http1<S, V>(
    mut stream: Watched<S>,
    mut service: V,
    activity: &Activity,
    protocols: &Protocols,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    V: HttpService<Incoming, ResBody = Tracked, Error = Infallible> + Unpin,
    V::Future: Send,
{
    loop {
        let mut connection = protocols.http1.serve_connection(TokioIo::new(stream), service).with_upgrades();
        let shutdown = http1::UpgradeableConnection::graceful_shutdown;
        let may_rest = |activity: &Activity| activity.is_at_rest(REST_AFTER);
        if drive(Pin::new(&mut connection), shutdown, may_rest, activity, protocols, &stop).await == Driven::ToItsEnd {
            return;
        }
        let Some(parts) = connection.into_parts() else { return };
        (stream, service) = (parts.io.into_inner(), parts.service);
        // Nearly always nothing: then the peer has to begin before hyper is needed.
        if !stream.put_back(parts.read_buf) && !rest(&mut stream, activity, protocols.idle_timeout, &stop).await {
            return;
        }
    }
}

/// Waits with nothing but the stream; true when the peer has begun the next request.
async fn rest<S>(stream: &mut Watched<S>, activity: &Activity, idle_timeout: Duration, stop: &CancellationToken) -> bool
where
    S: AsyncRead + AsyncWrite + Unpin,
{
    let began = tokio::select! {
        began = stream.begins() => began,
        () = stop.cancelled() => false,
        () = tokio::time::sleep(activity.idle_for_another(idle_timeout)) => false,
    };
    if !began {
        // TLS says goodbye; whether the peer hears it does not matter any more.
        let _ = stream.shutdown().await;
    }
    began
}

/// How [`drive`] ended.
#[derive(PartialEq)]
enum Driven {
    /// The connection is over.
    ToItsEnd,
    /// It is whole, idle, and nothing is left to read or to write: it can be taken apart.
    ToARest,
}

/// Lets `connection` run until its end, a drain's, or a timeout's, or until it `may_rest`.
async fn drive<C, E>(
    mut connection: Pin<&mut C>,
    graceful_shutdown: impl Fn(Pin<&mut C>),
    may_rest: impl Fn(&Activity) -> bool,
    activity: &Activity,
    protocols: &Protocols,
    stop: &CancellationToken,
) -> Driven
where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let every = protocols.header_timeout.min(LOOK);
    let mut look = pin!(tokio::time::sleep(every));
    let mut is_draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // A peer's doing: it went away, or did not speak HTTP.
                    debug!(error = %error, "Connection ended early");
                }
                return Driven::ToItsEnd;
            }
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                graceful_shutdown(connection.as_mut());
            }
            () = look.as_mut() => {
                look.as_mut().reset(Instant::now() + every);
                if activity.is_overdue(protocols.header_timeout, protocols.idle_timeout) {
                    // HTTP/2 says goodbye; whatever does not end within the next look is dropped.
                    if is_draining || !activity.is_http2.load(Ordering::Relaxed) {
                        return Driven::ToItsEnd;
                    }
                    is_draining = true;
                    graceful_shutdown(connection.as_mut());
                } else if !is_draining && may_rest(activity) {
                    // hyper ends at once when it is between two requests, and only then: this is how it is asked. Its end must not be the
                    // stream's, which therefore does not close meanwhile.
                    activity.keeps_open.store(true, Ordering::Relaxed);
                    graceful_shutdown(connection.as_mut());
                    match poll_once(connection.as_mut()).await {
                        Poll::Ready(Ok(())) => return Driven::ToARest,
                        Poll::Ready(Err(_)) => return Driven::ToItsEnd,
                        // It was not, against all signs. It ends after what it is at.
                        Poll::Pending => is_draining = true,
                    }
                    activity.keeps_open.store(false, Ordering::Relaxed);
                }
            }
        }
    }
}

async fn poll_once<F: Future>(mut future: Pin<&mut F>) -> Poll<F::Output> {
    poll_fn(|cx| Poll::Ready(future.as_mut().poll(cx))).await
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
