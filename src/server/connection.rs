//! One connection: HTTP/1.1 or HTTP/2 by hyper, under our limits, until its peer, a timeout or a drain ends it.
//!
//! hyper's own header timeout also counts the time between requests and arms a timer for each of them. Here one timer a connection looks,
//! every `header_timeout`, at what the connection is waiting for and since when; a request costs it two readings of the clock.

use std::{
    io,
    pin::{Pin, pin},
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll, ready},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::{
    rt::{TokioExecutor, TokioIo, TokioTimer},
    server::conn::auto,
};
use tokio::{
    io::{AsyncRead, AsyncWrite, ReadBuf},
    sync::OwnedSemaphorePermit,
    time::Instant,
};
use tokio_util::{sync::CancellationToken, task::task_tracker::TaskTrackerToken};
use tracing::debug;

use super::{Connection, Handler, Limits, listener::Stream, tls};
use crate::body::Body;

/// What is read of a body at once, at most: more makes no upload faster.
const BUFFER: usize = 64 * 1024;
/// The header fields that hyper takes when it is told nothing.
const HYPER_HEADERS: usize = 100;
/// HTTP/2 streams of one connection at the same time.
const STREAMS: u32 = 100;
/// HTTP/2: how often a silent peer is asked whether it is still there, and how long it may take to answer.
const PING_INTERVAL: Duration = Duration::from_secs(20);
const PING_TIMEOUT: Duration = Duration::from_secs(10);
/// How long, and for how many bytes, a peer that may still be sending a body is listened to after its last answer.
const LINGER_TIME: Duration = Duration::from_secs(2);
const LINGER_BYTES: usize = 64 * 1024 * 1024;

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
            let is_http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
            let spoken = if is_http2 { Spoken::Other } else { Spoken::Http1 };
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
    let stream = Watched { stream, activity: Arc::clone(&activity), linger: None, _lease: lease };
    let shared = Arc::new((handler, on));
    let service = service_fn(|request: Request<Incoming>| {
        let shared = Arc::clone(&shared);
        let busy = Busy::new(Arc::clone(&activity), &request);
        async move {
            let (handler, on) = &*shared;
            let response = handler.handle(request, on).await;
            Ok::<_, std::convert::Infallible>(response.map(|body| Tracked { body, _busy: busy }))
        }
    });
    let stream = TokioIo::new(stream);
    match spoken {
        Spoken::Http1 => {
            let connection = pin!(protocols.http1.serve_connection(stream, service).with_upgrades());
            drive(connection, http1::UpgradeableConnection::graceful_shutdown, &activity, protocols, stop).await;
        }
        // Boxed: HTTP/1 is what most connections speak, and this is three times as large.
        Spoken::Other => {
            let mut connection = Box::pin(protocols.other.serve_connection_with_upgrades(stream, service));
            let shutdown = auto::UpgradeableConnection::graceful_shutdown;
            drive(connection.as_mut(), shutdown, &activity, protocols, stop).await;
        }
    }
}

/// Lets `connection` run until its end, a drain's, or a timeout's.
async fn drive<C, E>(
    mut connection: Pin<&mut C>,
    graceful_shutdown: impl Fn(Pin<&mut C>),
    activity: &Activity,
    protocols: &Protocols,
    stop: CancellationToken,
) where
    C: Future<Output = Result<(), E>>,
    E: std::fmt::Display,
{
    let mut look = pin!(tokio::time::sleep(protocols.header_timeout));
    let mut is_draining = false;
    loop {
        tokio::select! {
            ended = connection.as_mut() => {
                if let Err(error) = ended {
                    // A peer's doing: it went away, or did not speak HTTP.
                    debug!(error = %error, "Connection ended early");
                }
                return;
            }
            () = stop.cancelled(), if !is_draining => {
                is_draining = true;
                graceful_shutdown(connection.as_mut());
            }
            () = look.as_mut() => {
                if activity.is_overdue(protocols) {
                    // HTTP/2 says goodbye; whatever does not end within the next look is dropped.
                    if is_draining || !activity.is_http2.load(Ordering::Relaxed) {
                        return;
                    }
                    is_draining = true;
                    graceful_shutdown(connection.as_mut());
                }
                look.as_mut().reset(Instant::now() + protocols.header_timeout);
            }
        }
    }
}

/// What a connection is doing, told by its stream and its responses.
struct Activity {
    started: Instant,
    /// Requests under way, from their head to the end of the answer's body.
    in_flight: AtomicU32,
    /// When the connection last became idle, in milliseconds after `started`.
    idle_since: AtomicU64,
    /// When the first byte of the next head came, in milliseconds after `started`; `NO_HEAD` before it did.
    head_since: AtomicU64,
    /// Then single bytes mean nothing: pings come and go on an idle connection.
    is_http2: AtomicBool,
    /// The last request had a body, which may not have been read to its end.
    had_body: AtomicBool,
}

const NO_HEAD: u64 = u64::MAX;

impl Activity {
    fn new() -> Self {
        // A peer that connects and says nothing is treated as one that is slow with its first head.
        Self {
            started: Instant::now(),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NO_HEAD - 1)
    }

    fn is_overdue(&self, protocols: &Protocols) -> bool {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let now = self.elapsed_ms();
        let past = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) >= limit.as_millis();
        match self.head_since.load(Ordering::Relaxed) {
            NO_HEAD => past(self.idle_since.load(Ordering::Relaxed), protocols.idle_timeout),
            since => past(since, protocols.header_timeout),
        }
    }
}

/// Stands for one request under way.
struct Busy(Arc<Activity>);

impl Busy {
    fn new(activity: Arc<Activity>, request: &Request<Incoming>) -> Self {
        activity.is_http2.store(request.version() == Version::HTTP_2, Ordering::Relaxed);
        activity.had_body.store(!request.body().is_end_stream(), Ordering::Relaxed);
        activity.in_flight.fetch_add(1, Ordering::Relaxed);
        Self(activity)
    }
}

impl Drop for Busy {
    fn drop(&mut self) {
        let activity = &self.0;
        activity.idle_since.store(activity.elapsed_ms(), Ordering::Relaxed);
        activity.head_since.store(NO_HEAD, Ordering::Relaxed);
        activity.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
}

/// An answer's body; the request counts as under way until it has been sent or dropped.
struct Tracked {
    body: Body,
    _busy: Busy,
}

impl HttpBody for Tracked {
    type Data = Bytes;
    type Error = hyper::Error;

    fn poll_frame(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, hyper::Error>>> {
        Pin::new(&mut self.get_mut().body).poll_frame(cx)
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.body.size_hint()
    }
}

/// A stream that notes when the first byte of a head arrives, and closes so that the last answer is not lost.
struct Watched<S> {
    stream: S,
    activity: Arc<Activity>,
    linger: Option<Linger>,
    _lease: Lease,
}

/// Our side is closed; what the peer still sends is taken from the wire and dropped.
struct Linger {
    until: Pin<Box<tokio::time::Sleep>>,
    bytes: usize,
}

impl<S: AsyncRead + Unpin> AsyncRead for Watched<S> {
    fn poll_read(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        let before = buf.filled().len();
        ready!(Pin::new(&mut this.stream).poll_read(cx, buf))?;
        let activity = &this.activity;
        let is_head = activity.in_flight.load(Ordering::Relaxed) == 0
            && activity.head_since.load(Ordering::Relaxed) == NO_HEAD
            && !activity.is_http2.load(Ordering::Relaxed);
        if is_head && buf.filled().len() > before {
            activity.head_since.store(activity.elapsed_ms(), Ordering::Relaxed);
        }
        Poll::Ready(Ok(()))
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> AsyncWrite for Watched<S> {
    fn poll_write(self: Pin<&mut Self>, cx: &mut Context<'_>, buf: &[u8]) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write(cx, buf)
    }

    fn poll_flush(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.get_mut().stream).poll_flush(cx)
    }

    fn poll_shutdown(self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let this = self.get_mut();
        if this.linger.is_none() {
            ready!(Pin::new(&mut this.stream).poll_shutdown(cx))?;
            if !this.activity.had_body.load(Ordering::Relaxed) {
                return Poll::Ready(Ok(()));
            }
        }
        // RFC 9112 §9.6: closing while the peer still sends (a body that was refused) resets the connection, and our answer is lost with it.
        let linger = this
            .linger
            .get_or_insert_with(|| Linger { until: Box::pin(tokio::time::sleep(LINGER_TIME)), bytes: LINGER_BYTES });
        let mut dropped = [0; 8_192];
        loop {
            let mut buffer = ReadBuf::new(&mut dropped);
            match Pin::new(&mut this.stream).poll_read(cx, &mut buffer) {
                Poll::Pending => return linger.until.as_mut().poll(cx).map(Ok),
                Poll::Ready(Err(_)) => return Poll::Ready(Ok(())),
                Poll::Ready(Ok(())) => {
                    linger.bytes = linger.bytes.saturating_sub(buffer.filled().len());
                    if buffer.filled().is_empty() || linger.bytes == 0 {
                        return Poll::Ready(Ok(()));
                    }
                }
            }
        }
    }

    fn poll_write_vectored(
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bufs: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.get_mut().stream).poll_write_vectored(cx, bufs)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }
}
