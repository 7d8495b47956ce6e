//! Random numbers.

use std::{
    env,
    hash::{BuildHasher, RandomState},
};

/// Random numbers (splitmix64), so that a seed means the same for ever.
pub struct Random(u64);

impl Random {
    /// From the seed that the environment names, or one that is drawn. It is printed.
    pub fn new() -> Self {
        let drawn = || RandomState::new().hash_one(());
        let seed = env::var("PROPTEST_RNG_SEED").map_or_else(|_| drawn(), |seed| seed.parse().unwrap());
        println!("PROPTEST_RNG_SEED={seed}");
        Self(seed)
    }

    /// One of the numbers from 0 up to this.
    pub fn below(&mut self, end: usize) -> usize {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let z = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        usize::try_from((z ^ (z >> 31)) >> 1).unwrap() % end
    }
}
