//! Flows on a real Postgres with machines in memory: what every step promises, and what may go wrong.

mod engine;
mod exchange;
mod generic;
mod life;
mod sweep;
