//! Another gateway token and machine key: whoever dies wherever, the machine holds what Berth knows, and in the end the new.

use std::time::Duration;

use app::agents::ChangeAgentError;
use domain::{
    AgentId, MachineId,
    audit::Actor,
    credential::Kind,
    people::{Caller, Role},
};
use flows::{Machines, RunnerOptions};
use ssh::fake::Door;
use store::{
    flows::{Claim, Seats, claim},
    machine_rotations::standing,
};
use testkit::{SimMood, World};
use uuid::Uuid;
use vault::{MasterKey, Owner, Place, Sealed};

const BOT: &str = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc";

async fn live() -> (World, AgentId, MachineId) {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.step(agent).await.and_then(|step| step.machine()).unwrap();
    (world, agent, machine)
}

async fn ask(world: &World, agent: AgentId) -> Result<(), ChangeAgentError> {
    ask_as(world, agent, &world.alice.caller).await
}

async fn ask_as(world: &World, agent: AgentId, by: &Caller) -> Result<(), ChangeAgentError> {
    let mut tx = world.database.db.tenant(by.tenant).await?;
    app::agents::rotate(&mut tx, agent, by).await?;
    Ok(tx.commit().await?)
}

/// A token, and the id of a key.
type Pair = (String, String);

/// What Berth has of a machine: in force, and next.
#[derive(Debug)]
struct Known {
    now: Pair,
    next: Option<Pair>,
}

async fn known(world: &World, machine: MachineId) -> Known {
    let token = opened(world, machine, "gateway_token_sealed").await.unwrap();
    let key = opened(world, machine, "machine_key_sealed").await.unwrap();
    let next = match opened(world, machine, "gateway_token_next_sealed").await {
        Some(token) => Some(pair(token, opened(world, machine, "machine_key_next_sealed").await.unwrap())),
        None => None,
    };
    Known { now: pair(token, key), next }
}

fn pair(token: Vec<u8>, key: Vec<u8>) -> Pair {
    (String::from_utf8(token).unwrap(), MasterKey::from_bytes(key.try_into().unwrap()).id().to_string())
}

async fn opened(world: &World, machine: MachineId, column: &str) -> Option<Vec<u8>> {
    let stored = format!(
        "select encode({column}, 'hex') from machines where id = '{}' and {column} is not null",
        machine.uuid()
    );
    let stored = world.database.texts(&stored).await.pop()?;
    let sealed = Sealed::from_bytes(&hex::decode(stored).unwrap()).unwrap();
    let place = Place { owner: Owner::House, table: "machines", column, row: machine.uuid() };
    Some(world.flows.ring.open(&place, &sealed).unwrap().expose().to_vec())
}

/// What a machine holds; `made_with` is the key that was put into it before its first start.
fn held(world: &World, machine: MachineId, made_with: &str) -> Pair {
    let token = world.guests.given(machine).into_iter().find(|(name, _)| name == "gateway_token").unwrap().1;
    (token, world.guests.rekeyed(machine).unwrap_or_else(|| made_with.to_owned()))
}

async fn replaced(world: &World) -> i64 {
    world.database.count("select count(*) from timeline where what ->> 'event' = 'keys_replaced'").await
}

async fn ended(world: &World, machine: MachineId, old: &Pair) {
    let known = known(world, machine).await;
    assert!(known.next.is_none() && known.now.0 != old.0 && known.now.1 != old.1, "{known:?} after {old:?}");
    assert_eq!(held(world, machine, &old.1), known.now);
    assert_eq!(world.database.count("select count(*) from machines where rotation_asked_at is not null").await, 0);
    world.assert_verified().await;
}

#[tokio::test]
async fn a_rotation_replaces_both_and_the_agent_is_proved_with_them() {
    let (world, agent, machine) = live().await;
    let old = known(&world, machine).await.now;
    let fence = "select fence from machines";
    let (fence_before, proofs) = (world.database.count(fence).await, world.reach.count(machine, "turn"));
    ask(&world, agent).await.unwrap();
    ask(&world, agent).await.unwrap();
    world.run_flows(20).await;
    ended(&world, machine, &old).await;
    assert_eq!(world.reach.count(machine, "rekey"), 2, "asked twice, done once: given, and asked for in the end");
    assert_eq!(world.reach.count(machine, "turn"), proofs + 1, "and proved");
    assert_eq!(world.database.count(fence).await, fence_before + 1, "what was sent before comes too late now");
    assert_eq!(replaced(&world).await, 1);
    let agent = world.agent(agent).await.unwrap();
    assert_eq!(agent.seen.name(), "live");
    assert!(agent.machine.unwrap().keys_replaced_at.is_some());
    let ages = "select count(*) from machines where gateway_token_replaced_at is not null and machine_key_replaced_at is not null";
    assert_eq!(world.database.count(ages).await, 1);
    let asked = "select count(*) from audit_events where act = 'agent.rotate'";
    assert_eq!(world.database.count(asked).await, 2, "each ask stands in the audit");
}

async fn claimed(world: &World) -> Claim {
    world.database.sql("update flows set run_at = now(), lease_until = null, lease_token = null").await;
    let mut tx = world.database.db.system().await.unwrap();
    let seats = Seats { token: Uuid::from_u128(5), lease: Duration::from_secs(15), free: 1, held: &[], share: 4 };
    let claim = claim(&mut tx, &seats).await.unwrap().remove(0);
    tx.commit().await.unwrap();
    claim
}

/// Where a worker dies in the step that delivers.
#[derive(Debug, Clone, Copy)]
enum Dies {
    /// It has the flow, and has done nothing.
    AtOnce,
    /// The next ones are committed; the machine hears nothing of its next key.
    BeforeTheKey,
    /// The machine took the key; the answer is read by nobody.
    AfterTheKey,
    /// The machine took both; it is not asked any more whether it has the key.
    AfterTheToken,
    /// It said so; nothing of that is written down.
    BeforeTheEnd,
}

async fn dies(world: &World, machine: MachineId, at: Dies) {
    let claim = claimed(world).await;
    let count = |verb| world.reach.count(machine, verb);
    let (rekeys, applies) = (count("rekey"), count("apply"));
    let hanging = async |verb, before| {
        while count(verb) <= before {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    let work = flows::life::run(&world.flows, &claim);
    match at {
        Dies::AtOnce => drop(work),
        Dies::BeforeTheKey => {
            world.reach.next_door(machine, Door::Hangs, 1);
            tokio::select! { done = work => panic!("{done:?}"), () = hanging("rekey", rekeys) => {} }
        }
        Dies::AfterTheKey => {
            world.reach.next_door(machine, Door::Open, 1);
            world.reach.next_door(machine, Door::Hangs, 1);
            tokio::select! { done = work => panic!("{done:?}"), () = hanging("apply", applies) => {} }
        }
        Dies::AfterTheToken => {
            world.reach.next_door(machine, Door::Open, 2);
            world.reach.next_door(machine, Door::Hangs, 1);
            tokio::select! { done = work => panic!("{done:?}"), () = hanging("rekey", rekeys + 1) => {} }
        }
        Dies::BeforeTheEnd => drop(work.await.unwrap()),
    }
}

/// Killed between any two lines, twice, by whatever pair of places: the machine holds what Berth knows, and the next
/// worker finishes with the same next ones.
#[tokio::test]
async fn a_worker_that_dies_anywhere_leaves_a_machine_that_holds_what_berth_knows() {
    let places = [Dies::AtOnce, Dies::BeforeTheKey, Dies::AfterTheKey, Dies::AfterTheToken, Dies::BeforeTheEnd];
    let (world, agent, machine) = live().await;
    for first in places {
        for second in places {
            let old = known(&world, machine).await.now;
            ask(&world, agent).await.unwrap();
            // live → apply
            flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
            let mut made = None;
            for at in [first, second] {
                dies(&world, machine, at).await;
                let Known { now, next } = known(&world, machine).await;
                assert_eq!(now, old, "{first:?}, {second:?}: the old one is known until the step is written down");
                let there = held(&world, machine, &old.1);
                let tokens = [Some(&now.0), next.as_ref().map(|next| &next.0)];
                let keys = [Some(&now.1), next.as_ref().map(|next| &next.1)];
                assert!(tokens.contains(&Some(&there.0)) && keys.contains(&Some(&there.1)), "{first:?}, {second:?}");
                assert!(made.is_none() || made == next, "{first:?}, {second:?}: made twice");
                made = next;
            }
            world.database.sql("update flows set run_at = now(), lease_until = null, lease_token = null").await;
            world.run_flows(20).await;
            ended(&world, machine, &old).await;
            assert!(made.is_none_or(|made| made == held(&world, machine, "")), "{first:?}, {second:?}");
        }
    }
    assert_eq!(replaced(&world).await, 25, "each is told once");
}

/// A worker that slept through all of it, with what it read before, brings nothing old back.
#[tokio::test]
async fn a_worker_that_comes_too_late_sends_what_is_in_force() {
    let (world, agent, machine) = live().await;
    let old = known(&world, machine).await.now;
    ask(&world, agent).await.unwrap();
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    let late = claimed(&world).await;
    world.database.sql("update flows set lease_until = null, lease_token = null").await;
    world.run_flows(20).await;
    ended(&world, machine, &old).await;
    let there = held(&world, machine, "");
    drop(flows::life::run(&world.flows, &late).await.unwrap());
    assert_eq!(held(&world, machine, ""), there);
    assert_eq!(world.reach.count(machine, "rekey"), 2);
}

#[tokio::test]
async fn a_credential_set_meanwhile_goes_along_and_neither_is_lost() {
    let (world, agent, machine) = live().await;
    let old = known(&world, machine).await.now;
    let applies = world.reach.count(machine, "apply");
    ask(&world, agent).await.unwrap();
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    world.run_flows(20).await;
    ended(&world, machine, &old).await;
    let bot = world.guests.given(machine).into_iter().any(|(_, value)| value == BOT);
    assert!(bot && world.reach.count(machine, "apply") == applies + 1, "one delivery brings both");

    // One that comes while the other is under way.
    let old = known(&world, machine).await.now;
    world.set_credential(Some(agent), Kind::Discord, None, "a-discord-token").await;
    flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap();
    ask(&world, agent).await.unwrap();
    dies(&world, machine, Dies::BeforeTheKey).await;
    world.set_credential(Some(agent), Kind::Discord, None, "another-discord-token").await;
    world.database.sql("update flows set run_at = now(), lease_until = null, lease_token = null").await;
    world.run_flows(30).await;
    ended(&world, machine, &old).await;
    assert!(world.guests.given(machine).into_iter().any(|(_, value)| value == "another-discord-token"));
}

#[tokio::test]
async fn a_machine_that_is_away_gets_them_when_it_is_back() {
    let (world, agent, machine) = live().await;
    for door in [Door::Unreachable, Door::LostAfter, Door::Refused] {
        let old = known(&world, machine).await.now;
        world.reach.next_door(machine, door, 3);
        ask(&world, agent).await.unwrap();
        world.run_flows(40).await;
        ended(&world, machine, &old).await;
        assert_eq!(world.agent(agent).await.unwrap().seen.name(), "live", "{door:?}");
    }
}

#[tokio::test]
async fn a_stopped_machine_gets_them_at_its_start_and_one_that_is_deleted_never() {
    let (world, agent, machine) = live().await;
    let old = known(&world, machine).await.now;
    let by = &world.alice.caller;
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    app::agents::stop(&mut tx, agent, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(20).await;
    ask(&world, agent).await.unwrap();
    world.run_flows(20).await;
    assert_eq!((known(&world, machine).await.now, world.reach.count(machine, "rekey")), (old.clone(), 0));
    let mut tx = world.database.db.system().await.unwrap();
    let left = standing(&mut tx).await.unwrap();
    assert_eq!((left.left, left.at_rest, left.begun, left.machines), (1, 1, 0, 1));
    drop(tx);
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    app::agents::start(&mut tx, agent, by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(40).await;
    ended(&world, machine, &old).await;

    let (rekeys, mut tx) = (world.reach.count(machine, "rekey"), world.database.db.tenant(by.tenant).await.unwrap());
    app::agents::rotate(&mut tx, agent, by).await.unwrap();
    app::agents::remove(&mut tx, agent, by).await.unwrap();
    let refused = app::agents::rotate(&mut tx, agent, by).await.unwrap_err();
    assert!(matches!(refused, ChangeAgentError::Deleting), "{refused}");
    tx.commit().await.unwrap();
    let asked = app::machines::rotate(&world.database.db, None, 60, Actor::shell).await.unwrap();
    assert_eq!((asked.machines, asked.fresh), (0, 0), "an operator's ask passes it over");
    world.run_flows(40).await;
    assert_eq!(world.reach.count(machine, "rekey"), rekeys);
    world.assert_nothing_left().await;
}

/// An agent without a machine has nothing to rotate; another tenant's does not exist; members may not.
#[tokio::test]
async fn who_may_ask() {
    let (world, agent, machine) = live().await;
    let refused = ask_as(&world, agent, &world.mallory.caller).await.unwrap_err();
    assert!(matches!(refused, ChangeAgentError::NotFound), "{refused}");
    let member = Caller { role: Role::Member, ..world.alice.caller.clone() };
    let refused = ask_as(&world, agent, &member).await.unwrap_err();
    assert!(matches!(refused, ChangeAgentError::Forbidden), "{refused}");
    let unmade = world.new_agent("unmade").await;
    let refused = ask(&world, unmade).await.unwrap_err();
    assert!(matches!(refused, ChangeAgentError::NoMachine), "{refused}");
    world.run_flows(40).await;
    assert_eq!(world.reach.count(machine, "rekey"), 0);
    assert_eq!(world.database.count("select count(*) from audit_events where act = 'agent.rotate'").await, 0);
}

/// An operator's ask for all of them goes by turns; asked again it is the same, and one of them may be hurried.
#[tokio::test]
async fn a_fleet_goes_by_turns() {
    let world = World::new().await;
    let mut agents = Vec::new();
    for name in ["scout", "ranger", "keeper"] {
        agents.push(world.live_agent(name).await);
    }
    let asked = app::machines::rotate(&world.database.db, None, 2, Actor::shell).await.unwrap();
    assert_eq!((asked.fresh, asked.machines), (3, 3));
    let again = app::machines::rotate(&world.database.db, None, 6000, Actor::shell).await.unwrap();
    assert_eq!((again.fresh, again.machines), (0, 3));
    world.database.sql("update machines m set rotation_due_at = rotation_asked_at + (n - 1) * interval '5 hours' from (select id, row_number() over (order by agent_id) as n from machines) t where t.id = m.id").await;
    world.run_flows(30).await;
    assert_eq!(replaced(&world).await, 1, "the others wait for their turn");
    let mut tx = world.database.db.system().await.unwrap();
    let left = standing(&mut tx).await.unwrap();
    assert_eq!((left.left, left.waiting, left.begun), (2, 2, 0));
    drop(tx);
    let last = *agents.iter().max().unwrap();
    let hurried = app::machines::rotate(&world.database.db, Some(last), 60, Actor::shell).await.unwrap();
    assert_eq!((hurried.fresh, hurried.machines), (0, 1));
    world.run_flows(30).await;
    assert_eq!(replaced(&world).await, 2);
    let events = "select count(*) from house_audit_events where act = 'machines.rotate'";
    assert_eq!(world.database.count(events).await, 3, "each ask stands in the house's audit");
}

/// Turns are a part of a minute apart: nobody is asked at once for a fleet.
#[tokio::test]
async fn turns_are_as_far_apart_as_was_asked() {
    let world = World::new().await;
    for name in ["scout", "ranger", "keeper"] {
        world.live_agent(name).await;
    }
    app::machines::rotate(&world.database.db, None, 2, Actor::shell).await.unwrap();
    let seconds =
        "select extract(epoch from rotation_due_at - rotation_asked_at)::int::text from machines order by agent_id";
    assert_eq!(world.database.texts(seconds).await, ["0", "30", "60"]);
    let wakes =
        "select count(*) from flows f join machines m on m.agent_id = f.subject where f.run_at <= m.rotation_due_at";
    assert_eq!(world.database.count(wakes).await, 3, "each flow wakes for its turn");
}

#[tokio::test]
async fn old_keys_are_replaced_by_themselves_once() {
    let (mut world, agent, machine) = live().await;
    let day = Duration::from_hours(24);
    let machines = (*world.flows.machines).clone();
    world.flows.machines = Machines { keys_age_max: Some(90 * day), ..machines }.into();
    let old = known(&world, machine).await.now;
    for (days, rekeys) in [(1, 0), (89, 0), (100, 2), (100, 2)] {
        let aged =
            format!("update machines set created_at = now() - interval '{days} days'; update flows set run_at = now()");
        world.database.sql(&aged).await;
        world.run_flows(20).await;
        assert_eq!(world.reach.count(machine, "rekey"), rekeys, "after {days} days");
    }
    ended(&world, machine, &old).await;
    assert_eq!(world.agent(agent).await.unwrap().seen.name(), "live");
}

/// A machine of an image before `rekey` gets its token and keeps its key; one that cannot read what it keeps gets
/// something that it can read first.
#[tokio::test]
async fn a_machine_that_cannot_change_its_key_is_no_dead_end() {
    let (world, agent, machine) = live().await;
    let old = known(&world, machine).await.now;
    world.guests.set_mood(SimMood::Older);
    ask(&world, agent).await.unwrap();
    world.run_flows(20).await;
    let kept = known(&world, machine).await;
    assert!(kept.next.is_none() && kept.now.0 != old.0 && kept.now.1 == old.1, "{kept:?}");
    assert_eq!(held(&world, machine, &old.1), kept.now);
    let never =
        "select count(*) from machines where machine_key_replaced_at is null and gateway_token_replaced_at is not null";
    assert_eq!(world.database.count(never).await, 1);

    world.guests.set_mood(SimMood::Damaged);
    ask(&world, agent).await.unwrap();
    world.run_flows(20).await;
    ended(&world, machine, &kept.now).await;
    assert_eq!(world.reach.count(machine, "rekey"), 4, "refused twice; refused once and then taken");
}
