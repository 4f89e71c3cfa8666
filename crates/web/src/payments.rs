//! Sending somebody to Stripe: everything is written down before Stripe is asked, and asked twice it is one.

use app::checkouts::{self, CheckoutError, Wanted};
use clients::payments::{NewCheckout, NewCustomer, Payments, PaymentsError};
use domain::{
    billing::{Checkout, CheckoutState, CustomerId, IdempotencyKey},
    people::Caller,
    plan::PlanName,
};
use http::StatusCode;
use url::Url;

use crate::{api::agents::sentence, problem::Problem, state::Web};

/// Where somebody comes back to after paying.
pub(crate) const RETURN: &str = "/billing/return";
/// Where somebody comes back to without.
pub(crate) const BACK: &str = "/billing";

/// The page at Stripe on which the tenant takes out a plan; or our own, where it was paid already.
pub(crate) async fn checkout(web: &Web, plan: &PlanName, by: &Caller) -> Result<Url, Problem> {
    let payments = payments(web)?;
    let mut tx = web.db.tenant(by.tenant).await?;
    let wanted = checkouts::want(&mut tx, &*web.dice.0, plan, by).await?;
    tx.commit().await?;
    let customer = match &wanted.customer {
        Some(customer) => customer.clone(),
        None => become_customer(web, payments, &wanted, by).await?,
    };
    let checkout = match &wanted.session {
        Some(session) => payments.checkout(session).await?,
        None => open(web, payments, &wanted, customer, by).await?,
    };
    match checkout.state {
        CheckoutState::Open { page } => Ok(page),
        CheckoutState::Complete { .. } => Ok(own(web, RETURN)),
        CheckoutState::Expired => {
            Err(Problem::conflict("expired", "That page at Stripe has expired. Choose the plan again."))
        }
    }
}

/// The page at Stripe with invoices and ways to pay. It lets whoever has its address in for some minutes.
pub(crate) async fn portal(web: &Web, by: &Caller) -> Result<Url, Problem> {
    let payments = payments(web)?;
    let mut tx = web.db.tenant(by.tenant).await?;
    let customer = checkouts::portal(&mut tx, by).await?;
    tx.commit().await?;
    let key = key(&format!("{}:portal:{}", by.tenant, web.dice.0.uuid()))?;
    Ok(payments.open_portal(&key, &customer, &own(web, BACK)).await?)
}

fn payments(web: &Web) -> Result<&dyn Payments, Problem> {
    web.site.payments.as_deref().ok_or_else(|| CheckoutError::NotBilling.into())
}

async fn become_customer(
    web: &Web,
    payments: &dyn Payments,
    wanted: &Wanted,
    by: &Caller,
) -> Result<CustomerId, Problem> {
    let new = NewCustomer { tenant: by.tenant, name: by.tenant_name.clone(), email: by.email.clone() };
    let customer = payments.create_customer(&key(&format!("{}:customer", wanted.id))?, &new).await?;
    let mut tx = web.db.tenant(by.tenant).await?;
    let known = checkouts::became(&mut tx, &*web.dice.0, &customer).await?;
    tx.commit().await?;
    Ok(known.unwrap_or(customer))
}

async fn open(
    web: &Web,
    payments: &dyn Payments,
    wanted: &Wanted,
    customer: CustomerId,
    by: &Caller,
) -> Result<Checkout, Problem> {
    let new = NewCheckout {
        customer,
        tenant: by.tenant,
        price: wanted.price.clone(),
        trial_days: wanted.trial_days,
        paid_to: own(web, RETURN).into(),
        back_to: own(web, BACK).into(),
    };
    let checkout = payments.open_checkout(&key(&format!("{}:checkout", wanted.id))?, &new).await?;
    let mut tx = web.db.tenant(by.tenant).await?;
    checkouts::opened(&mut tx, wanted.id, &checkout.id, checkout.expires).await?;
    tx.commit().await?;
    Ok(checkout)
}

fn own(web: &Web, path: &str) -> Url {
    let mut url = web.site.public_url.clone();
    url.set_path(path);
    url
}

fn key(text: &str) -> Result<IdempotencyKey, Problem> {
    IdempotencyKey::parse(text).map_err(|_| Problem::broken("an idempotency key that is none"))
}

impl From<PaymentsError> for Problem {
    fn from(error: PaymentsError) -> Self {
        tracing::warn!(error = %error, "Stripe did not do what a person waits for");
        if error.is_transient() {
            let words = "Stripe does not answer just now, and nothing was charged. Try again in a minute.";
            return Self { retry_after_seconds: Some(60), ..Self::unavailable("stripe", words) };
        }
        let words = "Stripe refused, and nothing was charged. Whoever runs this Berth finds the reason in its log.";
        Self::new(StatusCode::BAD_GATEWAY, "stripe", words)
    }
}

impl From<CheckoutError> for Problem {
    fn from(error: CheckoutError) -> Self {
        match error {
            CheckoutError::Forbidden => Self::not_allowed(sentence(&error)),
            CheckoutError::NotBilling => Self::conflict("not-billing", sentence(&error)),
            CheckoutError::NotSold => Self { field: Some("plan"), ..Self::conflict("not-sold", sentence(&error)) },
            CheckoutError::HasPlan => Self::conflict("has-plan", sentence(&error)),
            CheckoutError::NoCustomer => Self::conflict("no-customer", sentence(&error)),
            CheckoutError::Store(error) => error.into(),
        }
    }
}
