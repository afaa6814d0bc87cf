//! A map with a limit: what was not used for longest goes first, and everything in its own time.

use std::{
    collections::{BTreeMap, HashMap},
    hash::Hash,
    time::Duration,
};

use tokio::time::Instant;

/// Values of a total weight. Not larger than `limit` at any time.
#[derive(Debug)]
pub(super) struct Bounded<K, V> {
    limit: usize,
    weight: usize,
    entries: HashMap<K, Entry<V>>,
    /// By their last use.
    by_use: BTreeMap<u64, K>,
    uses: u64,
}

#[derive(Debug)]
struct Entry<V> {
    value: V,
    weight: usize,
    until: Instant,
    used: u64,
}

impl<K: Copy + Eq + Hash, V> Bounded<K, V> {
    pub(super) fn new(limit: usize) -> Self {
        Self { limit, weight: 0, entries: HashMap::new(), by_use: BTreeMap::new(), uses: 0 }
    }

    /// The value of `key`, used now.
    pub(super) fn get(&mut self, key: &K, now: Instant) -> Option<&V> {
        if self.entries.get(key)?.until <= now {
            self.remove(key);
            return None;
        }
        self.uses += 1;
        let entry = self.entries.get_mut(key)?;
        self.by_use.remove(&entry.used);
        self.by_use.insert(self.uses, *key);
        entry.used = self.uses;
        Some(&entry.value)
    }

    /// When the value of `key` goes by itself.
    pub(super) fn until(&self, key: &K) -> Option<Instant> {
        self.entries.get(key).map(|entry| entry.until)
    }

    /// Takes in `value`, in place of an older one; `false` when it is too heavy by itself.
    pub(super) fn insert(&mut self, key: K, value: V, weight: usize, until: Instant) -> bool {
        self.remove(&key);
        if weight > self.limit {
            return false;
        }
        while self.weight + weight > self.limit {
            let Some((_, oldest)) = self.by_use.pop_first() else { break };
            self.remove(&oldest);
        }
        self.uses += 1;
        self.weight += weight;
        self.by_use.insert(self.uses, key);
        self.entries.insert(key, Entry { value, weight, until, used: self.uses });
        true
    }

    pub(super) fn remove(&mut self, key: &K) -> Option<V> {
        let entry = self.entries.remove(key)?;
        self.by_use.remove(&entry.used);
        self.weight -= entry.weight;
        Some(entry.value)
    }
}

/// `time` from `now`.
pub(super) fn after(now: Instant, time: Duration) -> Instant {
    // A hundred years are as good as for ever, and can be represented.
    now + time.min(Duration::from_secs(36_500 * 86_400))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_not_used_for_longest_goes_first() {
        let now = Instant::now();
        let later = after(now, Duration::MAX);
        let mut map = Bounded::new(10);
        for (key, weight) in [('a', 4), ('b', 3), ('c', 3)] {
            assert!(map.insert(key, key, weight, later));
        }
        assert_eq!(map.get(&'a', now), Some(&'a'));
        assert!(map.insert('d', 'd', 4, later), "makes room");
        assert_eq!("abcd".chars().filter(|key| map.get(key, now).is_some()).collect::<String>(), "ad");
        assert!(!map.insert('e', 'e', 11, later), "too heavy for any room");
        assert!(map.insert('a', 'A', 6, later), "in place of the older one");
        assert_eq!(map.get(&'a', now), Some(&'A'));
        assert_eq!(map.get(&'d', now), Some(&'d'));
        assert_eq!(map.weight, 10);
        assert!(!map.insert('d', 'D', 11, later));
        assert_eq!(map.get(&'d', now), None, "an old value does not stand for a new one that found no room");
    }

    #[test]
    fn everything_goes_in_its_time() {
        let now = Instant::now();
        let mut map = Bounded::new(2);
        map.insert('a', 1, 1, now + Duration::from_secs(1));
        assert_eq!(map.get(&'a', now), Some(&1));
        assert_eq!(map.get(&'a', now + Duration::from_secs(1)), None);
        assert_eq!((map.weight, map.entries.len(), map.by_use.len()), (0, 0, 0));
    }
}
