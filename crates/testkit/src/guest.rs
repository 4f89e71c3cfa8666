//! Guests in memory that keep what the real one keeps: fence, digest, readiness.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
};

use domain::{
    MachineId, openclaw,
    protocol::{
        Answer, Ask, Gateway, Hello, InForce, LogLine, Outcome, Pairing, Refusal, Rekeyed, Reply, Request, SecretText,
        Status, VERSION, delivered,
    },
};
use ssh::fake::FakeReach;

/// How the simulated guests behave.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SimMood {
    /// As they should.
    Well,
    /// The gateway never gets ready.
    NeverReady,
    /// Turns are answered with something else.
    Babbling,
    /// The gateway refuses every configuration.
    Picky,
    /// The gateway keeps another configuration than it was sent.
    Forgetful,
    /// Their guest is of a time before `rekey`.
    Older,
    /// What they keep does not open, until another configuration is put there.
    Damaged,
}

#[derive(Default)]
struct Sim {
    fence: u64,
    digest: Option<String>,
    told: Option<String>,
    given: Vec<(String, String)>,
    applies: u32,
    /// Digest of the secrets that it was sent last.
    secrets: Option<String>,
    /// Names of those.
    holds: Vec<String>,
    reach: Vec<String>,
    pairings: Vec<Pairing>,
    approved: Vec<Pairing>,
    /// Id of the key that it was sent last.
    key: Option<String>,
    /// Whether a damaged one was given something that opens.
    mended: bool,
}

struct State {
    mood: SimMood,
    guests: HashMap<MachineId, Sim>,
}

/// All simulated guests. Clones share one state.
#[derive(Clone)]
pub struct SimGuests(Arc<Mutex<State>>);

impl Default for SimGuests {
    fn default() -> Self {
        Self(Arc::new(Mutex::new(State { mood: SimMood::Well, guests: HashMap::new() })))
    }
}

impl SimGuests {
    /// From now on all behave like this.
    pub fn set_mood(&self, mood: SimMood) {
        self.state().mood = mood;
    }

    /// How many different configurations a machine took up.
    #[must_use]
    pub fn configurations(&self, machine: MachineId) -> u32 {
        self.state().guests.get(&machine).map_or(0, |sim| sim.applies)
    }

    /// What the agents of all machines are told about themselves.
    #[must_use]
    pub fn told(&self) -> Vec<String> {
        self.state().guests.values().filter_map(|sim| sim.told.clone()).collect()
    }

    /// Names of the secrets and variables that a machine holds, in the order in which they came.
    #[must_use]
    pub fn holding(&self, machine: MachineId) -> Vec<String> {
        self.state().guests.get(&machine).map(|sim| sim.holds.clone()).unwrap_or_default()
    }

    /// Where a machine may connect to beside its home.
    #[must_use]
    pub fn reaches(&self, machine: MachineId) -> Vec<String> {
        self.state().guests.get(&machine).map(|sim| sim.reach.clone()).unwrap_or_default()
    }

    /// Somebody writes to the agent of a machine and waits to be let in.
    pub fn knock(&self, machine: MachineId, pairing: Pairing) {
        self.state().guests.entry(machine).or_default().pairings.push(pairing);
    }

    /// Who was let in at a machine.
    #[must_use]
    pub fn approved(&self, machine: MachineId) -> Vec<Pairing> {
        self.state().guests.get(&machine).map(|sim| sim.approved.clone()).unwrap_or_default()
    }

    /// Id of the key that a machine was sent last; `None` while it has the one that it was made with.
    #[must_use]
    pub fn rekeyed(&self, machine: MachineId) -> Option<String> {
        self.state().guests.get(&machine).and_then(|sim| sim.key.clone())
    }

    /// The secrets that a machine was given last, by name.
    #[must_use]
    pub fn given(&self, machine: MachineId) -> Vec<(String, String)> {
        self.state().guests.get(&machine).map(|sim| sim.given.clone()).unwrap_or_default()
    }

    /// A reach whose machines are these.
    #[must_use]
    pub fn reach(&self) -> FakeReach {
        let guests = self.clone();
        FakeReach::new(move |machine, request| guests.answer(machine, request))
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn answer(&self, machine: MachineId, request: &Request) -> Answer {
        let mut state = self.state();
        let mood = state.mood;
        let sim = state.guests.entry(machine).or_default();
        let outcome = match reply(mood, machine, sim, &request.ask) {
            Ok(reply) => Outcome::Done(reply),
            Err(refusal) => Outcome::Refused(refusal),
        };
        Answer { version: VERSION, outcome }
    }
}

fn reply(mood: SimMood, machine: MachineId, sim: &mut Sim, ask: &Ask) -> Result<Reply, Refusal> {
    let gateway = if mood == SimMood::NeverReady { Gateway::Starting } else { Gateway::Ready };
    match ask {
        Ask::Hello => Ok(Reply::Hello(Hello {
            machine,
            boot: "boot".into(),
            image: "sim".into(),
            guest: "sim".into(),
            openclaw: "sim".into(),
            gateway,
            fence: sim.fence,
        })),
        Ask::Status => Ok(Reply::Status(Status {
            boot: "boot".into(),
            gateway,
            in_force: None,
            memory_bytes: None,
            disk_free_bytes: None,
            failing: Vec::new(),
        })),
        Ask::Apply { .. } if mood == SimMood::Picky => Err(Refusal::Invalid { why: "gateway.mode is missing".into() }),
        Ask::Apply { fence, document, instructions, secrets, variables, reach } => {
            let told = instructions.as_ref().map(SecretText::expose);
            sim.told = told.map(str::to_owned);
            sim.reach.clone_from(reach);
            sim.secrets = Some(vault::digest(&delivered(secrets, variables)).to_string());
            let names = variables.iter().map(|variable| variable.name.clone());
            sim.holds = secrets.iter().map(|secret| secret.name.clone()).chain(names).collect();
            if *fence >= sim.fence {
                sim.given = secrets.iter().map(|one| (one.name.clone(), one.value.expose().to_owned())).collect();
            }
            apply(mood, sim, *fence, &openclaw::whole(document, told))
        }
        Ask::Turn { .. } if mood == SimMood::Babbling => {
            Ok(Reply::Turn { text: SecretText::new("moo".into()), latency_ms: 3 })
        }
        Ask::Turn { text, .. } => {
            Ok(Reply::Turn { text: SecretText::new(format!("you said: {}", text.expose())), latency_ms: 3 })
        }
        Ask::Logs { .. } => Ok(Reply::Logs {
            lines: vec![LogLine { at: chrono::DateTime::UNIX_EPOCH, unit: "openclaw".into(), text: "ready".into() }],
        }),
        Ask::Pairings => Ok(Reply::Pairings { pairings: sim.pairings.clone() }),
        Ask::Approve { channel, request } => {
            let waits = |pairing: &Pairing| pairing.channel == *channel && pairing.request == *request;
            let place = sim.pairings.iter().position(waits).ok_or(Refusal::NoPairing)?;
            sim.approved.push(sim.pairings.remove(place));
            Ok(Reply::Ok)
        }
        Ask::Rekey { .. } if mood == SimMood::Older => Err(Refusal::Malformed { why: "no such verb".into() }),
        Ask::Rekey { .. } if mood == SimMood::Damaged && !sim.mended => {
            Err(Refusal::Broken { why: "what is kept here does not open, so its key is not changed".into() })
        }
        Ask::Rekey { fence, .. } if *fence < sim.fence => Err(Refusal::Fenced { fence: *fence, applied: sim.fence }),
        Ask::Rekey { key, .. } => {
            let key = vault::MasterKey::parse(key.expose()).map_err(|_| Refusal::Malformed { why: "no key".into() })?;
            sim.key = Some(key.id().to_string());
            Ok(Reply::Rekeyed(Rekeyed { key: key.id().to_string(), secrets_digest: sim.secrets.clone() }))
        }
        Ask::Start | Ask::Stop | Ask::Restart | Ask::Wipe => Ok(Reply::Ok),
    }
}

fn apply(mood: SimMood, sim: &mut Sim, fence: u64, whole: &str) -> Result<Reply, Refusal> {
    if fence < sim.fence {
        return Err(Refusal::Fenced { fence, applied: sim.fence });
    }
    let digest = vault::digest(whole.as_bytes()).to_string();
    if sim.digest.as_ref() != Some(&digest) {
        sim.applies += 1;
    }
    sim.mended = mood == SimMood::Damaged;
    sim.fence = fence;
    sim.digest = Some(digest.clone());
    let digest = if mood == SimMood::Forgetful { "other".to_owned() } else { digest };
    let secrets_digest = sim.secrets.clone();
    Ok(Reply::Applied(InForce { fence, digest, applied: true, secrets_digest }))
}
