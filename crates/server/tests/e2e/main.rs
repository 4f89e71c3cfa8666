//! The whole line: the real program, a real daemon, real machines, a real browser.
//!
//! `scripts/test e2e` runs these one after the other. Each has a database, an
//! installation and ports of its own, and leaves nothing at the daemon.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that cannot go on says where")]

mod berth;
mod browser;
mod by_browser;
mod by_curl;
mod curl;
mod delivered;
mod disturbed;
mod dressed;
mod guest;
mod hardened;
mod killed;
mod machines;
#[path = "../common/program.rs"]
mod program;
mod read_aloud;
mod rotated;
mod setting;
mod several;
mod sockets;
mod telegram;
