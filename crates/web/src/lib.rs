//! Requests in: routes, pages, JSON, events.
//!
//! Start with [`routes::ROUTES`], the table of every address with what its
//! caller must be; then [`guard`] (proofs of who is calling), `edge` (what every
//! request passes) and [`listener`] (how long anything may take). A handler reads:
//! who, what, transaction, one call, commit, answer.
//!
//! Invariants: a route without a declared guard does not compile, and the
//! wrapper enforces what is declared. Every error is a [`problem::Problem`], whose
//! cause has no way into a body. Nothing is logged but method, path, status and
//! times: no query, no header, no body. This crate cannot reach a machine: what a
//! request needs from one, it asks of a worker and waits for a bounded time. It calls
//! out in three files, `llm/call.rs` and `llm/own.rs` to a model vendor and `vendors.rs` to a
//! vendor of identities, and holds no transaction then.

mod api;
pub mod assets;
mod body;
mod checks;
mod edge;
mod errors;
mod figures;
pub mod guard;
pub mod listener;
pub mod llm;
pub mod openapi;
mod ops;
mod pace;
pub mod pages;
mod payments;
pub mod problem;
pub mod proof_model;
pub mod routes;
mod schemas;
mod session;
pub mod state;
pub mod vendors;
mod webhooks;

pub use figures::Render;
pub use listener::{Limits, serve};
pub use pace::Pace;
pub use routes::{Door, ROUTES, router};
pub use state::{Dice, PoolPlan, Ready, Site, Web};
pub use vendors::{SignIn, Vendor, VendorSettings};
