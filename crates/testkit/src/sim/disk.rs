//! What a simulated machine keeps while its power is off: the configuration in force, by its fence.

use std::sync::{Mutex, MutexGuard, PoisonError};

use domain::openclaw::whole;
use serde_json::Value;

/// A configuration with the secrets it came with.
#[derive(Debug, Clone)]
pub(super) struct Bundle {
    pub(super) fence: u64,
    pub(super) document: Value,
    /// What the agent is told.
    pub(super) instructions: Option<String>,
    /// What the gateway shows to the model route.
    pub(super) model_key: String,
    /// Digest of all that came with it.
    pub(super) secrets_digest: String,
}

impl Bundle {
    /// What its digest is made over.
    pub(super) fn whole(&self) -> String {
        whole(&self.document, self.instructions.as_deref())
    }
}

/// A machine's disk.
#[derive(Debug, Default)]
pub(super) struct Disk(Mutex<Option<Bundle>>);

impl Disk {
    pub(super) fn current(&self) -> Option<Bundle> {
        self.lock().clone()
    }

    /// Keeps a configuration, unless a newer one, or another one of the same number, was begun: then that number.
    pub(super) fn keep(&self, bundle: Bundle) -> Result<(), u64> {
        let mut held = self.lock();
        if let Some(begun) = &*held {
            let other = bundle.fence == begun.fence && bundle.whole() != begun.whole();
            if bundle.fence < begun.fence || (bundle.fence > 0 && other) {
                return Err(begun.fence);
            }
        }
        *held = Some(bundle);
        Ok(())
    }

    pub(super) fn wipe(&self) {
        *self.lock() = None;
    }

    fn lock(&self) -> MutexGuard<'_, Option<Bundle>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_older_number_and_another_document_of_the_same_number_are_refused() {
        let disk = Disk::default();
        let bundle = |fence, word: &str| Bundle {
            fence,
            document: Value::from(word),
            instructions: None,
            model_key: String::new(),
            secrets_digest: String::new(),
        };
        assert_eq!(disk.keep(bundle(2, "a")), Ok(()));
        assert_eq!(disk.keep(bundle(2, "a")), Ok(()), "a repetition");
        assert_eq!(disk.keep(bundle(1, "a")), Err(2));
        assert_eq!(disk.keep(bundle(2, "b")), Err(2));
        assert_eq!(disk.keep(bundle(3, "b")), Ok(()));
    }
}
