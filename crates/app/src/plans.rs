//! What can be bought: operators change it.

use domain::{audit::Act, people::Caller, plan::Plan};
use store::{StoreError, SystemTx, plans::Changed};

use crate::audit;

/// Why a plan was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangePlanError {
    /// Not an operator.
    #[error("only operators change plans")]
    Forbidden,
    /// There is no such plan.
    #[error("there is no such plan")]
    NotFound,
    /// A price stays with its plan, for those who have it.
    #[error("that price buys another plan, now or for people who took it out before; make a new price at Stripe")]
    PriceTaken,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Puts a plan in the place of the one of its name. Who has it at an older price keeps that price; its limits change for
/// everybody at once, and agents over them are stopped at the next look, at most six hours later.
///
/// # Errors
/// [`ChangePlanError`]; the caller does not commit.
pub async fn change(tx: &mut SystemTx, plan: &Plan, by: &Caller) -> Result<(), ChangePlanError> {
    if !by.is_operator {
        return Err(ChangePlanError::Forbidden);
    }
    match store::plans::change(tx, plan).await? {
        Changed::So => {}
        Changed::Unknown => return Err(ChangePlanError::NotFound),
        Changed::PriceTaken => return Err(ChangePlanError::PriceTaken),
    }
    let price = plan.price.as_ref().map_or("none", |price| price.as_str());
    let (money, agents) = (plan.money.to_string(), plan.limits.agents.to_string());
    let details = [("price", price), ("money", &money), ("agents", &agents)];
    audit::record_house(tx, by, Act::PlanChange, &plan.name, &details).await?;
    Ok(())
}
