//! Jobs: work of the house that runs again and again, by schedule or when asked.

use serde::{Deserialize, Serialize};

/// A job. One run of each at a time; whoever asks while one is under way joins it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Job {
    /// One look at every machine.
    Health,
    /// Keeps as many spare machines as wanted.
    Pool,
    /// Forgets what is kept for a while only.
    Retention,
    /// Compares what is known of payments with what stands at Stripe.
    Billing,
}

impl Job {
    /// Every job once.
    pub const EVERY: [Self; 4] = [Self::Health, Self::Pool, Self::Retention, Self::Billing];

    /// The word in the database, in `/api/cron/{job}` and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Health => "health",
            Self::Pool => "pool",
            Self::Retention => "retention",
            Self::Billing => "billing",
        }
    }

    /// What it does, for the operator.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Health => "Looks at every machine and tells the flows of those that do not answer",
            Self::Pool => "Makes spare machines until as many are ready as wanted, and retires old ones",
            Self::Retention => "Forgets expired sessions, tokens and links, old runs and old step times",
            Self::Billing => "Asks Stripe for events that are missing, and compares each tenant's payments with it",
        }
    }

    /// When it runs until an operator says otherwise: a cron expression in UTC.
    #[must_use]
    pub const fn default_cron(self) -> &'static str {
        match self {
            Self::Health => "*/5 * * * *",
            Self::Pool => "* * * * *",
            Self::Retention => "17 3 * * *",
            Self::Billing => "42 */6 * * *",
        }
    }

    /// What becomes of ticks that were missed while no worker ran.
    #[must_use]
    pub const fn catch_up(self) -> CatchUp {
        match self {
            // The next one is minutes away at most and looks at the same things.
            Self::Health | Self::Pool => CatchUp::Skip,
            Self::Retention | Self::Billing => CatchUp::Once,
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|job| job.name() == word)
    }
}

/// What becomes of ticks that were missed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum CatchUp {
    /// All of them become one run, as soon as possible.
    Once,
    /// They are left out.
    Skip,
}

impl CatchUp {
    /// Every one once.
    pub const EVERY: [Self; 2] = [Self::Once, Self::Skip];

    /// What it means, for the operator.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::Once => "Make up for missed times with one run",
            Self::Skip => "Leave missed times out",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|catch_up| catch_up.name() == word)
    }

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Once => "once",
            Self::Skip => "skip",
        }
    }
}

/// Who asked for a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AskedBy {
    /// The built-in schedule.
    Schedule,
    /// A scheduler outside, with the cron secret.
    Cron,
    /// An operator.
    Operator,
    /// Berth itself: a spare was taken.
    Berth,
}

impl AskedBy {
    /// Every one once.
    pub const EVERY: [Self; 4] = [Self::Schedule, Self::Cron, Self::Operator, Self::Berth];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Schedule => "schedule",
            Self::Cron => "cron",
            Self::Operator => "operator",
            Self::Berth => "berth",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_job_reads_back() {
        for job in Job::EVERY {
            assert_eq!(Job::parse(job.name()), Some(job));
            assert_eq!(serde_json::to_value(job).unwrap(), job.name());
        }
        assert_eq!(Job::parse("Health"), None);
        for catch_up in CatchUp::EVERY {
            assert_eq!(CatchUp::parse(catch_up.name()), Some(catch_up));
        }
    }
}
