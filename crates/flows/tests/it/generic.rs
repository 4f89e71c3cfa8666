//! What holds for every step, present and future: the list of steps is the domain's.

use domain::{MachineId, life::Life};
use testkit::World;

/// A live agent, put back at one step with its own machine.
async fn at(step_of: impl Fn(MachineId) -> Life) -> (World, domain::AgentId) {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.step(agent).await.and_then(|step| step.machine()).expect("a live agent has a machine");
    if let Life::Reserve = step_of(machine) {
        // Reserving happens before there is a machine: begin anew.
        world.remove(agent).await;
        let agent = world.new_agent("scout").await;
        return (world, agent);
    }
    world.put_at(agent, &step_of(machine)).await;
    (world, agent)
}

fn steps() -> usize {
    Life::every(MachineId::from_uuid(uuid::Uuid::nil())).len()
}

#[tokio::test]
async fn removal_from_every_step_leaves_nothing() {
    for index in 0..steps() {
        let (world, agent) = at(|machine| Life::every(machine).swap_remove(index)).await;
        world.remove(agent).await;
        world.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn every_step_may_run_twice() {
    for index in 0..steps() {
        let (world, agent) = at(|machine| Life::every(machine).swap_remove(index)).await;
        let before = world.step(agent).await.expect("a step");
        let made = world.provider.made();
        flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.expect("one step");
        if world.step(agent).await.is_none() {
            continue; // it ended, and its row with it: there is nothing left to run twice
        }
        // As if the process had died after the effect and before the settle.
        if !matches!(before, Life::Reserve) {
            world.put_at(agent, &before).await;
        }
        world.run_flows(40).await;
        let living = world.database.count("select count(*) from machines where gone_at is null").await;
        assert!(living <= 1, "{before:?} run twice made {living} machines");
        assert!(world.provider.made() - made <= 1, "{before:?} run twice made two machines");
        if let Some(agent) = world.agent(agent).await {
            assert!(["live", "stopped", "failed"].contains(&agent.seen.name()), "{before:?}: {:?}", agent.seen);
        }
    }
}

#[tokio::test]
async fn a_missed_deadline_leads_out_of_every_step() {
    for index in 0..steps() {
        let (world, agent) = at(|machine| Life::every(machine).swap_remove(index)).await;
        let step = world.step(agent).await.expect("a step");
        if step.deadline().is_none() || matches!(step, Life::Remove { .. }) {
            continue; // removal is never given up: `life::a_removal_is_never_given_up`
        }
        world.database.sql("update flows set deadline_at = now() - interval '1 second' where kind = 'life'").await;
        flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.expect("one step");
        let seen = world.agent(agent).await.expect("the agent").seen;
        assert_eq!(seen.name(), "failed", "{}", step.name());
        let why = seen.why().unwrap_or_default();
        assert!(why.contains("did not end within") && why.contains("Retry"), "{why}");
        assert_eq!(world.database.count("select count(*) from alerts where closed_at is null").await, 1);
    }
}
