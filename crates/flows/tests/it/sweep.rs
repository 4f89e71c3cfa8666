//! The sweep looks at every machine and only looks.

use clients::provider::{Limits, Plan, Provider as _};
use domain::machine::MachineName;
use ssh::fake::Door;
use testkit::World;

async fn sweep(world: &World) -> serde_json::Value {
    let mut tx = world.database.db.system().await.unwrap();
    let id = app::sweeps::ask(&mut tx, world.flows.entropy.as_ref()).await.unwrap();
    let joined = app::sweeps::ask(&mut tx, world.flows.entropy.as_ref()).await.unwrap();
    assert_eq!(id, joined, "whoever asks while one is under way joins it");
    tx.commit().await.unwrap();
    flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
    let mut tx = world.database.db.system().await.unwrap();
    app::sweeps::counts(&mut tx, id).await.unwrap().expect("the sweep ended")
}

#[tokio::test]
async fn a_sweep_counts_and_sets_silent_machines_right() {
    let world = World::new().await;
    let well = world.live_agent("well").await;
    let ill = world.live_agent("ill").await;
    let machine = world.agent(ill).await.unwrap().machine.unwrap().id;
    world.reach.next_door(machine, Door::Unreachable, 1);
    let counts = sweep(&world).await;
    assert_eq!(
        (&counts["machines"], &counts["ready"], &counts["silent"]),
        (&2.into(), &1.into(), &1.into()),
        "{counts}"
    );
    assert_eq!(counts["strangers"], 0);
    world.run_flows(20).await;
    for agent in [well, ill] {
        assert_eq!(world.agent(agent).await.unwrap().seen.name(), "live");
    }
}

#[tokio::test]
async fn a_machine_that_no_row_knows_is_an_alert_and_stays() {
    let world = World::new().await;
    let stray = domain::MachineId::from_uuid(uuid::Uuid::from_u128(99));
    let plan = Plan {
        name: MachineName::of(stray),
        machine: stray,
        image: "x".into(),
        files: vec![],
        limits: Limits { cpus: 1, memory_bytes: 1, disk_bytes: 1 },
    };
    world.provider.ensure(&plan).await.unwrap();
    assert_eq!(sweep(&world).await["strangers"], 1);
    assert_eq!(world.provider.list().await.unwrap().len(), 1, "a sweep deleted something");
    assert_eq!(world.database.count("select count(*) from alerts where kind = 'machine_mismatch'").await, 1);
}
