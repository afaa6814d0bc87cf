//! What a connection is doing: told by its stream and its responses, asked by the one timer that it has.

use std::{
    pin::Pin,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU32, AtomicU64, Ordering},
    },
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use http::{Request, Version};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper::body::Incoming;
use tokio::time::Instant;

use crate::body::Body;

/// What a connection is doing, told by its stream and its responses.
pub(super) struct Activity {
    started: Instant,
    /// Requests under way, from their head to the end of the answer's body.
    in_flight: AtomicU32,
    /// When the connection last became idle, in milliseconds after `started`.
    idle_since: AtomicU64,
    /// When the first byte of the next head came, in milliseconds after `started`; `NO_HEAD` before it did.
    head_since: AtomicU64,
    /// Then single bytes mean nothing: pings come and go on an idle connection.
    pub(super) is_http2: AtomicBool,
    /// The last request had a body, which may not have been read to its end.
    pub(super) had_body: AtomicBool,
    /// Everything that was written has been taken by the system.
    pub(super) is_flushed: AtomicBool,
    /// The stream is being closed.
    pub(super) is_closing: AtomicBool,
    /// hyper's end is not the stream's: a rest begins.
    pub(super) keeps_open: AtomicBool,
}

const NO_HEAD: u64 = u64::MAX;

impl Activity {
    pub(super) fn new() -> Self {
        // A peer that connects and says nothing is treated as one that is slow with its first head.
        Self {
            started: Instant::now(),
            in_flight: AtomicU32::new(0),
            idle_since: AtomicU64::new(0),
            head_since: AtomicU64::new(0),
            is_http2: AtomicBool::new(false),
            had_body: AtomicBool::new(false),
            is_flushed: AtomicBool::new(true),
            is_closing: AtomicBool::new(false),
            keeps_open: AtomicBool::new(false),
        }
    }

    /// Bytes have come; between two requests of HTTP/1.1 they are the next one's head.
    pub(super) fn head_begins(&self) {
        let is_head = self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == NO_HEAD
            && !self.is_http2.load(Ordering::Relaxed);
        if is_head {
            self.head_since.store(self.elapsed_ms(), Ordering::Relaxed);
        }
    }

    fn elapsed_ms(&self) -> u64 {
        u64::try_from(self.started.elapsed().as_millis()).unwrap_or(NO_HEAD - 1)
    }

    pub(super) fn is_overdue(&self, header_timeout: Duration, idle_timeout: Duration) -> bool {
        if self.in_flight.load(Ordering::Relaxed) > 0 {
            return false;
        }
        let now = self.elapsed_ms();
        let past = |since: u64, limit: Duration| u128::from(now.saturating_sub(since)) >= limit.as_millis();
        match self.head_since.load(Ordering::Relaxed) {
            NO_HEAD => past(self.idle_since.load(Ordering::Relaxed), idle_timeout),
            since => past(since, header_timeout),
        }
    }
}

impl Activity {
    /// Whether nothing has happened for `time`, and nothing is left over from before: no request under way, no head begun, no body that may be
    /// unread, nothing unsent, no end. A connection that never had a request is not at rest: it has to begin.
    pub(super) fn is_at_rest(&self, time: Duration) -> bool {
        let is = |flag: &AtomicBool| flag.load(Ordering::Relaxed);
        self.in_flight.load(Ordering::Relaxed) == 0
            && self.head_since.load(Ordering::Relaxed) == NO_HEAD
            && !is(&self.had_body)
            && !is(&self.is_closing)
            && is(&self.is_flushed)
            && self.idle() >= time
    }

    /// How much of `idle_timeout` is left.
    pub(super) fn idle_for_another(&self, idle_timeout: Duration) -> Duration {
        idle_timeout.saturating_sub(self.idle())
    }

    /// How long it has been idle; means nothing while a request is under way.
    fn idle(&self) -> Duration {
        Duration::from_millis(self.elapsed_ms().saturating_sub(self.idle_since.load(Ordering::Relaxed)))
    }
}

/// Stands for one request under way.
pub(super) struct Busy(Arc<Activity>);

impl Busy {
    pub(super) fn new(activity: Arc<Activity>, request: &Request<Incoming>) -> Self {
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
pub(super) struct Tracked {
    body: Body,
    _busy: Busy,
}

impl Tracked {
    pub(super) fn new(body: Body, busy: Busy) -> Self {
        Self { body, _busy: busy }
    }
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
