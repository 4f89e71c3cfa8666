//! `berth verify`: a world in which everything holds is clean, and each planted fault is named.

use std::collections::BTreeSet;

use clients::{
    fake::{Strike, Verb},
    provider::{Limits, Plan, Provider as _, ProviderError},
};
use domain::{
    AgentId, MachineId,
    audit::Act,
    credential::Kind,
    entitlement::Billing,
    invariants::{Check, Invariant, KEPT_MAX, State},
    life::Life,
    machine::MachineName,
    names::TurnText,
    plan::PlanName,
};
use flows::RunnerOptions;
use testkit::World;

/// A live agent with kept words, of whom everything holds, where people pay: its tenant has a plan as a gift.
async fn good() -> (World, AgentId, MachineId) {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let by = &world.alice.caller;
    let entropy = world.flows.entropy.as_ref();
    let mut tx = world.database.db.system().await.unwrap();
    store::house::installation(&mut tx, world.flows.installation).await.unwrap();
    store::house::set_billing(&mut tx, Billing::On).await.unwrap();
    let told = br#"{"id":"evt_1","type":"customer.created","data":{"object":{"object":"customer","id":"cus_1"}}}"#;
    assert!(app::events::keep(&mut tx, entropy, told).await.unwrap());
    app::audit::record_house(&mut tx, by, Act::BillingGift, &by.tenant, &[]).await.unwrap();
    let mut tx = tx.into_tenant(by.tenant).await.unwrap();
    app::billing::open(&mut tx, entropy).await.unwrap();
    store::billing::set_gift(&mut tx, Some((&PlanName::parse("pro").unwrap(), None))).await.unwrap();
    app::audit::record(&mut tx, by, Act::BillingGift, &by.tenant, &[]).await.unwrap();
    tx.commit().await.unwrap();
    let mut tx = world.database.db.tenant(by.tenant).await.unwrap();
    let with = (world.flows.ring.as_ref(), world.flows.entropy.as_ref());
    app::exchanges::say(&mut tx, with, agent, &TurnText::parse("hello").unwrap(), by).await.unwrap();
    tx.commit().await.unwrap();
    world.run_flows(10).await;
    let machine = world.agent(agent).await.unwrap().machine.unwrap().id;
    (world, agent, machine)
}

async fn found(world: &World) -> BTreeSet<Check> {
    world.verify().await.violations().map(|violation| violation.check).collect()
}

#[tokio::test]
async fn a_life_is_clean_after_each_of_its_steps() {
    let world = World::new().await;
    let agent = world.new_agent("scout").await;
    let (db, by) = (&world.database.db, &world.alice.caller);
    for wish in ["", "stop", "start", "restart", "prove", "delete"] {
        let mut tx = db.tenant(by.tenant).await.unwrap();
        match wish {
            "stop" => drop(app::agents::stop(&mut tx, agent, by).await.unwrap()),
            "start" => drop(app::agents::start(&mut tx, agent, by).await.unwrap()),
            "restart" => drop(app::agents::restart(&mut tx, agent, by).await.unwrap()),
            "prove" => drop(app::agents::prove(&mut tx, agent, by).await.unwrap()),
            "delete" => drop(app::agents::remove(&mut tx, agent, by).await.unwrap()),
            _ => {}
        }
        tx.commit().await.unwrap();
        world.assert_verified().await;
        while !flows::run_due(&world.flows, &RunnerOptions::default()).await.unwrap().is_empty() {
            world.assert_verified().await;
        }
    }
    world.assert_nothing_left().await;
    let report = world.verify().await;
    assert_eq!(report.state(), State::Held);
}

#[tokio::test]
async fn a_clean_world_is_looked_at_and_clean() {
    let (world, ..) = good().await;
    let report = world.verify().await;
    assert_eq!(report.state(), State::Held, "{:?}", report.violations().collect::<Vec<_>>());
    for finding in &report.invariants {
        let built = finding.invariant.not_built().is_none();
        assert_eq!(finding.state(), if built { State::Held } else { State::NotBuilt });
        assert_eq!(finding.looked_at > 0, built, "{} was looked at {}", finding.invariant.id(), finding.looked_at);
    }
}

/// Statements that break exactly these; `{agent}`, `{machine}` and `{tenant}` stand for the good ones.
const PLANTS: &[(&[Check], &str)] = &[
    (
        // A copied row: its keys are bound to the first one's place.
        &[Check::TwoMachines, Check::DoesNotOpen],
        "drop index machines_of_agent;
         insert into machines
         select (jsonb_populate_record(m, jsonb_build_object('id', gen_random_uuid(), 'state', 'reserved',
                 'machine_token_hash', 'x', 'model_key_hash', 'x'))).* from machines m",
    ),
    (
        &[Check::ForeignOwner],
        "delete from flows where subject = '{agent}' or kind = 'exchange'; delete from agents where id = '{agent}'",
    ),
    (
        &[Check::ForeignOwner],
        "update machines set tenant_id = (select id from tenants where id <> '{tenant}')",
    ),
    (&[Check::NotInForce], "update machines set digest = 'another'"),
    (&[Check::NotProved], "update agents set proof = jsonb_set(proof, '{ok}', 'false')"),
    (
        &[Check::NotProved],
        "alter table timeline disable trigger timeline_kept;
         update timeline set at = now() + interval '1 hour' where what ->> 'step' = 'apply';
         alter table timeline enable trigger timeline_kept",
    ),
    (
        &[Check::SeenDiffers],
        "update agents set seen = '{\"state\":\"degraded\",\"since\":\"2026-01-01T00:00:00Z\",\"why\":\"\"}'",
    ),
    (
        &[Check::Overdue],
        "update flows set step = '{\"step\":\"apply\",\"machine\":\"{printed}\"}', deadline_at = now() - interval '4 minutes'
         where kind = 'life'",
    ),
    (&[Check::Untaken], "update flows set run_at = now() - interval '4 minutes' where kind = 'life'"),
    (
        &[Check::NoDeadline],
        "update flows set step = '{\"step\":\"apply\",\"machine\":\"{printed}\"}', deadline_at = null where kind = 'life'",
    ),
    (&[Check::BrokenLease], "update flows set lease_token = gen_random_uuid() where kind = 'life'"),
    (&[Check::BrokenLease], "update flows set lease_until = now() + interval '1 minute' where kind = 'life'"),
    (&[Check::UnreadableStep], "update flows set step = '{\"step\":\"dream\"}' where kind = 'life'"),
    (&[Check::AgentWithoutFlow], "delete from flows where kind = 'life'"),
    (
        &[Check::FlowWithoutAgent],
        "insert into flows (id, kind, tenant_id, subject, step, run_at)
         values (gen_random_uuid(), 'life', '{tenant}', gen_random_uuid(),
                 '{\"step\":\"failed\",\"machine\":null,\"why\":\"\"}', now() + interval '1 hour')",
    ),
    (&[Check::RemovalForgotten], "update agents set wanted = 'gone'"),
    (&[Check::WakeUpLost], "update agents set wanted = 'stopped'"),
    (&[Check::WakeUpLost], "insert into flow_signals (flow_id, signal) select id, 'prove' from flows where kind = 'life'"),
    (
        &[Check::FailedUntold],
        "update flows set step = '{\"step\":\"failed\",\"machine\":null,\"why\":\"\"}' where kind = 'life';
         update agents set seen = '{\"state\":\"failed\",\"since\":\"2026-01-01T00:00:00Z\",\"why\":\"\"}'",
    ),
    (
        &[Check::WakeUpLost],
        "insert into flow_signals (flow_id, signal) select id, 'look' from flows where kind = 'billing'",
    ),
    (&[Check::StrayWords], "delete from flows where kind = 'exchange'"),
    (
        &[Check::UnpaidRunning],
        "update billing set gift_plan = null, past_due_since = '2026-01-01Z',
                entitlement = '{\"entitlement\":\"suspended\",\"why\":\"past_due\",\"since\":\"2026-01-08T00:00:00Z\"}',
                subscription = '{\"id\":\"sub_1\",\"status\":\"past_due\",\"price\":\"price_1\",
                                 \"created\":\"2026-01-01T00:00:00Z\",\"period_ends\":\"2026-02-01T00:00:00Z\"}'",
    ),
    (&[Check::Misjudged], "update billing set gift_until = now() - interval '1 hour'"),
    (&[Check::Unwatched], "delete from flows where kind = 'billing'"),
    (&[Check::EventForgotten], "update events set read_at = null, outcome = null"),
    (
        &[Check::ChainBroken],
        "alter table audit_events disable trigger user; update audit_events set actor = 'user:another' where seq = 1",
    ),
    (
        &[Check::ChainBroken],
        "alter table house_audit_events disable trigger user; update house_audit_events set actor = 'user:another'",
    ),
    (
        // Not even an event any more: what else is wrong is found all the same.
        &[Check::ChainBroken, Check::Unwatched],
        "alter table audit_events disable trigger user; update audit_events set details = '{\"a\":1}';
         delete from flows where kind = 'billing'",
    ),
    (
        &[Check::ChainBroken],
        "alter table audit_events disable trigger user;
         delete from audit_events where (tenant_id, seq) in (select tenant_id, max(seq) from audit_events group by 1)",
    ),
    (
        &[Check::StraySignal],
        "alter table flow_signals drop constraint flow_signals_flow_id_fkey;
         insert into flow_signals (flow_id, signal) values (gen_random_uuid(), 'prove')",
    ),
    (&[Check::NotSealed], "update machines set model_key_sealed = 'plain'"),
    (&[Check::NotSealed], "update exchanges set question = 'plain'"),
    (&[Check::DoesNotOpen], "update machines set model_key_sealed = gateway_token_sealed"),
    (&[Check::DoesNotOpen], "update exchanges set question = answer"),
];

#[tokio::test]
async fn each_planted_fault_is_named_and_nothing_else() {
    let mut planted: BTreeSet<Check> = PLANTS.iter().flat_map(|(checks, _)| checks.iter().copied()).collect();
    for (checks, statements) in PLANTS {
        let (world, agent, machine) = good().await;
        let statements = statements
            .replace("{agent}", &agent.uuid().to_string())
            .replace("{printed}", &machine.to_string())
            .replace("{tenant}", &world.alice.caller.tenant.uuid().to_string());
        unlock(&world).await;
        for statement in statements.split(';') {
            world.database.sql(statement).await;
        }
        assert_eq!(found(&world).await, checks.iter().copied().collect(), "{statements}");
    }
    // What takes more than a statement has a test of its own below.
    planted.extend([Check::Leaked, Check::Lost, Check::Shared, Check::KeysLeft]);
    assert_eq!(planted, Check::EVERY.iter().copied().collect(), "a check that nobody saw fail");
}

/// As after a rollback to a build that is older than the row.
#[tokio::test]
async fn an_account_that_cannot_be_read_hides_nothing_else() {
    let (world, ..) = good().await;
    world.database.sql("update billing set entitlement = '{\"entitlement\":\"blessed\"}'").await;
    world.database.sql("update events set read_at = null, outcome = null").await;
    let report = world.verify().await;
    assert_eq!(report.violations().map(|violation| violation.check).collect::<Vec<_>>(), [Check::EventForgotten]);
    let paid = report.invariants.iter().find(|finding| finding.invariant == Invariant::Entitlements).unwrap();
    assert_eq!(paid.state(), State::Unknown, "{paid:?}");
}

#[tokio::test]
async fn machines_are_compared_with_the_provider_in_both_directions() {
    let (world, _, machine) = good().await;
    let stray = MachineId::from_uuid(uuid::Uuid::from_u128(99));
    let plan = Plan {
        name: MachineName::of(stray),
        machine: stray,
        image: "x".into(),
        files: vec![],
        limits: Limits { cpus: 1, memory_bytes: 1, disk_bytes: 1 },
    };
    world.provider.ensure(&plan).await.unwrap();
    let report = world.verify().await;
    let [leaked] = report.violations().collect::<Vec<_>>()[..] else { panic!("{:?}", report.invariants) };
    assert_eq!((leaked.check, &leaked.ids[..]), (Check::Leaked, &[MachineName::of(stray).to_string()][..]));
    world.provider.remove(&MachineName::of(stray)).await.unwrap();
    world.assert_verified().await;

    world.provider.vanish(&MachineName::of(machine));
    assert_eq!(found(&world).await, BTreeSet::from([Check::Lost]));
}

#[tokio::test]
async fn a_provider_that_is_away_is_not_an_empty_one() {
    let (world, ..) = good().await;
    let away = ProviderError::Unavailable { why: "down".into() };
    world.provider.fail_next(Verb::List, Strike::Before, 2, &away);
    let report = world.verify().await;
    assert_eq!(report.state(), State::Unknown);
    let machines = report.invariants.iter().find(|finding| finding.invariant == Invariant::Machines).unwrap();
    assert_eq!((machines.state(), machines.looked_at), (State::Unknown, 0));
    assert!(machines.unknown.as_deref().is_some_and(|why| why.contains("down")));

    // Away only when it is asked again: what was in doubt stays unknown.
    let stray = MachineName::of(MachineId::from_uuid(uuid::Uuid::from_u128(99)));
    let listed = Ok(BTreeSet::from([stray]));
    let grace = app::verify::GRACE;
    let look = app::verify::look(&world.database.db, &world.flows.ring, listed, grace).await.unwrap();
    assert!(look.is_in_doubt());
    assert_eq!(look.report(Some(Err("down".into()))).state(), State::Unknown);
}

#[tokio::test]
async fn two_agents_that_name_one_machine_are_named() {
    let (world, agent, machine) = good().await;
    let other = world.live_agent("rival").await;
    world.assert_verified().await;
    let theft = format!(
        "update agents set machine = (select machine from agents where id = '{}') where id = '{}'",
        agent.uuid(),
        other.uuid()
    );
    world.database.sql(&theft).await;
    let report = world.verify().await;
    let shared: Vec<_> = report.violations().filter(|violation| violation.check == Check::Shared).collect();
    assert_eq!(shared.len(), 1);
    assert_eq!(shared[0].ids, [machine.to_string(), other.to_string(), agent.to_string()]);
}

#[tokio::test]
async fn keys_of_a_machine_that_is_gone_are_gone() {
    let (world, agent, _) = good().await;
    world.remove(agent).await;
    assert!(!found(&world).await.contains(&Check::KeysLeft));
    // The check lets a machine that is gone keep anything: that is what is looked for.
    world.database.sql("update machines set machine_key_sealed = 'left' where gone_at is not null").await;
    assert!(found(&world).await.contains(&Check::KeysLeft));
}

#[tokio::test]
async fn more_than_a_batch_is_counted_and_not_kept() {
    let (world, ..) = good().await;
    let many = format!(
        "insert into agents (tenant_id, id, name, wanted, seen)
         select '{}', gen_random_uuid(), 'a' || n, 'running', '{{\"state\":\"preparing\",\"since\":\"2026-01-01T00:00:00Z\"}}'
         from generate_series(1, 1201) n",
        world.mallory.caller.tenant.uuid()
    );
    world.database.sql(&many).await;
    let report = world.verify().await;
    let flows = report.invariants.iter().find(|finding| finding.invariant == Invariant::Flows).unwrap();
    assert_eq!((flows.violations_count, flows.violations.len()), (1201, KEPT_MAX));
    assert!(flows.violations.iter().all(|violation| violation.check == Check::AgentWithoutFlow));
}

/// A new sealed column is looked at, or this fails.
#[tokio::test]
async fn every_sealed_column_of_the_schema_is_looked_at() {
    let (world, ..) = good().await;
    let named = "select count(*) from information_schema.columns c
                 join information_schema.tables t using (table_schema, table_name)
                 where table_schema = 'public' and data_type = 'bytea' and column_name not like '%hash' and column_name not in ('prior', 'body')
                   and table_type = 'BASE TABLE' and table_name not in ('_sqlx_migrations', 'master_keys')";
    assert_eq!(world.database.count(named).await, i64::try_from(app::verify::SEALED.len()).unwrap());
    for (table, column) in app::verify::SEALED {
        if (table, column) == ("data_keys", "wrapped") {
            continue; // has a test of its own: with the key, everything under it is lost
        }
        let (world, agent, _) = good().await;
        world.set_credential(Some(agent), Kind::Variable, Some("API_KEY"), "a value").await;
        unlock(&world).await;
        let authority =
            "insert into ssh_authorities (id, public_key, key_sealed) values (gen_random_uuid(), '', 'plain')";
        match table {
            "operator_factors" => {
                let factor =
                    "insert into operator_factors (user_id, secret_sealed) select id, 'plain' from users limit 1";
                world.database.sql(factor).await;
            }
            "ssh_authorities" => world.database.sql(authority).await,
            _ => world.database.sql(&format!("update {table} set {column} = 'plain'")).await,
        }
        let report = world.verify().await;
        let [wrong] = report.violations().collect::<Vec<_>>()[..] else { panic!("{table}.{column}") };
        assert_eq!(wrong.check, Check::NotSealed);
        assert!(wrong.what.starts_with(&format!("{table}.{column} of ")), "{}", wrong.what);
    }
}

/// CRY-01: nothing but an envelope gets into a sealed column, whoever writes it.
#[tokio::test]
async fn the_database_itself_refuses_what_was_never_sealed() {
    let (world, agent, _) = good().await;
    world.set_credential(Some(agent), Kind::Variable, Some("API_KEY"), "a value").await;
    for (table, column) in app::verify::SEALED {
        // Where there is no row of its own, one is not needed: the check is looked up.
        let check = format!(
            "select count(*) from pg_constraint c join pg_attribute a on a.attrelid = c.conrelid and a.attnum = any (c.conkey)
             where c.contype = 'c' and c.conrelid = '{table}'::regclass and a.attname = '{column}'
               and pg_get_constraintdef(c.oid) ilike '%substring({column}%'"
        );
        assert_eq!(world.database.count(&check).await, 1, "{table}.{column}");
    }
    for plain in [
        "update machines set model_key_sealed = 'a value that nobody ever sealed, of some length'",
        "update credentials set sealed = 'a value that nobody ever sealed, of some length'",
        "update exchanges set question = ''",
    ] {
        assert!(world.database.refuses(plain).await, "{plain}");
    }
}

/// A data key that was altered takes everything under it along, and each value is named.
#[tokio::test]
async fn an_altered_data_key_is_named_with_what_it_loses() {
    let (world, agent, _) = good().await;
    world.set_credential(Some(agent), Kind::Variable, Some("API_KEY"), "a value").await;
    let altered =
        "update data_keys set wrapped = set_byte(wrapped, 60, get_byte(wrapped, 60) # 1) where tenant_id is not null";
    world.database.sql(altered).await;
    let report = world.verify().await;
    let said: Vec<&str> = report.violations().map(|violation| violation.what.as_str()).collect();
    for place in ["data_keys.wrapped of ", "credentials.sealed of ", "exchanges.question of "] {
        assert!(said.iter().any(|what| what.starts_with(place)), "{place}: {said:?}");
    }
}

/// Lets a test put what it likes into sealed columns, as somebody who owns the database could.
async fn unlock(world: &World) {
    let checks = [
        ("machines", "machines_sealed"),
        ("machines", "machines_next_sealed"),
        ("machines", "machines_rotation"),
        ("exchanges", "exchanges_sealed"),
        ("ssh_authorities", "ssh_authorities_sealed"),
        ("operator_factors", "operator_factors_sealed"),
        ("credentials", "credentials_sealed_check"),
    ];
    for (table, check) in checks {
        world.database.sql(&format!("alter table {table} drop constraint {check}")).await;
    }
}

/// All of it is one instant: what is committed while somebody looks is not half seen.
#[tokio::test]
async fn a_look_sees_one_instant() {
    let (world, agent, _) = good().await;
    let db = &world.database.db;
    let mut at = db.snapshot().await.unwrap();
    let tenant = world.alice.caller.tenant;
    world.remove(agent).await;
    assert!(world.step(agent).await.is_none());
    let mut tx = db.tenant_at(&at, tenant).await.unwrap();
    assert_eq!(store::agents::list(&mut tx, None, 10).await.unwrap().len(), 1);
    let lives = store::invariants::flows_of(&mut at.house, "life", &[agent.uuid()]).await.unwrap();
    assert_eq!(
        lives[0].step["step"],
        serde_json::json!(Life::Live { machine: MachineId::from_uuid(uuid::Uuid::nil()) })["step"]
    );
    // And it is still one tenant's.
    let mut tx = db.tenant_at(&at, world.mallory.caller.tenant).await.unwrap();
    assert_eq!(store::agents::list(&mut tx, None, 10).await.unwrap().len(), 0);
}
