//! `/api/v1/billing`: how the tenant stands, and the ways to pay.

use std::num::{NonZeroU16, NonZeroU32};

use axum::{Json, extract::State};
use domain::{
    currency::Currency,
    entitlement::{Billing, Entitlement},
    plan::{Plan, PlanName},
};
use serde::{Deserialize, Serialize};
use url::Url;

use crate::{body, errors::Fault as _, guard::Member, payments, problem::Problem, state::Web};

/// As in the schema `Billing`.
#[derive(Debug, Serialize)]
pub(crate) struct BillingView {
    is_billing: bool,
    standing: Entitlement,
    plan: Option<PlanView>,
    agents: i64,
    agents_running: i64,
    offered: Vec<PlanView>,
}

/// One plan. An amount is in hundredths of its currency, a month.
#[derive(Debug, Serialize)]
pub(crate) struct PlanView {
    plan: String,
    title: String,
    cents: u32,
    currency: Currency,
    trial_days: u16,
    agents: u16,
    is_own_key: bool,
    cpus: Option<NonZeroU16>,
    memory_mib: Option<NonZeroU32>,
}

impl PlanView {
    pub(crate) fn of(plan: &Plan) -> Self {
        Self {
            plan: plan.name.to_string(),
            title: plan.title.clone(),
            cents: plan.money.cents,
            currency: plan.money.currency,
            trial_days: plan.trial_days.map_or(0, std::num::NonZero::get),
            agents: plan.limits.agents,
            is_own_key: plan.limits.is_own_key(),
            cpus: plan.limits.machine.cpus,
            memory_mib: plan.limits.machine.memory_mib,
        }
    }
}

/// What taking out a plan takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct WantedPlan {
    plan: String,
}

/// Where somebody pays. Whoever has the address sees what stands there.
#[derive(Debug, Serialize)]
pub(crate) struct PageAtStripe {
    url: Url,
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Json<BillingView>, Problem> {
    let mut tx = web.db.tenant(member.caller().tenant).await.or_problem()?;
    let account = store::billing::own(&mut tx).await.or_problem()?;
    let count = store::agents::count(&mut tx).await.or_problem()?;
    let offered = store::plans::offered(&mut tx).await.or_problem()?;
    let is_billing = account.facts.billing == Billing::On;
    Ok(Json(BillingView {
        is_billing,
        standing: account.judge(),
        plan: account.plan.as_ref().map(PlanView::of),
        agents: count.there,
        agents_running: count.running,
        offered: if is_billing { offered.iter().map(PlanView::of).collect() } else { Vec::new() },
    }))
}

pub(crate) async fn checkout(
    State(web): State<Web>,
    member: Member,
    body::Json(wanted): body::Json<WantedPlan>,
) -> Result<Json<PageAtStripe>, Problem> {
    let plan =
        PlanName::parse(&wanted.plan).map_err(|_| Problem::unusable("plan", "There is no plan of that name."))?;
    let url = payments::checkout(&web, &plan, member.caller()).await?;
    Ok(Json(PageAtStripe { url }))
}

pub(crate) async fn portal(State(web): State<Web>, member: Member) -> Result<Json<PageAtStripe>, Problem> {
    let url = payments::portal(&web, member.caller()).await?;
    Ok(Json(PageAtStripe { url }))
}
