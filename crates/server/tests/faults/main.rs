//! Berth dies, stalls and loses its database, with hundreds of simulated machines; nothing leaks, doubles or is lost.
//!
//! Each test starts the real program against a simulated daemon of its own
//! (`testkit::sim`) and a database of its own. [`checked`] says what must hold
//! afterwards. `cargo test --workspace --test faults` runs the short form;
//! `scripts/test long` runs the long one and keeps what it counted.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on says where")]

mod api;
mod checked;
mod cluster;
mod dice;
mod double;
mod events;
mod fleet;
mod front;
mod killed;
mod lanes;
mod leaks;
mod load;
mod paths;
mod paused;
mod peers;
mod points;
mod process;
#[path = "../common/program.rs"]
mod program;
mod restarted;
mod rotation;
mod sealed;
mod secrets;
mod size;
