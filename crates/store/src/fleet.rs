//! All machines at once, in slices that fit in memory.

use std::net::{AddrParseError, IpAddr};

use chrono::{DateTime, Utc};
use domain::{AgentId, MachineId, machine::Health};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError, house::id};

/// How many living machines there are.
pub async fn living(tx: &mut SystemTx) -> Result<u64, StoreError> {
    let machines = sqlx::query_scalar!(r#"select count(*) as "machines!" from machines where gone_at is null"#)
        .fetch_one(tx.conn())
        .await?;
    Ok(machines.unsigned_abs())
}

/// Where each slice of this many living machines ends; the last one has no end.
pub async fn slices(tx: &mut SystemTx, size: u32) -> Result<Vec<MachineId>, StoreError> {
    let ends = sqlx::query_scalar!(
        "select id from (select id, row_number() over (order by id) as place from machines where gone_at is null) m
         where place % $1 = 0 order by id",
        i64::from(size),
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ends.into_iter().map(MachineId::from_uuid).collect())
}

/// A machine that should be answering: what is needed to ask it, and no key of it. Of these there are many at once.
#[derive(Debug)]
pub struct Expected {
    /// The machine.
    pub id: MachineId,
    /// Whose flow to tell if it does not answer; none for a spare, which has a flow of its own.
    pub agent: Option<AgentId>,
    /// Where its sshd listens, once known.
    pub address: Option<IpAddr>,
    /// What it must show.
    pub host_key: String,
}

/// What one slice holds.
#[derive(Debug)]
pub struct Slice {
    /// Living machines in it.
    pub machines: u64,
    /// Those that should be answering: their agent is live, or they are spares that may be claimed.
    pub expected: Vec<Expected>,
}

/// The living machines after `after` up to and with `until`.
pub async fn slice(tx: &mut SystemTx, after: Option<MachineId>, until: Option<MachineId>) -> Result<Slice, StoreError> {
    // Plain bounds, so that a prepared plan walks the index; no id is the first or the last possible one.
    let after = after.map_or(Uuid::nil(), MachineId::uuid);
    let until = until.map_or(Uuid::max(), MachineId::uuid);
    let machines = sqlx::query_scalar!(
        r#"select count(*) as "machines!" from machines where gone_at is null and id > $1 and id <= $2"#,
        after,
        until,
    )
    .fetch_one(tx.conn())
    .await?;
    let rows = sqlx::query!(
        "select id, agent_id, address, host_key
         from machines
         where gone_at is null and id > $1 and id <= $2
           and (exists (select from flows
                        where kind = 'life' and subject = machines.agent_id and step ->> 'step' = 'live')
                or exists (select from spares where machine_id = machines.id and spares.state = 'ready'))
         order by id",
        after,
        until,
    )
    .fetch_all(tx.conn())
    .await?;
    let expected = rows.into_iter().map(|row| {
        let address = row.address.as_deref().map(str::parse).transpose();
        let address = address.map_err(|error: AddrParseError| StoreError::corrupt("machines", "address", error))?;
        Ok(Expected { id: MachineId::from_uuid(row.id), agent: id(row.agent_id), address, host_key: row.host_key })
    });
    Ok(Slice { machines: machines.unsigned_abs(), expected: expected.collect::<Result<_, StoreError>>()? })
}

/// The machines that a provider could rightly hold at `then`: those that were not gone by that time.
///
/// A machine is written down as gone after its destruction, so one that a later listing still shows and that was
/// gone before is not rightly there.
pub async fn rightful(tx: &mut SystemTx, then: DateTime<Utc>) -> Result<Vec<MachineId>, StoreError> {
    let ids = sqlx::query_scalar!("select id from machines where gone_at is null or gone_at > $1", then)
        .fetch_all(tx.conn())
        .await?;
    Ok(ids.into_iter().map(MachineId::from_uuid).collect())
}

/// What a sweep saw of machines: written where it changed, in one statement.
pub async fn report_health(tx: &mut SystemTx, seen: &[(MachineId, Health)]) -> Result<(), StoreError> {
    let (machines, health): (Vec<Uuid>, Vec<String>) =
        seen.iter().map(|(machine, health)| (machine.uuid(), health.name().to_owned())).unzip();
    sqlx::query!(
        "update machines set health = seen.health, health_at = (select berth.now())
         from unnest($1::uuid[], $2::text[]) as seen (id, health)
         where machines.id = seen.id and machines.health <> seen.health and machines.gone_at is null",
        &machines,
        &health,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
