//! What the row-security prover pgrls is told, and what it must answer.
//!
//! A tenant table has no exception. A house table has one, with its reason, in
//! `house_tables.tsv`: its policy lets `berth_system` at every row, which no tool
//! can tell from a leak. Whoever makes a table writes it there, or this fails.

use std::{collections::BTreeSet, fmt::Write as _, path::PathBuf, process::Command};

use serde_json::Value;
use testkit::Database;

/// Rules that the one policy of a house table breaks by being what it is: it admits every row to its role.
const OPEN_TO_ITS_ROLE: [&str; 4] = ["SEC005", "SEC008", "SEC028", "SEC038"];

/// Definer functions that were looked at: fixed text, no argument, nothing of a tenant's comes back.
const DEFINERS: [&str; 1] = ["berth.keep_history"];

/// Modes of the proof whose answer holds for house tables too: nobody but the role gets in.
const MODES: [(&str, HouseIs); 5] = [
    ("anon", HouseIs::Proven),
    ("cross-tenant", HouseIs::Undecided),
    ("write", HouseIs::Undecided),
    ("escalation", HouseIs::Proven),
    ("reachability", HouseIs::Proven),
];

#[derive(Clone, Copy, PartialEq, Eq)]
enum HouseIs {
    Proven,
    /// No column names a tenant, so there is nothing to prove: that is what makes it a house table.
    Undecided,
}

/// A house table as the catalogue has it; a partition goes by its parent's name.
struct House {
    table: String,
    named: String,
    policy: String,
}

async fn house_tables(database: &Database) -> Vec<House> {
    let rows = database
        .texts(
            "select concat_ws(' ', c.relname, coalesce(parent.relname, c.relname), p.polname)
             from pg_class c
             join pg_policy p on p.polrelid = c.oid and p.polname <> 'tenant_rows'
             left join pg_inherits i on i.inhrelid = c.oid
             left join pg_class parent on parent.oid = i.inhparent
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
             order by 1",
        )
        .await;
    let house = |row: &String| {
        let words: Vec<&str> = row.split(' ').collect();
        House { table: words[0].to_owned(), named: words[1].to_owned(), policy: words[2].to_owned() }
    };
    rows.iter().map(house).collect()
}

/// The tables of the file, each with a reason.
fn exceptions() -> BTreeSet<String> {
    let lines = include_str!("house_tables.tsv").lines().skip(1);
    let named = lines.map(|line| {
        let (table, reason) = line.split_once('\t').unwrap_or_else(|| panic!("no reason: {line}"));
        assert!(reason.split(' ').count() >= 4, "{table}: that is no reason");
        table.to_owned()
    });
    named.collect()
}

#[tokio::test]
async fn every_house_table_has_its_reason_written_down() {
    let database = Database::fresh().await;
    let there: BTreeSet<String> = house_tables(&database).await.into_iter().map(|house| house.named).collect();
    assert_eq!(there, exceptions(), "house tables (left) and crates/store/tests/it/house_tables.tsv (right) differ");
}

/// Triggers whose function was read: `berth.tell_access` runs as whoever fires it and does nothing but notify, with an
/// id; `berth.refuse_early_erasure` and `berth.only_forget_author` read, and refuse. That no function but one runs as its owner, the catalogue test
/// holds.
const TRIGGERS: [&str; 8] = [
    "public.data_keys.data_keys_wrapped",
    "public.members.members_changed",
    "public.sessions.sessions_changed",
    "public.sessions.sessions_ended",
    "public.tenants.tenants_changed",
    "public.tenants.tenants_erased",
    "public.timeline.timeline_kept",
    "public.users.users_changed",
];

/// The prover's configuration: what is excepted from which rule, and nothing else.
fn configuration(houses: &[House]) -> String {
    let mut text = "[database]\nschemas = [\"public\", \"berth\"]\n".to_owned();
    for rule in OPEN_TO_ITS_ROLE {
        let policies: Vec<String> =
            houses.iter().map(|house| format!("\"public.{}.{}\"", house.table, house.policy)).collect();
        write!(text, "\n[lint.rules.{rule}]\nallowlist = [{}]\n", policies.join(", ")).unwrap();
    }
    let definers = DEFINERS.map(|name| format!("\"{name}\"")).join(", ");
    write!(text, "\n[lint.rules.SEC014]\nallowlist = [{definers}]\n").unwrap();
    let triggers = TRIGGERS.map(|name| format!("\"{name}\"")).join(", ");
    write!(text, "\n[lint.rules.SEC013]\nallowlist = [{triggers}]\n").unwrap();
    text
}

struct Prover {
    program: PathBuf,
    configuration: PathBuf,
    url: String,
}

impl Prover {
    async fn of(database: &Database) -> Self {
        let program = PathBuf::from(concat!(env!("CARGO_MANIFEST_DIR"), "/../../target/peers/bin/pgrls"));
        assert!(program.exists(), "{}: scripts/test integration makes it", program.display());
        // One for each database: two tests of one process ask at once.
        let name = database.texts("select current_database()::text").await.remove(0);
        let configuration = std::env::temp_dir().join(format!("pgrls-{name}.toml"));
        std::fs::write(&configuration, self::configuration(&house_tables(database).await)).unwrap();
        Self { program, configuration, url: database.url_as("berth_migrator") }
    }

    fn ask(&self, arguments: &[&str]) -> Value {
        let mut command = Command::new(&self.program);
        command.args(arguments).arg("--config").arg(&self.configuration);
        let answer = command.args(["--format", "json", "--database-url", &self.url]).output().unwrap();
        serde_json::from_slice(&answer.stdout)
            .unwrap_or_else(|_| panic!("{arguments:?}: {}", String::from_utf8_lossy(&answer.stderr)))
    }

    /// Errors and warnings, as lines.
    fn lint(&self) -> Vec<String> {
        let told = self.ask(&["lint"]);
        let found = told["violations"].as_array().unwrap().iter().filter(|one| one["severity"] != "info");
        found.map(|one| format!("{} {}", one["rule_id"].as_str().unwrap(), one["location"])).collect()
    }

    /// Tables that are not proven, in this mode.
    fn unproven(&self, mode: &str) -> Vec<String> {
        let told = self.ask(&["verify", "--mode", mode]);
        let open = told["tables"].as_array().unwrap().iter().filter(|table| table["verdict"] != "isolated");
        open.map(|table| format!("{} {}", table["table"].as_str().unwrap(), table["verdict"].as_str().unwrap()))
            .collect()
    }
}

impl Drop for Prover {
    fn drop(&mut self) {
        std::fs::remove_file(&self.configuration).ok();
    }
}

/// No error, no warning; each tenant table proven in each mode, and what is not proven is a house table.
pub async fn finds_nothing() {
    let database = Database::fresh().await;
    let prover = Prover::of(&database).await;
    assert_eq!(prover.lint(), Vec::<String>::new());
    let houses = house_tables(&database).await;
    let mut house: Vec<String> = houses.iter().map(|house| format!("public.{} unverified", house.table)).collect();
    house.sort();
    for (mode, house_is) in MODES {
        let mut open = prover.unproven(mode);
        open.sort();
        let expected = if house_is == HouseIs::Undecided { house.clone() } else { Vec::new() };
        assert_eq!(open, expected, "{mode}");
    }
}

/// What a careless migration may do, and who names it.
pub async fn names_what_is_planted() {
    let planted = [
        ("alter table agents disable row level security", "SEC032"),
        ("alter table agents no force row level security", "SEC002"),
        ("create policy everybody on agents using (true)", "SEC038"),
        ("alter policy tenant_rows on agents with check (true)", "SEC020"),
        ("create table loose (id uuid primary key)", "SEC001"),
        (
            "create function berth.peek() returns bigint language sql security definer as 'select count(*) from agents'",
            "SEC014",
        ),
    ];
    for (statement, rule) in planted {
        let database = Database::fresh().await;
        // The exceptions are those of the schema as it was: what is planted gets none.
        let prover = Prover::of(&database).await;
        database.sql(statement).await;
        let found = prover.lint();
        assert!(found.iter().any(|line| line.starts_with(rule)), "{statement}: {found:?}");
    }
    for (statement, mode, verdict) in [
        ("alter policy tenant_rows on agents using (true)", "cross-tenant", "public.agents unverified"),
        ("alter policy tenant_rows on agents with check (true)", "write", "public.agents leak"),
        ("create policy everybody on agents using (true)", "anon", "public.agents leak"),
    ] {
        let database = Database::fresh().await;
        let prover = Prover::of(&database).await;
        database.sql(statement).await;
        assert!(prover.unproven(mode).contains(&verdict.to_owned()), "{statement}: {:?}", prover.unproven(mode));
    }
}
