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
        "with woken as (
             update flows
             set wakes = wakes + 1, run_at = least(run_at, berth.now())
             where kind = $1 and subject = any ($2)
             returning id
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
    /// How many of its children have not ended.
    pub children: i64,
    /// The trace that the request which asked last is part of (W3C trace context).
    pub trace: Option<String>,
    /// The database's time of the claim.
    pub now: DateTime<Utc>,
    pub(crate) wakes: i64,
    parent: Option<FlowId>,
    pub(crate) token: Uuid,
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
    /// Whether another flow waits for its end.
    #[must_use]
    pub const fn has_parent(&self) -> bool {
        self.parent.is_some()
    }

    /// Whether this was asked and not heard yet.
    #[must_use]
    pub fn hears(&self, signal: &str) -> bool {
        self.signals.iter().any(|s| s.name == signal)
    }
}

/// What a worker brings to a claim.
#[derive(Debug)]
pub struct Seats<'a> {
    /// Must be fresh: it fences every later write.
    pub token: Uuid,
    /// Length of the lease.
    pub lease: Duration,
    /// How many flows to take at most.
    pub free: i64,
    /// How many seats each tenant holds with this worker now; the house, which is `None`, counts as one.
    pub held: &'a [(Option<TenantId>, i32)],
    /// How many seats one tenant may hold with this worker.
    pub share: i32,
}

/// How many due flows are looked at for each free seat, so that one tenant's many do not hide another's one.
const WINDOW: i64 = 16;

/// Takes due flows under a lease: whoever holds fewest seats first, then whoever waited longest.
///
/// The house's own flows count as one more tenant's.
pub async fn claim(tx: &mut SystemTx, seats: &Seats<'_>) -> Result<Vec<Claim>, StoreError> {
    let whose = |tenant: &Option<TenantId>| tenant.map_or(Uuid::nil(), TenantId::uuid);
    let (tenants, held): (Vec<Uuid>, Vec<i32>) = seats.held.iter().map(|(tenant, n)| (whose(tenant), *n)).unzip();
    let full: Vec<Uuid> =
        seats.held.iter().filter(|(_, n)| *n >= seats.share).map(|(tenant, _)| whose(tenant)).collect();
    let rows = sqlx::query!(
        r#"with clock as materialized (
               -- Read once: asked for each row, it costs more than all the rest.
               select berth.now() as now
           ), waiting as materialized (
               select id, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') as whose, run_at
               from flows
               where run_at <= (select now from clock)
                 and (lease_until is null or lease_until < (select now from clock))
                 and coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') <> all ($4)
               order by run_at
               limit $3::bigint * $8::bigint
           ), ranked as (
               select waiting.id, waiting.run_at,
                      coalesce(busy.held, 0) + row_number() over (partition by whose order by waiting.run_at) as seat
               from waiting left join unnest($5::uuid[], $6::int[]) as busy (tenant, held) on busy.tenant = waiting.whose
           ), due as (
               select flows.id
               from flows join ranked on ranked.id = flows.id
               where flows.run_at <= (select now from clock)
                 and (flows.lease_until is null or flows.lease_until < (select now from clock))
                 and ranked.seat <= $7
               order by ranked.seat, ranked.run_at
               limit $3
               for update of flows skip locked
           )
           update flows
           set lease_token = $1,
               lease_until = (select now from clock) + make_interval(secs => $2),
               attempt = attempt + 1
           from due
           where flows.id = due.id
           returning flows.id, kind, tenant_id, subject, parent_id, trace, step, step_since, attempt, wakes, removal_asked,
                     coalesce(deadline_at < (select now from clock), false) as "overdue!",
                     (select now from clock) as "now!",
                     (select count(*) from flows child where child.parent_id = flows.id) as "children!",
                     coalesce((select jsonb_agg(jsonb_build_object('name', s.signal, 'seq', s.seq) order by s.seq)
                               from flow_signals s where s.flow_id = flows.id), '[]') as "signals!""#,
        seats.token,
        seats.lease.as_secs_f64(),
        seats.free,
        &full,
        &tenants,
        &held,
        i64::from(seats.share),
        WINDOW,
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
        children: row.children,
        now: row.now,
        wakes: row.wakes,
        trace: row.trace,
        parent: row.parent_id.map(FlowId::from_uuid),
        token: seats.token,
    });
    Ok(claims.collect())
}

/// Whether the lease is held; if so, nobody else gets the flow before this transaction ends.
///
/// For a step that writes before it is settled: what it writes is then as fenced as the settling.
pub async fn hold(tx: &mut SystemTx, claim: &Claim) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!(
        "select id from flows where id = $1 and lease_token = $2 for no key update",
        claim.flow.uuid(),
        claim.token,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(held.is_some())
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
             deadline_at = case when $7 then berth.now() + make_interval(secs => $8) else deadline_at end,
             trace = case when $7 and $8 is null then null else trace end
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

/// Ends a flow and tells its parent what came of it. `false`: the lease was lost, write nothing and roll back.
pub async fn finish(tx: &mut SystemTx, claim: &Claim, result: Option<&Value>) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from flows where id = $1 and lease_token = $2", claim.flow.uuid(), claim.token)
        .execute(tx.conn())
        .await?;
    if done.rows_affected() != 1 {
        return Ok(false);
    }
    let Some(parent) = claim.parent else { return Ok(true) };
    sqlx::query!(
        "with woken as (
             update flows set wakes = wakes + 1, run_at = least(run_at, berth.now()) where id = $1 returning id
         ), kept as (
             insert into flow_results (parent_id, child_id, result)
             select id, $2, $3 from woken where $3::jsonb is not null
             on conflict do nothing
         )
         insert into flow_signals (flow_id, signal)
         select id, $4 from woken
         on conflict (flow_id, signal) do update set seq = excluded.seq, at = excluded.at",
        parent.uuid(),
        claim.flow.uuid(),
        result,
        CHILD_ENDED,
    )
    .execute(tx.conn())
    .await?;
    tx.note_work();
    Ok(true)
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

fn signals(rows: &Value) -> Vec<Signal> {
    let read =
        |row: &Value| Some(Signal { name: row.get("name")?.as_str()?.to_owned(), seq: row.get("seq")?.as_i64()? });
    rows.as_array().map(|rows| rows.iter().filter_map(read).collect()).unwrap_or_default()
}
