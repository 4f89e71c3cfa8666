//! The steps of an agent's life, as data.
//!
//! A step is what the flow's row holds; its behaviour is in `flows::life`. What a
//! later step needs stands in its arm. [`Life::teardown`] leads out of every one.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::id::MachineId;

/// One step. The word in JSON (`step`) is stored: it may be added to, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Life {
    /// Choose the machine's id and seal its keys, before anything exists outside.
    Reserve,
    /// Make the machine at its provider, with its per-machine files, and start it.
    Create {
        /// The reserved machine.
        machine: MachineId,
    },
    /// Wait until the machine takes connections.
    Await {
        /// The machine.
        machine: MachineId,
    },
    /// Meet the guest over the pinned connection; wait for its gateway.
    Hello {
        /// The machine.
        machine: MachineId,
    },
    /// Put configuration and secrets in force.
    Apply {
        /// The machine.
        machine: MachineId,
    },
    /// Take a real turn.
    Prove {
        /// The machine.
        machine: MachineId,
        /// How many proofs have failed since the step began.
        tries: u8,
    },
    /// Answering; wait for wishes and bad news.
    Live {
        /// The machine.
        machine: MachineId,
    },
    /// Look at a machine that stopped answering, twice, before a verdict.
    Recover {
        /// The machine.
        machine: MachineId,
        /// How many looks have failed.
        looks: u8,
    },
    /// Let the gateway end its work, then stop the machine.
    Stop {
        /// The machine.
        machine: MachineId,
    },
    /// At rest, as wanted.
    Stopped {
        /// The machine.
        machine: MachineId,
    },
    /// Start the machine.
    Start {
        /// The machine.
        machine: MachineId,
    },
    /// Restart the gateway on the running machine.
    Restart {
        /// The machine.
        machine: MachineId,
    },
    /// Berth gave up at a step; a person retries or deletes.
    Failed {
        /// The machine, if one was reserved.
        machine: Option<MachineId>,
        /// The sentence shown to the tenant.
        why: String,
    },
    /// Destroy the machine, see that it is gone, then forget the agent.
    Remove {
        /// The machine, if one was reserved.
        machine: Option<MachineId>,
    },
}

impl Life {
    /// Every step once, for tests that must not forget one.
    #[must_use]
    pub fn every(machine: MachineId) -> Vec<Self> {
        vec![
            Self::Reserve,
            Self::Create { machine },
            Self::Await { machine },
            Self::Hello { machine },
            Self::Apply { machine },
            Self::Prove { machine, tries: 0 },
            Self::Live { machine },
            Self::Recover { machine, looks: 0 },
            Self::Stop { machine },
            Self::Stopped { machine },
            Self::Start { machine },
            Self::Restart { machine },
            Self::Failed { machine: Some(machine), why: String::new() },
            Self::Remove { machine: Some(machine) },
        ]
    }

    /// The word in the database, in logs and on the timeline.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        match self {
            Self::Reserve => "reserve",
            Self::Create { .. } => "create",
            Self::Await { .. } => "await",
            Self::Hello { .. } => "hello",
            Self::Apply { .. } => "apply",
            Self::Prove { .. } => "prove",
            Self::Live { .. } => "live",
            Self::Recover { .. } => "recover",
            Self::Stop { .. } => "stop",
            Self::Stopped { .. } => "stopped",
            Self::Start { .. } => "start",
            Self::Restart { .. } => "restart",
            Self::Failed { .. } => "failed",
            Self::Remove { .. } => "remove",
        }
    }

    /// What the step does, for a person who waits.
    #[must_use]
    pub fn sentence(step: &str) -> &'static str {
        match step {
            "reserve" => "Reserving a machine and sealing its keys",
            "create" => "Making the machine",
            "await" => "Waiting for the machine to start",
            "hello" => "Meeting the machine and waiting for its gateway",
            "apply" => "Putting the configuration in force",
            "prove" => "Taking a real turn as proof",
            "live" => "Live",
            "recover" => "Looking again at a machine that did not answer",
            "stop" => "Stopping the machine",
            "stopped" => "Stopped",
            "start" => "Starting the machine",
            "restart" => "Restarting the gateway",
            "failed" => "Waiting for your decision",
            "remove" => "Destroying the machine",
            _ => "Working",
        }
    }

    /// The machine that this step is about.
    #[must_use]
    pub const fn machine(&self) -> Option<MachineId> {
        match self {
            Self::Reserve => None,
            Self::Create { machine }
            | Self::Await { machine }
            | Self::Hello { machine }
            | Self::Apply { machine }
            | Self::Prove { machine, .. }
            | Self::Live { machine }
            | Self::Recover { machine, .. }
            | Self::Stop { machine }
            | Self::Stopped { machine }
            | Self::Start { machine }
            | Self::Restart { machine } => Some(*machine),
            Self::Failed { machine, .. } | Self::Remove { machine } => *machine,
        }
    }

    /// How long the flow may stay in this step. `None` where it rests until somebody wants something.
    #[must_use]
    pub const fn deadline(&self) -> Option<Duration> {
        match self {
            Self::Reserve => Some(Duration::from_mins(2)),
            Self::Create { .. } => Some(Duration::from_mins(5)),
            // A gateway takes 10 to 36 s to get ready on a busy machine; 120 s is its own allowance.
            Self::Hello { .. } | Self::Apply { .. } => Some(Duration::from_mins(4)),
            Self::Await { .. }
            | Self::Prove { .. }
            | Self::Recover { .. }
            | Self::Start { .. }
            | Self::Restart { .. } => Some(Duration::from_mins(3)),
            Self::Stop { .. } => Some(Duration::from_mins(7)), // a drain of a minute, a shutdown of half a minute, and retries
            Self::Remove { .. } => Some(Duration::from_mins(15)),
            Self::Live { .. } | Self::Stopped { .. } | Self::Failed { .. } => None,
        }
    }

    /// Where to go when the agent is wanted gone, from wherever it is.
    #[must_use]
    pub const fn teardown(&self) -> Self {
        Self::Remove { machine: self.machine() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use uuid::Uuid;

    fn machine() -> MachineId {
        MachineId::from_uuid(Uuid::from_u128(0x0198))
    }

    #[test]
    fn every_step_reads_back_and_has_a_sentence_and_a_way_out() {
        for step in Life::every(machine()) {
            let stored = serde_json::to_value(&step).unwrap();
            assert_eq!(stored["step"], step.name());
            assert_eq!(serde_json::from_value::<Life>(stored).unwrap(), step);
            assert_ne!(Life::sentence(step.name()), "Working", "{}", step.name());
            assert_eq!(step.teardown(), Life::Remove { machine: step.machine() });
        }
    }

    /// Rows written by older builds hold these words. A line may be added; none may change.
    #[test]
    fn stored_words_never_change() {
        let words: Vec<String> = Life::every(machine()).iter().map(|s| serde_json::to_string(s).unwrap()).collect();
        assert_eq!(words.join("\n"), include_str!("life.golden").trim_end());
    }

    #[test]
    fn only_resting_steps_have_no_deadline() {
        let resting: Vec<&str> =
            Life::every(machine()).iter().filter(|s| s.deadline().is_none()).map(Life::name).collect();
        assert_eq!(resting, ["live", "stopped", "failed"]);
    }
}
