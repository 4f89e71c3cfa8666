//! The JSON API from creating an agent to its end, and what it says to bad input.

use std::{
    cell::Cell,
    time::{Duration, Instant},
};

use axum::body::Body;
use flows::RunnerOptions;
use http::{Method, StatusCode};
use http_body_util::BodyExt as _;
use tower::ServiceExt as _;

use uuid::Uuid;

use crate::{
    support::{CRON_SECRET, House, ask},
    trips::Wire,
};

/// Runs flows while a request waits. No step is dropped half-way: its lease would outlive it.
pub async fn meanwhile<T>(house: &House, request: impl Future<Output = T>) -> T {
    let waits = Cell::new(true);
    let asked = async {
        let answer = request.await;
        waits.set(false);
        answer
    };
    let work = async {
        while waits.get() {
            flows::run_due(&house.world.flows, &RunnerOptions::default()).await.unwrap();
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::join!(asked, work).0
}

#[tokio::test]
async fn an_agent_is_created_lives_talks_and_goes() {
    let house = House::new().await;
    let created = house.post(&house.alice, "/api/v1/agents", r#"{"name":"scout"}"#).await;
    assert_eq!(created.status, StatusCode::CREATED, "{}", created.text);
    let agent = created.json();
    let path = created.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(path, format!("/api/v1/agents/{}", agent["id"].as_str().unwrap()));
    assert_eq!((&agent["wanted"], &agent["seen"]["state"]), (&"running".into(), &"preparing".into()));
    assert!(agent["machine"].is_null() && agent["proof"].is_null() && agent["seen"]["since"].is_string());

    house.world.run_flows(40).await;
    let agent = house.get(&house.alice, &path).await.json();
    assert_eq!(agent["seen"]["state"], "live", "{agent}");
    assert!(agent["proof"]["ok"] == true && agent["proof"]["latency_ms"].is_number());

    let turns = format!("{path}/turns");
    let said = meanwhile(&house, house.post(&house.alice, &turns, r#"{"text":"are you there?"}"#)).await;
    assert_eq!(said.status, StatusCode::OK, "{}", said.text);
    assert!(said.json()["state"] == "answered" && said.json()["text"].as_str().unwrap().contains("are you there?"));
    let turn = said.headers["location"].to_str().unwrap().to_owned();
    assert_eq!(house.get(&house.alice, &turn).await.json(), said.json());
    assert_eq!(house.get(&house.mallory, &turn).await.status, StatusCode::NOT_FOUND);

    let slow = house.post(&house.alice, &format!("{turns}?wait=0"), r#"{"text":"later"}"#).await;
    assert_eq!((slow.status, slow.json()["state"].as_str()), (StatusCode::ACCEPTED, Some("asked")));

    let logs = meanwhile(&house, house.get(&house.alice, &format!("{path}/logs"))).await;
    assert_eq!(logs.json()["lines"][0]["unit"], "openclaw", "{}", logs.text);

    for (act, wanted) in [("proofs", "running"), ("restart", "running"), ("stop", "stopped"), ("start", "running")] {
        let answer = house.post(&house.alice, &format!("{path}/{act}"), "").await;
        assert_eq!((answer.status, answer.json()["wanted"].as_str()), (StatusCode::ACCEPTED, Some(wanted)), "{act}");
        house.world.run_flows(40).await;
    }
    assert_eq!(house.post(&house.alice, &format!("{path}/retry"), "").await.status, StatusCode::CONFLICT);

    let counts = meanwhile(&house, house.get(CRON_SECRET, "/api/cron/health")).await;
    assert_eq!((counts.status, counts.json()["state"].as_str()), (StatusCode::OK, Some("ended")), "{}", counts.text);

    let gone = house.send(ask(Method::DELETE, &path, &house.alice).body(Body::empty()).unwrap()).await;
    assert_eq!((gone.status, gone.json()["wanted"].as_str()), (StatusCode::ACCEPTED, Some("gone")));
    house.world.run_flows(40).await;
    assert_eq!(house.get(&house.alice, &path).await.status, StatusCode::NOT_FOUND);
    house.world.assert_nothing_left().await;
}

#[tokio::test]
async fn bad_bodies_are_refused_with_a_sentence_that_names_the_field() {
    let house = House::new().await;
    let long = format!(r#"{{"name":"{}"}}"#, "a".repeat(1_000_000));
    let cases = [
        (r#"{"name":5}"#, 422, "`name`"),
        (r#"{"name":null}"#, 422, "`name`"),
        (r#"{"name":["a"]}"#, 422, "`name`"),
        (r#"{"nmae":"a"}"#, 422, "`nmae`"),
        (r#"{"name":"a","wanted":"gone"}"#, 422, "`wanted`"),
        (r#"{"name":"a","name":"b"}"#, 422, "duplicate"),
        ("{}", 422, "`name`"),
        ("", 400, "JSON"),
        ("{", 400, "JSON"),
        (r#"{"name":"Ä"}"#, 422, "lowercase"),
        (r#"{"name":""}"#, 422, "1 to 40"),
        (r#"{"name":"../x"}"#, 422, "lowercase"),
        (&long, 413, "64 KiB"),
    ];
    for (body, status, word) in cases {
        let answer = house.post(&house.alice, "/api/v1/agents", body).await;
        let shown: String = body.chars().take(40).collect();
        assert_eq!(answer.status.as_u16(), status, "{shown}: {}", answer.text);
        assert_eq!(answer.headers["content-type"], "application/problem+json");
        assert!(answer.json()["detail"].as_str().unwrap().contains(word), "{shown}: {}", answer.text);
        assert!(answer.text.len() < 1000);
    }
    let form = ask(Method::POST, "/api/v1/agents", &house.alice).header("content-type", "text/plain");
    assert_eq!(house.send(form.body(Body::from("{}")).unwrap()).await.status.as_u16(), 415);
    for query in ["?limit=x", "?limit=-", "?after=agt_x", "?after=ten_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a"] {
        assert_eq!(house.get(&house.alice, &format!("/api/v1/agents{query}")).await.status.as_u16(), 400, "{query}");
    }
}

#[tokio::test]
async fn a_name_is_taken_once_and_a_key_repeats_the_answer() {
    let house = House::new().await;
    let ask = |key: &'static str, name: &'static str| {
        let request = ask(Method::POST, "/api/v1/agents", &house.alice).header("content-type", "application/json");
        let request = if key.is_empty() { request } else { request.header("idempotency-key", key) };
        house.send(request.body(Body::from(format!(r#"{{"name":"{name}"}}"#))).unwrap())
    };
    let first = ask("k1", "scout").await;
    assert_eq!(first.json()["id"], ask("k1", "scout").await.json()["id"]);
    assert_eq!(ask("k1", "other").await.status, StatusCode::CONFLICT);
    let taken = ask("", "scout").await;
    assert_eq!((taken.status, taken.json()["field"].as_str()), (StatusCode::CONFLICT, Some("name")));
    assert_eq!(ask("a b", "third").await.status, StatusCode::BAD_REQUEST);
}

/// Whoever heard no answer asks again while the first request is still at it.
#[tokio::test]
async fn a_key_that_is_used_twice_at_once_makes_one_agent() {
    let house = House::new().await;
    let mut others = house.world.database.db.tenant(house.world.alice.caller.tenant).await.unwrap();
    store::agents::alone(&mut others).await.unwrap();
    let create = |name: &'static str| {
        let request = ask(Method::POST, "/api/v1/agents", &house.alice).header("content-type", "application/json");
        let request = request.header("idempotency-key", "k1");
        house.send(request.body(Body::from(format!(r#"{{"name":"{name}"}}"#))).unwrap())
    };
    let waiting = "select count(*) from pg_locks where locktype = 'advisory' and not granted
                   and database = (select oid from pg_database where datname = current_database())";
    let all_wait = async {
        let began = Instant::now();
        while house.world.database.count(waiting).await < 3 {
            assert!(began.elapsed() < Duration::from_secs(20), "nobody waits: nothing was tried");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        others.commit().await.unwrap();
    };
    let (one, two, other, ()) = tokio::join!(create("scout"), create("scout"), create("other"), all_wait);
    let mut answers = [one, two, other];
    answers.sort_by_key(|answer| answer.status);
    let said = answers.each_ref().map(|answer| answer.status.as_u16());
    let made = house.get(&house.alice, "/api/v1/agents").await.json();
    let [made] = &made["agents"].as_array().unwrap()[..] else { panic!("one agent: {made}") };
    assert_eq!(answers[0].json()["id"], made["id"], "{said:?}");
    if made["name"] == "scout" {
        assert_eq!((said, &answers[1].json()["id"]), ([201, 201, 409], &made["id"]));
    } else {
        assert_eq!(said, [201, 409, 409]);
    }
    let refused = answers[2].json();
    assert_eq!(refused["type"], "urn:berth:problem:key-reused");
}

#[tokio::test]
async fn a_list_is_paged_by_key() {
    let house = House::new().await;
    for n in 0..5 {
        house.world.new_agent(&format!("agent-{n}")).await;
    }
    let (mut path, mut names) = ("/api/v1/agents?limit=2".to_owned(), Vec::new());
    loop {
        let page = house.get(&house.alice, &path).await.json();
        names.extend(page["agents"].as_array().unwrap().iter().map(|agent| agent["name"].to_string()));
        match page["next"].as_str() {
            Some(next) => path = next.to_owned(),
            None => break,
        }
    }
    assert_eq!(names.len(), 5, "{names:?}");
    assert_eq!(house.get(&house.mallory, "/api/v1/agents").await.text, r#"{"agents":[],"next":null}"#);
}

/// Who asks is remembered from their session, and the list is one statement of its own: nobody waits for the database
/// twice. No more than two is what is promised; nothing is sent after the answer either.
#[tokio::test]
async fn a_list_takes_one_round_trip_to_the_database() {
    let house = House::new().await;
    house.world.new_agent("scout").await;
    let cookies = house.cookies().await;
    let wire = Wire::to(&house.world.database).await;
    let there = house.over(wire.db.clone());
    tokio::spawn({
        let db = wire.db.clone();
        async move { db.carry_signals(Uuid::from_u128(7)).await }
    });
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let before = wire.trips();
        let listed = there.page(&cookies, "/api/v1/agents").await;
        assert_eq!((listed.status, listed.json()["agents"][0]["name"].as_str()), (StatusCode::OK, Some("scout")));
        let trips = wire.trips() - before;
        assert!(trips > 0, "it was read from somewhere else");
        // The first ones look the caller up and prepare; the listener's own questions go over the same wire.
        if trips == 1 {
            break;
        }
        assert!(Instant::now() < deadline, "{trips} round trips");
    }
}

#[tokio::test]
async fn events_replay_follow_and_end_with_the_agent() {
    let house = House::new().await;
    let id = house.world.live_agent("scout").await;
    let path = format!("/api/v1/agents/{id}/events");
    let request = ask(Method::GET, &path, &house.alice).header("last-event-id", "2").body(Body::empty()).unwrap();
    let answer = house.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.headers()["content-type"], "text/event-stream");
    let mut body = answer.into_body();
    let mut text = String::new();
    let mut read = async |text: &mut String, until: &str| {
        while !text.contains(until) {
            let frame = tokio::time::timeout(Duration::from_secs(5), body.frame()).await;
            let Ok(Some(frame)) = frame else { return false };
            text.push_str(&String::from_utf8_lossy(frame.unwrap().data_ref().unwrap()));
        }
        true
    };
    assert!(read(&mut text, "event: proof").await, "{text}");
    assert!(text.starts_with("id: 3\n") || text.contains("\nid: 3\n"), "{text}");
    assert!(!text.contains("id: 2\n"), "{text}");

    house.post(&house.alice, &format!("/api/v1/agents/{id}/proofs"), "").await;
    assert!(read(&mut text, r#""what":"proof""#).await, "the stream follows: {text}");
    house.world.remove(id).await;
    assert!(read(&mut text, "event: gone").await, "{text}");
    assert!(!read(&mut text, "never").await, "the stream ends with the agent");
}

#[tokio::test]
async fn a_stream_ends_when_the_process_stops() {
    let house = House::new().await;
    let id = house.world.new_agent("scout").await;
    let request = ask(Method::GET, &format!("/api/v1/agents/{id}/events"), &house.alice).body(Body::empty()).unwrap();
    let answer = house.router.clone().oneshot(request).await.unwrap();
    house.web.closing.cancel();
    tokio::time::timeout(Duration::from_secs(2), answer.into_body().collect()).await.expect("it ends").unwrap();
}
