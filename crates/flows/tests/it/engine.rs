//! The engine itself: lease, fence, wake-ups.

use std::time::Duration;

use domain::TenantId;
use flows::{Ran, RunnerOptions};
use store::flows::{ChildFlow, Seats, Settle, claim, settle, signal};
use testkit::World;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(15);

/// A worker with this many free seats of which one tenant may hold four.
const fn seats(token: u128, free: i64, held: &[(Option<TenantId>, i32)]) -> Seats<'_> {
    Seats { token: Uuid::from_u128(token), lease: LEASE, free, held, share: 4 }
}

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let world = World::new().await;
    let agent = world.new_agent("scout").await;
    let db = &world.database.db;
    let mut tx = db.system().await.unwrap();
    let first = claim(&mut tx, &seats(1, 1, &[])).await.unwrap().remove(0);
    tx.commit().await.unwrap();

    let mut tx = db.system().await.unwrap();
    assert_eq!(claim(&mut tx, &seats(2, 1, &[])).await.unwrap().len(), 0, "a leased flow is nobody else's");
    drop(tx);

    world.database.sql("update flows set lease_until = now() - interval '1 second'").await;
    let mut tx = db.system().await.unwrap();
    let second = claim(&mut tx, &seats(2, 1, &[])).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    assert_eq!(second.attempt, 2);

    let to = Settle {
        step: serde_json::json!({ "step": "reserve" }),
        pause: Duration::ZERO,
        moved: false,
        deadline: None,
        failed: false,
        heard: true,
    };
    let mut tx = db.system().await.unwrap();
    assert!(!settle(&mut tx, &first, &to).await.unwrap(), "the first worker is fenced off");
    assert!(!store::flows::renew(&mut tx, &first, LEASE).await.unwrap());
    assert!(!store::flows::finish(&mut tx, &first, None).await.unwrap());
    assert!(settle(&mut tx, &second, &to).await.unwrap());
    tx.commit().await.unwrap();
    world.remove(agent).await;
    world.assert_nothing_left().await;
}

#[tokio::test]
async fn a_wake_up_during_a_step_is_not_slept_over() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    world.database.sql("update flows set run_at = now()").await;
    let db = &world.database.db;
    let mut tx = db.system().await.unwrap();
    let claimed = claim(&mut tx, &seats(1, 1, &[])).await.unwrap().remove(0);
    tx.commit().await.unwrap();

    let mut tx = db.tenant(world.alice.caller.tenant).await.unwrap();
    signal(&mut tx, "life", agent.uuid(), "prove").await.unwrap();
    tx.commit().await.unwrap();

    let rest = Settle {
        step: claimed.step.clone(),
        pause: Duration::from_hours(1),
        moved: false,
        deadline: None,
        failed: false,
        heard: true,
    };
    let mut tx = db.system().await.unwrap();
    assert!(settle(&mut tx, &claimed, &rest).await.unwrap());
    tx.commit().await.unwrap();
    let due = world.database.count("select count(*) from flows where run_at <= now()").await;
    assert_eq!(due, 1, "the wake-up was slept over");
    assert_eq!(
        world.database.count("select count(*) from flow_signals").await,
        1,
        "what was asked since is not heard yet"
    );
}

#[tokio::test]
async fn two_workers_never_hold_one_flow() {
    let world = World::new().await;
    for n in 0..20 {
        world.new_agent(&format!("scout-{n}")).await;
    }
    let claims = (0..4_u32).map(|worker| {
        let db = world.database.db.clone();
        async move {
            let mut all = Vec::new();
            for round in 0..20_u32 {
                let mut tx = db.system().await.unwrap();
                let token = u128::from(worker * 100 + round) + 1;
                all.extend(claim(&mut tx, &seats(token, 2, &[])).await.unwrap().into_iter().map(|c| c.flow));
                tx.commit().await.unwrap();
            }
            all
        }
    });
    let mut all: Vec<_> = futures::future::join_all(claims).await.concat();
    assert_eq!(all.len(), 20);
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 20, "a flow was claimed twice");
}

#[tokio::test]
async fn a_step_that_fails_is_tried_later_and_later() {
    let world = World::new().await;
    let away = clients::provider::ProviderError::Unavailable { why: "down".into() };
    world.provider.fail_next(clients::fake::Verb::Ensure, clients::fake::Strike::Before, 100, &away);
    let agent = world.new_agent("scout").await;
    let options = RunnerOptions::default();
    flows::run_due(&world.flows, &options).await.unwrap();
    let mut pauses = Vec::new();
    for _ in 0..9 {
        assert_eq!(flows::run_due(&world.flows, &options).await.unwrap(), [Ran::Failed]);
        let pause = "select extract(epoch from run_at - now())::bigint from flows";
        pauses.push(world.database.count(pause).await);
        world.database.sql("update flows set run_at = now()").await;
    }
    assert!(pauses.is_sorted_by(|a, b| a <= b || *b >= 40), "{pauses:?}");
    assert!(pauses.iter().all(|p| *p <= 60), "{pauses:?}");
    world.provider.fail_no_more();
    world.remove(agent).await;
    world.assert_nothing_left().await;
}

/// A tenant that is not alice, with one due flow that waits less long than all of hers.
async fn a_second_tenant(world: &World) -> TenantId {
    let tenant = world.mallory.caller.tenant;
    let statement = format!(
        "insert into flows (id, kind, tenant_id, subject, step, run_at) \
         values (gen_random_uuid(), 'exchange', '{}', gen_random_uuid(), '{{}}', now() - interval '1 second')",
        tenant.uuid()
    );
    world.database.sql(&statement).await;
    tenant
}

async fn crowd(world: &World, flows: u32) {
    let statement = format!(
        "insert into flows (id, kind, tenant_id, subject, step, run_at) \
         select gen_random_uuid(), 'exchange', '{}', gen_random_uuid(), '{{}}', now() - interval '1 minute' \
         from generate_series(1, {flows})",
        world.alice.caller.tenant.uuid()
    );
    world.database.sql(&statement).await;
}

#[tokio::test]
async fn one_tenants_thousand_flows_do_not_keep_another_ones_waiting() {
    let world = World::new().await;
    crowd(&world, 1000).await;
    let other = a_second_tenant(&world).await;
    let alice = world.alice.caller.tenant;
    let db = &world.database.db;
    // With free seats and nothing held, what is looked at is full of alice's: she gets her share and no more.
    let mut tx = db.system().await.unwrap();
    let first = claim(&mut tx, &seats(1, 8, &[])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(first.len(), 4, "more than the share of a tenant");
    assert!(first.iter().all(|claim| claim.tenant == Some(alice)));
    // With her share held she is not looked at, and the other one is next.
    let held = [(Some(alice), 4)];
    let mut tx = db.system().await.unwrap();
    let second = claim(&mut tx, &seats(2, 4, &held)).await.unwrap();
    assert_eq!(second.iter().map(|claim| claim.tenant).collect::<Vec<_>>(), [Some(other)]);
}

#[tokio::test]
async fn whoever_holds_fewest_seats_is_next() {
    let world = World::new().await;
    crowd(&world, 3).await;
    let other = a_second_tenant(&world).await;
    let mut tx = world.database.db.system().await.unwrap();
    let held = [(Some(world.alice.caller.tenant), 2)];
    let next = claim(&mut tx, &seats(1, 1, &held)).await.unwrap();
    assert_eq!(next[0].tenant, Some(other), "alice waited longer but holds two seats");
}

#[tokio::test]
async fn a_parent_hears_of_each_child_and_what_came_of_it() {
    let world = World::new().await;
    let db = &world.database.db;
    let parent_id =
        "insert into flows (id, kind, subject, step) values (gen_random_uuid(), 'x', gen_random_uuid(), '{}')";
    world.database.sql(parent_id).await;
    let mut tx = db.system().await.unwrap();
    let parent = claim(&mut tx, &seats(1, 1, &[])).await.unwrap().remove(0);
    for n in 0..2 {
        let child = ChildFlow {
            id: domain::FlowId::from_uuid(Uuid::from_u128(100 + n)),
            kind: "y",
            subject: Uuid::from_u128(200 + n),
            step: serde_json::json!({ "step": "look" }),
            after: Duration::ZERO,
            deadline: Duration::from_mins(1),
        };
        store::flows::start_child(&mut tx, parent.flow, &child).await.unwrap();
        store::flows::start_child(&mut tx, parent.flow, &child).await.unwrap();
    }
    let rest = Settle {
        step: serde_json::json!({ "step": "gather" }),
        pause: Duration::from_hours(1),
        moved: true,
        deadline: None,
        failed: false,
        heard: true,
    };
    assert!(settle(&mut tx, &parent, &rest).await.unwrap());
    tx.commit().await.unwrap();

    let mut tx = db.system().await.unwrap();
    let children = claim(&mut tx, &seats(2, 3, &[])).await.unwrap();
    tx.commit().await.unwrap();
    assert_eq!(children.iter().map(|child| child.kind.as_str()).collect::<Vec<_>>(), ["y", "y"]);
    for (left, child) in [1, 0].into_iter().zip(children) {
        let mut tx = db.system().await.unwrap();
        let result = serde_json::json!({ "left": u64::try_from(left).unwrap() });
        assert!(store::flows::finish(&mut tx, &child, Some(&result)).await.unwrap());
        tx.commit().await.unwrap();
        let mut tx = db.system().await.unwrap();
        let parent = claim(&mut tx, &seats(9 + left, 1, &[])).await.unwrap().remove(0);
        assert_eq!((parent.kind.as_str(), parent.children), ("x", i64::try_from(left).unwrap()));
        assert!(parent.hears(store::flows::CHILD_ENDED));
        assert!(settle(&mut tx, &parent, &rest).await.unwrap());
        assert_eq!(
            store::flows::results(&mut tx, parent.flow).await.unwrap().len(),
            usize::try_from(2 - left).unwrap()
        );
        tx.commit().await.unwrap();
    }
}

#[tokio::test]
async fn another_process_is_woken_after_the_commit() {
    let world = World::new().await;
    let options = store::DbOptions { url: world.database.url_as("berth_login"), connections_max: 2 };
    let other = store::Db::connect(&options).await.unwrap();
    let here = world.database.db.clone();
    let carrying = [
        tokio::spawn({
            let here = here.clone();
            async move { here.carry_signals(Uuid::from_u128(1)).await }
        }),
        tokio::spawn({
            let other = other.clone();
            async move { other.carry_signals(Uuid::from_u128(2)).await }
        }),
    ];
    // Both look once when they begin to listen; wait until that is over.
    tokio::time::timeout(Duration::from_secs(5), other.work()).await.expect("it looks once");
    let agent = world.new_agent("scout").await;
    tokio::time::timeout(Duration::from_secs(5), other.work()).await.expect("a flow of this process woke the other");
    let mut watch = other.watch(agent.uuid());
    let mut tx = here.tenant(world.alice.caller.tenant).await.unwrap();
    app::agents::stop(&mut tx, agent, &world.alice.caller).await.unwrap();
    tx.commit().await.unwrap();
    tokio::time::timeout(Duration::from_secs(5), watch.changed()).await.expect("whoever watches there looks again");
    for task in carrying {
        task.abort();
    }
}

/// Runs flows of a kind that does nothing, by the real runner, until `done`.
async fn run_nothings(world: &World, behaviour: flows::Behaviour, count: u32, done: &str) {
    let tenant = world.alice.caller.tenant.uuid();
    world
        .database
        .sql(&format!(
            "insert into flows (id, kind, tenant_id, subject, step)
             select gen_random_uuid(), 'nothing', case when n % 2 = 0 then '{tenant}'::uuid end,
                    lpad(n::text, 32, '0')::uuid, '{{\"step\": \"nothing\"}}' from generate_series(1, {count}) n"
        ))
        .await;
    let stop = tokio_util::sync::CancellationToken::new();
    let options = RunnerOptions { behaviour, ..RunnerOptions::default() };
    let running = tokio::spawn(flows::run(world.flows.clone(), options, stop.clone()));
    for _ in 0..200 {
        if world.database.count(done).await == 0 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    stop.cancel();
    running.await.unwrap();
    assert_eq!(world.database.count(done).await, 0);
}

#[tokio::test]
async fn steps_that_end_together_are_written_down_once_each() {
    static RAN: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let world = World::new().await;
    let ends: flows::Behaviour = |_, claim| {
        RAN.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
        let again = claim.step["again"].is_null() && claim.subject.as_u128() % 3 == 0;
        let value = serde_json::json!({ "step": "nothing", "again": true });
        let stay = flows::outcome::Step { name: "nothing", value, deadline: None };
        let next = if again { flows::outcome::Next::Go(stay) } else { flows::outcome::Next::Done };
        Box::pin(std::future::ready(Ok(flows::outcome::Outcome::next(next))))
    };
    run_nothings(&world, ends, 300, "select count(*) from flows where kind = 'nothing'").await;
    assert_eq!(RAN.load(std::sync::atomic::Ordering::Relaxed), 400, "a step was lost, or ran again");
}

#[tokio::test]
async fn a_step_that_cannot_be_written_keeps_no_other_from_it() {
    let world = World::new().await;
    let some_are_unwritable: flows::Behaviour = |_, claim| {
        let next = if claim.subject.to_string().ends_with('0') {
            // No text of Postgres holds this character.
            let value = serde_json::json!({ "step": "nothing", "bad": "\u{0}" });
            let stay = flows::outcome::Step { name: "nothing", value, deadline: None };
            flows::outcome::Next::Wait(stay, Duration::from_hours(1))
        } else {
            flows::outcome::Next::Done
        };
        Box::pin(std::future::ready(Ok(flows::outcome::Outcome::next(next))))
    };
    let written = "select count(*) from flows where kind = 'nothing' and subject::text not like '%0'";
    run_nothings(&world, some_are_unwritable, 100, written).await;
    assert_eq!(world.database.count("select count(*) from flows where kind = 'nothing'").await, 10);
}
