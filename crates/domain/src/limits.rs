//! How often something may be done: pure arithmetic, and who is counted as one.
//!
//! Start with [`Rule`]. A bucket is one instant: when it will be full again. Each use moves that instant one step
//! further; a use that would move it further than the bucket holds is refused (the generic cell rate algorithm, a
//! token bucket without a counter). The same arithmetic stands in SQL in `store::limits`, where it is exact across
//! processes, and runs here in memory for ordinary requests.

mod source;
#[cfg(test)]
mod tests;

use std::time::Duration;

pub use source::{BadNetwork, Network, Proxies, Source};

/// So many at once, and from then on one every so often.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rule {
    at_once: u32,
    every: Duration,
}

/// Too many for now.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("too many for now; again in {} s", self.seconds())]
pub struct TooMany {
    /// After this time one more is let through, if nobody else takes it.
    pub retry_after: Duration,
}

impl TooMany {
    /// Whole seconds to wait, rounded up, at least one: what `Retry-After` says.
    #[must_use]
    pub fn seconds(&self) -> u32 {
        let whole = self.retry_after.as_micros().div_ceil(1_000_000).max(1);
        u32::try_from(whole).unwrap_or(u32::MAX)
    }
}

impl Rule {
    /// `at_once` in one go (at least one), then one every `every` (at least a microsecond).
    #[must_use]
    pub const fn new(at_once: u32, every: Duration) -> Self {
        let at_once = if at_once == 0 { 1 } else { at_once };
        let every = if every.as_micros() == 0 { Duration::from_micros(1) } else { every };
        Self { at_once, every }
    }

    /// How many in one go.
    #[must_use]
    pub const fn at_once(self) -> u32 {
        self.at_once
    }

    /// How long until one more.
    #[must_use]
    pub const fn every(self) -> Duration {
        self.every
    }

    /// What the bucket holds, as time.
    #[must_use]
    pub fn room(self) -> Duration {
        self.every.saturating_mul(self.at_once)
    }

    /// Whether one who keeps to `self` can never take more than a `part`th of what `whole` gives, at any time.
    #[must_use]
    pub fn is_share_of(self, whole: Self, part: u32) -> bool {
        self.at_once.saturating_mul(part) <= whole.at_once && self.every >= whole.every.saturating_mul(part)
    }

    /// One more at `now`, for a bucket that is full again at `full_at`; both count from the same instant.
    /// Returns when it is full again then.
    ///
    /// # Errors
    /// [`TooMany`]; the bucket stays as it was.
    pub fn take(self, full_at: Duration, now: Duration) -> Result<Duration, TooMany> {
        let next = full_at.max(now).saturating_add(self.every);
        let latest = now.saturating_add(self.room());
        if next > latest { Err(TooMany { retry_after: next.saturating_sub(latest) }) } else { Ok(next) }
    }
}
