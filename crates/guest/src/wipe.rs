//! `wipe`: destroys what must not outlive the machine's task.
//!
//! Everything is tried even if something before it failed, so that one broken
//! file does not spare the rest; the first failure is told at the end. Host keys
//! go last: until then the control plane can reach us and ask again.

use std::{fs, io, path::Path, time::Duration};

use domain::protocol::Refusal;

use crate::{machine::Machine, machine_key, unit};

const JOURNAL_PATIENCE: Duration = Duration::from_secs(20);

/// Stops the gateway and removes secrets, state, words and keys. What is gone already is as good as removed.
pub async fn wipe(machine: &Machine) -> Result<(), Refusal> {
    let paths = &machine.paths;
    let mut failed: Option<anyhow::Error> = None;
    let mut note = |what: &str, error: anyhow::Error| {
        let error = error.context(format!("cannot remove {what}"));
        tracing::error!(error = %format!("{error:#}"), "wiping");
        failed.get_or_insert(error);
    };
    if let Err(error) = unit::stop(paths).await {
        note("the running gateway", error);
    }
    let folders = [
        ("the sealed secrets", &paths.sealed),
        ("the opened secrets", &paths.secrets),
        ("the agent's variables", &paths.variables),
    ];
    for (what, folder) in folders {
        gone(fs::remove_dir_all(folder)).unwrap_or_else(|error| note(what, error.into()));
    }
    empty(&paths.agent_home).unwrap_or_else(|error| note("the agent's home", error.into()));
    // The gateway prints the agent's words, and the journal keeps them.
    for arguments in [&["--rotate"][..], &["--vacuum-time=1s", "--quiet"][..]] {
        if let Err(error) = unit::run(&paths.journalctl, arguments, JOURNAL_PATIENCE, 64 * 1024).await {
            note("the journal", error);
        }
    }
    machine_key::remove(paths).unwrap_or_else(|error| note("the machine key", error));
    gone(fs::remove_file(&paths.config)).unwrap_or_else(|error| note("the guest configuration", error.into()));
    host_keys(&paths.host_keys).unwrap_or_else(|error| note("the host keys", error.into()));
    failed.map_or(Ok(()), |error| Err(machine.broken(&error)))
}

/// Removes what is in a folder, not the folder: it was made by the image. `remove_dir_all` follows no links.
fn empty(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return gone(Err(error)),
    };
    for entry in entries {
        let entry = entry?;
        let removed =
            if entry.file_type()?.is_dir() { fs::remove_dir_all(entry.path()) } else { fs::remove_file(entry.path()) };
        gone(removed)?;
    }
    Ok(())
}

fn host_keys(folder: &Path) -> io::Result<()> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) => return gone(Err(error)),
    };
    for entry in entries {
        let entry = entry?;
        if entry.file_name().to_string_lossy().starts_with("ssh_host_") {
            gone(fs::remove_file(entry.path()))?;
        }
    }
    Ok(())
}

fn gone(removed: io::Result<()>) -> io::Result<()> {
    match removed {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        other => other,
    }
}
