//! The pool as an operator reads it: what there is, what was taken, and each spare. One statement each.

use chrono::{DateTime, Utc};
use domain::{AlertId, MachineId};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError, house::id};

/// What there is now, and what happened within a day.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PoolStats {
    /// Spares that an agent may take: ready, and of the current image.
    pub ready: i64,
    /// In the making.
    pub making: i64,
    /// On their way out, or ready and of another image.
    pub leaving: i64,
    /// Spares that agents took within 24 hours.
    pub claimed: i64,
    /// Machines made for an agent within 24 hours because no spare was ready.
    pub missed: i64,
    /// The open alert that says that spares fail.
    pub alert: Option<AlertId>,
    /// The database's time of looking.
    pub now: DateTime<Utc>,
}

/// A spare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpareView {
    /// Its machine.
    pub machine: MachineId,
    /// What it was made from.
    pub image: String,
    /// `making`, `ready`, `retiring`.
    pub state: String,
    /// When it was reserved.
    pub created_at: DateTime<Utc>,
    /// When it became ready.
    pub ready_at: Option<DateTime<Utc>>,
}

/// Counts for this image.
pub async fn stats(tx: &mut SystemTx, image: &str) -> Result<PoolStats, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) filter (where state = 'ready' and image = $1) as "ready!",
                  count(*) filter (where state = 'making') as "making!",
                  count(*) filter (where state = 'retiring' or (state = 'ready' and image <> $1)) as "leaving!",
                  (select count(*) from machines where claimed_at > berth.now() - interval '1 day') as "claimed!",
                  (select count(*) from machines
                   where agent_id is not null and claimed_at is null
                     and created_at > berth.now() - interval '1 day') as "missed!",
                  (select id from alerts where key = 'pool_low' and closed_at is null) as alert,
                  berth.now() as "now!"
           from spares"#,
        image,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(PoolStats {
        ready: row.ready,
        making: row.making,
        leaving: row.leaving,
        claimed: row.claimed,
        missed: row.missed,
        alert: id(row.alert),
        now: row.now,
    })
}

/// A page of spares, newest first.
pub async fn spares(tx: &mut SystemTx, after: Option<MachineId>, limit: i64) -> Result<Vec<SpareView>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select machine_id, image, state, created_at, ready_at
         from spares
         where $1::uuid is null or machine_id < $1
         order by machine_id desc
         limit $2",
        after.map(MachineId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let spares = rows.into_iter().map(|row| SpareView {
        machine: MachineId::from_uuid(row.machine_id),
        image: row.image,
        state: row.state,
        created_at: row.created_at,
        ready_at: row.ready_at,
    });
    Ok(spares.collect())
}

struct Row {
    machine_id: Uuid,
    image: String,
    state: String,
    created_at: DateTime<Utc>,
    ready_at: Option<DateTime<Utc>>,
}
