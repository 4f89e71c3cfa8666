//! Every kind of flow with its steps, as data: who has it, until when, what is next, what wakes it, how it ends.
//!
//! A new kind gets a function here and a line in [`catalogue`]; a new step of
//! `life` or `exchange` does not compile until it stands here. From then on the
//! tests in `crates/flows/tests/it/generic.rs` run it twice, take its lease away,
//! remove it, and compare it with the table in docs/ARCHITECTURE.md and with
//! the steps that are really taken.

use std::time::Duration;

use chrono::DateTime;
use domain::{
    AgentId, MachineId,
    alert::Notice,
    billing::{BillingStep, ReconcileStep, Told},
    event::EventStep,
    exchange::ExchangeStep,
    letter::LetterStep,
    life::Life,
    rotation::Rotation,
    spare::Spare,
};
use serde_json::{Value, json};

use crate::sweep::SLICE;

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The worker that holds the lease; any worker, once it is due.
    Worker,
    /// It rests until a tenant wants something.
    Tenant,
    /// It rests until an operator does something, or what it is about is mended.
    Operator,
}

/// What makes a waiting step go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waker {
    /// A tenant, by a wish or a request.
    Tenant,
    /// An operator, or a flow that saw that what was wrong is right.
    Operator,
    /// A flow that it started.
    Child,
    /// The machine calling home.
    Machine,
    /// A sweep that saw something.
    Sweep,
    /// The clock.
    Time,
}

/// How a flow at this step ends when what it is about is to go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Removal {
    /// Asked for, it goes to this step before anything else is looked at.
    Through(&'static str),
    /// What it is about goes with its agent, and it ends at its next run.
    WithItsAgent,
    /// It is about nobody, and ends by itself within its deadline.
    ByItself,
}

/// One step of one kind.
#[derive(Debug, Clone, PartialEq)]
pub struct Stage {
    /// The kind's word in the database.
    pub kind: &'static str,
    /// The step's word in the database.
    pub step: &'static str,
    /// The step as stored, about the agent and machine that were named.
    pub stored: Value,
    /// Whose move it is.
    pub owner: Owner,
    /// How long a flow may stay. `None` only where it rests.
    pub deadline: Option<Duration>,
    /// What it may wait for.
    pub wakers: &'static [Waker],
    /// Where it may go.
    pub next: &'static [&'static str],
    /// Whether the flow may end here.
    pub may_end: bool,
    /// How it ends when what it is about is to go.
    pub removal: Removal,
}

/// Every step of every kind that this build runs, in the order in which they are lived.
#[must_use]
pub fn catalogue(agent: AgentId, machine: MachineId) -> Vec<Stage> {
    let lives = Life::every(machine).into_iter().map(|step| life(&step));
    let exchanges = [ExchangeStep::Ask { agent }, ExchangeStep::Carry { agent }, ExchangeStep::Forget { agent }];
    lives
        .chain(Spare::every().iter().map(spare))
        .chain(exchanges.iter().map(exchange))
        .chain(Notice::EVERY.map(notice))
        .chain([invitation()])
        .chain(erasure())
        .chain(house())
        .chain(Rotation::EVERY.map(rotation))
        .chain(BillingStep::EVERY.map(billing))
        .collect()
}

fn life(step: &Life) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        Life::Reserve => (&[], &["create", "apply", "failed"]),
        Life::Create { .. } => (&[], &["await", "failed"]),
        Life::Await { .. } => (&[Waker::Machine, Waker::Time], &["hello", "stop", "failed"]),
        Life::Hello { .. } => (&[Waker::Machine, Waker::Time], &["apply", "stop", "failed"]),
        Life::Apply { .. } => (&[], &["prove", "stop", "failed"]),
        Life::Prove { .. } => (&[Waker::Time], &["live", "recover", "stop", "failed"]),
        Life::Live { .. } => {
            (&[Waker::Tenant, Waker::Machine, Waker::Sweep], &["apply", "prove", "restart", "recover", "stop"])
        }
        Life::Recover { .. } => (&[Waker::Time], &["apply", "hello", "start", "stop", "failed"]),
        Life::Stop { .. } => (&[], &["stopped", "failed"]),
        Life::Stopped { .. } => (&[Waker::Tenant], &["start"]),
        Life::Start { .. } => (&[], &["await", "stop", "failed"]),
        Life::Restart { .. } => (&[], &["hello", "stop", "failed"]),
        Life::Failed { .. } => (&[Waker::Tenant], &["reserve", "create", "stop"]),
        Life::Remove { .. } => (&[Waker::Time], &[]),
    };
    let deadline = step.deadline();
    Stage {
        kind: app::agents::LIFE,
        step: step.name(),
        stored: json!(step),
        owner: if deadline.is_some() { Owner::Worker } else { Owner::Tenant },
        deadline,
        wakers,
        next,
        may_end: matches!(step, Life::Remove { .. }),
        removal: Removal::Through("remove"),
    }
}

fn exchange(step: &ExchangeStep) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        ExchangeStep::Ask { .. } => (&[Waker::Time], &["carry", "forget"]),
        ExchangeStep::Carry { .. } => (&[], &["ask", "forget"]),
        ExchangeStep::Forget { .. } => (&[Waker::Time], &[]),
    };
    Stage {
        kind: app::exchanges::EXCHANGE,
        step: step.name(),
        stored: json!(step),
        owner: Owner::Worker,
        deadline: Some(step.deadline()),
        wakers,
        next,
        // Where the exchange is gone with its agent, the flow ends wherever it is.
        may_end: true,
        removal: Removal::WithItsAgent,
    }
}

fn spare(step: &Spare) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        Spare::Create => (&[], &["await", "retire"]),
        Spare::Await => (&[Waker::Machine, Waker::Time], &["hello", "retire"]),
        Spare::Hello => (&[Waker::Machine, Waker::Time], &["apply", "retire"]),
        Spare::Apply => (&[], &["warm", "retire"]),
        Spare::Warm => (&[Waker::Time], &["ready", "retire"]),
        Spare::Ready => (&[Waker::Tenant, Waker::Machine, Waker::Sweep, Waker::Time], &["retire"]),
        Spare::Retire { .. } => (&[Waker::Time], &[]),
    };
    let deadline = step.deadline();
    Stage {
        kind: app::machines::SPARE,
        step: step.name(),
        stored: json!(step),
        owner: if deadline.is_some() { Owner::Worker } else { Owner::Tenant },
        deadline,
        wakers,
        next,
        // Claimed, or gone, it ends wherever it is.
        may_end: true,
        removal: Removal::Through("retire"),
    }
}

fn notice(step: Notice) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        Notice::Fire { .. } => (&[], &["deliver", "rest"]),
        Notice::Deliver { .. } => (&[Waker::Time], &["fire", "rest"]),
        Notice::Rest { .. } => (&[Waker::Operator, Waker::Time], &["fire"]),
    };
    let deadline = step.deadline();
    Stage {
        kind: app::alerts::NOTICE,
        step: step.name(),
        stored: json!(step),
        owner: if deadline.is_some() { Owner::Worker } else { Owner::Operator },
        deadline,
        wakers,
        next,
        // Closed, its alert needs nobody any more.
        may_end: true,
        removal: Removal::WithItsAgent,
    }
}

/// An invitation's mail, until it is sent, or the invitation is answered or taken back.
fn invitation() -> Stage {
    Stage {
        kind: app::members::INVITATION,
        step: "send",
        stored: json!({ "step": "send" }),
        owner: Owner::Worker,
        deadline: Some(app::members::MAILED_WITHIN),
        wakers: &[Waker::Time],
        next: &[],
        may_end: true,
        removal: Removal::ByItself,
    }
}

/// A tenant's end. It rests until its time is over, or an owner keeps the tenant.
fn erasure() -> [Stage; 4] {
    let stage = |step: &'static str, deadline, owner, wakers, next| Stage {
        kind: app::tenants::ERASURE,
        step,
        stored: json!({ "step": step }),
        owner,
        deadline,
        wakers,
        next,
        // Kept after all, or gone, there is nothing left to do.
        may_end: true,
        removal: Removal::WithItsAgent,
    };
    [
        stage("wait", None, Owner::Tenant, &[Waker::Tenant, Waker::Time], &["empty"]),
        stage("empty", Some(Duration::from_hours(24)), Owner::Worker, &[Waker::Time], &["cancel", "wait"]),
        stage("cancel", Some(Duration::from_hours(24)), Owner::Worker, &[], &["erase", "wait"]),
        stage("erase", Some(Duration::from_mins(15)), Owner::Worker, &[], &["wait"]),
    ]
}

/// The runs of jobs, and the slices of a sweep.
fn house() -> Vec<Stage> {
    use app::{
        jobs::{REFILL, RETENTION, SWEEP},
        reconciliation::RECONCILIATION,
    };
    let (since, told) = (DateTime::UNIX_EPOCH, Told::default());
    let wake = ReconcileStep::Wake { since, after: None, tenants: 0, told };
    let count = ReconcileStep::Count { since, tenants: 0, told };
    let stage = |kind, step, stored, minutes, next: &'static [&'static str], may_end| Stage {
        kind,
        step,
        stored,
        owner: Owner::Worker,
        deadline: Some(Duration::from_mins(minutes)),
        wakers: match step {
            "gather" => &[Waker::Child, Waker::Time],
            "wake" | "count" => &[Waker::Time],
            _ => &[],
        },
        next,
        may_end,
        removal: Removal::ByItself,
    };
    vec![
        stage(SWEEP, "spread", json!({ "step": "spread", "calm": false }), 10, &["gather"], true),
        stage(SWEEP, "gather", json!({ "step": "gather" }), 10, &[], true),
        stage(SLICE, "look", json!({ "step": "look", "after": null, "until": null }), 10, &[], true),
        stage(REFILL, "count", json!({ "step": "count" }), 5, &[], true),
        stage(RECONCILIATION, "ask", json!(ReconcileStep::first()), 30, &["wake"], true),
        stage(RECONCILIATION, "wake", json!(wake), 30, &["count"], true),
        stage(RECONCILIATION, "count", json!(count), 10, &[], true),
        stage(RETENTION, "forget", json!({ "step": "forget" }), 30, &[], true),
        letter(LetterStep::Send),
        letter(LetterStep::Tell),
        event(),
    ]
}

/// It is given up by nobody: past its deadline it alerts, and goes on.
fn rotation(step: Rotation) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        Rotation::Rewrap => (&[Waker::Time], &["retire"]),
        Rotation::Retire => (&[], &["rewrap"]),
    };
    Stage {
        kind: app::keys::ROTATION,
        step: step.name(),
        stored: json!(step),
        owner: Owner::Worker,
        deadline: Some(step.deadline()),
        wakers,
        next,
        may_end: matches!(step, Rotation::Retire),
        // Nobody asks for it: a rotation that began goes on until the old key is retired.
        removal: Removal::Through("retire"),
    }
}

/// It goes on as long as its tenant does.
fn billing(step: BillingStep) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        BillingStep::Refresh => (&[], &["rest"]),
        BillingStep::Rest => (&[Waker::Tenant, Waker::Time], &["refresh"]),
    };
    Stage {
        kind: app::billing::BILLING,
        step: step.name(),
        stored: json!(step),
        owner: if step.deadline().is_some() { Owner::Worker } else { Owner::Tenant },
        deadline: step.deadline(),
        wakers,
        next,
        // Where nothing is paid and nothing is due there is nothing to keep in view.
        may_end: step == BillingStep::Refresh,
        removal: Removal::Through("refresh"),
    }
}

/// It is given up by nobody: past its deadline it alerts, and goes on.
fn event() -> Stage {
    let step = EventStep::Read;
    Stage {
        kind: app::events::EVENT,
        step: step.name(),
        stored: json!(step),
        owner: Owner::Worker,
        deadline: Some(step.deadline()),
        wakers: &[],
        next: &[],
        may_end: true,
        removal: Removal::ByItself,
    }
}

fn letter(step: LetterStep) -> Stage {
    let next: &[&str] = if step == LetterStep::Send { &["tell"] } else { &[] };
    Stage {
        kind: app::letters::LETTER,
        step: step.name(),
        stored: json!(step),
        owner: Owner::Worker,
        deadline: Some(step.deadline()),
        wakers: &[],
        next,
        may_end: true,
        removal: Removal::ByItself,
    }
}
