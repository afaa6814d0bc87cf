//! Where sessions keep what a cookie should not carry, and where replicas tell each other what has ended.
//!
//! The store sees sealed bytes, ids and hashes. Nobody waits for it on the way of an ordinary request.
//!
//! | what | under | until |
//! | --- | --- | --- |
//! | a record: the tokens of a session, sealed with a key that only its cookie has | the session's id | the session's end |
//! | a lock: who refreshes that session | the session's id | given back, or seconds later |
//! | a listing: the sessions of an account, each entry sealed with the session keys | the account's tag | the last session's end |
//! | a mark: a provider's session is one that somebody signed in with | its tag | the session's end |
//! | the log of what has ended, in the order in which it came in | – | the last entry's end |

mod memory;
mod redis;

use std::time::Duration;

use super::{AccountTag, ProviderSessionTag, SessionId, revocations::Revocation};
use crate::clock::UnixTime;

pub use self::redis::{Location, Settings as RedisSettings, Tls as RedisTls};
use self::{memory::Memory, redis::Redis};

/// Which store, and how it is reached.
#[derive(Clone, Debug)]
pub enum Settings {
    /// This process.
    Memory {
        /// Records are kept up to this size altogether, in bytes; then those that were not used for longest go.
        bytes: usize,
    },
    /// Redis 6.2 or newer, or what speaks like it.
    Redis(Box<RedisSettings>),
}

/// Who holds a lock: one try to refresh one session.
pub type Owner = [u8; 16];

/// A place in the log; the start is before everything.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Position(pub(in crate::sessions) Box<str>);

/// What the log holds behind a position.
#[derive(Clone, Debug, Default)]
pub struct Page {
    /// In their order.
    pub entries: Vec<Revocation>,
    /// The place of the last of them, or where one looked from.
    pub position: Position,
}

/// Why the store did not do what was asked. Holds no key, no value and no password.
#[derive(Clone, Debug, thiserror::Error)]
pub enum StoreError {
    /// Nobody answers, or not in time.
    #[error("the session store does not answer: {0}")]
    Unreachable(Box<str>),
    /// It does not let us in: user, password, or a command that this user may not use.
    #[error("the session store refuses this gateway: {0}")]
    Refused(Box<str>),
    /// It answers, but takes no writes: it is full, or a replica.
    #[error("the session store takes no writes: {0}")]
    ReadOnly(Box<str>),
    /// It answers something else than was asked for.
    #[error("the session store answers something unexpected: {0}")]
    Answer(Box<str>),
}

/// One of the stores.
#[derive(Debug)]
pub enum Store {
    /// This process.
    Memory(Box<Memory>),
    /// Redis.
    Redis(Redis),
}

/// What is done with every store alike.
macro_rules! ask {
    ($store:expr, $inner:ident => $call:expr) => {
        match $store {
            Store::Memory($inner) => $call,
            // Boxed: what waits for a network is large, and every request that may ask would make room for it.
            Store::Redis($inner) => Box::pin(async { $call }).await,
        }
    };
}

impl Store {
    /// Asks nobody yet.
    #[must_use]
    pub fn new(settings: &Settings) -> Self {
        match settings {
            Settings::Memory { bytes } => Self::Memory(Box::new(Memory::new(*bytes))),
            Settings::Redis(settings) => Self::Redis(Redis::new(settings)),
        }
    }

    /// Other credentials or another place from now on; `false` when it is another kind of store, which takes a restart.
    #[must_use]
    pub fn reconfigure(&self, settings: &Settings) -> bool {
        match (self, settings) {
            (Self::Memory(_), Settings::Memory { .. }) => true,
            (Self::Redis(redis), Settings::Redis(settings)) => {
                redis.reconfigure(settings);
                true
            }
            (Self::Memory(_), Settings::Redis(_)) | (Self::Redis(_), Settings::Memory { .. }) => false,
        }
    }

    /// Whether other replicas see the same.
    #[must_use]
    pub fn is_shared(&self) -> bool {
        match self {
            Self::Memory(_) => false,
            Self::Redis(_) => true,
        }
    }

    /// Whether it answers and takes what we write: for `check --online`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn probe(&self) -> Result<(), StoreError> {
        ask!(self, store => store.probe().await)
    }

    /// The record of a session, and which generation it is.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn load(&self, id: &SessionId) -> Result<Option<(u32, Vec<u8>)>, StoreError> {
        ask!(self, store => store.load(id).await)
    }

    /// Keeps a record for as long as `keep`, unless there is one of the same or a later generation: then `false`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn save(
        &self,
        id: &SessionId,
        generation: u32,
        record: &[u8],
        keep: Duration,
    ) -> Result<bool, StoreError> {
        ask!(self, store => store.save(id, generation, record, keep).await)
    }

    /// Forgets a record.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget(&self, id: &SessionId) -> Result<(), StoreError> {
        ask!(self, store => store.forget(id).await)
    }

    /// Takes the lock of a session for `time`, or holds on to it for so long when `owner` has it; `false` when somebody else has.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn lock(&self, id: &SessionId, owner: &Owner, time: Duration) -> Result<bool, StoreError> {
        ask!(self, store => store.lock(id, owner, time).await)
    }

    /// Gives the lock back, if `owner` still has it.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unlock(&self, id: &SessionId, owner: &Owner) -> Result<(), StoreError> {
        ask!(self, store => store.unlock(id, owner).await)
    }

    /// Writes `entry` into the listing of an account, in place of the session's older one. The listing is kept for `keep` at least.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn list(
        &self,
        account: AccountTag,
        id: &SessionId,
        entry: &[u8],
        keep: Duration,
    ) -> Result<(), StoreError> {
        ask!(self, store => store.list(account, id, entry, keep).await)
    }

    /// Takes sessions out of the listing of an account.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn unlist(&self, account: AccountTag, ids: &[SessionId]) -> Result<(), StoreError> {
        ask!(self, store => store.unlist(account, ids).await)
    }

    /// The listing of an account, in no order.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn listed(&self, account: AccountTag) -> Result<Vec<(SessionId, Vec<u8>)>, StoreError> {
        ask!(self, store => store.listed(account).await)
    }

    /// Marks a provider's session as one that somebody signed in with.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn mark(&self, session: ProviderSessionTag, keep: Duration) -> Result<(), StoreError> {
        ask!(self, store => store.mark(session, keep).await)
    }

    /// Whether a provider's session is marked.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn is_marked(&self, session: ProviderSessionTag) -> Result<bool, StoreError> {
        ask!(self, store => store.is_marked(session).await)
    }

    /// Writes `entries` at the end of the log; what has ended for good is dropped from its beginning.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn append(&self, entries: &[Revocation], now: UnixTime) -> Result<(), StoreError> {
        ask!(self, store => store.append(entries, now).await)
    }

    /// Up to `limit` entries of the log behind `position`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn read(&self, position: &Position, limit: usize) -> Result<Page, StoreError> {
        ask!(self, store => store.read(position, limit).await)
    }

    /// Whether the log still has the entry at `position`. Otherwise it was lost, or somebody else's log stands in its place.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn still_has(&self, position: &Position) -> Result<bool, StoreError> {
        ask!(self, store => store.still_has(position).await)
    }
}

#[cfg(test)]
mod tests;
