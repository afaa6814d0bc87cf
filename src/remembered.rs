//! Ids that are remembered until they no longer matter: logins whose answer, and proofs and logout tokens that have been used.
//!
//! Bounded: when a list is full, either the entry that would have gone first goes or the new one is refused, which is said once. Per replica,
//! lost at a restart.

use std::{
    collections::{BTreeSet, HashSet},
    sync::{
        Mutex, MutexGuard, PoisonError,
        atomic::{AtomicBool, Ordering},
    },
};

use crate::clock::UnixTime;

/// Random, or a hash.
type Id = [u8; 16];

/// A bounded set of ids, each with the time after which nobody will ask for it.
pub(crate) struct Remembered {
    /// For the warning: what is remembered here.
    what: &'static str,
    limit: usize,
    entries: Mutex<Entries>,
    has_warned: AtomicBool,
}

/// There is no room, and nothing has ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Full;

#[derive(Default)]
struct Entries {
    ids: HashSet<Id>,
    by_end: BTreeSet<(UnixTime, Id)>,
}

impl Remembered {
    pub(crate) fn new(what: &'static str, limit: usize) -> Self {
        Self { what, limit, entries: Mutex::default(), has_warned: AtomicBool::new(false) }
    }

    /// Remembers `id` until `end`; whether it is new. Of many threads that add the same id, one is told that it is. When the list is full, the
    /// entry that ends soonest is given up.
    pub(crate) fn add(&self, id: Id, end: UnixTime, now: UnixTime) -> bool {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.ids.contains(&id) {
            return false;
        }
        entries.forget_ended(now);
        let mut is_full = false;
        while !entries.ids.is_empty() && entries.ids.len() >= self.limit {
            entries.forget_first();
            is_full = true;
        }
        self.insert(entries, id, end);
        if is_full {
            self.warn("its oldest entries are given up");
        }
        true
    }

    /// The same, but what is remembered stays: a new id is refused when there is no room for it.
    pub(crate) fn add_if_room(&self, id: Id, end: UnixTime, now: UnixTime) -> Result<bool, Full> {
        let mut entries = self.entries.lock().unwrap_or_else(PoisonError::into_inner);
        if entries.ids.contains(&id) {
            return Ok(false);
        }
        entries.forget_ended(now);
        if entries.ids.len() >= self.limit {
            drop(entries);
            self.warn("what is new is refused");
            return Err(Full);
        }
        self.insert(entries, id, end);
        Ok(true)
    }

    fn insert(&self, mut entries: MutexGuard<'_, Entries>, id: Id, end: UnixTime) {
        entries.ids.insert(id);
        entries.by_end.insert((end, id));
    }

    fn warn(&self, what_follows: &str) {
        if !self.has_warned.swap(true, Ordering::Relaxed) {
            tracing::warn!(list.limit = self.limit, "The list of {} is full: {what_follows}", self.what);
        }
    }
}

impl Entries {
    fn forget_ended(&mut self, now: UnixTime) {
        while self.by_end.first().is_some_and(|(end, _)| *end <= now) {
            self.forget_first();
        }
    }

    fn forget_first(&mut self) {
        if let Some((_, id)) = self.by_end.pop_first() {
            self.ids.remove(&id);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: UnixTime = UnixTime(1_000);

    impl Remembered {
        fn holds(&self, id: &Id) -> bool {
            self.entries.lock().unwrap().ids.contains(id)
        }
    }

    #[test]
    fn an_id_is_new_once() {
        let list = Remembered::new("test ids", 10);
        assert!(!list.holds(&[1; 16]));
        assert!(list.add([1; 16], UnixTime(1_010), NOW));
        assert!(!list.add([1; 16], UnixTime(1_010), NOW));
        assert!(list.holds(&[1; 16]));
        assert!(!list.holds(&[2; 16]));
    }

    #[test]
    fn of_many_who_add_the_same_id_one_is_first() {
        let list = Remembered::new("test ids", 10);
        let firsts: usize = std::thread::scope(|scope| {
            let threads: Vec<_> =
                (0..8).map(|_| scope.spawn(|| usize::from(list.add([1; 16], UnixTime(2_000), NOW)))).collect();
            threads.into_iter().map(|thread| thread.join().unwrap()).sum()
        });
        assert_eq!(firsts, 1);
    }

    #[test]
    fn when_full_the_entry_that_ends_soonest_goes() {
        let list = Remembered::new("test ids", 3);
        for (id, end) in [(1, 1_030), (2, 1_010), (3, 1_020), (4, 1_040)] {
            list.add([id; 16], UnixTime(end), NOW);
        }
        assert_eq!([1, 2, 3, 4].map(|id| list.holds(&[id; 16])), [true, false, true, true]);
        // A new entry is kept even when it would be the next to go.
        list.add([5; 16], UnixTime(1_001), NOW);
        assert_eq!([1, 3, 4, 5].map(|id| list.holds(&[id; 16])), [true, false, true, true]);
    }

    #[test]
    fn what_has_ended_makes_room_first() {
        let list = Remembered::new("test ids", 2);
        list.add([1; 16], UnixTime(1_010), NOW);
        list.add([2; 16], UnixTime(1_500), NOW);
        list.add([3; 16], UnixTime(1_400), UnixTime(1_010));
        assert_eq!([1, 2, 3].map(|id| list.holds(&[id; 16])), [false, true, true]);
    }

    #[test]
    fn when_full_a_new_id_may_be_refused_instead() {
        let list = Remembered::new("test ids", 2);
        assert_eq!(list.add_if_room([1; 16], UnixTime(1_010), NOW), Ok(true));
        assert_eq!(list.add_if_room([2; 16], UnixTime(1_020), NOW), Ok(true));
        assert_eq!(list.add_if_room([3; 16], UnixTime(1_030), NOW), Err(Full));
        assert_eq!(list.add_if_room([1; 16], UnixTime(1_010), NOW), Ok(false), "still remembered");
        assert_eq!(list.add_if_room([3; 16], UnixTime(1_030), UnixTime(1_009)), Err(Full), "nothing has ended");
        assert_eq!(list.add_if_room([3; 16], UnixTime(1_030), UnixTime(1_010)), Ok(true), "the first has");
        assert_eq!([1, 2, 3].map(|id| list.holds(&[id; 16])), [false, true, true]);
    }

    #[test]
    fn it_never_grows_past_its_limit() {
        let list = Remembered::new("test ids", 100);
        for n in 0..10_000_u64 {
            let mut id = [0; 16];
            id[..8].copy_from_slice(&n.to_be_bytes());
            list.add(id, UnixTime(2_000 + n % 7), NOW);
        }
        let entries = list.entries.lock().unwrap();
        assert_eq!((entries.ids.len(), entries.by_end.len()), (100, 100));
    }
}
