//! Talking to the machine until its agent is proved: await, hello, apply, prove.

use std::time::Duration;

use domain::{
    MachineId, ProofId,
    agent::{ProofFacts, Seen},
    alert::AlertKind,
    entropy::mint,
    life::Life,
    protocol::{Ask, Gateway, Hello, Refusal, Reply, SecretText},
};
use store::agents::Observation;

use super::{Here, wait};
use crate::{
    deliver,
    outcome::{HouseWrite, Outcome, StepError, TenantWrite},
    world::AskError,
};

/// How long to sleep while the machine starts, if it does not call first.
const NET: Duration = Duration::from_secs(2);
/// A guest that can be reached answers a question about itself within this.
const SHORT: Duration = Duration::from_secs(10);
/// How many proofs may fail before Berth says so.
const PROOFS_MAX: u8 = 5;
/// From the first failed proof to the next; doubled after each, so that a home that is away for half a minute
/// (a restart of Berth or of its database) costs no agent its first start.
const PROOF_PAUSE: Duration = Duration::from_secs(3);

impl Here<'_> {
    /// Waits until the guest answers; the machine calls home as soon as it can.
    pub(super) async fn wait_for_guest(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        match self.world.ask(row, self.claim.now, Ask::Hello, SHORT).await {
            Ok(_) => Ok(self.go(&Life::Await { machine }, Life::Hello { machine })),
            Err(error) if error.is_unreachable() => Ok(wait(&Life::Await { machine }, NET)),
            Err(error) => Err(trouble(machine, error)),
        }
    }

    /// Meets the guest, checks that it is the one that was made, and waits for its gateway.
    pub(super) async fn hello(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        let hello = match self.world.ask(row, self.claim.now, Ask::Hello, SHORT).await {
            Ok(Reply::Hello(hello)) if hello.machine == machine => hello,
            Ok(_) => return Err(AskError::Other.into()),
            Err(error) => return Err(trouble(machine, error)),
        };
        match hello.gateway {
            Gateway::Ready => Ok(self.met(machine, hello)),
            Gateway::Starting => Ok(self.preparing(wait(&Life::Hello { machine }, NET))),
            Gateway::Stopped | Gateway::Failed => {
                self.world.ask(row, self.claim.now, Ask::Start, Duration::from_secs(30)).await?;
                Ok(self.preparing(wait(&Life::Hello { machine }, NET)))
            }
        }
    }

    fn met(&self, machine: MachineId, hello: Hello) -> Outcome {
        let outcome = self.go(&Life::Hello { machine }, Life::Apply { machine });
        let outcome = match &self.agent.machine {
            Some(facts) => {
                let facts = domain::machine::MachineFacts { openclaw: Some(hello.openclaw.clone()), ..facts.clone() };
                let observation = Observation { machine: Some(facts), ..Observation::default() };
                outcome.tenant(TenantWrite::Observe(self.agent.id, Box::new(observation)))
            }
            None => outcome,
        };
        let outcome = self.see(outcome, Seen::Configuring { since: self.now() });
        outcome.house(HouseWrite::Hello(machine, hello)).heard()
    }

    /// Puts configuration and secrets in force: wanted, read back and applied must be the same document.
    pub(super) async fn apply(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        let document = deliver::document(self.world);
        let digest = deliver::wanted_digest(&document);
        let mut tx = self.world.db.system().await?;
        let fence = store::machines::want(&mut tx, machine, &digest).await?;
        tx.commit().await?;
        let ask = deliver::apply(self.world, row, fence, document)?;
        let in_force = match self.world.ask(row, self.claim.now, ask, Duration::from_secs(45)).await {
            Ok(Reply::Applied(in_force)) => in_force,
            Ok(_) => return Err(AskError::Other.into()),
            Err(error) => return Err(trouble(machine, error)),
        };
        if in_force.digest != digest || !in_force.applied || in_force.fence != fence {
            return Err(StepError::retry("the gateway does not hold the configuration that was sent"));
        }
        let outcome = self.go(&Life::Apply { machine }, Life::Prove { machine, tries: 0 });
        let outcome = match self.agent.seen {
            // A new configuration of a live agent: it goes on answering meanwhile.
            Seen::Live { .. } => outcome,
            _ => self.see(outcome, Seen::Proving { since: self.now() }),
        };
        Ok(outcome.house(HouseWrite::InForce(machine, in_force)))
    }

    /// Takes a real turn with a nonce. Only an answer that holds it counts.
    pub(super) async fn prove(&self, machine: MachineId, tries: u8) -> Result<Outcome, StepError> {
        let row = self.row(machine)?;
        let proof: ProofId = mint(self.world.entropy.as_ref());
        let nonce = self.nonce();
        let tenant = self.claim.tenant.ok_or_else(|| StepError::retry("an agent's flow has no tenant"))?;
        let mut tx = self.world.db.tenant(tenant).await?;
        store::proofs::begin(&mut tx, proof, self.agent.id, &nonce).await?;
        tx.commit().await?;

        let ask = Ask::Turn {
            text: SecretText::new(format!("This is a check by Berth. Please answer with exactly this word: {nonce}")),
            session: format!("berth-proof-{}", self.agent.id),
            timeout_ms: 60_000,
        };
        let answer = self.world.ask(row, self.claim.now, ask, Duration::from_secs(75)).await;
        let (latency_ms, why) = match &answer {
            Ok(Reply::Turn { text, latency_ms }) if text.expose().contains(&nonce) => (Some(*latency_ms), None),
            Ok(Reply::Turn { latency_ms, .. }) => (Some(*latency_ms), Some("it answered something else".to_owned())),
            Ok(_) => (None, Some(AskError::Other.to_string())),
            Err(error) => (None, Some(error.to_string())),
        };
        let mut tx = self.world.db.tenant(tenant).await?;
        let facts = store::proofs::end(&mut tx, proof, latency_ms, why.as_deref()).await?;
        tx.commit().await?;
        let Some(facts) = facts else { return Err(StepError::retry("the agent is gone")) };

        match answer {
            Err(error) if error.is_another_machine() => Err(trouble(machine, error)),
            _ if facts.ok => Ok(self.proved(machine, facts)),
            _ => Ok(self.not_proved(machine, tries.saturating_add(1), facts)),
        }
    }

    fn proved(&self, machine: MachineId, facts: ProofFacts) -> Outcome {
        let outcome = self.go(&Life::Prove { machine, tries: 0 }, Life::Live { machine }).heard();
        let outcome = TenantWrite::proof(self.agent.id, facts).into_iter().fold(outcome, Outcome::tenant);
        self.see(outcome, Seen::Live { since: self.now() }).house(self.close_alerts())
    }

    /// A failed proof is stored as one. After some, a first start fails in words; a live agent is looked at.
    fn not_proved(&self, machine: MachineId, failed: u8, facts: ProofFacts) -> Outcome {
        let why = facts.why.clone().unwrap_or_default();
        let here = Life::Prove { machine, tries: failed };
        let was_live = matches!(self.agent.seen, Seen::Live { .. } | Seen::Degraded { .. });
        let outcome = if was_live {
            let seen = Seen::Degraded { since: self.now(), why: format!("The last proof failed: {why}.") };
            self.see(self.go(&here, Life::Recover { machine, looks: 0 }).heard(), seen)
        } else if failed < PROOFS_MAX {
            wait(&here, PROOF_PAUSE * 2_u32.pow(u32::from(failed.saturating_sub(1))))
        } else {
            let why = format!(
                "The machine is ready but its agent did not answer {PROOFS_MAX} times: {why}. Retry, or delete the agent."
            );
            self.give_up(&here, &why, AlertKind::FlowFailed)
        };
        TenantWrite::proof(self.agent.id, facts).into_iter().fold(outcome, Outcome::tenant)
    }

    /// 128 random bits in a form that the proof model recognises.
    fn nonce(&self) -> String {
        let mut random = [0; 16];
        self.world.entropy.fill(&mut random);
        format!("BERTH-PROOF-{:032x}", u128::from_be_bytes(random))
    }
}

/// A machine's trouble as a step's. Another host key stops everything: nothing secret was sent.
pub(super) fn trouble(machine: MachineId, error: AskError) -> StepError {
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
