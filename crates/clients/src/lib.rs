//! Other people's systems: where machines come from, and how a person is told something.
//!
//! Read [`provider`] first: [`provider::Provider`] is everything that flows
//! know of a place that hosts machines. [`incus`] is the real one, for the REST
//! API that Incus 6 and LXD 5 share; [`fake`] (feature `fake`) keeps its
//! machines in memory and a ledger of every call. [`webhook`] and [`mail`] carry
//! words out of the house; [`fake_messages`] keeps theirs in memory. [`model`] is
//! the vendor of models, [`oidc`] a vendor of identities, and [`credentials`] asks a vendor
//! whether a tenant's credential is good; `web` may call these three,
//! because a person or a stream waits on them, and nothing else here. [`payments::Payments`] is who takes
//! money, [`stripe`] the real one.
//!
//! Invariants:
//! - A machine without this installation's label is never stopped, started,
//!   changed or removed, whatever its name.
//! - "Not there" is said only when the provider said so. A doubt is an error.
//! - Every call has a limit in time, every answer one in size.
//! - The contents of the files put into a machine appear in no log and no error;
//!   nor do the words of a mail, a webhook's address, a mail server's password, or a tenant's credential.
//! - What a tenant may name is on the public internet, or was named by an operator (`reach`).
//!
//! The crate knows no database and no SSH, and decides nothing: which machine
//! should exist is for flows to know.

pub mod credentials;
pub mod incus;
pub mod mail;
pub mod model;
pub mod oidc;
mod outgoing;
pub mod payments;
pub mod provider;
pub mod reach;
pub mod stripe;
pub mod vendors;
pub mod webhook;

#[cfg(feature = "fake")]
pub mod fake;
#[cfg(feature = "fake")]
pub mod fake_messages;
