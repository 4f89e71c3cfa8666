//! The budget for model calls: what a call may cost is held before it is made, and settled after.

use domain::{
    Entropy, HoldId,
    entropy::mint,
    model::{Micros, Usage},
};
use store::{StoreError, TenantTx, model_usage::Today};

/// Why a call is not paid for.
#[derive(Debug, thiserror::Error)]
pub enum HoldError {
    /// No day's budget is large enough for it.
    #[error("this call could cost {worst}, more than the {limit} of a whole day")]
    TooLarge {
        /// The most it can cost.
        worst: Micros,
        /// A day's budget.
        limit: Micros,
    },
    /// What is left of today does not pay for it.
    #[error("{} of today's {limit} is used or held, and this call could cost {worst}", today.used)]
    UsedUp {
        /// The day so far.
        today: Today,
        /// The most the call can cost.
        worst: Micros,
        /// A day's budget.
        limit: Micros,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What model calls may cost the caller's tenant in a day: what its plan says, or what is usual here.
///
/// # Errors
/// The database.
pub async fn limit(tx: &mut TenantTx, usual: Micros) -> Result<Micros, StoreError> {
    let plan = store::billing::own(tx).await?.plan;
    Ok(plan.and_then(|plan| plan.limits.daily_model).unwrap_or(usual))
}

/// Holds the most that a call can cost, or says why not. The call is made after the commit.
///
/// # Errors
/// [`HoldError`]
pub async fn hold(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    model: &str,
    worst: Micros,
    limit: Micros,
) -> Result<HoldId, HoldError> {
    if worst > limit {
        return Err(HoldError::TooLarge { worst, limit });
    }
    let id = mint(entropy);
    if store::model_usage::hold(tx, id, model, worst, limit).await? {
        return Ok(id);
    }
    let today = store::model_usage::today(tx).await?;
    Err(HoldError::UsedUp { today, worst, limit })
}

/// Ends a hold with what the call came to. `false`: it had ended before; nothing is charged twice.
///
/// # Errors
/// The database.
pub async fn settle(tx: &mut TenantTx, hold: HoldId, spent: Micros, usage: &Usage) -> Result<bool, StoreError> {
    store::model_usage::settle(tx, hold, spent, usage).await
}
