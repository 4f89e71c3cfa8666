//! Flows as an operator reads them, with everything that says what they wait for. One statement each.

use chrono::{DateTime, Utc};
use domain::{FlowId, TenantId, waiting::Facts};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError, house::id};

/// Failed tries after which a flow counts as stuck.
pub const STUCK_TRIES: i32 = 5;

/// A flow.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FlowView {
    /// Which.
    pub id: FlowId,
    /// Its kind.
    pub kind: String,
    /// Whose it is; none for the house's own.
    pub tenant: Option<TenantId>,
    /// What it is about.
    pub subject: Uuid,
    /// The word of its step.
    pub step: String,
    /// When it entered the step.
    pub step_since: DateTime<Utc>,
    /// When it runs next.
    pub run_at: DateTime<Utc>,
    /// Until when a worker holds it.
    pub lease_until: Option<DateTime<Utc>>,
    /// Claims of this step that did not move it on.
    pub attempt: i32,
    /// When it has been in this step too long.
    pub deadline_at: Option<DateTime<Utc>>,
    /// Whether removal was asked for.
    pub removal_asked: bool,
    /// When it began.
    pub created_at: DateTime<Utc>,
    /// What was asked and not heard yet, oldest first.
    pub signals: Vec<String>,
    /// Whether it does not get on by itself: it failed, missed its deadline, or was tried [`STUCK_TRIES`] times.
    pub stuck: bool,
    /// The database's time of looking.
    pub now: DateTime<Utc>,
}

impl FlowView {
    /// What says what it waits for: [`domain::waiting::sentence`].
    #[must_use]
    pub fn facts(&self) -> Facts<'_> {
        Facts {
            kind: &self.kind,
            step: &self.step,
            now: self.now,
            run_at: self.run_at,
            lease_until: self.lease_until,
            attempt: self.attempt,
            deadline_at: self.deadline_at,
            removal_asked: self.removal_asked,
            signals: &self.signals,
        }
    }
}

/// Which flows. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct FlowFilter<'a> {
    /// Of this kind.
    pub kind: Option<&'a str>,
    /// At this step.
    pub step: Option<&'a str>,
    /// Stuck, or not.
    pub stuck: Option<bool>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// About this.
    pub subject: Option<Uuid>,
    /// About one of these.
    pub subjects: Option<&'a [Uuid]>,
    /// Those older than this one.
    pub after: Option<FlowId>,
}

/// A page of flows, newest first.
pub async fn list(tx: &mut SystemTx, filter: FlowFilter<'_>, limit: i64) -> Result<Vec<FlowView>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select * from (
               select f.id as "id!", f.kind as "kind!", f.tenant_id, f.subject as "subject!",
                      coalesce(f.step ->> 'step', '') as "step!", f.step_since as "step_since!", f.run_at as "run_at!",
                      f.lease_until, f.attempt as "attempt!", f.deadline_at, f.removal_asked as "removal_asked!",
                      f.created_at as "created_at!",
                      coalesce((select array_agg(s.signal order by s.seq) from flow_signals s where s.flow_id = f.id),
                               '{}') as "signals!",
                      (f.step ->> 'step' = 'failed' or coalesce(f.deadline_at < berth.now(), false)
                       or f.attempt >= $7) as "stuck!",
                      berth.now() as "now!"
               from flows f
               where ($1::text is null or f.kind = $1)
                 and ($2::text is null or f.step ->> 'step' = $2)
                 and ($3::uuid is null or f.tenant_id = $3)
                 and ($4::uuid is null or f.subject = $4)
                 and ($5::uuid is null or f.id < $5)
                 and ($9::uuid[] is null or f.subject = any ($9))
           ) flow
           where $6::boolean is null or "stuck!" = $6
           order by "id!" desc
           limit $8"#,
        filter.kind,
        filter.step,
        filter.tenant.map(TenantId::uuid),
        filter.subject,
        filter.after.map(FlowId::uuid),
        filter.stuck,
        STUCK_TRIES,
        limit,
        filter.subjects,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

/// One flow; `None` once it ended.
pub async fn by_id(tx: &mut SystemTx, flow: FlowId) -> Result<Option<FlowView>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select f.id, f.kind, f.tenant_id, f.subject, coalesce(f.step ->> 'step', '') as "step!", f.step_since,
                  f.run_at, f.lease_until, f.attempt, f.deadline_at, f.removal_asked, f.created_at,
                  coalesce((select array_agg(s.signal order by s.seq) from flow_signals s where s.flow_id = f.id),
                           '{}') as "signals!",
                  (f.step ->> 'step' = 'failed' or coalesce(f.deadline_at < berth.now(), false)
                   or f.attempt >= $2) as "stuck!",
                  berth.now() as "now!"
           from flows f
           where f.id = $1"#,
        flow.uuid(),
        STUCK_TRIES,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(Row::read))
}

struct Row {
    id: Uuid,
    kind: String,
    tenant_id: Option<Uuid>,
    subject: Uuid,
    step: String,
    step_since: DateTime<Utc>,
    run_at: DateTime<Utc>,
    lease_until: Option<DateTime<Utc>>,
    attempt: i32,
    deadline_at: Option<DateTime<Utc>>,
    removal_asked: bool,
    created_at: DateTime<Utc>,
    signals: Vec<String>,
    stuck: bool,
    now: DateTime<Utc>,
}

impl Row {
    fn read(self) -> FlowView {
        FlowView {
            id: FlowId::from_uuid(self.id),
            kind: self.kind,
            tenant: id(self.tenant_id),
            subject: self.subject,
            step: self.step,
            step_since: self.step_since,
            run_at: self.run_at,
            lease_until: self.lease_until,
            attempt: self.attempt,
            deadline_at: self.deadline_at,
            removal_asked: self.removal_asked,
            created_at: self.created_at,
            signals: self.signals,
            stuck: self.stuck,
            now: self.now,
        }
    }
}
