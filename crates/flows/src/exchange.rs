//! Carrying one question to an agent's machine and its answer back.
//!
//! Words are said at most once: the step `carry` is committed before they are
//! sent, and a `carry` that was interrupted is not repeated but said to have been.

use std::time::Duration;

use app::exchanges::{Half, place};
use domain::{
    AgentId, ExchangeId,
    agent::Seen,
    exchange::{Approval, ExchangeKind, ExchangeState, ExchangeStep, KEPT},
    protocol::{Ask, LOG_LINES_MAX, LogLine, Refusal, Reply, SecretText},
    timeline::Happening,
};
use store::{exchanges::ExchangeRow, flows::Claim, machines::Machine};
use vault::{DataKey, Secret};

use crate::{
    World, deliver,
    outcome::{Next, Outcome, Step, StepError, TenantWrite},
    world::AskError,
};

/// How long an agent may take to answer.
const TURN_MAX: Duration = Duration::from_secs(90);
/// How long its machine may take for anything else.
const OTHER_MAX: Duration = Duration::from_secs(30);
/// How long a machine that is on its way up is waited for before the question is given back.
const PATIENCE: Duration = Duration::from_secs(30);

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: ExchangeStep = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let id = ExchangeId::from_uuid(claim.subject);
    let (ExchangeStep::Ask { agent } | ExchangeStep::Carry { agent } | ExchangeStep::Forget { agent }) = step;
    if let ExchangeStep::Forget { .. } = step {
        return Ok(Outcome::next(Next::Done).tenant(TenantWrite::ForgetExchange(id)));
    }
    let Some((row, seen, machine, key)) = look(world, claim, id, agent).await? else {
        return Ok(Outcome::next(Next::Done));
    };
    let here = Here { world, claim, id, agent, key, kind: row.exchange.kind, asked_at: row.exchange.asked_at };
    if claim.overdue {
        return Ok(here.failed("It took too long. Ask again."));
    }
    let Some(machine) = machine.filter(|_| {
        matches!(seen, Seen::Live { .. } | Seen::Degraded { .. }) || row.exchange.kind == ExchangeKind::Logs
    }) else {
        return Ok(here.not_yet(&seen));
    };
    match step {
        ExchangeStep::Ask { .. } => Ok(Outcome::next(Next::Go(stored(&ExchangeStep::Carry { agent })))),
        ExchangeStep::Carry { .. } if claim.attempt > 1 => {
            Ok(here.failed("Berth was interrupted while asking; the agent may have heard it. Ask again if you like."))
        }
        ExchangeStep::Carry { .. } => here.carry(&row, &machine).await,
        ExchangeStep::Forget { .. } => Ok(Outcome::next(Next::Done)),
    }
}

struct Here<'a> {
    world: &'a World,
    claim: &'a Claim,
    id: ExchangeId,
    agent: AgentId,
    /// The tenant's, for its words.
    key: DataKey,
    kind: ExchangeKind,
    asked_at: chrono::DateTime<chrono::Utc>,
}

type Look = (ExchangeRow, Seen, Option<Machine>, DataKey);

/// The exchange, what was seen of its agent, and its machine. `None`: forgotten.
async fn look(world: &World, claim: &Claim, id: ExchangeId, agent: AgentId) -> Result<Option<Look>, StepError> {
    let tenant = claim.tenant.ok_or_else(|| StepError::retry("an exchange's flow has no tenant"))?;
    let mut tx = world.db.system().await?;
    let machine = store::machines::of_agent(&mut tx, agent).await?;
    let mut tx = tx.into_tenant(tenant).await?;
    let Some(row) = store::exchanges::by_id(&mut tx, id).await? else { return Ok(None) };
    let Some(agent) = store::agents::by_id(&mut tx, agent).await? else { return Ok(None) };
    let key = app::keys::of_tenant(&mut tx, &world.ring, world.entropy.as_ref()).await?;
    tx.commit().await?;
    Ok(Some((row, agent.seen, machine, key)))
}

impl Here<'_> {
    /// An agent on its way up is waited for a little; one that is not is said so.
    fn not_yet(&self, seen: &Seen) -> Outcome {
        match seen {
            Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. } if self.waited() < PATIENCE => {
                Outcome::next(Next::Wait(stored(&ExchangeStep::Ask { agent: self.agent }), Duration::from_secs(1)))
            }
            Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. } => {
                self.failed("The agent is not ready yet. Ask again when it is live.")
            }
            Seen::Live { .. } | Seen::Degraded { .. } => {
                self.failed("The agent has no machine. Ask again in a moment.")
            }
            Seen::Stopped { .. } => self.failed("The agent is stopped. Start it, then ask again."),
            Seen::Failed { .. } => self.failed("The agent has failed. Its page says why and what to do."),
            Seen::Deleting { .. } => self.failed("The agent is being deleted."),
        }
    }

    async fn carry(&self, row: &ExchangeRow, machine: &Machine) -> Result<Outcome, StepError> {
        let ask = match row.exchange.kind {
            ExchangeKind::Logs => Ask::Logs { lines: LOG_LINES_MAX.min(200) },
            ExchangeKind::Pairings => Ask::Pairings,
            ExchangeKind::Approve => {
                let Approval { channel, request } = serde_json::from_str(self.question(row)?.expose())
                    .map_err(|_| StepError::retry("this build cannot read who is to be let in"))?;
                Ask::Approve { channel, request }
            }
            ExchangeKind::Turn => Ask::Turn {
                text: self.question(row)?,
                session: format!("berth-{}", self.agent),
                timeout_ms: u32::try_from(TURN_MAX.as_millis()).unwrap_or(u32::MAX),
            },
        };
        let longest = if row.exchange.kind == ExchangeKind::Turn { TURN_MAX } else { OTHER_MAX };
        match self.world.ask(machine, self.claim.now, ask, longest + Duration::from_secs(10)).await {
            Ok(Reply::Turn { text, latency_ms }) => Ok(self.answered(text.expose().as_bytes(), latency_ms)),
            Ok(Reply::Pairings { pairings }) => {
                Ok(self.answered(serde_json::json!(pairings).to_string().as_bytes(), 0))
            }
            Ok(Reply::Ok) if row.exchange.kind == ExchangeKind::Approve => Ok(self.answered(b"let in", 0)),
            Ok(Reply::Logs { lines }) => Ok(self.answered(log_text(&lines).as_bytes(), 0)),
            Ok(_) => Ok(self.failed("The machine answered another question.")),
            // Nothing was sent: the whole thing again is safe.
            Err(error) if error.is_unreachable() && self.waited() < PATIENCE => {
                Ok(Outcome::next(Next::Wait(stored(&ExchangeStep::Ask { agent: self.agent }), Duration::from_secs(1))))
            }
            Err(AskError::Guest(Refusal::NoPairing)) => {
                let why = "There is no such request for access any more. Look again who waits.".to_owned();
                Ok(self.ended(ExchangeState::Failed { at: self.claim.now, why, is_gone: true }, None))
            }
            Err(AskError::Guest(refusal)) => Ok(self.failed(&sentence(&refusal.to_string()))),
            Err(error) => Ok(self.failed(&sentence(&error.to_string()))),
        }
    }

    fn question(&self, row: &ExchangeRow) -> Result<SecretText, StepError> {
        let tenant = self.claim.tenant.ok_or_else(|| StepError::retry("an exchange's flow has no tenant"))?;
        let sealed = row.question.as_ref().ok_or_else(|| StepError::retry("the question is missing"))?;
        deliver::words((&self.world.ring, &self.key), &place(tenant, self.id, Half::Question), sealed)
    }

    fn answered(&self, words: &[u8], latency_ms: u32) -> Outcome {
        let Some(tenant) = self.claim.tenant else { return self.failed("The question has no owner.") };
        let place = place(tenant, self.id, Half::Answer);
        let sealed = self.key.seal(self.world.entropy.as_ref(), &place, &Secret::new(words.to_vec()));
        self.ended(ExchangeState::Answered { at: self.claim.now, latency_ms }, Some(sealed))
    }

    fn failed(&self, why: &str) -> Outcome {
        self.ended(ExchangeState::Failed { at: self.claim.now, why: why.to_owned(), is_gone: false }, None)
    }

    fn ended(&self, state: ExchangeState, answer: Option<vault::Sealed>) -> Outcome {
        let ok = matches!(state, ExchangeState::Answered { .. });
        let kept = KEPT.saturating_sub(self.waited());
        Outcome::next(Next::Wait(stored(&ExchangeStep::Forget { agent: self.agent }), kept))
            .tenant(TenantWrite::EndExchange(self.id, self.agent, state, answer))
            .tenant(TenantWrite::Say(
                self.agent,
                vec![Happening::Exchanged { exchange: self.id, ok, kind: Some(self.kind) }],
            ))
    }

    /// Since the person asked.
    fn waited(&self) -> Duration {
        (self.claim.now - self.asked_at).to_std().unwrap_or_default()
    }
}

fn stored(step: &ExchangeStep) -> Step {
    Step { name: step.name(), value: serde_json::json!(step), deadline: Some(step.deadline()) }
}

fn log_text(lines: &[LogLine]) -> String {
    let line = |l: &LogLine| format!("{} {} {}", l.at.format("%Y-%m-%d %H:%M:%S"), l.unit, l.text);
    lines.iter().map(line).collect::<Vec<_>>().join("\n")
}

/// An error as a sentence: capital letter, full stop.
fn sentence(error: &str) -> String {
    let mut chars = error.chars();
    let first = chars.next().map(|c| c.to_uppercase().to_string()).unwrap_or_default();
    format!("{first}{}. Ask again.", chars.as_str())
}
