//! Every answer, whatever its status: protected, silent about the house's secrets and about how Berth works inside.

use std::{collections::BTreeMap, sync::Arc};

use axum::body::Body;
use http::{HeaderMap, Method, Request, StatusCode, header};
use web::{
    ROUTES, Ready,
    guard::Needs,
    routes::{Gives, Route, Takes},
};

use super::insides;
use crate::{
    gate::{Gate, bodies::body},
    support::{Answer, CRON_SECRET, House, METRICS_TOKEN, ask},
};

/// One answer of every status that Berth gives, over https.
async fn one_of_each() -> BTreeMap<u16, Answer> {
    let panics: Ready = Arc::new(|| Box::pin(async { panic!("the insides") }));
    let house = House::ready(None, "https://berth.example", panics).await;
    let agent = house.world.new_agent("scout").await;
    let post = |path: &str, kind: &str, body: String| {
        let request = ask(Method::POST, path, &house.alice).header("content-type", kind);
        house.send(request.body(Body::from(body)).unwrap())
    };
    let json = "application/json";
    let mut answers = vec![
        house.page("", "/login").await,
        house.page("", "/dashboard").await,
        house.get("", "/api/v1/agents").await,
        house.get(&house.alice, "/nothing").await,
        house.get(&house.alice, "/ready").await,
        house.get(&house.alice, "/metrics").await,
        house.get(&house.alice, "/assets/berth.css").await,
        post("/health", json, String::new()).await,
        post("/api/v1/agents", json, r#"{"name":"second"}"#.to_owned()).await,
        post("/api/v1/agents", json, "{".to_owned()).await,
        post("/api/v1/agents", json, r#"{"name":"scout"}"#.to_owned()).await,
        post("/api/v1/agents", json, r#"{"name":"A"}"#.to_owned()).await,
        post("/api/v1/agents", json, "x".repeat(70_000)).await,
        post("/api/v1/agents", "text/plain", "{}".to_owned()).await,
        post(&format!("/api/v1/agents/{agent}/stop"), json, String::new()).await,
    ];
    house.world.database.sql("update members set role = 'viewer'").await;
    answers.push(post("/api/v1/agents", json, r#"{"name":"third"}"#.to_owned()).await);
    house.web.db.close().await;
    answers.push(house.get(&house.alice, "/api/v1/agents").await);
    answers.into_iter().map(|answer| (answer.status.as_u16(), answer)).collect()
}

fn value<'a>(headers: &'a HeaderMap, name: &str) -> Option<&'a str> {
    let mut all = headers.get_all(name).iter();
    let first = all.next().and_then(|value| value.to_str().ok());
    assert!(all.next().is_none(), "{name} stands there twice");
    first
}

#[tokio::test]
async fn an_answer_of_any_status_has_the_headers_and_does_not_name_its_server() {
    let answers = one_of_each().await;
    let statuses: Vec<u16> = answers.keys().copied().collect();
    assert_eq!(statuses, [200, 201, 202, 303, 400, 401, 403, 404, 405, 409, 413, 415, 422, 500, 503]);
    for (status, Answer { headers, .. }) in &answers {
        for (name, wanted) in [
            ("strict-transport-security", "max-age=63072000"),
            ("x-content-type-options", "nosniff"),
            ("x-frame-options", "DENY"),
            ("referrer-policy", "same-origin"),
            ("cross-origin-opener-policy", "same-origin"),
            ("cross-origin-resource-policy", "same-origin"),
        ] {
            assert_eq!(value(headers, name), Some(wanted), "{status} {name}");
        }
        for telling in ["server", "x-powered-by", "via", "x-aspnet-version"] {
            assert_eq!(value(headers, telling), None, "{status} {telling}");
        }
    }
    let plain = House::new().await.page("", "/login").await;
    assert_eq!(value(&plain.headers, "strict-transport-security"), None, "plain http on loopback promises no TLS");
}

/// TLS-15: nothing inline and nothing from elsewhere, and no page that would need either.
#[tokio::test]
async fn every_page_runs_our_scripts_only() {
    let gate = Gate::new().await;
    let pages: Vec<_> = gate.read_by(&["nobody", "owner", "operator"]).await;
    let pages: Vec<_> = pages.iter().filter(|(_, text)| text.contains("<!doctype html")).collect();
    assert!(pages.len() > 30, "{}", pages.len());
    for (what, text) in pages {
        if what.contains("/admin/letters/") {
            // A mail as a mail program shows it: dressed, and in a sandbox where nothing runs. It has a test of its own.
            continue;
        }
        let policy = text.split("content-security-policy\": \"").nth(1).and_then(|rest| rest.split('"').next());
        let policy: BTreeMap<&str, &str> =
            policy.unwrap_or_default().split(';').filter_map(|part| part.trim().split_once(' ')).collect();
        assert_eq!((policy.get("default-src"), policy.get("base-uri")), (Some(&"'none'"), Some(&"'none'")), "{what}");
        assert_eq!((policy.get("frame-ancestors"), policy.get("form-action")), (Some(&"'none'"), Some(&"'self'")));
        assert_eq!((policy.get("script-src"), policy.get("object-src")), (Some(&"'self'"), None), "{what}");
        assert!(policy.values().all(|sources| matches!(*sources, "'none'" | "'self'")), "{what}: {policy:?}");
        for script in text.split("<script").skip(1) {
            assert!(script.starts_with(" src=\"/assets/"), "{what}: {}", &script[..40.min(script.len())]);
        }
        for inline in [" style=\"", "<style", " onclick=", " onload=", " onsubmit=", " onerror=", "javascript:"] {
            assert!(!text.contains(inline), "{what}: {inline}");
        }
    }
}

/// TLS-14: no other site's page may read an answer, whatever it calls itself.
#[tokio::test]
async fn no_origin_is_let_read_an_answer() {
    let house = House::with(None, "https://berth.example").await;
    let cookie = house.cookie().await;
    let origins = [
        "https://evil.example",
        "null",
        "https://berth.example.evil.example",
        "https://sub.berth.example",
        "http://berth.example",
        "https://berth.example",
    ];
    for route in ROUTES {
        let path = route.path.replace(['{', '}'], "");
        for origin in origins {
            for method in [Method::OPTIONS, Method::HEAD] {
                let request = Request::builder().method(&method).uri(&path).header("origin", origin);
                let request = request.header("cookie", &cookie).header("access-control-request-method", "POST");
                let request = request.header("access-control-request-headers", "authorization");
                let answer = house.send(request.body(Body::empty()).unwrap()).await;
                let granted = answer.headers.keys().find(|name| name.as_str().starts_with("access-control-"));
                assert_eq!(granted, None, "{method} {path} for {origin}");
                assert!(method == Method::HEAD || !answer.status.is_success(), "OPTIONS {path}: {}", answer.status);
            }
        }
    }
}

/// RLS-09, ENV-01: what the house holds reaches nobody, on any route, in any role.
#[tokio::test]
async fn no_answer_holds_a_secret_of_the_house() {
    let gate = Gate::new().await;
    let database = &gate.house.world.database;
    let mut secrets = vec![
        METRICS_TOKEN.to_owned(),
        CRON_SECRET.to_owned(),
        "postgres://".to_owned(),
        "berth_login".to_owned(),
        "PRIVATE KEY".to_owned(),
        "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8".to_owned(), // what signs sessions here
        "CAcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwcHBwc".to_owned(), // what seals here
    ];
    secrets.extend(["berth_mch_", "berth_llm_", "berth_gtw_", "berth_ses_", "berth_sgn_"].map(str::to_owned));
    let stored =
        "select encode(token_hash, 'hex') from tokens union select encode(machine_token_hash, 'hex') from machines
                  union select substr(encode(host_key_sealed, 'hex'), 60, 40) from machines";
    secrets.extend(database.texts(stored).await);
    assert!(secrets.len() > 14);
    let read = gate.read_by(&[]).await;
    assert!(read.len() > ROUTES.len() * 10, "{}", read.len());
    for (what, text) in read {
        for secret in &secrets {
            assert!(!text.contains(secret.as_str()), "{what} holds {secret}");
        }
    }
}

/// PRV-04: not a word, a name or an address of anybody's is read by who shows no credential of a person.
#[tokio::test]
async fn nobody_reads_anything_of_a_tenant_without_signing_in() {
    let gate = Gate::new().await;
    let tenant = gate.house.world.alice.caller.tenant.to_string();
    let read = gate.read_by(&["nobody", "wrong", "cron", "metrics", "machine", "model"]).await;
    assert!(read.iter().any(|(what, _)| what.ends_with("by nobody: 200 OK")));
    for (what, text) in read {
        for private in [
            "marker-words",
            "marker-agent",
            "alice@example.org",
            "mallory@example.org",
            "grace@harbour.example",
            &tenant,
        ] {
            assert!(!text.contains(private), "{what} holds {private}");
        }
    }
}

/// TLS-16: the database away, a right missing, a body of any kind: the answer says nothing of how Berth is made.
#[tokio::test]
async fn an_error_tells_nothing_of_the_insides() {
    let house = House::new().await;
    let mut errors = 0;
    let mut asked = async |when: &str| {
        // An archive or a stream that breaks off says nothing; a model call has a form of its own.
        let ordinary = |route: &&Route| {
            !matches!(route.gives, Gives::Events | Gives::Archive | Gives::Lines) && route.needs != Needs::ModelKey
        };
        for route in ROUTES.iter().filter(ordinary) {
            let path = route.path.replace("{id}", "agt_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a").replace(['{', '}'], "");
            let (kind, fits) = body(route);
            for sent in [fits, "{".to_owned(), "[null]".to_owned(), "\0'\"<%00".to_owned(), "a=%ff&b".repeat(99)] {
                let request = ask(route.verb.method(), &format!("{path}?wait=0&after=%00'"), &house.alice);
                let answer = house.send(request.header("content-type", kind).body(Body::from(sent)).unwrap()).await;
                if answer.status.as_u16() < 400 {
                    continue;
                }
                errors += 1;
                assert_eq!(insides(&answer.text), None, "{when}: {path}: {}", answer.text);
                let head = format!("{:?}", answer.headers);
                assert_eq!(insides(&head), None, "{when}: {path}: {head}");
                assert!(
                    when != "well" || answer.status.as_u16() < 500 || path == "/metrics",
                    "{path}: {}",
                    answer.text
                );
            }
        }
    };
    house.world.database.sql("update users set is_operator = true").await;
    asked("well").await;
    house
        .world
        .database
        .sql("revoke select on agents from berth_tenant; revoke select on flows from berth_system")
        .await;
    asked("without a right").await;
    house.web.db.close().await;
    asked("without a database").await;
    assert!(errors > 500, "{errors}");
}

/// Addresses that scanners try.
const TRIED: &str = "\
    /.env /.env.local /.git/HEAD /.git/config /.svn/entries /.DS_Store /.htaccess /.ssh/id_rsa \
    /.aws/credentials /.berth/env /actuator /actuator/env /actuator/heapdump /admin.php /adminer /api \
    /api/v1 /api/swagger /api/debug /api/internal /api/users /api/v2/agents /api-docs /backup.sql \
    /backup.tar.gz /berth.sql /cgi-bin/test /config /config.json /console /debug /debug/pprof \
    /debug/pprof/heap /debug/requests /debug/vars /docs /dump.sql /env /error /graphql /graphiql \
    /heapdump /info /jmx /logs /manage /metrics/ /phpinfo.php /pprof /profile /proc/self/environ /redoc \
    /robots.txt.bak /server-status /status /swagger /swagger-ui.html /swagger.json /test /trace \
    /v1/agents /wp-admin /wp-login.php /assets/ /assets/../.env /assets/..%2f..%2fCargo.toml \
    /assets/live.js.map //health /health/../metrics \
";

/// TLS-17: none of them is there, for nobody and for somebody.
#[tokio::test]
async fn there_is_nothing_to_find_for_scanners() {
    let house = House::new().await;
    assert!(TRIED.split_whitespace().count() >= 60);
    for path in TRIED.split_whitespace() {
        for (who, token) in [("nobody", ""), ("somebody", house.alice.as_str())] {
            let answer = house.get(token, path).await;
            assert!(matches!(answer.status, StatusCode::NOT_FOUND), "{path} for {who}: {}", answer.status);
            assert!(answer.text.len() < 400, "{path}: {}", answer.text);
        }
    }
    assert_eq!(house.get("", "/metrics").await.status, StatusCode::UNAUTHORIZED);
}

/// Redirects lead to a path of this site or, on the way to a vendor, to the configured one.
#[tokio::test]
async fn no_answer_leads_to_another_site() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let evil = "https%3A%2F%2Fevil.example";
    for route in ROUTES.iter().filter(|route| !matches!(route.takes, Takes::Messages)) {
        let path = route.path.replace(['{', '}'], "");
        let query = ["next", "redirect", "redirect_uri", "return_to", "url", "continue", "back"]
            .map(|name| format!("{name}={evil}"))
            .join("&");
        for cookie in ["", &cookie] {
            let request = Request::builder().method(route.verb.method()).uri(format!("{path}?{query}"));
            let request = request.header("cookie", cookie).header("accept", "text/html").header("host", "evil.example");
            let request = request.header("sec-fetch-site", "same-origin").header("x-forwarded-host", "evil.example");
            let request = request.header(header::CONTENT_TYPE, "application/x-www-form-urlencoded");
            if route.gives == Gives::Events {
                continue;
            }
            let answer = house.send(request.body(Body::from(query.clone())).unwrap()).await;
            let Some(to) = value(&answer.headers, "location") else { continue };
            assert!(to.starts_with('/') && !to.starts_with("//"), "{path}: {to}");
        }
    }
}
