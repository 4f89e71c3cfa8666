//! A wish and a settling step meet: one waits for the other, and neither is lost.

use std::{sync::Arc, time::Duration};

use app::{
    agents::ChangeAgentError,
    credentials::{CredentialError, Wish},
};
use domain::{
    AgentId,
    agent::{Seen, Wanted},
    credential::{Kind, Value, VariableName},
    life::Life,
    operators::Reason,
    people::Caller,
    protocol::SecretText,
};
use store::{agents::Observation, flows::Settle};
use testkit::{SimMood, World};
use uuid::Uuid;

/// Settling locks the flow, then the agent. Had the wish locked the agent first, each would wait for the other.
#[tokio::test]
async fn a_wish_and_a_settling_step_do_not_wait_for_each_other() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let (db, caller) = (world.database.db.clone(), world.alice.caller.clone());
    let stopped = meet(&world, agent, async move {
        let mut tx = db.tenant(caller.tenant).await.unwrap();
        let stopped = app::agents::stop(&mut tx, agent, &caller).await;
        tx.commit().await.unwrap();
        stopped
    });
    assert_eq!(stopped.await.expect("the wish is heard").wanted, Wanted::Stopped);
    world.run_flows(40).await;
    assert_eq!(world.agent(agent).await.unwrap().seen.name(), "stopped");
}

/// So does whoever sets or removes what an agent's machine is given.
#[tokio::test]
async fn a_credential_and_a_settling_step_do_not_wait_for_each_other() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let (db, caller) = (world.database.db.clone(), world.alice.caller.clone());
    let (ring, entropy) = (Arc::clone(&world.flows.ring), Arc::clone(&world.flows.entropy));
    let kept = meet(&world, agent, async move {
        let name = VariableName::parse("REGION").unwrap();
        let value = Value::parse(Kind::Variable, &SecretText::new("north".to_owned())).unwrap();
        let wish = Wish { agent: Some(agent), name: Some(&name), base_url: None, value: &value, checked: None };
        let mut tx = db.tenant(caller.tenant).await.unwrap();
        let kept = app::credentials::set(&mut tx, (&ring, entropy.as_ref()), &wish, &caller).await;
        tx.commit().await.unwrap();
        kept
    });
    let kept = kept.await.expect("it is kept");
    let (db, caller) = (world.database.db.clone(), world.alice.caller.clone());
    let removed = meet(&world, agent, async move {
        let mut tx = db.tenant(caller.tenant).await.unwrap();
        let removed = app::credentials::remove(&mut tx, kept.id, &caller).await;
        tx.commit().await.unwrap();
        removed
    });
    assert_eq!(removed.await.expect("it is removed").id, kept.id);
}

/// Has a wish arrive while a step of the agent's flow is being written down, and the step go on to the agent's row.
async fn meet<T: Send + 'static>(world: &World, agent: AgentId, wish: impl Future<Output = T> + Send + 'static) -> T {
    world.database.sql("update flows set run_at = now()").await;
    let db = world.database.db.clone();
    let mut tx = db.system().await.unwrap();
    let seats =
        store::flows::Seats { token: Uuid::from_u128(1), lease: Duration::from_secs(15), free: 1, held: &[], share: 1 };
    let claim = store::flows::claim(&mut tx, &seats).await.unwrap().remove(0);
    tx.commit().await.unwrap();

    let to = Settle {
        step: claim.step.clone(),
        pause: Duration::from_hours(1),
        moved: false,
        deadline: None,
        failed: false,
        heard: true,
    };
    let mut settling = db.system().await.unwrap();
    assert!(store::flows::settle(&mut settling, &claim, &to).await.unwrap());

    let wish = tokio::spawn(wish);
    while world
        .database
        .count("select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()")
        .await
        == 0
    {
        assert!(!wish.is_finished(), "the wish did not wait for the settling step");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }

    let mut settling = settling.into_tenant(world.alice.caller.tenant).await.unwrap();
    let seen = Seen::Degraded { since: claim.now, why: "test".into() };
    let observation = Observation { seen: Some(seen), ..Observation::default() };
    store::agents::observe(&mut settling, agent, &observation).await.expect("the agent's row is free");
    settling.commit().await.unwrap();
    wish.await.unwrap()
}

/// The worker that stopped the machine died before it could say so. Meanwhile the tenant wants it running again, and
/// whoever takes the step over hears that wish with its claim.
#[tokio::test]
async fn a_wish_to_run_that_came_before_the_stop_was_tried_again_is_not_slept_over() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let Some(Life::Live { machine }) = world.step(agent).await else { panic!("it is live") };
    let caller = &world.alice.caller;
    let mut tx = world.database.db.tenant(caller.tenant).await.unwrap();
    app::agents::stop(&mut tx, agent, caller).await.unwrap();
    app::agents::start(&mut tx, agent, caller).await.unwrap();
    tx.commit().await.unwrap();
    world.put_at(agent, &Life::Stop { machine }).await;
    world.run_flows(40).await;
    assert_eq!(world.agent(agent).await.unwrap().seen.name(), "live");
}

/// While Berth itself is away no proof can succeed: that is no verdict on the agent.
#[tokio::test]
async fn proofs_that_fail_for_half_a_minute_cost_no_agent_its_first_start() {
    let world = World::new().await;
    world.guests.set_mood(SimMood::Babbling);
    let agent = world.new_agent("scout").await;
    let failed = || async {
        let waited = "select coalesce(sum(extract(epoch from run_at - now())), 0)::bigint from flows";
        match world.step(agent).await {
            Some(Life::Prove { tries, .. }) => (tries, world.database.count(waited).await),
            Some(Life::Failed { why, .. }) => panic!("given up: {why}"),
            _ => (0, 0),
        }
    };
    let mut waited = 0;
    for tries in 1..=4 {
        while failed().await.0 < tries {
            world.database.sql("update flows set run_at = now()").await;
            flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
        }
        waited += failed().await.1;
    }
    assert!(waited > 30, "only {waited} s of waiting");
    world.guests.set_mood(SimMood::Well);
    world.run_flows(20).await;
    assert_eq!(world.agent(agent).await.unwrap().seen.name(), "live");
}

/// Setting and removing one credential at the same moment: flow, agent, credential is everybody's order.
#[tokio::test]
async fn setting_and_removing_do_not_wait_for_each_other() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    for round in 0..20 {
        let id = world.set_credential(Some(agent), Kind::Discord, None, "a-discord-token").await;
        let token = format!("another-token-{round}");
        let removing = async {
            let by = &world.alice.caller;
            let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
            app::credentials::remove(&mut tx, id, by).await?;
            Ok::<_, CredentialError>(tx.commit().await?)
        };
        let setting = world.try_credential(&world.alice, Some(agent), Kind::Discord, &token);
        let (set, removed) = tokio::join!(setting, removing);
        for ended in [set.map(drop), removed] {
            let fault = matches!(ended, Err(CredentialError::Store(_)));
            assert!(!fault, "round {round}: {ended:?}");
        }
    }
}

/// An operator suspends a tenant while its people start and stop: flow, agent, audit is everybody's order.
#[tokio::test]
async fn suspending_and_stopping_do_not_wait_for_each_other() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let by = &world.alice.caller;
    let operator = Caller { is_operator: true, ..world.mallory.caller.clone() };
    let why = Reason::parse("ticket 4711, mails to strangers").unwrap();
    for round in 0..20 {
        let suspending = async {
            let tx = world.database.db.system().await.unwrap();
            app::suspension::suspend_tenant(tx, by.tenant, &why, &operator).await
        };
        let stopping = async {
            let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
            app::agents::stop(&mut tx, agent, by).await?;
            Ok::<_, ChangeAgentError>(tx.commit().await?)
        };
        let (suspended, stopped) = tokio::join!(suspending, stopping);
        assert!(suspended.is_ok() && stopped.is_ok(), "round {round}: {suspended:?} {stopped:?}");
        let tx = world.database.db.system().await.unwrap();
        app::suspension::restore_tenant(tx, by.tenant, &operator).await.unwrap();
        let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
        app::agents::start(&mut tx, agent, by).await.unwrap();
        tx.commit().await.unwrap();
    }
}
