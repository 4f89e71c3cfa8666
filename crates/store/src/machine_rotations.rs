//! Rotations: a machine's next gateway token and machine key, beside those in force until it holds them.
//!
//! A rotation is a few columns of the machine's row. Asked for, it waits for its turn ([`ask`], [`ask_some`]); with the
//! next delivery its keys are made and lie there sealed ([`begin`]); once the machine was seen to hold them they take
//! the place of the old ones ([`end`]), which are then nowhere any more. The fence grows when they are made, so what
//! was sent with the old ones comes too late from then on.

use chrono::{DateTime, Utc};
use domain::{AgentId, MachineId};
use uuid::Uuid;
use vault::Sealed;

use crate::{
    db::{SystemTx, TenantTx},
    error::StoreError,
    house::sealed,
};

/// A machine's rotation, and how old its keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// Not before; `None` where nobody asked for one.
    pub due_at: Option<DateTime<Utc>>,
    /// Whether the next keys are made, and may have been sent.
    pub has_begun: bool,
    /// When the gateway token in force was made.
    pub token_made_at: DateTime<Utc>,
}

/// The next keys of a machine, each bound to its own column.
#[derive(Debug, Clone)]
pub struct NextKeys {
    /// The gateway's token.
    pub gateway_token: Sealed,
    /// What seals secrets at rest on the machine.
    pub machine_key: Sealed,
}

/// What a delivery takes along, read after its fence was taken.
#[derive(Debug)]
pub struct KeysNow {
    /// The gateway token in force.
    pub gateway_token: Sealed,
    /// The ones that are to take the place of those in force.
    pub next: Option<NextKeys>,
    /// How far a rotation is.
    pub rotation: Rotation,
}

/// The keys of a machine and its rotation. [`crate::machines::want`] in the same transaction has locked the row.
pub async fn keys(tx: &mut SystemTx, machine: MachineId) -> Result<KeysNow, StoreError> {
    let row = sqlx::query!(
        r#"select gateway_token_sealed, gateway_token_next_sealed, machine_key_next_sealed, rotation_due_at,
                  coalesce(gateway_token_replaced_at, created_at) as "token_made_at!"
           from machines where id = $1"#,
        machine.uuid(),
    )
    .fetch_one(tx.conn())
    .await?;
    let next = match (row.gateway_token_next_sealed, row.machine_key_next_sealed) {
        (Some(token), Some(key)) => Some(NextKeys {
            gateway_token: sealed("machines", "gateway_token_next_sealed", &token)?,
            machine_key: sealed("machines", "machine_key_next_sealed", &key)?,
        }),
        _ => None,
    };
    let has_begun = next.is_some();
    Ok(KeysNow {
        gateway_token: sealed("machines", "gateway_token_sealed", &row.gateway_token_sealed)?,
        next,
        rotation: Rotation { due_at: row.rotation_due_at, has_begun, token_made_at: row.token_made_at },
    })
}

/// Keeps the next keys, before they are sent, and takes the next fence for them. The row is locked, and has none yet.
pub async fn begin(tx: &mut SystemTx, machine: MachineId, next: &NextKeys) -> Result<u64, StoreError> {
    let fence = sqlx::query_scalar!(
        "update machines
         set gateway_token_next_sealed = $2, machine_key_next_sealed = $3, fence = fence + 1,
             rotation_asked_at = coalesce(rotation_asked_at, berth.now()),
             rotation_due_at = coalesce(rotation_due_at, berth.now())
         where id = $1 and gateway_token_next_sealed is null
         returning fence",
        machine.uuid(),
        next.gateway_token.to_bytes(),
        next.machine_key.to_bytes(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(u64::try_from(fence).unwrap_or_default())
}

/// The next keys, sealed for the place of those in force, which they take.
#[derive(Debug)]
pub struct Taken {
    /// As it was sent: another one than the row's means that somebody else ended this rotation.
    pub sent: Sealed,
    /// The gateway's token.
    pub gateway_token: Sealed,
    /// What seals secrets at rest on the machine; `None` where it keeps the one that it has.
    pub machine_key: Option<Sealed>,
}

/// The machine was seen to hold the next keys: they are the ones in force, and the old ones are forgotten.
pub async fn end(tx: &mut SystemTx, machine: MachineId, taken: &Taken) -> Result<(), StoreError> {
    let machine_key = taken.machine_key.as_ref().map(Sealed::to_bytes);
    sqlx::query!(
        "update machines
         set gateway_token_sealed = $3, gateway_token_replaced_at = berth.now(),
             machine_key_sealed = coalesce($4, machine_key_sealed),
             machine_key_replaced_at = case when $4::bytea is null then machine_key_replaced_at else berth.now() end,
             gateway_token_next_sealed = null, machine_key_next_sealed = null,
             rotation_asked_at = null, rotation_due_at = null
         where id = $1 and gateway_token_next_sealed = $2 and gone_at is null",
        machine.uuid(),
        taken.sent.to_bytes(),
        taken.gateway_token.to_bytes(),
        machine_key,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Asks for one of an agent's machine, at once. `false`: it has no machine. One that is on its way stays the same one.
pub async fn ask(tx: &mut TenantTx, agent: AgentId) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let asked = sqlx::query!(
        "update machines
         set rotation_asked_at = coalesce(rotation_asked_at, berth.now()),
             rotation_due_at = least(rotation_due_at, berth.now())
         where agent_id = $1 and tenant_id = $2 and gone_at is null",
        agent.uuid(),
        tenant.uuid(),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    Ok(asked.rows_affected() > 0)
}

/// Agents that are asked in one transaction.
const BATCH: i64 = 500;

/// Some machines that were asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Asked {
    /// How many were not asked before.
    pub fresh: u64,
    /// How many agents with a machine were looked at.
    pub looked_at: usize,
    /// The last agent of them, after which to go on.
    pub last: Option<Uuid>,
}

/// Asks for the machines of agents after this one, or for those of one agent alone. Each waits for its turn: the first
/// one after `ahead` others, `per_minute` of them a minute. Whoever was asked before keeps its turn, or gets an earlier
/// one. Agents that are being deleted are passed over.
pub async fn ask_some(
    tx: &mut SystemTx,
    (only, after): (Option<AgentId>, Uuid),
    ahead: u64,
    per_minute: u32,
) -> Result<Asked, StoreError> {
    // The flow before what it is about, as in `order`; in the order of their ids, so that two who ask do not wait for
    // each other.
    let agents = sqlx::query_scalar!(
        "select f.subject
         from flows f
         where f.kind = 'life' and not f.removal_asked and f.subject > $1 and ($2::uuid is null or f.subject = $2)
           and exists (select from machines m where m.agent_id = f.subject and m.gone_at is null)
         order by f.subject
         limit $3
         for update of f",
        after,
        only.map(AgentId::uuid),
        BATCH,
    )
    .fetch_all(tx.conn())
    .await?;
    let asked = sqlx::query!(
        r#"with turns as (
             select id, rotation_asked_at is null as fresh,
                    berth.now() + make_interval(secs => ($2 + row_number() over (order by agent_id) - 1)::float8 * 60 / $3) as due
             from machines
             where agent_id = any ($1) and gone_at is null
         )
         update machines m
         set rotation_asked_at = coalesce(m.rotation_asked_at, berth.now()),
             rotation_due_at = least(m.rotation_due_at, turns.due)
         from turns
         where m.id = turns.id
         returning turns.fresh as "fresh!""#,
        &agents,
        i64::try_from(ahead).unwrap_or(i64::MAX),
        f64::from(per_minute.max(1)),
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!(
        "update flows f
         set wakes = f.wakes + 1, run_at = least(f.run_at, m.rotation_due_at)
         from machines m
         where f.kind = 'life' and f.subject = m.agent_id and m.agent_id = any ($1) and m.gone_at is null",
        &agents,
    )
    .execute(tx.conn())
    .await?;
    tx.note_work();
    let fresh = asked.iter().filter(|row| row.fresh).count();
    Ok(Asked {
        fresh: u64::try_from(fresh).unwrap_or(u64::MAX),
        looked_at: agents.len(),
        last: agents.last().copied().filter(|_| only.is_none()),
    })
}

/// How far the rotations of all agents' machines are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// Asked for and not ended.
    pub left: i64,
    /// Of these: their turn has not come.
    pub waiting: i64,
    /// Of these: the next keys are made, and may have been sent.
    pub begun: i64,
    /// Of these: of agents that are stopped or have failed, and get them when they start.
    pub at_rest: i64,
    /// Machines of agents.
    pub machines: i64,
    /// When the oldest gateway token in force was made.
    pub oldest_token: Option<DateTime<Utc>>,
    /// When the oldest machine key in force was made.
    pub oldest_key: Option<DateTime<Utc>>,
}

/// Counts them.
pub async fn standing(tx: &mut SystemTx) -> Result<Standing, StoreError> {
    Ok(sqlx::query_as!(
        Standing,
        r#"select count(m.rotation_asked_at) as "left!",
                  count(*) filter (where m.rotation_due_at > berth.now() and m.machine_key_next_sealed is null) as "waiting!",
                  count(m.machine_key_next_sealed) as "begun!",
                  count(*) filter (where m.rotation_asked_at is not null and f.step ->> 'step' in ('stopped', 'failed')) as "at_rest!",
                  count(*) as "machines!",
                  min(coalesce(m.gateway_token_replaced_at, m.created_at)) as oldest_token,
                  min(coalesce(m.machine_key_replaced_at, m.created_at)) as oldest_key
           from machines m
           left join flows f on f.kind = 'life' and f.subject = m.agent_id
           where m.agent_id is not null and m.gone_at is null"#,
    )
    .fetch_one(tx.conn())
    .await?)
}

/// A machine's keys as an operator sees them.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeyAges {
    /// Whose machine.
    pub agent: AgentId,
    /// Which.
    pub machine: MachineId,
    /// When its gateway token was made.
    pub token_made_at: DateTime<Utc>,
    /// When its machine key was made.
    pub key_made_at: DateTime<Utc>,
    /// Since when a rotation is asked for.
    pub asked_at: Option<DateTime<Utc>>,
    /// When its turn comes.
    pub due_at: Option<DateTime<Utc>>,
    /// Where its agent's life is.
    pub step: Option<String>,
}

/// The keys of one agent's machine, or of every machine that has a rotation before it, the first turn first.
pub async fn ages(tx: &mut SystemTx, agent: Option<AgentId>, limit: i64) -> Result<Vec<KeyAges>, StoreError> {
    let rows = sqlx::query!(
        r#"select m.agent_id as "agent!", m.id, m.rotation_asked_at, m.rotation_due_at, f.step ->> 'step' as step,
                  coalesce(m.gateway_token_replaced_at, m.created_at) as "token_made_at!",
                  coalesce(m.machine_key_replaced_at, m.created_at) as "key_made_at!"
           from machines m
           left join flows f on f.kind = 'life' and f.subject = m.agent_id
           where m.gone_at is null and m.agent_id is not null
             and case when $1::uuid is null then m.rotation_asked_at is not null else m.agent_id = $1 end
           order by m.rotation_due_at, m.id
           limit $2"#,
        agent.map(AgentId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let ages = rows.into_iter().map(|row| KeyAges {
        agent: AgentId::from_uuid(row.agent),
        machine: MachineId::from_uuid(row.id),
        token_made_at: row.token_made_at,
        key_made_at: row.key_made_at,
        asked_at: row.rotation_asked_at,
        due_at: row.rotation_due_at,
        step: row.step,
    });
    Ok(ages.collect())
}
