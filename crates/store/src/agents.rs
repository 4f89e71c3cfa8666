//! Agents: what a tenant owns.

use domain::{
    AgentId, TenantId,
    agent::{Agent, ProofFacts, Seen, Wanted},
    credential::Kind,
    instructions::{Choices, Instructions},
    machine::MachineFacts,
    names::AgentName,
};
use serde_json::{Value, value::RawValue};
use sqlx::types::Json;
use uuid::Uuid;

use crate::{
    db::{Db, TenantTx},
    error::{StoreError, json, parse, read},
    onboardings::choices,
};

/// JSON as it came: read into its type at once, without a tree in between.
type Document = Json<Box<RawValue>>;

struct Row {
    id: Uuid,
    name: String,
    wanted: String,
    seen: Document,
    machine: Option<Document>,
    proof: Option<Document>,
    created_at: chrono::DateTime<chrono::Utc>,
}

/// One agent of this tenant; another tenant's does not exist here.
pub async fn by_id(tx: &mut TenantTx, id: AgentId) -> Result<Option<Agent>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id, name, wanted, seen as "seen: _", machine as "machine: _", proof as "proof: _", created_at
           from agents where id = $1"#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(agent).transpose()
}

/// An agent with what its tenant chose for it.
#[derive(Debug)]
pub struct Chosen {
    /// Itself.
    pub agent: Agent,
    /// Model and instructions.
    pub choices: Choices,
    /// How often what its machine is given has changed.
    pub credentials: u64,
    /// How people reach it: the kinds of its bots.
    pub bots: Vec<Kind>,
}

/// The same with what its tenant chose for it.
pub async fn with_choices(tx: &mut TenantTx, id: AgentId) -> Result<Option<Chosen>, StoreError> {
    let row = sqlx::query!(
        r#"select id, name, wanted, seen as "seen: Document", machine as "machine: Document",
                  proof as "proof: Document", created_at, model, instructions, credentials_wanted,
                  array(select c.kind from credentials c
                        where c.agent_id = agents.id and c.kind <> 'variable' order by c.kind) as "bots!"
           from agents where id = $1"#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        let choices = choices("agents", row.model, row.instructions)?;
        let credentials = u64::try_from(row.credentials_wanted).unwrap_or_default();
        let bots = row.bots.iter().filter_map(|kind| Kind::parse(kind)).collect();
        let row = Row {
            id: row.id,
            name: row.name,
            wanted: row.wanted,
            seen: row.seen,
            machine: row.machine,
            proof: row.proof,
            created_at: row.created_at,
        };
        Ok(Chosen { agent: agent(row)?, choices, credentials, bots })
    })
    .transpose()
}

/// Whether an agent of this tenant has this name.
pub async fn is_taken(tx: &mut TenantTx, name: &AgentName) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"select exists (select from agents where name = $1) as "is!""#, name.as_str())
        .fetch_one(tx.conn())
        .await?)
}

/// The same, and nobody else changes it until this transaction ends.
pub async fn lock(tx: &mut TenantTx, id: AgentId) -> Result<Option<Agent>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id, name, wanted, seen as "seen: _", machine as "machine: _", proof as "proof: _", created_at
           from agents where id = $1 for update"#,
        id.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(agent).transpose()
}

/// How many agents a tenant has.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Count {
    /// All but those on their way out.
    pub there: i64,
    /// Those that are wanted running.
    pub running: i64,
}

/// Has everybody else wait who counts this tenant's agents or makes, starts or stops one, until the commit.
pub async fn alone(tx: &mut TenantTx) -> Result<(), StoreError> {
    sqlx::query!(
        "select pg_advisory_xact_lock(hashtextextended('agents of ' || $1::uuid::text, 0))",
        tx.tenant().uuid()
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a tenant's agents.
pub async fn count(tx: &mut TenantTx) -> Result<Count, StoreError> {
    let count = sqlx::query_as!(
        Count,
        r#"select count(*) filter (where wanted <> 'gone') as "there!", count(*) filter (where wanted = 'running') as "running!"
           from agents"#
    );
    Ok(count.fetch_one(tx.conn()).await?)
}

/// A page of this tenant's agents, oldest first: at most `limit` after the one given.
pub async fn list(tx: &mut TenantTx, after: Option<AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
    let after = after.map_or(Uuid::nil(), AgentId::uuid);
    let rows = sqlx::query_as!(
        Row,
        r#"select id, name, wanted, seen as "seen: _", machine as "machine: _", proof as "proof: _", created_at
           from agents
           where id > $1
           order by id
           limit $2"#,
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(agent).collect()
}

/// The same page in one round trip, for whoever needs nothing else: the function enters the tenant for its one statement.
pub async fn page(db: &Db, tenant: TenantId, after: Option<AgentId>, limit: i64) -> Result<Vec<Agent>, StoreError> {
    let after = after.map_or(Uuid::nil(), AgentId::uuid);
    let rows = sqlx::query_as!(
        Row,
        r#"select id as "id!", name as "name!", wanted as "wanted!", seen as "seen!: _", machine as "machine: _",
                  proof as "proof: _", created_at as "created_at!"
           from berth.agents_of($1, $2, $3)"#,
        tenant.uuid(),
        after,
        limit,
    )
    .fetch_all(&mut *db.lend().await?)
    .await?;
    rows.into_iter().map(agent).collect()
}

/// The agent whose creation carried this Idempotency-Key.
pub async fn by_asked_with(tx: &mut TenantTx, key: &str) -> Result<Option<Agent>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        r#"select id, name, wanted, seen as "seen: _", machine as "machine: _", proof as "proof: _", created_at
           from agents where asked_with = $1"#,
        key,
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(agent).transpose()
}

/// Adds an agent. The constraints `agents_name_key` and `agents_asked_with_key` refuse a second one.
pub async fn insert(
    tx: &mut TenantTx,
    id: AgentId,
    (name, choices): (&AgentName, &Choices),
    seen: &Seen,
    asked_with: Option<&str>,
) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    sqlx::query!(
        "insert into agents (tenant_id, id, name, wanted, seen, asked_with, model, instructions)
         values ($1, $2, $3, 'running', $4, $5, $6, $7)",
        tenant.uuid(),
        id.uuid(),
        name.as_str(),
        json(seen)?,
        asked_with,
        choices.model,
        choices.instructions.as_ref().map(Instructions::as_str),
    )
    .execute(tx.conn())
    .await?;
    tx.touch(id);
    Ok(())
}

/// Writes what the tenant wants.
pub async fn set_wanted(tx: &mut TenantTx, id: AgentId, wanted: Wanted) -> Result<(), StoreError> {
    sqlx::query!("update agents set wanted = $2 where id = $1", id.uuid(), wanted.name()).execute(tx.conn()).await?;
    tx.touch(id);
    Ok(())
}

/// What a flow saw; `None` leaves the column as it is.
#[derive(Debug, Default)]
pub struct Observation {
    /// The state.
    pub seen: Option<Seen>,
    /// The machine.
    pub machine: Option<MachineFacts>,
    /// The last proof.
    pub proof: Option<ProofFacts>,
    /// The version of its credentials that is in force on its machine.
    pub credentials: Option<u64>,
}

/// Writes what a flow saw. An agent that is gone is not an error: its flow ends next.
pub async fn observe(tx: &mut TenantTx, id: AgentId, saw: &Observation) -> Result<(), StoreError> {
    sqlx::query!(
        "update agents
         set seen = coalesce($2, seen), machine = coalesce($3, machine), proof = coalesce($4, proof),
             credentials_in_force = coalesce($5, credentials_in_force)
         where id = $1",
        id.uuid(),
        saw.seen.as_ref().map(json).transpose()?,
        saw.machine.as_ref().map(json).transpose()?,
        saw.proof.as_ref().map(json).transpose()?,
        saw.credentials.map(|version| i64::try_from(version).unwrap_or(i64::MAX)),
    )
    .execute(tx.conn())
    .await?;
    tx.touch(id);
    Ok(())
}

/// Forgets an agent and everything below it. Already gone is success.
pub async fn delete(tx: &mut TenantTx, id: AgentId) -> Result<(), StoreError> {
    sqlx::query!("delete from agents where id = $1", id.uuid()).execute(tx.conn()).await?;
    tx.touch(id);
    Ok(())
}

fn agent(row: Row) -> Result<Agent, StoreError> {
    let name = AgentName::parse(&row.name).map_err(|error| StoreError::corrupt("agents", "name", error))?;
    Ok(Agent {
        id: AgentId::from_uuid(row.id),
        name,
        wanted: read("agents", "wanted", Value::String(row.wanted))?,
        seen: parse("agents", "seen", &row.seen.0)?,
        machine: row.machine.map(|text| parse("agents", "machine", &text.0)).transpose()?,
        proof: row.proof.map(|text| parse("agents", "proof", &text.0)).transpose()?,
        created_at: row.created_at,
    })
}
