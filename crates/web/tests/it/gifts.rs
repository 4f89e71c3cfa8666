//! Plans that are given along with an invite, and what else a plan holds: how large machines are.

use http::StatusCode;
use serde_json::json;

use crate::{
    doors::{ask, link},
    support::House,
};

/// Signs up by mail with a code, as somebody new; the cookies of their session.
async fn sign_up(house: &House, code: &str, email: &str) -> String {
    let taken = house.form("", "/signup", &format!("code={code}")).await;
    assert_eq!(taken.status, StatusCode::SEE_OTHER, "{}", taken.text);
    ask(house, &taken.cookies(), email).await;
    house.world.run_flows(5).await;
    let link = link(house, email).expect("a mail came");
    let entered = house.form("", "/login", &format!("link={link}")).await;
    assert_eq!(entered.status, StatusCode::SEE_OTHER, "{}", entered.text);
    entered.cookies()
}

#[tokio::test]
async fn who_comes_by_an_invite_with_a_plan_does_not_pay() {
    let house = House::new().await;
    house.bill().await;
    let operator = house.operator("night@example.org").await;
    let made = house.post(&operator, "/api/admin/v1/invites", r#"{"plan":"starter","gift_days":30,"uses":2}"#).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let code = made.json()["invites"][0]["code"].as_str().unwrap().to_owned();

    let cookies = sign_up(&house, &code, "grace@harbour.example").await;
    house.world.run_flows(10).await;
    let mine = house.page(&cookies, "/api/v1/billing").await.json();
    assert_eq!(mine["standing"]["by"]["by"], "complimentary", "{mine}");
    assert_eq!(mine["plan"]["plan"], "starter");
    let lasts = "select count(*) from billing where gift_until - berth.now() between interval '29 days 23 hours' and interval '30 days'";
    assert_eq!(house.world.database.count(lasts).await, 1);
    let welcomed = house.world.mailer.ledger().iter().any(|sent| {
        sent.what.to.as_str() == "grace@harbour.example"
            && sent.what.subject.to_string().to_lowercase().contains("welcome")
    });
    assert!(welcomed, "and they are greeted");

    // The same code for another one is another tenant's gift; somebody by a plain invite has none.
    sign_up(&house, &code, "linus@harbour.example").await;
    let plain = house.invite(1).await;
    let paying = sign_up(&house, &plain, "ada@harbour.example").await;
    let gifts = house.world.database.texts("select gift_plan from billing where gift_plan is not null").await;
    assert_eq!(gifts, ["starter", "starter"]);
    assert_eq!(house.page(&paying, "/api/v1/billing").await.json()["standing"]["entitlement"], "unpaid");
}

#[tokio::test]
async fn an_invite_with_a_plan_that_cannot_be_given_is_not_made() {
    let house = House::new().await;
    let operator = house.operator("night@example.org").await;
    let path = "/api/admin/v1/invites";
    for (bad, field) in [
        (r#"{"plan":"gold"}"#, "plan"),
        (r#"{"plan":"Pro!"}"#, "plan"),
        (r#"{"gift_days":30}"#, "plan"),
        (r#"{"plan":"pro","gift_days":0}"#, "gift_days"),
        (r#"{"plan":"pro","gift_days":3651}"#, "gift_days"),
        (r#"{"plan":"pro","gift_days":70000}"#, "gift_days"),
    ] {
        let refused = house.post(&operator, path, bad).await;
        assert_eq!(
            (refused.status, &refused.json()["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{bad}"
        );
    }
    assert_eq!(house.world.database.count("select count(*) from invites").await, 0);
    let cookie = house.cookie_of(&operator).await;
    let form = "codes=1&uses=1&days=7&note=friends";
    let refused = house.form(&cookie, "/admin/invites", &format!("{form}&plan=&gift_days=30")).await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(refused.text.contains("Choose a plan") && refused.text.contains("friends"), "{}", refused.text);
    let made = house.form(&cookie, "/admin/invites", &format!("{form}&plan=power&gift_days=")).await;
    assert!(made.status == StatusCode::OK && made.text.contains("Power for good"), "{}", made.text);
    let plain = house.form(&cookie, "/admin/invites", form).await;
    assert_eq!(plain.status, StatusCode::OK, "as forms were before: {}", plain.text);
}

#[tokio::test]
async fn a_plan_says_how_large_its_machines_are() {
    let house = House::new().await;
    let operator = house.operator("night@example.org").await;
    let plan = |more: &str| {
        format!(
            r#"{{"plan":"pro","title":"Pro","price":"price_1","cents":4900,"currency":"eur","trial_days":7,"agents":3{more}}}"#
        )
    };
    for (bad, field) in [
        (r#","cpus":0"#, "cpus"),
        (r#","cpus":65"#, "cpus"),
        (r#","memory_mib":2047"#, "memory_mib"),
        (r#","memory_mib":262145"#, "memory_mib"),
        (r#","machine_cents":100000001"#, "machine_cents"),
    ] {
        let refused = house.post(&operator, "/api/admin/v1/plans", &plan(bad)).await;
        assert_eq!(
            (refused.status, &refused.json()["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &json!(field)),
            "{bad}"
        );
    }
    let large = plan(r#","cpus":4,"memory_mib":8192,"machine_cents":1200"#);
    let changed = house.post(&operator, "/api/admin/v1/plans", &large).await.json();
    let pro = changed["plans"].as_array().unwrap().iter().find(|one| one["plan"] == "pro").unwrap();
    assert_eq!((&pro["cpus"], &pro["memory_mib"], &pro["machine_cents"]), (&json!(4), &json!(8192), &json!(1200)));
    // Who chooses reads it; what it costs whoever runs Berth is nobody's business.
    house.bill().await;
    let told = house.page(&house.cookie().await, "/billing").await.text;
    assert!(told.contains("4 processors, 8 GiB") && !told.contains("1200"), "{told}");
    let offered = house.get(&house.alice, "/api/v1/billing").await.text;
    assert!(offered.contains(r#""memory_mib":8192"#) && !offered.contains("machine_cents"), "{offered}");
    // The form shows it, takes it back, and says what it cannot read.
    let cookie = house.cookie_of(&operator).await;
    assert!(house.page(&cookie, "/admin/plans").await.text.contains(r#"name="memory_mib" value="8192""#));
    let form = "plan=pro&title=Pro&price=price_1&cents=4900&currency=eur&trial_days=7&agents=3&daily_model=";
    let refused = house.form(&cookie, "/admin/plans", &format!("{form}&cpus=many")).await;
    assert!(refused.status == 422 && refused.text.contains("1 to 64 processors"), "{}", refused.text);
    let cleared = house.form(&cookie, "/admin/plans", &format!("{form}&cpus=&memory_mib=&machine_cents=")).await;
    assert_eq!(cleared.status, StatusCode::SEE_OTHER, "{}", cleared.text);
    assert!(!house.page(&house.cookie().await, "/billing").await.text.contains("processors"));
}
