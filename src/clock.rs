//! Wall-clock time, in one place: everything below the top takes `now` as an argument, so that tests own time.

use std::{
    fmt,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime, UNIX_EPOCH},
};

/// Whole seconds since 1970-01-01T00:00:00Z: what cookies, claims and lifetimes are counted in.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct UnixTime(pub u64);

impl UnixTime {
    /// `duration` later; the end of time when that cannot be represented.
    #[must_use]
    pub fn plus(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration.as_secs()))
    }

    /// `duration` earlier; 1970 when that would be before it.
    #[must_use]
    pub fn minus(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration.as_secs()))
    }

    /// How long ago `earlier` was; zero when it lies in the future.
    #[must_use]
    pub fn since(self, earlier: Self) -> Duration {
        Duration::from_secs(self.0.saturating_sub(earlier.0))
    }
}

impl fmt::Display for UnixTime {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

/// Tells the time; a stopped one moves only when a test moves it.
#[derive(Clone, Debug)]
pub struct Clock(Inner);

#[derive(Clone, Debug)]
enum Inner {
    System,
    Stopped(Arc<AtomicU64>),
}

impl Clock {
    /// The machine's clock.
    #[must_use]
    pub fn system() -> Self {
        Self(Inner::System)
    }

    /// A clock that stands at `now` until it is advanced. Clones share the hands.
    #[must_use]
    pub fn stopped(now: UnixTime) -> Self {
        Self(Inner::Stopped(Arc::new(AtomicU64::new(now.0))))
    }

    /// The time.
    #[must_use]
    pub fn now(&self) -> UnixTime {
        match &self.0 {
            Inner::System => {
                #[expect(clippy::disallowed_methods, reason = "the one place that asks the machine")]
                let now = SystemTime::now();
                // A machine that believes to be before 1970 gets 1970: every credential is then "not yet valid".
                UnixTime(now.duration_since(UNIX_EPOCH).unwrap_or_default().as_secs())
            }
            Inner::Stopped(seconds) => UnixTime(seconds.load(Ordering::Relaxed)),
        }
    }

    /// Moves a stopped clock; the machine's own cannot be moved.
    pub fn advance(&self, by: Duration) {
        if let Inner::Stopped(seconds) = &self.0 {
            seconds.fetch_add(by.as_secs(), Ordering::Relaxed);
        }
    }
}
