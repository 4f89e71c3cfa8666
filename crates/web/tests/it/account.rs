//! Erasing one's own account: who may, what goes at once, and what is left of a person.

use axum::body::Body;
use http::{Method, StatusCode};
use testkit::Database;

use crate::support::{Answer, House, ask};

impl House {
    async fn erase_me(&self, token: &str) -> Answer {
        self.send(ask(Method::DELETE, "/api/v1/me", token).body(Body::empty()).unwrap()).await
    }
}

/// Tables with a row in which this text stands.
async fn tables_that_hold(database: &Database, text: &str) -> Vec<String> {
    let mut found = Vec::new();
    for table in database.tables().await {
        let rows = format!("select count(*) from {table} t where to_jsonb(t)::text like '%{text}%'");
        if database.count(&rows).await > 0 {
            found.push(table);
        }
    }
    found
}

/// PRV-10: carol lives alone, is a member of alice's tenant, asked for a link and stands on the waitlist.
#[tokio::test]
async fn nothing_that_says_who_somebody_was_is_left() {
    let house = House::new().await;
    house.join("carol@example.org", "admin").await;
    let carol = house.token_in_alices("carol@example.org").await;
    let agent = house.world.new_agent("scout").await;
    assert_eq!(house.post(&carol, &format!("/api/v1/agents/{agent}/stop"), "").await.status, StatusCode::ACCEPTED);
    house.form("", "/auth/mail", "email=carol%40example.org").await;
    house.form("", "/waitlist", "email=carol%40example.org").await;
    let database = &house.world.database;
    let user = database.texts("select id::text from users where email = 'carol@example.org'").await.pop().unwrap();
    for table in ["users", "identities", "timeline", "letters", "waitlist", "tenants"] {
        let held = tables_that_hold(database, "carol@example.org").await;
        assert!(held.iter().any(|one| one == table), "{table} would prove nothing: {held:?}");
    }
    let before = database.count("select count(*) from timeline").await;

    let erased = house.erase_me(&carol).await;
    assert_eq!(erased.status, StatusCode::OK, "{}", erased.text);
    let told = erased.json();
    assert_eq!(told["left"][0], house.world.alice.caller.tenant.to_string());
    assert_eq!((told["ending"].as_array().unwrap().len(), told["left"].as_array().unwrap().len()), (1, 1));
    assert_eq!(tables_that_hold(database, "carol@example.org").await, ["tenants"], "the name of her own tenant");
    assert_eq!(database.count("select count(*) from timeline").await, before, "what was done stays");
    let agents = house.get(&house.alice, &format!("/agents/{agent}")).await;
    assert!(agents.text.contains("a former member"), "{}", agents.text);
    let audit = house.get(&house.alice, "/api/v1/audit").await.json();
    assert_eq!(audit["events"][0]["act"], "member.leave");

    // Her own tenant goes by the flow of every erasure, after its thirty days.
    database.move_clock("30 days 1 minute").await;
    for _ in 0..10 {
        database.sql("update flows set run_at = berth.now() where kind = 'erasure'").await;
        house.world.run_flows(40).await;
    }
    assert_eq!(tables_that_hold(database, "carol@example.org").await, Vec::<String>::new());
    let ids = tables_that_hold(database, &user).await;
    assert!(ids.is_empty(), "{ids:?}: her id stands in chains only, and there without dashes");
}

#[tokio::test]
async fn every_session_and_token_ends_within_a_second_everywhere() {
    let house = House::new().await;
    let there = house.world.database.another().await;
    let other = house.over(there.clone());
    let listening = {
        let db = there.clone();
        tokio::spawn(async move { db.carry_signals(uuid::Uuid::from_u128(7)).await })
    };
    let (one, two) = (house.cookie().await, house.cookie().await);
    tokio::time::sleep(std::time::Duration::from_millis(600)).await;
    for cookie in [&one, &two] {
        assert_eq!(other.page(cookie, "/api/v1/me").await.status, StatusCode::OK);
    }
    let erased = house.form(&one, "/settings/erase", "email=Alice%40example.org").await;
    assert_eq!(erased.headers["location"], "/login?erased=1", "{}", erased.text);
    assert_eq!(erased.cookies(), "", "the browser keeps nothing");
    for cookie in [&one, &two] {
        assert_eq!(house.page(cookie, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    }
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for cookie in [&one, &two] {
        assert_eq!(other.page(cookie, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    }
    assert_eq!(house.get(&house.alice, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert!(house.page("", "/login?erased=1").await.text.contains("Your account is erased"));
    listening.abort();
}

#[tokio::test]
async fn the_last_owner_of_a_tenant_with_others_in_it_stays_until_they_hand_it_over() {
    let house = House::new().await;
    let carol = house.join("carol@example.org", "member").await;
    let cookie = house.cookie().await;
    let events = house.events().await;
    let refused = house.erase_me(&house.alice).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    let told = refused.json();
    assert!(told["type"].as_str().unwrap().ends_with("last-owner"), "{told}");
    assert!(told["detail"].as_str().unwrap().contains("hand the ownership over"), "{told}");
    let page = house.form(&cookie, "/settings/erase", "email=alice%40example.org").await;
    assert!(page.status == StatusCode::CONFLICT && page.text.contains("hand the ownership over"), "{}", page.text);
    assert_eq!(house.events().await, events, "nothing was written");
    assert_eq!(house.get(&house.alice, "/api/v1/me").await.status, StatusCode::OK);
    let handed = house.post(&house.alice, &format!("/api/v1/members/{carol}/owner"), "").await;
    assert_eq!(handed.status, StatusCode::NO_CONTENT, "{}", handed.text);
    assert_eq!(house.erase_me(&house.alice).await.status, StatusCode::OK);
    let left = "select count(*) from tenants where erase_after is not null";
    assert_eq!(house.world.database.count(left).await, 0, "the tenant goes on");
}

#[tokio::test]
async fn it_takes_the_address_and_a_fresh_sign_in() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    for typed in ["", "email=", "email=mallory%40example.org", "email=alice"] {
        let refused = house.form(&cookie, "/settings/erase", typed).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{typed}");
        assert!(
            refused.text.contains("nothing was erased") && refused.text.contains("aria-invalid"),
            "{}",
            refused.text
        );
    }
    house.world.database.sql("update sessions set authenticated_at = now() - interval '11 minutes'").await;
    let again = house.form(&cookie, "/settings/erase", "email=alice%40example.org").await;
    assert_eq!(again.headers["location"], "/login?again=1&next=%2Fsettings", "back to the page with the form");
    assert_eq!(house.world.database.count("select count(*) from users").await, 2);
    let narrow = r#"{"name":"ci","days":7,"scopes":["read","agents:write","members:write","tokens:write"]}"#;
    let narrow = house.post(&house.alice, "/api/v1/tokens", narrow).await.json();
    let refused = house.erase_me(narrow["token"].as_str().unwrap()).await;
    assert_eq!(refused.status, StatusCode::FORBIDDEN, "a narrow token: {}", refused.text);
}

#[tokio::test]
async fn the_only_operator_stays_and_one_of_two_may_go() {
    let house = House::new().await;
    let night = house.operator("night@example.org").await;
    house.world.database.sql("update users set is_operator = email = 'night@example.org'").await;
    let refused = house.erase_me(&night).await;
    assert_eq!(refused.status, StatusCode::CONFLICT);
    assert!(refused.json()["detail"].as_str().unwrap().contains("issue-token --operator"), "{}", refused.text);
    house.operator("day@example.org").await;
    house
        .world
        .database
        .sql(
            "insert into invites (id, batch_id, code_hash, made_by, uses_max, expires_at) \
             select gen_random_uuid(), gen_random_uuid(), '\\x00', id, 1, now() + interval '1 day' \
             from users where email = 'night@example.org'",
        )
        .await;
    assert_eq!(house.erase_me(&night).await.status, StatusCode::OK);
    let day = house.operator("day@example.org").await;
    let invites = house.get(&day, "/api/admin/v1/invites").await.json();
    assert_eq!(invites["invites"][0]["made_by"], "a former operator", "{invites}");
}

/// The one change that a timeline takes is that an address is forgotten.
#[tokio::test]
async fn a_timeline_is_changed_in_no_other_way() {
    let house = House::new().await;
    let agent = house.world.new_agent("scout").await;
    let tenant = house.world.alice.caller.tenant.uuid();
    for change in [
        "set what = '{\"event\":\"asked\"}'",
        "set what = jsonb_set(what, '{by}', '\"mallory\"')",
        "set what = jsonb_set(what, '{by}', '\"a former member\"') - 'what'",
        "set seq = seq + 100",
    ] {
        let probe = format!(
            "create or replace function public.probe() returns boolean language plpgsql as $$ begin \
             update timeline {change} where agent_id = '{}'; return false; \
             exception when restrict_violation then return true; end $$",
            agent.uuid()
        );
        house.world.database.sql(&probe).await;
        assert_eq!(house.world.database.count("select public.probe()::int::bigint").await, 1, "{change}");
    }
    let may = "select has_column_privilege('berth_tenant', 'timeline', 'seq', 'update')::int::bigint";
    assert_eq!(house.world.database.count(may).await, 0, "{tenant}");
}
