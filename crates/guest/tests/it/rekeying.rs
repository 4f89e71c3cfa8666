//! Another machine key: everything kept is sealed anew, and whoever dies in between leaves a machine that starts.

use std::{fs, os::unix::fs::MetadataExt as _, path::Path, process::Command};

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{
    MachineId,
    protocol::{Ask, Refusal, Reply, SecretText, delivered},
};
use guest::{
    machine_key::{self, Point},
    sealed::{Bundle, Store},
};
use serde_json::json;
use zeroize::Zeroizing;

use crate::world::{MACHINE, World, key, secrets, token};

const ROOT: &str = "REKEY_TEST_ROOT";
const DIES_AT: &str = "REKEY_TEST_DIES_AT";
const NEW: [u8; 32] = *b"0123456789abcdef0123456789abcdef";
const OTHER: [u8; 32] = *b"another-key-of-the-machine-32-by";

fn machine() -> MachineId {
    MACHINE.parse().unwrap()
}

async fn rekey(world: &World, key: &[u8]) -> Result<Reply, Refusal> {
    rekey_at(world, 9, key).await
}

async fn rekey_at(world: &World, fence: u64, key: &[u8]) -> Result<Reply, Refusal> {
    world.ask(Ask::Rekey { fence, key: SecretText::new(STANDARD.encode(key)) }).await
}

#[tokio::test]
async fn everything_kept_is_sealed_under_the_new_key_and_the_old_one_opens_nothing() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    let old = fs::read(&world.paths.machine_key).unwrap();
    let sealed = fs::read(world.paths.sealed.join("current")).unwrap();
    let Ok(Reply::Rekeyed(done)) = rekey(&world, &NEW).await else { panic!("not rekeyed") };
    assert_eq!(done.key, vault::MasterKey::from_bytes(NEW).id().to_string());
    assert_eq!(done.secrets_digest, Some(vault::digest(&delivered(&secrets("m"), &[])).to_string()));
    assert_eq!(fs::read(&world.paths.machine_key).unwrap(), NEW);
    assert_eq!(fs::symlink_metadata(&world.paths.machine_key).unwrap().mode() & 0o7777, 0o400);
    let names = fs::read_dir(world.paths.machine_key.parent().unwrap()).unwrap().count();
    assert_eq!(names, 2, "guest.json and one key");
    assert_ne!(fs::read(world.paths.sealed.join("current")).unwrap(), sealed);
    assert_eq!(rekey(&world, &NEW).await.map(|_| ()), Ok(()), "a repetition is success");
    // The machine goes on, and starts.
    assert_eq!(world.turn("hi").await.unwrap(), "you said hi");
    world.ask(Ask::Restart).await.unwrap();
    assert!(world.apply(1, "m").await.unwrap().applied);
    assert_eq!(world.gateway.runs(), ("berth/m".into(), token("m"), key("m")));
    fs::remove_file(&world.paths.machine_key).unwrap();
    fs::write(&world.paths.machine_key, old).unwrap();
    assert!(Store::open(&world.paths, machine()).unwrap().current().is_err());
}

#[tokio::test]
async fn no_key_is_taken_that_is_none_and_none_while_something_does_not_open() {
    let world = World::new().await;
    world.apply(1, "m").await.unwrap();
    for bad in ["", "AAAA", "not base64!", &STANDARD.encode([0; 32]), &STANDARD.encode([7; 31])] {
        let refused = world.ask(Ask::Rekey { fence: 9, key: SecretText::new((*bad).to_owned()) }).await;
        assert!(matches!(refused, Err(Refusal::Malformed { .. })), "{bad:?}: {refused:?}");
    }
    let old = fs::read(&world.paths.machine_key).unwrap();
    fs::write(world.paths.sealed.join("current"), "damaged").unwrap();
    assert!(matches!(rekey(&world, &NEW).await, Err(Refusal::Broken { .. })));
    assert_eq!(fs::read(&world.paths.machine_key).unwrap(), old);
}

/// A request that was on its way while a later configuration came changes nothing any more.
#[tokio::test]
async fn a_key_that_comes_after_a_later_configuration_is_refused() {
    let world = World::new().await;
    world.apply(3, "m").await.unwrap();
    rekey_at(&world, 3, &NEW).await.unwrap();
    assert_eq!(rekey_at(&world, 2, &OTHER).await.unwrap_err(), Refusal::Fenced { fence: 2, applied: 3 });
    let begun = Bundle {
        fence: 5,
        document: json!({}),
        secrets: secrets("begun"),
        instructions: None,
        variables: vec![],
        reach: vec![],
        former_tokens: vec![],
    };
    Store::open(&world.paths, machine()).unwrap().begin(&begun).unwrap();
    assert_eq!(rekey_at(&world, 4, &OTHER).await.unwrap_err(), Refusal::Fenced { fence: 4, applied: 5 });
    assert_eq!(fs::read(&world.paths.machine_key).unwrap(), NEW);
    rekey_at(&world, 5, &OTHER).await.unwrap();
    assert_eq!(fs::read(&world.paths.machine_key).unwrap(), OTHER);
}

/// Dies by a signal between every two steps; then the machine opens what it kept, and either key that comes next is taken.
#[tokio::test]
async fn a_machine_that_dies_between_any_two_steps_opens_what_it_kept() {
    for point in Point::ALL {
        for then in [NEW, OTHER] {
            let world = World::new().await;
            world.apply(1, "m").await.unwrap();
            let begun = |fence| Bundle {
                fence,
                document: json!({}),
                secrets: secrets("begun"),
                instructions: None,
                variables: vec![],
                reach: vec![],
                former_tokens: vec![],
            };
            Store::open(&world.paths, machine()).unwrap().begin(&begun(2)).unwrap();
            dies(world.root(), point);
            let left = Store::open(&world.paths, machine()).unwrap();
            assert_eq!(left.current().unwrap().unwrap().fence, 1, "{point:?}");
            assert_eq!(left.next().unwrap().fence, 2, "{point:?}");
            guest::unseal::unseal(&world.paths).unwrap();
            assert_eq!(fs::read_to_string(world.paths.secrets.join("gateway_token")).unwrap(), token("m"), "{point:?}");
            // What is kept now is kept under a key that stays.
            left.begin(&begun(3)).unwrap();
            let Ok(Reply::Rekeyed(done)) = rekey(&world, &then).await else { panic!("not rekeyed after {point:?}") };
            assert_eq!(done.key, vault::MasterKey::from_bytes(then).id().to_string());
            let healed = Store::open(&world.paths, machine()).unwrap();
            assert_eq!((healed.current().unwrap().unwrap().fence, healed.next().unwrap().fence), (1, 3), "{point:?}");
            assert_eq!(fs::read_dir(world.paths.machine_key.parent().unwrap()).unwrap().count(), 2, "{point:?}");
        }
    }
}

fn dies(root: &Path, point: Point) {
    let status = Command::new(std::env::current_exe().unwrap())
        .args(["--exact", "rekeying::a_change_that_dies", "--ignored", "--nocapture"])
        .env(ROOT, root)
        .env(DIES_AT, format!("{point:?}"))
        .output()
        .unwrap()
        .status;
    assert_eq!(status.code(), None, "it did not die of a signal: {status}");
}

#[test]
#[ignore = "no test: another one starts it as a process that dies"]
fn a_change_that_dies() {
    let (Some(root), Some(point)) = (std::env::var_os(ROOT), std::env::var_os(DIES_AT)) else { return };
    let paths = crate::world::paths(Path::new(&root), ([127, 0, 0, 1], 9).into());
    let key = Zeroizing::new(NEW);
    machine_key::change(&paths, machine(), &key, &mut |at| {
        if point == *format!("{at:?}") {
            std::process::abort();
        }
    })
    .unwrap();
}
