//! `/api/v1/model`: which model answers this tenant's agents, and what of today's budget is used.

use axum::{Json, extract::State};
use chrono::{DateTime, NaiveDate, Utc};
use domain::model::{PROOF_MODEL, PROOF_MODEL_TITLE};
use serde::Serialize;
use store::model_usage::OwnCalls;

use crate::{errors::Fault as _, guard::Member, llm::Models, problem::Problem, state::Web};

/// As in the schema `Model`.
#[derive(Debug, Serialize)]
pub(crate) struct ModelView {
    model: String,
    title: String,
    is_proof_model: bool,
    offered: Vec<OfferView>,
    budget: Option<BudgetView>,
    own: OwnView,
}

#[derive(Debug, Serialize)]
struct OfferView {
    model: String,
    title: String,
}

/// What a tenant's own keys were used for on this day.
#[derive(Debug, Serialize)]
struct OwnView {
    calls: u64,
    input_tokens: u64,
    output_tokens: u64,
}

/// A tenant's day. Amounts are millionths of a US dollar.
#[derive(Debug, Serialize)]
struct BudgetView {
    day: NaiveDate,
    limit_micro_usd: u64,
    used_micro_usd: u64,
    held_micro_usd: u64,
    resets_at: DateTime<Utc>,
    calls: u64,
    input_tokens: u64,
    output_tokens: u64,
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Json<ModelView>, Problem> {
    let offers = web.models.offered().into_iter();
    let offered = offers.map(|offer| OfferView { model: offer.name, title: offer.title }).collect();
    let mut tx = web.db.tenant_read(member.caller().tenant).await.or_problem()?;
    let today = store::model_usage::today(&mut tx).await.or_problem()?;
    let OwnCalls { calls, input_tokens, output_tokens } = today.own;
    let own = OwnView { calls, input_tokens, output_tokens };
    let Models::Vendor(forwarding) = &web.models else {
        let (model, title) = (PROOF_MODEL.to_owned(), PROOF_MODEL_TITLE.to_owned());
        return Ok(Json(ModelView { model, title, is_proof_model: true, offered, budget: None, own }));
    };
    let limit = app::model_budget::limit(&mut tx, forwarding.daily_budget).await.or_problem()?;
    let offer = forwarding.menu.offers().first().ok_or_else(|| Problem::broken("the menu is empty"))?;
    let budget = BudgetView {
        day: today.day,
        limit_micro_usd: limit.get(),
        used_micro_usd: today.used.get(),
        held_micro_usd: today.held.get(),
        resets_at: today.resets_at,
        calls: today.calls,
        input_tokens: today.input_tokens,
        output_tokens: today.output_tokens,
    };
    let (model, title) = (offer.name.clone(), offer.title.clone());
    Ok(Json(ModelView { model, title, is_proof_model: false, offered, budget: Some(budget), own }))
}
