//! Random numbers that a seed repeats.

use std::{
    env,
    hash::{BuildHasher, RandomState},
};

/// A generator of random numbers (splitmix64): a seed gives the same numbers in every version of every dependency.
pub struct Random(u64);

impl Random {
    /// A generator with the seed in `PROPTEST_RNG_SEED`, or with a random one. The seed is printed.
    pub fn new() -> Self {
        let random = || RandomState::new().hash_one(());
        let seed = env::var("PROPTEST_RNG_SEED").map_or_else(|_| random(), |seed| seed.parse().unwrap());
        println!("PROPTEST_RNG_SEED={seed}");
        Self(seed)
    }

    /// Another generator. Its seed is the next number of this one.
    pub fn branch(&mut self) -> Self {
        Self(self.below(usize::MAX) as u64)
    }

    /// A number from 0 to `end` - 1.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap() % end
    }
}
