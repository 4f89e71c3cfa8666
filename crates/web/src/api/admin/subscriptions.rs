//! `/api/admin/v1/subscriptions`: tenants by what they pay.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{
    TenantId,
    billing::CustomerId,
    currency::Currency,
    entitlement::{Entitlement, Month, Standing},
};
use serde::Serialize;
use store::{Db, billing::Account, subscription_views::SubscriptionFilter};

use crate::{
    api::{
        admin::{self, Listed},
        billing::PlanView,
    },
    body::Query,
    guard::Operator,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct Subscriptions {
    subscriptions: Vec<SubscriptionView>,
}

/// A tenant among many.
#[derive(Debug, Serialize)]
struct SubscriptionView {
    tenant: TenantId,
    standing: &'static str,
    entitlement: Entitlement,
    plan: Option<PlanView>,
    month: Option<MonthView>,
    gift: bool,
    customer: Option<String>,
    subscription: Option<String>,
    asked_at: Option<DateTime<Utc>>,
}

#[derive(Debug, Serialize)]
struct MonthView {
    cents: Option<u32>,
    currency: Option<Currency>,
    from: Option<DateTime<Utc>>,
    owed: bool,
}

impl From<Month> for MonthView {
    fn from(month: Month) -> Self {
        Self {
            cents: month.money.map(|money| money.cents),
            currency: month.money.map(|money| money.currency),
            from: month.from,
            owed: month.is_owed,
        }
    }
}

impl SubscriptionView {
    fn new(tenant: TenantId, account: &Account) -> Self {
        let judged = account.judge();
        Self {
            tenant,
            standing: Standing::of(&judged).name(),
            plan: account.plan.as_ref().map(PlanView::of),
            month: Month::of(&judged, account.price).map(MonthView::from),
            gift: Standing::of(&judged) == Standing::Gift,
            customer: account.customer.as_ref().map(ToString::to_string),
            subscription: account.facts.subscription.as_ref().map(|one| one.id.to_string()),
            asked_at: account.asked_at,
            entitlement: judged,
        }
    }
}

/// Which tenants are wanted; the pages ask with the same words.
#[derive(Debug)]
pub(crate) struct Wanted {
    pub(crate) standing: Option<Standing>,
    pub(crate) customer: Option<CustomerId>,
    pub(crate) after: Option<TenantId>,
}

impl Wanted {
    pub(crate) fn of(query: &Query) -> Result<Self, Problem> {
        let given = |name: &'static str| query.get(name).map(str::trim).filter(|text| !text.is_empty());
        let refuse = |name: &'static str, words| Problem { field: Some(name), ..Problem::unreadable(words) };
        let standing = given("standing").map(|word| {
            let words = "`standing` must be one of paying, trial, gift, ending, past_due, suspended, left, unpaid.";
            Standing::parse(word).ok_or_else(|| refuse("standing", words))
        });
        let customer = given("customer").map(|text| {
            CustomerId::parse(text)
                .map_err(|_| refuse("customer", "`customer` must be a customer's id at Stripe: `cus_…`."))
        });
        Ok(Self {
            standing: standing.transpose()?,
            customer: customer.transpose()?,
            after: admin::filter(query, "after", "the id of a tenant")?,
        })
    }

    pub(crate) const fn filter(&self) -> SubscriptionFilter<'_> {
        SubscriptionFilter { standing: self.standing, customer: self.customer.as_ref(), after: self.after }
    }
}

pub(crate) async fn list(
    State(db): State<Db>,
    _: Operator,
    query: Query,
) -> Result<Json<Listed<Subscriptions>>, Problem> {
    let limit = admin::limit(&query)?;
    let wanted = Wanted::of(&query)?;
    let mut tx = db.system().await?;
    let rows = store::subscription_views::list(&mut tx, wanted.filter(), limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/subscriptions", &query), |(tenant, _)| *tenant);
    let subscriptions = rows.iter().map(|(tenant, account)| SubscriptionView::new(*tenant, account)).collect();
    Ok(Json(Listed { entries: Subscriptions { subscriptions }, next }))
}
