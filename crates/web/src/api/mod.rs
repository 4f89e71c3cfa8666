//! The JSON API. A handler reads: who, what, transaction, one call, commit, answer.

pub(crate) mod admin;
pub(crate) mod agents;
pub(crate) mod audit;
pub(crate) mod billing;
pub(crate) mod credentials;
pub(crate) mod cron;
pub(crate) mod events;
pub(crate) mod export;
pub(crate) mod invites;
pub(crate) mod machine;
pub(crate) mod me;
pub(crate) mod members;
pub(crate) mod model;
pub(crate) mod pairings;
pub(crate) mod sessions;
pub(crate) mod tenants;
pub(crate) mod tokens;
pub(crate) mod turns;
pub(crate) mod view;
pub(crate) mod waitlist;
