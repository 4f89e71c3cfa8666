//! Machines: where an agent lives.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::id::MachineId;

/// What keeps one machine from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Isolation {
    /// A virtual machine of its own: the product.
    VirtualMachine,
    /// A system container, where the host has no KVM: shares the host's kernel.
    Container,
}

impl Isolation {
    /// Shown wherever the machine is shown.
    #[must_use]
    pub const fn sentence(self) -> &'static str {
        match self {
            Self::VirtualMachine => "virtual machine",
            Self::Container => "development isolation: a system container that shares this host's kernel",
        }
    }
}

/// How a machine was found by the last sweep.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Health {
    /// Its gateway is ready.
    Ready,
    /// It answers, its gateway is not ready.
    NotReady,
    /// It does not answer.
    Silent,
}

impl Health {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Ready => "ready",
            Self::NotReady => "not_ready",
            Self::Silent => "silent",
        }
    }
}

/// A machine's name at its provider, made from its id before it exists there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct MachineName(String);

impl MachineName {
    /// The name of this machine everywhere outside Berth.
    #[must_use]
    pub fn of(machine: MachineId) -> Self {
        Self(format!("berth-{}", machine.uuid().simple()))
    }

    /// The text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for MachineName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a tenant may know about their machine; written by the flow that saw it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineFacts {
    /// Which machine.
    pub id: MachineId,
    /// What keeps it from others.
    pub isolation: Isolation,
    /// Version of the machine image.
    pub image: String,
    /// OpenClaw's version, once the machine said it.
    pub openclaw: Option<String>,
    /// When it was made.
    pub created_at: DateTime<Utc>,
    /// When its gateway token was last replaced; `None`: it is as old as the machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys_replaced_at: Option<DateTime<Utc>>,
}
