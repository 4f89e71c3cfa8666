//! Flows on a real Postgres with machines in memory: what every step promises, and what may go wrong.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on should end there")]

mod credentials;
mod engine;
mod exchange;
mod generic;
mod jobs;
mod letters;
mod life;
mod machine_rotation;
mod meeting;
mod notice;
mod order;
mod paying;
mod payments;
mod pool;
mod reconciliation;
mod rotation;
mod sized;
mod sweep;
mod verify;
mod year;
