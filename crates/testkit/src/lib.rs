//! Development only: databases, worlds and simulated guests for tests.
//!
//! [`Database`] is a real Postgres database of one test, with the real roles and
//! migrations. [`World`] stands on one: two tenants, alice and mallory, the real
//! runner, and in place of machines a provider and a guest in memory, each with a
//! ledger. [`vendor::FakeVendor`] stands in a model vendor's place, over HTTP.
//! [`telegram::FakeBotApi`] is Telegram with bots of its own, [`slack::FakeSlack`] and [`discord::FakeDiscord`] are theirs,
//! with the sockets that those keep open. [`issuer::FakeIssuer`] is a vendor of identities that can be told to forge.
//! [`stripe::FakeStripe`] takes money, with a clock of its own. [`marks::Marks`] are secrets that a test plants, and
//! [`marks::Hunt`] looks where they got. [`sim::Simulator`] is a whole daemon with machines over real
//! sockets, for tests that start the real program.

mod bots;
mod database;
pub mod discord;
mod entropy;
mod guest;
pub mod http_call;
pub mod issuer;
pub mod marks;
pub mod sim;
pub mod slack;
pub mod stripe;
pub mod telegram;
mod tls;
pub mod vendor;
mod verify;
mod world;

pub use database::Database;
pub use entropy::Seeded;
pub use guest::{SimGuests, SimMood};
pub use tls::TlsIdentity;
pub use world::{Person, World, master_key, usable_ring};
