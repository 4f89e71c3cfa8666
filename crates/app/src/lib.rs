//! What a member or operator may do: one short function per operation.
//!
//! Each runs inside the caller's transaction: check, write what is wanted, say
//! so on the timeline, signal the flow. The caller commits. Nothing here calls
//! out, and nothing writes what was *seen*: that is a flow's.

pub mod accounts;
pub mod agents;
pub mod alerts;
pub mod audit;
pub mod billing;
mod certificates;
pub mod checkouts;
pub mod credentials;
pub mod events;
pub mod exchanges;
pub mod import;
pub mod invites;
pub mod jobs;
pub mod keys;
pub mod letters;
pub mod limits;
pub mod machines;
pub mod members;
pub mod model_budget;
pub mod onboarding;
pub mod operators;
pub mod people;
pub mod plans;
pub mod reconciliation;
mod rests;
pub mod sessions;
pub mod sign_in;
pub mod suspension;
pub mod tenants;
pub mod tokens;
pub mod verify;
pub mod waitlist;
