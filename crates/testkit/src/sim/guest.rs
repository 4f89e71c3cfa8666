//! A machine's guest and its gateway: the verbs of the protocol, with the fences and the reading back of the real one.

use std::{
    sync::{
        Arc, Mutex, MutexGuard, PoisonError,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use domain::{
    openclaw::{canonical, ours},
    protocol::{
        Answer, Ask, Gateway, GuestConfig, Hello, InForce, LogLine, MachineEvent, Outcome, Refusal, Rekeyed, Reply,
        Request, SecretFile, SecretText, Status, VERSION, delivered,
    },
};
use serde_json::Value;
use tokio_util::sync::CancellationToken;
use vault::MasterKey;

use super::{
    Shared,
    disk::{Bundle, Disk},
    faults::{How, Verb},
    home,
    ledger::now,
    received::REKEYED,
};

/// How long a change waits for another one before it is refused.
const TURN_TO_ACT_MAX: Duration = Duration::from_secs(2);
/// How long an apply waits for a gateway that is starting.
const STARTING_MAX: Duration = Duration::from_secs(20);

/// The guest of one boot.
#[derive(Debug)]
pub(super) struct Guest {
    shared: Arc<Shared>,
    config: GuestConfig,
    boot: String,
    disk: Arc<Disk>,
    gateway: Mutex<Process>,
    /// One change at a time.
    change: tokio::sync::Mutex<()>,
    off: CancellationToken,
}

/// The gateway's process.
#[derive(Debug)]
struct Process {
    state: Gateway,
    /// What it runs on: read from the disk when it starts, and given to it since.
    holds: Option<Bundle>,
    /// Counts its starts, so that a late "ready" of an earlier one changes nothing.
    start: u64,
}

impl Guest {
    pub(super) fn new(shared: Arc<Shared>, config: GuestConfig, disk: Arc<Disk>, off: CancellationToken) -> Arc<Self> {
        static BOOTS: AtomicU64 = AtomicU64::new(0);
        let boot = format!("boot-{}", BOOTS.fetch_add(1, Ordering::Relaxed));
        let gateway = Mutex::new(Process { state: Gateway::Stopped, holds: None, start: 0 });
        Arc::new(Self { shared, config, boot, disk, gateway, change: tokio::sync::Mutex::default(), off })
    }

    /// The machine is up: says so at home, and the gateway's unit starts by itself.
    pub(super) fn up(self: &Arc<Self>) {
        self.tell(MachineEvent::Up);
        self.start();
    }

    /// The gateway dies; its unit starts it again.
    pub(super) fn lose_gateway(self: &Arc<Self>) {
        self.start();
        self.tell(MachineEvent::GatewayLost);
    }

    /// Its own token, and the model key that its gateway runs on.
    pub(super) fn credentials(&self) -> Option<(String, String)> {
        let key = self.process().holds.as_ref()?.model_key.clone();
        Some((self.config.machine_token.expose().to_owned(), key))
    }

    /// One request; `None` where the line breaks without an answer.
    pub(super) async fn answer(self: &Arc<Self>, request: &[u8]) -> Option<Vec<u8>> {
        tokio::select! {
            () = self.off.cancelled() => None,
            answer = self.answer_powered(request) => answer,
        }
    }

    async fn answer_powered(self: &Arc<Self>, request: &[u8]) -> Option<Vec<u8>> {
        let outcome = match serde_json::from_slice::<Request>(request) {
            Ok(request) if request.version != VERSION => Err(Refusal::Version { guest: VERSION }),
            Ok(request) => match self.shared.faults.next(Verb::Ask(request.ask.verb())) {
                Some(How::Refuse) => Err(Refusal::Broken { why: "the simulator was told to refuse".into() }),
                Some(How::Fail) => return None,
                Some(How::Late(late)) => {
                    tokio::time::sleep(late).await;
                    self.carry_out(request.ask).await
                }
                Some(How::LoseAnswer) => {
                    drop(self.carry_out(request.ask).await);
                    return None;
                }
                None => self.carry_out(request.ask).await,
            },
            Err(_) => Err(Refusal::Malformed { why: "not a request of the protocol".into() }),
        };
        let outcome = outcome.map_or_else(Outcome::Refused, Outcome::Done);
        serde_json::to_vec(&Answer { version: VERSION, outcome }).ok()
    }

    async fn carry_out(self: &Arc<Self>, ask: Ask) -> Result<Reply, Refusal> {
        match ask {
            Ask::Hello => Ok(Reply::Hello(self.hello())),
            Ask::Status => Ok(Reply::Status(self.status())),
            Ask::Turn { text, timeout_ms, .. } => self.turn(&text, Duration::from_millis(timeout_ms.into())).await,
            Ask::Logs { .. } => {
                let line = LogLine { at: now(), unit: "openclaw".into(), text: "a simulated gateway".into() };
                Ok(Reply::Logs { lines: vec![line] })
            }
            Ask::Apply { fence, document, secrets, instructions, variables, reach: _ } => {
                let _change = self.turn_to_act().await?;
                let given = secrets.iter().map(|secret| (&secret.name, &secret.value));
                for (name, value) in given.chain(variables.iter().map(|variable| (&variable.name, &variable.value))) {
                    self.shared.received.add(name, value.expose().as_bytes());
                }
                let instructions = instructions.map(|text| text.expose().to_owned());
                let secrets_digest = vault::digest(&delivered(&secrets, &variables)).to_string();
                self.apply(fence, (document, instructions), (&secrets, secrets_digest)).await.map(Reply::Applied)
            }
            // Nobody writes to a simulated agent.
            Ask::Pairings => Ok(Reply::Pairings { pairings: Vec::new() }),
            Ask::Approve { .. } => Err(Refusal::NoPairing),
            Ask::Rekey { key, .. } => {
                let _change = self.turn_to_act().await?;
                self.shared.received.add(REKEYED, key.expose().as_bytes());
                let key = MasterKey::parse(key.expose()).map_err(|_| Refusal::Malformed { why: "no key".into() })?;
                let secrets_digest = self.disk.current().map(|bundle| bundle.secrets_digest);
                Ok(Reply::Rekeyed(Rekeyed { key: key.id().to_string(), secrets_digest }))
            }
            Ask::Start => {
                let _change = self.turn_to_act().await?;
                if matches!(self.process().state, Gateway::Stopped | Gateway::Failed) {
                    self.start();
                }
                Ok(Reply::Ok)
            }
            Ask::Stop => {
                let _change = self.turn_to_act().await?;
                self.stop();
                Ok(Reply::Ok)
            }
            Ask::Restart => {
                let _change = self.turn_to_act().await?;
                self.start();
                Ok(Reply::Ok)
            }
            Ask::Wipe => {
                let _change = self.turn_to_act().await?;
                self.stop();
                self.disk.wipe();
                Ok(Reply::Ok)
            }
        }
    }

    fn hello(&self) -> Hello {
        Hello {
            machine: self.config.machine,
            boot: self.boot.clone(),
            image: "simulated".into(),
            guest: "simulated".into(),
            openclaw: "simulated".into(),
            gateway: self.process().state,
            fence: self.disk.current().map_or(0, |bundle| bundle.fence),
        }
    }

    fn status(&self) -> Status {
        let process = self.process();
        let ready = process.state == Gateway::Ready;
        let in_force = process.holds.as_ref().filter(|_| ready).map(|bundle| in_force(bundle, true));
        Status {
            boot: self.boot.clone(),
            gateway: process.state,
            in_force,
            memory_bytes: None,
            disk_free_bytes: None,
            failing: Vec::new(),
        }
    }

    /// Keeps the configuration, gives it to the gateway if that runs, and reads back what it holds.
    async fn apply(
        &self,
        fence: u64,
        (document, instructions): (Value, Option<String>),
        (secrets, secrets_digest): (&[SecretFile], String),
    ) -> Result<InForce, Refusal> {
        let secret =
            |name: &str| secrets.iter().find(|secret| secret.name == name).map(|s| s.value.expose().to_owned());
        let malformed = |why: &str| Refusal::Malformed { why: why.into() };
        secret("gateway_token").ok_or_else(|| malformed("there is no gateway_token among the secrets"))?;
        let model_key = secret("model_key").ok_or_else(|| malformed("there is no model_key among the secrets"))?;
        if !document.is_object() || canonical(&ours(&document)) != canonical(&document) {
            return Err(malformed("the document is no object, or sets what OpenClaw keeps for itself"));
        }
        let begun = Instant::now();
        while self.process().state == Gateway::Starting {
            if begun.elapsed() > STARTING_MAX {
                return Err(Refusal::NotReady { why: "the gateway is still starting".into() });
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        let bundle = Bundle { fence, document, instructions, model_key, secrets_digest };
        self.disk.keep(bundle.clone()).map_err(|applied| Refusal::Fenced { fence, applied })?;
        if self.process().state != Gateway::Ready {
            return Ok(in_force(&bundle, false));
        }
        tokio::time::sleep(self.shared.options.delays.apply).await;
        let mut process = self.process();
        process.holds = Some(bundle);
        let held = process.holds.as_ref().map(|held| in_force(held, process.state == Gateway::Ready));
        held.ok_or_else(|| Refusal::NotReady { why: "the gateway does not answer".into() })
    }

    /// A turn as the gateway takes it: one call to the model that its configuration names.
    async fn turn(&self, text: &SecretText, patience: Duration) -> Result<Reply, Refusal> {
        let holds = {
            let process = self.process();
            if process.state != Gateway::Ready {
                return Err(Refusal::NotReady { why: "the gateway is not ready".into() });
            }
            process.holds.clone()
        };
        let holds = holds.ok_or_else(|| Refusal::NotReady { why: "nothing was applied yet".into() })?;
        let begun = Instant::now();
        tokio::time::sleep(self.shared.options.delays.turn).await;
        let said = home::model_turn(&holds.document, &holds.model_key, text.expose(), patience).await;
        let text = said.map_err(|why| Refusal::TurnFailed { why })?;
        let latency_ms = u32::try_from(begun.elapsed().as_millis()).unwrap_or(u32::MAX);
        Ok(Reply::Turn { text: SecretText::new(text), latency_ms })
    }

    async fn turn_to_act(&self) -> Result<tokio::sync::MutexGuard<'_, ()>, Refusal> {
        tokio::time::timeout(TURN_TO_ACT_MAX, self.change.lock()).await.map_err(|_| Refusal::Busy)
    }

    /// Starts the gateway anew from what is on the disk.
    fn start(self: &Arc<Self>) {
        let start = {
            let mut process = self.process();
            process.state = Gateway::Starting;
            process.holds = None;
            process.start += 1;
            process.start
        };
        let guest = Arc::clone(self);
        tokio::spawn(async move {
            tokio::time::sleep(guest.shared.options.delays.gateway).await;
            {
                let mut process = guest.process();
                if process.start != start || process.state != Gateway::Starting {
                    return;
                }
                process.state = Gateway::Ready;
                process.holds = guest.disk.current();
            }
            guest.tell(MachineEvent::GatewayReady);
        });
    }

    fn stop(&self) {
        let mut process = self.process();
        process.state = Gateway::Stopped;
        process.holds = None;
    }

    /// Calls home beside everything else, while there is power.
    fn tell(self: &Arc<Self>, event: MachineEvent) {
        let guest = Arc::clone(self);
        tokio::spawn(async move {
            tokio::select! {
                () = guest.off.cancelled() => {}
                () = home::tell(&guest.config, event) => {}
            }
        });
    }

    fn process(&self) -> MutexGuard<'_, Process> {
        self.gateway.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn in_force(bundle: &Bundle, applied: bool) -> InForce {
    let digest = vault::digest(bundle.whole().as_bytes()).to_string();
    InForce { fence: bundle.fence, digest, applied, secrets_digest: Some(bundle.secrets_digest.clone()) }
}
