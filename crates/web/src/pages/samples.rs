//! Every page in every state, from made-up data: for the template test and the gallery.

mod billing;
mod credentials;
mod doors;
mod fingerprints;
mod house;
mod money;
mod people;
mod revenue;
mod welcome;

use askama::Template as _;
use chrono::{DateTime, TimeDelta, TimeZone as _, Utc};
use domain::{
    AgentId, ExchangeId, MachineId, ProofId, TenantId, UserId,
    agent::{Agent, ProofFacts, Seen, Wanted},
    exchange::ExchangeKind,
    id::Id,
    instructions::{Choices, Instructions},
    life::Life,
    machine::{Isolation, MachineFacts},
    names::{AgentName, Email},
    people::{Caller, Role, Shown},
    protocol::LogLine,
    scopes::Scopes,
    timeline::{Entry, Happening, Usual},
};
use uuid::Uuid;

use crate::{
    pages::{
        agent::{AgentPage, LogRow, Logs, Sources, Spoken},
        dashboard::{DashboardPage, Look},
        model::{self, ModelLine},
        problem::ProblemPage,
        settings::SettingsPage,
        setup::SetupPage,
        words::Moment,
    },
    problem::Problem,
};

/// An agent, its timeline, what is usual, and the time of looking.
pub type Case = (Agent, Vec<Entry>, Vec<Usual>, DateTime<Utc>);

const BASE: &str = "https://berth.example";
const HOSTILE: &str = "<script>alert(1)</script> \"&'";

/// Name of the file and the page.
#[must_use]
pub fn all() -> Vec<(&'static str, Result<String, askama::Error>)> {
    let by = caller(Role::Owner);
    let viewer = caller(Role::Viewer);
    let look = |by| Look { by, base: BASE, now: now() };
    let taken = || "You already have an agent with that name.".to_owned();
    let mail = || Some("That is not an e-mail address.".to_owned());
    let agents = || vec![live().0, preparing().0, failed().0, stopped().0, degraded().0, stopping().0, deleting().0];
    let mut refused = page(live(), &by);
    refused.delete_fault = Some("That is not its name, so nothing was deleted. Type scout to delete it.".to_owned());
    HOSTILE.clone_into(&mut refused.delete_typed);
    refused.talk_fault = Some("Say something first.".to_owned());
    refused.fault = Some("This agent is stopped; start it first.".to_owned());
    let mut all = vec![
        ("agent-live", page(live(), &by).render()),
        ("agent-preparing", page(preparing(), &by).render()),
        ("agent-failed", page(failed(), &by).render()),
        ("agent-stopped", page(stopped(), &by).render()),
        ("agent-stopping", page(stopping(), &by).render()),
        ("agent-degraded", page(degraded(), &by).render()),
        ("agent-deleting", page(deleting(), &by).render()),
        ("agent-viewer", page(live(), &viewer).render()),
        ("agent-refused", refused.render()),
        ("dashboard", DashboardPage::new(agents(), model::sample(), look(&by)).render()),
        ("dashboard-empty", DashboardPage::new(Vec::new(), ModelLine::Proof, look(&by)).render()),
        ("dashboard-begun", DashboardPage::new(Vec::new(), ModelLine::Proof, look(&by)).begun(true).render()),
        (
            "dashboard-refused",
            DashboardPage::new(agents(), ModelLine::Proof, look(&by)).refused("scout", taken()).render(),
        ),
        ("dashboard-viewer", DashboardPage::new(Vec::new(), ModelLine::Proof, look(&viewer)).render()),
        ("dashboard-hundred", DashboardPage::new(vec![live().0; 101], model::sample_used_up(), look(&by)).render()),
        ("setup", SetupPage::open("berth_lnk_x").render()),
        ("setup-refused", SetupPage::open("berth_lnk_x").refused((HOSTILE, "Harbour"), mail(), None).render()),
        (
            "setup-refused-name",
            SetupPage::open("x")
                .refused(("a@b.example", ""), None, Some("A name needs 1 to 60 characters.".into()))
                .render(),
        ),
        ("setup-closed", SetupPage::closed().render()),
        ("settings", SettingsPage::new(&by, BASE, people::tokens(), now()).render()),
        (
            "settings-issued",
            SettingsPage::new(&by, BASE, people::tokens(), now()).showing("berth_pat_shown-once").render(),
        ),
        (
            "settings-refused",
            SettingsPage::new(&viewer, BASE, Vec::new(), now())
                .refused(&people::wish(HOSTILE), "A token works for 1 to 365 days.".to_owned())
                .render(),
        ),
        (
            "settings-not-erased",
            SettingsPage::new(&by, BASE, Vec::new(), now())
                .not_erased("You are the only owner of Harbour, and others belong to it: hand the ownership over on its team page, or remove them, then erase your account.".to_owned())
                .render(),
        ),
        ("problem", ProblemPage::new(&Problem::not_found(), "019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a").render()),
        ("problem-fault", ProblemPage::new(&Problem::broken("x"), "019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a").render()),
    ];
    all.extend(people::all(&by, &viewer, now()));
    all.extend(credentials::all(&by, &viewer, &live().0, now()));
    all.extend(doors::all(&by, now()));
    all.extend(billing::all(&by, now()));
    all.extend(money::all(&by, now()));
    all.extend(revenue::all(&by, now()));
    all.extend(house::all(&by, now()));
    all.extend(welcome::all(&by, &viewer));
    all.extend(super::admin::samples::all(&by, now()));
    all
}

fn page((agent, entries, usual, now): Case, by: &Caller) -> AgentPage {
    let (talk, logs) = match agent.seen {
        Seen::Live { .. } => (talk(), Logs::Lines(lines())),
        Seen::Failed { .. } => (Vec::new(), Logs::Failed("The machine did not answer within 30 seconds.".to_owned())),
        Seen::Degraded { .. } => (talk(), Logs::Waiting),
        Seen::Stopped { .. } => (talk(), Logs::None),
        _ => (Vec::new(), Logs::None),
    };
    let model = match agent.seen {
        Seen::Live { .. } => model::sample(),
        Seen::Degraded { .. } => model::sample_used_up(),
        Seen::Stopped { .. } => model::sample_own(),
        _ => ModelLine::Proof,
    };
    let told = format!("You keep the night watch.\nYou answer in short sentences. {HOSTILE}");
    let instructions = Instructions::parse(&told).ok().flatten().filter(|_| matches!(agent.seen, Seen::Live { .. }));
    let choices = Choices { model: None, instructions };
    AgentPage::new(Sources { agent, entries, usual, talk, logs, model, choices }, by, now)
}

fn id<K>(n: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(0x019a_a6b2_7c1e_7d3f_9b1a_2f6c_5d4e_0000 + n))
}

/// The time of looking.
fn now() -> DateTime<Utc> {
    Utc.with_ymd_and_hms(2026, 11, 21, 14, 5, 9).single().unwrap_or_default()
}

fn before(millis: i64) -> DateTime<Utc> {
    now() - TimeDelta::milliseconds(millis)
}

#[expect(clippy::expect_used, reason = "sample data, written in this file")]
fn caller(role: Role) -> Caller {
    Caller {
        user: id::<domain::id::User>(1) as UserId,
        email: Email::parse("ada@harbour.example").expect("an address"),
        tenant: id::<domain::id::Tenant>(2) as TenantId,
        tenant_name: "Harbour & Sons".to_owned(),
        role,
        is_operator: role == Role::Owner,
        shown: Shown::Session { id: id::<domain::id::Session>(3), authenticated_at: before(60_000), factor_at: None },
        scopes: Scopes::ALL,
        suspended: None,
        entitlement: None,
    }
}

#[expect(clippy::expect_used, reason = "sample data, written in this file")]
fn agent(name: &str, wanted: Wanted, seen: Seen) -> Agent {
    let machine = MachineFacts {
        id: id::<domain::id::Machine>(4) as MachineId,
        isolation: Isolation::Container,
        image: "2026.11.21-3fa92c1b".to_owned(),
        openclaw: Some("2026.11.14".to_owned()),
        created_at: before(190_000),
        keys_replaced_at: None,
    };
    Agent {
        id: id::<domain::id::Agent>(3) as AgentId,
        name: AgentName::parse(name).expect("a name"),
        wanted,
        seen,
        machine: Some(machine),
        proof: Some(proof(true)),
        created_at: before(200_000),
    }
}

fn proof(ok: bool) -> ProofFacts {
    let why = (!ok).then(|| "the agent answered, but not with the word it was given".to_owned());
    ProofFacts {
        id: id::<domain::id::Proof>(5) as ProofId,
        at: before(158_600),
        ok,
        latency_ms: ok.then_some(412),
        why,
    }
}

/// Builds a timeline from the past to the present.
struct Scribe(Vec<Entry>);

impl Scribe {
    fn say(mut self, millis_ago: i64, what: Happening) -> Self {
        let seq = i64::try_from(self.0.len()).unwrap_or(0) + 1;
        self.0.push(Entry { seq, at: before(millis_ago), what });
        self
    }

    fn asked(self, millis_ago: i64, what: &str) -> Self {
        self.say(millis_ago, Happening::Asked { what: what.to_owned(), by: "ada@harbour.example".to_owned() })
    }

    fn began(self, millis_ago: i64, step: &str) -> Self {
        self.say(millis_ago, Happening::StepStarted { step: step.to_owned() })
    }

    fn ended(self, millis_ago: i64, step: &str, took_ms: i64) -> Self {
        self.say(millis_ago, Happening::StepEnded { step: step.to_owned(), took_ms })
    }

    fn whole(self, millis_ago: i64, step: &str, took_ms: i64) -> Self {
        self.began(millis_ago, step).ended(millis_ago - took_ms, step, took_ms)
    }

    fn tried(self, millis_ago: i64, step: &str, why: &str, attempt: i32) -> Self {
        self.say(millis_ago, Happening::StepRetried { step: step.to_owned(), why: why.to_owned(), attempt })
    }

    fn seen(self, millis_ago: i64, seen: &Seen) -> Self {
        self.say(millis_ago, Happening::Seen { seen: seen.clone() })
    }
}

fn born() -> Scribe {
    let live = Seen::Live { since: before(158_600) };
    Scribe(Vec::new())
        .asked(200_000, "create")
        .whole(199_900, "reserve", 42)
        .whole(199_800, "create", 6_310)
        .whole(193_400, "await", 2_120)
        .whole(191_200, "hello", 24_470)
        .whole(166_600, "apply", 870)
        .began(165_700, "prove")
        .say(158_600, Happening::Proof { proof: proof(true) })
        .ended(158_600, "prove", 7_100)
        .seen(158_600, &live)
}

fn usual() -> Vec<Usual> {
    let steps = [
        ("reserve", 38, 90),
        ("create", 6_100, 9_800),
        ("await", 2_000, 3_100),
        ("hello", 23_900, 34_000),
        ("apply", 900, 1_600),
        ("prove", 1_200, 7_400),
        ("stop", 4_300, 12_000),
    ];
    steps.map(|(step, p50_ms, p95_ms)| Usual { step: step.to_owned(), p50_ms, p95_ms, runs: 42 }).into()
}

fn exchanged(kind: Option<ExchangeKind>) -> Happening {
    Happening::Exchanged { exchange: id::<domain::id::Exchange>(6) as ExchangeId, ok: true, kind }
}

/// An agent that answers.
#[must_use]
pub fn live() -> Case {
    let agent = agent("scout", Wanted::Running, Seen::Live { since: before(158_600) });
    let entries = born()
        .say(60_000, exchanged(Some(ExchangeKind::Turn)))
        .asked(40_000, "proof")
        .whole(39_900, "prove", 412)
        .say(39_400, Happening::Proof { proof: proof(true) })
        .say(20_000, exchanged(Some(ExchangeKind::Logs)));
    (agent, entries.0, usual(), now())
}

/// An agent whose machine is being made.
#[must_use]
pub fn preparing() -> Case {
    let mut agent =
        agent("lookout-with-a-rather-long-name-for-once", Wanted::Running, Seen::Preparing { since: before(7_700) });
    (agent.machine, agent.proof) = (None, None);
    let entries = Scribe(Vec::new()).asked(7_700, "create").whole(7_690, "reserve", 42).began(7_640, "create");
    (agent, entries.0, usual(), now())
}

/// An agent that Berth gave up on.
#[must_use]
pub fn failed() -> Case {
    let why = "The gateway on its machine was not ready within 4 minutes. Its data is safe. Try again; if it fails once more, read the logs below.";
    let seen = Seen::Failed { since: before(12_000), why: why.to_owned() };
    let mut agent = agent("quartermaster", Wanted::Running, seen.clone());
    agent.proof = None;
    let not_ready = "the gateway is not ready: /readyz answered 503";
    let entries = Scribe(Vec::new())
        .asked(262_000, "create")
        .whole(261_900, "reserve", 42)
        .whole(261_800, "create", 6_310)
        .tried(256_000, "await", "late", 1)
        .whole(255_400, "await", 2_120)
        .began(253_200, "hello")
        .tried(180_000, "hello", not_ready, 1)
        .tried(120_000, "hello", not_ready, 2)
        .tried(60_000, "hello", not_ready, 3)
        .tried(20_000, "hello", HOSTILE, 4)
        .seen(12_000, &seen);
    (agent, entries.0, usual(), now())
}

/// An agent at rest.
#[must_use]
pub fn stopped() -> Case {
    let seen = Seen::Stopped { since: before(20_000) };
    let agent = agent("night-watch", Wanted::Stopped, seen.clone());
    let entries = born().asked(25_000, "stop").whole(24_900, "stop", 4_300).seen(20_000, &seen);
    (agent, entries.0, usual(), now())
}

/// An agent that is wanted stopped and is still live.
#[must_use]
pub fn stopping() -> Case {
    let agent = agent("bosun", Wanted::Stopped, Seen::Live { since: before(158_600) });
    let entries =
        born().asked(2_500, "stop").say(2_500, Happening::Wanted { wanted: Wanted::Stopped }).began(2_400, "stop");
    (agent, entries.0, usual(), now())
}

/// An agent that does not answer as it should.
#[must_use]
pub fn degraded() -> Case {
    let why = "the machine did not answer twice; Berth is looking again".to_owned();
    let seen = Seen::Degraded { since: before(31_000), why };
    let mut agent = agent("purser", Wanted::Running, seen.clone());
    agent.proof = Some(proof(false));
    (agent, born().seen(31_000, &seen).began(30_900, "recover").0, usual(), now())
}

/// An agent on its way out.
#[must_use]
pub fn deleting() -> Case {
    let agent = agent("deckhand", Wanted::Gone, Seen::Deleting { since: before(3_000) });
    let entries = born().asked(3_100, "delete").began(3_000, Life::Remove { machine: None }.name());
    (agent, entries.0, usual(), now())
}

fn talk() -> Vec<Spoken> {
    let at = |millis| Moment::new(before(millis), now());
    let spoken = Spoken {
        question: "Are you there?".to_owned(),
        at: at(61_000),
        answer: None,
        took: "0.9 s".to_owned(),
        fault: None,
        is_waiting: false,
    };
    let answer = "I am Berth's built-in proof model. I am not an AI and cannot help with anything; I only show that the line from you to your agent and back works. These words arrived:\n\nAre you there?";
    vec![
        Spoken { answer: Some(answer.to_owned()), ..spoken.clone() },
        Spoken {
            question: HOSTILE.to_owned(),
            at: at(30_000),
            fault: Some("The agent did not answer within two minutes.".to_owned()),
            ..spoken.clone()
        },
        Spoken { question: "And now?".to_owned(), at: at(2_000), is_waiting: true, took: "2 s".to_owned(), ..spoken },
    ]
}

fn lines() -> Vec<LogRow> {
    let line = |millis, unit: &str, text: &str| {
        LogRow::new(LogLine { at: before(millis), unit: unit.to_owned(), text: text.to_owned() }, now())
    };
    vec![
        line(166_600, "berth-guest", "apply: fence 1, digest 3fa92c1b in force after 0.8 s"),
        line(166_000, "openclaw", "[gateway] listening on 127.0.0.1:18789"),
        line(60_500, "openclaw", HOSTILE),
        line(
            60_000,
            "openclaw",
            &format!("[agent] run done in 412 ms, token [redacted] {}", "and a line that does not end ".repeat(8)),
        ),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_template_renders_every_sample_and_escapes_what_it_is_given() {
        for (name, html) in all() {
            let html = html.unwrap();
            assert!(html.starts_with("<!doctype html>"), "{name}");
            assert!(!html.contains("<script>alert"), "{name} lets a script through");
            for inline in ["style=", "onclick=", "onload=", "<style", "javascript:"] {
                assert!(!html.contains(inline), "{name} holds {inline}, which the policy forbids");
            }
        }
    }
}
