//! The operating system's randomness and clock.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Entropy;

/// Randomness from the cryptographic library's system generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

impl Entropy for System {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "a process without randomness must not go on making keys")]
        aws_lc_rs::rand::fill(buffer).expect("the system gives random bytes");
    }

    fn unix_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}
