//! `/api/admin/v1/plans` and gifts: what can be bought, and who is let off paying.

use app::plans::{self, BadPlan, ChangePlanError, GiftError, WrittenPlan};
use axum::{Json, extract::State};
use domain::{
    id,
    model::Micros,
    plan::{Plan, PlanName},
};
use http::StatusCode;
use serde::{Deserialize, Serialize};
use store::Db;

use crate::{
    api::{agents::sentence, billing::PlanView},
    body::{self, At},
    guard::Operator,
    problem::Problem,
    state::Dice,
};

/// As in the schema `Plans`.
#[derive(Debug, Serialize)]
pub(crate) struct Plans {
    plans: Vec<OperatedPlan>,
}

/// A plan with what operators decide.
#[derive(Debug, Serialize)]
struct OperatedPlan {
    #[serde(flatten)]
    plan: PlanView,
    price: Option<String>,
    daily_model_micro_usd: Option<u64>,
    machine_cents: Option<u32>,
}

/// What changing a plan takes: all of it.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct ChangedPlan {
    plan: String,
    title: String,
    price: Option<String>,
    #[serde(deserialize_with = "body::whole_number")]
    cents: u32,
    currency: String,
    #[serde(deserialize_with = "body::whole_number")]
    trial_days: u32,
    #[serde(deserialize_with = "body::whole_number")]
    agents: u32,
    #[serde(default, deserialize_with = "body::maybe_whole_number")]
    daily_model_micro_usd: Option<u32>,
    #[serde(default, deserialize_with = "body::maybe_whole_number")]
    cpus: Option<u32>,
    #[serde(default, deserialize_with = "body::maybe_whole_number")]
    memory_mib: Option<u32>,
    #[serde(default, deserialize_with = "body::maybe_whole_number")]
    machine_cents: Option<u32>,
}

/// What letting somebody off takes. No number of days is for good.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Gift {
    plan: String,
    #[serde(default, deserialize_with = "body::maybe_whole_number")]
    days: Option<u32>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator) -> Result<Json<Plans>, Problem> {
    let mut tx = db.system().await?;
    Ok(Json(told(&store::plans::list(&mut tx).await?)))
}

pub(crate) async fn change(
    State(db): State<Db>,
    by: Operator,
    body::Json(new): body::Json<ChangedPlan>,
) -> Result<Json<Plans>, Problem> {
    // In a form nothing is written for none; here that is null.
    if new.price.as_deref() == Some("") {
        return Err(Problem::unusable("price", "A price of Stripe's begins with price_; null is none."));
    }
    let written = WrittenPlan {
        name: &new.plan,
        title: &new.title,
        price: new.price.as_deref().unwrap_or_default(),
        cents: Some(new.cents),
        currency: &new.currency,
        trial_days: new.trial_days.try_into().ok(),
        agents: new.agents.try_into().ok(),
        daily_model: new.daily_model_micro_usd.map(|most| Micros::new(most.into())),
        cpus: new.cpus,
        memory_mib: new.memory_mib,
        machine_cents: new.machine_cents,
    };
    let plan = written.read()?;
    let mut tx = db.system().await?;
    plans::change(&mut tx, &plan, by.caller()).await?;
    let all = store::plans::list(&mut tx).await?;
    tx.commit().await?;
    Ok(Json(told(&all)))
}

pub(crate) async fn give(
    State(db): State<Db>,
    State(dice): State<Dice>,
    by: Operator,
    At(id): At<id::Tenant>,
    body::Json(gift): body::Json<Gift>,
) -> Result<StatusCode, Problem> {
    let plan = PlanName::parse(&gift.plan).map_err(|_| GiftError::NoPlan)?;
    let days = gift.days.map(|days| u16::try_from(days).unwrap_or(u16::MAX));
    plans::give(db.system().await?, &*dice.0, id, (&plan, days), by.caller()).await?;
    Ok(StatusCode::NO_CONTENT)
}

pub(crate) async fn end_gift(
    State(db): State<Db>,
    State(dice): State<Dice>,
    by: Operator,
    At(id): At<id::Tenant>,
) -> Result<StatusCode, Problem> {
    plans::end_gift(db.system().await?, &*dice.0, id, by.caller()).await?;
    Ok(StatusCode::NO_CONTENT)
}

fn told(all: &[Plan]) -> Plans {
    let one = |plan: &Plan| OperatedPlan {
        plan: PlanView::of(plan),
        price: plan.price.as_ref().map(ToString::to_string),
        daily_model_micro_usd: plan.limits.daily_model.map(Micros::get),
        machine_cents: plan.machine_cents,
    };
    Plans { plans: all.iter().map(one).collect() }
}

impl From<BadPlan> for Problem {
    fn from(error: BadPlan) -> Self {
        if error.field == "plan" { Self::not_found() } else { Self::unusable(error.field, sentence(&error)) }
    }
}

impl From<ChangePlanError> for Problem {
    fn from(error: ChangePlanError) -> Self {
        match error {
            ChangePlanError::Forbidden => Self::not_allowed(sentence(&error)),
            ChangePlanError::NotFound => Self::not_found(),
            ChangePlanError::PriceTaken => {
                Self { field: Some("price"), ..Self::conflict("price-taken", sentence(&error)) }
            }
            ChangePlanError::Store(error) => error.into(),
        }
    }
}

impl From<GiftError> for Problem {
    fn from(error: GiftError) -> Self {
        match error {
            GiftError::Forbidden => Self::not_allowed(sentence(&error)),
            GiftError::NotFound => Self::not_found(),
            GiftError::NoPlan => Self { detail: sentence(&error).into(), ..Self::not_found() },
            GiftError::Days => Self::unusable("days", sentence(&error)),
            GiftError::Store(error) => error.into(),
        }
    }
}
