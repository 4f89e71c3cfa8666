//! One tenant cannot see, change, count or move into another's rows, whatever the statement.

use domain::{TenantId, names::AgentName};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use store::{Db, DbOptions, StartError};
use testkit::{Database, World};

async fn connection(database: &Database) -> PgConnection {
    PgConnection::connect(&database.url_as("berth_login")).await.unwrap()
}

async fn enter(connection: &mut PgConnection, tenant: &str) {
    let statement = format!("begin; set local role berth_tenant; set local berth.tenant_id = '{tenant}'");
    connection.execute(AssertSqlSafe(statement)).await.unwrap();
}

const TABLES: [&str; 6] = ["agents", "timeline", "proofs", "exchanges", "model_days", "model_holds"];

#[tokio::test]
async fn every_tenant_table_is_empty_for_somebody_else() {
    let world = World::new().await;
    world.live_agent("scout").await;
    let mut tx = world.database.db.tenant(world.alice.caller.tenant).await.unwrap();
    let hold = domain::HoldId::from_uuid(uuid::Uuid::from_u128(1));
    let cent = domain::model::Micros::new(10_000);
    assert!(store::model_usage::hold(&mut tx, hold, "m", cent, cent).await.unwrap());
    tx.commit().await.unwrap();
    let mut raw = connection(&world.database).await;
    for table in TABLES {
        if table != "exchanges" {
            let rows = world.database.count(&format!("select count(*) from {table}")).await;
            assert!(rows > 0, "{table} is empty for everybody: this test would prove nothing");
        }
        enter(&mut raw, &world.mallory.caller.tenant.uuid().to_string()).await;
        let statement = format!("select count(*) from {table}");
        let seen: i64 = sqlx::query_scalar(AssertSqlSafe(statement)).fetch_one(&mut raw).await.unwrap();
        assert_eq!(seen, 0, "{table}");
        raw.execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn no_tenant_no_rows_and_garbage_raises() {
    let world = World::new().await;
    world.live_agent("scout").await;
    let mut raw = connection(&world.database).await;
    raw.execute("begin; set local role berth_tenant").await.unwrap();
    let seen: i64 = sqlx::query_scalar("select count(*) from agents").fetch_one(&mut raw).await.unwrap();
    assert_eq!(seen, 0, "an unset tenant sees rows");
    raw.execute("rollback").await.unwrap();
    for garbage in ["", "x", "00000000-0000-0000-0000-00000000000g"] {
        enter(&mut raw, garbage).await;
        assert!(sqlx::query("select from agents").fetch_all(&mut raw).await.is_err(), "{garbage:?}");
        raw.execute("rollback").await.unwrap();
    }
}

#[tokio::test]
async fn without_a_role_nothing_is_allowed() {
    let world = World::new().await;
    world.live_agent("scout").await;
    let mut raw = connection(&world.database).await;
    for table in ["agents", "machines", "users", "flows"] {
        let statement = format!("select count(*) from public.{table}");
        let error = sqlx::query(AssertSqlSafe(statement)).fetch_all(&mut raw).await.err().map(|e| e.to_string());
        assert!(error.as_deref().is_some_and(|e| e.contains("permission denied")), "{table}: {error:?}");
    }
}

/// The one function that the login may call enters a tenant itself: bound as a transaction is, for its one statement.
#[tokio::test]
async fn the_list_in_one_trip_is_bound_like_a_transaction() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let (alice, mallory) = (world.alice.caller.tenant, world.mallory.caller.tenant);
    let db = &world.database.db;
    let mut tx = db.tenant_read(alice).await.unwrap();
    let listed = store::agents::list(&mut tx, None, 10).await.unwrap();
    drop(tx);
    assert_eq!(listed.iter().map(|agent| agent.id).collect::<Vec<_>>(), [agent]);
    assert_eq!(store::agents::page(db, alice, None, 10).await.unwrap(), listed);
    assert_eq!(store::agents::page(db, alice, Some(agent), 10).await.unwrap(), vec![], "nothing comes after the last");
    assert_eq!(store::agents::page(db, alice, None, 0).await.unwrap(), vec![]);
    assert_eq!(store::agents::page(db, mallory, None, 10).await.unwrap(), vec![]);

    let mut raw = connection(&world.database).await;
    let call = |tenant: &str| {
        let nil = uuid::Uuid::nil();
        AssertSqlSafe(format!("select count(*) from berth.agents_of({tenant}, '{nil}', 10)"))
    };
    let own = format!("'{}'", alice.uuid());
    let seen: i64 = sqlx::query_scalar(call(&own)).fetch_one(&mut raw).await.unwrap();
    assert_eq!(seen, 1);
    let denied = |error: sqlx::Error| assert!(error.to_string().contains("permission denied"), "{error}");
    // Nothing stays behind: neither the role nor the tenant's name.
    denied(sqlx::query("select count(*) from public.agents").fetch_one(&mut raw).await.unwrap_err());
    let named = "select coalesce(current_setting('berth.tenant_id', true), '')";
    assert_eq!(sqlx::query_scalar::<_, String>(named).fetch_one(&mut raw).await.unwrap(), "");
    assert!(sqlx::query(call("null")).fetch_one(&mut raw).await.is_err(), "nobody's agents");
    // A transaction of one tenant does not become another's by it.
    enter(&mut raw, &mallory.uuid().to_string()).await;
    denied(sqlx::query(call(&own)).fetch_one(&mut raw).await.unwrap_err());
    raw.execute("rollback").await.unwrap();
    let kind = "select provolatile::text || prosecdef::text from pg_proc where oid = 'berth.agents_of'::regproc";
    assert_eq!(world.database.texts(kind).await, ["sfalse"], "it reads only, as its caller");
}

#[tokio::test]
async fn rows_are_not_written_into_or_moved_to_another_tenant() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let (alice, mallory) = (world.alice.caller.tenant.uuid(), world.mallory.caller.tenant.uuid());
    let mut raw = connection(&world.database).await;
    let attempts = [
        (
            mallory,
            format!(
                "insert into agents (tenant_id, id, name, wanted, seen) values ('{alice}', gen_random_uuid(), 'x', 'running', '{{}}')"
            ),
        ),
        (alice, format!("update agents set wanted = 'gone', tenant_id = '{mallory}' where id = '{}'", agent.uuid())),
        (
            mallory,
            format!(
                "insert into timeline (tenant_id, agent_id, seq, what) values ('{mallory}', '{}', 1, '{{}}')",
                agent.uuid()
            ),
        ),
        (mallory, "truncate agents cascade".to_owned()),
    ];
    for (who, statement) in attempts {
        enter(&mut raw, &who.to_string()).await;
        assert!(raw.execute(AssertSqlSafe(statement.clone())).await.is_err(), "{statement}");
        raw.execute("rollback").await.unwrap();
    }
    enter(&mut raw, &mallory.to_string()).await;
    for statement in ["update agents set wanted = 'gone'", "delete from agents", "delete from exchanges"] {
        assert_eq!(raw.execute(statement).await.unwrap().rows_affected(), 0, "{statement}");
    }
}

/// A connection has its limits from its beginning, so what runs without a transaction of ours has them too.
#[tokio::test]
async fn no_statement_and_no_idling_lasts_for_ever() {
    let database = Database::fresh().await;
    // The clock tells of what it sees: that is how far one gets with what the store offers.
    let tells = "create or replace function berth.now() returns timestamptz language plpgsql stable set search_path = pg_catalog as $$
                 begin
                     if current_setting('statement_timeout') = '10s'
                        and current_setting('idle_in_transaction_session_timeout') = '15s' then
                         return statement_timestamp();
                     end if;
                     raise exception 'no limits';
                 end $$";
    database.sql(tells).await;
    let options = DbOptions { url: database.url_as("berth_login"), connections_max: 1 };
    let db = Db::connect(&options).await.unwrap();
    let mut tx = db.system().await.unwrap();
    store::house::now(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = db.tenant(TenantId::from_uuid(uuid::Uuid::from_u128(77))).await.unwrap();
    store::house::tenant_now(&mut tx).await.unwrap();
    drop(tx);
    let mut bare = connection(&database).await;
    enter(&mut bare, "00000000-0000-0000-0000-000000000077").await;
    assert!(sqlx::query("select berth.now()").fetch_one(&mut bare).await.is_err(), "the clock would tell");
}

#[tokio::test]
async fn a_connection_keeps_nothing_of_the_tenant_it_served() {
    let database = Database::fresh().await;
    let options = DbOptions { url: database.url_as("berth_login"), connections_max: 1 };
    let db = Db::connect(&options).await.unwrap();
    let world = World::new().await;
    let tenant = world.alice.caller.tenant;
    for round in 0..50 {
        let tx = db.tenant(tenant).await.unwrap();
        if round % 2 == 0 {
            tx.commit().await.unwrap();
        } else {
            drop(tx);
        }
        let mut tx = db.system().await.unwrap();
        assert!(store::flows::all(&mut tx).await.is_ok());
    }
    // The one connection served alice's tenant fifty times: another tenant, or none, sees nothing of it.
    database.sql(&format!("insert into tenants (id, name) values ('{}', 'a')", tenant.uuid())).await;
    database.sql(&format!("insert into agents (tenant_id, id, name, wanted, seen) values ('{}', gen_random_uuid(), 'a', 'running', '{{}}')", tenant.uuid())).await;
    let stranger = TenantId::from_uuid(uuid::Uuid::from_u128(77));
    let mut tx = db.tenant(stranger).await.unwrap();
    assert_eq!(store::agents::list(&mut tx, None, 10).await.unwrap(), vec![]);
    drop(tx);
    // A statement that failed breaks its own transaction and nothing after it.
    let tenant = stranger;
    let mut tx = db.tenant(tenant).await.unwrap();
    let name = AgentName::parse("scout").unwrap();
    let seen = domain::agent::Seen::Preparing { since: chrono::DateTime::UNIX_EPOCH };
    let id = domain::AgentId::from_uuid(uuid::Uuid::from_u128(1));
    assert!(
        store::agents::insert(&mut tx, id, (&name, &domain::instructions::Choices::default()), &seen, None)
            .await
            .is_err(),
        "the tenant does not exist here"
    );
    drop(tx);
    assert!(db.ping().await.is_ok());
}

#[tokio::test]
async fn start_up_refuses_what_row_security_does_not_bind() {
    let database = Database::fresh().await;
    for (role, word) in [("postgres", "superuser"), ("berth_migrator", "owner of tables")] {
        let refused = Db::connect(&DbOptions { url: database.url_as(role), connections_max: 1 }).await;
        match refused {
            Err(StartError::Unbound { role: named, what }) => {
                assert_eq!(named, role);
                assert!(what.contains(word), "{what}");
            }
            Err(other) => panic!("{role}: {other}"),
            Ok(_) => panic!("{role} was accepted"),
        }
    }
}

#[tokio::test]
async fn another_tenants_id_does_not_exist() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let mut tx = world.database.db.tenant(world.mallory.caller.tenant).await.unwrap();
    assert!(store::agents::by_id(&mut tx, agent).await.unwrap().is_none());
    let unknown = TenantId::from_uuid(uuid::Uuid::from_u128(5));
    let mut tx = world.database.db.tenant(unknown).await.unwrap();
    assert!(store::agents::by_id(&mut tx, agent).await.unwrap().is_none());
}
