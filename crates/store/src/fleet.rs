//! All machines at once, in slices that fit in memory.

use std::collections::BTreeSet;

use chrono::{DateTime, Utc};
use domain::{MachineId, machine::Health};
use uuid::Uuid;

use crate::{
    db::SystemTx,
    error::StoreError,
    machines::{Machine, Row, read_row},
};

/// Where each slice of this many living machines ends; the last one has no end.
pub async fn slices(tx: &mut SystemTx, size: i64) -> Result<Vec<MachineId>, StoreError> {
    let ends = sqlx::query_scalar!(
        "select id from (select id, row_number() over (order by id) as place from machines where gone_at is null) m
         where place % $1 = 0 order by id",
        size,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(ends.into_iter().map(MachineId::from_uuid).collect())
}

/// A machine that should be answering, and whose flow to tell if it does not.
#[derive(Debug)]
pub struct Expected {
    /// The machine.
    pub machine: Machine,
    /// Whether it is a spare.
    pub spare: bool,
}

/// What one slice holds.
#[derive(Debug)]
pub struct Slice {
    /// Living machines in it.
    pub machines: i64,
    /// Those that should be answering: their agent is live, or they are spares that may be claimed.
    pub expected: Vec<Expected>,
}

/// The living machines after `after` up to and with `until`.
pub async fn slice(tx: &mut SystemTx, after: Option<MachineId>, until: Option<MachineId>) -> Result<Slice, StoreError> {
    let (after, until) = (after.map(MachineId::uuid), until.map(MachineId::uuid));
    let machines = sqlx::query_scalar!(
        r#"select count(*) as "machines!" from machines
           where gone_at is null and ($1::uuid is null or id > $1) and ($2::uuid is null or id <= $2)"#,
        after,
        until,
    )
    .fetch_one(tx.conn())
    .await?;
    let rows = sqlx::query_as!(
        Row,
        "select id, tenant_id, agent_id, isolation, image, state, address, host_key, host_key_sealed,
                machine_key_sealed, machine_token_sealed, gateway_token_sealed, model_key_sealed, fence, digest,
                in_force, guest, created_at
         from machines
         where gone_at is null and ($1::uuid is null or id > $1) and ($2::uuid is null or id <= $2)
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
        let spare = row.agent_id.is_none();
        Ok(Expected { machine: read_row(row)?, spare })
    });
    Ok(Slice { machines, expected: expected.collect::<Result<_, StoreError>>()? })
}

/// The machines that a provider could rightly hold at `then`: those that were not gone by that time.
///
/// A machine is written down as gone after its destruction, so one that a later listing still shows and that was
/// gone before is not rightly there.
pub async fn rightful(tx: &mut SystemTx, then: DateTime<Utc>) -> Result<BTreeSet<MachineId>, StoreError> {
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
        "update machines set health = seen.health, health_at = berth.now()
         from unnest($1::uuid[], $2::text[]) as seen (id, health)
         where machines.id = seen.id and machines.health <> seen.health and machines.gone_at is null",
        &machines,
        &health,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
