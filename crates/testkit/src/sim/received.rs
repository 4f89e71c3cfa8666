//! What machines were given: for tests that look where else it lies.

use std::sync::{Mutex, PoisonError};

/// Under which name a new machine key is kept.
pub const REKEYED: &str = "rekeyed";

/// All of it, each value once.
#[derive(Debug, Default)]
pub(super) struct Received(Mutex<Vec<(String, Vec<u8>)>>);

impl Received {
    pub(super) fn add(&self, name: &str, value: &[u8]) {
        let mut all = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if !all.iter().any(|(known, held)| known == name && held == value) {
            all.push((name.to_owned(), value.to_vec()));
        }
    }

    pub(super) fn all(&self) -> Vec<(String, Vec<u8>)> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}
