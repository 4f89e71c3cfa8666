//! Erasing a tenant: wait → empty → cancel → erase.
//!
//! `wait` rests until the thirty days are over, or ends when the tenant is kept after all.
//! `empty` asks each agent's own flow to remove it, machine and all, and waits for them.
//! `cancel` ends what is left to be billed at Stripe: whoever is forgotten here must not go on paying there.
//! `erase` deletes the tenant; the database refuses while it is not due or a machine is left.

use std::time::Duration;

use clients::payments::PaymentsError;
use domain::{TenantId, agent::Wanted, alert::AlertKind, billing::SubscriptionStatus};
use serde_json::json;
use store::flows::Claim;

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// How often a waiting erasure looks by itself: the tenant may be kept, the clock may be moved.
const LOOK: Duration = Duration::from_hours(1);
/// How often it looks whether the agents are gone.
const EMPTYING: Duration = Duration::from_secs(5);
/// Agents that are asked to go in one step.
const BATCH: i64 = 100;

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let tenant = TenantId::from_uuid(claim.subject);
    let mut tx = world.db.system().await?;
    let left = store::tenants::due_in(&mut tx, tenant).await?;
    drop(tx);
    // Kept after all, or gone.
    let Some(left) = left else { return Ok(Outcome::next(Next::Done).house(HouseWrite::Kept(tenant))) };
    if !left.is_zero() {
        return Ok(Outcome::next(Next::Wait(step("wait"), left.min(LOOK))));
    }
    let key = format!("erasure_stuck:{tenant}");
    if claim.overdue {
        let message = "a tenant that is due to be erased still has agents or machines, or is still billed".to_owned();
        let kind = AlertKind::FlowFailed;
        let alert = HouseWrite::Alert { key, kind, subject: claim.flow.to_string(), message };
        return Ok(Outcome::next(Next::Wait(step("wait"), LOOK)).house(alert));
    }
    match claim.step.get("step").and_then(serde_json::Value::as_str) {
        Some("wait") => Ok(Outcome::next(Next::Go(step("empty")))),
        Some("empty") => empty(world, tenant).await,
        Some("cancel") => cancel(world, tenant).await,
        Some("erase") => Ok(Outcome::next(Next::Done)
            .house(HouseWrite::CloseAlerts(vec![key]))
            .house(HouseWrite::EraseTenant(tenant))),
        _ => Err(StepError::retry("this build cannot read the flow's step")),
    }
}

async fn empty(world: &World, tenant: TenantId) -> Result<Outcome, StepError> {
    let mut tx = world.db.tenant(tenant).await?;
    let agents = store::agents::list(&mut tx, None, BATCH).await?;
    for agent in agents.iter().filter(|agent| agent.wanted != Wanted::Gone) {
        store::order::flow_first(&mut tx, app::agents::LIFE, agent.id.uuid()).await?;
        store::agents::set_wanted(&mut tx, agent.id, Wanted::Gone).await?;
        store::flows::ask_removal(&mut tx, app::agents::LIFE, agent.id.uuid()).await?;
    }
    tx.commit().await?;
    let mut tx = world.db.system().await?;
    let is_inhabited = store::tenants::is_inhabited(&mut tx, tenant).await?;
    if agents.is_empty() && !is_inhabited {
        return Ok(Outcome::next(Next::Go(step("cancel"))));
    }
    Ok(Outcome::next(Next::Wait(step("empty"), EMPTYING)))
}

/// Ends every subscription of the tenant's customer, now. Ended already is success.
async fn cancel(world: &World, tenant: TenantId) -> Result<Outcome, StepError> {
    let mut tx = world.db.system().await?;
    let known = store::billing::known(&mut tx, tenant).await?;
    drop(tx);
    if let Some(customer) = known.and_then(|account| account.customer) {
        let trouble = |error: PaymentsError| StepError::retry(error.to_string());
        let Some(payments) = &world.payments else {
            return Err(StepError::retry("this tenant is a customer at Stripe, and Stripe is not set up any more"));
        };
        for one in payments.subscriptions(&customer).await.map_err(trouble)? {
            if !matches!(one.status, SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired) {
                payments.cancel_now(&one.id).await.map_err(trouble)?;
            }
        }
    }
    Ok(Outcome::next(Next::Go(step("erase"))))
}

fn step(name: &'static str) -> Step {
    let deadline = match name {
        "wait" => None,
        "empty" | "cancel" => Some(Duration::from_hours(24)),
        _ => Some(Duration::from_mins(15)),
    };
    Step { name, value: json!({ "step": name }), deadline }
}
