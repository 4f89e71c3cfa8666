//! An agent's life, told from outside: what its tenant sees and what is sent to its machine.

use clients::{
    fake::{Strike, Verb},
    provider::{Provider as _, ProviderError},
};
use domain::{AgentId, agent::Agent, life::Life, machine::MachineName, names::AgentName};
use ssh::fake::Door;
use testkit::{SimMood, World};

async fn change(world: &World, id: AgentId, what: &str) {
    let (db, by) = (&world.database.db, &world.alice.caller);
    let mut tx = db.tenant(by.tenant).await.unwrap();
    match what {
        "stop" => app::agents::stop(&mut tx, id, by).await,
        "start" => app::agents::start(&mut tx, id, by).await,
        "restart" => app::agents::restart(&mut tx, id, by).await,
        "prove" => app::agents::prove(&mut tx, id, by).await,
        "retry" => app::agents::retry(&mut tx, id, by).await,
        other => panic!("{other}"),
    }
    .unwrap();
    tx.commit().await.unwrap();
}

async fn seen(world: &World, id: AgentId) -> Agent {
    world.agent(id).await.expect("the agent")
}

#[tokio::test]
async fn an_agent_becomes_live_with_a_proof_and_one_machine() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let agent = seen(&world, id).await;
    let proof = agent.proof.expect("live means proved");
    assert!(proof.ok && proof.latency_ms.is_some());
    let machine = agent.machine.expect("a machine");
    assert_eq!(machine.openclaw.as_deref(), Some("sim"));
    assert_eq!(world.provider.made(), 1);
    assert_eq!(world.guests.configurations(machine.id), 1);
    assert_eq!(world.provider.machines()[0].machine, Some(machine.id));
    // What a file of a machine must hold, before its first start.
    let name = domain::machine::MachineName::of(machine.id);
    assert_eq!(world.provider.file(&name, "/etc/berth/machine.key").unwrap().mode, 0o400);
    assert_eq!(world.provider.file(&name, "/etc/berth/guest.json").unwrap().mode, 0o600);
}

#[tokio::test]
async fn stop_start_restart_and_proof_end_where_they_should() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    change(&world, id, "stop").await;
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "stopped");
    assert!(!world.provider.machines()[0].running);

    change(&world, id, "start").await;
    world.run_flows(20).await;
    let first = seen(&world, id).await.proof.unwrap();
    assert_eq!(seen(&world, id).await.seen.name(), "live");

    change(&world, id, "prove").await;
    world.run_flows(20).await;
    let second = seen(&world, id).await.proof.unwrap();
    assert_ne!(first.id, second.id);

    change(&world, id, "restart").await;
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
    assert_eq!(world.provider.made(), 1, "one machine through all of it");
    world.remove(id).await;
    world.assert_nothing_left().await;
}

/// The proof that ends hears every signal; one of them was a wish.
#[tokio::test]
async fn a_restart_asked_while_a_proof_is_taken_is_not_lost() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let Some(Life::Live { machine }) = world.step(id).await else { panic!("it is live") };
    for (step, before) in [(Life::Prove { machine, tries: 0 }, 0), (Life::Recover { machine, looks: 0 }, 1)] {
        assert_eq!(world.reach.count(machine, "restart"), before);
        world.put_at(id, &step).await;
        change(&world, id, "restart").await;
        world.run_flows(20).await;
        assert_eq!(world.reach.count(machine, "restart"), before + 1, "asked at {}", step.name());
        assert_eq!(seen(&world, id).await.seen.name(), "live");
    }
}

#[tokio::test]
async fn another_host_key_stops_everything_and_gets_no_secret_byte() {
    let world = World::new().await;
    let id = world.new_agent("scout").await;
    while !matches!(world.step(id).await, Some(Life::Await { .. })) {
        flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
    }
    let machine = world.step(id).await.unwrap().machine().unwrap();
    world.reach.set_door(machine, Door::OtherKey);
    world.run_flows(20).await;
    let agent = seen(&world, id).await;
    assert_eq!(agent.seen.name(), "failed");
    assert!(agent.seen.why().unwrap().contains("another host key"));
    assert_eq!(world.reach.secret_bytes(machine), 0);
    let open = "select count(*) from alerts where closed_at is null and kind = 'host_key_changed'";
    assert_eq!(world.database.count(open).await, 1);
    world.remove(id).await;
    world.assert_nothing_left().await;
    assert_eq!(world.database.count(open).await, 0, "removal closes what was about the agent");
}

#[tokio::test]
async fn a_gateway_that_never_gets_ready_ends_in_words_and_a_retry() {
    let world = World::new().await;
    world.guests.set_mood(SimMood::NeverReady);
    let id = world.new_agent("scout").await;
    world.run_flows(12).await;
    assert_eq!(seen(&world, id).await.seen.name(), "preparing");
    world.database.sql("update flows set deadline_at = now() - interval '1 second', run_at = now()").await;
    world.run_flows(5).await;
    assert_eq!(seen(&world, id).await.seen.name(), "failed");

    world.guests.set_mood(SimMood::Well);
    change(&world, id, "retry").await;
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
    assert_eq!(world.provider.made(), 1, "a retry finds the machine again");
    assert_eq!(world.database.count("select count(*) from alerts where closed_at is null").await, 0);
}

/// It takes half a minute, longer than the looks at a machine that does not answer: cutting its power would begin it anew.
#[tokio::test]
async fn a_gateway_that_starts_again_is_waited_for_and_its_machine_left_alone() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let boots = world.provider.boots();
    world.guests.set_mood(SimMood::NeverReady);
    let mut tx = world.database.db.tenant(world.alice.caller.tenant).await.unwrap();
    store::flows::signal(&mut tx, app::agents::LIFE, id.uuid(), app::agents::signal::LOOK).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(12).await;
    assert_eq!(seen(&world, id).await.seen.name(), "degraded");
    world.guests.set_mood(SimMood::Well);
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
    assert_eq!((world.provider.count(Verb::Stop), world.provider.boots()), (0, boots), "its power was not cut");
}

/// One that hangs says that it starts, for ever: then its machine is started anew, and nobody has to come.
#[tokio::test]
async fn a_gateway_that_starts_for_two_minutes_has_its_machine_started_anew() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    world.guests.set_mood(SimMood::NeverReady);
    let mut tx = world.database.db.tenant(world.alice.caller.tenant).await.unwrap();
    store::flows::signal(&mut tx, app::agents::LIFE, id.uuid(), app::agents::signal::LOOK).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(5).await;
    assert_eq!(world.provider.count(Verb::Stop), 0);
    // Whoever asks for a restart meanwhile gets one.
    let Some(Life::Recover { machine, .. }) = world.step(id).await else { panic!("it is looked at") };
    let restarts = world.reach.count(machine, "restart");
    change(&world, id, "restart").await;
    world.run_flows(2).await;
    assert_eq!(world.reach.count(machine, "restart"), restarts + 1);
    world.put_at(id, &Life::Recover { machine, looks: 0 }).await;
    world.database.move_clock("121 seconds").await;
    world.run_flows(3).await;
    assert_eq!(world.provider.count(Verb::Stop), 1, "its power was cut");
    world.guests.set_mood(SimMood::Well);
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
}

#[tokio::test]
async fn what_cannot_pass_by_itself_is_said_at_once() {
    for (mood, words) in [(SimMood::Picky, "refused the configuration"), (SimMood::Babbling, "did not answer")] {
        let world = World::new().await;
        world.guests.set_mood(mood);
        let id = world.new_agent("scout").await;
        world.run_flows(30).await;
        let agent = seen(&world, id).await;
        assert_eq!(agent.seen.name(), "failed", "{mood:?}");
        assert!(agent.seen.why().unwrap().contains(words), "{:?}", agent.seen.why());
        world.remove(id).await;
        world.assert_nothing_left().await;
    }
}

#[tokio::test]
async fn a_configuration_that_is_not_the_one_sent_is_never_called_live() {
    let world = World::new().await;
    world.guests.set_mood(SimMood::Forgetful);
    let id = world.new_agent("scout").await;
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "configuring");
    assert!(matches!(world.step(id).await, Some(Life::Apply { .. })));
}

#[tokio::test]
async fn every_provider_failure_ends_with_one_machine_or_in_words() {
    let away = ProviderError::Unavailable { why: "connection refused".into() };
    let missing = ProviderError::ImageMissing { alias: "x".into() };
    for strike in [Strike::Before, Strike::After] {
        let world = World::new().await;
        world.provider.fail_next(Verb::Ensure, strike, 3, &away);
        let id = world.live_agent("scout").await;
        assert_eq!(world.provider.made(), 1, "{strike:?}");
        world.provider.fail_next(Verb::Remove, strike, 3, &away);
        world.remove(id).await;
        world.assert_nothing_left().await;
    }
    let world = World::new().await;
    world.provider.fail_next(Verb::Ensure, Strike::Before, 1, &missing);
    let id = world.new_agent("scout").await;
    world.run_flows(10).await;
    assert!(seen(&world, id).await.seen.why().unwrap().contains("image"));
    change(&world, id, "retry").await;
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
}

#[tokio::test]
async fn a_machine_that_vanished_is_said_to_and_can_be_deleted() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let machine = seen(&world, id).await.machine.unwrap().id;
    world.provider.vanish(&domain::machine::MachineName::of(machine));
    world.reach.set_door(machine, Door::Unreachable);
    world.put_at(id, &Life::Recover { machine, looks: 0 }).await;
    world.run_flows(20).await;
    let agent = seen(&world, id).await;
    assert_eq!(agent.seen.name(), "failed");
    assert_eq!(
        world.provider.list().await.unwrap().len(),
        0,
        "a machine with somebody's data is not made anew by itself"
    );
    world.remove(id).await;
    world.assert_nothing_left().await;
}

#[tokio::test]
async fn a_machine_that_lost_power_comes_back_live() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let machine = seen(&world, id).await.machine.unwrap().id;
    world.provider.lose_power(&domain::machine::MachineName::of(machine));
    world.reach.next_door(machine, Door::Unreachable, 3);
    world.put_at(id, &Life::Recover { machine, looks: 0 }).await;
    world.run_flows(30).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
}

#[tokio::test]
async fn another_tenant_cannot_touch_an_agent() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let (db, mallory) = (&world.database.db, &world.mallory.caller);
    let mut tx = db.tenant(mallory.tenant).await.unwrap();
    assert!(matches!(app::agents::stop(&mut tx, id, mallory).await, Err(app::agents::ChangeAgentError::NotFound)));
    assert!(matches!(app::agents::remove(&mut tx, id, mallory).await, Err(app::agents::ChangeAgentError::NotFound)));
    assert_eq!(store::agents::list(&mut tx, None, 100).await.unwrap(), vec![]);
    // Even the signal beneath is bound to the tenant that sends it.
    store::flows::ask_removal(&mut tx, "life", id.uuid()).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(10).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
    assert_eq!(AgentName::parse("scout").unwrap(), seen(&world, id).await.name);
}

#[tokio::test]
async fn a_removal_is_never_given_up() {
    let open = "select count(*) from alerts where closed_at is null and kind = 'removal_stuck'";
    for error in [
        ProviderError::Unavailable { why: "connection refused".into() },
        ProviderError::Refused { why: "it carries another label".into() },
    ] {
        let world = World::new().await;
        let id = world.live_agent("scout").await;
        world.provider.fail_next(Verb::Remove, Strike::Before, 1000, &error);
        let by = &world.alice.caller;
        let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
        app::agents::remove(&mut tx, id, by).await.unwrap();
        tx.commit().await.unwrap();
        world.run_flows(10).await;
        world.database.sql("update flows set deadline_at = now() - interval '1 hour', run_at = now()").await;
        world.run_flows(10).await;
        assert_eq!(seen(&world, id).await.seen.name(), "deleting", "{error}");
        assert_eq!(world.database.count(open).await, 1, "a person is told once");
        world.provider.fail_no_more();
        world.run_flows(10).await;
        world.assert_nothing_left().await;
        assert_eq!(world.database.count(open).await, 0);
    }
}

#[tokio::test]
async fn a_creation_that_failed_can_be_stopped_started_and_retried_without_a_loop() {
    let world = World::new().await;
    world.provider.fail_next(Verb::Ensure, Strike::Before, 1, &ProviderError::ImageMissing { alias: "x".into() });
    let id = world.new_agent("scout").await;
    world.run_flows(10).await;
    change(&world, id, "stop").await;
    let steps = world.run_flows(30).await.len();
    assert!(steps < 10, "it loops: {steps} steps");
    assert_eq!(seen(&world, id).await.seen.name(), "failed", "what was never made is not said to be stopped");
    change(&world, id, "retry").await;
    world.run_flows(30).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
}

/// The wish is older than the claim of the step `stop`, so no wake-up is left to end the rest that follows.
#[tokio::test]
async fn a_wish_to_run_while_a_stop_is_on_its_way_is_not_slept_over() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    change(&world, id, "stop").await;
    flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
    assert!(matches!(world.step(id).await, Some(Life::Stop { .. })));
    change(&world, id, "start").await;
    world.run_flows(30).await;
    assert_eq!(seen(&world, id).await.seen.name(), "live");
    world.assert_verified().await;
}

/// The turn of a proof may take longer than its step has left. Giving up must not hear the wish and forget it.
#[tokio::test]
async fn a_stop_that_is_heard_past_the_deadline_stops_the_machine() {
    let world = World::new().await;
    let id = world.live_agent("scout").await;
    let Some(Life::Live { machine }) = world.step(id).await else { panic!("it is live") };
    world.put_at(id, &Life::Prove { machine, tries: 0 }).await;
    change(&world, id, "stop").await;
    world.database.sql("update flows set deadline_at = now() - interval '1 second' where kind = 'life'").await;
    world.run_flows(20).await;
    assert_eq!(seen(&world, id).await.seen.name(), "stopped");
    assert!(!world.provider.look(&MachineName::of(machine)).await.unwrap().unwrap().running);
}
