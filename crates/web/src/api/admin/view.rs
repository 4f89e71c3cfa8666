//! How an operator's nouns look in JSON.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, AlertId, DeliveryId, EventId, ExchangeId, FlowId, MachineId, TenantId,
    alert::{AlertKind, Related},
    waiting,
};
use serde::Serialize;
use store::{
    alert_views::{AlertRow, Delivery},
    flow_views::FlowView as Flow,
};
use uuid::Uuid;

/// An alert.
#[derive(Debug, Serialize)]
pub(crate) struct AlertView {
    id: AlertId,
    kind: String,
    title: &'static str,
    severity: &'static str,
    message: String,
    related: RelatedView,
    tenant: Option<TenantId>,
    opened_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    sightings: u32,
    firings: u32,
    fired_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
    closed_at: Option<DateTime<Utc>>,
    runbook: Option<String>,
    deliveries: Vec<DeliveryView>,
}

#[derive(Debug, Serialize)]
struct RelatedView {
    kind: &'static str,
    id: String,
}

#[derive(Debug, Serialize)]
struct DeliveryView {
    id: DeliveryId,
    firing: u32,
    carrier: &'static str,
    state: &'static str,
    tries: u32,
    outcome: Option<String>,
    asked_at: DateTime<Utc>,
    next_at: Option<DateTime<Utc>>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<AlertRow> for AlertView {
    fn from(row: AlertRow) -> Self {
        let kind = AlertKind::parse(&row.kind);
        let related = Related::of(&row.subject);
        Self {
            id: row.id,
            title: title(kind),
            runbook: kind.map(AlertKind::runbook),
            kind: row.kind,
            severity: row.severity.name(),
            message: row.message,
            related: RelatedView { kind: related.kind(), id: related.id() },
            tenant: row.tenant,
            opened_at: row.opened_at,
            seen_at: row.seen_at,
            sightings: row.sightings,
            firings: row.firings,
            fired_at: row.fired_at,
            acknowledged_at: row.acknowledged_at,
            acknowledged_by: row.acknowledged_by,
            closed_at: row.closed_at,
            deliveries: row.deliveries.into_iter().map(DeliveryView::from).collect(),
        }
    }
}

impl From<Delivery> for DeliveryView {
    fn from(row: Delivery) -> Self {
        Self {
            id: row.id,
            firing: row.firing,
            carrier: row.carrier.name(),
            state: row.state.name(),
            tries: row.tries,
            outcome: row.outcome,
            asked_at: row.asked_at,
            next_at: row.ended_at.is_none().then_some(row.next_at),
            ended_at: row.ended_at,
        }
    }
}

/// What an alert is called. A kind of a newer build has no title here.
pub(crate) const fn title(kind: Option<AlertKind>) -> &'static str {
    match kind {
        Some(kind) => kind.title(),
        None => "An alert of a newer Berth",
    }
}

/// A flow, with the sentence that says what it waits for.
#[derive(Debug, Serialize)]
pub(crate) struct FlowView {
    id: FlowId,
    kind: String,
    tenant: Option<TenantId>,
    subject: String,
    step: String,
    waiting_for: String,
    stuck: bool,
    step_since: DateTime<Utc>,
    run_at: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
    attempt: i32,
    deadline_at: Option<DateTime<Utc>>,
    removal_asked: bool,
    signals: Vec<String>,
    created_at: DateTime<Utc>,
}

impl From<Flow> for FlowView {
    fn from(flow: Flow) -> Self {
        Self {
            id: flow.id,
            waiting_for: waiting::sentence(&flow.facts()),
            subject: subject(&flow.kind, flow.subject),
            kind: flow.kind,
            tenant: flow.tenant,
            step: flow.step,
            stuck: flow.stuck,
            step_since: flow.step_since,
            run_at: flow.run_at,
            lease_until: flow.lease_until,
            attempt: flow.attempt,
            deadline_at: flow.deadline_at,
            removal_asked: flow.removal_asked,
            signals: flow.signals,
            created_at: flow.created_at,
        }
    }
}

/// What a flow is about, as an id where its kind is known.
pub(crate) fn subject(kind: &str, subject: Uuid) -> String {
    match kind {
        "life" => AgentId::from_uuid(subject).to_string(),
        "exchange" => ExchangeId::from_uuid(subject).to_string(),
        "notice" => AlertId::from_uuid(subject).to_string(),
        "spare" => MachineId::from_uuid(subject).to_string(),
        "event" => EventId::from_uuid(subject).to_string(),
        "billing" => TenantId::from_uuid(subject).to_string(),
        _ => subject.to_string(),
    }
}

/// Reads what an operator copied: the id of an agent, a machine, an exchange, an alert, an event or a tenant, or a bare uuid.
pub(crate) fn read_subject(text: &str) -> Option<Uuid> {
    let agent = text.parse().map(AgentId::uuid).ok();
    let exchange = || text.parse().map(ExchangeId::uuid).ok();
    let alert = || text.parse().map(AlertId::uuid).ok();
    let machine = || text.parse().map(MachineId::uuid).ok();
    let event = || text.parse().map(EventId::uuid).ok();
    let tenant = || text.parse().map(TenantId::uuid).ok();
    let known = agent.or_else(exchange).or_else(alert).or_else(machine).or_else(event).or_else(tenant);
    known.or_else(|| Uuid::try_parse(text).ok())
}
