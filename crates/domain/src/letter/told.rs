//! What a letter with a cause tells: dates, titles and names, as they were when it became due. No secret.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::LetterKind;
use crate::{
    AgentId, MachineId,
    entitlement::{Entitlement, Served, Suspended},
};

/// What a letter tells. Kept beside it until it is forgotten.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "told", rename_all = "snake_case")]
pub enum Told {
    /// An account was made.
    Welcome,
    /// The first agent is live.
    Ready {
        /// Which one.
        agent: AgentId,
        /// What it is called.
        name: String,
    },
    /// The trial ends.
    TrialEnding {
        /// When.
        ends: DateTime<Utc>,
        /// Of which plan: its title.
        plan: Option<String>,
    },
    /// What was given without paying ends.
    GiftEnding {
        /// When.
        ends: DateTime<Utc>,
        /// Of which plan: its title.
        plan: Option<String>,
    },
    /// A payment failed.
    PaymentFailed {
        /// Since when payments fail.
        since: DateTime<Utc>,
        /// After how many days this is written.
        day: u8,
        /// When agents are stopped unless it is paid.
        until: DateTime<Utc>,
        /// Of which plan.
        plan: Option<String>,
    },
    /// Agents are stopped.
    Suspended {
        /// What is wrong.
        why: Stopped,
        /// Since when.
        since: DateTime<Utc>,
    },
    /// Agents are started again.
    Restored {
        /// When that was seen.
        at: DateTime<Utc>,
    },
    /// The subscription ends.
    Cancelled {
        /// Until when it is served.
        served_until: DateTime<Utc>,
        /// Until when everything is kept.
        kept_until: DateTime<Utc>,
        /// Which plan it was.
        plan: Option<String>,
    },
    /// Agents are destroyed.
    Removed {
        /// Which, and when.
        certificate: Certificate,
    },
}

/// Why agents are stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Stopped {
    /// A payment failed seven days ago.
    PastDue,
    /// A payment is disputed.
    Disputed,
    /// The trial is over, and there is no way to pay.
    TrialOver,
    /// What was given is over, and nothing was bought.
    GiftOver,
}

impl Stopped {
    /// The word in causes.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::PastDue => "past_due",
            Self::Disputed => "disputed",
            Self::TrialOver => "trial_over",
            Self::GiftOver => "gift_over",
        }
    }
}

impl From<Suspended> for Stopped {
    fn from(why: Suspended) -> Self {
        match why {
            Suspended::PastDue => Self::PastDue,
            Suspended::Disputed => Self::Disputed,
            Suspended::Paused => Self::TrialOver,
        }
    }
}

/// What was destroyed when a tenant had left: a statement from Berth's own rows.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Certificate {
    /// Agents, each with every machine that it had and that was not named before.
    pub agents: Vec<Destroyed>,
    /// What became of backups.
    pub backups: Backups,
}

/// An agent that is no more.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Destroyed {
    /// Which one.
    pub agent: AgentId,
    /// What it was called.
    pub name: String,
    /// Its machines, the oldest first. None where it never got one.
    pub machines: Vec<GoneMachine>,
}

/// A machine that was seen to be gone.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub struct GoneMachine {
    /// Which one.
    pub id: MachineId,
    /// When it was made.
    pub made: DateTime<Utc>,
    /// When its provider no longer had it.
    pub gone: DateTime<Utc>,
}

/// What became of backups of destroyed machines. One arm today: Berth takes none.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Backups {
    /// There were none.
    NoneKept,
}

impl Backups {
    /// As the letter and the audit say it.
    #[must_use]
    pub const fn said(self) -> &'static str {
        match self {
            Self::NoneKept => "no backups of these machines were kept",
        }
    }
}

impl Told {
    /// Which letter tells it.
    #[must_use]
    pub const fn kind(&self) -> LetterKind {
        match self {
            Self::Welcome => LetterKind::Welcome,
            Self::Ready { .. } => LetterKind::Ready,
            Self::TrialEnding { .. } => LetterKind::TrialEnding,
            Self::GiftEnding { .. } => LetterKind::GiftEnding,
            Self::PaymentFailed { .. } => LetterKind::PaymentFailed,
            Self::Suspended { .. } => LetterKind::Suspended,
            Self::Restored { .. } => LetterKind::Restored,
            Self::Cancelled { .. } => LetterKind::Cancelled,
            Self::Removed { .. } => LetterKind::Removed,
        }
    }

    /// Whether it is still so when a letter is sent late: nobody is told of trouble that is over.
    #[must_use]
    pub fn still_holds(&self, now: &Entitlement) -> bool {
        match self {
            Self::Welcome | Self::Ready { .. } | Self::Removed { .. } => true,
            Self::TrialEnding { ends, .. } => *now == Entitlement::Served { by: Served::Trial { ends: *ends } },
            Self::GiftEnding { ends, .. } => {
                *now == Entitlement::Served { by: Served::Complimentary { until: Some(*ends) } }
            }
            Self::PaymentFailed { .. } => matches!(now, Entitlement::Served { by: Served::PastDue { .. } }),
            Self::Suspended { why: Stopped::GiftOver, .. } => matches!(now, Entitlement::Unpaid),
            Self::Suspended { why, .. } => {
                matches!(now, Entitlement::Suspended { why: still, .. } if Stopped::from(*still) == *why)
            }
            Self::Restored { .. } => now.may_run(),
            Self::Cancelled { .. } => {
                matches!(now, Entitlement::Leaving { .. } | Entitlement::Served { by: Served::Cancelled { .. } })
            }
        }
    }
}

/// A made-up one of each kind.
pub(super) fn samples(now: DateTime<Utc>) -> Vec<(&'static str, Told)> {
    let (day, plan) = (chrono::Duration::days(1), || Some("Pro".to_owned()));
    let agent = |n: u128| AgentId::from_uuid(uuid::Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 + n));
    let machine = |n: u128| MachineId::from_uuid(uuid::Uuid::from_u128(0x0198_c0de_0000_7000_8000_0000_0000_0000 + n));
    let failed = |after: u8| Told::PaymentFailed {
        since: now - day * i32::from(after),
        day: after,
        until: now + day * (7 - i32::from(after)),
        plan: plan(),
    };
    let suspended = |why| Told::Suspended { why, since: now };
    let destroyed = |n, name: &str, machines| Destroyed { agent: agent(n), name: name.to_owned(), machines };
    let gone = GoneMachine { id: machine(9), made: now - day * 90, gone: now };
    let certificate = Certificate {
        agents: vec![destroyed(1, "scout", vec![gone]), destroyed(2, "<b>second</b>", Vec::new())],
        backups: Backups::NoneKept,
    };
    vec![
        ("welcome", Told::Welcome),
        ("ready", Told::Ready { agent: agent(1), name: "scout".to_owned() }),
        ("trial_ending", Told::TrialEnding { ends: now + day * 3, plan: plan() }),
        ("gift_ending", Told::GiftEnding { ends: now + day * 3, plan: plan() }),
        ("payment_failed", failed(0)),
        ("payment_failed_3", failed(3)),
        ("payment_failed_5", failed(5)),
        ("suspended", suspended(Stopped::PastDue)),
        ("suspended_disputed", suspended(Stopped::Disputed)),
        ("suspended_trial_over", suspended(Stopped::TrialOver)),
        ("suspended_gift_over", suspended(Stopped::GiftOver)),
        ("restored", Told::Restored { at: now }),
        ("cancelled", Told::Cancelled { served_until: now + day * 12, kept_until: now + day * 42, plan: plan() }),
        ("removed", Told::Removed { certificate }),
    ]
}
