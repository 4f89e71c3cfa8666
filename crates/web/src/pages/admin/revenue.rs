//! `/admin/revenue`: what a month brings and costs, how many stay, and what becomes of payments that fail.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{currency::Currency, entitlement::Standing, model::Micros, rates::DollarRates};
use http::StatusCode;
use store::{
    standings::{ChurnMonth, DUNNING_DAYS, Dunning},
    tenant_months::{MonthFilter, MonthSum, TenantMonth, Which},
};

use crate::{
    api::admin::{
        self,
        revenue::{Revenue, filter, left},
    },
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, ShortId, frame},
        charts::{UpDown, percent},
        frame::Frame,
        words::{Moment, signed_money},
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/revenue.html")]
pub(crate) struct RevenuePage {
    frame: Frame,
    tab: &'static str,
    is_billing: bool,
    sums: Vec<SumLine>,
    /// Currencies of which it is not known what a dollar is worth, and model calls cost dollars.
    no_rate: String,
    months: Vec<MonthLine>,
    chart: UpDown,
    is_quiet: bool,
    dunning_days: i32,
    failed: i64,
    funnel: Vec<Stage>,
    choices: Vec<Choice>,
    tenant: Option<ShortId>,
    is_narrowed: bool,
    lines: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug)]
struct SumLine {
    currency: String,
    paying: i64,
    brings: String,
    owed: Option<String>,
    machines: String,
    model: String,
    left: Option<String>,
    is_loss: bool,
    unknown: i64,
}

#[derive(Debug)]
struct MonthLine {
    month: String,
    at_start: i64,
    began: i64,
    left: i64,
    /// Of those who paid as it began, in percent.
    churn: String,
}

/// A stage of what becomes of a failed payment.
#[derive(Debug)]
struct Stage {
    words: &'static str,
    tone: &'static str,
    number: i64,
    percent: u32,
}

#[derive(Debug)]
struct Line {
    tenant: ShortId,
    tone: &'static str,
    word: &'static str,
    plan: Option<String>,
    brings: String,
    /// What is owed, or will be paid.
    aside: Option<String>,
    machines: i64,
    machine_cost: Option<String>,
    model: String,
    left: Option<String>,
    is_loss: bool,
    at: Moment,
}

/// What the page is made of.
pub(crate) struct Read<'a> {
    pub(crate) revenue: &'a Revenue,
    pub(crate) rows: Vec<TenantMonth>,
    pub(crate) next: Option<String>,
    pub(crate) rates: &'a DollarRates,
    pub(crate) is_billing: bool,
}

impl RevenuePage {
    pub(crate) fn new(read: Read<'_>, wanted: &MonthFilter, look: Look<'_>) -> Self {
        let Revenue { sums, churn, dunning } = read.revenue;
        let choice = |which: Which| {
            let (words, to) = match which {
                Which::All => ("All", "/admin/revenue"),
                Which::Losing => ("Costs more than it brings", "/admin/revenue?which=losing"),
                Which::Unknown => ("Not known", "/admin/revenue?which=unknown"),
            };
            Choice { words, to, is_here: wanted.which == which }
        };
        let column = |month: &ChurnMonth| (month.month.format("%b").to_string(), month.began, month.left);
        Self {
            frame: frame(look.by, "Revenue", "/admin/revenue".to_owned(), "berth"),
            tab: "revenue",
            is_billing: read.is_billing,
            no_rate: no_rate(sums, read.rates),
            sums: sums.iter().map(|sum| SumLine::new(sum, read.rates)).collect(),
            chart: UpDown::of(churn.iter().map(column)),
            is_quiet: churn.iter().all(|month| month.began == 0 && month.left == 0 && month.at_start == 0),
            months: churn.iter().rev().map(MonthLine::new).collect(),
            dunning_days: DUNNING_DAYS,
            failed: dunning.failed,
            funnel: funnel(dunning),
            choices: Which::EVERY.into_iter().map(choice).collect(),
            tenant: wanted.tenant.map(ShortId::of),
            is_narrowed: wanted.which != Which::All || wanted.tenant.is_some(),
            lines: read.rows.into_iter().map(|month| Line::new(month, look)).collect(),
            next: read.next,
        }
    }
}

impl SumLine {
    fn new(sum: &MonthSum, rates: &DollarRates) -> Self {
        let money = |cents| signed_money(cents, sum.currency);
        let (model, left) = left(sum, rates);
        Self {
            currency: sum.currency.map_or_else(|| "No plan".to_owned(), |currency| currency.to_string()),
            paying: sum.paying,
            brings: money(sum.brings),
            owed: (sum.owed > 0).then(|| money(sum.owed)),
            machines: money(sum.machine_cost),
            model: model_words(sum.model, model, sum.currency),
            left: left.map(money),
            is_loss: left.is_some_and(|left| left < 0),
            unknown: sum.unknown,
        }
    }
}

impl MonthLine {
    fn new(month: &ChurnMonth) -> Self {
        let churn = match month.at_start {
            ..=0 => "–".to_owned(),
            start => {
                let tenths = month.left.saturating_mul(1000) / start;
                format!("{}.{} %", tenths / 10, tenths % 10)
            }
        };
        Self {
            month: month.month.format("%B %Y").to_string(),
            at_start: month.at_start,
            began: month.began,
            left: month.left,
            churn,
        }
    }
}

impl Line {
    fn new(month: TenantMonth, look: Look<'_>) -> Self {
        let money = |cents| signed_money(cents, month.currency);
        let aside = month.price.and_then(|price| match month.standing {
            Standing::PastDue => Some(format!("{} owed", money(price))),
            Standing::Trial => Some(format!("{} after the trial", money(price))),
            _ => None,
        });
        Self {
            tenant: ShortId::of(month.tenant),
            tone: tone(month.standing),
            word: month.standing.title(),
            plan: month.plan,
            brings: month.brings.map_or_else(
                || "a price of no plan".to_owned(),
                |cents| match cents {
                    0 => "nothing".to_owned(),
                    _ => money(cents),
                },
            ),
            aside,
            machines: month.machines,
            machine_cost: month.machine_cost.map(money),
            model: month.model.to_string(),
            left: month.left.map(money),
            is_loss: month.left.is_some_and(|left| left < 0),
            at: look.at(month.at),
        }
    }
}

const fn tone(standing: Standing) -> &'static str {
    match standing {
        Standing::Paying => "live",
        Standing::Trial | Standing::Gift | Standing::BillingOff => "working",
        Standing::Ending | Standing::PastDue => "attention",
        Standing::Suspended => "failed",
        Standing::Left | Standing::Unpaid => "off",
    }
}

fn funnel(dunning: &Dunning) -> Vec<Stage> {
    let stage = |words, tone, number| Stage { words, tone, number, percent: percent(number, dunning.failed) };
    vec![
        stage("A payment failed", "attention", dunning.failed),
        stage("Settled within seven days", "live", dunning.settled),
        stage("Agents were stopped", "failed", dunning.suspended),
        stage("Settled after that", "live", dunning.came_back),
        stage("Left", "off", dunning.left),
        stage("Not decided yet", "working", dunning.open()),
    ]
}

/// In the currency, where it is known what a dollar is worth; else in dollars.
fn model_words(dollars: Micros, cents: Option<i64>, currency: Option<Currency>) -> String {
    cents.map_or_else(|| dollars.to_string(), |cents| signed_money(cents, currency))
}

fn no_rate(sums: &[MonthSum], rates: &DollarRates) -> String {
    let missing = sums.iter().filter(|sum| sum.model.get() > 0).filter_map(|sum| sum.currency);
    let missing: Vec<_> = missing.filter(|currency| rates.of(*currency).is_none()).map(|of| of.to_string()).collect();
    missing.join(" and ")
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let wanted = filter(&query)?;
    let rates = &web.site.rates;
    let mut tx = web.db.system().await?;
    let revenue = Revenue::read(&mut tx).await?;
    let rows = store::tenant_months::list(&mut tx, wanted, rates, PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/revenue", &query), |month| month.tenant);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    let read = Read { revenue: &revenue, rows, next, rates, is_billing: web.site.payments.is_some() };
    pages::page(StatusCode::OK, &RevenuePage::new(read, &wanted, look))
}
