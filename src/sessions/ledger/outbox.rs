//! What was ended here and has not been read back from the log yet. It names entries of the map, and is bounded.

use std::{
    collections::HashSet,
    sync::{Mutex, MutexGuard, PoisonError},
};

use crate::sessions::revocations::{Revocation, Revoked};

/// As many are named one by one. When there are more, the log is compared with the whole map.
const NAMED: usize = 10_000;

#[derive(Debug, Default)]
pub(super) struct Outbox(Mutex<Owed>);

#[derive(Debug, Default)]
struct Owed {
    named: HashSet<Revoked>,
    everything: bool,
}

impl Outbox {
    /// Owes `entries` from when this is dropped: whoever is writing them into the log needs no help.
    pub(super) fn owed_after<'a>(&'a self, entries: &'a [Revocation]) -> OwedAfter<'a> {
        OwedAfter { outbox: self, entries }
    }

    /// Owes everything that the map has and the log has not.
    pub(super) fn owe_everything(&self) {
        self.owed().owe_everything();
    }

    /// Whether everything was owed. It no longer is.
    pub(super) fn take_everything(&self) -> bool {
        std::mem::take(&mut self.owed().everything)
    }

    /// The entries that are owed one by one.
    pub(super) fn named(&self) -> HashSet<Revoked> {
        self.owed().named.clone()
    }

    /// What of `named` is owed still, because it is `missing` in the log. What is not missing, or has ended for good, is not owed any more.
    pub(super) fn missing(
        &self,
        named: &HashSet<Revoked>,
        missing: impl Fn(&Revoked) -> Option<Revocation>,
    ) -> Vec<Revocation> {
        let mut found = Vec::new();
        // Asked and struck out under one lock: nobody adds to an entry in between.
        self.owed().named.retain(|what| {
            let revocation = missing(what);
            found.extend(revocation.filter(|_| named.contains(what)));
            revocation.is_some()
        });
        found
    }

    fn owed(&self) -> MutexGuard<'_, Owed> {
        // Nothing can panic while the lock is held, so a poisoned one is as good as any.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Owed {
    fn owe_everything(&mut self) {
        *self = Self { named: HashSet::new(), everything: true };
    }
}

/// See [`Outbox::owed_after`].
pub(super) struct OwedAfter<'a> {
    outbox: &'a Outbox,
    entries: &'a [Revocation],
}

impl Drop for OwedAfter<'_> {
    fn drop(&mut self) {
        let mut owed = self.outbox.owed();
        owed.named.extend(self.entries.iter().map(|entry| entry.what));
        if owed.named.len() > NAMED {
            owed.owe_everything();
        }
    }
}
