//! How entries are spread: by multiplying and folding, several times as fast as the standard library's hash.
//!
//! Ids are hashes and random numbers already; the seeds see to it that nobody who can choose some of them can choose where they go.

use std::hash::{BuildHasher, Hasher};

use crate::secret::random;

#[derive(Clone, Copy)]
pub(super) struct Seeds {
    start: u64,
    factor: u64,
}

impl Seeds {
    pub(super) fn new() -> Self {
        let seed = || u64::from_ne_bytes(random());
        // Odd, so that no two words have the same product.
        Self { start: seed(), factor: seed() | 1 }
    }
}

impl BuildHasher for Seeds {
    type Hasher = Folded;

    fn build_hasher(&self) -> Folded {
        Folded { state: self.start, factor: self.factor }
    }
}

pub(super) struct Folded {
    state: u64,
    factor: u64,
}

impl Hasher for Folded {
    fn write(&mut self, bytes: &[u8]) {
        let (words, rest) = bytes.as_chunks::<8>();
        words.iter().for_each(|word| self.write_u64(u64::from_ne_bytes(*word)));
        if !rest.is_empty() {
            self.write_u64(rest.iter().fold(0, |word, byte| word << 8 | u64::from(*byte)));
        }
    }

    fn write_u64(&mut self, word: u64) {
        let product = u128::from(self.state ^ word) * u128::from(self.factor);
        self.state = (product as u64) ^ ((product >> 64) as u64);
    }

    /// What kind of id follows, and how long it is: few values, so no multiplication of their own.
    fn write_usize(&mut self, number: usize) {
        self.state = self.state.rotate_left(8) ^ number as u64;
    }

    fn finish(&self) -> u64 {
        self.state
    }
}
