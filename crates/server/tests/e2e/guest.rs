//! A real machine asked directly, from inside, past Berth: what its guest and its gateway do with what they are told.

use std::time::{Duration, Instant};

use domain::{
    channel::Channels,
    openclaw::{AgentModel, Settings, document},
    protocol::{
        Answer, Ask, InForce, Outcome, Pairing, Refusal, Reply, Request, SecretFile, SecretText, Status, Variable,
        delivered,
    },
};
use tokio::time::sleep;

use crate::{berth::Berth, curl::Curl, machines::Machines, setting::say};

/// Above every fence that Berth itself uses in these tests, so that it leaves the machine to us.
pub(crate) const FENCE: u64 = 1000;
/// Longest until a gateway that was started anew is ready.
const READY_MAX: Duration = Duration::from_mins(2);

/// What one apply is to bring, beside the model.
#[derive(Debug, Clone, Default)]
pub(crate) struct Wish {
    pub(crate) fence: u64,
    pub(crate) gateway_token: String,
    pub(crate) channels: Channels,
    pub(crate) tokens: Vec<(&'static str, String)>,
    pub(crate) variables: Vec<(&'static str, String)>,
}

/// The machine of one agent.
pub(crate) struct Guest {
    machines: Machines,
    name: String,
    home: String,
    model_key: String,
}

impl Guest {
    /// The machine of an agent that is made for this test and live.
    pub(crate) async fn of_new_agent(berth: &Berth, api: &Curl) -> (Self, String) {
        let id = berth.create(api, "scout").await;
        berth.seen(api, &id, "live").await;
        let machines = berth.machines();
        let name = machines.list().await[0].name.to_string();
        let model_key = machines.inside(&name, "cat /run/openclaw/secrets/model_key").await;
        (Self { machines, name, home: berth.home(), model_key }, id)
    }

    /// A shell inside, as root.
    pub(crate) async fn inside(&self, script: &str) -> String {
        self.machines.inside(&self.name, script).await
    }

    /// Looks inside again and again until what is written there is as it should be: as long as a gateway that starts anew
    /// may take, and the next try after that.
    pub(crate) async fn inside_until(&self, script: &str, is_so: impl Fn(&str) -> bool) {
        let mut seen = String::new();
        let end = Instant::now() + READY_MAX + Duration::from_mins(1);
        while Instant::now() < end {
            seen = self.inside(script).await;
            if is_so(&seen) {
                return;
            }
            sleep(Duration::from_millis(500)).await;
        }
        panic!("not so in three minutes: {script}\n{seen}");
    }

    /// One request, as the shim takes it from SSH.
    pub(crate) async fn ask(&self, ask: Ask) -> Result<Reply, Refusal> {
        let request = serde_json::to_string(&Request::new(ask)).unwrap();
        // The shim also ends badly when the service is not up; its answer says so.
        let script = format!("berth-guest shim <<'END-OF-REQUEST' || true\n{request}\nEND-OF-REQUEST\n");
        let answer = self.inside(&script).await;
        match serde_json::from_str::<Answer>(&answer).unwrap().outcome {
            Outcome::Done(reply) => Ok(reply),
            Outcome::Refused(refusal) => Err(refusal),
        }
    }

    /// Brings a wish into force, asking again while the gateway starts; what arrived must be what was sent.
    pub(crate) async fn apply(&self, wish: &Wish) -> InForce {
        let began = Instant::now();
        loop {
            let (ask, sent) = self.request(wish);
            match self.ask(ask).await {
                Ok(Reply::Applied(done)) if done.applied => {
                    assert_eq!(done.secrets_digest, Some(sent), "what arrived is not what was sent");
                    say(&format!("{:>6.1} s applied {}", began.elapsed().as_secs_f64(), done.fence));
                    return done;
                }
                Err(Refusal::NotReady { .. } | Refusal::Busy | Refusal::Broken { .. })
                    if began.elapsed() < READY_MAX =>
                {
                    sleep(Duration::from_millis(500)).await;
                }
                other => panic!("not applied after {:?}: {other:?}", began.elapsed()),
            }
        }
    }

    fn request(&self, wish: &Wish) -> (Ask, String) {
        let text = |value: &String| SecretText::new(value.clone());
        let base = [("gateway_token", wish.gateway_token.clone()), ("model_key", self.model_key.clone())];
        let all = base.iter().chain(&wish.tokens);
        let secrets: Vec<_> =
            all.map(|(name, value)| SecretFile { name: (*name).into(), value: text(value) }).collect();
        let variable = |(name, value): &(&str, String)| Variable { name: (*name).into(), value: text(value) };
        let variables: Vec<_> = wish.variables.iter().map(variable).collect();
        let sent = vault::digest(&delivered(&secrets, &variables)).to_string();
        let document = document(&Settings {
            model_base_url: format!("{}/llm", self.home),
            model: AgentModel::proof(),
            channels: wish.channels.clone(),
        });
        let reach = wish.channels.reach().iter().map(ToString::to_string).collect();
        let fence = FENCE + wish.fence;
        (Ask::Apply { fence, document, secrets, instructions: None, variables, reach }, sent)
    }

    /// Who waits at the agent's channels.
    pub(crate) async fn pairings(&self) -> Vec<Pairing> {
        match self.ask(Ask::Pairings).await {
            Ok(Reply::Pairings { pairings }) => pairings,
            other => panic!("no pairings: {other:?}"),
        }
    }

    /// Waits until the machine says this of itself.
    pub(crate) async fn until_status(&self, what: &str, is_so: impl Fn(&Status) -> bool) {
        for _ in 0..120 {
            match self.ask(Ask::Status).await {
                Ok(Reply::Status(status)) if is_so(&status) => return,
                Ok(Reply::Status(_)) => sleep(Duration::from_millis(500)).await,
                other => panic!("no status: {other:?}"),
            }
        }
        panic!("not so in a minute: {what}");
    }

    /// The status with which the gateway answers whoever shows this token.
    pub(crate) async fn gateway_says(&self, token: &str) -> String {
        let curl = "curl -sS -m 20 -o /dev/null -w '%{http_code}' -H \"authorization: Bearer $TOKEN\"";
        self.inside(&format!("TOKEN='{token}'; {curl} http://127.0.0.1:18789/v1/models")).await
    }
}

/// The agent is taken away, with whatever Berth thought of a machine that it did not command any more.
pub(crate) async fn done_with(berth: &Berth, api: &Curl, id: &str) {
    let at = format!("/api/v1/agents/{id}");
    api.delete(&at).await.expect(202);
    for _ in 0..480 {
        if api.get(&at).await.status == 404 {
            assert_eq!(berth.machines().list().await, [], "machines left at the daemon");
            return;
        }
        sleep(Duration::from_millis(250)).await;
    }
    panic!("not gone in two minutes\n{}", berth.log());
}
