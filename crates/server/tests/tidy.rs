//! Documents stay true and layers stay apart: read from the files and from cargo, not from memory.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
    path::{Path, PathBuf},
    process::Command,
};

use domain::{alert::AlertKind, invariants::Check};
use serde_json::Value;

/// What each crate may name in `[dependencies]`. A crate that is not here has no place yet.
const LAYERS: [(&str, &[&str]); 10] = [
    ("domain", &[]),
    ("vault", &["domain"]),
    ("store", &["domain", "vault"]),
    ("clients", &["domain", "vault"]),
    ("ssh", &["domain"]),
    ("app", &["domain", "store", "vault"]),
    ("flows", &["app", "clients", "domain", "ssh", "store", "vault"]),
    ("web", &["app", "clients", "domain", "store", "vault"]),
    ("guest", &["domain", "vault"]),
    ("server", &["app", "clients", "domain", "flows", "ssh", "store", "vault", "web"]),
];

/// Who alone may know an outside library, whether in the program or in its tests.
const KEEPERS: [(&str, &[&str]); 11] = [
    ("async-stripe-client-core", &["clients"]),
    ("sqlx", &["store", "testkit"]),
    ("sqlx-core", &["store"]),
    ("reqwest", &["clients"]),
    ("russh", &["ssh", "testkit"]), // testkit is the simulated machines' side
    ("axum", &["web"]),
    ("askama", &["web"]),
    ("aws-lc-rs", &["server", "vault"]), // server draws random bytes with it
    ("clap", &["server"]),
    ("jsonwebtoken", &["clients", "testkit", "vault", "web"]), // vendors' tokens; a test's vendor; our own sessions; web forges in tests
    ("lettre", &["clients"]),
];

/// Not in any program of ours; tests may.
const TESTS_ONLY: [&str; 2] = ["tempfile", "thirtyfour"];

/// Where `web` names a client, and which: a person or a stream waits on it. Flows make all other calls.
const CALLS_OUT: [(&str, &str); 11] = [
    ("crates/web/src/checks.rs", "clients::credentials"),
    ("crates/web/src/llm/call.rs", "clients::model"),
    ("crates/web/src/llm/keys.rs", "clients::model"),
    ("crates/web/src/llm/mod.rs", "clients::model"),
    ("crates/web/src/llm/own.rs", "clients::model"),
    ("crates/web/src/llm/own_told.rs", "clients::model"),
    ("crates/web/src/llm/pass.rs", "clients::model"),
    ("crates/web/src/llm/told.rs", "clients::model"),
    ("crates/web/src/payments.rs", "clients::payments"),
    ("crates/web/src/state.rs", "clients::payments"),
    ("crates/web/src/vendors.rs", "clients::oidc"),
];

/// What opens a tenant's credential, and the one place that calls it (`docs/decisions/0081-credentials.md`).
const OPENS: [(&str, &str); 3] = [
    ("open_for_delivery", "crates/flows/src/deliver.rs"),
    ("open_for_test", "crates/web/src/checks.rs"),
    ("open_for_model", "crates/web/src/llm/keys.rs"),
];

/// Everything that asks whether a tenant is entitled, and what for. Nothing else may decide that (`docs/decisions/0092-who-is-served.md`).
const JUDGES: [(&str, &str); 12] = [
    ("crates/app/src/billing.rs", "making, starting, stopping and removing agents"),
    ("crates/app/src/letters.rs", "whether a letter is still true when it is sent"),
    ("crates/app/src/verify/money.rs", "`berth verify`, which changes nothing"),
    ("crates/domain/src/invariants/judge/money.rs", "the same, as a pure function"),
    ("crates/domain/src/letter/told.rs", "whether a letter is still true, as a pure function"),
    ("crates/flows/src/billing.rs", "whether operators are told of a dispute"),
    ("crates/store/src/billing.rs", "the facts, and the one call of the judgement"),
    ("crates/web/src/api/admin/subscriptions.rs", "telling operators"),
    ("crates/web/src/api/billing.rs", "telling the tenant"),
    ("crates/web/src/pages/admin/gifts.rs", "telling operators"),
    ("crates/web/src/pages/admin/subscriptions.rs", "telling operators"),
    ("crates/web/src/pages/billing.rs", "telling the tenant"),
];

/// What asks for the judgement, and where making, starting and retrying an agent do.
const JUDGEMENTS: [&str; 5] = ["entitlement(&", ".judge()", ".may_run()", ".may_be_removed()", "Entitlement::"];

/// Where a statement of SQL is made of text, and why that is safe; all others are fixed and checked when compiling.
const STATEMENTS_OF_TEXT: [(&str, &str); 3] = [
    ("crates/store/src/carry.rs", "fixed text about no table"),
    ("crates/store/src/db.rs", "a begin, with a parsed uuid in it"),
    ("crates/store/src/dynamic.rs", "names from the catalogue, quoted by the database"),
];

/// Ways to send a statement that is not checked when compiling.
const UNCHECKED: [&str; 8] = [
    "AssertSqlSafe",
    "SqlSafeStr",
    "raw_sql(",
    "sqlx::query(",
    "query_as(",
    "query_scalar(",
    "query_with(",
    "QueryBuilder",
];

const FOLDERS: [&str; 5] = ["crates/", "migrations/", "scripts/", "deploy/", "docs/"];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../..")
}

fn read(path: &str) -> String {
    fs::read_to_string(root().join(path)).unwrap_or_else(|error| panic!("{path}: {error}"))
}

fn listing(folder: &str) -> Vec<String> {
    let entries = fs::read_dir(root().join(folder)).unwrap_or_else(|error| panic!("{folder}: {error}"));
    let mut names: Vec<_> = entries.flatten().map(|entry| entry.file_name().to_string_lossy().into_owned()).collect();
    names.sort();
    names
}

/// The documents that this test keeps true. Decisions tell how it was when they were taken.
fn documents() -> Vec<String> {
    let pages = |folder: &'static str| {
        let names = listing(folder).into_iter();
        names
            .filter(|name| Path::new(name).extension().is_some_and(|e| e == "md"))
            .map(move |name| format!("{folder}/{name}"))
    };
    let top = ["README.md", "SECURITY.md"].map(str::to_owned);
    top.into_iter().chain(pages("docs")).chain(pages("docs/runbooks")).collect()
}

/// What stands between backticks on the lines outside code blocks.
fn quoted(text: &str) -> Vec<&str> {
    let mut inside = false;
    let prose = text.lines().filter(|line| {
        let fence = line.trim_start().starts_with("```");
        inside ^= fence;
        !inside && !fence
    });
    prose.flat_map(|line| line.split('`').skip(1).step_by(2)).collect()
}

/// A path of the checkout, without what follows it: an argument, the name of a test.
fn path_in(quoted: &str) -> Option<&str> {
    let path = quoted.strip_prefix("./").unwrap_or(quoted);
    let path = path.split_whitespace().next()?.split("::").next()?;
    FOLDERS.iter().any(|folder| path.starts_with(folder)).then_some(path)
}

/// Why `path::name` is no test that `scripts/test` runs, by itself or after setting up what it needs. `None`: it is one.
fn no_test(named: &str) -> Option<String> {
    let Some((path, name)) = named.split_once("::") else {
        return Some(format!("{named} is not of the form path::name"));
    };
    let Ok(text) = fs::read_to_string(root().join(path)) else {
        return Some(format!("{named}: there is no such file"));
    };
    let lines: Vec<&str> = text.lines().collect();
    let Some(at) = lines.iter().position(|line| line.contains(&format!("fn {name}("))) else {
        return Some(format!("{named}: there is no such function"));
    };
    let above: Vec<&&str> =
        lines.iter().take(at).rev().take_while(|line| line.trim_start().starts_with("#[")).collect();
    let is_set_up_for = |line: &str| line.contains("scripts/test") && !line.contains("scripts/test long");
    if above.iter().any(|line| line.contains("#[ignore") && !is_set_up_for(line)) {
        return Some(format!("{named}: is not run by default"));
    }
    if above.iter().any(|line| line.contains("test]") || line.contains("::test(")) {
        None
    } else {
        Some(format!("{named}: is no test"))
    }
}

#[test]
fn every_path_in_a_document_exists() {
    let mut missing = Vec::new();
    for document in documents() {
        let text = read(&document);
        let paths: BTreeSet<&str> = quoted(&text).into_iter().filter_map(path_in).collect();
        missing.extend(
            paths.into_iter().filter(|path| !root().join(path).exists()).map(|path| format!("{document}: {path}")),
        );
    }
    assert_eq!(missing, Vec::<String>::new());
}

#[test]
fn every_test_in_a_document_exists() {
    let mut faults = Vec::new();
    let mut named = 0;
    for document in documents() {
        let text = read(&document);
        let tests = quoted(&text).into_iter().filter(|words| words.starts_with("crates/") && words.contains(".rs::"));
        for test in tests {
            named += 1;
            faults.extend(no_test(test).map(|fault| format!("{document}: {fault}")));
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    assert!(named > 20, "only {named} tests are named: did their form change?");
}

#[test]
fn every_crate_stands_in_the_architecture() {
    let text = read("docs/ARCHITECTURE.md");
    let named: BTreeSet<&str> = quoted(&text).into_iter().collect();
    let absent: Vec<_> =
        listing("crates").into_iter().filter(|name| !named.contains(format!("crates/{name}").as_str())).collect();
    assert_eq!(absent, Vec::<String>::new());
}

#[test]
fn every_alert_has_a_runbook() {
    for kind in AlertKind::EVERY {
        let page = read(&format!("docs/runbooks/{}.md", kind.name()));
        assert!(page.starts_with(&format!("# {}\n", kind.name())), "{}", kind.name());
    }
    // Beside the alerts' pages: those for `berth verify` and `berth keys`, which say so by themselves.
    let others = ["verify.md", "keys.md"];
    let pages: Vec<String> =
        listing("docs/runbooks").into_iter().filter(|page| !others.contains(&page.as_str())).collect();
    assert_eq!(pages.len(), AlertKind::EVERY.len(), "a runbook without an alert");
}

/// Whoever reads a word in the report of `berth verify` finds it on its page.
#[test]
fn every_check_of_verify_stands_in_its_runbook() {
    let page = read("docs/runbooks/verify.md");
    for check in Check::EVERY {
        let row = format!("| {} | `{}` |", check.invariant().id(), check.name());
        assert!(page.contains(&row), "{row}");
    }
    let rows = page.lines().filter(|line| line.starts_with("| I")).count();
    assert_eq!(rows, Check::EVERY.len(), "a row without a check");
}

#[test]
fn every_requirement_that_is_held_names_its_test() {
    let table = read("docs/requirements.tsv");
    let mut rows = table.lines();
    assert_eq!(rows.next(), Some("id\tstate\ttest\tnote"));
    let (mut ids, mut faults) = (BTreeSet::new(), Vec::new());
    for row in rows {
        let cells: Vec<&str> = row.split('\t').collect();
        let [id, state, test, _note] = cells[..] else { panic!("not four cells: {row}") };
        assert!(ids.insert(id), "{id} stands there twice");
        match (state, test) {
            ("later" | "adapted", "") => {}
            ("held" | "adapted", test) => faults.extend(no_test(test).map(|fault| format!("{id}: {fault}"))),
            _ => faults.push(format!("{id}: {state} with {test:?}")),
        }
    }
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(ids.len(), 400);
}

/// RLS-35: what a caller sends is a bound value, never part of a statement's text.
#[test]
fn statements_are_made_of_text_in_the_listed_places_only() {
    let mut found = BTreeSet::new();
    let crates = listing("crates").into_iter().filter(|name| name != "testkit");
    for file in crates.flat_map(|name| sources(&format!("crates/{name}/src"))) {
        let text = read(&file);
        let calls = text.lines().filter(|line| !line.trim_start().starts_with("//"));
        if calls.flat_map(|line| UNCHECKED.map(|call| line.contains(call))).any(|is_there| is_there) {
            found.insert(file);
        }
    }
    let listed: BTreeSet<String> = STATEMENTS_OF_TEXT.iter().map(|(file, _)| (*file).to_owned()).collect();
    assert_eq!(found, listed);
}

/// Words that somebody relies on finding: each with the requirement that asks for it.
#[test]
fn what_readers_must_be_told_is_told() {
    let told = [
        ("SUP-04", "README.md", "Keep the encryption key somewhere else than the database"),
        (
            "IR-09",
            "SECURITY.md",
            "Say what happens, the steps, the version or commit, and whether and how you want to be named",
        ),
        ("IR-10", "SECURITY.md", "In scope:"),
        ("IR-10", "SECURITY.md", "Out of scope:"),
        ("ISO-12", "SECURITY.md", "Whoever controls its words controls what it does there"),
    ];
    for (id, page, words) in told {
        let text = read(page).split_whitespace().collect::<Vec<_>>().join(" ");
        assert!(text.contains(words), "{id}: {page} does not say {words:?}");
    }
}

#[test]
fn the_example_of_settings_sets_no_value() {
    let text = read(".env.example");
    let set: Vec<&str> = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#')).collect();
    assert!(set.contains(&"CREDENTIAL_ENCRYPTION_KEY="), "secrets stand there without a value: {set:?}");
    assert!(set.iter().all(|line| line.ends_with('=')), "{set:?}");
}

/// Each crate with what it depends on: the name, and whether only its tests do.
fn dependencies() -> BTreeMap<String, Vec<(String, bool)>> {
    let output = Command::new(env!("CARGO"))
        .args(["metadata", "--format-version", "1", "--no-deps", "--offline"])
        .current_dir(root())
        .output()
        .unwrap_or_else(|error| panic!("cargo metadata: {error}"));
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let metadata: Value = serde_json::from_slice(&output.stdout).unwrap_or_default();
    let list = |value: &Value, key: &str| value.get(key).and_then(Value::as_array).cloned().unwrap_or_default();
    let name = |value: &Value| value.get("name").and_then(Value::as_str).unwrap_or_default().to_owned();
    let is_dev = |value: &Value| value.get("kind").and_then(Value::as_str) == Some("dev");
    let packages = list(&metadata, "packages").into_iter();
    packages
        .map(|package| (name(&package), list(&package, "dependencies").iter().map(|d| (name(d), is_dev(d))).collect()))
        .collect()
}

#[test]
fn crates_depend_downwards_only() {
    let layers = BTreeMap::from(LAYERS);
    let all = dependencies();
    let ours: BTreeSet<&String> = all.keys().collect();
    let mut faults = Vec::new();
    for (package, on) in all.iter().filter(|(package, _)| *package != "testkit") {
        let Some(allowed) = layers.get(package.as_str()) else { panic!("{package} has no layer") };
        let wrong = on.iter().filter(|(name, dev)| !dev && ours.contains(name) && !allowed.contains(&name.as_str()));
        faults.extend(wrong.map(|(name, _)| format!("{package} depends on {name}")));
    }
    assert_eq!(faults, Vec::<String>::new());
    assert_eq!(ours.len(), LAYERS.len() + 1, "a layer without a crate");
}

#[test]
fn each_outside_system_has_one_crate_that_knows_it() {
    let all = dependencies();
    let users = |library: &str, dev_too: bool| -> BTreeSet<&str> {
        let uses = |on: &Vec<(String, bool)>| on.iter().any(|(name, dev)| name == library && (dev_too || !dev));
        all.iter().filter(|(_, on)| uses(on)).map(|(package, _)| package.as_str()).collect()
    };
    for (library, keepers) in KEEPERS {
        assert_eq!(users(library, true), keepers.iter().copied().collect(), "{library}");
    }
    for library in TESTS_ONLY {
        assert_eq!(users(library, false), BTreeSet::new(), "{library}");
    }
}

#[test]
fn every_dependency_has_its_reason() {
    let manifest = read("Cargo.toml");
    let section = manifest.split_once("[workspace.dependencies]").map_or("", |(_, rest)| rest);
    let section = section.split_once("\n[").map_or(section, |(section, _)| section);
    let page = read("docs/decisions/0002-dependencies.md");
    let first_cells = page.lines().filter_map(|line| line.strip_prefix("| ")?.split(" | ").next());
    let named: BTreeSet<&str> = first_cells.flat_map(|cell| cell.split(", ")).collect();
    let ours = listing("crates");
    let all = section.lines().filter_map(|line| line.split_once('=')).map(|(name, _)| name.trim());
    let absent: Vec<_> = all
        .filter(|name| !name.starts_with('#') && !ours.contains(&(*name).to_owned()) && !named.contains(name))
        .collect();
    assert_eq!(absent, Vec::<&str>::new());
    assert!(named.len() > 20, "{named:?}");
}

#[test]
fn a_request_calls_out_in_the_listed_places_only() {
    let mut found = BTreeSet::new();
    for file in sources("crates/web/src") {
        let text = read(&file);
        let named = text.match_indices("clients::").map(|(at, _)| {
            let path = text.get(at..).unwrap_or_default();
            let end = path.match_indices(|c: char| !c.is_alphanumeric() && c != '_' && c != ':').next();
            let path = end.map_or(path, |(end, _)| path.get(..end).unwrap_or_default());
            path.split("::").take(2).collect::<Vec<_>>().join("::")
        });
        found.extend(named.map(|path| (file.clone(), path)));
    }
    let listed = CALLS_OUT.map(|(file, path)| (file.to_owned(), path.to_owned()));
    assert_eq!(found, BTreeSet::from(listed));
}

/// CRY-07, CRY-08: least knowledge. Each of the three functions that open what a tenant gave has one caller.
#[test]
fn three_places_open_what_a_tenant_gave() {
    let mut found = BTreeSet::new();
    for krate in listing("crates").into_iter().filter(|krate| krate != "testkit") {
        for file in sources(&format!("crates/{krate}/src")) {
            for (opens, _) in OPENS {
                let calls = read(&file).lines().any(|line| line.contains(&format!("::{opens}(")));
                found.extend(calls.then(|| (opens.to_owned(), file.clone())));
            }
        }
    }
    assert_eq!(found, BTreeSet::from(OPENS.map(|(opens, file)| (opens.to_owned(), file.to_owned()))));
}

/// Who is entitled is one pure function, and each that asks it is listed with its reason.
#[test]
fn everything_that_asks_who_is_entitled_is_listed() {
    let mut found = BTreeSet::new();
    for krate in listing("crates").into_iter().filter(|krate| krate != "testkit") {
        for file in sources(&format!("crates/{krate}/src")) {
            // Left out: the judgement itself, what follows from it for letters, and drawn examples.
            let own = ["domain/src/entitlement", "domain/src/dunning", "/samples", "/tests"];
            let asks = || JUDGEMENTS.iter().any(|word| read(&file).contains(word));
            if !own.iter().any(|part| file.contains(part)) && asks() {
                found.insert(file);
            }
        }
    }
    assert_eq!(found, JUDGES.iter().map(|(file, _)| (*file).to_owned()).collect());
}

/// Every Rust file below a folder.
fn sources(folder: &str) -> Vec<String> {
    let (folders, files): (Vec<_>, Vec<_>) =
        listing(folder).into_iter().map(|name| format!("{folder}/{name}")).partition(|path| root().join(path).is_dir());
    let files = files.into_iter().filter(|path| Path::new(path).extension().is_some_and(|e| e == "rs"));
    files.chain(folders.iter().flat_map(|folder| sources(folder))).collect()
}

/// The checks themselves can fail.
#[test]
fn a_planted_fault_is_found() {
    assert_eq!(quoted("a `crates/x` b `c`\n```\n`docs/no`\n```\n`docs/y z`"), ["crates/x", "c", "docs/y z"]);
    assert_eq!(path_in("./scripts/test e2e"), Some("scripts/test"));
    assert_eq!(path_in("crates/a.rs::name"), Some("crates/a.rs"));
    assert_eq!(path_in("target/debug"), None);
    let here = "crates/server/tests/tidy.rs";
    assert_eq!(no_test(&format!("{here}::a_planted_fault_is_found")), None);
    for wrong in ["", "no.rs::x", &format!("{here}::nothing"), &format!("{here}::no_test")] {
        assert!(no_test(wrong).is_some(), "{wrong}");
    }
}
