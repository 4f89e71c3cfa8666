//! The buttons on a tenant's page that let it off paying, and have it pay again.

use app::plans;
use axum::{extract::State, response::Response};
use domain::{
    id,
    plan::{Plan, PlanName},
};
use store::billing::Account;

use crate::{
    body::{At, Form},
    guard::Operator,
    pages::{self, billing::Standing},
    problem::Problem,
    state::Web,
};

/// What a tenant pays, on its page.
#[derive(Debug)]
pub(crate) struct Pays {
    pub(super) tone: &'static str,
    pub(super) word: &'static str,
    pub(super) told: String,
    pub(super) plan: Option<String>,
    pub(super) customer: Option<String>,
    pub(super) is_gift: bool,
    /// What can be given.
    pub(super) plans: Vec<(String, String)>,
}

impl Pays {
    pub(crate) fn of(account: &Account, plans: &[Plan]) -> Self {
        let Standing { tone, word, told } = Standing::of(&account.judge());
        Self {
            tone,
            word,
            told,
            plan: account.plan.as_ref().map(|plan| plan.title.clone()),
            customer: account.customer.as_ref().map(ToString::to_string),
            is_gift: account.facts.complimentary.is_some(),
            plans: plans.iter().map(|plan| (plan.name.to_string(), plan.title.clone())).collect(),
        }
    }
}

pub(crate) async fn give(
    State(web): State<Web>,
    by: Operator,
    At(id): At<id::Tenant>,
    form: Form,
) -> Result<Response, Problem> {
    let plan = PlanName::parse(form.field("plan")).map_err(|_| plans::GiftError::NoPlan)?;
    let days = match form.field("days").trim() {
        "" => None,
        text => Some(text.parse().map_err(|_| plans::GiftError::Days)?),
    };
    plans::give(web.db.system().await?, &*web.dice.0, id, (&plan, days), by.caller()).await?;
    Ok(pages::see_other(&format!("/admin/tenants/{id}")))
}

pub(crate) async fn end(State(web): State<Web>, by: Operator, At(id): At<id::Tenant>) -> Result<Response, Problem> {
    plans::end_gift(web.db.system().await?, &*web.dice.0, id, by.caller()).await?;
    Ok(pages::see_other(&format!("/admin/tenants/{id}")))
}
