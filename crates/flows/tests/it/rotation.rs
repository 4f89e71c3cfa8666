//! From one master key to another, with tenants at work and workers that die.

use std::sync::Arc;

use domain::{TenantId, credential::Kind};
use testkit::{World, master_key};
use vault::{Keyring, OpenError, Owner, Sealed};

const BOT: &str = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc";

async fn tenants(world: &World, count: usize) -> Vec<TenantId> {
    let made =
        format!("insert into tenants (id, name) select gen_random_uuid(), 'bulk' from generate_series(1, {count})");
    world.database.sql(&made).await;
    let ids = world.database.texts("select id::text from tenants where name = 'bulk'").await;
    ids.iter().map(|id| TenantId::from_uuid(id.parse().unwrap())).collect()
}

/// Gives a tenant its key, as whoever seals something for it first does.
async fn key_of(world: &World, ring: &Keyring, tenant: TenantId) -> Result<(), app::keys::KeyTrouble> {
    let mut tx = world.database.db.tenant(tenant).await.unwrap();
    app::keys::of_tenant(&mut tx, ring, world.flows.entropy.as_ref()).await?;
    tx.commit().await.unwrap();
    Ok(())
}

async fn states(world: &World) -> Vec<String> {
    world.database.texts("select state || ' ' || encode(id, 'hex') from master_keys order by state").await
}

const UNDER: &str = "select count(*) from data_keys where encode(substring(wrapped from 2 for 16), 'hex') = ";

#[tokio::test]
async fn everything_is_wrapped_anew_and_the_old_key_retires() {
    let mut world = World::new().await;
    let agent = world.live_agent("scout").await;
    world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    for tenant in tenants(&world, 450).await {
        key_of(&world, &world.flows.ring, tenant).await.unwrap();
    }
    let keys = world.database.count("select count(*) from data_keys").await;
    let before = world.database.texts("select encode(sealed, 'hex') from credentials").await;
    let (old, to) = (master_key(7).id(), world.begin_rotation().await);
    world.run_flows(20).await;

    assert_eq!(states(&world).await, [format!("current {to}"), format!("retired {old}")]);
    assert_eq!(world.database.count(&format!("{UNDER}'{to}'")).await, keys, "none is left behind, none is lost");
    assert_eq!(
        world.database.texts("select encode(sealed, 'hex') from credentials").await,
        before,
        "values are not touched"
    );
    assert_eq!(world.database.count("select count(*) from flows where kind = 'rotation'").await, 0);

    // With the old key gone from every process, everything opens.
    world.flows.ring = Arc::new(usable(&world, vec![master_key(9)]).await);
    world.set_credential(Some(agent), Kind::Discord, None, "a-discord-token").await;
    world.run_flows(20).await;
    assert_eq!(world.verify().await.violations().count(), 0);

    // Whoever has the old one alone is told which key is needed, and wraps nothing under it any more.
    let left = world.database.db.system().await;
    let alone =
        app::keys::unseal(&mut left.unwrap(), Keyring::new(vec![master_key(7)]), world.flows.entropy.as_ref()).await;
    let (_, why) = alone.unwrap().unwrap_err();
    assert_eq!(why, app::keys::Unusable::AnotherKey(to));
    let again = format!("update master_keys set state = 'current' where encode(id, 'hex') = '{to}'");
    world.database.sql(&again).await;
    let under_old = format!(
        "update data_keys set wrapped = set_byte(wrapped, 0, 1) || '' where false;
         insert into data_keys (id, tenant_id, wrapped)
         select gen_random_uuid(), (select id from tenants t where not exists (select from data_keys d where d.tenant_id = t.id) limit 1),
                overlay(wrapped placing decode('{old}', 'hex') from 2) from data_keys limit 1"
    );
    assert!(world.database.refuses(&under_old).await, "a key wrapped under a retired one is refused by the database");
}

async fn usable(world: &World, masters: Vec<vault::MasterKey>) -> Keyring {
    let mut tx = world.database.db.system().await.unwrap();
    app::keys::unseal(&mut tx, Keyring::new(masters), world.flows.entropy.as_ref()).await.unwrap().unwrap()
}

/// A process that has not heard of the rotation goes on with the key that it knows, until that key is retired: what it
/// wrapped in between is wrapped anew like the rest.
#[tokio::test]
async fn who_works_during_a_rotation_leaves_nothing_behind() {
    let mut world = World::new().await;
    let slow = Keyring::new(vec![master_key(7), master_key(9)]);
    let bulk = tenants(&world, 300).await;
    let (begun, later) = bulk.split_at(250);
    for tenant in begun {
        key_of(&world, &world.flows.ring, *tenant).await.unwrap();
    }
    let slow = {
        let mut tx = world.database.db.system().await.unwrap();
        app::keys::unseal(&mut tx, slow, world.flows.entropy.as_ref()).await.unwrap().unwrap()
    };
    let to = world.begin_rotation().await;
    let writing = async {
        for tenant in later {
            key_of(&world, &slow, *tenant).await.unwrap();
        }
    };
    tokio::join!(writing, world.run_flows(200));
    world.run_flows(200).await;
    assert_eq!(world.database.count(&format!("{UNDER}'{to}'")).await, 301, "300 tenants and the house");
    assert_eq!(states(&world).await.len(), 2);
}

/// What an older Berth sealed directly under the master key gets the house's own key on the way.
#[tokio::test]
async fn values_of_an_older_berth_are_sealed_anew() {
    let mut world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.step(agent).await.and_then(|step| step.machine()).unwrap();
    let place =
        vault::Place { owner: Owner::House, table: "machines", column: "model_key_sealed", row: machine.uuid() };
    let stored = world.database.texts("select encode(model_key_sealed, 'hex') from machines").await;
    let sealed = Sealed::from_bytes(&hex::decode(&stored[0]).unwrap()).unwrap();
    let secret = world.flows.ring.open(&place, &sealed).unwrap();
    let old = master_key(7).seal(world.flows.entropy.as_ref(), &place, &secret);
    let put = format!("update machines set model_key_sealed = decode('{}', 'hex')", hex::encode(old.to_bytes()));
    world.database.sql(&put).await;

    world.begin_rotation().await;
    world.run_flows(20).await;
    let stored = world.database.texts("select encode(model_key_sealed, 'hex') from machines").await;
    let sealed = Sealed::from_bytes(&hex::decode(&stored[0]).unwrap()).unwrap();
    assert_eq!(usable(&world, vec![master_key(9)]).await.open(&place, &sealed).unwrap().expose(), secret.expose());
}

#[tokio::test]
async fn a_rotation_begins_once_and_never_backwards() {
    let mut world = World::new().await;
    let shell = domain::audit::Actor::shell;
    let (entropy, db) = (Arc::clone(&world.flows.entropy), world.database.db.clone());
    let tried = |ring: Keyring| {
        let (db, entropy) = (db.clone(), Arc::clone(&entropy));
        async move {
            let mut tx = db.system().await.unwrap();
            app::keys::rotate(&mut tx, &ring, entropy.as_ref(), shell()).await.map_err(|error| error.to_string())
        }
    };
    let refused = |said: Result<vault::KeyId, String>, word: &str| assert!(said.unwrap_err().contains(word), "{word}");
    refused(tried(Keyring::new(vec![])).await, "no key yet");
    refused(tried(Keyring::new(vec![master_key(7)])).await, "current one already");
    refused(tried(Keyring::new(vec![master_key(9)])).await, "not among the keys");
    world.begin_rotation().await;
    refused(tried(Keyring::new(vec![master_key(11), master_key(9)])).await, "another rotation");
    world.run_flows(20).await;
    refused(tried(Keyring::new(vec![master_key(7), master_key(9)])).await, "retired");
}

/// Crypto-shredding: what was sealed for a tenant opens nowhere, and what it gives later has a key of its own.
#[tokio::test]
async fn a_shredded_tenants_values_open_no_more() {
    let world = World::new().await;
    let agent = world.live_agent("scout").await;
    let machine = world.step(agent).await.and_then(|step| step.machine()).unwrap();
    let id = world.set_credential(Some(agent), Kind::Telegram, None, BOT).await;
    world.run_flows(20).await;
    let tenant = world.alice.caller.tenant;
    let stored = world.database.texts("select encode(sealed, 'hex') from credentials").await;
    let tx = world.database.db.system().await.unwrap();
    let (tx, had) = app::keys::shred(tx, tenant, domain::audit::Actor::shell()).await.unwrap();
    tx.commit().await.unwrap();
    assert!(had);
    world.run_flows(20).await;
    assert!(world.guests.given(machine).iter().all(|(name, _)| name != "telegram_token"), "taken from the machine too");

    // Somebody kept the row: it does not open, also with a new key of the same tenant.
    key_of(&world, &world.flows.ring, tenant).await.unwrap();
    let mut tx = world.database.db.tenant(tenant).await.unwrap();
    let key = app::keys::existing(&mut tx, &world.flows.ring).await.unwrap().unwrap();
    let sealed = Sealed::from_bytes(&hex::decode(&stored[0]).unwrap()).unwrap();
    let opened = key.open(&app::credentials::place(tenant, id), &sealed);
    assert_eq!(opened.unwrap_err(), OpenError::UnknownKey(sealed.key()));
}
