//! Alerts: a person is needed.

use serde::{Deserialize, Serialize};

/// What an alert is about. Each has a runbook in `docs/runbooks/` of the same name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlertKind {
    /// A machine showed another host key than the one pinned.
    HostKeyChanged,
    /// A flow gave up at a step.
    FlowFailed,
    /// A removal cannot finish: the machine may still exist.
    RemovalStuck,
    /// The provider holds a machine of ours that no row knows, or lost one that a row knows.
    MachineMismatch,
}

impl AlertKind {
    /// Every kind once.
    pub const EVERY: [Self; 4] = [Self::HostKeyChanged, Self::FlowFailed, Self::RemovalStuck, Self::MachineMismatch];

    /// The word in the database, and the runbook's file name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostKeyChanged => "host_key_changed",
            Self::FlowFailed => "flow_failed",
            Self::RemovalStuck => "removal_stuck",
            Self::MachineMismatch => "machine_mismatch",
        }
    }
}
