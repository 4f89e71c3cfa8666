//! What operators see of money is found by statements that judge as the program does.

use std::collections::BTreeSet;

use domain::{
    EventId, TenantId,
    billing::{CustomerId, Difference, DifferenceKind},
    entitlement::Standing,
    entropy::mint,
};
use store::{
    billing_differences::{self, FoundFilter},
    event_views::{self, EventFilter},
    events::NewEvent,
    subscription_views::{self, SubscriptionFilter},
};
use testkit::{Database, Seeded};

/// Thousands of tenants, each of which stands otherwise: every status, with every date on either side of now.
const EVERYBODY: &str = "
    insert into installation (id) values (gen_random_uuid()) on conflict do nothing;
    update installation set is_billing = true;
    create temp table everybody as
    select gen_random_uuid() as id, row_number() over () as n, status, ends, trial_ends, ended, disputed, past_due, gift
    from unnest(array['incomplete', 'incomplete_expired', 'trialing', 'active', 'past_due', 'unpaid', 'paused', 'canceled', null]) status,
         unnest(array[null, berth.now() + interval '3 days']) ends,
         unnest(array[null, berth.now() - interval '1 day', berth.now() + interval '1 day']) trial_ends,
         unnest(array[null, berth.now() - interval '2 days', berth.now() - interval '31 days']) ended,
         unnest(array[null, berth.now() - interval '1 day']) disputed,
         unnest(array[null, berth.now() - interval '6 days 23 hours', berth.now() - interval '7 days']) past_due,
         unnest(array['none', 'for good', 'past', 'to come']) gift
    where status is not null or (ends is null and trial_ends is null and ended is null);
    insert into tenants (id, name) select id, 'a tenant' from everybody;
    insert into billing (tenant_id, customer, subscription, disputed_since, past_due_since, gift_plan, gift_until)
    select id, 'cus_' || n,
           case when status is not null then jsonb_build_object(
               'id', 'sub_' || n, 'status', status, 'price', 'price_1', 'created', berth.now() - interval '60 days',
               'period_ends', berth.now() + interval '3 days', 'trial_ends', trial_ends, 'ends', ends, 'ended', ended) end,
           disputed, past_due,
           case when gift <> 'none' then 'pro' end,
           case gift when 'past' then berth.now() when 'to come' then berth.now() + interval '1 day' end
    from everybody;
    insert into tenants (id, name) values (gen_random_uuid(), 'of whom nothing is known')";

async fn tenants(database: &Database, filter: SubscriptionFilter<'_>, limit: i64) -> Vec<(TenantId, Standing)> {
    let mut tx = database.db.system().await.unwrap();
    let rows = subscription_views::list(&mut tx, filter, limit).await.unwrap();
    rows.into_iter().map(|(tenant, account)| (tenant, Standing::of(&account.judge()))).collect()
}

#[tokio::test]
async fn a_list_of_tenants_holds_those_whom_the_judgement_puts_there() {
    let database = Database::fresh().await;
    database.set_clock("2026-11-22T09:00:00Z".parse().unwrap()).await;
    database.sql(EVERYBODY).await;
    let all = tenants(&database, SubscriptionFilter::default(), 100_000).await;
    let there = database.count("select count(*) from tenants").await;
    assert!(all.len() > 3_000 && i64::try_from(all.len()).unwrap() == there, "{} of {there}", all.len());
    assert!(all.is_sorted_by(|one, next| one.0 > next.0), "newest first, none twice");
    let mut seen = 0;
    for standing in Standing::EVERY {
        let filter = SubscriptionFilter { standing: Some(standing), ..SubscriptionFilter::default() };
        let found = tenants(&database, filter, 100_000).await;
        let judged: Vec<_> = all.iter().filter(|(_, of)| *of == standing).copied().collect();
        assert!(standing == Standing::BillingOff || !judged.is_empty(), "{standing:?} is nobody");
        assert_eq!(found, judged, "{standing:?}");
        seen += found.len();
    }
    assert_eq!(seen, all.len(), "everybody stands somewhere");

    // Page by page it is the same list.
    let (mut after, mut paged) = (None, Vec::new());
    loop {
        let filter = SubscriptionFilter { standing: Some(Standing::Suspended), after, ..SubscriptionFilter::default() };
        let page = tenants(&database, filter, 100).await;
        after = page.last().map(|(tenant, _)| *tenant);
        paged.extend(page);
        if after.is_none() {
            break;
        }
    }
    let suspended: Vec<_> = all.iter().filter(|(_, of)| *of == Standing::Suspended).copied().collect();
    assert_eq!(paged, suspended);

    let customer = CustomerId::parse("cus_7").unwrap();
    let filter = SubscriptionFilter { customer: Some(&customer), ..SubscriptionFilter::default() };
    assert_eq!(tenants(&database, filter, 10).await.len(), 1);

    // Where nobody pays, whoever has nothing to do with payments is not in it.
    database.sql("update installation set is_billing = false").await;
    let all = tenants(&database, SubscriptionFilter::default(), 100_000).await;
    assert_eq!(i64::try_from(all.len()).unwrap(), there - 1);
    assert!(all.iter().all(|(_, standing)| *standing == Standing::BillingOff));
}

async fn keep(database: &Database, entropy: &Seeded, name: &str, kind: &str) -> EventId {
    let id: EventId = mint(entropy);
    let mut tx = database.db.system().await.unwrap();
    let event = NewEvent { id, name, kind, is_live: false, body: b"{}" };
    assert!(store::events::keep(&mut tx, &event, mint(entropy)).await.unwrap());
    tx.commit().await.unwrap();
    id
}

async fn understood(database: &Database, id: EventId, outcome: &str, tenant: Option<TenantId>) {
    let mut tx = database.db.system().await.unwrap();
    store::events::read(&mut tx, id, outcome, tenant).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn events_are_found_by_what_is_known_of_them() {
    let (database, entropy) = (Database::fresh().await, Seeded::new(1));
    let mine = TenantId::from_uuid(uuid::Uuid::from_u128(7));
    database.sql(&format!("insert into tenants (id, name) values ('{}', 'Harbour')", mine.uuid())).await;
    let mut ids = Vec::new();
    for (name, kind) in [
        ("evt_1", "invoice.paid"),
        ("evt_2", "invoice.payment_failed"),
        ("evt_3", "invoiceitem.created"),
        ("evt_4", "customer.subscription.updated"),
        ("evt_5", ""),
    ] {
        ids.push(keep(&database, &entropy, name, kind).await);
    }
    understood(&database, ids[0], "so it is", Some(mine)).await;
    understood(&database, ids[3], "it is about nobody here", None).await;
    let found = async |filter: EventFilter<'_>| {
        let mut tx = database.db.system().await.unwrap();
        let rows = event_views::list(&mut tx, filter, 50).await.unwrap();
        assert!(rows.is_sorted_by(|one, next| one.id > next.id), "newest first");
        rows.into_iter().map(|row| row.name).collect::<BTreeSet<_>>()
    };
    let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<BTreeSet<_>>();
    let any = EventFilter::default();
    assert_eq!(found(any).await.len(), 5);
    assert_eq!(found(EventFilter { waiting: Some(true), ..any }).await, names(&["evt_2", "evt_3", "evt_5"]));
    assert_eq!(found(EventFilter { waiting: Some(false), ..any }).await, names(&["evt_1", "evt_4"]));
    assert_eq!(found(EventFilter { kind: Some("invoice"), ..any }).await, names(&["evt_1", "evt_2"]));
    assert_eq!(found(EventFilter { kind: Some("invoice.paid"), ..any }).await, names(&["evt_1"]));
    assert_eq!(found(EventFilter { kind: Some("invoice%"), ..any }).await, names(&[]));
    assert_eq!(found(EventFilter { name: Some("evt_5"), ..any }).await, names(&["evt_5"]));
    assert_eq!(found(EventFilter { tenant: Some(mine), ..any }).await, names(&["evt_1"]));
    let oldest = ids.iter().min().copied();
    assert_eq!(found(EventFilter { after: oldest, ..any }).await, names(&[]));

    let mut tx = database.db.system().await.unwrap();
    let (one, body) = event_views::by_id(&mut tx, ids[0]).await.unwrap().unwrap();
    assert_eq!((one.tenant, one.outcome.as_deref(), body.as_slice()), (Some(mine), Some("so it is"), &b"{}"[..]));
    assert!(one.flow.is_some(), "its flow has not ended yet");
    assert!(event_views::by_id(&mut tx, mint(&entropy)).await.unwrap().is_none());
}

/// An event is never left lying: either a flow is there that will read it, or one is begun.
#[tokio::test]
async fn what_is_being_read_is_not_begun_anew_and_what_was_read_is() {
    let (database, entropy) = (Database::fresh().await, Seeded::new(1));
    let id = keep(&database, &entropy, "evt_1", "invoice.paid").await;
    let again = async |id: EventId| {
        let mut tx = database.db.system().await.unwrap();
        let done = store::events::read_again(&mut tx, id, mint(&entropy), "look").await.unwrap();
        tx.commit().await.unwrap();
        done
    };
    let flows = "select count(*) from flows where kind = 'event'";
    let waiting = "select count(*) from events where read_at is null";
    assert!(!again(mint(&entropy)).await, "there is no such event");
    assert!(again(id).await && again(id).await);
    assert_eq!((database.count(flows).await, database.count(waiting).await), (1, 1), "it waits, and is woken");
    // Read, and its flow is about to end: what it found out stands.
    understood(&database, id, "so it is", None).await;
    assert!(again(id).await);
    assert_eq!((database.count(flows).await, database.count(waiting).await), (1, 0));
    database.sql("delete from flows where kind = 'event'").await;
    assert!(again(id).await && again(id).await);
    assert_eq!((database.count(flows).await, database.count(waiting).await), (1, 1), "once, however often it is asked");
    assert_eq!(database.count("select count(*) from events where outcome is not null").await, 0);
}

#[tokio::test]
async fn differences_are_listed_page_by_page_by_kind_and_by_tenant() {
    let (database, entropy) = (Database::fresh().await, Seeded::new(1));
    let mine = TenantId::from_uuid(uuid::Uuid::from_u128(7));
    database.sql(&format!("insert into tenants (id, name) values ('{}', 'Harbour')", mine.uuid())).await;
    for n in 0..5 {
        let (tenant, kind) =
            if n % 2 == 0 { (Some(mine), DifferenceKind::Account) } else { (None, DifferenceKind::Event) };
        let difference = Difference { tenant, kind, before: None, after: format!("the {n}th") };
        let mut tx = database.db.system().await.unwrap();
        // Of one transaction, and so of one moment: their ids say which comes first.
        billing_differences::keep(&mut tx, domain::Entropy::uuid(&entropy), &difference).await.unwrap();
        tx.commit().await.unwrap();
    }
    database.sql("update billing_differences set at = '2026-11-22T09:00:00Z' where what = 'account'").await;
    let found = async |filter: FoundFilter, most: i64| {
        let mut tx = database.db.system().await.unwrap();
        billing_differences::list(&mut tx, filter, most).await.unwrap()
    };
    let any = FoundFilter::default();
    let (mut paged, mut after) = (Vec::new(), None);
    loop {
        let page = found(FoundFilter { after, ..any }, 2).await;
        after = page.last().map(|one| one.id);
        paged.extend(page);
        if after.is_none() {
            break;
        }
    }
    assert_eq!(paged, found(any, 50).await);
    assert!(paged.len() == 5 && paged.is_sorted_by(|one, next| (one.at, one.id) > (next.at, next.id)), "{paged:?}");
    assert_eq!(found(FoundFilter { kind: Some(DifferenceKind::Event), ..any }, 50).await.len(), 2);
    assert_eq!(found(FoundFilter { tenant: Some(mine), ..any }, 50).await.len(), 3);
    let forgotten = FoundFilter { after: Some(uuid::Uuid::from_u128(1)), ..any };
    assert_eq!(found(forgotten, 50).await, []);
}
