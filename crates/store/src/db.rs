//! The two transactions, and the refusal to start with a login that row security does not bind.

use std::time::Duration;

use chrono::{DateTime, Utc};
use domain::{AgentId, TenantId};
use sqlx::{
    Database, Executor as _, PgConnection, PgPool, Postgres, SqlSafeStr as _,
    pool::PoolConnection,
    postgres::{PgConnectOptions, PgPoolOptions},
};
use sqlx_core::transaction::TransactionManager as _;
use uuid::Uuid;

use crate::{
    access::Access,
    carry,
    error::StoreError,
    patched,
    signals::{Notes, Signals, Watch},
};

type Manager = <Postgres as Database>::TransactionManager;

/// How to reach the database.
#[derive(Debug, Clone)]
pub struct DbOptions {
    /// `postgres://berth_login…`: the login without rights of its own.
    pub url: String,
    /// Most connections of this process.
    pub connections_max: u32,
}

/// Why Berth does not start on this database.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The URL is none.
    #[error("DATABASE_URL is not a postgres:// address")]
    Url,
    /// It cannot be reached.
    #[error("the database cannot be reached; is it running, and is DATABASE_URL right?")]
    Unreachable(#[source] StoreError),
    /// Row security would not bind this login.
    #[error(
        "refusing to start: the database role {role} is {what}, so row security would not hold; \
         connect as berth_login (scripts/bootstrap-db makes it)"
    )]
    Unbound {
        /// Which role.
        role: String,
        /// What is wrong with it.
        what: &'static str,
    },
}

/// The database. Cheap to clone; the pool never leaves this crate.
#[derive(Clone)]
pub struct Db {
    pool: PgPool,
    signals: Signals,
    access: Access,
    trace: TraceSource,
}

/// Says which trace the caller is part of, as W3C trace context (`traceparent`); a flow goes on in it.
pub type TraceSource = fn() -> Option<String>;

/// A transaction that sees and touches one tenant's rows.
pub struct TenantTx {
    tx: Tx,
    tenant: TenantId,
}

/// A transaction on the house tables: nothing of a tenant's.
pub struct SystemTx {
    tx: Tx,
}

/// One instant of the database, for reading all of it in several transactions.
pub struct Snapshot {
    /// The house tables at that instant.
    pub house: SystemTx,
    name: String,
}

struct Tx {
    connection: PoolConnection<Postgres>,
    stand: Stand,
    notes: Notes,
    signals: Signals,
    access: Access,
    trace: TraceSource,
}

/// What is known of a transaction on its connection.
#[derive(Clone, Copy, PartialEq, Eq)]
enum Stand {
    /// A begin or a commit is under way, or failed: whoever waits may go away at any moment.
    Doubtful,
    Open,
    Over,
}

impl Db {
    /// Connects and checks that row security binds what connects.
    ///
    /// # Errors
    /// [`StartError`], a sentence for the operator.
    pub async fn connect(options: &DbOptions) -> Result<Self, StartError> {
        let connect: PgConnectOptions = options.url.parse().map_err(|_| StartError::Url)?;
        let connect = connect.options(LIMITS);
        let pool = PgPoolOptions::new()
            .max_connections(options.connections_max)
            .acquire_timeout(Duration::from_secs(5))
            .max_lifetime(Duration::from_mins(30))
            .test_before_acquire(false) // a ping costs every request a round trip; a dead connection is one clear 503
            .connect_with(connect)
            .await
            .map_err(|error| StartError::Unreachable(error.into()))?;
        let db = Self { pool, signals: Signals::new(), access: Access::default(), trace: || None };
        db.refuse_unbound_roles().await?;
        Ok(db)
    }

    /// Writes the caller's trace to the flows that it starts and signals.
    #[must_use]
    pub const fn with_traces(mut self, trace: TraceSource) -> Self {
        self.trace = trace;
        self
    }

    /// Begins a transaction of one tenant, in one round trip.
    pub async fn tenant(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        let tx = self.begin(format!("begin; {}", enter_tenant(tenant))).await?;
        Ok(TenantTx { tx, tenant })
    }

    /// The same for reading only; drop it instead of committing.
    pub async fn tenant_read(&self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        let tx = self.begin(format!("begin read only; {}", enter_tenant(tenant))).await?;
        Ok(TenantTx { tx, tenant })
    }

    /// Begins a transaction on the house tables, in one round trip.
    pub async fn system(&self) -> Result<SystemTx, StoreError> {
        let tx = self.begin("begin; set local role berth_system".to_owned()).await?;
        Ok(SystemTx { tx })
    }

    /// Begins to read the house tables as they are at this instant; [`Self::tenant_at`] reads a tenant's at the same one.
    ///
    /// It holds a connection until it is dropped, and lets nothing be cleaned up meanwhile: for looking, not for serving.
    pub async fn snapshot(&self) -> Result<Snapshot, StoreError> {
        let statement = "begin isolation level repeatable read read only; set local role berth_system";
        let mut house = SystemTx { tx: self.begin(statement.to_owned()).await? };
        let name = sqlx::query_scalar!(r#"select pg_export_snapshot() as "name!""#).fetch_one(house.conn()).await?;
        Ok(Snapshot { house, name })
    }

    /// Begins to read one tenant's rows at the instant of a snapshot; drop it instead of committing.
    pub async fn tenant_at(&self, snapshot: &Snapshot, tenant: TenantId) -> Result<TenantTx, StoreError> {
        // The name was made by this database, of digits and dashes.
        let name = &snapshot.name;
        let begin = "begin isolation level repeatable read read only";
        let tx = self.begin(format!("{begin}; set transaction snapshot '{name}'; {}", enter_tenant(tenant))).await?;
        Ok(TenantTx { tx, tenant })
    }

    /// Returns when a commit left work for a flow: one of this process, or one carried here.
    pub async fn work(&self) {
        self.signals.work().await;
    }

    /// Says whether this process takes more work now. While it does not, others are told of what it leaves.
    pub fn set_sated(&self, sated: bool) {
        self.signals.set_sated(sated);
    }

    /// Wakes after commits that touched this agent or this run of a job.
    #[must_use]
    pub fn watch(&self, subject: Uuid) -> Watch {
        self.signals.watch(subject)
    }

    /// Carries wake-ups to other processes and back, by LISTEN and NOTIFY; never ends.
    ///
    /// Uses two connections beside the pool. `me` tells this process from others. Without it
    /// everything still happens, only later: workers poll and watchers re-read.
    pub async fn carry_signals(&self, me: Uuid) -> std::convert::Infallible {
        carry::carry((*self.pool.connect_options()).clone(), (&self.signals, &self.access), me).await
    }

    /// Whether the database answers, for `/ready`.
    pub async fn ping(&self) -> Result<(), StoreError> {
        let mut tx = self.system().await?;
        now(&mut tx).await.map(|_| ())
    }

    /// Its version, if there are published security fixes that it lacks: a sentence for the operator.
    pub async fn outdated(&self) -> Result<Option<String>, StoreError> {
        let mut tx = self.system().await?;
        let asked = sqlx::query_scalar!(r#"select current_setting('server_version_num')::integer as "version!""#);
        Ok(patched::lacking(asked.fetch_one(tx.conn()).await?))
    }

    /// Connections of this process's pool: how many there are, and how many of them are idle.
    #[must_use]
    pub fn connections(&self) -> (u32, usize) {
        (self.pool.size(), self.pool.num_idle())
    }

    /// Ends all connections, for a calm stop.
    pub async fn close(&self) {
        self.pool.close().await;
    }

    pub(crate) const fn access(&self) -> &Access {
        &self.access
    }

    /// A connection without a transaction, for a function that enters a role for its one statement. Nothing else can
    /// be done with it: the login has no right on any table.
    pub(crate) async fn lend(&self) -> Result<PoolConnection<Postgres>, StoreError> {
        Ok(self.pool.acquire().await?)
    }

    /// The caller's trace, for what is written without a transaction.
    pub(crate) fn trace(&self) -> Option<String> {
        (self.trace)()
    }

    /// Work for a flow was written without a transaction.
    pub(crate) fn tell_work(&self) {
        self.signals.tell(&Notes { work: true, ..Notes::default() });
    }

    async fn begin(&self, statement: String) -> Result<Tx, StoreError> {
        let connection = self.pool.acquire().await?;
        let mut tx = Tx {
            connection,
            stand: Stand::Doubtful,
            notes: Notes::default(),
            signals: self.signals.clone(),
            access: self.access.clone(),
            trace: self.trace,
        };
        // The text is made of constants and a parsed uuid (see `enter_tenant`).
        let statement = sqlx::AssertSqlSafe(statement).into_sql_str();
        Manager::begin(&mut tx.connection, Some(statement)).await?;
        tx.stand = Stand::Open;
        Ok(tx)
    }

    async fn refuse_unbound_roles(&self) -> Result<(), StartError> {
        let unreachable = |error: sqlx::Error| StartError::Unreachable(error.into());
        let rows = sqlx::query!(
            r#"select rolname as "role!", rolsuper as "superuser!", rolbypassrls as "bypass!", rolinherit as "inherit!",
                      rolname = session_user as "login!",
                      exists (select from pg_class c
                              where c.relowner = pg_roles.oid
                                and c.relnamespace = 'public'::regnamespace) as "owns!"
               from pg_roles
               where pg_has_role(session_user, oid, 'member')
               order by rolname = session_user desc, rolname"#
        )
        .fetch_all(&self.pool)
        .await
        .map_err(unreachable)?;
        for row in rows {
            let what = match () {
                () if row.superuser => "a superuser",
                () if row.bypass => "allowed to bypass row security",
                () if row.owns => "the owner of tables",
                () if row.login && row.inherit => "one that inherits rights (it must be NOINHERIT)",
                () => continue,
            };
            return Err(StartError::Unbound { role: row.role, what });
        }
        Ok(())
    }
}

/// Of each connection. A statement that waits longer is a fault; a transaction that idles holds rows from everybody.
const LIMITS: [(&str, &str); 2] = [("statement_timeout", "10s"), ("idle_in_transaction_session_timeout", "15s")];

fn enter_tenant(tenant: TenantId) -> String {
    // A uuid prints as hexadecimal digits and dashes only.
    format!("set local role berth_tenant; set local berth.tenant_id = '{}'", tenant.uuid())
}

impl TenantTx {
    /// Whose rows these are.
    #[must_use]
    pub const fn tenant(&self) -> TenantId {
        self.tenant
    }

    /// Makes it so, then wakes who waits for it.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }

    /// Goes back to the house tables: what was written so far commits together with what follows.
    pub async fn into_house(self) -> Result<SystemTx, StoreError> {
        let mut house = SystemTx { tx: self.tx };
        house.leave_tenant().await?;
        Ok(house)
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx.connection
    }

    pub(crate) fn touch(&mut self, agent: AgentId) {
        self.tx.notes.touch(agent.uuid());
    }

    pub(crate) fn trace(&self) -> Option<String> {
        (self.tx.trace)()
    }

    /// Steps over to the house tables within the same transaction; [`Self::leave_house`] steps back.
    pub(crate) async fn enter_house(&mut self) -> Result<&mut PgConnection, StoreError> {
        self.tx.connection.execute("set local role berth_system").await?;
        Ok(&mut self.tx.connection)
    }

    pub(crate) async fn leave_house(&mut self) -> Result<(), StoreError> {
        self.tx.connection.execute("set local role berth_tenant").await?;
        Ok(())
    }

    pub(crate) const fn note_work(&mut self) {
        self.tx.notes.work = true;
    }

    /// What the tenant may do changes with the commit: nothing that is remembered of it counts after.
    pub(crate) fn forget_access(&mut self) {
        self.tx.notes.access.push(self.tenant.uuid());
    }
}

impl SystemTx {
    /// Makes it so, then wakes who waits for it.
    pub async fn commit(self) -> Result<(), StoreError> {
        self.tx.commit().await
    }

    /// Goes on as a tenant's transaction: what was written so far commits together with what follows.
    pub async fn into_tenant(mut self, tenant: TenantId) -> Result<TenantTx, StoreError> {
        let statement = sqlx::AssertSqlSafe(enter_tenant(tenant));
        sqlx::raw_sql(statement).execute(&mut *self.tx.connection).await?;
        Ok(TenantTx { tx: self.tx, tenant })
    }

    pub(crate) fn conn(&mut self) -> &mut PgConnection {
        &mut self.tx.connection
    }

    /// Steps over to one tenant's rows within the same transaction; [`Self::leave_tenant`] steps back.
    pub(crate) async fn enter_tenant(&mut self, tenant: TenantId) -> Result<&mut PgConnection, StoreError> {
        let statement = sqlx::AssertSqlSafe(enter_tenant(tenant));
        sqlx::raw_sql(statement).execute(&mut *self.tx.connection).await?;
        Ok(&mut self.tx.connection)
    }

    /// Emptied, the tenant's name raises: whoever enters the role without naming one gets an error.
    pub(crate) async fn leave_tenant(&mut self) -> Result<(), StoreError> {
        let statement = "set local role berth_system; set local berth.tenant_id = ''";
        self.tx.connection.execute(statement).await?;
        Ok(())
    }

    pub(crate) const fn note_work(&mut self) {
        self.tx.notes.work = true;
    }

    pub(crate) fn trace(&self) -> Option<String> {
        (self.tx.trace)()
    }

    /// What a session, user or tenant may do changes with the commit: nothing that is remembered of it counts after.
    pub(crate) fn forget_access(&mut self, subject: Uuid) {
        self.tx.notes.access.push(subject);
    }

    /// Who watches this subject looks again after the commit.
    pub(crate) fn touch(&mut self, subject: Uuid) {
        self.tx.notes.touch(subject);
    }
}

/// The database's clock, through the one function that tests can move.
pub async fn now(tx: &mut SystemTx) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(r#"select berth.now() as "now!""#).fetch_one(tx.conn()).await?)
}

/// The same within a tenant's transaction.
pub async fn tenant_now(tx: &mut TenantTx) -> Result<DateTime<Utc>, StoreError> {
    Ok(sqlx::query_scalar!(r#"select berth.now() as "now!""#).fetch_one(tx.conn()).await?)
}

impl Tx {
    async fn commit(mut self) -> Result<(), StoreError> {
        // From here on the outcome is the server's; a broken commit must not hand the connection on.
        self.stand = Stand::Doubtful;
        Manager::commit(&mut self.connection).await?;
        self.stand = Stand::Over;
        // Other processes are told by the database; this one shall know before its caller hears of it.
        self.notes.access.iter().for_each(|subject| self.access.forget(*subject));
        self.signals.tell(&self.notes);
        Ok(())
    }
}

impl Drop for Tx {
    fn drop(&mut self) {
        match self.stand {
            // Half of it may have run, also when it was given up waiting for: the next one would find it open.
            Stand::Doubtful => self.connection.close_on_drop(),
            // Queued here, sent when the pool takes the connection back: off the caller's path.
            Stand::Open => Manager::start_rollback(&mut self.connection),
            Stand::Over => {}
        }
    }
}
