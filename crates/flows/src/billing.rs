//! Keeping a tenant's payments in view: refresh ⇄ rest.
//!
//! `refresh` asks Stripe for all of it, judges, and has agents stopped, started or removed where the judgement has
//! changed. It asks the same whatever woke it, so it does not matter which events came, in which order, or whether one
//! was lost: `rest` ends after six hours at the latest, and at the next date on which the judgement would change.

use std::time::Duration;

use app::billing::{Acted, LOOK, act};
use chrono::{DateTime, Utc};
use clients::payments::{Payments, PaymentsError};
use domain::{
    TenantId,
    alert::AlertKind,
    billing::{BillingStep, CustomerId, DisputeState, Subscription, SubscriptionStatus},
};
use store::{billing::Seen, flows::Claim};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// How long nobody looks without a reason: what was lost on its way is found by then.
const REST: Duration = Duration::from_hours(6);
/// How long a refresh that does not come to its end waits, once a person was told.
const AGAIN: Duration = Duration::from_mins(1);

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
            Ok(Some(acted)) => Ok(rested(claim, tenant, &acted)),
            // The tenant is gone, or somebody else asked later and acts upon that.
            Ok(None) => Ok(Outcome::next(Next::Wait(stored(BillingStep::Rest), REST)).heard()),
            Err(error) if claim.overdue => {
                tracing::error!(%tenant, error = &error as &dyn std::error::Error, "payments are out of view");
                Ok(Outcome::next(Next::Wait(stored(BillingStep::Refresh), AGAIN)).house(stuck(tenant, &error)))
            }
            Err(error) => Err(error),
        },
    }
}

/// Asks Stripe, with no transaction open, and acts upon what it says.
async fn refresh(world: &World, tenant: TenantId) -> Result<Option<Acted>, StepError> {
    let mut tx = world.db.system().await?;
    let known = store::billing::lock(&mut tx, tenant).await?;
    drop(tx);
    let Some((account, asked_at)) = known else { return Ok(None) };
    let seen = match (&world.payments, &account.customer) {
        (Some(payments), Some(customer)) => {
            let (subscription, disputed_since) = ask(payments.as_ref(), customer).await.map_err(trouble)?;
            let is_owed = subscription
                .as_ref()
                .is_some_and(|one| matches!(one.status, SubscriptionStatus::PastDue | SubscriptionStatus::Unpaid));
            let past_due_since = is_owed.then(|| account.facts.past_due_since.unwrap_or(asked_at));
            Some(Seen { subscription, past_due_since, disputed_since, asked_at })
        }
        _ => None,
    };
    Ok(act(world.db.system().await?, tenant, world.billing, seen.as_ref()).await?)
}

async fn ask(
    payments: &dyn Payments,
    customer: &CustomerId,
) -> Result<(Option<Subscription>, Option<DateTime<Utc>>), PaymentsError> {
    let (all, disputes) = futures::try_join!(payments.subscriptions(customer), payments.disputes(customer))?;
    let open = disputes.iter().filter(|one| one.state == DisputeState::Open).map(|one| one.opened).min();
    Ok((Subscription::that_matters(all), open))
}

fn rested(claim: &Claim, tenant: TenantId, acted: &Acted) -> Outcome {
    let was_told = claim.signals.iter().any(|signal| signal.name == LOOK);
    if acted.differs && !was_told {
        tracing::warn!(%tenant, entitlement = acted.entitlement.name(), "Stripe says otherwise, and no event had said so");
    }
    let pause = acted.entitlement.changes_at().map_or(REST, |at| {
        let left = (at - acted.at).to_std().unwrap_or_default();
        // A second later, so that the judgement is another one by then.
        left.saturating_add(Duration::from_secs(1)).min(REST)
    });
    Outcome::next(Next::Wait(stored(BillingStep::Rest), pause))
        .heard()
        .house(HouseWrite::CloseAlerts(vec![alert_key(tenant)]))
}

fn trouble(error: PaymentsError) -> StepError {
    StepError::retry(error.to_string())
}

fn stuck(tenant: TenantId, error: &StepError) -> HouseWrite {
    HouseWrite::Alert {
        key: alert_key(tenant),
        kind: AlertKind::FlowFailed,
        subject: tenant.to_string(),
        message: format!("what a tenant pays is not known since an hour: {error}"),
    }
}

fn alert_key(tenant: TenantId) -> String {
    format!("billing_unseen:{tenant}")
}

fn stored(step: BillingStep) -> Step {
    Step { name: step.name(), value: serde_json::json!(step), deadline: step.deadline() }
}
