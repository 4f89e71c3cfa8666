//! Keys as they lie in the database: which master keys it has seen, and data keys, wrapped.
//!
//! Nothing here can be opened here. A trigger refuses a data key that is wrapped under a retired master key, and
//! [`retire`] waits for whoever is wrapping under it, so that nothing is left behind.

use chrono::{DateTime, Utc};
use domain::TenantId;
use uuid::Uuid;
use vault::{KeyId, Owner, Sealed};

use crate::{
    db::{SystemTx, TenantTx},
    error::StoreError,
    house::sealed,
};

/// How far a master key's life is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MasterState {
    /// New data keys are wrapped under it.
    Current,
    /// What is wrapped under it is being wrapped anew.
    Retiring,
    /// Nothing is wrapped under it, and nothing may be.
    Retired,
}

impl MasterState {
    /// The word in the database.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Current => "current",
            Self::Retiring => "retiring",
            Self::Retired => "retired",
        }
    }

    /// Reads the word back.
    fn of(word: &str) -> Self {
        match word {
            "current" => Self::Current,
            "retiring" => Self::Retiring,
            _ => Self::Retired,
        }
    }
}

/// A master key that this database has seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Master {
    /// Which.
    pub id: KeyId,
    /// How far it is.
    pub state: MasterState,
    /// Since when.
    pub since: DateTime<Utc>,
    /// How many data keys are wrapped under it.
    pub wraps: u64,
    /// How many values of the house an older Berth sealed directly under it.
    pub older: u64,
}

/// A data key as it lies there.
#[derive(Debug, Clone)]
pub struct Wrapped {
    /// Its row.
    pub id: Uuid,
    /// Whose it is.
    pub owner: Owner,
    /// Under a master key.
    pub wrapped: Sealed,
}

/// Every master key that was ever seen, the current one first.
pub async fn masters(tx: &mut SystemTx) -> Result<Vec<Master>, StoreError> {
    let rows = sqlx::query!(
        r#"select m.id, m.state, m.since,
                  (select count(*) from data_keys d where substring(d.wrapped from 2 for 16) = m.id) as "wraps!",
                  (select count(*) from sealed_house_values v where substring(v.value from 2 for 16) = m.id) as "older!"
           from master_keys m
           order by array_position(array['current', 'retiring', 'retired'], m.state), m.since desc"#
    )
    .fetch_all(tx.conn())
    .await?;
    let master = |id: &[u8], state: &str, since, wraps: i64, older: i64| {
        let state = MasterState::of(state);
        let count = |count: i64| u64::try_from(count).unwrap_or_default();
        Ok(Master { id: key_id(id)?, state, since, wraps: count(wraps), older: count(older) })
    };
    rows.into_iter().map(|row| master(&row.id, &row.state, row.since, row.wraps, row.older)).collect()
}

/// The master key under which data keys are wrapped now. `None`: this database has never seen one.
pub async fn current(tx: &mut SystemTx) -> Result<Option<KeyId>, StoreError> {
    let id =
        sqlx::query_scalar!("select id from master_keys where state = 'current'").fetch_optional(tx.conn()).await?;
    id.map(|id| key_id(&id)).transpose()
}

/// Makes this the first master key, if there is none. Two at once: one of them is.
pub async fn begin_with(tx: &mut SystemTx, master: KeyId) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into master_keys (id, state) values ($1, 'current')
         on conflict (state) where state = 'current' do nothing",
        &master.0[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Makes another master key the current one; the one before is retiring from now on. `false`: one is retiring still.
pub async fn turn_to(tx: &mut SystemTx, master: KeyId) -> Result<bool, StoreError> {
    let held = sqlx::query_scalar!("select state from master_keys where state <> 'retired' for update")
        .fetch_all(tx.conn())
        .await?;
    if held.iter().any(|state| state == "retiring") {
        return Ok(false);
    }
    sqlx::query!("update master_keys set state = 'retiring', since = berth.now() where state = 'current'")
        .execute(tx.conn())
        .await?;
    sqlx::query!(
        "insert into master_keys (id, state) values ($1, 'current')
         on conflict (id) do update set state = 'current', since = berth.now()",
        &master.0[..],
    )
    .execute(tx.conn())
    .await?;
    Ok(true)
}

/// What became of the wish to retire a key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Retired {
    /// So many data keys, and values of the house that an older Berth sealed directly, are left under it.
    Left(u64),
    /// Nothing was left.
    Now,
    /// It was retired before.
    Already,
}

/// Retires the key that is retiring, once nothing is left under it. Waits for whoever wraps under it at this moment.
pub async fn retire(tx: &mut SystemTx) -> Result<Retired, StoreError> {
    sqlx::query_scalar!("select id from master_keys where state = 'retiring' for update").fetch_all(tx.conn()).await?;
    let left = sqlx::query_scalar!(
        r#"select (select count(*) from data_keys d
                   where exists (select from master_keys m
                                 where m.id = substring(d.wrapped from 2 for 16) and m.state <> 'current'))
                + (select count(*) from sealed_house_values v
                   where exists (select from master_keys m
                                 where m.id = substring(v.value from 2 for 16) and m.state <> 'current')) as "left!""#
    )
    .fetch_one(tx.conn())
    .await?;
    if left > 0 {
        return Ok(Retired::Left(u64::try_from(left).unwrap_or_default()));
    }
    let done = sqlx::query!("update master_keys set state = 'retired', since = berth.now() where state = 'retiring'")
        .execute(tx.conn())
        .await?;
    Ok(if done.rows_affected() > 0 { Retired::Now } else { Retired::Already })
}

/// Some data keys that are not wrapped under this master key, kept from others until the transaction ends.
pub async fn not_under(tx: &mut SystemTx, master: KeyId, limit: i64) -> Result<Vec<Wrapped>, StoreError> {
    let rows = sqlx::query_as!(
        Row,
        "select id, tenant_id, wrapped from data_keys
         where substring(wrapped from 2 for 16) <> $1
         order by id limit $2
         for update skip locked",
        &master.0[..],
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(read_row).collect()
}

/// Puts data keys in place that were wrapped anew.
pub async fn rewrap(tx: &mut SystemTx, anew: &[(Uuid, Sealed)]) -> Result<(), StoreError> {
    let ids: Vec<Uuid> = anew.iter().map(|(id, _)| *id).collect();
    let wrapped: Vec<Vec<u8>> = anew.iter().map(|(_, wrapped)| wrapped.to_bytes()).collect();
    sqlx::query!(
        "update data_keys k set wrapped = n.wrapped
         from unnest($1::uuid[], $2::bytea[]) n (id, wrapped) where k.id = n.id",
        &ids,
        &wrapped,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A value of the house that an older Berth sealed directly under a master key.
#[derive(Debug)]
pub struct Older {
    /// Its table.
    pub table: String,
    /// Its column.
    pub column: String,
    /// Its row.
    pub row: Uuid,
    /// As it lies there.
    pub value: Sealed,
}

/// Some values of the house that lie directly under a master key.
pub async fn older(tx: &mut SystemTx, limit: i64) -> Result<Vec<Older>, StoreError> {
    let rows = sqlx::query!(
        r#"select v.in_table as "table!", v.in_column as "column!", v.row_id as "row!", v.value as "value!"
           from sealed_house_values v
           where exists (select from master_keys m where m.id = substring(v.value from 2 for 16))
           limit $1"#,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    let older = rows.into_iter().map(|row| {
        let value = sealed("sealed_house_values", "value", &row.value)?;
        Ok(Older { table: row.table, column: row.column, row: row.row, value })
    });
    older.collect()
}

/// Puts a value of the house in the place of an older one, if that still lies there.
pub async fn reseal(tx: &mut SystemTx, older: &Older, anew: &Sealed) -> Result<(), StoreError> {
    let (row, was, anew) = (older.row, older.value.to_bytes(), anew.to_bytes());
    macro_rules! put {
        ($statement:literal) => {
            sqlx::query!($statement, row, was, anew).execute(tx.conn()).await?
        };
    }
    match (older.table.as_str(), older.column.as_str()) {
        ("machines", "host_key_sealed") => {
            put!("update machines set host_key_sealed = $3 where id = $1 and host_key_sealed = $2")
        }
        ("machines", "machine_key_sealed") => {
            put!("update machines set machine_key_sealed = $3 where id = $1 and machine_key_sealed = $2")
        }
        ("machines", "machine_token_sealed") => {
            put!("update machines set machine_token_sealed = $3 where id = $1 and machine_token_sealed = $2")
        }
        ("machines", "gateway_token_sealed") => {
            put!("update machines set gateway_token_sealed = $3 where id = $1 and gateway_token_sealed = $2")
        }
        ("machines", "model_key_sealed") => {
            put!("update machines set model_key_sealed = $3 where id = $1 and model_key_sealed = $2")
        }
        ("machines", "gateway_token_next_sealed") => {
            put!("update machines set gateway_token_next_sealed = $3 where id = $1 and gateway_token_next_sealed = $2")
        }
        ("machines", "machine_key_next_sealed") => {
            put!("update machines set machine_key_next_sealed = $3 where id = $1 and machine_key_next_sealed = $2")
        }
        ("ssh_authorities", "key_sealed") => {
            put!("update ssh_authorities set key_sealed = $3 where id = $1 and key_sealed = $2")
        }
        ("operator_factors", "secret_sealed") => {
            put!("update operator_factors set secret_sealed = $3 where user_id = $1 and secret_sealed = $2")
        }
        _ => return Err(StoreError::corrupt("sealed_house_values", "in_table", "names a column that nobody seals")),
    };
    Ok(())
}

/// A tenant's data key as operators see it: its name and its age.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// The name by which envelopes call it.
    pub id: Uuid,
    /// When it was drawn.
    pub created_at: DateTime<Utc>,
    /// The master key under which it is wrapped.
    pub master: KeyId,
    /// How far that one's life is.
    pub state: MasterState,
    /// Since when.
    pub since: DateTime<Utc>,
}

/// How old a tenant's data key is, and under which master key it lies. `None`: it has none.
pub async fn standing(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<Standing>, StoreError> {
    let row = sqlx::query!(
        "select d.id, d.created_at, m.id as master, m.state, m.since
         from data_keys d join master_keys m on m.id = substring(d.wrapped from 2 for 16)
         where d.tenant_id = $1",
        tenant.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    let standing = |id, created_at, master: &[u8], state: &str, since| {
        Ok(Standing { id, created_at, master: key_id(master)?, state: MasterState::of(state), since })
    };
    row.map(|row| standing(row.id, row.created_at, &row.master, &row.state, row.since)).transpose()
}

/// The house's own data key. `None`: it was never made.
pub async fn of_house(tx: &mut SystemTx) -> Result<Option<Wrapped>, StoreError> {
    let row = sqlx::query_as!(Row, "select id, tenant_id, wrapped from data_keys where tenant_id is null")
        .fetch_optional(tx.conn())
        .await?;
    row.map(read_row).transpose()
}

/// Keeps a data key, if its owner has none yet. Two at once: one of them is kept.
pub async fn keep(tx: &mut SystemTx, key: &Wrapped) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into data_keys (id, tenant_id, wrapped) values ($1, $2, $3) on conflict (tenant_id) do nothing",
        key.id,
        tenant_of(key.owner),
        key.wrapped.to_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// A tenant's data key, from the house's side.
pub async fn of_tenant(tx: &mut SystemTx, tenant: TenantId) -> Result<Option<Wrapped>, StoreError> {
    let row = sqlx::query_as!(Row, "select id, tenant_id, wrapped from data_keys where tenant_id = $1", tenant.uuid())
        .fetch_optional(tx.conn())
        .await?;
    row.map(read_row).transpose()
}

/// A tenant's data key, in its own transaction. `None`: nothing of this tenant was ever sealed, or it was destroyed.
pub async fn own(tx: &mut TenantTx) -> Result<Option<Wrapped>, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    let row = sqlx::query_as!(Row, "select id, tenant_id, wrapped from data_keys where tenant_id = $1", tenant.uuid())
        .fetch_optional(conn)
        .await?;
    tx.leave_house().await?;
    row.map(read_row).transpose()
}

/// The master key under which a tenant's new data key is to be wrapped.
pub async fn current_for(tx: &mut TenantTx) -> Result<Option<KeyId>, StoreError> {
    let conn = tx.enter_house().await?;
    let id = sqlx::query_scalar!("select id from master_keys where state = 'current'").fetch_optional(conn).await?;
    tx.leave_house().await?;
    id.map(|id| key_id(&id)).transpose()
}

/// Keeps a tenant's data key, if it has none yet, and returns the one that it has.
pub async fn keep_own(tx: &mut TenantTx, id: Uuid, wrapped: &Sealed) -> Result<Option<Wrapped>, StoreError> {
    let tenant = tx.tenant();
    let conn = tx.enter_house().await?;
    sqlx::query!(
        "insert into data_keys (id, tenant_id, wrapped) values ($1, $2, $3) on conflict (tenant_id) do nothing",
        id,
        tenant.uuid(),
        wrapped.to_bytes(),
    )
    .execute(conn)
    .await?;
    tx.leave_house().await?;
    own(tx).await
}

/// Destroys a tenant's data key: whatever was sealed under it is gone for good. `false`: there was none.
pub async fn destroy(tx: &mut SystemTx, tenant: TenantId) -> Result<bool, StoreError> {
    let done = sqlx::query!("delete from data_keys where tenant_id = $1", tenant.uuid()).execute(tx.conn()).await?;
    Ok(done.rows_affected() > 0)
}

struct Row {
    id: Uuid,
    tenant_id: Option<Uuid>,
    wrapped: Vec<u8>,
}

#[expect(clippy::needless_pass_by_value, reason = "the shape that map wants")]
fn read_row(row: Row) -> Result<Wrapped, StoreError> {
    let owner = row.tenant_id.map_or(Owner::House, |tenant| Owner::Tenant(TenantId::from_uuid(tenant)));
    Ok(Wrapped { id: row.id, owner, wrapped: sealed("data_keys", "wrapped", &row.wrapped)? })
}

fn tenant_of(owner: Owner) -> Option<Uuid> {
    match owner {
        Owner::Tenant(tenant) => Some(tenant.uuid()),
        Owner::House => None,
    }
}

fn key_id(bytes: &[u8]) -> Result<KeyId, StoreError> {
    let id = bytes.try_into().map_err(|error| StoreError::corrupt("master_keys", "id", error))?;
    Ok(KeyId(id))
}
