//! Thousands of transactions of several tenants over two connections: committed, dropped, failed, given up halfway.

use std::{
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};

use domain::{AgentId, TenantId, agent::Seen, names::AgentName};
use store::{Db, DbOptions, TenantTx};
use testkit::Database;
use tokio::task::JoinSet;
use uuid::Uuid;

const TENANTS: u128 = 5;
const TASKS: usize = 20;
const ROUNDS: usize = 500;

fn tenant(number: u128) -> TenantId {
    TenantId::from_uuid(Uuid::from_u128(0xa000 + number))
}

/// Each tenant has one agent, named for it.
async fn tenants(database: &Database) {
    for number in 0..TENANTS {
        let uuid = tenant(number).uuid();
        database.sql(&format!("insert into tenants (id, name) values ('{uuid}', 'tenant-{number}')")).await;
        let values = format!(
            "'{uuid}', '{uuid}', 'agent-{number}', 'running', '{{\"state\": \"preparing\", \"since\": \"2026-01-01T00:00:00Z\"}}'"
        );
        database.sql(&format!("insert into agents (tenant_id, id, name, wanted, seen) values ({values})")).await;
    }
}

/// What this transaction sees is its tenant's one agent.
async fn sees_its_own(tx: &mut TenantTx, number: u128) -> bool {
    let seen = store::agents::list(tx, None, 10).await.unwrap();
    seen.len() == 1 && seen[0].name.as_str() == format!("agent-{number}")
}

/// What one statement on a connection between two transactions sees is its tenant's one agent.
async fn reads_its_own(db: &Db, number: u128) -> bool {
    let seen = store::agents::page(db, tenant(number), None, 10).await.unwrap();
    seen.len() == 1 && seen[0].name.as_str() == format!("agent-{number}")
}

/// One transaction, ended in one of seven ways, or the one statement that needs none, waited for or not; whether it
/// saw only what it may.
async fn one(db: &Db, number: u128, way: usize) -> bool {
    match way {
        0 => {
            let mut tx = db.tenant(tenant(number)).await.unwrap();
            let is_own = sees_its_own(&mut tx, number).await;
            tx.commit().await.unwrap();
            is_own
        }
        1 => {
            let mut tx = db.tenant_read(tenant(number)).await.unwrap();
            sees_its_own(&mut tx, number).await
        }
        2 => {
            // A row that is refused: the statement fails, and the transaction with it.
            let mut tx = db.tenant(tenant(number)).await.unwrap();
            let taken = AgentId::from_uuid(tenant(number).uuid());
            let name = AgentName::parse("another").unwrap();
            let seen = Seen::Preparing { since: chrono::DateTime::UNIX_EPOCH };
            store::agents::insert(&mut tx, taken, (&name, &domain::instructions::Choices::default()), &seen, None)
                .await
                .is_err()
        }
        3 => {
            // Given up while the database is at work, at any moment between the begin and the answer.
            let work = async {
                let mut tx = db.tenant(tenant(number)).await.unwrap();
                let is_own = sees_its_own(&mut tx, number).await;
                tx.commit().await.unwrap();
                is_own
            };
            let patience = Duration::from_micros(200 * u64::try_from(number).unwrap());
            tokio::time::timeout(patience, work).await.unwrap_or(true)
        }
        4 => {
            // A task that panics while it holds a transaction.
            let db = db.clone();
            let panicking = tokio::spawn(async move {
                let mut tx = db.tenant(tenant(number)).await.unwrap();
                assert!(!sees_its_own(&mut tx, number).await, "planned");
            });
            panicking.await.is_err()
        }
        5 => {
            let mut tx = db.system().await.unwrap();
            let is_housed = store::flows::all(&mut tx).await.is_ok();
            tx.commit().await.unwrap();
            is_housed
        }
        6 => reads_its_own(db, number).await,
        7 => {
            let patience = Duration::from_micros(100 * u64::try_from(number).unwrap());
            tokio::time::timeout(patience, reads_its_own(db, number)).await.unwrap_or(true)
        }
        _ => {
            let mut tx = db.tenant(TenantId::from_uuid(Uuid::from_u128(77))).await.unwrap();
            store::agents::list(&mut tx, None, 10).await.unwrap().is_empty()
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_transactions_over_two_connections_see_only_their_own() {
    let database = Database::fresh().await;
    tenants(&database).await;
    let options = DbOptions { url: database.url_as("berth_login"), connections_max: 2 };
    let db = Db::connect(&options).await.unwrap();
    let (leaks, done) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
    std::panic::set_hook(Box::new(|_| {}));
    let mut tasks = JoinSet::new();
    for task in 0..TASKS {
        let (db, leaks, done) = (db.clone(), Arc::clone(&leaks), Arc::clone(&done));
        tasks.spawn(async move {
            for round in 0..ROUNDS {
                let number = u128::try_from(task * 31 + round * 7).unwrap() % TENANTS;
                let is_clean = one(&db, number, (task * 13 + round * 5) % 9).await;
                leaks.fetch_add(usize::from(!is_clean), Ordering::Relaxed);
                done.fetch_add(1, Ordering::Relaxed);
            }
        });
    }
    while let Some(ended) = tasks.join_next().await {
        ended.unwrap();
    }
    drop(std::panic::take_hook());
    assert_eq!((done.load(Ordering::Relaxed), leaks.load(Ordering::Relaxed)), (TASKS * ROUNDS, 0));
    // Nothing was left open behind anybody's back.
    db.close().await;
    let left = "select count(*) from pg_stat_activity where datname = current_database() and state like 'idle in%'";
    assert_eq!(database.count(left).await, 0);
    assert_eq!(database.count("select count(*) from agents").await, i64::try_from(TENANTS).unwrap());
}
