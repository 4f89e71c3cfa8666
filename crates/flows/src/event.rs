//! Understanding an event that was kept: whom it is about, and having that tenant's payments looked at again.

use std::time::Duration;

use app::events::Read;
use clients::payments::PaymentsError;
use domain::{
    EventId,
    alert::AlertKind,
    event::{About, EventStep},
};
use store::flows::Claim;

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// How long an event that is not understood waits, once a person was told.
const AGAIN: Duration = Duration::from_mins(5);

/// Runs the one step. What is written is written here, at once: who reads an event twice finds it read.
///
/// # Errors
/// [`StepError::Retry`] and the database only: an event is never given up.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let id = EventId::from_uuid(claim.subject);
    let key = format!("event_unread:{id}");
    match read(world, id).await {
        Ok(()) => Ok(Outcome::next(Next::Done).house(HouseWrite::CloseAlerts(vec![key]))),
        Err(error) if claim.overdue => {
            let message = format!("an event of Stripe's is not understood since it came: {error}");
            let alert =
                HouseWrite::Alert { key, kind: AlertKind::BillingStuck, subject: claim.flow.to_string(), message };
            let step = EventStep::Read;
            let step = Step { name: step.name(), value: serde_json::json!(step), deadline: Some(step.deadline()) };
            Ok(Outcome::next(Next::Wait(step, AGAIN)).house(alert))
        }
        Err(error) => Err(error),
    }
}

/// Whom a charge is about only Stripe knows. It is asked with no transaction open; where nobody bills there is nobody to ask.
async fn read(world: &World, id: EventId) -> Result<(), StepError> {
    let mut tx = world.db.system().await?;
    let Read::WhoPaid(charge) = app::events::read(&mut tx, id, None).await? else { return Ok(tx.commit().await?) };
    drop(tx);
    let who = match &world.payments {
        None => None,
        Some(payments) => match payments.charge_customer(&charge).await {
            Ok(customer) => customer.map(About::Customer),
            Err(PaymentsError::NotFound) => None,
            Err(error) => return Err(StepError::retry(error.to_string())),
        },
    };
    let mut tx = world.db.system().await?;
    app::events::read(&mut tx, id, Some(who.as_ref())).await?;
    Ok(tx.commit().await?)
}
