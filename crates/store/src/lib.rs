//! The database: the only crate that speaks SQL.
//!
//! Start with [`Db`]: there is no way to a connection but its two transactions, and one read that enters its
//! tenant by itself ([`agents::page`]).
//! [`TenantTx`] sees and touches the rows of one tenant; [`SystemTx`] reaches the
//! house tables and nothing of a tenant's. Then one module a noun, with plain
//! functions over a transaction.
//!
//! Invariants: row security holds in every statement, because the login that
//! connects owns nothing and each transaction enters a role that row security
//! binds; no transaction outlives a network call; this crate cannot open a
//! sealed value (it knows [`vault::Sealed`] only). Time is the database's.

mod access;
pub mod accounts;
pub mod agents;
pub mod alert_views;
pub mod alerts;
pub mod audit;
pub mod billing;
pub mod billing_differences;
mod callers;
mod carry;
pub mod certificates;
pub mod checkouts;
pub mod credential_views;
pub mod credentials;
mod db;
pub mod dynamic;
mod error;
pub mod event_views;
pub mod events;
pub mod exchanges;
pub mod figures;
pub mod fleet;
pub mod flow_views;
pub mod flows;
pub mod history;
pub mod house;
pub mod invariants;
pub mod invites;
pub mod job_views;
pub mod jobs;
pub mod keys;
pub mod letters;
pub mod limits;
pub mod links;
pub mod machine_rotations;
pub mod machine_views;
pub mod machines;
pub mod members;
mod migrate;
pub mod model_usage;
pub mod notices;
pub mod onboardings;
pub mod operators;
pub mod order;
mod patched;
pub mod people;
pub mod plans;
pub mod pool_views;
pub mod proofs;
pub mod schedules;
pub mod sessions;
pub mod settling;
pub mod sign_ins;
mod signals;
pub mod spares;
pub mod standings;
pub mod subscription_views;
pub mod suspension;
pub mod tenant_months;
pub mod tenant_views;
pub mod tenants;
pub mod timeline;
pub mod tokens;
pub mod user_views;
pub mod waitlist;

pub use db::{Db, DbOptions, Snapshot, StartError, SystemTx, TenantTx, TraceSource};
pub use error::StoreError;
pub use migrate::{MIGRATOR, MigrateError, migrate};
pub use signals::Watch;
