//! The bytes of a sealed value: version, key id, nonce, body.

use std::fmt;

/// The version written by this build; the first byte of every envelope.
pub(crate) const VERSION: u8 = 1;
const KEY_ID: usize = 16;
const NONCE: usize = 12;
const TAG: usize = 16;
const HEAD: usize = 1 + KEY_ID + NONCE;

/// Names the key that sealed a value. For a master key: the first 16 bytes of a digest of it; for a data key: its uuid.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct KeyId(pub [u8; KEY_ID]);

impl fmt::Display for KeyId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// Ciphertext as stored: safe to log, useless without the keyring and the place.
#[derive(Clone, PartialEq, Eq)]
pub struct Sealed {
    pub(crate) key: KeyId,
    pub(crate) nonce: [u8; NONCE],
    /// Ciphertext, then the 16-byte tag.
    pub(crate) body: Vec<u8>,
}

/// The bytes are no envelope that this build can read.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotAnEnvelope {
    /// Too short to hold version, key id, nonce and tag.
    #[error("too short to be a sealed value")]
    Short,
    /// The first byte names another version.
    #[error("sealed in version {0}, which this build cannot read")]
    Version(u8),
}

impl Sealed {
    /// The stored form: `version(1) key(16) nonce(12) ciphertext tag(16)`.
    #[must_use]
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(HEAD + self.body.len());
        bytes.push(VERSION);
        bytes.extend_from_slice(&self.key.0);
        bytes.extend_from_slice(&self.nonce);
        bytes.extend_from_slice(&self.body);
        bytes
    }

    /// Reads the stored form.
    ///
    /// # Errors
    /// [`NotAnEnvelope`]: a value that was never sealed is loud.
    pub fn from_bytes(bytes: &[u8]) -> Result<Self, NotAnEnvelope> {
        let (version, rest) = bytes.split_first().ok_or(NotAnEnvelope::Short)?;
        if *version != VERSION {
            return Err(NotAnEnvelope::Version(*version));
        }
        let (key, rest) = rest.split_first_chunk::<KEY_ID>().ok_or(NotAnEnvelope::Short)?;
        let (nonce, body) = rest.split_first_chunk::<NONCE>().ok_or(NotAnEnvelope::Short)?;
        if body.len() < TAG {
            return Err(NotAnEnvelope::Short);
        }
        Ok(Self { key: KeyId(*key), nonce: *nonce, body: body.to_vec() })
    }

    /// The key that is needed to open it.
    #[must_use]
    pub const fn key(&self) -> KeyId {
        self.key
    }
}

impl fmt::Debug for Sealed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Sealed(key {}, {} bytes)", self.key, self.body.len())
    }
}
