//! The edge as callers meet it: the real router over a real Postgres, with machines in memory.

#![expect(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test that panics says what is wrong")]

mod access;
mod account;
mod admin;
mod agents;
mod audit;
mod bootstrap;
mod claims;
mod credentials;
mod doors;
mod erasure;
mod factor;
mod figures;
mod fingerprints;
mod forged;
mod forward;
mod forward_broken;
mod forward_own;
mod gate;
mod gifts;
mod imports;
mod jobs;
mod limits;
mod listener;
mod llm;
mod logs;
mod money;
mod openapi;
mod ops;
mod pages;
mod payments;
mod peers;
mod rotation;
mod sealed;
mod sessions;
mod support;
mod suspension;
mod team;
mod tokens;
mod trips;
mod vendor;
mod webhooks;
mod welcome;
