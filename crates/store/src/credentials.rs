//! What tenants gave Berth to use, sealed; and which bot speaks for which agent.

use chrono::{DateTime, Utc};
use domain::{
    AgentId, CredentialId, UserId,
    credential::{Checked, Kind},
};
use serde_json::Value;
use uuid::Uuid;
use vault::{Fingerprint, Sealed};

use crate::{
    db::TenantTx,
    error::{StoreError, json, read},
    house::{id, sealed},
};

/// A credential as it is shown: everything but its value.
#[derive(Debug, Clone, PartialEq)]
pub struct Credential {
    /// Which.
    pub id: CredentialId,
    /// Whose; none for a key of the whole tenant.
    pub agent: Option<AgentId>,
    /// What it is for.
    pub kind: Kind,
    /// A variable's name; else empty.
    pub name: String,
    /// Where a compatible vendor's API begins.
    pub base_url: Option<String>,
    /// The last four characters of a long value.
    pub tail: String,
    /// Grows with each replacement.
    pub version: u64,
    /// What its vendor said last.
    pub checked: Option<Checked>,
    /// Who set it.
    pub set_by: UserId,
    /// When it was set.
    pub set_at: DateTime<Utc>,
}

/// A credential with its sealed value.
#[derive(Debug)]
pub struct SealedCredential {
    /// Without its value.
    pub credential: Credential,
    /// The value.
    pub sealed: Sealed,
}

/// What is to be kept.
#[derive(Debug)]
pub struct NewCredential<'a> {
    /// Its id, should there be none of this kind yet.
    pub id: CredentialId,
    /// Whose; none for a key of the whole tenant.
    pub agent: Option<AgentId>,
    /// What it is for.
    pub kind: Kind,
    /// A variable's name; else empty.
    pub name: &'a str,
    /// Where a compatible vendor's API begins.
    pub base_url: Option<&'a str>,
    /// What its vendor said, if it was asked.
    pub checked: Option<&'a Checked>,
    /// The last four characters of a long value.
    pub tail: &'a str,
    /// Who sets it.
    pub by: UserId,
}

/// The id under which a credential of this kind and name lies, or is to lie. Nobody else changes it until the
/// transaction ends: the value can be sealed for its row before it is written.
pub async fn place_of(tx: &mut TenantTx, new: &NewCredential<'_>) -> Result<Option<CredentialId>, StoreError> {
    let found = sqlx::query_scalar!(
        "select id from credentials
         where kind = $1 and name = $2 and agent_id is not distinct from $3
         for update",
        new.kind.name(),
        new.name,
        new.agent.map(AgentId::uuid),
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(found.map(CredentialId::from_uuid))
}

/// Keeps a value. One that was there is replaced. `None`: somebody else set one at this moment; try again.
pub async fn put(
    tx: &mut TenantTx,
    new: &NewCredential<'_>,
    (sealed, fingerprint): (&Sealed, Fingerprint),
) -> Result<Option<Credential>, StoreError> {
    let tenant = tx.tenant();
    let row = sqlx::query_as!(
        Row,
        r#"insert into credentials as c
               (tenant_id, id, agent_id, kind, name, base_url, sealed, tail, checked, set_by, fingerprint,
                fingerprint_version)
           values ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 1)
           on conflict (tenant_id, agent_id, kind, name) do update
           set base_url = excluded.base_url, sealed = excluded.sealed, tail = excluded.tail,
               checked = excluded.checked, set_by = excluded.set_by, set_at = berth.now(), version = c.version + 1,
               fingerprint = excluded.fingerprint, fingerprint_version = c.version + 1
           where c.id = excluded.id
           returning id, agent_id, kind, name, base_url, tail, version, checked, set_by, set_at, null::bytea as sealed"#,
        tenant.uuid(),
        new.id.uuid(),
        new.agent.map(AgentId::uuid),
        new.kind.name(),
        new.name,
        new.base_url,
        sealed.to_bytes(),
        new.tail,
        new.checked.map(json).transpose()?,
        new.by.uuid(),
        fingerprint.to_string(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(read_row).transpose()
}

/// Everything of this tenant but the values, the tenant's own first.
pub async fn all(tx: &mut TenantTx) -> Result<Vec<Credential>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, agent_id, kind, name, base_url, tail, version, checked, set_by, set_at, null::bytea as sealed
         from credentials order by agent_id nulls first, kind, name"
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(read_row).collect()
}

/// What one agent's machine is given, with the values.
pub async fn of_agent(tx: &mut TenantTx, agent: AgentId) -> Result<Vec<SealedCredential>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, agent_id, kind, name, base_url, tail, version, checked, set_by, set_at, sealed
         from credentials where agent_id = $1 order by kind, name",
        agent.uuid(),
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(read_sealed).collect()
}

/// The tenant's own key of this kind, with its value.
pub async fn model_key(tx: &mut TenantTx, kind: Kind) -> Result<Option<SealedCredential>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select id, agent_id, kind, name, base_url, tail, version, checked, set_by, set_at, sealed
         from credentials where kind = $1 and agent_id is null",
        kind.name(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(read_sealed).transpose()
}

/// One credential, with its value.
pub async fn by_id(tx: &mut TenantTx, credential: CredentialId) -> Result<Option<SealedCredential>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "select id, agent_id, kind, name, base_url, tail, version, checked, set_by, set_at, sealed
         from credentials where id = $1",
        credential.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(read_sealed).transpose()
}

/// Removes one. `None`: there is none of this id.
pub async fn remove(tx: &mut TenantTx, credential: CredentialId) -> Result<Option<Credential>, StoreError> {
    let row = sqlx::query_as!(
        Row,
        "delete from credentials where id = $1
         returning id, agent_id, kind, name, base_url, tail, version, checked, set_by, set_at, null::bytea as sealed",
        credential.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(read_row).transpose()
}

/// Removes all of this tenant. Returns how many.
pub async fn remove_all(tx: &mut TenantTx) -> Result<u64, StoreError> {
    Ok(sqlx::query!("delete from credentials").execute(tx.conn()).await?.rows_affected())
}

/// What its vendor says now, of the version that was asked about.
pub async fn checked(
    tx: &mut TenantTx,
    credential: CredentialId,
    version: u64,
    checked: &Checked,
) -> Result<(), StoreError> {
    sqlx::query!(
        "update credentials set checked = $3 where id = $1 and version = $2",
        credential.uuid(),
        i64::try_from(version).unwrap_or(i64::MAX),
        json(checked)?,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The agents whose machines are given something.
pub async fn agents_with(tx: &mut TenantTx) -> Result<Vec<AgentId>, StoreError> {
    let rows = sqlx::query_scalar!(
        r#"select distinct agent_id as "agent!" from credentials where agent_id is not null order by 1"#
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(AgentId::from_uuid).collect())
}

/// How often what this agent's machine is given has changed, and which of it is in force there.
pub async fn versions_of(tx: &mut TenantTx, agent: AgentId) -> Result<(u64, u64), StoreError> {
    let row = sqlx::query!("select credentials_wanted, credentials_in_force from agents where id = $1", agent.uuid())
        .fetch_optional(tx.conn())
        .await?;
    let count = |count: i64| u64::try_from(count).unwrap_or_default();
    Ok(row.map_or((0, 0), |row| (count(row.credentials_wanted), count(row.credentials_in_force))))
}

/// How often what this agent's machine is given has changed.
pub async fn wanted_of(tx: &mut TenantTx, agent: AgentId) -> Result<u64, StoreError> {
    let version = sqlx::query_scalar!("select credentials_wanted from agents where id = $1", agent.uuid())
        .fetch_optional(tx.conn())
        .await?;
    Ok(version.and_then(|version| u64::try_from(version).ok()).unwrap_or_default())
}

/// How many variables an agent has beside this one.
pub async fn variables_beside(tx: &mut TenantTx, agent: AgentId, name: &str) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from credentials where agent_id = $1 and kind = 'variable' and name <> $2"#,
        agent.uuid(),
        name,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(count)
}

/// What an agent's machine is given has changed: it has to be brought there.
pub async fn changed_for(tx: &mut TenantTx, agent: AgentId) -> Result<(), StoreError> {
    sqlx::query!("update agents set credentials_wanted = credentials_wanted + 1 where id = $1", agent.uuid())
        .execute(tx.conn())
        .await?;
    tx.touch(agent);
    Ok(())
}

/// Takes a bot for this credential, known by the keyed hashes of its token, the first of which is kept. `false`:
/// another agent has it, of whichever tenant.
pub async fn take_bot(tx: &mut TenantTx, credential: CredentialId, hashes: &[Vec<u8>]) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "delete from bot_tokens where tenant_id = $1 and credential_id = $2",
        tenant.uuid(),
        credential.uuid()
    )
    .execute(&mut *conn)
    .await?;
    let taken = sqlx::query!(
        "insert into bot_tokens (token_hash, tenant_id, credential_id)
         select $1, $3, $4
         where not exists (select from bot_tokens where token_hash = any ($2))
         on conflict (token_hash) do nothing",
        hashes.first().map_or(&[][..], Vec::as_slice),
        hashes,
        tenant.uuid(),
        credential.uuid(),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    Ok(taken.rows_affected() == 1)
}

struct Row {
    id: Uuid,
    agent_id: Option<Uuid>,
    kind: String,
    name: String,
    base_url: Option<String>,
    tail: String,
    version: i64,
    checked: Option<Value>,
    set_by: Uuid,
    set_at: DateTime<Utc>,
    sealed: Option<Vec<u8>>,
}

fn read_row(row: Row) -> Result<Credential, StoreError> {
    let kind =
        Kind::parse(&row.kind).ok_or_else(|| StoreError::corrupt("credentials", "kind", "is of no known kind"))?;
    Ok(Credential {
        id: CredentialId::from_uuid(row.id),
        agent: id(row.agent_id),
        kind,
        name: row.name,
        base_url: row.base_url,
        tail: row.tail,
        version: u64::try_from(row.version).unwrap_or_default(),
        checked: row.checked.map(|value| read("credentials", "checked", value)).transpose()?,
        set_by: UserId::from_uuid(row.set_by),
        set_at: row.set_at,
    })
}

fn read_sealed(mut row: Row) -> Result<SealedCredential, StoreError> {
    let bytes = row.sealed.take().unwrap_or_default();
    Ok(SealedCredential { sealed: sealed("credentials", "sealed", &bytes)?, credential: read_row(row)? })
}
