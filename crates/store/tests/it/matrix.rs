//! Every table, every statement, every role, every context, tried for real and compared with a list that people read.
//!
//! `attack.sql` takes its tables, columns, functions and roles from the catalogue; nothing here names one. What
//! comes out stands in `matrix.tsv`, and a change of it is reviewed like any other. The second half of this file
//! breaks the schema in every way that a careless migration could, and sees each one turn the comparison red.

use std::collections::{BTreeMap, BTreeSet};

use sqlx::{AssertSqlSafe, Connection as _, Executor as _, PgConnection};
use testkit::Database;

const EXPECTED: &str = include_str!("matrix.tsv");
/// `berth_nobody` is made for the moment: it has what everybody has. `berth_migrator` owns the tables.
const ROLES: [&str; 6] =
    ["berth_tenant", "berth_system", "berth_readonly", "berth_login", "berth_migrator", "berth_nobody"];

/// What the login may execute: each enters a role that the login may become, for the one statement that calls it.
const ENTER_FOR_ONE_STATEMENT: [&str; 2] = [
    "function berth.agents_of(uuid,uuid,bigint)",
    "function berth.keep_event(uuid,text,text,boolean,bytea,uuid,text,jsonb,double precision,text)",
];

/// A database with two rows in every table, in a transaction that is never committed.
struct Scratch {
    connection: PgConnection,
    tables: Vec<String>,
    // Dropped last: a database with an open transaction stays.
    database: Database,
}

impl Scratch {
    async fn new() -> Self {
        let database = Database::fresh().await;
        database.sql(include_str!("attack.sql")).await;
        let tables = database
            .texts(
                "select c.relname::text from pg_class c
                 where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') order by 1",
            )
            .await;
        let mut connection = PgConnection::connect(&database.url_as("postgres")).await.unwrap();
        connection.execute("begin; create role berth_nobody; select attack.seed()").await.unwrap();
        Self { connection, tables, database }
    }

    async fn texts(&mut self, statement: String) -> Vec<String> {
        sqlx::query_scalar(AssertSqlSafe(statement)).fetch_all(&mut self.connection).await.unwrap()
    }

    async fn lines(&mut self, table: &str, roles: &[&str], unnamed: bool) -> Vec<String> {
        let roles = roles.join("','");
        self.texts(format!("select attack.lines('public.{table}'::regclass, array['{roles}'], {unnamed})")).await
    }

    async fn elsewhere(&mut self) -> Vec<String> {
        self.texts("select attack.elsewhere()".to_owned()).await
    }

    /// Everything, sorted; the weeks of a partitioned table are one.
    async fn everything(&mut self) -> BTreeSet<String> {
        let mut all = BTreeSet::new();
        // Before any tenant is named: afterwards the setting stays behind, emptied.
        for unnamed in [true, false] {
            for table in self.tables.clone() {
                all.extend(self.lines(&table, &ROLES, unnamed).await);
            }
        }
        all.extend(self.elsewhere().await);
        all
    }

    async fn run(&mut self, statement: &str) {
        self.connection
            .execute(AssertSqlSafe(statement.to_owned()))
            .await
            .unwrap_or_else(|e| panic!("{statement}: {e}"));
    }
}

#[tokio::test]
async fn every_statement_of_every_role_fares_as_written_down() {
    let mut scratch = Scratch::new().await;
    let found = scratch.everything().await;
    let expected: BTreeSet<String> = EXPECTED.lines().skip(1).map(str::to_owned).collect();
    let new: Vec<_> = found.difference(&expected).collect();
    let gone: Vec<_> = expected.difference(&found).collect();
    if !new.is_empty() || !gone.is_empty() {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/matrix.tsv");
        let lines: Vec<&str> = found.iter().map(String::as_str).collect();
        std::fs::write(path, format!("what\twho\tdoes\thow it fares\n{}\n", lines.join("\n"))).unwrap();
        panic!(
            "the matrix of rights changed.\nnew: {new:#?}\ngone: {gone:#?}\n\
             If every line is meant, put {path} in the place of crates/store/tests/it/matrix.tsv."
        );
    }
}

/// What must hold whatever the list says, so that nobody blesses a leak by copying.
#[test]
fn the_list_itself_lets_nobody_at_anothers_rows() {
    let mut tenant_tables = BTreeMap::new();
    for line in EXPECTED.lines().skip(1) {
        let [what, who, does, fares] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        // 22P02: an emptied or senseless tenant is no uuid.
        let touches_nothing = |cell: &str| matches!(cell, "0" | "denied" | "refused" | "22P02" | "-");
        match who {
            "berth_tenant" if fares.starts_with("empty ") => {
                *tenant_tables.entry(what).or_insert(0) += 1;
                for cell in fares.split(", ").filter(|cell| !cell.starts_with("own ")) {
                    assert!(touches_nothing(cell.split_once(' ').unwrap().1), "{line}");
                }
            }
            "berth_tenant" | "berth_nobody" | "berth_login" | "berth_readonly" if !fares.starts_with("may") => {
                assert!(touches_nothing(fares.rsplit_once(' ').unwrap().1), "{line}");
            }
            // What it may become; and the two functions that enter a role for their one statement.
            "berth_login" => assert!(
                what.starts_with("role ")
                    || (does == "execute" && ENTER_FOR_ONE_STATEMENT.contains(&what))
                    || matches!((what, does), ("schema berth", "usage")),
                "{line}"
            ),
            "berth_system" => assert!(!does.contains("truncate") || fares == "always denied", "{line}"),
            _ => {}
        }
        assert!(!what.starts_with("attribute") && !what.starts_with("statistics"), "{line}");
        assert!(!(what.starts_with("schema") && does.contains("create")), "{line}");
        assert!(!(what.starts_with("sequence") && who == "berth_tenant"), "{line}");
    }
    assert!(tenant_tables.len() >= 6, "{tenant_tables:?}");
}

/// One way to break a table or the roles, and whose lines must show it.
struct Fault {
    table: String,
    role: &'static str,
    /// A grant shows in any context: the cheapest one will do.
    unnamed: bool,
    statement: String,
}

/// Drops one guard at a time, or grants one right too many: all that the catalogue offers.
async fn faults(scratch: &mut Scratch) -> Vec<Fault> {
    let mut faults = Vec::new();
    let mut weeks_seen = false;
    for table in scratch.tables.clone() {
        // One week stands for all weeks.
        if table.starts_with("step_runs_2") && std::mem::replace(&mut weeks_seen, true) {
            continue;
        }
        let mut fault = |role, statement: String| {
            let unnamed = statement.starts_with("grant ");
            faults.push(Fault { table: table.clone(), role, unnamed, statement });
        };
        // The list of migrations lets its owner in either way; the catalogue test looks at its two switches.
        if table != "_sqlx_migrations" {
            for off in ["disable row level security", "no force row level security"] {
                fault("berth_migrator", format!("alter table public.{table} {off}"));
            }
        }
        let policies = format!(
            "select concat_ws(' ', polname, replace(polroles[1]::regrole::text, '\"', '')) from pg_policy
             where polrelid = 'public.{table}'::regclass"
        );
        for policy in scratch.texts(policies).await {
            let (policy, role) = policy.split_once(' ').unwrap();
            let role = ROLES.into_iter().find(|known| *known == role).unwrap();
            // A house table's partitions have a policy and no grant: they are reached through their parent only.
            let reached = format!("select 'yes' where has_any_column_privilege('{role}', 'public.{table}', 'select')");
            if !scratch.texts(reached).await.is_empty() {
                fault(role, format!("drop policy {policy} on public.{table}"));
            }
            if policy == "tenant_rows" {
                fault(role, format!("alter policy {policy} on public.{table} using (true)"));
                fault(role, format!("alter policy {policy} on public.{table} with check (true)"));
                fault(role, format!("create policy more on public.{table} to {role} using (true)"));
            }
            if policy != "migrator_rows" {
                fault("berth_migrator", format!("create policy more on public.{table} using (true) with check (true)"));
            }
        }
        for role in ["berth_tenant", "berth_system", "berth_readonly", "berth_login", "berth_nobody"] {
            for right in ["select", "insert", "update", "delete", "truncate"] {
                let missing =
                    format!("select 'yes' where not has_table_privilege('{role}', 'public.{table}', '{right}')");
                if !scratch.texts(missing).await.is_empty() {
                    fault(role, format!("grant {right} on public.{table} to {role}"));
                }
            }
        }
    }
    faults
}

/// Faults that no table shows.
const ELSEWHERE: [&str; 14] = [
    "alter role berth_tenant bypassrls",
    "alter role berth_system bypassrls",
    "alter role berth_login bypassrls",
    "alter role berth_login superuser",
    "alter role berth_login createrole",
    "grant berth_system to berth_tenant",
    "grant berth_migrator to berth_login",
    "grant berth_readonly to berth_login",
    "revoke berth_tenant from berth_login",
    "grant execute on function berth.keep_history() to public",
    "grant create on schema public to berth_tenant",
    "grant usage on sequence flow_signal_seq to berth_tenant",
    "create function berth.peek() returns int language sql as 'select 1'",
    "create view all_agents as select * from agents; grant select on all_agents to berth_tenant",
];

#[tokio::test]
async fn each_guard_that_is_dropped_turns_the_matrix_red() {
    let mut scratch = Scratch::new().await;
    // Two guards stand before these; with both in place one grant too many changes nothing.
    scratch.run("grant usage on schema public to berth_login, berth_nobody").await;
    let faults = faults(&mut scratch).await;
    assert!(faults.len() > 300, "{}: the catalogue was not read", faults.len());
    let mut before = BTreeMap::new();
    let mut unseen = Vec::new();
    for Fault { table, role, unnamed, statement } in faults {
        let key = (table.clone(), role, unnamed);
        if !before.contains_key(&key) {
            let lines = scratch.lines(&table, &[role], unnamed).await;
            before.insert(key.clone(), lines);
        }
        scratch.run(&format!("savepoint one; {statement}")).await;
        if before.get(&key) == Some(&scratch.lines(&table, &[role], unnamed).await) {
            unseen.push(statement);
        }
        scratch.run("rollback to savepoint one").await;
    }
    let whole = scratch.elsewhere().await;
    for statement in ELSEWHERE {
        scratch.run(&format!("savepoint one; {statement}")).await;
        if whole == scratch.elsewhere().await {
            unseen.push(statement.to_owned());
        }
        scratch.run("rollback to savepoint one").await;
    }
    assert_eq!(unseen, Vec::<String>::new(), "faults that the matrix does not show");
    drop(scratch.database);
}
