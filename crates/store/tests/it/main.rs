//! The database's promises on a real Postgres: row security, refusals, one-time links.

mod catalogue;
mod people;
mod tenancy;
