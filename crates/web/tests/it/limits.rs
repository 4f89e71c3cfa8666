//! How often one may ask, as callers meet it.

use std::{net::SocketAddr, sync::Arc};

use axum::{Router, body::Body};
use http::{Method, Request, StatusCode, header};
use tower::ServiceExt as _;
use url::Url;
use vault::{Token, TokenKind, stripe::SigningSecret};
use web::{Door, Pace, Site, Web, listener::Peer};

use crate::{
    support::{Answer, House, STRIPE_SECRET, ask, send},
    trips::Wire,
};

const ADA: &str = "192.0.2.7";
const EVE: &str = "203.0.113.9";

/// The house behind another site: another pace, other proxies.
fn router(house: &House, per_minute: u32, proxies: &str) -> Router {
    let ready: web::Ready = Arc::new(|| Box::pin(async { Ok(()) }));
    let mut site = Site::new(Url::parse("http://127.0.0.1:8080").unwrap(), None, None, ready);
    site.pace = Pace::per_minute(per_minute);
    site.proxies = proxies.parse().unwrap();
    site.stripe = vec![SigningSecret::parse(STRIPE_SECRET).unwrap()];
    web::router(Web { site: Arc::new(site), ..house.web.clone() }, Door::Public)
}

fn from(peer: &str, mut request: Request<Body>) -> Request<Body> {
    let address: SocketAddr =
        format!("{}:4711", if peer.contains(':') { format!("[{peer}]") } else { peer.to_owned() }).parse().unwrap();
    request.extensions_mut().insert(Peer(address));
    request
}

/// Stops the database's clock, so many seconds from now: what a limit gives back meanwhile would blur the counts.
async fn stop_clock(house: &House, ahead: u32) {
    let now = house.world.database.texts("select berth.now()::text").await.remove(0);
    let still = format!(
        "create or replace function berth.now() returns timestamptz language sql stable parallel safe \
         set search_path = pg_catalog as $$ select timestamptz '{now}' + interval '{ahead} seconds' $$"
    );
    house.world.database.sql(&still).await;
}

async fn get(router: &Router, peer: &str, token: &str, path: &str) -> Answer {
    send(router, from(peer, ask(Method::GET, path, token).body(Body::empty()).unwrap())).await
}

fn wait_of(answer: &Answer) -> u32 {
    assert_eq!(answer.status, StatusCode::TOO_MANY_REQUESTS, "{}", answer.text);
    answer.headers[header::RETRY_AFTER].to_str().unwrap().parse().unwrap()
}

#[tokio::test]
async fn wrong_tokens_run_into_a_limit_and_right_ones_beside_them_do_not() {
    let house = House::new().await;
    stop_clock(&house, 0).await;
    let router = router(&house, 0, "");
    let wrong = |kind| Token::mint(&*house.web.dice.0, kind).expose().to_owned();
    for number in 0..30 {
        let path = ["/api/v1/me", "/llm/v1/messages", "/dashboard"][number % 3];
        let kind = [TokenKind::Personal, TokenKind::Model, TokenKind::Personal][number % 3];
        let method = if number % 3 == 1 { Method::POST } else { Method::GET };
        let request = ask(method, path, &wrong(kind)).body(Body::empty()).unwrap();
        assert_eq!(send(&router, from(EVE, request)).await.status, StatusCode::UNAUTHORIZED, "{number}");
    }
    let refused = get(&router, EVE, &wrong(TokenKind::Personal), "/api/v1/me").await;
    assert!((1..=10).contains(&wait_of(&refused)));
    assert_eq!(refused.headers[header::CONTENT_TYPE], "application/problem+json");
    let body = refused.json();
    assert_eq!((&body["type"], &body["status"]), (&"urn:berth:problem:too-many".into(), &429.into()));
    // The rightful owner, from the same address; somebody else's mistake, from another.
    assert_eq!(get(&router, EVE, &house.alice, "/api/v1/me").await.status, StatusCode::OK);
    assert_eq!(get(&router, ADA, &wrong(TokenKind::Personal), "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    // Another process on the same database knows.
    let other = self::router(&house, 0, "");
    wait_of(&get(&other, EVE, &wrong(TokenKind::Personal), "/api/v1/me").await);
    // And it passes, when it says so.
    stop_clock(&house, 10).await;
    assert_eq!(get(&router, EVE, &wrong(TokenKind::Personal), "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
}

/// A webhook that nobody signed is cheap to refuse, and after some of them not even looked at; what Stripe signed comes
/// through all the same, from whatever address.
#[tokio::test]
async fn what_nobody_signed_runs_into_a_limit_and_what_stripe_signed_never_does() {
    const ID: &str = "019aa6b2-7c1e-7d3f-9b1a-0000000015ab";
    let house = House::new().await;
    stop_clock(&house, 0).await;
    let router = router(&house, 0, "");
    let body = r#"{"id":"evt_1","type":"invoice.paid"}"#;
    let deliver = async |peer: &'static str, secret: &str| {
        let signature = SigningSecret::parse(secret).unwrap().sign(house.web.dice.now().timestamp(), body.as_bytes());
        let request = ask(Method::POST, "/webhooks/stripe", "").header("content-type", "application/json");
        let request = request.header("stripe-signature", signature).header("x-request-id", ID);
        send(&router, from(peer, request.body(Body::from(body)).unwrap())).await
    };
    let forged = "whsec_another0123456789";
    for number in 0..30 {
        assert_eq!(deliver(EVE, forged).await.status, StatusCode::BAD_REQUEST, "{number}");
    }
    for _ in 0..20 {
        assert!(wait_of(&deliver(EVE, forged).await) >= 1);
    }
    assert_eq!(deliver(ADA, forged).await.status, StatusCode::BAD_REQUEST);
    assert_eq!(house.world.database.count("select count(*) from events").await, 0);
    for _ in 0..100 {
        assert_eq!(deliver(EVE, STRIPE_SECRET).await.status, StatusCode::NO_CONTENT);
    }
    assert_eq!(house.world.database.count("select count(*) from events").await, 1);
    // Each that was refused is told in the log.
    let log = crate::logs::text();
    let told = log.lines().filter(|line| line.contains(ID) && line.contains("a webhook in Stripe's name was refused"));
    assert_eq!(told.count(), 51);
}

#[tokio::test]
async fn a_made_up_forwarded_for_changes_nothing() {
    let house = House::new().await;
    let (plain, proxied) = (router(&house, 0, ""), router(&house, 0, "10.0.0.0/8"));
    let try_one = |router: &Router, peer: &'static str, told: String| {
        let router = router.clone();
        let token = Token::mint(&*house.web.dice.0, TokenKind::Personal).expose().to_owned();
        async move {
            let request = ask(Method::GET, "/api/v1/me", &token).header("x-forwarded-for", told);
            let request = request.header("forwarded", "for=198.51.100.1").header("x-real-ip", "198.51.100.2");
            send(&router, from(peer, request.body(Body::empty()).unwrap())).await.status
        }
    };
    let (mut refused, mut refused_behind) = (0, 0);
    for number in 0..1000_u32 {
        let made_up = format!("198.51.{}.{}", number / 250, number % 250);
        refused += u32::from(try_one(&plain, EVE, made_up.clone()).await == StatusCode::TOO_MANY_REQUESTS);
        // Behind our proxy: the made-up part stands before what the proxy saw.
        let told = format!("{made_up}, {ADA}");
        refused_behind += u32::from(try_one(&proxied, "10.0.0.5", told).await == StatusCode::TOO_MANY_REQUESTS);
    }
    assert!(refused > 900 && refused_behind > 900, "{refused} {refused_behind}");
    // Whom our proxy names is who counts.
    assert_eq!(try_one(&proxied, "10.0.0.5", "198.51.100.77".to_owned()).await, StatusCode::UNAUTHORIZED);
}

/// One customer's /64 is one source, however many addresses it has.
#[tokio::test]
async fn a_whole_64_is_one_source() {
    let house = House::new().await;
    stop_clock(&house, 0).await;
    let router = router(&house, 0, "");
    let mut last = StatusCode::OK;
    for number in 0..32 {
        let token = Token::mint(&*house.web.dice.0, TokenKind::Personal).expose().to_owned();
        last = get(&router, &format!("2001:db8:1:2:{number:x}::1"), &token, "/api/v1/me").await.status;
    }
    assert_eq!(last, StatusCode::TOO_MANY_REQUESTS);
    let token = Token::mint(&*house.web.dice.0, TokenKind::Personal).expose().to_owned();
    assert_eq!(get(&router, "2001:db8:1:3::1", &token, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn wrong_links_run_into_a_limit_and_the_page_says_so() {
    let house = House::new().await;
    stop_clock(&house, 0).await;
    let router = router(&house, 0, "");
    let post = |path: &'static str, fields: String| {
        let request = Request::post(path).header("accept", "text/html").header("sec-fetch-site", "same-origin");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        let (router, request) = (router.clone(), from(EVE, request.body(Body::from(fields)).unwrap()));
        async move { send(&router, request).await }
    };
    let link = || Token::mint(&*house.web.dice.0, TokenKind::Link).expose().to_owned();
    for _ in 0..5 {
        assert_eq!(post("/login", format!("link={}", link())).await.status, StatusCode::UNAUTHORIZED);
        let set_up = format!("link={}&email=eve@evil.example&tenant=x", link());
        assert_eq!(post("/setup", set_up).await.status, StatusCode::GONE);
    }
    let refused = post("/login", format!("link={}", link())).await;
    assert!((1..=30).contains(&wait_of(&refused)));
    assert!(refused.text.contains("<!doctype html") && refused.text.contains("too often"), "{}", refused.text);
    wait_of(&get(&router, EVE, "", &format!("/setup?link={}", link())).await);
    // A good token still signs in from there.
    assert_eq!(post("/login", format!("token={}", house.alice)).await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn ordinary_requests_are_counted_for_each_account_and_each_source() {
    let house = House::new().await;
    let router = router(&house, 12, "");
    for _ in 0..3 {
        assert_eq!(get(&router, ADA, &house.alice, "/api/v1/me").await.status, StatusCode::OK);
    }
    let wait = wait_of(&get(&router, ADA, &house.alice, "/api/v1/agents").await);
    assert!((1..=5).contains(&wait), "{wait}");
    // Another address is the same account; another account is not; changing is counted apart from reading.
    wait_of(&get(&router, EVE, &house.alice, "/api/v1/me").await);
    assert_eq!(get(&router, ADA, &house.mallory, "/api/v1/me").await.status, StatusCode::OK);
    let create = |name: &str| {
        let request = ask(Method::POST, "/api/v1/agents", &house.alice).header("content-type", "application/json");
        from(ADA, request.body(Body::from(format!(r#"{{"name":"{name}"}}"#))).unwrap())
    };
    assert_eq!(send(&router, create("a")).await.status, StatusCode::CREATED);
    wait_of(&send(&router, create("b")).await);
    // Waiting as told is enough.
    tokio::time::sleep(std::time::Duration::from_secs(wait.into())).await;
    assert_eq!(get(&router, ADA, &house.alice, "/api/v1/me").await.status, StatusCode::OK);
    // A source that shows nothing at all gets four times as much, and the watchman is never counted.
    let mut open = 0;
    for _ in 0..60 {
        open += u32::from(get(&router, "198.51.100.1", "", "/login").await.status == StatusCode::OK);
    }
    assert!((12..=40).contains(&open), "{open}");
    assert_eq!(get(&router, "198.51.100.1", "", "/health").await.status, StatusCode::OK);
    assert_eq!(get(&router, "198.51.100.1", "", "/assets/berth.css").await.status, StatusCode::OK);
}

/// What is no token at all costs no query, however often it comes.
#[tokio::test]
async fn ten_thousand_malformed_tokens_ask_the_database_nothing() {
    let house = House::new().await;
    let wire = Wire::to(&house.world.database).await;
    let ready: web::Ready = Arc::new(|| Box::pin(async { Ok(()) }));
    let mut site = Site::new(Url::parse("http://127.0.0.1:8080").unwrap(), None, None, ready);
    site.pace = Pace::per_minute(0);
    let router = web::router(Web { db: wire.db.clone(), site: Arc::new(site), ..house.web.clone() }, Door::Public);
    assert_eq!(get(&router, EVE, &house.alice, "/api/v1/me").await.status, StatusCode::OK);
    let before = wire.trips();
    assert!(before > 0, "the wire counts nothing");
    let good = house.alice.as_str();
    let bad = [
        String::new(),
        "x".to_owned(),
        "berth_pat_".to_owned(),
        good[..good.len() - 1].to_owned(),
        format!("{good}A"),
        good.replace("berth_pat_", "berth_xxx_"),
        good.replace("berth_pat_", "BERTH_PAT_"),
        format!("{}!", &good[..good.len() - 1]),
        "berth_pat_".to_owned() + &"A".repeat(4000),
        "eyJhbGciOiJub25lIn0.eyJzdWIiOiJ1c3JfMSJ9.".to_owned(),
        "' or 1=1 --".to_owned(),
        "%00".to_owned(),
    ];
    let paths = ["/api/v1/me", "/api/v1/agents", "/dashboard", "/api/admin/v1/stats", "/api/internal/machine/events"];
    for number in 0..10_000_usize {
        let (path, text) = (paths[number % paths.len()], &bad[(number / 4) % bad.len()]);
        let request = Request::builder().uri(path);
        let request = match number % 4 {
            0 => request.header("authorization", format!("Bearer {text}")),
            1 => request.header("authorization", format!("Basic {text}")),
            2 => request.header("cookie", format!("berth_session={text}")),
            _ => request.header("authorization", text),
        };
        let request = if path.contains("internal") { request.method(Method::POST) } else { request };
        let response = router.clone().oneshot(from(EVE, request.body(Body::empty()).unwrap())).await.unwrap();
        assert_eq!(response.status(), StatusCode::UNAUTHORIZED, "{path} {text:?}");
    }
    assert_eq!(wire.trips(), before);
}

/// Codes are tried, and mails caused, only so often; a neighbour is not held up by it.
#[tokio::test]
async fn codes_and_mails_run_into_limits_of_their_own() {
    let house = House::new().await;
    stop_clock(&house, 0).await;
    let router = router(&house, 0, "");
    let post = |peer: &'static str, path: &'static str, body: &'static str| {
        let router = router.clone();
        async move {
            let request = ask(Method::POST, path, "").header(header::CONTENT_TYPE, "application/json");
            send(&router, from(peer, request.body(Body::from(body)).unwrap())).await
        }
    };
    let code = r#"{"code":"AAAA-BBBB-CCCC"}"#;
    for number in 0..10 {
        assert_eq!(post(EVE, "/api/v1/invites/validate", code).await.status, StatusCode::OK, "{number}");
    }
    assert!((1..=60).contains(&wait_of(&post(EVE, "/api/v1/invites/validate", code).await)));
    assert_eq!(post(ADA, "/api/v1/invites/validate", code).await.status, StatusCode::OK);

    let (grace, other) = (r#"{"email":"grace@harbour.example"}"#, r#"{"email":"alan@harbour.example"}"#);
    for number in 0..3 {
        assert_eq!(post(EVE, "/api/v1/waitlist", grace).await.status, StatusCode::ACCEPTED, "{number}");
    }
    assert!((1..=600).contains(&wait_of(&post(EVE, "/api/v1/waitlist", grace).await)));
    assert_eq!(post(EVE, "/api/v1/waitlist", other).await.status, StatusCode::ACCEPTED);
    assert_eq!(post(ADA, "/api/v1/waitlist", grace).await.status, StatusCode::ACCEPTED);
}
