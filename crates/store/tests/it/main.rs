//! The database's promises on a real Postgres: row security, refusals, one-time links, budgets.

#![expect(clippy::unwrap_used, reason = "a test that cannot go on should end there")]

mod catalogue;
mod given_up;
mod model_usage;
mod people;
mod queue;
mod tenancy;
