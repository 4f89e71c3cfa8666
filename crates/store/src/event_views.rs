//! What Stripe told as an operator reads it: a page of events, and one with its body. One statement each.

use chrono::{DateTime, Utc};
use domain::{EventId, FlowId, TenantId};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError, events::EVENT, house::id};

/// An event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EventView {
    /// Its id here.
    pub id: EventId,
    /// Its id at Stripe.
    pub name: String,
    /// Stripe's word for what happened; empty where there was none.
    pub kind: String,
    /// Whether it is about real money.
    pub is_live: bool,
    /// When it came.
    pub received_at: DateTime<Utc>,
    /// When it was understood.
    pub read_at: Option<DateTime<Utc>>,
    /// What came of it, in words.
    pub outcome: Option<String>,
    /// Whose it turned out to be.
    pub tenant: Option<TenantId>,
    /// The flow that understands it, until it has.
    pub flow: Option<FlowId>,
    /// The database's time of looking.
    pub now: DateTime<Utc>,
}

/// Which events. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct EventFilter<'a> {
    /// Not understood yet, or understood.
    pub waiting: Option<bool>,
    /// Of this kind: `invoice.paid`, or all that begin so: `invoice`.
    pub kind: Option<&'a str>,
    /// With this id at Stripe.
    pub name: Option<&'a str>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Those older than this one.
    pub after: Option<EventId>,
}

/// A page of events, newest first.
pub async fn list(tx: &mut SystemTx, filter: EventFilter<'_>, limit: i64) -> Result<Vec<EventView>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select e.id, e.name, e.kind, e.is_live, e.received_at, e.read_at, e.outcome, e.tenant_id, f.id as "flow?",
                  berth.now() as "now!"
           from events e
           left join flows f on f.kind = $6 and f.subject = e.id
           where ($1::boolean is null or (e.read_at is null) = $1)
             -- Of the words that Stripe separates with points, so many as were given.
             and ($2::text is null or e.kind = $2 or starts_with(e.kind, $2 || '.'))
             and ($3::text is null or e.name = $3)
             and ($4::uuid is null or e.tenant_id = $4)
             and ($5::uuid is null or e.id < $5)
           order by e.id desc
           limit $7"#,
        filter.waiting,
        filter.kind,
        filter.name,
        filter.tenant.map(TenantId::uuid),
        filter.after.map(EventId::uuid),
        EVENT,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(Row::read).collect())
}

/// One event, and its body as it came. The body is nobody's to read: [`domain::event::redacted`] says what is shown of it.
pub async fn by_id(tx: &mut SystemTx, event: EventId) -> Result<Option<(EventView, Vec<u8>)>, StoreError> {
    let row = sqlx::query!(
        r#"select e.id, e.name, e.kind, e.is_live, e.received_at, e.read_at, e.outcome, e.tenant_id, f.id as "flow?",
                  berth.now() as "now!", e.body
           from events e
           left join flows f on f.kind = $2 and f.subject = e.id
           where e.id = $1"#,
        event.uuid(),
        EVENT,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| {
        let view = Row {
            id: row.id,
            name: row.name,
            kind: row.kind,
            is_live: row.is_live,
            received_at: row.received_at,
            read_at: row.read_at,
            outcome: row.outcome,
            tenant_id: row.tenant_id,
            flow: row.flow,
            now: row.now,
        };
        (view.read(), row.body)
    }))
}

struct Row {
    id: Uuid,
    name: String,
    kind: String,
    is_live: bool,
    received_at: DateTime<Utc>,
    read_at: Option<DateTime<Utc>>,
    outcome: Option<String>,
    tenant_id: Option<Uuid>,
    flow: Option<Uuid>,
    now: DateTime<Utc>,
}

impl Row {
    fn read(self) -> EventView {
        EventView {
            id: EventId::from_uuid(self.id),
            name: self.name,
            kind: self.kind,
            is_live: self.is_live,
            received_at: self.received_at,
            read_at: self.read_at,
            outcome: self.outcome,
            tenant: id(self.tenant_id),
            flow: id(self.flow),
            now: self.now,
        }
    }
}
