//! Revenue: what is counted of months, of who stays, and of payments that fail, against the same counted by hand.

use std::time::Duration;

use chrono::{DateTime, Datelike as _, Months, NaiveDate, TimeDelta, Utc};
use domain::{
    TenantId,
    currency::Currency,
    entitlement::{Entitlement, Served},
    model::Micros,
    plan::Money,
    rates::DollarRates,
};
use store::{
    billing::Judged,
    standings::{self, ChurnMonth, DUNNING_DAYS, Dunning},
    tenant_months::{self, MonthFilter, TenantMonth, Which},
};
use testkit::{Database, World};

const NOW: &str = "2026-11-22T09:00:00Z";
const WORDS: [&str; 9] =
    ["paying", "trial", "gift", "ending", "past_due", "suspended", "left", "unpaid", "billing_off"];

fn now() -> DateTime<Utc> {
    NOW.parse().unwrap()
}

/// How one payer stood, and since when.
type Life = Vec<(DateTime<Utc>, &'static str)>;

/// Lives of every kind, over twenty months, from one seed.
fn lives() -> Vec<Life> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut below = move |most: u64| {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        state % most
    };
    let life = |_| {
        let mut at = now() - TimeDelta::days(600) + TimeDelta::seconds(below(50_000_000).cast_signed());
        let mut life = Life::new();
        for _ in 0..=below(12) {
            // As often as not the next step of trouble is stopped.
            let is_stopped = life.last().is_some_and(|(_, word)| *word == "past_due") && below(2) == 0;
            life.push((at, if is_stopped { "suspended" } else { WORDS[usize::try_from(below(9)).unwrap()] }));
            at += TimeDelta::seconds(below(5_000_000).cast_signed());
        }
        life.retain(|(at, _)| *at <= now());
        life
    };
    (0..400).map(life).collect()
}

async fn plant(database: &Database, lives: &[Life]) {
    let rows = lives.iter().enumerate().flat_map(|(n, life)| {
        life.iter()
            .map(move |(at, word)| format!("('{}', '{}', '{word}')", uuid::Uuid::from_u128(n as u128), at.to_rfc3339()))
    });
    let rows: Vec<_> = rows.collect();
    database.sql(&format!("insert into standings (payer, at, standing) values {}", rows.join(", "))).await;
}

/// Whether a payer pays after each of its changes: from the first time that it does until it is outside.
fn pays(life: &Life) -> Vec<(DateTime<Utc>, bool)> {
    let mut is = false;
    let change = |(at, word): &(DateTime<Utc>, &str)| {
        is = match *word {
            "paying" => true,
            "ending" | "past_due" | "suspended" => is,
            _ => false,
        };
        (*at, is)
    };
    life.iter().map(change).collect()
}

fn churn_by_hand(lives: &[Life], month: NaiveDate) -> ChurnMonth {
    let midnight = |day: NaiveDate| day.and_hms_opt(0, 0, 0).unwrap().and_utc();
    let (start, end) = (midnight(month), midnight(month + Months::new(1)));
    let mut counted = ChurnMonth { month, at_start: 0, began: 0, left: 0 };
    for life in lives {
        let mut was = false;
        for (at, is) in pays(life) {
            if at < start {
                counted.at_start += i64::from(is) - i64::from(was);
            } else if at < end {
                counted.began += i64::from(is && !was);
                counted.left += i64::from(was && !is);
            }
            was = is;
        }
    }
    counted
}

fn dunning_by_hand(lives: &[Life]) -> Dunning {
    let mut counted = Dunning::default();
    for life in lives {
        for (n, (at, word)) in life.iter().enumerate() {
            let before = n.checked_sub(1).map(|n| life[n].1);
            let is_new = *word == "past_due" && !matches!(before, Some("past_due" | "suspended"));
            if !is_new || *at <= now() - TimeDelta::days(DUNNING_DAYS.into()) {
                continue;
            }
            counted.failed += 1;
            let mut rest = life[n..].iter().map(|(_, word)| *word).skip_while(|word| *word == "past_due").peekable();
            let is_stopped = rest.peek() == Some(&"suspended");
            counted.suspended += i64::from(is_stopped);
            match rest.find(|word| !matches!(*word, "past_due" | "suspended")) {
                None => {}
                Some("left" | "unpaid") => counted.left += 1,
                Some(_) if is_stopped => counted.came_back += 1,
                Some(_) => counted.settled += 1,
            }
        }
    }
    counted
}

#[tokio::test]
async fn who_begins_stays_and_fails_is_counted_as_by_hand() {
    let database = Database::fresh().await;
    database.set_clock(now()).await;
    let lives = lives();
    plant(&database, &lives).await;
    let mut tx = database.db.system().await.unwrap();
    let months = standings::churn(&mut tx).await.unwrap();
    let this_month = now().date_naive().with_day(1).unwrap();
    let by_hand = (0..12).rev().map(|back| churn_by_hand(&lives, this_month - Months::new(back)));
    assert_eq!(months, by_hand.collect::<Vec<_>>());
    assert!(months.iter().all(|month| month.at_start > 0 && month.began > 0 && month.left > 0), "{months:?}");
    let dunning = standings::dunning(&mut tx).await.unwrap();
    assert_eq!(dunning, dunning_by_hand(&lives));
    let Dunning { failed, settled, suspended, came_back, left } = dunning;
    assert!(
        [failed, settled, suspended, came_back, left, dunning.open()].iter().all(|count| *count > 0),
        "{dunning:?}"
    );
}

/// A tenant that stands so, at this price, with so many machines, on a plan or none.
async fn tenant(database: &Database, n: u128, standing: &str, price: &str, machines: i64, micros: i64) -> TenantId {
    let id = uuid::Uuid::from_u128(n);
    let gift = if price == "none" { "null" } else { "'pro'" };
    let money = if price == "none" || price == "unknown" { "null, null".to_owned() } else { format!("{price}, 'eur'") };
    let sql = format!(
        "insert into tenants (id, name) values ('{id}', 'x');
         insert into billing (tenant_id, gift_plan, entitlement, entitled_at, model_micros)
             values ('{id}', {gift}, '{{}}', berth.now(), {micros});
         insert into standings (payer, standing, cents, currency) select payer, 'trial', 100, 'usd' from billing where tenant_id = '{id}';
         insert into standings (payer, standing, cents, currency) select payer, '{standing}', {money} from billing where tenant_id = '{id}'"
    );
    database.sql(&sql).await;
    for n in 0..machines {
        let sql = format!(
            "insert into machines (id, tenant_id, agent_id, provider, isolation, image, state, host_key, host_key_sealed,
                                   machine_key_sealed, machine_token_sealed, machine_token_hash, gateway_token_sealed,
                                   model_key_sealed, model_key_hash, gone_at)
             select gen_random_uuid(), '{id}', gen_random_uuid(), 'p', 'container', 'i', word, 'k', e, e, e, uuid_send(gen_random_uuid()), e, e,
                    uuid_send(gen_random_uuid()), case word when 'gone' then berth.now() end
             from (select decode(repeat('01', 45), 'hex')) sealed (e), unnest(array['made', '{}']) word",
            if n == 0 { "gone" } else { "reserved" }
        );
        database.sql(&sql).await;
    }
    TenantId::from_uuid(id)
}

#[tokio::test]
async fn a_month_is_what_it_brings_less_what_it_costs_and_unknown_where_anything_is() {
    let database = Database::fresh().await;
    database.sql("update plans set machine_cents = 700 where plan = 'pro'").await;
    let paying = tenant(&database, 9, "paying", "4900", 2, 10_000_000).await;
    let dear = tenant(&database, 8, "paying", "4900", 5, 30_000_001).await;
    let trial = tenant(&database, 7, "trial", "4900", 1, 0).await;
    let owed = tenant(&database, 6, "past_due", "4900", 0, 0).await;
    let strange = tenant(&database, 5, "paying", "unknown", 0, 0).await;
    let unpaid = tenant(&database, 4, "unpaid", "none", 0, 0).await;
    let gone = tenant(&database, 3, "left", "none", 1, 0).await;
    let rates = DollarRates::parse("eur=0.5").unwrap();
    let mut tx = database.db.system().await.unwrap();
    let filter = |which| MonthFilter { which, ..MonthFilter::default() };
    let all = tenant_months::list(&mut tx, MonthFilter::default(), &rates, 100).await.unwrap();
    let told = |one: &TenantMonth| (one.tenant, one.brings, one.machines, one.machine_cost, one.left);
    let by_hand = [
        (paying, Some(4900), 2, Some(1400), Some(4900 - 1400 - 500)),
        (dear, Some(4900), 5, Some(3500), Some(4900 - 3500 - 1501)),
        (trial, Some(0), 1, Some(700), Some(-700)),
        (owed, Some(0), 0, Some(0), Some(0)),
        (strange, None, 0, Some(0), None),
        (unpaid, Some(0), 0, Some(0), Some(0)),
        (gone, Some(0), 1, None, None),
    ];
    assert_eq!(all.iter().map(told).collect::<Vec<_>>(), by_hand);
    let which = async |tx: &mut store::SystemTx, filter, rates: &DollarRates| {
        let rows = tenant_months::list(tx, filter, rates, 100).await.unwrap();
        rows.into_iter().map(|one| one.tenant).collect::<Vec<_>>()
    };
    assert_eq!(which(&mut tx, filter(Which::Losing), &rates).await, [dear, trial]);
    assert_eq!(which(&mut tx, filter(Which::Unknown), &rates).await, [strange, gone]);
    let unrated = DollarRates::default();
    assert_eq!(
        which(&mut tx, filter(Which::Unknown), &unrated).await,
        [paying, dear, strange, gone],
        "nobody says what a dollar is worth"
    );
    assert_eq!(which(&mut tx, MonthFilter { tenant: Some(owed), ..MonthFilter::default() }, &rates).await, [owed]);
    assert_eq!(
        which(&mut tx, MonthFilter { after: Some(strange), ..MonthFilter::default() }, &rates).await,
        [unpaid, gone]
    );

    let sums = tenant_months::sums(&mut tx).await.unwrap();
    assert_eq!(sums.len(), 2, "{sums:?}");
    assert_eq!((sums[0].currency, sums[1].currency), (Some(Currency::EUR), None));
    assert_eq!(
        (sums[0].paying, sums[0].brings, sums[0].owed, sums[0].machine_cost),
        (3, 9800, 4900, 1400 + 3500 + 700)
    );
    assert_eq!((sums[0].model, sums[0].unknown, sums[1].unknown), (Micros::new(40_000_001), 1, 1));
}

#[tokio::test]
async fn who_keeps_an_older_price_brings_what_that_said() {
    let world = World::new().await;
    let tenant = world.alice.caller.tenant;
    let subscribed = format!(
        "insert into installation (id) values (gen_random_uuid()) on conflict do nothing;
         insert into billing (tenant_id, subscription) values ('{}', jsonb_build_object('id', 'sub_1', 'status', 'active', 'price',
             'price_old', 'created', berth.now(), 'period_ends', berth.now() + interval '1 day'))",
        tenant.uuid()
    );
    world.database.sql(&subscribed).await;
    let mut tx = world.database.db.system().await.unwrap();
    let mut pro = store::plans::list(&mut tx).await.unwrap().remove(1);
    for (price, cents) in [("price_old", 1000), ("price_old", 1200), ("price_new", 9900)] {
        pro.price = Some(domain::billing::PriceId::parse(price).unwrap());
        pro.money.cents = cents;
        assert_eq!(store::plans::change(&mut tx, &pro).await.unwrap(), store::plans::Changed::So);
    }
    let account = store::billing::known(&mut tx, tenant).await.unwrap().unwrap();
    assert_eq!(account.price, Some(Money { cents: 1200, currency: Currency::EUR }));
    assert_eq!(account.plan.map(|plan| plan.money.cents), Some(9900), "a new one would pay that");
}

#[tokio::test]
async fn of_an_erased_tenant_a_count_is_left_that_leads_to_nobody() {
    let world = World::new().await;
    let tenant = world.alice.caller.tenant.uuid();
    let lived = format!(
        "insert into billing (tenant_id) values ('{tenant}');
         insert into standings (payer, standing) select payer, 'paying' from billing where tenant_id = '{tenant}';
         update tenants set erase_after = berth.now() - interval '1 second' where id = '{tenant}'"
    );
    world.database.sql(&lived).await;
    let mut tx = world.database.db.system().await.unwrap();
    let exported = store::tenants::exported(&mut tx, world.alice.caller.tenant).await.unwrap();
    let of = |table| exported.iter().find(|(name, _)| *name == table).unwrap().1.clone();
    assert_eq!((of("standings").len(), of("billing").len()), (1, 1));
    assert!(of("standings").iter().chain(&of("billing")).all(|row| row.get("payer").is_none()), "{exported:?}");
    store::tenants::erase(&mut tx, world.alice.caller.tenant).await.unwrap();
    store::tenants::erase(&mut tx, world.alice.caller.tenant).await.unwrap();
    tx.commit().await.unwrap();
    let count = async |sql: &str| world.database.count(sql).await;
    assert_eq!(count("select count(*) from standings").await, 2);
    assert_eq!(count("select count(*) from standings where standing = 'left'").await, 1, "it does not pay for ever");
    assert_eq!(count("select count(*) from standings s join billing b on b.payer = s.payer").await, 0);
}

#[tokio::test]
async fn nothing_is_counted_of_a_tenant_after_its_end() {
    let world = World::new().await;
    let tenant = world.alice.caller.tenant;
    let lived = format!(
        "insert into billing (tenant_id) values ('{0}');
         insert into standings (payer, standing) select payer, 'trial' from billing where tenant_id = '{0}';
         update tenants set erase_after = berth.now() - interval '1 second' where id = '{0}'",
        tenant.uuid()
    );
    world.database.sql(&lived).await;
    let mut judging = world.database.db.tenant(tenant).await.unwrap();
    store::billing::set_gift(&mut judging, None).await.unwrap();

    let db = world.database.db.clone();
    let erasing = tokio::spawn(async move {
        let mut tx = db.system().await.unwrap();
        store::tenants::erase(&mut tx, tenant).await.unwrap();
        tx.commit().await.unwrap();
    });
    let waiting =
        "select count(*) from pg_stat_activity where wait_event_type = 'Lock' and datname = current_database()";
    while world.database.count(waiting).await == 0 {
        assert!(!erasing.is_finished(), "it does not wait for whoever judges the tenant");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    let entitlement = Entitlement::Served { by: Served::BillingOff };
    let judged = Judged { entitlement: &entitlement, rested: &[], price: None, model: Micros::ZERO };
    store::billing::acted(&mut judging, &judged).await.unwrap();
    judging.commit().await.unwrap();
    erasing.await.unwrap();
    let told = world.database.texts("select standing from standings order by id").await;
    assert_eq!(told, ["trial", "billing_off", "left"]);
}
