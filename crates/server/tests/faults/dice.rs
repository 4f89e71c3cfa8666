//! Chance that can be repeated: the same seed, the same throws.

use std::time::Duration;

use domain::Entropy as _;
use testkit::Seeded;

/// Seeded dice.
pub(crate) struct Dice(Seeded);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Seeded::new(seed))
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        usize::try_from(u64::from_le_bytes(bytes) % u64::try_from(bound).unwrap()).unwrap()
    }

    /// One of them.
    pub(crate) fn one<'a, T>(&self, of: &'a [T]) -> &'a T {
        &of[self.below(of.len())]
    }

    /// Between two numbers of milliseconds.
    pub(crate) fn ms(&self, least: u64, most: u64) -> Duration {
        let span = usize::try_from(most - least + 1).unwrap();
        Duration::from_millis(least + u64::try_from(self.below(span)).unwrap())
    }
}
