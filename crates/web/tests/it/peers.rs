//! Programs that nobody here wrote: those that look for faults, and vendors of identities.

mod alone;
mod finders;
mod forger;
mod signing;
