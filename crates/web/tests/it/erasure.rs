//! Everything of a tenant, to be taken along, and to be erased.

use std::collections::BTreeMap;

use axum::body::Body;
use domain::credential::Kind;
use http::{Method, StatusCode};
use serde_json::Value;
use testkit::Database;
use tower::ServiceExt as _;

use crate::support::{House, ask};

/// House tables that name a tenant and are not in an export, each with its reason.
const NOT_EXPORTED: &[(&str, &str)] = &[
    ("bot_tokens", "a keyed hash of a bot's token, whose credential is exported without its value"),
    ("billing_differences", "the operator's: what Berth knew otherwise than Stripe, and has set right"),
    ("data_keys", "the tenant's key, wrapped: of use to nobody outside this database"),
    ("alerts", "the operator's: about Berth's own troubles, without a tenant's data"),
    ("events", "Stripe's words as they came; whose customer the tenant is gives them out, at Stripe"),
    ("flows", "how Berth works, gone when it is done; what came of it stands on the timeline"),
    ("machines", "Berth's: what a tenant sees of its machines stands with its agents"),
    ("sessions", "browsers: nothing but hashes and times"),
];

/// The entries of a tar archive.
fn untar(bytes: &[u8]) -> BTreeMap<String, String> {
    let (mut at, mut files) = (0, BTreeMap::new());
    loop {
        let header = &bytes[at..at + 512];
        let text = |range: std::ops::Range<usize>| {
            String::from_utf8(header[range].iter().copied().take_while(|byte| *byte != 0).collect()).unwrap()
        };
        if header.iter().all(|byte| *byte == 0) {
            assert_eq!(bytes.len(), at + 1024, "two empty blocks end it");
            return files;
        }
        let size = usize::from_str_radix(&text(124..136), 8).unwrap();
        let body = String::from_utf8(bytes[at + 512..at + 512 + size].to_vec()).unwrap();
        assert!(files.insert(text(0..100), body).is_none(), "{} stands there twice", text(0..100));
        at += 512 + size.next_multiple_of(512);
    }
}

async fn exported(house: &House, token: &str) -> BTreeMap<String, String> {
    use http_body_util::BodyExt as _;
    let request = ask(Method::GET, "/api/v1/export", token).body(Body::empty()).unwrap();
    let answer = house.router.clone().oneshot(request).await.unwrap();
    assert_eq!(answer.status(), StatusCode::OK);
    assert_eq!(answer.headers()["content-type"], "application/x-tar");
    untar(&answer.into_body().collect().await.unwrap().to_bytes())
}

async fn tables_with_tenants(database: &Database) -> Vec<String> {
    database
        .texts(
            "select c.relname::text from pg_class c join pg_attribute a on a.attrelid = c.oid \
             where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') \
               and a.attname = 'tenant_id' and not c.relispartition order by 1",
        )
        .await
}

/// What a tenant leaves everywhere: a live agent that talked, members, an invitation, money, an alert.
async fn lived_in(house: &House) {
    let agent = house.world.live_agent("xebec").await;
    let said =
        house.post(&house.alice, &format!("/api/v1/agents/{agent}/turns?wait=0"), r#"{"text":"hush-words"}"#).await;
    assert_eq!(said.status, StatusCode::ACCEPTED);
    house.world.run_flows(20).await;
    house.world.set_credential(None, Kind::Anthropic, None, "sk-ant-1234567890").await;
    house.join("carol@example.org", "member").await;
    house.invited("dora@example.org").await;
    let cookie = house.cookie().await;
    assert_eq!(house.form(&cookie, "/welcome", "step=name&name=second").await.status, StatusCode::SEE_OTHER);
    let tenant = house.world.alice.caller.tenant;
    let mut tx = house.web.db.tenant(tenant).await.unwrap();
    let cent = domain::model::Micros::new(10_000);
    let hold = domain::HoldId::from_uuid(uuid::Uuid::from_u128(1));
    assert!(store::model_usage::hold(&mut tx, hold, "m", cent, cent).await.unwrap());
    tx.commit().await.unwrap();
    let id = tenant.uuid();
    house
        .world
        .database
        .sql(&format!(
            "insert into billing (tenant_id, customer) values ('{id}', 'cus_1'); \
             insert into plan_prices (price_id, plan) values ('price_1', 'pro'); \
             insert into checkouts (id, tenant_id, plan, price_id) values (gen_random_uuid(), '{id}', 'pro', 'price_1'); \
             insert into letters (id, kind, to_address, tenant_id, cause, facts) \
             values (gen_random_uuid(), 'welcome', 'alice@example.org', '{id}', 'welcome', '{{\"told\":\"welcome\"}}'); \
             insert into events (id, sender, name, kind, is_live, body, tenant_id, read_at, outcome) \
             values (gen_random_uuid(), 'stripe', 'evt_1', 'x', false, '{{}}', '{id}', now(), 'read'); \
             insert into alerts (id, key, kind, tenant_id, subject, message, severity) \
             values ('019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a', 'k', 'flow_failed', '{id}', 'x', 'x', 'warning'); \
             insert into alert_deliveries (id, alert_id, firing, carrier) \
             values (gen_random_uuid(), '019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a', 1, 'mail')"
        ))
        .await;
}

#[tokio::test]
async fn an_export_holds_every_row_of_the_tenant_and_no_other() {
    let house = House::new().await;
    lived_in(&house).await;
    let files = exported(&house, &house.alice).await;
    let manifest: Value = serde_json::from_str(&files["manifest.json"]).unwrap();
    let database = &house.world.database;
    let tenant = house.world.alice.caller.tenant;
    for table in tables_with_tenants(database).await {
        if NOT_EXPORTED.iter().any(|(name, _)| *name == table) || table == "audit_heads" {
            continue;
        }
        let rows = database.count(&format!("select count(*) from {table} where tenant_id = '{}'", tenant.uuid())).await;
        assert_eq!(manifest["rows"][&table].as_i64(), Some(rows), "{table}: {manifest}");
        assert!(rows > 0, "{table} is empty: this would prove nothing");
        let folder = format!("data/{table}/");
        let lines: usize = files
            .iter()
            .filter(|(name, _)| {
                name.starts_with(&folder)
                    || **name == format!("{table}.jsonl")
                    || (table == "audit_events" && name.starts_with("audit/"))
            })
            .map(|(_, text)| text.lines().filter(|line| !line.starts_with("{\"head\"")).count())
            .sum();
        assert_eq!(i64::try_from(lines).unwrap(), rows, "{table}");
    }
    let everything: String = files.values().cloned().collect();
    for foreign in [
        "mallory",
        &house.world.mallory.caller.tenant.uuid().to_string(),
        "berth_pat_",
        "berth_lnk_",
        "hush-words",
        "\\\\x",
    ] {
        assert!(!everything.contains(foreign), "{foreign} is in it");
    }
    let chain: String =
        files.iter().filter(|(name, _)| name.starts_with("audit/")).map(|(_, text)| text.as_str()).collect();
    let mut checker = app::audit::chain::Checker::new(None);
    chain.lines().for_each(|line| checker.line(line).unwrap());
    checker.end_of_export().unwrap();
    assert!(chain.contains("tenant.export"), "that it was taken is in it");
    assert!(!house.world.mallory.caller.email.as_str().is_empty());
}

/// More rows than one batch: each once, none left out.
#[tokio::test]
async fn batches_meet_without_a_gap() {
    let house = House::new().await;
    let agent = house.world.new_agent("xebec").await;
    let tenant = house.world.alice.caller.tenant.uuid();
    house
        .world
        .database
        .sql(&format!(
            "insert into timeline (tenant_id, agent_id, seq, what) \
             select '{tenant}', '{}', n, '{{\"kind\":\"x\"}}' from generate_series(1000, 2499) n",
            agent.uuid()
        ))
        .await;
    let files = exported(&house, &house.alice).await;
    let mut seqs: Vec<i64> = files
        .iter()
        .filter(|(name, _)| name.starts_with("data/timeline/"))
        .flat_map(|(_, text)| {
            text.lines()
                .map(|line| serde_json::from_str::<Value>(line).unwrap()["seq"].as_i64().unwrap())
                .collect::<Vec<_>>()
        })
        .collect();
    let all = seqs.len();
    seqs.dedup();
    assert!(seqs.is_sorted() && seqs.len() == all, "each once, in order");
    assert_eq!(i64::try_from(all).unwrap(), house.world.database.count("select count(*) from timeline").await);
}

#[tokio::test]
async fn a_tenant_is_erased_after_thirty_days_and_nothing_is_left() {
    let house = House::new().await;
    lived_in(&house).await;
    let database = &house.world.database;
    let tenant = house.world.alice.caller.tenant;
    let others = async |database: &Database| {
        let mut counts = Vec::new();
        for table in tables_with_tenants(database).await {
            counts.push(
                database
                    .count(&format!(
                        "select count(*) from {table} where tenant_id is distinct from '{}' and tenant_id is not null",
                        tenant.uuid()
                    ))
                    .await,
            );
        }
        counts
    };
    let path = format!("/api/v1/tenants/{tenant}");
    let asked = house.send(ask(Method::DELETE, &path, &house.alice).body(Body::empty()).unwrap()).await;
    assert_eq!(asked.status, StatusCode::ACCEPTED, "{}", asked.text);
    assert!(asked.json()["erase_after"].is_string());
    house.world.run_flows(60).await;
    let agent = database.texts("select wanted || ' ' || (seen ->> 'state') from agents").await;
    assert_eq!(agent, ["stopped stopped"], "its agents rest meanwhile");
    let before = others(database).await;

    database.move_clock("29 days 23 hours").await;
    wind(&house).await;
    assert_eq!(database.count("select count(*) from agents").await, 1, "not a day too early");
    let early = format!("delete from tenants where id = '{}'", tenant.uuid());
    assert!(sqlx_refuses(database, &early).await, "the database refuses too");

    database.move_clock("30 days 1 minute").await;
    wind(&house).await;
    assert_eq!(clients::provider::Provider::list(&house.world.provider).await.unwrap(), [], "a machine is left");
    for table in tables_with_tenants(database).await {
        let rows = format!("select count(*) from {table} where tenant_id = '{}'", tenant.uuid());
        assert_eq!(database.count(&rows).await, 0, "{table}");
    }
    assert_eq!(database.count(&format!("select count(*) from tenants where id = '{}'", tenant.uuid())).await, 0);
    assert_eq!(database.count("select count(*) from flows where kind = 'erasure'").await, 0);
    assert_eq!(others(database).await, before, "another tenant lost something");
}

/// Runs flows until none pauses for a short while any more, by the moved clock.
async fn wind(house: &House) {
    for _ in 0..30 {
        let soon = "update flows set run_at = berth.now() where run_at < berth.now() + interval '9 minutes'";
        house.world.database.sql(soon).await;
        if house.world.run_flows(60).await.is_empty() {
            break;
        }
    }
}

async fn sqlx_refuses(database: &Database, statement: &str) -> bool {
    let probe = format!(
        "create function public.probe() returns boolean language plpgsql as $$ begin {statement}; return false; \
         exception when restrict_violation then return true; end $$"
    );
    database.sql(&probe).await;
    let refused = database.count("select public.probe()::int::bigint").await == 1;
    database.sql("drop function public.probe()").await;
    refused
}

#[tokio::test]
async fn a_tenant_is_kept_while_there_is_time() {
    let house = House::new().await;
    let agent = house.world.live_agent("xebec").await;
    let cookie = house.cookie().await;
    let tenant = house.world.alice.caller.tenant;
    let refused = house.form(&cookie, &format!("/tenants/{tenant}/erase"), "name=x").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    let other = house.world.mallory.caller.tenant;
    assert_eq!(house.form(&cookie, &format!("/tenants/{other}/erase"), "name=x").await.status, StatusCode::NOT_FOUND);
    let asked = house.form(&cookie, &format!("/tenants/{tenant}/erase"), "name=alice%40example.org").await;
    assert_eq!(asked.status, StatusCode::SEE_OTHER, "{}", asked.text);
    assert!(house.page(&cookie, "/tenants").await.text.contains("will be erased"));
    house.world.run_flows(60).await;
    house.world.database.move_clock("6 days").await;
    let cookie = house.cookie().await;
    assert_eq!(house.form(&cookie, &format!("/tenants/{tenant}/keep"), "").await.status, StatusCode::SEE_OTHER);
    house.world.database.move_clock("31 days").await;
    wind(&house).await;
    assert!(house.world.agent(agent).await.is_some());
    assert_eq!(house.world.database.count("select count(*) from flows where kind = 'erasure'").await, 0);
    let late = house.post(&house.alice, &format!("/api/v1/tenants/{tenant}/keep"), "").await;
    assert_eq!(late.status, StatusCode::CONFLICT);
    house.world.database.sql("update members set role = 'admin'").await;
    assert_eq!(house.get(&house.alice, "/api/v1/export").await.status, StatusCode::FORBIDDEN, "owners only");
}
