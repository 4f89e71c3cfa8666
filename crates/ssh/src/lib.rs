//! Pinned connections to a machine: one request, one answer, and the line is closed.
//!
//! Read [`Reach`] first: it is everything that flows know of SSH. [`Russh`] is
//! the real one. [`Authority`] signs the short certificate of every connection,
//! [`HostKey`] is what a machine is made with, and [`Pinned`] is what it must
//! show.
//!
//! Invariants:
//! - A machine that shows another key than the pinned one gets not one byte of
//!   authentication, let alone of a request. There is no "accept new".
//! - Every connection has its own user key, which never leaves the memory of
//!   the call, and a certificate for that one machine.
//! - No command line exists on our side: the machine's sshd forces its own.
//! - An answer is at most [`domain::protocol::BYTES_MAX`] and is hostile until
//!   it was parsed. What a machine prints beside it is never read.
//!
//! The crate knows no database, and nothing of what the verbs mean. It is the
//! only one that knows russh.

mod authority;
mod key;
mod line;
mod reach;
mod real;

#[cfg(feature = "fake")]
pub mod fake;

pub use authority::Authority;
pub use key::{BadKey, HostKey, Pinned};
pub use reach::{Reach, SshError, Target};
pub use real::Russh;

/// The account on a machine that the control plane signs in as.
pub const USER: &str = "berth";
