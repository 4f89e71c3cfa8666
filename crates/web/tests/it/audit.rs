//! Who did what: one event for each act, in one chain, that nobody changes unseen.

use app::audit::chain::{Broken, Checker};
use axum::body::Body;
use domain::{
    audit::{Act, Chain},
    credential::Kind,
};
use http::{Method, StatusCode};
use web::{
    ROUTES,
    routes::{Route, Takes, Verb},
};

use crate::support::{Answer, House, ask};

/// Routes that change something and leave no event, each with its reason.
const SILENT: &[(&str, &str)] = &[
    ("/signup", "the code is kept in the browser; nothing is written"),
    ("/waitlist", "nobody is signed in: the row says itself who asked and when"),
    ("/api/v1/waitlist", "nobody is signed in: the row says itself who asked and when"),
    ("/api/v1/invites/validate", "a question; nothing is written"),
    ("/auth/mail", "nobody is signed in: a letter is written, and using it leaves an event"),
    ("/factor/begin", "an authenticator counts once a code of it was right: that leaves an event"),
    ("/welcome", "an answer kept for later: the agent that comes of it leaves an event"),
    ("/welcome/skip", "that somebody wants no questions concerns nobody else"),
    ("/api/cron/billing", "the house's own work: its run and counts stand in job_runs"),
    ("/api/cron/health", "the house's own work: its run and counts stand in job_runs"),
    ("/api/cron/pool", "the house's own work: its run and counts stand in job_runs"),
    ("/api/cron/retention", "the house's own work: its run and counts stand in job_runs"),
    ("/api/internal/machine/events", "a machine's word makes Berth look and changes nothing"),
    ("/webhooks/stripe", "kept as it came; what comes of it is done by a flow, which leaves events"),
    ("/llm/v1/messages", "a model call of an agent: counted and paid in model_days"),
    ("/llm/v1/chat/completions", "a model call with the tenant's own key: counted in model_days"),
    ("/llm/v1/messages/count_tokens", "an estimate; nothing is written"),
];

/// One house in which every act can be done once.
struct Stage {
    house: House,
    cookie: String,
    operator: String,
    agent: String,
    alert: String,
    event: String,
    carol: String,
    invitation: String,
    link: String,
    token: String,
    other: String,
    mine: String,
    session: String,
    invite: String,
    waiting: String,
    user: String,
    credential: String,
}

impl Stage {
    async fn new(route: &Route) -> Self {
        let house = House::new().await;
        let agent = house.world.new_agent("scout").await;
        let credential =
            house.world.set_credential(None, Kind::Anthropic, None, "sk-ant-123456789012").await.to_string();
        let operator = house.operator("night@example.org").await;
        let database = &house.world.database;
        let alert = "alr_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a".to_owned();
        let known = if route.path.ends_with("take-back") || route.verb == Verb::Delete {
            "berth.now(), (select id from users limit 1)"
        } else {
            "null, null"
        };
        database
            .sql(&format!(
                "insert into alerts (id, key, kind, subject, message, severity, acknowledged_at, acknowledged_by) values \
                 ('019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a', 'k', 'flow_stuck', 'x', 'x', 'warning', {known})"
            ))
            .await;
        database
            .sql("insert into events (id, sender, name, kind, is_live, body) values (gen_random_uuid(), 'stripe', 'evt_1', 'x', false, '{}')")
            .await;
        let event = newest(database, "events", "evt").await;
        let carol = house.join("carol@example.org", "member").await.to_string();
        let (invitation, link) = house.invited("dora@example.org").await;
        let cookie = house.cookie().await;
        let token =
            house.get(&house.alice, "/api/v1/tokens").await.json()["tokens"][0]["id"].as_str().unwrap().to_owned();
        let other = house.second_tenant().await;
        house.cookie().await; // a second browser of hers
        let session = newest(database, "sessions order by created_at desc", "ses").await;
        let made = house.post(&operator, "/api/admin/v1/invites", r#"{"codes":1}"#).await.json();
        let invite = made["invites"][0]["id"].as_str().unwrap().to_owned();
        database.sql("insert into waitlist (id, email) values (gen_random_uuid(), 'fay@example.org')").await;
        let waiting = newest(database, "waitlist", "wtg").await;
        crate::admin::plant_schedules(&house).await;
        // Last: whatever runs flows would make it well again.
        if route.path.ends_with("/rotate") {
            house.world.run_flows(40).await; // what has no machine has nothing to replace
        }
        if route.path.ends_with("/start") {
            database.sql("update agents set wanted = 'stopped'").await;
        }
        if route.path.ends_with("/retry") {
            database
                .sql(r#"update agents set seen = '{"state":"failed","since":"2026-11-21T14:00:00Z","why":"x"}'"#)
                .await;
        }
        let mine = house.world.alice.caller.tenant.to_string();
        if route.path.contains("/billing/") {
            house.bill().await;
        }
        if route.path.ends_with("/portal") {
            house.customer().await;
        }
        if route.path.ends_with("/gift/end") || (route.verb == Verb::Delete && route.path.ends_with("/gift")) {
            let given = "insert into billing (tenant_id, gift_plan) values ('{}', 'pro')";
            database.sql(&given.replace("{}", &house.world.alice.caller.tenant.uuid().to_string())).await;
        }
        if route.path.ends_with("/keep") {
            house.world.database.sql("update tenants set erase_after = now() + interval '1 day'").await;
        }
        let user = house.world.alice.caller.user.to_string();
        if route.path.ends_with("/restore") || (route.verb == Verb::Delete && route.path.ends_with("/suspension")) {
            let is = "suspended_at = now(), suspended_why = 'ticket 4711'";
            house
                .world
                .database
                .sql(&format!("update tenants set {is} where id = '{}'", house.world.alice.caller.tenant.uuid()))
                .await;
            house
                .world
                .database
                .sql(&format!("update users set {is} where id = '{}'", house.world.alice.caller.user.uuid()))
                .await;
        }
        if route.path.ends_with("/leave") || is_farewell(route) {
            house.world.database.sql("update members set role = 'owner'").await;
        }
        Self {
            house,
            cookie,
            operator,
            agent: agent.to_string(),
            alert,
            event,
            carol,
            invitation,
            link,
            token,
            other,
            mine,
            session,
            invite,
            waiting,
            user,
            credential,
        }
    }

    fn path(&self, route: &Route) -> String {
        let id = match route.path {
            path if path.contains("/alerts/") => &self.alert,
            path if path.contains("/events/") => &self.event,
            path if path.contains("/members/") => &self.carol,
            path if path.contains("/invitations/") => &self.invitation,
            path if path.contains("/tokens/") => &self.token,
            path if path.starts_with("/tenants/") && path.ends_with("/switch") => &self.other,
            path if path.contains("/tenants/") => &self.mine,
            path if path.contains("/users/") => &self.user,
            path if path.contains("/credentials/{id}") => &self.credential,
            path if path.contains("/sessions/") => &self.session,
            path if path.contains("/invites/") => &self.invite,
            path if path.contains("/waitlist/") => &self.waiting,
            _ => &self.agent,
        };
        route.path.replace("{id}", id).replace("{job}", "health")
    }

    /// A body with which the act is done.
    async fn body(&self, route: &Route) -> String {
        match route.path {
            "/setup" => format!("link={}&email=first%40example.org&tenant=Harbour", self.house.setup_link().await),
            "/login" => format!("token={}", self.house.mallory),
            "/settings/tokens" => "name=ci&days=7&scope=read".to_owned(),
            "/api/v1/tokens" => r#"{"name":"ci","days":7,"scopes":["read"]}"#.to_owned(),
            "/agents/{id}/pairings/approve" => "channel=telegram&request=r-1".to_owned(),
            "/api/v1/agents/{id}/pairings" => r#"{"channel":"telegram","request":"r-1"}"#.to_owned(),
            "/credentials" => "kind=openai&value=sk-123456789012".to_owned(),
            "/api/v1/credentials" => r#"{"kind":"openai","value":"sk-123456789012"}"#.to_owned(),
            "/team/invitations" => "email=eve%40example.org&role=viewer".to_owned(),
            "/api/v1/members" => r#"{"email":"eve@example.org","role":"viewer"}"#.to_owned(),
            "/team/members/{id}/role" => "role=viewer".to_owned(),
            "/api/v1/members/{id}/role" => r#"{"role":"viewer"}"#.to_owned(),
            "/team/members/{id}/remove" | "/team/members/{id}/owner" => "email=carol%40example.org".to_owned(),
            "/tenants/{id}/erase" | "/team/leave" => "name=alice%40example.org".to_owned(),
            "/invitation" => format!("link={}", self.link),
            "/factor" => format!("code={}", self.house.code(&self.operator).await),
            path if path.ends_with("/suspend") => "reason=ticket+4711%2C+it+does+not+start".to_owned(),
            path if path.ends_with("/suspension") && route.verb == Verb::Post => {
                r#"{"reason":"ticket 4711, it does not start"}"#.to_owned()
            }
            "/admin/tenants/{id}" => "reason=ticket+4711%2C+it+does+not+start".to_owned(),
            "/api/admin/v1/tenants/{id}/read" => r#"{"reason":"ticket 4711, it does not start"}"#.to_owned(),
            "/settings/erase" => "email=alice%40example.org".to_owned(),
            "/welcome/finish" => {
                let kept = self.house.form(&self.cookie, "/welcome", "step=name&name=second").await;
                assert_eq!(kept.status, StatusCode::SEE_OTHER, "{}", kept.text);
                "instructions=Be+brief.".to_owned()
            }
            "/admin/schedules/{job}" => "cron=7+*+*+*+*&enabled=true&catch_up=once".to_owned(),
            "/api/admin/v1/schedules/{job}" => r#"{"cron":"7 * * * *"}"#.to_owned(),
            "/billing/checkout" => "plan=pro".to_owned(),
            "/api/v1/billing/checkout" => r#"{"plan":"pro"}"#.to_owned(),
            "/admin/plans" => {
                "plan=pro&title=Pro&price=price_1&cents=100&currency=eur&trial_days=7&agents=2&daily_model=".to_owned()
            }
            "/api/admin/v1/plans" => {
                r#"{"plan":"pro","title":"Pro","price":"price_1","cents":100,"currency":"eur","trial_days":7,"agents":2}"#.to_owned()
            }
            "/admin/tenants/{id}/gift" => "plan=pro&days=".to_owned(),
            "/api/admin/v1/tenants/{id}/gift" => r#"{"plan":"pro","days":30}"#.to_owned(),
            "/admin/invites" => "codes=1&uses=1&days=7&note=".to_owned(),
            "/api/admin/v1/invites" => r#"{"codes":2}"#.to_owned(),
            "/agents" => "name=second".to_owned(),
            "/api/v1/agents" => r#"{"name":"second"}"#.to_owned(),
            "/api/v1/agents/{id}/turns" => r#"{"text":"hello"}"#.to_owned(),
            "/agents/{id}/turns" => "text=hello&live=1".to_owned(),
            "/agents/{id}/logs" => "live=1".to_owned(),
            "/agents/{id}/delete" | "/agents/{id}/rotate" => "name=scout".to_owned(),
            _ => String::new(),
        }
    }

    /// Does it; an error says what it left instead of one event.
    async fn act(&self, route: &Route) -> Result<Answer, String> {
        let (path, body) = (self.path(route), self.body(route).await);
        if route.path.contains("/pairings") {
            self.house.web.closing.cancel(); // nobody waits in a process that stops
        }
        let is_operators = route.path.starts_with("/admin") || route.path.starts_with("/api/admin");
        if let Takes::Form(_) = route.takes {
            let cookie = if route.path == "/login" {
                String::new() // a browser that was signed in would be signed out first, which is an event too
            } else if route.path == "/invitation" {
                self.house.cookie_of(&self.house.mallory).await
            } else if is_operators || route.path.starts_with("/factor") {
                self.house.cookie_of(&self.operator).await
            } else {
                self.cookie.clone()
            };
            let before = self.house.events().await;
            let answer = self.house.form(&cookie, &path, &body).await;
            return self.left(route, answer, before).await;
        }
        let token = if is_operators { &self.operator } else { &self.house.alice };
        let wait = if route.path.ends_with("/turns") { "?wait=0" } else { "" };
        let request =
            ask(route.verb.method(), &format!("{path}{wait}"), token).header("content-type", "application/json");
        let before = self.house.events().await;
        let answer = self.house.send(request.body(Body::from(body)).unwrap()).await;
        self.left(route, answer, before).await
    }

    async fn left(&self, route: &Route, answer: Answer, before: i64) -> Result<Answer, String> {
        let left = self.house.events().await - before;
        // Nobody works here: whoever waits for a machine is told that it did not answer, and has asked all the same.
        let waited = route.path.contains("/pairings") && answer.status == StatusCode::GATEWAY_TIMEOUT;
        let is_done = answer.status.is_success() || answer.status == StatusCode::SEE_OTHER || waited;
        if left == expected(route) && is_done {
            return Ok(answer);
        }
        let text: String = answer.text.chars().take(400).collect();
        Err(format!("{} {} left {left} events: {text}", route.path, answer.status))
    }
}

/// The id of a table's first row, as it stands in an address.
async fn newest(database: &testkit::Database, rows: &str, prefix: &str) -> String {
    let ids = database.texts(&format!("select replace(id::text, '-', '') from {rows} limit 1")).await;
    format!("{prefix}_{}", ids[0])
}

/// Whether it erases the account that asks.
fn is_farewell(route: &Route) -> bool {
    matches!(route.path, "/settings/erase" | "/api/v1/me")
}

/// How many events the act leaves: one, where it is not several acts.
fn expected(route: &Route) -> i64 {
    match route.path {
        "/setup" => 2,                // it signs in, and it makes an operator
        _ if is_farewell(route) => 3, // it leaves two tenants, each with an event of its own
        _ => 1,
    }
}

impl House {
    /// How many events there are, in all chains.
    pub async fn events(&self) -> i64 {
        let all = "select (select count(*) from audit_events) + (select count(*) from house_audit_events)";
        self.world.database.count(all).await
    }

    async fn setup_link(&self) -> String {
        self.world.database.sql("update users set is_operator = false").await;
        let mut tx = self.web.db.system().await.unwrap();
        let link = app::people::setup_link(&mut tx, &*self.web.dice.0).await.unwrap().unwrap();
        tx.commit().await.unwrap();
        link.expose().to_owned()
    }

    async fn export(&self, token: &str) -> Vec<String> {
        let answer = self.get(token, "/api/v1/audit/export").await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        assert!(answer.text.ends_with('\n'));
        answer.text.lines().map(str::to_owned).collect()
    }
}

#[tokio::test]
async fn every_route_that_changes_something_leaves_one_event() {
    let (mut walked, mut wrong) = (0, Vec::new());
    for route in ROUTES.iter().filter(|route| route.verb != Verb::Get) {
        if SILENT.iter().any(|(path, _)| *path == route.path) {
            continue;
        }
        let stage = Stage::new(route).await;
        wrong.extend(stage.act(route).await.err());
        walked += 1;
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    assert!(walked > 20, "only {walked} routes were walked");
    for (path, _) in SILENT {
        assert!(ROUTES.iter().any(|route| route.path == *path && route.verb != Verb::Get), "{path} is not there");
    }
}

#[tokio::test]
async fn asking_for_what_is_so_already_leaves_nothing() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    let before = house.events().await;
    assert_eq!(house.post(&house.alice, &format!("/api/v1/agents/{agent}/start"), "").await.status, 202);
    assert_eq!(house.post(&house.alice, "/api/v1/agents", r#"{"name":"scout"}"#).await.status, 409);
    assert_eq!(house.events().await, before);
}

#[tokio::test]
async fn when_the_event_cannot_be_written_the_act_does_not_happen() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    house.world.database.sql("revoke insert on audit_events from berth_tenant").await;
    house.world.database.sql("revoke insert on house_audit_events from berth_system").await;
    let answer = house.post(&house.alice, &format!("/api/v1/agents/{agent}/stop"), "").await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(house.world.agent(agent).await.unwrap().wanted.name(), "running");
    assert_eq!(house.world.database.count("select count(*) from flow_signals").await, 0);
    let answer = house.form("", "/login", &format!("token={}", house.alice)).await;
    assert_eq!(answer.status, StatusCode::INTERNAL_SERVER_ERROR);
    assert_eq!(house.world.database.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn an_export_is_the_tenants_own_chain_and_whole() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    for act in ["stop", "start", "restart"] {
        house.post(&house.alice, &format!("/api/v1/agents/{agent}/{act}"), "").await;
    }
    let lines = house.export(&house.alice).await;
    let mut checker = Checker::new(Some(Chain::Tenant(house.world.alice.caller.tenant)));
    for line in &lines {
        checker.line(line).unwrap();
    }
    let head = checker.end_of_export().unwrap();
    let page = house.get(&house.alice, "/api/v1/audit?limit=2").await.json();
    assert_eq!(page["head"]["hash"], head.hash.as_str());
    assert_eq!(page["events"][0]["act"], Act::AgentRestart.word());
    assert_eq!(page["events"][0]["actor_name"], "alice@example.org");
    let next = house.get(&house.alice, page["next"].as_str().unwrap()).await.json();
    assert_eq!(next["events"][0]["act"], Act::AgentStop.word());
    assert!(!lines.concat().contains('@'), "an export holds no address");
    let hers = house.export(&house.mallory).await.concat();
    assert!(!hers.contains(&agent.to_string()) && hers.contains(&house.world.mallory.caller.tenant.to_string()));
}

/// The database itself refuses, and whoever gets round it (an owner, a thief of its disk) is found.
#[tokio::test]
async fn what_stands_cannot_be_changed_unseen() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    house.post(&house.alice, &format!("/api/v1/agents/{agent}/stop"), "").await;
    let database = &house.world.database;
    for role in ["berth_tenant", "berth_system", "berth_login", "berth_readonly"] {
        for table in ["audit_events", "house_audit_events"] {
            for right in ["update", "delete", "truncate"] {
                let asked = format!("select has_table_privilege('{role}', '{table}', '{right}')::int::bigint");
                assert_eq!(database.count(&asked).await, 0, "{role} may {right} {table}");
            }
            let columns = format!("select has_any_column_privilege('{role}', '{table}', 'update')::int::bigint");
            assert_eq!(database.count(&columns).await, 0, "{role} may update columns of {table}");
        }
    }
    let tenant = house.world.alice.caller.tenant;
    let verify = async || {
        let mut tx = house.web.db.tenant_read(tenant).await.unwrap();
        let mut checker = Checker::new(Some(Chain::Tenant(tenant)));
        for row in store::audit::since(&mut tx, 0, 1000).await.unwrap() {
            checker.event(&row.event, &row.hash)?;
        }
        checker.end_at(store::audit::head(&mut tx).await.unwrap().as_ref())
    };
    verify().await.unwrap();
    let mine = format!("tenant_id = '{}'", tenant.uuid());
    for (column, value) in [
        ("at", "at + interval '1 microsecond'"),
        ("actor", "actor || 'x'"),
        ("via", "via || 'x'"),
        ("act", "'agent.start'"),
        ("subject", "''"),
        ("details", "details || '{\"x\":\"y\"}'"),
        ("prior", "set_byte(prior, 0, get_byte(prior, 0) # 1)"),
        ("hash", "set_byte(hash, 31, get_byte(hash, 31) # 1)"),
    ] {
        database.sql("create table kept as table audit_events").await;
        database.sql(&format!("update audit_events set {column} = {value} where {mine} and seq = 2")).await;
        assert!(verify().await.is_err(), "{column} was changed unseen");
        database.sql("delete from audit_events").await;
        database.sql("insert into audit_events table kept").await;
        database.sql("drop table kept").await;
    }
    verify().await.unwrap();
    database
        .sql(&format!(
            "delete from audit_events where {mine} and seq = (select max(seq) from audit_events where {mine})"
        ))
        .await;
    assert!(matches!(verify().await, Err(Broken::OtherHead { .. })), "the tail is gone");
}

#[tokio::test]
async fn acts_at_the_same_time_stand_in_one_chain() {
    let house = House::new().await;
    let mut asked = Vec::new();
    for n in 0..24 {
        let (router, token) = (house.router.clone(), house.alice.clone());
        let body = format!(r#"{{"name":"agent-{n}"}}"#);
        asked.push(tokio::spawn(async move {
            let request = ask(Method::POST, "/api/v1/agents", &token).header("content-type", "application/json");
            crate::support::send(&router, request.body(Body::from(body)).unwrap()).await.status
        }));
    }
    for one in asked {
        assert_eq!(one.await.unwrap(), StatusCode::CREATED);
    }
    let mut checker = Checker::new(None);
    for line in house.export(&house.alice).await {
        checker.line(&line).unwrap();
    }
    let created = "select count(*) from audit_events where act = 'agent.create'";
    assert_eq!(house.world.database.count(created).await, 24);
    assert!(checker.end_of_export().unwrap().seq >= 24);
}

#[tokio::test]
async fn only_owners_and_admins_see_the_audit() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let page = house.page(&cookie, "/audit").await;
    assert!(page.text.contains("signed in") && page.text.contains("berth audit verify"), "{}", page.text);
    assert!(house.page(&cookie, "/dashboard").await.text.contains("href=\"/audit\""));
    house.world.database.sql("update members set role = 'member'").await;
    for path in ["/api/v1/audit", "/api/v1/audit/export"] {
        assert_eq!(house.get(&house.alice, path).await.status, StatusCode::FORBIDDEN, "{path}");
    }
    assert!(!house.page(&cookie, "/dashboard").await.text.contains("href=\"/audit\""));
}

#[tokio::test]
async fn what_an_operator_does_stands_in_the_houses_chain() {
    let route = ROUTES.iter().find(|route| route.path == "/api/admin/v1/alerts/{id}/acknowledge").unwrap();
    let stage = Stage::new(route).await;
    stage.act(route).await.unwrap();
    let house = &stage.house;
    let told = house.get(&stage.operator, "/api/admin/v1/audit").await.json();
    assert_eq!(told["events"][0]["act"], "alert.acknowledge");
    assert_eq!(
        (&told["events"][0]["subject"], &told["events"][0]["actor_name"]),
        (&stage.alert.as_str().into(), &"night@example.org".into())
    );
    let page = house.page(&house.cookie_of(&stage.operator).await, "/admin/audit").await;
    assert!(page.text.contains("acknowledged an alert"), "{}", page.text);
    assert_eq!(house.get(&house.alice, "/api/admin/v1/audit").await.status, StatusCode::NOT_FOUND);
}
