//! `/admin/subscriptions`: tenants by what they pay.

use askama::Template;
use axum::{extract::State, response::Response};
use domain::{
    TenantId,
    entitlement::{Entitlement, Month, Served, Standing},
};
use http::StatusCode;
use store::billing::Account;

use crate::{
    api::admin::{self, subscriptions::Wanted},
    body::Query,
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, ShortId, frame},
        billing,
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/subscriptions.html")]
pub(crate) struct SubscriptionsPage {
    frame: Frame,
    tab: &'static str,
    is_billing: bool,
    choices: Vec<Choice>,
    standing: &'static str,
    customer: String,
    is_narrowed: bool,
    lines: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug)]
struct Line {
    tenant: ShortId,
    tone: &'static str,
    word: &'static str,
    plan: Option<String>,
    when: Option<(&'static str, Moment)>,
    /// Where there is no such date.
    lasting: &'static str,
    month: MonthWords,
    customer: Option<String>,
    is_out_of_service: bool,
}

#[derive(Debug)]
struct MonthWords {
    words: String,
    from: Option<Moment>,
}

impl SubscriptionsPage {
    pub(crate) fn new(
        rows: &[(TenantId, Account)],
        next: Option<String>,
        wanted: &Wanted,
        is_billing: bool,
        look: Look<'_>,
    ) -> Self {
        let choice = |standing: Standing| {
            let to = match standing {
                Standing::Paying => "/admin/subscriptions?standing=paying",
                Standing::Trial => "/admin/subscriptions?standing=trial",
                Standing::Gift => "/admin/subscriptions?standing=gift",
                Standing::Ending => "/admin/subscriptions?standing=ending",
                Standing::PastDue => "/admin/subscriptions?standing=past_due",
                Standing::Suspended => "/admin/subscriptions?standing=suspended",
                Standing::Left => "/admin/subscriptions?standing=left",
                Standing::Unpaid => "/admin/subscriptions?standing=unpaid",
                Standing::BillingOff => return None,
            };
            Some(Choice { words: standing.title(), to, is_here: wanted.standing == Some(standing) })
        };
        let all = Choice { words: "All", to: "/admin/subscriptions", is_here: wanted.standing.is_none() };
        Self {
            frame: frame(look.by, "Subscriptions", "/admin/subscriptions".to_owned(), "berth"),
            tab: "subscriptions",
            is_billing,
            choices: std::iter::once(all).chain(Standing::EVERY.into_iter().filter_map(choice)).collect(),
            standing: wanted.standing.map(Standing::name).unwrap_or_default(),
            customer: wanted.customer.as_ref().map(ToString::to_string).unwrap_or_default(),
            is_narrowed: wanted.standing.is_some() || wanted.customer.is_some(),
            lines: rows.iter().map(|(tenant, account)| Line::new(*tenant, account, look)).collect(),
            next,
        }
    }
}

impl Line {
    fn new(tenant: TenantId, account: &Account, look: Look<'_>) -> Self {
        let judged = account.judge();
        let billing::Standing { tone, word, told: _ } = billing::Standing::of(&judged);
        Self {
            tenant: ShortId::of(tenant),
            tone,
            word,
            plan: account.plan.as_ref().map(|plan| plan.title.clone()),
            when: when(&judged).map(|(words, at)| (words, look.at(at))),
            lasting: lasting(&judged),
            month: MonthWords::of(Month::of(&judged, account.price), look),
            customer: account.customer.as_ref().map(ToString::to_string),
            is_out_of_service: account.is_suspended,
        }
    }
}

impl MonthWords {
    fn of(month: Option<Month>, look: Look<'_>) -> Self {
        let Some(month) = month else { return Self { words: "nothing".to_owned(), from: None } };
        let mut words = month.money.map_or_else(|| "a price of no plan".to_owned(), |money| money.to_string());
        if month.is_owed {
            words.push_str(", owed");
        }
        Self { words, from: month.from.map(|at| look.at(at)) }
    }
}

/// Since when it stands so, or until when: the date that says most.
const fn when(judged: &Entitlement) -> Option<(&'static str, chrono::DateTime<chrono::Utc>)> {
    match judged {
        Entitlement::Served { by } => match by {
            Served::Complimentary { until: Some(at) } => Some(("until", *at)),
            Served::Trial { ends: at } | Served::Cancelled { ends: at } => Some(("ends", *at)),
            Served::Paid { renews: at } => Some(("renews", *at)),
            Served::PastDue { until: at } => Some(("served until", *at)),
            Served::BillingOff | Served::Complimentary { until: None } => None,
        },
        Entitlement::Suspended { since, .. } => Some(("since", *since)),
        Entitlement::Leaving { until } => Some(("kept until", *until)),
        Entitlement::Gone { since } => Some(("gone since", *since)),
        Entitlement::Unpaid => None,
    }
}

const fn lasting(judged: &Entitlement) -> &'static str {
    match judged {
        Entitlement::Served { by: Served::Complimentary { until: None } } => "for good",
        Entitlement::Served { .. }
        | Entitlement::Suspended { .. }
        | Entitlement::Leaving { .. }
        | Entitlement::Gone { .. }
        | Entitlement::Unpaid => "",
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let wanted = Wanted::of(&query)?;
    let mut tx = web.db.system().await?;
    let rows = store::subscription_views::list(&mut tx, wanted.filter(), PAGE + 1).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/subscriptions", &query), |(tenant, _)| *tenant);
    // Times beside each other come from one clock: the database's.
    let now = rows.first().map_or_else(|| web.dice.now(), |(_, account)| account.now);
    let look = Look { by: operator.caller(), now };
    let is_billing = web.site.payments.is_some();
    pages::page(StatusCode::OK, &SubscriptionsPage::new(&rows, next, &wanted, is_billing, look))
}
