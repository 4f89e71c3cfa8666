//! The other ways in: mailed links, invites, the waitlist.

use clients::{fake::Strike, mail::MailError};
use http::StatusCode;
use serde_json::json;

use crate::support::{Answer, House};

async fn operated() -> House {
    let house = House::new().await;
    house.world.database.sql("update users set is_operator = true where email = 'alice@example.org'").await;
    house
}

/// The link in the last mail to this address.
pub fn link(house: &House, to: &str) -> Option<String> {
    let mails = house.world.mailer.ledger();
    let mail = mails.iter().rev().find(|mail| mail.what.to.as_str() == to)?;
    let at = mail.what.text.find("/login?link=")?;
    Some(mail.what.text[at + "/login?link=".len()..].split_whitespace().next().unwrap().to_owned())
}

pub async fn ask(house: &House, cookies: &str, email: &str) -> Answer {
    house.form(cookies, "/auth/mail", &format!("email={}&next=/settings", email.replace('@', "%40"))).await
}

#[tokio::test]
async fn a_mailed_link_signs_in_once_and_by_its_button() {
    let house = House::new().await;
    assert_eq!(ask(&house, "", "Alice@Example.org").await.headers["location"], "/login?mailed=1");
    house.world.run_flows(5).await;
    let link = link(&house, "alice@example.org").expect("a mail came");
    // Mail scanners open links: that uses nothing up.
    for _ in 0..3 {
        let page = house.page("", &format!("/login?link={link}")).await;
        assert!(page.status == StatusCode::OK && page.text.contains("Sign in to Berth"), "{}", page.text);
    }
    let form = format!("link={link}");
    let (one, two) = tokio::join!(house.form("", "/login", &form), house.form("", "/login", &form));
    let entered = if one.status == StatusCode::SEE_OTHER { &one } else { &two };
    assert_eq!(entered.headers["location"], "/settings");
    assert_eq!([one.status, two.status].iter().filter(|status| **status == StatusCode::UNAUTHORIZED).count(), 1);
    let me = house.page(&entered.cookies(), "/api/v1/me").await.json();
    assert_eq!(me["email"], "alice@example.org");
    assert_eq!(house.world.database.count("select count(*) from users where email_verified_at is not null").await, 1);
}

#[tokio::test]
async fn a_mailed_link_ends_after_a_quarter_of_an_hour() {
    let house = House::new().await;
    ask(&house, "", "alice@example.org").await;
    house.world.run_flows(5).await;
    let link = link(&house, "alice@example.org").unwrap();
    house.world.database.move_clock("16 minutes").await;
    let late = house.form("", "/login", &format!("link={link}")).await;
    assert!(late.status == StatusCode::UNAUTHORIZED && late.text.contains("has expired"), "{}", late.text);
}

/// Same answer, same statements; only the letter's flow, which nobody waits for, tells them apart.
#[tokio::test]
async fn asking_for_a_link_does_not_tell_who_is_known() {
    let house = House::new().await;
    let (known, unknown) = (ask(&house, "", "alice@example.org").await, ask(&house, "", "nobody@example.org").await);
    let shown = |answer: &Answer| (answer.status, answer.text.clone(), answer.headers["location"].clone());
    assert_eq!(shown(&known), shown(&unknown));
    let database = &house.world.database;
    assert_eq!(database.count("select count(*) from letters").await, 2);
    assert_eq!(database.count("select count(*) from flows where kind = 'letter'").await, 2);
    assert_eq!(database.count("select count(*) from links").await, 0, "no link is made before the letter is sent");
    house.world.run_flows(10).await;
    let to: Vec<_> = house.world.mailer.ledger().iter().map(|mail| mail.what.to.to_string()).collect();
    assert_eq!(to, ["alice@example.org"]);
    let rows =
        database.texts("select to_jsonb(l)::text from links l union all select to_jsonb(l)::text from letters l").await;
    assert!(!rows.join("").contains(&link(&house, "alice@example.org").unwrap()), "the link stands nowhere");
}

#[tokio::test]
async fn a_letter_that_is_sent_twice_brings_the_same_link() {
    let house = House::new().await;
    // Taken, but the answer was lost: it is sent again.
    house.world.mailer.fail_next(Strike::After, 1, &MailError::Later(None));
    ask(&house, "", "alice@example.org").await;
    house.world.run_flows(10).await;
    let mails = house.world.mailer.ledger();
    assert_eq!((mails.len(), house.world.database.count("select count(*) from links").await), (2, 1));
    assert_eq!((&mails[0].what.text, &mails[0].what.id), (&mails[1].what.text, &mails[1].what.id));
}

#[tokio::test]
async fn somebody_with_an_invite_signs_up_by_mail() {
    let house = House::new().await;
    let before = house.world.database.count("select count(*) from users").await;
    let code = house.invite(1).await;
    let typed = code.to_lowercase();
    let taken = house.form("", "/signup", &format!("code={}-{}-{}", &typed[..4], &typed[4..8], &typed[8..])).await;
    assert_eq!((taken.status, &taken.headers["location"]), (StatusCode::SEE_OTHER, &"/signup".parse().unwrap()));
    let cookies = taken.cookies();
    let page = house.page(&cookies, "/signup").await;
    assert!(page.text.contains("Your invite is good") && page.text.contains("Mail me a link"), "{}", page.text);
    ask(&house, &cookies, "grace@harbour.example").await;
    house.world.run_flows(5).await;
    let link = link(&house, "grace@harbour.example").expect("a mail came");
    // The invite counts when the link is used, by whichever browser.
    let entered = house.form("", "/login", &format!("link={link}")).await;
    let me = house.page(&entered.cookies(), "/api/v1/me").await.json();
    assert_eq!((&me["email"], &me["role"]), (&json!("grace@harbour.example"), &json!("owner")));
    assert_eq!(house.world.database.count("select count(*) from users").await, before + 1);
    let again = house.form("", "/signup", &format!("code={code}")).await;
    assert!(again.status == StatusCode::UNPROCESSABLE_ENTITY && again.text.contains("used up"), "{}", again.text);
}

#[tokio::test]
async fn an_invite_that_ended_before_its_link_was_used_lets_nobody_in() {
    let house = House::new().await;
    let cookies = format!("berth_invite={}", house.invite(1).await);
    ask(&house, &cookies, "grace@harbour.example").await;
    house.world.run_flows(5).await;
    let link = link(&house, "grace@harbour.example").unwrap();
    house.world.database.sql("update invites set revoked_at = now()").await;
    let refused = house.form("", "/login", &format!("link={link}")).await;
    assert_eq!(refused.headers["location"], "/signup?closed=1");
    assert_eq!(house.world.database.count("select count(*) from links where used_at is not null").await, 0);
}

#[tokio::test]
async fn a_code_is_looked_at_and_not_used_by_asking() {
    let house = House::new().await;
    let code = house.invite(1).await;
    let valid = async |code: &str| {
        let answer = house.post("", "/api/v1/invites/validate", &json!({ "code": code }).to_string()).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        answer.json()["valid"].as_bool().unwrap()
    };
    for _ in 0..3 {
        assert!(valid(&code).await && valid(&code.to_lowercase()).await);
    }
    for bad in ["", "ABCD-EFGH-JKLM", "' or 1=1 --", &"A".repeat(10_000)] {
        assert!(!valid(bad).await, "{bad}");
    }
    for ended in
        ["expires_at = now()", "expires_at = now() + interval '1 day', uses = uses_max", "uses = 0, revoked_at = now()"]
    {
        house.world.database.sql(&format!("update invites set {ended}")).await;
        assert!(!valid(&code).await, "{ended}");
    }
    let rows = house.world.database.texts("select to_jsonb(i)::text from invites i").await.join("");
    assert!(!rows.contains(&code), "only a keyed hash is kept");
}

#[tokio::test]
async fn an_operator_makes_lists_and_takes_back_invites() {
    let house = operated().await;
    let made = house.post(&house.alice, "/api/admin/v1/invites", r#"{"codes":3,"uses":2,"note":"friends"}"#).await;
    assert_eq!(made.status, StatusCode::CREATED, "{}", made.text);
    let codes: Vec<String> =
        made.json()["invites"].as_array().unwrap().iter().map(|one| one["code"].as_str().unwrap().to_owned()).collect();
    assert!(codes.len() == 3 && codes.iter().all(|code| domain::invite::InviteCode::parse(code).is_some()));
    let list = house.get(&house.alice, "/api/admin/v1/invites?open=true").await.json();
    let listed = list["invites"].as_array().unwrap();
    assert!(
        listed.iter().all(|one| one["batch"] == listed[0]["batch"] && one["note"] == "friends" && one["uses_max"] == 2)
    );
    assert!(!list.to_string().contains(&codes[0]), "a code is shown once");
    let path = format!("/api/admin/v1/invites/{}", made.json()["invites"][0]["id"].as_str().unwrap());
    let request = crate::support::ask(http::Method::DELETE, &path, &house.alice);
    assert_eq!(house.send(request.body(axum::body::Body::empty()).unwrap()).await.status, StatusCode::NO_CONTENT);
    assert_eq!(house.form("", "/signup", &format!("code={}", codes[0])).await.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert_eq!(house.form("", "/signup", &format!("code={}", codes[1])).await.status, StatusCode::SEE_OTHER);
    for bad in [r#"{"codes":0}"#, r#"{"codes":101}"#, r#"{"uses":0}"#, r#"{"days":366}"#, r#"{"note":"a\nb"}"#] {
        let refused = house.post(&house.alice, "/api/admin/v1/invites", bad).await;
        assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", refused.text);
    }
    // The same by the page, which shows what was typed again.
    let cookie = house.cookie().await;
    let page = house.form(&cookie, "/admin/invites", "codes=2&uses=1&days=7&note=fleet").await;
    assert!(page.status == StatusCode::OK && page.text.contains("2 new codes"), "{}", page.text);
    let refused = house.form(&cookie, "/admin/invites", "codes=x&uses=5&days=7&note=%3Cb%3E").await;
    assert_eq!(refused.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        refused.text.contains("Between 1 and 100") && refused.text.contains("value=\"&#60;b&#62;\""),
        "{}",
        refused.text
    );
}

#[tokio::test]
async fn the_waitlist_answers_everybody_alike_and_is_invited_from() {
    let house = operated().await;
    let join = async |email: &str| {
        let answer = house.post("", "/api/v1/waitlist", &json!({ "email": email }).to_string()).await;
        (answer.status, answer.text)
    };
    let first = join("grace@harbour.example").await;
    assert_eq!(first.0, StatusCode::ACCEPTED);
    for known in ["Grace@harbour.example", "alice@example.org", "joan@harbour.example"] {
        assert_eq!(join(known).await, first, "{known}");
    }
    assert_eq!(join("nobody").await.0, StatusCode::UNPROCESSABLE_ENTITY);
    let list = house.get(&house.alice, "/api/admin/v1/waitlist").await.json();
    let places: Vec<_> =
        list["waitlist"].as_array().unwrap().iter().map(|w| (w["position"].as_u64(), w["email"].as_str())).collect();
    assert_eq!(places[0], (Some(1), Some("grace@harbour.example")));
    assert_eq!(places.len(), 3);
    let path = format!("/api/admin/v1/waitlist/{}/invite", list["waitlist"][0]["id"].as_str().unwrap());
    let (one, two) = tokio::join!(house.post(&house.alice, &path, ""), house.post(&house.alice, &path, ""));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [204, 409], "nobody is invited twice");
    house.world.run_flows(5).await;
    let mails = house.world.mailer.ledger();
    let mail = mails.iter().find(|mail| mail.what.to.as_str() == "grace@harbour.example").expect("a mail came");
    let code = mail.what.text.split("code=").nth(1).unwrap().split_whitespace().next().unwrap();
    assert_eq!(house.form("", "/signup", &format!("code={code}")).await.status, StatusCode::SEE_OTHER);
    let rows = house
        .world
        .database
        .texts("select to_jsonb(l)::text from letters l union all select to_jsonb(f)::text from flows f")
        .await;
    assert!(!rows.join("").contains(code));
    let left = house.get(&house.alice, "/api/admin/v1/waitlist").await.json();
    assert_eq!(left["waitlist"][0]["email"], "alice@example.org");
    let page = house.page(&house.cookie().await, "/admin/waitlist?waiting=false").await;
    assert!(page.text.contains("grace@harbour.example"), "{}", page.text);
}

#[tokio::test]
async fn without_mail_no_link_is_offered_and_the_page_says_so() {
    let mut house = House::new().await;
    house.mute();
    let page = house.page("", "/login").await;
    assert!(!page.text.contains("Mail me a link") && page.text.contains("BERTH_SMTP_URL"), "{}", page.text);
    assert_eq!(ask(&house, "", "alice@example.org").await.status, StatusCode::SERVICE_UNAVAILABLE);
}
