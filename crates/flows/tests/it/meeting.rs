//! Two transactions meet, and one of them looked before it had to wait: what it saw is not true any more.

use std::{
    sync::{Arc, OnceLock},
    time::Duration,
};

use app::{
    agents::{CreateAgentError, NewAgent},
    billing::NotPaid,
    sign_in::Arrived,
};
use domain::{
    TenantId,
    agent::Wanted,
    entitlement::Billing,
    names::{AgentName, Email},
    operators::{AdminEmails, Reason},
    people::Caller,
    plan::PlanName,
};
use flows::{
    Ran, RunnerOptions,
    outcome::{Outcome, StepError},
};
use futures::future::BoxFuture;
use store::{SystemTx, TenantTx, flows::Claim};
use testkit::World;
use tokio::{task::JoinHandle, time::sleep};

/// Returns once this one waits for somebody's lock.
async fn waiting<T>(world: &World, task: &JoinHandle<T>) {
    let waits = "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    while world.database.count(waits).await == 0 {
        assert!(!task.is_finished(), "it waited for nobody: nothing was tried");
        sleep(Duration::from_millis(5)).await;
    }
}

fn reason() -> Reason {
    Reason::parse("ticket 4711, mails to strangers").unwrap()
}

fn operator(world: &World) -> Caller {
    Caller { is_operator: true, ..world.mallory.caller.clone() }
}

/// A suspension that is not committed yet, and holds all that it takes.
async fn suspending(world: &World, tenant: TenantId) -> TenantTx {
    let mut tx = world.database.db.system().await.unwrap();
    store::suspension::set_tenant(&mut tx, tenant, Some(&reason())).await.unwrap();
    let mut tx = tx.into_tenant(tenant).await.unwrap();
    store::agents::alone(&mut tx).await.unwrap();
    tx
}

#[tokio::test]
async fn nothing_is_made_for_a_tenant_that_was_suspended_while_it_waited() {
    let world = World::new().await;
    let caller = world.alice.caller.clone();
    let suspending = suspending(&world, caller.tenant).await;
    let (db, entropy) = (world.database.db.clone(), Arc::clone(&world.flows.entropy));
    let making = tokio::spawn(async move {
        let mut tx = db.tenant(caller.tenant).await.unwrap();
        let new = NewAgent::named(entropy.as_ref(), AgentName::parse("scout").unwrap());
        app::agents::create(&mut tx, entropy.as_ref(), &new, None, &caller).await
    });
    waiting(&world, &making).await;
    suspending.commit().await.unwrap();
    let refused = making.await.unwrap();
    assert!(matches!(refused, Err(CreateAgentError::NotPaid(NotPaid::Suspended))), "{refused:?}");
}

#[tokio::test]
async fn what_payments_had_stopped_does_not_start_for_a_tenant_that_was_suspended_meanwhile() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let tenant = world.alice.caller.tenant;
    let mut tx = world.database.db.system().await.unwrap();
    store::house::installation(&mut tx, world.flows.installation).await.unwrap();
    store::house::set_billing(&mut tx, Billing::On).await.unwrap();
    tx.commit().await.unwrap();
    for given in [true, false] {
        give(&world, given).await;
        let tx = world.database.db.system().await.unwrap();
        app::billing::act(tx, world.flows.entropy.as_ref(), tenant, None).await.unwrap().expect("it is judged");
    }
    assert_eq!(world.agent(agent).await.unwrap().wanted, Wanted::Stopped, "nobody pays any more");

    give(&world, true).await;
    let suspending = suspending(&world, tenant).await;
    let (db, entropy) = (world.database.db.clone(), Arc::clone(&world.flows.entropy));
    let acting = tokio::spawn(async move {
        let tx = db.system().await.unwrap();
        app::billing::act(tx, entropy.as_ref(), tenant, None).await.unwrap().expect("it is judged")
    });
    waiting(&world, &acting).await;
    suspending.commit().await.unwrap();
    let acted = acting.await.unwrap();
    assert!(acted.entitlement.may_run());
    assert_eq!(world.agent(agent).await.unwrap().wanted, Wanted::Stopped);
    let mut tx = world.database.db.system().await.unwrap();
    let account = store::billing::known(&mut tx, tenant).await.unwrap().unwrap();
    assert_eq!(account.rested, [agent], "it starts by itself once the tenant is back");
}

async fn give(world: &World, given: bool) {
    let mut tx = world.database.db.tenant(world.alice.caller.tenant).await.unwrap();
    app::billing::open(&mut tx, world.flows.entropy.as_ref()).await.unwrap();
    let plan = PlanName::parse("pro").unwrap();
    store::billing::set_gift(&mut tx, given.then_some((&plan, None))).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn an_agent_that_is_deleted_while_its_tenant_is_suspended_stays_wanted_gone() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let caller = &world.alice.caller;
    let mut removing = world.database.db.tenant(caller.tenant).await.unwrap();
    app::agents::remove(&mut removing, agent, caller).await.unwrap();
    let (db, by, tenant) = (world.database.db.clone(), operator(&world), caller.tenant);
    let suspending = tokio::spawn(async move {
        let tx = db.system().await.unwrap();
        app::suspension::suspend_tenant(tx, tenant, &reason(), &by).await
    });
    waiting(&world, &suspending).await;
    removing.commit().await.unwrap();
    suspending.await.unwrap().unwrap();
    assert_eq!(world.agent(agent).await.unwrap().wanted, Wanted::Gone);
    world.run_flows(20).await;
    assert!(world.agent(agent).await.is_none());
}

/// Its flow saw that the tenant is kept, and is about to end, when its owner ends the tenant once more.
#[tokio::test]
async fn a_tenant_that_is_ended_again_keeps_the_flow_that_erases_it() {
    let world = World::new().await;
    let (db, caller) = (&world.database.db, &world.alice.caller);
    app::tenants::erase(db.system().await.unwrap(), world.flows.entropy.as_ref(), caller).await.unwrap();
    world.run_flows(5).await;
    let mut tx = db.system().await.unwrap();
    app::tenants::keep(&mut tx, caller).await.unwrap();
    tx.commit().await.unwrap();
    world.database.sql("update flows set run_at = now() where kind = 'erasure'").await;

    OWNER.set(caller.clone()).unwrap();
    let options = RunnerOptions { behaviour: end_again, ..RunnerOptions::default() };
    assert_eq!(flows::run_due(&world.flows, &options).await.unwrap(), [Ran::LostLease]);
    assert_eq!(world.database.count("select count(*) from flows where kind = 'erasure'").await, 1);
    // Kept for good, it ends.
    let mut tx = db.system().await.unwrap();
    app::tenants::keep(&mut tx, caller).await.unwrap();
    tx.commit().await.unwrap();
    world.database.sql("update flows set run_at = now(), lease_until = null where kind = 'erasure'").await;
    world.run_flows(5).await;
    assert_eq!(world.database.count("select count(*) from flows where kind = 'erasure'").await, 0);
}

static OWNER: OnceLock<Caller> = OnceLock::new();

/// Runs the step, and has the owner end the tenant before anything is written down.
fn end_again<'a>(world: &'a flows::World, claim: &'a Claim) -> BoxFuture<'a, Result<Outcome, StepError>> {
    Box::pin(async move {
        let outcome = flows::behaviour(world, claim).await?;
        let tx = world.db.system().await.unwrap();
        app::tenants::erase(tx, world.entropy.as_ref(), OWNER.get().unwrap()).await.unwrap();
        Ok(outcome)
    })
}

/// The word of an operator lets them in once, as an invite for one use does.
#[tokio::test]
async fn somebody_new_who_comes_twice_at_once_is_one_user() {
    let world = World::new().await;
    let email = Email::parse("ada@example.org").unwrap();
    let admins = AdminEmails::parse(email.as_str()).unwrap();
    let entropy = Arc::clone(&world.flows.entropy);
    let come = async |tx: &mut SystemTx| {
        let (issuer, subject) = ("https://vendor.example", "42");
        let arrived = Arrived { issuer, subject, verified_email: Some(&email), invite: None, again: None };
        app::sign_in::admit(tx, entropy.as_ref(), &admins, &arrived, "a browser").await.map(|opened| opened.is_new)
    };
    let mut first = world.database.db.system().await.unwrap();
    assert!(come(&mut first).await.unwrap());
    let mut second = world.database.db.system().await.unwrap();
    let (again, ()) = tokio::join!(come(&mut second), async {
        sleep(Duration::from_millis(300)).await;
        first.commit().await.unwrap();
    });
    assert!(!again.unwrap(), "they are somebody who is known");
}
