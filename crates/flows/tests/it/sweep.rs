//! The sweep looks at every machine and only looks.

use clients::provider::{Limits, Plan, Provider as _};
use domain::{
    job::{AskedBy, Job},
    machine::MachineName,
};
use ssh::fake::Door;
use testkit::World;

async fn sweep(world: &World) -> serde_json::Value {
    let mut tx = world.database.db.system().await.unwrap();
    let ask = async |tx: &mut store::SystemTx| {
        app::jobs::ask(tx, world.flows.entropy.as_ref(), Job::Health, AskedBy::Cron).await.unwrap()
    };
    let id = ask(&mut tx).await;
    assert_eq!(id, ask(&mut tx).await, "whoever asks while one is under way joins it");
    tx.commit().await.unwrap();
    for _ in 0..6 {
        flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
        let mut tx = world.database.db.system().await.unwrap();
        if let Some(counts) = app::jobs::counts(&mut tx, id).await.unwrap() {
            return counts;
        }
    }
    panic!("the sweep did not end");
}

#[tokio::test]
async fn a_sweep_counts_and_sets_silent_machines_right() {
    let world = World::new().await;
    let well = world.live_agent("well").await;
    let ill = world.live_agent("ill").await;
    let machine = world.agent(ill).await.unwrap().machine.unwrap().id;
    world.reach.next_door(machine, Door::Unreachable, 3);
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

#[tokio::test]
async fn one_bad_look_is_no_verdict() {
    let world = World::new().await;
    let agent = world.live_agent("blinked").await;
    let machine = world.agent(agent).await.unwrap().machine.unwrap().id;
    world.reach.next_door(machine, Door::Unreachable, 2);
    let counts = sweep(&world).await;
    assert_eq!((&counts["ready"], &counts["silent"]), (&1.into(), &0.into()), "{counts}");
    assert_eq!(world.database.count("select count(*) from flow_signals").await, 0, "its flow was told all the same");
}

#[tokio::test]
async fn when_too_many_are_silent_nobody_is_touched_and_a_person_is_told() {
    let world = World::new().await;
    for name in ["one", "two", "three"] {
        let agent = world.live_agent(name).await;
        let machine = world.agent(agent).await.unwrap().machine.unwrap().id;
        world.reach.next_door(machine, Door::Unreachable, 3);
    }
    let counts = sweep(&world).await;
    assert_eq!((&counts["silent"], &counts["braked"]), (&3.into(), &true.into()), "{counts}");
    assert_eq!(world.database.count("select count(*) from flow_signals").await, 0);
    let open = "select count(*) from alerts where kind = 'fleet_unreachable' and closed_at is null";
    assert_eq!(world.database.count(open).await, 1);
    assert_eq!(world.database.count("select count(*) from machines where health = 'silent'").await, 3);
    assert_eq!(sweep(&world).await["braked"], false);
    assert_eq!(world.database.count(open).await, 0, "seen to be right again");
}

#[tokio::test]
async fn a_sweep_writes_only_what_changed() {
    let world = World::new().await;
    world.live_agent("well").await;
    sweep(&world).await;
    let before = world.database.count("select xmin::text::bigint from machines").await;
    sweep(&world).await;
    assert_eq!(
        world.database.count("select xmin::text::bigint from machines").await,
        before,
        "the row was written again"
    );
}

#[tokio::test]
async fn a_large_fleet_is_swept_in_slices_by_children() {
    let world = World::new().await;
    let well = world.live_agent("well").await;
    let machine = world.agent(well).await.unwrap().machine.unwrap().id;
    world
        .database
        .sql(
            "insert into machines (id, provider, isolation, image, state, host_key, host_key_sealed, machine_key_sealed, \
             machine_token_sealed, machine_token_hash, gateway_token_sealed, model_key_sealed, model_key_hash) \
             select gen_random_uuid(), 'fake', 'container', 'x', 'made', '', e, e, e, \
                    decode(md5(n::text), 'hex'), e, e, decode(md5(n::text), 'hex') from (select decode(repeat('01', 45), 'hex')) s (e),  generate_series(1, 1100) n",
        )
        .await;
    world.reach.next_door(machine, Door::Unreachable, 3);
    let counts = sweep(&world).await;
    assert_eq!(
        (&counts["machines"], &counts["silent"], &counts["resting"]),
        (&1101.into(), &1.into(), &1100.into()),
        "{counts}"
    );
    let told = "select count(*) from flow_signals join flows on flows.id = flow_id where kind = 'life'";
    assert_eq!(world.database.count(told).await, 1);
    let left = "select count(*) from flows where kind like 'sweep%'";
    assert_eq!(world.database.count(left).await, 0, "a slice or its parent is left");
    assert_eq!(world.database.count("select count(*) from flow_results").await, 0);
}

/// An insert of machines that nobody reaches: spares without an address.
fn unreachable_spares(count: u32) -> String {
    format!(
        "with made as (
             insert into machines (id, provider, isolation, image, state, host_key, host_key_sealed, machine_key_sealed,
                machine_token_sealed, machine_token_hash, gateway_token_sealed, model_key_sealed, model_key_hash)
             select gen_random_uuid(), 'fake', 'container', 'x', 'made', '', e, e, e,
                    decode(md5(n::text), 'hex'), e, e, decode(md5(n::text), 'hex') from (select decode(repeat('01', 45), 'hex')) s (e),  generate_series(1, {count}) n
             returning id)
         insert into spares (machine_id, image, state, ready_at) select id, 'x', 'ready', now() from made"
    )
}

#[tokio::test]
async fn when_most_do_not_answer_nobody_waits_for_each_and_nothing_is_written_of_them() {
    let world = World::new().await;
    world.database.sql(&unreachable_spares(60)).await;
    let counts = sweep(&world).await;
    assert_eq!((&counts["silent"], &counts["braked"]), (&60.into(), &true.into()), "{counts}");
    let written = world.database.count("select count(*) from machines where health <> 'unknown'").await;
    assert_eq!(written, 0, "a verdict was written after fewer than three looks");
}

#[tokio::test]
async fn a_few_that_do_not_answer_are_looked_at_three_times_and_written_down() {
    let world = World::new().await;
    world.database.sql(&unreachable_spares(40)).await;
    let counts = sweep(&world).await;
    assert_eq!(counts["silent"], 40, "{counts}");
    assert_eq!(world.database.count("select count(*) from machines where health = 'silent'").await, 40);
}
