//! Spares: made before anybody asks, claimed once, never given again.

use std::collections::BTreeSet;

use clients::provider::Provider as _;
use domain::job::{AskedBy, Job};
use flows::{Machines, Pool};
use ssh::fake::Door;
use testkit::World;

async fn world(floor: u16, ceiling: u16) -> World {
    let mut world = World::new().await;
    let machines = Machines { pool: Pool { floor, ceiling }, ..(*world.flows.machines).clone() };
    world.flows.machines = machines.into();
    world
}

async fn fill(world: &World) {
    let mut tx = world.database.db.system().await.unwrap();
    app::jobs::ask(&mut tx, world.flows.entropy.as_ref(), Job::Pool, AskedBy::Operator).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(60).await;
}

const READY: &str = "select count(*) from spares where state = 'ready'";

#[tokio::test]
async fn the_pool_is_filled_to_its_floor_and_refilled_by_the_claim() {
    let world = world(2, 2).await;
    fill(&world).await;
    assert_eq!(world.database.count(READY).await, 2);
    let spares: BTreeSet<_> = world.provider.list().await.unwrap().into_iter().map(|s| s.name).collect();
    let agent = world.live_agent("scout").await;
    let machine = world.agent(agent).await.unwrap().machine.unwrap();
    assert!(spares.contains(&domain::machine::MachineName::of(machine.id)), "it did not take a spare");
    assert!(machine.openclaw.is_some(), "what the spare said of itself is shown");
    world.run_flows(60).await;
    assert_eq!(world.database.count(READY).await, 2, "refilled on the claim");
    assert_eq!(world.provider.list().await.unwrap().len(), 3);
    let said = "select count(*) from timeline where what ->> 'event' = 'machine_taken' and (what ->> 'spare')::boolean";
    assert_eq!(world.database.count(said).await, 1);
    let spare_flows = "select count(*) from flows where kind = 'spare'";
    assert_eq!(world.database.count(spare_flows).await, 2, "the claimed one's own flow has ended");
}

/// Somebody waits for the first turn, nobody for the next spare.
#[tokio::test]
async fn a_refill_gives_way_to_the_agent_that_took_the_spare_and_does_so_once() {
    let world = world(1, 1).await;
    fill(&world).await;
    world.new_agent("scout").await;
    let (making, live) = (
        "select count(*) from spares where state = 'making'",
        "select count(*) from agents where seen ->> 'state' = 'live'",
    );
    // Only what is due, and no pause skipped.
    while !flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap().is_empty() {
        assert_eq!(world.database.count(making).await, 0, "it is begun beside the first turn");
    }
    assert_eq!(world.database.count(live).await, 1);
    let refill = "update flows set run_at = now() where kind = 'refill'";
    world.database.sql(refill).await;
    world.database.sql("update machines set claimed_at = now() where claimed_at is not null").await;
    flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
    assert_eq!(world.database.count(making).await, 1, "another claim does not hold it up again");
}

#[tokio::test]
async fn an_agent_that_takes_a_spare_is_proved_on_it_like_any_other() {
    let world = world(1, 1).await;
    fill(&world).await;
    let creations = world.provider.list().await.unwrap().len();
    let agent = world.live_agent("scout").await;
    assert!(world.agent(agent).await.unwrap().proof.unwrap().ok);
    assert_eq!(creations, 1);
    world.remove(agent).await;
    world.run_flows(60).await;
    let reused = "select count(*) from machines where claimed_at is not null and gone_at is null";
    assert_eq!(world.database.count(reused).await, 0, "a used machine is destroyed, never given again");
}

#[tokio::test]
async fn many_at_once_never_take_the_same_machine() {
    let world = world(4, 4).await;
    fill(&world).await;
    let tenant = world.alice.caller.tenant;
    let claims = (0..12_u128).map(|n| {
        let (db, image) = (world.database.db.clone(), world.flows.machines.image.clone());
        async move {
            let mut tx = db.system().await.unwrap();
            let agent = domain::AgentId::from_uuid(uuid::Uuid::from_u128(n));
            let taken = store::spares::claim(&mut tx, tenant, agent, &image).await.unwrap();
            tx.commit().await.unwrap();
            taken
        }
    });
    let taken: Vec<_> = futures::future::join_all(claims).await.into_iter().flatten().collect();
    assert_eq!(taken.len(), 4);
    assert_eq!(taken.iter().collect::<BTreeSet<_>>().len(), 4, "a machine was given twice");
}

#[tokio::test]
async fn an_empty_pool_takes_the_fresh_path_and_says_so() {
    let world = world(1, 1).await;
    let agent = world.live_agent("scout").await;
    let said =
        "select count(*) from timeline where what ->> 'event' = 'machine_taken' and not (what ->> 'spare')::boolean";
    assert_eq!(world.database.count(said).await, 1);
    assert!(world.agent(agent).await.is_some());
}

#[tokio::test]
async fn a_spare_that_is_removed_right_after_the_claim_is_destroyed() {
    let world = world(1, 1).await;
    fill(&world).await;
    let agent = world.new_agent("scout").await;
    // The step took the spare and died before it was written down.
    let mut tx = world.database.db.system().await.unwrap();
    let image = &world.flows.machines.image;
    store::spares::claim(&mut tx, world.alice.caller.tenant, agent, image).await.unwrap().expect("a spare");
    tx.commit().await.unwrap();
    world.remove(agent).await;
    let left = "select count(*) from machines where gone_at is null and agent_id is not null";
    assert_eq!(world.database.count(left).await, 0, "the machine of an agent that is gone lives on");
}

#[tokio::test]
async fn a_claim_that_was_not_written_down_is_found_by_the_next_run() {
    let world = world(1, 1).await;
    fill(&world).await;
    let agent = world.new_agent("scout").await;
    let mut tx = world.database.db.system().await.unwrap();
    let image = &world.flows.machines.image;
    let taken = store::spares::claim(&mut tx, world.alice.caller.tenant, agent, image).await.unwrap().expect("a spare");
    tx.commit().await.unwrap();
    world.run_flows(60).await;
    assert_eq!(world.agent(agent).await.unwrap().machine.unwrap().id, taken);
    assert_eq!(world.database.count("select count(*) from machines where agent_id is not null").await, 1);
}

#[tokio::test]
async fn a_spare_of_an_older_image_is_retired() {
    let mut world = world(1, 1).await;
    fill(&world).await;
    let machines = Machines { image: "berth-machine-newer".to_owned(), ..(*world.flows.machines).clone() };
    world.flows.machines = machines.into();
    fill(&world).await;
    assert_eq!(world.database.count("select count(*) from spares where image = 'berth-machine-newer'").await, 1);
    assert_eq!(world.database.count("select count(*) from spares").await, 1);
    assert_eq!(world.provider.list().await.unwrap().len(), 1, "the old one is left at the provider");
}

#[tokio::test]
async fn a_pool_that_is_switched_off_leaves_nothing() {
    let mut world = world(2, 2).await;
    fill(&world).await;
    world.flows.machines = Machines { pool: Pool::default(), ..(*world.flows.machines).clone() }.into();
    fill(&world).await;
    world.assert_nothing_left().await;
    assert_eq!(world.database.count("select count(*) from flows where kind = 'spare'").await, 0);
}

#[tokio::test]
async fn a_silent_spare_is_replaced_not_mended() {
    let world = world(1, 1).await;
    fill(&world).await;
    let spare = world.provider.list().await.unwrap().remove(0).name;
    let mut tx = world.database.db.system().await.unwrap();
    let id = store::spares::all(&mut tx).await.unwrap().remove(0).machine;
    drop(tx);
    // Three looks of the sweep, two of its own flow.
    world.reach.next_door(id, Door::Unreachable, 5);
    let mut tx = world.database.db.system().await.unwrap();
    app::jobs::ask(&mut tx, world.flows.entropy.as_ref(), Job::Health, AskedBy::Operator).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(60).await;
    fill(&world).await;
    let now = world.provider.list().await.unwrap();
    assert_eq!(now.len(), 1);
    assert_ne!(now[0].name, spare);
}
