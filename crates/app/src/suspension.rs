//! Taking a tenant or a person out of service, and back, on an operator's word.
//!
//! Nothing is deleted. Whoever is suspended is refused whatever they show, in every process within a second: the
//! look-up of a caller says it, and the database tells who remembers one.

use domain::{
    TenantId, UserId,
    audit::{Act, Actor},
    operators::Reason,
    people::Caller,
};
use store::{StoreError, SystemTx, suspension::Became};

use crate::{audit, rests};

/// Why nothing was changed.
#[derive(Debug, thiserror::Error)]
pub enum SuspendError {
    /// There is no such tenant or person.
    #[error("there is no such tenant or person")]
    NotFound,
    /// Only who runs the service.
    #[error("only an operator suspends and restores")]
    Forbidden,
    /// Then nobody could take it back.
    #[error("nobody suspends themselves; ask another operator")]
    Oneself,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Takes a tenant out of service: its people and its agents' model keys are refused, its agents stop. The reason
/// stands in the tenant's own audit. Suspended already is success and changes nothing, the reason included.
///
/// # Errors
/// [`SuspendError`]; nothing is changed then.
pub async fn suspend_tenant(mut tx: SystemTx, tenant: TenantId, why: &Reason, by: &Caller) -> Result<(), SuspendError> {
    only_operators(by)?;
    if is_done(store::suspension::set_tenant(&mut tx, tenant, Some(why)).await?)? {
        // Flow, agent, audit: the order in which everybody locks them.
        let mut tx = tx.into_tenant(tenant).await?;
        store::agents::alone(&mut tx).await?;
        let running = rests::running(&mut tx).await?;
        rests::rest(&mut tx, &running, "an operator").await?;
        audit::record(&mut tx, by, Act::TenantSuspend, &tenant, &[("reason", why.as_str())]).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Takes a tenant back into service. Its agents stay stopped until somebody starts them.
///
/// # Errors
/// [`SuspendError`]; nothing is changed then.
pub async fn restore_tenant(mut tx: SystemTx, tenant: TenantId, by: &Caller) -> Result<(), SuspendError> {
    only_operators(by)?;
    if is_done(store::suspension::set_tenant(&mut tx, tenant, None).await?)? {
        audit::record_for(&mut tx, tenant, Actor::of(by), Act::TenantRestore, (&tenant, &[])).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Lets a person do nothing, in any tenant. Their sessions stay, and work again once they are restored.
///
/// # Errors
/// [`SuspendError`]; nothing is changed then.
pub async fn suspend_user(mut tx: SystemTx, user: UserId, why: &Reason, by: &Caller) -> Result<(), SuspendError> {
    only_operators(by)?;
    if user == by.user {
        return Err(SuspendError::Oneself);
    }
    if is_done(store::suspension::set_user(&mut tx, user, Some(why)).await?)? {
        audit::record_house(&mut tx, by, Act::UserSuspend, &user, &[("reason", why.as_str())]).await?;
        tx.commit().await?;
    }
    Ok(())
}

/// Lets somebody in again.
///
/// # Errors
/// [`SuspendError`]; nothing is changed then.
pub async fn restore_user(mut tx: SystemTx, user: UserId, by: &Caller) -> Result<(), SuspendError> {
    only_operators(by)?;
    if is_done(store::suspension::set_user(&mut tx, user, None).await?)? {
        audit::record_house(&mut tx, by, Act::UserRestore, &user, &[]).await?;
        tx.commit().await?;
    }
    Ok(())
}

const fn only_operators(by: &Caller) -> Result<(), SuspendError> {
    if by.is_operator { Ok(()) } else { Err(SuspendError::Forbidden) }
}

const fn is_done(became: Became) -> Result<bool, SuspendError> {
    match became {
        Became::So => Ok(true),
        Became::Already => Ok(false),
        Became::Unknown => Err(SuspendError::NotFound),
    }
}
