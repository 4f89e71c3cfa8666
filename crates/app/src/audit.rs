//! Who did what: written in the transaction of the act itself.
//!
//! When an event cannot be written, the error ends the act: its caller does not commit.
//! [`chain`] verifies a chain without a database, [`walk`] those of one.

pub mod chain;
pub mod walk;

use std::fmt::Display;

use domain::{
    TenantId,
    audit::{Act, Actor, NewEvent},
    people::Caller,
};
use store::{StoreError, SystemTx, TenantTx};

/// Writes to the chain of the caller's tenant.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn record(
    tx: &mut TenantTx,
    by: &Caller,
    act: Act,
    subject: &(dyn Display + Sync),
    details: &[(&str, &str)],
) -> Result<(), StoreError> {
    let event = NewEvent::new(Actor::of(by), act, subject, details);
    store::audit::append(tx, &event).await
}

/// Writes to a tenant's chain what Berth did by itself.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn record_own(
    tx: &mut TenantTx,
    act: Act,
    subject: &(dyn Display + Sync),
    details: &[(&str, &str)],
) -> Result<(), StoreError> {
    store::audit::append(tx, &NewEvent::new(Actor::berth(), act, subject, details)).await
}

/// Writes to a tenant's chain from a transaction on the house tables.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn record_for(
    tx: &mut SystemTx,
    tenant: TenantId,
    actor: Actor,
    act: Act,
    (subject, details): (&(dyn Display + Sync), &[(&str, &str)]),
) -> Result<(), StoreError> {
    let event = NewEvent::new(actor, act, subject, details);
    store::audit::append_for(tx, tenant, &event).await
}

/// Writes to the house's chain: what an operator does that is no tenant's.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn record_house(
    tx: &mut SystemTx,
    by: &Caller,
    act: Act,
    subject: &(dyn Display + Sync),
    details: &[(&str, &str)],
) -> Result<(), StoreError> {
    record_house_by(tx, Actor::of(by), act, subject, details).await
}

/// The same for somebody at the server's command line, and for Berth itself.
///
/// # Errors
/// The database; then nothing may be committed.
pub async fn record_house_by(
    tx: &mut SystemTx,
    by: Actor,
    act: Act,
    subject: &(dyn Display + Sync),
    details: &[(&str, &str)],
) -> Result<(), StoreError> {
    let event = NewEvent::new(by, act, subject, details);
    store::audit::append_house(tx, &event).await
}
