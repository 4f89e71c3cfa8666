//! A wake-up that commits while a claim is under way is not lost: whoever claimed without hearing it claims again.
//!
//! A statement sees what was committed when it began, but locks and returns the newest version of a row. What
//! commits in between is in the row and not in the tables beside it.

use std::time::Duration;

use domain::{FlowId, TenantId};
use sqlx::{Connection as _, Executor as _, PgConnection};
use store::{
    Db,
    flows::{self, CHILD_ENDED, ChildFlow, Claim, NewFlow, Seats, Settle},
};
use testkit::Database;
use tokio::{task::JoinHandle, time::sleep};
use uuid::Uuid;

const FLOW: Uuid = Uuid::from_u128(1);
const CHILD: Uuid = Uuid::from_u128(2);

#[tokio::test]
async fn a_signal_that_commits_during_a_claim_is_heard_by_the_next() {
    let (database, tenant) = with_a_flow().await;
    let held_up = HeldUp::begin(&database).await;
    let mut tx = database.db.tenant(tenant).await.unwrap();
    flows::signal(&mut tx, "life", FLOW, "restart").await.unwrap();
    tx.commit().await.unwrap();
    let claim = held_up.end().await;
    assert!(!claim.hears("restart"), "the signal came before the claim began: nothing was tried");
    rest(&database, &claim).await;
    let next = claim_one(database.db.clone(), 8).await.expect("what was asked meanwhile is due at once");
    assert!(next.hears("restart"), "{next:?}");
}

#[tokio::test]
async fn the_end_of_a_child_during_a_claim_is_heard_by_the_next() {
    let (database, _) = with_a_flow().await;
    let child = ChildFlow {
        id: FlowId::from_uuid(CHILD),
        kind: "sweep_slice",
        subject: CHILD,
        step: step(),
        after: Duration::ZERO,
        deadline: Duration::from_mins(1),
    };
    let mut tx = database.db.system().await.unwrap();
    flows::start_child(&mut tx, FlowId::from_uuid(FLOW), &child).await.unwrap();
    tx.commit().await.unwrap();
    database.sql("update flows set run_at = now() + interval '1 hour' where kind = 'life'").await;
    let child = claim_one(database.db.clone(), 6).await.expect("the child is due");
    database.sql("update flows set run_at = now() where kind = 'life'").await;
    let held_up = HeldUp::begin(&database).await;
    let mut tx = database.db.system().await.unwrap();
    assert!(flows::finish(&mut tx, &child, Some(&step())).await.unwrap());
    tx.commit().await.unwrap();
    let parent = held_up.end().await;
    assert_eq!(parent.children, 1, "the child ended before the claim began: nothing was tried");
    rest(&database, &parent).await;
    let next =
        claim_one(database.db.clone(), 8).await.expect("a child that ended meanwhile makes its parent due at once");
    assert!(next.hears(CHILD_ENDED) && next.children == 0, "{next:?}");
}

async fn with_a_flow() -> (Database, TenantId) {
    let database = Database::fresh().await;
    let tenant = TenantId::from_uuid(Uuid::from_u128(9));
    database.sql(&format!("insert into tenants (id, name) values ('{}', 't')", tenant.uuid())).await;
    let mut tx = database.db.tenant(tenant).await.unwrap();
    let new = NewFlow { id: FlowId::from_uuid(FLOW), kind: "life", subject: FLOW, step: step(), deadline: None };
    flows::start(&mut tx, &new).await.unwrap();
    tx.commit().await.unwrap();
    (database, tenant)
}

/// A claim that saw the tables and does not lock what it takes before the gate is closed.
struct HeldUp {
    claim: JoinHandle<Option<Claim>>,
    gate: PgConnection,
}

impl HeldUp {
    async fn begin(database: &Database) -> Self {
        let waits_in_claims = "create or replace function berth.now() returns timestamptz
             language plpgsql security definer set search_path = pg_catalog
             as $$ begin
                 if current_query() like '%skip locked%' then perform pg_advisory_xact_lock(1); end if;
                 return statement_timestamp();
             end $$";
        database.sql(waits_in_claims).await;
        let mut gate = PgConnection::connect(&database.url_as("postgres")).await.unwrap();
        gate.execute("select pg_advisory_lock(1)").await.unwrap();
        let claim = tokio::spawn(claim_one(database.db.clone(), 7));
        let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                       and database = (select oid from pg_database where datname = current_database())";
        while database.count(waiting).await == 0 {
            assert!(!claim.is_finished(), "the claim waits for nobody: nothing was tried");
            sleep(Duration::from_millis(5)).await;
        }
        Self { claim, gate }
    }

    async fn end(self) -> Claim {
        self.gate.close().await.unwrap();
        self.claim.await.unwrap().expect("the flow is due")
    }
}

async fn claim_one(db: Db, token: u128) -> Option<Claim> {
    let lease = Duration::from_secs(15);
    let seats = Seats { token: Uuid::from_u128(token), lease, free: 1, held: &[], share: 1 };
    let mut tx = db.system().await.unwrap();
    let claims = flows::claim(&mut tx, &seats).await.unwrap();
    tx.commit().await.unwrap();
    claims.into_iter().next()
}

/// Writes down that nothing is left to do for an hour.
async fn rest(database: &Database, claim: &Claim) {
    let pause = Duration::from_hours(1);
    let rest = Settle { step: step(), pause, moved: false, deadline: None, failed: false, heard: true };
    let mut tx = database.db.system().await.unwrap();
    assert!(flows::settle(&mut tx, claim, &rest).await.unwrap());
    tx.commit().await.unwrap();
}

fn step() -> serde_json::Value {
    serde_json::json!({ "step": "live" })
}
