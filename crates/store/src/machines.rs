//! Machines and the keys that Berth made for them.

use domain::{
    AgentId, MachineId, TenantId,
    machine::{Isolation, MachineSize},
    model::Micros,
    protocol::{Hello, InForce},
};
use serde_json::Value;
use uuid::Uuid;
use vault::{Sealed, TokenHash};

use crate::{
    db::{SystemTx, TenantTx},
    error::{StoreError, json, read},
    house::{id, sealed},
    machine_rotations::Rotation,
    plans::machine_size,
};

/// The sealed halves of a machine's row, each bound to its own column.
#[derive(Debug, Clone)]
pub struct MachineKeys {
    /// OpenSSH private host key.
    pub host_key: Sealed,
    /// Seals secrets at rest on the machine.
    pub machine_key: Sealed,
    /// The machine calling home.
    pub machine_token: Sealed,
    /// The gateway's token.
    pub gateway_token: Sealed,
    /// The model route's virtual key.
    pub model_key: Sealed,
}

/// A machine that is about to exist.
#[derive(Debug)]
pub struct NewMachine<'a> {
    /// Its id, from which its name at the provider is made.
    pub id: MachineId,
    /// Whose it is, and for which agent; none for a spare.
    pub owner: Option<(TenantId, AgentId)>,
    /// `incus`.
    pub provider: &'a str,
    /// What keeps it from others.
    pub isolation: Isolation,
    /// Image alias at the provider.
    pub image: &'a str,
    /// `ssh-ed25519 …`: what the machine must show.
    pub host_key: &'a str,
    /// The sealed halves.
    pub keys: &'a MachineKeys,
    /// To recognise it when it calls home.
    pub machine_token: TokenHash,
    /// To recognise it at the model route.
    pub model_key: TokenHash,
}

/// A machine as stored.
#[derive(Debug, Clone)]
pub struct Machine {
    /// Which.
    pub id: MachineId,
    /// Whose; none for a spare.
    pub tenant: Option<TenantId>,
    /// Whose; none for a spare.
    pub agent: Option<AgentId>,
    /// What keeps it from others.
    pub isolation: Isolation,
    /// Image alias at the provider.
    pub image: String,
    /// `reserved`, `made`, `gone`.
    pub state: String,
    /// Where its sshd listens, once known.
    pub address: Option<std::net::IpAddr>,
    /// What it must show.
    pub host_key: String,
    /// The sealed halves.
    pub keys: MachineKeys,
    /// Of the configuration sent last.
    pub fence: u64,
    /// Digest of the configuration wanted at that fence.
    pub digest: Option<String>,
    /// The version of its agent's credentials that went with that fence.
    pub credentials: u64,
    /// What the gateway reported last.
    pub in_force: Option<InForce>,
    /// What the machine said of itself last.
    pub guest: Option<Hello>,
    /// When its row was made.
    pub created_at: chrono::DateTime<chrono::Utc>,
    /// Whether its token and key are to be replaced, and how old they are.
    pub rotation: Rotation,
    /// How large it is.
    pub size: MachineSize,
    /// How large its tenant's plan has it, now.
    pub wanted_size: MachineSize,
}

/// Reserves a machine. The index `machines_of_agent` refuses a second living one for an agent.
pub async fn reserve(tx: &mut SystemTx, machine: &NewMachine<'_>) -> Result<(), StoreError> {
    let NewMachine { keys, .. } = machine;
    sqlx::query!(
        "insert into machines (id, tenant_id, agent_id, provider, isolation, image, state, host_key, host_key_sealed,
                               machine_key_sealed, machine_token_sealed, machine_token_hash, gateway_token_sealed,
                               model_key_sealed, model_key_hash)
         values ($1, $2, $3, $4, $5, $6, 'reserved', $7, $8, $9, $10, $11, $12, $13, $14)",
        machine.id.uuid(),
        machine.owner.map(|(tenant, _)| tenant.uuid()),
        machine.owner.map(|(_, agent)| agent.uuid()),
        machine.provider,
        isolation_word(machine.isolation),
        machine.image,
        machine.host_key,
        keys.host_key.to_bytes(),
        keys.machine_key.to_bytes(),
        keys.machine_token.to_bytes(),
        &machine.machine_token.bytes()[..],
        keys.gateway_token.to_bytes(),
        keys.model_key.to_bytes(),
        &machine.model_key.bytes()[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A living machine; one that is gone has no keys any more and is `None`.
pub async fn by_id(tx: &mut SystemTx, machine: MachineId) -> Result<Option<Machine>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select m.id, m.tenant_id, m.agent_id, isolation, image, state, address, host_key, host_key_sealed,
                machine_key_sealed, machine_token_sealed, gateway_token_sealed, model_key_sealed, fence, digest,
                in_force, guest, m.created_at, credentials, rotation_due_at,
                gateway_token_next_sealed is not null as "rotation_begun!",
                coalesce(gateway_token_replaced_at, m.created_at) as "token_made_at!",
                m.cpus, m.memory_mib, p.cpus as "plan_cpus?", p.memory_mib as "plan_memory_mib?"
         from machines m
         left join billing b on b.tenant_id = m.tenant_id
         left join plans p on p.plan = berth.plan_of(b, berth.now())
         where m.id = $1 and gone_at is null"#,
        machine.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(read_row).transpose()
}

/// The living machine of an agent.
pub async fn of_agent(tx: &mut SystemTx, agent: AgentId) -> Result<Option<Machine>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select m.id, m.tenant_id, m.agent_id, isolation, image, state, address, host_key, host_key_sealed,
                machine_key_sealed, machine_token_sealed, gateway_token_sealed, model_key_sealed, fence, digest,
                in_force, guest, m.created_at, credentials, rotation_due_at,
                gateway_token_next_sealed is not null as "rotation_begun!",
                coalesce(gateway_token_replaced_at, m.created_at) as "token_made_at!",
                m.cpus, m.memory_mib, p.cpus as "plan_cpus?", p.memory_mib as "plan_memory_mib?"
         from machines m
         left join billing b on b.tenant_id = m.tenant_id
         left join plans p on p.plan = berth.plan_of(b, berth.now())
         where m.agent_id = $1 and gone_at is null"#,
        agent.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(read_row).transpose()
}

/// The tenant's agents whose machines are of another size than its plan has them.
pub async fn misfits(tx: &mut TenantTx) -> Result<Vec<AgentId>, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let rows = sqlx::query_scalar!(
        r#"select m.agent_id as "agent!" from machines m
           left join billing b on b.tenant_id = m.tenant_id
           left join plans p on p.plan = berth.plan_of(b, berth.now())
           where m.tenant_id = $1 and m.gone_at is null and m.agent_id is not null
             and (m.cpus, m.memory_mib) is distinct from (p.cpus, p.memory_mib)
           order by m.agent_id"#,
        tenant.uuid(),
    )
    .fetch_all(conn)
    .await?;
    tx.leave_house().await?;
    Ok(rows.into_iter().map(AgentId::from_uuid).collect())
}

/// The machine was made and has this address.
pub async fn made(tx: &mut SystemTx, machine: MachineId, address: Option<std::net::IpAddr>) -> Result<(), StoreError> {
    sqlx::query!(
        "update machines set state = 'made', address = coalesce($2, address) where id = $1 and state <> 'gone'",
        machine.uuid(),
        address.map(|address| address.to_string()),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The machine was seen to be gone: its keys are destroyed with it, its row stays as a tombstone.
pub async fn gone(tx: &mut SystemTx, machine: MachineId) -> Result<(), StoreError> {
    sqlx::query!(
        "update machines
         set state = 'gone', gone_at = berth.now(), host_key_sealed = '', machine_key_sealed = '',
             machine_token_sealed = '', gateway_token_sealed = '', model_key_sealed = '',
             machine_key_next_sealed = null, gateway_token_next_sealed = null,
             rotation_asked_at = null, rotation_due_at = null
         where id = $1 and state <> 'gone'",
        machine.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Fixes what is wanted before it is sent: another digest, or other credentials, take the next fence; the same keep it.
pub async fn want(tx: &mut SystemTx, machine: MachineId, digest: &str, credentials: u64) -> Result<u64, StoreError> {
    let fence = sqlx::query_scalar!(
        "update machines
         set fence = case when digest is distinct from $2 or credentials <> $3 then fence + 1 else fence end,
             digest = $2, credentials = $3
         where id = $1
         returning fence",
        machine.uuid(),
        digest,
        i64::try_from(credentials).unwrap_or(i64::MAX),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(u64::try_from(fence).unwrap_or_default())
}

/// What the gateway reported after an apply.
pub async fn report_in_force(tx: &mut SystemTx, machine: MachineId, in_force: &InForce) -> Result<(), StoreError> {
    sqlx::query!("update machines set in_force = $2 where id = $1", machine.uuid(), json(in_force)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The machine has this size.
pub async fn sized(tx: &mut SystemTx, machine: MachineId, size: MachineSize) -> Result<(), StoreError> {
    sqlx::query!(
        "update machines set cpus = $2, memory_mib = $3 where id = $1",
        machine.uuid(),
        size.cpus.map(|cpus| i32::from(cpus.get())),
        size.memory_mib.map(|mib| i32::try_from(mib.get()).unwrap_or(i32::MAX)),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What the machine said of itself.
pub async fn report_hello(tx: &mut SystemTx, machine: MachineId, hello: &Hello) -> Result<(), StoreError> {
    sqlx::query!("update machines set guest = $2 where id = $1", machine.uuid(), json(hello)?)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Who calls, recognised by a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MachineCaller {
    /// Which machine.
    pub machine: MachineId,
    /// Whose agent lives on it.
    pub agent: Option<AgentId>,
    /// Whose it is.
    pub tenant: Option<TenantId>,
    /// What its tenant's plan lets model calls cost a day, if it says so. Looked up for a model key only.
    pub daily_model: Option<Micros>,
}

/// The living machine with this token for calling home.
pub async fn by_machine_token(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<MachineCaller>, StoreError> {
    let row = sqlx::query!(
        "select id, agent_id, tenant_id from machines where machine_token_hash = $1 and gone_at is null",
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| MachineCaller {
        machine: MachineId::from_uuid(row.id),
        agent: id(row.agent_id),
        tenant: id(row.tenant_id),
        daily_model: None,
    }))
}

/// The living machine with this virtual key for the model route. A suspended tenant's has none.
pub async fn by_model_key(tx: &mut SystemTx, hash: &TokenHash) -> Result<Option<MachineCaller>, StoreError> {
    let row = sqlx::query!(
        r#"select c.id, c.agent_id, c.tenant_id, p.daily_micros as "daily_micros?"
           from machines c
           left join tenants t on t.id = c.tenant_id
           left join billing b on b.tenant_id = c.tenant_id
           left join plans p on p.plan = berth.plan_of(b, berth.now())
           where c.model_key_hash = $1 and c.gone_at is null and t.suspended_at is null"#,
        &hash.bytes()[..],
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(row.map(|row| MachineCaller {
        machine: MachineId::from_uuid(row.id),
        agent: id(row.agent_id),
        tenant: id(row.tenant_id),
        daily_model: row.daily_micros.map(|most| Micros::new(most.unsigned_abs())),
    }))
}

pub(crate) struct Row {
    pub(crate) id: Uuid,
    pub(crate) tenant_id: Option<Uuid>,
    pub(crate) agent_id: Option<Uuid>,
    pub(crate) isolation: String,
    pub(crate) image: String,
    pub(crate) state: String,
    pub(crate) address: Option<String>,
    pub(crate) host_key: String,
    pub(crate) host_key_sealed: Vec<u8>,
    pub(crate) machine_key_sealed: Vec<u8>,
    pub(crate) machine_token_sealed: Vec<u8>,
    pub(crate) gateway_token_sealed: Vec<u8>,
    pub(crate) model_key_sealed: Vec<u8>,
    pub(crate) fence: i64,
    pub(crate) digest: Option<String>,
    pub(crate) in_force: Option<Value>,
    pub(crate) guest: Option<Value>,
    pub(crate) created_at: chrono::DateTime<chrono::Utc>,
    pub(crate) credentials: i64,
    pub(crate) rotation_due_at: Option<chrono::DateTime<chrono::Utc>>,
    pub(crate) rotation_begun: bool,
    pub(crate) token_made_at: chrono::DateTime<chrono::Utc>,
    pub(crate) cpus: Option<i32>,
    pub(crate) memory_mib: Option<i32>,
    pub(crate) plan_cpus: Option<i32>,
    pub(crate) plan_memory_mib: Option<i32>,
}

pub(crate) fn read_row(row: Row) -> Result<Machine, StoreError> {
    let open = |column, bytes: &[u8]| sealed("machines", column, bytes);
    let address = row.address.as_deref().map(str::parse).transpose();
    Ok(Machine {
        id: MachineId::from_uuid(row.id),
        tenant: id(row.tenant_id),
        agent: id(row.agent_id),
        isolation: read("machines", "isolation", Value::String(row.isolation))?,
        image: row.image,
        state: row.state,
        address: address
            .map_err(|error: std::net::AddrParseError| StoreError::corrupt("machines", "address", error))?,
        host_key: row.host_key,
        keys: MachineKeys {
            host_key: open("host_key_sealed", &row.host_key_sealed)?,
            machine_key: open("machine_key_sealed", &row.machine_key_sealed)?,
            machine_token: open("machine_token_sealed", &row.machine_token_sealed)?,
            gateway_token: open("gateway_token_sealed", &row.gateway_token_sealed)?,
            model_key: open("model_key_sealed", &row.model_key_sealed)?,
        },
        fence: u64::try_from(row.fence).unwrap_or_default(),
        digest: row.digest,
        credentials: u64::try_from(row.credentials).unwrap_or_default(),
        in_force: row.in_force.map(|value| read("machines", "in_force", value)).transpose()?,
        guest: row.guest.map(|value| read("machines", "guest", value)).transpose()?,
        created_at: row.created_at,
        rotation: Rotation {
            due_at: row.rotation_due_at,
            has_begun: row.rotation_begun,
            token_made_at: row.token_made_at,
        },
        size: machine_size(row.cpus, row.memory_mib),
        wanted_size: machine_size(row.plan_cpus, row.plan_memory_mib),
    })
}

const fn isolation_word(isolation: Isolation) -> &'static str {
    match isolation {
        Isolation::VirtualMachine => "virtual_machine",
        Isolation::Container => "container",
    }
}
