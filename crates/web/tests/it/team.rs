//! Members, invitations, several tenants: who may change whom, and that a tenant never loses its last owner.

use axum::body::Body;
use domain::people::Role;
use http::{Method, StatusCode};

use crate::support::{House, ask};

async fn members(house: &House, token: &str) -> Vec<(String, String)> {
    let page = house.get(token, "/api/v1/members").await.json();
    let all = page["members"].as_array().unwrap().iter();
    all.map(|m| (m["email"].as_str().unwrap().to_owned(), m["role"].as_str().unwrap().to_owned())).collect()
}

async fn id_of(house: &House, email: &str) -> String {
    let page = house.get(&house.alice, "/api/v1/members").await.json();
    let all = page["members"].as_array().unwrap();
    all.iter().find(|m| m["email"] == email).unwrap()["id"].as_str().unwrap().to_owned()
}

async fn delete(house: &House, token: &str, path: &str) -> StatusCode {
    house.send(ask(Method::DELETE, path, token).body(Body::empty()).unwrap()).await.status
}

#[tokio::test]
async fn somebody_is_invited_by_mail_and_joins_once() {
    let house = House::new().await;
    let (id, link) = house.invited("carol@example.org").await;
    let listed = house.get(&house.alice, "/api/v1/members").await.json();
    assert_eq!(
        (&listed["invitations"][0]["id"], &listed["invitations"][0]["mail"]),
        (&id.as_str().into(), &"sent".into())
    );
    let everything = house.world.database.texts("select to_jsonb(t)::text from (select * from invitations) t").await;
    let flows = house.world.database.texts("select to_jsonb(t)::text from (select * from flows) t").await;
    assert!(!everything.concat().contains(&link) && !flows.concat().contains(&link), "only its hash is kept");

    let page = house.page("", &format!("/invitation?link={link}")).await;
    assert!(page.text.contains("Join as carol@example.org"), "{}", page.text);
    let joined = house.form("", "/invitation", &format!("link={link}")).await;
    assert_eq!(joined.status, StatusCode::SEE_OTHER, "{}", joined.text);
    let cookie = joined.headers["set-cookie"].to_str().unwrap().split(';').next().unwrap().to_owned();
    assert_eq!(house.page(&cookie, "/team").await.status, StatusCode::OK);
    assert_eq!(members(&house, &house.alice).await[1], ("carol@example.org".to_owned(), "member".to_owned()));
    for cookie in ["", &cookie] {
        assert_eq!(house.form(cookie, "/invitation", &format!("link={link}")).await.status, StatusCode::GONE);
    }
}

#[tokio::test]
async fn a_link_ends_when_it_is_renewed_taken_back_or_old() {
    let house = House::new().await;
    let (_, first) = house.invited("carol@example.org").await;
    let (id, second) = house.invited("carol@example.org").await;
    assert_eq!(house.page("", &format!("/invitation?link={first}")).await.status, StatusCode::GONE);
    assert_eq!(house.page("", &format!("/invitation?link={second}")).await.status, StatusCode::OK);
    assert_eq!(delete(&house, &house.mallory, &format!("/api/v1/invitations/{id}")).await, StatusCode::NOT_FOUND);
    assert_eq!(delete(&house, &house.alice, &format!("/api/v1/invitations/{id}")).await, StatusCode::NO_CONTENT);
    assert_eq!(house.form("", "/invitation", &format!("link={second}")).await.status, StatusCode::GONE);
    let (_, third) = house.invited("carol@example.org").await;
    house.world.database.move_clock("7 days 1 second").await;
    assert_eq!(house.form("", "/invitation", &format!("link={third}")).await.status, StatusCode::GONE);
}

/// The mail is no way into an account that is there: whoever is known signs in first, and joins as who they are.
#[tokio::test]
async fn whoever_is_known_signs_in_before_they_join() {
    let house = House::new().await;
    let (_, link) = house.invited("mallory@example.org").await;
    let refused = house.form("", "/invitation", &format!("link={link}")).await;
    assert!(refused.status == StatusCode::CONFLICT && refused.text.contains("Sign in first"), "{}", refused.text);
    assert!(!refused.headers.contains_key("set-cookie"));
    let cookie = house.cookie_of(&house.mallory).await;
    assert_eq!(house.form(&cookie, "/invitation", &format!("link={link}")).await.status, StatusCode::SEE_OTHER);
    let page = house.page(&cookie, "/dashboard").await;
    assert!(
        page.text.contains("alice@example.org: your tenants"),
        "the browser acts for the new tenant: {}",
        page.text
    );
    let tenants = house.get(&house.mallory, "/api/v1/tenants").await.json();
    assert_eq!(tenants["tenants"].as_array().unwrap().len(), 2);
}

#[tokio::test]
async fn of_many_at_once_exactly_one_joins_by_a_link() {
    let house = House::new().await;
    let (_, link) = house.invited("carol@example.org").await;
    assert_eq!(join_at_once(&house, &link, vec![String::new(); 20]).await, 1);
    assert_eq!(members(&house, &house.alice).await.len(), 2);
}

#[tokio::test]
async fn of_many_signed_in_at_once_exactly_one_joins_by_a_link() {
    let house = House::new().await;
    let (_, link) = house.invited("carol@example.org").await;
    let mut cookies = Vec::new();
    for n in 0..8 {
        cookies.push(house.cookie_of(&house.person(&format!("finder{n}@example.org")).await).await);
    }
    assert_eq!(join_at_once(&house, &link, cookies).await, 1);
    assert_eq!(members(&house, &house.alice).await.len(), 2);
}

/// Browsers with these cookies open a link at the same moment; how many have joined.
async fn join_at_once(house: &House, link: &str, cookies: Vec<String>) -> usize {
    let asked = cookies.into_iter().map(|cookie| {
        let (router, body) = (house.router.clone(), format!("link={link}"));
        let request = http::Request::builder().method(Method::POST).uri("/invitation").header("accept", "text/html");
        let request = request.header("sec-fetch-site", "same-origin").header("cookie", cookie);
        let request =
            request.header("content-type", "application/x-www-form-urlencoded").body(Body::from(body)).unwrap();
        tokio::spawn(async move { crate::support::send(&router, request).await.status })
    });
    let mut joined = 0;
    for one in asked.collect::<Vec<_>>() {
        joined += usize::from(one.await.unwrap() == StatusCode::SEE_OTHER);
    }
    joined
}

/// Every caller's role × every member's role × every new role: nobody gives, changes or takes above their own.
#[tokio::test]
async fn nobody_gives_changes_or_takes_a_role_above_their_own() {
    let house = House::new().await;
    house.join("carol@example.org", "member").await;
    house.join("dora@example.org", "member").await;
    let carol = house.token_in_alices("carol@example.org").await;
    let dora = id_of(&house, "dora@example.org").await;
    let set = async |email: &str, role: Role| {
        let tenant = house.world.alice.caller.tenant.uuid();
        house
            .world
            .database
            .sql(&format!(
                "update members set role = '{}' where tenant_id = '{tenant}' \
                 and user_id = (select id from users where email = '{email}')",
                role.name()
            ))
            .await;
    };
    for own in Role::EVERY {
        for theirs in Role::EVERY {
            for new in Role::EVERY {
                set("carol@example.org", own).await;
                set("dora@example.org", theirs).await;
                let body = format!(r#"{{"role":"{}"}}"#, new.name());
                let answer = house.post(&carol, &format!("/api/v1/members/{dora}/role"), &body).await;
                let may = own >= Role::Admin && theirs <= own && new <= own;
                let expected = if may { StatusCode::NO_CONTENT } else { StatusCode::FORBIDDEN };
                assert_eq!(answer.status, expected, "{own:?} makes {theirs:?} {new:?}: {}", answer.text);
                let is = members(&house, &house.alice).await.into_iter().find(|m| m.0 == "dora@example.org").unwrap().1;
                assert_eq!(is, if may { new.name() } else { theirs.name() });
            }
            set("dora@example.org", theirs).await;
            let may_invite = own >= Role::Admin && theirs <= own && theirs != Role::Owner;
            let body =
                format!(r#"{{"email":"eve-{}-{}@example.org","role":"{}"}}"#, own.name(), theirs.name(), theirs.name());
            let invited = house.post(&carol, "/api/v1/members", &body).await.status;
            assert_eq!(invited == StatusCode::ACCEPTED, may_invite, "{own:?} invites {theirs:?}: {invited}");
            if own < Role::Admin || theirs > own {
                assert_eq!(delete(&house, &carol, &format!("/api/v1/members/{dora}")).await, StatusCode::FORBIDDEN);
            }
        }
    }
}

#[tokio::test]
async fn the_last_owner_stays() {
    let house = House::new().await;
    let alice = id_of(&house, "alice@example.org").await;
    house.join("carol@example.org", "admin").await;
    let told = house.post(&house.alice, &format!("/api/v1/members/{alice}/role"), r#"{"role":"admin"}"#).await;
    assert!(told.status == StatusCode::CONFLICT && told.text.contains("always has an owner"), "{}", told.text);
    assert_eq!(delete(&house, &house.alice, &format!("/api/v1/members/{alice}")).await, StatusCode::CONFLICT);
    assert_eq!(house.post(&house.alice, "/api/v1/members/leave", "").await.status, StatusCode::CONFLICT);
    let carol = id_of(&house, "carol@example.org").await;
    assert_eq!(
        house.post(&house.alice, &format!("/api/v1/members/{carol}/owner"), "").await.status,
        StatusCode::NO_CONTENT
    );
    let roles = members(&house, &house.alice).await;
    assert_eq!(roles.iter().map(|m| m.1.as_str()).collect::<Vec<_>>(), ["admin", "owner"]);
    assert_eq!(house.post(&house.alice, "/api/v1/members/leave", "").await.status, StatusCode::NO_CONTENT);
    assert_eq!(
        house.get(&house.alice, "/api/v1/me").await.status,
        StatusCode::UNAUTHORIZED,
        "her token here has ended"
    );
}

/// Owners who all leave, demote and remove each other at the same moment: one stays, every time.
#[tokio::test]
async fn owners_who_go_at_the_same_moment_leave_one_behind() {
    let house = House::new().await;
    let owners = ["alice@example.org", "o1@example.org", "o2@example.org", "o3@example.org"];
    for email in &owners[1..] {
        house.join(email, "owner").await;
    }
    let mut tokens = Vec::new();
    for email in owners {
        tokens.push((house.token_in_alices(email).await, id_of(&house, email).await));
    }
    for round in 0..10 {
        let asked: Vec<_> = tokens
            .iter()
            .map(|(token, own)| {
                let router = house.router.clone();
                let request = ask(Method::POST, &format!("/api/v1/members/{own}/role"), token);
                let request =
                    request.header("content-type", "application/json").body(Body::from(r#"{"role":"admin"}"#)).unwrap();
                tokio::spawn(async move { crate::support::send(&router, request).await.status })
            })
            .collect();
        let mut kept = 0;
        for one in asked {
            kept += usize::from(one.await.unwrap() == StatusCode::CONFLICT);
        }
        let tenant = house.world.alice.caller.tenant.uuid();
        let left = format!("select count(*) from members where role = 'owner' and tenant_id = '{tenant}'");
        assert_eq!((kept, house.world.database.count(&left).await), (1, 1), "round {round}");
        house.world.database.sql(&format!("update members set role = 'owner' where tenant_id = '{tenant}'")).await;
    }
}

#[tokio::test]
async fn who_is_removed_is_out_at_once() {
    let house = House::new().await;
    let carol = house.join("carol@example.org", "member").await;
    let token = house.token_in_alices("carol@example.org").await;
    let cookie = house.cookie_of(&token).await;
    assert_eq!(house.get(&token, "/api/v1/agents").await.status, StatusCode::OK);
    assert_eq!(delete(&house, &house.alice, &format!("/api/v1/members/{carol}")).await, StatusCode::NO_CONTENT);
    assert_eq!(house.get(&token, "/api/v1/agents").await.status, StatusCode::UNAUTHORIZED);
    assert_eq!(house.page(&cookie, "/dashboard").await.status, StatusCode::SEE_OTHER);
    house.join_again(carol).await;
    assert_eq!(
        house.get(&token, "/api/v1/agents").await.status,
        StatusCode::UNAUTHORIZED,
        "an old token does not come back"
    );
}

impl House {
    async fn join_again(&self, id: domain::MemberId) {
        let tenant = self.world.alice.caller.tenant.uuid();
        let statement = format!(
            "insert into members (id, tenant_id, user_id, role) \
             select '{}', '{tenant}', id, 'member' from users where email = 'carol@example.org'",
            id.uuid()
        );
        self.world.database.sql(&statement).await;
    }
}

#[tokio::test]
async fn members_of_another_tenant_are_not_there() {
    let house = House::new().await;
    let carol = house.join("carol@example.org", "member").await;
    for (verb, path) in [(Method::DELETE, ""), (Method::POST, "/role"), (Method::POST, "/owner")] {
        let request = ask(verb, &format!("/api/v1/members/{carol}{path}"), &house.mallory);
        let request =
            request.header("content-type", "application/json").body(Body::from(r#"{"role":"viewer"}"#)).unwrap();
        assert_eq!(house.send(request).await.status, StatusCode::NOT_FOUND, "{path}");
    }
    assert!(!house.get(&house.mallory, "/api/v1/members").await.text.contains("carol"));
    let cookie = house.cookie_of(&house.mallory).await;
    let tenant = house.world.alice.caller.tenant;
    assert_eq!(house.form(&cookie, &format!("/tenants/{tenant}/switch"), "").await.status, StatusCode::NOT_FOUND);
}

#[tokio::test]
async fn a_browser_switches_between_its_tenants() {
    let house = House::new().await;
    let other = house.second_tenant().await;
    let cookie = house.cookie().await;
    house.world.new_agent("xebec").await;
    let page = house.page(&cookie, "/tenants").await;
    assert!(page.text.contains("Switch to mallory@example.org"), "{}", page.text);
    assert_eq!(house.form(&cookie, &format!("/tenants/{other}/switch"), "").await.status, StatusCode::SEE_OTHER);
    assert!(!house.page(&cookie, "/dashboard").await.text.contains("xebec"));
    assert_eq!(house.form(&cookie, "/agents", "name=x").await.status, StatusCode::FORBIDDEN, "a viewer there");
    let token = house.post(&house.alice, &format!("/tenants/{other}/switch"), "").await;
    assert!(
        token.status == StatusCode::CONFLICT || token.status == StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "{}",
        token.text
    );
}

#[tokio::test]
async fn the_page_asks_for_the_name_of_what_it_ends() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let carol = house.join("carol@example.org", "member").await;
    for (path, body) in [
        (format!("/team/members/{carol}/remove"), "email=dora%40example.org"),
        (format!("/team/members/{carol}/owner"), "email="),
        ("/team/leave".to_owned(), "name=x"),
    ] {
        let refused = house.form(&cookie, &path, body).await;
        assert!(refused.status == StatusCode::UNPROCESSABLE_ENTITY && refused.text.contains("Type "), "{path}");
    }
    assert_eq!(members(&house, &house.alice).await.len(), 2);
    let last = house.form(&cookie, "/team/leave", "name=alice%40example.org").await;
    assert!(last.status == StatusCode::CONFLICT && last.text.contains("always has an owner"));
    let twice = house.form(&cookie, "/team/invitations", "email=carol%40example.org&role=viewer").await;
    assert!(twice.status == StatusCode::CONFLICT && twice.text.contains("member already"), "{}", twice.text);
    assert_eq!(
        house.form(&cookie, &format!("/team/members/{carol}/remove"), "email=carol%40example.org").await.status,
        StatusCode::SEE_OTHER
    );
    assert_eq!(members(&house, &house.alice).await.len(), 1);
}
