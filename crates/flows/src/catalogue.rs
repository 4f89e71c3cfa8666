//! Every kind of flow with its steps, as data: who has it, until when, what is next, what wakes it, how it ends.
//!
//! A new kind gets a function here and a line in [`catalogue`]; a new step of
//! `life` or `exchange` does not compile until it stands here. From then on the
//! tests in `crates/flows/tests/it/generic.rs` run it twice, take its lease away,
//! remove it, and compare it with the table in docs/ARCHITECTURE.md and with
//! the steps that are really taken.

use std::time::Duration;

use domain::{AgentId, MachineId, exchange::ExchangeStep, life::Life};
use serde_json::{Value, json};

/// Whose move it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// The worker that holds the lease; any worker, once it is due.
    Worker,
    /// It rests until its tenant wants something.
    Tenant,
}

/// What makes a waiting step go on.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Waker {
    /// Its tenant, by a wish or a request.
    Tenant,
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
    lives.chain(exchanges.iter().map(exchange)).chain([sweep()]).collect()
}

fn life(step: &Life) -> Stage {
    let (wakers, next): (&[Waker], &[&str]) = match step {
        Life::Reserve => (&[], &["create", "failed"]),
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

fn sweep() -> Stage {
    Stage {
        kind: app::sweeps::SWEEP,
        step: "look",
        stored: json!({ "step": "look" }),
        owner: Owner::Worker,
        deadline: Some(Duration::from_mins(5)),
        wakers: &[],
        next: &[],
        may_end: true,
        removal: Removal::ByItself,
    }
}
