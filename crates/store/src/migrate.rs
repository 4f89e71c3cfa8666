//! Migrations, run by the owner of the tables and nobody else.

use sqlx::{Connection as _, PgConnection, migrate::Migrator};

/// Every migration, embedded.
pub static MIGRATOR: Migrator = sqlx::migrate!("../../migrations");

/// Why the schema could not be brought up to date.
#[derive(Debug, thiserror::Error)]
pub enum MigrateError {
    /// No connection as the owner.
    #[error("the database cannot be reached as its owner; is BERTH_DATABASE_MIGRATOR_URL right?")]
    Unreachable(#[source] sqlx::Error),
    /// A migration failed, or the database was migrated by a newer build.
    #[error("a migration failed")]
    Failed(#[source] sqlx::migrate::MigrateError),
}

/// Brings the schema up to date; a database that is up to date is left alone. Two at once take turns (advisory lock).
///
/// # Errors
/// [`MigrateError`].
pub async fn migrate(owner_url: &str) -> Result<(), MigrateError> {
    let mut connection = PgConnection::connect(owner_url).await.map_err(MigrateError::Unreachable)?;
    MIGRATOR.run(&mut connection).await.map_err(MigrateError::Failed)?;
    connection.close().await.map_err(MigrateError::Unreachable)
}
