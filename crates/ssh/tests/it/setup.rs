//! What every test here needs.

use std::{sync::Arc, time::Duration};

use chrono::{DateTime, Utc};
use domain::{
    Entropy, Id, MachineId,
    protocol::{Ask, Request},
};
use rand::TryRng as _;
use ssh::{Authority, Pinned, Russh, Target};

use crate::sshd::{Sshd, account};

/// The operating system's random numbers.
pub(crate) struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) {
        rand::rngs::SysRng.try_fill_bytes(buffer).unwrap();
    }

    fn unix_millis(&self) -> u64 {
        now().timestamp_millis().try_into().unwrap()
    }
}

pub(crate) fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

pub(crate) fn machine() -> MachineId {
    Id::from_uuid(Random.uuid())
}

pub(crate) const PATIENCE: Duration = Duration::from_secs(10);

pub(crate) fn hello() -> Request {
    Request::new(Ask::Hello)
}

pub(crate) fn target<'a>(sshd: &Sshd, pinned: &'a Pinned, authority: &'a Authority) -> Target<'a> {
    Target { address: sshd.address, machine: sshd.machine, host_key: pinned, authority, now: now() }
}

/// The real client, signing in as whoever runs this test.
pub(crate) fn client() -> Russh {
    Russh::new(Id::from_uuid(uuid::Uuid::nil()), Arc::new(Random)).signing_in_as(&account())
}
