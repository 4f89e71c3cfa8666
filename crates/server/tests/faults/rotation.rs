//! From one master key to another, two hundred requests a second, and a worker that is killed again and again.

use std::{
    collections::BTreeMap,
    fmt::Write as _,
    time::{Duration, Instant},
};

use domain::{Entropy as _, TenantId};
use testkit::{Database, Seeded};
use tokio::time::sleep;
use uuid::Uuid;
use vault::{KeyId, Keyring, MasterKey, Owner, Place, Sealed, Secret};

use crate::{
    dice::Dice,
    fleet::Fleet,
    program::key,
    sealed::sealed,
    secrets::{Person, SecretLoad},
    size::{say, seed, sized},
};

const PEOPLE: usize = 4;
/// A batch wraps 200 data keys anew, and is kept waiting this long: so there is a middle to be killed in.
const BATCH_MS: u64 = 500;
/// At most this long after the worker took the rotation up it is killed: it is in its first batch or its second.
const KILLED_MS: u64 = 700;
/// Data keys that a worker can get done between two kills, and some.
const KEYS_A_KILL: usize = 400;
const STEP_MAX: Duration = Duration::from_secs(30);
const REST_MAX: Duration = Duration::from_mins(2);
const SETTING: &str = "CREDENTIAL_ENCRYPTION_KEY";

/// CRY-32.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn rotated_under_load_and_kills_nothing_fails_and_nothing_is_left_behind() {
    let (began, seed, kills) = (Instant::now(), seed("rotation"), sized(12, 50));
    let (old, new) = (key(), key());
    let mut fleet = Fleet::with(Database::fresh().await, 2, vec![(SETTING, old.clone())]).await;
    let mut people = Vec::new();
    for n in 0..PEOPLE {
        people.push(Person::begin(fleet.person(&format!("person-{n}")).await).await);
    }
    let bulk = Bulk::plant(&fleet.database, &old, kills * KEYS_A_KILL + 400, seed).await;

    // The first process answers and is let live; the second one works and is killed.
    for (process, parts) in fleet.processes.iter_mut().zip(["serve", "work"]) {
        process.kill().await;
        process.part(parts);
        process.set(SETTING, &format!("{new},{old}"));
        process.start(None);
    }
    fleet.processes[0].up().await;
    fleet.only(0);
    drag(&fleet.database, BATCH_MS).await;
    let load = SecretLoad::start(&people);
    let rotate = fleet.processes[0].command(&["keys", "rotate", "--no-wait"]).output().await.unwrap();
    assert!(rotate.status.success(), "{}", String::from_utf8_lossy(&rotate.stderr));
    kill_in_the_middle(&mut fleet, &Dice::new(seed), kills, id(&old)).await;
    drag(&fleet.database, 0).await;
    until_retired(&fleet).await;
    let told = load.end().await;
    assert!(told.failed.is_empty(), "{} of {}: {:#?}\n{}", told.failed.len(), told.requests, told.failed, fleet.log());

    assert_eq!(masters(&fleet).await, [format!("{} current", id(&new)), format!("{} retired", id(&old))]);
    assert_eq!(fleet.database.count(&under(id(&old))).await, 0, "left behind");
    bulk.opens(&fleet.database, &new).await;

    // The old key is taken away from everybody: what was set and said before opens, and more is set.
    for process in &mut fleet.processes {
        process.part("all");
    }
    fleet.restart_with(&[(SETTING, &new)]).await;
    fleet.all();
    for person in &people {
        let read = person.read().await.unwrap();
        assert!(read.status == 200 && read.json()["text"].is_string(), "{} {}", read.status, read.body);
        let set = person.set("AFTER", "set under the new key").await.unwrap();
        assert_eq!(set.status, 201, "{}", set.body);
    }
    let verify = fleet.processes[0].command(&["verify", "--json", "--grace-seconds", "30"]).output().await.unwrap();
    assert!(verify.status.success(), "{}", String::from_utf8_lossy(&verify.stdout));

    // Whoever still has the old key alone is told so.
    fleet.restart_with(&[(SETTING, &old)]).await;
    sealed(&fleet, &people[0], "is needed, and it is not among the ones that are set").await;
    let (took, keys) = (began.elapsed().as_secs_f64(), bulk.probes.len());
    say(&format!(
        "rotation: {keys} data keys, {} requests at {:.0} a second, {kills} kills in the middle, \
         0 lost, 0 left behind, 0 failures, in {took:.0} s",
        told.requests, told.a_second
    ));
}

/// `kill -9` while the worker holds the rotation and has not ended it; started again as a service manager does.
async fn kill_in_the_middle(fleet: &mut Fleet, dice: &Dice, kills: usize, old: KeyId) {
    let mut last = String::new();
    for kill in 0..kills {
        last = taken_up(fleet, &last).await;
        sleep(dice.ms(0, KILLED_MS)).await;
        fleet.kill(1).await;
        let left = fleet.database.count(&under(old)).await;
        assert!(left > 0, "the rotation was over before kill {kill}: this test shows nothing");
    }
}

/// Waits until a worker holds the rotation under another lease than the last one.
async fn taken_up(fleet: &Fleet, last: &str) -> String {
    let began = Instant::now();
    loop {
        let held = "select lease_token::text from flows where kind = 'rotation' and lease_until > now()";
        if let Some(lease) = fleet.database.texts(held).await.into_iter().find(|lease| lease != last) {
            return lease;
        }
        assert!(began.elapsed() < STEP_MAX, "nobody takes the rotation up\n{}", fleet.log());
        sleep(Duration::from_millis(10)).await;
    }
}

async fn until_retired(fleet: &Fleet) {
    let began = Instant::now();
    while fleet.database.count("select count(*) from flows where kind = 'rotation'").await > 0 {
        assert!(began.elapsed() < REST_MAX, "the rotation does not end: {:?}\n{}", masters(fleet).await, fleet.log());
        sleep(Duration::from_millis(50)).await;
    }
}

/// What `berth keys status` says, without the counts.
async fn masters(fleet: &Fleet) -> Vec<String> {
    let said = fleet.processes[0].command(&["keys", "status", "--json"]).output().await.unwrap();
    let said: serde_json::Value = serde_json::from_slice(&said.stdout).unwrap();
    let word = |one: &serde_json::Value, name: &str| one[name].as_str().unwrap().to_owned();
    said["keys"].as_array().unwrap().iter().map(|one| format!("{} {}", word(one, "id"), word(one, "state"))).collect()
}

/// Every batch takes this much longer, inside its transaction.
async fn drag(database: &Database, ms: u64) {
    let function = format!(
        "create or replace function public.drag() returns trigger language plpgsql as $$
         begin perform pg_catalog.pg_sleep({ms} / 1000.0); return null; end $$"
    );
    database.sql(&function).await;
    let trigger = "create or replace trigger drag after update on data_keys for each statement execute function drag()";
    if ms > 0 {
        database.sql(trigger).await;
    }
}

fn under(master: KeyId) -> String {
    format!("select count(*) from data_keys where encode(substring(wrapped from 2 for 16), 'hex') = '{master}'")
}

fn id(key: &str) -> KeyId {
    MasterKey::parse(key).unwrap().id()
}

/// Tenants of whom there is nothing but a data key, each with one value sealed under it.
struct Bulk {
    /// By the row of the data key: whose it is, and the value.
    probes: BTreeMap<Uuid, (TenantId, Sealed)>,
}

/// What each of them sealed.
const PROBE: &[u8] = b"what this tenant sealed before the rotation";

impl Bulk {
    /// Makes this many.
    async fn plant(database: &Database, old: &str, count: usize, seed: u64) -> Self {
        let (ring, entropy) = (Keyring::new(vec![MasterKey::parse(old).unwrap()]), Seeded::new(seed));
        let (mut tenants, mut keys, mut probes) = (String::new(), String::new(), BTreeMap::new());
        for n in 0..count {
            let (id, tenant) = (entropy.uuid(), TenantId::from_uuid(entropy.uuid()));
            let wrapped = ring.wrap_fresh(self::id(old), &entropy, Owner::Tenant(tenant), id).unwrap();
            let data_key = ring.unwrap(Owner::Tenant(tenant), id, &wrapped).unwrap();
            probes.insert(id, (tenant, data_key.seal(&entropy, &place(tenant, id), &Secret::new(PROBE.to_vec()))));
            let (comma, tenant) = (if n == 0 { "" } else { "," }, tenant.uuid());
            write!(tenants, "{comma}('{tenant}','bulk')").unwrap();
            write!(keys, "{comma}('{id}','{tenant}','\\x{}')", hex(&wrapped.to_bytes())).unwrap();
        }
        database.sql(&format!("insert into tenants (id, name) values {tenants}")).await;
        database.sql(&format!("insert into data_keys (id, tenant_id, wrapped) values {keys}")).await;
        Self { probes }
    }

    /// None is lost, and each opens what its tenant sealed, with this master key and no other.
    async fn opens(&self, database: &Database, master: &str) {
        let rows = "select d.id || ' ' || encode(d.wrapped, 'hex')
                    from data_keys d join tenants t on t.id = d.tenant_id where t.name = 'bulk'";
        let ring = Keyring::new(vec![MasterKey::parse(master).unwrap()]);
        let rows = database.texts(rows).await;
        assert_eq!(rows.len(), self.probes.len(), "lost");
        for row in rows {
            let (id, wrapped) = row.split_once(' ').unwrap();
            let (id, wrapped) = (id.parse().unwrap(), Sealed::from_bytes(&unhex(wrapped)).unwrap());
            let (tenant, probe) = &self.probes[&id];
            let data_key = ring.unwrap(Owner::Tenant(*tenant), id, &wrapped).unwrap();
            assert_eq!(data_key.open(&place(*tenant, id), probe).unwrap().expose(), PROBE);
        }
    }
}

fn place(tenant: TenantId, row: Uuid) -> Place<'static> {
    Place { owner: Owner::Tenant(tenant), table: "credentials", column: "sealed", row }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().fold(String::new(), |mut text, byte| {
        write!(text, "{byte:02x}").unwrap();
        text
    })
}

fn unhex(text: &str) -> Vec<u8> {
    (0..text.len()).step_by(2).map(|at| u8::from_str_radix(&text[at..at + 2], 16).unwrap()).collect()
}
