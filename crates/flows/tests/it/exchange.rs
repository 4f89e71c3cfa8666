//! Words between a person and an agent: carried once, sealed at rest, forgotten after ten minutes.

use app::exchanges::{ask_logs, read, say};
use domain::{
    AgentId, ExchangeId,
    channel::Channel,
    exchange::{Approval, ExchangeState},
    names::TurnText,
};
use ssh::fake::Door;
use testkit::World;

async fn ask(world: &World, agent: AgentId, words: &str) -> ExchangeId {
    let by = &world.alice.caller;
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    let text = TurnText::parse(words).unwrap();
    let with = (world.flows.ring.as_ref(), world.flows.entropy.as_ref());
    let id = say(&mut tx, with, agent, &text, by).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn answer(world: &World, id: ExchangeId) -> Option<(ExchangeState, Option<String>)> {
    let mut tx = world.database.db.tenant_read(world.alice.caller.tenant).await.unwrap();
    let opened = read(&mut tx, &world.flows.ring, id).await.unwrap()?;
    Some((opened.exchange.state, opened.answer.and_then(|words| words.expose_text().map(str::to_owned))))
}

#[tokio::test]
async fn words_are_answered_sealed_and_forgotten() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let id = ask(&world, agent, "CNRY the weather").await;
    world.run_flows(10).await;
    let (state, words) = answer(&world, id).await.unwrap();
    assert!(matches!(state, ExchangeState::Answered { .. }), "{state:?}");
    assert_eq!(words.as_deref(), Some("you said: CNRY the weather"));
    let leaks = "select count(*) from exchanges where position('CNRY' in encode(question, 'escape')) > 0 \
                 or position('CNRY' in encode(answer, 'escape')) > 0 or state::text like '%CNRY%'";
    assert_eq!(world.database.count(leaks).await, 0);
    assert_eq!(world.database.count("select count(*) from timeline where what::text like '%CNRY%'").await, 0);

    world.database.sql("update flows set run_at = now()").await;
    world.run_flows(10).await;
    assert!(answer(&world, id).await.is_none(), "kept longer than ten minutes");
    assert_eq!(world.database.count("select count(*) from flows where kind = 'exchange'").await, 0);
}

#[tokio::test]
async fn another_tenant_cannot_read_them_nor_open_them_if_moved() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let id = ask(&world, agent, "hush").await;
    world.run_flows(10).await;
    let mallory = world.mallory.caller.tenant;
    let mut tx = world.database.db.tenant_read(mallory).await.unwrap();
    assert!(read(&mut tx, &world.flows.ring, id).await.unwrap().is_none());
    let other = ask(&world, agent, "other").await;
    world.run_flows(10).await;
    let swap = format!(
        "update exchanges e set answer = o.answer from exchanges o where e.id = '{}' and o.id = '{}'",
        id.uuid(),
        other.uuid()
    );
    world.database.sql(&swap).await;
    let mut tx = world.database.db.tenant_read(world.alice.caller.tenant).await.unwrap();
    assert!(read(&mut tx, &world.flows.ring, id).await.is_err(), "moved ciphertext opened");
}

#[tokio::test]
async fn words_are_never_said_twice() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.agent(agent).await.unwrap().machine.unwrap().id;
    let before = world.reach.count(machine, "turn");
    let id = ask(&world, agent, "pay the bill").await;
    // ask → carry, then a worker dies while it carries: the claim is left behind.
    flows::run_due(&world.flows, &flows::RunnerOptions::default()).await.unwrap();
    world.database.sql("update flows set attempt = 1 where kind = 'exchange'").await;
    world.run_flows(10).await;
    let (state, _) = answer(&world, id).await.unwrap();
    let ExchangeState::Failed { why, .. } = state else { panic!("{state:?}") };
    assert!(why.contains("may have heard it"), "{why}");
    assert_eq!(world.reach.count(machine, "turn"), before);

    // An answer that was lost on its way is not asked for again either.
    world.reach.next_door(machine, Door::LostAfter, 1);
    let id = ask(&world, agent, "pay the bill").await;
    world.run_flows(10).await;
    assert!(matches!(answer(&world, id).await.unwrap().0, ExchangeState::Failed { .. }));
    assert_eq!(world.reach.count(machine, "turn"), before + 1);
}

#[tokio::test]
async fn a_machine_that_cannot_be_reached_for_a_moment_is_asked_again() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.agent(agent).await.unwrap().machine.unwrap().id;
    world.reach.next_door(machine, Door::Unreachable, 2);
    let id = ask(&world, agent, "hello").await;
    world.run_flows(10).await;
    assert!(matches!(answer(&world, id).await.unwrap().0, ExchangeState::Answered { .. }));
}

#[tokio::test]
async fn a_log_tail_is_an_exchange_like_any_other() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let by = &world.alice.caller;
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    let id = ask_logs(&mut tx, world.flows.entropy.as_ref(), agent, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(10).await;
    let (_, words) = answer(&world, id).await.unwrap();
    assert_eq!(words.as_deref(), Some("1970-01-01 00:00:00 openclaw ready"));
}

#[tokio::test]
async fn who_waits_no_more_is_not_let_in_and_that_is_said() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let by = &world.alice.caller;
    let approval = Approval { channel: Channel::Telegram, request: "r-1".to_owned() };
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    let with = (&*world.flows.ring, world.flows.entropy.as_ref());
    let id = app::exchanges::approve(&mut tx, with, agent, &approval, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(10).await;
    let state = answer(&world, id).await.unwrap().0;
    let ExchangeState::Failed { why, is_gone: true, .. } = state else { panic!("{state:?}") };
    assert_eq!(why, "There is no such request for access any more. Look again who waits.");
}
