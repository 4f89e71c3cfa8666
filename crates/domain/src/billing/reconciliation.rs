//! Comparing what is known here with what stands at Stripe, whether or not anybody told.

use chrono::{DateTime, Duration, Utc};
use serde::{Deserialize, Serialize};

use super::StripeEventId;
use crate::TenantId;

/// How far back each run asks for events: an hour more than the time between two runs.
pub const LOOKS_BACK: Duration = Duration::hours(7);
/// How far back Stripe tells events at all.
pub const TOLD_FOR: Duration = Duration::days(30);

/// The steps of a run of the job `billing`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ReconcileStep {
    /// Asks Stripe for a page of its events and keeps those that are missing.
    Ask {
        /// From when on; none before the first page.
        since: Option<DateTime<Utc>>,
        /// The last event of the page before.
        after: Option<StripeEventId>,
        /// What was found so far.
        #[serde(default)]
        told: Told,
    },
    /// Has some tenants looked at.
    Wake {
        /// From when on differences are this run's.
        since: DateTime<Utc>,
        /// The last tenant that was woken.
        after: Option<TenantId>,
        /// How many were woken so far.
        tenants: u64,
        /// What was found of events.
        told: Told,
    },
    /// Waits until they were looked at, and counts what differed.
    Count {
        /// From when on differences are this run's.
        since: DateTime<Utc>,
        /// How many were woken.
        tenants: u64,
        /// What was found of events.
        told: Told,
    },
}

impl ReconcileStep {
    /// The first.
    #[must_use]
    pub fn first() -> Self {
        Self::Ask { since: None, after: None, told: Told::default() }
    }

    /// The word in the database.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "ask",
            Self::Wake { .. } => "wake",
            Self::Count { .. } => "count",
        }
    }

    /// How long a run may stay in it; then it ends with what it has.
    #[must_use]
    pub const fn deadline(&self) -> std::time::Duration {
        match self {
            Self::Ask { .. } | Self::Wake { .. } => std::time::Duration::from_mins(30),
            Self::Count { .. } => std::time::Duration::from_mins(10),
        }
    }
}

/// What was found when Stripe was asked for its events.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Told {
    /// How many Stripe told.
    pub asked: u64,
    /// How many of them were not here.
    pub missing: u64,
    /// How many of those are here now. The others are no events, or too large.
    pub kept: u64,
}

impl Told {
    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        let (asked, missing) = (self.asked + other.asked, self.missing + other.missing);
        Self { asked, missing, kept: self.kept + other.kept }
    }
}

/// Something that was otherwise here than at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Difference {
    /// Whose it is, where that is known yet.
    pub tenant: Option<TenantId>,
    /// What it is.
    pub kind: DifferenceKind,
    /// As it was here; `None`: it was not here.
    pub before: Option<String>,
    /// As it stands at Stripe.
    pub after: String,
}

/// What may differ.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DifferenceKind {
    /// An event was missing.
    Event,
    /// What is known of a tenant's payments was otherwise, and no event had said so.
    Account,
}

impl DifferenceKind {
    /// Both.
    pub const EVERY: [Self; 2] = [Self::Event, Self::Account];

    /// The word in the database and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Event => "event",
            Self::Account => "account",
        }
    }

    /// Reads the word.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|kind| kind.name() == word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_run_begins_with_little_and_every_word_reads_back() {
        let first: ReconcileStep = serde_json::from_value(json!({ "step": "ask" })).unwrap();
        assert_eq!(first, ReconcileStep::first());
        assert_eq!(json!(first)["step"], first.name());
        for kind in DifferenceKind::EVERY {
            assert_eq!(DifferenceKind::parse(kind.name()), Some(kind));
        }
        assert_eq!(DifferenceKind::parse(""), None);
    }
}
