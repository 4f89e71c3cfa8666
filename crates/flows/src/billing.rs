//! Keeping a tenant's payments in view: refresh ⇄ rest.
//!
//! `refresh` asks Stripe for all of it, judges, and has agents stopped, started or removed where that follows. It asks
//! the same whatever woke it, so it does not matter which events came, in which order, or whether one was lost: `rest`
//! ends after six hours at the latest, and at the next date on which the judgement would change or a letter is due. It ends where the tenant
//! is gone, or is no customer and has no gift: then there is nothing to keep in view.

use std::time::Duration;

use app::{
    billing::{Acted, LOOK, act},
    reconciliation::in_words,
};
use chrono::{DateTime, Utc};
use clients::payments::{Payments, PaymentsError};
use domain::{
    TenantId,
    alert::AlertKind,
    billing::{
        BillingStep, CustomerId, Difference, DifferenceKind, DisputeState, IdempotencyKey, Subscription,
        SubscriptionStatus,
    },
    entitlement::{Entitlement, Suspended},
};
use store::{
    billing::{Account, Seen},
    flows::Claim,
};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// How long nobody looks without a reason: what was lost on its way is found by then.
const REST: Duration = Duration::from_hours(6);
/// How long a refresh that does not come to its end waits, once a person was told; and how often it is looked whether the
/// agents of who left are gone.
const AGAIN: Duration = Duration::from_mins(1);

/// What a refresh came to.
enum Refreshed {
    /// It was judged and acted upon. How many subscriptions will be charged again.
    Acted(Box<Acted>, usize),
    /// Somebody else asked later and acts upon that.
    Late,
    /// There is nothing to keep in view.
    Nothing,
}

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only: a tenant's payments are never given up.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: BillingStep = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let tenant = TenantId::from_uuid(claim.subject);
    match step {
        BillingStep::Rest => Ok(Outcome::next(Next::Go(stored(BillingStep::Refresh)))),
        BillingStep::Refresh => match refresh(world, tenant).await {
            Ok(Refreshed::Acted(acted, charged)) => {
                Ok(differing(world, claim, tenant, &acted, rested(tenant, &acted, charged)))
            }
            Ok(Refreshed::Late) => Ok(Outcome::next(Next::Wait(stored(BillingStep::Rest), REST)).heard()),
            Ok(Refreshed::Nothing) => Ok(Outcome::next(Next::Done)
                .house(HouseWrite::CloseBilling(tenant))
                .house(HouseWrite::CloseAlerts(vec![stuck_key(tenant), disputed_key(tenant), twice_key(tenant)]))),
            Err(error) if claim.overdue => {
                tracing::error!(%tenant, error = &error as &dyn std::error::Error, "payments are out of view");
                Ok(Outcome::next(Next::Wait(stored(BillingStep::Refresh), AGAIN)).house(stuck(tenant, &error)))
            }
            Err(error) => Err(error),
        },
    }
}

/// Asks Stripe, with no transaction open, and acts upon what it says.
async fn refresh(world: &World, tenant: TenantId) -> Result<Refreshed, StepError> {
    let mut tx = world.db.system().await?;
    let known = store::billing::known(&mut tx, tenant).await?;
    drop(tx);
    let Some(account) = known else { return Ok(Refreshed::Nothing) };
    if account.customer.is_none() && account.facts.complimentary.is_none() {
        // A gift may have been taken back.
        act(world.db.system().await?, world.entropy.as_ref(), tenant, None).await?;
        return Ok(Refreshed::Nothing);
    }
    let (seen, charged) = match (&world.payments, &account.customer) {
        (Some(payments), Some(customer)) => {
            let asked = ask(payments.as_ref(), &account, customer).await.map_err(|error| trouble(&error))?;
            (Some(asked.0), asked.1)
        }
        _ => (None, 0),
    };
    let acted = act(world.db.system().await?, world.entropy.as_ref(), tenant, seen.as_ref()).await?;
    Ok(acted.map_or(Refreshed::Late, |acted| Refreshed::Acted(Box::new(acted), charged)))
}

/// All that Stripe knows of a customer, and how many subscriptions will be charged again. Where its tenant is to be erased,
/// no further month is billed.
async fn ask(
    payments: &dyn Payments,
    account: &Account,
    customer: &CustomerId,
) -> Result<(Seen, usize), PaymentsError> {
    let (mut all, disputes) = futures::try_join!(payments.subscriptions(customer), payments.disputes(customer))?;
    if let Some(erase_after) = account.erase_after {
        for one in all.iter_mut().filter(|one| renews(one)) {
            // Committed with the wish: asked twice, it counts once.
            let key = IdempotencyKey::parse(&format!("{}:erase:{}", one.id, erase_after.timestamp_micros()));
            let key = key.map_err(|error| PaymentsError::Garbled { why: error.to_string() })?;
            *one = payments.cancel_at_period_end(&key, &one.id).await?;
        }
    }
    let open = |one: &&domain::billing::Dispute| one.state == DisputeState::Open;
    let disputed_since = disputes.iter().filter(open).map(|one| one.opened).min();
    let charged = all.iter().filter(|one| renews(one)).count();
    let subscription = Subscription::that_matters(all);
    let is_owed = |one: &Subscription| matches!(one.status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid);
    let since: Option<DateTime<Utc>> = subscription.as_ref().filter(|one| is_owed(one)).map(|_| account.now);
    let past_due_since = since.map(|now| account.facts.past_due_since.unwrap_or(now));
    Ok((Seen { subscription, past_due_since, disputed_since, asked_at: account.now }, charged))
}

fn renews(one: &Subscription) -> bool {
    use SubscriptionStatus as Is;
    one.ends.is_none() && matches!(one.status, Is::Trialing | Is::Active | Is::PastDue | Is::Unpaid | Is::Paused)
}

/// Writes down that Stripe says otherwise, where nobody had said so and no date had come that explains it.
fn differing(world: &World, claim: &Claim, tenant: TenantId, acted: &Acted, outcome: Outcome) -> Outcome {
    let was_told = claim.signals.iter().any(|signal| signal.name == LOOK);
    let before = &acted.before;
    let was_due = before.entitlement.and_then(|judged| judged.changes_at()).is_some_and(|at| at <= acted.account.now);
    if !acted.differs || was_told || was_due || before.asked_at.is_none() {
        return outcome;
    }
    let (was, is) = (in_words(&before.facts), in_words(&acted.account.facts));
    tracing::warn!(%tenant, was, is, "Stripe says otherwise, and no event had said so");
    let difference = Difference { tenant: Some(tenant), kind: DifferenceKind::Account, before: Some(was), after: is };
    outcome.house(HouseWrite::Differs(world.entropy.uuid(), Box::new(difference)))
}

fn rested(tenant: TenantId, acted: &Acted, charged: usize) -> Outcome {
    let rest = if acted.is_removing { AGAIN } else { REST };
    let pause = acted.next_at().map_or(rest, |at| {
        // A second later, so that the judgement is another one by then. What Stripe is late with is asked for by the minute.
        let left = (at - acted.account.now).to_std().map_or(AGAIN, |left| left.saturating_add(Duration::from_secs(1)));
        left.min(rest)
    });
    let outcome = Outcome::next(Next::Wait(stored(BillingStep::Rest), pause)).heard();
    let mut settled = vec![stuck_key(tenant)];
    let is_disputed = matches!(acted.entitlement, Entitlement::Suspended { why: Suspended::Disputed, .. });
    if !is_disputed {
        settled.push(disputed_key(tenant));
    }
    if charged < 2 {
        settled.push(twice_key(tenant));
    }
    let outcome = outcome.house(HouseWrite::CloseAlerts(settled));
    let outcome = if charged < 2 { outcome } else { outcome.house(billed_twice(tenant, charged)) };
    if is_disputed { outcome.house(disputed(tenant)) } else { outcome }
}

fn trouble(error: &PaymentsError) -> StepError {
    StepError::retry(error.to_string())
}

fn stuck(tenant: TenantId, error: &StepError) -> HouseWrite {
    HouseWrite::Alert {
        key: stuck_key(tenant),
        kind: AlertKind::BillingStuck,
        subject: tenant.to_string(),
        message: format!("what a tenant pays is not known since an hour: {error}"),
    }
}

fn disputed(tenant: TenantId) -> HouseWrite {
    HouseWrite::Alert {
        key: disputed_key(tenant),
        kind: AlertKind::PaymentDisputed,
        subject: tenant.to_string(),
        message: "a payment is disputed; the tenant is suspended until Stripe says how that ends".to_owned(),
    }
}

/// Nobody wants two plans: it pays for one of them in vain, and only a person can say which.
fn billed_twice(tenant: TenantId, charged: usize) -> HouseWrite {
    HouseWrite::Alert {
        key: twice_key(tenant),
        kind: AlertKind::BilledTwice,
        subject: tenant.to_string(),
        message: format!("a tenant pays for {charged} subscriptions at once; it is served on one of them"),
    }
}

fn twice_key(tenant: TenantId) -> String {
    format!("billed_twice:{tenant}")
}

fn stuck_key(tenant: TenantId) -> String {
    format!("billing_stuck:{tenant}")
}

fn disputed_key(tenant: TenantId) -> String {
    format!("payment_disputed:{tenant}")
}

fn stored(step: BillingStep) -> Step {
    Step { name: step.name(), value: serde_json::json!(step), deadline: step.deadline() }
}
