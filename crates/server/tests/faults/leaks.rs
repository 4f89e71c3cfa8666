//! The hunt for planted secrets: one mark of each class through the whole life of an agent, then a search of everything
//! that the program, its database and its operator's tools wrote meanwhile.
//!
//! What may lie where is in `docs/marks-allowed.tsv`, each with its reason. The machine's side of it, a real disk and
//! a real journal, is `crates/server/tests/e2e/delivered.rs`.

mod house;
mod life;
mod visitor;
mod watch;

use std::{
    collections::BTreeMap,
    fs,
    io::Write as _,
    path::{Path, PathBuf},
};

use domain::TenantId;
use testkit::marks::{Allowed, Class, Found, Hit, Hunt};
use tokio::process::Command;
use vault::{Keyring, MasterKey, Owner, Place, Sealed};

use self::{house::Marked, visitor::Visitor, watch::Watch};

const ALLOWED: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../docs/marks-allowed.tsv");

#[tokio::test]
async fn no_secret_lies_where_it_does_not_belong() {
    let mut house = Marked::new().await;
    let watch = Watch::begin();
    let visitor = Visitor::new(house.fleet.api.base.clone(), house.fleet.api.token.clone(), house.answers());
    let jar = life::sign_in(&mut house, &visitor).await;
    life::issue(&mut house, &visitor).await;
    let agent = life::furnish(&house, &visitor).await;
    life::look_around(&house, &visitor, (&agent, &jar)).await;
    life::trouble(&mut house, &visitor).await;
    life::take_away(&house, &visitor).await;
    life::end(&house, &visitor, &agent).await;
    life::misuse(&house, &visitor).await;
    life::learn_from_machines(&mut house);
    learn_from_the_vault(&mut house).await;
    let seen = watch.end();

    let hunt = Hunt::new(&house.marks);
    let mut found = Found::default();
    for (name, path) in written(&house, "last").await {
        search(&hunt, name, &path, &mut found);
    }
    seen.search(&hunt, &mut found);
    for call in house.vendor.calls().iter().filter(|call| call.path == "/alerts") {
        hunt.bytes(format!("{:?}", call.headers).as_bytes(), "alerts", &mut found);
        hunt.bytes(&call.body, "alerts", &mut found);
    }
    let allowed = Allowed::parse(&fs::read_to_string(ALLOWED).unwrap()).unwrap();
    let outside = found.outside(&allowed);
    assert!(outside.is_empty(), "{} lie where they should not:\n{}", outside.len(), outside.join("\n"));
    assert!(allowed.idle(&found).is_empty(), "nothing needs these rows: {:#?}", allowed.idle(&found));

    // That it looked, and at the right things.
    assert!(seen.rounds > 100, "{} rounds", seen.rounds);
    let programs = seen.texts.iter().filter(|(what, text)| *what == "cmdline" && text.ends_with(b"berth\0all\0"));
    assert_eq!(programs.count(), 1, "the program itself was seen");
    every_place_would_show_it(&house, &hunt).await;
}

/// Puts what only Berth knows onto the list: every data key, and the secret half of the SSH authority.
async fn learn_from_the_vault(house: &mut Marked) {
    let masters =
        [Class::RetiredKey, Class::MasterKey].map(|class| MasterKey::parse(house.marks.value(class)).unwrap());
    let held: BTreeMap<_, _> = masters.iter().map(|master| (master.id().to_string(), master)).collect();
    let rows = "select id || ' ' || coalesce(tenant_id::text, '') || ' ' || encode(wrapped, 'hex') from data_keys";
    let mut of_house = None;
    for row in house.fleet.database.texts(rows).await {
        let [id, tenant, wrapped] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let id = id.parse().unwrap();
        let owner =
            if tenant.is_empty() { Owner::House } else { Owner::Tenant(TenantId::from_uuid(tenant.parse().unwrap())) };
        let wrapped = Sealed::from_bytes(&from_hex(wrapped)).unwrap();
        let master = held[&wrapped.key().to_string()];
        let key = master.open(&Place::of_data_key(owner, id), &wrapped).unwrap();
        house.marks.learn(Class::DataKey, 0, key.expose());
        if tenant.is_empty() {
            of_house = Some((id, wrapped));
        }
    }
    let (id, wrapped) = of_house.expect("the house has a data key");
    let ring = Keyring::new(masters.into());
    let key = ring.unwrap(Owner::House, id, &wrapped).unwrap();
    let rows = house.fleet.database.texts("select id || ' ' || encode(key_sealed, 'hex') from ssh_authorities").await;
    let (row, sealed) = rows[0].split_once(' ').unwrap();
    let place =
        Place { owner: Owner::House, table: "ssh_authorities", column: "key_sealed", row: row.parse().unwrap() };
    let secret = key.open(&place, &Sealed::from_bytes(&from_hex(sealed)).unwrap()).unwrap();
    house.marks.learn(Class::AuthorityKey, 0, &life::seed(secret.expose_text().unwrap()));
}

fn from_hex(text: &str) -> Vec<u8> {
    text.as_bytes().chunks(2).map(|two| u8::from_str_radix(std::str::from_utf8(two).unwrap(), 16).unwrap()).collect()
}

/// Everything that was written meanwhile, by the name that the list of what is allowed gives it.
async fn written(house: &Marked, round: &str) -> Vec<(&'static str, PathBuf)> {
    let (cluster, database) = (&house.cluster, &house.fleet.database);
    database.sql("checkpoint").await;
    let folder = cluster.folder().to_owned();
    let below = |name: String| folder.join(name).display().to_string();
    cluster.run("pg_dump", &["-d", &database.url_as("postgres"), "-f", &below(format!("dump-{round}.sql"))]).await;
    let url = cluster.url();
    cluster.run("pg_dumpall", &["-d", &url, "--globals-only", "-f", &below(format!("globals-{round}.sql"))]).await;
    let backup = below(format!("backup-{round}"));
    cluster.run("pg_basebackup", &["-d", &url, "-D", &backup, "-X", "fetch", "-F", "tar", "-z", "-Z", "1"]).await;
    vec![
        ("program", house.fleet.folder().to_owned()),
        ("postgres", folder),
        ("answers", house.answers()),
        ("mails", house.mails()),
    ]
}

/// Searches a folder; what is found is named as if it lay below `name`.
fn search(hunt: &Hunt, name: &str, path: &Path, found: &mut Found) {
    let mut below = Found::default();
    hunt.tree(path, &mut below);
    let root = path.display().to_string();
    let named = |place: &str| place.replacen(&root, name, 1);
    found.bytes += below.bytes;
    found.files += below.files;
    found.members += below.members;
    for (hit, count) in below.hits {
        found.hits.insert(Hit { place: named(&hit.place), ..hit }, count);
    }
    found.skipped.extend(below.skipped.into_iter().map(|(place, why)| (named(&place), why)));
}

/// Every mark is planted in every place, the way it would come there, and found there.
async fn every_place_would_show_it(house: &Marked, hunt: &Hunt) {
    let values: Vec<&str> = Class::EVERY.iter().map(|class| house.marks.value(*class)).collect();
    let text = values.join("\n");
    house.fleet.database.sql("create table planted (value text)").await;
    for value in &values {
        house.fleet.database.sql(&format!("insert into planted values ('{}')", value.replace('\'', "''"))).await;
    }
    let log = fs::read_dir(house.fleet.folder()).unwrap().flatten().map(|entry| entry.path());
    let log = log.filter(|path| path.extension().is_some_and(|end| end == "log")).next().expect("Berth logs");
    fs::OpenOptions::new().append(true).open(log).unwrap().write_all(text.as_bytes()).unwrap();
    fs::write(house.answers().join("planted"), &text).unwrap();
    fs::write(house.mails().join("planted"), &text).unwrap();
    let watch = Watch::begin();
    let shown = Command::new("sh").args(["-c", "sleep 0.5", "sh"]).args(&values).env("PLANTED", &text).status().await;
    assert!(shown.unwrap().success());
    let seen = watch.end();

    let mut found = Found::default();
    for (name, path) in written(house, "planted").await {
        search(hunt, name, &path, &mut found);
    }
    seen.search(hunt, &mut found);
    for place in PLANTED {
        for class in Class::EVERY {
            let is_found = found.hits.keys().any(|hit| hit.class == *class && hit.place.starts_with(place));
            assert!(is_found, "{} was planted in {place} and not found", class.name());
        }
    }
}

const PLANTED: [&str; 10] = [
    "program/",
    "postgres/log",
    "postgres/data/base/",
    "postgres/data/pg_wal/",
    "postgres/dump-planted.sql",
    "postgres/backup-planted/base.tar.gz",
    "answers/planted",
    "mails/planted",
    "proc/environ",
    "proc/cmdline",
];
