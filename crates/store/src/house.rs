//! What there is one of: the installation and its SSH authority.

use domain::{Id, InstallationId, entitlement::Billing};
use uuid::Uuid;
use vault::Sealed;

use crate::{db::SystemTx, error::StoreError};

pub use crate::db::{now, tenant_now};

/// Which Berth this is; `fresh` becomes its id if it has none yet. Two at once agree.
pub async fn installation(tx: &mut SystemTx, fresh: InstallationId) -> Result<InstallationId, StoreError> {
    sqlx::query!("insert into installation (id) values ($1) on conflict (only_one) do nothing", fresh.uuid())
        .execute(tx.conn())
        .await?;
    let id = sqlx::query_scalar!("select id from installation").fetch_one(tx.conn()).await?;
    Ok(InstallationId::from_uuid(id))
}

/// Says whether anybody pays here. Every process says so as it starts; all of them then judge alike.
pub async fn set_billing(tx: &mut SystemTx, billing: Billing) -> Result<(), StoreError> {
    sqlx::query!("update installation set is_billing = $1 where is_billing <> $1", billing == Billing::On)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The SSH authority as stored.
#[derive(Debug)]
pub struct AuthorityRow {
    /// Its row, to which the key is bound.
    pub id: Uuid,
    /// `ssh-ed25519 …`.
    pub public_key: String,
    /// The private key.
    pub key: Sealed,
}

/// The SSH authority; `fresh` becomes it if there is none yet. Two at once agree.
pub async fn ssh_authority(tx: &mut SystemTx, fresh: &AuthorityRow) -> Result<AuthorityRow, StoreError> {
    sqlx::query!(
        "insert into ssh_authorities (id, public_key, key_sealed) values ($1, $2, $3) on conflict (only_one) do nothing",
        fresh.id,
        fresh.public_key,
        fresh.key.to_bytes(),
    )
    .execute(tx.conn())
    .await?;
    let row = sqlx::query!("select id, public_key, key_sealed from ssh_authorities").fetch_one(tx.conn()).await?;
    let key = sealed("ssh_authorities", "key_sealed", &row.key_sealed)?;
    Ok(AuthorityRow { id: row.id, public_key: row.public_key, key })
}

/// Reads a sealed column. A value that was never sealed is loud.
pub(crate) fn sealed(table: &'static str, column: &'static str, bytes: &[u8]) -> Result<Sealed, StoreError> {
    Sealed::from_bytes(bytes).map_err(|error| StoreError::corrupt(table, column, error))
}

/// Reads a nullable id column.
pub(crate) fn id<K>(uuid: Option<Uuid>) -> Option<Id<K>> {
    uuid.map(Id::from_uuid)
}
