//! A process without a usable key: it says why, serves what needs no secret, and refuses the rest in plain words.

use http::Method;
use serde_json::json;
use testkit::{
    Database,
    http_call::{Call, call},
};

use crate::{fleet::Fleet, program::key, secrets::Person};

const SETTING: &str = "CREDENTIAL_ENCRYPTION_KEY";

/// Without a key, with another one, and with the right one for a row that somebody altered. Nothing is harmed by it:
/// with the right key and the right row everything is there again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_usable_key_it_starts_sealed_and_says_why() {
    let right = key();
    let mut fleet = Fleet::with(Database::fresh().await, 1, vec![(SETTING, right.clone())]).await;
    let person = Person::begin(fleet.api.clone()).await;

    fleet.restart_with(&[(SETTING, "")]).await;
    sealed(&fleet, &person, "CREDENTIAL_ENCRYPTION_KEY is not set").await;
    fleet.restart_with(&[(SETTING, &key())]).await;
    sealed(&fleet, &person, "is needed, and it is not among the ones that are set").await;

    let flip =
        "update data_keys set wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1) where tenant_id is null";
    fleet.database.sql(flip).await;
    fleet.restart_with(&[(SETTING, &right)]).await;
    sealed(&fleet, &person, "was altered in the database; the master key is the right one").await;

    fleet.database.sql(flip).await;
    fleet.restart_with(&[(SETTING, &right)]).await;
    let read = person.read().await.unwrap();
    assert!(read.status == 200 && read.json()["text"].is_string(), "{} {}", read.status, read.body);
    assert_eq!(person.set("NAME", "value").await.unwrap().status, 201);
    assert_eq!(get(&fleet, "/ready").await.0, 200);
}

/// Everything that such a process has to do, and that its log says why it is so.
pub(crate) async fn sealed(fleet: &Fleet, person: &Person, why: &str) {
    for (path, status) in [("/health", 200), ("/login", 200), ("/ready", 503), ("/api/v1/agents", 200)] {
        assert_eq!(ask(fleet, person, path).await.0, status, "{path}\n{}", fleet.log());
    }
    assert_eq!(person.list().await.unwrap().status, 200, "what is shown of a credential needs no key");
    let body = Some(json!({"text": "hello"}));
    let said = person.api.once(Method::POST, &format!("/api/v1/agents/{}/turns", person.agent), body, "").await;
    let refused = [person.set("NAME", "value").await.unwrap(), person.read().await.unwrap(), said.unwrap()];
    for answer in refused {
        let problem = answer.json();
        assert_eq!(answer.status, 503, "{}", answer.body);
        assert!(problem["type"].as_str().is_some_and(|word| word.ends_with("sealed")), "{problem}");
    }
    assert!(fleet.log().contains(why), "{why:?} is not in\n{}", fleet.log());
}

async fn get(fleet: &Fleet, path: &str) -> (u16, String) {
    let url = format!("{}{path}", fleet.api.base);
    let asked = Call { method: Method::GET, url, headers: Vec::new(), body: None, patience: crate::fleet::LEASE * 20 };
    let answer = call(asked).await.unwrap();
    (answer.status, answer.body)
}

async fn ask(fleet: &Fleet, person: &Person, path: &str) -> (u16, String) {
    if !path.starts_with("/api/") {
        return get(fleet, path).await;
    }
    let answer = person.api.once(Method::GET, path, None, "").await.unwrap();
    (answer.status, answer.body)
}
