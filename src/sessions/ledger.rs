//! What has ended, known to this replica and told to the others: this replica's map, and the store's log that keeps all maps in step.
//!
//! * What is ended here holds here at once, whether the store answers or not.
//! * What is ended here is owed to the log until it has been read back from there: an answer to a write is no proof that a failover kept it.
//! * A log that is not the one that was read is read from its start, and what it has not, but should have, is written again.
//! * Whether the map can be trusted is told by how long ago the log was read to its end, by a clock that nobody sets.

mod in_step;
mod log;
mod outbox;

use std::{
    sync::{
        Arc,
        atomic::{AtomicU8, AtomicU64, Ordering},
    },
    time::Duration,
};

use tokio::time::{Instant, timeout};

use self::{log::Log, outbox::Outbox};
use super::{
    Session,
    revocations::{Reading, Revocation, Revocations, UNREAD},
    store::Store,
};
use crate::clock::{Clock, UnixTime};

/// How long somebody who ends a session waits for the log.
const PATIENCE: Duration = Duration::from_secs(1);

/// A map is in step for this long after the log was last read to its end: several looks may fail before somebody is told.
const FRESH: Duration = Duration::from_secs(3);

/// How far what has ended has been told.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[must_use]
pub enum Spread {
    /// It is in the store's log, or there is nobody else to tell.
    Everywhere,
    /// It holds here; the others hear of it once the store answers.
    Here,
}

/// Whether this replica knows what has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Standing {
    /// Yes, up to a second or so.
    InStep,
    /// Not what has ended since then.
    CutOff {
        /// When it was last in step.
        since: UnixTime,
    },
    /// It has started lately and has not read the log yet.
    Unread {
        /// When it started.
        since: UnixTime,
    },
}

/// The map and its way to the other replicas.
#[derive(Debug)]
pub struct Ledger {
    map: Revocations,
    log: Log,
    outbox: Outbox,
    clock: Clock,
    /// Which reading of the log from its start is under way, or was the last.
    reading: AtomicU8,
    looks: Looks,
}

impl Ledger {
    /// Empty. `limit` is how many entries are remembered at most. In step at once when the store is not shared.
    #[must_use]
    pub fn new(limit: usize, store: Arc<Store>, clock: Clock) -> Self {
        Self::over(Log::Store(store), limit, clock)
    }

    fn over(log: Log, limit: usize, clock: Clock) -> Self {
        Self {
            map: Revocations::new(limit),
            log,
            outbox: Outbox::default(),
            reading: AtomicU8::new(UNREAD + 1),
            looks: Looks::new(clock.now()),
            clock,
        }
    }

    /// Whether `session` has been ended. On the way of every request: no waiting.
    #[must_use]
    pub fn has_ended(&self, session: &Session) -> bool {
        self.map.until(session).is_some_and(|until| session.signed_in <= until)
    }

    /// When `session`, which begins now, has to have begun so that no earlier end is meant for it too: times count in seconds, and clocks differ.
    #[must_use]
    pub fn begins(&self, session: &Session) -> UnixTime {
        let behind = |until: UnixTime| session.signed_in.max(until.plus(Duration::from_secs(1)));
        self.map.until(session).map_or(session.signed_in, behind)
    }

    /// Ends what `revocations` say, here at once; waits up to a second for the log.
    pub async fn end(&self, revocations: &[Revocation]) -> Spread {
        let now = self.clock.now();
        let reading = self.reading();
        let news: Vec<Revocation> = revocations
            .iter()
            .filter(|entry| {
                entry.ends > now && (self.map.add(**entry, now) || !self.map.is_logged(&entry.what, reading))
            })
            .copied()
            .collect();
        if news.is_empty() || !self.log.is_shared() {
            return Spread::Everywhere;
        }
        // Whatever comes of it, also when the caller leaves meanwhile: it is owed until it has been read back.
        let _owed = self.outbox.owed_after(&news);
        match timeout(PATIENCE, self.log.append(&news, now)).await {
            Ok(Ok(())) => Spread::Everywhere,
            // Who reads the log meets the same, and says so once.
            Ok(Err(_)) | Err(_) => Spread::Here,
        }
    }

    /// Whether the map can be trusted. On the way of every request: no waiting.
    #[must_use]
    pub fn standing(&self) -> Standing {
        if self.log.is_shared() { self.looks.standing() } else { Standing::InStep }
    }

    /// Forgets what has ended for good in one of 256 parts of the map, each time in the next. [`Ledger::keep_in_step`] does it.
    pub fn sweep(&self) {
        self.map.sweep(self.clock.now());
    }

    fn reading(&self) -> Reading {
        self.reading.load(Ordering::Relaxed)
    }
}

/// When the log was last read to its end.
#[derive(Debug)]
struct Looks {
    /// For the ages of looks: it goes on when somebody sets the machine's clock.
    started: Instant,
    /// The same by the clock that sessions are compared with.
    start: UnixTime,
    /// Milliseconds from `started` to the last look; `u64::MAX` before there was one.
    last_ms: AtomicU64,
    /// The same look by the clock that sessions are compared with.
    last: AtomicU64,
}

impl Looks {
    fn new(start: UnixTime) -> Self {
        Self { started: Instant::now(), start, last_ms: AtomicU64::new(u64::MAX), last: AtomicU64::new(start.0) }
    }

    /// What was in the log `at` that time is known.
    fn succeeded(&self, at: (Instant, UnixTime)) {
        self.last.store(at.1.0, Ordering::Relaxed);
        self.last_ms.store(milliseconds(at.0 - self.started), Ordering::Release);
    }

    fn standing(&self) -> Standing {
        let last_ms = self.last_ms.load(Ordering::Acquire);
        if last_ms == u64::MAX {
            Standing::Unread { since: self.start }
        } else if milliseconds(self.started.elapsed()).saturating_sub(last_ms) < milliseconds(FRESH) {
            Standing::InStep
        } else {
            Standing::CutOff { since: UnixTime(self.last.load(Ordering::Relaxed)) }
        }
    }
}

fn milliseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX - 1)
}

#[cfg(test)]
mod tests;
