//! Taking out a plan: what is to be paid is decided and written down here, before Stripe is asked for a page.

use std::num::NonZeroU16;

use chrono::{DateTime, Utc};
use domain::{
    CheckoutRowId, Entropy,
    audit::Act,
    billing::{CheckoutId, CustomerId, PriceId, Subscription, SubscriptionStatus},
    entitlement::Billing,
    entropy::mint,
    people::{Caller, Role},
    plan::PlanName,
};
use store::{StoreError, TenantTx, billing::Account, checkouts::Visit};

use crate::{audit, billing};

/// Why nobody is sent to Stripe.
#[derive(Debug, thiserror::Error)]
pub enum CheckoutError {
    /// The role does not allow it.
    #[error("owners and admins take out plans; ask one of them")]
    Forbidden,
    /// Nobody pays here.
    #[error("nobody pays here: this Berth does not bill")]
    NotBilling,
    /// No such plan, or it is not sold.
    #[error("that plan is not sold")]
    NotSold,
    /// There is a plan already.
    #[error("you have a plan already; change it where you pay, by the button of that name")]
    HasPlan,
    /// Stripe does not know the tenant yet.
    #[error("there is nothing to see at Stripe yet; choose a plan first")]
    NoCustomer,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// What is to be paid, written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Wanted {
    /// The row; asked for twice, it is the same one.
    pub id: CheckoutRowId,
    /// The page that Stripe opened for it, if it did.
    pub session: Option<CheckoutId>,
    /// What is paid for.
    pub price: PriceId,
    /// How long the first one is free: a tenant's first plan only.
    pub trial_days: Option<NonZeroU16>,
    /// Who pays, if Stripe knows them.
    pub customer: Option<CustomerId>,
}

/// Decides what somebody is to pay for a plan, or why not. To be committed before Stripe is asked.
///
/// # Errors
/// [`CheckoutError`]; nothing was written.
pub async fn want(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    plan: &PlanName,
    by: &Caller,
) -> Result<Wanted, CheckoutError> {
    if by.role < Role::Admin {
        return Err(CheckoutError::Forbidden);
    }
    let Account { facts, customer, .. } = store::billing::own(tx).await?;
    if facts.billing == Billing::Off {
        return Err(CheckoutError::NotBilling);
    }
    if facts.subscription.as_ref().is_some_and(goes_on) {
        return Err(CheckoutError::HasPlan);
    }
    let plan = store::plans::offered(tx).await?.into_iter().find(|one| one.name == *plan);
    let plan = plan.ok_or(CheckoutError::NotSold)?;
    let price = plan.price.ok_or(CheckoutError::NotSold)?;
    let trial_days = plan.trial_days.filter(|_| facts.subscription.is_none());
    let (id, session) = match store::checkouts::begun(tx, by.user, &price).await? {
        Some(Visit { id, session }) => (id, session),
        None => (begin(tx, entropy, (&plan.name, &price), by).await?, None),
    };
    Ok(Wanted { id, session, price, trial_days, customer })
}

async fn begin(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    what: (&PlanName, &PriceId),
    by: &Caller,
) -> Result<CheckoutRowId, StoreError> {
    let id = mint(entropy);
    store::checkouts::begin(tx, id, by.user, what).await?;
    audit::record(tx, by, Act::BillingCheckout, &id, &[("plan", what.0.as_str())]).await?;
    Ok(id)
}

/// Whether it goes on by itself, or waits to be paid: a second one would be paid beside it.
fn goes_on(one: &Subscription) -> bool {
    use SubscriptionStatus as Is;
    match one.status {
        Is::Trialing | Is::Active | Is::PastDue | Is::Unpaid | Is::Paused => true,
        Is::Incomplete | Is::IncompleteExpired | Is::Canceled => false,
    }
}

/// Writes down who the tenant is at Stripe, and begins to keep its payments in view. Returns who it is: another one,
/// where somebody else was faster.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn became(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    customer: &CustomerId,
) -> Result<Option<CustomerId>, StoreError> {
    billing::open(tx, entropy).await?;
    store::billing::set_customer(tx, customer).await?;
    Ok(store::billing::own(tx).await?.customer)
}

/// Writes down which page Stripe opened.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn opened(
    tx: &mut TenantTx,
    id: CheckoutRowId,
    session: &CheckoutId,
    expires: DateTime<Utc>,
) -> Result<(), StoreError> {
    store::checkouts::opened(tx, id, session, expires).await
}

/// Who is to see invoices and ways to pay.
///
/// # Errors
/// [`CheckoutError`]; the caller does not commit.
pub async fn portal(tx: &mut TenantTx, by: &Caller) -> Result<CustomerId, CheckoutError> {
    if by.role < Role::Admin {
        return Err(CheckoutError::Forbidden);
    }
    let account = store::billing::own(tx).await?;
    let customer = account.customer.ok_or(CheckoutError::NoCustomer)?;
    audit::record(tx, by, Act::BillingPortal, &by.tenant, &[]).await?;
    Ok(customer)
}
