//! Programs that nobody here wrote: those that look for faults, and vendors of identities.

mod finders;
mod signing;
