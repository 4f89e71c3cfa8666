//! What the schema itself promises: what it holds of people, what it refuses, what it tells others.

use std::{
    collections::{BTreeMap, BTreeSet},
    time::Duration,
};

use sqlx::{Connection as _, Executor as _, PgConnection, postgres::PgListener};
use testkit::{Database, World};
use uuid::Uuid;

/// What each column holds, for operators too.
const INVENTORY: &str = include_str!("../../../../docs/data.tsv");

/// The kinds of data that there are in the inventory.
const KINDS: [&str; 9] = ["id", "time", "number", "word", "made", "key", "hash", "sealed", "personal"];

/// Hashes that nobody looks a row up by.
const COMPARED_ONLY: [&str; 2] = ["sign_ins.browser_hash", "waitlist.source_hash"];

/// Tables without a time of their own, each with its reason.
const TIMELESS: [(&str, &str); 5] = [
    ("audit_heads", "its event has the time"),
    ("flow_results", "gone with the parent flow, which has the time"),
    ("house_audit_heads", "its event has the time"),
    ("model_days", "its key is a day"),
    ("recovery_codes", "made with the factor, which has the time"),
];

const COLUMNS: &str = "
    from pg_attribute a join pg_class c on c.oid = a.attrelid
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p') and not c.relispartition
      and a.attnum > 0 and not a.attisdropped and c.relname <> '_sqlx_migrations'";

/// PRV-08, PRV-14: no column without a line that says what it holds, and for what, where it is about a person.
#[tokio::test]
async fn every_column_stands_in_the_inventory_of_data() {
    let database = Database::fresh().await;
    let asked = format!("select c.relname || '.' || a.attname || E'\\t' || format_type(a.atttypid, null) {COLUMNS}");
    let there: BTreeSet<String> = database.texts(&asked).await.into_iter().collect();
    let mut lines = INVENTORY.lines();
    assert_eq!(lines.next(), Some("column\ttype\tholds\tof whom and for what"));
    let mut listed = BTreeSet::new();
    for line in lines {
        let [column, kind, holds, why] = line.split('\t').collect::<Vec<_>>()[..] else { panic!("{line}") };
        assert!(KINDS.contains(&holds), "{line}");
        assert!(matches!(holds, "personal" | "sealed") != why.is_empty(), "a reason, there and only there: {line}");
        assert_eq!(
            holds == "sealed",
            column.ends_with("_sealed")
                || column.starts_with("exchanges.") && kind == "bytea"
                || matches!(column, "credentials.sealed" | "data_keys.wrapped")
        );
        assert!(listed.insert(format!("{column}\t{kind}")), "twice: {line}");
    }
    let (new, gone): (Vec<_>, Vec<_>) = (there.difference(&listed).collect(), listed.difference(&there).collect());
    assert!(
        new.is_empty() && gone.is_empty(),
        "docs/data.tsv: new in the schema: {new:#?}; not there any more: {gone:#?}"
    );
}

/// RLS-26: whatever is looked up by its hash is found by an index, and a key begins with what the policy reads.
#[tokio::test]
async fn every_hash_that_is_looked_up_is_indexed() {
    let database = Database::fresh().await;
    let hashes = format!("select c.relname || '.' || a.attname {COLUMNS} and a.attname like '%\\_hash'");
    let indexed = format!(
        "{hashes} and exists (select from pg_index i where i.indrelid = c.oid and i.indkey[0] = a.attnum
                              and i.indpred is null and i.indisvalid)"
    );
    let all: BTreeSet<String> = database.texts(&hashes).await.into_iter().collect();
    let found: BTreeSet<String> = database.texts(&indexed).await.into_iter().collect();
    let bare: Vec<&String> = all.difference(&found).collect();
    assert_eq!(bare, COMPARED_ONLY);
    assert!(found.len() >= 9, "{found:?}");
    // And it is used, where there are rows enough for it to matter.
    database
        .sql(
            "insert into limits (key_hash, full_at)
             select sha256(n::text::bytea), now() from generate_series(1, 20000) n; analyze limits",
        )
        .await;
    let plan = "select * from limits where key_hash = sha256('7')";
    let plan = database.texts(&format!("explain {plan}")).await.join("\n");
    assert!(plan.contains("Index") && !plan.contains("Seq Scan"), "{plan}");
}

/// RLS-28: every row says when: when it was made, asked or happened.
#[tokio::test]
async fn every_table_has_a_time() {
    let database = Database::fresh().await;
    let timed =
        format!("select distinct c.relname::text {COLUMNS} and a.atttypid = 'timestamptz'::regtype and a.attnotnull");
    let tables = format!("select distinct c.relname::text {COLUMNS}");
    let timed: BTreeSet<String> = database.texts(&timed).await.into_iter().collect();
    let all: BTreeSet<String> = database.texts(&tables).await.into_iter().collect();
    let timeless: Vec<&String> = all.difference(&timed).collect();
    assert_eq!(timeless, TIMELESS.map(|(table, _)| table));
    let zoneless = format!("select c.relname || '.' || a.attname {COLUMNS} and a.atttypid = 'timestamp'::regtype");
    assert_eq!(database.texts(&zoneless).await, Vec::<String>::new(), "a time without a zone");
}

/// Ill values by raw SQL: the edge refuses them first, the table refuses them too.
const ILL: &[(&str, &str)] = &[
    ("23514", "update agents set name = 'Bad Name'"),
    ("23514", "update agents set name = ''"),
    ("23514", "update agents set name = repeat('a', 41)"),
    ("23514", "update agents set name = '-a'"),
    ("23514", "update agents set wanted = 'perhaps'"),
    ("23502", "update agents set seen = null"),
    ("22P02", "update agents set seen = '{'"),
    ("23514", "update members set role = 'god'"),
    ("23502", "update members set role = null"),
    ("23503", "update members set user_id = gen_random_uuid()"),
    (
        "23505",
        "insert into members (id, tenant_id, user_id, role) select gen_random_uuid(), tenant_id, user_id, role from members",
    ),
    ("23514", "update sessions set browser = repeat('x', 201)"),
    ("23514", "update flows set kind = 'X'"),
    ("23514", "update machines set state = 'lost'"),
    ("23514", "update machines set agent_id = null"),
    ("23514", "update machines set state = 'gone'"),
    ("23505", "insert into identities select issuer, subject, user_id from identities"),
    ("23514", "update identities set subject = ''"),
    ("23514", "update identities set subject = repeat('x', 256)"),
    ("23514", "insert into limits (key_hash, full_at) values ('\\x00', now())"),
    ("23514", "insert into links (token_hash, purpose, expires_at) values ('\\x00', 'other', now())"),
    ("23514", "insert into links (token_hash, purpose, expires_at) values ('\\x00', 'sign_in', now())"),
    ("23514", "insert into letters (id, kind, to_address) values (gen_random_uuid(), 'advertisement', 'a@b.example')"),
    ("23514", "insert into job_runs (id, job, asked_by) values (gen_random_uuid(), 'health', 'anybody')"),
    (
        "23514",
        "insert into invites (id, batch_id, code_hash, made_by, uses_max, expires_at)
         select gen_random_uuid(), gen_random_uuid(), '\\x00', id, 0, now() from users",
    ),
    (
        "23514",
        "insert into invites (id, batch_id, code_hash, made_by, uses_max, uses, expires_at)
         select gen_random_uuid(), gen_random_uuid(), '\\x00', id, 1, 2, now() from users",
    ),
    (
        "23514",
        "insert into sign_ins (id, provider, state_hash, browser_hash, return_path, expires_at)
         values (gen_random_uuid(), 'x', '\\x00', '\\x00', '/', now() + interval '11 minutes')",
    ),
    (
        "23514",
        "insert into invitations (id, tenant_id, email, role, invited_by, expires_at)
         select gen_random_uuid(), tenant_id, 'x', 'owner', user_id, now() from members",
    ),
    ("23514", "update audit_events set hash = '\\x00'"),
    (
        "23503",
        "insert into timeline (tenant_id, agent_id, seq, what) select id, gen_random_uuid(), 1, '{}' from tenants",
    ),
];

/// INP-04.
#[tokio::test]
async fn the_tables_refuse_what_the_edge_refuses() {
    let world = World::new().await;
    world.live_agent("scout").await;
    let user = world.alice.caller.user.uuid();
    let session = format!(
        "insert into sessions (id, token_hash, user_id, tenant_id, expires_at) \
         select gen_random_uuid(), '\\x01', user_id, tenant_id, now() + interval '1 day' from members where user_id = '{user}'"
    );
    world.database.sql(&session).await;
    let mut raw = PgConnection::connect(&world.database.url_as("postgres")).await.unwrap();
    for (code, statement) in ILL {
        raw.execute("begin").await.unwrap();
        let refused = raw.execute(*statement).await.err();
        let refused =
            refused.as_ref().and_then(sqlx::Error::as_database_error).and_then(sqlx::error::DatabaseError::code);
        assert_eq!(refused.as_deref(), Some(*code), "{statement}");
        raw.execute("rollback").await.unwrap();
    }
}

/// RLS-38: what the database calls out can be heard by whoever connects, so it names nobody.
#[tokio::test]
async fn what_is_called_out_holds_ids_only() {
    let world = World::new().await;
    let mut listener = PgListener::connect(&world.database.url_as("berth_login")).await.unwrap();
    listener.listen_all(["berth", "berth_access"]).await.unwrap();
    let db = world.database.db.clone();
    let carrying = tokio::spawn(async move { db.carry_signals(Uuid::from_u128(7)).await });
    let agent = world.live_agent("secret-scout").await;
    world.database.sql("update tenants set name = 'secret name'; update users set email = 'secret@example.org'").await;
    world.database.sql("update members set role = 'viewer'; delete from members").await;
    world.remove(agent).await;
    let mut heard: BTreeMap<String, usize> = BTreeMap::new();
    while let Ok(message) = tokio::time::timeout(Duration::from_millis(700), listener.recv()).await {
        let message = message.unwrap();
        *heard.entry(message.channel().to_owned()).or_default() += 1;
        let is_word = |word: &str| matches!(word, "w" | "-" | "*" | "") || Uuid::try_parse(word).is_ok();
        assert!(message.payload().split([' ', ',']).all(is_word), "{}: {}", message.channel(), message.payload());
    }
    carrying.abort();
    assert!(heard.len() == 2 && heard["berth_access"] >= 4, "{heard:?}");
}
