//! From one master key to another, as steps.

use std::time::Duration;

use serde::{Deserialize, Serialize};

/// How far a rotation is. The other master key is the current one since before the first step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum Rotation {
    /// Data keys are wrapped under the current master key, in batches, until none is under another.
    Rewrap,
    /// What is left under the old one is counted; with nothing left it is retired.
    Retire,
}

impl Rotation {
    /// Both, in order.
    pub const EVERY: [Self; 2] = [Self::Rewrap, Self::Retire];

    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Rewrap => "rewrap",
            Self::Retire => "retire",
        }
    }

    /// How long a flow may stay in it before a person is told; it goes on all the same.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            Self::Rewrap => Duration::from_hours(1),
            Self::Retire => Duration::from_mins(5),
        }
    }
}
