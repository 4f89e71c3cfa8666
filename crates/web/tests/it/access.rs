//! Every route, walked: who is let in and who is not.

use axum::body::Body;
use domain::people::Role;
use http::{Method, Request, StatusCode};
use web::{
    ROUTES,
    guard::Needs,
    routes::{Takes, Verb},
};

use crate::support::{CRON_SECRET, House, ask};

/// The path with an id of an agent in it.
fn at(path: &str, agent: &str) -> String {
    path.replace("{id}", agent).replace("{turn}", "exc_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a").replace("{file}", "berth.css")
}

fn request(route: &web::routes::Route, path: &str, token: &str) -> Request<Body> {
    let request = ask(route.verb.method(), path, token);
    match route.takes {
        Takes::Form(_) => {
            request.header("content-type", "application/x-www-form-urlencoded").body(Body::from("name=x&text=x"))
        }
        _ => request.header("content-type", "application/json").body(Body::from(r#"{"text":"x"}"#)),
    }
    .unwrap()
}

#[tokio::test]
async fn nobody_gets_past_a_guard() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await.to_string();
    for route in ROUTES.iter().filter(|route| route.needs != Needs::Open) {
        for token in ["", "garbage", "berth_pat_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"] {
            let answer = house.send(request(route, &at(route.path, &agent), token)).await;
            let refused = if route.needs == Needs::Stripe { StatusCode::BAD_REQUEST } else { StatusCode::UNAUTHORIZED };
            assert_eq!(answer.status, refused, "{} {token:?}: {}", route.path, answer.text);
            assert!(answer.text.contains("authentication_error") || answer.json()["request_id"].is_string());
        }
    }
}

#[tokio::test]
async fn a_token_of_one_kind_opens_no_door_of_another() {
    let house = House::new().await;
    for route in ROUTES
        .iter()
        .filter(|route| matches!(route.needs, Needs::Cron | Needs::Metrics | Needs::Machine | Needs::ModelKey))
    {
        let answer = house.send(request(route, route.path, &house.alice)).await;
        assert_eq!(answer.status, StatusCode::UNAUTHORIZED, "{}", route.path);
    }
    assert_eq!(house.get(CRON_SECRET, "/api/v1/agents").await.status, StatusCode::UNAUTHORIZED);
}

/// What everybody may do about themselves, whatever their role: their tokens, where they act, and leaving.
const ONES_OWN: &[&str] = &[
    "/settings/tokens",
    "/settings/tokens/{id}/revoke",
    "/factor",
    "/factor/begin",
    "/team/leave",
    "/tenants/{id}/switch",
    "/api/v1/members/leave",
    "/api/v1/tokens",
    "/api/v1/tokens/{id}",
];

#[tokio::test]
async fn a_viewer_reads_and_changes_nothing() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await.to_string();
    house.world.database.sql("update members set role = 'viewer'").await;
    for route in ROUTES {
        let Needs::Member(least) = route.needs else { continue };
        if ONES_OWN.contains(&route.path) && route.verb != Verb::Get {
            continue;
        }
        if route.path.ends_with("/events") {
            continue; // an endless stream; its guard is the same as for the others
        }
        let answer = house.send(request(route, &at(route.path, &agent), &house.alice)).await;
        let is_refused = answer.status == StatusCode::FORBIDDEN;
        assert_eq!(is_refused, least > Role::Viewer, "{} {:?}: {}", route.path, answer.status, answer.text);
        assert!(
            route.verb == Verb::Get || least > Role::Viewer,
            "{} changes something and lets viewers in",
            route.path
        );
    }
}

#[tokio::test]
async fn another_site_cannot_act_with_a_visitors_cookie() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let agent = house.world.new_agent("scout").await.to_string();
    for route in ROUTES.iter().filter(|route| route.verb != Verb::Get) {
        for (name, value) in [("sec-fetch-site", "cross-site"), ("origin", "https://evil.example"), ("origin", "null")]
        {
            let mut request = request(route, &at(route.path, &agent), "");
            request.headers_mut().insert("cookie", cookie.parse().unwrap());
            request.headers_mut().insert(name, value.parse().unwrap());
            request.headers_mut().insert("host", "127.0.0.1:8080".parse().unwrap());
            let answer = house.send(request).await;
            assert_eq!(answer.status, StatusCode::FORBIDDEN, "{} {value}", route.path);
        }
    }
    let (list, mine) =
        (house.page(&cookie, "/dashboard").await, ask(Method::GET, "/api/v1/me", "").header("cookie", &cookie));
    assert_eq!(list.status, StatusCode::OK);
    assert_eq!(house.send(mine.body(Body::empty()).unwrap()).await.json()["email"], "alice@example.org");
}

#[tokio::test]
async fn the_cron_secret_is_never_empty() {
    for unset in [None, Some("")] {
        let house = House::with(unset, "http://127.0.0.1:8080").await;
        for authorization in ["Bearer ", "Bearer", "Bearer undefined", "bearer x"] {
            let request = Request::get("/api/cron/health").header("authorization", authorization);
            let answer = house.send(request.body(Body::empty()).unwrap()).await;
            assert_eq!(answer.status, StatusCode::SERVICE_UNAVAILABLE);
            assert!(answer.json()["detail"].as_str().unwrap().contains("CRON_SECRET"));
        }
    }
    let house = House::new().await;
    for wrong in ["", "x", "cron-secret-marke", "cron-secret-markerr"] {
        assert_eq!(house.get(wrong, "/api/cron/health").await.status, StatusCode::UNAUTHORIZED, "{wrong}");
    }
}

#[tokio::test]
async fn machines_reach_the_machine_routes_only() {
    let house = House::new().await;
    let machines = web::router(house.web.clone(), web::Door::Machines);
    for route in ROUTES {
        let answer = crate::support::send(&machines, request(route, &at(route.path, "agt_x"), &house.alice)).await;
        let is_there = answer.status != StatusCode::NOT_FOUND;
        assert_eq!(is_there, route.door == web::Door::Machines, "{}", route.path);
    }
}
