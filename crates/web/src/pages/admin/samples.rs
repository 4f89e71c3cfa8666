//! The operator's pages in every state, from made-up data.

use askama::Template as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    AgentId, AlertId, DeliveryId, FlowId, MachineId, TenantId,
    alert::{AlertKind, Carrier, DeliveryState},
    id::Id,
    people::Caller,
};
use store::{
    alert_views::{AlertRow, Delivery},
    flow_views::FlowView,
    machine_views::{FlowCount, MachineView, Stats},
};
use uuid::Uuid;

use super::{
    Look,
    alert::AlertPage,
    alerts::AlertsPage,
    flow::FlowPage,
    flows::{FlowsPage, Wanted as FlowsWanted},
    machines::{MachinesPage, Wanted as MachinesWanted},
    overview::OverviewPage,
};

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
        ("admin-machines", MachinesPage::new(machines(now), None, living, look).render()),
        ("admin-machines-none", MachinesPage::new(Vec::new(), None, narrowed, look).render()),
        ("admin-flows", FlowsPage::new(&flows, next(), FlowsWanted::default(), look).render()),
        ("admin-flows-none", FlowsPage::new(&[], None, typed(), look).render()),
        ("admin-flow", flow(0)),
        ("admin-flow-stuck", flow(1)),
        ("admin-flow-resting", flow(2)),
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
