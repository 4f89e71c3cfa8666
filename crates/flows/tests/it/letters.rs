//! Letters with a cause: written with it, sent once for it, whatever the mail server does.

mod bank;

use std::{sync::Arc, time::Duration};

use bank::{Bank, own_address};
use chrono::{DateTime, TimeDelta, Utc};
use clients::{
    fake::{Strike, Verb},
    mail::{
        Mail, MailError,
        smtp::{Server, Smtp},
    },
    provider::ProviderError,
};
use domain::{
    billing::SubscriptionStatus as Is,
    letter::{Stopped, Told},
    names::Email,
};
use flows::{Carriers, RunnerOptions};
use testkit::World;
use tokio::net::TcpListener;

fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

fn days(days: i64) -> TimeDelta {
    TimeDelta::days(days)
}

/// Has payments looked at, and lets everything happen that follows.
async fn look(world: &World) {
    let mut tx = world.database.db.system().await.unwrap();
    app::billing::look_again(&mut tx, world.alice.caller.tenant).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(60).await;
}

/// Mails that reached Alice, in order.
fn mails(world: &World) -> Vec<Mail> {
    let arrived = world.mailer.ledger().into_iter().filter(|call| call.arrived).map(|call| call.what);
    arrived.filter(|mail| mail.to.as_str() == "alice@example.org").collect()
}

/// What they are about.
fn subjects(world: &World) -> Vec<String> {
    mails(world).into_iter().map(|mail| mail.subject.to_string()).collect()
}

async fn outcomes(world: &World) -> Vec<String> {
    world.database.texts("select coalesce(outcome, 'waits') from letters order by asked_at, id").await
}

async fn tell(world: &World, cause: &str, told: &Told) -> usize {
    let mut tx = world.database.db.system().await.unwrap();
    let tenant = world.alice.caller.tenant;
    let written = app::letters::tell(&mut tx, world.flows.entropy.as_ref(), tenant, cause, told).await.unwrap();
    tx.commit().await.unwrap();
    written
}

#[tokio::test]
async fn a_failed_payment_is_told_until_it_is_paid() {
    let mut world = World::new().await;
    let bank = Bank::of(&mut world).await;
    bank.says(Is::Active, |_| {});
    look(&world).await;
    assert_eq!(subjects(&world), Vec::<String>::new(), "who pays is left alone");

    bank.says(Is::PastDue, |_| {});
    look(&world).await;
    look(&world).await;
    assert_eq!(subjects(&world), ["A payment failed"]);
    let mail = &world.mailer.ledger()[0].what;
    assert!(mail.text.contains("http://127.0.0.1:8080/billing") && mail.text.contains(" UTC"), "{}", mail.text);
    assert!(mail.text.contains("A payment for Pro failed on"), "{}", mail.text);
    assert!(mail.html.as_deref().is_some_and(|html| html.contains("href=\"http://127.0.0.1:8080/billing\"")));

    world.database.move_clock("3 days 1 minute").await;
    look(&world).await;
    world.database.move_clock("6 days").await;
    look(&world).await;
    world.database.move_clock("7 days 1 minute").await;
    look(&world).await;
    bank.says(Is::Active, |_| {});
    look(&world).await;
    look(&world).await;
    let told = subjects(&world);
    assert_eq!(told.len(), 5, "{told:?}");
    assert_eq!(told[1], "A payment is still open after 3 days");
    assert!(told[2].starts_with("Last notice: agents stop on "), "{told:?}");
    assert_eq!(told[3..], ["Your agents are stopped", "Your agents are started again"]);
}

#[tokio::test]
async fn a_worker_that_slept_for_days_tells_the_latest_only() {
    let mut world = World::new().await;
    let bank = Bank::of(&mut world).await;
    bank.says(Is::PastDue, |_| {});
    world.database.sql("update billing set past_due_since = berth.now() - interval '5 days 1 hour'").await;
    look(&world).await;
    let told = subjects(&world);
    assert!(told.len() == 1 && told[0].starts_with("Last notice"), "{told:?}");
}

/// The flow wakes for the letter and not six hours later.
#[tokio::test]
async fn the_flow_sleeps_until_the_next_letter_is_due() {
    let mut world = World::new().await;
    let bank = Bank::of(&mut world).await;
    let ends = now() + days(3) + TimeDelta::hours(1);
    bank.says(Is::Trialing, |subscription| subscription.trial_ends = Some(ends));
    look(&world).await;
    assert_eq!(subjects(&world), Vec::<String>::new());
    let left = "select extract(epoch from run_at - now())::bigint from flows where kind = 'billing'";
    let left = world.database.count(left).await;
    assert!((3_500..=3_601).contains(&left), "it wakes in {left} s");
    world.database.move_clock("1 hour 1 second").await;
    look(&world).await;
    assert_eq!(subjects(&world), ["Your trial of Pro ends soon"]);
}

#[tokio::test]
async fn a_dispute_and_a_trial_without_a_card_stop_agents_and_say_why() {
    let mut world = World::new().await;
    let bank = Bank::of(&mut world).await;
    bank.says(Is::Active, |_| {});
    bank.dispute(Some(now()));
    look(&world).await;
    bank.dispute(None);
    bank.says(Is::Paused, |subscription| subscription.trial_ends = Some(now()));
    look(&world).await;
    let mails: Vec<String> = mails(&world).into_iter().map(|mail| mail.text).collect();
    assert_eq!(mails.len(), 2, "{mails:?}");
    assert!(mails[0].contains("disputed at your bank") && mails[1].contains("without a way to"), "{mails:?}");
}

#[tokio::test]
async fn two_workers_at_once_write_one_letter_for_one_cause() {
    let mut world = World::new().await;
    let bank = Bank::of(&mut world).await;
    bank.says(Is::PastDue, |_| {});
    look(&world).await;
    world.mailer.fail_no_more();
    let others = [world.database.another().await, world.database.another().await, world.database.another().await];
    let (tenant, entropy) = (world.alice.caller.tenant, world.flows.entropy.as_ref());
    let told = Told::Suspended { why: Stopped::PastDue, since: now() };
    for round in 0..10 {
        let cause = format!("cause {round}");
        let (cause, told) = (&cause, &told);
        let act = |db: store::Db| async move {
            app::billing::act(db.system().await.unwrap(), entropy, tenant, None).await.unwrap();
            let mut tx = db.system().await.unwrap();
            let written = app::letters::tell(&mut tx, entropy, tenant, cause, told).await.unwrap();
            tx.commit().await.unwrap();
            written
        };
        let written = futures::future::join_all(others.iter().cloned().map(act)).await;
        assert_eq!(written.into_iter().sum::<usize>(), 1, "round {round}");
    }
    assert_eq!(world.database.count("select count(*) from letters where cause like 'payment_failed:%'").await, 1);
    assert_eq!(world.database.count("select count(*) from letters where cause like 'cause %'").await, 10);
    assert_eq!(world.database.count("select count(*) from flows where kind = 'letter'").await, 10);
}

#[tokio::test]
async fn a_cause_that_was_not_committed_leaves_no_letter() {
    let mut world = World::new().await;
    let _bank = Bank::of(&mut world).await;
    let mut tx = world.database.db.system().await.unwrap();
    let tenant = world.alice.caller.tenant;
    let told = Told::Restored { at: now() };
    assert_eq!(app::letters::tell(&mut tx, world.flows.entropy.as_ref(), tenant, "x", &told).await.unwrap(), 1);
    drop(tx);
    world.run_flows(20).await;
    assert_eq!(world.database.count("select count(*) from letters").await, 0);
    assert_eq!(subjects(&world), Vec::<String>::new());
}

#[tokio::test]
async fn a_server_that_refuses_ends_a_letter_and_one_that_is_busy_delays_it() {
    let world = World::new().await;
    own_address(&world).await;
    world.mailer.fail_next(Strike::Before, 1, &MailError::Refused(Some(550)));
    assert_eq!(tell(&world, "one", &Told::Welcome).await, 1);
    world.run_flows(20).await;
    assert_eq!(outcomes(&world).await, ["the mail server refused it: it answered 550"]);
    assert_eq!(world.mailer.ledger().len(), 1, "a refusal is not asked for twice");

    world.mailer.fail_next(Strike::After, 2, &MailError::Later(Some(451)));
    tell(&world, "two", &Told::Welcome).await;
    world.run_flows(20).await;
    let ids: Vec<String> = world.mailer.ledger().into_iter().skip(1).map(|call| call.what.id).collect();
    assert!(ids.len() == 3 && ids.iter().all(|id| *id == ids[0]), "one mail, known again by its id: {ids:?}");
    assert_eq!(outcomes(&world).await[1], "handed over");
    assert_eq!(tell(&world, "two", &Told::Welcome).await, 0, "it was told");
}

/// A link is given up after a quarter of an hour; what has a cause is not.
#[tokio::test]
async fn a_mail_server_that_is_away_for_a_day_is_waited_for() {
    let world = World::new().await;
    own_address(&world).await;
    world.mailer.fail_next(Strike::Before, 2, &MailError::Later(None));
    tell(&world, "one", &Told::Welcome).await;
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    let late = "update flows set deadline_at = now() - interval '1 second', run_at = now()";
    world.database.sql(late).await;
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    assert_eq!(outcomes(&world).await, ["waits"]);
    let left =
        "select extract(epoch from deadline_at - now())::bigint / 3600 from flows where step ->> 'step' = 'tell'";
    assert!((71..=72).contains(&world.database.count(left).await));
    world.run_flows(20).await;
    assert_eq!(outcomes(&world).await, ["handed over"]);

    world.mailer.fail_next(Strike::Before, 9, &MailError::Later(None));
    tell(&world, "two", &Told::Welcome).await;
    for _ in 0..2 {
        flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
        world.database.sql(late).await;
    }
    world.database.sql(late).await;
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    assert_eq!(outcomes(&world).await[1], "given up: no mail server took it in time");
}

/// The real client before a server that takes the connection and says nothing.
#[tokio::test]
async fn a_server_that_hangs_delays_a_letter() {
    let mut world = World::new().await;
    own_address(&world).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let server = Server::parse(&format!("smtp://{}", listener.local_addr().unwrap())).unwrap();
    let from = Email::parse("berth@harbour.example").unwrap();
    let good = Arc::clone(&world.flows.carriers);
    let letters = Some(Arc::new(Smtp::new(&server, from).unwrap()) as _);
    world.flows.carriers =
        Arc::new(Carriers { mail: None, letters, webhook: None, base: "http://127.0.0.1:8080".into() });
    tell(&world, "one", &Told::Welcome).await;
    let began = std::time::Instant::now();
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    assert!(began.elapsed() < Duration::from_secs(40), "it is given up for now");
    assert_eq!(outcomes(&world).await, ["waits"]);
    world.flows.carriers = good;
    world.run_flows(20).await;
    assert_eq!(
        (outcomes(&world).await, subjects(&world)),
        (vec!["handed over".to_owned()], vec!["Welcome to Berth".into()])
    );
}

#[tokio::test]
async fn only_owners_hear_of_it_and_only_at_an_address_that_is_theirs() {
    let world = World::new().await;
    assert_eq!(tell(&world, "one", &Told::Welcome).await, 0, "the address was never shown to be hers");
    own_address(&world).await;
    assert_eq!(tell(&world, "one", &Told::Welcome).await, 1);
    let (tenant, mallory) = (world.alice.caller.tenant, world.mallory.caller.user);
    let mut tx = world.database.db.system().await.unwrap();
    let id = domain::entropy::mint(world.flows.entropy.as_ref());
    store::members::insert(&mut tx, id, (tenant, mallory), domain::people::Role::Admin).await.unwrap();
    tx.commit().await.unwrap();
    world.database.sql("update users set email_verified_at = now()").await;
    assert_eq!(tell(&world, "two", &Told::Welcome).await, 1, "an admin is no owner");
    world.database.sql(&format!("update members set role = 'owner' where user_id = '{}'", mallory.uuid())).await;
    assert_eq!(tell(&world, "three", &Told::Welcome).await, 2);
    // Whoever owns it no more before a letter left does not get it.
    let demote = format!(
        "update members set role = 'viewer' where user_id = '{}' and tenant_id = '{}'",
        mallory.uuid(),
        tenant.uuid()
    );
    world.database.sql(&demote).await;
    world.run_flows(40).await;
    let to: Vec<String> = world.mailer.ledger().into_iter().map(|call| call.what.to.to_string()).collect();
    assert_eq!(to, ["alice@example.org"; 3]);
    assert!(outcomes(&world).await.contains(&"not sent: its reader owns the tenant no more".to_owned()));
}

#[tokio::test]
async fn nobody_is_told_of_trouble_that_is_over_before_the_letter_left() {
    let mut world = World::new().await;
    let bank = Bank::of(&mut world).await;
    bank.says(Is::PastDue, |_| {});
    world.mailer.fail_next(Strike::Before, 1, &MailError::Later(None));
    let mut tx = world.database.db.system().await.unwrap();
    app::billing::look_again(&mut tx, world.alice.caller.tenant).await.unwrap();
    tx.commit().await.unwrap();
    while world.mailer.ledger().is_empty() {
        flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    }
    bank.says(Is::Active, |_| {});
    let mut tx = world.database.db.system().await.unwrap();
    app::billing::look_again(&mut tx, world.alice.caller.tenant).await.unwrap();
    tx.commit().await.unwrap();
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    world.run_flows(20).await;
    assert_eq!(subjects(&world), Vec::<String>::new());
    assert_eq!(outcomes(&world).await, ["not sent: it was not so any more"]);
}

#[tokio::test]
async fn the_first_agent_that_is_live_is_told_of_and_no_other() {
    let world = World::new().await;
    own_address(&world).await;
    let first = world.live_agent("scout").await;
    world.live_agent("second").await;
    assert_eq!(subjects(&world), ["Your agent scout is live"]);
    assert!(world.mailer.ledger()[0].what.text.contains(&format!("http://127.0.0.1:8080/agents/{first}\n")));
}

#[tokio::test]
async fn a_certificate_is_written_when_the_last_machine_is_proved_gone() {
    let mut world = World::new().await;
    let (first, second) = (world.live_agent("scout").await, world.live_agent("second").await);
    let machines = world.database.texts("select id::text from machines order by id").await;
    let bank = Bank::of(&mut world).await;
    bank.says(Is::Active, |_| {});
    look(&world).await;
    bank.says(Is::Canceled, |subscription| subscription.ended = Some(now()));
    look(&world).await;
    assert_eq!(subjects(&world), ["Your subscription is cancelled"]);
    world.database.move_clock("30 days 1 minute").await;

    // One machine does not go: nothing is certified, however often it is looked.
    let refused = ProviderError::Unavailable { why: "it does not answer".to_owned() };
    world.provider.fail_next(Verb::Remove, Strike::Before, 1, &refused);
    look(&world).await;
    assert_eq!(world.database.count("select count(*) from machines where gone_at is null").await, 1);
    assert_eq!(world.database.count("select count(*) from letters where kind = 'removed'").await, 0);
    let told = "select count(*) from audit_events where act = 'billing.destroyed'";
    assert_eq!(world.database.count(told).await, 0);

    world.database.sql("update flows set run_at = now()").await; // pauses are not skipped under a moved clock
    world.run_flows(80).await;
    look(&world).await;
    assert_eq!(subjects(&world), ["Your subscription is cancelled", "Your agents are destroyed"]);
    world.assert_nothing_left().await;
    let mail = mails(&world).pop().unwrap().text.split_whitespace().collect::<Vec<_>>().join(" ");
    for part in [format!("scout ({first}): machine mch_"), format!("second ({second}): machine mch_")] {
        assert!(mail.contains(&part), "{part}: {mail}");
    }
    assert!(mail.contains("no backups of these machines were kept"), "{mail}");
    for machine in machines {
        let id = domain::MachineId::from_uuid(machine.parse().unwrap());
        assert!(mail.contains(&id.to_string()), "{id}: {mail}");
        let certified =
            format!("select count(*) from audit_events where act = 'billing.destroyed' and details ? '{id}'");
        assert_eq!(world.database.count(&certified).await, 1);
    }
    assert_eq!(world.database.count(told).await, 1, "one event");
    assert_eq!(world.database.count("select count(*) from billing where removing <> '[]'").await, 0);
}

#[tokio::test]
async fn what_was_told_is_not_told_again_when_the_letter_is_forgotten() {
    let world = World::new().await;
    own_address(&world).await;
    tell(&world, "one", &Told::Welcome).await;
    world.run_flows(20).await;
    world.database.move_clock("31 days").await;
    let mut tx = world.database.db.system().await.unwrap();
    assert_eq!(store::history::forget_expired(&mut tx).await.unwrap().letters, 1);
    tx.commit().await.unwrap();
    let left =
        world.database.texts("select concat(to_address, facts, outcome, split_part(cause, ':', 1)) from letters").await;
    assert_eq!(left, ["one"], "the cause alone is left");
    assert_eq!(tell(&world, "one", &Told::Welcome).await, 0);
    let mut tx = world.database.db.system().await.unwrap();
    assert_eq!(store::history::forget_expired(&mut tx).await.unwrap().letters, 0);
}
