//! What keeps this process's memory, with the keys in it, from other processes of its user and from the disk.

use anyhow::Context as _;
use rustix::process::{DumpableBehavior, Resource, Rlimit, set_dumpable_behavior, setrlimit};

/// No core dump, and nobody of the same user may trace it or read its environment or memory. Root still may.
///
/// The first thing that the program does, before it reads a secret. It holds until the process ends; programs that
/// it starts are as they would be.
///
/// # Errors
/// The kernel refused: then nothing should be read that is secret.
pub fn keep_private() -> anyhow::Result<()> {
    let none = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, none).context("cannot switch core dumps off")?;
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("cannot keep other processes from the memory")
}
