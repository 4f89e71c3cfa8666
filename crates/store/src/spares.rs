//! Spares: machines that wait for an agent.
//!
//! A spare's row is made together with its machine's and deleted by the claim
//! or the retirement, whichever comes first; none ever comes back. So no machine
//! is given twice, and none that is about to be destroyed is given at all.

use chrono::{DateTime, Utc};
use domain::{AgentId, MachineId, TenantId};
use uuid::Uuid;

use crate::{
    db::SystemTx,
    error::StoreError,
    machines::{NewMachine, reserve},
};

/// Reserves a machine without an agent, as a spare in the making.
pub async fn make(tx: &mut SystemTx, machine: &NewMachine<'_>) -> Result<(), StoreError> {
    reserve(tx, machine).await?;
    sqlx::query!(
        "insert into spares (machine_id, image, state) values ($1, $2, 'making')",
        machine.id.uuid(),
        machine.image,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The spare has answered a turn: it may be claimed.
pub async fn ready(tx: &mut SystemTx, machine: MachineId) -> Result<(), StoreError> {
    sqlx::query!(
        "update spares set state = 'ready', ready_at = berth.now() where machine_id = $1 and state = 'making'",
        machine.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Gives the spare that waited longest to this agent, in one statement. `None`: none is ready.
///
/// The index `machines_of_agent` refuses a second living machine for an agent.
pub async fn claim(
    tx: &mut SystemTx,
    tenant: TenantId,
    agent: AgentId,
    image: &str,
) -> Result<Option<MachineId>, StoreError> {
    let machine = sqlx::query_scalar!(
        "with taken as (
             delete from spares
             where machine_id = (select machine_id from spares
                                 where state = 'ready' and image = $3
                                 order by ready_at limit 1
                                 for update skip locked)
             returning machine_id
         )
         update machines set tenant_id = $1, agent_id = $2, claimed_at = berth.now()
         from taken
         where machines.id = taken.machine_id and machines.gone_at is null
         returning machines.id",
        tenant.uuid(),
        agent.uuid(),
        image,
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(machine.map(MachineId::from_uuid))
}

/// Takes a spare out of reach of every claim, before it is destroyed. `false`: it is somebody's now, or gone.
pub async fn retire(tx: &mut SystemTx, machine: MachineId) -> Result<bool, StoreError> {
    let done = sqlx::query!("update spares set state = 'retiring' where machine_id = $1", machine.uuid())
        .execute(tx.conn())
        .await?;
    Ok(done.rows_affected() == 1)
}

/// Forgets a spare that was destroyed.
pub async fn forget(tx: &mut SystemTx, machine: MachineId) -> Result<(), StoreError> {
    sqlx::query!("delete from spares where machine_id = $1 and state = 'retiring'", machine.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// A spare.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Spare {
    /// Its machine.
    pub machine: MachineId,
    /// The image it was made from.
    pub image: String,
    /// `making`, `ready`, `retiring`.
    pub state: String,
    /// When it was reserved.
    pub created_at: DateTime<Utc>,
    /// When it became ready.
    pub ready_at: Option<DateTime<Utc>>,
}

/// Every spare, oldest first.
pub async fn all(tx: &mut SystemTx) -> Result<Vec<Spare>, StoreError> {
    let rows = sqlx::query!("select machine_id, image, state, created_at, ready_at from spares order by created_at")
        .fetch_all(tx.conn())
        .await?;
    let spares = rows.into_iter().map(|row| Spare {
        machine: MachineId::from_uuid(row.machine_id),
        image: row.image,
        state: row.state,
        created_at: row.created_at,
        ready_at: row.ready_at,
    });
    Ok(spares.collect())
}

/// How many spares of this image are ready, how many are in the making, and how many were claimed lately.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Stock {
    /// May be claimed.
    pub ready: i64,
    /// Will be.
    pub making: i64,
    /// Claimed within the last ten minutes.
    pub claimed: i64,
    /// Whether one was claimed within the last three seconds.
    pub given_away_now: bool,
}

/// The stock of one image.
pub async fn stock(tx: &mut SystemTx, image: &str) -> Result<Stock, StoreError> {
    let row = sqlx::query!(
        r#"select count(*) filter (where state = 'ready') as "ready!",
                  count(*) filter (where state = 'making') as "making!",
                  (select count(*) from machines where claimed_at > berth.now() - interval '10 minutes') as "claimed!",
                  exists (select from machines where claimed_at > berth.now() - interval '3 seconds') as "given_away_now!"
           from spares where image = $1"#,
        image,
    )
    .fetch_one(tx.conn())
    .await?;
    let given_away_now = row.given_away_now;
    Ok(Stock { ready: row.ready, making: row.making, claimed: row.claimed, given_away_now })
}

/// Spares of other images than this one that are not on their way out, and the youngest `surplus` ready ones of it.
pub async fn to_retire(tx: &mut SystemTx, image: &str, surplus: i64) -> Result<Vec<Uuid>, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"(select machine_id as "id!" from spares where image <> $1 and state <> 'retiring')
           union all
           (select machine_id from spares where image = $1 and state = 'ready' order by ready_at desc limit $2)"#,
        image,
        surplus,
    )
    .fetch_all(tx.conn())
    .await?)
}
