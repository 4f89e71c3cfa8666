//! What happened to an agent, in order: the page's timeline and the event stream are the same rows.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    agent::{ProofFacts, Seen, Wanted},
    exchange::ExchangeKind,
    id::ExchangeId,
    machine::MachineSize,
};

/// One row of an agent's timeline.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Entry {
    /// Grows within an agent; the `id` of the server-sent event.
    pub seq: i64,
    /// When it happened, by the database's clock.
    pub at: DateTime<Utc>,
    /// What happened.
    #[serde(flatten)]
    pub what: Happening,
}

/// What can happen. The word in JSON (`event`) is stored: it may be added to, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "event", rename_all = "snake_case")]
pub enum Happening {
    /// Somebody asked for something.
    Asked {
        /// `create`, `stop`, `start`, `restart`, `proof`, `retry`, `delete`, `rotate`.
        what: String,
        /// Who: a member's e-mail address or "Berth".
        by: String,
    },
    /// What is wanted changed.
    Wanted {
        /// The new wish.
        wanted: Wanted,
    },
    /// A step of the flow began.
    StepStarted {
        /// [`crate::life::Life::name`].
        step: String,
    },
    /// A step of the flow ended well.
    StepEnded {
        /// [`crate::life::Life::name`].
        step: String,
        /// How long it took, attempts and waits included.
        took_ms: i64,
    },
    /// A step did not work and will be tried again.
    StepRetried {
        /// [`crate::life::Life::name`].
        step: String,
        /// A sentence without secrets.
        why: String,
        /// How many tries so far.
        attempt: i32,
    },
    /// What was seen changed.
    Seen {
        /// The new state.
        seen: Seen,
    },
    /// A machine was found for it: a spare that was warm already, or none was ready and one is made.
    MachineTaken {
        /// Whether it is a spare.
        spare: bool,
    },
    /// Its machine is as large as its plan has it.
    MachineSized {
        /// What the plan says of it.
        size: MachineSize,
    },
    /// Its machine holds another gateway token, and another machine key where its image can change that.
    KeysReplaced {
        /// Whether the machine key is another one too.
        machine_key: bool,
    },
    /// A proof ended.
    Proof {
        /// Its result.
        proof: ProofFacts,
    },
    /// A turn or a log tail is answered (or failed); read it at its own address, here are no words.
    Exchanged {
        /// Which one.
        exchange: ExchangeId,
        /// Whether there is an answer.
        ok: bool,
        /// What kind of question it was. Rows of older builds do not say.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        kind: Option<ExchangeKind>,
    },
}

impl Happening {
    /// The name of the server-sent event.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Asked { .. } => "asked",
            Self::Wanted { .. } => "wanted",
            Self::StepStarted { .. } => "step_started",
            Self::StepEnded { .. } => "step_ended",
            Self::StepRetried { .. } => "step_retried",
            Self::Seen { .. } => "seen",
            Self::MachineTaken { .. } => "machine_taken",
            Self::MachineSized { .. } => "machine_sized",
            Self::KeysReplaced { .. } => "keys_replaced",
            Self::Proof { .. } => "proof",
            Self::Exchanged { .. } => "exchanged",
        }
    }
}

/// How long a step usually takes, from the history of all agents of this installation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Usual {
    /// [`crate::life::Life::name`].
    pub step: String,
    /// Half of the runs took at most this.
    pub p50_ms: i64,
    /// 95 of 100 took at most this.
    pub p95_ms: i64,
    /// How many runs this is drawn from.
    pub runs: i64,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_exchange_of_an_older_build_still_reads() {
        let old =
            serde_json::json!({ "event": "exchanged", "exchange": "exc_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a", "ok": true });
        let read: Happening = serde_json::from_value(old.clone()).unwrap();
        assert!(matches!(read, Happening::Exchanged { ok: true, kind: None, .. }));
        assert_eq!(serde_json::to_value(read).unwrap(), old);
    }
}
