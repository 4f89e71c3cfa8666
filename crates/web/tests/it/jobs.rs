//! Schedules and the pool, as operators see and change them.

use http::StatusCode;
use serde_json::{Value, json};

use crate::{
    admin::{operated, plant_schedules},
    support::House,
};

const SCHEDULES: &str = "/api/admin/v1/schedules";

async fn scheduled() -> House {
    let house = operated().await;
    plant_schedules(&house).await;
    house
}

async fn schedule(house: &House, job: &str) -> Value {
    let all = house.get(&house.alice, SCHEDULES).await.json();
    all["schedules"].as_array().unwrap().iter().find(|one| one["job"] == job).unwrap().clone()
}

#[tokio::test]
async fn a_schedule_is_changed_in_part_and_names_who_did_it() {
    let house = scheduled().await;
    let before = schedule(&house, "health").await;
    assert_eq!((&before["cron"], &before["updated_by"]), (&"*/5 * * * *".into(), &Value::Null));
    let path = format!("{SCHEDULES}/health");
    let changed = house.post(&house.alice, &path, r#"{"cron":" 17 3 * * * ","catch_up":"once"}"#).await;
    assert_eq!(changed.status, StatusCode::OK, "{}", changed.text);
    let after = changed.json();
    assert_eq!(
        (&after["cron"], &after["catch_up"], &after["enabled"]),
        (&"17 3 * * *".into(), &"once".into(), &true.into())
    );
    assert_eq!(after["updated_by"], "alice@example.org");
    let next: Vec<_> = after["next"].as_array().unwrap().iter().map(|at| at.as_str().unwrap().to_owned()).collect();
    assert!(next.len() == 3 && next.is_sorted() && next.iter().all(|at| at.ends_with("T03:17:00Z")), "{next:?}");
    let off = house.post(&house.alice, &path, r#"{"enabled":false}"#).await.json();
    assert_eq!((&off["cron"], &off["enabled"], &off["next"]), (&"17 3 * * *".into(), &false.into(), &after["next"]));
    assert_eq!(schedule(&house, "health").await, off, "what was answered is what is there");
}

#[tokio::test]
async fn what_is_no_schedule_is_named_and_changes_nothing() {
    let house = scheduled().await;
    let before = schedule(&house, "pool").await;
    let path = format!("{SCHEDULES}/pool");
    for bad in ["", "soon", "* * * * * *", "61 * * * *", "0 0 31 2 *"] {
        let answer = house.post(&house.alice, &path, &json!({ "cron": bad, "enabled": false }).to_string()).await;
        let body = answer.json();
        assert_eq!(
            (answer.status, &body["field"]),
            (StatusCode::UNPROCESSABLE_ENTITY, &"cron".into()),
            "{bad}: {body}"
        );
        assert!(body["detail"].as_str().unwrap().contains("minute hour day month weekday"), "{body}");
    }
    for bad in [r#"{"catch_up":"twice"}"#, r#"{"enabled":"yes"}"#, r#"{"corn":"* * * * *"}"#] {
        let answer = house.post(&house.alice, &path, bad).await;
        assert_eq!(answer.status, StatusCode::UNPROCESSABLE_ENTITY, "{bad}: {}", answer.text);
    }
    assert_eq!(schedule(&house, "pool").await, before);
    for unknown in ["nothing", "Health", "%00"] {
        let answer = house.post(&house.alice, &format!("{SCHEDULES}/{unknown}"), "{}").await;
        assert_eq!(answer.status, StatusCode::NOT_FOUND, "{unknown}");
    }
    let house = operated().await;
    let early = house.post(&house.alice, &path, "{}").await;
    assert_eq!((early.status, &early.json()["type"]), (StatusCode::CONFLICT, &"urn:berth:problem:no-schedule".into()));
}

#[tokio::test]
async fn running_now_twice_is_one_run_which_names_who_asked() {
    let house = scheduled().await;
    let path = format!("{SCHEDULES}/retention/runs");
    let (one, two) = tokio::join!(house.post(&house.alice, &path, ""), house.post(&house.alice, &path, ""));
    assert_eq!((one.status, two.status), (StatusCode::ACCEPTED, StatusCode::ACCEPTED), "{} {}", one.text, two.text);
    let (one, two) = (one.json(), two.json());
    assert_eq!((&one["id"], &one["state"], &one["asked_by"]), (&two["id"], &"running".into(), &"operator".into()));
    assert_eq!(one["operator"], "alice@example.org");
    let flow = house.get(&house.alice, &format!("/api/admin/v1/flows/{}", one["flow"].as_str().unwrap())).await.json();
    assert!(flow["waiting_for"].as_str().unwrap().starts_with("Waits for a worker to forget"), "{flow}");
    // Cron joins the same run.
    assert_eq!(house.world.database.count("select count(*) from flows where kind = 'retention'").await, 1);

    house.world.run_flows(10).await;
    let ended = house.get(&house.alice, &path).await.json();
    assert_eq!((ended["runs"].as_array().unwrap().len(), &ended["runs"][0]["id"]), (1, &one["id"]));
    assert!(ended["runs"][0]["counts"]["sessions"].is_number() && ended["runs"][0]["flow"].is_null(), "{ended}");
    let third = house.post(&house.alice, &path, "").await.json();
    assert_ne!(third["id"], one["id"], "the first has ended");
    let first = house.get(&house.alice, &format!("{path}?limit=1")).await.json();
    assert_eq!(first["runs"][0]["id"], third["id"], "newest first");
    let rest = house.get(&house.alice, first["next"].as_str().unwrap()).await.json();
    assert_eq!((&rest["runs"][0]["id"], &rest["next"]), (&one["id"], &Value::Null));
    assert_eq!(schedule(&house, "retention").await["run"]["id"], third["id"]);
}

#[tokio::test]
async fn the_page_keeps_a_wrong_expression_and_says_what_is_wrong() {
    let house = operated().await;
    let cookie = house.cookie().await;
    let none = house.page(&cookie, "/admin/schedules").await.text;
    assert!(none.contains("There are none yet") && none.contains("berth work"), "{none}");
    plant_schedules(&house).await;
    let page = house.page(&cookie, "/admin/schedules").await.text;
    assert!(page.contains("It has not run yet.") && page.contains("Run health now"), "{page}");

    let path = "/admin/schedules/health";
    let wrong = house.form(&cookie, path, "cron=%3Cb%3E&enabled=true&catch_up=once").await;
    assert_eq!(wrong.status, StatusCode::UNPROCESSABLE_ENTITY);
    let field = r#"value="&#60;b&#62;" required maxlength="100" autocapitalize="none" autocomplete="off" spellcheck="false" aria-describedby="health-cron-fault" aria-invalid="true" autofocus>"#;
    assert!(wrong.text.contains(field) && wrong.text.contains(r#"id="health-change" open"#), "{}", wrong.text);
    let choice = house.form(&cookie, path, "cron=*+*+*+*+*&catch_up=never").await;
    assert!(
        choice.status == StatusCode::UNPROCESSABLE_ENTITY
            && choice.text.contains("Choose what becomes of missed times.")
    );
    assert_eq!(schedule(&house, "health").await["cron"], "*/5 * * * *");

    let saved = house.form(&cookie, path, "cron=*/7+*+*+*+*&catch_up=once").await;
    assert_eq!(
        (saved.status, saved.headers["location"].to_str().unwrap()),
        (StatusCode::SEE_OTHER, "/admin/schedules#health")
    );
    let health = schedule(&house, "health").await;
    assert_eq!((&health["cron"], &health["enabled"]), (&"*/7 * * * *".into(), &false.into()), "an empty box is off");
    let ran = house.form(&cookie, "/admin/schedules/health/runs", "").await;
    assert_eq!(ran.status, StatusCode::SEE_OTHER);
    let page = house.page(&cookie, "/admin/schedules").await.text;
    assert!(page.contains("asked by alice@example.org") && page.contains("What it waits for"), "{page}");
    assert!(page.contains("by alice@example.org</dd>") && page.contains("Not by itself."), "{page}");
    house.world.run_flows(10).await;
    let page = house.page(&cookie, "/admin/schedules").await.text;
    assert!(page.contains("<td data-label=\"By\">alice@example.org</td>"), "{page}");
}

#[tokio::test]
async fn the_pool_tells_what_is_ready_what_was_taken_and_when_there_was_none() {
    let mut house = scheduled().await;
    let cookie = house.cookie().await;
    let off = house.page(&cookie, "/admin/pool").await.text;
    assert!(off.contains("Switch the pool on") && off.contains("BERTH_POOL_FLOOR=2"), "{off}");
    assert!(!off.contains("Refill pool now"));

    house.keep_spares(1, 2);
    let empty = house.page(&cookie, "/admin/pool").await.text;
    assert!(empty.contains("No spare is ready: the next agent is made a machine"), "{empty}");
    house.world.live_agent("early").await;
    house.world.run_flows(80).await;
    let pool = || async { house.get(&house.alice, "/api/admin/v1/pool").await.json() };
    let read = pool().await;
    assert_eq!(read["last_day"], json!({ "taken": 0, "missed": 1 }), "{read}");
    // Nobody took a spare, so nobody asked for a refill yet.
    assert_eq!(house.form(&cookie, "/admin/pool/refill", "").await.headers["location"], "/admin/pool");
    assert_eq!(pool().await["refill"]["state"], "running");
    house.world.run_flows(80).await;
    let read = pool().await;
    assert_eq!(
        (&read["ready"], &read["making"], &read["floor"], &read["ceiling"]),
        (&1.into(), &0.into(), &1.into(), &2.into())
    );
    assert_eq!((&read["refill"]["operator"], &read["refill"]["state"]), (&"alice@example.org".into(), &"ended".into()));
    let spare = &read["spares"][0];
    assert_eq!((&spare["state"], &spare["step"]), (&"ready".into(), &"ready".into()), "{read}");
    assert!(spare["waiting_for"].as_str().unwrap().starts_with("Waits for an agent to take the spare machine"));
    let page = house.page(&cookie, "/admin/pool").await.text;
    assert!(page.contains("1 spare is ready to be taken.") && page.contains("Waits for an agent to take"), "{page}");

    house.world.live_agent("swift").await;
    let read = pool().await;
    assert_eq!(read["last_day"], json!({ "taken": 1, "missed": 1 }), "{read}");
    assert_eq!(read["refill"]["asked_by"], "berth");
    // A day later nobody counts it any more.
    house.world.database.move_clock("25 hours").await;
    assert_eq!(pool().await["last_day"], json!({ "taken": 0, "missed": 0 }));
    // Spares of another image are on their way out.
    house.world.run_flows(80).await;
    house.world.database.sql("update spares set image = 'older'").await;
    let read = pool().await;
    assert!(read["ready"] == 0 && read["leaving"].as_i64().unwrap() >= 1, "{read}");
    // The pass of yesterday has run out.
    let cookie = house.cookie().await;
    assert!(house.page(&cookie, "/admin/pool").await.text.contains("the next refill retires it"));
}
