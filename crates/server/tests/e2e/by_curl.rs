//! An agent's whole life by `curl` and a token.

use std::time::Duration;

use crate::{
    berth::{Berth, CRON},
    curl::{Answer, Curl, events},
    setting::say,
};

#[tokio::test]
#[ignore = "needs a daemon, an image and a browser: scripts/test e2e runs it"]
async fn by_curl_from_nothing_to_gone() {
    let (mut berth, api) = Berth::ready().await;
    api.without().get("/health").await.expect(200);
    api.without().get("/ready").await.expect(200);
    api.without().get("/api/v1/agents").await.expect_problem(401);

    let answer = api.post("/api/v1/agents", Some(r#"{"name":"scout"}"#)).await;
    let agent = answer.expect(201);
    let id = agent["id"].as_str().unwrap().to_owned();
    assert!(id.starts_with("agt_"), "{agent}");
    assert_eq!(
        (&agent["name"], &agent["wanted"], &agent["seen"]["state"]),
        (&"scout".into(), &"running".into(), &"preparing".into())
    );
    assert!(answer.head.to_lowercase().contains(&format!("location: /api/v1/agents/{id}")), "{}", answer.head);
    let at = format!("/api/v1/agents/{id}");

    bad_input(&berth, &api, &id).await;
    let agent = berth.seen(&api, &id, "live").await;
    assert_eq!(agent["proof"]["ok"], true, "{agent}");
    assert!(agent["proof"]["latency_ms"].as_u64().is_some_and(|ms| ms > 0), "{agent}");
    assert!(!agent["machine"]["isolation"].is_null(), "{agent}");
    replay(&api, &id).await;

    let turn = api.post(&format!("{at}/turns"), Some(r#"{"text":"hello from curl"}"#)).await.expect(200);
    assert_eq!(turn["state"], "answered", "{turn}");
    let words = turn["text"].as_str().unwrap();
    assert!(words.contains("I am not an AI") && words.contains("hello from curl"), "{turn}");
    say("answered a turn");

    let logs = api.get(&format!("{at}/logs")).await;
    let lines = logs.expect(200)["lines"].as_array().map_or(0, Vec::len);
    assert!(lines > 0, "{}", logs.body);
    for secret in ["berth_mch_", "berth_gtw_", "berth_llm_", "Bearer "] {
        assert!(!logs.body.contains(secret), "{secret} stands in the logs");
    }

    another_proof(&berth, &api, &id).await;
    cron(&api).await;

    api.post(&format!("{at}/stop"), None).await.expect(202);
    let agent = berth.seen(&api, &id, "stopped").await;
    assert_eq!(agent["wanted"], "stopped");
    assert!(berth.machines().list().await.iter().all(|machine| !machine.running));
    api.post(&format!("{at}/turns"), Some(r#"{"text":"anybody?"}"#)).await.expect_problem(409);
    api.post(&format!("{at}/start"), None).await.expect(202);
    berth.seen(&api, &id, "live").await;

    let restarts = ended(&api, &id, "restart").await;
    api.post(&format!("{at}/restart"), None).await.expect(202);
    while ended(&api, &id, "restart").await == restarts {
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    berth.seen(&api, &id, "live").await;
    assert_eq!(berth.machines().list().await.len(), 1);

    api.delete(&at).await.expect(202);
    berth.gone(&api, &id).await;
    api.delete(&at).await.expect_problem(404);
    berth.end().await;
}

/// What is wrong is said in words, and a stranger learns nothing.
async fn bad_input(berth: &Berth, api: &Curl, id: &str) {
    let new = |body: String| async move { api.post("/api/v1/agents", Some(&body)).await };
    new(r#"{"name":"scout"}"#.to_owned()).await.expect_problem(409);
    for body in [r#"{"name":7}"#, r#"{"name":"scout-2","colour":"red"}"#, r#"{"name":"Not A Name"}"#, "{", "[]", ""] {
        let answer = new(body.to_owned()).await;
        assert!((400..500).contains(&answer.status), "{body}: {} {}", answer.status, answer.body);
        answer.expect_problem(answer.status);
    }
    let answer = new(format!("{{\"name\":\"{}\"}}", "a".repeat(1024 * 1024))).await;
    answer.expect_problem(413);

    let stranger = berth.api(&berth.token("stranger@example.org", false).await);
    let unknown = "agt_01h00000000000000000000000";
    // The stranger's list is empty, and another's agent is no other answer than one that never was.
    assert_eq!(stranger.get("/api/v1/agents").await.expect(200)["agents"].as_array().map(Vec::len), Some(0));
    for (method, rest) in
        [("GET", ""), ("DELETE", ""), ("POST", "/stop"), ("POST", "/turns"), ("GET", "/events"), ("GET", "/logs")]
    {
        let ask = |id: String| {
            let stranger = stranger.clone();
            async move {
                let path = format!("/api/v1/agents/{id}{rest}");
                match method {
                    "POST" if rest == "/turns" => stranger.post(&path, Some(r#"{"text":"hello"}"#)).await,
                    "POST" => stranger.post(&path, None).await,
                    "DELETE" => stranger.delete(&path).await,
                    _ => stranger.get(&path).await,
                }
            }
        };
        let (foreign, nobody) = (ask(id.to_owned()).await, ask(unknown.to_owned()).await);
        foreign.expect_problem(404);
        assert_eq!(plain(&foreign, id), plain(&nobody, unknown), "{method} {rest}");
    }
    for strange in
        ["7", "agt_", "agt_01h0000000000000000000000u", "usr_01h00000000000000000000000", "%00", "agt_%27%20or%201=1"]
    {
        let answer = api.get(&format!("/api/v1/agents/{strange}")).await;
        assert!((400..500).contains(&answer.status), "{strange}: {}", answer.status);
    }
}

/// An answer without what must differ: request ids, times and the id that was asked for.
fn plain(answer: &Answer, id: &str) -> String {
    let mut body = answer.expect(answer.status);
    if let Some(problem) = body.as_object_mut() {
        problem.retain(|name, _| !["instance", "request_id"].contains(&name.as_str()));
    }
    let head = answer.head.to_lowercase();
    let differs = |line: &&str| {
        line.starts_with("x-request-id") || line.starts_with("date") || line.starts_with("content-length")
    };
    let head: Vec<&str> = head.lines().filter(|line| !differs(line)).collect();
    format!("{head:?} {body}").replace(id, "ID")
}

/// A stream that broke goes on where it was.
async fn replay(api: &Curl, id: &str) {
    let at = format!("/api/v1/agents/{id}/events");
    let all = events(&api.listen(&at, &[], Duration::from_secs(2)).await);
    let steps: Vec<&str> = all
        .iter()
        .filter(|(_, name, _)| name == "step_ended")
        .filter_map(|(_, _, data)| data["step"].as_str())
        .collect();
    assert_eq!(steps, ["reserve", "create", "await", "hello", "apply", "prove"], "{all:?}");
    // What the steps say they took is the time that passed.
    let times = |event: &str| -> Vec<f64> {
        let named = all.iter().filter(|(_, name, _)| name == event);
        named.map(|(_, _, data)| seconds(data["at"].as_str().unwrap())).collect()
    };
    let passed = (times("step_ended")[5] - times("step_started")[0]).rem_euclid(86_400.0);
    let took = all.iter().filter_map(|(_, _, data)| data["took_ms"].as_f64()).sum::<f64>() / 1000.0;
    assert!((took - passed).abs() < 1.0 + passed / 10.0, "the steps say {took} s, {passed} s passed: {all:?}");
    assert!(all.windows(2).all(|pair| pair[0].0 < pair[1].0), "{all:?}");
    let (middle, _, _) = all[all.len() / 2];
    let rest = events(&api.listen(&at, &["-H", &format!("last-event-id: {middle}")], Duration::from_secs(2)).await);
    let expected: Vec<_> = all.iter().filter(|(seq, _, _)| *seq > middle).cloned().collect();
    assert!(!expected.is_empty() && rest == expected, "{rest:?}\n{expected:?}");
}

/// The seconds of its day, of a time such as `2026-11-21T12:07:03.72Z`.
fn seconds(at: &str) -> f64 {
    let time = at.split_once('T').unwrap().1.trim_end_matches('Z');
    time.split(':').fold(0.0, |sum, part| sum * 60.0 + part.parse::<f64>().unwrap())
}

/// How often a step ended, by the stream.
async fn ended(api: &Curl, id: &str, step: &str) -> usize {
    let all = events(&api.listen(&format!("/api/v1/agents/{id}/events"), &[], Duration::from_secs(1)).await);
    all.iter().filter(|(_, name, data)| name == "step_ended" && data["step"] == step).count()
}

async fn another_proof(berth: &Berth, api: &Curl, id: &str) {
    let at = format!("/api/v1/agents/{id}");
    let before = api.get(&at).await.expect(200)["proof"]["id"].clone();
    api.post(&format!("{at}/proofs"), None).await.expect(202);
    let mut now = before.clone();
    for _ in 0..240 {
        now = api.get(&at).await.expect(200)["proof"].clone();
        if now["id"] != before {
            break;
        }
        tokio::time::sleep(Duration::from_millis(250)).await;
    }
    assert!(now["id"] != before && now["ok"] == true, "{now}\n{}", berth.log());
    say("proved again");
}

async fn cron(api: &Curl) {
    let path = "/api/cron/health";
    for caller in [api.without(), api.clone(), api.with("wrong-secret-of-these-tests"), api.with("")] {
        caller.get(path).await.expect_problem(401);
        caller.post(path, None).await.expect_problem(401);
    }
    let cron = api.with(CRON);
    for answer in [cron.get(path).await, cron.post(path, None).await] {
        let swept = answer.expect(200);
        assert_eq!(swept["state"], "ended", "{swept}");
        assert!(swept["counts"].as_object().is_some_and(|counts| !counts.is_empty()), "{swept}");
    }
    say("swept");
}
