//! What a provider promises, asked of the fake, of the simulator and of a real daemon; and what only a real daemon can show.
//!
//! The tests of [`daemon`] are ignored in a plain run: `scripts/test e2e` names a daemon and runs them.

#![expect(clippy::print_stdout, reason = "a test tells what it measured")]

#[cfg(test)]
mod credentials;
#[cfg(test)]
mod daemon;
#[cfg(test)]
mod payments;
#[cfg(test)]
mod peers;
#[cfg(test)]
mod promises;
#[cfg(test)]
mod simulated;
#[cfg(test)]
mod vectors;
mod webhook;

use clients::provider::{Limits, PlacedFile, Plan};
use domain::{Id, MachineId, machine::MachineName};

/// A machine nobody has seen before.
fn fresh_machine() -> MachineId {
    let random = uuid::Builder::from_random_bytes(random_bytes()).into_uuid();
    Id::from_uuid(random)
}

fn random_bytes() -> [u8; 16] {
    use std::hash::{BuildHasher, RandomState};
    let half = || RandomState::new().hash_one(std::process::id());
    let both = (u128::from(half()) << 64) | u128::from(half());
    both.to_be_bytes()
}

fn plan(machine: MachineId, image: &str) -> Plan {
    Plan {
        name: MachineName::of(machine),
        machine,
        image: image.to_owned(),
        files: vec![file("/etc/berth-mark", 0o640, 0, 1, "mark of a machine\n")],
        limits: Limits { cpus: 1, memory_bytes: 1 << 30, disk_bytes: 4 << 30 },
    }
}

fn file(path: &str, mode: u32, uid: u32, gid: u32, content: &str) -> PlacedFile {
    PlacedFile { path: path.to_owned(), mode, uid, gid, content: content.as_bytes().to_vec().into() }
}
