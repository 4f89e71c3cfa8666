//! `/admin/plans`: what can be bought, one form a plan.

use app::plans::{ChangePlanError, WrittenPlan};
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{model::Micros, plan::Plan};
use http::StatusCode;

use crate::{
    api::agents::sentence,
    body::Form,
    guard::Operator,
    pages::{
        self,
        admin::{Look, frame},
        frame::Frame,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/plans.html")]
pub(crate) struct PlansPage {
    frame: Frame,
    tab: &'static str,
    plans: Vec<Line>,
    is_billing: bool,
}

/// One plan, with its fields as text.
#[derive(Debug)]
struct Line {
    name: String,
    title: String,
    is_sold: bool,
    fields: Vec<Field>,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    hint: &'static str,
    value: String,
    fault: Option<String>,
}

impl PlansPage {
    pub(crate) fn new(plans: &[Plan], is_billing: bool, look: Look<'_>) -> Self {
        let frame = frame(look.by, "Plans", "/admin/plans".to_owned(), "berth");
        Self { frame, tab: "plans", plans: plans.iter().map(Line::new).collect(), is_billing }
    }

    /// One plan as it was filled in, with what is wrong with it.
    fn refused(mut self, form: &Form, field: &str, fault: &str) -> Self {
        for line in self.plans.iter_mut().filter(|line| line.name == form.field("plan")) {
            for one in &mut line.fields {
                one.value = form.field(one.name).chars().take(100).collect();
                one.fault = (one.name == field).then(|| fault.to_owned());
            }
        }
        self
    }
}

impl Line {
    fn new(plan: &Plan) -> Self {
        let field = |name, label, hint, value| Field { name, label, hint, value, fault: None };
        let daily = plan.limits.daily_model.map(dollars).unwrap_or_default();
        let currency = plan.money.currency.as_str().to_owned();
        let machine = plan.limits.machine;
        let days = plan.trial_days.map_or(0, std::num::NonZero::get);
        Self {
            name: plan.name.to_string(),
            title: plan.title.clone(),
            is_sold: plan.price.is_some(),
            fields: vec![
                field("title", "Title", "what people read", plan.title.clone()),
                field(
                    "price",
                    "Price at Stripe",
                    "price_…; empty: not sold",
                    plan.price.as_ref().map(ToString::to_string).unwrap_or_default(),
                ),
                field("cents", "A month, in hundredths", "as pages say it", plan.money.cents.to_string()),
                field("currency", "Currency", "three small letters", currency),
                field("trial_days", "Days free", "the first time; 0: none", days.to_string()),
                field("agents", "Agents", "1 to 1000", plan.limits.agents.to_string()),
                field("daily_model", "Model calls a day, in dollars", "empty: as set for all; 0: own key", daily),
                field("cpus", "Processors of a machine", "1 to 64; empty: as set for all", number(machine.cpus)),
                field(
                    "memory_mib",
                    "Memory of a machine, in MiB",
                    "from 2048; empty: as set for all",
                    number(machine.memory_mib),
                ),
                field(
                    "machine_cents",
                    "What a machine costs you a month, in hundredths",
                    "operators alone see it; empty: not known",
                    number(plan.machine_cents),
                ),
            ],
        }
    }
}

/// What a field holds: nothing for none.
fn number(value: Option<impl ToString>) -> String {
    value.map(|number| number.to_string()).unwrap_or_default()
}

/// What a field says: nothing is none. A text that is no number is one that no limit allows, and so is told.
fn optional(form: &Form, name: &str) -> Option<u32> {
    let text = form.field(name).trim();
    (!text.is_empty()).then(|| text.parse().unwrap_or(u32::MAX))
}

/// As [`Micros::parse`] reads it.
fn dollars(most: Micros) -> String {
    let micros = most.get();
    let text = format!("{}.{:06}", micros / 1_000_000, micros % 1_000_000);
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

pub(crate) async fn show(State(web): State<Web>, by: Operator) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, &by).await?)
}

async fn read(web: &Web, by: &Operator) -> Result<PlansPage, Problem> {
    let mut tx = web.db.system().await?;
    let plans = store::plans::list(&mut tx).await?;
    let look = Look { by: by.caller(), now: web.dice.now() };
    Ok(PlansPage::new(&plans, web.site.payments.is_some(), look))
}

pub(crate) async fn change(State(web): State<Web>, by: Operator, form: Form) -> Result<Response, Problem> {
    let daily = form.field("daily_model").trim();
    let Some(daily_model) = (if daily.is_empty() { Some(None) } else { Micros::parse(daily).map(Some) }) else {
        let page = read(&web, &by).await?.refused(&form, "daily_model", "Write dollars, such as 5 or 0.25.");
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let written = WrittenPlan {
        name: form.field("plan"),
        title: form.field("title"),
        price: form.field("price"),
        cents: form.field("cents").trim().parse().ok(),
        currency: form.field("currency"),
        trial_days: form.field("trial_days").trim().parse().ok(),
        agents: form.field("agents").trim().parse().ok(),
        daily_model,
        cpus: optional(&form, "cpus"),
        memory_mib: optional(&form, "memory_mib"),
        machine_cents: optional(&form, "machine_cents"),
    };
    let plan = match written.read() {
        Ok(plan) => plan,
        Err(error) if error.field == "plan" => return Err(error.into()),
        Err(error) => {
            let page = read(&web, &by).await?.refused(&form, error.field, &sentence(&error));
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    let mut tx = web.db.system().await?;
    match app::plans::change(&mut tx, &plan, by.caller()).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(pages::see_other("/admin/plans"))
        }
        Err(error @ ChangePlanError::PriceTaken) => {
            drop(tx);
            let page = read(&web, &by).await?.refused(&form, "price", &sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        Err(error) => Err(error.into()),
    }
}
