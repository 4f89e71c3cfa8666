//! The two kinds of key, and the one way in which both seal.
//!
//! A [`MasterKey`] comes from the operator and wraps data keys. A [`DataKey`] is
//! drawn by Berth, one for each tenant and one for the house, and seals their
//! values. Destroying a tenant's data key destroys every value under it.

use std::fmt;

use aws_lc_rs::{
    aead::{AES_256_GCM, Aad, LessSafeKey, Nonce, UnboundKey},
    hmac,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::Entropy;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    digest::digest,
    envelope::{KeyId, NotAnEnvelope, Sealed},
    place::Place,
    secret::Secret,
};

/// Why a sealed value did not open, or could not be sealed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OpenError {
    /// This process holds no usable key at all: it was started sealed.
    #[error("this process holds no usable key")]
    NoKey,
    /// The bytes are no envelope.
    #[error(transparent)]
    NotAnEnvelope(#[from] NotAnEnvelope),
    /// The key is not held here: a configuration fault, or a key that was destroyed; not a broken row.
    #[error("sealed under key {0}, which this process does not hold")]
    UnknownKey(KeyId),
    /// The key is right and the value is not: altered, or moved from another place.
    #[error("the sealed value was altered or belongs to another place")]
    Tampered,
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

    /// Seals directly under this key. A machine does so with its own; the control plane seals under data keys.
    #[must_use]
    pub fn seal(&self, entropy: &(impl Entropy + ?Sized), place: &Place<'_>, secret: &Secret) -> Sealed {
        seal(&self.0, self.id(), entropy, place, secret)
    }

    /// Opens what was sealed directly under this key.
    ///
    /// # Errors
    /// [`OpenError`] tells another key from an altered value.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        if sealed.key != self.id() {
            return Err(OpenError::UnknownKey(sealed.key));
        }
        open(&self.0, place, sealed)
    }

    pub(crate) fn root(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.0.as_slice())
    }
}

/// A key of one owner: it lies in the database wrapped by a master key, and here in the clear.
pub struct DataKey {
    id: KeyId,
    key: Zeroizing<[u8; 32]>,
}

impl DataKey {
    /// The name by which envelopes call it: the uuid of its row.
    #[must_use]
    pub const fn id(&self) -> KeyId {
        self.id
    }

    /// Seals a secret for one place. The nonce is random: 96 bits, drawn anew each time (NIST SP 800-38D, 8.2.2).
    #[must_use]
    pub fn seal(&self, entropy: &(impl Entropy + ?Sized), place: &Place<'_>, secret: &Secret) -> Sealed {
        seal(&self.key, self.id, entropy, place, secret)
    }

    /// Opens a sealed value that lives at this place.
    ///
    /// # Errors
    /// [`OpenError`] tells another key from an altered value.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        if sealed.key != self.id {
            return Err(OpenError::UnknownKey(sealed.key));
        }
        open(&self.key, place, sealed)
    }

    /// A keyed hash of some bytes for one purpose, made as [`crate::Keyring::keyed`] makes one: nobody without this key
    /// can tell which bytes it was, and under another owner's key the same bytes give another one.
    #[must_use]
    pub fn keyed(&self, purpose: &str, bytes: &[u8]) -> Zeroizing<[u8; 32]> {
        keyed(&self.root(), purpose, bytes)
    }

    pub(crate) fn draw(entropy: &(impl Entropy + ?Sized)) -> Secret {
        let mut bytes = vec![0; 32];
        entropy.fill(&mut bytes);
        Secret::new(bytes)
    }

    pub(crate) fn of(id: Uuid, secret: &Secret) -> Result<Self, OpenError> {
        let bytes: [u8; 32] = secret.expose().try_into().map_err(|_| OpenError::Tampered)?;
        Ok(Self { id: KeyId(id.into_bytes()), key: Zeroizing::new(bytes) })
    }

    pub(crate) fn root(&self) -> hmac::Key {
        hmac::Key::new(hmac::HMAC_SHA256, self.key.as_slice())
    }
}

impl fmt::Debug for DataKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "DataKey({})", self.id)
    }
}

fn seal(key: &[u8; 32], id: KeyId, entropy: &(impl Entropy + ?Sized), place: &Place<'_>, secret: &Secret) -> Sealed {
    let mut nonce = [0; 12];
    entropy.fill(&mut nonce);
    let mut body = secret.expose().to_vec();
    let aad = Aad::from(place.associated_data(id));
    let sealed = cipher(key)
        .and_then(|cipher| cipher.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut body).ok());
    #[expect(clippy::expect_used, reason = "32 bytes are a key of AES-256, and rows are far below 64 GiB")]
    sealed.expect("AES-256-GCM seals any row-sized value");
    Sealed { key: id, nonce, body }
}

fn open(key: &[u8; 32], place: &Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
    let cipher = cipher(key).ok_or(OpenError::Tampered)?;
    open_raw(&cipher, sealed.nonce, &place.associated_data(sealed.key), &sealed.body)
}

/// AES-256-GCM and nothing else: what published test vectors are tried on.
pub(crate) fn open_raw(cipher: &LessSafeKey, nonce: [u8; 12], aad: &[u8], body: &[u8]) -> Result<Secret, OpenError> {
    let mut body = Zeroizing::new(body.to_vec());
    let plain = cipher
        .open_in_place(Nonce::assume_unique_for_key(nonce), Aad::from(aad), &mut body)
        .map_err(|_| OpenError::Tampered)?;
    Ok(Secret::new(plain.to_vec()))
}

/// HMAC-SHA256 twice: a key for the purpose from the root, then the bytes under it.
pub(crate) fn keyed(root: &hmac::Key, purpose: &str, bytes: &[u8]) -> Zeroizing<[u8; 32]> {
    let key = hmac::sign(root, [b"berth derived key: ", purpose.as_bytes()].concat().as_slice());
    let key = hmac::Key::new(hmac::HMAC_SHA256, key.as_ref());
    let mut out = Zeroizing::new([0; 32]);
    out.copy_from_slice(hmac::sign(&key, bytes).as_ref());
    out
}

pub(crate) fn cipher(key: &[u8; 32]) -> Option<LessSafeKey> {
    UnboundKey::new(&AES_256_GCM, key.as_slice()).ok().map(LessSafeKey::new)
}
