//! What operators see of revenue, in every state, from made-up data.

use askama::Template as _;
use chrono::{DateTime, Months, NaiveDate, TimeDelta, Utc};
use domain::{currency::Currency, entitlement::Standing, model::Micros, people::Caller, rates::DollarRates};
use store::{
    standings::{ChurnMonth, Dunning},
    tenant_months::{MonthFilter, MonthSum, TenantMonth, Which},
};

use super::{HOSTILE, id};
use crate::{
    api::admin::revenue::Revenue,
    pages::admin::{
        Look,
        revenue::{Read, RevenuePage},
    },
};

/// Name of the file and the page.
pub(super) fn all(by: &Caller, now: DateTime<Utc>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let look = Look { by, now };
    let rates = DollarRates::parse("eur=0.92").unwrap_or_default();
    let unrated = DollarRates::default();
    let page = |revenue: &Revenue, rows, rates, is_billing, wanted: &MonthFilter| {
        let next = Some("/admin/revenue?after=ten_1".to_owned()).filter(|_| is_billing);
        RevenuePage::new(Read { revenue, rows, next, rates, is_billing }, wanted, look).render()
    };
    let full = Revenue { sums: sums(), churn: churn(now), dunning: dunning() };
    let none = Revenue { sums: Vec::new(), churn: quiet(now), dunning: Dunning::default() };
    let narrowed = MonthFilter { which: Which::Losing, tenant: Some(id(2)), after: None };
    let wanted = MonthFilter::default();
    vec![
        ("admin-revenue", page(&full, months(now), &rates, true, &wanted)),
        ("admin-revenue-unrated", page(&full, months(now), &unrated, true, &wanted)),
        ("admin-revenue-narrowed", page(&full, Vec::new(), &rates, true, &narrowed)),
        ("admin-revenue-none", page(&none, Vec::new(), &rates, false, &wanted)),
    ]
}

fn sums() -> Vec<MonthSum> {
    let euros = MonthSum {
        currency: Some(Currency::EUR),
        paying: 412,
        brings: 1_934_800,
        owed: 24_500,
        machine_cost: 612_400,
        model: Micros::new(4_211_730_000),
        unknown: 1,
    };
    let none =
        MonthSum { currency: None, paying: 0, brings: 0, owed: 0, machine_cost: 0, model: Micros::ZERO, unknown: 2 };
    vec![
        euros.clone(),
        MonthSum { currency: Some(Currency::USD), paying: 3, brings: 9_700, owed: 0, machine_cost: 10_200, ..euros },
        none,
    ]
}

fn churn(now: DateTime<Utc>) -> Vec<ChurnMonth> {
    let told =
        [(0, 0), (4, 0), (9, 1), (22, 2), (31, 5), (28, 3), (60, 9), (74, 12), (51, 20), (88, 14), (90, 11), (37, 6)];
    let mut at_start = 0;
    let month = |(back, (began, left)): (u32, (i64, i64))| {
        let month = ChurnMonth { month: first(now, 11 - back), at_start, began, left };
        at_start += began - left;
        month
    };
    (0..).zip(told).map(month).collect()
}

fn quiet(now: DateTime<Utc>) -> Vec<ChurnMonth> {
    (0..12).rev().map(|back| ChurnMonth { month: first(now, back), at_start: 0, began: 0, left: 0 }).collect()
}

fn first(now: DateTime<Utc>, back: u32) -> NaiveDate {
    use chrono::Datelike as _;
    let today = now.date_naive();
    today.with_day(1).and_then(|first| first.checked_sub_months(Months::new(back))).unwrap_or(today)
}

const fn dunning() -> Dunning {
    Dunning { failed: 57, settled: 38, suspended: 14, came_back: 6, left: 5 }
}

fn months(now: DateTime<Utc>) -> Vec<TenantMonth> {
    let paying = TenantMonth {
        tenant: id(2),
        standing: Standing::Paying,
        at: now - TimeDelta::minutes(90),
        plan: Some("Pro".to_owned()),
        currency: Some(Currency::EUR),
        price: Some(4900),
        brings: Some(4900),
        machines: 2,
        machine_cost: Some(1400),
        model: Micros::new(7_310_000),
        left: Some(2827),
    };
    let trial =
        TenantMonth { tenant: id(3), standing: Standing::Trial, brings: Some(0), left: Some(-2073), ..paying.clone() };
    let owed = TenantMonth { tenant: id(4), standing: Standing::PastDue, ..trial.clone() };
    let unknown =
        TenantMonth { tenant: id(5), price: None, brings: None, machine_cost: None, left: None, ..paying.clone() };
    let unpaid = TenantMonth {
        tenant: id(6),
        standing: Standing::Unpaid,
        plan: None,
        currency: None,
        price: None,
        brings: Some(0),
        machines: 0,
        machine_cost: Some(0),
        model: Micros::ZERO,
        left: Some(0),
        ..paying.clone()
    };
    let hostile = TenantMonth { tenant: id(7), plan: Some(HOSTILE.to_owned()), ..paying.clone() };
    vec![paying, trial, owed, unknown, unpaid, hostile]
}
