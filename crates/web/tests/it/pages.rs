//! The pages as a browser without JavaScript uses them.

use http::StatusCode;

use crate::support::House;

#[tokio::test]
async fn a_visitor_is_led_to_sign_in_and_back() {
    let house = House::new().await;
    let answer = house.page("", "/agents/agt_1").await;
    assert_eq!(
        (answer.status, &answer.headers["location"]),
        (StatusCode::SEE_OTHER, &"/login?next=%2Fagents%2Fagt_1".parse().unwrap())
    );
    let cookie = house.cookie().await;
    assert!(cookie.starts_with("berth_session=eyJ"));
    let page = house.page(&cookie, "/dashboard").await;
    assert!(page.text.contains("Create your first agent") && page.text.contains("curl "), "{}", page.text);
    assert_eq!(house.page(&cookie, "/").await.headers["location"], "/dashboard");
    house.form(&cookie, "/logout", "").await;
    assert_eq!(house.page(&cookie, "/dashboard").await.status, StatusCode::SEE_OTHER, "the session has ended");
}

#[tokio::test]
async fn over_tls_the_cookie_is_bound_to_host_and_tls() {
    let house = House::with(None, "https://berth.example").await;
    let answer = house.form("", "/login", &format!("token={}", house.alice)).await;
    let cookie = answer.headers["set-cookie"].to_str().unwrap();
    assert!(
        cookie.starts_with("__Host-berth=")
            && cookie.contains("; Secure")
            && cookie.contains("; HttpOnly; SameSite=Lax")
    );
    assert!(cookie.contains("; Path=/;"));
    assert!(answer.headers.contains_key("strict-transport-security"));
}

#[tokio::test]
async fn a_refused_name_comes_back_as_it_was_typed() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let answer = house.form(&cookie, "/agents", "name=%3Cb%3E+Bad").await;
    assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY);
    assert!(
        answer.text.contains(r#"value="&#60;b&#62; Bad" aria-invalid="true" aria-describedby="name-fault" autofocus"#),
        "{}",
        answer.text
    );
    let created = house.form(&cookie, "/agents", "name=scout").await;
    assert_eq!(created.status, StatusCode::SEE_OTHER);
    let again = house.form(&cookie, "/agents", "name=scout").await;
    assert!(again.status == StatusCode::CONFLICT && again.text.contains("already have an agent"));
}

#[tokio::test]
async fn an_agents_page_tells_and_acts() {
    let house = House::new().await;
    let cookie = house.cookie().await;
    let id = house.world.live_agent("scout").await;
    let path = format!("/agents/{id}");
    let page = house.page(&cookie, &path).await;
    for words in
        ["<title>scout live", "Live since", "development isolation", "Taking a real turn as proof", "icon-live.svg"]
    {
        assert!(page.text.contains(words), "{words}: {}", page.text);
    }
    let wrong = house.form(&cookie, &format!("{path}/delete"), "name=scou").await;
    assert!(wrong.status == StatusCode::UNPROCESSABLE_ENTITY && wrong.text.contains("nothing was deleted"));
    assert_eq!(house.form(&cookie, &format!("{path}/stop"), "").await.status, StatusCode::SEE_OTHER);
    let late = house.form(&cookie, &format!("{path}/proof"), "").await;
    assert!(
        late.status == StatusCode::CONFLICT && late.text.contains("This agent is stopped; start it first."),
        "{}",
        late.text
    );
    let mute = house.form(&cookie, &format!("{path}/turns"), "text=are+you+there").await;
    assert!(mute.status == StatusCode::CONFLICT && mute.text.contains("are you there</textarea>"), "{}", mute.text);
    assert_eq!(house.form(&cookie, &format!("{path}/delete"), "name=scout").await.status, StatusCode::SEE_OTHER);
    house.world.run_flows(40).await;
    let gone = house.page(&cookie, &path).await;
    assert!(gone.status == StatusCode::NOT_FOUND && gone.text.contains("<h1>Not found</h1>"));
}

#[tokio::test]
async fn a_set_up_link_works_once_even_twice_at_once() {
    let house = House::new().await;
    let mut tx = house.web.db.system().await.unwrap();
    let link = app::people::setup_link(&mut tx, &*house.web.dice.0).await.unwrap().unwrap();
    tx.commit().await.unwrap();
    let shown = house.page("", &format!("/setup?link={}", link.expose())).await;
    assert!(shown.status == StatusCode::OK && shown.text.contains("Set up this Berth"));
    let bad = house.form("", "/setup", &format!("link={}&email=nobody&tenant=T", link.expose())).await;
    assert!(bad.status == StatusCode::UNPROCESSABLE_ENTITY && bad.text.contains("value=\"nobody\""));
    let form = format!("link={}&email=ada%40harbour.example&tenant=Harbour", link.expose());
    let (one, two) = tokio::join!(house.form("", "/setup", &form), house.form("", "/setup", &form));
    let mut statuses = [one.status.as_u16(), two.status.as_u16()];
    statuses.sort_unstable();
    assert_eq!(statuses, [303, 410]);
    assert_eq!(house.page("", &format!("/setup?link={}", link.expose())).await.status, StatusCode::GONE);
    assert_eq!(house.page("", "/setup").await.status, StatusCode::GONE);
}

#[tokio::test]
async fn every_answer_is_protected_and_tells_its_id() {
    let house = House::new().await;
    for path in ["/health", "/login", "/nothing", "/assets/berth.css", "/api/v1/agents"] {
        let answer = house.page("", path).await;
        let policy = answer.headers["content-security-policy"].to_str().unwrap();
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"));
        for name in ["x-request-id", "x-content-type-options", "referrer-policy", "cache-control"] {
            assert!(answer.headers.contains_key(name), "{path} {name}");
        }
    }
    let wrong = house.page("", "/health").await;
    assert!(wrong.headers["content-type"] == "application/json");
    let request =
        |id: &str| http::Request::get("/health").header("x-request-id", id).body(axum::body::Body::empty()).unwrap();
    let kept = house.send(request("019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a")).await;
    assert_eq!(kept.headers["x-request-id"], "019aa6b2-7c1e-7d3f-9b1a-2f6c5d4e3b2a");
    let replaced = house.send(request("<script>")).await;
    assert_ne!(replaced.headers["x-request-id"], "<script>");
    let post = house.form("", "/health", "").await;
    assert!(post.status == StatusCode::METHOD_NOT_ALLOWED && post.headers["allow"] == "GET,HEAD");
}

#[tokio::test]
async fn a_first_load_fits_into_fourteen_kilobytes() {
    use std::io::Write as _;
    let house = House::new().await;
    let cookie = house.cookie().await;
    let id = house.world.live_agent("scout").await;
    let squeezed = async |path: &str| {
        let text = house.page(&cookie, path).await.text;
        let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::default());
        gzip.write_all(text.as_bytes()).unwrap();
        gzip.finish().unwrap().len()
    };
    let shared = squeezed("/assets/berth.css").await
        + squeezed("/assets/live.js").await
        + squeezed("/assets/icon-live.svg").await;
    for page in ["/dashboard".to_owned(), format!("/agents/{id}"), "/login".to_owned()] {
        let bytes = shared + squeezed(&page).await;
        assert!(bytes < 14 * 1024, "{page}: {bytes} bytes");
    }
}
