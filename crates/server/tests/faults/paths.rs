//! Ways through an agent's life: where each begins, what is asked, which steps it takes, where it ends.
//!
//! From these come the points at which Berth is killed. A step of
//! `domain::life` that no path takes fails a test, so a new one cannot be forgotten.

use std::time::Duration;

use domain::{MachineId, life::Life, machine::MachineName};
use flows::CrashPoint;
use testkit::sim::{How, Verb};
use tokio::time::sleep;

use crate::{checked::Wanted, fleet::Fleet};

/// Longest from one rest to the next; it takes well below a second unless somebody dies.
const REST_MAX: Duration = Duration::from_secs(40);

/// One way.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Path {
    pub(crate) name: &'static str,
    /// How the agent is seen before; empty: there is none.
    from: &'static str,
    act: Act,
    pub(crate) steps: &'static [&'static str],
    /// How it is seen at the end.
    to: &'static str,
}

/// What is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Act {
    /// By a request: this word after the agent's address.
    Post(&'static str),
    Create,
    Delete,
    /// By nobody: its gateway dies.
    LoseGateway,
}

const MADE: &[&str] = &["reserve", "create", "await", "hello", "apply", "prove"];

/// All of them; the steps from nothing to live come first.
pub(crate) const PATHS: [Path; 8] = [
    Path { name: "creation", from: "", act: Act::Create, steps: MADE, to: "live" },
    Path { name: "proof", from: "live", act: Act::Post("proofs"), steps: &["live", "prove"], to: "live" },
    Path {
        name: "loss",
        from: "live",
        act: Act::LoseGateway,
        steps: &["live", "recover", "apply", "prove"],
        to: "live",
    },
    Path {
        name: "restart",
        from: "live",
        act: Act::Post("restart"),
        steps: &["live", "restart", "hello", "apply", "prove"],
        to: "live",
    },
    Path { name: "stop", from: "live", act: Act::Post("stop"), steps: &["live", "stop"], to: "stopped" },
    Path {
        name: "start",
        from: "stopped",
        act: Act::Post("start"),
        steps: &["stopped", "start", "await", "hello", "apply", "prove"],
        to: "live",
    },
    Path {
        name: "retry",
        from: "failed",
        act: Act::Post("retry"),
        steps: &["failed", "create", "await", "hello", "apply", "prove"],
        to: "live",
    },
    Path { name: "removal", from: "live", act: Act::Delete, steps: &["live", "remove"], to: "gone" },
];

/// A place to die on a path.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Point {
    pub(crate) path: Path,
    pub(crate) step: &'static str,
    pub(crate) at: CrashPoint,
}

impl Point {
    /// As `BERTH_CRASH_AT` takes it.
    pub(crate) fn setting(&self) -> String {
        format!("{}:{}", self.step, self.at.name())
    }
}

/// Every place; `each_step_once`: only on the first path that takes the step.
pub(crate) fn points(each_step_once: bool) -> Vec<Point> {
    let mut all = Vec::new();
    let mut taken: Vec<&str> = Vec::new();
    for path in PATHS {
        for step in path.steps {
            if each_step_once && taken.contains(step) {
                continue;
            }
            taken.push(step);
            all.extend(CrashPoint::EVERY.map(|at| Point { path, step, at }));
        }
    }
    all
}

impl Path {
    /// An agent where the path begins; its id, empty if the path begins with nothing.
    pub(crate) async fn prepare(&self, fleet: &Fleet, name: &str) -> String {
        if self.from.is_empty() {
            return String::new();
        }
        if self.from == "failed" {
            fleet.simulator.strike(Verb::Create, How::Refuse, 1);
        }
        let id = fleet.api.create(name).await;
        if self.from == "stopped" {
            rested(fleet, &id, "live").await;
            fleet.api.post(&id, "stop").await;
        }
        rested(fleet, &id, self.from).await;
        id
    }

    /// Asks once for what leads along the path. Whether it was answered: whoever was asked may have died before it
    /// heard, of a late word from the machine that leads through the same step, and then nothing was asked yet.
    pub(crate) async fn act(&self, fleet: &Fleet, id: &str, name: &str) -> bool {
        let at = format!("/api/v1/agents/{id}");
        let api = &fleet.api;
        let asked = match self.act {
            Act::Create => {
                api.once(http::Method::POST, "/api/v1/agents", Some(serde_json::json!({"name": name})), name).await
            }
            Act::Delete => api.once(http::Method::DELETE, &at, None, "").await,
            Act::Post(what) => api.once(http::Method::POST, &format!("{at}/{what}"), None, "").await,
            Act::LoseGateway => {
                let machine =
                    api.agent(id).await.and_then(|agent| agent["machine"]["id"].as_str()?.parse::<MachineId>().ok());
                fleet.simulator.lose_gateway(MachineName::of(machine.expect("a live agent has a machine")).as_str());
                return true;
            }
        };
        let Ok(answer) = asked else { return false };
        // Asked again after a lost answer, it may have been done: 404 for what is gone, 409 for what did not fail.
        let done = [201, 202, 404, 409].contains(&answer.status);
        assert!(done, "{}: {} {}", self.name, answer.status, answer.body);
        true
    }

    /// Asks until it is answered.
    pub(crate) async fn insist(&self, fleet: &Fleet, id: &str, name: &str) {
        while !self.act(fleet, id, name).await {
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// Waits until the path is at its end; what its client may expect then.
    pub(crate) async fn end(&self, fleet: &Fleet, id: &str) -> Wanted {
        rested(fleet, id, self.to).await;
        match self.to {
            "live" => Wanted::Running,
            "stopped" => Wanted::Stopped,
            _ => Wanted::Gone,
        }
    }

    /// Whether it begins with nothing: then the agent's id is learned by asking for it again.
    pub(crate) fn creates(&self) -> bool {
        self.act == Act::Create
    }
}

async fn rested(fleet: &Fleet, id: &str, state: &str) {
    if let Err(why) = fleet.api.seen(id, state, REST_MAX).await {
        panic!("{why}\n{}", fleet.log());
    }
    // Seen is written with the step that rests; what was asked meanwhile is heard a moment later.
    sleep(Duration::from_millis(10)).await;
}

#[test]
fn every_step_of_a_life_is_on_a_path() {
    let every = Life::every(MachineId::from_uuid(uuid::Uuid::nil()));
    let on_a_path = |step: &&Life| PATHS.iter().any(|path| path.steps.contains(&step.name()));
    let missing: Vec<&str> = every.iter().filter(|step| !on_a_path(step)).map(Life::name).collect();
    assert_eq!(missing, Vec::<&str>::new(), "crates/server/tests/faults/paths.rs has no path through them");
    assert_eq!(points(true).len(), every.len() * CrashPoint::EVERY.len());
    let known = |step: &&str| every.iter().any(|one| one.name() == *step);
    assert!(PATHS.iter().all(|path| path.steps.iter().all(&known)), "a path takes a step that is none");
}
