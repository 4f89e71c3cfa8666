//! Seals under the current key, opens under any key held.

use std::{collections::BTreeMap, fmt};

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::{Entropy, TenantId};
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    digest::digest,
    envelope::{KeyId, NotAnEnvelope, Sealed, VERSION},
    secret::Secret,
};

/// Whose row a secret lives in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owner {
    /// A row of this tenant.
    Tenant(TenantId),
    /// A row of the house: machines, the SSH authority.
    House,
}

/// Where a secret lives. Ciphertext moved to another place does not open.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Place<'a> {
    /// Whose row.
    pub owner: Owner,
    /// Table name.
    pub table: &'a str,
    /// Column name.
    pub column: &'a str,
    /// The row's id.
    pub row: Uuid,
}

/// A 256-bit key from the operator.
pub struct MasterKey(Zeroizing<[u8; 32]>);

/// The text is no key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadKey {
    /// Not base64, or another length.
    #[error("a key is 32 bytes in base64 (44 characters)")]
    Form,
    /// All bytes equal: a placeholder somebody forgot.
    #[error("that key is a placeholder: make one with `openssl rand -base64 32`")]
    Placeholder,
}

impl MasterKey {
    /// Takes raw key bytes.
    #[must_use]
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(Zeroizing::new(bytes))
    }

    /// Reads `openssl rand -base64 32`.
    ///
    /// # Errors
    /// [`BadKey`], which never repeats the text.
    pub fn parse(text: &str) -> Result<Self, BadKey> {
        let bytes = Zeroizing::new(STANDARD.decode(text.trim()).map_err(|_| BadKey::Form)?);
        let key: [u8; 32] = bytes.as_slice().try_into().map_err(|_| BadKey::Form)?;
        if key.iter().all(|byte| Some(byte) == key.first()) {
            return Err(BadKey::Placeholder);
        }
        Ok(Self(Zeroizing::new(key)))
    }

    /// How envelopes name this key: it tells keys apart and nothing about them.
    #[must_use]
    pub fn id(&self) -> KeyId {
        let mut text = Zeroizing::new(b"berth master key id".to_vec());
        text.extend_from_slice(self.0.as_slice());
        let full = digest(&text);
        let mut id = [0; 16];
        for (to, from) in id.iter_mut().zip(full.bytes()) {
            *to = *from;
        }
        KeyId(id)
    }
}

/// Why a sealed value did not open.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// The bytes are no envelope.
    #[error(transparent)]
    NotAnEnvelope(#[from] NotAnEnvelope),
    /// The key is not on this ring: a configuration fault, not a broken row.
    #[error("sealed under key {0}, which this process does not hold")]
    UnknownKey(KeyId),
    /// The key is right and the value is not: altered, or moved from another place.
    #[error("the sealed value was altered or belongs to another place")]
    Tampered,
}

/// All keys of a process: one seals, every one opens.
pub struct Keyring {
    current: KeyId,
    keys: BTreeMap<KeyId, LessSafeKey>,
    /// Of every key, the current one first: what [`Self::keyed`] derives from.
    roots: Vec<hmac::Key>,
}

impl Keyring {
    /// A ring that seals under `current` and also opens what `retired` keys sealed.
    #[must_use]
    pub fn new(current: &MasterKey, retired: &[MasterKey]) -> Self {
        let keys = std::iter::once(current).chain(retired);
        Self {
            current: current.id(),
            keys: keys.clone().filter_map(|key| Some((key.id(), cipher(key)?))).collect(),
            roots: keys.map(|key| hmac::Key::new(hmac::HMAC_SHA256, key.0.as_slice())).collect(),
        }
    }

    /// A keyed hash of some bytes for one purpose, under each key, the current one first.
    ///
    /// HMAC-SHA256 twice: a key for the purpose from the master key, then the bytes under it. Nobody without
    /// the key can tell which bytes it was, nor make one. Written under the first, looked up under all.
    #[must_use]
    pub fn keyed(&self, purpose: &str, bytes: &[u8]) -> Vec<Zeroizing<[u8; 32]>> {
        let under = |root: &hmac::Key| {
            let key = hmac::sign(root, [b"berth derived key: ", purpose.as_bytes()].concat().as_slice());
            let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
            let mut out = Zeroizing::new([0; 32]);
            out.copy_from_slice(hmac::sign(&key, bytes).as_ref());
            out
        };
        self.roots.iter().map(under).collect()
    }

    /// The key that seals.
    #[must_use]
    pub const fn current(&self) -> KeyId {
        self.current
    }

    /// Seals a secret for one place. The nonce is random: 96 bits, drawn anew each time (NIST SP 800-38D, 8.2.2).
    ///
    /// # Panics
    /// Only for a value of 64 GiB or more.
    #[must_use]
    pub fn seal(&self, entropy: &(impl Entropy + ?Sized), place: &Place<'_>, secret: &Secret) -> Sealed {
        let mut nonce = [0; 12];
        entropy.fill(&mut nonce);
        let mut body = secret.expose().to_vec();
        let sealed = self.keys.get(&self.current).and_then(|key| {
            let aad = Aad::from(place.associated_data(self.current));
            key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body).ok()
        });
        #[expect(clippy::expect_used, reason = "the ring always holds its current key, and rows are far below 64 GiB")]
        sealed.expect("AES-256-GCM seals any row-sized value");
        Sealed { key: self.current, nonce, body }
    }

    /// Opens a sealed value that lives at this place.
    ///
    /// # Errors
    /// [`OpenError`] tells a missing key from an altered value.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        let key = self.keys.get(&sealed.key).ok_or(OpenError::UnknownKey(sealed.key))?;
        let mut body = Zeroizing::new(sealed.body.clone());
        let aad = Aad::from(place.associated_data(sealed.key));
        let plain = key
            .open_in_place(Nonce::assume_unique_for_key(sealed.nonce), aad, &mut body)
            .map_err(|_| OpenError::Tampered)?;
        Ok(Secret::new(plain.to_vec()))
    }

    /// Whether a stored value is an envelope that opens at this place. What is inside is not kept.
    ///
    /// # Errors
    /// [`OpenError`], as [`Self::open`] would give it.
    pub fn opens(&self, place: &Place<'_>, stored: &[u8]) -> Result<(), OpenError> {
        self.open(place, &Sealed::from_bytes(stored)?).map(drop)
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Keyring(current {}, {} keys)", self.current, self.keys.len())
    }
}

impl Place<'_> {
    /// `"berth" version key owner table-length table column-length column row`, lengths as one byte each.
    fn associated_data(&self, key: KeyId) -> Vec<u8> {
        let owner = match self.owner {
            Owner::Tenant(tenant) => tenant.uuid(),
            Owner::House => Uuid::nil(),
        };
        let mut data = b"berth".to_vec();
        data.push(VERSION);
        data.extend_from_slice(&key.0);
        data.extend_from_slice(owner.as_bytes());
        for name in [self.table, self.column] {
            data.push(u8::try_from(name.len()).unwrap_or(u8::MAX));
            data.extend_from_slice(name.as_bytes());
        }
        data.extend_from_slice(self.row.as_bytes());
        data
    }
}

fn cipher(key: &MasterKey) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.0.as_slice()).ok().map(LessSafeKey::new)
}

#[cfg(test)]
mod tests;
