//! A database of one test: real roles, real migrations, dropped at the end.

use chrono::{DateTime, Utc};
use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection, PgPool, postgres::PgConnectOptions};
use store::{Db, DbOptions, MIGRATOR};

/// Says where the server is; scripts/test sets it: a superuser's URL.
const SERVER: &str = "BERTH_TEST_DATABASE_URL";

/// One test's database.
pub struct Database {
    name: String,
    server: String,
    /// As the login that Berth itself uses.
    pub db: Db,
    /// As a superuser, for looking behind the curtain and for moving the clock.
    pub root: PgPool,
}

impl Database {
    /// Makes a fresh database from a migrated template, which the first test of a migration set makes.
    ///
    /// # Panics
    /// When there is no server: run the tests by scripts/test.
    pub async fn fresh() -> Self {
        #[expect(
            clippy::disallowed_methods,
            reason = "tests take their server from the environment that scripts/test sets"
        )]
        let server =
            std::env::var(SERVER).unwrap_or_else(|_| panic!("{SERVER} is not set: run the tests by scripts/test"));
        Self::fresh_on(server).await
    }

    /// The same on another server, which must have the roles of scripts/bootstrap-db: a superuser's URL.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn fresh_on(server: String) -> Self {
        let name = format!("t_{}", uuid::Uuid::from_u128(unique()).simple());
        let mut admin = PgConnection::connect(&server).await.expect("the test server answers");
        let template = template(&mut admin, &server).await;
        run(&mut admin, &format!("create database {name} template {template} owner berth_migrator")).await;
        let db = Db::connect(&DbOptions { url: url_as(&server, "berth_login", &name), connections_max: 8 }).await;
        let root: PgConnectOptions = server.parse().expect("a postgres URL");
        let root = PgPool::connect_lazy_with(root.database(&name));
        Self { name, server, db: db.expect("the login is bound by row security"), root }
    }

    /// Another process's connection to it, with a pool of its own.
    ///
    /// # Panics
    /// When it does not answer.
    pub async fn another(&self) -> Db {
        let options = DbOptions { url: self.url_as("berth_login"), connections_max: 4 };
        Db::connect(&options).await.expect("the login is bound by row security")
    }

    /// URL of this database for a role without a password, as the private test server accepts it.
    #[must_use]
    pub fn url_as(&self, role: &str) -> String {
        url_as(&self.server, role, &self.name)
    }

    /// Runs a statement as a superuser.
    ///
    /// # Panics
    /// When it fails.
    pub async fn sql(&self, statement: &str) {
        self.root.execute(AssertSqlSafe(statement.to_owned())).await.expect("the statement runs");
    }

    /// Whether even a superuser's statement is refused.
    pub async fn refuses(&self, statement: &str) -> bool {
        self.root.execute(AssertSqlSafe(statement.to_owned())).await.is_err()
    }

    /// The names of all tables.
    ///
    /// # Panics
    /// When the catalogue cannot be read.
    pub async fn tables(&self) -> Vec<String> {
        sqlx::query_scalar("select tablename::text from pg_tables where schemaname = 'public' order by 1")
            .fetch_all(&self.root)
            .await
            .expect("the catalogue answers")
    }

    /// Moves the database's clock this far from the true one: `28 days`, `-1 hour`, `0`.
    ///
    /// # Panics
    /// When that is no interval.
    pub async fn move_clock(&self, by: &str) {
        let statement = format!(
            "create or replace function berth.now() returns timestamptz language sql stable parallel safe \
             set search_path = pg_catalog as $$ select statement_timestamp() + interval '{by}' $$"
        );
        self.sql(&statement).await;
    }

    /// Sets the database's clock, which from then on goes a hundred times slower than the true one: a test is done before
    /// the second is over, and no two moments are the same.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn set_clock(&self, at: DateTime<Utc>) {
        let statement = format!(
            "do $do$ begin execute format($$ create or replace function berth.now() returns timestamptz language sql \
             stable parallel safe set search_path = pg_catalog as \
             $now$ select timestamptz %L + (statement_timestamp() - timestamptz %L) / 100 $now$ $$, \
             timestamptz '{}', clock_timestamp()); end $do$",
            at.to_rfc3339()
        );
        self.sql(&statement).await;
    }

    /// A number that a superuser counts.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn count(&self, statement: &str) -> i64 {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned()))
            .fetch_one(&self.root)
            .await
            .expect("the statement counts")
    }

    /// Texts that a superuser reads, one a row.
    ///
    /// # Panics
    /// When the statement fails.
    pub async fn texts(&self, statement: &str) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(statement.to_owned()))
            .fetch_all(&self.root)
            .await
            .expect("the statement reads")
    }
}

impl Drop for Database {
    fn drop(&mut self) {
        let (name, server) = (self.name.clone(), self.server.clone());
        // Dropping happens within the test's runtime, which cannot wait: another one does.
        let dropping = std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            if let Ok(runtime) = runtime {
                runtime.block_on(async {
                    if let Ok(mut admin) = PgConnection::connect(&server).await {
                        let statement = format!("drop database if exists {name} with (force)");
                        admin.execute(AssertSqlSafe(statement)).await.ok();
                    }
                });
            }
        });
        dropping.join().ok();
    }
}

async fn template(admin: &mut PgConnection, server: &str) -> String {
    let mut set = Vec::new();
    for migration in MIGRATOR.iter() {
        set.extend_from_slice(&migration.checksum);
    }
    let digest = vault::digest(&set).to_string();
    let name = format!("berth_template_{}", digest.get(..16).unwrap_or_default());
    // One test makes it, the others wait.
    run(admin, "select pg_advisory_lock(hashtext('berth test template'))").await;
    let there: bool = sqlx::query_scalar("select exists (select from pg_database where datname = $1)")
        .bind(&name)
        .fetch_one(&mut *admin)
        .await
        .expect("the catalogue answers");
    if !there {
        let raw = format!("{name}_raw");
        run(admin, &format!("drop database if exists {raw} with (force)")).await;
        run(admin, &format!("create database {raw} owner berth_migrator")).await;
        store::migrate(&url_as(server, "berth_migrator", &raw)).await.expect("the migrations run");
        run(admin, &format!("alter database {raw} rename to {name}")).await;
    }
    run(admin, "select pg_advisory_unlock(hashtext('berth test template'))").await;
    name
}

async fn run(admin: &mut PgConnection, statement: &str) {
    admin.execute(AssertSqlSafe(statement.to_owned())).await.expect("the statement runs");
}

/// The same server, another role and database.
fn url_as(server: &str, role: &str, database: &str) -> String {
    let rest = server.split_once("://").map_or(server, |(_, rest)| rest);
    let host = rest.rsplit_once('@').map_or(rest, |(_, host)| host);
    let (address, query) = host.split_once('?').map_or((host, ""), |(address, query)| (address, query));
    let address = address.split_once('/').map_or(address, |(address, _)| address);
    format!("postgres://{role}@{address}/{database}?{query}")
}

/// Different in every call and every process.
pub(crate) fn unique() -> u128 {
    use std::sync::atomic::{AtomicU32, Ordering};
    static CALLS: AtomicU32 = AtomicU32::new(0);
    let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
    let call = u128::from(CALLS.fetch_add(1, Ordering::Relaxed));
    (since.as_nanos() << 56) | (u128::from(std::process::id()) << 24) | call
}
