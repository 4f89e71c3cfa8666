//! What an agent is: *wanted* by its tenant, *seen* by Berth.
//!
//! The two are different types and are never merged: the web writes what is
//! wanted, a flow writes what was seen, a page shows both.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    id::{AgentId, ProofId},
    machine::MachineFacts,
    names::AgentName,
};

/// What the tenant wants of an agent.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wanted {
    /// It shall answer.
    Running,
    /// It shall rest; its data stays.
    Stopped,
    /// It shall not exist any more.
    Gone,
}

impl Wanted {
    /// The word in the API, in the database and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Running => "running",
            Self::Stopped => "stopped",
            Self::Gone => "gone",
        }
    }
}

/// What Berth saw of an agent last, with the facts that hold in that state.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum Seen {
    /// Its machine is being made or started.
    Preparing {
        /// When this began.
        since: DateTime<Utc>,
    },
    /// Its machine answers; the configuration is on its way.
    Configuring {
        /// When this began.
        since: DateTime<Utc>,
    },
    /// The configuration is in force; a real turn is being taken.
    Proving {
        /// When this began.
        since: DateTime<Utc>,
    },
    /// It answered. The only state that may be called live.
    Live {
        /// When this began.
        since: DateTime<Utc>,
    },
    /// It was live and does not answer as it should; Berth is at work.
    Degraded {
        /// When this was seen first.
        since: DateTime<Utc>,
        /// A sentence for the tenant.
        why: String,
    },
    /// It rests, as wanted.
    Stopped {
        /// When this began.
        since: DateTime<Utc>,
    },
    /// Berth gave up; a person decides what is next.
    Failed {
        /// When Berth gave up.
        since: DateTime<Utc>,
        /// A sentence for the tenant: what happened and what to do.
        why: String,
    },
    /// It is being destroyed.
    Deleting {
        /// When this began.
        since: DateTime<Utc>,
    },
}

impl Seen {
    /// The word in the API, on pages and in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Preparing { .. } => "preparing",
            Self::Configuring { .. } => "configuring",
            Self::Proving { .. } => "proving",
            Self::Live { .. } => "live",
            Self::Degraded { .. } => "degraded",
            Self::Stopped { .. } => "stopped",
            Self::Failed { .. } => "failed",
            Self::Deleting { .. } => "deleting",
        }
    }

    /// When this state began.
    #[must_use]
    pub const fn since(&self) -> DateTime<Utc> {
        match self {
            Self::Preparing { since }
            | Self::Configuring { since }
            | Self::Proving { since }
            | Self::Live { since }
            | Self::Degraded { since, .. }
            | Self::Stopped { since }
            | Self::Failed { since, .. }
            | Self::Deleting { since } => *since,
        }
    }

    /// The sentence that belongs to the state, where it has one.
    #[must_use]
    pub fn why(&self) -> Option<&str> {
        match self {
            Self::Degraded { why, .. } | Self::Failed { why, .. } => Some(why),
            Self::Preparing { .. }
            | Self::Configuring { .. }
            | Self::Proving { .. }
            | Self::Live { .. }
            | Self::Stopped { .. }
            | Self::Deleting { .. } => None,
        }
    }
}

/// The last proof of an agent: a real turn through its gateway.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ProofFacts {
    /// Which one.
    pub id: ProofId,
    /// When it ended.
    pub at: DateTime<Utc>,
    /// Whether the agent answered with the nonce it was given.
    pub ok: bool,
    /// How long the turn took; absent when no answer came.
    pub latency_ms: Option<u32>,
    /// A sentence, when it was not ok.
    pub why: Option<String>,
}

/// An agent as its tenant sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Agent {
    /// Which one.
    pub id: AgentId,
    /// Unique within the tenant while the agent exists.
    pub name: AgentName,
    /// What the tenant wants.
    pub wanted: Wanted,
    /// What Berth saw last.
    pub seen: Seen,
    /// Its machine, once there is one.
    pub machine: Option<MachineFacts>,
    /// The last proof, once there is one.
    pub proof: Option<ProofFacts>,
    /// When it was asked for.
    pub created_at: DateTime<Utc>,
}
