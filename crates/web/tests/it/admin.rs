//! What operators see and do, and that nobody else does.

use domain::{AlertId, alert::AlertKind, entropy::mint};
use http::StatusCode;
use serde_json::Value;
use store::alerts::NewAlert;
use web::{
    ROUTES,
    guard::Needs,
    openapi,
    routes::{Route, Takes, Verb},
};

use crate::support::{Answer, House, ask};

/// A house whose alice runs the service.
pub async fn operated() -> House {
    let house = House::new().await;
    house.world.database.sql("update users set is_operator = true where email = 'alice@example.org'").await;
    house
}

async fn open(house: &House, key: &str, kind: AlertKind, subject: &str) -> AlertId {
    let id: AlertId = mint(house.world.flows.entropy.as_ref());
    let mut tx = house.web.db.system().await.unwrap();
    let message = "the machine <b>does not</b> go";
    store::alerts::open(&mut tx, &NewAlert { id, key, kind, tenant: None, subject, message }).await.unwrap();
    tx.commit().await.unwrap();
    id
}

async fn send(house: &House, token: &str, verb: Verb, path: &str) -> Answer {
    let request = ask(verb.method(), path, token).header("content-type", "application/x-www-form-urlencoded");
    house.send(request.body(axum::body::Body::empty()).unwrap()).await
}

/// The same with a body that the route takes.
async fn send_to(house: &House, token: &str, route: &Route, path: &str) -> Answer {
    let (kind, body) = match route.takes {
        Takes::Json(_) => ("application/json", "{}"),
        _ => ("application/x-www-form-urlencoded", "cron=*+*+*+*+*&enabled=true&catch_up=skip"),
    };
    let request = ask(route.verb.method(), path, token).header("content-type", kind);
    house.send(request.body(axum::body::Body::from(body)).unwrap()).await
}

/// An event of Stripe's with an alert's uuid.
async fn told(house: &House, alert: AlertId) {
    let event = "insert into events (id, sender, name, kind, is_live, body) values ('{}', 'stripe', 'evt_1', 'x.y', false, '{}')";
    house.world.database.sql(&event.replacen("{}", &alert.uuid().to_string(), 1)).await;
}

/// Where the id in a path leads: an alert, a flow, an event or a job that is there.
fn at(path: &str, alert: AlertId) -> String {
    let (alert, path) = (alert.to_string(), path.replace("{job}", "pool").replace("{letter}", "cancelled"));
    if path.contains("/flows/") {
        path.replace("{id}", &alert.replace("alr_", "flw_"))
    } else if path.contains("/events/") {
        path.replace("{id}", &alert.replace("alr_", "evt_"))
    } else {
        path.replace("{id}", &alert)
    }
}

pub async fn plant_schedules(house: &House) {
    let mut tx = house.web.db.system().await.unwrap();
    app::jobs::plant_schedules(&mut tx).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn only_operators_get_in_and_to_others_nothing_is_there() {
    let house = operated().await;
    let alert = open(&house, "a", AlertKind::RemovalStuck, "mch_1").await;
    let routes: Vec<_> = ROUTES.iter().filter(|route| route.path.contains("/admin")).collect();
    plant_schedules(&house).await;
    told(&house, alert).await;
    assert!(routes.len() >= 26 && routes.iter().all(|route| route.needs == Needs::Operator));
    let blank = |answer: &Answer| answer.text.replace(answer.json()["request_id"].as_str().unwrap(), "-");
    let nowhere = blank(&house.get(&house.mallory, "/api/admin/v1/nothing").await);
    for route in routes {
        let path = at(route.path, alert);
        assert_eq!(send_to(&house, "", route, &path).await.status, StatusCode::UNAUTHORIZED, "{path}");
        // An owner of a tenant who does not run the service: as if the address did not exist.
        let mallory = send_to(&house, &house.mallory, route, &path).await;
        assert_eq!((mallory.status, blank(&mallory)), (StatusCode::NOT_FOUND, nowhere.clone()), "{path}");
        if ["/invites", "/waitlist", "/tenants/", "/users/", "/plans"].iter().any(|part| path.contains(part)) {
            continue; // what an operator does there is in doors.rs, factor.rs, suspension.rs and payments.rs
        }
        let alice = send_to(&house, &house.alice, route, &path).await;
        assert!(alice.status.is_success() || alice.status == StatusCode::SEE_OTHER, "{path}: {}", alice.text);
    }
    // A role in a tenant does not stand in the way of running the service.
    house.world.database.sql("update members set role = 'viewer'").await;
    assert_eq!(house.get(&house.alice, "/api/admin/v1/stats").await.status, StatusCode::OK);
}

#[tokio::test]
async fn the_link_is_there_for_operators_only() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    assert!(!house.page(&cookie, "/dashboard").await.text.contains("/admin"));
    assert_eq!(house.page(&cookie, "/admin").await.status, StatusCode::NOT_FOUND);
    house.world.database.sql("update users set is_operator = true").await;
    assert!(house.page(&cookie, "/dashboard").await.text.contains(r#"<a href="/admin">"#));
    let anonymous = house.page("", "/admin/flows").await;
    assert_eq!(anonymous.headers["location"], "/login?next=%2Fadmin%2Fflows");
}

/// What the document says is what comes: the same names, all of them.
#[tokio::test]
async fn answers_have_the_shape_that_the_document_says() {
    let mut house = operated().await;
    house.keep_spares(1, 1);
    house.world.live_agent("scout").await;
    let alert = open(&house, "a", AlertKind::FlowFailed, "berth-x").await;
    plant_schedules(&house).await;
    send(&house, &house.alice, Verb::Post, "/api/admin/v1/schedules/health/runs").await;
    send(&house, &house.alice, Verb::Post, "/api/admin/v1/schedules/pool/runs").await;
    house.world.run_flows(20).await;
    send(&house, &house.alice, Verb::Post, "/api/admin/v1/schedules/pool/runs").await;
    house.world.run_flows(10).await;
    house.invite(1).await;
    house.post("", "/api/v1/waitlist", r#"{"email":"grace@harbour.example"}"#).await;
    told(&house, alert).await;
    let tenant = house.world.alice.caller.tenant.uuid();
    house.world.database.sql(&format!("insert into billing (tenant_id, gift_plan) values ('{tenant}', 'pro')")).await;
    let found =
        "insert into billing_differences (id, tenant_id, what, after) values (gen_random_uuid(), '{}', 'account', 'x')";
    house.world.database.sql(&found.replace("{}", &tenant.to_string())).await;
    send(&house, &house.alice, Verb::Post, "/api/admin/v1/schedules/billing/runs").await;
    let document = openapi::document("http://127.0.0.1:8080");
    let mut seen = 0;
    for route in ROUTES.iter().filter(|r| r.path.starts_with("/api/admin") && r.verb == Verb::Get) {
        let answer = house.get(&house.alice, &at(route.path, alert)).await;
        assert_eq!(answer.status, StatusCode::OK, "{}: {}", route.path, answer.text);
        let schema = &document["paths"][route.path]["get"]["responses"]["200"]["content"]["application/json"]["schema"];
        fits(&document, schema, &answer.json(), route.path);
        seen += 1;
    }
    assert!(seen >= 17, "{seen}");
    let machines = house.get(&house.alice, "/api/admin/v1/machines").await.json();
    assert_eq!((&machines["machines"][0]["step"], &machines["machines"][0]["state"]), (&"live".into(), &"made".into()));
}

fn fits(document: &Value, schema: &Value, value: &Value, at: &str) {
    if let Some(name) = schema["$ref"].as_str() {
        let name = name.rsplit('/').next().unwrap();
        return fits(document, &document["components"]["schemas"][name], value, at);
    }
    if let Some(either) = schema["oneOf"].as_array() {
        if !value.is_null() {
            fits(document, &either[0], value, at);
        }
        return;
    }
    match (schema["type"].as_str(), value) {
        (Some("object"), Value::Object(_)) if schema["properties"].is_null() => {}
        (Some("object"), Value::Object(fields)) => {
            let mut names: Vec<_> = schema["properties"].as_object().unwrap().keys().collect();
            let mut given: Vec<_> = fields.keys().collect();
            names.sort();
            given.sort();
            assert_eq!(names, given, "{at}");
            for (name, value) in fields {
                fits(document, &schema["properties"][name], value, &format!("{at}.{name}"));
            }
        }
        (Some("array"), Value::Array(all)) => all.iter().for_each(|one| fits(document, &schema["items"], one, at)),
        (Some("string"), Value::String(_))
        | (Some("integer"), Value::Number(_))
        | (Some("boolean"), Value::Bool(_)) => {}
        (None, value) if schema.get("const") == Some(value) => {}
        (None, Value::String(word)) => {
            assert!(schema["enum"].as_array().unwrap().contains(&word.as_str().into()), "{at}");
        }
        (expected, value) => panic!("{at}: {expected:?}, but {value}"),
    }
}

#[tokio::test]
async fn lists_are_read_page_by_page_with_their_filters() {
    let house = operated().await;
    for n in 0..5 {
        open(&house, &format!("k{n}"), AlertKind::RemovalStuck, "mch_1").await;
    }
    let mut tx = house.web.db.system().await.unwrap();
    store::alerts::close(&mut tx, &["k1".to_owned()]).await.unwrap();
    tx.commit().await.unwrap();
    let (mut path, mut ids) = ("/api/admin/v1/alerts?open=true&limit=3".to_owned(), Vec::new());
    loop {
        let page = house.get(&house.alice, &path).await.json();
        let alerts = page["alerts"].as_array().unwrap();
        assert!(alerts.len() <= 3);
        ids.extend(alerts.iter().map(|alert| alert["id"].as_str().unwrap().to_owned()));
        let Some(next) = page["next"].as_str() else { break };
        assert!(next.contains("open=true") && next.contains("limit=3"), "{next}");
        path = next.to_owned();
    }
    assert_eq!(ids.len(), 4, "the closed one is left out, none comes twice");
    assert!(ids.is_sorted_by(|a, b| a > b), "newest first");

    let count =
        async |path: &str, list: &str| house.get(&house.alice, path).await.json()[list].as_array().unwrap().len();
    assert_eq!(count("/api/admin/v1/flows?kind=notice", "flows").await, 5);
    assert_eq!(count("/api/admin/v1/flows?kind=life", "flows").await, 0);
    assert_eq!(count(&format!("/api/admin/v1/flows?subject={}", ids[0]), "flows").await, 1);
    assert_eq!(count("/api/admin/v1/flows?stuck=true", "flows").await, 0);
    house.world.database.sql("update flows set attempt = 5 where id = (select min(id::text)::uuid from flows)").await;
    assert_eq!(count("/api/admin/v1/flows?stuck=true", "flows").await, 1);
    assert_eq!(count("/api/admin/v1/flows?stuck=false&step=fire", "flows").await, 4);
    for bad in ["alerts?open=maybe", "alerts?after=agt_1", "flows?subject=x", "flows?tenant=1", "machines?limit=x"] {
        let answer = house.get(&house.alice, &format!("/api/admin/v1/{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {}", answer.text);
    }
}

#[tokio::test]
async fn an_alert_is_acknowledged_and_that_is_taken_back() {
    let house = operated().await;
    let id = open(&house, "a", AlertKind::RemovalStuck, "mch_1").await;
    let path = format!("/api/admin/v1/alerts/{id}/acknowledge");
    let known = send(&house, &house.alice, Verb::Post, &path).await.json();
    assert_eq!(known["acknowledged_by"], "alice@example.org");
    let again = send(&house, &house.alice, Verb::Post, &path).await.json();
    assert_eq!(known["acknowledged_at"], again["acknowledged_at"], "the first word stands");
    house.world.run_flows(5).await;
    assert_eq!(house.world.webhook.ledger().len(), 0, "somebody knew before it was told");
    assert!(send(&house, &house.alice, Verb::Delete, &path).await.json()["acknowledged_at"].is_null());
    house.world.run_flows(5).await;
    assert_eq!(house.world.webhook.ledger().len(), 1);

    let mut tx = house.web.db.system().await.unwrap();
    store::alerts::close(&mut tx, &["a".to_owned()]).await.unwrap();
    tx.commit().await.unwrap();
    let late = send(&house, &house.alice, Verb::Post, &path).await;
    assert_eq!(
        (late.status, late.json()["type"].as_str()),
        (StatusCode::CONFLICT, Some("urn:berth:problem:alert-closed"))
    );
    let unknown = path.replace(&id.to_string(), "alr_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a");
    assert_eq!(send(&house, &house.alice, Verb::Post, &unknown).await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn the_pages_tell_who_is_needed_and_what_is_waited_for() {
    let house = operated().await;
    let agent = house.world.live_agent("hush-name").await;
    let cookie = house.cookie().await;
    let calm = house.page(&cookie, "/admin").await.text;
    assert!(calm.contains("No alert is open. No flow is stuck.") && calm.contains("Nobody is needed."), "{calm}");
    assert!(calm.contains("Nobody is told of alerts"), "nothing is set up, and the page says so");

    let id = open(&house, "a", AlertKind::FlowFailed, &agent.to_string()).await;
    house.world.webhook.fail_next(clients::fake::Strike::Before, 9, &clients::webhook::PostError::Status(500));
    house.world.run_flows(5).await;
    let overview = house.page(&cookie, "/admin").await.text;
    assert!(overview.contains("1 alert is open, 1 not acknowledged."), "{overview}");
    assert!(overview.contains("Not delivered by webhook yet: it answered 500, after "), "{overview}");
    assert!(overview.contains("&#60;b&#62;does not") && !overview.contains("<b>does not"));
    let list = house.page(&cookie, "/admin/alerts").await.text;
    assert!(list.contains(&format!("/admin/flows?subject={agent}")), "{list}");

    let path = format!("/admin/alerts/{id}");
    let pressed = house.form(&cookie, &format!("{path}/acknowledge"), "").await;
    assert_eq!((pressed.status, &pressed.headers["location"]), (StatusCode::SEE_OTHER, &path.parse().unwrap()));
    let page = house.page(&cookie, &path).await.text;
    assert!(page.contains("known to alice@example.org") && page.contains("Take acknowledgement back"), "{page}");
    assert!(page.contains("docs/runbooks/flow_failed.md"));
    house.form(&cookie, &format!("{path}/take-back"), "").await;
    assert!(house.page(&cookie, &path).await.text.contains("Acknowledge alert"));

    let flows = house.page(&cookie, &format!("/admin/flows?subject={agent}")).await.text;
    assert!(flows.contains("the agent is live; it looks by itself in"), "{flows}");
    let flow = flows.split("/admin/flows/flw_").nth(1).unwrap().get(..32).unwrap().to_owned();
    let flow = house.page(&cookie, &format!("/admin/flows/flw_{flow}")).await.text;
    assert!(flow.contains("Waits for its tenant, its machine or a sweep") && flow.contains("none: it rests"), "{flow}");
    let machines = house.page(&cookie, "/admin/machines").await.text;
    assert!(machines.contains("10.0.0.2") && machines.contains(">live</a>"), "{machines}");
    for text in [overview, list, page, flows, flow, machines] {
        assert!(!text.contains("hush-name"), "a tenant's words on an operator's page");
    }
    assert_eq!(
        house.page(&cookie, "/admin/flows/flw_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a").await.status,
        StatusCode::NOT_FOUND
    );
}

/// A mail is shown as a mail program would, and can do nothing there.
#[tokio::test]
async fn every_letter_is_shown_in_both_dresses() {
    let house = operated().await;
    let list = house.get(&house.alice, "/admin/letters").await;
    assert_eq!(list.status, StatusCode::OK, "{}", list.text);
    for kind in domain::letter::LetterKind::EVERY {
        assert!(list.text.contains(&format!("\"/admin/letters/{}\"", kind.name())), "{}", kind.name());
        let shown = house.get(&house.alice, &format!("/admin/letters/{}", kind.name())).await;
        assert_eq!(shown.status, StatusCode::OK, "{}", kind.name());
        let policy = shown.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && policy.ends_with("; sandbox"), "{policy}");
        assert!(!policy.contains("script-src") && policy.contains("frame-ancestors 'none'"), "{policy}");
        assert!(shown.text.contains("<h1 style=") && !shown.text.contains("<script"), "{}", shown.text);
    }
    assert_eq!(house.get(&house.alice, "/admin/letters/advert").await.status, StatusCode::NOT_FOUND);
}
