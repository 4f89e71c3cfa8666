//! Which keys seal what: the house's key at start, a tenant's when it is needed, and from one master key to another.

use domain::{
    Entropy, TenantId,
    audit::{Act, Actor},
    entropy::mint,
    rotation::Rotation,
};
use store::{
    StoreError, SystemTx, TenantTx,
    flows::NewFlow,
    keys::{Master, MasterState, Wrapped},
};
use uuid::Uuid;
use vault::{DataKey, KeyId, Keyring, OpenError, Owner};

use crate::audit;

/// Kind of the flow that wraps data keys anew.
pub const ROTATION: &str = "rotation";

/// Something about keys did not go.
#[derive(Debug, thiserror::Error)]
pub enum KeyTrouble {
    /// A key is missing, or a value was altered.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a process cannot open what this database holds. Each is a sentence for the operator.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Unusable {
    /// There is no key at all.
    #[error("no master key is set")]
    NoKey,
    /// None of the keys is the one that is needed.
    #[error(
        "the master key {0} is needed, and it is not among the ones that are set: another key, or another database"
    )]
    AnotherKey(KeyId),
    /// The right key, and a value that it does not open.
    #[error("the house's data key was altered in the database; the master key is the right one")]
    Altered,
}

/// Gives the process the house's key, which is made at the very first start. Two processes at once agree.
///
/// # Errors
/// The database. What keeps it sealed is the inner error; the ring comes back as it was.
pub async fn unseal(
    tx: &mut SystemTx,
    ring: Keyring,
    entropy: &dyn Entropy,
) -> Result<Result<Keyring, (Keyring, Unusable)>, StoreError> {
    let Some(preferred) = ring.held().next() else { return Ok(Err((ring, Unusable::NoKey))) };
    let mut kept = store::keys::of_house(tx).await?;
    if kept.is_none() {
        store::keys::begin_with(tx, preferred).await?;
        let under = store::keys::current(tx).await?.unwrap_or(preferred);
        let id = entropy.uuid();
        match ring.wrap_fresh(under, entropy, Owner::House, id) {
            Ok(wrapped) => store::keys::keep(tx, &Wrapped { id, owner: Owner::House, wrapped }).await?,
            Err(_) => return Ok(Err((ring, Unusable::AnotherKey(under)))),
        }
        kept = store::keys::of_house(tx).await?;
    }
    let Some(kept) = kept else { return Ok(Err((ring, Unusable::Altered))) };
    Ok(match ring.unwrap(Owner::House, kept.id, &kept.wrapped) {
        Ok(key) => Ok(ring.with_house(key)),
        Err(OpenError::UnknownKey(id)) => Err((ring, Unusable::AnotherKey(id))),
        Err(_) => Err((ring, Unusable::Altered)),
    })
}

/// A tenant's data key; made when it has none yet.
///
/// # Errors
/// [`KeyTrouble`].
pub async fn of_tenant(tx: &mut TenantTx, ring: &Keyring, entropy: &dyn Entropy) -> Result<DataKey, KeyTrouble> {
    if let Some(key) = existing(tx, ring).await? {
        return Ok(key);
    }
    let owner = Owner::Tenant(tx.tenant());
    let under = store::keys::current_for(tx).await?.ok_or(OpenError::NoKey)?;
    let id = entropy.uuid();
    let wrapped = ring.wrap_fresh(under, entropy, owner, id)?;
    let kept = store::keys::keep_own(tx, id, &wrapped).await?.ok_or(OpenError::NoKey)?;
    Ok(ring.unwrap(owner, kept.id, &kept.wrapped)?)
}

/// A tenant's data key, if it has one.
///
/// # Errors
/// [`KeyTrouble`].
pub async fn existing(tx: &mut TenantTx, ring: &Keyring) -> Result<Option<DataKey>, KeyTrouble> {
    if ring.is_sealed() {
        return Err(OpenError::NoKey.into());
    }
    let owner = Owner::Tenant(tx.tenant());
    let Some(Wrapped { id, wrapped, .. }) = store::keys::own(tx).await? else { return Ok(None) };
    Ok(Some(ring.unwrap(owner, id, &wrapped)?))
}

/// Why no rotation began. Each is a sentence for the operator.
#[derive(Debug, thiserror::Error)]
pub enum RotateError {
    /// There is nothing to turn to.
    #[error("the first key of CREDENTIAL_ENCRYPTION_KEY is the current one already; put a new one in front of it")]
    Already,
    /// The key before is not held here, so nothing could be wrapped anew.
    #[error("the current master key {0} is not among the keys that are set; keep it behind the new one until the end")]
    CurrentMissing(KeyId),
    /// One at a time.
    #[error("another rotation is not over yet; `berth keys status` says how far it is")]
    UnderWay,
    /// The key was refused for good by an earlier rotation.
    #[error("the key {0} was retired and is not taken again; make a new one with `openssl rand -base64 32`")]
    Retired(KeyId),
    /// There is no key, or no house key yet.
    #[error("this database has no key yet; start Berth once")]
    NotBegun,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Makes the preferred key of this process the current one, and starts the flow that wraps everything anew under it.
///
/// # Errors
/// [`RotateError`]; the caller does not commit.
pub async fn rotate(tx: &mut SystemTx, ring: &Keyring, entropy: &dyn Entropy, by: Actor) -> Result<KeyId, RotateError> {
    let to = ring.held().next().ok_or(RotateError::NotBegun)?;
    let masters = store::keys::masters(tx).await?;
    let current = masters.iter().find(|one| one.state == MasterState::Current).ok_or(RotateError::NotBegun)?.id;
    match masters.iter().find(|one| one.id == to).map(|one| one.state) {
        Some(MasterState::Current) => return Err(RotateError::Already),
        Some(MasterState::Retiring) => return Err(RotateError::UnderWay),
        Some(MasterState::Retired) => return Err(RotateError::Retired(to)),
        None => {}
    }
    if !ring.held().any(|held| held == current) {
        return Err(RotateError::CurrentMissing(current));
    }
    if !store::keys::turn_to(tx, to).await? {
        return Err(RotateError::UnderWay);
    }
    let step = Rotation::Rewrap;
    let flow = NewFlow {
        id: mint(entropy),
        kind: ROTATION,
        subject: Uuid::from_bytes(to.0),
        step: serde_json::json!(step),
        deadline: Some(step.deadline()),
    };
    store::flows::start_house(tx, &flow).await?;
    let details = [("from", &*current.to_string()), ("to", &*to.to_string())];
    audit::record_house_by(tx, by, Act::KeysRotate, &to, &details).await?;
    Ok(to)
}

/// Every master key that this database has seen, the current one first.
///
/// # Errors
/// The database.
pub async fn status(tx: &mut SystemTx) -> Result<Vec<Master>, StoreError> {
    store::keys::masters(tx).await
}

/// Destroys a tenant's data key and removes its credentials, which nobody can open any more. `false`: it had no key.
///
/// Backups made before still hold the wrapped key: they end with the master key under which it is wrapped there.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn shred(mut tx: SystemTx, tenant: TenantId, by: Actor) -> Result<(SystemTx, bool), StoreError> {
    let done = store::keys::destroy(&mut tx, tenant).await?;
    // Flow, agent, audit: the order in which everybody locks them.
    let mut tx = tx.into_tenant(tenant).await?;
    for agent in store::credentials::agents_with(&mut tx).await? {
        store::order::flow_first(&mut tx, crate::agents::LIFE, agent.uuid()).await?;
        store::credentials::changed_for(&mut tx, agent).await?;
        store::flows::signal(&mut tx, crate::agents::LIFE, agent.uuid(), crate::agents::signal::WANTED).await?;
    }
    store::credentials::remove_all(&mut tx).await?;
    let mut tx = tx.into_house().await?;
    audit::record_for(&mut tx, tenant, by, Act::KeysShred, (&tenant, &[])).await?;
    Ok((tx, done))
}
