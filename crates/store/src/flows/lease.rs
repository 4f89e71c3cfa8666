//! A worker's half of a flow: claim it under a lease, keep the lease, write what came of the step.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{FlowId, TenantId};
use serde_json::Value;
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError, flows::CHILD_ENDED, house::id};

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
///
/// A wake-up that commits while this runs is in the newest version of the flow's row, which is what is locked and
/// returned, but not among the signals and children, which are seen as they were when the statement began. So the
/// claim's `wakes` are of that moment too: then settling finds them raised since, and the flow is claimed again.
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
               select id, coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') as whose, run_at, wakes
               from flows
               where run_at <= (select now from clock)
                 and (lease_until is null or lease_until < (select now from clock))
                 and coalesce(tenant_id, '00000000-0000-0000-0000-000000000000') <> all ($4)
               order by run_at
               limit $3::bigint * $8::bigint
           ), ranked as (
               select waiting.id, waiting.run_at, waiting.wakes,
                      coalesce(busy.held, 0) + row_number() over (partition by whose order by waiting.run_at) as seat
               from waiting left join unnest($5::uuid[], $6::int[]) as busy (tenant, held) on busy.tenant = waiting.whose
           ), due as (
               select flows.id, ranked.wakes
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
           returning flows.id, kind, tenant_id, subject, parent_id, trace, step, step_since, attempt, removal_asked,
                     due.wakes as "wakes!",
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

fn signals(rows: &Value) -> Vec<Signal> {
    let read =
        |row: &Value| Some(Signal { name: row.get("name")?.as_str()?.to_owned(), seq: row.get("seq")?.as_i64()? });
    rows.as_array().map(|rows| rows.iter().filter_map(read).collect()).unwrap_or_default()
}
