//! Alerts as an operator reads them: a page of them, and one with every delivery. One statement each.

use chrono::{DateTime, Utc};
use domain::{
    AlertId, DeliveryId, TenantId,
    alert::{Carrier, DeliveryState, Severity},
};
use serde::Deserialize;
use uuid::Uuid;

use crate::{
    alerts,
    db::SystemTx,
    error::{StoreError, read},
    house::id,
    notices::count,
};

/// An alert.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AlertRow {
    /// Which.
    pub id: AlertId,
    /// [`domain::alert::AlertKind::name`], or the word of a newer build.
    pub kind: String,
    /// How soon a person is needed.
    pub severity: Severity,
    /// Whose trouble it is, if a tenant's.
    pub tenant: Option<TenantId>,
    /// The id of what it is about.
    pub subject: String,
    /// A sentence.
    pub message: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// How often it was seen.
    pub sightings: u32,
    /// How often it fired.
    pub firings: u32,
    /// When it fired last.
    pub fired_at: Option<DateTime<Utc>>,
    /// When somebody said that they know.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// Who said so.
    pub acknowledged_by: Option<String>,
    /// When what was wrong was seen to be right.
    pub closed_at: Option<DateTime<Utc>>,
    /// In a list: those that were tried and are still pending. Of one alert: all of them, newest firing first.
    pub deliveries: Vec<Delivery>,
}

/// One firing on one carrier.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(from = "DeliveryJson")]
pub struct Delivery {
    /// What the other side recognises a repetition by.
    pub id: DeliveryId,
    /// Which firing.
    pub firing: u32,
    /// On which way.
    pub carrier: Carrier,
    /// How far it is.
    pub state: DeliveryState,
    /// How often it was tried.
    pub tries: u32,
    /// What came of the last try, in words.
    pub outcome: Option<String>,
    /// When the alert fired.
    pub asked_at: DateTime<Utc>,
    /// When it is tried again, while it is pending.
    pub next_at: DateTime<Utc>,
    /// When it ended.
    pub ended_at: Option<DateTime<Utc>>,
}

/// Which alerts.
#[derive(Debug, Clone, Copy, Default)]
pub struct AlertFilter {
    /// Open ones, closed ones, or both.
    pub open: Option<bool>,
    /// Those older than this one.
    pub after: Option<AlertId>,
}

/// A page of alerts, newest first.
pub async fn list(tx: &mut SystemTx, filter: AlertFilter, limit: i64) -> Result<Vec<AlertRow>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        r#"select a.id, a.kind, a.severity, a.tenant_id, a.subject, a.message, a.opened_at, a.seen_at, a.sightings,
                  a.firings, a.fired_at, a.acknowledged_at, u.email as "acknowledged_by?", a.closed_at,
                  coalesce((select jsonb_agg(to_jsonb(d) order by d.firing, d.carrier)
                            from alert_deliveries d
                            where d.alert_id = a.id and d.state = 'pending' and d.tries > 0), '[]') as "deliveries!"
           from alerts a
           left join users u on u.id = a.acknowledged_by
           where ($1::boolean is null or (a.closed_at is null) = $1) and ($2::uuid is null or a.id < $2)
           order by a.id desc
           limit $3"#,
        filter.open,
        filter.after.map(AlertId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(Row::read).collect()
}

/// One alert with its deliveries, at most a hundred.
pub async fn by_id(tx: &mut SystemTx, alert: AlertId) -> Result<Option<AlertRow>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select a.id, a.kind, a.severity, a.tenant_id, a.subject, a.message, a.opened_at, a.seen_at, a.sightings,
                  a.firings, a.fired_at, a.acknowledged_at, u.email as "acknowledged_by?", a.closed_at,
                  coalesce((select jsonb_agg(to_jsonb(d) order by d.firing desc, d.carrier)
                            from (select * from alert_deliveries where alert_id = a.id
                                  order by firing desc, carrier limit 100) d), '[]') as "deliveries!"
           from alerts a
           left join users u on u.id = a.acknowledged_by
           where a.id = $1"#,
        alert.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(Row::read).transpose()
}

struct Row {
    id: Uuid,
    kind: String,
    severity: String,
    tenant_id: Option<Uuid>,
    subject: String,
    message: String,
    opened_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    sightings: i32,
    firings: i32,
    fired_at: Option<DateTime<Utc>>,
    acknowledged_at: Option<DateTime<Utc>>,
    acknowledged_by: Option<String>,
    closed_at: Option<DateTime<Utc>>,
    deliveries: serde_json::Value,
}

impl Row {
    fn read(self) -> Result<AlertRow, StoreError> {
        Ok(AlertRow {
            id: AlertId::from_uuid(self.id),
            kind: self.kind,
            severity: alerts::severity(&self.severity)?,
            tenant: id(self.tenant_id),
            subject: self.subject,
            message: self.message,
            opened_at: self.opened_at,
            seen_at: self.seen_at,
            sightings: count(self.sightings),
            firings: count(self.firings),
            fired_at: self.fired_at,
            acknowledged_at: self.acknowledged_at,
            acknowledged_by: self.acknowledged_by,
            closed_at: self.closed_at,
            deliveries: read("alert_deliveries", "*", self.deliveries)?,
        })
    }
}

/// A row of `alert_deliveries` as Postgres writes it in JSON.
#[derive(Deserialize)]
struct DeliveryJson {
    id: Uuid,
    firing: u32,
    carrier: Carrier,
    state: DeliveryState,
    tries: u32,
    outcome: Option<String>,
    asked_at: DateTime<Utc>,
    next_at: DateTime<Utc>,
    ended_at: Option<DateTime<Utc>>,
}

impl From<DeliveryJson> for Delivery {
    fn from(row: DeliveryJson) -> Self {
        Self {
            id: DeliveryId::from_uuid(row.id),
            firing: row.firing,
            carrier: row.carrier,
            state: row.state,
            tries: row.tries,
            outcome: row.outcome,
            asked_at: row.asked_at,
            next_at: row.next_at,
            ended_at: row.ended_at,
        }
    }
}
