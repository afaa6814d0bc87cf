//! Something fetched from a provider that is kept and renewed: its metadata, its keys.
//!
//! * Nobody waits for a renewal while there is something to use: what is older than `renew_after` is used once more and a
//!   task fetches the next one. If that fails, the old one stays.
//! * One fetch at a time, whoever asks; at most one per `min_interval`, failed tries included. Callers who find nothing and
//!   may not try get the last error and how long it still holds.
//! * A fetch runs in its own task, because the caller who started it may hang up while others wait for it. The client's
//!   timeout ends it; nothing else has to.

use std::{
    future::Future,
    sync::{Arc, Mutex, PoisonError},
    time::Duration,
};

use arc_swap::ArcSwapOption;
use tokio::sync::watch;

use super::{Limits, error::FetchError};
use crate::{
    clock::{Clock, UnixTime},
    identity::ProviderName,
};

/// Where it comes from.
pub(super) trait Source: Send + Sync + 'static {
    /// What is fetched.
    type Value: Send + Sync + 'static;
    /// Its name in the log.
    const WHAT: &'static str;

    /// Fetches it; ends by itself within the client's timeout.
    fn fetch(&self) -> impl Future<Output = Result<Self::Value, FetchError>> + Send;
}

/// It is not there, and why.
#[derive(Clone, Debug, thiserror::Error)]
#[error("the provider cannot be used at the moment")]
pub struct Unavailable {
    /// What the last try met.
    #[source]
    pub cause: Arc<FetchError>,
    /// When the next try is due, in whole seconds, at least one.
    pub retry_after: Duration,
}

/// A kept value. Clones share it.
pub(super) struct Cached<S: Source>(Arc<Inner<S>>);

struct Inner<S: Source> {
    source: S,
    provider: ProviderName,
    clock: Clock,
    renew_after: Duration,
    min_interval: Duration,
    current: ArcSwapOption<Snapshot<S::Value>>,
    tries: Mutex<Tries>,
}

struct Snapshot<V> {
    value: Arc<V>,
    fetched: UnixTime,
}

#[derive(Default)]
struct Tries {
    last: Option<UnixTime>,
    error: Option<Arc<FetchError>>,
    /// Nothing is ever sent on it: its other end goes when the fetch is over.
    flight: Option<watch::Receiver<()>>,
}

impl<S: Source> Clone for Cached<S> {
    fn clone(&self) -> Self {
        Self(Arc::clone(&self.0))
    }
}

impl<S: Source> Cached<S> {
    /// Nothing yet.
    pub(super) fn new(source: S, provider: ProviderName, limits: &Limits, clock: Clock) -> Self {
        Self(Arc::new(Inner {
            source,
            provider,
            clock,
            renew_after: limits.renew_after,
            min_interval: limits.min_interval,
            current: ArcSwapOption::empty(),
            tries: Mutex::default(),
        }))
    }

    /// The same with `value` at hand.
    pub(super) fn holding(self, value: S::Value) -> Self {
        let fetched = self.0.clock.now();
        self.0.current.store(Some(Arc::new(Snapshot { value: Arc::new(value), fetched })));
        self
    }

    /// What is there, without asking anybody.
    pub(super) fn peek(&self) -> Option<Arc<S::Value>> {
        self.0.current.load().as_ref().map(|snapshot| Arc::clone(&snapshot.value))
    }

    /// Begins to fetch when there is nothing, and waits for nothing.
    pub(super) fn warm(&self) {
        if self.peek().is_none() {
            drop(self.fetch());
        }
    }

    /// What is there; waits for a fetch only when nothing is.
    pub(super) async fn get(&self) -> Result<Arc<S::Value>, Unavailable> {
        if let Some(snapshot) = &*self.0.current.load() {
            if self.is_due(snapshot.fetched, self.0.renew_after) {
                // Nobody waits for it: the flight's end is dropped, the fetch goes on.
                drop(self.fetch());
            }
            return Ok(Arc::clone(&snapshot.value));
        }
        self.fetched().await;
        self.peek().ok_or_else(|| self.unavailable())
    }

    /// Something else than `seen`, which lacks what was looked for; `None` when there is nothing else for now.
    pub(super) async fn other_than(&self, seen: &Arc<S::Value>) -> Option<Arc<S::Value>> {
        let other = || self.peek().filter(|current| !Arc::ptr_eq(current, seen));
        if let Some(current) = other() {
            return Some(current);
        }
        self.fetched().await;
        other()
    }

    /// Whether it can be fetched: the last try did, and was not longer ago than `age`, or than another one may begin.
    pub(super) async fn is_fetched_within(&self, age: Duration) -> bool {
        let is_recent = self.0.current.load().as_ref().is_some_and(|snapshot| !self.is_due(snapshot.fetched, age));
        if !is_recent {
            self.fetched().await;
        }
        let has_failed = self.0.tries.lock().unwrap_or_else(PoisonError::into_inner).error.is_some();
        self.peek().is_some() && (is_recent || !has_failed)
    }

    /// Returns when the fetch under way is over, or at once when there is none and none may begin.
    async fn fetched(&self) {
        if let Some(mut flight) = self.fetch() {
            // An error means that the sender is gone: that is the signal.
            let _over = flight.changed().await;
        }
    }

    /// Joins the fetch under way or begins one; `None` when it is too early for another.
    fn fetch(&self) -> Option<watch::Receiver<()>> {
        let mut tries = self.0.tries.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(flight) = tries.flight.as_ref().filter(|flight| flight.has_changed().is_ok()) {
            return Some(flight.clone());
        }
        if tries.last.is_some_and(|last| !self.is_due(last, self.0.min_interval)) {
            return None;
        }
        tries.last = Some(self.0.clock.now());
        let (over, flight) = watch::channel(());
        tries.flight = Some(flight.clone());
        let this = self.clone();
        tokio::spawn(async move {
            let outcome = this.0.source.fetch().await;
            this.keep(outcome);
            drop(over);
        });
        Some(flight)
    }

    fn keep(&self, outcome: Result<S::Value, FetchError>) {
        let error = match outcome {
            Ok(value) => {
                let fetched = self.0.clock.now();
                self.0.current.store(Some(Arc::new(Snapshot { value: Arc::new(value), fetched })));
                tracing::debug!(provider.name = %self.0.provider, "fetched the {} of {}", S::WHAT, self.0.provider);
                None
            }
            Err(error) => {
                if self.peek().is_some() {
                    tracing::warn!(
                        provider.name = %self.0.provider,
                        error = &error as &dyn std::error::Error,
                        "keeping the old {} of {}: fetching new ones failed", S::WHAT, self.0.provider,
                    );
                } // otherwise those who wait get the error, and say so
                Some(Arc::new(error))
            }
        };
        self.0.tries.lock().unwrap_or_else(PoisonError::into_inner).error = error;
    }

    fn unavailable(&self) -> Unavailable {
        let tries = self.0.tries.lock().unwrap_or_else(PoisonError::into_inner);
        let since = tries.last.map_or(Duration::ZERO, |last| self.0.clock.now().since(last));
        let left = self.0.min_interval.saturating_sub(since).as_secs().max(1);
        let cause = tries.error.clone().unwrap_or_else(|| Arc::new(FetchError::Interrupted));
        Unavailable { cause, retry_after: Duration::from_secs(left) }
    }

    /// Whether `then` is at least `interval` ago. A time to come means that the clock was set back: then nothing is known
    /// about how long ago it was, and waiting for the clock to catch up could take hours.
    fn is_due(&self, then: UnixTime, interval: Duration) -> bool {
        let now = self.0.clock.now();
        then > now || now.since(then) >= interval
    }
}

#[cfg(test)]
mod tests {
    use std::{
        collections::VecDeque,
        sync::atomic::{AtomicUsize, Ordering},
    };

    use tokio::sync::Semaphore;

    use super::*;

    const NOW: UnixTime = UnixTime(1_000_000);

    /// Gives what is scripted, one outcome per permit, and counts.
    struct Scripted {
        outcomes: Mutex<VecDeque<Result<u32, FetchError>>>,
        gate: Semaphore,
        fetches: AtomicUsize,
    }

    impl Source for Arc<Scripted> {
        type Value = u32;
        const WHAT: &'static str = "number";

        async fn fetch(&self) -> Result<u32, FetchError> {
            self.fetches.fetch_add(1, Ordering::Relaxed);
            self.gate.acquire().await.unwrap().forget();
            self.outcomes.lock().unwrap().pop_front().unwrap_or(Err(FetchError::Member("more outcomes")))
        }
    }

    struct Test {
        cached: Cached<Arc<Scripted>>,
        source: Arc<Scripted>,
        clock: Clock,
    }

    impl Test {
        fn new(outcomes: Vec<Result<u32, FetchError>>, permits: usize) -> Self {
            let source = Arc::new(Scripted {
                outcomes: Mutex::new(outcomes.into()),
                gate: Semaphore::new(permits),
                fetches: AtomicUsize::new(0),
            });
            let clock = Clock::stopped(NOW);
            let mut limits = crate::providers::testing::settings("https://op").limits;
            limits.min_interval = Duration::from_secs(30);
            limits.renew_after = Duration::from_secs(3600);
            let name = ProviderName::parse("op").unwrap();
            Self { cached: Cached::new(Arc::clone(&source), name, &limits, clock.clone()), source, clock }
        }

        fn fetches(&self) -> usize {
            self.source.fetches.load(Ordering::Relaxed)
        }

        /// Until the fetch under way, if any, is over.
        async fn settled(&self) {
            let flight = self.cached.0.tries.lock().unwrap().flight.clone();
            if let Some(mut flight) = flight {
                let _over = flight.changed().await;
            }
        }
    }

    fn down() -> Result<u32, FetchError> {
        Err(FetchError::Member("test"))
    }

    #[tokio::test]
    async fn many_callers_are_one_fetch() {
        let test = Test::new(vec![Ok(1)], 0);
        let callers: Vec<_> = (0..100)
            .map(|_| {
                let cached = test.cached.clone();
                tokio::spawn(async move { cached.get().await.map(|value| *value) })
            })
            .collect();
        test.source.gate.add_permits(1);
        for caller in callers {
            assert_eq!(caller.await.unwrap().unwrap(), 1);
        }
        assert_eq!(test.fetches(), 1);
    }

    /// A caller who hangs up takes nothing from the others.
    #[tokio::test]
    async fn a_fetch_outlives_the_caller_who_began_it() {
        let test = Test::new(vec![Ok(1)], 0);
        let first = test.cached.clone();
        let first = tokio::spawn(async move { first.get().await.is_ok() });
        while test.fetches() == 0 {
            tokio::task::yield_now().await;
        }
        first.abort();
        test.source.gate.add_permits(1);
        assert_eq!(*test.cached.get().await.unwrap(), 1);
        assert_eq!(test.fetches(), 1);
    }

    /// T-118.
    #[tokio::test]
    async fn an_outage_costs_one_try_per_interval_and_ends_by_itself() {
        let test = Test::new(vec![down(), down(), Ok(3)], 9);
        let first = test.cached.get().await.unwrap_err();
        assert_eq!(first.retry_after, Duration::from_secs(30));
        assert!(matches!(*first.cause, FetchError::Member("test")));
        for passed in 1..30 {
            test.clock.advance(Duration::from_secs(1));
            let again = test.cached.get().await.unwrap_err();
            assert_eq!(again.retry_after, Duration::from_secs(30 - passed));
        }
        assert_eq!(test.fetches(), 1);
        test.clock.advance(Duration::from_secs(1));
        assert!(test.cached.get().await.is_err());
        assert_eq!(test.fetches(), 2);
        test.clock.advance(Duration::from_secs(30));
        assert_eq!(*test.cached.get().await.unwrap(), 3);
    }

    /// T-119.
    #[tokio::test]
    async fn an_old_value_is_used_while_and_after_its_renewal_fails() {
        let test = Test::new(vec![Ok(1), down(), Ok(3)], 1);
        assert_eq!(*test.cached.get().await.unwrap(), 1);
        test.clock.advance(Duration::from_secs(3599));
        assert_eq!(*test.cached.get().await.unwrap(), 1);
        tokio::task::yield_now().await;
        assert_eq!(test.fetches(), 1, "not due yet");

        test.clock.advance(Duration::from_secs(1));
        assert_eq!(*test.cached.get().await.unwrap(), 1, "the source hangs, and nobody waits for it");
        test.source.gate.add_permits(1);
        test.settled().await;
        assert_eq!(test.fetches(), 2);
        for _ in 0..100 {
            assert_eq!(*test.cached.get().await.unwrap(), 1, "failed; not again within the interval");
        }
        assert_eq!(test.fetches(), 2);

        test.clock.advance(Duration::from_secs(30));
        test.source.gate.add_permits(1);
        assert_eq!(*test.cached.get().await.unwrap(), 1);
        test.settled().await;
        assert_eq!(*test.cached.get().await.unwrap(), 3);
    }

    /// T-085.
    #[tokio::test]
    async fn asking_for_another_value_fetches_once_per_interval() {
        let test = Test::new(vec![Ok(1), Ok(2), down()], 9);
        let seen = test.cached.get().await.unwrap();
        assert!(test.cached.other_than(&seen).await.is_none(), "just fetched");
        test.clock.advance(Duration::from_secs(30));
        let newer = test.cached.other_than(&seen).await.unwrap();
        assert_eq!(*newer, 2);
        assert_eq!(*test.cached.other_than(&seen).await.unwrap(), 2, "is there already");
        for _ in 0..10_000 {
            assert!(test.cached.other_than(&newer).await.is_none());
        }
        assert_eq!(test.fetches(), 2);
        test.clock.advance(Duration::from_secs(30));
        for _ in 0..10_000 {
            assert!(test.cached.other_than(&newer).await.is_none(), "the source is down");
        }
        assert_eq!(test.fetches(), 3);
        assert_eq!(*test.cached.get().await.unwrap(), 2);
    }

    /// Nobody is sent to what does not answer, and what does not answer is not asked all the time.
    #[tokio::test]
    async fn whether_it_answers_is_asked_once_in_a_while() {
        let minute = Duration::from_secs(60);
        let test = Test::new(vec![down(), Ok(1), Ok(2), down(), Ok(3)], 9);
        let mut fetches = 0;
        for (passed, answers, asks) in [
            (0, false, true),
            (29, false, false),
            (1, true, true),
            (59, true, false),
            (1, true, true),
            (60, false, true),
            (29, false, false),
            (1, true, true),
        ] {
            test.clock.advance(Duration::from_secs(passed));
            fetches += usize::from(asks);
            assert_eq!((test.cached.is_fetched_within(minute).await, test.fetches()), (answers, fetches), "{passed}");
        }
        for _ in 0..1_000 {
            assert!(test.cached.is_fetched_within(minute).await);
        }
        assert_eq!(test.fetches(), fetches);

        // Asked less often than it is looked at: what came of the last try counts.
        let test = Test::new(vec![Ok(1), down()], 9);
        for (passed, answers, asks) in [(0, true, 1), (29, true, 1), (1, false, 2), (29, false, 2)] {
            test.clock.advance(Duration::from_secs(passed));
            let found = test.cached.is_fetched_within(Duration::from_secs(10)).await;
            assert_eq!((found, test.fetches()), (answers, asks), "{passed}");
        }
    }

    #[tokio::test]
    async fn a_clock_that_is_set_back_stops_nothing() {
        let test = Test::new(vec![down(), Ok(1)], 9);
        assert!(test.cached.get().await.is_err());
        test.cached.0.tries.lock().unwrap().last = Some(UnixTime(NOW.0 + 86_400));
        assert_eq!(*test.cached.get().await.unwrap(), 1);
    }
}
