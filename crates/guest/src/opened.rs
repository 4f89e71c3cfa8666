//! Opened secrets: files in memory that only the gateway's user may read.

use std::io;

use domain::protocol::{SecretFile, SecretText, Variable, delivered};
use zeroize::Zeroizing;

use crate::{folder::Folder, paths::Paths, variables};

const BYTES_MAX: u64 = 64 * 1024;

/// Puts every secret in place, each file whole. Files that are not named stay, for a gateway that still refers to them.
pub fn write(paths: &Paths, secrets: &[SecretFile]) -> io::Result<()> {
    let folder = open(paths)?;
    for secret in secrets {
        folder.replace(&secret.name, secret.value.expose().as_bytes(), 0o400, Some(paths.agent))?;
    }
    Ok(())
}

/// Whether every secret is in place as given.
#[must_use]
pub fn holds(paths: &Paths, secrets: &[SecretFile]) -> bool {
    let Ok(folder) = Folder::open(&paths.secrets) else { return false };
    secrets.iter().all(|secret| {
        matches!(folder.read(&secret.name, BYTES_MAX), Ok(Some(bytes)) if vault::same(&bytes, secret.value.expose().as_bytes()))
    })
}

/// The digest of what lies here, whatever it is, and of the variables that the gateway was started with, if these are
/// they. `None`: it cannot be read.
#[must_use]
pub fn digest(paths: &Paths, wanted: &[Variable]) -> Option<String> {
    let folder = Folder::open(&paths.secrets).ok()?;
    let read = |name: String| {
        let bytes = Zeroizing::new(folder.read(&name, BYTES_MAX).ok()??);
        let value = SecretText::new(std::str::from_utf8(&bytes).ok()?.to_owned());
        Some(SecretFile { name, value })
    };
    let secrets = folder.names().ok()?.into_iter().map(read).collect::<Option<Vec<_>>>()?;
    let with = if variables::holds(paths, wanted) { wanted } else { &[] };
    Some(vault::digest(&delivered(&secrets, with)).to_string())
}

/// Removes what is not named.
pub fn keep_only(paths: &Paths, secrets: &[SecretFile]) -> io::Result<()> {
    let folder = open(paths)?;
    for name in folder.names()? {
        if !secrets.iter().any(|secret| secret.name == name) {
            folder.remove(&name)?;
        }
    }
    Ok(())
}

/// The folder itself; OpenClaw wants it to be its user's own.
fn open(paths: &Paths) -> io::Result<Folder> {
    Folder::ensure(&paths.secrets, 0o700, Some(paths.agent))
}
