//! The end of a tenant: asked for by an owner, thirty days of grace, then everything goes.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{
    Entropy, TenantId,
    audit::{Act, Actor},
    entropy::mint,
    people::{Caller, Role},
};
use serde_json::json;
use store::{StoreError, SystemTx, TenantTx, flows::NewFlow};

use crate::{
    audit,
    billing::{BILLING, LOOK},
    rests,
};

/// Kind of the flow that erases a tenant; its subject is the tenant.
pub const ERASURE: &str = "erasure";
/// How long a tenant that is to be erased can be kept after all.
pub const GRACE: Duration = Duration::from_hours(30 * 24);

/// Why a tenant was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum TenantError {
    /// Owners only.
    #[error("only an owner ends a tenant, or keeps it")]
    Forbidden,
    /// It is wanted already.
    #[error("this tenant is to be erased already")]
    Wanted,
    /// Nothing to take back.
    #[error("this tenant is not to be erased, or its time is over")]
    NotWanted,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Wants the caller's tenant erased in thirty days. Its agents are stopped; all data stays until then.
///
/// # Errors
/// [`TenantError`]; the caller does not commit.
pub async fn erase(mut tx: SystemTx, entropy: &dyn Entropy, by: &Caller) -> Result<DateTime<Utc>, TenantError> {
    owners_only(&mut tx, by).await?;
    let (tx, after) = end(tx, entropy, by.tenant, by).await?;
    tx.commit().await?;
    Ok(after)
}

/// The same for any tenant, within the caller's transaction, which is that tenant's from here on.
pub(crate) async fn end(
    mut tx: SystemTx,
    entropy: &dyn Entropy,
    tenant: TenantId,
    by: &Caller,
) -> Result<(TenantTx, DateTime<Utc>), TenantError> {
    // A flow that is about to end, because the tenant was kept before, ends first, or finds that it must not.
    store::order::house_flow_first(&mut tx, ERASURE, tenant.uuid()).await?;
    let after = store::tenants::want_erased(&mut tx, tenant, by.user, GRACE).await?;
    let after = after.ok_or(TenantError::Wanted)?;
    let step = json!({ "step": "wait" });
    let flow = NewFlow { id: mint(entropy), kind: ERASURE, subject: tenant.uuid(), step, deadline: None };
    store::flows::start_house(&mut tx, &flow).await?;
    let mut tx = tx.into_tenant(tenant).await?;
    store::agents::alone(&mut tx).await?;
    let running = rests::running(&mut tx).await?;
    rests::rest(&mut tx, &running, by.email.as_str()).await?;
    // No further month is billed.
    store::flows::signal(&mut tx, BILLING, tenant.uuid(), LOOK).await?;
    audit::record(&mut tx, by, Act::TenantErase, &tenant, &[("after", &after.to_rfc3339())]).await?;
    Ok((tx, after))
}

/// Keeps the caller's tenant after all. Its agents stay stopped until somebody starts them.
///
/// # Errors
/// [`TenantError`]; the caller does not commit.
pub async fn keep(tx: &mut SystemTx, by: &Caller) -> Result<(), TenantError> {
    owners_only(tx, by).await?;
    if !store::tenants::keep(tx, by.tenant).await? {
        return Err(TenantError::NotWanted);
    }
    Ok(audit::record_for(tx, by.tenant, Actor::of(by), Act::TenantKeep, (&by.tenant, &[])).await?)
}

async fn owners_only(tx: &mut SystemTx, by: &Caller) -> Result<(), TenantError> {
    let members = store::members::lock(tx, by.tenant).await?;
    let is_owner = members.iter().any(|member| member.user == by.user && member.role == Role::Owner);
    if is_owner { Ok(()) } else { Err(TenantError::Forbidden) }
}
