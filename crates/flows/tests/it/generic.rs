//! What holds for every step of every kind, present and future: the list is `flows::catalogue`.

use std::{collections::BTreeSet, time::Duration};

use app::exchanges::say;
use domain::{
    AgentId, MachineId,
    job::{AskedBy, Job},
    life::Life,
    names::TurnText,
};
use flows::{
    Ran, RunnerOptions,
    catalogue::{Owner, Removal, Stage, Waker, catalogue},
};
use testkit::World;
use uuid::Uuid;

/// The steps by their words only.
fn stages() -> Vec<Stage> {
    catalogue(AgentId::from_uuid(Uuid::nil()), MachineId::from_uuid(Uuid::nil()))
}

/// A live agent, and a flow of the stage's kind at the stage's step, due at once.
async fn at(stage: &Stage) -> (World, AgentId) {
    let mut world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.step(agent).await.and_then(|step| step.machine()).expect("a live agent has a machine");
    let here = catalogue(agent, machine).into_iter().find(|s| s.kind == stage.kind && s.step == stage.step);
    let here = here.expect("the same list");
    match stage.kind {
        "life" if stage.step == "reserve" => {
            // Reserving happens before there is a machine: begin anew.
            world.remove(agent).await;
            let agent = world.new_agent("scout").await;
            return (world, agent);
        }
        "life" if stage.owner == Owner::Tenant => {
            // Where it rests, what the tenant is shown and told belongs to it: it gets there by itself.
            if stage.step == "stopped" {
                wish(&world, agent, "stop").await;
            } else if stage.step == "failed" {
                world.put_at(agent, &Life::Apply { machine }).await;
                world.database.sql("update flows set deadline_at = now() - interval '1 second'").await;
                once(&world).await;
            }
            assert_eq!(world.step(agent).await.map(|step| step.name()), Some(stage.step));
            world.database.sql("update flows set run_at = now()").await;
            return (world, agent);
        }
        "life" => {}
        "exchange" => {
            let by = &world.alice.caller;
            let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
            let with = (world.flows.ring.as_ref(), world.flows.entropy.as_ref());
            say(&mut tx, with, agent, &TurnText::parse("hello").unwrap(), by).await.unwrap();
            tx.commit().await.unwrap();
        }
        "sweep" => ask(&world, Job::Health).await,
        "sweep_slice" => {
            let slice = "insert into flows (id, kind, subject, step) values (gen_random_uuid(), 'sweep_slice', gen_random_uuid(), '{}')";
            world.database.sql(slice).await;
        }
        "refill" => ask(&world, Job::Pool).await,
        "retention" => ask(&world, Job::Retention).await,
        "reconciliation" => ask(&world, Job::Billing).await,
        "spare" => {
            begin_spare(&world, stage).await;
            if stage.step == "ready" || stage.step == "retire" {
                settle_down(&world).await;
            }
        }
        "letter" => {
            let to = domain::names::Email::parse("alice@example.org").unwrap();
            let next = domain::own_path::OwnPath::dashboard();
            let mut tx = world.database.db.system().await.unwrap();
            app::letters::ask_for_link(&mut tx, world.flows.entropy.as_ref(), &to, None, &next).await.unwrap();
            tx.commit().await.unwrap();
        }
        "event" | "billing" => pays(&world, stage.kind).await,
        "notice" => {
            let mut tx = world.database.db.system().await.unwrap();
            let alert = store::alerts::NewAlert {
                id: domain::AlertId::from_uuid(Uuid::from_u128(5)),
                key: &format!("flow_failed:{agent}"),
                kind: domain::alert::AlertKind::FlowFailed,
                tenant: None,
                subject: &agent.to_string(),
                message: "a test needs a person",
            };
            store::alerts::open(&mut tx, &alert).await.unwrap();
            tx.commit().await.unwrap();
        }
        "invitation" => {
            let (by, email) = (&world.alice.caller, domain::names::Email::parse("carol@example.org").unwrap());
            let mut tx = world.database.db.system().await.unwrap();
            let with = (&email, domain::people::Role::Member);
            app::members::invite(&mut tx, world.flows.entropy.as_ref(), with, by).await.unwrap();
            tx.commit().await.unwrap();
        }
        "erasure" => {
            let by = &world.mallory.caller;
            let tx = world.database.db.system().await.unwrap();
            app::tenants::erase(tx, world.flows.entropy.as_ref(), by).await.unwrap();
            let due = "update tenants set erase_after = now() - interval '1 second' where erase_after is not null";
            world.database.sql(due).await;
        }
        "rotation" => {
            world.begin_rotation().await;
        }
        other => panic!("say here how a flow of kind {other} begins"),
    }
    let statement = format!(
        "update flows set step = '{}', run_at = now(), lease_until = null, lease_token = null, attempt = 0, \
         deadline_at = now() + interval '1 minute' where kind = '{}'",
        here.stored, here.kind,
    );
    world.database.sql(&statement).await;
    (world, agent)
}

/// Something is told of a payment, or a tenant's payments are looked at.
async fn pays(world: &World, kind: &str) {
    let entropy = world.flows.entropy.as_ref();
    if kind == "billing" {
        let mut tx = world.database.db.tenant(world.alice.caller.tenant).await.unwrap();
        app::billing::open(&mut tx, entropy).await.unwrap();
        return tx.commit().await.unwrap();
    }
    let mut tx = world.database.db.system().await.unwrap();
    let body = br#"{"id":"evt_1","type":"invoice.paid","data":{"object":{"customer":"cus_1"}}}"#;
    app::events::keep(&mut tx, entropy, body).await.unwrap();
    tx.commit().await.unwrap();
}

async fn ask(world: &World, job: Job) {
    let mut tx = world.database.db.system().await.unwrap();
    app::jobs::ask(&mut tx, world.flows.entropy.as_ref(), job, AskedBy::Operator).await.unwrap();
    tx.commit().await.unwrap();
}

/// A spare of a pool that is off: it lives until the next refill retires it.
async fn begin_spare(world: &World, stage: &Stage) {
    let reservation = flows::deliver::reservation(&world.flows, None).unwrap();
    let machine = store::machines::NewMachine {
        id: reservation.id,
        owner: None,
        provider: world.flows.machines.provider,
        isolation: domain::machine::Isolation::Container,
        image: &world.flows.machines.image,
        host_key: &reservation.host_key,
        keys: &reservation.keys,
        machine_token: reservation.machine_token,
        model_key: reservation.model_key,
    };
    let flow = store::flows::NewFlow {
        id: domain::entropy::mint(world.flows.entropy.as_ref()),
        kind: stage.kind,
        subject: reservation.id.uuid(),
        step: serde_json::json!({ "step": "create" }),
        deadline: Some(Duration::from_mins(5)),
    };
    let mut tx = world.database.db.system().await.unwrap();
    store::spares::make(&mut tx, &machine).await.unwrap();
    store::flows::start_house(&mut tx, &flow).await.unwrap();
    tx.commit().await.unwrap();
    // Up to the step in question, as it gets there by itself.
    for _ in 0..6 {
        let there = format!("select count(*) from flows where kind = 'spare' and step ->> 'step' = '{}'", stage.step);
        if world.database.count(&there).await == 1 {
            break;
        }
        once(world).await;
    }
}

/// The agent is removed and the pool, which is off, retires what is left of it.
async fn wind_down(world: &World, agent: AgentId) {
    if world.agent(agent).await.is_some_and(|agent| agent.seen.name() != "deleting") {
        world.remove(agent).await;
    }
    settle_down(world).await;
    ask(world, Job::Pool).await;
    settle_down(world).await;
}

async fn once(world: &World) -> Vec<Ran> {
    flows::run_due(&world.flows, &RunnerOptions::default()).await.expect("flows are claimed")
}

/// Everything that waits only for the time to pass goes on.
async fn settle_down(world: &World) {
    world.run_flows(60).await;
    world.database.sql("update flows set run_at = now() where kind <> 'life'").await;
    world.run_flows(60).await;
}

#[test]
fn every_step_has_an_owner_a_deadline_a_next_step_and_a_way_to_removal() {
    let all = stages();
    for stage in &all {
        let name = format!("{} / {}", stage.kind, stage.step);
        let of_kind = |step: &str| all.iter().any(|other| other.kind == stage.kind && other.step == step);
        match (stage.owner, stage.deadline) {
            (Owner::Worker, Some(deadline)) => assert!(deadline >= Duration::from_mins(1), "{name}"),
            (Owner::Tenant, None) => assert!(stage.wakers.contains(&Waker::Tenant), "{name} rests and nobody wakes it"),
            (Owner::Operator, None) => assert!(stage.wakers.contains(&Waker::Operator), "{name} rests"),
            other => panic!("{name}: {other:?}"),
        }
        assert!(stage.may_end || !stage.next.is_empty(), "{name} leads nowhere");
        assert!(!stage.next.contains(&stage.step), "{name} leads to itself");
        assert!(stage.next.iter().all(|next| of_kind(next)), "{name} leads to a step that is not there: {stage:?}");
        assert_eq!(stage.stored["step"], stage.step);
        match stage.removal {
            Removal::Through(step) => {
                let last = all.iter().find(|other| other.kind == stage.kind && other.step == step);
                assert!(last.is_some_and(|last| last.may_end), "{name}: removal leads to no end");
            }
            Removal::WithItsAgent => assert!(stage.may_end, "{name}"),
            Removal::ByItself => assert!(stage.may_end && stage.deadline.is_some(), "{name}"),
        }
    }
}

#[test]
fn every_step_is_reached_from_the_first_of_its_kind() {
    let all = stages();
    for first in all.iter().filter(|stage| all.iter().find(|s| s.kind == stage.kind) == Some(stage)) {
        let (mut reached, mut ahead) = (BTreeSet::new(), vec![first.step]);
        while let Some(step) = ahead.pop() {
            if reached.insert(step) {
                let stage = all.iter().find(|s| s.kind == first.kind && s.step == step).expect("a step");
                ahead.extend(stage.next);
                ahead.extend(if let Removal::Through(last) = stage.removal { Some(last) } else { None });
            }
        }
        let steps: BTreeSet<&str> = all.iter().filter(|s| s.kind == first.kind).map(|s| s.step).collect();
        assert_eq!(reached, steps, "{}", first.kind);
    }
}

#[test]
fn the_tables_in_the_architecture_are_the_catalogue() {
    let page = include_str!("../../../../docs/ARCHITECTURE.md");
    let mut rows = 0;
    for stage in stages() {
        let name = match stage.kind {
            "life" => format!("`{}`", stage.step),
            kind => format!("`{kind}` / `{}`", stage.step),
        };
        let row = page.lines().find(|line| line.starts_with(&format!("| {name} |")));
        let row = row.unwrap_or_else(|| panic!("{name} has no row in docs/ARCHITECTURE.md"));
        let cells: Vec<&str> = row.trim_matches('|').split('|').map(str::trim).collect();
        let [_, what, deadline, waits, ways_out] = cells[..] else { panic!("{row}") };
        assert!(!what.is_empty(), "{row}");
        match stage.deadline {
            Some(limit) => {
                let minutes = format!("{} min", limit.as_secs() / 60);
                assert!(deadline == minutes || deadline.starts_with(&format!("{minutes},")), "{row}");
            }
            None => assert_eq!(deadline, "none", "{row}"),
        }
        assert!(waits == "–" || !stage.wakers.is_empty(), "{row}");
        assert!(waits != "–" || stage.wakers.iter().all(|waker| *waker == Waker::Time), "{row}");
        let said: BTreeSet<&str> = ways_out.split('`').skip(1).step_by(2).collect();
        assert_eq!(said, stage.next.iter().copied().collect(), "{row}");
        assert_eq!(ways_out.contains("the end"), stage.may_end, "{row}");
        rows += 1;
    }
    let steps = page.lines().filter(|line| line.starts_with("| `") && line.split('|').count() == 7);
    let tables = steps.filter(|line| line.split('|').nth(3).is_some_and(|c| c.contains(" min") || c.trim() == "none"));
    assert_eq!(tables.count(), rows, "a row without a step");
}

/// A claim whose lease is lost at once: the step runs, and what it wanted to write is refused.
async fn run_without_lease(world: &World) {
    for statement in [
        "create function berth.steal() returns trigger language plpgsql as
         'begin update flows set lease_token = gen_random_uuid() where id = new.id; return null; end'",
        "create trigger steal after update of lease_token on flows for each row
         when (new.lease_token is not null and pg_trigger_depth() = 0) execute function berth.steal()",
    ] {
        world.database.sql(statement).await;
    }
    let ran = once(world).await;
    assert!(!ran.is_empty() && ran.iter().all(|ran| *ran == Ran::LostLease), "{ran:?}");
    world.database.sql("drop trigger steal on flows").await;
    world.database.sql("drop function berth.steal()").await;
}

/// Everything that a settle may write. A configuration's fence and a proof's nonce are written before their effect.
async fn written(world: &World) -> i64 {
    let tables = [
        "agents",
        "timeline",
        "exchanges",
        "machines",
        "alerts",
        "job_runs",
        "spares",
        "flow_signals",
        "step_runs",
        "letters",
    ];
    let parts = tables
        .map(|table| format!("select '{table}' || (to_jsonb(t) - 'fence' - 'digest')::text as row from {table} t"));
    let all = parts.join(" union all ");
    world
        .database
        .count(&format!("select hashtextextended(coalesce(string_agg(row, ',' order by row), ''), 0) from ({all}) r"))
        .await
}

/// What a step that ran twice must have left as if it had run once.
#[derive(Debug, PartialEq, Eq)]
struct Left {
    machines: Vec<(bool, Option<MachineId>)>,
    living: i64,
    flows: i64,
    alerts: i64,
    seen: Option<String>,
    turns: usize,
    configurations: u32,
}

async fn left(world: &World, agent: AgentId, kind: &str) -> Left {
    let seen = world.agent(agent).await;
    let machine = seen.as_ref().and_then(|agent| agent.machine.as_ref()).map(|facts| facts.id);
    Left {
        machines: world
            .provider
            .machines()
            .into_iter()
            .map(|m| (m.running, m.machine.filter(|_| kind != "life")))
            .collect(),
        living: world.database.count("select count(*) from machines where gone_at is null").await,
        flows: world.database.count("select count(*) from flows").await,
        alerts: world.database.count("select count(*) from alerts where closed_at is null").await,
        // A proof may be taken twice: it is evidence. Words of a person may not.
        turns: machine.filter(|_| kind != "life").map_or(0, |machine| world.reach.count(machine, "turn")),
        configurations: machine.map_or(0, |machine| world.guests.configurations(machine)),
        seen: seen.map(|agent| agent.seen.name().to_owned()),
    }
}

/// Killed after its effect and before it was written down, a step runs again, by another worker, once its lease is over.
#[tokio::test]
async fn every_step_may_run_twice() {
    for stage in stages() {
        let (smooth, agent) = at(&stage).await;
        settle_down(&smooth).await;
        let expected = left(&smooth, agent, stage.kind).await;

        let (world, agent) = at(&stage).await;
        let made = world.provider.made();
        run_without_lease(&world).await;
        world
            .database
            .sql("update flows set lease_until = now() - interval '1 second' where lease_until is not null")
            .await;
        settle_down(&world).await;
        assert_eq!(left(&world, agent, stage.kind).await, expected, "{} / {}", stage.kind, stage.step);
        assert!(world.provider.made() - made <= 1, "{} / {}: made two machines", stage.kind, stage.step);
        world.assert_verified().await;
    }
}

#[tokio::test]
async fn a_lost_lease_is_fenced_at_every_step() {
    for stage in stages() {
        let (world, _) = at(&stage).await;
        let before = written(&world).await;
        let row = "select hashtextextended((to_jsonb(f) - 'lease_token' - 'lease_until' - 'attempt')::text, 0) from flows f where kind = ";
        let row = format!("{row}'{}'", stage.kind);
        let flow = world.database.count(&row).await;
        run_without_lease(&world).await;
        assert_eq!(written(&world).await, before, "{} / {} wrote without its lease", stage.kind, stage.step);
        assert_eq!(world.database.count(&row).await, flow, "{} / {} moved without its lease", stage.kind, stage.step);
    }
}

/// `written` can see: a step that keeps its lease does write.
#[tokio::test]
async fn a_step_that_keeps_its_lease_is_written() {
    let stage = stages().into_iter().find(|stage| stage.step == "create").expect("create");
    let (world, _) = at(&stage).await;
    let before = written(&world).await;
    once(&world).await;
    assert_ne!(written(&world).await, before);
}

#[tokio::test]
async fn removal_from_every_step_leaves_nothing() {
    for stage in stages() {
        let (world, agent) = at(&stage).await;
        wind_down(&world, agent).await;
        world.assert_nothing_left().await;
        assert_eq!(world.database.count("select count(*) from flows").await, 0, "{} / {}", stage.kind, stage.step);
        world.assert_verified().await;
    }
}

#[tokio::test]
async fn removal_after_every_step_leaves_nothing() {
    for stage in stages() {
        let (world, agent) = at(&stage).await;
        once(&world).await;
        wind_down(&world, agent).await;
        world.assert_nothing_left().await;
        assert_eq!(world.database.count("select count(*) from flows").await, 0, "{} / {}", stage.kind, stage.step);
        world.assert_verified().await;
    }
}

#[tokio::test]
async fn a_missed_deadline_leads_out_of_every_step() {
    for stage in stages() {
        if stage.deadline.is_none() || matches!(stage.step, "remove" | "retire") {
            continue; // removal is never given up: `life::a_removal_is_never_given_up`
        }
        let (world, agent) = at(&stage).await;
        let late = format!("update flows set deadline_at = now() - interval '1 second' where kind = '{}'", stage.kind);
        world.database.sql(&late).await;
        once(&world).await;
        let stays =
            format!("select count(*) from flows where kind = '{}' and step ->> 'step' = '{}'", stage.kind, stage.step);
        assert_eq!(world.database.count(&stays).await, 0, "{} / {} stays", stage.kind, stage.step);
        if stage.kind != "life" {
            continue; // an exchange says so to whoever asked, a sweep in its counts
        }
        let seen = world.agent(agent).await.expect("the agent").seen;
        assert_eq!(seen.name(), "failed", "{}", stage.step);
        let why = seen.why().unwrap_or_default();
        assert!(why.contains("did not end within") && why.contains("Retry"), "{why}");
        assert_eq!(world.database.count("select count(*) from alerts where closed_at is null").await, 1);
    }
}

/// The steps that are really taken, in all that can be wished and with what goes wrong, are the ones in the catalogue.
#[tokio::test]
async fn every_step_that_is_taken_is_in_the_catalogue() {
    let pairs = stages().into_iter().flat_map(|stage| {
        let removal = if let Removal::Through(step) = stage.removal { Some(step) } else { None };
        let next = stage.next.iter().copied().chain(removal).chain([stage.step]);
        next.map(move |next| format!("('{}', '{}', '{next}')", stage.kind, stage.step)).collect::<Vec<_>>()
    });
    let listed = pairs.collect::<Vec<_>>().join(", ");
    let strange = format!("select count(*) from public.taken where (kind, a, b) not in ({listed})");
    let mut taken = 0;
    for stage in stages() {
        let (world, agent) = at(&stage).await;
        watch(&world).await;
        if stage.step == "prove" {
            world.guests.set_mood(testkit::SimMood::Babbling);
        }
        settle_down(&world).await;
        if world.agent(agent).await.is_some() {
            for what in ["stop", "start", "retry"] {
                wish(&world, agent, what).await;
            }
            world.remove(agent).await;
        }
        settle_down(&world).await;
        assert_eq!(world.database.count(&strange).await, 0, "{} / {}: not in the list", stage.kind, stage.step);
        taken += world.database.count("select count(distinct (kind, a, b)) from public.taken where a <> b").await;
    }
    assert!(taken > 50, "hardly anything happened: {taken}");
}

/// Writes down every step that a flow takes from here on.
async fn watch(world: &World) {
    for statement in [
        "create table public.taken (kind text, a text, b text)",
        "grant select, insert on public.taken to public",
        "create function berth.watch() returns trigger language plpgsql as
         'begin insert into public.taken values (new.kind, old.step ->> ''step'', new.step ->> ''step''); return null; end'",
        "create trigger watch after update of step on flows for each row execute function berth.watch()",
    ] {
        world.database.sql(statement).await;
    }
}

async fn wish(world: &World, agent: AgentId, what: &str) {
    let (db, by) = (&world.database.db, &world.alice.caller);
    let mut tx = db.tenant(by.tenant).await.unwrap();
    match what {
        "stop" => app::agents::stop(&mut tx, agent, by).await.map(drop).ok(),
        "start" => app::agents::start(&mut tx, agent, by).await.map(drop).ok(),
        // Refused where nothing failed.
        _ => app::agents::retry(&mut tx, agent, by).await.map(drop).ok(),
    };
    tx.commit().await.unwrap();
    world.run_flows(40).await;
}

/// The list that `Life` keeps for tests has each step once, so the catalogue has.
#[test]
fn no_step_is_listed_twice() {
    let names: Vec<(&str, &str)> = stages().iter().map(|stage| (stage.kind, stage.step)).collect();
    assert_eq!(names.iter().collect::<BTreeSet<_>>().len(), names.len());
    assert!(names.len() > Life::every(MachineId::from_uuid(Uuid::nil())).len());
}
