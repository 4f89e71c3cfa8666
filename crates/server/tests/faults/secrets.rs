//! People whose every request needs a secret: two hundred a second, each tried once, and each failure counted.

use std::{
    sync::{
        Arc, Mutex,
        atomic::{AtomicUsize, Ordering},
    },
    time::{Duration, Instant},
};

use http::Method;
use serde_json::{Value, json};
use testkit::http_call::{Answer, Call, call};
use tokio::{
    task::JoinSet,
    time::{MissedTickBehavior, interval},
};
use tokio_util::sync::CancellationToken;

use crate::api::Api;

/// Lanes, and how often each asks: two hundred requests a second in all, where the computer bears them.
const LANES: usize = 20;
const EVERY: Duration = Duration::from_millis(100);
/// Failures are counted, not slowness: a busy computer answers late.
const PATIENCE: Duration = Duration::from_secs(30);
const LIVE_MAX: Duration = Duration::from_mins(1);

/// Somebody with an agent that was once talked to.
#[derive(Debug, Clone)]
pub(crate) struct Person {
    pub(crate) api: Api,
    pub(crate) agent: String,
    turn: String,
}

impl Person {
    /// Brings an agent to life and says something to it.
    pub(crate) async fn begin(api: Api) -> Self {
        let agent = api.create("scout").await;
        api.seen(&agent, "live", LIVE_MAX).await.unwrap();
        let path = format!("/api/v1/agents/{agent}/turns");
        let said = api.ask(Method::POST, &path, Some(json!({"text": "hello"})), "").await;
        assert_eq!(said.status, 200, "{}", said.body);
        let turn = said.json()["id"].as_str().unwrap().to_owned();
        Self { api, agent, turn }
    }

    /// Sets a variable of the agent: sealed under the tenant's data key.
    pub(crate) async fn set(&self, name: &str, value: &str) -> Result<Answer, String> {
        let body = json!({"kind": "variable", "agent": self.agent, "name": name, "value": value});
        self.once(Method::POST, "/api/v1/credentials", Some(body)).await
    }

    /// What is set, without the values.
    pub(crate) async fn list(&self) -> Result<Answer, String> {
        self.once(Method::GET, "/api/v1/credentials", None).await
    }

    /// What was said: opened with the tenant's data key.
    pub(crate) async fn read(&self) -> Result<Answer, String> {
        self.once(Method::GET, &format!("/api/v1/agents/{}/turns/{}", self.agent, self.turn), None).await
    }

    async fn once(&self, method: Method, path: &str, body: Option<Value>) -> Result<Answer, String> {
        let headers = vec![("authorization", format!("Bearer {}", self.api.token))];
        call(Call { method, url: format!("{}{path}", self.api.base), headers, body, patience: PATIENCE }).await
    }
}

/// The load, until [`SecretLoad::end`].
pub(crate) struct SecretLoad {
    stop: CancellationToken,
    lanes: JoinSet<()>,
    done: Arc<AtomicUsize>,
    failed: Arc<Mutex<Vec<String>>>,
    began: Instant,
}

/// What came of it.
pub(crate) struct Told {
    pub(crate) requests: usize,
    pub(crate) failed: Vec<String>,
    pub(crate) a_second: f64,
}

impl SecretLoad {
    pub(crate) fn start(people: &[Person]) -> Self {
        let (stop, mut lanes) = (CancellationToken::new(), JoinSet::new());
        let (done, failed) = (Arc::new(AtomicUsize::new(0)), Arc::new(Mutex::new(Vec::new())));
        for lane in 0..LANES {
            let (person, stop) = (people[lane % people.len()].clone(), stop.clone());
            let (done, failed) = (Arc::clone(&done), Arc::clone(&failed));
            lanes.spawn(async move {
                let mut beat = interval(EVERY);
                beat.set_missed_tick_behavior(MissedTickBehavior::Delay);
                for round in lane.. {
                    tokio::select! {
                        () = stop.cancelled() => return,
                        _ = beat.tick() => {}
                    }
                    if let Err(why) = act(&person, lane, round).await {
                        failed.lock().unwrap().push(why);
                    }
                    done.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        Self { stop, lanes, done, failed, began: Instant::now() }
    }

    /// Stops asking and tells.
    pub(crate) async fn end(mut self) -> Told {
        self.stop.cancel();
        while let Some(lane) = self.lanes.join_next().await {
            lane.unwrap();
        }
        let requests = self.done.load(Ordering::Relaxed);
        let failed = std::mem::take(&mut *self.failed.lock().unwrap());
        let a_second = f64::from(u32::try_from(requests).unwrap()) / self.began.elapsed().as_secs_f64();
        Told { requests, failed, a_second }
    }
}

/// One request, once: whatever is not done as asked is a failure.
async fn act(person: &Person, lane: usize, round: usize) -> Result<(), String> {
    let (what, answer, wanted) = match round % 5 {
        0 => ("set", person.set(&format!("LANE_{lane}"), &format!("value {round}")).await?, 201),
        1 | 2 => ("list", person.list().await?, 200),
        _ => ("read", person.read().await?, 200),
    };
    if answer.status != wanted {
        return Err(format!("{what}: {} {}", answer.status, answer.body));
    }
    // An answer whose words were not opened is no answer.
    if what == "read" && answer.json()["text"].as_str().is_none_or(str::is_empty) {
        return Err(format!("read without its words: {}", answer.body));
    }
    Ok(())
}
