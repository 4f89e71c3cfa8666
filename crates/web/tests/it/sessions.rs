//! Sessions: what a browser shows, how it is renewed, and how it ends everywhere at once.

use std::time::{Duration, Instant};

use http::StatusCode;
use uuid::Uuid;

use crate::{
    support::{Answer, House},
    trips::Wire,
};

fn named(cookies: &str, name: &str) -> String {
    let found = cookies.split("; ").find_map(|pair| pair.strip_prefix(&format!("{name}=")));
    found.unwrap_or_else(|| panic!("{name} is not in {cookies}")).to_owned()
}

/// The browser's cookies after an answer that set some.
fn after(cookies: &str, answer: &Answer) -> String {
    let set = answer.cookies();
    let kept = cookies.split("; ").filter(|pair| !set.contains(pair.split('=').next().unwrap()));
    kept.chain(set.split("; ")).filter(|pair| !pair.is_empty()).collect::<Vec<_>>().join("; ")
}

async fn status(house: &House, cookies: &str) -> u16 {
    house.page(cookies, "/api/v1/me").await.status.as_u16()
}

#[tokio::test]
async fn a_pass_runs_out_and_the_session_goes_on() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    let pass = format!("berth_session={}", named(&cookies, "berth_session"));
    assert_eq!((status(&house, &cookies).await, status(&house, &pass).await), (200, 200));
    house.world.database.move_clock("11 minutes").await;
    assert_eq!(status(&house, &pass).await, 401, "a pass alone is good for ten minutes");
    let renewed = house.page(&cookies, "/api/v1/me").await;
    assert_eq!(renewed.status, StatusCode::OK);
    let fresh = after(&cookies, &renewed);
    for name in ["berth_session", "berth_refresh"] {
        assert_ne!(named(&fresh, name), named(&cookies, name), "{name}");
    }
    assert_eq!(status(&house, &fresh).await, 200);
    assert!(!house.page(&fresh, "/api/v1/me").await.headers.contains_key("set-cookie"), "nothing to renew");
    house.world.database.move_clock("8 days").await;
    assert_eq!(status(&house, &fresh).await, 401, "a session lasts a week");
}

#[tokio::test]
async fn parallel_tabs_renew_once_and_all_get_through() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    house.world.database.move_clock("11 minutes").await;
    let answers = futures::future::join_all((0..20).map(|_| house.page(&cookies, "/api/v1/me"))).await;
    assert!(answers.iter().all(|answer| answer.status == StatusCode::OK));
    let renewed = answers.iter().filter(|answer| answer.cookies().contains("berth_refresh=")).count();
    assert_eq!(renewed, 1, "one of them has spent it");
    assert_eq!(house.world.database.count("select count(*) from sessions").await, 1);
}

#[tokio::test]
async fn a_spent_cookie_that_comes_back_ends_the_session() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    let stolen = format!("berth_refresh={}", named(&cookies, "berth_refresh"));
    house.world.database.move_clock("11 minutes").await;
    let fresh = after(&cookies, &house.page(&cookies, "/api/v1/me").await);
    house.world.database.move_clock("12 minutes").await;
    assert_eq!(status(&house, &fresh).await, 200);
    let thief = house.page(&stolen, "/api/v1/me").await;
    assert_eq!(thief.status, StatusCode::UNAUTHORIZED);
    assert_eq!(status(&house, &fresh).await, 401, "the thief and the owner are both out");
    assert_eq!(house.world.database.count("select count(*) from sessions").await, 0);
}

#[tokio::test]
async fn what_is_no_cookie_of_ours_is_nobody() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    let (pass, refresh) = (named(&cookies, "berth_session"), named(&cookies, "berth_refresh"));
    let (head, rest) = pass.split_once('.').unwrap();
    for bad in [
        format!("berth_session={refresh}"),
        format!("berth_refresh={pass}"),
        format!("berth_session={head}.{rest}x"),
        format!("berth_session=eyJhbGciOiJub25lIn0.{rest}"),
        "berth_session=019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a".to_owned(),
        "berth_refresh=berth_ses_AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA".to_owned(),
        format!("other={pass}"),
    ] {
        assert_eq!(status(&house, &bad).await, 401, "{bad}");
    }
    let other = House::with(None, "http://localhost:8080").await;
    assert_eq!(status(&other, &cookies).await, 401, "another installation's");
}

#[tokio::test]
async fn one_sees_and_ends_ones_own_sessions_and_nobody_elses() {
    let house = House::new().await;
    let (here, there) = (house.cookies().await, house.cookies().await);
    let list = house.page(&here, "/api/v1/sessions").await.json();
    let sessions = list["sessions"].as_array().unwrap();
    assert_eq!((sessions.len(), sessions.iter().filter(|one| one["current"] == true).count()), (2, 1));
    let other = sessions.iter().find(|one| one["current"] == false).unwrap()["id"].as_str().unwrap();
    let path = format!("/api/v1/sessions/{other}");
    let mallory = house.form("", "/login", &format!("token={}", house.mallory)).await.cookies();
    assert_eq!(house.delete(&mallory, &path).await.status, StatusCode::NOT_FOUND, "hers it is not");
    assert_eq!(status(&house, &there).await, 200);
    assert_eq!(house.delete(&here, &path).await.status, StatusCode::NO_CONTENT);
    assert_eq!((status(&house, &there).await, status(&house, &here).await), (401, 200));
    assert_eq!(house.delete(&here, &path).await.status, StatusCode::NOT_FOUND);
    let third = house.cookies().await;
    let page = house.page(&here, "/sessions").await.text;
    assert!(page.contains("this one") && page.contains("End all others"), "{page}");
    assert_eq!(house.form(&here, "/sessions/end-others", "").await.status, StatusCode::SEE_OTHER);
    assert_eq!(
        (status(&house, &third).await, status(&house, &here).await, status(&house, &mallory).await),
        (401, 200, 200)
    );
}

#[tokio::test]
async fn signing_in_anew_ends_the_session_before_and_signing_out_ends_it_whatever_is_shown() {
    let house = House::new().await;
    let first = house.cookies().await;
    let second = house.form(&first, "/login", &format!("token={}", house.alice)).await.cookies();
    assert_eq!((status(&house, &first).await, status(&house, &second).await), (401, 200));
    for shown in ["berth_session", "berth_refresh"] {
        let cookies = house.cookies().await;
        let only = format!("{shown}={}", named(&cookies, shown));
        let out = house.form(&only, "/logout", "").await;
        assert_eq!(status(&house, &cookies).await, 401, "{shown}");
        let gone =
            out.headers.get_all("set-cookie").iter().all(|cookie| cookie.to_str().unwrap().contains("Max-Age=0"));
        assert!(gone);
    }
}

#[tokio::test]
async fn what_cannot_be_undone_asks_who_it_is_again() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    let agent = house.world.new_agent("scout").await;
    house.world.database.sql("update sessions set authenticated_at = now() - interval '9 minutes'").await;
    let wrong = house.form(&cookies, &format!("/agents/{agent}/delete"), "name=other").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY, "recent enough to be asked for the name");
    house.world.database.sql("update sessions set authenticated_at = now() - interval '11 minutes'").await;
    let asked = house.form(&cookies, &format!("/agents/{agent}/delete"), "name=scout").await;
    assert_eq!(asked.headers["location"], format!("/login?again=1&next=%2Fagents%2F{agent}"));
    let refused = house.delete(&cookies, &format!("/api/v1/agents/{agent}")).await;
    assert_eq!(
        (refused.status, refused.json()["type"].as_str()),
        (StatusCode::UNAUTHORIZED, Some("urn:berth:problem:sign-in-again"))
    );
    assert!(house.world.agent(agent).await.is_some_and(|agent| agent.wanted.name() == "running"));
    let page = house.page(&cookies, &format!("/login?again=1&next=/agents/{agent}")).await;
    assert!(page.text.contains("Sign in again"), "{}", page.text);
    assert_eq!(house.page(&cookies, &format!("/agents/{agent}")).await.status, StatusCode::OK, "reading needs no more");
    let again = house.form(&cookies, "/login", &format!("token={}&next=/agents/{agent}", house.alice)).await;
    let gone = house.form(&again.cookies(), &format!("/agents/{agent}/delete"), "name=scout").await;
    assert_eq!(gone.status, StatusCode::SEE_OTHER);
    assert!(house.world.agent(agent).await.is_some_and(|agent| agent.wanted.name() == "gone"));
}

/// AUT-06: another process hears of it within a second, by whatever statement it happened.
#[tokio::test]
async fn an_end_and_a_change_are_heard_in_every_process_within_a_second() {
    let house = House::new().await;
    let there = house.world.database.another().await;
    let other = house.over(there.clone());
    let listening = tokio::spawn(async move { there.carry_signals(Uuid::from_u128(7)).await });
    let agent = house.world.new_agent("scout").await;
    let probe = format!("/agents/{agent}/delete");
    // Remembered, and told of by the triggers alone: without one, a change goes unheard.
    let cookies = house.cookies().await;
    let named = async || other.page(&cookies, "/api/v1/me").await.json()["tenant_name"].to_string();
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let before = named().await;
        house
            .world
            .database
            .sql("alter table tenants disable trigger all; update tenants set name = name || '?'")
            .await;
        tokio::time::sleep(Duration::from_millis(300)).await;
        house.world.database.sql("alter table tenants enable trigger all").await;
        if named().await == before {
            break;
        }
        assert!(Instant::now() < deadline, "nothing is remembered");
    }
    for change in [
        "update members set role = 'viewer'",
        "update users set is_operator = not is_operator",
        "update tenants set name = name || '!'",
        "update sessions set authenticated_at = now() - interval '1 hour'",
        "update sessions set expires_at = now()",
        "delete from sessions",
        "delete from members",
    ] {
        let cookies = house.cookies().await;
        // Asked for its caller only: `me` shows their role and tenant, the other one how recently they signed in.
        let seen = async || {
            let (me, wrong) =
                (other.page(&cookies, "/api/v1/me").await, other.form(&cookies, &probe, "name=other").await);
            let me = if me.status == StatusCode::OK { me.json().to_string() } else { String::new() };
            (me, wrong.status)
        };
        let before = seen().await;
        tokio::time::sleep(Duration::from_millis(400)).await;
        assert_eq!(seen().await, before, "{change}");
        house.world.database.sql(change).await;
        let began = Instant::now();
        while seen().await == before {
            assert!(began.elapsed() < Duration::from_secs(1), "{change}: not heard");
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if change.contains("viewer") {
            house.world.database.sql("update members set role = 'owner'").await;
        }
    }
    listening.abort();
}

#[tokio::test]
async fn a_stream_ends_with_its_session() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    let path = format!("/api/v1/agents/{}/events", house.world.new_agent("scout").await);
    let stream = house.page(&cookies, &path);
    let ending = async {
        tokio::time::sleep(Duration::from_millis(700)).await;
        house.world.database.sql("delete from sessions").await;
        Instant::now()
    };
    let (answer, ended) = tokio::join!(tokio::time::timeout(Duration::from_secs(5), stream), ending);
    assert_eq!(answer.expect("it ends").status, StatusCode::OK);
    assert!(ended.elapsed() < Duration::from_secs(1));
}

/// A request with a good pass asks the database nothing to know its caller, while the process hears of changes.
#[tokio::test]
async fn a_remembered_caller_costs_no_round_trip() {
    let house = House::new().await;
    let cookies = house.cookies().await;
    let wire = Wire::to(&house.world.database).await;
    let there = house.over(wire.db.clone());
    tokio::spawn({
        let db = wire.db.clone();
        async move { db.carry_signals(Uuid::from_u128(7)).await }
    });
    let me = async || assert_eq!(there.page(&cookies, "/api/v1/me").await.status, StatusCode::OK);
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        me().await;
        let before = wire.trips();
        me().await;
        // The listener's own questions go over the same wire, four a second.
        if wire.trips() - before == 0 {
            break;
        }
        assert!(Instant::now() < deadline, "every request asked the database");
    }
}
