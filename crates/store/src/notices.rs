//! Notices: the firings of an alert on their way to a person.
//!
//! A firing writes one delivery a carrier before anything leaves the house
//! ([`Write::Fire`]); each try is written down ([`Write::Tried`]). The flow of
//! kind [`NOTICE`] does both through its settle, so a worker that lost its lease
//! writes nothing.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    AlertId, DeliveryId,
    alert::{AlertKind, Carrier, DeliveryState, Due, Severity, try_again_after},
};

use crate::{alerts::word, db::SystemTx, error::StoreError};

/// Kind of the flow that tells a person of an alert; its subject is the alert.
pub const NOTICE: &str = "notice";

/// An alert as its notice needs it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Told {
    /// Which.
    pub id: AlertId,
    /// What it is about.
    pub kind: AlertKind,
    /// How soon a person is needed.
    pub severity: Severity,
    /// The id of what it is about.
    pub subject: String,
    /// A sentence without secrets.
    pub message: String,
    /// Since when.
    pub opened_at: DateTime<Utc>,
    /// When it was seen last.
    pub seen_at: DateTime<Utc>,
    /// How often it was seen.
    pub sightings: u32,
    /// When it fired last.
    pub fired_at: Option<DateTime<Utc>>,
    /// When somebody said that they know.
    pub acknowledged_at: Option<DateTime<Utc>>,
    /// When what was wrong was seen to be right.
    pub closed_at: Option<DateTime<Utc>>,
    /// The delivery that is due now, the oldest first.
    pub due: Option<Due>,
    /// How long until the next pending delivery is due; `None` where none is pending.
    pub next_in: Option<Duration>,
}

/// What a step of a notice leaves behind.
#[derive(Debug, Clone)]
pub enum Write {
    /// The alert fires: these deliveries are pending from now on, older ones are given up for them.
    Fire {
        /// Which alert.
        alert: AlertId,
        /// Which firing.
        firing: u32,
        /// One a carrier.
        deliveries: Vec<(DeliveryId, Carrier)>,
    },
    /// A delivery was tried.
    Tried {
        /// Which, as it was before.
        due: Due,
        /// What the other side said, in words.
        outcome: Result<String, String>,
    },
    /// What is pending is not tried any more.
    Drop {
        /// Which alert.
        alert: AlertId,
        /// Why: given up, or not needed.
        state: DeliveryState,
    },
}

/// The alert of a notice with what is due. One statement.
pub async fn read(tx: &mut SystemTx, alert: AlertId) -> Result<Option<Told>, StoreError> {
    let row = sqlx::query!(
        r#"select a.kind, a.severity, a.subject, a.message, a.opened_at, a.seen_at, a.sightings, a.fired_at,
                  a.acknowledged_at, a.closed_at,
                  d.id as "due_id?", d.firing as "due_firing?", d.carrier as "due_channel?", d.tries as "due_tries?",
                  (select extract(epoch from min(p.next_at) - berth.now())::float8
                   from alert_deliveries p
                   where p.alert_id = a.id and p.state = 'pending') as next_in
           from alerts a
           left join lateral (
               select id, firing, carrier, tries
               from alert_deliveries
               where alert_id = a.id and state = 'pending' and next_at <= berth.now()
               order by next_at, id
               limit 1
           ) d on true
           where a.id = $1"#,
        alert.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let Some(row) = row else { return Ok(None) };
    let due = match (row.due_id, row.due_firing, row.due_channel, row.due_tries) {
        (Some(id), Some(firing), Some(carrier), Some(tries)) => Some(Due {
            id: DeliveryId::from_uuid(id),
            firing: count(firing),
            carrier: word("alert_deliveries", "carrier", &carrier, Carrier::parse)?,
            tries: count(tries),
        }),
        _ => None,
    };
    Ok(Some(Told {
        id: alert,
        kind: word("alerts", "kind", &row.kind, AlertKind::parse)?,
        severity: word("alerts", "severity", &row.severity, Severity::parse)?,
        subject: row.subject,
        message: row.message,
        opened_at: row.opened_at,
        seen_at: row.seen_at,
        sightings: count(row.sightings),
        fired_at: row.fired_at,
        acknowledged_at: row.acknowledged_at,
        closed_at: row.closed_at,
        due,
        next_in: row.next_in.map(|s| Duration::try_from_secs_f64(s.max(0.0)).unwrap_or_default()),
    }))
}

/// Writes what a step left behind. Twice is once.
pub async fn write(tx: &mut SystemTx, write: &Write) -> Result<(), StoreError> {
    match write {
        Write::Fire { alert, firing, deliveries } => fire(tx, *alert, *firing, deliveries).await,
        Write::Tried { due, outcome } => tried(tx, due, outcome).await,
        Write::Drop { alert, state } => drop_pending(tx, *alert, *state, i32::MAX).await,
    }
}

async fn fire(
    tx: &mut SystemTx,
    alert: AlertId,
    firing: u32,
    deliveries: &[(DeliveryId, Carrier)],
) -> Result<(), StoreError> {
    let firing = i32::try_from(firing).unwrap_or(i32::MAX);
    drop_pending(tx, alert, DeliveryState::GivenUp, firing).await?;
    let ids: Vec<_> = deliveries.iter().map(|(id, _)| id.uuid()).collect();
    let carriers: Vec<_> = deliveries.iter().map(|(_, carrier)| carrier.name().to_owned()).collect();
    sqlx::query!(
        "insert into alert_deliveries (id, alert_id, firing, carrier)
         select id, $2, $3, carrier from unnest($1::uuid[], $4::text[]) as new (id, carrier)
         on conflict (alert_id, firing, carrier) do nothing",
        &ids,
        alert.uuid(),
        firing,
        &carriers,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!(
        "update alerts set firings = $2, fired_at = berth.now() where id = $1 and firings < $2",
        alert.uuid(),
        firing,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

async fn tried(tx: &mut SystemTx, due: &Due, outcome: &Result<String, String>) -> Result<(), StoreError> {
    let state = if outcome.is_ok() { DeliveryState::Delivered } else { DeliveryState::Pending };
    let tries = due.tries.saturating_add(1);
    let (Ok(words) | Err(words)) = outcome;
    sqlx::query!(
        "update alert_deliveries
         set state = $2, tries = $3, outcome = $4,
             next_at = berth.now() + make_interval(secs => $5),
             ended_at = case when $2 = 'pending' then null else berth.now() end
         where id = $1 and state = 'pending'",
        due.id.uuid(),
        state.name(),
        i32::try_from(tries).unwrap_or(i32::MAX),
        words,
        try_again_after(tries).as_secs_f64(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Of the firings before this one.
async fn drop_pending(tx: &mut SystemTx, alert: AlertId, state: DeliveryState, before: i32) -> Result<(), StoreError> {
    sqlx::query!(
        "update alert_deliveries
         set state = $2, ended_at = berth.now()
         where alert_id = $1 and state = 'pending' and firing < $3",
        alert.uuid(),
        state.name(),
        before,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

pub(crate) fn count(number: i32) -> u32 {
    u32::try_from(number).unwrap_or_default()
}
