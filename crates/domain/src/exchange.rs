//! One question to an agent's machine, asked by a waiting person and carried by a worker.
//!
//! The web inserts an exchange and waits a bounded time; a worker takes it to
//! the machine and writes the answer. Words on both sides are sealed, belong to
//! the tenant only, and are gone ten minutes after the question.

use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    channel::Channel,
    id::{AgentId, ExchangeId},
};

/// How long an exchange is kept.
pub const KEPT: Duration = Duration::from_mins(10);

/// What kind of question it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ExchangeKind {
    /// Words for the agent.
    Turn,
    /// The last lines of the machine's logs.
    Logs,
    /// Who waits to be let in at the agent's channels.
    Pairings,
    /// Letting one of them in.
    Approve,
}

impl ExchangeKind {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Turn => "turn",
            Self::Logs => "logs",
            Self::Pairings => "pairings",
            Self::Approve => "approve",
        }
    }
}

/// Who is let in: what an exchange of the kind [`ExchangeKind::Approve`] carries as its words.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Approval {
    /// Where they asked.
    pub channel: Channel,
    /// [`Pairing::request`](crate::protocol::Pairing::request).
    pub request: String,
}

/// How far an exchange is.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "state", rename_all = "snake_case")]
pub enum ExchangeState {
    /// On its way.
    Asked,
    /// Answered; the words are sealed beside this.
    Answered {
        /// When.
        at: DateTime<Utc>,
        /// How long the machine took.
        latency_ms: u32,
    },
    /// It will not be answered.
    Failed {
        /// When Berth gave up.
        at: DateTime<Utc>,
        /// A sentence for the person who asked.
        why: String,
        /// Whether what was asked about is not there any more: the same question would fail again.
        #[serde(default)]
        is_gone: bool,
    },
}

/// An exchange without its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Exchange {
    /// Which one.
    pub id: ExchangeId,
    /// Whose machine is asked.
    pub agent: AgentId,
    /// What kind of question.
    pub kind: ExchangeKind,
    /// How far it is.
    pub state: ExchangeState,
    /// When it was asked.
    pub asked_at: DateTime<Utc>,
}

/// The steps of an exchange's flow, as data. The word in JSON (`step`) is stored: it may be added to, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum ExchangeStep {
    /// Find the machine; nothing was sent yet.
    Ask {
        /// Whose machine.
        agent: AgentId,
    },
    /// Take the question to the machine, once: words are never said twice.
    Carry {
        /// Whose machine.
        agent: AgentId,
    },
    /// Forget question and answer, ten minutes after the question.
    Forget {
        /// Whose machine it was.
        agent: AgentId,
    },
}

impl ExchangeStep {
    /// The word in the database and in logs.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Ask { .. } => "ask",
            Self::Carry { .. } => "carry",
            Self::Forget { .. } => "forget",
        }
    }

    /// How long the flow may stay in this step.
    #[must_use]
    pub const fn deadline(&self) -> Duration {
        match self {
            Self::Ask { .. } | Self::Carry { .. } => Duration::from_mins(3),
            Self::Forget { .. } => Duration::from_mins(15),
        }
    }
}
