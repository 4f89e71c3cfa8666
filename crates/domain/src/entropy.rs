//! Where random numbers and fresh ids come from: always an argument.

use uuid::Uuid;

use crate::id::Id;

/// A cryptographically secure source of random bytes, and the time for new ids.
///
/// The program gives the operating system's; tests give a seeded one.
pub trait Entropy: Send + Sync {
    /// Fills the buffer with unpredictable bytes.
    fn fill(&self, buffer: &mut [u8]);

    /// Milliseconds since 1970-01-01 UTC, for the sortable part of an id only.
    fn unix_millis(&self) -> u64;

    /// A fresh UUIDv7 (RFC 9562, 5.7).
    fn uuid(&self) -> Uuid {
        let mut random = [0; 10];
        self.fill(&mut random);
        uuid::Builder::from_unix_timestamp_millis(self.unix_millis(), &random).into_uuid()
    }
}

/// Mints a fresh id of any noun.
pub fn mint<K>(entropy: &(impl Entropy + ?Sized)) -> Id<K> {
    Id::from_uuid(entropy.uuid())
}
