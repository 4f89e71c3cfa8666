//! The schema as a prover sees it that nobody here wrote: pgrls, which knows Postgres's row security and Z3.

use crate::prover;

#[tokio::test]
#[ignore = "needs pgrls: scripts/test integration installs it first"]
async fn the_prover_finds_no_fault_and_proves_every_tenant_table() {
    prover::finds_nothing().await;
}

#[tokio::test]
#[ignore = "needs pgrls: scripts/test integration installs it first"]
async fn the_prover_names_what_a_careless_migration_would_do() {
    prover::names_what_is_planted().await;
}
