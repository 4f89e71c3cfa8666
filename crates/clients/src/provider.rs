//! What the rest of Berth knows of a place that hosts machines.

use std::{fmt, net::IpAddr, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    MachineId,
    machine::{Isolation, MachineName},
};
use zeroize::Zeroizing;

/// Most bytes of one file of a [`Plan`].
pub const FILE_BYTES_MAX: usize = 1024 * 1024;

/// A place that hosts machines. Every verb may be called twice, and again after a crash at any line of it.
#[async_trait]
pub trait Provider: Send + Sync + 'static {
    /// What keeps one machine here from another.
    fn isolation(&self) -> Isolation;

    /// Finds the machine of this name, or makes it from the image, puts its files in before its first start, and starts it.
    ///
    /// Returns once it runs and has an address. A half-made one is adopted: if
    /// it was never started its files are put in again. One that was started
    /// before is started if it is stopped, and its files are left alone. A machine
    /// of this name with another label is [`ProviderError::Refused`].
    async fn ensure(&self, plan: &Plan) -> Result<Sighting, ProviderError>;

    /// Looks at one machine. `None` means surely absent; a doubt is an error.
    async fn look(&self, name: &MachineName) -> Result<Option<Sighting>, ProviderError>;

    /// Starts it; "already running" is success.
    async fn start(&self, name: &MachineName) -> Result<(), ProviderError>;

    /// Shuts it down, and cuts its power after `grace` (at most five minutes); "already stopped" is success.
    async fn stop(&self, name: &MachineName, grace: Duration) -> Result<(), ProviderError>;

    /// Gives it as many processors and as much memory as these limits say, running or stopped; "already so" is success.
    /// Its disk stays as it is: one can grow, and never shrink.
    async fn resize(&self, name: &MachineName, limits: &Limits) -> Result<(), ProviderError>;

    /// Cuts its power and deletes it with its disk; "already gone" is success. Returns only after a look found it absent.
    async fn remove(&self, name: &MachineName) -> Result<(), ProviderError>;

    /// Every machine of this installation, by name. An answer that may be incomplete is an error.
    async fn list(&self) -> Result<Vec<Sighting>, ProviderError>;

    /// The address at which machines reach this host.
    async fn home_address(&self) -> Result<IpAddr, ProviderError>;
}

/// A machine as it is wanted.
#[derive(Debug)]
pub struct Plan {
    /// Its name at the provider.
    pub name: MachineName,
    /// Written on it as a label.
    pub machine: MachineId,
    /// Alias of the image at the provider.
    pub image: String,
    /// Put in before the first start, in this order.
    pub files: Vec<PlacedFile>,
    /// What it may use.
    pub limits: Limits,
}

/// A file put into a machine. Its folder must be in the image.
pub struct PlacedFile {
    /// Absolute path inside the machine.
    pub path: String,
    /// Permission bits, such as `0o600`.
    pub mode: u32,
    /// Owner, as the machine numbers its users.
    pub uid: u32,
    /// Group, as the machine numbers its groups.
    pub gid: u32,
    /// At most [`FILE_BYTES_MAX`].
    pub content: Zeroizing<Vec<u8>>,
}

impl fmt::Debug for PlacedFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PlacedFile({} {:o} {}:{}, {} bytes)", self.path, self.mode, self.uid, self.gid, self.content.len())
    }
}

/// What a machine may use.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Limits {
    /// Processors.
    pub cpus: u32,
    /// Memory.
    pub memory_bytes: u64,
    /// Root disk; in force only where the storage pool can hold to it (not on a `dir` pool).
    pub disk_bytes: u64,
}

/// A machine as the provider shows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sighting {
    /// Its name at the provider.
    pub name: MachineName,
    /// From its label.
    pub machine: Option<MachineId>,
    /// Whether it has power. Frozen and failed machines have not.
    pub running: bool,
    /// Where it is reached; known from its making on.
    pub address: Option<IpAddr>,
    /// Alias of the image it was made from.
    pub image: Option<String>,
    /// When the provider made it.
    pub created_at: DateTime<Utc>,
}

/// Why a provider did not do it. Nothing in it comes from a file's content.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ProviderError {
    /// The provider does not answer, or failed in a way that may pass.
    #[error("the machine provider is not available: {why}")]
    Unavailable {
        /// What was seen.
        why: String,
    },
    /// The image is not there.
    #[error("the machine image {alias} is not at the provider; scripts/build-image puts it there")]
    ImageMissing {
        /// As asked for.
        alias: String,
    },
    /// The provider understood and will not, or we will not touch what is there.
    #[error("the machine provider refused: {why}")]
    Refused {
        /// Its reason or ours.
        why: String,
    },
    /// The answer makes no sense, or is too large.
    #[error("the machine provider's answer cannot be read: {why}")]
    Garbled {
        /// What is wrong with it.
        why: String,
    },
    /// Another operation on this machine is under way.
    #[error("the machine is busy with another operation at the provider")]
    Busy,
}

impl ProviderError {
    /// Whether the same call may succeed a little later without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } | Self::Busy => true,
            Self::ImageMissing { .. } | Self::Refused { .. } | Self::Garbled { .. } => false,
        }
    }
}
