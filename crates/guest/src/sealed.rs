//! What survives a power cut: configurations with their secrets, sealed.
//!
//! One [`Bundle`] holds everything that one `apply` brought: fence, document and
//! secrets together, so no cut can leave the secrets of one beside the document
//! of another. There are two slots: `next` is written before the gateway hears
//! of a configuration, and is renamed to `current` once the gateway has taken
//! it. Each start of the gateway is from `current`.
//!
//! The envelope is the vault's, under the machine's own key, bound to this
//! machine and to the format of a bundle. It is not bound to the slot: taking a
//! configuration must be one rename, with nothing sealed anew in between.

use std::{
    fs::{File, TryLockError},
    path::Path,
    time::{Duration, Instant},
};

use anyhow::{Context as _, Result, bail};
use domain::{
    MachineId,
    openclaw::whole,
    protocol::{SecretFile, SecretText, Variable, delivered},
};
use serde::{Deserialize, Serialize};
use vault::{Owner, Place, Sealed, Secret};

use crate::{
    folder::Folder,
    machine_key::{self, MachineKeys},
    paths::Paths,
};

const BYTES_MAX: u64 = 4 * 1024 * 1024;
const CURRENT: &str = "current";
const NEXT: &str = "next";

/// The secret that opens the gateway's doors.
pub const GATEWAY_TOKEN: &str = "gateway_token";

/// How many earlier gateway tokens are remembered, should an apply have died while one of them came into force.
const FORMER_TOKENS_MAX: usize = 8;

/// Everything that one `apply` brought.
#[derive(Debug, Serialize, Deserialize)]
pub struct Bundle {
    /// Zero for the placeholder that a machine starts with.
    pub fence: u64,
    /// `openclaw.json` as wanted, without what OpenClaw adds for itself.
    pub document: serde_json::Value,
    /// Every secret that the document refers to.
    pub secrets: Vec<SecretFile>,
    /// What the agent is told about itself.
    #[serde(default)]
    pub instructions: Option<SecretText>,
    /// The agent's environment variables.
    #[serde(default)]
    pub variables: Vec<Variable>,
    /// Where the machine may connect to beside its home.
    #[serde(default)]
    pub reach: Vec<String>,
    /// Gateway tokens that may still be in force, the likeliest first.
    #[serde(default)]
    pub former_tokens: Vec<SecretText>,
}

impl Bundle {
    /// The value of one secret.
    #[must_use]
    pub fn secret(&self, name: &str) -> Option<&SecretText> {
        self.secrets.iter().find(|secret| secret.name == name).map(|secret| &secret.value)
    }

    /// Whether both want the same in force, secrets aside.
    #[must_use]
    pub fn same_wish(&self, document: &serde_json::Value, instructions: Option<&SecretText>) -> bool {
        whole(&self.document, self.instructions.as_ref().map(SecretText::expose))
            == whole(document, instructions.map(SecretText::expose))
    }

    /// Whether both bring the same secrets and variables.
    #[must_use]
    pub fn same_secrets(&self, other: &Self) -> bool {
        let all = |bundle: &Self| delivered(&bundle.secrets, &bundle.variables);
        vault::same(&all(self), &all(other))
    }

    /// Remembers the gateway tokens of earlier bundles.
    pub fn remember_tokens(&mut self, earlier: &[&Self]) {
        let tokens = earlier.iter().flat_map(|bundle| bundle.secret(GATEWAY_TOKEN).into_iter());
        let former = earlier.iter().flat_map(|bundle| bundle.former_tokens.iter());
        for token in tokens.chain(former).map(SecretText::expose) {
            let known = self.former_tokens.iter().any(|known| known.expose() == token);
            if !known && self.former_tokens.len() < FORMER_TOKENS_MAX {
                self.former_tokens.push(SecretText::new(token.to_owned()));
            }
        }
    }
}

/// The two slots. Hold [`Store::lock`] while changing them.
pub struct Store {
    folder: Folder,
    keys: MachineKeys,
    machine: MachineId,
}

impl Store {
    /// Opens the store with the machine's key.
    pub fn open(paths: &Paths, machine: MachineId) -> Result<Self> {
        let keys = machine_key::keys(paths)?;
        let folder = Folder::ensure(&paths.sealed, 0o700, None).context("cannot open the folder of sealed secrets")?;
        Ok(Self { folder, keys, machine })
    }

    /// The configuration that the gateway has taken, and from which it starts.
    pub fn current(&self) -> Result<Option<Bundle>> {
        self.read(CURRENT)
    }

    /// A configuration that was begun; an unreadable one counts as none, since it was never taken.
    #[must_use]
    pub fn next(&self) -> Option<Bundle> {
        self.read(NEXT).unwrap_or_else(|error| {
            tracing::warn!(%error, "the configuration that was begun cannot be opened and is passed over");
            None
        })
    }

    /// Notes a configuration before the gateway hears of it.
    pub fn begin(&self, bundle: &Bundle) -> Result<()> {
        self.write(NEXT, bundle)
    }

    /// The gateway has taken `next`: it is what the gateway starts from now on.
    pub fn take_next(&self) -> Result<()> {
        self.folder.rename(NEXT, CURRENT).context("cannot keep the new configuration")
    }

    /// The gateway refused `next`.
    pub fn drop_next(&self) -> Result<()> {
        self.folder.remove(NEXT).context("cannot drop the refused configuration")
    }

    /// Keeps a configuration while no gateway runs that could be asked.
    pub fn put_current(&self, bundle: &Bundle) -> Result<()> {
        self.write(CURRENT, bundle)?;
        self.drop_next()
    }

    /// Seals the current configuration again, under the key that seals now; what was begun stays.
    pub fn seal_current_anew(&self, current: &Bundle) -> Result<()> {
        self.write(CURRENT, current)
    }

    /// Waits until nobody else changes secrets or configuration, for a bounded time.
    pub fn lock(path: &Path, patience: Duration) -> Result<File> {
        let file = File::create(path).context("cannot open the lock")?;
        let since = Instant::now();
        loop {
            match file.try_lock() {
                Ok(()) => return Ok(file),
                Err(TryLockError::WouldBlock) if since.elapsed() < patience => {
                    std::thread::sleep(Duration::from_millis(20));
                }
                Err(TryLockError::WouldBlock) => bail!("another process holds the lock"),
                Err(TryLockError::Error(error)) => return Err(error).context("cannot take the lock"),
            }
        }
    }

    fn place(&self) -> Place<'static> {
        Place { owner: Owner::House, table: "machine", column: "bundle", row: self.machine.uuid() }
    }

    fn read(&self, slot: &str) -> Result<Option<Bundle>> {
        let Some(bytes) = self.folder.read(slot, BYTES_MAX)? else { return Ok(None) };
        let opened = self.keys.open(&self.place(), &Sealed::from_bytes(&bytes)?)?;
        Ok(Some(serde_json::from_slice(opened.expose()).ok().context("the sealed configuration cannot be read")?))
    }

    fn write(&self, slot: &str, bundle: &Bundle) -> Result<()> {
        let plain = Secret::new(serde_json::to_vec(bundle)?);
        let sealed = self.keys.seal(&self.place(), &plain);
        self.folder.replace(slot, &sealed.to_bytes(), 0o600, None).context("cannot write the sealed configuration")
    }
}

#[cfg(test)]
mod tests;
