//! A run of the job `billing`: ask → wake → count. What Stripe told and nobody heard is taken in; then every tenant is looked
//! at, and what was otherwise is counted.
//!
//! Each tenant's own flow does the looking ([`crate::billing`]) and writes down its difference. Tenants are woken some at a
//! time: Stripe answers so many calls a second and no more.

use std::time::Duration;

use app::{
    billing::BILLING,
    reconciliation::{RECONCILE, Taken, take},
};
use chrono::{DateTime, Utc};
use clients::payments::{Payments, PaymentsError};
use domain::{
    Entropy, TenantId,
    billing::{LOOKS_BACK, ReconcileStep, StripeEventId, Told},
    entropy::mint,
};
use serde_json::{Value, json};
use store::{Db, StoreError, SystemTx, flows::Claim};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// Tenants that are woken together, and how long after the ones before.
const TOGETHER: i64 = 100;
const APART: Duration = Duration::from_secs(3);
/// How often it is looked whether all of them were looked at.
const LOOK: Duration = Duration::from_secs(2);

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: ReconcileStep = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let Some(payments) = &world.payments else {
        // Gifts are kept in view without Stripe, too.
        let mut tx = world.db.system().await?;
        let mut after = None;
        loop {
            let some = store::billing::open_after(&mut tx, after, TOGETHER).await?;
            watch_again(world, &mut tx, &some).await?;
            after = some.last().copied();
            if after.is_none() {
                break;
            }
        }
        tx.commit().await?;
        return Ok(ended(claim, counts(Told::default(), 0, 0, 0)));
    };
    match step {
        ReconcileStep::Ask { .. } | ReconcileStep::Wake { .. } if claim.overdue => {
            let error = "Stripe did not answer, or there was more than half an hour allows; the next run asks again";
            Ok(ended(claim, json!({ "error": error })))
        }
        ReconcileStep::Ask { since, after, told } => {
            let since = since.unwrap_or(claim.now - LOOKS_BACK);
            let page = page(&world.db, world.entropy.as_ref(), payments.as_ref(), (since, after.as_ref()), false);
            let page = page.await.map_err(StepError::from)?;
            let told = told.and(page.taken.told);
            let next = match page.next {
                Some(after) => ReconcileStep::Ask { since: Some(since), after: Some(after), told },
                None => ReconcileStep::Wake { since: claim.now, after: None, tenants: 0, told },
            };
            Ok(Outcome::next(Next::Go(stored(&next))))
        }
        ReconcileStep::Wake { since, after, tenants, told } => {
            let mut tx = world.db.system().await?;
            let some = store::billing::open_after(&mut tx, after, TOGETHER).await?;
            watch_again(world, &mut tx, &some).await?;
            tx.commit().await?;
            let Some(last) = some.last().copied() else {
                return Ok(Outcome::next(Next::Wait(stored(&ReconcileStep::Count { since, tenants, told }), LOOK)));
            };
            let tenants = tenants + u64::try_from(some.len()).unwrap_or_default();
            let next = stored(&ReconcileStep::Wake { since, after: Some(last), tenants, told });
            let woken = some.into_iter().map(TenantId::uuid).collect();
            Ok(Outcome::next(Next::Wait(next, APART)).house(HouseWrite::Signal(BILLING, woken, RECONCILE)))
        }
        ReconcileStep::Count { since, tenants, told } => {
            let mut tx = world.db.system().await?;
            let left = store::billing::to_be_looked_at(&mut tx, RECONCILE).await?;
            if left > 0 && !claim.overdue {
                let stay = stored(&ReconcileStep::Count { since, tenants, told });
                return Ok(Outcome::next(Next::Wait(stay, LOOK)));
            }
            let differing = store::billing_differences::accounts_since(&mut tx, since).await?;
            Ok(ended(claim, counts(told, tenants, differing, left)))
        }
    }
}

/// Begins anew to keep those tenants in view of whom nobody does: a row that was restored or written by hand.
async fn watch_again(world: &World, tx: &mut SystemTx, tenants: &[TenantId]) -> Result<(), StepError> {
    for tenant in store::billing::unwatched(tx, tenants).await? {
        tracing::warn!(%tenant, "nobody kept a tenant's payments in view");
        store::billing::watch(tx, tenant, mint(world.entropy.as_ref())).await?;
    }
    Ok(())
}

/// What came of one page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// What was found in it.
    pub taken: Taken,
    /// Where the next one begins, if there is one.
    pub next: Option<StripeEventId>,
}

/// Why a page was not taken in.
#[derive(Debug, thiserror::Error)]
pub enum PageError {
    /// Stripe.
    #[error(transparent)]
    Payments(#[from] PaymentsError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<PageError> for StepError {
    fn from(error: PageError) -> Self {
        match error {
            PageError::Payments(error) => Self::retry(error.to_string()),
            PageError::Store(error) => Self::Store(error),
        }
    }
}

/// Asks Stripe for a page of its events, with no transaction open, and takes in what is missing. Once more is harmless.
/// With `look_again`, the tenants of those that were here are looked at again, too.
///
/// # Errors
/// [`PageError`]; nothing of the page is written then.
pub async fn page(
    db: &Db,
    entropy: &dyn Entropy,
    payments: &dyn Payments,
    (since, after): (DateTime<Utc>, Option<&StripeEventId>),
    look_again: bool,
) -> Result<Page, PageError> {
    let told = payments.events(since, after).await?;
    let next = told.events.last().map(|event| event.id.clone()).filter(|_| told.has_more);
    let mut tx = db.system().await?;
    let taken = take(&mut tx, entropy, &told.events, look_again).await?;
    tx.commit().await?;
    for event in &taken.missing {
        tracing::warn!(event, "an event of Stripe's was missing");
    }
    Ok(Page { taken, next })
}

fn counts(told: Told, tenants: u64, differing: i64, left: i64) -> Value {
    let Told { asked, missing, kept } = told;
    let waiting = (left > 0).then_some(("waiting", left.into()));
    let counts = [("events", asked), ("missing", missing), ("kept", kept), ("tenants", tenants)];
    let counts = counts.map(|(what, count)| (what, Value::from(count)));
    let all = counts.into_iter().chain([("otherwise", differing.into())]).chain(waiting);
    Value::Object(all.map(|(what, count)| (what.to_owned(), count)).collect())
}

fn ended(claim: &Claim, counts: Value) -> Outcome {
    Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts))
}

fn stored(step: &ReconcileStep) -> Step {
    Step { name: step.name(), value: json!(step), deadline: Some(step.deadline()) }
}
