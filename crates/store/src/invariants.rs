//! What `berth verify` reads: batches by key, so that memory does not grow with the house.
//!
//! House rows are read as `berth_system`, a tenant's as `berth_tenant` of that
//! tenant: nobody gets a right for this. All of it at one instant, see
//! [`crate::Snapshot`]. Nothing here writes.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, CredentialId, EventId, ExchangeId, FlowId, InstallationId, MachineId, TenantId,
    invariants::judge::{FlowView, MachineView},
};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    billing::{self, Account},
    db::{SystemTx, TenantTx},
    error::StoreError,
    events::EVENT,
    house::id,
};

/// Which Berth this is; `None` before its first start.
pub async fn installation(tx: &mut SystemTx) -> Result<Option<InstallationId>, StoreError> {
    let id = sqlx::query_scalar!("select id from installation").fetch_optional(tx.conn()).await?;
    Ok(id.map(InstallationId::from_uuid))
}

/// Tenants after this one, by id.
pub async fn tenants(tx: &mut SystemTx, after: Uuid, limit: i64) -> Result<Vec<TenantId>, StoreError> {
    let ids = sqlx::query_scalar!("select id from tenants where id > $1 order by id limit $2", after, limit)
        .fetch_all(tx.conn())
        .await?;
    Ok(ids.into_iter().map(TenantId::from_uuid).collect())
}

/// Flows after this one, by id.
pub async fn flows(tx: &mut SystemTx, after: Uuid, limit: i64) -> Result<Vec<FlowView>, StoreError> {
    let rows = sqlx::query_as!(
        FlowRow,
        r#"select id, kind, tenant_id, subject, step, run_at, lease_until, lease_token is not null as "has_token!",
                  deadline_at, removal_asked,
                  (select count(*) from flow_signals where flow_id = flows.id) as "signals!"
           from flows
           where id > $1
           order by id
           limit $2"#,
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(flow).collect())
}

/// The flows of a kind about these subjects.
pub async fn flows_of(tx: &mut SystemTx, kind: &str, subjects: &[Uuid]) -> Result<Vec<FlowView>, StoreError> {
    let rows = sqlx::query_as!(
        FlowRow,
        r#"select id, kind, tenant_id, subject, step, run_at, lease_until, lease_token is not null as "has_token!",
                  deadline_at, removal_asked,
                  (select count(*) from flow_signals where flow_id = flows.id) as "signals!"
           from flows
           where kind = $1 and subject = any ($2)"#,
        kind,
        subjects,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(flow).collect())
}

/// What has an owner, in all: lives, and living machines that are given to an agent.
pub async fn owned(tx: &mut SystemTx) -> Result<(i64, i64), StoreError> {
    let row = sqlx::query!(
        r#"select (select count(*) from flows where kind = 'life') as "lives!",
                  (select count(*) from machines where gone_at is null and agent_id is not null) as "machines!""#
    )
    .fetch_one(tx.conn())
    .await?;
    Ok((row.lives, row.machines))
}

/// The living machines of these agents.
pub async fn machines_of(tx: &mut SystemTx, agents: &[Uuid]) -> Result<Vec<MachineView>, StoreError> {
    let rows = sqlx::query!(
        "select id, tenant_id, agent_id, fence, digest, in_force
         from machines
         where agent_id = any ($1) and gone_at is null
         order by id",
        agents,
    )
    .fetch_all(tx.conn())
    .await?;
    let machines = rows.into_iter().map(|row| MachineView {
        id: MachineId::from_uuid(row.id),
        tenant: id(row.tenant_id),
        agent: id(row.agent_id),
        fence: u64::try_from(row.fence).unwrap_or_default(),
        digest: row.digest,
        // What cannot be read says nothing of what is in force.
        in_force: row.in_force.and_then(|value| serde_json::from_value(value).ok()),
    });
    Ok(machines.collect())
}

/// To whom these machines are given, gone ones too.
pub async fn given_to(tx: &mut SystemTx, machines: &[Uuid]) -> Result<Vec<(MachineId, Option<AgentId>)>, StoreError> {
    let rows =
        sqlx::query!("select id, agent_id from machines where id = any ($1)", machines).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| (MachineId::from_uuid(row.id), id(row.agent_id))).collect())
}

/// A living machine with its sealed columns as they lie there.
#[derive(Debug)]
pub struct MachineRow {
    /// Which.
    pub id: MachineId,
    /// Whose; none for a spare.
    pub tenant: Option<TenantId>,
    /// Whose; none for a spare.
    pub agent: Option<AgentId>,
    /// Whether the provider had it.
    pub made: bool,
    /// Whether a flow is destroying it.
    pub leaving: bool,
    /// The name of each sealed column, and its bytes.
    pub sealed: Vec<(&'static str, Vec<u8>)>,
}

/// Living machines after this one, by id.
pub async fn machines(tx: &mut SystemTx, after: Uuid, limit: i64) -> Result<Vec<MachineRow>, StoreError> {
    let rows = sqlx::query!(
        r#"select id, tenant_id, agent_id, state = 'made' as "made!",
                  coalesce(agent_id in (select subject from flows where step ->> 'step' = 'remove'), false)
                  or id in (select subject from flows where step ->> 'step' = 'remove') as "leaving!",
                  host_key_sealed, machine_key_sealed, machine_token_sealed, gateway_token_sealed, model_key_sealed,
                  machine_key_next_sealed, gateway_token_next_sealed
           from machines
           where gone_at is null and id > $1
           order by id
           limit $2"#,
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let machines = rows.into_iter().map(|row| MachineRow {
        id: MachineId::from_uuid(row.id),
        tenant: id(row.tenant_id),
        agent: id(row.agent_id),
        made: row.made,
        leaving: row.leaving,
        sealed: [
            ("host_key_sealed", Some(row.host_key_sealed)),
            ("machine_key_sealed", Some(row.machine_key_sealed)),
            ("machine_token_sealed", Some(row.machine_token_sealed)),
            ("gateway_token_sealed", Some(row.gateway_token_sealed)),
            ("model_key_sealed", Some(row.model_key_sealed)),
            ("machine_key_next_sealed", row.machine_key_next_sealed),
            ("gateway_token_next_sealed", row.gateway_token_next_sealed),
        ]
        .into_iter()
        .filter_map(|(column, stored)| Some((column, stored?)))
        .collect(),
    });
    Ok(machines.collect())
}

/// Machines that are gone and whose keys are not, at most `limit`.
pub async fn keys_left(tx: &mut SystemTx, limit: i64) -> Result<Vec<MachineId>, StoreError> {
    let ids = sqlx::query_scalar!(
        "select id
         from machines
         where gone_at is not null
           and (host_key_sealed <> '' or machine_key_sealed <> '' or machine_token_sealed <> ''
                or gateway_token_sealed <> '' or model_key_sealed <> ''
                or machine_key_next_sealed is not null or gateway_token_next_sealed is not null)
         order by id
         limit $1",
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ids.into_iter().map(MachineId::from_uuid).collect())
}

/// The SSH authority's row and its sealed key as it lies there.
pub async fn authorities(tx: &mut SystemTx) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!("select id, key_sealed from ssh_authorities").fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| (row.id, row.key_sealed)).collect())
}

/// Operators' rows and the sealed secrets of their authenticators as they lie there.
pub async fn factors(tx: &mut SystemTx) -> Result<Vec<(Uuid, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!("select user_id, secret_sealed from operator_factors").fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| (row.user_id, row.secret_sealed)).collect())
}

/// Of these subjects, the ones with an open alert: the part of an alert's key after the first colon.
pub async fn alerted(tx: &mut SystemTx, subjects: &[String]) -> Result<Vec<String>, StoreError> {
    let subjects = sqlx::query_scalar!(
        r#"select distinct split_part(key, ':', 2) as "subject!"
           from alerts
           where closed_at is null and split_part(key, ':', 2) = any ($1)"#,
        subjects,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(subjects)
}

/// Signals to flows that do not exist, at most `limit`.
pub async fn stray_signals(tx: &mut SystemTx, limit: i64) -> Result<Vec<(FlowId, String)>, StoreError> {
    let rows = sqlx::query!(
        "select flow_id, signal
         from flow_signals s
         where not exists (select from flows f where f.id = s.flow_id)
         order by seq
         limit $1",
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (FlowId::from_uuid(row.flow_id), row.signal)).collect())
}

/// Of these tenants, the ones whose payments are kept in view or ought to be.
pub async fn accounts(tx: &mut SystemTx, tenants: &[TenantId]) -> Result<Vec<(TenantId, Account)>, StoreError> {
    let tenants: Vec<Uuid> = tenants.iter().map(|tenant| tenant.uuid()).collect();
    let open = sqlx::query_scalar!("select tenant_id from billing where tenant_id = any ($1)", &tenants)
        .fetch_all(tx.conn())
        .await?;
    let open: Vec<TenantId> = open.into_iter().map(TenantId::from_uuid).collect();
    if open.is_empty() { Ok(Vec::new()) } else { billing::known_of(tx, &open).await }
}

/// How many events are kept.
pub async fn events(tx: &mut SystemTx) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(r#"select count(*) as "count!" from events"#).fetch_one(tx.conn()).await?)
}

/// Events that nobody has understood and no flow is at, at most `limit`: their sender's word, and when they came.
pub async fn forgotten_events(
    tx: &mut SystemTx,
    limit: i64,
) -> Result<Vec<(EventId, String, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        "select id, kind, received_at
         from events e
         where read_at is null and not exists (select from flows f where f.kind = $1 and f.subject = e.id)
         order by received_at
         limit $2",
        EVENT,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (EventId::from_uuid(row.id), row.kind, row.received_at)).collect())
}

/// Of these agents, the ones that this tenant has.
pub async fn existing(tx: &mut TenantTx, agents: &[Uuid]) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!("select id from agents where id = any ($1)", agents).fetch_all(tx.conn()).await?)
}

/// When each of these agents' configuration was put in force last, as far as the timeline reaches.
pub async fn configured_at(tx: &mut TenantTx, agents: &[Uuid]) -> Result<Vec<(AgentId, DateTime<Utc>)>, StoreError> {
    let rows = sqlx::query!(
        r#"select agent_id, max(at) as "at!"
           from timeline
           where agent_id = any ($1) and what ->> 'event' = 'step_ended' and what ->> 'step' = 'apply'
           group by agent_id"#,
        agents,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (AgentId::from_uuid(row.agent_id), row.at)).collect())
}

/// An exchange's words as they lie there.
#[derive(Debug)]
pub struct WordsRow {
    /// Which exchange.
    pub id: ExchangeId,
    /// What was asked.
    pub question: Option<Vec<u8>>,
    /// What was answered.
    pub answer: Option<Vec<u8>>,
}

/// A tenant's exchanges after this one, by id; also those whose ten minutes are over.
pub async fn words(tx: &mut TenantTx, after: Uuid, limit: i64) -> Result<Vec<WordsRow>, StoreError> {
    let rows =
        sqlx::query!("select id, question, answer from exchanges where id > $1 order by id limit $2", after, limit,)
            .fetch_all(tx.conn())
            .await?;
    let words = rows.into_iter().map(|row| WordsRow {
        id: ExchangeId::from_uuid(row.id),
        question: row.question,
        answer: row.answer,
    });
    Ok(words.collect())
}

/// A tenant's credentials after this one, by id, as they lie there.
pub async fn credentials(
    tx: &mut TenantTx,
    after: Uuid,
    limit: i64,
) -> Result<Vec<(CredentialId, Vec<u8>)>, StoreError> {
    let rows = sqlx::query!("select id, sealed from credentials where id > $1 order by id limit $2", after, limit)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows.into_iter().map(|row| (CredentialId::from_uuid(row.id), row.sealed)).collect())
}

struct FlowRow {
    id: Uuid,
    kind: String,
    tenant_id: Option<Uuid>,
    subject: Uuid,
    step: Value,
    run_at: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
    has_token: bool,
    deadline_at: Option<DateTime<Utc>>,
    removal_asked: bool,
    signals: i64,
}

fn flow(row: FlowRow) -> FlowView {
    FlowView {
        id: FlowId::from_uuid(row.id),
        kind: row.kind,
        tenant: id(row.tenant_id),
        subject: row.subject,
        step: row.step,
        run_at: row.run_at,
        lease_until: row.lease_until,
        has_token: row.has_token,
        deadline_at: row.deadline_at,
        removal_asked: row.removal_asked,
        signals: row.signals,
    }
}
