//! What a tenant gives Berth to use: set, replaced, removed, and opened for one purpose at a time.
//!
//! Whoever opens a value says what for, and the tenant's chain has it before the value is used: an event that cannot
//! be written ends the opening. A value never leaves by the API.

use domain::{
    AgentId, CredentialId, Entropy, TenantId,
    agent::{Agent, Wanted},
    audit::{Act, Actor, NewEvent},
    credential::{BadCredential, BaseUrl, Checked, Kind, VARIABLES_MAX, Value, VariableName},
    entropy::mint,
    people::{Caller, Role},
    timeline::Happening,
};
use store::{
    StoreError, TenantTx,
    credentials::{Credential, NewCredential, SealedCredential},
};
use vault::{DataKey, Fingerprint, Keyring, OpenError, Owner, Place, Sealed, Secret};

use crate::{
    agents::{LIFE, signal},
    audit,
    keys::{self, KeyTrouble},
};

/// What somebody wants to set.
#[derive(Debug)]
pub struct Wish<'a> {
    /// For which agent; none for a key to models.
    pub agent: Option<AgentId>,
    /// A variable's name.
    pub name: Option<&'a VariableName>,
    /// Where a compatible vendor's API begins.
    pub base_url: Option<&'a BaseUrl>,
    /// The value, of its kind's form.
    pub value: &'a Value,
    /// What its vendor said, if it was asked.
    pub checked: Option<Checked>,
}

/// Why a credential was not set or removed. Each is a sentence for who asked.
#[derive(Debug, thiserror::Error)]
pub enum CredentialError {
    /// The role does not allow it.
    #[error(
        "your role in this tenant does not allow changing this: keys to models are for admins, an agent's for members"
    )]
    Forbidden,
    /// There is no such agent in this tenant.
    #[error("there is no such agent")]
    NoAgent,
    /// There is no such credential in this tenant.
    #[error("there is no such credential")]
    NotFound,
    /// It does not fit its kind.
    #[error(transparent)]
    Bad(#[from] BadCredential),
    /// The agent has as many variables as it can have.
    #[error("an agent has at most {VARIABLES_MAX} variables")]
    TooMany,
    /// An agent of this installation has this bot. Whose it is stays untold.
    #[error("this bot is in use already; one bot speaks for one agent, so make another bot, or free this one first")]
    BotTaken,
    /// Somebody set the same one at this moment.
    #[error("somebody else set this at the same moment; look at it and try again")]
    Again,
    /// There is no key to seal it with, or the value does not open.
    #[error(transparent)]
    Keys(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl From<KeyTrouble> for CredentialError {
    fn from(trouble: KeyTrouble) -> Self {
        match trouble {
            KeyTrouble::Open(error) => Self::Keys(error),
            KeyTrouble::Store(error) => Self::Store(error),
        }
    }
}

/// Keeps a value, or puts it in the place of the one before, and has it brought to the agent's machine.
///
/// # Errors
/// [`CredentialError`]; the caller does not commit.
pub async fn set(
    tx: &mut TenantTx,
    (ring, entropy): (&Keyring, &dyn Entropy),
    wish: &Wish<'_>,
    by: &Caller,
) -> Result<Credential, CredentialError> {
    let kind = wish.value.kind();
    fits(kind, wish.agent.is_some(), wish.name.is_some(), wish.base_url.is_some())?;
    may_change(tx, wish.agent, by).await?;
    let name = wish.name.map_or("", VariableName::as_str);
    if let (Kind::Variable, Some(agent)) = (kind, wish.agent)
        && store::credentials::variables_beside(tx, agent, name).await? >= i64::try_from(VARIABLES_MAX).unwrap_or(0)
    {
        return Err(CredentialError::TooMany);
    }
    let tail = wish.value.tail();
    let mut new = NewCredential {
        id: mint(entropy),
        agent: wish.agent,
        kind,
        name,
        base_url: wish.base_url.map(BaseUrl::as_str),
        checked: wish.checked.as_ref(),
        tail: &tail,
        by: by.user,
    };
    new.id = store::credentials::place_of(tx, &new).await?.unwrap_or(new.id);
    let key = keys::of_tenant(tx, ring, entropy).await?;
    let secret = Secret::new(wish.value.expose().as_bytes().to_vec());
    let sealed = key.seal(entropy, &place(tx.tenant(), new.id), &secret);
    let kept =
        store::credentials::put(tx, &new, (&sealed, fingerprint(&key, wish))).await?.ok_or(CredentialError::Again)?;
    if kind.is_bot_token() {
        let hashes = ring.keyed("bot token", format!("{} {}", kind.name(), wish.value.expose()).as_bytes())?;
        let hashes: Vec<Vec<u8>> = hashes.all().map(|hash| hash.to_vec()).collect();
        if !store::credentials::take_bot(tx, kept.id, &hashes).await? {
            return Err(CredentialError::BotTaken);
        }
    }
    bring(tx, kept.agent, format!("set {}", kind.name()), by).await?;
    let version = kept.version.to_string();
    audit::record(tx, by, Act::CredentialSet, &kept.id, &[("kind", kind.name()), ("version", &version)]).await?;
    Ok(kept)
}

/// Removes one, from its agent's machine too.
///
/// # Errors
/// [`CredentialError`]; the caller does not commit.
pub async fn remove(tx: &mut TenantTx, id: CredentialId, by: &Caller) -> Result<Credential, CredentialError> {
    // Looked up before it is locked: flow, agent, credential is the order in which everybody locks them.
    let found = store::credentials::by_id(tx, id).await?.ok_or(CredentialError::NotFound)?;
    may_change(tx, found.credential.agent, by).await?;
    let removed = store::credentials::remove(tx, id).await?.ok_or(CredentialError::NotFound)?;
    bring(tx, removed.agent, format!("remove {}", removed.kind.name()), by).await?;
    audit::record(tx, by, Act::CredentialRemove, &id, &[("kind", removed.kind.name())]).await?;
    Ok(removed)
}

/// Everything of this tenant but the values.
///
/// # Errors
/// The database.
pub async fn list(tx: &mut TenantTx) -> Result<Vec<Credential>, StoreError> {
    store::credentials::all(tx).await
}

/// A value on its way to its one use, with what is known of it. The caller commits before it uses it.
#[derive(Debug)]
pub struct Opened {
    /// Without its value.
    pub credential: Credential,
    /// The value.
    pub secret: Secret,
}

/// Opens one for its vendor to be asked about it.
///
/// # Errors
/// [`CredentialError`]; the caller does not commit.
pub async fn open_for_test(
    tx: &mut TenantTx,
    ring: &Keyring,
    id: CredentialId,
    by: &Caller,
) -> Result<Opened, CredentialError> {
    let found = store::credentials::by_id(tx, id).await?.ok_or(CredentialError::NotFound)?;
    may_change(tx, found.credential.agent, by).await?;
    let key = keys::existing(tx, ring).await?.ok_or(OpenError::NoKey)?;
    let opened = open(tx.tenant(), &key, found)?;
    said(tx, Actor::of(by), Act::CredentialTest, &opened.credential, "test").await?;
    Ok(opened)
}

/// Opens the tenant's own key of this kind for a call of one of its agents. `None`: it has none.
///
/// # Errors
/// [`CredentialError`]; the caller does not commit.
pub async fn open_for_model(tx: &mut TenantTx, ring: &Keyring, kind: Kind) -> Result<Option<Opened>, CredentialError> {
    let Some(found) = store::credentials::model_key(tx, kind).await? else { return Ok(None) };
    let key = keys::existing(tx, ring).await?.ok_or(OpenError::NoKey)?;
    let opened = open(tx.tenant(), &key, found)?;
    said(tx, Actor::berth(), Act::CredentialOpen, &opened.credential, "model call").await?;
    Ok(Some(opened))
}

/// What an agent's machine is to be given.
#[derive(Debug, Default)]
pub struct Delivery {
    /// How often it has changed so far.
    pub version: u64,
    /// The values.
    pub opened: Vec<Opened>,
}

/// Opens everything that an agent's machine is to be given.
///
/// # Errors
/// [`CredentialError`]; the caller does not commit.
pub async fn open_for_delivery(tx: &mut TenantTx, ring: &Keyring, agent: AgentId) -> Result<Delivery, CredentialError> {
    // The version first: what changes between the two is sent under the older one, and sent again.
    let version = store::credentials::wanted_of(tx, agent).await?;
    let rows = store::credentials::of_agent(tx, agent).await?;
    if rows.is_empty() {
        return Ok(Delivery { version, opened: Vec::new() });
    }
    let key = keys::existing(tx, ring).await?.ok_or(OpenError::NoKey)?;
    let mut opened = Vec::with_capacity(rows.len());
    for row in rows {
        let one = open(tx.tenant(), &key, row)?;
        said(tx, Actor::berth(), Act::CredentialOpen, &one.credential, "delivery").await?;
        opened.push(one);
    }
    Ok(Delivery { version, opened })
}

/// What its vendor says now. A value that was replaced meanwhile is not meant.
///
/// # Errors
/// The database.
pub async fn judged(tx: &mut TenantTx, of: &Credential, checked: &Checked) -> Result<(), StoreError> {
    store::credentials::checked(tx, of.id, of.version, checked).await
}

/// Where a credential's value lives: what its ciphertext is bound to.
#[must_use]
pub fn place(tenant: TenantId, credential: CredentialId) -> Place<'static> {
    Place { owner: Owner::Tenant(tenant), table: "credentials", column: "sealed", row: credential.uuid() }
}

/// What operators tell a value by. A key or a token has the same one wherever its tenant sets it as that kind: so they see
/// that a revoked one was set again. A variable may be a word that others are too, so its agent and its name are part of it.
fn fingerprint(key: &DataKey, wish: &Wish<'_>) -> Fingerprint {
    let kind = wish.value.kind();
    let agent = wish.agent.filter(|_| kind == Kind::Variable).map(AgentId::uuid);
    let agent = agent.as_ref().map_or(&[][..], |agent| &agent.as_bytes()[..]);
    let name = wish.name.map_or("", VariableName::as_str);
    Fingerprint::of(key, &[kind.name().as_bytes(), agent, name.as_bytes(), wish.value.expose().as_bytes()])
}

fn open(tenant: TenantId, key: &DataKey, found: SealedCredential) -> Result<Opened, OpenError> {
    let SealedCredential { credential, sealed } = found;
    let sealed: Sealed = sealed;
    Ok(Opened { secret: key.open(&place(tenant, credential.id), &sealed)?, credential })
}

/// Whether a kind has what belongs to it, and nothing else: an agent, a name, an address.
///
/// # Errors
/// [`BadCredential`]
pub fn fits(kind: Kind, agent: bool, name: bool, address: bool) -> Result<(), BadCredential> {
    match () {
        () if kind.is_model_key() == agent => Err(BadCredential::Owner),
        () if (kind == Kind::Variable) != name => Err(BadCredential::NameMissing),
        () if (kind == Kind::Compatible) != address => Err(BadCredential::Address),
        () => Ok(()),
    }
}

/// Keys to models spend the tenant's money with its vendors; what an agent has is for whoever may run it.
async fn may_change(tx: &mut TenantTx, agent: Option<AgentId>, by: &Caller) -> Result<(), CredentialError> {
    let Some(agent) = agent else {
        return if by.role < Role::Admin { Err(CredentialError::Forbidden) } else { Ok(()) };
    };
    store::order::flow_first(tx, LIFE, agent.uuid()).await?;
    let found: Option<Agent> = store::agents::lock(tx, agent).await?;
    found.filter(|agent| agent.wanted != Wanted::Gone).ok_or(CredentialError::NoAgent)?;
    if by.role < Role::Member { Err(CredentialError::Forbidden) } else { Ok(()) }
}

/// Has it brought to the machine, and says so on the agent's timeline.
async fn bring(tx: &mut TenantTx, agent: Option<AgentId>, what: String, by: &Caller) -> Result<(), StoreError> {
    let Some(agent) = agent else { return Ok(()) };
    store::credentials::changed_for(tx, agent).await?;
    store::timeline::append(tx, agent, &[Happening::Asked { what, by: by.email.as_str().to_owned() }]).await?;
    store::flows::signal(tx, LIFE, agent.uuid(), signal::WANTED).await
}

async fn said(tx: &mut TenantTx, by: Actor, act: Act, of: &Credential, purpose: &str) -> Result<(), StoreError> {
    let version = of.version.to_string();
    let details = [("kind", of.kind.name()), ("purpose", purpose), ("version", &version)];
    store::audit::append(tx, &NewEvent::new(by, act, &of.id, &details)).await
}
