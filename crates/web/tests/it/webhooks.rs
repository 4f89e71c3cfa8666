//! What Stripe sends: kept once as it came, answered once it is kept, and nothing at all of what others send.

use axum::body::Body;
use flows::RunnerOptions;
use http::{Request, StatusCode};
use serde_json::json;
use tokio::{
    io::{AsyncBufReadExt as _, AsyncWriteExt as _, BufReader},
    net::{TcpListener, TcpStream},
};
use tokio_util::sync::CancellationToken;
use vault::stripe::SigningSecret;

use crate::{
    support::{House, STRIPE_SECRET},
    trips::Wire,
};

const PATH: &str = "/webhooks/stripe";

/// The house's clock is thrown with dice: it jumps about within this many seconds. `vault` tries the exact ones.
const DICE: i64 = 66;

fn event(id: &str) -> String {
    let object = json!({ "object": "invoice", "customer": "cus_1" });
    json!({ "id": id, "object": "event", "type": "invoice.paid", "data": { "object": object } }).to_string()
}

/// The moment of the house's own clock, in seconds.
fn now(house: &House) -> i64 {
    house.web.dice.now().timestamp()
}

fn signed(body: &str, at: i64) -> String {
    SigningSecret::parse(STRIPE_SECRET).unwrap().sign(at, body.as_bytes())
}

fn request(body: impl Into<Body>, signature: Option<&str>) -> Request<Body> {
    let mut request = Request::post(PATH).header("content-type", "application/json");
    if let Some(signature) = signature {
        request = request.header("stripe-signature", signature);
    }
    request.body(body.into()).unwrap()
}

async fn kept(house: &House) -> i64 {
    house.world.database.count("select count(*) from events").await
}

#[tokio::test]
async fn what_stripe_signed_is_kept_as_it_came_and_understood_later() {
    let house = House::new().await;
    let body = event("evt_1");
    let answer = house.send(request(body.clone(), Some(&signed(&body, now(&house))))).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let row = "select name || ' ' || kind || ' ' || convert_from(body, 'UTF8') || ' ' || (read_at is null) from events";
    assert_eq!(house.world.database.texts(row).await, [format!("evt_1 invoice.paid {body} true")]);
    house.world.run_flows(5).await;
    let outcome = house.world.database.texts("select outcome from events where read_at is not null").await;
    assert_eq!(outcome, ["no tenant here is that customer"]);
    let flows = "select count(*) from flows where kind = 'event'";
    assert_eq!(house.world.database.count(flows).await, 0, "nothing is left to do");
}

#[tokio::test]
async fn the_same_event_many_times_at_once_is_one() {
    let house = House::new().await;
    let body = event("evt_1");
    let sent = (0..100).map(|_| house.send(request(body.clone(), Some(&signed(&body, now(&house))))));
    for answer in futures::future::join_all(sent).await {
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    }
    let again = event("evt_1").replace("invoice.paid", "invoice.voided");
    let answer = house.send(request(again.clone(), Some(&signed(&again, now(&house))))).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "what it says now is not what was kept, and that stays");
    assert_eq!(kept(&house).await, 1);
    assert_eq!(house.world.database.count("select count(*) from flows where kind = 'event'").await, 1);
    assert_eq!(house.world.database.texts("select kind from events").await, ["invoice.paid"]);
}

/// Ten thousand times over 64 connections to the real listener, while a worker runs.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_thousand_duplicates_on_64_connections_are_one_event_with_one_effect() {
    const CONNECTIONS: usize = 64;
    const TIMES: usize = 10_000;
    let house = House::new().await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let (address, closing) = (listener.local_addr().unwrap(), CancellationToken::new());
    let serving = tokio::spawn(web::serve(listener, house.router.clone(), web::Limits::default(), closing.clone()));
    let working = tokio::spawn(flows::run(house.world.flows.clone(), RunnerOptions::default(), closing.clone()));
    let body = event("evt_1");
    let request = format!(
        "POST {PATH} HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Stripe-Signature: {}\r\n\r\n{body}",
        body.len(),
        signed(&body, now(&house)),
    );
    let lanes = (0..CONNECTIONS).map(|lane| {
        let request = request.clone();
        tokio::spawn(async move {
            let mut stream = BufReader::new(TcpStream::connect(address).await.unwrap());
            for _ in (lane..TIMES).step_by(CONNECTIONS) {
                stream.write_all(request.as_bytes()).await.unwrap();
                let mut line = String::new();
                stream.read_line(&mut line).await.unwrap();
                assert!(line.starts_with("HTTP/1.1 204"), "{line}");
                // An answer without a body ends with its head.
                while line != "\r\n" {
                    line.clear();
                    assert!(stream.read_line(&mut line).await.unwrap() > 0, "the head has no end");
                }
            }
        })
    });
    for lane in futures::future::join_all(lanes).await {
        lane.unwrap();
    }
    let read = "select count(*) from events where read_at is not null";
    while house.world.database.count(read).await == 0 {
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    closing.cancel();
    serving.await.unwrap();
    working.await.unwrap();
    assert_eq!(kept(&house).await, 1);
    assert_eq!(house.world.database.count("select count(*) from flows").await, 0, "its flow ran and ended");
}

#[tokio::test]
async fn what_stripe_did_not_sign_leaves_no_trace() {
    let house = House::new().await;
    let (body, at) = (event("evt_1"), now(&house));
    let good = signed(&body, at);
    let other = SigningSecret::parse("whsec_another0123456789").unwrap().sign(at, body.as_bytes());
    let table = [
        (body.clone(), None),
        (body.clone(), Some(String::new())),
        (body.clone(), Some(good.replace("v1=", "v0="))),
        (body.clone(), Some(other)),
        (body.clone(), Some(signed(&body, at - 300 - DICE))),
        (body.clone(), Some(signed(&body, at + 300 + DICE))),
        (body.replace("cus_1", "cus_2"), Some(good.clone())),
        (format!("{body} "), Some(good.clone())),
    ];
    for (body, signature) in table {
        let answer = house.send(request(body, signature.as_deref())).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{signature:?}: {}", answer.text);
        assert_eq!(answer.json()["type"], "urn:berth:problem:wrong-signature", "{signature:?}");
    }
    assert_eq!(kept(&house).await, 0);
    for fits in [signed(&body, at - 300 + DICE), signed(&body, at + 300 - DICE), format!("{good},v1=00")] {
        let answer = house.send(request(body.clone(), Some(&fits))).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{fits}: {}", answer.text);
    }
}

#[tokio::test]
async fn what_is_signed_and_no_event_is_refused_and_what_nobody_knows_is_kept() {
    let house = House::new().await;
    let deep = "{\"id\":".repeat(100_000);
    for body in ["", "[]", "{}", "{\"id\":7}", "{\"id\":\"sub_1\"}", "{\"id\":\"evt_1\"", &deep] {
        let answer = house.send(request(body.to_owned(), Some(&signed(body, now(&house))))).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}: {}", body.len(), answer.text);
    }
    assert_eq!(kept(&house).await, 0);
    for (at, body) in ["{\"id\":\"evt_a\"}", "{\"id\":\"evt_b\",\"type\":[1],\"data\":7}"].iter().enumerate() {
        let answer = house.send(request((*body).to_owned(), Some(&signed(body, now(&house))))).await;
        assert_eq!(answer.status, StatusCode::NO_CONTENT, "{at}: {}", answer.text);
    }
    house.world.run_flows(10).await;
    let outcomes = house.world.database.texts("select distinct outcome from events").await;
    assert_eq!(outcomes, ["it is about nobody here"]);
}

#[tokio::test]
async fn a_body_beyond_a_mebibyte_is_not_even_hashed() {
    let house = House::new().await;
    let body = format!("{{\"id\":\"evt_1\",\"more\":\"{}\"}}", "x".repeat(1024 * 1024));
    let answer = house.send(request(body.clone(), Some(&signed(&body, now(&house))))).await;
    assert_eq!(answer.status, StatusCode::PAYLOAD_TOO_LARGE, "{}", answer.text);
    assert_eq!(kept(&house).await, 0);
}

#[tokio::test]
async fn where_nobody_bills_nothing_is_taken_for_stripes() {
    let mut house = House::new().await;
    house.mute();
    let body = event("evt_1");
    let answer = house.send(request(body.clone(), Some(&signed(&body, now(&house))))).await;
    assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{}", answer.text);
    assert!(answer.text.contains("STRIPE_WEBHOOK_SECRET is not set"), "{}", answer.text);
}

/// Beside beginning and committing: an event waits for nothing but the disk.
#[tokio::test]
async fn keeping_an_event_is_one_statement() {
    let house = House::new().await;
    let wire = Wire::to(&house.world.database).await;
    let neighbour = house.over(wire.db.clone());
    let body = event("evt_1");
    let signature = signed(&body, now(&house));
    // The first on a connection is also prepared.
    neighbour.send(request(body.clone(), Some(&signature))).await;
    let other = event("evt_2");
    let signature = signed(&other, now(&house));
    let before = wire.trips();
    let answer = neighbour.send(request(other.clone(), Some(&signature))).await;
    assert_eq!(answer.status, StatusCode::NO_CONTENT, "{}", answer.text);
    let trips = wire.trips() - before;
    assert_eq!(trips, 1, "kept by one statement, which is its own transaction");
}
