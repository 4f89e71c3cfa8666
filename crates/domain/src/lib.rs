//! Nouns, ids, states and messages of Berth: pure, no input or output.
//!
//! Read [`agent`] first (what a tenant owns: *wanted* and *seen*), then
//! [`life`] (the steps of an agent's flow, as data) and [`protocol`] (what is
//! said between the control plane and a machine).
//!
//! Invariants: nothing here reads a clock, draws a random number or opens a
//! file; those come in as arguments ([`entropy::Entropy`]). A value of a type of
//! this crate has been checked once, when it was made, and needs no second look.
//! The crate knows no database, no HTTP and no SSH.

pub mod agent;
pub mod alert;
pub mod audit;
pub mod billing;
pub mod channel;
pub mod credential;
pub mod currency;
pub mod dunning;
pub mod entitlement;
pub mod entropy;
pub mod event;
pub mod exchange;
pub mod id;
pub mod instructions;
pub mod invariants;
pub mod invite;
pub mod job;
pub mod letter;
pub mod life;
pub mod limits;
pub mod machine;
pub mod model;
pub mod names;
pub mod onboarding;
pub mod openclaw;
pub mod operators;
pub mod own_path;
pub mod people;
pub mod plan;
pub mod protocol;
pub mod public_address;
pub mod queue;
pub mod rates;
pub mod reach;
pub mod reachable;
pub mod rotation;
pub mod scopes;
pub mod spare;
pub mod sweep;
pub mod timeline;
pub mod variable;
pub mod waiting;

pub use entropy::Entropy;
pub use id::{
    AgentId, AlertId, CheckoutRowId, CredentialId, DeliveryId, EventId, ExchangeId, FlowId, HoldId, Id, InstallationId,
    InvitationId, InviteId, LetterId, MachineId, MemberId, ProofId, SessionId, SignInId, TenantId, TokenId, UserId,
    WaitingId,
};
