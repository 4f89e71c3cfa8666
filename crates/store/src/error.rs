//! What can go wrong between Berth and its database: four kinds and one question.

/// A failed call to the database.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// A unique or foreign key stood in the way; the constraint's name is part of the contract.
    #[error("constraint {constraint} refused the row")]
    Conflict {
        /// As named in the migrations.
        constraint: String,
    },
    /// No connection, or it broke.
    #[error("the database is not answering")]
    Unavailable(#[source] sqlx::Error),
    /// A stored value that this build cannot read.
    #[error("{table}.{column} holds a value that this build cannot read")]
    Corrupt {
        /// Where.
        table: &'static str,
        /// Where.
        column: &'static str,
        /// Why.
        #[source]
        source: Box<dyn std::error::Error + Send + Sync>,
    },
    /// A statement failed: a fault of this program.
    #[error("a query failed")]
    Query(#[source] sqlx::Error),
}

impl StoreError {
    /// Whether the same call may succeed a little later.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        matches!(self, Self::Unavailable(_))
    }

    /// Whether this constraint refused the row.
    #[must_use]
    pub fn is_conflict(&self, name: &str) -> bool {
        matches!(self, Self::Conflict { constraint } if constraint == name)
    }

    pub(crate) fn corrupt(
        table: &'static str,
        column: &'static str,
        source: impl Into<Box<dyn std::error::Error + Send + Sync>>,
    ) -> Self {
        Self::Corrupt { table, column, source: source.into() }
    }
}

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        match &error {
            sqlx::Error::Database(db) if db.is_unique_violation() || db.is_foreign_key_violation() => {
                Self::Conflict { constraint: db.constraint().unwrap_or_default().to_owned() }
            }
            // 57P01..57P03: shutting down, crashed, starting up; 53300: too many connections.
            sqlx::Error::Database(db)
                if db.code().is_some_and(|c| c.starts_with("57P") || c == "53300" || c.starts_with("08")) =>
            {
                Self::Unavailable(error)
            }
            sqlx::Error::Io(_)
            | sqlx::Error::Tls(_)
            | sqlx::Error::PoolTimedOut
            | sqlx::Error::PoolClosed
            | sqlx::Error::Protocol(_)
            | sqlx::Error::WorkerCrashed => Self::Unavailable(error),
            _ => Self::Query(error),
        }
    }
}

/// Reads a JSON column into its type.
pub(crate) fn read<T: serde::de::DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    value: serde_json::Value,
) -> Result<T, StoreError> {
    serde_json::from_value(value).map_err(|error| StoreError::corrupt(table, column, error))
}

/// The same from the text that the column holds.
pub(crate) fn parse<T: serde::de::DeserializeOwned>(
    table: &'static str,
    column: &'static str,
    text: &serde_json::value::RawValue,
) -> Result<T, StoreError> {
    serde_json::from_str(text.get()).map_err(|error| StoreError::corrupt(table, column, error))
}

/// Writes a value of ours as JSON; our types always serialise.
pub(crate) fn json<T: serde::Serialize>(value: &T) -> Result<serde_json::Value, StoreError> {
    serde_json::to_value(value).map_err(|error| StoreError::corrupt("-", "-", error))
}
