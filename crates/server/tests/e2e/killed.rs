//! Berth dies as by `kill -9` at every step of a flow, and what it began is finished once.

use std::{
    os::unix::process::ExitStatusExt as _,
    time::{Duration, SystemTime},
};

use domain::{MachineId, life::Life};
use flows::CrashPoint;

use crate::{
    berth::Berth,
    curl::{Answer, Curl},
    setting::{is_long, say},
};

/// Longest until a step is reached; the gateway of a new machine takes up to 40 s here.
const REACHED: Duration = Duration::from_secs(150);

/// The steps from nothing to the first proof, from the step list itself.
fn fresh() -> Vec<String> {
    let every = Life::every(MachineId::from_uuid(uuid::Uuid::nil()));
    every.iter().take_while(|step| !matches!(step, Life::Live { .. })).map(|step| step.name().to_owned()).collect()
}

/// At which point within each step of a life Berth dies: at another one in each, so that the lives of all beginnings have
/// died at every point of every step.
#[derive(Debug, Clone, Copy)]
struct Deaths {
    first: usize,
}

impl Deaths {
    /// All of them where `BERTH_TEST_LONG` is `1`; else one, by chance. A life is two minutes long.
    fn of_this_run() -> Vec<Self> {
        let all = (0..CrashPoint::EVERY.len()).map(|first| Self { first });
        if is_long() {
            return all.collect();
        }
        let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
        let chance = usize::try_from(since.subsec_micros()).unwrap() % CrashPoint::EVERY.len();
        all.skip(chance).take(1).collect()
    }

    fn at(self, step: usize) -> &'static str {
        CrashPoint::EVERY[(self.first + step) % CrashPoint::EVERY.len()].name()
    }
}

/// An agent is killed once in every step from nothing to live, then in stop and start, then twice in its removal.
#[tokio::test]
#[ignore = "needs a daemon, an image and a browser: scripts/test e2e runs it"]
async fn killed_at_every_step_it_becomes_live_once() {
    let steps = fresh();
    assert_eq!(steps.len(), 6, "{steps:?}");
    let mut berth = Berth::fresh().await;
    let token = berth.token("captain@example.org", true).await;
    let api = berth.api(&token);
    for deaths in Deaths::of_this_run() {
        say(&format!("from nothing to live, first {}", deaths.at(0)));
        let id = live(&mut berth, &api, &steps, deaths).await;
        say("stop and start");
        rest(&mut berth, &api, &id, [deaths.at(steps.len()), deaths.at(steps.len() + 1)]).await;
        say("removal");
        removal(&mut berth, &api, &id, deaths.at(steps.len() + 2)).await;
    }
}

async fn live(berth: &mut Berth, api: &Curl, steps: &[String], deaths: Deaths) -> String {
    let (first, others) = steps.split_first().unwrap();
    let name = format!("scout-{}", deaths.at(0));
    let create = |api: Curl| {
        let (body, key) = (format!("{{\"name\":\"{name}\"}}"), format!("idempotency-key: {name}"));
        async move { api.post_with("/api/v1/agents", Some(&body), &["-H", &key]).await }
    };
    dies_at(berth, first, deaths.at(0), create(api.clone())).await;
    for (n, step) in (1..).zip(others) {
        let point = deaths.at(n);
        berth.start(&[("BERTH_CRASH_AT", &format!("{step}:{point}"))]).await;
        died(berth, step, point).await;
    }
    berth.start(&[]).await;
    // Nobody knows whether the first request was answered, so its caller repeats it.
    let agent = create(api.clone()).await.expect(201);
    let id = agent["id"].as_str().unwrap().to_owned();
    let agent = berth.seen(api, &id, "live").await;
    assert_eq!(agent["proof"]["ok"], true, "{agent}");
    once(berth).await;
    id
}

async fn rest(berth: &mut Berth, api: &Curl, id: &str, [stopping, starting]: [&str; 2]) {
    let ask = |what: &'static str| {
        let (api, path) = (api.clone(), format!("/api/v1/agents/{id}/{what}"));
        async move { api.post(&path, None).await }
    };
    berth.end().await;
    dies_at(berth, "stop", stopping, ask("stop")).await;
    berth.start(&[("BERTH_CRASH_AT", &format!("start:{starting}"))]).await;
    berth.seen(api, id, "stopped").await;
    heard(&ask("start").await, 202);
    died(berth, "start", starting).await;
    berth.start(&[]).await;
    berth.seen(api, id, "live").await;
    once(berth).await;
}

/// Removal takes its step twice: it says so first, then it does it. It dies in both.
async fn removal(berth: &mut Berth, api: &Curl, id: &str, point: &str) {
    berth.end().await;
    let path = format!("/api/v1/agents/{id}");
    dies_at(berth, "remove", "settled", api.delete(&path)).await;
    berth.start(&[("BERTH_CRASH_AT", &format!("remove:{point}"))]).await;
    died(berth, "remove", point).await;
    berth.start(&[]).await;
    berth.gone(api, id).await;
    berth.end().await;
}

/// Starts it so that it dies at a point, and asks for what leads there. The answer may be lost with it.
async fn dies_at(berth: &mut Berth, step: &str, point: &str, asks: impl Future<Output = Answer>) {
    berth.start(&[("BERTH_CRASH_AT", &format!("{step}:{point}"))]).await;
    let answer = asks.await;
    heard(&answer, answer.status);
    died(berth, step, point).await;
}

/// Either the answer or none, because Berth died before it was sent; never another one.
fn heard(answer: &Answer, status: u16) {
    assert!([0, 201, 202].contains(&answer.status) && [0, status].contains(&answer.status), "{}", answer.body);
}

async fn died(berth: &mut Berth, step: &str, point: &str) {
    let status = berth.death(REACHED).await;
    assert_eq!(status.signal(), Some(6), "{step}:{point}: {status}\n{}", berth.log());
    say(&format!("  died at {step}:{point}"));
}

/// One machine at the daemon, and one row of it.
async fn once(berth: &Berth) {
    let machines = berth.machines().list().await;
    assert_eq!(machines.len(), 1, "{machines:?}");
    assert!(machines[0].running, "{machines:?}");
    for (what, statement) in [
        ("agent", "select count(*) from agents"),
        ("machine", "select count(*) from machines where state <> 'gone'"),
        ("life", "select count(*) from flows where kind = 'life'"),
    ] {
        assert_eq!(berth.database.count(statement).await, 1, "{what}");
    }
}
