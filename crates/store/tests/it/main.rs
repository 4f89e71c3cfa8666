//! The database's promises on a real Postgres: row security, refusals, one-time links, budgets.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should end there")]

mod catalogue;
mod given_up;
mod leaks;
mod limits;
mod matrix;
mod meeting;
mod model_usage;
mod money_views;
mod peers;
mod people;
mod prover;
mod queue;
mod revenue;
mod schema;
mod tenancy;
mod wakes;
