//! What was lost on its way from Stripe is found: by the job, and by who asks for it.

use chrono::TimeDelta;
use clients::payments::Payments as _;
use domain::{
    billing::{Difference, DifferenceKind},
    entitlement::Entitlement,
    invariants::Check,
    job::{AskedBy, Job},
};
use flows::reconciliation::page;
use serde_json::{Value, json};
use store::billing_differences::FoundFilter;
use testkit::stripe::StripeFault;

use crate::paying::Till;

/// Runs the job to its end, while the time passes that it takes.
async fn reconciled(till: &Till) -> Value {
    let mut tx = till.world.database.db.system().await.unwrap();
    let run =
        app::jobs::ask(&mut tx, till.world.flows.entropy.as_ref(), Job::Billing, AskedBy::Operator).await.unwrap();
    tx.commit().await.unwrap();
    for _ in 0..40 {
        till.run().await;
        let mut tx = till.world.database.db.system().await.unwrap();
        if let Some(counts) = app::jobs::counts(&mut tx, run).await.unwrap() {
            return counts;
        }
        drop(tx);
        till.pass(TimeDelta::seconds(4)).await;
    }
    panic!("the run does not end");
}

async fn differences(till: &Till) -> Vec<Difference> {
    let mut tx = till.world.database.db.system().await.unwrap();
    let found = store::billing_differences::list(&mut tx, FoundFilter::default(), 50).await.unwrap();
    found.into_iter().map(|found| found.difference).collect()
}

#[tokio::test]
async fn what_stripe_told_and_nobody_heard_is_found_and_reported() {
    let till = Till::open().await;
    let (payer, quiet) = (till.payer().await, till.payer().await);
    let id = till.subscribe(&payer, 0).await;
    till.subscribe(&quiet, 0).await;
    for event in till.stripe.events() {
        till.hear(&event).await;
    }
    till.run().await;
    let told = u64::try_from(till.stripe.events().len()).unwrap();
    let calm = json!({ "events": told, "missing": 0, "kept": 0, "tenants": 2, "otherwise": 0 });
    assert_eq!(reconciled(&till).await, calm);
    assert_eq!(differences(&till).await, []);

    // Lost, for good: Stripe has given up delivering it.
    till.client.cancel_now(&id).await.unwrap();
    let lost = till.stripe.events().pop().unwrap();
    let found = json!({ "events": told + 1, "missing": 1, "kept": 1, "tenants": 2, "otherwise": 0 });
    assert_eq!(reconciled(&till).await, found);
    assert!(matches!(till.judged(&payer).await, Entitlement::Leaving { .. }));
    assert!(till.judged(&quiet).await.may_run());
    till.assert_all_read().await;
    let [one] = &differences(&till).await[..] else { panic!("one difference") };
    assert_eq!((one.kind, &one.before), (DifferenceKind::Event, &None));
    assert!(one.after.starts_with(&format!("{} customer.subscription.deleted of ", lost["id"].as_str().unwrap())));
    // Delivered late after all, it is known; and nothing is found twice.
    assert!(!till.hear(&lost).await);
    assert_eq!(reconciled(&till).await["missing"], 0);
    assert_eq!(differences(&till).await.len(), 1);
}

/// A backup that was put back without its flows, say.
#[tokio::test]
async fn a_tenant_that_nobody_looks_at_any_more_is_looked_at_again() {
    let till = Till::open().await;
    let payer = till.payer().await;
    let id = till.subscribe(&payer, 0).await;
    for event in till.stripe.events() {
        till.hear(&event).await;
    }
    till.run().await;
    till.world.database.sql("delete from flows where kind = 'billing'").await;
    till.client.cancel_now(&id).await.unwrap();
    let report = till.world.verify().await;
    let [unwatched] = report.violations().collect::<Vec<_>>()[..] else { panic!("{:?}", report.invariants) };
    assert_eq!((unwatched.check, &unwatched.ids[..]), (Check::Unwatched, &[payer.tenant.to_string()][..]));

    assert_eq!(reconciled(&till).await["otherwise"], 1);
    assert!(matches!(till.judged(&payer).await, Entitlement::Leaving { .. }));
    till.assert_all_read().await;
    let one = "select count(*) from flows where kind = 'billing'";
    assert_eq!(till.world.database.count(one).await, 1);
}

/// A gift needs no Stripe, and its end must be seen all the same.
#[tokio::test]
async fn without_stripe_a_tenant_that_nobody_looks_at_is_looked_at_again_too() {
    let mut till = Till::open().await;
    till.payer().await;
    till.run().await;
    till.world.flows.payments = None;
    till.world.database.sql("delete from flows where kind = 'billing'").await;
    reconciled(&till).await;
    assert_eq!(till.world.database.count("select count(*) from flows where kind = 'billing'").await, 1);
}

#[tokio::test]
async fn a_row_that_is_otherwise_is_repaired_and_reported() {
    let till = Till::open().await;
    let payer = till.payer().await;
    till.subscribe(&payer, 0).await;
    for event in till.stripe.events() {
        till.hear(&event).await;
    }
    till.run().await;
    // A restored backup, a slip of a hand: no event will ever say so.
    let broken = "update billing set subscription = jsonb_set(subscription, '{status}', '\"past_due\"')";
    till.world.database.sql(broken).await;
    assert_eq!(reconciled(&till).await["otherwise"], 1);
    assert_eq!(till.account(&payer).await.facts.subscription, till.truth(&payer).await);
    let [one] = &differences(&till).await[..] else { panic!("one difference") };
    assert_eq!((one.kind, one.tenant), (DifferenceKind::Account, Some(payer.tenant)));
    assert!(one.before.as_ref().is_some_and(|was| was.contains(" past_due, ")), "{one:?}");
    assert!(one.after.contains(" active, "), "{one:?}");
    assert_eq!(reconciled(&till).await["otherwise"], 0);
}

#[tokio::test]
async fn a_run_that_finds_stripe_away_ends_and_says_so() {
    let till = Till::open().await;
    till.payer().await;
    till.run().await;
    till.stripe.set_outage(Some(StripeFault::Failed));
    let mut tx = till.world.database.db.system().await.unwrap();
    let run =
        app::jobs::ask(&mut tx, till.world.flows.entropy.as_ref(), Job::Billing, AskedBy::Schedule).await.unwrap();
    tx.commit().await.unwrap();
    till.run().await;
    till.pass(TimeDelta::minutes(31)).await;
    till.run().await;
    let mut tx = till.world.database.db.system().await.unwrap();
    let counts = app::jobs::counts(&mut tx, run).await.unwrap().expect("it ended");
    assert!(counts["error"].as_str().is_some_and(|error| error.contains("Stripe did not answer")), "{counts}");
}

/// As `berth billing replay`: page by page, twice, and everybody whom it is about is looked at.
#[tokio::test]
async fn a_replay_brings_back_what_is_missing_and_twice_is_once() {
    let till = Till::open().await;
    let begun = till.stripe.now();
    let payer = till.payer().await;
    let id = till.subscribe(&payer, 0).await;
    for n in 0..150 {
        till.stripe.set_cancelled(&id, n % 2 == 0);
    }
    till.client.cancel_now(&id).await.unwrap();
    // A few were heard.
    for event in till.stripe.events().iter().step_by(7) {
        till.hear(event).await;
    }
    till.run().await;
    let told = till.stripe.events().len();
    assert!(told > 100, "more than a page");
    let replay = async || {
        let (mut missing, mut after, mut pages) = (0, None, 0);
        loop {
            let (db, entropy) = (&till.world.database.db, till.world.flows.entropy.as_ref());
            let page = page(db, entropy, till.client.as_ref(), (begun, after.as_ref()), true).await.unwrap();
            (missing, pages) = (missing + page.taken.missing.len(), pages + 1);
            after = page.next;
            if after.is_none() {
                return (missing, pages);
            }
        }
    };
    assert_eq!(replay().await, (told - told.div_ceil(7), told.div_ceil(100)));
    till.run().await;
    till.assert_all_read().await;
    let looks = till.stripe.calls().iter().filter(|call| call.path == "/v1/subscriptions").count();
    assert_eq!(replay().await, (0, told.div_ceil(100)));
    till.run().await;
    let again = till.stripe.calls().iter().filter(|call| call.path == "/v1/subscriptions").count();
    assert_eq!(again, looks + 1, "whom they are about is looked at again");
    assert_eq!(till.world.database.count("select count(*) from events").await, i64::try_from(told).unwrap());
}
