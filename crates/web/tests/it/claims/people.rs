//! Who becomes a user, what is asked of them, what others see of them, and what is kept of strangers.

use axum::body::Body;
use http::{Method, Request, StatusCode};
use serde_json::{Value, json};
use web::{ROUTES, listener::Peer, openapi, routes::Takes};

use crate::support::{House, ask, send};

const USERS: &str = "select count(*) from users";

/// RLS-13: nobody is made a user by asking for one.
#[tokio::test]
async fn no_route_makes_a_user_for_the_asking() {
    let house = House::new().await;
    let before = house.world.database.count(USERS).await;
    let body = r#"{"email":"eve@evil.example","role":"owner","is_admin":true}"#;
    for path in
        ["/api/users", "/api/v1/users", "/api/admin/v1/users", "/users", "/api/v1/me", "/register", "/auth/register"]
    {
        for token in ["", house.alice.as_str()] {
            let status = house.post(token, path, body).await.status.as_u16();
            assert!(matches!(status, 404 | 405), "{path}: {status}");
        }
    }
    for (path, form) in [
        ("/signup", "code=AAAA-BBBB-CCCC&email=eve%40evil.example"),
        ("/login", "email=eve%40evil.example&password=x"),
        ("/auth/mail", "email=eve%40evil.example"),
        ("/waitlist", "email=eve%40evil.example"),
        ("/invitation", "link=berth_lnk_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"),
        ("/setup", "link=x&email=eve%40evil.example&tenant=x"),
    ] {
        house.form("", path, form).await;
    }
    house.world.run_flows(20).await;
    assert_eq!(house.world.mailer.ledger().len(), 0, "who is not known and holds no invite gets no mail");
    assert_eq!(house.world.database.count(USERS).await, before);
}

/// Every name of a field that some route takes.
fn fields() -> Vec<String> {
    let document = openapi::document("https://berth.example");
    let mut all = Vec::new();
    for route in ROUTES {
        match route.takes {
            Takes::Form(names) => all.extend(names.iter().map(|name| (*name).to_owned())),
            Takes::Json(schema) => {
                let schema = &document["components"]["schemas"][schema]["properties"];
                all.extend(schema.as_object().into_iter().flat_map(|names| names.keys().cloned()));
            }
            Takes::Nothing | Takes::Messages | Takes::Chat | Takes::Signed => {}
        }
    }
    all
}

/// AUT-08, PRV-09: there is no password to guess or to lose, and no telephone number to give.
#[tokio::test]
async fn nobody_is_asked_for_a_password_or_a_telephone_number() {
    let (house, fields) = (House::new().await, fields());
    assert!(fields.len() > 30 && fields.contains(&"email".to_owned()), "{fields:?}");
    let columns = "select column_name::text from information_schema.columns where table_schema = 'public'";
    let columns = house.world.database.texts(columns).await;
    for name in fields.iter().chain(&columns) {
        for word in ["password", "passwd", "passphrase", "phone", "mobile", "birth", "gender", "street", "ssn"] {
            assert!(!name.to_lowercase().contains(word), "{name}");
        }
    }
    for path in ["/login", "/signup", "/setup", "/waitlist"] {
        let page = house.page("", path).await.text;
        assert!(!page.contains("type=\"tel\"") && !page.contains("name=\"password\""), "{path}");
    }
}

/// RLS-11: members see these fields of each other, and others see nothing.
#[tokio::test]
async fn members_see_five_fields_of_each_other_and_others_none() {
    let house = House::new().await;
    house.join("carol@example.org", "viewer").await;
    let seen = house.get(&house.alice, "/api/v1/members").await.json();
    for member in seen["members"].as_array().unwrap() {
        let mut fields: Vec<&str> = member.as_object().unwrap().keys().map(String::as_str).collect();
        fields.sort_unstable();
        assert_eq!(fields, ["email", "id", "role", "since", "user"], "{member}");
    }
    assert_eq!(seen["members"].as_array().map(Vec::len), Some(2));
    assert_eq!(house.get("", "/api/v1/members").await.status, StatusCode::UNAUTHORIZED);
    let others = house.get(&house.mallory, "/api/v1/members").await.json();
    let addresses: Vec<&Value> = others["members"].as_array().unwrap().iter().map(|member| &member["email"]).collect();
    assert_eq!(addresses, [&json!("mallory@example.org")]);
}

/// AUT-25: an account that may be in other hands is out everywhere by one command, and its owner comes in anew.
#[tokio::test]
async fn an_account_in_other_hands_is_out_everywhere_by_one_command() {
    let house = House::new().await;
    let there = house.world.database.another().await;
    let other = house.over(there.clone());
    let listening = tokio::spawn(async move { there.carry_signals(uuid::Uuid::from_u128(7)).await });
    let (cookies, mallory) = (house.cookies().await, house.cookies_of(&house.mallory).await);
    let refresh = cookies.split("; ").find(|pair| pair.starts_with("berth_refresh=")).unwrap();
    house.form("", "/auth/mail", "email=alice%40example.org").await;
    house.world.run_flows(5).await;
    let link = house.mailed_link("alice@example.org");
    assert_eq!(other.page(&cookies, "/api/v1/me").await.status, StatusCode::OK);

    let email = domain::names::Email::parse("alice@example.org").unwrap();
    let mut tx = house.web.db.system().await.unwrap();
    assert_eq!(app::sessions::sign_out_everywhere(&mut tx, &email).await.unwrap(), 1);
    tx.commit().await.unwrap();

    let began = std::time::Instant::now();
    while other.page(&cookies, "/api/v1/me").await.status != StatusCode::UNAUTHORIZED {
        assert!(began.elapsed() < std::time::Duration::from_secs(1), "another process goes on");
        tokio::time::sleep(std::time::Duration::from_millis(5)).await;
    }
    assert_eq!(house.page(refresh, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.get(&house.alice, "/api/v1/me").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.form("", "/login", &format!("link={link}")).await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.page(&mallory, "/api/v1/me").await.status, StatusCode::OK);
    let told = "select count(*) from house_audit_events where act = 'user.sign_out' and actor = 'shell'";
    assert_eq!(house.world.database.count(told).await, 1);
    house.form("", "/auth/mail", "email=alice%40example.org").await;
    house.world.run_flows(5).await;
    let fresh = house.form("", "/login", &format!("link={}", house.mailed_link("alice@example.org"))).await;
    assert_eq!(house.page(&fresh.cookies(), "/api/v1/me").await.status, StatusCode::OK);
    listening.abort();
}

/// RLS-30: whence somebody asked is kept under a key, which changes with the month: no table of all addresses undoes it.
#[tokio::test]
async fn of_a_stranger_an_address_under_a_key_is_kept() {
    let house = House::new().await;
    let join = async |email: &str, from: &str| {
        let request = ask(Method::POST, "/api/v1/waitlist", "").header("content-type", "application/json");
        let mut request: Request<Body> = request.body(Body::from(json!({ "email": email }).to_string())).unwrap();
        request.extensions_mut().insert(Peer(format!("{from}:4711").parse().unwrap()));
        assert_eq!(send(&house.router, request).await.status, StatusCode::ACCEPTED);
        let row = "select encode(source_hash, 'hex') from waitlist where email = ";
        house.world.database.texts(&format!("{row} '{email}'")).await.remove(0)
    };
    let first = join("a@harbour.example", "192.0.2.77").await;
    assert_eq!(first.len(), 64);
    assert_eq!(first, join("b@harbour.example", "192.0.2.77").await, "that one source asks for many is seen");
    assert_ne!(first, join("c@harbour.example", "192.0.2.78").await);
    for plain in ["192.0.2.77", "192.0.2.77:4711", "192.0.2.77\n"] {
        assert_ne!(first, vault::digest(plain.as_bytes()).to_string(), "a digest without a key");
    }
    house.world.database.move_clock("31 days").await;
    assert_ne!(first, join("d@harbour.example", "192.0.2.77").await, "the same key for ever");
    let rows = house.world.database.texts("select to_jsonb(w)::text from waitlist w").await.concat();
    assert!(!rows.contains("192.0.2."), "{rows}");
}
