//! What is done to a machine, whoever it is for: make, meet, configure, ask for a turn, destroy.
//!
//! An agent's life and a spare's both walk this way. Each of these may run
//! twice: making finds what is there, configuring is fenced, destroying what is
//! gone is success.

use std::time::Duration;

use clients::provider::{Limits, Plan, ProviderError, Sighting};
use domain::{
    MachineId,
    alert::AlertKind,
    machine::{MachineName, MachineSize},
    protocol::{Ask, Gateway, Hello, InForce, Refusal, Reply, SecretText},
};
use store::{flows::Claim, machine_rotations::Taken, machines::Machine};
use tracing::Instrument as _;

use crate::{
    World,
    deliver::{self, WantedThere, Wish},
    machine_rotation,
    outcome::StepError,
    world::AskError,
};

/// A guest that can be reached answers a question about itself within this.
const SHORT: Duration = Duration::from_secs(10);

/// Bytes of what plans count memory in.
const MIB: u64 = 1024 * 1024;

/// What a delivery left in force.
#[derive(Debug)]
pub(crate) struct Configured {
    /// As the machine reports it.
    pub(crate) in_force: InForce,
    /// Which version of the agent's credentials that is.
    pub(crate) version: u64,
    /// The token and key that it holds in the place of the old ones, if they were replaced.
    pub(crate) rotated: Option<Taken>,
}

/// A machine, and the step that works on it.
pub(crate) struct On<'a> {
    pub(crate) world: &'a World,
    pub(crate) claim: &'a Claim,
    pub(crate) row: &'a Machine,
}

impl On<'_> {
    /// Finds the machine by its name, or makes it with its files and starts it.
    pub(crate) async fn make(&self) -> Result<Sighting, StepError> {
        let plan = Plan {
            name: MachineName::of(self.row.id),
            machine: self.row.id,
            image: self.row.image.clone(),
            files: deliver::files(self.world, self.row)?,
            limits: self.world.machines.limits,
        };
        let span = tracing::info_span!("provider", call = "ensure");
        self.world.provider.ensure(&plan).instrument(span).await.map_err(provider)
    }

    /// Makes it as large as its tenant's plan has it, where it is not. `None`: it was.
    pub(crate) async fn fit(&self) -> Result<Option<MachineSize>, StepError> {
        let wanted = self.row.wanted_size;
        if wanted == self.row.size {
            return Ok(None);
        }
        let house = self.world.machines.limits;
        let limits = Limits {
            cpus: wanted.cpus.map_or(house.cpus, |cpus| u32::from(cpus.get())),
            memory_bytes: wanted.memory_mib.map_or(house.memory_bytes, |mib| u64::from(mib.get()) * MIB),
            disk_bytes: house.disk_bytes,
        };
        let span = tracing::info_span!("provider", call = "resize");
        let name = MachineName::of(self.row.id);
        self.world.provider.resize(&name, &limits).instrument(span).await.map_err(provider)?;
        Ok(Some(wanted))
    }

    /// Whether the guest answers by now.
    pub(crate) async fn answers(&self) -> Result<bool, StepError> {
        match self.ask(Ask::Hello, SHORT).await {
            Ok(_) => Ok(true),
            Err(error) if error.is_unreachable() => Ok(false),
            Err(error) => Err(trouble(self.row.id, error)),
        }
    }

    /// Meets the guest and checks that it is the one that was made. `None`: its gateway is not ready yet.
    pub(crate) async fn meet(&self) -> Result<Option<Hello>, StepError> {
        let hello = match self.ask(Ask::Hello, SHORT).await {
            Ok(Reply::Hello(hello)) if hello.machine == self.row.id => hello,
            Ok(_) => return Err(AskError::Other.into()),
            Err(error) => return Err(trouble(self.row.id, error)),
        };
        match hello.gateway {
            Gateway::Ready => Ok(Some(hello)),
            Gateway::Starting => Ok(None),
            Gateway::Stopped | Gateway::Failed => {
                self.ask(Ask::Start, Duration::from_secs(30)).await?;
                Ok(None)
            }
        }
    }

    /// Puts configuration and secrets in force: wanted, read back and applied must be the same document. An agent's
    /// machine gets its next token and key along, where it is to have others.
    pub(crate) async fn configure(&self, wish: &Wish) -> Result<Configured, StepError> {
        let wanted = WantedThere::of(self.world, wish);
        let digest = wanted.digest();
        // What is opened stands in the tenant's audit, and the fence is taken, before anything is sent.
        let (mut tx, given) = deliver::given(self.world, wish).await?;
        let fence = store::machines::want(&mut tx, self.row.id, &digest, given.version).await?;
        let (fence, keys) = machine_rotation::take_along(&mut tx, self, fence, wish.of.is_some()).await?;
        tx.commit().await?;
        machine_rotation::begun(self, fence, &keys).await?;
        let version = given.version;
        let ask = deliver::apply(self.world, self.row, (fence, &keys), (wanted, given))?;
        let sent = deliver::digest_of_secrets(&ask);
        let in_force = match self.ask(ask, Duration::from_secs(45)).await {
            Ok(Reply::Applied(in_force)) => in_force,
            Ok(_) => return Err(AskError::Other.into()),
            Err(error) => return Err(trouble(self.row.id, error)),
        };
        if in_force.digest != digest || !in_force.applied || in_force.fence != fence {
            return Err(StepError::retry("the gateway does not hold the configuration that was sent"));
        }
        // A guest of an older image does not say what lies there.
        if in_force.secrets_digest.as_ref().is_some_and(|there| Some(there) != sent.as_ref()) {
            return Err(StepError::retry("the machine does not hold the secrets that were sent"));
        }
        let rotated = machine_rotation::ended(self, fence, &keys).await?;
        Ok(Configured { in_force, version, rotated })
    }

    /// Takes a real turn with a nonce. Only an answer that holds it counts; returns how long it took.
    pub(crate) async fn prove(&self, nonce: &str, session: String) -> Result<u32, NotProved> {
        let ask = Ask::Turn {
            text: SecretText::new(format!("This is a check by Berth. Please answer with exactly this word: {nonce}")),
            session,
            timeout_ms: 60_000,
        };
        match self.ask(ask, Duration::from_secs(75)).await {
            Ok(Reply::Turn { text, latency_ms }) if text.expose().contains(nonce) => Ok(latency_ms),
            Ok(Reply::Turn { latency_ms, .. }) => Err(NotProved::Otherwise { latency_ms }),
            Ok(_) => Err(NotProved::Asking(AskError::Other)),
            Err(error) => Err(NotProved::Asking(error)),
        }
    }

    /// Destroys the machine and sees that it is gone. Already gone is success.
    pub(crate) async fn destroy(&self) -> Result<(), StepError> {
        // A courtesy: the disk is destroyed next anyway, so no answer changes nothing.
        self.ask(Ask::Wipe, Duration::from_secs(5)).await.ok();
        self.world.provider.remove(&MachineName::of(self.row.id)).await.map_err(provider)
    }

    pub(crate) async fn ask(&self, ask: Ask, limit: Duration) -> Result<Reply, AskError> {
        self.world.ask(self.row, self.claim.now, ask, limit).await
    }
}

/// Why a turn proved nothing.
#[derive(Debug, thiserror::Error)]
pub(crate) enum NotProved {
    /// It answered, but not what was asked.
    #[error("it answered something else")]
    Otherwise {
        /// How long that took.
        latency_ms: u32,
    },
    /// No answer came.
    #[error(transparent)]
    Asking(AskError),
}

/// 128 random bits in a form that the proof model recognises.
pub(crate) fn nonce(world: &World) -> String {
    let mut random = [0; 16];
    world.entropy.fill(&mut random);
    format!("BERTH-PROOF-{:032x}", u128::from_be_bytes(random))
}

/// A machine's trouble as a step's. Another host key stops everything: nothing secret was sent.
pub(crate) fn trouble(machine: MachineId, error: AskError) -> StepError {
    match &error {
        another if another.is_another_machine() => StepError::stuck(
            format!(
                "the machine {machine} shows another host key than the one it was made with. Nothing was sent to it. An operator has been told; deleting the agent is safe."
            ),
            AlertKind::HostKeyChanged,
        ),
        AskError::Guest(Refusal::Invalid { .. } | Refusal::Version { .. } | Refusal::Fenced { .. }) => {
            StepError::stuck(format!("{error}. Retry once that is mended, or delete the agent."), AlertKind::FlowFailed)
        }
        _ => error.into(),
    }
}

/// A provider's trouble as a step's: some pass by themselves, some need a person.
#[expect(clippy::needless_pass_by_value, reason = "the shape that map_err wants")]
pub(crate) fn provider(error: ProviderError) -> StepError {
    match &error {
        // What exactly does not answer is the operator's to know.
        ProviderError::Unavailable { .. } => {
            tracing::warn!(error = %error, "the machine provider is not available");
            StepError::retry("the machine provider is not available; Berth goes on trying")
        }
        ProviderError::Busy => StepError::retry(error.to_string()),
        ProviderError::ImageMissing { .. } | ProviderError::Refused { .. } | ProviderError::Garbled { .. } => {
            StepError::stuck(format!("{error}. Retry once that is mended."), AlertKind::FlowFailed)
        }
    }
}

/// The provider says surely that a machine with data on it is not there.
pub(crate) fn absent(machine: MachineId) -> StepError {
    StepError::stuck(
        format!("the machine {machine} is not at its provider any more. Delete the agent and create it anew."),
        AlertKind::MachineMismatch,
    )
}
