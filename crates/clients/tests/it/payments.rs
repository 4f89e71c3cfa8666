//! The client for Stripe against the one that stands for it: every call, and every way in which one may fail.

use std::{num::NonZeroU16, time::Duration};

use chrono::{DateTime, TimeDelta, Utc};
use clients::{
    payments::{NewCheckout, NewCustomer, Payments as _, PaymentsError},
    stripe::{API_VERSION, Stripe},
};
use domain::{
    Id, TenantId,
    billing::{
        CheckoutId, CheckoutState, CustomerId, DisputeState, IdempotencyKey, PriceId, SubscriptionId,
        SubscriptionStatus,
    },
    names::Email,
};
use testkit::stripe::{Card, FakeStripe, STRIPE_KEY, STRIPE_SIGNING_SECRET, StripeFault};
use url::Url;
use vault::{
    Secret,
    stripe::{SigningSecret, check},
};

fn start() -> DateTime<Utc> {
    DateTime::from_timestamp(1_795_000_000, 0).expect("a moment")
}

fn client(stripe: &FakeStripe, key: &str) -> Stripe {
    let address: Url = stripe.url().parse().expect("an address");
    Stripe::new(&address, &Secret::from(key.to_owned())).expect("a client")
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).expect("a key")
}

fn tenant() -> TenantId {
    Id::from_uuid(uuid::Uuid::from_u128(7))
}

fn ada() -> NewCustomer {
    let email = Email::parse("ada@harbour.example").expect("an address");
    NewCustomer { tenant: tenant(), name: "Harbour & Söhne [1]".to_owned(), email }
}

fn checkout_of(customer: &CustomerId, price: &PriceId, trial_days: u16) -> NewCheckout {
    NewCheckout {
        customer: customer.clone(),
        tenant: tenant(),
        price: price.clone(),
        trial_days: NonZeroU16::new(trial_days),
        paid_to: "https://berth.example/billing/paid?checkout={CHECKOUT_SESSION_ID}".to_owned(),
        back_to: "https://berth.example/billing".to_owned(),
    }
}

/// A customer with a subscription that is on trial.
async fn subscribed(stripe: &FakeStripe, to: &Stripe) -> (CustomerId, SubscriptionId) {
    let customer = to.create_customer(&key("key:customer"), &ada()).await.expect("a customer");
    let price = stripe.add_price("starter", 2_900);
    let new = checkout_of(&customer, &price, 7);
    let checkout = to.open_checkout(&key("key:checkout"), &new).await.expect("a checkout");
    let subscription = stripe.pay(&checkout.id);
    (customer, subscription)
}

#[tokio::test]
async fn a_subscription_is_read_through_its_whole_life() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    let (customer, id) = subscribed(&stripe, &to).await;
    let made = stripe.object(customer.as_str()).expect("a customer");
    assert_eq!((&made["name"], &made["metadata"]["berth_tenant"]), (&ada().name.into(), &tenant().to_string().into()));
    let now = || async { to.subscriptions(&customer).await.expect("a listing").pop().expect("a subscription") };
    let days = TimeDelta::days;

    let trial = now().await;
    assert_eq!((&trial.id, trial.status), (&id, SubscriptionStatus::Trialing));
    assert_eq!((trial.trial_ends, trial.period_ends), (Some(start() + days(7)), start() + days(7)));
    stripe.advance(days(7));
    assert_eq!(now().await.status, SubscriptionStatus::Active);
    stripe.set_card(&customer, Card::Declined);
    stripe.advance(days(31));
    assert_eq!(now().await.status, SubscriptionStatus::PastDue);
    stripe.advance(days(7));
    assert_eq!(now().await.status, SubscriptionStatus::Unpaid);
    stripe.set_card(&customer, Card::Good);
    stripe.settle(&customer);
    assert_eq!(now().await.status, SubscriptionStatus::Active);

    let leaving = to.cancel_at_period_end(&key("key:cancel"), &id).await.expect("it is taken");
    assert_eq!((leaving.ends, leaving.ended), (Some(leaving.period_ends), None));
    stripe.advance(leaving.period_ends - stripe.now() - TimeDelta::seconds(1));
    assert_eq!(now().await.status, SubscriptionStatus::Active);
    stripe.advance(TimeDelta::seconds(1));
    let over = now().await;
    assert_eq!((over.status, over.ends, over.ended), (SubscriptionStatus::Canceled, None, Some(leaving.period_ends)));
    assert_eq!(to.cancel_now(&id).await.expect("it is over already"), over);
    assert_eq!(to.cancel_at_period_end(&key("key:cancel:2"), &id).await, Err(PaymentsError::NotFound));

    assert!(stripe.calls().iter().all(|call| call.version.as_deref() == Some(API_VERSION)));
    let kinds: Vec<String> = stripe.events().iter().map(|event| event["type"].as_str().unwrap().to_owned()).collect();
    for kind in ["customer.subscription.trial_will_end", "invoice.payment_failed", "customer.subscription.deleted"] {
        assert!(kinds.iter().any(|told| told == kind), "{kind}: {kinds:?}");
    }
}

#[tokio::test]
async fn a_checkout_is_true_at_every_moment() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    let customer = to.create_customer(&key("key:customer"), &ada()).await.expect("a customer");
    let price = stripe.add_price("pro", 7_900);
    let new = checkout_of(&customer, &price, 0);
    let open = to.open_checkout(&key("key:checkout"), &new).await.expect("a checkout");
    assert_eq!((open.tenant, open.customer.as_ref()), (Some(tenant()), Some(&customer)));
    let CheckoutState::Open { page } = &open.state else { panic!("{open:?}") };
    assert!(page.as_str().contains(open.id.as_str()));
    let asked = stripe.object(open.id.as_str()).expect("a checkout");
    assert_eq!((&asked["success_url"], &asked["cancel_url"]), (&new.paid_to.into(), &new.back_to.into()));

    let subscription = stripe.pay(&open.id);
    let paid = to.checkout(&open.id).await.expect("a checkout").state;
    assert_eq!(paid, CheckoutState::Complete { subscription: subscription.clone() });
    let made = stripe.object(subscription.as_str()).expect("a subscription");
    assert_eq!(made["metadata"]["berth_tenant"], tenant().to_string());
    assert_eq!((&made["status"], &made["trial_end"]), (&"active".into(), &serde_json::Value::Null));

    let late = to.open_checkout(&key("key:checkout:2"), &checkout_of(&customer, &price, 7)).await.expect("a checkout");
    stripe.advance(TimeDelta::hours(24));
    assert_eq!(to.checkout(&late.id).await.expect("a checkout").state, CheckoutState::Expired);
    let never = CheckoutId::parse("cs_test_never").expect("a name");
    assert_eq!(to.checkout(&never).await, Err(PaymentsError::NotFound));

    let back: Url = "https://berth.example/billing".parse().expect("an address");
    let portal = to.open_portal(&key("key:portal"), &customer, &back).await.expect("a page");
    assert!(portal.path().starts_with("/p/session/bps_"));
}

#[tokio::test]
async fn listings_are_whole_however_many_pages_they_have() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    let (customer, _) = subscribed(&stripe, &to).await;
    let price = stripe.add_price("again", 100);
    for number in 0..201 {
        let key = key(&format!("key:checkout:{number}"));
        let checkout = to.open_checkout(&key, &checkout_of(&customer, &price, 7)).await.expect("a checkout");
        let id = stripe.pay(&checkout.id);
        if number % 2 == 0 {
            to.cancel_now(&id).await.expect("it ends");
        }
    }
    let all = to.subscriptions(&customer).await.expect("a listing");
    assert_eq!(all.len(), 202);
    assert_eq!(all.iter().filter(|one| one.status == SubscriptionStatus::Canceled).count(), 101);
    assert_eq!(all.iter().map(|one| one.id.clone()).collect::<std::collections::BTreeSet<_>>().len(), 202);

    let (mut told, mut after) = (Vec::new(), None);
    loop {
        let page = to.events(start(), after.as_ref()).await.expect("events");
        told.extend(page.events);
        after = told.last().map(|event| event.id.clone());
        if !page.has_more {
            break;
        }
    }
    let payloads: Vec<_> = told.into_iter().rev().map(|event| event.payload).collect();
    assert_eq!(payloads, stripe.events(), "every event, as it was told, the youngest first");
    assert_eq!(to.events(start() + TimeDelta::seconds(1), None).await.expect("events").events, Vec::new());

    let names: Vec<String> = (0..12).map(|n| format!("name-{n}")).chain(["starter".to_owned()]).collect();
    let prices = to.prices(&names).await.expect("prices");
    assert_eq!(prices.iter().map(|price| price.lookup_key.as_str()).collect::<Vec<_>>(), ["starter"]);
}

#[tokio::test]
async fn disputes_are_found_by_customer() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    let (customer, _) = subscribed(&stripe, &to).await;
    assert_eq!(to.disputes(&customer).await, Ok(Vec::new()));
    stripe.advance(TimeDelta::days(8));
    let id = stripe.dispute(&customer);
    let found = to.disputes(&customer).await.expect("disputes");
    let [dispute] = &found[..] else { panic!("{found:?}") };
    assert_eq!((&dispute.id, dispute.state, dispute.opened), (&id, DisputeState::Open, start() + TimeDelta::days(8)));
    stripe.close_dispute(&id, false);
    assert_eq!(to.disputes(&customer).await.expect("disputes")[0].state, DisputeState::Lost);
}

#[tokio::test]
async fn whose_a_charge_is_is_known_to_stripe_only() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    let (customer, _) = subscribed(&stripe, &to).await;
    stripe.advance(TimeDelta::days(8));
    let dispute = stripe.dispute(&customer);
    let charge = stripe.object(&dispute).expect("a dispute")["charge"].as_str().expect("a charge").to_owned();
    assert_eq!(to.charge_customer(&charge).await, Ok(Some(customer)));
    assert_eq!(to.charge_customer("ch_nothing").await, Err(PaymentsError::NotFound));
    let calls = stripe.calls().len();
    for wrong in ["", "ch_1/../../customers", "ch_1?expand=x", "ch_é"] {
        assert_eq!(to.charge_customer(wrong).await, Err(PaymentsError::NotFound), "{wrong}");
    }
    assert_eq!(stripe.calls().len(), calls, "what is no name is not asked for");
    stripe.fail_next(StripeFault::Failed);
    assert!(to.charge_customer(&charge).await.expect_err("it fails").is_transient());
}

#[tokio::test]
async fn what_happened_is_told_signed() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    subscribed(&stripe, &to).await;
    let event = stripe.events().pop().expect("an event");
    assert_eq!(event["type"], "checkout.session.completed");
    let (header, body) = FakeStripe::signed(&event, start());
    let secret = [SigningSecret::parse(STRIPE_SIGNING_SECRET).expect("a secret")];
    assert_eq!(check(&secret, Some(header.as_bytes()), body.as_bytes(), start()), Ok(()));
}

#[tokio::test]
async fn a_key_makes_a_call_count_once() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    // The answer is lost after it happened, and the same call is made again.
    stripe.fail_next(StripeFault::CutAfter);
    let lost = to.create_customer(&key("key:customer"), &ada()).await.expect_err("the answer was lost");
    assert!(lost.is_transient(), "{lost}");
    let customer = to.create_customer(&key("key:customer"), &ada()).await.expect("a customer");
    assert_eq!((stripe.count("customer"), stripe.object(customer.as_str()).is_some()), (1, true));
    let other = NewCustomer { name: "Another".to_owned(), ..ada() };
    let refused = to.create_customer(&key("key:customer"), &other).await.expect_err("other words");
    assert!(matches!(&refused, PaymentsError::Refused { code, .. } if code == "idempotency_error"), "{refused}");
    // What Stripe failed on, it repeats: the caller has to know.
    stripe.fail_next(StripeFault::FailedAfter);
    let failed = to.create_customer(&key("key:customer:2"), &other).await.expect_err("it failed");
    assert!(failed.is_transient());
    assert_eq!(to.create_customer(&key("key:customer:2"), &other).await, Err(PaymentsError::KeySpent));
    assert_eq!(stripe.count("customer"), 2);
}

#[tokio::test]
async fn every_failure_has_its_own_error() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY);
    let (customer, _) = subscribed(&stripe, &to).await;
    let ask = || async { to.subscriptions(&customer).await.expect_err("it fails") };
    stripe.fail_next(StripeFault::Limited { seconds: 9 });
    let limited = ask().await;
    assert_eq!((limited.is_transient(), limited.retry_after()), (true, Some(Duration::from_secs(9))));
    for fault in [StripeFault::Failed, StripeFault::CutBefore] {
        stripe.fail_next(fault);
        assert!(ask().await.is_transient(), "{fault:?}");
    }
    let wrong = client(&stripe, "sk_test_another0123456789");
    let refused = wrong.subscriptions(&customer).await.expect_err("a wrong key");
    assert_eq!(refused, PaymentsError::BadKey);
    assert!(!format!("{refused:?} {refused}").contains("another"));
    let nothing = PriceId::parse("price_nothing").expect("a name");
    let unknown = to.open_checkout(&key("key:checkout:3"), &checkout_of(&customer, &nothing, 7)).await;
    let Err(PaymentsError::Refused { code, why }) = unknown else { panic!("{unknown:?}") };
    assert_eq!((code.as_str(), why.as_str()), ("resource_missing", "No such price: 'price_nothing'"));
    let gone = FakeStripe::start(start()).await.url().replace("127.0.0.1", "127.0.0.2");
    let nobody = Stripe::new(&gone.parse().expect("an address"), &Secret::from(STRIPE_KEY.to_owned()));
    let none = nobody.expect("a client").subscriptions(&customer).await.expect_err("nobody is there");
    assert!(none.is_transient());
}

#[tokio::test]
async fn a_call_that_is_not_answered_ends() {
    let stripe = FakeStripe::start(start()).await;
    let to = client(&stripe, STRIPE_KEY).within(Duration::from_millis(200));
    stripe.fail_next(StripeFault::Mute);
    let none = to.create_customer(&key("key:customer"), &ada()).await.expect_err("no answer");
    assert!(none.is_transient(), "{none}");
    to.create_customer(&key("key:customer"), &ada()).await.expect("the same call, answered");
    assert_eq!(stripe.count("customer"), 1);
}
