//! Flows: one row is one running state machine and its queue entry.
//!
//! A worker claims due rows under a lease ([`claim`]), keeps the lease while it
//! works ([`renew`]) and writes what came of it ([`settle`], [`finish`]), which
//! only succeeds while the lease token is still the row's: whoever lost the
//! lease writes nothing. A wake-up raises `wakes`; a settle that finds it raised
//! since its claim runs again at once instead of sleeping, so none is lost.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{FlowId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::{
    db::{SystemTx, TenantTx},
    error::StoreError,
    house::id,
};

/// A new flow.
#[derive(Debug)]
pub struct NewFlow<'a> {
    /// Its id.
    pub id: FlowId,
    /// `life`, `exchange`, `sweep`.
    pub kind: &'a str,
    /// What it is about; unique within a kind.
    pub subject: Uuid,
    /// Its first step.
    pub step: Value,
    /// How long it may stay in that step.
    pub deadline: Option<Duration>,
}

/// Starts a flow of this tenant; it is due at once. A second one for the same subject is not started.
pub async fn start(tx: &mut TenantTx, flow: &NewFlow<'_>) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    insert(conn, flow, Some(tenant)).await?;
    tx.leave_house().await?;
    tx.note_work();
    Ok(())
}

/// Starts a flow of the house.
pub async fn start_house(tx: &mut SystemTx, flow: &NewFlow<'_>) -> Result<(), StoreError> {
    insert(tx.conn(), flow, None).await?;
    tx.note_work();
    Ok(())
}

/// Asks something of a tenant's flow and wakes it. A flow that is gone hears nothing; that is no error.
pub async fn signal(tx: &mut TenantTx, kind: &str, subject: Uuid, signal: &str) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "with woken as (
             update flows
             set wakes = wakes + 1, run_at = least(run_at, berth.now())
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
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    tx.note_work();
    Ok(())
}

/// The same from the house: a machine called home, a sweep saw something.
pub async fn signal_house(tx: &mut SystemTx, kind: &str, subject: Uuid, signal: &str) -> Result<(), StoreError> {
    sqlx::query!(
        "with woken as (
             update flows
             set wakes = wakes + 1, run_at = least(run_at, berth.now())
             where kind = $1 and subject = $2
             returning id
         )
         insert into flow_signals (flow_id, signal)
         select id, $3 from woken
         on conflict (flow_id, signal) do update set seq = excluded.seq, at = excluded.at",
        kind,
        subject,
        signal,
    )
    .execute(tx.conn())
    .await?;
    tx.note_work();
    Ok(())
}

/// Asks for removal: it pre-empts whatever the flow is doing next.
pub async fn ask_removal(tx: &mut TenantTx, kind: &str, subject: Uuid) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "update flows
         set removal_asked = true, wakes = wakes + 1, run_at = least(run_at, berth.now())
         where kind = $1 and subject = $2 and tenant_id = $3",
        kind,
        subject,
        tenant.uuid(),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    tx.note_work();
    Ok(())
}

/// A flow under a lease.
#[derive(Debug, Clone)]
pub struct Claim {
    /// Which flow.
    pub flow: FlowId,
    /// Its kind.
    pub kind: String,
    /// Whose it is; none for the house's own.
    pub tenant: Option<TenantId>,
    /// What it is about.
    pub subject: Uuid,
    /// Its step, as stored.
    pub step: Value,
    /// When it entered this step.
    pub step_since: DateTime<Utc>,
    /// How often this step was claimed without moving on, this claim included.
    pub attempt: i32,
    /// Whether the step's deadline has passed.
    pub overdue: bool,
    /// Whether removal was asked for.
    pub removal_asked: bool,
    /// What was asked of it and not heard yet.
    pub signals: Vec<Signal>,
    /// The database's time of the claim.
    pub now: DateTime<Utc>,
    wakes: i64,
    token: Uuid,
}

/// Something asked of a flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Signal {
    /// The word.
    pub name: String,
    /// Which asking of it: a later one is not heard by settling this one.
    pub seq: i64,
}

impl Claim {
    /// Whether this was asked and not heard yet.
    #[must_use]
    pub fn hears(&self, signal: &str) -> bool {
        self.signals.iter().any(|s| s.name == signal)
    }
}

/// Takes up to `limit` due flows under a lease of this length. `token` must be fresh: it fences every later write.
pub async fn claim(tx: &mut SystemTx, token: Uuid, lease: Duration, limit: i64) -> Result<Vec<Claim>, StoreError> {
    let rows = sqlx::query!(
        r#"with due as (
               select id
               from flows
               where run_at <= berth.now() and (lease_until is null or lease_until < berth.now())
               order by run_at
               limit $3
               for update skip locked
           )
           update flows
           set lease_token = $1, lease_until = berth.now() + make_interval(secs => $2), attempt = attempt + 1
           from due
           where flows.id = due.id
           returning flows.id, kind, tenant_id, subject, step, step_since, attempt, wakes, removal_asked,
                     coalesce(deadline_at < berth.now(), false) as "overdue!",
                     berth.now() as "now!",
                     coalesce((select jsonb_agg(jsonb_build_object('name', s.signal, 'seq', s.seq) order by s.seq)
                               from flow_signals s where s.flow_id = flows.id), '[]') as "signals!""#,
        token,
        lease.as_secs_f64(),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let claims = rows.into_iter().map(|row| Claim {
        flow: FlowId::from_uuid(row.id),
        kind: row.kind,
        tenant: id(row.tenant_id),
        subject: row.subject,
        step: row.step,
        step_since: row.step_since,
        attempt: row.attempt,
        overdue: row.overdue,
        removal_asked: row.removal_asked,
        signals: signals(&row.signals),
        now: row.now,
        wakes: row.wakes,
        token,
    });
    Ok(claims.collect())
}

/// Keeps the lease for another such length. `false`: it was lost, stop at once.
pub async fn renew(tx: &mut SystemTx, claim: &Claim, lease: Duration) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update flows
         set lease_until = berth.now() + make_interval(secs => $3)
         where id = $1 and lease_token = $2 and lease_until >= berth.now()",
        claim.flow.uuid(),
        claim.token,
        lease.as_secs_f64(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// What a step left behind.
#[derive(Debug)]
pub struct Settle {
    /// The step to run next.
    pub step: Value,
    /// When to run it; a wake-up since the claim makes it at once.
    pub pause: Duration,
    /// Whether it is another step than before: then its time and its deadline begin anew.
    pub moved: bool,
    /// Deadline of the new step.
    pub deadline: Option<Duration>,
    /// Whether this was a failed attempt, which counts towards back-off.
    pub failed: bool,
    /// Whether all signals of the claim were heard.
    pub heard: bool,
}

/// Writes what a step left behind. `false`: the lease was lost, write nothing and roll back.
pub async fn settle(tx: &mut SystemTx, claim: &Claim, settle: &Settle) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update flows
         set step = $3,
             run_at = case when wakes = $4 then berth.now() + make_interval(secs => $5) else berth.now() end,
             lease_token = null,
             lease_until = null,
             attempt = case when $6 then attempt else 0 end,
             step_since = case when $7 then berth.now() else step_since end,
             deadline_at = case when $7 then berth.now() + make_interval(secs => $8) else deadline_at end
         where id = $1 and lease_token = $2",
        claim.flow.uuid(),
        claim.token,
        settle.step,
        claim.wakes,
        settle.pause.as_secs_f64(),
        settle.failed,
        settle.moved,
        settle.deadline.map(|deadline| deadline.as_secs_f64()),
    )
    .execute(tx.conn())
    .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    if settle.heard && !claim.signals.is_empty() {
        let heard: Vec<i64> = claim.signals.iter().map(|signal| signal.seq).collect();
        sqlx::query!("delete from flow_signals where flow_id = $1 and seq = any ($2)", claim.flow.uuid(), &heard)
            .execute(tx.conn())
            .await?;
    }
    if settle.pause.is_zero() {
        tx.note_work();
    }
    Ok(true)
}

/// Ends a flow. `false`: the lease was lost, write nothing and roll back.
pub async fn finish(tx: &mut SystemTx, claim: &Claim) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from flows where id = $1 and lease_token = $2", claim.flow.uuid(), claim.token)
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Remembers how long a step took.
pub async fn record_run(tx: &mut SystemTx, kind: &str, step: &str, took: Duration) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into step_runs (kind, step, took_ms) values ($1, $2, $3)",
        kind,
        step,
        i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Seconds until the next flow is due, at most `longest`: how long a worker may sleep.
pub async fn next_due(tx: &mut SystemTx, longest: Duration) -> Result<Duration, StoreError> {
    let seconds = sqlx::query_scalar!(
        r#"select extract(epoch from min(greatest(run_at, coalesce(lease_until, run_at))) - berth.now())::float8
           from flows"#
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
               where greatest(run_at, coalesce(lease_until, run_at)) < berth.now() - make_interval(secs => $1)
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

async fn insert(conn: &mut sqlx::PgConnection, flow: &NewFlow<'_>, tenant: Option<TenantId>) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into flows (id, kind, tenant_id, subject, step, deadline_at)
         values ($1, $2, $3, $4, $5, berth.now() + make_interval(secs => $6))
         on conflict (kind, subject) do nothing",
        flow.id.uuid(),
        flow.kind,
        tenant.map(TenantId::uuid),
        flow.subject,
        flow.step,
        flow.deadline.map(|deadline| deadline.as_secs_f64()),
    )
    .execute(conn)
    .await?;
    Ok(())
}

fn signals(rows: &Value) -> Vec<Signal> {
    let read =
        |row: &Value| Some(Signal { name: row.get("name")?.as_str()?.to_owned(), seq: row.get("seq")?.as_i64()? });
    rows.as_array().map(|rows| rows.iter().filter_map(read).collect()).unwrap_or_default()
}
