//! Configuration and wiring: everything is made here and handed down.
//!
//! Start with [`config::Config`] (what an operator may set), [`cli`] (what can be
//! run) and [`run`] (which parts of Berth run in this process).

mod audit;
mod billing;
pub mod carriers;
pub mod cli;
pub mod config;
mod entropy;
mod house;
mod keys;
mod machines;
mod memory;
pub mod run;
mod settings;
mod sign_in;
mod telemetry;
mod traces;
mod verify;
