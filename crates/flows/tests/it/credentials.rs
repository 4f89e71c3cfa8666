//! What a tenant gives reaches its agent's machine, the last version wins, and what is taken back leaves it.

use app::credentials::CredentialError;
use domain::{AgentId, MachineId, credential::Kind, life::Life};
use ssh::fake::Door;
use testkit::World;

const BOT: &str = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc";
const OTHER_BOT: &str = "987654321:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-xy";

async fn live() -> (World, AgentId, MachineId) {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.step(agent).await.and_then(|step| step.machine()).unwrap();
    (world, agent, machine)
}

fn bot_on(world: &World, machine: MachineId) -> Option<String> {
    world.guests.given(machine).into_iter().find(|(name, _)| name == "telegram_token").map(|(_, value)| value)
}

/// Wanted and in force, as the agent's page shows them.
async fn versions(world: &World) -> (i64, i64) {
    let wanted = world.database.count("select credentials_wanted from agents").await;
    (wanted, world.database.count("select credentials_in_force from agents").await)
}

#[tokio::test]
async fn what_is_set_is_in_force_and_what_is_removed_is_gone() {
    let (world, agent, machine) = live().await;
    assert_eq!((bot_on(&world, machine), versions(&world).await), (None, (0, 0)));
    let id = world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    assert_eq!(versions(&world).await, (1, 0), "set, and not there yet");
    world.run_flows(20).await;
    assert_eq!((bot_on(&world, machine).as_deref(), versions(&world).await), (Some(BOT), (1, 1)));

    world.set_credential(Some(agent), Kind::Telegram, None, OTHER_BOT).await;
    world.run_flows(20).await;
    assert_eq!((bot_on(&world, machine).as_deref(), versions(&world).await), (Some(OTHER_BOT), (2, 2)));

    let by = &world.alice.caller;
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    app::credentials::remove(&mut tx, id, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(20).await;
    assert_eq!((bot_on(&world, machine), versions(&world).await), (None, (3, 3)));
    assert_eq!(world.database.count("select count(*) from bot_tokens").await, 0, "free for another agent");
}

/// A wake that came before the step was claimed wakes nobody any more: the versions are compared before the rest.
#[tokio::test]
async fn a_change_between_a_delivery_and_its_proof_does_not_wait_for_the_end_of_the_rest() {
    let (world, agent, machine) = live().await;
    world.put_at(agent, &Life::Prove { machine, tries: 0 }).await;
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    world.run_flows(20).await;
    assert_eq!((bot_on(&world, machine).as_deref(), versions(&world).await), (Some(BOT), (1, 1)));
}

/// Two changes before anybody works are one delivery, of the last; one that comes while another is sent is sent after it.
#[tokio::test]
async fn the_last_version_wins() {
    let (world, agent, machine) = live().await;
    let applies = || world.reach.count(machine, "apply");
    let before = applies();
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    world.set_credential(Some(agent), Kind::Telegram, None, OTHER_BOT).await;
    world.run_flows(20).await;
    assert_eq!((applies() - before, bot_on(&world, machine).as_deref()), (1, Some(OTHER_BOT)));
    assert_eq!(versions(&world).await, (2, 2));
}

/// An answer that is lost on the way is asked for again, under the same fence.
#[tokio::test]
async fn a_machine_that_is_away_gets_it_when_it_is_back() {
    let (world, agent, machine) = live().await;
    for door in [Door::LostAfter, Door::Unreachable] {
        world.reach.next_door(machine, door, 2);
        world.set_credential(Some(agent), Kind::Discord, None, &format!("a-discord-token-{door:?}")).await;
        world.run_flows(40).await;
        let (wanted, in_force) = versions(&world).await;
        assert_eq!(wanted, in_force, "{door:?}");
        let given = world.guests.given(machine);
        let there = given.iter().any(|(name, value)| name == "discord_token" && value.ends_with(&format!("{door:?}")));
        assert!(there, "{door:?}: {:?}", given.iter().map(|(name, _)| name).collect::<Vec<_>>());
    }
}

/// Every value that is opened stands in the tenant's audit, with what for.
#[tokio::test]
async fn each_opening_is_in_the_audit() {
    let (world, agent, _) = live().await;
    let opened = "select count(*) from audit_events where act = 'credential.open'";
    world.run_flows(20).await;
    assert_eq!(world.database.count(opened).await, 0);
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    world.set_credential(Some(agent), Kind::Discord, None, "a-discord-token").await;
    world.run_flows(20).await;
    assert_eq!(world.database.count(opened).await, 2, "two values, one delivery");
    let purposes = "select distinct details ->> 'purpose' from audit_events where act = 'credential.open'";
    assert_eq!(world.database.texts(purposes).await, ["delivery"]);
    let whole = "select count(*) from audit_events where details::text like '%AAEhBOweik%'";
    assert_eq!(world.database.count(whole).await, 0, "and nothing of the value");
}

/// One bot speaks for one agent, whosever it is; who has it is not told.
#[tokio::test]
async fn a_bot_belongs_to_one_agent_of_the_installation() {
    let (world, agent, _) = live().await;
    let second = world.live_agent("second").await;
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    let refused = world.try_credential(&world.alice, Some(second), Kind::Telegram, BOT).await.unwrap_err();
    assert!(matches!(refused, CredentialError::BotTaken), "{refused}");

    let theirs = world.agent_of(&world.mallory, "prowler").await;
    let foreign = world.try_credential(&world.mallory, Some(theirs), Kind::Telegram, BOT).await.unwrap_err();
    assert_eq!(foreign.to_string(), refused.to_string(), "one's own and another's read the same");
    assert!(world.try_credential(&world.mallory, Some(theirs), Kind::Telegram, OTHER_BOT).await.is_ok());
    assert_eq!(world.database.count("select count(*) from bot_tokens").await, 2);
}

/// Another tenant's agent and credential do not exist.
#[tokio::test]
async fn another_tenants_are_unknown() {
    let (world, agent, _) = live().await;
    let id = world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    let refused =
        world.try_credential(&world.mallory, Some(agent), Kind::Discord, "a-discord-token").await.unwrap_err();
    assert!(matches!(refused, CredentialError::NoAgent), "{refused}");
    let by = &world.mallory.caller;
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    let refused = app::credentials::remove(&mut tx, id, by).await.unwrap_err();
    assert!(matches!(refused, CredentialError::NotFound), "{refused}");
    let refused = app::credentials::open_for_test(&mut tx, &world.flows.ring, id, by).await.unwrap_err();
    assert!(matches!(refused, CredentialError::NotFound), "{refused}");
}
