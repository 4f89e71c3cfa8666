//! Behaviour of every flow, and the runner that drives them.
//!
//! Start with [`World`] (what a step may touch), [`outcome::Outcome`] (what a step
//! leaves behind, as data) and [`run`] (claim, run one step, settle). Then one
//! module a kind: [`life`], [`spare`], [`exchange`], [`sweep`], [`refill`],
//! [`retention`], [`rotation`], [`notice`], [`invitation`],
//! [`erasure`]; [`catalogue`] lists their steps. [`schedule`]
//! starts the house's jobs.
//!
//! Invariants: a step runs with no transaction open and may run twice; what it
//! leaves behind is written in one transaction, and only while the lease is held;
//! an effect outside has an identity that was committed before it; removal leads
//! out of every step. A sealed value is opened in [`deliver`] only.

pub mod billing;
pub mod catalogue;
pub mod deliver;
pub mod erasure;
pub mod event;
pub mod exchange;
pub mod invitation;
pub mod letter;
pub mod life;
mod machine;
mod machine_rotation;
pub mod notice;
pub mod outcome;
pub mod reconciliation;
pub mod refill;
pub mod retention;
pub mod rotation;
mod runner;
pub mod schedule;
mod seats;
mod settler;
pub mod spare;
pub mod sweep;
mod world;

pub use notice::Carriers;
pub use runner::{Behaviour, CrashAt, CrashPoint, Ran, RunnerOptions, behaviour, run, run_due};
pub use world::{Machines, Pool, World};
