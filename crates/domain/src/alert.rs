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
    /// So many machines are silent at once that the fault is rather ours; nothing is done to them.
    FleetUnreachable,
    /// A spare machine was given up: new agents may have to wait for a machine of their own.
    PoolLow,
}

impl AlertKind {
    /// Every kind once.
    pub const EVERY: [Self; 6] = [
        Self::HostKeyChanged,
        Self::FlowFailed,
        Self::RemovalStuck,
        Self::MachineMismatch,
        Self::FleetUnreachable,
        Self::PoolLow,
    ];

    /// The word in the database, and the runbook's file name.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::HostKeyChanged => "host_key_changed",
            Self::FlowFailed => "flow_failed",
            Self::RemovalStuck => "removal_stuck",
            Self::MachineMismatch => "machine_mismatch",
            Self::FleetUnreachable => "fleet_unreachable",
            Self::PoolLow => "pool_low",
        }
    }
}
