//! A [`Reach`] without a network: answers come from a script, and a ledger counts what was sent.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    MachineId,
    protocol::{Answer, Ask, Outcome, Reply, Request, VERSION},
};

use crate::{Reach, SshError, Target};

/// What stands between the asking side and the guest.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// The request arrives and its answer comes back.
    Open,
    /// Nobody listens.
    Unreachable,
    /// Another host key is shown; nothing is sent.
    OtherKey,
    /// The certificate is not accepted; nothing of the request is sent.
    Refused,
    /// The request arrives, and no answer ever comes.
    Hangs,
    /// The request arrives and is carried out, and the connection breaks before the answer.
    LostAfter,
}

/// One call of [`Reach::ask`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Asked {
    /// Who was asked.
    pub machine: MachineId,
    /// The verb.
    pub verb: &'static str,
    /// Bytes of secrets that left us: the values of `apply`. Zero where the door was not passed.
    pub secret_bytes: usize,
    /// Whether the request arrived at the guest.
    pub arrived: bool,
}

type Guest = dyn FnMut(MachineId, &Request) -> Answer + Send;

struct State {
    guest: Box<Guest>,
    doors: HashMap<MachineId, Door>,
    next: HashMap<MachineId, Vec<Door>>,
    ledger: Vec<Asked>,
}

/// The fake. Clones share one state.
#[derive(Clone)]
pub struct FakeReach(Arc<Mutex<State>>);

impl FakeReach {
    /// Every machine answers through this closure.
    pub fn new(guest: impl FnMut(MachineId, &Request) -> Answer + Send + 'static) -> Self {
        let state = State { guest: Box::new(guest), doors: HashMap::new(), next: HashMap::new(), ledger: Vec::new() };
        Self(Arc::new(Mutex::new(state)))
    }

    /// Every machine answers every verb with `ok`, which is no real reply to most of them.
    #[must_use]
    pub fn agreeable() -> Self {
        Self::new(|_, _| done(Reply::Ok))
    }

    /// Replaces what the machines answer.
    pub fn answers(&self, guest: impl FnMut(MachineId, &Request) -> Answer + Send + 'static) {
        self.state().guest = Box::new(guest);
    }

    /// From now on this machine's door is like this.
    pub fn set_door(&self, machine: MachineId, door: Door) {
        self.state().doors.insert(machine, door);
    }

    /// The next `times` asks of this machine find this door; afterwards it is as before.
    pub fn next_door(&self, machine: MachineId, door: Door, times: usize) {
        let mut state = self.state();
        let queue = state.next.entry(machine).or_default();
        queue.extend(std::iter::repeat_n(door, times));
    }

    /// Every ask so far, oldest first.
    #[must_use]
    pub fn ledger(&self) -> Vec<Asked> {
        self.state().ledger.clone()
    }

    /// How often this machine was asked this verb, whether it arrived or not.
    #[must_use]
    pub fn count(&self, machine: MachineId, verb: &str) -> usize {
        self.state().ledger.iter().filter(|asked| asked.machine == machine && asked.verb == verb).count()
    }

    /// All secret bytes that ever left us for this machine.
    #[must_use]
    pub fn secret_bytes(&self, machine: MachineId) -> usize {
        self.state().ledger.iter().filter(|asked| asked.machine == machine).map(|asked| asked.secret_bytes).sum()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Finds the door, writes the ledger, and lets the guest answer if the request arrives.
    fn pass(&self, target: &Target<'_>, request: &Request) -> (Door, Option<Answer>) {
        let mut state = self.state();
        let machine = target.machine;
        let queued = state.next.get_mut(&machine).filter(|queue| !queue.is_empty()).map(|queue| queue.remove(0));
        let door = queued.or_else(|| state.doors.get(&machine).copied()).unwrap_or(Door::Open);
        let arrived = matches!(door, Door::Open | Door::Hangs | Door::LostAfter);
        let secret_bytes = if arrived { secret_bytes(request) } else { 0 };
        state.ledger.push(Asked { machine, verb: request.ask.verb(), secret_bytes, arrived });
        let answer = matches!(door, Door::Open | Door::LostAfter).then(|| (state.guest)(machine, request));
        (door, answer)
    }
}

#[async_trait]
impl Reach for FakeReach {
    async fn ask(&self, target: &Target<'_>, request: &Request, limit: Duration) -> Result<Answer, SshError> {
        match self.pass(target, request) {
            (Door::Open, Some(answer)) => Ok(answer),
            (Door::Open | Door::LostAfter, _) => Err(SshError::Lost { why: "the fake hung up".into() }),
            (Door::Unreachable, _) => Err(SshError::Unreachable { why: "connection refused".into() }),
            (Door::Refused, _) => Err(SshError::Refused { why: "the certificate was not accepted" }),
            (Door::OtherKey, _) => Err(SshError::HostKeyChanged {
                expected: target.host_key.fingerprint(),
                shown: "SHA256:another".into(),
            }),
            (Door::Hangs, _) => {
                tokio::time::sleep(limit).await;
                Err(SshError::TimedOut { limit })
            }
        }
    }
}

/// A successful answer.
#[must_use]
pub const fn done(reply: Reply) -> Answer {
    Answer { version: VERSION, outcome: Outcome::Done(reply) }
}

fn secret_bytes(request: &Request) -> usize {
    match &request.ask {
        Ask::Apply { secrets, variables, .. } => {
            let variables = variables.iter().map(|variable| variable.value.expose().len());
            secrets.iter().map(|secret| secret.value.expose().len()).chain(variables).sum()
        }
        Ask::Turn { text, .. } => text.expose().len(),
        Ask::Rekey { key, .. } => key.expose().len(),
        Ask::Hello
        | Ask::Status
        | Ask::Start
        | Ask::Stop
        | Ask::Restart
        | Ask::Logs { .. }
        | Ask::Pairings
        | Ask::Approve { .. }
        | Ask::Wipe => 0,
    }
}
