//! Asking an agent's machine something, and reading the answer.

use domain::{
    AgentId, Entropy, ExchangeId, TenantId,
    agent::Wanted,
    audit::Act,
    entropy::mint,
    exchange::{Approval, Exchange, ExchangeKind, ExchangeStep},
    names::TurnText,
    people::{Caller, Role},
};
use store::{StoreError, TenantTx, flows::NewFlow};
use vault::{DataKey, Keyring, OpenError, Owner, Place, Sealed, Secret};

use crate::{
    audit,
    keys::{self, KeyTrouble},
};

/// Kind of the flow that carries an exchange.
pub const EXCHANGE: &str = "exchange";

/// Why a question was not taken.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    /// There is no such agent in this tenant.
    #[error("there is no such agent")]
    NotFound,
    /// The role does not allow it.
    #[error("your role in this tenant does not allow talking to agents")]
    Forbidden,
    /// It has to be running for that.
    #[error("this agent is stopped; start it first")]
    NotRunning,
    /// There is no key to seal the words with.
    #[error(transparent)]
    Keys(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says something to an agent. The words are sealed before they are written.
///
/// # Errors
/// [`AskError`]; nothing was written.
pub async fn say(
    tx: &mut TenantTx,
    (ring, entropy): (&Keyring, &dyn Entropy),
    agent: AgentId,
    text: &TurnText,
    by: &Caller,
) -> Result<ExchangeId, AskError> {
    let words = Secret::new(text.as_str().as_bytes().to_vec());
    ask_in_words(tx, (ring, entropy), (agent, ExchangeKind::Turn), &words, by).await
}

/// Asks for the last log lines of an agent's machine.
///
/// # Errors
/// [`AskError`]; nothing was written.
pub async fn ask_logs(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    agent: AgentId,
    by: &Caller,
) -> Result<ExchangeId, AskError> {
    ask(tx, entropy, (mint(entropy), agent, ExchangeKind::Logs), None, by).await
}

/// Asks who waits to be let in at an agent's channels.
///
/// # Errors
/// [`AskError`]; nothing was written.
pub async fn ask_pairings(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    agent: AgentId,
    by: &Caller,
) -> Result<ExchangeId, AskError> {
    ask(tx, entropy, (mint(entropy), agent, ExchangeKind::Pairings), None, by).await
}

/// Lets somebody in at an agent's channel: from then on the agent hears them.
///
/// # Errors
/// [`AskError`]; nothing was written.
pub async fn approve(
    tx: &mut TenantTx,
    (ring, entropy): (&Keyring, &dyn Entropy),
    agent: AgentId,
    approval: &Approval,
    by: &Caller,
) -> Result<ExchangeId, AskError> {
    let words = Secret::new(serde_json::json!(approval).to_string().into_bytes());
    ask_in_words(tx, (ring, entropy), (agent, ExchangeKind::Approve), &words, by).await
}

/// One half of an exchange's words.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Half {
    /// What was asked.
    Question,
    /// What was answered.
    Answer,
}

/// Where one half lives: what its ciphertext is bound to.
#[must_use]
pub fn place(tenant: TenantId, exchange: ExchangeId, half: Half) -> Place<'static> {
    let column = match half {
        Half::Question => "question",
        Half::Answer => "answer",
    };
    Place { owner: Owner::Tenant(tenant), table: "exchanges", column, row: exchange.uuid() }
}

/// An exchange with its words opened, for the tenant whose they are.
#[derive(Debug)]
pub struct Opened {
    /// Without its words.
    pub exchange: Exchange,
    /// What was asked; a log tail asks nothing.
    pub question: Option<Secret>,
    /// What was answered, once it was.
    pub answer: Option<Secret>,
}

impl From<KeyTrouble> for AskError {
    fn from(trouble: KeyTrouble) -> Self {
        match trouble {
            KeyTrouble::Open(error) => Self::Keys(error),
            KeyTrouble::Store(error) => Self::Store(error),
        }
    }
}

impl From<KeyTrouble> for ReadExchangeError {
    fn from(trouble: KeyTrouble) -> Self {
        match trouble {
            KeyTrouble::Open(error) => Self::Sealed(error),
            KeyTrouble::Store(error) => Self::Store(error),
        }
    }
}

/// Why an exchange cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadExchangeError {
    /// The words do not open.
    #[error("the words of an exchange do not open")]
    Sealed(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// One exchange of this tenant. `None`: unknown, another tenant's, or forgotten.
///
/// # Errors
/// [`ReadExchangeError`].
pub async fn read(tx: &mut TenantTx, ring: &Keyring, id: ExchangeId) -> Result<Option<Opened>, ReadExchangeError> {
    let Some(row) = store::exchanges::by_id(tx, id).await? else { return Ok(None) };
    let key = keys::existing(tx, ring).await?;
    open(tx, (ring, key.as_ref()), row).map(Some)
}

/// The conversation with an agent of the last ten minutes, oldest first, at most 50 turns.
///
/// # Errors
/// [`ReadExchangeError`].
pub async fn conversation(tx: &mut TenantTx, ring: &Keyring, agent: AgentId) -> Result<Vec<Opened>, ReadExchangeError> {
    let rows = store::exchanges::turns(tx, agent, 50).await?;
    if rows.is_empty() {
        return Ok(Vec::new());
    }
    let key = keys::existing(tx, ring).await?;
    rows.into_iter().map(|row| open(tx, (ring, key.as_ref()), row)).collect()
}

/// Opens one half with the key that it names. What an older Berth sealed lies under a master key.
///
/// # Errors
/// [`OpenError`]
pub fn open_half(
    (ring, key): (&Keyring, Option<&DataKey>),
    place: &Place<'_>,
    sealed: &Sealed,
) -> Result<Secret, OpenError> {
    match key {
        Some(key) if key.id() == sealed.key() => key.open(place, sealed),
        _ => ring.open(place, sealed),
    }
}

fn open(
    tx: &TenantTx,
    with: (&Keyring, Option<&DataKey>),
    row: store::exchanges::ExchangeRow,
) -> Result<Opened, ReadExchangeError> {
    let id = row.exchange.id;
    let half =
        |half, sealed: Option<Sealed>| sealed.map(|s| open_half(with, &place(tx.tenant(), id, half), &s)).transpose();
    Ok(Opened {
        exchange: row.exchange,
        question: half(Half::Question, row.question)?,
        answer: half(Half::Answer, row.answer)?,
    })
}

async fn ask_in_words(
    tx: &mut TenantTx,
    (ring, entropy): (&Keyring, &dyn Entropy),
    (agent, kind): (AgentId, ExchangeKind),
    words: &Secret,
    by: &Caller,
) -> Result<ExchangeId, AskError> {
    let id: ExchangeId = mint(entropy);
    let key = keys::of_tenant(tx, ring, entropy).await?;
    let question = key.seal(entropy, &place(tx.tenant(), id, Half::Question), words);
    ask(tx, entropy, (id, agent, kind), Some(&question), by).await
}

async fn ask(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    (id, agent, kind): (ExchangeId, AgentId, ExchangeKind),
    question: Option<&Sealed>,
    by: &Caller,
) -> Result<ExchangeId, AskError> {
    let found = store::agents::by_id(tx, agent).await?.ok_or(AskError::NotFound)?;
    if by.role < Role::Member {
        return Err(AskError::Forbidden);
    }
    if found.wanted != Wanted::Running {
        return Err(AskError::NotRunning);
    }
    store::exchanges::insert(tx, id, agent, kind, question).await?;
    let step = ExchangeStep::Ask { agent };
    let flow = NewFlow {
        id: mint(entropy),
        kind: EXCHANGE,
        subject: id.uuid(),
        deadline: Some(step.deadline()),
        step: serde_json::json!(step),
    };
    store::flows::start(tx, &flow).await?;
    let act = match kind {
        ExchangeKind::Turn => Act::TurnAsk,
        ExchangeKind::Logs => Act::LogsAsk,
        ExchangeKind::Pairings => Act::PairingsAsk,
        ExchangeKind::Approve => Act::PairingApprove,
    };
    audit::record(tx, by, act, &agent, &[("exchange", &id.to_string())]).await?;
    Ok(id)
}
