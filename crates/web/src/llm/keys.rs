//! Where a tenant's own key comes from: looked up and opened for one call.

use std::sync::Arc;

use app::credentials::{CredentialError, Opened};
use async_trait::async_trait;
use clients::model::own::OwnKey;
use domain::{
    CredentialId, TenantId,
    credential::{BaseUrl, Checked, Kind, Verdict},
};
use store::{Db, StoreError};
use vault::Keyring;

use crate::state::Dice;

/// A tenant's own key, opened, and which one it is.
#[derive(Debug)]
pub struct TenantKey {
    /// Of which credential.
    pub credential: CredentialId,
    /// Of which of its values: the tenant may set another one at any moment.
    pub version: u64,
    /// The key, for one call.
    pub key: OwnKey,
}

/// Opens tenants' own keys, and hears of those that their vendors refuse.
#[async_trait]
pub trait TenantKeys: Send + Sync + 'static {
    /// The tenant's key of this kind, opened; `None` where it has none. The caller uses it for one call and drops it.
    async fn key(&self, tenant: TenantId, kind: Kind) -> Result<Option<TenantKey>, CredentialError>;

    /// The vendor said that it does not know this value: the tenant has to hear of it. Called for each call that is
    /// refused. A value that was replaced meanwhile is not meant.
    async fn refused(&self, tenant: TenantId, credential: CredentialId, version: u64);
}

/// Those in the database.
pub struct SealedKeys {
    db: Db,
    ring: Arc<Keyring>,
    dice: Dice,
}

impl SealedKeys {
    /// Opened with this ring.
    #[must_use]
    pub const fn new(db: Db, ring: Arc<Keyring>, dice: Dice) -> Self {
        Self { db, ring, dice }
    }
}

#[async_trait]
impl TenantKeys for SealedKeys {
    async fn key(&self, tenant: TenantId, kind: Kind) -> Result<Option<TenantKey>, CredentialError> {
        let mut tx = self.db.tenant(tenant).await?;
        let Some(opened) = app::credentials::open_for_model(&mut tx, &self.ring, kind).await? else { return Ok(None) };
        // With it the audit's word that it was opened.
        tx.commit().await?;
        let Opened { credential, secret } = opened;
        let base_url = credential.base_url.as_deref().map(BaseUrl::parse).transpose()?;
        Ok(Some(TenantKey {
            credential: credential.id,
            version: credential.version,
            key: OwnKey { kind, secret, base_url },
        }))
    }

    async fn refused(&self, tenant: TenantId, credential: CredentialId, version: u64) {
        let why = "Its vendor refused it when an agent used it. Set another one.".to_owned();
        let checked = Checked { at: self.dice.now(), verdict: Verdict::Refused { why } };
        let told = async {
            let mut tx = self.db.tenant(tenant).await?;
            store::credentials::checked(&mut tx, credential, version, &checked).await?;
            tx.commit().await?;
            Ok::<_, StoreError>(())
        };
        if let Err(error) = told.await {
            let error = &error as &dyn std::error::Error;
            tracing::warn!(%tenant, %credential, error, "a tenant was not told that its key is refused");
        }
    }
}
