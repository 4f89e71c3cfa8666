//! Machines: where an agent lives.

use std::{
    fmt,
    num::{NonZeroU16, NonZeroU32},
};

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

/// Most processors that a plan may give a machine.
pub const CPUS_MAX: u16 = 64;
/// Least memory that a plan may give a machine, in MiB: the gateway alone holds half of it when idle.
pub const MEMORY_MIB_MIN: u32 = 2048;
/// Most memory that a plan may give a machine, in MiB.
pub const MEMORY_MIB_MAX: u32 = 262_144;

/// How large a machine is, where a plan says so. What it does not say is as the installation has it for all machines.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MachineSize {
    /// Processors, at most [`CPUS_MAX`].
    pub cpus: Option<NonZeroU16>,
    /// Memory in MiB, from [`MEMORY_MIB_MIN`] to [`MEMORY_MIB_MAX`].
    pub memory_mib: Option<NonZeroU32>,
}

impl fmt::Display for MachineSize {
    /// "2 processors, 4 GiB"; empty where nothing is said.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cpus = self.cpus.map(|cpus| match cpus.get() {
            1 => "1 processor".to_owned(),
            more => format!("{more} processors"),
        });
        let memory = self.memory_mib.map(|mib| match mib.get() {
            whole if whole.is_multiple_of(1024) => format!("{} GiB", whole / 1024),
            mib => format!("{mib} MiB"),
        });
        let said: Vec<String> = cpus.into_iter().chain(memory).collect();
        f.write_str(&said.join(", "))
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
