//! The judgements, over rows as they were at one instant.

mod money;

use std::collections::BTreeSet;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::Value;
use uuid::Uuid;

use super::{Check, Violation};
use crate::{
    agent::{Agent, Seen, Wanted},
    exchange::ExchangeStep,
    id::{AgentId, ExchangeId, FlowId, MachineId, TenantId},
    life::Life,
    machine::MachineName,
    protocol::InForce,
};

pub use money::{AccountView, account};

/// No worker takes a lease longer than ten minutes; what reaches further was not written by one.
const LEASE_MAX: TimeDelta = TimeDelta::minutes(15);

/// A flow as its row says.
#[derive(Debug, Clone)]
pub struct FlowView {
    /// Which.
    pub id: FlowId,
    /// `life`, `exchange`, …
    pub kind: String,
    /// Whose.
    pub tenant: Option<TenantId>,
    /// What it is about.
    pub subject: Uuid,
    /// As stored.
    pub step: Value,
    /// When it is to run.
    pub run_at: DateTime<Utc>,
    /// Until when it is somebody's.
    pub lease_until: Option<DateTime<Utc>>,
    /// Whether a token fences it.
    pub has_token: bool,
    /// When the step has to be over.
    pub deadline_at: Option<DateTime<Utc>>,
    /// Whether removal was asked for.
    pub removal_asked: bool,
    /// Signals that were not heard yet.
    pub signals: i64,
}

/// A living machine as its row says.
#[derive(Debug, Clone)]
pub struct MachineView {
    /// Which.
    pub id: MachineId,
    /// Whose; none for a spare.
    pub tenant: Option<TenantId>,
    /// Whose; none for a spare.
    pub agent: Option<AgentId>,
    /// Of the configuration wanted last.
    pub fence: u64,
    /// Of the configuration wanted last.
    pub digest: Option<String>,
    /// What the gateway reported last.
    pub in_force: Option<InForce>,
}

/// An agent with all that is known of it.
#[derive(Debug)]
pub struct AgentView<'a> {
    /// Whose.
    pub tenant: TenantId,
    /// As its tenant sees it.
    pub agent: &'a Agent,
    /// Its life.
    pub flow: Option<&'a FlowView>,
    /// The living machines that are given to it.
    pub machines: &'a [MachineView],
    /// To whom the machine that the agent names is given, gone or not.
    pub named_to: Option<AgentId>,
    /// When a configuration was put in force last, as far as its timeline reaches.
    pub configured_at: Option<DateTime<Utc>>,
    /// Whether an alert about it is open.
    pub alerted: bool,
    /// The instant that is judged.
    pub now: DateTime<Utc>,
}

/// Everything about one agent: its owner, its machine, its proof, its life.
#[must_use]
pub fn agent(view: &AgentView<'_>) -> Vec<Violation> {
    let mut found = owners(view);
    let id = view.agent.id;
    let Some(flow) = view.flow else {
        found.push(Violation::new(Check::AgentWithoutFlow, &[&id], format!("{id} has no flow that drives it")));
        return found;
    };
    if flow.tenant != Some(view.tenant) {
        let what = format!("the flow of {id} does not belong to {}", view.tenant);
        found.push(Violation::new(Check::FlowWithoutAgent, &[&flow.id, &id], what));
    }
    let Ok(step) = serde_json::from_value::<Life>(flow.step.clone()) else { return found };
    if !agrees(&step, &view.agent.seen) {
        let what = format!("{id} is shown as {} while its flow is at {}", view.agent.seen.name(), step.name());
        found.push(Violation::new(Check::SeenDiffers, &[&id, &flow.id], what));
    }
    if view.agent.wanted == Wanted::Gone && !flow.removal_asked {
        let what = format!("{id} is wanted gone and its flow was not asked to remove it");
        found.push(Violation::new(Check::RemovalForgotten, &[&id, &flow.id], what));
    }
    match &step {
        Life::Live { machine } => found.extend(live(view, *machine)),
        Life::Failed { .. } if !view.alerted => {
            let what = format!("{id} has failed and no open alert says so");
            found.push(Violation::new(Check::FailedUntold, &[&id, &flow.id], what));
        }
        _ => {}
    }
    found.extend(wish_slept_over(view, flow, &step));
    found
}

fn owners(view: &AgentView<'_>) -> Vec<Violation> {
    let mut found = Vec::new();
    let id = view.agent.id;
    if view.machines.len() > 1 {
        let ids: Vec<&dyn std::fmt::Display> =
            std::iter::once(&id as _).chain(view.machines.iter().map(|machine| &machine.id as _)).collect();
        let what = format!("{id} has {} living machines", view.machines.len());
        found.push(Violation::new(Check::TwoMachines, &ids, what));
    }
    for machine in view.machines.iter().filter(|machine| machine.tenant != Some(view.tenant)) {
        let what = format!("{} is given to {id} of {}, and its row names another tenant", machine.id, view.tenant);
        found.push(Violation::new(Check::ForeignOwner, &[&machine.id, &id], what));
    }
    if let (Some(facts), Some(other)) = (&view.agent.machine, view.named_to)
        && other != id
    {
        let what = format!("{id} names {}, which is given to {other}", facts.id);
        found.push(Violation::new(Check::Shared, &[&facts.id, &id, &other], what));
    }
    found
}

fn live(view: &AgentView<'_>, machine: MachineId) -> Vec<Violation> {
    let mut found = Vec::new();
    let id = view.agent.id;
    let row = view.machines.iter().find(|row| row.id == machine);
    let not = match row {
        None => Some("is not a living machine of this agent".to_owned()),
        Some(row) => match (&row.digest, &row.in_force) {
            (Some(wanted), Some(held)) if *wanted != held.digest => Some("holds another configuration".to_owned()),
            (Some(_), Some(held)) if row.fence != held.fence => {
                Some(format!("holds configuration {} where {} was wanted", held.fence, row.fence))
            }
            (Some(_), Some(held)) if !held.applied => Some("has not applied its configuration".to_owned()),
            (Some(_), Some(_)) => None,
            _ => Some("was never seen to hold a configuration".to_owned()),
        },
    };
    if let Some(not) = not {
        found.push(Violation::new(Check::NotInForce, &[&id, &machine], format!("{id} is live and {machine} {not}")));
    }
    let lacks = match (&view.agent.proof, view.configured_at) {
        (None, _) => Some("was never proved"),
        (Some(proof), _) if !proof.ok => Some("failed its last proof"),
        (Some(proof), Some(configured)) if proof.at < configured => Some("was not proved since its last configuration"),
        (Some(_), _) => None,
    };
    if let Some(lacks) = lacks {
        found.push(Violation::new(Check::NotProved, &[&id], format!("{id} is live and {lacks}")));
    }
    found
}

/// Whether what the tenant is shown can be true at this step. At rest it is the step's own word.
fn agrees(step: &Life, seen: &Seen) -> bool {
    if step.deadline().is_none() {
        return step.name() == seen.name();
    }
    match seen {
        Seen::Live { .. } => !["reserve", "create", "await", "hello", "start"].contains(&step.name()),
        Seen::Stopped { .. } => ["start", "stop", "remove"].contains(&step.name()),
        Seen::Failed { .. } => ["stop", "remove"].contains(&step.name()),
        Seen::Deleting { .. } => step.name() == "remove",
        Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. } | Seen::Degraded { .. } => true,
    }
}

/// A resting flow that nobody holds must be due once something was asked of it.
fn wish_slept_over(view: &AgentView<'_>, flow: &FlowView, step: &Life) -> Option<Violation> {
    let rests = step.deadline().is_none();
    let wish = matches!(
        (view.agent.wanted, step),
        (Wanted::Stopped, Life::Live { .. }) | (Wanted::Running, Life::Stopped { .. })
    );
    let asked = wish || flow.signals > 0 || flow.removal_asked;
    (rests && asked && sleeps(flow, view.now)).then(|| {
        let id = view.agent.id;
        let what = format!("{id} rests at {} until {} over what was asked of it", step.name(), flow.run_at);
        Violation::new(Check::WakeUpLost, &[&id, &flow.id], what)
    })
}

/// Whether nobody holds the flow, and nobody will for a while: who asks something of it makes it due at once. The minute
/// is for a clock that was set back since.
fn sleeps(flow: &FlowView, now: DateTime<Utc>) -> bool {
    flow.lease_until.is_none() && flow.run_at > now + TimeDelta::minutes(1)
}

/// One flow of any kind, by itself. `grace` is what a worker may need to notice.
#[must_use]
pub fn flow(flow: &FlowView, now: DateTime<Utc>, grace: TimeDelta) -> Vec<Violation> {
    let mut found = Vec::new();
    let about = about(flow);
    let step = flow.step.get("step").and_then(Value::as_str);
    let mut wrong = |check, what: String| found.push(Violation::new(check, &[&flow.id, &about], what));
    let at = step.unwrap_or("no step");
    if flow.deadline_at.is_some_and(|deadline| deadline < now - grace) {
        let minutes = flow.deadline_at.map_or(0, |deadline| (now - deadline).num_minutes());
        wrong(Check::Overdue, format!("the {} of {about} is {minutes} min past its deadline at {at}", flow.kind));
    }
    let free_at = flow.lease_until.map_or(flow.run_at, |until| until.max(flow.run_at));
    if free_at < now - grace {
        let minutes = (now - free_at).num_minutes();
        wrong(Check::Untaken, format!("the {} of {about} has waited {minutes} min at {at} for a worker", flow.kind));
    }
    if flow.lease_until.is_some() != flow.has_token || flow.lease_until.is_some_and(|until| until > now + LEASE_MAX) {
        wrong(Check::BrokenLease, format!("the lease of the {} of {about} is not one that a worker takes", flow.kind));
    }
    match rests(flow) {
        None => {
            wrong(Check::UnreadableStep, format!("the {} of {about} is at a step unknown to this build", flow.kind));
        }
        Some(false) if flow.deadline_at.is_none() => {
            wrong(Check::NoDeadline, format!("the {} of {about} may stay at {at} for ever", flow.kind));
        }
        // An agent's life is judged with its wishes, above.
        Some(true) if flow.kind != "life" && flow.signals > 0 && sleeps(flow, now) => {
            let what = format!("the {} of {about} rests at {at} until {} over a signal", flow.kind, flow.run_at);
            wrong(Check::WakeUpLost, what);
        }
        Some(_) => {}
    }
    found
}

/// Whether the flow's step rests until somebody wants something. `None`: a step that this build cannot read.
fn rests(flow: &FlowView) -> Option<bool> {
    match flow.kind.as_str() {
        "life" => serde_json::from_value::<Life>(flow.step.clone()).ok().map(|step| step.deadline().is_none()),
        "exchange" => serde_json::from_value::<ExchangeStep>(flow.step.clone()).ok().map(|_| false),
        // Other kinds keep their steps where they are run; here it counts that they have a word and a deadline.
        _ => flow.step.get("step").and_then(Value::as_str).map(|_| flow.deadline_at.is_none()),
    }
}

/// What a flow is about, as its noun prints it.
fn about(flow: &FlowView) -> String {
    match flow.kind.as_str() {
        "life" => AgentId::from_uuid(flow.subject).to_string(),
        "exchange" => ExchangeId::from_uuid(flow.subject).to_string(),
        "billing" => TenantId::from_uuid(flow.subject).to_string(),
        _ => flow.subject.to_string(),
    }
}

/// The provider's machines against the rows, while both change.
///
/// The listing was complete and taken before the rows were read. What disagrees
/// is a doubt until a second listing, taken after, disagrees as well: a machine
/// in both listings existed between them, so a row had to know it; names are
/// never used twice.
#[derive(Debug, Default)]
pub struct Listing {
    unmatched: BTreeSet<MachineName>,
    missing: Vec<MachineId>,
}

impl Listing {
    /// Every machine of this installation at the provider.
    pub fn new(names: impl IntoIterator<Item = MachineName>) -> Self {
        Self { unmatched: names.into_iter().collect(), missing: Vec::new() }
    }

    /// A living row. `made`: the provider had it; `leaving`: its flow is destroying it.
    pub fn row(&mut self, machine: MachineId, made: bool, leaving: bool) {
        let there = self.unmatched.remove(&MachineName::of(machine));
        if !there && made && !leaving {
            self.missing.push(machine);
        }
    }

    /// Whether a second listing is needed.
    #[must_use]
    pub fn is_in_doubt(&self) -> bool {
        !self.unmatched.is_empty() || !self.missing.is_empty()
    }

    /// What the second listing disagrees with as well.
    #[must_use]
    pub fn settle(self, after: &BTreeSet<MachineName>) -> Vec<Violation> {
        let leaked = self.unmatched.into_iter().filter(|name| after.contains(name)).map(|name| {
            let what = format!("the provider holds {name}, which is ours and which no living row knows");
            Violation::new(Check::Leaked, &[&name], what)
        });
        let lost = self.missing.into_iter().filter(|id| !after.contains(&MachineName::of(*id))).map(|id| {
            Violation::new(Check::Lost, &[&id], format!("{id} was made and is not at its provider any more"))
        });
        leaked.chain(lost).collect()
    }
}

#[cfg(test)]
mod tests;
