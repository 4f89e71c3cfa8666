//! Every route, every kind of caller, one table: what is in it is what happens.
//!
//! Routes and bodies come from `ROUTES` and the OpenAPI document. A route that is new gets its line without anybody
//! remembering; the line then has to be put into `gate.tsv`, where a reviewer sees it. The objects in the addresses
//! are alice's: to the owner of another tenant, every id in this table is somebody else's.

mod aside;
pub mod bodies;

use std::{fmt::Write as _, time::Duration};

use axum::body::Body;
use domain::{alert::AlertKind, credential::Kind, entropy::mint, names::Email, people::Role};
use http::{Method, Request, StatusCode, header};
use serde_json::json;
use store::alerts::NewAlert;
use tokio::time::timeout;
use tower::ServiceExt as _;
use vault::{Token, TokenKind};
use web::{
    ROUTES,
    guard::Needs,
    routes::{Gives, Route, Takes, Verb},
};

use self::{aside::Kept, bodies::body};
use crate::support::{CRON_SECRET, House, METRICS_TOKEN};

const EXPECTED: &str = include_str!("gate.tsv");

/// What stands in an address before an id, the rows where such a thing is found, and what its ids begin with.
const OBJECTS: [(&str, &str, &str); 14] = [
    ("credentials", "credentials where kind = 'variable'", "crd"),
    ("agents", "agents", "agt"),
    ("turns", "exchanges", "exc"),
    ("alerts", "alerts", "alr"),
    ("events", "events", "evt"),
    ("flows", "flows", "flw"),
    ("sessions", "sessions", "ses"),
    ("invites", "invites", "inv"),
    ("waitlist", "waitlist", "wtg"),
    ("members", "members where role = 'viewer'", "mem"),
    ("invitations", "invitations", "itn"),
    ("tokens", "tokens where name = 'marker-token'", "tok"),
    ("users", "users where email = 'viewer@example.org'", "usr"),
    ("tenants", "tenants where name = 'marker-tenant'", "ten"),
];
/// An id of the right form that nobody has.
const NOBODYS: &str = "019aa6b27c1e7d3f9b1a2f6c5d4e3b2a";

/// Who asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Who {
    /// Nothing is sent.
    Nobody,
    /// Signed in, in the tenant whose objects these are.
    Person(Role),
    /// The owner, by the cookie of a browser.
    Browser,
    /// The owner of another tenant.
    Stranger,
    /// Runs the service; a stranger to this tenant.
    Operator,
    Machine,
    Model,
    Cron,
    Metrics,
    /// A well-formed personal token that nobody has.
    Wrong,
}

struct Caller {
    who: Who,
    name: &'static str,
    secret: String,
}

/// A house with one of everything, and everybody.
pub struct Gate {
    pub house: House,
    callers: Vec<Caller>,
    objects: Vec<(&'static str, String)>,
    kept: Kept,
}

impl Gate {
    pub async fn new() -> Self {
        let house = House::new().await;
        let agent = house.world.live_agent("marker-agent").await;
        plant(&house, agent).await;
        house.world.set_credential(Some(agent), Kind::Variable, Some("MARKER"), "a marked value").await;
        let mut callers = vec![Caller { who: Who::Nobody, name: "nobody", secret: String::new() }];
        for role in [Role::Viewer, Role::Member, Role::Admin] {
            let secret = person(&house, role.name()).await;
            let (tenant, email) = (house.world.alice.caller.tenant.uuid(), format!("{}@example.org", role.name()));
            let who = format!("(select id from users where email = '{email}')");
            let moved = format!(
                "update members set tenant_id = '{tenant}', role = '{}' where user_id = {who}; \
                 update tokens set tenant_id = '{tenant}' where user_id = {who}",
                role.name()
            );
            house.world.database.sql(&moved).await;
            callers.push(Caller { who: Who::Person(role), name: role.name(), secret });
        }
        callers.push(Caller { who: Who::Person(Role::Owner), name: "owner", secret: house.alice.clone() });
        callers.push(Caller { who: Who::Browser, name: "browser", secret: house.cookie().await });
        callers.push(Caller { who: Who::Stranger, name: "stranger", secret: house.mallory.clone() });
        let operator = person(&house, "operator").await;
        house.world.database.sql("update users set is_operator = true where email = 'operator@example.org'").await;
        callers.push(Caller { who: Who::Operator, name: "operator", secret: operator });
        for (who, name, kind, column) in [
            (Who::Machine, "machine", TokenKind::Machine, "machine_token_hash"),
            (Who::Model, "model", TokenKind::Model, "model_key_hash"),
        ] {
            let secret = Token::mint(&*house.web.dice.0, kind).expose().to_owned();
            let hash = vault::digest(secret.as_bytes());
            house.world.database.sql(&format!("update machines set {column} = '\\x{hash}'")).await;
            callers.push(Caller { who, name, secret });
        }
        callers.push(Caller { who: Who::Cron, name: "cron", secret: CRON_SECRET.to_owned() });
        callers.push(Caller { who: Who::Metrics, name: "metrics", secret: METRICS_TOKEN.to_owned() });
        let wrong = Token::mint(&*house.web.dice.0, TokenKind::Personal).expose().to_owned();
        callers.push(Caller { who: Who::Wrong, name: "wrong", secret: wrong });
        let mut objects = Vec::new();
        for (segment, table, prefix) in OBJECTS {
            let found = format!("select replace(id::text, '-', '') from {table} order by id limit 1");
            let id = house.world.database.texts(&found).await.pop();
            objects.push((segment, format!("{prefix}_{}", id.unwrap_or_else(|| panic!("no row in {table}")))));
        }
        let kept = Kept::of(&house.world.database).await;
        Self { house, callers, objects, kept }
    }

    /// The addresses of all pages, with ids in them.
    pub fn pages(&self) -> Vec<String> {
        let pages = ROUTES.iter().filter(|route| route.gives == Gives::Page);
        pages.map(|route| self.at(route.path)).collect()
    }

    /// The address with ids in it: those of alice's things.
    fn at(&self, path: &str) -> String {
        self.filled(path, |_, id| id.to_owned())
    }

    /// The address with an id of the right noun that nobody has.
    fn at_nothing(&self, path: &str) -> String {
        self.filled(path, |prefix, _| format!("{prefix}_{NOBODYS}"))
    }

    fn filled(&self, path: &str, id_of: impl Fn(&str, &str) -> String) -> String {
        let mut parts: Vec<String> = Vec::new();
        for part in path.split('/') {
            let before = parts.last().cloned().unwrap_or_default();
            let object = self.objects.iter().find(|(segment, _)| *segment == before);
            parts.push(match (part, object) {
                ("{file}", _) => "berth.css".to_owned(),
                ("{job}", _) => "pool".to_owned(),
                ("{letter}", _) => "cancelled".to_owned(),
                (_, Some((_, id))) if part.starts_with('{') => id_of(&id[..3], id),
                _ if part.starts_with('{') => NOBODYS.to_owned(),
                _ => part.to_owned(),
            });
        }
        parts.join("/")
    }

    fn request(route: &Route, path: &str, caller: &Caller) -> Request<Body> {
        let request = Request::builder().method(route.verb.method()).uri(path);
        let request = match caller.who {
            Who::Nobody => request,
            Who::Browser => request.header(header::COOKIE, &caller.secret).header("sec-fetch-site", "same-origin"),
            Who::Model => request.header("x-api-key", &caller.secret),
            _ => request.header(header::AUTHORIZATION, format!("Bearer {}", caller.secret)),
        };
        let request = request.header("x-request-id", "019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a");
        // Keys to models are for admins, which the body says and not the route: here a variable is set.
        let variable = r#"{"kind":"variable","agent":"x","name":"X","value":"x"}"#;
        let (kind, body) = match route.path {
            "/api/v1/credentials" if route.verb == Verb::Post => ("application/json", variable.to_owned()),
            _ => body(route),
        };
        request.header(header::CONTENT_TYPE, kind).body(Body::from(body)).unwrap()
    }

    /// What came back: its status and, where it is no stream, its headers and text. `None`: it is still at work.
    async fn answer(&self, request: Request<Body>, route: &Route) -> Option<(StatusCode, String)> {
        let patience = if route.seconds > 30 { Duration::from_secs(1) } else { Duration::from_secs(30) };
        let response = timeout(patience, self.house.router.clone().oneshot(request)).await.ok()?.unwrap();
        let status = response.status();
        if status.is_success() && route.path.ends_with("/events") && route.verb.method() == Method::GET {
            return Some((status, String::new()));
        }
        let (mut head, body) = response.into_parts();
        head.headers.remove("set-cookie");
        let bytes = http_body_util::BodyExt::collect(body).await.unwrap().to_bytes();
        Some((status, format!("{:?}\n{}", head.headers, String::from_utf8_lossy(&bytes))))
    }

    /// What these callers get to read on every route, headers too: who asked for what, and the text of the answer.
    pub async fn read_by(&self, names: &[&str]) -> Vec<(String, String)> {
        let mut read = Vec::new();
        for route in ROUTES {
            for caller in self.callers.iter().filter(|caller| names.is_empty() || names.contains(&caller.name)) {
                let request = Self::request(route, &format!("{}?wait=0", self.at(route.path)), caller);
                let Some((status, text)) = self.answer(request, route).await else { continue };
                if status.as_u16() < 400 {
                    self.kept.put_back(&self.house.world.database).await;
                }
                read.push((format!("{} {} by {}: {status}", route.verb.method(), route.path, caller.name), text));
            }
        }
        read
    }

    /// How one caller fares on one route, in a word; afterwards everything is as it was.
    async fn word(&self, route: &Route, caller: &Caller) -> String {
        // Where an address lets its caller say how long to wait, nobody waits.
        let request = Self::request(route, &format!("{}?wait=0", self.at(route.path)), caller);
        let answer = self.answer(request, route).await;
        if answer.as_ref().is_none_or(|(status, _)| status.as_u16() < 400) {
            self.kept.put_back(&self.house.world.database).await;
        }
        answer.map_or_else(|| "waits".to_owned(), |(status, _)| status.as_u16().to_string())
    }
}

/// Things of alice's and of the house that routes lead to.
async fn plant(house: &House, agent: domain::AgentId) {
    let alice = &house.world.alice.caller;
    let text = domain::names::TurnText::parse("marker-words").unwrap();
    let mut tx = house.web.db.tenant(alice.tenant).await.unwrap();
    app::exchanges::say(&mut tx, (&house.web.ring, &*house.web.dice.0), agent, &text, alice).await.unwrap();
    tx.commit().await.unwrap();
    let id = mint(house.world.flows.entropy.as_ref());
    let mut tx = house.web.db.system().await.unwrap();
    let (key, message) = ("marker-alert", "the machine does not go");
    let alert = NewAlert { id, key, kind: AlertKind::RemovalStuck, tenant: None, subject: "mch_1", message };
    store::alerts::open(&mut tx, &alert).await.unwrap();
    app::events::keep(&mut tx, &*house.web.dice.0, br#"{"id":"evt_1","type":"invoice.paid"}"#).await.unwrap();
    tx.commit().await.unwrap();
    house.invite(1).await;
    let body = r#"{"email":"ivy@harbour.example","role":"viewer"}"#;
    assert_eq!(house.post(&house.alice, "/api/v1/members", body).await.status, StatusCode::ACCEPTED);
    let body = r#"{"name":"marker-token","days":7,"scopes":["read"]}"#;
    assert_eq!(house.post(&house.alice, "/api/v1/tokens", body).await.status, StatusCode::CREATED);
    let tenant = alice.tenant.uuid();
    house.world.database.sql(&format!("update tenants set name = 'marker-tenant' where id = '{tenant}'")).await;
    house.post("", "/api/v1/waitlist", r#"{"email":"grace@harbour.example"}"#).await;
}

async fn person(house: &House, name: &str) -> String {
    let email = Email::parse(&format!("{name}@example.org")).unwrap();
    let mut tx = house.web.db.system().await.unwrap();
    let token = app::tokens::issue_token(&mut tx, &*house.web.dice.0, &email, false, "test").await.unwrap();
    tx.commit().await.unwrap();
    token.expose().to_owned()
}

/// Whom a route lets in. Holding the list to this is what keeps a reviewer from blessing a hole.
fn may(who: Who, needs: Needs) -> bool {
    match needs {
        Needs::Open => true,
        Needs::Person => matches!(who, Who::Person(_) | Who::Browser | Who::Stranger | Who::Operator),
        Needs::Member(least) => match who {
            Who::Person(role) => role >= least,
            Who::Browser | Who::Stranger | Who::Operator => true, // each of them owns a tenant
            _ => false,
        },
        Needs::Operator => who == Who::Operator,
        Needs::Cron => who == Who::Cron,
        Needs::Metrics => who == Who::Metrics,
        Needs::Machine => who == Who::Machine,
        Needs::ModelKey => who == Who::Model,
        // Nobody's secret but Stripe's signature opens it.
        Needs::Stripe => false,
    }
}

#[tokio::test]
async fn every_route_lets_in_whom_it_names_and_nobody_else() {
    let gate = Gate::new().await;
    let names: Vec<&str> = gate.callers.iter().map(|caller| caller.name).collect();
    let mut table = format!("route\tneeds\t{}\n", names.join("\t"));
    for route in ROUTES {
        write!(table, "{} {}\t{:?}", route.verb.method(), route.path, route.needs).unwrap();
        for caller in &gate.callers {
            let word = gate.word(route, caller).await;
            // A tenant without a key of its own is told so in its vendor's words, which are a 403.
            let is_keyless = route.path == "/llm/v1/chat/completions" && caller.who == Who::Model;
            let is_unsigned = route.needs == Needs::Stripe && word == "400";
            let is_in = !(matches!(word.as_str(), "401" | "403") || is_unsigned) || is_keyless;
            let is_ones_own = route.needs == Needs::Person || route.path.contains("/tokens/{");
            let is_elses = route.path.contains('{')
                && match route.needs {
                    _ if is_ones_own => !matches!(caller.who, Who::Person(Role::Owner) | Who::Browser),
                    Needs::Member(_) => matches!(caller.who, Who::Stranger | Who::Operator),
                    _ => false,
                };
            let who = caller.name;
            if route.needs == Needs::Open {
                // Open to ask; what it answers to a wrong link or token is in the list.
            } else if may(caller.who, route.needs) {
                assert!(is_in, "{} does not let {who} in: {word}", route.path);
                // An operator's own page, before they gave a factor: to others it is not there.
                let is_hidden = route.path.starts_with("/factor") && caller.who != Who::Operator;
                let is_found = word != "404" || is_elses || is_hidden;
                assert!(is_found, "{}: {who} finds nothing there; plant an object and name it in OBJECTS", route.path);
                assert!(!is_elses || word == "404", "{} gives {who} what is somebody else's: {word}", route.path);
            } else {
                assert!(
                    is_unsigned || matches!(word.as_str(), "401" | "403" | "404"),
                    "{} lets {who} in: {word}",
                    route.path
                );
            }
            assert!(!word.starts_with('5'), "{} {who}: {word}", route.path);
            write!(table, "\t{word}").unwrap();
        }
        table.push('\n');
    }
    if table != EXPECTED {
        let path = concat!(env!("CARGO_TARGET_TMPDIR"), "/gate.tsv");
        std::fs::write(path, &table).unwrap();
        let changed: Vec<&str> = table.lines().filter(|line| !EXPECTED.lines().any(|old| old == *line)).collect();
        panic!(
            "who is let in changed: {changed:#?}\nIf it is meant, put {path} in the place of crates/web/tests/it/gate.tsv."
        );
    }
}

#[tokio::test]
async fn what_is_somebody_elses_reads_like_what_is_not_there() {
    let gate = Gate::new().await;
    let strangers: Vec<&Caller> =
        gate.callers.iter().filter(|caller| !matches!(caller.who, Who::Person(_) | Who::Browser)).collect();
    let mut compared = 0;
    for route in ROUTES.iter().filter(|route| route.path.contains('{') && route.needs != Needs::Open) {
        for caller in &strangers {
            if may(caller.who, route.needs) && !matches!(route.needs, Needs::Member(_) | Needs::Person) {
                continue; // the house's own things are an operator's to see
            }
            let foreign = gate.answer(Gate::request(route, &gate.at(route.path), caller), route).await.unwrap();
            let mut unknown = vec![gate.at_nothing(route.path)];
            let senseless = ["agt_x", "ten_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a", "%00", "..%2f", "'--"];
            unknown.extend(senseless.map(|id| gate.filled(route.path, |_, _| id.to_owned())));
            for path in unknown {
                let unknown = gate.answer(Gate::request(route, &path, caller), route).await.unwrap();
                // Byte for byte, headers too; the request id is the same in both.
                assert_eq!(foreign, unknown, "{} {path} {}", route.path, caller.name);
            }
            assert!(foreign.0.is_client_error(), "{} {}: {foreign:?}", route.path, caller.name);
            compared += 1;
        }
    }
    assert!(compared > 100, "{compared}");
    assert!(gate.house.world.database.count("select count(*) from agents where wanted = 'running'").await == 1);
}

/// A header, a query or a field that names a tenant changes nothing: the tenant is the one that the credential is for.
#[tokio::test]
async fn nobody_chooses_a_tenant_by_naming_it() {
    let gate = Gate::new().await;
    let alice = &gate.house.world.alice.caller;
    let stranger = gate.callers.iter().find(|caller| caller.who == Who::Stranger).unwrap();
    for route in ROUTES.iter().filter(|route| matches!(route.needs, Needs::Member(_))) {
        for tenant in [alice.tenant.to_string(), alice.tenant.uuid().to_string()] {
            let path = format!("{}?tenant_id={tenant}&tenant={tenant}", gate.at(route.path));
            let mut request = Gate::request(route, &path, stranger);
            for name in ["x-tenant-id", "x-tenant", "x-berth-tenant"] {
                request.headers_mut().insert(name, tenant.parse().unwrap());
            }
            if matches!(route.takes, Takes::Json(_)) {
                let fields = json!({ "tenant_id": tenant, "tenant": tenant });
                *request.body_mut() = Body::from(fields.to_string());
            }
            let Some((status, text)) = gate.answer(request, route).await else {
                panic!("{} took the request", route.path);
            };
            for hers in ["marker-agent", "marker-words", "alice@example.org", &alice.tenant.to_string()] {
                assert!(!text.contains(hers), "{} {status} shows {hers}", route.path);
            }
        }
    }
    let hers = format!("select count(*) from agents where tenant_id = '{}'", alice.tenant.uuid());
    assert_eq!(gate.house.world.database.count(&hers).await, 1);
}

/// What is not in the table is not there, whatever the method.
#[tokio::test]
async fn only_what_the_table_names_is_answered() {
    let house = House::new().await;
    let methods = [Method::GET, Method::POST, Method::PUT, Method::PATCH, Method::DELETE, Method::TRACE];
    for route in ROUTES {
        let path = route.path.replace(['{', '}'], "");
        for method in &methods {
            let named = |other: &&Route| other.path == route.path && other.verb.method() == *method;
            if ROUTES.iter().any(|other| named(&other)) {
                continue;
            }
            let request =
                Request::builder().method(method).uri(&path).header("authorization", format!("Bearer {}", house.alice));
            let answer = house.send(request.body(Body::empty()).unwrap()).await;
            assert!(
                matches!(answer.status.as_u16(), 404 | 405),
                "{method} {path} is in no table and answers {}",
                answer.status
            );
        }
    }
}
