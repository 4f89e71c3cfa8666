//! The engine itself: lease, fence, wake-ups.

use std::time::Duration;

use flows::{Ran, RunnerOptions};
use store::flows::{Settle, claim, settle, signal};
use testkit::World;
use uuid::Uuid;

const LEASE: Duration = Duration::from_secs(15);

#[tokio::test]
async fn a_worker_that_lost_its_lease_writes_nothing() {
    let world = World::new().await;
    let agent = world.new_agent("scout").await;
    let db = &world.database.db;
    let mut tx = db.system().await.unwrap();
    let first = claim(&mut tx, Uuid::from_u128(1), LEASE, 1).await.unwrap().remove(0);
    tx.commit().await.unwrap();

    let mut tx = db.system().await.unwrap();
    assert_eq!(claim(&mut tx, Uuid::from_u128(2), LEASE, 1).await.unwrap().len(), 0, "a leased flow is nobody else's");
    drop(tx);

    world.database.sql("update flows set lease_until = now() - interval '1 second'").await;
    let mut tx = db.system().await.unwrap();
    let second = claim(&mut tx, Uuid::from_u128(2), LEASE, 1).await.unwrap().remove(0);
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
    assert!(!store::flows::finish(&mut tx, &first).await.unwrap());
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
    let claimed = claim(&mut tx, Uuid::from_u128(1), LEASE, 1).await.unwrap().remove(0);
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
                let token = Uuid::from_u128(u128::from(worker * 100 + round));
                all.extend(claim(&mut tx, token, LEASE, 2).await.unwrap().into_iter().map(|c| c.flow));
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
