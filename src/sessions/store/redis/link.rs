//! The way to one server: a connection that is there, is being made, or cannot be had.
//!
//! * Whoever comes while the first try is under way waits for it. While it cannot be had, one task tries again and again in the background, and
//!   everybody else is told so at once.
//! * A connection that does not answer in time is given up, not waited for: it may be dead at its other end.

use std::{
    sync::{Arc, Weak},
    time::Duration,
};

use arc_swap::ArcSwap;
use redis::{Cmd, Value};
use tokio::{
    sync::{Notify, watch},
    time::{Instant, timeout, timeout_at},
};

use super::{
    access::{Access, Live},
    failure::Failure,
    sentinel,
};
use crate::sessions::store::StoreError;

/// A new connection has so many times as long as an answer.
const TIMEOUTS_TO_CONNECT: u32 = 3;

/// Between the first try that failed and the next; it doubles up to [`LONGEST_PAUSE`].
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// Between two tries, and always after one that was refused: failed sign-ins are counted.
const LONGEST_PAUSE: Duration = Duration::from_secs(1);

/// How a server is found.
#[derive(Debug)]
pub(super) enum Way {
    /// It is at `host:port`.
    Fixed(Box<str>),
    /// It is a node of a cluster, at `host:port`.
    Node(Box<str>),
    /// Sentinels know where it is.
    Sentinels(sentinel::Sentinels),
}

/// The way to one server.
#[derive(Debug)]
pub(super) struct Link {
    way: Way,
    access: Arc<ArcSwap<Access>>,
    state: watch::Sender<State>,
    hurry: Arc<Notify>,
}

#[derive(Clone, Debug)]
enum State {
    /// Nobody has asked for it yet.
    Absent,
    /// It is being made; whoever comes waits.
    Coming,
    Here(Arc<Live>),
    /// It cannot be had; it is tried in the background.
    Failing(StoreError),
}

impl Link {
    pub(super) fn new(way: Way, access: Arc<ArcSwap<Access>>) -> Arc<Self> {
        Arc::new(Self { way, access, state: watch::Sender::new(State::Absent), hurry: Arc::default() })
    }

    /// The answer to `command`, or why there is none, at `until` at the latest. A connection that broke, or whose server refuses it or has become a
    /// replica, is replaced once.
    pub(super) async fn ask(
        self: &Arc<Self>,
        command: &Cmd,
        is_asking: bool,
        until: Instant,
    ) -> Result<Value, Failure> {
        let mut is_first = true;
        loop {
            let live = self.live(until).await?;
            let Ok(answer) = timeout_at(until, live.ask(command, is_asking)).await else {
                let error = self.too_late("no answer");
                self.fail(&live, &error);
                return Err(error.into());
            };
            let failure = match answer {
                Ok(value) => return Ok(value),
                Err(failure) => failure,
            };
            let is_stale = match &failure {
                Failure::Broken(_) => true,
                Failure::Replica => matches!(self.way, Way::Sentinels(_)),
                // The credentials may have changed since.
                Failure::Store(StoreError::Refused(_)) => live.age() >= LONGEST_PAUSE,
                Failure::Store(StoreError::Unreachable(_) | StoreError::ReadOnly(_) | StoreError::Answer(_))
                | Failure::Moved(_)
                | Failure::Asking(_) => false,
            };
            if !is_stale {
                return Err(failure);
            }
            if !is_first {
                self.fail(&live, &failure.clone().into_error());
                return Err(failure);
            }
            self.give_up(&live);
            is_first = false;
        }
    }

    /// Tries at once what could not be had: settings have changed.
    pub(super) fn hurry(&self) {
        let is_failing = self.state.send_if_modified(|state| {
            let is_failing = matches!(state, State::Failing(_));
            if is_failing {
                *state = State::Coming;
            }
            is_failing
        });
        if is_failing {
            self.hurry.notify_one();
        }
    }

    async fn live(self: &Arc<Self>, until: Instant) -> Result<Arc<Live>, StoreError> {
        let mut watching = self.state.subscribe();
        loop {
            let begins = self.state.send_if_modified(|state| {
                let is_missing = match state {
                    State::Absent => true,
                    State::Here(live) => live.has_ended(),
                    State::Coming | State::Failing(_) => false,
                };
                if is_missing {
                    *state = State::Coming;
                }
                is_missing
            });
            if begins {
                self.connect_in_background();
            }
            let coming = timeout_at(until, watching.wait_for(|state| !matches!(state, State::Coming))).await;
            let Ok(come) = coming else { break };
            // The sender is ours and outlives this.
            let state = come.map_or(State::Absent, |state| state.clone());
            match state {
                State::Here(live) => return Ok(live),
                State::Failing(error) => return Err(error),
                // Somebody else has given it up in this moment.
                State::Absent | State::Coming => {}
            }
        }
        let error = self.too_late("no connection");
        // The next ones do not wait for what has taken too long already.
        self.state.send_if_modified(|state| {
            let is_coming = matches!(state, State::Coming);
            if is_coming {
                *state = State::Failing(error.clone());
            }
            is_coming
        });
        Err(error)
    }

    /// `live` is of no use any more; the next question makes a new one.
    fn give_up(&self, live: &Arc<Live>) {
        self.replace(live, State::Absent);
    }

    /// `live` is of no use any more, and another one is not expected soon.
    fn fail(self: &Arc<Self>, live: &Arc<Live>, error: &StoreError) {
        if self.replace(live, State::Failing(error.clone())) {
            tracing::debug!(error = %error, "A connection to the session store was lost: {error}");
            self.connect_in_background();
        }
    }

    /// Whether `live` was still the one in use.
    fn replace(&self, live: &Arc<Live>, by: State) -> bool {
        self.state.send_if_modified(|state| {
            let is_it = matches!(state, State::Here(here) if Arc::ptr_eq(here, live));
            if is_it {
                *state = by;
            }
            is_it
        })
    }

    /// Tries until there is a connection, or nobody needs one. Runs once at a time: it is begun only where the state turns to `Coming` from one
    /// without it, or from `Here` to `Failing`.
    fn connect_in_background(self: &Arc<Self>) {
        tokio::spawn(keep_trying(Arc::downgrade(self), Arc::clone(&self.hurry)));
    }

    async fn connect(&self) -> Result<Live, StoreError> {
        let access = self.access.load_full();
        let limit = access.timeout() * TIMEOUTS_TO_CONNECT;
        let made = timeout(limit, async {
            match &self.way {
                Way::Fixed(address) | Way::Node(address) => access.connect(address, access.of_server()).await,
                Way::Sentinels(sentinels) => sentinels.connect(&access).await,
            }
        });
        made.await.unwrap_or_else(|_| Err(StoreError::Unreachable(format!("no connection within {limit:?}").into())))
    }

    /// Somebody has to know of a node that is down while the others answer. What a whole store that is down means is for the ledger to say.
    fn warns(&self) -> bool {
        matches!(self.way, Way::Node(_))
    }

    fn too_late(&self, what: &str) -> StoreError {
        StoreError::Unreachable(format!("{what} within {:?}", self.access.load().timeout()).into())
    }
}

/// Holds on to the link only while it tries, so that it ends with it.
async fn keep_trying(link: Weak<Link>, hurry: Arc<Notify>) {
    let mut pause = FIRST_PAUSE;
    let mut has_warned = false;
    loop {
        let Some(link) = link.upgrade() else { return };
        match link.connect().await {
            Ok(live) => {
                link.state.send_replace(State::Here(Arc::new(live)));
                if has_warned {
                    tracing::info!("A node of the session store is there again");
                }
                return;
            }
            Err(error) => {
                if link.warns() && !has_warned {
                    tracing::warn!(error = %error, "A node of the session store cannot be reached: what is kept there has to wait: {error}");
                    has_warned = true;
                }
                if matches!(error, StoreError::Refused(_)) {
                    pause = LONGEST_PAUSE;
                }
                link.state.send_replace(State::Failing(error));
            }
        }
        drop(link);
        let _ = timeout(pause, hurry.notified()).await;
        pause = (pause * 2).min(LONGEST_PAUSE);
    }
}
