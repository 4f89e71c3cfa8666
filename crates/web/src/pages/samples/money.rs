//! What operators see of money, in every state, from made-up data.

use askama::Template as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    TenantId,
    billing::{CustomerId, Difference, DifferenceKind, PriceId, Subscription, SubscriptionStatus},
    entitlement::{Complimentary, Facts, Standing},
    job::{AskedBy, Job},
    people::Caller,
};
use serde_json::json;
use store::{
    billing::Account,
    billing_differences::{Found, FoundFilter},
    event_views::EventView,
    job_views::JobRun,
};

use super::{HOSTILE, billing, id};
use crate::{
    api::admin::{differences::Looked, subscriptions::Wanted},
    pages::admin::{
        Look,
        differences::DifferencesPage,
        event::EventPage,
        events::{EventsPage, Wanted as EventsWanted},
        subscriptions::SubscriptionsPage,
    },
};

/// Name of the file and the page.
pub(super) fn all(by: &Caller, now: DateTime<Utc>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let look = Look { by, now };
    let next = || Some("/admin/subscriptions?after=ten_1".to_owned());
    let wanted = |standing, customer: Option<&str>| Wanted {
        standing,
        customer: customer.and_then(|text| CustomerId::parse(text).ok()),
        after: None,
    };
    let lines = |next, wanted: &Wanted| SubscriptionsPage::new(&accounts(now), next, wanted, true, look).render();
    let none = |wanted: &Wanted, is_billing| SubscriptionsPage::new(&[], None, wanted, is_billing, look).render();
    let mut all = vec![
        ("admin-subscriptions", lines(next(), &wanted(None, None))),
        ("admin-subscriptions-narrowed", none(&wanted(Some(Standing::PastDue), Some("cus_NffrFeUfNV2Hib")), true)),
        ("admin-subscriptions-none", none(&wanted(None, None), true)),
        ("admin-subscriptions-off", none(&wanted(None, None), false)),
    ];
    all.extend(events(look));
    all.extend(differences(look));
    all
}

fn events(look: Look<'_>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let rows = rows(look.now);
    let typed = EventsWanted { waiting: Some(true), kind: HOSTILE.to_owned(), ..EventsWanted::default() };
    let event =
        |n: usize, body: &[u8]| rows.get(n).map_or(Ok(String::new()), |row| EventPage::new(row, body, look).render());
    let next = Some("/admin/events?after=evt_1".to_owned());
    vec![
        ("admin-events", EventsPage::new(&rows, next, EventsWanted::default(), look).render()),
        ("admin-events-none", EventsPage::new(&[], None, EventsWanted::default(), look).render()),
        ("admin-events-narrowed", EventsPage::new(&[], None, typed, look).render()),
        ("admin-event", event(0, body().as_bytes())),
        ("admin-event-waiting", event(1, body().as_bytes())),
        ("admin-event-no-json", event(2, HOSTILE.as_bytes())),
    ]
}

fn differences(look: Look<'_>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let now = look.now;
    let counts = json!({ "events": 214, "missing": 1, "kept": 1, "tenants": 37, "otherwise": 1 });
    let run = JobRun {
        id: id::<domain::id::Machine>(60).uuid(),
        job: Job::Billing.name().to_owned(),
        asked_by: AskedBy::Schedule.name().to_owned(),
        operator: None,
        asked_at: now - TimeDelta::hours(2),
        ended_at: Some(now - TimeDelta::hours(2) + TimeDelta::seconds(14)),
        counts: Some(counts),
        flow: None,
        now,
    };
    let under_way = JobRun { ended_at: None, counts: None, flow: Some(id(61)), ..run.clone() };
    let looked = |last| Looked { last, next: Some(now + TimeDelta::hours(4)) };
    let page = |rows, wanted: &FoundFilter, looked: &Looked| {
        DifferencesPage::new(rows, None, wanted, (true, looked), look).render()
    };
    let narrowed = FoundFilter { kind: Some(DifferenceKind::Event), tenant: Some(id(2)), after: None };
    let all = FoundFilter::default();
    vec![
        ("admin-differences", page(found(now), &all, &looked(Some(run.clone())))),
        ("admin-differences-none", page(Vec::new(), &all, &looked(Some(run)))),
        ("admin-differences-narrowed", page(Vec::new(), &narrowed, &looked(Some(under_way)))),
        (
            "admin-differences-off",
            DifferencesPage::new(Vec::new(), None, &all, (false, &Looked { last: None, next: None }), look).render(),
        ),
        ("admin-differences-never", page(Vec::new(), &all, &Looked { last: None, next: None })),
    ]
}

fn accounts(now: DateTime<Utc>) -> Vec<(TenantId, Account)> {
    let is = |status| billing::account(now, Some(status));
    let with = |account: Account, change: fn(&mut Subscription)| {
        let mut subscription = account.facts.subscription.clone();
        subscription.iter_mut().for_each(change);
        Account { facts: Facts { subscription, ..account.facts.clone() }, ..account }
    };
    let as_sold = |one: &mut Subscription| {
        if let Ok(price) = PriceId::parse("price_pro") {
            one.price = price;
        }
    };
    let ending = |one: &mut Subscription| one.ends = Some(one.period_ends);
    let given = billing::given(now);
    let for_good = Facts { complimentary: Some(Complimentary { until: None }), ..given.facts.clone() };
    let for_good = Account { facts: for_good, ..given.clone() };
    let all = [
        with(billing::paid(now), as_sold),
        billing::paid(now),
        with(is(SubscriptionStatus::Trialing), as_sold),
        given,
        for_good,
        with(billing::paid(now), ending),
        with(billing::past_due(now, 3), as_sold),
        Account { is_suspended: true, ..billing::past_due(now, 8) },
        billing::disputed(now),
        is(SubscriptionStatus::Canceled),
        billing::account(now, None),
        Account { facts: Facts::default(), ..billing::account(now, None) },
    ];
    (70..).map(id).zip(all).collect()
}

fn rows(now: DateTime<Utc>) -> Vec<EventView> {
    let understood = EventView {
        id: id(50),
        name: "evt_1NG8Du2eZvKYlo2CUI79vXWy".to_owned(),
        kind: "customer.subscription.updated".to_owned(),
        is_live: true,
        received_at: now - TimeDelta::seconds(130),
        read_at: Some(now - TimeDelta::seconds(129)),
        outcome: Some("its tenant's payments are looked at again".to_owned()),
        tenant: Some(id(2)),
        flow: None,
        now,
    };
    let waiting = EventView {
        id: id(51),
        name: "evt_3MtwBwLkdIwHu7ix28a3tqPa".to_owned(),
        kind: "charge.dispute.created".to_owned(),
        read_at: None,
        outcome: None,
        tenant: None,
        flow: Some(id(52)),
        ..understood.clone()
    };
    let strange = EventView {
        id: id(53),
        name: format!("evt_{}", "a".repeat(96)),
        kind: String::new(),
        is_live: false,
        received_at: now - TimeDelta::days(3),
        outcome: Some(HOSTILE.to_owned()),
        tenant: None,
        ..understood.clone()
    };
    let left = EventView { id: id(54), read_at: None, outcome: None, flow: None, ..strange.clone() };
    vec![understood, waiting, strange, left]
}

fn body() -> String {
    let customer = json!({
        "id": "cus_NffrFeUfNV2Hib", "object": "customer", "email": "ada@harbour.example", "name": "Ada Harbour",
        "phone": null, "address": { "line1": "Quay 7", "city": "Bremen" }, "metadata": { "tenant": HOSTILE },
    });
    let item = json!({
        "id": "si_NcLYdDxLHxlFo7", "object": "subscription_item", "quantity": 1, "current_period_start": 1_795_000_000,
        "current_period_end": 1_797_592_000, "price": { "id": "price_pro", "currency": "eur", "unit_amount": 4900 },
    });
    json!({
        "id": "evt_1NG8Du2eZvKYlo2CUI79vXWy", "object": "event", "api_version": "2025-03-31.basil", "created": 1_795_000_009,
        "type": "customer.subscription.updated", "livemode": true, "pending_webhooks": 1,
        "request": { "id": "req_Nf5Z0c1b2aXt5E", "idempotency_key": "0c1b2a44-aa11-4b2c" },
        "data": {
            "object": {
                "id": "sub_1MowQVLkdIwHu7ixeRlqHVzs", "object": "subscription", "status": "past_due", "customer": customer,
                "cancel_at_period_end": false, "cancel_at": null, "description": HOSTILE, "items": { "object": "list", "data": [item] },
                "latest_invoice": "in_1MowQWLkdIwHu7ixuzkSPfKd", "client_secret": "seti_1_secret_2",
            },
            "previous_attributes": { "status": "active" },
        },
        HOSTILE: 7,
    })
    .to_string()
}

fn found(now: DateTime<Utc>) -> Vec<Found> {
    let account = Difference {
        tenant: Some(id(2)),
        kind: DifferenceKind::Account,
        before: Some("sub_1MowQVLkdIwHu7ixeRlqHVzs active, price_pro, until 2026-11-22 09:00 UTC".to_owned()),
        after: "sub_1MowQVLkdIwHu7ixeRlqHVzs past_due, price_pro, until 2026-12-22 09:00 UTC, past due since 2026-11-22 09:04 UTC"
            .to_owned(),
    };
    let event = Difference {
        tenant: None,
        kind: DifferenceKind::Event,
        before: None,
        after: "evt_3MtwBwLkdIwHu7ix28a3tqPa invoice.payment_failed of 2026-11-22 09:01:12 UTC".to_owned(),
    };
    let found = |n, difference, hours| Found {
        id: id::<domain::id::Machine>(n).uuid(),
        at: now - TimeDelta::hours(hours),
        difference,
    };
    vec![found(64, event, 2), found(65, account, 2)]
}
