//! `/api/admin/v1/revenue`: what a month of all tenants brings and costs, of each of them, and how many stay.

use axum::{Json, extract::State};
use chrono::{DateTime, NaiveDate, Utc};
use domain::{TenantId, currency::Currency, rates::DollarRates};
use serde::Serialize;
use store::{
    Db,
    standings::{self, ChurnMonth, DUNNING_DAYS, Dunning},
    tenant_months::{self, MonthFilter, MonthSum, TenantMonth, Which},
};

use crate::{
    api::admin::{self, Listed},
    body::Query,
    guard::Operator,
    problem::Problem,
    state::Web,
};

/// As in the schema `Revenue`.
#[derive(Debug, Serialize)]
pub(crate) struct RevenueView {
    months: Vec<SumView>,
    churn: Vec<ChurnView>,
    dunning: DunningView,
}

#[derive(Debug, Serialize)]
struct SumView {
    currency: Option<Currency>,
    paying: i64,
    brings_cents: i64,
    owed_cents: i64,
    machine_cents: i64,
    model_micro_usd: u64,
    model_cents: Option<i64>,
    left_cents: Option<i64>,
    unknown: i64,
}

#[derive(Debug, Serialize)]
struct ChurnView {
    month: NaiveDate,
    paying_at_start: i64,
    began: i64,
    left: i64,
}

#[derive(Debug, Serialize)]
struct DunningView {
    days: i32,
    failed: i64,
    settled: i64,
    suspended: i64,
    came_back: i64,
    left: i64,
    open: i64,
}

#[derive(Debug, Serialize)]
pub(crate) struct TenantMonths {
    tenants: Vec<MonthView>,
}

#[derive(Debug, Serialize)]
struct MonthView {
    tenant: TenantId,
    standing: &'static str,
    at: DateTime<Utc>,
    plan: Option<String>,
    currency: Option<Currency>,
    price_cents: Option<i64>,
    brings_cents: Option<i64>,
    machines: i64,
    machine_cents: Option<i64>,
    model_micro_usd: u64,
    left_cents: Option<i64>,
}

/// All that is read of everybody together.
#[derive(Debug, Clone)]
pub(crate) struct Revenue {
    pub(crate) sums: Vec<MonthSum>,
    pub(crate) churn: Vec<ChurnMonth>,
    pub(crate) dunning: Dunning,
}

impl Revenue {
    /// Reads it: three statements.
    pub(crate) async fn read(tx: &mut store::SystemTx) -> Result<Self, Problem> {
        Ok(Self {
            sums: tenant_months::sums(tx).await?,
            churn: standings::churn(tx).await?,
            dunning: standings::dunning(tx).await?,
        })
    }
}

/// What is left of all of one currency, with what model calls cost in it. `None`: what a dollar is worth is not known.
pub(crate) fn left(sum: &MonthSum, rates: &DollarRates) -> (Option<i64>, Option<i64>) {
    let model = match sum.currency {
        _ if sum.model.get() == 0 => Some(0),
        Some(currency) => rates.cents(sum.model, currency),
        None => None,
    };
    (model, model.map(|model| sum.brings - sum.machine_cost - model))
}

impl SumView {
    fn new(sum: &MonthSum, rates: &DollarRates) -> Self {
        let (model_cents, left_cents) = left(sum, rates);
        Self {
            currency: sum.currency,
            paying: sum.paying,
            brings_cents: sum.brings,
            owed_cents: sum.owed,
            machine_cents: sum.machine_cost,
            model_micro_usd: sum.model.get(),
            model_cents,
            left_cents,
            unknown: sum.unknown,
        }
    }
}

impl From<&ChurnMonth> for ChurnView {
    fn from(month: &ChurnMonth) -> Self {
        let ChurnMonth { month, at_start, began, left } = *month;
        Self { month, paying_at_start: at_start, began, left }
    }
}

impl From<Dunning> for DunningView {
    fn from(dunning: Dunning) -> Self {
        let Dunning { failed, settled, suspended, came_back, left } = dunning;
        Self { days: DUNNING_DAYS, failed, settled, suspended, came_back, left, open: dunning.open() }
    }
}

impl From<TenantMonth> for MonthView {
    fn from(month: TenantMonth) -> Self {
        Self {
            tenant: month.tenant,
            standing: month.standing.name(),
            at: month.at,
            plan: month.plan,
            currency: month.currency,
            price_cents: month.price,
            brings_cents: month.brings,
            machines: month.machines,
            machine_cents: month.machine_cost,
            model_micro_usd: month.model.get(),
            left_cents: month.left,
        }
    }
}

/// Which tenants' months are wanted; the pages ask with the same words.
pub(crate) fn filter(query: &Query) -> Result<MonthFilter, Problem> {
    let which = match query.get("which").filter(|word| !word.is_empty()) {
        None => Which::All,
        Some(word) => Which::parse(word).ok_or_else(|| {
            let words = "`which` must be `all`, `losing` or `unknown`.";
            Problem { field: Some("which"), ..Problem::unreadable(words) }
        })?,
    };
    let id = |name| admin::filter(query, name, "the id of a tenant");
    Ok(MonthFilter { which, tenant: id("tenant")?, after: id("after")? })
}

pub(crate) async fn show(State(web): State<Web>, _: Operator) -> Result<Json<RevenueView>, Problem> {
    let mut tx = web.db.system().await?;
    let Revenue { sums, churn, dunning } = Revenue::read(&mut tx).await?;
    Ok(Json(RevenueView {
        months: sums.iter().map(|sum| SumView::new(sum, &web.site.rates)).collect(),
        churn: churn.iter().map(ChurnView::from).collect(),
        dunning: dunning.into(),
    }))
}

pub(crate) async fn list(
    State(db): State<Db>,
    State(web): State<Web>,
    _: Operator,
    query: Query,
) -> Result<Json<Listed<TenantMonths>>, Problem> {
    let limit = admin::limit(&query)?;
    let filter = filter(&query)?;
    let mut tx = db.system().await?;
    let rows = tenant_months::list(&mut tx, filter, &web.site.rates, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/revenue/tenants", &query), |month| month.tenant);
    let tenants = rows.into_iter().map(MonthView::from).collect();
    Ok(Json(Listed { entries: TenantMonths { tenants }, next }))
}
