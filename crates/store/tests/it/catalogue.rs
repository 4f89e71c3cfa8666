//! The catalogue itself is read: a table without forced row security does not get past this.

use sqlx::Row as _;
use testkit::Database;

async fn faults(database: &Database) -> Vec<String> {
    let rows = sqlx::query(include_str!("catalogue.sql")).fetch_all(&database.root).await.unwrap();
    rows.iter().map(|row| format!("{}: {}", row.get::<String, _>(0), row.get::<String, _>(1))).collect()
}

#[tokio::test]
async fn every_table_is_a_tenant_table_or_a_house_table() {
    let database = Database::fresh().await;
    assert_eq!(faults(&database).await, Vec::<String>::new());
}

/// The query is no ornament: each planted fault is named.
#[tokio::test]
async fn planted_faults_are_found() {
    let planted = [
        ("alter table agents no force row level security", "agents: row security is not forced"),
        ("alter table agents disable row level security", "agents: row security is off"),
        ("grant truncate on agents to berth_tenant", "agents: berth_tenant may truncate"),
        ("grant select on users to berth_tenant", "users: berth_tenant may select"),
        ("grant select on agents to berth_system", "agents: berth_system may select"),
        ("create policy more on agents using (true)", "agents: has 2 policies"),
        ("create unique index slug on agents (name)", "agents: unique across tenants: slug"),
        ("create table loose (tenant_id uuid, id uuid)", "loose: row security is off"),
        ("create view all_agents as select * from agents", "all_agents: view without security_invoker"),
        (
            "create function berth.peek() returns int language sql security definer as 'select 1'",
            "peek: a function of ours is security definer",
        ),
    ];
    for (statement, fault) in planted {
        let database = Database::fresh().await;
        database.sql(statement).await;
        let found = faults(&database).await;
        assert!(found.iter().any(|f| f.starts_with(fault)), "{statement}: {found:?}");
    }
}
