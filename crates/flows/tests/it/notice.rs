//! An alert on its way to a person: told at least once, under one identity, until somebody knows.

use clients::{fake::Strike, mail::MailError, webhook::PostError};
use domain::{
    AlertId,
    alert::{AlertKind, Carrier, DeliveryState, Notice},
    entropy::mint,
};
use flows::{Carriers, RunnerOptions};
use serde_json::Value;
use std::sync::Arc;
use store::{alert_views::AlertRow, alerts::NewAlert};
use testkit::World;

const KEY: &str = "removal_stuck:x";

/// Opens an alert, or sees it again.
async fn open(world: &World, kind: AlertKind) {
    let id: AlertId = mint(world.flows.entropy.as_ref());
    let mut tx = world.database.db.system().await.unwrap();
    let message = "the machine does not go";
    let alert = NewAlert { id, key: KEY, kind, tenant: None, subject: "mch_00000000000000000000000000000198", message };
    store::alerts::open(&mut tx, &alert).await.unwrap();
    tx.commit().await.unwrap();
}

async fn close(world: &World) {
    let mut tx = world.database.db.system().await.unwrap();
    store::alerts::close(&mut tx, &[KEY.to_owned()]).await.unwrap();
    tx.commit().await.unwrap();
}

/// The first alert that was opened, with its deliveries.
async fn alert(world: &World) -> AlertRow {
    let mut tx = world.database.db.system().await.unwrap();
    let all = store::alert_views::list(&mut tx, store::alert_views::AlertFilter::default(), 100).await.unwrap();
    let id = all.into_iter().find(|alert| alert.message.contains("machine")).expect("an alert").id;
    store::alert_views::by_id(&mut tx, id).await.unwrap().expect("the alert")
}

async fn acknowledge(world: &World, back: bool) {
    let mut by = world.alice.caller.clone();
    let id = alert(world).await.id;
    let mut tx = world.database.db.system().await.unwrap();
    assert!(app::alerts::acknowledge(&mut tx, id, &by).await.is_err(), "alice is no operator yet");
    by.is_operator = true;
    if back {
        app::alerts::take_back(&mut tx, id, &by).await.unwrap();
    } else {
        app::alerts::acknowledge(&mut tx, id, &by).await.unwrap();
    }
    tx.commit().await.unwrap();
}

/// Runs what is due, without skipping a pause.
async fn run(world: &World) {
    while !flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap().is_empty() {}
}

/// Lets time pass: everything that a notice looks at lies that much further back.
async fn later(world: &World, minutes: i64) {
    for statement in [
        "update alerts set fired_at = fired_at - interval 'N minutes'",
        "update alert_deliveries set next_at = next_at - interval 'N minutes'",
        "update flows set run_at = run_at - interval 'N minutes', deadline_at = deadline_at - interval 'N minutes'",
    ] {
        world.database.sql(&statement.replace('N', &minutes.to_string())).await;
    }
}

fn body(world: &World, n: usize) -> Value {
    serde_json::from_slice(&world.webhook.ledger().get(n).expect("so many calls").what.body).unwrap()
}

async fn notices(world: &World) -> i64 {
    world.database.count("select count(*) from flows where kind = 'notice'").await
}

#[tokio::test]
async fn an_alert_is_told_once_on_every_carrier_and_says_what_it_is() {
    let world = World::new().await;
    open(&world, AlertKind::RemovalStuck).await;
    open(&world, AlertKind::RemovalStuck).await;
    run(&world).await;
    let alert = alert(&world).await;
    assert_eq!((alert.sightings, alert.firings), (2, 1));
    let states: Vec<_> = alert.deliveries.iter().map(|d| (d.carrier, d.state, d.tries)).collect();
    assert_eq!(states, [(Carrier::Mail, DeliveryState::Delivered, 1), (Carrier::Webhook, DeliveryState::Delivered, 1)]);

    let posted = world.webhook.ledger();
    let body = body(&world, 0);
    assert_eq!(posted.len(), 1);
    assert_eq!(posted[0].what.id, alert.deliveries[1].id.to_string());
    assert_eq!((&body["type"], &body["data"]["severity"]), (&"alert.fired".into(), &"warning".into()));
    assert_eq!(body["data"]["related"]["kind"], "machine");
    assert_eq!(body["data"]["url"], format!("http://127.0.0.1:8080/admin/alerts/{}", alert.id));
    assert_eq!(body["data"]["runbook"], "docs/runbooks/removal_stuck.md");

    let mails = world.mailer.ledger();
    assert_eq!(mails.len(), 1);
    assert_eq!(mails[0].what.to.as_str(), "night-watch@example.org");
    assert!(mails[0].what.subject.as_str().starts_with("[warning] A removal does not end: mch_"), "{:?}", mails[0]);
    assert!(mails[0].what.text.contains("the machine does not go\n"), "{}", mails[0].what.text);
    assert_eq!(notices(&world).await, 1, "it rests until it is due again");
}

/// The process dies after the effect and before it is written down: the same delivery again, under the same id.
#[tokio::test]
async fn a_killed_delivery_is_repeated_under_the_same_id_and_at_most_once() {
    let world = World::new().await;
    open(&world, AlertKind::RemovalStuck).await;
    let one = RunnerOptions { steps_max: 1, ..RunnerOptions::default() };
    for killed_at in ["fire", "deliver", "deliver", "deliver"] {
        let step =
            world.database.count(&format!("select count(*) from flows where step->>'step' = '{killed_at}'")).await;
        assert_eq!(step, 1, "{killed_at}");
        // What a kill leaves: the row as it was claimed, the lease to run out, and the effect in the world.
        world
            .database
            .sql("create table before as select * from flows; create table delivered as table alert_deliveries")
            .await;
        flows::run_due(&world.flows, &one).await.unwrap();
        world
            .database
            .sql(
                "update flows f set step = b.step, run_at = b.run_at, attempt = b.attempt + 1 from before b where b.id = f.id; \
                 delete from alert_deliveries where id not in (select id from delivered); \
                 update alert_deliveries d set state = b.state, tries = b.tries, ended_at = b.ended_at, next_at = b.next_at \
                 from delivered b where b.id = d.id; \
                 drop table before; drop table delivered",
            )
            .await;
        flows::run_due(&world.flows, &one).await.unwrap();
    }
    run(&world).await;
    let alert = alert(&world).await;
    let id = |carrier| alert.deliveries.iter().find(|d| d.carrier == carrier).unwrap().id.to_string();
    let posted: Vec<_> = world.webhook.ledger().into_iter().map(|call| call.what.id).collect();
    let mailed: Vec<_> = world.mailer.ledger().into_iter().map(|call| call.what.id).collect();
    assert_eq!(posted, vec![id(Carrier::Webhook); 2]);
    assert_eq!(mailed, vec![id(Carrier::Mail); 2]);
}

#[tokio::test]
async fn an_answer_that_was_lost_is_asked_for_again_under_the_same_id() {
    let world = World::new().await;
    world.webhook.fail_next(Strike::After, 1, &PostError::Slow);
    world.mailer.fail_next(Strike::Before, 2, &MailError::Later(Some(451)));
    open(&world, AlertKind::RemovalStuck).await;
    run(&world).await;
    let first = alert(&world).await;
    let webhook = first.deliveries.iter().find(|d| d.carrier == Carrier::Webhook).unwrap();
    assert_eq!((webhook.state, webhook.tries), (DeliveryState::Pending, 1));
    assert_eq!(webhook.outcome.as_deref(), Some("it did not answer within 10 s"));
    for _ in 0..2 {
        later(&world, 1).await;
        run(&world).await;
    }
    let posted = world.webhook.ledger();
    assert_eq!(posted.len(), 2);
    assert_eq!(posted[0].what.id, posted[1].what.id);
    assert_eq!(world.mailer.ledger().iter().filter(|call| call.arrived).count(), 1);
    assert!(alert(&world).await.deliveries.iter().all(|d| d.state == DeliveryState::Delivered));
}

#[tokio::test]
async fn it_fires_again_later_and_later_until_somebody_knows() {
    let world = World::new().await;
    open(&world, AlertKind::FlowFailed).await;
    run(&world).await;
    for (minutes, told) in [(14, 1), (1, 2), (29, 2), (1, 3), (59, 3), (1, 4)] {
        later(&world, minutes).await;
        run(&world).await;
        assert_eq!(world.webhook.ledger().len(), told, "after {minutes} more minutes");
    }
    let ids: std::collections::BTreeSet<_> = world.webhook.ledger().into_iter().map(|call| call.what.id).collect();
    assert_eq!(ids.len(), 4, "each firing has an id of its own");
    assert_eq!(body(&world, 3)["data"]["firing"], 4);

    acknowledge(&world, false).await;
    later(&world, 100_000).await;
    run(&world).await;
    assert_eq!(world.webhook.ledger().len(), 4, "somebody knows");
    let known = alert(&world).await;
    assert_eq!(known.acknowledged_by.as_deref(), Some("alice@example.org"));
    assert!(known.closed_at.is_none(), "knowing closes nothing");

    acknowledge(&world, true).await;
    run(&world).await;
    assert_eq!(world.webhook.ledger().len(), 5, "taken back, and long due");

    acknowledge(&world, false).await;
    close(&world).await;
    run(&world).await;
    assert_eq!(notices(&world).await, 0, "a closed alert has no notice any more");
    assert_eq!(world.webhook.ledger().len(), 6, "whoever was told, and knows, hears that it is over");
    let last = body(&world, 5);
    assert_eq!((&last["type"], &last["data"]["firing"]), (&"alert.closed".into(), &6.into()));
    assert!(last["data"]["closed_at"].is_string());
    let mails = world.mailer.ledger();
    assert!(mails[5].what.subject.as_str().starts_with("[closed] "), "{:?}", mails[5].what);
}

#[tokio::test]
async fn what_is_over_before_anybody_was_told_is_told_once() {
    let world = World::new().await;
    open(&world, AlertKind::FlowFailed).await;
    close(&world).await;
    run(&world).await;
    assert_eq!((world.webhook.ledger().len(), notices(&world).await), (1, 0));
    assert_eq!(body(&world, 0)["type"], "alert.closed");
}

#[tokio::test]
async fn what_was_closed_opens_anew_and_is_told_anew() {
    let world = World::new().await;
    open(&world, AlertKind::RemovalStuck).await;
    close(&world).await;
    run(&world).await;
    assert_eq!(world.webhook.ledger().len(), 1, "trouble that was short is told once");
    assert!(body(&world, 0)["data"]["closed_at"].is_string());
    open(&world, AlertKind::RemovalStuck).await;
    run(&world).await;
    assert_eq!(world.webhook.ledger().len(), 2);
    assert_eq!(world.database.count("select count(*) from alerts").await, 2);
}

#[tokio::test]
async fn a_carrier_that_fails_for_long_is_an_alert_told_by_the_other_one() {
    let world = World::new().await;
    world.webhook.fail_next(Strike::Before, 1000, &PostError::Status(500));
    open(&world, AlertKind::RemovalStuck).await;
    for _ in 0..6 {
        run(&world).await;
        later(&world, 2).await;
    }
    let failing = "select count(*) from alerts where key = 'delivery_failing:webhook' and closed_at is null";
    assert_eq!(world.database.count(failing).await, 1);
    let subjects: Vec<_> = world.mailer.ledger().into_iter().map(|call| call.what.subject.to_string()).collect();
    assert!(subjects.iter().any(|subject| subject.contains("Alerts do not get through: flw_")), "{subjects:?}");

    world.webhook.fail_no_more();
    later(&world, 11).await;
    run(&world).await;
    assert_eq!(world.database.count(failing).await, 0, "the first one taken closes it");
    assert_eq!(world.database.count("select count(*) from alert_deliveries where state = 'pending'").await, 0);
}

#[tokio::test]
async fn an_acknowledgement_ends_what_is_pending() {
    let world = World::new().await;
    world.webhook.fail_next(Strike::Before, 1, &PostError::Unreachable);
    open(&world, AlertKind::RemovalStuck).await;
    run(&world).await;
    acknowledge(&world, false).await;
    run(&world).await;
    let states: Vec<_> = alert(&world).await.deliveries.iter().map(|d| d.state).collect();
    assert_eq!(states, [DeliveryState::Delivered, DeliveryState::NotNeeded]);
    assert_eq!(world.webhook.ledger().len(), 1);
}

#[tokio::test]
async fn without_a_carrier_it_waits_on_the_page_and_is_told_once_there_is_one() {
    let mut world = World::new().await;
    let carriers = std::mem::replace(&mut world.flows.carriers, Arc::new(Carriers::default()));
    open(&world, AlertKind::RemovalStuck).await;
    run(&world).await;
    assert_eq!(alert(&world).await.firings, 0);
    world.flows.carriers = carriers;
    later(&world, 61).await;
    run(&world).await;
    assert_eq!((alert(&world).await.firings, world.webhook.ledger().len()), (1, 1));
}

/// As for every flow: each step may run twice, and each is led out of.
#[tokio::test]
async fn every_step_may_run_twice_and_ends_when_the_alert_is_closed() {
    for step in Notice::EVERY {
        let world = World::new().await;
        open(&world, AlertKind::RemovalStuck).await;
        run(&world).await;
        for _ in 0..2 {
            let put = format!("update flows set step = '{}', run_at = now()", serde_json::json!(step));
            world.database.sql(&put).await;
            flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
        }
        run(&world).await;
        assert_eq!(world.webhook.ledger().len(), 1, "{step:?}");
        close(&world).await;
        run(&world).await;
        assert_eq!(notices(&world).await, 0, "{step:?}");
    }
}

#[tokio::test]
async fn a_day_without_success_is_given_up_for_the_next_firing() {
    let world = World::new().await;
    world.webhook.fail_next(Strike::Before, 1, &PostError::Unreachable);
    open(&world, AlertKind::RemovalStuck).await;
    run(&world).await;
    world.database.sql("update flows set deadline_at = now() - interval '1 second', run_at = now()").await;
    run(&world).await;
    let webhook = alert(&world).await.deliveries.pop().unwrap();
    assert_eq!((webhook.carrier, webhook.state), (Carrier::Webhook, DeliveryState::GivenUp));
    assert_eq!(notices(&world).await, 1);
}
