//! The API as a patient client uses it: what was not answered is asked again.

use std::time::{Duration, Instant};

use http::Method;
use serde_json::{Value, json};
use testkit::http_call::{Answer, Call, call};
use tokio::time::sleep;

/// One try; a process that was stopped in the middle does not answer at all.
const TRY_MAX: Duration = Duration::from_secs(4);
/// Longest until some process answers.
const ANSWER_MAX: Duration = Duration::from_mins(1);

/// Who asks, and where.
#[derive(Debug, Clone)]
pub(crate) struct Api {
    pub(crate) base: String,
    pub(crate) token: String,
}

impl Api {
    /// One try.
    pub(crate) async fn once(
        &self,
        method: Method,
        path: &str,
        body: Option<Value>,
        key: &str,
    ) -> Result<Answer, String> {
        let mut headers = vec![("authorization", format!("Bearer {}", self.token))];
        if !key.is_empty() {
            headers.push(("idempotency-key", key.to_owned()));
        }
        call(Call { method, url: format!("{}{path}", self.base), headers, body, patience: TRY_MAX }).await
    }

    /// Asks until it is answered by something else than "not now". Every request of these tests may be repeated.
    pub(crate) async fn ask(&self, method: Method, path: &str, body: Option<Value>, key: &str) -> Answer {
        let began = Instant::now();
        loop {
            let last = match self.once(method.clone(), path, body.clone(), key).await {
                Ok(answer) if answer.status < 500 => return answer,
                // Berth may say that it cannot now; that it does not know what happened is a fault of its own.
                Ok(answer) if answer.status == 500 => panic!("{method} {path}: {}", answer.body),
                Ok(answer) => format!("{} {}", answer.status, answer.body),
                Err(why) => why,
            };
            assert!(began.elapsed() < ANSWER_MAX, "{method} {path} was not answered within {ANSWER_MAX:?}: {last}");
            sleep(Duration::from_millis(100)).await;
        }
    }

    /// An agent as its page shows it; `None`: there is none.
    pub(crate) async fn agent(&self, id: &str) -> Option<Value> {
        let answer = self.ask(Method::GET, &format!("/api/v1/agents/{id}"), None, "").await;
        match answer.status {
            200 => Some(answer.json()),
            404 => None,
            status => panic!("{status}: {}", answer.body),
        }
    }

    /// Creates an agent, once whatever happens to the answer; its id.
    pub(crate) async fn create(&self, name: &str) -> String {
        let answer = self.ask(Method::POST, "/api/v1/agents", Some(json!({"name": name})), name).await;
        assert_eq!(answer.status, 201, "{}", answer.body);
        answer.json()["id"].as_str().expect("an agent has an id").to_owned()
    }

    /// Asks something of an agent: `stop`, `start`, `restart`, `proofs`, `retry`. The status.
    pub(crate) async fn post(&self, id: &str, what: &str) -> u16 {
        self.ask(Method::POST, &format!("/api/v1/agents/{id}/{what}"), None, "").await.status
    }

    /// Wants an agent gone. That it is gone already is as good.
    pub(crate) async fn delete(&self, id: &str) {
        let answer = self.ask(Method::DELETE, &format!("/api/v1/agents/{id}"), None, "").await;
        assert!([202, 404].contains(&answer.status), "{}: {}", answer.status, answer.body);
    }

    /// Waits until an agent is seen like this (`gone`: not at all). `Err`: how it was seen last.
    pub(crate) async fn seen(&self, id: &str, state: &str, longest: Duration) -> Result<(), String> {
        let began = Instant::now();
        loop {
            let agent = self.agent(id).await;
            let seen = agent.as_ref().map_or("gone", |agent| agent["seen"]["state"].as_str().unwrap_or_default());
            if seen == state {
                return Ok(());
            }
            if began.elapsed() > longest {
                return Err(format!("{id} is not {state} after {longest:?} but {}", agent.unwrap_or_default()));
            }
            sleep(Duration::from_millis(40)).await;
        }
    }
}
