//! `/billing`: what one has, what it costs, and the ways to pay; and coming back from Stripe.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{
    entitlement::{Entitlement, Served, Suspended},
    people::{Caller, Role},
    plan::{Plan, PlanName},
};
use http::StatusCode;
use store::{agents::Count, billing::Account};
use url::Url;

use crate::{
    body::Form,
    guard::Member,
    pages::{
        self,
        frame::{Frame, day},
        model::ModelLine,
    },
    payments,
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "billing.html")]
pub(crate) struct BillingPage {
    frame: Frame,
    standing: Standing,
    /// What one has, in words.
    plan: Option<String>,
    /// Agents there are, running ones, and most of them.
    there: i64,
    running: i64,
    most: Option<u16>,
    /// What each machine has, where the plan says so.
    machine: String,
    /// Agents that payments have stopped.
    rested: usize,
    model: ModelLine,
    /// What can be taken out; empty where there is a plan, or nobody may choose.
    offers: Vec<Offer>,
    /// Whether anybody pays here.
    is_billing: bool,
    /// Whether the reader may choose and pay.
    may_pay: bool,
    /// Whether Stripe knows the tenant.
    is_customer: bool,
    fault: Option<String>,
}

/// How a tenant stands, for people.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Standing {
    pub(crate) tone: &'static str,
    pub(crate) word: &'static str,
    pub(crate) told: String,
}

/// One plan that can be taken out.
#[derive(Debug)]
struct Offer {
    name: String,
    title: String,
    price: String,
    agents: String,
    /// What each machine has, where the plan says so.
    machine: String,
    model: &'static str,
    trial: Option<String>,
}

impl Standing {
    pub(crate) fn of(judged: &Entitlement) -> Self {
        let (tone, word, told) = match judged {
            Entitlement::Served { by } => served(*by),
            Entitlement::Suspended { why, since } => {
                let told = match why {
                    Suspended::PastDue => {
                        "The last payment failed, and seven days are over. Agents are stopped, and everything is kept. Once it is paid they start by themselves, within a minute."
                    }
                    Suspended::Disputed => {
                        "A payment is disputed at your bank. Agents are stopped, and everything is kept, until that is settled."
                    }
                    Suspended::Paused => {
                        "The trial ended without a way to pay. Agents are stopped, and everything is kept. Add a way to pay, and they start by themselves."
                    }
                };
                ("attention", "suspended", format!("{told} Since {}.", day(*since)))
            }
            Entitlement::Leaving { until } => (
                "off",
                "cancelled",
                format!(
                    "The subscription has ended. Agents are stopped, and everything is kept until {}; then agents and their machines are destroyed. Take out a plan before that, and they start by themselves.",
                    day(*until)
                ),
            ),
            Entitlement::Gone { since } => (
                "off",
                "over",
                format!(
                    "The subscription ended, and the thirty days after it were over on {}. Agents are being destroyed.",
                    day(*since)
                ),
            ),
            Entitlement::Unpaid => ("next", "no plan", "There is no plan yet. Choose one to make agents.".to_owned()),
        };
        Self { tone, word, told }
    }
}

fn served(by: Served) -> (&'static str, &'static str, String) {
    match by {
        Served::BillingOff => ("done", "served", "Nobody pays here: this Berth does not bill.".to_owned()),
        Served::Complimentary { until: None } => ("done", "complimentary", "You are let off paying.".to_owned()),
        Served::Complimentary { until: Some(until) } => {
            ("done", "complimentary", format!("You are let off paying until {}.", day(until)))
        }
        Served::Trial { ends } => {
            ("done", "trial", format!("The trial ends on {}; the first payment is due then.", day(ends)))
        }
        Served::Paid { renews } => ("done", "paid", format!("The next payment is due on {}.", day(renews))),
        Served::Cancelled { ends } => (
            "attention",
            "ends",
            format!(
                "Cancelled: it ends on {}, and nothing is charged any more. Agents run until then, and are kept for thirty days after.",
                day(ends)
            ),
        ),
        Served::PastDue { until } => (
            "attention",
            "payment failed",
            format!("The last payment failed. Agents run until {}; pay before, and nothing happens.", day(until)),
        ),
    }
}

impl Offer {
    fn of(plan: &Plan) -> Self {
        let agents = plan.limits.agents;
        Self {
            name: plan.name.to_string(),
            title: plan.title.clone(),
            price: plan.money.to_string(),
            agents: format!("{agents} {}", if agents == 1 { "agent" } else { "agents" }),
            machine: plan.limits.machine.to_string(),
            model: if plan.limits.is_own_key() { "with your own model key" } else { "model calls included" },
            trial: plan.trial_days.map(|days| format!("{days} days free")),
        }
    }
}

impl BillingPage {
    pub(crate) fn new(by: &Caller, account: &Account, count: Count, offers: &[Plan], model: ModelLine) -> Self {
        let judged = account.judge();
        let is_billing = account.facts.billing == domain::entitlement::Billing::On;
        let may_pay = by.role >= Role::Admin && is_billing;
        let wants_one = matches!(
            judged,
            Entitlement::Unpaid
                | Entitlement::Leaving { .. }
                | Entitlement::Gone { .. }
                | Entitlement::Served { by: Served::Complimentary { .. } }
        );
        let offers = if wants_one { offers.iter().map(Offer::of).collect() } else { Vec::new() };
        Self {
            frame: Frame::of(by, "billing", "Billing").untroubled(),
            standing: Standing::of(&judged),
            plan: account.plan.as_ref().map(|plan| plan.title.clone()),
            there: count.there,
            running: count.running,
            most: account.plan.as_ref().map(|plan| plan.limits.agents),
            machine: account.plan.as_ref().map(|plan| plan.limits.machine.to_string()).unwrap_or_default(),
            rested: account.rested.len(),
            model,
            offers,
            is_billing,
            may_pay,
            is_customer: account.customer.is_some(),
            fault: None,
        }
    }

    pub(crate) fn refused(self, fault: String) -> Self {
        Self { fault: Some(fault), ..self }
    }
}

/// Going to Stripe: a browser does it by itself.
#[derive(Debug, Template)]
#[template(path = "billing_leave.html")]
pub(crate) struct LeavePage {
    frame: Frame,
    to: String,
}

impl LeavePage {
    pub(crate) fn new(by: &Caller, to: &Url) -> Self {
        let mut frame = Frame::of(by, "billing", "To Stripe").untroubled();
        frame.leads_to = Some(to.to_string());
        Self { frame, to: to.to_string() }
    }
}

/// Coming back from Stripe.
#[derive(Debug, Template)]
#[template(path = "billing_return.html")]
pub(crate) struct ReturnPage {
    frame: Frame,
    standing: Standing,
    is_served: bool,
    has_agents: bool,
}

impl ReturnPage {
    pub(crate) fn new(by: &Caller, judged: &Entitlement, count: Count) -> Self {
        let is_served = judged.may_run();
        let title = if is_served { "Your plan is in force" } else { "Waiting for Stripe" };
        let mut frame = Frame::of(by, "billing", title).untroubled();
        payments::RETURN.clone_into(&mut frame.page);
        frame.reloads = !is_served;
        Self { frame, standing: Standing::of(judged), is_served, has_agents: count.there > 0 }
    }
}

pub(crate) async fn show(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, member.caller()).await?)
}

async fn read(web: &Web, by: &Caller) -> Result<BillingPage, Problem> {
    let mut tx = web.db.tenant(by.tenant).await?;
    let account = store::billing::own(&mut tx).await?;
    let count = store::agents::count(&mut tx).await?;
    let offers = store::plans::offered(&mut tx).await?;
    let model = ModelLine::read(&mut tx, &web.models, None).await?;
    Ok(BillingPage::new(by, &account, count, &offers, model))
}

/// Has a plan taken out, at Stripe.
pub(crate) async fn checkout(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let by = member.caller();
    let Ok(plan) = PlanName::parse(form.field("plan")) else {
        let fault = "Choose one of the plans.".to_owned();
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &read(&web, by).await?.refused(fault));
    };
    leave(&web, by, payments::checkout(&web, &plan, by).await).await
}

/// To invoices and ways to pay, at Stripe.
pub(crate) async fn portal(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    let by = member.caller();
    leave(&web, by, payments::portal(&web, by).await).await
}

async fn leave(web: &Web, by: &Caller, to: Result<Url, Problem>) -> Result<Response, Problem> {
    match to {
        Ok(to) => pages::page(StatusCode::OK, &LeavePage::new(by, &to)),
        Err(problem) if problem.status.is_server_error() || problem.status == StatusCode::FORBIDDEN => Err(problem),
        Err(problem) => {
            let page = read(web, by).await?.refused(problem.detail.into_owned());
            pages::page(problem.status, &page)
        }
    }
}

/// True at every moment: paid and not told yet, told and no machine yet. Stripe is asked anew, and nothing that the
/// browser brings is believed.
pub(crate) async fn come_back(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    let by = member.caller();
    let mut tx = web.db.tenant(by.tenant).await?;
    let account = store::billing::own(&mut tx).await?;
    let count = store::agents::count(&mut tx).await?;
    let judged = account.judge();
    if !judged.may_run() && account.customer.is_some() {
        app::billing::open(&mut tx, &*web.dice.0).await?;
        tx.commit().await?;
    }
    pages::page(StatusCode::OK, &ReturnPage::new(by, &judged, count))
}

/// What a tenant reads on every page while something is to be mended.
pub(crate) fn trouble(judged: &Entitlement) -> Option<String> {
    match judged {
        Entitlement::Served { by: Served::PastDue { .. } }
        | Entitlement::Suspended { .. }
        | Entitlement::Leaving { .. }
        | Entitlement::Gone { .. } => Some(Standing::of(judged).told),
        Entitlement::Served { .. } | Entitlement::Unpaid => None,
    }
}
