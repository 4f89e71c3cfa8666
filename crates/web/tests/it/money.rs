//! What operators see of money: what Stripe told, what was otherwise there, and who pays what.

use domain::{billing::DifferenceKind, job::Job};
use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    admin::{operated, plant_schedules},
    support::{Answer, House, ask},
    trips::Wire,
};

const EVENTS: &str = "/api/admin/v1/events";
const DIFFERENCES: &str = "/api/admin/v1/billing/differences";
const SUBSCRIPTIONS: &str = "/api/admin/v1/subscriptions";
const REVENUE: &str = "/api/admin/v1/revenue";
const MONTHS: &str = "/api/admin/v1/revenue/tenants";
/// An id of the right form that nobody has.
const NOBODYS: &str = "019aa6b27c1e7d3f9b1a2f6c5d4e3b2a";

async fn keep(house: &House, body: &Value) {
    let mut tx = house.web.db.system().await.unwrap();
    assert!(app::events::keep(&mut tx, &*house.web.dice.0, body.to_string().as_bytes()).await.unwrap());
    tx.commit().await.unwrap();
}

fn paid(name: &str, customer: &str) -> Value {
    let object = json!({ "object": "invoice", "customer": customer });
    json!({ "id": name, "type": "invoice.paid", "livemode": true, "data": { "object": object } })
}

async fn entries(house: &House, path: &str, list: &str) -> Vec<Value> {
    let answer = house.get(&house.alice, path).await;
    assert_eq!(answer.status, StatusCode::OK, "{path}: {}", answer.text);
    answer.json()[list].as_array().unwrap().clone()
}

/// Every page of a list, by the addresses that it names.
async fn paged(house: &House, path: &str, list: &str) -> Vec<Value> {
    let (mut path, mut all) = (path.to_owned(), Vec::new());
    loop {
        let page = house.get(&house.alice, &path).await.json();
        all.extend(page[list].as_array().unwrap().iter().cloned());
        let Some(next) = page["next"].as_str() else { return all };
        next.clone_into(&mut path);
    }
}

#[tokio::test]
async fn what_stripe_told_is_listed_and_what_it_was_about_found() {
    let house = operated().await;
    let cookie = house.cookie().await;
    let empty = house.page(&cookie, "/admin/events").await.text;
    assert!(empty.contains("Stripe has told nothing yet") && empty.contains("/webhooks/stripe"), "{empty}");
    let tenant = house.world.alice.caller.tenant;
    let customer = "insert into billing (tenant_id, customer) values ('{}', 'cus_hers')";
    house.world.database.sql(&customer.replace("{}", &tenant.uuid().to_string())).await;
    for n in 0..4 {
        keep(&house, &paid(&format!("evt_{n}"), "cus_hers")).await;
    }
    keep(&house, &json!({ "id": "evt_strange" })).await;
    house.world.run_flows(10).await;
    keep(&house, &paid("evt_late", "cus_nobodys")).await;

    let all = paged(&house, &format!("{EVENTS}?limit=2"), "events").await;
    assert_eq!(all.len(), 6);
    assert!(all.is_sorted_by(|one, next| one["id"].as_str() > next["id"].as_str()), "newest first, none twice");
    let count = async |query: &str| entries(&house, &format!("{EVENTS}?{query}"), "events").await.len();
    assert_eq!((count("waiting=true").await, count("waiting=false").await, count("waiting=").await), (1, 5, 6));
    assert_eq!((count("kind=invoice").await, count("kind=invoice.paid").await, count("kind=inv").await), (5, 5, 0));
    assert_eq!((count(&format!("tenant={tenant}")).await, count("name=evt_late").await), (4, 1));

    let page = house.page(&cookie, &format!("/admin/events?tenant={tenant}&waiting=false")).await.text;
    assert!(page.contains(">real</td>") && page.contains("payments are looked at again"), "{page}");
    assert!(page.contains(&format!("/admin/tenants/{tenant}")) && !page.contains("evt_late"), "{page}");
    let strange = house.page(&cookie, "/admin/events?name=evt_strange").await.text;
    assert!(strange.contains("without a kind") && strange.contains(">test</td>"), "{strange}");
    let none = house.page(&cookie, "/admin/events?kind=charge").await.text;
    assert!(none.contains("No event is like that"), "{none}");

    for bad in
        ["after=alr_1", "after=x", "waiting=maybe", "kind=Paid", "kind=a%25", "name=sub_1", "tenant=1", "limit=0"]
    {
        let answer = house.get(&house.alice, &format!("{EVENTS}?{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {}", answer.text);
        if bad != "limit=0" {
            assert_eq!(
                house.page(&cookie, &format!("/admin/events?{bad}")).await.status,
                StatusCode::BAD_REQUEST,
                "{bad}"
            );
        }
    }
    for unknown in [format!("evt_{NOBODYS}"), format!("agt_{NOBODYS}"), "evt_late".to_owned()] {
        for path in [format!("{EVENTS}/{unknown}"), format!("/admin/events/{unknown}")] {
            assert_eq!(house.get(&house.alice, &path).await.status, StatusCode::NOT_FOUND, "{path}");
            assert_eq!(house.post(&house.alice, &format!("{EVENTS}/{unknown}/read"), "").await.status, 404, "{path}");
        }
    }
}

#[tokio::test]
async fn an_event_is_read_again_when_its_customer_has_become_known() {
    let house = operated().await;
    keep(&house, &paid("evt_1", "cus_late")).await;
    house.world.run_flows(5).await;
    let first = entries(&house, EVENTS, "events").await.remove(0);
    assert_eq!(first["outcome"], "no tenant here is that customer");
    let tenant = house.world.alice.caller.tenant;
    let customer = "insert into billing (tenant_id, customer) values ('{}', 'cus_late')";
    house.world.database.sql(&customer.replace("{}", &tenant.uuid().to_string())).await;

    let path = format!("{EVENTS}/{}", first["id"].as_str().unwrap());
    let button = format!("{path}/read");
    let pressed = (0..5).map(|_| house.post(&house.alice, &button, ""));
    for answer in futures::future::join_all(pressed).await {
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        assert_eq!((&answer.json()["waiting"], &answer.json()["outcome"]), (&json!(true), &Value::Null));
    }
    let flows = "select count(*) from flows where kind = 'event'";
    assert_eq!(house.world.database.count(flows).await, 1, "asked five times, it is read once");
    house.world.run_flows(5).await;
    let again = house.get(&house.alice, &path).await.json();
    assert_eq!(
        (&again["outcome"], &again["tenant"], &again["flow"]),
        (&json!("its tenant's payments are looked at again"), &json!(tenant.to_string()), &Value::Null)
    );
    assert_eq!(house.world.database.count(flows).await, 0);

    let cookie = house.cookie().await;
    let page = path.replace("/api/admin/v1", "/admin");
    let back = house.form(&cookie, &format!("{page}/read"), "").await;
    assert_eq!((back.status, &back.headers["location"]), (StatusCode::SEE_OTHER, &page.parse().unwrap()));
    let waits = house.page(&cookie, &page).await.text;
    assert!(waits.contains("waiting") && waits.contains("/admin/flows/flw_"), "{waits}");
    let acts = "select count(*) from house_audit_events where act = 'event.read'";
    assert_eq!(house.world.database.count(acts).await, 6, "who asked stands in the house's audit");
}

/// Everything that Stripe's objects hold of a person, and every link in them, wherever it stands.
fn telling(value: &Value, found: &mut Vec<String>) {
    match value {
        Value::String(text) if text.contains("://") || text.contains('@') || text.contains("_secret_") => {
            found.push(text.clone());
        }
        Value::Object(fields) => fields.values().for_each(|value| telling(value, found)),
        Value::Array(entries) => entries.iter().for_each(|value| telling(value, found)),
        _ => {}
    }
}

#[tokio::test]
async fn of_an_events_body_nothing_is_shown_that_is_a_persons_or_a_secret() {
    let house = operated().await;
    house.bill().await;
    let opened = house.post(&house.alice, "/api/v1/billing/checkout", r#"{"plan":"pro"}"#).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    let session = house.world.database.texts("select session from checkouts").await;
    drop(house.stripe.pay(&domain::billing::CheckoutId::parse(&session[0]).unwrap()));
    house.stripe.advance(chrono::TimeDelta::days(8));
    let hers = json!({
        "id": "evt_hers", "type": "payment_method.attached", "data": { "object": {
            "object": "payment_method", "customer": "cus_1", "billing_details": {
                "name": "Alice Harbour", "email": "alice@harbour.example", "phone": "+49 421 5550199",
                "address": { "line1": "Quay 7", "postal_code": "D-28195" } },
            "card": { "last4": "last 4711", "fingerprint": "Xt5EWLLDS7FJjR1c" }, "status": "Alice Harbour", "items": ["Quay 7"],
            "receipt_url": "https://pay.stripe.example/receipts/CAcQARoX", "Alice Harbour": 1 } },
    });
    let mut events = house.stripe.events();
    events.push(hers);
    let cookie = house.cookie().await;
    let (mut read, mut told) = (0, 0);
    for event in &events {
        keep(&house, event).await;
        let mut forbidden = ["Alice Harbour", "+49 421 5550199", "Quay 7", "D-28195", "last 4711", "Xt5EWLLDS7FJjR1c"]
            .map(str::to_owned)
            .to_vec();
        telling(event, &mut forbidden);
        told += forbidden.len();
        let name = event["id"].as_str().unwrap();
        let one = entries(&house, &format!("{EVENTS}?name={name}"), "events").await.remove(0);
        let id = one["id"].as_str().unwrap();
        let api = house.get(&house.alice, &format!("{EVENTS}/{id}")).await;
        let page = house.page(&cookie, &format!("/admin/events/{id}")).await;
        assert_eq!((api.status, page.status), (StatusCode::OK, StatusCode::OK), "{}", api.text);
        let shown = api.json();
        assert_eq!((&shown["payload"]["id"], &shown["payload"]["type"]), (&event["id"], &event["type"]));
        assert_eq!(shown["sha256"], vault::digest(event.to_string().as_bytes()).to_string());
        // The page names the operator who looks at it, too.
        let page = page.text.split("<main").nth(1).unwrap().to_owned();
        for hers in &forbidden {
            let escaped = hers.replace('&', "&#38;").replace('<', "&#60;");
            assert!(!api.text.contains(hers.as_str()), "{hers} in {}", api.text);
            assert!(!page.contains(hers.as_str()) && !page.contains(&escaped), "{hers} in {page}");
        }
        read += 1;
    }
    assert!(read > 5 && told > read * 6, "{read} events with {told} values that tell");

    house.world.database.sql("update events set body = '\\x7b22' where name = 'evt_hers'").await;
    let one = entries(&house, &format!("{EVENTS}?name=evt_hers"), "events").await.remove(0);
    let id = one["id"].as_str().unwrap();
    let api = house.get(&house.alice, &format!("{EVENTS}/{id}")).await.json();
    assert_eq!((&api["payload"], &api["bytes"]), (&Value::Null, &json!(2)));
    let page = house.page(&cookie, &format!("/admin/events/{id}")).await.text;
    assert!(page.contains("It is no JSON") && page.contains(api["sha256"].as_str().unwrap()), "{page}");
}

async fn differs(house: &House, kind: DifferenceKind, after: &str) {
    let tenant = (kind == DifferenceKind::Account).then_some(house.world.alice.caller.tenant);
    let difference = domain::billing::Difference { tenant, kind, before: None, after: after.to_owned() };
    let mut tx = house.web.db.system().await.unwrap();
    store::billing_differences::keep(&mut tx, house.web.dice.0.uuid(), &difference).await.unwrap();
    tx.commit().await.unwrap();
}

#[tokio::test]
async fn differences_say_what_was_otherwise_and_when_that_is_looked_at() {
    let house = operated().await;
    let cookie = house.cookie().await;
    let never = house.page(&cookie, "/admin/differences").await.text;
    assert!(
        never.contains("Nothing was compared yet")
            && never.contains("not by itself: its schedule is off, or not made yet"),
        "{never}"
    );
    let told = house.get(&house.alice, DIFFERENCES).await.json();
    assert_eq!(told, json!({ "differences": [], "last_run": null, "next_run": null, "next": null }));

    plant_schedules(&house).await;
    let run = house.form(&cookie, "/admin/schedules/billing/runs", "").await;
    assert_eq!(run.status, StatusCode::SEE_OTHER, "the page's own button");
    let under_way = house.get(&house.alice, DIFFERENCES).await.json();
    assert_eq!(under_way["last_run"]["state"], "running");
    let open = house.page(&cookie, "/admin/differences").await.text;
    assert!(open.contains("is not through") && !open.contains("Nothing was otherwise"), "{open}");
    assert!(under_way["last_run"]["flow"].as_str().unwrap().starts_with("flw_"), "{under_way}");
    for _ in 0..10 {
        house.world.run_flows(5).await;
        house.world.database.sql("update flows set run_at = now()").await;
    }
    let calm = house.page(&cookie, "/admin/differences").await.text;
    assert!(
        calm.contains("Nothing was otherwise") && calm.contains("done") && calm.contains("Next</dt><dd><time"),
        "{calm}"
    );

    differs(&house, DifferenceKind::Event, "evt_9 invoice.paid of 2026-11-22 09:00:00 UTC").await;
    differs(&house, DifferenceKind::Account, "sub_1 past_due").await;
    differs(&house, DifferenceKind::Account, "sub_1 active").await;
    let all = paged(&house, &format!("{DIFFERENCES}?limit=1"), "differences").await;
    assert_eq!(all.len(), 3);
    assert!(all.is_sorted_by(|one, next| one["found_at"].as_str() >= next["found_at"].as_str()), "newest first");
    let tenant = house.world.alice.caller.tenant;
    for (query, count) in [("kind=event", 1), ("kind=account", 2), ("kind=", 3), (&*format!("tenant={tenant}"), 2)] {
        assert_eq!(entries(&house, &format!("{DIFFERENCES}?{query}"), "differences").await.len(), count, "{query}");
    }
    let page = house.page(&cookie, "/admin/differences").await.text;
    assert!(page.contains("/admin/events?name=evt_9") && page.contains("it was not here"), "{page}");
    assert!(page.contains(&format!("/admin/tenants/{tenant}")) && page.contains("sub_1 past_due"), "{page}");
    let narrowed = house.page(&cookie, &format!("/admin/differences?kind=event&tenant={tenant}")).await.text;
    assert!(narrowed.contains("No difference is like that"), "{narrowed}");
    for bad in ["kind=both", "tenant=x", "after=evt_1", "after=1"] {
        for path in [DIFFERENCES, "/admin/differences"] {
            let answer = house.get(&house.alice, &format!("{path}?{bad}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {bad}: {}", answer.text);
        }
    }
    assert_eq!(Job::Billing.name(), "billing", "the address of the button");
}

#[tokio::test]
async fn every_tenant_stands_in_the_list_that_its_money_puts_it_in() {
    let house = operated().await;
    let cookie = house.cookie().await;
    let off = house.page(&cookie, "/admin/subscriptions").await.text;
    assert!(off.contains("There are none"), "{off}");
    house.bill().await;
    let opened = house.post(&house.alice, "/api/v1/billing/checkout", r#"{"plan":"pro"}"#).await;
    assert_eq!(opened.status, StatusCode::OK, "{}", opened.text);
    let session = house.world.database.texts("select session from checkouts").await;
    drop(house.stripe.pay(&domain::billing::CheckoutId::parse(&session[0]).unwrap()));
    house.page(&cookie, "/billing/return").await;
    house.world.run_flows(10).await;
    let (hers, others) = (house.world.alice.caller.tenant.to_string(), house.world.mallory.caller.tenant.to_string());
    let gift = house.post(&house.alice, &format!("/api/admin/v1/tenants/{others}/gift"), r#"{"plan":"starter"}"#).await;
    assert_eq!(gift.status, StatusCode::NO_CONTENT, "{}", gift.text);
    house.person("nobody@example.org").await;

    let all = paged(&house, &format!("{SUBSCRIPTIONS}?limit=1"), "subscriptions").await;
    assert_eq!(all.len(), 3);
    let of = |tenant: &str| all.iter().find(|one| one["tenant"] == tenant).unwrap();
    let alice = of(&hers);
    assert_eq!((&alice["standing"], &alice["entitlement"]["by"]["by"]), (&json!("trial"), &json!("trial")));
    assert_eq!(
        (&alice["plan"]["plan"], &alice["month"]["cents"], &alice["month"]["owed"], &alice["gift"]),
        (&json!("pro"), &json!(4900), &json!(false), &json!(false))
    );
    assert_eq!(alice["month"]["from"], alice["entitlement"]["by"]["ends"], "nothing is due before the trial's end");
    let given = of(&others);
    assert_eq!(
        (&given["standing"], &given["gift"], &given["month"], &given["customer"]),
        (&json!("gift"), &json!(true), &Value::Null, &Value::Null)
    );
    let customer = alice["customer"].as_str().unwrap();
    for (query, count) in [
        ("standing=trial", 1),
        ("standing=gift", 1),
        ("standing=unpaid", 1),
        ("standing=paying", 0),
        ("standing=", 3),
        (&*format!("customer={customer}"), 1),
        (&*format!("customer={customer}&standing=gift"), 0),
    ] {
        assert_eq!(entries(&house, &format!("{SUBSCRIPTIONS}?{query}"), "subscriptions").await.len(), count, "{query}");
    }
    let page = house.page(&cookie, "/admin/subscriptions").await.text;
    for words in
        ["49.00 EUR<span class=\"wish\">from ", "complimentary", "no plan", customer, &format!("/admin/tenants/{hers}")]
    {
        assert!(page.contains(words), "{words}: {page}");
    }
    assert!(!page.contains("nobody@example.org"), "an address on an operator's page");

    // Who has an older price keeps it, and brings what that said; what it never said, nobody makes up.
    house.world.database.sql("update plans set price_id = 'price_dearer', cents = 5900 where plan = 'pro'").await;
    let alice = entries(&house, &format!("{SUBSCRIPTIONS}?standing=trial"), "subscriptions").await.remove(0);
    assert_eq!((&alice["month"]["cents"], &alice["plan"]["cents"]), (&json!(4900), &json!(5900)));
    house.world.database.sql("update plan_prices set cents = null, currency = null").await;
    let alice = entries(&house, &format!("{SUBSCRIPTIONS}?standing=trial"), "subscriptions").await.remove(0);
    assert_eq!((&alice["month"]["cents"], &alice["plan"]["cents"]), (&Value::Null, &json!(5900)));
    assert!(house.page(&cookie, "/admin/subscriptions").await.text.contains("a price of no plan<span"));

    for bad in ["standing=rich", "customer=sub_1", "customer=x", "after=evt_1"] {
        for path in [SUBSCRIPTIONS, "/admin/subscriptions"] {
            let answer = house.get(&house.alice, &format!("{path}?{bad}")).await;
            assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{path} {bad}: {}", answer.text);
        }
    }
}

/// The least that a request waited for the database; some also look their caller up.
async fn waited(wire: &Wire, ask_it: impl AsyncFn() -> Answer) -> usize {
    let mut least = usize::MAX;
    for _ in 0..6 {
        let before = wire.trips();
        let answer = ask_it().await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        least = least.min(wire.trips() - before);
    }
    least
}

/// However long a list is, it takes as many statements as an empty one.
#[tokio::test]
async fn a_list_of_many_takes_as_many_statements_as_one_of_none() {
    let house = operated().await;
    house.bill().await;
    plant_schedules(&house).await;
    let wire = Wire::to(&house.world.database).await;
    let there = house.over(wire.db.clone());
    let mut counts = Vec::new();
    let paths = [
        EVENTS,
        DIFFERENCES,
        SUBSCRIPTIONS,
        MONTHS,
        "/admin/events",
        "/admin/differences",
        "/admin/subscriptions",
        "/admin/revenue",
    ];
    for many in [false, true] {
        if many {
            let fill = "
                insert into tenants (id, name) select gen_random_uuid(), 'x' from generate_series(1, 60);
                insert into billing (tenant_id, gift_plan, entitlement, entitled_at)
                select id, 'pro', '{\"entitlement\":\"unpaid\"}', berth.now() from tenants where name = 'x';
                insert into standings (payer, standing) select payer, 'gift' from billing;
                insert into events (id, sender, name, kind, is_live, body, tenant_id)
                select gen_random_uuid(), 'stripe', 'evt_' || row_number() over (), 'invoice.paid', true, '{}', id from tenants;
                insert into billing_differences (id, tenant_id, what, after)
                select gen_random_uuid(), id, 'account', 'otherwise' from tenants";
            house.world.database.sql(fill).await;
        }
        for path in paths {
            let request = || ask(http::Method::GET, path, &house.alice).body(axum::body::Body::empty()).unwrap();
            let answer = there.send(request()).await;
            let rows = answer.text.matches("ten_").count();
            assert!(!many || rows >= 60, "{path} shows {rows}");
            counts.push(waited(&wire, async || there.send(request()).await).await);
        }
    }
    let (few, many) = counts.split_at(paths.len());
    assert_eq!(few, many, "{paths:?}");
    // One for a list; its times are the row's own. Differences also say when it is looked for them, revenue counts thrice.
    assert!(many.iter().all(|count| *count <= 9), "{many:?}");
}

#[tokio::test]
async fn an_operator_reads_what_a_month_brings_and_costs() {
    let house = operated().await;
    house.bill().await;
    let cookie = house.cookie().await;
    let empty = house.page(&cookie, "/admin/revenue").await.text;
    assert!(empty.contains("No tenant is kept in view yet") && empty.contains("No payment has failed"), "{empty}");
    let none = house.get(&house.alice, REVENUE).await.json();
    assert_eq!((none["months"].as_array().unwrap().len(), none["churn"].as_array().unwrap().len()), (0, 12));
    let (alice, mallory) = (house.world.alice.caller.tenant, house.world.mallory.caller.tenant);
    let plant = format!(
        "insert into billing (tenant_id, gift_plan, entitlement, entitled_at, model_micros)
             select id, 'pro', '{{\"entitlement\":\"unpaid\"}}', berth.now(), case id when '{0}' then 20000 else 0 end
             from tenants where id in ('{0}', '{1}');
         insert into standings (payer, standing, cents, currency)
             select payer, 'paying', 4900, 'eur' from billing where tenant_id = '{0}';
         insert into standings (payer, standing, cents, currency)
             select payer, 'past_due', 4900, 'eur' from billing where tenant_id = '{1}'",
        alice.uuid(),
        mallory.uuid()
    );
    house.world.database.sql(&plant).await;

    let sums = house.get(&house.alice, REVENUE).await;
    assert_eq!(sums.status, StatusCode::OK, "{}", sums.text);
    let (sums, told) = (sums.json(), |month: &Value| {
        [&month["brings_cents"], &month["owed_cents"], &month["left_cents"]].map(Value::clone)
    });
    assert_eq!(told(&sums["months"][0]), [json!(4900), json!(4900), json!(4899)]);
    assert_eq!((&sums["dunning"]["failed"], &sums["dunning"]["open"]), (&json!(1), &json!(1)));
    let page = house.page(&cookie, "/admin/revenue").await.text;
    assert!(
        !page.contains("What is a dollar worth") && page.contains("48.99 EUR") && page.contains("49.00 EUR owed"),
        "{page}"
    );
    assert!(page.contains("<svg class=\"chart\" role=\"img\""), "{page}");
    let months = paged(&house, &format!("{MONTHS}?limit=1"), "tenants").await;
    let left: Vec<_> = months.iter().map(|month| month["left_cents"].as_i64()).collect();
    assert!(months.len() == 2 && left.contains(&Some(4899)) && left.contains(&Some(0)), "{months:?}");
    assert_eq!(entries(&house, &format!("{MONTHS}?which=losing"), "tenants").await.len(), 0);
    assert_eq!(entries(&house, &format!("{MONTHS}?tenant={mallory}"), "tenants").await.len(), 1);
    let narrowed = house.page(&cookie, "/admin/revenue?which=losing").await.text;
    assert!(narrowed.contains("No tenant is like that"), "{narrowed}");
    for bad in ["which=all%20", "which=most", "tenant=1", "after=x", "limit=0"] {
        let answer = house.get(&house.alice, &format!("{MONTHS}?{bad}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{bad}: {}", answer.text);
    }

    // Where nobody has said what a dollar is worth, what is left is not known, and the page says how to say it.
    house.world.database.sql("update standings set currency = 'chf'").await;
    let sums = house.get(&house.alice, REVENUE).await.json();
    assert_eq!(told(&sums["months"][0]), [json!(4900), json!(4900), Value::Null]);
    let page = house.page(&cookie, "/admin/revenue").await.text;
    assert!(page.contains("What is a dollar worth in CHF?") && page.contains("$0.02"), "{page}");
    assert_eq!(entries(&house, &format!("{MONTHS}?which=unknown"), "tenants").await.len(), 1);
}
