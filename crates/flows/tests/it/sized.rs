//! How large a machine is: as its tenant's plan has it, whatever happened in between.

use clients::{
    fake::{Strike, Verb},
    provider::{Limits, ProviderError},
};
use domain::{
    AgentId,
    machine::{MachineName, MachineSize},
    plan::{Plan, PlanName},
};
use std::num::{NonZeroU16, NonZeroU32};
use testkit::World;

const MIB: u64 = 1024 * 1024;

/// The plan `pro` with machines of this size, or as the installation has them.
async fn pro(world: &World, size: Option<(u16, u32)>) -> Plan {
    let mut tx = world.database.db.system().await.unwrap();
    let all = store::plans::list(&mut tx).await.unwrap();
    let mut plan = all.into_iter().find(|plan| plan.name.as_str() == "pro").expect("it is planted");
    let (cpus, memory_mib) = size.unzip();
    plan.limits.machine =
        MachineSize { cpus: cpus.and_then(NonZeroU16::new), memory_mib: memory_mib.and_then(NonZeroU32::new) };
    assert_eq!(store::plans::change(&mut tx, &plan).await.unwrap(), store::plans::Changed::So);
    tx.commit().await.unwrap();
    plan
}

/// Alice's tenant is let off paying as on this plan, or no longer, and its payments are looked at.
async fn given(world: &World, plan: Option<&PlanName>) {
    let mut tx = world.database.db.tenant(world.alice.caller.tenant).await.unwrap();
    app::billing::open(&mut tx, world.flows.entropy.as_ref()).await.unwrap();
    store::billing::set_gift(&mut tx, plan.map(|plan| (plan, None))).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(20).await;
}

async fn limits(world: &World, id: AgentId) -> Limits {
    let machine = world.agent(id).await.expect("the agent").machine.expect("a machine").id;
    world.provider.limits(&MachineName::of(machine)).expect("it is there")
}

async fn assert_has(world: &World, id: AgentId, (cpus, memory_mib): (u32, u64)) {
    let house = world.flows.machines.limits;
    let wanted = Limits { cpus, memory_bytes: memory_mib * MIB, disk_bytes: house.disk_bytes };
    assert_eq!(limits(world, id).await, wanted);
    assert_eq!(world.agent(id).await.unwrap().seen.name(), "live");
}

#[tokio::test]
async fn a_machine_grows_and_shrinks_with_its_plan() {
    let world = World::new().await;
    let house = world.flows.machines.limits;
    let id = world.live_agent("scout").await;
    assert_eq!((limits(&world, id).await, world.provider.count(Verb::Resize)), (house, 0), "nobody said anything");

    let plan = pro(&world, Some((4, 8192))).await;
    given(&world, Some(&plan.name)).await;
    assert_has(&world, id, (4, 8192)).await;
    assert_eq!(world.provider.count(Verb::Resize), 1, "once, and not at each look");
    let said = "select count(*) from timeline where what::text like '%machine_sized%'";
    assert_eq!(world.database.count(said).await, 1);

    // A second look finds nothing to do.
    given(&world, Some(&plan.name)).await;
    assert_eq!(world.provider.count(Verb::Resize), 1);

    given(&world, None).await;
    world.run_flows(20).await;
    assert_eq!(
        (limits(&world, id).await, world.provider.count(Verb::Resize)),
        (house, 2),
        "as all machines here again"
    );
    world.remove(id).await;
    world.assert_nothing_left().await;
}

#[tokio::test]
async fn a_new_machine_and_one_that_was_stopped_get_the_size_before_they_are_proved() {
    let world = World::new().await;
    let plan = pro(&world, Some((1, 2048))).await;
    given(&world, Some(&plan.name)).await;
    let id = world.live_agent("scout").await;
    assert_has(&world, id, (1, 2048)).await;

    let (db, by) = (&world.database.db, &world.alice.caller);
    let mut tx = db.tenant(by.tenant).await.unwrap();
    app::agents::stop(&mut tx, id, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(20).await;
    pro(&world, Some((8, 16_384))).await;
    given(&world, Some(&plan.name)).await;
    assert_eq!(limits(&world, id).await.cpus, 1, "at rest nothing is done to it");
    let mut tx = db.tenant(by.tenant).await.unwrap();
    app::agents::start(&mut tx, id, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(20).await;
    assert_has(&world, id, (8, 16_384)).await;
}

/// It was done, and nobody learned of it; or the provider was away.
#[tokio::test]
async fn a_change_that_is_cut_off_is_made_again() {
    for strike in [Strike::Before, Strike::After] {
        let world = World::new().await;
        let id = world.live_agent("scout").await;
        let plan = pro(&world, Some((4, 8192))).await;
        let away = ProviderError::Unavailable { why: "on order".to_owned() };
        world.provider.fail_next(Verb::Resize, strike, 1, &away);
        given(&world, Some(&plan.name)).await;
        for _ in 0..5 {
            world.database.sql("update flows set run_at = berth.now() where kind = 'life'").await;
            world.run_flows(20).await;
        }
        assert_has(&world, id, (4, 8192)).await;
        assert_eq!(world.provider.count(Verb::Resize), 2);
    }
}
