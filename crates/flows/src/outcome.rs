//! What a step leaves behind, as data: the next step and what to write.
//!
//! Steps return it; the runner writes all of it in one transaction, house first,
//! then the tenant's half, and only while the lease is held.

use std::{net::IpAddr, time::Duration};

use app::{credentials::CredentialError, keys::KeyTrouble};
use domain::{
    AgentId, ExchangeId, FlowId, InvitationId, LetterId, MachineId, TenantId,
    agent::ProofFacts,
    alert::AlertKind,
    billing::Difference,
    exchange::ExchangeState,
    letter::Told,
    machine::{Health, MachineSize},
    protocol::{Hello, InForce},
    timeline::Happening,
};
use serde_json::Value;
use store::{
    StoreError, SystemTx, TenantTx,
    agents::Observation,
    alerts::NewAlert,
    flows::{ChildFlow, NewFlow},
    machine_rotations::Taken,
    machines::{MachineKeys, NewMachine},
};
use uuid::Uuid;
use vault::{Sealed, TokenHash};

use crate::World;

/// What to do after a step.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Next {
    /// This step, at once.
    Go(Step),
    /// This step, after a while, or as soon as the flow is woken.
    Wait(Step, Duration),
    /// The flow has ended.
    Done,
}

/// A step as the runner sees it: its name, its stored form, its deadline.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Step {
    /// The word on the timeline and in logs.
    pub name: &'static str,
    /// As stored.
    pub value: Value,
    /// How long the flow may stay in it.
    pub deadline: Option<Duration>,
}

/// What a step leaves behind.
#[derive(Debug)]
pub struct Outcome {
    /// What to do next.
    pub next: Next,
    /// Whether the signals of this claim were heard.
    pub heard: bool,
    /// To be written on the house tables.
    pub house: Vec<HouseWrite>,
    /// To be written on the tenant's tables.
    pub tenant: Vec<TenantWrite>,
    /// What came of a flow that ends here, for its parent.
    pub result: Option<Value>,
}

impl Outcome {
    /// Nothing to write but the next step.
    #[must_use]
    pub const fn next(next: Next) -> Self {
        Self { next, heard: false, house: Vec::new(), tenant: Vec::new(), result: None }
    }

    /// All signals of this claim were heard.
    #[must_use]
    pub const fn heard(mut self) -> Self {
        self.heard = true;
        self
    }

    /// Also writes this on the house tables.
    #[must_use]
    pub fn house(mut self, write: HouseWrite) -> Self {
        self.house.push(write);
        self
    }

    /// Also writes this on the tenant's tables.
    #[must_use]
    pub fn tenant(mut self, write: TenantWrite) -> Self {
        self.tenant.push(write);
        self
    }
}

/// Why a step did not end.
#[derive(Debug, thiserror::Error)]
pub enum StepError {
    /// The same step again, later and later. `why` is shown to the tenant.
    #[error("{why}")]
    Retry {
        /// A sentence without secrets.
        why: String,
    },
    /// No amount of waiting helps. `why` is shown to the tenant.
    #[error("{why}")]
    Stuck {
        /// A sentence without secrets: what happened and what to do.
        why: String,
        /// The alert for the operator.
        alert: AlertKind,
    },
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyTrouble> for StepError {
    /// A missing key is the operator's to mend; the step waits for it.
    fn from(trouble: KeyTrouble) -> Self {
        match trouble {
            KeyTrouble::Open(error) => Self::retry(format!("a key does not open what is sealed: {error}")),
            KeyTrouble::Store(error) => Self::Store(error),
        }
    }
}

impl From<CredentialError> for StepError {
    fn from(error: CredentialError) -> Self {
        match error {
            CredentialError::Store(error) => Self::Store(error),
            CredentialError::Keys(error) => KeyTrouble::Open(error).into(),
            other => Self::retry(other.to_string()),
        }
    }
}

impl StepError {
    pub(crate) fn retry(why: impl Into<String>) -> Self {
        Self::Retry { why: why.into() }
    }

    pub(crate) fn stuck(why: impl Into<String>, alert: AlertKind) -> Self {
        Self::Stuck { why: why.into(), alert }
    }
}

/// A machine that is about to exist, with everything its row needs.
#[derive(Debug)]
pub struct Reservation {
    /// Its id.
    pub id: MachineId,
    /// Whose agent it is for; none for a spare.
    pub agent: Option<AgentId>,
    /// Public half, to be pinned.
    pub host_key: String,
    /// Sealed halves.
    pub keys: MachineKeys,
    /// To recognise it when it calls home.
    pub machine_token: TokenHash,
    /// To recognise it at the model route.
    pub model_key: TokenHash,
}

/// A write on the house tables.
#[derive(Debug)]
pub enum HouseWrite {
    /// A machine is about to exist.
    Reserve(Box<Reservation>),
    /// It exists and is reached there.
    Made(MachineId, Option<IpAddr>),
    /// It was seen to be gone.
    Gone(MachineId),
    /// What it said of itself.
    Hello(MachineId, Hello),
    /// What its gateway reported.
    InForce(MachineId, InForce),
    /// It is as large as this from now on.
    Sized(MachineId, MachineSize),
    /// It holds its next gateway token and machine key.
    Rotated(MachineId, Box<Taken>),
    /// A person is needed.
    Alert {
        /// The same trouble has the same key.
        key: String,
        /// What it is about.
        kind: AlertKind,
        /// The id of what it is about.
        subject: String,
        /// A sentence without secrets.
        message: String,
    },
    /// What was wrong is right again.
    CloseAlerts(Vec<String>),
    /// Every stranger at the provider but these was seen to be gone.
    CloseStrangersBut(Vec<String>),
    /// Other flows of one kind hear this.
    Signal(&'static str, Vec<Uuid>, &'static str),
    /// A run of a job ended.
    JobEnded(Uuid, Value),
    /// This flow waits for a child.
    Child(ChildFlow),
    /// Another flow of the house begins.
    Start(HouseFlow),
    /// A spare may be claimed.
    SpareReady(MachineId),
    /// A retired spare is destroyed.
    SpareForgotten(MachineId),
    /// What a sweep saw of machines; only what changed is written.
    Health(Vec<(MachineId, Health)>),
    /// A tenant is erased, with everything that belongs to it.
    EraseTenant(TenantId),
    /// A tenant is not to be erased any more. Refused when it is again, since a moment.
    Kept(TenantId),
    /// Of a tenant's payments nothing is to be kept in view. Refused when something is, since a moment.
    CloseBilling(TenantId),
    /// What was known of payments was otherwise at Stripe.
    Differs(Uuid, Box<Difference>),
    /// What became of an invitation's mail.
    Invited(InvitationId, String),
    /// An alert fired, or was told.
    Notice(store::notices::Write),
    /// A letter was sent, or not: in words.
    LetterEnded(LetterId, String),
    /// The owners of the flow's tenant are told something, once for its cause.
    Tell(&'static str, Told),
}

/// A flow of the house that another one starts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HouseFlow {
    /// Its id.
    pub id: FlowId,
    /// Which behaviour.
    pub kind: &'static str,
    /// What it is about; unique within a kind.
    pub subject: Uuid,
    /// Its first step.
    pub step: Value,
    /// How long it may stay in that step.
    pub deadline: Option<Duration>,
}

/// A write on the tenant's tables.
#[derive(Debug)]
pub enum TenantWrite {
    /// What was seen of an agent.
    Observe(AgentId, Box<Observation>),
    /// What happened to it.
    Say(AgentId, Vec<Happening>),
    /// An exchange ended.
    EndExchange(ExchangeId, AgentId, ExchangeState, Option<Sealed>),
    /// An exchange is forgotten.
    ForgetExchange(ExchangeId),
    /// An agent is forgotten.
    ForgetAgent(AgentId),
}

impl TenantWrite {
    /// A proof ended: it stands with the agent and on the timeline.
    pub(crate) fn proof(agent: AgentId, proof: ProofFacts) -> [Self; 2] {
        [
            Self::Observe(agent, Box::new(Observation { proof: Some(proof.clone()), ..Observation::default() })),
            Self::Say(agent, vec![Happening::Proof { proof }]),
        ]
    }
}

/// What the keys of alerts about strangers begin with.
pub(crate) const STRANGER: &str = "machine_mismatch:berth-";

pub(crate) async fn write_house(
    tx: &mut SystemTx,
    world: &World,
    (from, tenant): (FlowId, Option<TenantId>),
    write: &HouseWrite,
) -> Result<(), StoreError> {
    match write {
        HouseWrite::Reserve(reservation) => {
            let machine = NewMachine {
                id: reservation.id,
                owner: tenant.zip(reservation.agent),
                provider: world.machines.provider,
                isolation: world.provider.isolation(),
                image: &world.machines.image,
                host_key: &reservation.host_key,
                keys: &reservation.keys,
                machine_token: reservation.machine_token,
                model_key: reservation.model_key,
            };
            match machine.owner {
                Some(_) => store::machines::reserve(tx, &machine).await,
                None => store::spares::make(tx, &machine).await,
            }
        }
        HouseWrite::Made(machine, address) => store::machines::made(tx, *machine, *address).await,
        HouseWrite::Gone(machine) => store::machines::gone(tx, *machine).await,
        HouseWrite::Hello(machine, hello) => store::machines::report_hello(tx, *machine, hello).await,
        HouseWrite::Sized(machine, size) => store::machines::sized(tx, *machine, *size).await,
        HouseWrite::InForce(machine, in_force) => store::machines::report_in_force(tx, *machine, in_force).await,
        HouseWrite::Rotated(machine, taken) => store::machine_rotations::end(tx, *machine, taken).await,
        HouseWrite::Alert { key, kind, subject, message } => {
            let id = domain::entropy::mint(world.entropy.as_ref());
            store::alerts::open(tx, &NewAlert { id, key, kind: *kind, tenant, subject, message }).await
        }
        HouseWrite::CloseAlerts(keys) => store::alerts::close(tx, keys).await,
        HouseWrite::CloseStrangersBut(keys) => store::alerts::close_others(tx, STRANGER, keys).await,
        HouseWrite::Signal(kind, subjects, signal) => store::flows::signal_house(tx, kind, subjects, signal).await,
        HouseWrite::JobEnded(run, counts) => store::jobs::end(tx, *run, counts).await,
        HouseWrite::Child(child) => store::flows::start_child(tx, from, child).await,
        HouseWrite::Start(HouseFlow { id, kind, subject, step, deadline }) => {
            let flow = NewFlow { id: *id, kind, subject: *subject, step: step.clone(), deadline: *deadline };
            store::flows::start_house(tx, &flow).await
        }
        HouseWrite::SpareReady(machine) => store::spares::ready(tx, *machine).await,
        HouseWrite::SpareForgotten(machine) => store::spares::forget(tx, *machine).await,
        HouseWrite::Health(seen) => store::fleet::report_health(tx, seen).await,
        HouseWrite::EraseTenant(tenant) => store::tenants::erase(tx, *tenant).await,
        HouseWrite::Kept(tenant) => store::tenants::confirm_kept(tx, *tenant).await,
        HouseWrite::CloseBilling(tenant) => store::billing::close(tx, *tenant).await,
        HouseWrite::Differs(id, difference) => store::billing_differences::keep(tx, *id, difference).await,
        HouseWrite::Invited(id, told) => store::members::mailed(tx, *id, told).await,
        HouseWrite::Notice(write) => store::notices::write(tx, write).await,
        HouseWrite::LetterEnded(letter, outcome) => store::letters::ended(tx, *letter, outcome).await,
        HouseWrite::Tell(cause, told) => match tenant {
            Some(tenant) => app::letters::tell(tx, world.entropy.as_ref(), tenant, cause, told).await.map(|_| ()),
            None => Ok(()),
        },
    }
}

pub(crate) async fn write_tenant(tx: &mut TenantTx, write: &TenantWrite) -> Result<(), StoreError> {
    match write {
        TenantWrite::Observe(agent, saw) => store::agents::observe(tx, *agent, saw).await,
        TenantWrite::Say(agent, what) => store::timeline::append(tx, *agent, what).await,
        TenantWrite::EndExchange(exchange, agent, state, answer) => {
            store::exchanges::end(tx, *exchange, *agent, state, answer.as_ref()).await
        }
        TenantWrite::ForgetExchange(exchange) => store::exchanges::delete(tx, *exchange).await,
        TenantWrite::ForgetAgent(agent) => store::agents::delete(tx, *agent).await,
    }
}
