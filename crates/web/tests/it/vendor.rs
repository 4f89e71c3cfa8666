//! Signing in at a vendor: the way there and back, and every token that is no good.

use axum::body::Body;
use http::{Request, StatusCode};
use serde_json::{Value, json};
use testkit::issuer::{CLIENT, CLIENT_SECRET, Callback, FakeIssuer};
use vault::Secret;
use web::VendorSettings;

use crate::support::{Answer, House};

/// A house with a vendor, and a browser.
pub struct Door {
    pub house: House,
    pub issuer: FakeIssuer,
}

impl Door {
    pub async fn new() -> Self {
        Self::with_admins("").await
    }

    /// A door of a house whose `ADMIN_EMAILS` is this.
    pub async fn with_admins(admins: &str) -> Self {
        let issuer = FakeIssuer::start().await;
        issuer.sign_in_as("ada-1", ada());
        let settings = VendorSettings {
            slug: "oidc",
            title: "Harbour".to_owned(),
            issuer: issuer.url().parse().unwrap(),
            client_id: CLIENT.to_owned(),
            client_secret: Some(Secret::from(CLIENT_SECRET.to_owned())),
        };
        Self { house: House::with_admins(settings, admins).await, issuer }
    }

    /// Begins at Berth; returns the browser's cookies and what it comes back with.
    pub async fn leave(&self, cookies: &str, query: &str) -> (String, Callback) {
        let answer = self.house.page(cookies, &format!("/auth/oidc/start?{query}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        let callback = self.issuer.visit(answer.headers["location"].to_str().unwrap());
        let cookies = [cookies, &answer.cookies()].into_iter().filter(|c| !c.is_empty()).collect::<Vec<_>>().join("; ");
        (cookies, callback)
    }

    pub async fn come_back(&self, cookies: &str, callback: &Callback) -> Answer {
        self.house.page(cookies, &format!("/auth/oidc/callback?code={}&state={}", callback.code, callback.state)).await
    }

    /// The whole way.
    pub async fn pass(&self, cookies: &str, query: &str) -> Answer {
        let (cookies, callback) = self.leave(cookies, query).await;
        self.come_back(&cookies, &callback).await
    }

    /// A cookie with a code that this many may use.
    pub async fn invite(&self, uses: u32) -> String {
        format!("berth_invite={}", self.house.invite(uses).await)
    }

    pub async fn users(&self) -> i64 {
        self.house.world.database.count("select count(*) from users").await
    }
}

fn ada() -> Value {
    json!({ "email": "Ada@Harbour.example", "email_verified": true })
}

#[tokio::test]
async fn somebody_with_an_invite_signs_up_and_then_signs_in() {
    let door = Door::new().await;
    let before = door.users().await;
    let invite = door.invite(1).await;
    let entered = door.pass(&invite, "signup=1&next=/settings").await;
    assert_eq!((entered.status, &entered.headers["location"]), (StatusCode::SEE_OTHER, &"/settings".parse().unwrap()));
    assert_eq!(door.users().await, before + 1);
    let me = door.house.page(&entered.cookies(), "/api/v1/me").await.json();
    assert_eq!(
        (&me["email"], &me["role"], &me["tenant_name"]),
        (&json!("ada@harbour.example"), &json!("owner"), &json!("ada"))
    );
    // Known now: no invite is needed, and none is used.
    let again = door.pass("", "").await;
    assert_eq!(door.house.page(&again.cookies(), "/api/v1/me").await.json()["user"], me["user"]);
    assert_eq!(door.users().await, before + 1);
    let invited =
        "select count(*) from invite_uses u join invites i on i.id = u.invite_id join users b on b.id = i.made_by
                   where b.email = 'alice@example.org'";
    assert_eq!(door.house.world.database.count(invited).await, 1, "who invited whom");
}

#[tokio::test]
async fn nobody_gets_in_without_an_invite() {
    let door = Door::new().await;
    let before = door.users().await;
    // Asked before the vendor is visited …
    let turned_back = door.house.page("", "/auth/oidc/start?signup=1").await;
    assert_eq!(turned_back.headers["location"], "/signup?closed=1");
    assert_eq!(door.issuer.calls("/token"), 0);
    // … and enforced when somebody comes back.
    let closed = door.pass("", "").await;
    assert_eq!(
        (closed.status, &closed.headers["location"]),
        (StatusCode::SEE_OTHER, &"/signup?closed=1".parse().unwrap())
    );
    assert!(!closed.cookies().contains("berth_session"));
    assert_eq!(door.house.page("", "/signup?closed=1").await.status, StatusCode::FORBIDDEN);
    // An invite that ran out while its holder was away lets nobody in either.
    let invite = door.invite(1).await;
    for spoil in [
        "update invites set expires_at = now()",
        "update invites set expires_at = now() + interval '1 day', revoked_at = now()",
    ] {
        let (cookies, callback) = door.leave(&invite, "").await;
        door.house.world.database.sql(spoil).await;
        assert_eq!(door.come_back(&cookies, &callback).await.headers["location"], "/signup?closed=1", "{spoil}");
        door.house
            .world
            .database
            .sql("update invites set expires_at = now() + interval '1 day', revoked_at = null")
            .await;
    }
    assert_eq!(door.users().await, before);
}

#[tokio::test]
async fn an_address_that_is_not_verified_makes_nobody() {
    let door = Door::new().await;
    let before = door.users().await;
    let invite = door.invite(1).await;
    door.issuer.inform("ada-1", json!({}));
    for claims in [
        json!({ "email": "ada@harbour.example" }),
        json!({ "email": "ada@harbour.example", "email_verified": false }),
        json!({ "email": "ada@harbour.example", "email_verified": "false" }),
        json!({ "email_verified": true }),
        json!({ "email": "not an address", "email_verified": true }),
    ] {
        door.issuer.sign_in_as("ada-1", claims.clone());
        let refused = door.pass(&invite, "").await;
        assert_eq!(refused.status, StatusCode::FORBIDDEN, "{claims}");
        assert!(refused.text.contains("is verified"), "{}", refused.text);
    }
    assert_eq!(door.users().await, before);
    assert_eq!(door.house.world.database.count("select count(*) from invites where uses > 0").await, 0);
}

/// AUT-26: the same address from somebody else is somebody else.
#[tokio::test]
async fn people_are_known_by_issuer_and_subject_and_not_by_their_address() {
    let door = Door::new().await;
    let invite = door.invite(2).await;
    let ada = door.house.page(&door.pass(&invite, "").await.cookies(), "/api/v1/me").await.json();
    door.issuer.sign_in_as("mallory-2", self::ada());
    assert_eq!(door.pass("", "").await.headers["location"], "/signup?closed=1", "not let in as ada");
    let mallory = door.house.page(&door.pass(&invite, "").await.cookies(), "/api/v1/me").await.json();
    assert_eq!(ada["email"], mallory["email"]);
    assert!(ada["user"] != mallory["user"] && ada["tenant"] != mallory["tenant"]);
}

#[tokio::test]
async fn what_the_token_does_not_say_is_asked_for() {
    let door = Door::new().await;
    let invite = door.invite(2).await;
    door.issuer.sign_in_as("grace-3", json!({}));
    door.issuer.inform("grace-3", json!({ "email": "grace@harbour.example", "email_verified": true }));
    let me = door.house.page(&door.pass(&invite, "").await.cookies(), "/api/v1/me").await.json();
    assert_eq!(me["email"], "grace@harbour.example");
    door.issuer.sign_in_as("eve-4", json!({}));
    door.issuer.inform("eve-4", json!({ "sub": "grace-3", "email": "grace@harbour.example", "email_verified": true }));
    assert_eq!(door.pass(&invite, "").await.status, StatusCode::UNAUTHORIZED, "the info is about somebody else");
}

#[tokio::test]
async fn a_state_comes_back_once_in_its_own_browser_and_within_ten_minutes() {
    let door = Door::new().await;
    let invite = door.invite(9).await;
    let (cookies, callback) = door.leave(&invite, "").await;
    let no_cookie = door.come_back("", &callback).await;
    let other = door.leave("", "").await.0;
    let foreign = door.come_back(&other, &callback).await;
    for refused in [no_cookie, foreign] {
        assert_eq!(refused.status, StatusCode::BAD_REQUEST, "{}", refused.text);
    }
    for query in ["", "code=x", "code=x&state=", "code=x&state=unknown"] {
        let answer = door.house.page(&cookies, &format!("/auth/oidc/callback?{query}")).await;
        assert_eq!(answer.status, StatusCode::BAD_REQUEST, "{query}");
    }
    assert_eq!(door.issuer.calls("/token"), 0, "nothing was exchanged");
    assert_eq!(door.come_back(&cookies, &callback).await.status, StatusCode::SEE_OTHER);
    assert_eq!(door.come_back(&cookies, &callback).await.status, StatusCode::BAD_REQUEST, "used");
    let (cookies, late) = door.leave("", "").await;
    door.house.world.database.move_clock("11 minutes").await;
    assert_eq!(door.come_back(&cookies, &late).await.status, StatusCode::BAD_REQUEST, "too late");
    assert_eq!(door.issuer.calls("/token"), 1);
}

#[tokio::test]
async fn of_fifty_answers_at_once_one_is_exchanged() {
    let door = Door::new().await;
    let invite = door.invite(1).await;
    let (cookies, callback) = door.leave(&invite, "").await;
    let answers = futures::future::join_all((0..50).map(|_| door.come_back(&cookies, &callback))).await;
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::SEE_OTHER).count(), 1);
    assert_eq!(answers.iter().filter(|answer| answer.status == StatusCode::BAD_REQUEST).count(), 49);
    assert_eq!(door.issuer.calls("/token"), 1);
}

/// AUT-04: a hundred people at once with a code for one.
#[tokio::test]
async fn a_code_for_one_makes_one_user_of_a_hundred() {
    let door = Door::new().await;
    let before = door.users().await;
    let invite = door.invite(1).await;
    let mut ready = Vec::new();
    for n in 0..100 {
        let address = json!({ "email": format!("p{n}@harbour.example"), "email_verified": true });
        door.issuer.sign_in_as(&format!("person-{n}"), address);
        ready.push(door.leave(&invite, "").await);
    }
    let all = ready.iter().map(|(cookies, callback)| door.come_back(cookies, callback));
    let answers = futures::future::join_all(all).await;
    let entered = answers.iter().filter(|answer| answer.cookies().contains("berth_session")).count();
    assert_eq!((entered, door.users().await), (1, before + 1));
    let database = &door.house.world.database;
    assert_eq!(database.count("select uses::bigint from invites").await, 1);
    assert_eq!(database.count("select count(*) from tenants").await, before + 1, "no tenant without its owner");
}

#[tokio::test]
async fn the_same_person_twice_at_once_is_one_user() {
    let door = Door::new().await;
    let before = door.users().await;
    let invite = door.invite(9).await;
    let (one, two) = (door.leave(&invite, "").await, door.leave(&invite, "").await);
    let answers = tokio::join!(door.come_back(&one.0, &one.1), door.come_back(&two.0, &two.1));
    assert!(answers.0.cookies().contains("berth_session") && answers.1.cookies().contains("berth_session"));
    assert_eq!(door.users().await, before + 1);
}

#[tokio::test]
async fn a_vendor_that_declines_or_is_away_signs_nobody_in() {
    let door = Door::new().await;
    let (cookies, callback) = door.leave("", "").await;
    let path =
        format!("/auth/oidc/callback?error=access_denied&error_description=%3Cscript%3E&state={}", callback.state);
    let declined = door.house.page(&cookies, &path).await;
    assert!(declined.status == StatusCode::BAD_REQUEST && declined.text.contains("did not sign you in"));
    assert!(!declined.text.contains("<script>"), "the vendor's words are not repeated");
    assert_eq!(door.come_back(&cookies, &callback).await.status, StatusCode::BAD_REQUEST, "the attempt is over");
    let (cookies, mut wrong) = door.leave("", "").await;
    wrong.code = "code-of-somebody-else".to_owned();
    assert_eq!(door.come_back(&cookies, &wrong).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(door.house.page("", "/auth/nobody/start").await.status, StatusCode::NOT_FOUND);
    let away = House::with_vendor(VendorSettings {
        slug: "oidc",
        title: "Harbour".to_owned(),
        issuer: "http://127.0.0.1:9".parse().unwrap(),
        client_id: CLIENT.to_owned(),
        client_secret: None,
    });
    let away = away.await.page("", "/auth/oidc/start").await;
    assert!(away.status == StatusCode::SERVICE_UNAVAILABLE && away.text.contains("another way"), "{}", away.text);
}

#[tokio::test]
async fn a_code_of_another_attempt_is_worth_nothing() {
    let door = Door::new().await;
    let (mine, mut callback) = door.leave("", "").await;
    let (_, stolen) = door.leave("", "").await;
    callback.code = stolen.code;
    assert_eq!(door.come_back(&mine, &callback).await.status, StatusCode::UNAUTHORIZED, "the verifier is another");
}

#[tokio::test]
async fn a_document_that_speaks_for_another_issuer_is_not_used() {
    let door = Door::new().await;
    door.issuer.claim("issuer", json!("https://accounts.google.com"));
    assert_eq!(door.house.page("", "/auth/oidc/start").await.status, StatusCode::SERVICE_UNAVAILABLE);
    let other = Door::new().await;
    let (cookies, callback) = other.leave("", "").await;
    let path =
        format!("/auth/oidc/callback?code={}&state={}&iss=https%3A%2F%2Fevil.example", callback.code, callback.state);
    assert_eq!(other.house.page(&cookies, &path).await.status, StatusCode::UNAUTHORIZED, "RFC 9207");
    assert_eq!(other.issuer.calls("/token"), 0, "the code is not given to the wrong one");
}

#[tokio::test]
async fn keys_that_change_are_found_and_asked_for_once() {
    let door = Door::new().await;
    let invite = door.invite(1).await;
    assert_eq!(door.pass(&invite, "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(door.pass("", "").await.status, StatusCode::SEE_OTHER);
    assert_eq!((door.issuer.calls("/jwks"), door.issuer.calls("/.well-known/openid-configuration")), (1, 1));
    // Only just fetched: a token of an unknown key does not make us ask again.
    door.issuer.publish(&[1], Vec::new());
    door.issuer.forge(|draft| (draft.key, draft.head.kid) = (1, Some("key-1".into())));
    assert_eq!(door.pass("", "").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(door.issuer.calls("/jwks"), 1);
    // Another process, or half a minute later, finds it.
    let later = Door::new().await;
    later.issuer.publish(&[0, 1], vec![json!({ "kty": "new", "kid": "key-1" }), json!({}), json!(7)]);
    later.issuer.forge(|draft| (draft.key, draft.head.kid) = (1, Some("key-1".into())));
    let invite = later.invite(1).await;
    assert_eq!(later.pass(&invite, "").await.status, StatusCode::SEE_OTHER);
}

#[tokio::test]
async fn whoever_is_asked_again_is_the_same_person() {
    let door = Door::new().await;
    let invite = door.invite(2).await;
    let entered = door.pass(&invite, "").await.cookies();
    let (cookies, callback) = door.leave(&entered, "again=1&next=/settings").await;
    assert_eq!((callback.query["prompt"].as_str(), callback.query["max_age"].as_str()), ("login", "0"));
    let again = door.come_back(&cookies, &callback).await;
    assert_eq!(again.headers["location"], "/settings");
    assert_eq!(
        door.house.page(&entered, "/api/v1/me").await.status,
        StatusCode::UNAUTHORIZED,
        "the session before has ended"
    );
    let entered = again.cookies();
    door.issuer.sign_in_as("mallory-2", ada());
    let (cookies, callback) = door.leave(&entered, "again=1").await;
    let refused = door.come_back(&cookies, &callback).await;
    assert!(refused.status == StatusCode::FORBIDDEN && refused.text.contains("another account"), "{}", refused.text);
    assert_eq!(door.house.page(&entered, "/api/v1/me").await.status, StatusCode::OK, "nothing was changed");
    // A vendor that says they showed it long ago did not ask them.
    door.issuer.sign_in_as(
        "ada-1",
        json!({ "email": "ada@harbour.example", "email_verified": true, "auth_time": 1_700_000_000 }),
    );
    let (cookies, callback) = door.leave(&entered, "again=1").await;
    assert_eq!(door.come_back(&cookies, &callback).await.status, StatusCode::UNAUTHORIZED);
}

/// Renewing spends what the browser had: an answer that sets another cookie must bring the new one too.
#[tokio::test]
async fn a_session_that_is_renewed_on_the_way_to_a_vendor_goes_on() {
    let door = Door::new().await;
    let cookies = door.house.cookies().await;
    door.house.world.database.move_clock("11 minutes").await;
    let start = door.house.page(&cookies, "/auth/oidc/start?again=1").await;
    for name in ["berth_attempt=", "berth_session=", "berth_refresh="] {
        assert!(start.cookies().contains(name), "{name}: {}", start.cookies());
    }
}

#[tokio::test]
async fn the_way_on_stays_on_this_site() {
    let door = Door::new().await;
    let invite = door.invite(1).await;
    for next in ["//evil.example", "https://evil.example", "%2F%5Cevil.example", "/%09/evil.example"] {
        let entered = door.pass(&invite, &format!("next={next}")).await;
        // Whoever signs up sets up an agent first, instead of the dashboard.
        let home = if next == "//evil.example" { "/welcome" } else { "/dashboard" };
        assert_eq!(entered.headers["location"], home, "{next}");
    }
    let request = Request::get("/auth/oidc/start").header("host", "evil.example").body(Body::empty()).unwrap();
    let start = door.house.send(request).await;
    let address = start.headers["location"].to_str().unwrap().to_owned();
    assert!(address.contains("redirect_uri=http%3A%2F%2F127.0.0.1%3A8080%2Fauth%2Foidc%2Fcallback"), "{address}");
}

/// AUT-18 to AUT-20: nothing that would help a reader of the database is in it.
#[tokio::test]
async fn an_attempt_is_kept_as_hashes() {
    let door = Door::new().await;
    let invite = door.invite(1).await;
    let (cookies, callback) = door.leave(&invite, "").await;
    let rows = door.house.world.database.texts("select to_jsonb(s)::text from sign_ins s").await.join("");
    let secret = cookies.split("; ").find_map(|c| c.strip_prefix("berth_attempt=")).unwrap();
    for hidden in [&callback.state, &callback.query["nonce"], secret, &callback.code] {
        assert!(!rows.contains(hidden), "{rows}");
    }
    assert!(!callback.state.contains(secret) && callback.query["nonce"] != callback.state);
}
