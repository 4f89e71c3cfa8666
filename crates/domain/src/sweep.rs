//! Sweeping the fleet, as data: the steps, what one slice found, and when so much is bad that nobody is told.
//!
//! Behaviour is in `flows::sweep`.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::id::MachineId;

/// The steps of a sweep. The words in JSON (`step`) are stored: they may be added to, never renamed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Sweep {
    /// Cut the fleet into slices. (`look` is an older build's word for it.)
    #[serde(alias = "look")]
    Spread {
        /// Nobody waits: take some minutes.
        #[serde(default)]
        calm: bool,
    },
    /// Wait for the slices, then judge.
    Gather,
}

/// The one step of a slice.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Slice {
    /// Look at the machines after one id up to and with another.
    Look {
        /// None: from the first.
        after: Option<MachineId>,
        /// None: to the last.
        until: Option<MachineId>,
    },
}

/// What one slice found, or all of them together.
#[derive(Debug, Default, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Found {
    /// Living machines.
    pub machines: u64,
    /// Those that should be answering and were asked.
    pub looked_at: u64,
    /// Whose gateway is ready.
    pub ready: u64,
    /// That answer while their gateway is not ready.
    pub not_ready: u64,
    /// That do not answer.
    pub silent: u64,
    /// Agents whose machine is not ready.
    pub agents: Vec<Uuid>,
    /// Spares that are not ready.
    pub spares: Vec<Uuid>,
}

impl Found {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.machines += other.machines;
        self.looked_at += other.looked_at;
        self.ready += other.ready;
        self.not_ready += other.not_ready;
        self.silent += other.silent;
        self.agents.extend(other.agents);
        self.spares.extend(other.spares);
        self
    }

    /// How many are not ready.
    #[must_use]
    pub const fn bad(&self) -> u64 {
        self.not_ready + self.silent
    }

    /// More than a fifth of the fleet, and more than two machines: rather a fault of the house than of that many
    /// machines, and mending them all at once would only make it worse.
    #[must_use]
    pub const fn is_too_much(&self) -> bool {
        self.bad() > 2 && self.bad() * 5 > self.looked_at
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn stored_words_never_change() {
        let words = [
            serde_json::to_string(&Sweep::Spread { calm: true }).unwrap(),
            serde_json::to_string(&Sweep::Gather).unwrap(),
            serde_json::to_string(&Slice::Look { after: None, until: None }).unwrap(),
        ];
        assert_eq!(
            words,
            [
                r#"{"step":"spread","calm":true}"#,
                r#"{"step":"gather"}"#,
                r#"{"step":"look","after":null,"until":null}"#
            ]
        );
        let older: Sweep = serde_json::from_str(r#"{"step":"look"}"#).unwrap();
        assert_eq!(older, Sweep::Spread { calm: false });
    }

    #[test]
    fn the_brake_takes_a_fifth_of_the_fleet_and_more_than_two() {
        let found = |looked_at, silent, not_ready| Found { looked_at, not_ready, silent, ..Found::default() };
        for (fleet, silent, not_ready, too_much) in [
            (1, 1, 0, false),
            (2, 2, 0, false),
            (3, 3, 0, true),
            (100, 20, 0, false),
            (100, 15, 6, true),
            (0, 0, 0, false),
        ] {
            assert_eq!(found(fleet, silent, not_ready).is_too_much(), too_much, "{silent}+{not_ready} of {fleet}");
        }
    }
}
