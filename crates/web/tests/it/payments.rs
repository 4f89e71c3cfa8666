//! Taking out a plan, from the button to the agent that runs: with a Stripe whose fidelity its own clients hold.

use axum::body::Body;
use domain::billing::CheckoutId;
use http::{Method, StatusCode};
use serde_json::{Value, json};
use testkit::stripe::{Card, StripeFault};

use crate::support::{Answer, House, ask};

const CHECKOUT: &str = "/api/v1/billing/checkout";
const PRO: &str = r#"{"plan":"pro"}"#;

/// The page that is open at Stripe.
async fn page(house: &House) -> CheckoutId {
    let known = house.world.database.texts("select session from checkouts where session is not null").await;
    CheckoutId::parse(known.last().unwrap()).unwrap()
}

async fn standing(house: &House) -> Value {
    house.get(&house.alice, "/api/v1/billing").await.json()["standing"].clone()
}

/// Alice pays at Stripe; nobody has told Berth yet.
async fn pays(house: &House) {
    let answer = house.post(&house.alice, CHECKOUT, PRO).await;
    assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    drop(house.stripe.pay(&page(house).await));
}

#[tokio::test]
async fn from_the_button_to_an_agent_that_may_run() {
    let house = House::new().await;
    house.bill().await;
    let refused = house.post(&house.alice, "/api/v1/agents", r#"{"name":"scout"}"#).await;
    assert_eq!(refused.status, StatusCode::PAYMENT_REQUIRED, "{}", refused.text);
    assert_eq!(refused.json()["type"], "urn:berth:problem:not-paid");
    let cookie = house.cookie().await;
    let choice = house.page(&cookie, "/billing").await;
    assert!(choice.text.contains("There is no plan yet") && choice.text.contains("49.00 EUR"), "{}", choice.text);

    let leave = house.form(&cookie, "/billing/checkout", "plan=pro").await;
    assert_eq!(leave.status, StatusCode::OK, "{}", leave.text);
    assert!(leave.text.contains("http-equiv=\"refresh\" content=\"0; url=http"), "{}", leave.text);
    // Back without paying, nothing is claimed.
    let back = house.page(&cookie, "/billing/return").await;
    assert!(back.text.contains("Waiting for Stripe"), "{}", back.text);
    house.world.run_flows(10).await;
    assert_eq!(standing(&house).await, json!({ "entitlement": "unpaid" }));

    // Paid, and the webhook is not here yet: whoever comes back has Stripe asked.
    drop(house.stripe.pay(&page(&house).await));
    let back = house.page(&cookie, "/billing/return").await;
    assert!(back.text.contains("Waiting for Stripe"), "{}", back.text);
    house.world.run_flows(10).await;
    let back = house.page(&cookie, "/billing/return").await;
    assert!(back.text.contains("Your plan is in force") && back.text.contains("Make the first agent"), "{}", back.text);
    assert_eq!(standing(&house).await["by"]["by"], "trial");
    let made = house.post(&house.alice, "/api/v1/agents", r#"{"name":"scout"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let again = house.post(&house.alice, CHECKOUT, PRO).await;
    assert_eq!((again.status, &again.json()["type"]), (StatusCode::CONFLICT, &json!("urn:berth:problem:has-plan")));
    let portal = house.post(&house.alice, "/api/v1/billing/portal", "").await;
    assert!(portal.json()["url"].as_str().unwrap().starts_with("http"), "{}", portal.text);
}

/// PAY-02: what a browser brings is not believed, and nothing but Stripe's word entitles.
#[tokio::test]
async fn nothing_that_a_browser_says_entitles() {
    let house = House::new().await;
    house.bill().await;
    house.customer().await;
    let cookie = house.cookie().await;
    for path in ["/billing/return?session_id=cs_test_1&plan=pro", "/billing/return?paid=true", "/billing/return"] {
        house.page(&cookie, path).await;
        house.world.run_flows(10).await;
        assert_eq!(standing(&house).await, json!({ "entitlement": "unpaid" }), "{path}");
    }
    // An event that somebody signed with our own secret names a tenant: Stripe is asked, and knows of no payment.
    let event = json!({ "id": "evt_forged", "type": "checkout.session.completed", "data": { "object": {
        "object": "checkout.session", "payment_status": "paid",
        "client_reference_id": house.world.alice.caller.tenant.to_string() } } });
    let mut tx = house.web.db.system().await.unwrap();
    let body = event.to_string();
    assert!(app::events::keep(&mut tx, &*house.web.dice.0, body.as_bytes()).await.unwrap());
    tx.commit().await.unwrap();
    house.world.run_flows(20).await;
    assert_eq!(standing(&house).await, json!({ "entitlement": "unpaid" }));
}

#[tokio::test]
async fn a_button_that_is_pressed_often_at_once_opens_one_page_for_one_customer() {
    let house = House::new().await;
    house.bill().await;
    let pressed = (0..12).map(|_| house.post(&house.alice, CHECKOUT, PRO));
    for answer in futures::future::join_all(pressed).await {
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
    }
    assert_eq!((house.stripe.count("customer"), house.stripe.count("checkout.session")), (1, 1));
    assert_eq!(house.world.database.count("select count(*) from checkouts").await, 1);
    let answers = futures::future::join_all((0..5).map(|_| house.post(&house.alice, CHECKOUT, PRO))).await;
    let first = answers[0].json()["url"].clone();
    assert!(answers.iter().all(|answer| answer.json()["url"] == first), "{answers:?}");
}

/// Whatever breaks between us and Stripe, pressing once more goes on with the same customer and the same page.
#[tokio::test]
async fn a_checkout_that_broke_off_is_gone_on_with() {
    let faults = [
        StripeFault::Failed,
        StripeFault::FailedAfter,
        StripeFault::CutBefore,
        StripeFault::CutAfter,
        StripeFault::Limited { seconds: 1 },
    ];
    for fault in faults {
        for good in 0..2 {
            let house = House::new().await;
            house.bill().await;
            // The first call makes the customer, the second one the page; our client tries again by itself.
            if good == 1 {
                house.customer().await;
                house.world.database.sql("delete from checkouts").await;
            }
            for _ in 0..8 {
                house.stripe.fail_next(fault);
            }
            let broke = house.post(&house.alice, CHECKOUT, PRO).await;
            assert!(broke.status.is_server_error() || broke.status == StatusCode::OK, "{fault:?}: {}", broke.text);
            house.stripe.clear_faults();
            let again = house.post(&house.alice, CHECKOUT, PRO).await;
            let is_spent = fault == StripeFault::FailedAfter || fault == StripeFault::Failed;
            assert!(again.status == StatusCode::OK || is_spent, "{fault:?} at {good}: {}", again.text);
            assert!(house.stripe.count("customer") <= 1, "{fault:?} at {good}");
            assert!(house.stripe.count("checkout.session") <= 2, "{fault:?} at {good}");
        }
    }
}

#[tokio::test]
async fn a_plan_holds_so_many_agents_and_two_at_once_count_one_after_the_other() {
    let house = House::new().await;
    house.bill().await;
    pays(&house).await;
    house.page(&house.cookie().await, "/billing/return").await;
    house.world.run_flows(10).await;
    let body = |n: usize| format!(r#"{{"name":"agent-{n}"}}"#);
    let bodies: Vec<String> = (0..8).map(body).collect();
    let asked = bodies.iter().map(|body| house.post(&house.alice, "/api/v1/agents", body));
    let answers = futures::future::join_all(asked).await;
    let made = answers.iter().filter(|answer| answer.status == StatusCode::CREATED).count();
    let full = answers.iter().filter(|answer| answer.status == StatusCode::PAYMENT_REQUIRED).collect::<Vec<_>>();
    assert_eq!((made, full.len()), (3, 5));
    assert_eq!(full[0].json()["type"], "urn:berth:problem:plan-full");
    assert!(full[0].text.contains("Your plan holds 3 agents"), "{}", full[0].text);
    let page = house.page(&house.cookie().await, "/billing").await;
    assert!(page.text.contains("3 of 3"), "{}", page.text);
}

#[tokio::test]
async fn another_tenant_pays_for_itself_only_and_members_do_not_pay() {
    let house = House::new().await;
    house.bill().await;
    pays(&house).await;
    house.page(&house.cookie().await, "/billing/return").await;
    house.world.run_flows(10).await;
    let others = house.get(&house.mallory, "/api/v1/billing").await.json();
    assert_eq!((&others["standing"], &others["plan"]), (&json!({ "entitlement": "unpaid" }), &Value::Null));
    let portal = house.post(&house.mallory, "/api/v1/billing/portal", "").await;
    assert_eq!(
        (portal.status, &portal.json()["type"]),
        (StatusCode::CONFLICT, &json!("urn:berth:problem:no-customer"))
    );
    assert_eq!(house.post(&house.mallory, "/api/v1/agents", r#"{"name":"scout"}"#).await.status, 402);
    for role in ["member", "viewer"] {
        let change =
            format!("update members set role = '{role}' where user_id = '{}'", house.world.mallory.caller.user.uuid());
        house.world.database.sql(&change).await;
        for path in [CHECKOUT, "/api/v1/billing/portal"] {
            assert_eq!(house.post(&house.mallory, path, PRO).await.status, StatusCode::FORBIDDEN, "{role} {path}");
        }
    }
}

#[tokio::test]
async fn a_plan_that_is_not_sold_is_refused_and_where_nobody_pays_nobody_is_sent() {
    let house = House::new().await;
    let answer = house.post(&house.alice, CHECKOUT, PRO).await;
    assert_eq!(
        (answer.status, &answer.json()["type"]),
        (StatusCode::CONFLICT, &json!("urn:berth:problem:not-billing"))
    );
    house.bill().await;
    for (body, status) in [
        (r#"{"plan":"starter"}"#, 409),
        (r#"{"plan":"gold"}"#, 409),
        (r#"{"plan":"Pro; drop"}"#, 422),
        ("{}", 422),
        (r#"{"plan":"pro","price":"price_0"}"#, 422),
    ] {
        assert_eq!(house.post(&house.alice, CHECKOUT, body).await.status, status, "{body}");
    }
    assert_eq!(house.world.database.count("select count(*) from checkouts").await, 0);
    assert_eq!(house.stripe.calls().len(), 0, "Stripe was not even asked");
}

/// Failed payments: served on, told on every page, stopped on day seven, and back within a minute of the payment.
#[tokio::test]
async fn what_is_to_be_mended_stands_on_every_page_until_it_is() {
    let house = House::new().await;
    house.bill().await;
    pays(&house).await;
    let cookie = house.cookie().await;
    house.page(&cookie, "/billing/return").await;
    house.world.run_flows(10).await;
    let agent = house.world.live_agent("scout").await;
    let customer = house.world.database.texts("select customer from billing").await;
    let customer = domain::billing::CustomerId::parse(&customer[0]).unwrap();
    house.stripe.set_card(&customer, Card::Declined);
    house.stripe.advance(chrono::TimeDelta::days(8));
    tell(&house).await;
    let page = house.page(&cookie, "/dashboard").await;
    assert!(page.text.contains("The last payment failed. Agents run until"), "{}", page.text);
    assert_eq!(house.world.agent(agent).await.unwrap().wanted.name(), "running");

    house.world.database.sql("update billing set past_due_since = past_due_since - interval '7 days'").await;
    look(&house).await;
    let page = house.page(&cookie, "/dashboard").await;
    assert!(page.text.contains("seven days are over"), "{}", page.text);
    assert_eq!(house.world.agent(agent).await.unwrap().wanted.name(), "stopped");
    let start = house.post(&house.alice, &format!("/api/v1/agents/{agent}/start"), "").await;
    assert_eq!(start.status, StatusCode::PAYMENT_REQUIRED, "{}", start.text);

    house.stripe.set_card(&customer, Card::Good);
    house.stripe.settle(&customer);
    tell(&house).await;
    assert_eq!(house.world.agent(agent).await.unwrap().wanted.name(), "running");
    assert!(!house.page(&cookie, "/dashboard").await.text.contains("To the billing page"));
    let acts = "select act from audit_events where act like 'billing.%' and act <> 'billing.checkout' order by seq";
    assert_eq!(house.world.database.texts(acts).await, ["billing.suspend", "billing.restore"]);
}

/// Every event that Stripe has is delivered, signed.
async fn tell(house: &House) {
    for event in house.stripe.events() {
        let mut tx = house.web.db.system().await.unwrap();
        app::events::keep(&mut tx, &*house.web.dice.0, event.to_string().as_bytes()).await.unwrap();
        tx.commit().await.unwrap();
    }
    house.world.run_flows(60).await;
}

async fn remove(house: &House, token: &str, path: &str) -> Answer {
    house.send(ask(Method::DELETE, path, token).body(Body::empty()).unwrap()).await
}

/// The flow looks, as it does every six hours.
async fn look(house: &House) {
    house.world.database.sql("update flows set run_at = now() where kind = 'billing'").await;
    house.world.run_flows(20).await;
}

/// Who has a tenant erased pays no further month, and nothing at all once it is gone.
#[tokio::test]
async fn whoever_is_erased_pays_no_more() {
    let house = House::new().await;
    house.bill().await;
    pays(&house).await;
    house.page(&house.cookie().await, "/billing/return").await;
    house.world.run_flows(10).await;
    let customer = house.world.database.texts("select customer from billing").await;
    let customer = domain::billing::CustomerId::parse(&customer[0]).unwrap();
    let tenant = house.world.alice.caller.tenant;
    let erased = remove(&house, &house.alice, &format!("/api/v1/tenants/{tenant}")).await;
    assert!(erased.status.is_success(), "{}", erased.text);
    house.world.run_flows(20).await;
    let payments = house.world.flows.payments.clone().unwrap();
    let one = payments.subscriptions(&customer).await.unwrap().remove(0);
    assert!(one.ends.is_some(), "it ends with what is paid: {one:?}");

    house.stripe.set_outage(Some(StripeFault::Failed));
    house.world.database.sql("update tenants set erase_after = now() where erase_after is not null").await;
    house.world.database.sql("update flows set run_at = now()").await;
    house.world.run_flows(60).await;
    let there = format!("select count(*) from tenants where id = '{}'", tenant.uuid());
    assert_eq!(house.world.database.count(&there).await, 1, "nobody is forgotten who may still be billed");
    house.stripe.set_outage(None);
    house.world.database.sql("update flows set run_at = now()").await;
    house.world.run_flows(60).await;
    assert_eq!(house.world.database.count(&there).await, 0);
    let one = payments.subscriptions(&customer).await.unwrap().remove(0);
    assert_eq!(one.status.name(), "canceled");
}

#[tokio::test]
async fn a_gift_serves_as_on_its_plan_and_ends() {
    let house = House::new().await;
    house.bill().await;
    let operator = house.operator("night@example.org").await;
    let tenant = house.world.alice.caller.tenant;
    let path = format!("/api/admin/v1/tenants/{tenant}/gift");
    assert_eq!(house.post(&operator, &path, r#"{"plan":"gold"}"#).await.status, 404);
    for bad in [r#"{"plan":"pro","days":0}"#, r#"{"plan":"pro","days":3651}"#] {
        assert_eq!(house.post(&operator, &path, bad).await.status, 422, "{bad}");
    }
    assert_eq!(house.post(&operator, &path, r#"{"plan":"starter","days":30}"#).await.status, 204);
    house.world.run_flows(10).await;
    assert_eq!(standing(&house).await["by"]["by"], "complimentary");
    assert_eq!(house.post(&house.alice, "/api/v1/agents", r#"{"name":"scout"}"#).await.status, 201);
    assert_eq!(house.post(&house.alice, "/api/v1/agents", r#"{"name":"second"}"#).await.status, 402, "a starter's");
    assert_eq!(remove(&house, &operator, &path).await.status, 204);
    house.world.run_flows(60).await;
    assert_eq!(standing(&house).await, json!({ "entitlement": "unpaid" }));
    let agents = house.world.database.texts("select wanted from agents").await;
    assert_eq!(agents, ["stopped"], "kept, and not running");
    let by_tenant = house.get(&house.alice, "/api/v1/audit").await.text;
    assert!(by_tenant.contains("billing.gift") && by_tenant.contains("billing.suspend"), "{by_tenant}");
}

#[tokio::test]
async fn operators_price_plans_and_who_has_a_price_keeps_it() {
    let house = House::new().await;
    house.bill().await;
    let operator = house.operator("night@example.org").await;
    pays(&house).await;
    house.page(&house.cookie().await, "/billing/return").await;
    house.world.run_flows(10).await;
    let plan = |price: &str, agents: u16| {
        json!({ "plan": "pro", "title": "Pro", "price": price, "cents": 5900, "currency": "eur", "trial_days": 0, "agents": agents })
            .to_string()
    };
    let changed = house.post(&operator, "/api/admin/v1/plans", &plan("price_dearer", 5)).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let mine = house.get(&house.alice, "/api/v1/billing").await.json();
    assert_eq!((&mine["plan"]["plan"], &mine["plan"]["agents"]), (&json!("pro"), &json!(5)), "{mine}");
    let taken = plan("price_dearer", 5).replace("\"pro\"", "\"power\"");
    let refused = house.post(&operator, "/api/admin/v1/plans", &taken).await;
    assert_eq!((refused.status, &refused.json()["field"]), (StatusCode::CONFLICT, &json!("price")), "{}", refused.text);
    let unknown =
        house.post(&operator, "/api/admin/v1/plans", &plan("price_x", 5).replace("\"pro\"", "\"gold\"")).await;
    assert_eq!(unknown.status, StatusCode::NOT_FOUND);
    let cookie = house.cookie_of(&operator).await;
    let typed = "plan=pro&title=Pro&price=prod_1&cents=19.00&currency=eur&trial_days=7&agents=3&daily_model=";
    let refused = house.form(&cookie, "/admin/plans", typed).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("begins with price_") && refused.text.contains("prod_1"), "{}", refused.text);
}
