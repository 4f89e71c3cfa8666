//! Where a tenant's own key comes from: looked up and opened for one call.

use async_trait::async_trait;
use clients::model::own::OwnKey;
use domain::{TenantId, credential::Kind};
use store::StoreError;

use crate::problem::Problem;

/// Opens tenants' own keys, and hears of those that their vendors refuse.
#[async_trait]
pub trait TenantKeys: Send + Sync + 'static {
    /// The tenant's key of this kind, opened; `None` where it has none. The caller uses it for one call and drops it.
    async fn key(&self, tenant: TenantId, kind: Kind) -> Result<Option<OwnKey>, KeyTrouble>;

    /// The vendor said that it does not know this key: the tenant has to hear of it. Called for each call that is refused.
    /// By then the tenant may have set another one, which is not meant.
    async fn refused(&self, tenant: TenantId, key: &OwnKey);
}

/// Why a key that is there cannot be used. None of them repeats it.
#[derive(Debug, thiserror::Error)]
pub enum KeyTrouble {
    /// The process has no key that opens it.
    #[error("the tenant's key cannot be opened: this process has no key for it")]
    Sealed,
    /// It does not open, or is not what was sealed.
    #[error("the tenant's key cannot be read: {0}")]
    Unreadable(&'static str),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyTrouble> for Problem {
    fn from(trouble: KeyTrouble) -> Self {
        match trouble {
            KeyTrouble::Store(error) => error.into(),
            KeyTrouble::Sealed => {
                let detail = "Berth cannot open this tenant's own model key right now. Its operator has to look. Nothing was sent.";
                Self { cause: Some(Box::new(trouble)), ..Self::unavailable("sealed", detail) }
            }
            KeyTrouble::Unreadable(_) => Self::broken(trouble),
        }
    }
}
