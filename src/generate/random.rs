//! Random choices that are the same on every machine.
//!
//! Only integer arithmetic on the bits of ChaCha8 is used: the distributions of the `rand` crate
//! may change from version to version, and logarithms differ from one C library to the next.

use rand::{RngCore, SeedableRng};
use rand_chacha::ChaCha8Rng;

/// A stream of random choices.
pub(super) struct Random(ChaCha8Rng);

impl Random {
    /// The stream of one block of one data set: streams with different arguments are unrelated.
    pub(super) fn new(seed: u64, dataset: [u8; 8], block: u64) -> Random {
        let mut key = [0; 32];
        key[..8].copy_from_slice(&seed.to_le_bytes());
        key[8..16].copy_from_slice(&dataset);
        key[16..24].copy_from_slice(&block.to_le_bytes());
        Random(ChaCha8Rng::from_seed(key))
    }

    /// A number below `limit`; 0 for a limit of 0.
    pub(super) fn below(&mut self, limit: u32) -> u32 {
        // The product's upper half: the bias is below one in four billion and costs no division.
        ((u64::from(self.0.next_u32()) * u64::from(limit)) >> 32) as u32
    }

    /// A number from `low` to `high`, both included.
    pub(super) fn between(&mut self, low: u32, high: u32) -> u32 {
        low + self.below(high - low + 1)
    }

    /// True once in `count` calls on average.
    pub(super) fn one_in(&mut self, count: u32) -> bool {
        self.below(count) == 0
    }

    /// One of `choices`, each as likely as the others.
    pub(super) fn pick<'a, T>(&mut self, choices: &'a [T]) -> &'a T {
        &choices[self.below(choices.len() as u32) as usize]
    }

    /// A number between -1000 and 1000, most often near 0: the sum of four even ones.
    pub(super) fn bell(&mut self) -> i32 {
        (0..4).map(|_| self.below(501) as i32 - 250).sum()
    }

    /// A value of the distribution whose quantiles, evenly spaced, are `quantiles`.
    pub(super) fn quantile(&mut self, quantiles: &[u32]) -> u32 {
        const STEP_COUNT: u32 = 1 << 12;
        let steps = self.below((quantiles.len() as u32 - 1) * STEP_COUNT);
        let (index, within) = ((steps / STEP_COUNT) as usize, steps % STEP_COUNT);
        let (low, high) = (quantiles[index], quantiles[index + 1]);
        low + ((u64::from(high - low) * u64::from(within)) / u64::from(STEP_COUNT)) as u32
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn streams_repeat_and_differ() {
        let draw = |seed, block| {
            let mut random = Random::new(seed, *b"test\0\0\0\0", block);
            (0..20).map(|_| random.below(1000)).collect::<Vec<_>>()
        };
        assert_eq!(draw(42, 7), draw(42, 7));
        assert_ne!(draw(42, 7), draw(42, 8));
        assert_ne!(draw(42, 7), draw(43, 7));
    }

    #[test]
    fn values_keep_to_their_ranges() {
        let mut random = Random::new(1, *b"test\0\0\0\0", 0);
        for _ in 0..10_000 {
            assert!(random.below(3) < 3);
            assert!((4..=6).contains(&random.between(4, 6)));
            assert!((-1000..=1000).contains(&random.bell()));
            assert!((10..100).contains(&random.quantile(&[10, 20, 100])));
        }
        assert_eq!(random.below(0), 0);
    }
}
