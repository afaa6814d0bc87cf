//! The log, as the ledger uses it: in the store, or in a test that hurts it.

use std::sync::Arc;

#[cfg(test)]
use super::tests::FakeLog;
use crate::{
    clock::UnixTime,
    sessions::{
        revocations::Revocation,
        store::{Page, Position, Store, StoreError},
    },
};

#[derive(Debug)]
pub(super) enum Log {
    Store(Arc<Store>),
    #[cfg(test)]
    Fake(Arc<FakeLog>),
}

impl Log {
    /// Whether other replicas see the same.
    pub(super) fn is_shared(&self) -> bool {
        match self {
            Self::Store(store) => store.is_shared(),
            #[cfg(test)]
            Self::Fake(_) => true,
        }
    }

    pub(super) async fn append(&self, entries: &[Revocation], now: UnixTime) -> Result<(), StoreError> {
        match self {
            Self::Store(store) => store.append(entries, now).await,
            #[cfg(test)]
            Self::Fake(log) => log.append(entries).await,
        }
    }

    pub(super) async fn read(&self, position: &Position, limit: usize) -> Result<Page, StoreError> {
        match self {
            Self::Store(store) => store.read(position, limit).await,
            #[cfg(test)]
            Self::Fake(log) => log.read(position, limit).await,
        }
    }

    pub(super) async fn still_has(&self, position: &Position) -> Result<bool, StoreError> {
        match self {
            Self::Store(store) => store.still_has(position).await,
            #[cfg(test)]
            Self::Fake(log) => log.still_has(position).await,
        }
    }
}
