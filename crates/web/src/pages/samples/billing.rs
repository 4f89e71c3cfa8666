//! What is paid, in every state, from made-up data.

use askama::Template as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    AgentId,
    billing::{CustomerId, PriceId, Subscription, SubscriptionId, SubscriptionStatus},
    currency::Currency,
    entitlement::{Billing, Complimentary, Entitlement, Facts, Served, Suspended},
    machine::MachineSize,
    model::Micros,
    people::{Caller, Role},
    plan::{Money, Plan, PlanLimits, PlanName},
};
use std::num::{NonZeroU16, NonZeroU32};
use store::{agents::Count, billing::Account};
use url::Url;

use crate::pages::{
    admin::{Look, plans::PlansPage},
    billing::{BillingPage, LeavePage, ReturnPage},
    dashboard::DashboardPage,
    model,
};

/// Name of the file and the page.
pub(super) fn all(by: &Caller, now: DateTime<Utc>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let count = Count { there: 3, running: 2 };
    let page = |by: &Caller, account: &Account| BillingPage::new(by, account, count, &plans(), model::sample());
    let is = |status| account(now, Some(status));
    let late = Account { rested: vec![agent(), agent()], ..past_due(now, 8) };
    let unpaid = account(now, None);
    let viewer = Caller { role: Role::Viewer, ..by.clone() };
    let off = Account { facts: Facts::default(), ..account(now, None) };
    let troubled =
        Caller { entitlement: Some(Entitlement::Suspended { why: Suspended::PastDue, since: now }), ..by.clone() };
    let look = crate::pages::dashboard::Look { by: &troubled, base: super::BASE, now };
    let nothing = Count { there: 0, running: 0 };
    let paid_page = "https://checkout.stripe.com/c/pay/cs_test_a1";
    let none_sold = BillingPage::new(by, &unpaid, nothing, &[], model::sample());
    let mut all = vec![
        ("billing-unpaid", page(by, &unpaid).render()),
        ("billing-none-sold", none_sold.render()),
        ("billing-off", page(by, &off).render()),
        ("billing-paid", page(by, &paid(now)).render()),
        ("billing-trial", page(by, &is(SubscriptionStatus::Trialing)).render()),
        ("billing-past-due", page(by, &past_due(now, 3)).render()),
        ("billing-suspended", page(by, &late).render()),
        ("billing-disputed", page(by, &disputed(now)).render()),
        ("billing-paused", page(by, &is(SubscriptionStatus::Paused)).render()),
        ("billing-cancelled", page(by, &is(SubscriptionStatus::Canceled)).render()),
        ("billing-given", page(by, &given(now)).render()),
        ("billing-viewer", page(&viewer, &unpaid).render()),
        ("billing-refused", page(by, &unpaid).refused("That plan is not sold.".to_owned()).render()),
        ("dashboard-suspended", DashboardPage::new(Vec::new(), model::sample(), look).render()),
        ("billing-return-waiting", ReturnPage::new(by, &Entitlement::Unpaid, nothing).render()),
    ];
    let served = Entitlement::Served { by: Served::Trial { ends: now + TimeDelta::days(7) } };
    all.push(("billing-return-first", ReturnPage::new(by, &served, nothing).render()));
    all.push(("billing-return-again", ReturnPage::new(by, &served, count).render()));
    if let Ok(url) = Url::parse(paid_page) {
        all.push(("billing-leave", LeavePage::new(by, &url).render()));
    }
    let look = Look { by, now };
    all.push(("admin-plans", PlansPage::new(&plans(), true, look).render()));
    all.push(("admin-plans-off", PlansPage::new(&plans().split_off(3), false, look).render()));
    all
}

pub(super) fn paid(now: DateTime<Utc>) -> Account {
    account(now, Some(SubscriptionStatus::Active))
}

pub(super) fn given(now: DateTime<Utc>) -> Account {
    let gift = Complimentary { until: Some(now + TimeDelta::days(90)) };
    let facts = Facts { complimentary: Some(gift), ..account(now, None).facts };
    Account { facts, customer: None, plan: plans().pop(), ..account(now, None) }
}

pub(super) fn disputed(now: DateTime<Utc>) -> Account {
    let facts = Facts { disputed_since: Some(now - TimeDelta::days(1)), ..paid(now).facts };
    Account { facts, ..paid(now) }
}

pub(super) fn past_due(now: DateTime<Utc>, days: i64) -> Account {
    let late = account(now, Some(SubscriptionStatus::PastDue));
    Account { facts: Facts { past_due_since: Some(now - TimeDelta::days(days)), ..late.facts.clone() }, ..late }
}

pub(super) fn account(now: DateTime<Utc>, status: Option<SubscriptionStatus>) -> Account {
    let subscription = status.and_then(|status| {
        Some(Subscription {
            id: SubscriptionId::parse("sub_1").ok()?,
            status,
            price: PriceId::parse("price_1").ok()?,
            created: now - TimeDelta::days(12),
            period_ends: now + TimeDelta::days(18),
            trial_ends: Some(now + TimeDelta::days(2)),
            ends: None,
            ended: (status == SubscriptionStatus::Canceled).then(|| now - TimeDelta::days(2)),
        })
    });
    Account {
        customer: subscription.as_ref().and_then(|_| CustomerId::parse("cus_NffrFeUfNV2Hib").ok()),
        plan: subscription.as_ref().and_then(|_| plans().into_iter().nth(1)),
        price: plans().into_iter().nth(1).map(|plan| plan.money).filter(|_| subscription.is_some()),
        facts: Facts { billing: Billing::On, subscription, ..Facts::default() },
        asked_at: Some(now),
        entitlement: None,
        rested: Vec::new(),
        is_suspended: false,
        erase_after: None,
        now,
    }
}

fn agent() -> AgentId {
    AgentId::from_uuid(uuid::Uuid::from_u128(11))
}

/// As they are after `scripts/dev`, with prices.
pub(super) fn plans() -> Vec<Plan> {
    let plan = |name: &str, title: &str, cents, agents, daily_model| {
        // The largest says how large its machines are.
        let (cpus, memory_mib) = if agents == 10 { (NonZeroU16::new(4), NonZeroU32::new(8192)) } else { (None, None) };
        let machine = MachineSize { cpus, memory_mib };
        Some(Plan {
            name: PlanName::parse(name).ok()?,
            title: title.to_owned(),
            price: PriceId::parse(&format!("price_{name}")).ok(),
            money: Money { cents, currency: Currency::EUR },
            trial_days: NonZeroU16::new(7),
            limits: PlanLimits { agents, daily_model, machine },
            machine_cents: Some(500),
        })
    };
    [
        plan("starter", "Starter", 1900, 1, None),
        plan("pro", "Pro", 4900, 3, Some(Micros::new(5_250_000))),
        plan("power", "Power", 9900, 10, None),
        plan("pro_byok", "Pro, own model key", 2400, 3, Some(Micros::ZERO)),
    ]
    .into_iter()
    .flatten()
    .collect()
}
