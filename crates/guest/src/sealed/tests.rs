use std::{fs, net::SocketAddr};

use uuid::Uuid;

use super::*;

fn bundle(fence: u64, token: &str) -> Bundle {
    Bundle {
        fence,
        document: serde_json::json!({ "fence": fence }),
        secrets: vec![SecretFile { name: GATEWAY_TOKEN.into(), value: SecretText::new(token.into()) }],
        instructions: None,
        variables: vec![],
        reach: vec![],
        former_tokens: vec![],
    }
}

fn store(root: &Path, machine: u128) -> Store {
    let owner = crate::accounts::Owner { uid: 0, gid: 0 };
    let paths = Paths::below(root, SocketAddr::from(([127, 0, 0, 1], 1)), owner);
    fs::create_dir_all(root.join("etc")).unwrap();
    fs::create_dir_all(root.join("state")).unwrap();
    fs::write(&paths.machine_key, [7; 32]).unwrap();
    Store::open(&paths, MachineId::from_uuid(Uuid::from_u128(machine))).unwrap()
}

#[test]
fn what_was_begun_becomes_current_in_one_rename() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1);
    assert!(store.current().unwrap().is_none());
    store.put_current(&bundle(0, "old")).unwrap();
    store.begin(&bundle(1, "new")).unwrap();
    assert_eq!((store.current().unwrap().unwrap().fence, store.next().unwrap().fence), (0, 1));
    store.take_next().unwrap();
    assert_eq!(store.current().unwrap().unwrap().secret(GATEWAY_TOKEN).unwrap().expose(), "new");
    assert!(store.next().is_none());
}

#[test]
fn nothing_is_readable_at_rest_or_on_another_machine() {
    let dir = tempfile::tempdir().unwrap();
    let here = store(dir.path(), 1);
    here.put_current(&bundle(1, "marker-of-a-secret")).unwrap();
    let bytes = fs::read(dir.path().join("state/sealed/current")).unwrap();
    assert!(!bytes.windows(6).any(|part| part == b"marker"));
    assert!(store(dir.path(), 2).current().is_err());
    assert!(!format!("{:?}", bundle(1, "marker-of-a-secret")).contains("marker"));
}

#[test]
fn a_damaged_slot_is_loud_for_current_and_passed_over_for_next() {
    let dir = tempfile::tempdir().unwrap();
    let store = store(dir.path(), 1);
    store.put_current(&bundle(1, "a")).unwrap();
    store.begin(&bundle(2, "b")).unwrap();
    for slot in [CURRENT, NEXT] {
        fs::write(dir.path().join("state/sealed").join(slot), b"not an envelope").unwrap();
    }
    assert!(store.current().is_err());
    assert!(store.next().is_none());
}

#[test]
fn tokens_that_may_be_in_force_are_remembered_once_and_bounded() {
    let (mut newest, mut middle, oldest) = (bundle(3, "c"), bundle(2, "b"), bundle(1, "a"));
    middle.remember_tokens(&[&oldest]);
    newest.remember_tokens(&[&oldest, &middle]);
    let tokens: Vec<&str> = newest.former_tokens.iter().map(SecretText::expose).collect();
    assert_eq!(tokens, ["a", "b"]);
}

#[test]
fn a_lock_that_is_held_is_waited_for_and_then_given_up() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join("lock");
    let held = Store::lock(&path, Duration::ZERO).unwrap();
    assert!(Store::lock(&path, Duration::from_millis(30)).is_err());
    drop(held);
    Store::lock(&path, Duration::ZERO).unwrap();
}
