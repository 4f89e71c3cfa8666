//! Other people's HTTP: where machines come from, and where models answer.
//!
//! Read [`provider`] first: [`provider::Provider`] is everything that flows
//! know of a place that hosts machines. [`incus`] is the real one, for the REST
//! API that Incus 6 and LXD 5 share; [`fake`] (feature `fake`) keeps its
//! machines in memory and a ledger of every call. [`model`] is the vendor of
//! models, which `web` may call; it may call nothing else here.
//!
//! Invariants:
//! - A machine without this installation's label is never stopped, started,
//!   changed or removed, whatever its name.
//! - "Not there" is said only when the provider said so. A doubt is an error.
//! - Every call has a limit in time, every answer one in size.
//! - The contents of the files put into a machine appear in no log and no error.
//!
//! The crate knows no database and no SSH, and decides nothing: which machine
//! should exist is for flows to know.

pub mod incus;
pub mod model;
pub mod provider;

#[cfg(feature = "fake")]
pub mod fake;
