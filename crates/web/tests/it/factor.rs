//! Operators: a second factor before anything, and a reason before a tenant's data.

use domain::{names::Email, operators::AdminEmails};
use http::StatusCode;
use vault::Secret;

use crate::support::House;

impl House {
    /// Begins an enrolment in this browser; returns the authenticator's secret.
    async fn secret(&self, cookie: &str) -> Secret {
        let page = self.form(cookie, "/factor/begin", "next=").await;
        assert_eq!(page.status, StatusCode::OK, "{}", page.text);
        let at = page.text.find("secret=").unwrap() + 7;
        unbase32(&page.text[at..at + 32])
    }

    /// The code of an operator's authenticator, begun anew.
    pub async fn code(&self, token: &str) -> String {
        self.world.database.sql("delete from operator_factors").await;
        let cookie = self.plain_cookie_of(token).await;
        let secret = self.secret(&cookie).await;
        self.code_of(&secret, 0).await
    }

    async fn code_of(&self, secret: &Secret, later_seconds: i64) -> String {
        let now = self.world.database.count("select extract(epoch from berth.now())::bigint").await;
        vault::totp_code(secret, u64::try_from(now + later_seconds).unwrap()).unwrap()
    }
}

fn unbase32(text: &str) -> Secret {
    let (mut bits, mut held, mut bytes) = (0_u64, 0, Vec::new());
    for letter in text.bytes() {
        let value = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567".iter().position(|one| *one == letter).unwrap();
        (bits, held) = ((bits << 5) | u64::try_from(value).unwrap(), held + 5);
        if held >= 8 {
            held -= 8;
            bytes.push(u8::try_from((bits >> held) & 255).unwrap());
        }
    }
    Secret::new(bytes)
}

#[tokio::test]
async fn an_operators_browser_shows_a_factor_every_twelve_hours() {
    let house = House::new().await;
    let token = house.operator("night@example.org").await;
    let cookie = house.plain_cookies_of(&token).await;
    let led = house.page(&cookie, "/admin/machines").await;
    assert_eq!(
        (led.status, &led.headers["location"]),
        (StatusCode::SEE_OTHER, &"/factor?next=%2Fadmin%2Fmachines".parse().unwrap())
    );
    let refused = house.page(&cookie, "/api/admin/v1/stats").await;
    assert!(refused.status == StatusCode::FORBIDDEN && refused.text.contains("second-factor"), "{}", refused.text);
    assert_eq!(house.form(&cookie, "/admin/alerts/alr_x/acknowledge", "").await.status, StatusCode::FORBIDDEN);

    let secret = house.secret(&cookie).await;
    assert_eq!(house.page(&cookie, "/admin").await.status, StatusCode::SEE_OTHER, "begun is not set up");
    let code = house.code_of(&secret, 0).await;
    let page = house.form(&cookie, "/factor", &format!("code={code}&next=%2Fadmin")).await;
    assert!(page.status == StatusCode::OK && page.text.contains("recovery codes"), "{}", page.text);
    assert_eq!(house.page(&cookie, "/admin").await.status, StatusCode::OK);
    assert_eq!(
        house.form(&cookie, "/factor/begin", "").await.status,
        StatusCode::CONFLICT,
        "a thief sets up no other one"
    );

    house.world.database.move_clock("12 hours 1 second").await;
    assert_eq!(house.page(&cookie, "/admin").await.status, StatusCode::SEE_OTHER);
    let code = house.code_of(&secret, 0).await;
    let on = house.form(&cookie, "/factor", &format!("code={code}&next=%2Fadmin%2Fmachines")).await;
    assert_eq!(on.headers["location"], "/admin/machines");
    assert_eq!(house.page(&cookie, "/admin").await.status, StatusCode::OK);
    let other = house.plain_cookie_of(&token).await;
    assert_eq!(house.page(&other, "/admin").await.status, StatusCode::SEE_OTHER, "another browser gives its own");
    let kept =
        house.world.database.texts("select to_jsonb(t)::text from (select * from operator_factors) t").await.concat();
    assert!(!kept.contains(&*vault::totp_text(&secret)));
}

#[tokio::test]
async fn a_code_is_taken_once_and_wrong_ones_are_counted() {
    let house = House::new().await;
    let token = house.operator("night@example.org").await;
    let cookie = house.plain_cookie_of(&token).await;
    let secret = house.secret(&cookie).await;
    let first = house.code_of(&secret, 0).await;
    let give = async |code: &str| house.form(&cookie, "/factor", &format!("code={code}&next=")).await.status;
    assert_eq!(give(&first).await, StatusCode::OK);
    assert_eq!(give(&first).await, StatusCode::FORBIDDEN, "a code works once");
    let earlier = house.code_of(&secret, -30).await;
    assert_eq!(give(&earlier).await, StatusCode::FORBIDDEN, "nor does an earlier one, after it");
    for _ in 0..3 {
        assert_eq!(give("000000").await, StatusCode::FORBIDDEN);
    }
    let next = house.code_of(&secret, 30).await;
    assert_eq!(give(&next).await, StatusCode::TOO_MANY_REQUESTS, "after five wrong ones not even a right one");
    house.world.database.move_clock("5 minutes 1 second").await;
    let later = house.code_of(&secret, 0).await;
    assert_eq!(give(&later).await, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn a_recovery_code_works_once_and_is_kept_as_a_hash() {
    let house = House::new().await;
    let token = house.operator("night@example.org").await;
    let cookie = house.plain_cookie_of(&token).await;
    let secret = house.secret(&cookie).await;
    let code = house.code_of(&secret, 0).await;
    let page = house.form(&cookie, "/factor", &format!("code={code}&next=")).await;
    let codes: Vec<&str> = page
        .text
        .split(|c: char| !(c.is_ascii_alphanumeric() || c == '-'))
        .filter(|w| w.len() == 19 && w.matches('-').count() == 3)
        .collect();
    assert_eq!(codes.len(), 10, "{}", page.text);
    let kept =
        house.world.database.texts("select to_jsonb(t)::text from (select * from recovery_codes) t").await.concat();
    assert!(codes.iter().all(|code| !kept.contains(code)));
    let other = house.plain_cookie_of(&token).await;
    let given = house.form(&other, "/factor", &format!("code={}&next=", codes[0].to_lowercase())).await;
    assert!(given.status == StatusCode::OK && given.text.contains("9 are left"), "{}", given.text);
    assert_eq!(house.page(&other, "/admin").await.status, StatusCode::OK);
    assert_eq!(house.form(&other, "/factor", &format!("code={}&next=", codes[0])).await.status, StatusCode::FORBIDDEN);
}

/// A stolen session without a factor must not turn into a token that needs none.
#[tokio::test]
async fn a_token_that_operates_needs_a_factor_too() {
    let house = House::new().await;
    let token = house.operator("night@example.org").await;
    let cookie = house.plain_cookie_of(&token).await;
    for scope in ["all", "operate"] {
        let refused = house.form(&cookie, "/settings/tokens", &format!("name=x&days=1&scope={scope}")).await;
        assert!(
            refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains("second factor"),
            "{}",
            refused.text
        );
    }
    assert_eq!(house.form(&cookie, "/settings/tokens", "name=x&days=1&scope=read").await.status, StatusCode::OK);
    assert_eq!(house.get(&token, "/api/admin/v1/stats").await.status, StatusCode::OK, "one from the server has it");
}

#[tokio::test]
async fn only_operators_have_the_page() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    assert_eq!(house.page(&cookie, "/factor").await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.form(&cookie, "/factor/begin", "").await.status, StatusCode::NOT_FOUND);
    assert_eq!(house.form(&cookie, "/factor", "code=000000").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_tenants_data_is_read_for_a_reason_that_the_tenant_sees() {
    let house = House::new().await;
    house.world.new_agent("xebec").await;
    let operator = house.operator("night@example.org").await;
    let cookie = house.cookie_of(&operator).await;
    let tenant = house.world.alice.caller.tenant;
    let path = format!("/admin/tenants/{tenant}");
    let before = house.page(&cookie, &path).await;
    assert!(!before.text.contains("xebec") && !before.text.contains("alice@"), "{}", before.text);
    assert!(!house.page(&cookie, "/admin/tenants").await.text.contains("alice@"));
    for short in ["", "reason=because"] {
        let refused = house.form(&cookie, &path, short).await;
        assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && !refused.text.contains("xebec"));
    }
    let shown = house.form(&cookie, &path, "reason=ticket+4711%3A+it+does+not+start").await;
    assert!(shown.text.contains("xebec") && shown.text.contains("alice@example.org"), "{}", shown.text);
    let page = house.page(&house.cookie().await, "/audit").await;
    assert!(page.text.contains("ticket 4711: it does not start"), "{}", page.text);
    assert!(page.text.contains("read the tenant&#39;s data as an operator"), "{}", page.text);
    assert!(!page.text.contains("night@example.org"), "the operator is an id to the tenant");

    // When it cannot be written, nothing is read.
    house.world.database.sql("revoke insert on audit_events from berth_tenant").await;
    let refused = house.form(&cookie, &path, "reason=ticket+4711%3A+it+does+not+start").await;
    assert!(refused.status == StatusCode::INTERNAL_SERVER_ERROR && !refused.text.contains("xebec"));
}

#[tokio::test]
async fn an_address_makes_one_operator_once_and_only_when_it_is_verified() {
    let house = House::new().await;
    let listed = AdminEmails::parse("alice@example.org").unwrap();
    let (alice, mallory) = (house.world.alice.caller.user, house.world.mallory.caller.user);
    let email = Email::parse("alice@example.org").unwrap();
    let other = Email::parse("mallory@example.org").unwrap();
    let run = async |listed: &AdminEmails, user, email: &Email, verified| {
        let mut tx = house.web.db.system().await.unwrap();
        let done = app::operators::bootstrap(&mut tx, listed, user, (email, verified)).await.unwrap();
        tx.commit().await.unwrap();
        done
    };
    assert!(!run(&AdminEmails::default(), alice, &email, true).await, "an empty list lets nobody in");
    assert!(!run(&listed, alice, &email, false).await, "an address that nobody verified");
    assert!(!run(&listed, mallory, &other, true).await, "an address that is not listed");
    assert!(run(&listed, alice, &email, true).await);
    assert_eq!(house.get(&house.alice, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED, "her wide tokens end");
    house.world.database.sql("update users set is_operator = false").await;
    assert!(!run(&listed, mallory, &email, true).await, "somebody else with the same address, from another issuer");
    assert!(!run(&listed, alice, &email, true).await, "once: who was removed does not come back by it");
    assert_eq!(house.world.database.count("select count(*) from users where is_operator").await, 0);
    assert_eq!(
        house.world.database.count("select count(*) from house_audit_events where act = 'operator.make'").await,
        1
    );
}
