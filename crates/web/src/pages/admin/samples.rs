//! The operator's pages in every state, from made-up data.

use askama::Template as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    AgentId, AlertId, DeliveryId, FlowId, MachineId, TenantId,
    alert::{AlertKind, Carrier, DeliveryState},
    id::Id,
    job::{AskedBy, Job},
    people::Caller,
};
use serde_json::json;
use store::{
    alert_views::{AlertRow, Delivery},
    flow_views::FlowView,
    job_views::{JobRun, ScheduleView},
    machine_views::{FlowCount, MachineView, Stats},
    pool_views::{PoolStats, SpareView},
};
use uuid::Uuid;

use super::{
    Look,
    alert::AlertPage,
    alerts::AlertsPage,
    flow::FlowPage,
    flows::{FlowsPage, Wanted as FlowsWanted},
    letters::LettersPage,
    machines::{MachinesPage, Wanted as MachinesWanted},
    overview::OverviewPage,
    pool::PoolPage,
    schedules::{Fault, SchedulesPage, Typed},
};
use crate::{api::admin::pool::Read, state::PoolPlan};

const BASE: &str = "https://berth.example";
const HOSTILE: &str = "<script>alert(1)</script> \"&' Ignore_what_is_written_here_it_is_one_long_word_without_a_break";

/// Name of the file and the page. `by` looks at it, at this time.
pub(in crate::pages) fn all(by: &Caller, now: DateTime<Utc>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let look = Look { by, now };
    let told = ["mail to night-watch@harbour.example".to_owned(), "webhook at pager.example".to_owned()];
    let nobody: [String; 0] = [];
    let open = || vec![failing(now), known(now), fresh(now)];
    let mut late = AlertPage::new(closed(now), &told, look);
    late.fault = Some("This alert is closed: what was wrong was seen to be right.".to_owned());
    let next = || Some("/admin/alerts?open=false&after=alr_1".to_owned());
    let living = MachinesWanted { gone: Some(false), is_narrowed: false };
    let narrowed = MachinesWanted { gone: None, is_narrowed: true };
    let typed = || FlowsWanted { kind: HOSTILE.to_owned(), stuck: true, ..FlowsWanted::default() };
    let flows = flows(now);
    let flow = |n: usize| flows.get(n).map_or(Ok(String::new()), |flow| FlowPage::new(flow, look).render());
    vec![
        ("admin", OverviewPage::new(&open(), stats(2, 1), &told, look).render()),
        ("admin-calm", OverviewPage::new(&[], stats(0, 0), &nobody, look).render()),
        ("admin-alerts", AlertsPage::new(&open(), None, Some(true), &told, look).render()),
        ("admin-alerts-none", AlertsPage::new(&[], None, Some(true), &nobody, look).render()),
        ("admin-alerts-closed", AlertsPage::new(&[closed(now)], next(), Some(false), &told, look).render()),
        ("admin-alert", AlertPage::new(failing(now), &told, look).render()),
        ("admin-alert-known", AlertPage::new(known(now), &told, look).render()),
        ("admin-alert-untold", AlertPage::new(fresh(now), &nobody, look).render()),
        ("admin-alert-closed", late.render()),
        ("admin-letters", LettersPage::new(BASE, true, look).render()),
        ("admin-letters-unsent", LettersPage::new(BASE, false, look).render()),
        ("admin-machines", MachinesPage::new(machines(now), None, living, look).render()),
        ("admin-machines-none", MachinesPage::new(Vec::new(), None, narrowed, look).render()),
        ("admin-flows", FlowsPage::new(&flows, next(), FlowsWanted::default(), look).render()),
        ("admin-flows-none", FlowsPage::new(&[], None, typed(), look).render()),
        ("admin-flow", flow(0)),
        ("admin-flow-stuck", flow(1)),
        ("admin-flow-resting", flow(2)),
    ]
    .into_iter()
    .chain(jobs(look))
    .collect()
}

fn jobs(look: Look<'_>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let now = look.now;
    let schedules = || SchedulesPage::new(all_schedules(now), &runs(now), BASE, look);
    let typed =
        |cron: &str, catch_up: &str| Typed { cron: cron.to_owned(), enabled: false, catch_up: catch_up.to_owned() };
    let wrong =
        "`* * *` is no time that comes: write five fields (minute hour day month weekday), in UTC, like `*/5 * * * *`.";
    let cron = schedules().refused(Job::Health, &typed(HOSTILE, "once"), &Fault::Cron(wrong.to_owned()));
    let choose = Fault::CatchUp("Choose what becomes of missed times.".to_owned());
    let catch_up = schedules().refused(Job::Retention, &typed("17 3 * * *", HOSTILE), &choose);
    let plan = PoolPlan { floor: 2, ceiling: 6, image: "berth-machine-2026.11.14-3fa92c1b0d11".to_owned() };
    let off = PoolPlan { floor: 0, ceiling: 0, ..plan.clone() };
    let refill = || runs(now).into_iter().find(|run| run.job == "pool");
    let read = |ready, spares, refill| Read { stats: pool(now, ready), spares, refill };
    let failing =
        Read { stats: PoolStats { alert: Some(id(10)), making: 1, ..pool(now, 0) }, ..read(0, Vec::new(), refill()) };
    let next = || Some("/admin/pool?after=mch_1".to_owned());
    vec![
        ("admin-schedules", schedules().render()),
        ("admin-schedules-none", SchedulesPage::new(Vec::new(), &[], BASE, look).render()),
        ("admin-schedules-refused", cron.render()),
        ("admin-schedules-refused-choice", catch_up.render()),
        ("admin-pool", PoolPage::new(&plan, read(2, spares(now, &plan), refill()), next(), BASE, look).render()),
        ("admin-pool-empty", PoolPage::new(&plan, read(0, Vec::new(), None), None, BASE, look).render()),
        ("admin-pool-failing", PoolPage::new(&plan, failing, None, BASE, look).render()),
        ("admin-pool-off", PoolPage::new(&off, read(0, Vec::new(), None), None, BASE, look).render()),
    ]
}

fn all_schedules(now: DateTime<Utc>) -> Vec<ScheduleView> {
    let of = |job: Job| ScheduleView {
        job: job.name().to_owned(),
        cron: job.default_cron().to_owned(),
        enabled: true,
        catch_up: job.catch_up().name().to_owned(),
        last_at: Some(before(now, 9)),
        updated_at: before(now, 90_000),
        updated_by: None,
        now,
    };
    let retention = ScheduleView {
        enabled: false,
        last_at: None,
        updated_by: Some("ada@harbour.example".to_owned()),
        ..of(Job::Retention)
    };
    vec![of(Job::Health), of(Job::Pool), retention, of(Job::Billing)]
}

fn runs(now: DateTime<Utc>) -> Vec<JobRun> {
    let run = |n, job: Job, by: AskedBy, seconds, counts| JobRun {
        id: id::<domain::id::Machine>(n).uuid(),
        job: job.name().to_owned(),
        asked_by: by.name().to_owned(),
        operator: (by == AskedBy::Operator).then(|| "ada@harbour.example".to_owned()),
        asked_at: before(now, seconds),
        ended_at: Some(before(now, seconds - 2)),
        counts: Some(counts),
        flow: None,
        now,
    };
    let looked = json!({ "machines": 42, "not_ready": 1, "silent": 0, "told": 1 });
    let filled = json!({ "wanted": 3, "ready": 2, "making": 1, "begun": 0, "retired": 0 });
    let under_way = JobRun {
        ended_at: None,
        counts: None,
        flow: Some(id(33)),
        ..run(40, Job::Health, AskedBy::Operator, 4, looked.clone())
    };
    vec![
        under_way,
        run(41, Job::Health, AskedBy::Schedule, 304, looked.clone()),
        run(42, Job::Health, AskedBy::Cron, 604, looked),
        run(43, Job::Pool, AskedBy::Berth, 50, filled.clone()),
        run(
            44,
            Job::Pool,
            AskedBy::Schedule,
            90,
            json!({ "error": format!("the refill did not end in time {HOSTILE}") }),
        ),
        run(45, Job::Pool, AskedBy::Operator, 100_000, filled),
    ]
}

fn pool(now: DateTime<Utc>, ready: i64) -> PoolStats {
    PoolStats { ready, making: ready.min(1), leaving: 1, claimed: 14, missed: 2, alert: None, now }
}

fn spares(now: DateTime<Utc>, plan: &PoolPlan) -> Vec<(SpareView, Option<FlowView>)> {
    let spare = |n, state: &str, seconds: i64| SpareView {
        machine: id(n),
        image: plan.image.clone(),
        state: state.to_owned(),
        created_at: before(now, seconds),
        ready_at: (state != "making").then(|| before(now, seconds - 40)),
    };
    let flow = |n, step: &str| {
        let deadline_at = (step != "ready").then(|| before(now, -200));
        let flow = flows(now).pop()?;
        Some(FlowView { id: id(n), kind: "spare".to_owned(), step: step.to_owned(), deadline_at, ..flow })
    };
    let older = SpareView { image: "berth-machine-2026.10.02-0badc0ffee00".to_owned(), ..spare(8, "ready", 800_000) };
    vec![
        (spare(5, "making", 12), flow(35, "hello")),
        (spare(6, "ready", 400), flow(36, "ready")),
        (spare(7, "ready", 8_000), flow(37, "ready")),
        (older, flow(38, "ready")),
        (spare(9, "retiring", 900_000), None),
    ]
}

fn id<K>(n: u128) -> Id<K> {
    Id::from_uuid(Uuid::from_u128(0x019a_a6b2_7c1e_7d3f_9b1a_2f6c_5d4e_0000 + n))
}

fn before(now: DateTime<Utc>, seconds: i64) -> DateTime<Utc> {
    now - TimeDelta::seconds(seconds)
}

fn alert(now: DateTime<Utc>, kind: AlertKind, subject: String, message: &str) -> AlertRow {
    AlertRow {
        id: id::<domain::id::Alert>(10) as AlertId,
        kind: kind.name().to_owned(),
        severity: kind.severity(),
        tenant: Some(id::<domain::id::Tenant>(2) as TenantId),
        subject,
        message: message.to_owned(),
        opened_at: before(now, 5_400),
        seen_at: before(now, 40),
        sightings: 4,
        firings: 2,
        fired_at: Some(before(now, 900)),
        acknowledged_at: None,
        acknowledged_by: None,
        closed_at: None,
        deliveries: Vec::new(),
    }
}

fn delivery(now: DateTime<Utc>, firing: u32, carrier: Carrier, state: DeliveryState) -> Delivery {
    let is_pending = state == DeliveryState::Pending;
    let outcome = match (carrier, state) {
        (_, DeliveryState::NotNeeded) => None,
        (Carrier::Mail, _) => Some("handed over"),
        (Carrier::Webhook, DeliveryState::Delivered) => Some("it answered 204"),
        (Carrier::Webhook, _) => Some("it answered 503"),
    };
    Delivery {
        id: id::<domain::id::Delivery>(20) as DeliveryId,
        firing,
        carrier,
        state,
        tries: if is_pending { 7 } else { 1 },
        outcome: outcome.map(str::to_owned),
        asked_at: before(now, 900),
        next_at: before(now, -160),
        ended_at: (!is_pending).then(|| before(now, 899)),
    }
}

/// An alert that one carrier does not take.
fn failing(now: DateTime<Utc>) -> AlertRow {
    let agent: AgentId = id(3);
    let words = format!("{agent} gave up at hello: {HOSTILE}");
    AlertRow {
        deliveries: vec![
            delivery(now, 2, Carrier::Mail, DeliveryState::Delivered),
            delivery(now, 2, Carrier::Webhook, DeliveryState::Pending),
            delivery(now, 1, Carrier::Mail, DeliveryState::Delivered),
            delivery(now, 1, Carrier::Webhook, DeliveryState::GivenUp),
        ],
        ..alert(now, AlertKind::FlowFailed, agent.to_string(), &words)
    }
}

/// An alert that somebody knows of.
fn known(now: DateTime<Utc>) -> AlertRow {
    let agent: AgentId = id(4);
    AlertRow {
        id: id(11),
        acknowledged_at: Some(before(now, 600)),
        acknowledged_by: Some("ada@harbour.example".to_owned()),
        deliveries: vec![
            delivery(now, 1, Carrier::Mail, DeliveryState::Delivered),
            delivery(now, 1, Carrier::Webhook, DeliveryState::NotNeeded),
        ],
        ..alert(now, AlertKind::RemovalStuck, agent.to_string(), "the removal does not end: the daemon does not answer")
    }
}

/// An alert that nobody was told of, about something that no row knows.
fn fresh(now: DateTime<Utc>) -> AlertRow {
    let name = "berth-019aa6b27c1e7d3f9b1a2f6c5d4e0005";
    let words = format!("the provider holds {name}, which is ours and which no row knows");
    AlertRow {
        id: id(12),
        tenant: None,
        sightings: 1,
        firings: 0,
        fired_at: None,
        ..alert(now, AlertKind::MachineMismatch, name.to_owned(), &words)
    }
}

fn closed(now: DateTime<Utc>) -> AlertRow {
    let machine: MachineId = id(5);
    AlertRow {
        closed_at: Some(before(now, 100_000)),
        opened_at: before(now, 200_000),
        deliveries: vec![delivery(now, 1, Carrier::Mail, DeliveryState::Delivered)],
        ..alert(now, AlertKind::HostKeyChanged, machine.to_string(), "the machine shows another host key")
    }
}

fn machines(now: DateTime<Utc>) -> Vec<MachineView> {
    let made = MachineView {
        id: id(5),
        tenant: Some(id(2)),
        agent: Some(id(3)),
        provider: "incus".to_owned(),
        isolation: "container".to_owned(),
        image: "berth-machine-2026.11.14-3fa92c1b0d11".to_owned(),
        state: "made".to_owned(),
        address: Some("10.77.0.23".to_owned()),
        fence: 2,
        openclaw: Some("2026.11.14".to_owned()),
        guest: Some("0.1.0".to_owned()),
        created_at: before(now, 8_000),
        gone_at: None,
        flow: Some(id(30)),
        step: Some("live".to_owned()),
    };
    let spare = MachineView {
        id: id(6),
        tenant: None,
        agent: None,
        state: "reserved".to_owned(),
        address: None,
        openclaw: None,
        flow: None,
        step: None,
        ..made.clone()
    };
    let gone = MachineView {
        id: id(7),
        state: "gone".to_owned(),
        gone_at: Some(before(now, 90)),
        flow: None,
        step: None,
        ..made.clone()
    };
    vec![made, spare, gone]
}

fn flows(now: DateTime<Utc>) -> Vec<FlowView> {
    let making = FlowView {
        id: id::<domain::id::Flow>(30) as FlowId,
        kind: "life".to_owned(),
        tenant: Some(id(2)),
        subject: Uuid::from_u128(0x019a_a6b2_7c1e_7d3f_9b1a_2f6c_5d4e_0003),
        step: "create".to_owned(),
        step_since: before(now, 7),
        run_at: before(now, -5),
        lease_until: None,
        attempt: 2,
        deadline_at: Some(before(now, -290)),
        removal_asked: false,
        created_at: before(now, 8),
        signals: Vec::new(),
        stuck: false,
        now,
    };
    let stuck = FlowView {
        id: id(31),
        step: "remove".to_owned(),
        step_since: before(now, 4_000),
        lease_until: Some(before(now, -9)),
        attempt: 41,
        deadline_at: Some(before(now, 3_100)),
        removal_asked: true,
        signals: vec!["look".to_owned(), "prove".to_owned()],
        stuck: true,
        ..making.clone()
    };
    let resting = FlowView {
        id: id(32),
        kind: "notice".to_owned(),
        tenant: None,
        step: "rest".to_owned(),
        run_at: before(now, -700),
        attempt: 0,
        deadline_at: None,
        ..making.clone()
    };
    vec![making, stuck, resting]
}

fn stats(critical: i64, warning: i64) -> Stats {
    let count = |kind: &str, step: &str, count| FlowCount { kind: kind.to_owned(), step: step.to_owned(), count };
    let flows = if critical == 0 { Vec::new() } else { vec![count("life", "create", 1), count("life", "live", 41)] };
    Stats {
        tenants: 12,
        users: 15,
        machines_reserved: 1,
        machines_made: 42,
        alerts_critical: critical,
        alerts_warning: warning,
        alerts_unacknowledged: critical,
        deliveries_failing: warning,
        flows_stuck: warning,
        flows,
    }
}
