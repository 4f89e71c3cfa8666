//! Events of payments in every order, twice, broken, late, by the ten thousand: what is known here is what stands at Stripe.

use std::collections::BTreeMap;

use chrono::TimeDelta;
use clients::payments::Payments as _;
use domain::{
    billing::SubscriptionId,
    entitlement::{Entitlement, Served, Suspended},
};
use flows::{Ran, RunnerOptions, World};
use serde_json::{Value, json};
use testkit::stripe::{Card, FakeStripe, StripeFault};
use tokio_util::sync::CancellationToken;

use crate::paying::{Dice, Payer, Till, sized};

/// What a subscription lives through, in the order in which it happens.
const LIFE: [&str; 5] = [
    "customer.subscription.created",
    "invoice.paid",
    "customer.subscription.updated",
    "customer.subscription.updated",
    "customer.subscription.deleted",
];

#[tokio::test]
async fn a_life_of_five_events_ends_the_same_in_every_order() {
    let till = Till::open().await;
    let orders = orders(LIFE.len());
    assert_eq!(orders.len(), 120);
    let mut payers = Vec::new();
    for _ in &orders {
        payers.push(till.payer().await);
    }
    till.run().await;
    let mut lives = Vec::new();
    for payer in &payers {
        let from = till.stripe.events().len();
        let id = till.subscribe(payer, 0).await;
        till.stripe.set_cancelled(&id, true);
        till.stripe.set_cancelled(&id, false);
        till.client.cancel_now(&id).await.unwrap();
        let told = till.told_since(from).remove(payer.customer.as_str()).unwrap_or_default();
        let life: Vec<Value> =
            told.into_iter().filter(|event| LIFE.contains(&event["type"].as_str().unwrap())).collect();
        assert_eq!(life.iter().map(|event| event["type"].as_str().unwrap()).collect::<Vec<_>>(), LIFE);
        lives.push(life);
    }
    // One event of each life is heard at a time, and understood before the next one comes.
    for round in 0..LIFE.len() {
        for (life, order) in lives.iter().zip(&orders) {
            assert!(till.hear(&life[order[round]]).await, "it is new");
        }
        till.run().await;
        for payer in &payers {
            let account = till.account(payer).await;
            assert_eq!(account.facts.subscription, till.truth(payer).await, "round {round}");
            let judged = account.entitlement.expect("it was judged");
            assert!(matches!(judged, Entitlement::Leaving { .. }), "an old event resurrects nothing: {judged:?}");
        }
    }
    till.assert_all_read().await;
    let of_nobody = "select count(*) from events where tenant_id is null";
    assert_eq!(till.world.database.count(of_nobody).await, 0, "each one is its tenant's");
}

/// Every order of so many things.
fn orders(count: usize) -> Vec<Vec<usize>> {
    let mut all = vec![Vec::new()];
    for _ in 0..count {
        let longer = |begun: Vec<usize>| -> Vec<Vec<usize>> {
            (0..count).filter(|next| !begun.contains(next)).map(|next| [&begun[..], &[next]].concat()).collect()
        };
        all = all.into_iter().flat_map(longer).collect();
    }
    all
}

/// Two customers live the same life. Of one everything is heard in order; of the other late, in any order, one in five
/// twice, one in twenty broken on its way.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn random_lives_end_as_if_everything_had_been_heard_in_order() {
    let (rooms, lives) = (sized(4, 40), 25);
    let all = futures::future::join_all((0..sized(2, 4)).map(|lane: usize| async move {
        let mut done = 0;
        for room in (lane..rooms).step_by(sized(2, 4)) {
            done += room_of_lives(u64::try_from(room).unwrap(), lives).await;
        }
        done
    }));
    assert_eq!(all.await.into_iter().sum::<usize>(), rooms * lives);
}

/// One of two who live the same.
struct Twin {
    payer: Payer,
    subscription: Option<SubscriptionId>,
}

async fn room_of_lives(seed: u64, lives: usize) -> usize {
    let (till, dice) = (Till::open().await, Dice::new(seed));
    // In every second room nobody looks by themselves: only events wake.
    let is_asleep = seed.is_multiple_of(2);
    let mut pairs = Vec::new();
    for number in 0..lives {
        let pair = if number == 0 {
            // Two who have people, and agents from the second step on.
            let (alice, mallory) = (&till.world.alice, &till.world.mallory);
            [till.known_at_stripe(alice.caller.tenant).await, till.known_at_stripe(mallory.caller.tenant).await]
        } else {
            [till.payer().await, till.payer().await]
        };
        pairs.push(pair.map(|payer| Twin { payer, subscription: None }));
    }
    till.run().await;
    let (mut from, mut late): (usize, BTreeMap<String, Vec<Value>>) = (0, BTreeMap::new());
    for step in 0..2 + dice.below(3) {
        for pair in &mut pairs {
            let act = dice.below(9);
            for twin in pair {
                live(&till, twin, act).await;
            }
        }
        let hours = TimeDelta::hours(i64::try_from(7 + dice.below(24 * 12)).unwrap());
        if is_asleep {
            till.stripe.advance(hours);
        } else {
            till.pass(hours).await;
        }
        let mut told = till.told_since(from);
        from = till.stripe.events().len();
        for (number, [first, second]) in pairs.iter().enumerate() {
            for event in told.remove(first.payer.customer.as_str()).unwrap_or_default() {
                till.hear(&event).await;
            }
            let name = second.payer.customer.to_string();
            let held = late.entry(name.clone()).or_default();
            held.extend(told.remove(&name).unwrap_or_default());
            dice.shuffle(held);
            let heard = if number == 0 && step == 0 { held.len() } else { dice.below(held.len() + 1) };
            for event in held.drain(..heard) {
                hear_badly(&till, &dice, &event).await;
            }
        }
        till.run().await;
        if step == 0 {
            for who in [&till.world.alice, &till.world.mallory] {
                till.world.agent_of(who, "scout").await;
                till.world.agent_of(who, "clerk").await;
            }
        }
    }
    for held in late.values_mut() {
        dice.shuffle(held);
        for event in held.drain(..) {
            hear_badly(&till, &dice, &event).await;
        }
    }
    till.run().await;
    till.assert_all_read().await;
    for (number, [first, second]) in pairs.iter().enumerate() {
        let (in_order, anyhow) = (till.figure(&first.payer).await, till.figure(&second.payer).await);
        assert_eq!(in_order, anyhow, "life {number} of room {seed}");
        assert_eq!(till.account(&second.payer).await.facts.subscription, till.truth(&second.payer).await);
    }
    lives
}

/// Once, twice, or first broken and then, as Stripe does, again.
async fn hear_badly(till: &Till, dice: &Dice, event: &Value) {
    if dice.below(20) == 0 {
        let (signature, body) = FakeStripe::signed(event, till.stripe.now());
        let mut body = body.into_bytes();
        let at = dice.below(body.len());
        body[at] ^= 1 << dice.below(8);
        assert_eq!(till.hear_body(&signature, &body).await, None, "it is not what Stripe signed");
    }
    if dice.below(20) == 0 {
        // Signed, and of no shape that anybody knows: kept, and harmless.
        let strange = json!({ "id": format!("evt_strange{}", dice.next()), "type": 7, "data": { "object": [event] } });
        assert!(till.hear(&strange).await);
    }
    assert!(till.hear(event).await, "it is new");
    if dice.below(5) == 0 {
        assert!(!till.hear(event).await, "it is kept already");
    }
}

/// One thing that a customer does, or their bank.
async fn live(till: &Till, twin: &mut Twin, act: usize) {
    let (stripe, customer) = (&till.stripe, &twin.payer.customer);
    let Some(subscription) = twin.subscription.clone() else {
        let trial_days = if act < 4 { 0 } else { 7 };
        twin.subscription = Some(till.subscribe(&twin.payer, trial_days).await);
        return;
    };
    let has_paid = || {
        stripe.events().iter().any(|event| {
            event["type"] == "charge.succeeded" && event["data"]["object"]["customer"] == customer.as_str()
        })
    };
    match act {
        0 => stripe.set_card(customer, Card::Declined),
        1 => stripe.set_card(customer, Card::None),
        2 => {
            stripe.set_card(customer, Card::Good);
            stripe.settle(customer);
        }
        3 => stripe.set_cancelled(&subscription, true),
        4 => stripe.set_cancelled(&subscription, false),
        5 => drop(till.client.cancel_now(&subscription).await),
        6 if has_paid() => drop(stripe.dispute(customer)),
        7 if has_paid() => stripe.refund(customer),
        _ => {}
    }
}

/// A dispute names a charge and no customer. Whose it is, Stripe is asked; until it answers, the event waits.
#[tokio::test]
async fn a_dispute_finds_its_tenant_though_it_names_only_a_charge() {
    let till = Till::open().await;
    let payer = till.payer().await;
    till.subscribe(&payer, 0).await;
    till.run().await;
    assert!(till.judged(&payer).await.may_run());
    let dispute = till.stripe.dispute(&payer.customer);
    let told = till.stripe.events().pop().unwrap();
    assert_eq!((&told["type"], &told["data"]["object"]["customer"]), (&json!("charge.dispute.created"), &Value::Null));
    till.stripe.set_outage(Some(StripeFault::Failed));
    till.hear(&told).await;
    till.run().await;
    let unread = "select count(*) from events where read_at is null";
    assert_eq!(till.world.database.count(unread).await, 1, "it waits for Stripe");
    till.stripe.set_outage(None);
    till.pass(TimeDelta::minutes(1)).await;
    till.run().await;
    till.assert_all_read().await;
    let judged = till.judged(&payer).await;
    assert!(matches!(judged, Entitlement::Suspended { why: Suspended::Disputed, .. }), "{judged:?}");
    till.stripe.close_dispute(&dispute, true);
    till.hear(&till.stripe.events().pop().unwrap()).await;
    till.run().await;
    assert!(till.judged(&payer).await.may_run());
    let tenants = format!("select count(*) from events where tenant_id = '{}'", payer.tenant.uuid());
    assert_eq!(till.world.database.count(&tenants).await, 2);

    // A charge that Stripe does not know, and a Berth that asks nobody: about nobody, and done.
    let mut strange = told.clone();
    strange["id"] = "evt_strange".into();
    strange["data"]["object"]["charge"] = "ch_nothing".into();
    till.hear(&strange).await;
    till.run().await;
    let mut alone = till.world.flows.clone();
    alone.payments = None;
    strange["id"] = "evt_unasked".into();
    till.hear(&strange).await;
    flows::run_due(&alone, &RunnerOptions::default()).await.unwrap();
    till.assert_all_read().await;
    let of_nobody = "select name from events where tenant_id is null order by name";
    assert_eq!(till.world.database.texts(of_nobody).await, ["evt_strange", "evt_unasked"]);
}

#[tokio::test]
async fn what_no_event_said_is_seen_within_six_hours() {
    let till = Till::open().await;
    let payer = till.payer().await;
    let id = till.subscribe(&payer, 0).await;
    till.run().await;
    till.client.cancel_now(&id).await.unwrap();
    till.pass(TimeDelta::hours(6) - TimeDelta::seconds(2)).await;
    till.run().await;
    assert!(till.judged(&payer).await.may_run(), "nobody has said anything");
    till.pass(TimeDelta::seconds(3)).await;
    till.run().await;
    assert!(matches!(till.judged(&payer).await, Entitlement::Leaving { .. }));
    assert_eq!(till.world.database.count("select count(*) from events").await, 0);
}

/// How often Stripe was asked for a customer's subscriptions.
fn looks(till: &Till, payer: &Payer) -> usize {
    let is_look =
        |path: &str, params: &Value| path == "/v1/subscriptions" && params["customer"] == payer.customer.as_str();
    till.stripe.calls().iter().filter(|call| is_look(&call.path, &call.params)).count()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_workers_racing_on_one_event_have_one_effect() {
    let till = Till::open().await;
    let payer = till.payer().await;
    till.subscribe(&payer, 0).await;
    till.run().await;
    let event = till.stripe.events().pop().unwrap();
    let other = World { db: till.world.database.another().await, ..till.world.flows.clone() };
    let rounds = sized(200, 10_000);
    let before = looks(&till, &payer);
    for round in 0..rounds {
        let mut event = event.clone();
        event["id"] = format!("evt_race{round}").into();
        till.hear(&event).await;
        // First the event is read, by one of them; then its tenant is looked at, by one of them.
        while {
            let (one, two) = tokio::join!(work(till.world.flows.clone()), work(other.clone()));
            assert!(![&one[..], &two].concat().contains(&Ran::LostLease), "round {round}: {one:?} {two:?}");
            one.len() + two.len() > 0
        } {}
    }
    till.assert_all_read().await;
    assert_eq!(looks(&till, &payer) - before, rounds, "each event is one look at its tenant");
    assert_eq!(till.world.database.count("select count(*) from events").await, i64::try_from(rounds).unwrap());
}

/// On a thread of its own, so that they race.
async fn work(world: World) -> Vec<Ran> {
    tokio::spawn(async move { flows::run_due(&world, &RunnerOptions::default()).await.unwrap() }).await.unwrap()
}

/// An hour without a worker at ten events a second.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_waited_while_no_worker_ran_is_drained_and_every_tenant_is_judged_by_its_end() {
    let till = Till::open().await;
    let (waiting, tenants) = (sized(10_000, 36_000), 100_usize);
    let mut payers = Vec::new();
    for _ in 0..tenants {
        let payer = till.payer().await;
        let id = till.subscribe(&payer, 0).await;
        payers.push((payer, id));
    }
    till.run().await;
    // While nobody listens, every third cancels, and every third ends.
    for (n, (_, id)) in payers.iter().enumerate() {
        match n % 3 {
            0 => till.stripe.set_cancelled(id, true),
            1 => drop(till.client.cancel_now(id).await.unwrap()),
            _ => {}
        }
    }
    let body = "jsonb_build_object('id', 'evt_' || g, 'type', 'customer.subscription.updated', 'data', \
                jsonb_build_object('object', jsonb_build_object('object', 'subscription', 'status', 'active', \
                'customer', (select customer from billing order by customer offset g % 100 limit 1))))";
    let kept = format!(
        "insert into events (id, sender, name, kind, is_live, body) \
         select gen_random_uuid(), 'stripe', 'evt_' || g, 'customer.subscription.updated', false, \
                convert_to({body}::text, 'UTF8') from generate_series(1, {waiting}) g; \
         insert into flows (id, kind, subject, step, deadline_at) \
         select gen_random_uuid(), 'event', id, '{{\"step\": \"read\"}}', berth.now() + interval '1 hour' from events"
    );
    till.world.database.sql(&kept).await;
    let stop = CancellationToken::new();
    let workers: Vec<_> =
        [till.world.flows.clone(), World { db: till.world.database.another().await, ..till.world.flows.clone() }]
            .into_iter()
            .map(|world| tokio::spawn(flows::run(world, RunnerOptions::default(), stop.clone())))
            .collect();
    let left = "select count(*) from flows where kind = 'event' or (kind = 'billing' and step ->> 'step' = 'refresh') \
                or exists (select from flow_signals s where s.flow_id = flows.id)";
    while till.world.database.count(left).await > 0 {
        tokio::time::sleep(std::time::Duration::from_millis(100)).await;
    }
    stop.cancel();
    futures::future::join_all(workers).await;
    till.assert_all_read().await;
    let of_tenants = "select count(*) from events where tenant_id is not null";
    assert_eq!(till.world.database.count(of_tenants).await, i64::from(waiting));
    for (n, (payer, _)) in payers.iter().enumerate() {
        assert_eq!(till.account(payer).await.facts.subscription, till.truth(payer).await);
        match (n % 3, till.judged(payer).await) {
            (0, Entitlement::Served { by: Served::Cancelled { .. } })
            | (1, Entitlement::Leaving { .. })
            | (2, Entitlement::Served { by: Served::Paid { .. } }) => {}
            (_, other) => panic!("tenant {n}: {other:?}"),
        }
    }
}

/// Two people of a tenant paid two pages. It is served, an operator is told once, and no longer once one of them ends.
#[tokio::test]
async fn a_tenant_that_pays_twice_is_somebodys_to_put_right() {
    let till = Till::open().await;
    let payer = till.payer().await;
    let first = till.subscribe(&payer, 0).await;
    till.subscribe(&payer, 0).await;
    till.run().await;
    let open = "select message from alerts where kind = 'billed_twice' and closed_at is null";
    let told = ["a tenant pays for 2 subscriptions at once; it is served on one of them"];
    assert_eq!(till.world.database.texts(open).await, told);
    assert!(till.judged(&payer).await.may_run());
    till.pass(TimeDelta::hours(7)).await;
    till.run().await;
    assert_eq!(till.world.database.texts(open).await, told, "looked at again, it is the same alert");

    till.stripe.set_cancelled(&first, true);
    till.hear(&till.stripe.events().pop().unwrap()).await;
    till.run().await;
    assert_eq!(till.world.database.texts(open).await, [""; 0]);
    assert!(till.judged(&payer).await.may_run(), "on the other one");
}
