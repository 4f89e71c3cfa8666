//! `berth-guest`: the small program on every machine.
//!
//! It has three faces. [`shim`] is what SSH starts, without rights: it hands one
//! request to [`serve`] and one answer back. [`serve`] is the root service that
//! does the work. [`unseal`] runs before each start of the gateway and opens the
//! sealed secrets for it. Read [`serve`] first, then [`apply`] (how a
//! configuration comes into force) and [`sealed`] (what survives a power cut).
//!
//! Invariants: nothing secret is put into arguments, environment, units or logs.
//! Every file is replaced whole or not at all. The agent's user owns its home
//! and the folder of opened secrets, so what lies there is not trusted and is
//! reached without following links ([`folder`]). Every wait has a bound. The
//! guest never decides what is wanted; it carries out, verifies and reports.

pub mod accounts;
pub mod apply;
pub mod calling_home;
pub mod config_file;
pub mod entropy;
pub mod folder;
pub mod gateway;
pub mod gateway_socket;
pub mod http_client;
pub mod in_force;
pub mod instructions;
pub mod logs;
pub mod machine;
pub mod machine_key;
pub mod opened;
pub mod pairings;
pub mod paths;
pub mod reach;
pub mod redact;
pub mod sealed;
pub mod serve;
pub mod shim;
pub mod status;
pub mod unit;
pub mod unseal;
pub mod variables;
pub mod wipe;
