//! Keeping what other systems tell, before anybody understands it, and then understanding it.

use domain::{
    Entropy, EventId, TenantId,
    audit::Act,
    entropy::mint,
    event::{About, BadEvent, StripeEvent},
    people::Caller,
};
use store::{Db, StoreError, SystemTx, events::NewEvent};

use crate::{audit, billing};

pub use store::events::EVENT;

/// Why an event was not kept.
#[derive(Debug, thiserror::Error)]
pub enum KeepError {
    /// That is no event.
    #[error(transparent)]
    Bad(#[from] BadEvent),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps an event of Stripe's whose signature was checked, and has it understood later. `false`: it was kept before. It
/// is on the disk when this returns.
///
/// # Errors
/// [`KeepError`]; nothing is written then.
pub async fn keep_at_once(db: &Db, entropy: &dyn Entropy, body: &[u8]) -> Result<bool, KeepError> {
    let read = StripeEvent::read(body)?;
    Ok(store::events::keep_at_once(db, &new(&read, entropy, body), mint(entropy)).await?)
}

/// The same within a transaction.
///
/// # Errors
/// [`KeepError`]; the caller does not commit.
pub async fn keep(tx: &mut SystemTx, entropy: &dyn Entropy, body: &[u8]) -> Result<bool, KeepError> {
    let read = StripeEvent::read(body)?;
    Ok(store::events::keep(tx, &new(&read, entropy, body), mint(entropy)).await?)
}

fn new<'a>(read: &'a StripeEvent, entropy: &dyn Entropy, body: &'a [u8]) -> NewEvent<'a> {
    NewEvent { id: mint(entropy), name: read.name.as_str(), kind: &read.kind, is_live: read.is_live, body }
}

/// What came of reading an event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Read {
    /// It was read, now or before.
    Done,
    /// Only Stripe knows whom this charge is about. Ask, then come back with the answer.
    WhoPaid(String),
}

/// Finds out whom an event is about and has that tenant's payments looked at again. `who` is the customer of its charge,
/// once Stripe was asked: `Some(None)` where Stripe knows of none.
///
/// # Errors
/// The database; the caller does not commit.
pub async fn read(tx: &mut SystemTx, id: EventId, who: Option<Option<&About>>) -> Result<Read, StoreError> {
    let Some((body, _)) = store::events::unread(tx, id).await? else { return Ok(Read::Done) };
    let Ok(event) = StripeEvent::read(&body) else {
        store::events::read(tx, id, "this build cannot read it", None).await?;
        return Ok(Read::Done);
    };
    let about = match (&event.about, who) {
        (About::Charge(charge), None) => return Ok(Read::WhoPaid(charge.clone())),
        (About::Charge(_), Some(who)) => who.unwrap_or(&About::Nobody),
        (about, _) => about,
    };
    let tenant = tenant_of(tx, about).await?;
    let outcome = match (tenant, about) {
        (Some(_), _) => "its tenant's payments are looked at again",
        (None, About::Customer(_) | About::Charge(_)) => "no tenant here is that customer",
        (None, About::Tenant(_)) => "there is no such tenant here, or it was never sent to Stripe",
        (None, About::Nobody) => "it is about nobody here",
    };
    if let Some(tenant) = tenant {
        billing::look_again(tx, tenant).await?;
    }
    store::events::read(tx, id, outcome, tenant).await?;
    Ok(Read::Done)
}

/// Why an event is not read again.
#[derive(Debug, thiserror::Error)]
pub enum ReadAgainError {
    /// Only who runs the service.
    #[error("only an operator has an event read again")]
    Forbidden,
    /// There is no such event.
    #[error("there is no such event")]
    NotFound,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Has an event understood once more, as it was kept: whom it is about is found anew, and that tenant's payments are looked at
/// again. One that is waiting is tried at once. Asking twice is asking once.
///
/// # Errors
/// [`ReadAgainError`]; the caller does not commit.
pub async fn read_again(
    tx: &mut SystemTx,
    entropy: &dyn Entropy,
    id: EventId,
    by: &Caller,
) -> Result<(), ReadAgainError> {
    if !by.is_operator {
        return Err(ReadAgainError::Forbidden);
    }
    if !store::events::read_again(tx, id, mint(entropy), billing::LOOK).await? {
        return Err(ReadAgainError::NotFound);
    }
    Ok(audit::record_house(tx, by, Act::EventRead, &id, &[]).await?)
}

async fn tenant_of(tx: &mut SystemTx, about: &About) -> Result<Option<TenantId>, StoreError> {
    match about {
        About::Customer(customer) => store::billing::tenant_of(tx, customer).await,
        // Believed as far as looking goes: what is found is asked of Stripe by the customer that Berth wrote down itself.
        About::Tenant(tenant) => Ok(store::billing::is_open(tx, *tenant).await?.then_some(*tenant)),
        About::Charge(_) | About::Nobody => Ok(None),
    }
}
