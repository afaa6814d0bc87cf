//! Tells most of what is not in a part without its lock: requests whose sessions have not ended, which is nearly all, write nothing that
//! another core reads, and wait for memory once instead of five times.
//!
//! A Bloom filter of one word a hash. What is in the map is in the filter, at every moment: words only lose bits that no entry has.

use std::sync::atomic::{AtomicU64, Ordering};

/// Bits for each entry of a full map: then a twentieth of what is not in the map is looked for all the same.
const BITS_PER_ENTRY: usize = 8;

/// A multiple of a power of two words.
#[derive(Debug)]
pub(super) struct Filter(Box<[AtomicU64]>);

impl Filter {
    /// For so many entries.
    pub(super) fn new(entries: usize) -> Self {
        let words = (entries * BITS_PER_ENTRY).div_ceil(64).next_power_of_two();
        Self(std::iter::repeat_with(AtomicU64::default).take(words).collect())
    }

    /// `false` when nothing with this hash was added.
    pub(super) fn may_hold(&self, hash: u64) -> bool {
        let bits = bits(hash);
        self.word(hash).is_some_and(|word| word.load(Ordering::Acquire) & bits == bits)
    }

    pub(super) fn add(&self, hash: u64) {
        if let Some(word) = self.word(hash) {
            word.fetch_or(bits(hash), Ordering::Release);
        }
    }

    /// Holds just these. Nobody may add meanwhile; who asks meanwhile finds what is among them and was there before.
    pub(super) fn replace(&self, hashes: impl Iterator<Item = u64>) {
        let mut words = vec![0; self.0.len()];
        for hash in hashes {
            if let Some(word) = words.get_mut(self.number(hash)) {
                *word |= bits(hash);
            }
        }
        for (word, bits) in self.0.iter().zip(words) {
            word.store(bits, Ordering::Release);
        }
    }

    fn word(&self, hash: u64) -> Option<&AtomicU64> {
        self.0.get(self.number(hash))
    }

    /// The bits below tell the part.
    fn number(&self, hash: u64) -> usize {
        (hash >> 40) as usize & (self.0.len() - 1)
    }
}

fn bits(hash: u64) -> u64 {
    1 << (hash & 63) | 1 << (hash >> 6 & 63)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Well mixed, as by [`super::super::hash`].
    fn hash(number: u64) -> u64 {
        let product = u128::from(number + 1).wrapping_mul(0x9e37_79b9_7f4a_7c15_f39c_c060_5ced_c835);
        (product >> 64) as u64 ^ product as u64
    }

    #[test]
    fn what_was_added_is_held_and_little_else() {
        for entries in [0, 1, 100, 4_000] {
            let filter = Filter::new(entries);
            assert!((0..1_000).all(|number| !filter.may_hold(hash(number))));
            (0..entries as u64).for_each(|number| filter.add(hash(number)));
            assert!((0..entries as u64).all(|number| filter.may_hold(hash(number))), "{entries}");
            let mistaken = (10_000..20_000).filter(|number| filter.may_hold(hash(*number))).count();
            assert!(mistaken < 1_500, "{entries}: {mistaken} of 10,000");
        }
    }

    #[test]
    fn what_stays_is_held_while_others_go() {
        let filter = Filter::new(1_000);
        (0..1_000).for_each(|number| filter.add(hash(number)));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                for _ in 0..50 {
                    assert!((0..500).all(|number| filter.may_hold(hash(number))));
                }
            });
            for _ in 0..50 {
                filter.replace((0..500).map(hash));
            }
        });
        let left = (500..1_000).filter(|number| filter.may_hold(hash(*number))).count();
        assert!(left < 100, "{left}");
        filter.replace(std::iter::empty());
        assert!((0..1_000).all(|number| !filter.may_hold(hash(number))));
    }
}
