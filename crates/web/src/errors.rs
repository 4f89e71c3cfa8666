//! Errors of the layers below, and the problems they become.

use app::{keys::KeyTrouble, limits::LimitError};
use domain::limits::TooMany;
use store::StoreError;
use vault::OpenError;

use crate::problem::Problem;

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable(_) => Self::database_away(error),
            StoreError::Conflict { .. } | StoreError::Corrupt { .. } | StoreError::Query(_) => Self::broken(error),
        }
    }
}

impl From<OpenError> for Problem {
    /// A missing key is the operator's to give back; an altered row is a fault that somebody has to look at.
    fn from(error: OpenError) -> Self {
        match error {
            OpenError::NoKey | OpenError::UnknownKey(_) => Self::sealed(error),
            OpenError::Tampered | OpenError::NotAnEnvelope(_) => Self::broken(error),
        }
    }
}

impl From<KeyTrouble> for Problem {
    fn from(error: KeyTrouble) -> Self {
        match error {
            KeyTrouble::Open(error) => error.into(),
            KeyTrouble::Store(error) => error.into(),
        }
    }
}

impl From<TooMany> for Problem {
    fn from(error: TooMany) -> Self {
        Self::too_many(error.seconds())
    }
}

impl From<LimitError> for Problem {
    fn from(error: LimitError) -> Self {
        match error {
            LimitError::TooMany(error) => error.into(),
            LimitError::Store(error) => error.into(),
        }
    }
}

/// Turns a result of the layers below into one of ours.
pub(crate) trait Fault<T> {
    /// `Err` becomes a [`Problem`].
    fn or_problem(self) -> Result<T, Problem>;
}

impl<T, E: Into<Problem>> Fault<T> for Result<T, E> {
    fn or_problem(self) -> Result<T, Problem> {
        self.map_err(Into::into)
    }
}
