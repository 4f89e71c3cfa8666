//! What a step may touch: the outside, as arguments.

use std::{
    net::{IpAddr, SocketAddr},
    sync::Arc,
    time::Duration,
};

use clients::{
    payments::Payments,
    provider::{Limits, Provider},
};
use domain::{
    Entropy, InstallationId, MachineId,
    channel::ApiRoot,
    openclaw::AgentModels,
    protocol::{Answer, Ask, Outcome, Reply, Request},
};
use ssh::{Authority, Pinned, Reach, SshError, Target};
use store::{Db, machines::Machine};
use tracing::Instrument as _;
use vault::Keyring;

use crate::{notice::Carriers, outcome::StepError};

/// Everything outside that flows know of.
#[derive(Clone)]
pub struct World {
    /// The database.
    pub db: Db,
    /// Seals and opens.
    pub ring: Arc<Keyring>,
    /// Randomness and fresh ids.
    pub entropy: Arc<dyn Entropy>,
    /// Where machines come from.
    pub provider: Arc<dyn Provider>,
    /// How machines are talked to.
    pub reach: Arc<dyn Reach>,
    /// Signs the certificates of our connections.
    pub authority: Arc<Authority>,
    /// Which Berth this is.
    pub installation: InstallationId,
    /// How machines are made.
    pub machines: Arc<Machines>,
    /// Makes a span part of a trace that began elsewhere, given as W3C trace context.
    pub adopt: fn(&tracing::Span, &str),
    /// How alerts reach a person.
    pub carriers: Arc<Carriers>,
    /// Who takes the money, where it does.
    pub payments: Option<Arc<dyn Payments>>,
}

/// How machines are made and what they are told.
#[derive(Debug, Clone)]
pub struct Machines {
    /// The provider's name in the database.
    pub provider: &'static str,
    /// Image alias at the provider.
    pub image: String,
    /// What a machine may use.
    pub limits: Limits,
    /// Base URL of the machine routes as a machine reaches them, without a slash at the end.
    pub home: String,
    /// The models that agents may ask for.
    pub models: AgentModels,
    /// Port of a machine's sshd.
    pub ssh_port: u16,
    /// Where agents' Telegram bots find the Bot API, as a machine reaches it; none for Telegram's own.
    pub telegram: Option<ApiRoot>,
    /// How many spares are kept.
    pub pool: Pool,
    /// At which age a machine's gateway token and machine key are replaced without anybody asking; none: never.
    pub keys_age_max: Option<Duration>,
}

/// How many spare machines are kept ready.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Pool {
    /// Always this many.
    pub floor: u16,
    /// At most this many while agents are created faster.
    pub ceiling: u16,
}

impl Pool {
    /// Whether there is a pool at all.
    #[must_use]
    pub const fn is_kept(self) -> bool {
        self.floor > 0 || self.ceiling > 0
    }
}

impl World {
    /// Asks a machine one thing over its pinned connection.
    ///
    /// # Errors
    /// [`AskError`]: no answer, or a refusal.
    pub async fn ask(
        &self,
        machine: &Machine,
        now: chrono::DateTime<chrono::Utc>,
        ask: Ask,
        limit: Duration,
    ) -> Result<Reply, AskError> {
        self.ask_at((machine.id, machine.address, &machine.host_key), now, ask, limit).await
    }

    /// The same where no more is known of the machine than its id, its address and its pinned host key.
    ///
    /// # Errors
    /// [`AskError`]: no answer, or a refusal.
    pub async fn ask_at(
        &self,
        (machine, address, host_key): (MachineId, Option<IpAddr>, &str),
        now: chrono::DateTime<chrono::Utc>,
        ask: Ask,
        limit: Duration,
    ) -> Result<Reply, AskError> {
        let host_key: Pinned = host_key.parse().map_err(|_| AskError::NoPin)?;
        let address = address.ok_or(AskError::NoAddress)?;
        let target = Target {
            address: SocketAddr::new(address, self.machines.ssh_port),
            machine,
            host_key: &host_key,
            authority: &self.authority,
            now,
        };
        let span = tracing::info_span!("machine", verb = ask.verb());
        let Answer { outcome, .. } = self.reach.ask(&target, &Request::new(ask), limit).instrument(span).await?;
        match outcome {
            Outcome::Done(reply) => Ok(reply),
            Outcome::Refused(refusal) => Err(AskError::Guest(refusal)),
        }
    }
}

/// Why a machine did not do what it was asked.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// No answer came.
    #[error(transparent)]
    Ssh(#[from] SshError),
    /// The guest refused.
    #[error(transparent)]
    Guest(#[from] domain::protocol::Refusal),
    /// The row holds no readable host key.
    #[error("the machine's pinned host key cannot be read")]
    NoPin,
    /// The machine has no address yet.
    #[error("the machine has no address yet")]
    NoAddress,
    /// It answered something that was not asked.
    #[error("the machine answered another question")]
    Other,
}

impl AskError {
    /// Whether the machine just cannot be reached (yet): nothing was sent.
    #[must_use]
    pub const fn is_unreachable(&self) -> bool {
        matches!(self, Self::Ssh(SshError::Unreachable { .. }) | Self::NoAddress)
    }

    /// Whether the machine is not the one that was made.
    #[must_use]
    pub const fn is_another_machine(&self) -> bool {
        matches!(self, Self::Ssh(SshError::HostKeyChanged { .. }))
    }
}

impl From<AskError> for StepError {
    fn from(error: AskError) -> Self {
        Self::Retry { why: error.to_string() }
    }
}
