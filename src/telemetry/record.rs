//! One record per request, filled on the way and written when it is dropped: also when the caller leaves early.

use std::{
    fmt,
    sync::{
        Arc, LazyLock,
        atomic::{AtomicU64, Ordering},
    },
    time::Instant,
};

use http::{Method, Request, StatusCode};
use tracing::info;

use crate::{secret, server::Peer};

/// Written to the target `access` at level `info`.
#[derive(Debug)]
pub struct Record {
    id: RequestId,
    started: Instant,
    method: Method,
    peer: Peer,
    place: Place,
    status: Option<StatusCode>,
}

#[derive(Debug)]
enum Place {
    Nowhere,
    Route(Arc<str>),
    Endpoint(&'static str),
}

impl Record {
    /// Begins a record.
    #[must_use]
    pub fn begin<B>(request: &Request<B>, peer: Peer) -> Self {
        Self {
            id: RequestId::next(),
            started: Instant::now(),
            method: request.method().clone(),
            peer,
            place: Place::Nowhere,
            status: None,
        }
    }

    /// The id that pages and problem documents show.
    #[must_use]
    pub fn id(&self) -> RequestId {
        self.id
    }

    /// It leads to an application, by this route.
    pub fn route(&mut self, name: &Arc<str>) {
        self.place = Place::Route(Arc::clone(name));
    }

    /// It leads to one of our own endpoints. Only a name: what stands in its address may be a secret.
    pub fn endpoint(&mut self, name: &'static str) {
        self.place = Place::Endpoint(name);
    }

    /// The head of the answer is ready.
    pub fn answered(&mut self, status: StatusCode) {
        self.status = Some(status);
    }
}

impl Drop for Record {
    fn drop(&mut self) {
        let place = match &self.place {
            Place::Nowhere => "-",
            Place::Route(name) => name,
            Place::Endpoint(name) => name,
        };
        let status = self.status.map(|status| status.as_u16());
        let outcome = if self.status.is_some() { "answered" } else { "abandoned" };
        // Whom a request was for stands in no log; the peer's address is what abuse is traced by.
        info!(
            target: "access",
            {
            request.id = %self.id,
            method = self.method.as_str(),
            place = place,
            status = status,
            peer.ip = self.peer.ip().map(tracing::field::display),
            duration_us = u64::try_from(self.started.elapsed().as_micros()).unwrap_or(u64::MAX),
            },
            "{outcome}"
        );
    }
}

/// Names one request in answers and logs: unique in a process, and among processes by its random first half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct RequestId(u64);

static PROCESS: LazyLock<u32> = LazyLock::new(|| u32::from_be_bytes(secret::random()));
static NEXT: AtomicU64 = AtomicU64::new(1);

impl RequestId {
    fn next() -> Self {
        Self(NEXT.fetch_add(1, Ordering::Relaxed))
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:08x}-{:06x}", *PROCESS, self.0)
    }
}
