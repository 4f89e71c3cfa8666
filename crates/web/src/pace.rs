//! How often ordinary requests are taken: counted in memory, by each process for itself.
//!
//! No round trip, no lock but for the moment of counting, and a bound that is honest about what it is: an account
//! gets at most this much from *each* process, and a new start of a process forgets. What must be exact is counted
//! in the database: `app::limits`.

use std::{
    collections::HashMap,
    hash::{BuildHasher as _, Hash, RandomState},
    sync::{Mutex, PoisonError},
    time::{Duration, Instant},
};

use domain::limits::{Rule, Source, TooMany};
use uuid::Uuid;

/// Parts of the table, each with a lock of its own.
const SHARDS: usize = 16;
/// Most buckets of a part. Where so many are in use, who comes new is not counted: memory stays bounded.
const BUCKETS_MAX: usize = 4096;

/// Whom a request counts for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Counted {
    /// Where it comes from, whoever it is.
    Source(Source),
    /// The user or the machine that sent it.
    Account(Uuid),
}

/// Reading costs less than changing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) enum Act {
    Reads,
    Changes,
}

type Shard = Mutex<HashMap<(Counted, Act), Duration>>;

/// What ordinary requests are counted by.
pub struct Pace {
    per_minute: u32,
    began: Instant,
    hasher: RandomState,
    shards: [Shard; SHARDS],
}

impl Default for Pace {
    fn default() -> Self {
        Self::per_minute(1200)
    }
}

impl Pace {
    /// An account reads this often in a minute, and a quarter of that at once; it changes things a quarter as
    /// often. A source, with all accounts behind it, four times as often as an account. Zero: nothing is counted.
    #[must_use]
    pub fn per_minute(per_minute: u32) -> Self {
        let shards = std::array::from_fn(|_| Mutex::default());
        Self { per_minute, began: Instant::now(), hasher: RandomState::new(), shards }
    }

    /// Counts one.
    pub(crate) fn take(&self, whom: Counted, act: Act) -> Result<(), TooMany> {
        self.take_at(whom, act, self.began.elapsed())
    }

    fn take_at(&self, whom: Counted, act: Act, now: Duration) -> Result<(), TooMany> {
        let Some(rule) = self.rule(whom, act) else { return Ok(()) };
        let key = (whom, act);
        let shard = usize::try_from(self.hasher.hash_one(key) % SHARDS as u64).unwrap_or_default();
        let Some(shard) = self.shards.get(shard) else { return Ok(()) };
        let mut buckets = shard.lock().unwrap_or_else(PoisonError::into_inner);
        if buckets.len() >= BUCKETS_MAX && !buckets.contains_key(&key) {
            buckets.retain(|_, full_at| *full_at > now);
            if buckets.len() >= BUCKETS_MAX {
                return Ok(());
            }
        }
        let full_at = buckets.entry(key).or_insert(now);
        *full_at = rule.take(*full_at, now)?;
        Ok(())
    }

    fn rule(&self, whom: Counted, act: Act) -> Option<Rule> {
        let account = match act {
            Act::Reads => self.per_minute,
            Act::Changes => self.per_minute.div_ceil(4),
        };
        let per_minute = match whom {
            Counted::Account(_) => account,
            Counted::Source(_) => account.saturating_mul(4),
        };
        (per_minute > 0).then(|| Rule::new(per_minute.div_ceil(4), Duration::from_mins(1) / per_minute))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn account(number: u128) -> Counted {
        Counted::Account(Uuid::from_u128(number))
    }

    #[test]
    fn a_minute_gives_what_it_says_and_a_quarter_more() {
        let pace = Pace::per_minute(120);
        let (mut taken, mut changed) = (0, 0);
        for millis in 0..60_000 {
            let now = Duration::from_millis(millis);
            taken += u32::from(pace.take_at(account(1), Act::Reads, now).is_ok());
            changed += u32::from(pace.take_at(account(1), Act::Changes, now).is_ok());
        }
        assert!((149..=150).contains(&taken) && (37..=38).contains(&changed), "{taken} {changed}");
        let source = Counted::Source(Source::unknown());
        let at_once = (0..1000).filter(|_| pace.take_at(source, Act::Reads, Duration::ZERO).is_ok()).count();
        assert_eq!(at_once, 120);
    }

    #[test]
    fn a_refusal_says_when_and_one_does_not_pay_for_another() {
        let pace = Pace::per_minute(4);
        let now = Duration::from_secs(100);
        assert_eq!(pace.take_at(account(1), Act::Reads, now), Ok(()));
        let wait = pace.take_at(account(1), Act::Reads, now).unwrap_err().retry_after;
        assert_eq!(wait, Duration::from_secs(15));
        assert_eq!(pace.take_at(account(2), Act::Reads, now), Ok(()));
        assert_eq!(pace.take_at(account(1), Act::Reads, now + wait), Ok(()));
    }

    #[test]
    fn memory_is_bounded_and_what_is_full_makes_room() {
        let pace = Pace::per_minute(1);
        let held = |pace: &Pace| pace.shards.iter().map(|shard| shard.lock().unwrap().len()).sum::<usize>();
        for number in 0..200_000 {
            pace.take_at(account(number), Act::Reads, Duration::ZERO).unwrap();
        }
        assert!(held(&pace) <= SHARDS * BUCKETS_MAX);
        for number in 200_000..200_100 {
            pace.take_at(account(number), Act::Reads, Duration::from_mins(3)).unwrap();
        }
        assert!(held(&pace) <= 16 * BUCKETS_MAX && held(&pace) < 66_000);
        assert!(pace.take_at(account(200_050), Act::Reads, Duration::from_mins(3)).is_err());
    }

    #[test]
    fn nothing_is_counted_where_the_setting_says_so() {
        let pace = Pace::per_minute(0);
        assert!((0..10_000).all(|_| pace.take_at(account(1), Act::Changes, Duration::ZERO).is_ok()));
    }
}
