//! Talking to the machine until its agent is proved: await, hello, apply, prove.

use std::time::Duration;

use domain::{
    MachineId, ProofId,
    agent::{ProofFacts, Seen},
    alert::AlertKind,
    entropy::mint,
    letter::Told,
    life::Life,
    machine::{MachineFacts, MachineSize},
    protocol::Hello,
    timeline::Happening,
};
use store::agents::Observation;

use super::{Here, wait};
use crate::{
    machine::{Configured, NotProved, nonce, trouble},
    outcome::{HouseWrite, Outcome, StepError, TenantWrite},
};

/// How long to sleep while the machine starts, if it does not call first.
const NET: Duration = Duration::from_secs(2);
/// How many proofs may fail before Berth says so.
const PROOFS_MAX: u8 = 5;
/// From the first failed proof to the next; doubled after each, so that a home that is away for half a minute
/// (a restart of Berth or of its database) costs no agent its first start.
const PROOF_PAUSE: Duration = Duration::from_secs(3);

impl Here<'_> {
    /// Waits until the guest answers; the machine calls home as soon as it can.
    pub(super) async fn wait_for_guest(&self, machine: MachineId) -> Result<Outcome, StepError> {
        if self.on(machine)?.answers().await? {
            return Ok(self.go(&Life::Await { machine }, Life::Hello { machine }));
        }
        Ok(wait(&Life::Await { machine }, NET))
    }

    /// Meets the guest, checks that it is the one that was made, and waits for its gateway.
    pub(super) async fn hello(&self, machine: MachineId) -> Result<Outcome, StepError> {
        match self.on(machine)?.meet().await? {
            Some(hello) => Ok(self.met(machine, hello)),
            None => Ok(self.preparing(wait(&Life::Hello { machine }, NET))),
        }
    }

    fn met(&self, machine: MachineId, hello: Hello) -> Outcome {
        let outcome = self.go(&Life::Hello { machine }, Life::Apply { machine });
        let outcome = match &self.agent.machine {
            Some(facts) => {
                let facts = MachineFacts { openclaw: Some(hello.openclaw.clone()), ..facts.clone() };
                let observation = Observation { machine: Some(facts), ..Observation::default() };
                outcome.tenant(TenantWrite::Observe(self.agent.id, Box::new(observation)))
            }
            None => outcome,
        };
        let outcome = self.see(outcome, Seen::Configuring { since: self.now() });
        outcome.house(HouseWrite::Hello(machine, hello)).heard()
    }

    /// Gives the machine its size, and puts configuration and secrets in force.
    pub(super) async fn apply(&self, machine: MachineId) -> Result<Outcome, StepError> {
        let on = self.on(machine)?;
        let fitted = on.fit().await?;
        let Configured { in_force, version, rotated } = on.configure(&self.chosen).await?;
        let facts = self.agent.machine.clone().filter(|_| rotated.is_some());
        let facts = facts.map(|facts| MachineFacts { keys_replaced_at: Some(self.now()), ..facts });
        let observation = Observation { credentials: Some(version), machine: facts, ..Observation::default() };
        let outcome = self
            .go(&Life::Apply { machine }, Life::Prove { machine, tries: 0 })
            .tenant(TenantWrite::Observe(self.agent.id, Box::new(observation)));
        let outcome = match self.agent.seen {
            // A new configuration of a live agent: it goes on answering meanwhile.
            Seen::Live { .. } => outcome,
            _ => self.see(outcome, Seen::Proving { since: self.now() }),
        };
        let outcome = outcome.house(HouseWrite::InForce(machine, in_force));
        let outcome = fitted.into_iter().fold(outcome, |outcome, size| self.fitted(machine, size, outcome));
        let Some(taken) = rotated else { return Ok(outcome) };
        let said = Happening::KeysReplaced { machine_key: taken.machine_key.is_some() };
        Ok(outcome
            .house(HouseWrite::Rotated(machine, Box::new(taken)))
            .tenant(TenantWrite::Say(self.agent.id, vec![said])))
    }

    fn fitted(&self, machine: MachineId, size: MachineSize, outcome: Outcome) -> Outcome {
        let said = TenantWrite::Say(self.agent.id, vec![Happening::MachineSized { size }]);
        outcome.house(HouseWrite::Sized(machine, size)).tenant(said)
    }

    /// Takes a real turn with a nonce. Only an answer that holds it counts.
    pub(super) async fn prove(&self, machine: MachineId, tries: u8) -> Result<Outcome, StepError> {
        let on = self.on(machine)?;
        let proof: ProofId = mint(self.world.entropy.as_ref());
        let nonce = nonce(self.world);
        let tenant = self.claim.tenant.ok_or_else(|| StepError::retry("an agent's flow has no tenant"))?;
        let mut tx = self.world.db.tenant(tenant).await?;
        store::proofs::begin(&mut tx, proof, self.agent.id, &nonce).await?;
        tx.commit().await?;

        let answer = on.prove(&nonce, format!("berth-proof-{}", self.agent.id)).await;
        let (latency_ms, why) = match &answer {
            Ok(latency_ms) => (Some(*latency_ms), None),
            Err(error @ NotProved::Otherwise { latency_ms }) => (Some(*latency_ms), Some(error.to_string())),
            Err(error @ NotProved::Asking(_)) => (None, Some(error.to_string())),
        };
        let mut tx = self.world.db.tenant(tenant).await?;
        let facts = store::proofs::end(&mut tx, proof, latency_ms, why.as_deref()).await?;
        tx.commit().await?;
        let Some(facts) = facts else { return Err(StepError::retry("the agent is gone")) };

        match answer {
            Err(NotProved::Asking(error)) if error.is_another_machine() => Err(trouble(machine, error)),
            _ if facts.ok => Ok(self.proved(machine, facts)),
            _ => Ok(self.not_proved(machine, tries.saturating_add(1), facts)),
        }
    }

    fn proved(&self, machine: MachineId, facts: ProofFacts) -> Outcome {
        let next = self.or_restart(Life::Live { machine });
        let outcome = self.go(&Life::Prove { machine, tries: 0 }, next).heard();
        let outcome = TenantWrite::proof(self.agent.id, facts).into_iter().fold(outcome, Outcome::tenant);
        let outcome = self.see(outcome, Seen::Live { since: self.now() }).house(self.close_alerts());
        let never_answered = self.agent.proof.as_ref().is_none_or(|last| !last.ok);
        if self.was_live() || !never_answered {
            return outcome;
        }
        // Of a tenant's agents the first one only is told of: they have one cause.
        let (agent, name) = (self.agent.id, self.agent.name.to_string());
        outcome.house(HouseWrite::Tell("ready", Told::Ready { agent, name }))
    }

    fn was_live(&self) -> bool {
        matches!(self.agent.seen, Seen::Live { .. } | Seen::Degraded { .. })
    }

    /// A failed proof is stored as one. After some, a first start fails in words; a live agent is looked at.
    fn not_proved(&self, machine: MachineId, failed: u8, facts: ProofFacts) -> Outcome {
        let why = facts.why.clone().unwrap_or_default();
        let here = Life::Prove { machine, tries: failed };
        let outcome = if self.was_live() {
            let seen = Seen::Degraded { since: self.now(), why: format!("The last proof failed: {why}.") };
            let next = self.or_restart(Life::Recover { machine, looks: 0 });
            self.see(self.go(&here, next).heard(), seen)
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
}
