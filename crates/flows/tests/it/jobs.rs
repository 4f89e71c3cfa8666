//! Jobs and their schedules: each tick has one owner, each job one run.

use app::jobs::{ScheduleChange, ScheduleError};
use domain::job::{AskedBy, CatchUp, Job};
use store::SystemTx;
use testkit::World;

async fn ask(tx: &mut SystemTx, world: &World, job: Job) -> uuid::Uuid {
    app::jobs::ask(tx, world.flows.entropy.as_ref(), job, AskedBy::Operator).await.unwrap()
}

async fn planted() -> World {
    let world = World::new().await;
    let mut tx = world.database.db.system().await.unwrap();
    app::jobs::plant_schedules(&mut tx).await.unwrap();
    app::jobs::plant_schedules(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    world
}

async fn tick(world: &World) -> Vec<Job> {
    let mut tx = world.database.db.system().await.unwrap();
    let started = app::jobs::tick(&mut tx, world.flows.entropy.as_ref()).await.unwrap();
    tx.commit().await.unwrap();
    started
}

#[tokio::test]
async fn a_tick_has_one_owner_among_many_processes() {
    let world = planted().await;
    assert_eq!(tick(&world).await, [], "nothing is due yet");
    world.database.sql("update schedules set next_at = now() - interval '1 second' where job = 'health'").await;
    let ticks = futures::future::join_all((0..8).map(|_| tick(&world))).await;
    assert_eq!(ticks.concat(), [Job::Health]);
    assert_eq!(world.database.count("select count(*) from job_runs where asked_by = 'schedule'").await, 1);
    assert_eq!(world.database.count("select count(*) from schedules where next_at <= now()").await, 0);
    assert_eq!(tick(&world).await, []);
}

#[tokio::test]
async fn a_missed_tick_is_left_out_or_made_up_for_once() {
    let world = planted().await;
    world.database.sql("update schedules set next_at = now() - interval '3 days'").await;
    let expected: Vec<Job> = Job::EVERY.into_iter().filter(|job| job.catch_up() == CatchUp::Once).collect();
    assert_eq!(tick(&world).await, expected);
    assert_eq!(tick(&world).await, [], "three days became one run");
}

#[tokio::test]
async fn a_schedule_that_is_off_does_not_tick_and_nonsense_changes_nothing() {
    let world = planted().await;
    let mut tx = world.database.db.system().await.unwrap();
    let mut operator = world.alice.caller.clone();
    let off = ScheduleChange { cron: Some("*/7 * * * *"), enabled: Some(false), catch_up: Some(CatchUp::Once) };
    operator.is_operator = false;
    let refused = app::jobs::set_schedule(&mut tx, Job::Health, off, &operator).await;
    assert!(matches!(refused, Err(ScheduleError::Forbidden)));
    operator.is_operator = true;
    for nonsense in ["", "every day", "* * * * * *", "99 * * * *", "0 0 31 2 *"] {
        let change = ScheduleChange { cron: Some(nonsense), ..off };
        let refused = app::jobs::set_schedule(&mut tx, Job::Health, change, &operator).await;
        assert!(matches!(refused, Err(ScheduleError::Cron { .. })), "{nonsense}");
    }
    app::jobs::set_schedule(&mut tx, Job::Health, off, &operator).await.unwrap();
    // What is not named stays as it is.
    app::jobs::set_schedule(&mut tx, Job::Health, ScheduleChange::default(), &operator).await.unwrap();
    tx.commit().await.unwrap();
    world.database.sql("update schedules set next_at = now() - interval '1 second' where job = 'health'").await;
    assert_eq!(tick(&world).await, []);
    let mut tx = world.database.db.system().await.unwrap();
    let all = store::schedules::all(&mut tx).await.unwrap();
    assert!(all.iter().any(|s| s.job == "health" && s.cron == "*/7 * * * *" && !s.enabled && s.catch_up == "once"));
}

#[tokio::test]
async fn retention_forgets_what_ran_out_and_nothing_else() {
    let world = World::new().await;
    let user = "(select id from users limit 1), (select id from tenants limit 1)";
    for (n, expires) in [(1, "- interval '1 second'"), (2, "+ interval '1 hour'")] {
        world
            .database
            .sql(&format!(
                "insert into sessions (id, token_hash, user_id, tenant_id, expires_at) \
                 select gen_random_uuid(), decode(md5('{n}-' || g), 'hex'), {user}, now() {expires} \
                 from generate_series(1, 1500) g"
            ))
            .await;
    }
    world.database.sql("update tokens set expires_at = now() - interval '31 days' where name = 'test' and user_id = (select id from users limit 1)").await;
    let mut tx = world.database.db.system().await.unwrap();
    let run = ask(&mut tx, &world, Job::Retention).await;
    tx.commit().await.unwrap();
    world.run_flows(10).await;
    let mut tx = world.database.db.system().await.unwrap();
    let counts = app::jobs::counts(&mut tx, run).await.unwrap().expect("it ended");
    assert_eq!((&counts["sessions"], &counts["tokens"]), (&1500.into(), &1.into()), "{counts}");
    assert_eq!(world.database.count("select count(*) from sessions").await, 1500);
    assert_eq!(world.database.count("select count(*) from tokens").await, 1);
}

/// What Stripe told, who was sent there, and what differed: ninety days, and what nobody has understood for ever.
#[tokio::test]
async fn what_was_told_of_payments_is_forgotten_after_ninety_days() {
    let world = World::new().await;
    let database = &world.database;
    let tenant = world.alice.caller.tenant.uuid();
    database.sql("insert into plan_prices (price_id, plan) values ('price_1', 'pro')").await;
    for (name, age) in [("over", "90 days 1 minute"), ("within", "89 days 23 hours")] {
        for statement in [
            format!(
                "insert into events (id, sender, name, kind, is_live, body, received_at, read_at, outcome) \
                 values (gen_random_uuid(), 'stripe', 'evt_{name}', 'x', false, '', berth.now() - interval '{age}', \
                         berth.now() - interval '{age}', 'read')"
            ),
            format!(
                "insert into events (id, sender, name, kind, is_live, body, received_at) \
                 values (gen_random_uuid(), 'stripe', 'evt_unread_{name}', 'x', false, '', berth.now() - interval '{age}')"
            ),
            format!(
                "insert into checkouts (id, tenant_id, plan, price_id, asked_at) \
                 values (gen_random_uuid(), '{tenant}', 'pro', 'price_1', berth.now() - interval '{age}')"
            ),
            format!(
                "insert into billing_differences (id, at, what, after) \
                 values (gen_random_uuid(), berth.now() - interval '{age}', 'event', '{name}')"
            ),
        ] {
            database.sql(&statement).await;
        }
    }
    let mut tx = database.db.system().await.unwrap();
    let run = ask(&mut tx, &world, Job::Retention).await;
    tx.commit().await.unwrap();
    world.run_flows(10).await;
    let mut tx = database.db.system().await.unwrap();
    let counts = app::jobs::counts(&mut tx, run).await.unwrap().expect("it ended");
    for what in ["events", "checkouts", "differences"] {
        assert_eq!(counts[what], 1, "{what}: {counts}");
    }
    let names = database.texts("select name from events order by name").await;
    assert_eq!(names, ["evt_unread_over", "evt_unread_within", "evt_within"]);
    assert_eq!(database.texts("select after from billing_differences").await, ["within"]);
    assert_eq!(database.count("select count(*) from checkouts").await, 1);
}

#[tokio::test]
async fn weeks_of_history_are_made_ahead_and_dropped_when_they_are_over() {
    let world = World::new().await;
    let weeks = "select count(*) from pg_inherits where inhparent = 'step_runs'::regclass";
    assert_eq!(world.database.count(weeks).await, 10, "this week, eight ahead, and the rest");
    world.database.sql("insert into step_runs (kind, step, took_ms) values ('life', 'create', 5)").await;
    // A month later: four weeks ahead are made, none is old enough to go.
    world.database.move_clock("28 days").await;
    let keep = async || {
        let mut tx = world.database.db.system().await.unwrap();
        let dropped = store::history::keep_weeks(&mut tx).await.unwrap();
        tx.commit().await.unwrap();
        dropped
    };
    assert_eq!(keep().await, 0);
    assert_eq!(world.database.count(weeks).await, 14);
    world.database.move_clock("70 days").await;
    assert_eq!(keep().await, 2, "the two weeks that ended more than eight weeks ago");
    assert_eq!(world.database.count("select count(*) from step_runs").await, 0, "its week is gone");
    assert_eq!(keep().await, 0, "twice is once");
}
