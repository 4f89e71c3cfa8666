//! The budget for model calls: never passed, never negative, never lost.

use domain::{
    HoldId, TenantId,
    model::{Micros, Usage},
};
use store::{Db, DbOptions, model_usage, model_usage::Today};
use testkit::World;

fn id(number: u128) -> HoldId {
    HoldId::from_uuid(uuid::Uuid::from_u128(number))
}

const LIMIT: Micros = Micros::new(1_000);

async fn hold(db: &Db, tenant: TenantId, number: u128, micros: u64) -> bool {
    let mut tx = db.tenant(tenant).await.unwrap();
    let held = model_usage::hold(&mut tx, id(number), "m", Micros::new(micros), LIMIT).await.unwrap();
    tx.commit().await.unwrap();
    held
}

async fn settle(db: &Db, tenant: TenantId, number: u128, micros: u64) -> bool {
    let mut tx = db.tenant(tenant).await.unwrap();
    let usage = Usage { input_tokens: 1, cache_read_tokens: 2, output_tokens: 3, ..Usage::NONE };
    let settled = model_usage::settle(&mut tx, id(number), Micros::new(micros), &usage).await.unwrap();
    tx.commit().await.unwrap();
    settled
}

async fn today(db: &Db, tenant: TenantId) -> Today {
    let mut tx = db.tenant_read(tenant).await.unwrap();
    model_usage::today(&mut tx).await.unwrap()
}

/// The same database with its clock moved: connections read the setting when they are made.
async fn moved(world: &World, by: &str) -> Db {
    let name = world.database.texts("select current_database()::text").await.remove(0);
    world.database.sql(&format!("alter database {name} set berth.clock_skew = '{by}'")).await;
    let options = DbOptions { url: world.database.url_as("berth_login"), connections_max: 2 };
    Db::connect(&options).await.unwrap()
}

#[tokio::test]
async fn a_hundred_calls_at_once_never_pass_the_limit() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    let calls = (0..100_u128).map(|number| {
        let db = db.clone();
        tokio::spawn(async move {
            let held = hold(&db, tenant, number, 70).await;
            // Some end at once, cheaper than they might have been, while others are being asked for.
            if held && number % 3 == 0 {
                assert!(settle(&db, tenant, number, 30).await);
            }
            held
        })
    });
    let mut granted = 0;
    for call in calls.collect::<Vec<_>>() {
        granted += u64::from(call.await.unwrap());
    }
    let day = today(db, tenant).await;
    assert!(day.used <= LIMIT, "{day:?}");
    assert!((14..=33).contains(&granted), "1000 pays for 14 at 70, for 33 at 30: {granted}");
    let sums = "select count(*) from model_days where held_micros = (select coalesce(sum(micros), 0) from model_holds) \
                and held_micros + spent_micros <= 1000 and spent_micros = 30 * calls";
    assert_eq!(world.database.count(sums).await, 1);
    // To the last millionth: what is left is granted, one more is not.
    let left = LIMIT.get() - day.used.get();
    assert!(!hold(db, tenant, 1000, left + 1).await && hold(db, tenant, 1001, left).await);
    assert!(!hold(db, tenant, 1002, 1).await);
}

#[tokio::test]
async fn the_first_call_of_a_day_is_held_to_the_limit_too() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    assert!(!hold(db, tenant, 1, 1_001).await);
    assert_eq!(world.database.count("select count(*) from model_days").await, 0);
    assert!(hold(db, tenant, 1, 1_000).await);
}

#[tokio::test]
async fn a_hold_ends_once_with_what_was_spent() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    assert!(hold(db, tenant, 1, 400).await);
    let day = today(db, tenant).await;
    assert_eq!((day.used.get(), day.held.get(), day.calls), (400, 400, 0));
    assert!(settle(db, tenant, 1, 150).await);
    assert!(!settle(db, tenant, 1, 150).await, "nothing is charged twice");
    assert!(!settle(db, tenant, 2, 150).await, "what was never held is not charged");
    let day = today(db, tenant).await;
    assert_eq!((day.used.get(), day.held.get(), day.calls), (150, 0, 1));
    assert_eq!((day.input_tokens, day.output_tokens), (3, 3));
    assert!(hold(db, tenant, 3, 10).await && settle(db, tenant, 3, 25).await, "a dearer end is charged in full");
    assert_eq!(today(db, tenant).await.used.get(), 175);
}

#[tokio::test]
async fn one_tenants_calls_leave_anothers_day_alone() {
    let world = World::new().await;
    let (db, alice, mallory) = (&world.database.db, world.alice.caller.tenant, world.mallory.caller.tenant);
    assert!(hold(db, alice, 1, 1_000).await);
    assert!(hold(db, mallory, 2, 600).await);
    assert!(!settle(db, mallory, 1, 0).await, "another tenant's hold does not end by mallory's word");
    assert_eq!((today(db, alice).await.used.get(), today(db, mallory).await.used.get()), (1_000, 600));
}

#[tokio::test]
async fn a_new_day_begins_anew_and_an_old_call_is_charged_to_its_own() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    assert!(hold(db, tenant, 1, 1_000).await && !hold(db, tenant, 2, 1).await);
    let day = today(db, tenant).await;
    assert_eq!(day.resets_at.date_naive(), day.day.succ_opt().unwrap());
    assert!((1..=86_400).contains(&day.resets_in_seconds));
    let tomorrow = moved(&world, "24 hours").await;
    let next = today(&tomorrow, tenant).await;
    assert_eq!((next.day, next.used), (day.day.succ_opt().unwrap(), Micros::ZERO));
    assert!(hold(&tomorrow, tenant, 3, 900).await);
    assert!(settle(&tomorrow, tenant, 3, 200).await);
    assert_eq!(today(&tomorrow, tenant).await.used.get(), 200);
    let old = "select count(*) from model_days where day < (select max(day) from model_days) and spent_micros = 1000 and held_micros = 0";
    assert_eq!(world.database.count(old).await, 1, "nobody ended the call of the day before: it counts in full, there");
}

#[tokio::test]
async fn thirty_days_end_today_and_count_what_is_under_way() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    let plant = format!(
        "insert into model_days (tenant_id, day, held_micros, spent_micros)
         select '{}', (berth.now() at time zone 'utc')::date - days, 1, case days when 30 then 1000 else 10 end
         from unnest(array[0, 29, 30]) days",
        tenant.uuid()
    );
    world.database.sql(&plant).await;
    let sum = async |tenant| {
        let mut tx = db.tenant(tenant).await.unwrap();
        store::model_usage::of_thirty_days(&mut tx).await.unwrap().get()
    };
    assert_eq!((sum(tenant).await, sum(world.mallory.caller.tenant).await), (22, 0));
}

/// What a process leaves that was killed between holding and settling.
#[tokio::test]
async fn a_hold_that_nobody_ends_counts_as_spent() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    assert!(hold(db, tenant, 1, 600).await);
    for db in [db.clone(), moved(&world, "59 minutes").await] {
        assert!(hold(&db, tenant, 2, 100).await && settle(&db, tenant, 2, 100).await);
        world.database.sql("update model_days set spent_micros = 0, calls = 0").await;
        assert_eq!(world.database.count("select count(*) from model_holds").await, 1, "it may still be under way");
    }
    let later = moved(&world, "61 minutes").await;
    let day = "select held_micros * 10000 + spent_micros from model_days order by day limit 1";
    assert_eq!(world.database.count(day).await, 600 * 10_000, "held, which counts the same");
    assert!(hold(&later, tenant, 3, 100).await && settle(&later, tenant, 3, 50).await);
    assert_eq!(world.database.count("select count(*) from model_holds").await, 0);
    let total = "select sum(spent_micros)::bigint * 10000 + sum(held_micros)::bigint from model_days";
    assert_eq!(world.database.count(total).await, 650 * 10_000, "booked in full");
    assert!(!settle(&later, tenant, 1, 0).await, "its process comes too late to say that it was cheaper");
    assert_eq!(world.database.count(total).await, 650 * 10_000);
}

#[tokio::test]
async fn a_hold_that_was_not_committed_was_never_made() {
    let world = World::new().await;
    let (db, tenant) = (&world.database.db, world.alice.caller.tenant);
    let mut tx = db.tenant(tenant).await.unwrap();
    assert!(model_usage::hold(&mut tx, id(1), "m", LIMIT, LIMIT).await.unwrap());
    drop(tx);
    assert_eq!(today(db, tenant).await.used, Micros::ZERO);
    assert!(hold(db, tenant, 2, 1_000).await);
}

/// Calls with a tenant's own keys stand beside the budget, not in it.
#[tokio::test]
async fn own_calls_are_counted_and_charge_nothing() {
    let world = World::new().await;
    let (db, [alice, mallory]) = (&world.database.db, [&world.alice, &world.mallory].map(|who| who.caller.tenant));
    let usage = Usage { input_tokens: 1, cache_read_tokens: 2, output_tokens: 3, ..Usage::NONE };
    let count = async || {
        let mut tx = db.tenant(alice).await.unwrap();
        model_usage::count_own(&mut tx, &usage).await.unwrap();
        tx.commit().await.unwrap();
    };
    count().await;
    assert!(hold(db, alice, 1, 1_000).await, "all of the budget is left");
    count().await;
    let day = today(db, alice).await;
    let own = (day.own.calls, day.own.input_tokens, day.own.output_tokens);
    assert_eq!((own, day.calls, day.input_tokens, day.used), ((2, 6, 6), 0, 0, Micros::new(1_000)));
    assert!(settle(db, alice, 1, 500).await);
    assert_eq!((today(db, alice).await.own, today(db, mallory).await.own.calls), (day.own, 0));
    let tomorrow = moved(&world, "1 day").await;
    assert_eq!(today(&tomorrow, alice).await.own, model_usage::OwnCalls::default());
}
