//! Creating, running and deleting agents.

use domain::{
    AgentId, Entropy, MachineId,
    agent::{Agent, Seen, Wanted},
    audit::Act,
    entropy::mint,
    instructions::Choices,
    life::Life,
    names::AgentName,
    people::{Caller, Role},
    timeline::{Happening, Usual},
};
use store::{StoreError, SystemTx, TenantTx, flows::NewFlow};

use crate::{
    audit,
    billing::{NotPaid, Room},
};

/// Kind of the flow that lives an agent's life.
pub const LIFE: &str = "life";

/// What an agent's flow can be asked.
pub mod signal {
    /// What is wanted changed.
    pub const WANTED: &str = "wanted";
    /// Restart the gateway.
    pub const RESTART: &str = "restart";
    /// Take a proof.
    pub const PROVE: &str = "prove";
    /// Replace the machine's gateway token and machine key.
    pub const ROTATE: &str = "rotate";
    /// Try again after a failure.
    pub const RETRY: &str = "retry";
    /// The machine is up.
    pub const UP: &str = "up";
    /// The gateway is ready.
    pub const GATEWAY_READY: &str = "gateway_ready";
    /// The machine is of another size than its tenant's plan.
    pub const FIT: &str = "fit";
    /// The gateway is not ready any more, or a sweep could not reach it.
    pub const LOOK: &str = "look";
}

/// How long the steps of an agent's life usually take here.
///
/// # Errors
/// The database.
pub async fn usual_steps(tx: &mut SystemTx) -> Result<Vec<Usual>, StoreError> {
    let steps = Life::every(MachineId::from_uuid(uuid::Uuid::nil()));
    let steps: Vec<&str> = steps.iter().map(Life::name).collect();
    store::history::usual(tx, LIFE, &steps).await
}

/// An agent that is asked for.
#[derive(Debug, Clone)]
pub struct NewAgent {
    /// The id that it gets, unless the same `asked_with` made one before.
    pub id: AgentId,
    /// Its name.
    pub name: AgentName,
    /// Its model, which the caller has found on the menu, and its instructions.
    pub choices: Choices,
}

impl NewAgent {
    /// An agent with a name and nothing chosen.
    #[must_use]
    pub fn named(entropy: &dyn Entropy, name: AgentName) -> Self {
        Self { id: mint(entropy), name, choices: Choices::default() }
    }
}

/// Why an agent was not created.
#[derive(Debug, thiserror::Error)]
pub enum CreateAgentError {
    /// The role does not allow it.
    #[error("your role in this tenant does not allow creating agents")]
    Forbidden,
    /// Another agent of this tenant has this name.
    #[error("you already have an agent with that name")]
    NameTaken,
    /// The Idempotency-Key was used for an agent of another name, model or instructions.
    #[error("that Idempotency-Key was used for another request")]
    KeyReused,
    /// Nobody pays for it.
    #[error(transparent)]
    NotPaid(#[from] NotPaid),
    /// The database.
    #[error(transparent)]
    Store(StoreError),
}

/// Creates an agent and starts its life. The same `asked_with` returns the agent it created before.
///
/// # Errors
/// [`CreateAgentError`]; nothing was written.
pub async fn create(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    new: &NewAgent,
    asked_with: Option<&str>,
    by: &Caller,
) -> Result<Agent, CreateAgentError> {
    use CreateAgentError::{Forbidden, KeyReused, NameTaken, Store};
    if by.role < Role::Member {
        return Err(Forbidden);
    }
    // Nobody else makes one from here on: a request that is repeated while the first one is at it finds its agent.
    let room = Room::of(tx).await.map_err(Store)?;
    if let Some(key) = asked_with
        && let Some(agent) = store::agents::by_asked_with(tx, key).await.map_err(Store)?
    {
        let before = store::agents::with_choices(tx, agent.id).await.map_err(Store)?;
        let is_same = before.is_some_and(|before| before.agent.name == new.name && before.choices == new.choices);
        return if is_same { Ok(agent) } else { Err(KeyReused) };
    }
    let (id, name) = (new.id, &new.name);
    room.for_a_new_one()?;
    let since = room.now;
    let seen = Seen::Preparing { since };
    store::agents::insert(tx, id, (name, &new.choices), &seen, asked_with).await.map_err(|error| match error {
        taken if taken.is_conflict("agents_name_key") => NameTaken,
        other => Store(other),
    })?;
    let asked = [asked("create", by), Happening::Seen { seen }];
    store::timeline::append(tx, id, &asked).await.map_err(Store)?;
    let flow = NewFlow {
        id: mint(entropy),
        kind: LIFE,
        subject: id.uuid(),
        step: serde_json::json!(Life::Reserve),
        deadline: Life::Reserve.deadline(),
    };
    store::flows::start(tx, &flow).await.map_err(Store)?;
    audit::record(tx, by, Act::AgentCreate, &id, &[("name", name.as_str())]).await.map_err(Store)?;
    store::agents::by_id(tx, id).await.map_err(Store)?.ok_or(Forbidden)
}

/// Why an agent was left as it is.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAgentError {
    /// There is no such agent in this tenant.
    #[error("there is no such agent")]
    NotFound,
    /// The role does not allow it.
    #[error("your role in this tenant does not allow that")]
    Forbidden,
    /// It is being deleted.
    #[error("this agent is being deleted")]
    Deleting,
    /// It has to be running for that.
    #[error("this agent is stopped; start it first")]
    NotRunning,
    /// It has no machine whose token and key could be replaced.
    #[error("this agent has no machine yet; the token and the key of its first one will be new")]
    NoMachine,
    /// There is nothing to retry.
    #[error("there is nothing to retry: this agent has not failed")]
    NotFailed,
    /// Nobody pays for it to run.
    #[error(transparent)]
    NotPaid(#[from] NotPaid),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Lets an agent rest. Already resting is success.
///
/// # Errors
/// [`ChangeAgentError`]; nothing was written.
pub async fn stop(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    want(tx, id, Wanted::Stopped, ("stop", Act::AgentStop), by).await
}

/// Wants an agent to answer. Already running is success.
///
/// # Errors
/// [`ChangeAgentError`]; nothing was written.
pub async fn start(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    want(tx, id, Wanted::Running, ("start", Act::AgentStart), by).await
}

/// Restarts a running agent's gateway.
///
/// # Errors
/// [`ChangeAgentError`]; nothing was written.
pub async fn restart(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    ask_running(tx, id, signal::RESTART, by).await
}

/// Asks for a proof: a real turn through the agent's gateway.
///
/// # Errors
/// [`ChangeAgentError`]; nothing was written.
pub async fn prove(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    ask_running(tx, id, signal::PROVE, by).await
}

/// Has the gateway token and the machine key of its machine replaced: at once where it runs, at its next start where
/// it does not. Asked again while that is on its way, it is the same one.
///
/// # Errors
/// [`ChangeAgentError`]; the caller does not commit.
pub async fn rotate(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    let agent = changeable(tx, id, Role::Admin, by).await?;
    store::timeline::append(tx, id, &[asked(signal::ROTATE, by)]).await?;
    store::flows::signal(tx, LIFE, id.uuid(), signal::ROTATE).await?;
    record(tx, by, Act::AgentRotate, &agent).await?;
    // The machine's row last: a delivery locks it after it wrote to the audit.
    if store::machine_rotations::ask(tx, id).await? { Ok(agent) } else { Err(ChangeAgentError::NoMachine) }
}

/// Tries again where Berth gave up.
///
/// # Errors
/// [`ChangeAgentError`]; nothing was written.
pub async fn retry(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    let room = Room::of(tx).await?;
    let agent = changeable(tx, id, Role::Member, by).await?;
    if !matches!(agent.seen, Seen::Failed { .. }) {
        return Err(ChangeAgentError::NotFailed);
    }
    if agent.wanted != Wanted::Running {
        room.to_run()?;
    }
    // Whoever retries wants it to run, also if it was wanted stopped meanwhile.
    store::agents::set_wanted(tx, id, Wanted::Running).await?;
    store::timeline::append(tx, id, &[asked(signal::RETRY, by)]).await?;
    store::flows::signal(tx, LIFE, id.uuid(), signal::RETRY).await?;
    record(tx, by, Act::AgentRetry, &agent).await?;
    fresh(tx, id).await
}

/// Wants an agent gone: its machine is destroyed, then the agent is forgotten. Asking twice is asking once.
///
/// # Errors
/// [`ChangeAgentError`]; nothing was written.
pub async fn remove(tx: &mut TenantTx, id: AgentId, by: &Caller) -> Result<Agent, ChangeAgentError> {
    let agent = match changeable(tx, id, Role::Admin, by).await {
        Err(ChangeAgentError::Deleting) => return fresh(tx, id).await,
        other => other?,
    };
    store::agents::set_wanted(tx, id, Wanted::Gone).await?;
    let said = [asked("delete", by), Happening::Wanted { wanted: Wanted::Gone }];
    store::timeline::append(tx, id, &said).await?;
    store::flows::ask_removal(tx, LIFE, id.uuid()).await?;
    record(tx, by, Act::AgentDelete, &agent).await?;
    fresh(tx, agent.id).await
}

async fn want(
    tx: &mut TenantTx,
    id: AgentId,
    wanted: Wanted,
    (word, act): (&str, Act),
    by: &Caller,
) -> Result<Agent, ChangeAgentError> {
    let room = if wanted == Wanted::Running { Some(Room::of(tx).await?) } else { None };
    let agent = changeable(tx, id, Role::Member, by).await?;
    if agent.wanted == wanted {
        return Ok(agent);
    }
    room.as_ref().map_or(Ok(()), Room::to_run)?;
    store::agents::set_wanted(tx, id, wanted).await?;
    store::timeline::append(tx, id, &[asked(word, by), Happening::Wanted { wanted }]).await?;
    store::flows::signal(tx, LIFE, id.uuid(), signal::WANTED).await?;
    record(tx, by, act, &agent).await?;
    fresh(tx, id).await
}

async fn ask_running(tx: &mut TenantTx, id: AgentId, what: &str, by: &Caller) -> Result<Agent, ChangeAgentError> {
    let agent = changeable(tx, id, Role::Member, by).await?;
    if agent.wanted != Wanted::Running {
        return Err(ChangeAgentError::NotRunning);
    }
    let (word, act) = if what == signal::PROVE { ("proof", Act::AgentProve) } else { (what, Act::AgentRestart) };
    store::timeline::append(tx, id, &[asked(word, by)]).await?;
    store::flows::signal(tx, LIFE, id.uuid(), what).await?;
    record(tx, by, act, &agent).await?;
    Ok(agent)
}

/// The agent, locked, if it exists, the role suffices, and it is not on its way out.
async fn changeable(tx: &mut TenantTx, id: AgentId, least: Role, by: &Caller) -> Result<Agent, ChangeAgentError> {
    store::order::flow_first(tx, LIFE, id.uuid()).await?;
    let agent = store::agents::lock(tx, id).await?.ok_or(ChangeAgentError::NotFound)?;
    if by.role < least {
        return Err(ChangeAgentError::Forbidden);
    }
    match agent.wanted {
        Wanted::Running | Wanted::Stopped => Ok(agent),
        Wanted::Gone => Err(ChangeAgentError::Deleting),
    }
}

async fn fresh(tx: &mut TenantTx, id: AgentId) -> Result<Agent, ChangeAgentError> {
    store::agents::by_id(tx, id).await?.ok_or(ChangeAgentError::NotFound)
}

async fn record(tx: &mut TenantTx, by: &Caller, act: Act, agent: &Agent) -> Result<(), StoreError> {
    audit::record(tx, by, act, &agent.id, &[("name", agent.name.as_str())]).await
}

fn asked(what: &str, by: &Caller) -> Happening {
    Happening::Asked { what: what.to_owned(), by: by.email.as_str().to_owned() }
}
