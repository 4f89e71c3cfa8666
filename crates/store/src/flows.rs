//! Flows: one row is one running state machine and its queue entry.
//!
//! A worker claims due rows under a lease ([`claim`]), keeps the lease while it
//! works ([`renew`]) and writes what came of it ([`settle`], [`finish`]), which
//! only succeeds while the lease token is still the row's: whoever lost the
//! lease writes nothing. A wake-up raises `wakes`; a settle that finds it raised
//! since its claim runs again at once instead of sleeping, so none is lost.

mod lease;

use std::time::Duration;

use domain::{FlowId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    db::{SystemTx, TenantTx},
    error::StoreError,
};

pub use lease::{Claim, Seats, Settle, Signal, claim, finish, hold, renew, settle};

/// A new flow.
#[derive(Debug)]
pub struct NewFlow<'a> {
    /// Its id.
    pub id: FlowId,
    /// Which behaviour: a kind of crate flows' catalogue.
    pub kind: &'a str,
    /// What it is about; unique within a kind.
    pub subject: Uuid,
    /// Its first step.
    pub step: Value,
    /// How long it may stay in that step.
    pub deadline: Option<Duration>,
}

/// A flow that another one waits for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ChildFlow {
    /// Its id.
    pub id: FlowId,
    /// Which behaviour.
    pub kind: &'static str,
    /// What it is about; unique within a kind.
    pub subject: Uuid,
    /// Its first step.
    pub step: Value,
    /// When it begins, from now.
    pub after: Duration,
    /// How long it may stay in that step once it is due.
    pub deadline: Duration,
}

/// The signal that a flow hears when one of its children ends.
pub const CHILD_ENDED: &str = "child_ended";

/// Starts a flow of this tenant; it is due at once. A second one for the same subject is not started.
pub async fn start(tx: &mut TenantTx, flow: &NewFlow<'_>) -> Result<(), StoreError> {
    let (tenant, trace) = (tx.tenant(), tx.trace());
    let conn = tx.enter_house().await?;
    insert(conn, flow, Some(tenant), trace).await?;
    tx.leave_house().await?;
    tx.note_work();
    Ok(())
}

/// Starts a flow of the house.
pub async fn start_house(tx: &mut SystemTx, flow: &NewFlow<'_>) -> Result<(), StoreError> {
    let trace = tx.trace();
    insert(tx.conn(), flow, None, trace).await?;
    tx.note_work();
    Ok(())
}

/// Starts a flow of a tenant that is made in the same transaction.
pub async fn start_for(tx: &mut SystemTx, tenant: TenantId, flow: &NewFlow<'_>) -> Result<(), StoreError> {
    let trace = tx.trace();
    insert(tx.conn(), flow, Some(tenant), trace).await?;
    tx.note_work();
    Ok(())
}

/// Starts a child: the parent is woken by [`CHILD_ENDED`] and finds what came of it in [`results`].
pub async fn start_child(tx: &mut SystemTx, parent: FlowId, child: &ChildFlow) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into flows (id, kind, tenant_id, subject, step, deadline_at, run_at, parent_id)
         select $1, $2, parent.tenant_id, $3, $4, berth.now() + make_interval(secs => $5::float8 + $6::float8),
                berth.now() + make_interval(secs => $6), parent.id
         from flows parent where parent.id = $7
         on conflict (kind, subject) do nothing",
        child.id.uuid(),
        child.kind,
        child.subject,
        child.step,
        child.deadline.as_secs_f64(),
        child.after.as_secs_f64(),
        parent.uuid(),
    )
    .execute(tx.conn())
    .await?;
    tx.note_work();
    Ok(())
}

/// What a flow's children left behind.
pub async fn results(tx: &mut SystemTx, parent: FlowId) -> Result<Vec<Value>, StoreError> {
    let rows = sqlx::query_scalar!("select result from flow_results where parent_id = $1", parent.uuid())
        .fetch_all(tx.conn())
        .await?;
    Ok(rows)
}

/// Asks something of a tenant's flow and wakes it. A flow that is gone hears nothing; that is no error.
pub async fn signal(tx: &mut TenantTx, kind: &str, subject: Uuid, signal: &str) -> Result<(), StoreError> {
    let (tenant, trace) = (tx.tenant(), tx.trace());
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "with woken as (
             update flows
             set wakes = wakes + 1, run_at = least(run_at, berth.now()), trace = coalesce($5, trace)
             where kind = $1 and subject = $2 and tenant_id = $3
             returning id
         )
         insert into flow_signals (flow_id, signal)
         select id, $4 from woken
         on conflict (flow_id, signal) do update set seq = excluded.seq, at = excluded.at",
        kind,
        subject,
        tenant.uuid(),
        signal,
        trace,
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    tx.note_work();
    Ok(())
}

/// The same from the house, to many at once: a machine called home, a sweep saw something.
pub async fn signal_house(tx: &mut SystemTx, kind: &str, subjects: &[Uuid], signal: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "with held as (
             -- In one order everywhere: two who write many flows never wait for each other.
             select id from flows where kind = $1 and subject = any ($2) order by id for no key update
         ), woken as (
             update flows
             set wakes = wakes + 1, run_at = least(run_at, berth.now())
             from held
             where flows.id = held.id
             returning flows.id
         )
         insert into flow_signals (flow_id, signal)
         select id, $3 from woken
         on conflict (flow_id, signal) do update set seq = excluded.seq, at = excluded.at",
        kind,
        subjects,
        signal,
    )
    .execute(tx.conn())
    .await?;
    tx.note_work();
    Ok(())
}

/// Asks for removal: it pre-empts whatever the flow is doing next.
pub async fn ask_removal(tx: &mut TenantTx, kind: &str, subject: Uuid) -> Result<(), StoreError> {
    let (tenant, trace) = (tx.tenant(), tx.trace());
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "update flows
         set removal_asked = true, wakes = wakes + 1, run_at = least(run_at, berth.now()), trace = coalesce($4, trace)
         where kind = $1 and subject = $2 and tenant_id = $3",
        kind,
        subject,
        tenant.uuid(),
        trace,
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    tx.note_work();
    Ok(())
}

/// Seconds until the next flow is due, at most `longest`: how long a worker may sleep.
pub async fn next_due(tx: &mut SystemTx, longest: Duration) -> Result<Duration, StoreError> {
    // Two looks at the head of an index each, however many flows there are.
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from least(
                      (select run_at from flows where lease_until is null order by run_at limit 1),
                      (select lease_until from flows where lease_until is not null order by lease_until limit 1)
                  ) - berth.now())::float8"#
    )
    .fetch_one(tx.conn())
    .await?;
    let wait = seconds.map_or(longest, |s| Duration::try_from_secs_f64(s.max(0.0)).unwrap_or(longest));
    Ok(wait.min(longest))
}

/// Whether work has waited this long without anybody taking it.
pub async fn is_stalled(tx: &mut SystemTx, longer_than: Duration) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select exists (
               select from flows
               where run_at < berth.now() - make_interval(secs => $1)
                 and (lease_until is null or lease_until < berth.now() - make_interval(secs => $1))
           ) as "stalled!""#,
        longer_than.as_secs_f64(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// A flow as an operator sees it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowRow {
    /// Which.
    pub id: FlowId,
    /// Its kind.
    pub kind: String,
    /// What it is about.
    pub subject: Uuid,
    /// Its step, as stored.
    pub step: Value,
    /// Failed attempts at it.
    pub attempt: i32,
}

/// Every flow there is, oldest first.
pub async fn all(tx: &mut SystemTx) -> Result<Vec<FlowRow>, StoreError> {
    let rows = sqlx::query!("select id, kind, subject, step, attempt from flows order by created_at")
        .fetch_all(tx.conn())
        .await?;
    let flows = rows.into_iter().map(|row| FlowRow {
        id: FlowId::from_uuid(row.id),
        kind: row.kind,
        subject: row.subject,
        step: row.step,
        attempt: row.attempt,
    });
    Ok(flows.collect())
}

async fn insert(
    conn: &mut sqlx::PgConnection,
    flow: &NewFlow<'_>,
    tenant: Option<TenantId>,
    trace: Option<String>,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into flows (id, kind, tenant_id, subject, step, deadline_at, trace)
         values ($1, $2, $3, $4, $5, berth.now() + make_interval(secs => $6), $7)
         on conflict (kind, subject) do nothing",
        flow.id.uuid(),
        flow.kind,
        tenant.map(TenantId::uuid),
        flow.subject,
        flow.step,
        flow.deadline.map(|deadline| deadline.as_secs_f64()),
        trace,
    )
    .execute(conn)
    .await?;
    Ok(())
}
