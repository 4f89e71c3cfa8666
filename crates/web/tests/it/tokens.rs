//! Personal tokens: narrow, shown once, gone at once when they are revoked.

use std::time::Duration;

use axum::body::Body;
use domain::scopes::Scope;
use http::{Method, StatusCode};
use web::{ROUTES, guard::Needs, routes::Verb};

use crate::support::{House, ask};

impl House {
    async fn issued(&self, scopes: &[&str]) -> (String, String) {
        let body = serde_json::json!({ "name": "ci", "scopes": scopes, "days": 7 }).to_string();
        let answer = self.post(&self.alice, "/api/v1/tokens", &body).await;
        assert_eq!(answer.status, StatusCode::CREATED, "{}", answer.text);
        let text = |name: &str| answer.json()[name].as_str().unwrap().to_owned();
        (text("id"), text("token"))
    }
}

/// Every route that a person calls, with a token of each single scope: in exactly where the route's row says so.
#[tokio::test]
async fn a_token_does_what_its_scopes_say_and_no_more() {
    let house = House::new().await;
    house.world.database.sql("update users set is_operator = true").await;
    let nothing = "019aa6b27c1e7d3f9b1a2f6c5d4e3b2a";
    for scope in Scope::EVERY {
        let (_, token) = house.issued(&[scope.name()]).await;
        for route in ROUTES.iter().filter(|route| matches!(route.needs, Needs::Member(_) | Needs::Operator)) {
            if route.path.ends_with("/leave") || route.path.ends_with("/events") {
                continue; // all that leaving changes is this test; a stream does not end
            }
            let path =
                route.path.replace("{id}", &format!("agt_{nothing}")).replace("{turn}", &format!("exc_{nothing}"));
            let request = ask(route.verb.method(), &path, &token).header("content-type", "application/json");
            let answer = house.send(request.body(Body::from("{}")).unwrap()).await;
            if route.path == "/api/v1/export" && scope == Scope::All {
                assert_eq!(answer.status, StatusCode::OK);
            }
            let is_refused = answer.status == StatusCode::FORBIDDEN && answer.text.contains("This token may do");
            let may = scope == Scope::All || scope == route.scope;
            assert_eq!(is_refused, !may, "{} with {}: {} {}", route.path, scope.name(), answer.status, answer.text);
        }
    }
}

/// A row that forgets to say its scope is closed to narrow tokens; these are closed on purpose.
#[test]
fn every_change_names_its_scope() {
    let meant = [
        "/factor",
        "/factor/begin",
        "/team/members/{id}/owner",
        "/team/leave",
        "/credentials",
        "/credentials/{id}/test",
        "/credentials/{id}/remove",
        "/agents/{id}/pairings",
        "/agents/{id}/pairings/approve",
        "/api/v1/credentials",
        "/api/v1/credentials/{id}",
        "/api/v1/credentials/{id}/test",
        "/api/v1/agents/{id}/pairings",
        "/billing/checkout",
        "/billing/portal",
        "/api/v1/billing/checkout",
        "/api/v1/billing/portal",
        "/tenants/{id}/switch",
        "/tenants/{id}/erase",
        "/tenants/{id}/keep",
        "/api/v1/tenants/{id}",
        "/api/v1/tenants/{id}/keep",
        "/api/v1/members/{id}/owner",
        "/api/v1/members/leave",
    ];
    let unnamed = ROUTES.iter().filter(|route| {
        matches!(route.needs, Needs::Member(_) | Needs::Operator)
            && route.verb != Verb::Get
            && route.scope == Scope::All
    });
    let unnamed: Vec<_> = unnamed.map(|route| route.path).filter(|path| !meant.contains(path)).collect();
    assert_eq!(unnamed, Vec::<&str>::new());
    assert!(ROUTES.iter().filter(|route| route.needs == Needs::Operator).all(|route| route.scope == Scope::Operate));
}

#[tokio::test]
async fn a_narrow_token_makes_no_wider_one_and_no_session() {
    let house = House::new().await;
    let (_, narrow) = house.issued(&["tokens:write", "read"]).await;
    for (scopes, expected) in [
        (r#"["read"]"#, StatusCode::CREATED),
        (r#"["read","talk"]"#, StatusCode::FORBIDDEN),
        (r#"["all"]"#, StatusCode::FORBIDDEN),
    ] {
        let answer =
            house.post(&narrow, "/api/v1/tokens", &format!(r#"{{"name":"x","days":1,"scopes":{scopes}}}"#)).await;
        assert_eq!(answer.status, expected, "{scopes}: {}", answer.text);
    }
    let refused = house.form("", "/login", &format!("token={narrow}")).await;
    assert_eq!(refused.status, StatusCode::UNAUTHORIZED);
    assert!(!refused.headers.contains_key("set-cookie"));
}

#[tokio::test]
async fn a_revoked_token_is_out_in_every_process_at_once() {
    let house = House::new().await;
    let other = web::router(house.web.clone(), web::Door::Public);
    let (id, token) = house.issued(&["all"]).await;
    let asks = async || {
        let request = ask(Method::GET, "/api/v1/me", &token).body(Body::empty()).unwrap();
        crate::support::send(&other, request).await.status
    };
    assert_eq!(asks().await, StatusCode::OK);
    let revoke = |by: &str| ask(Method::DELETE, &format!("/api/v1/tokens/{id}"), by).body(Body::empty()).unwrap();
    assert_eq!(house.send(revoke(&house.mallory)).await.status, StatusCode::NOT_FOUND, "nobody else's");
    assert_eq!(house.send(revoke(&house.alice)).await.status, StatusCode::NO_CONTENT);
    assert_eq!(asks().await, StatusCode::UNAUTHORIZED);
    assert_eq!(house.send(revoke(&house.alice)).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_stream_ends_with_its_token() {
    let house = House::new().await;
    let (_, token) = house.issued(&["read"]).await;
    let path = format!("/api/v1/agents/{}/events", house.world.new_agent("scout").await);
    let ending = async {
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.world.database.sql("delete from tokens where name = 'ci'").await;
    };
    let stream = tokio::time::timeout(Duration::from_secs(10), house.get(&token, &path));
    let (answer, ()) = tokio::join!(stream, ending);
    assert_eq!(answer.expect("it ends").status, StatusCode::OK);
}

#[tokio::test]
async fn a_token_is_shown_once_kept_as_a_hash_and_expires() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let page = house.form(&cookie, "/settings/tokens", "name=nightly+%3Cb%3E&days=7&scope=read&scope=talk").await;
    assert_eq!(page.status, StatusCode::OK, "{}", page.text);
    assert_eq!(page.headers["cache-control"], "no-store");
    let mut at = page.text.match_indices("berth_pat_").map(|(at, _)| &page.text[at..at + 53]);
    let token = at.find(|text| vault::Token::parse(vault::TokenKind::Personal, text).is_some()).unwrap().to_owned();
    assert!(!house.page(&cookie, "/settings").await.text.contains(&token), "shown once");
    let rows = house.world.database.texts("select to_jsonb(t)::text from (select * from tokens) t").await.concat();
    assert!(!rows.contains(&token[10..]));
    let listed = house.get(&token, "/api/v1/tokens").await.json();
    assert_eq!(
        (&listed["tokens"][0]["name"], &listed["tokens"][0]["scopes"]),
        (&"nightly <b>".into(), &serde_json::json!(["read", "talk"]))
    );
    house.world.database.move_clock("7 days 1 second").await;
    assert_eq!(house.get(&token, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
}

#[tokio::test]
async fn the_last_use_is_written_once_a_minute() {
    let house = House::new().await;
    let (id, token) = house.issued(&["all"]).await;
    let uuid = id.trim_start_matches("tok_").to_owned();
    let row = async || {
        let asked =
            format!("select xmin::text || ' ' || coalesce(last_used_at::text, '-') from tokens where id = '{uuid}'");
        house.world.database.texts(&asked).await.remove(0)
    };
    let unused = row().await;
    assert!(unused.ends_with('-'));
    house.get(&token, "/api/v1/me").await;
    let used = row().await;
    assert_ne!(used, unused);
    for _ in 0..5 {
        house.get(&token, "/api/v1/me").await;
    }
    assert_eq!(row().await, used, "not again within the minute");
    house.world.database.move_clock("61 seconds").await;
    house.get(&token, "/api/v1/me").await;
    assert_ne!(row().await, used);
}

#[tokio::test]
async fn a_wish_that_cannot_be_comes_back_as_it_was_typed() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    for (body, said) in [
        ("name=&days=7&scope=read", "1 to 60 characters"),
        ("name=x&days=366&scope=read", "1 to 365 days"),
        ("name=x&days=&scope=read", "1 to 365 days"),
        ("name=x&days=7", "Choose what"),
        ("name=x&days=7&scope=root", "Choose what"),
    ] {
        let page = house.form(&cookie, "/settings/tokens", body).await;
        assert!(page.status == StatusCode::UNPROCESSABLE_ENTITY && page.text.contains(said), "{body}: {}", page.text);
    }
}
