//! The keys of a process: master keys from the operator, and the house's own data key once it is unwrapped.

use std::fmt;

use aws_lc_rs::hmac;
use domain::Entropy;
use uuid::Uuid;
use zeroize::Zeroizing;

use crate::{
    envelope::{KeyId, Sealed},
    key::{DataKey, MasterKey, OpenError, keyed},
    place::{Owner, Place},
    secret::Secret,
};

/// All keys of a process. Master keys wrap data keys; the house's data key seals what belongs to the house.
///
/// Without the house's key it is sealed: everything but [`Self::unwrap`] answers [`OpenError::NoKey`].
#[derive(Default)]
pub struct Keyring {
    masters: Vec<MasterKey>,
    house: Option<DataKey>,
    /// What [`Self::keyed`] derives from: the house's key, then each master key, for what an older Berth wrote.
    roots: Vec<hmac::Key>,
}

impl Keyring {
    /// The operator's keys, the preferred one first. Sealed until it has [the house's key](Self::with_house).
    #[must_use]
    pub const fn new(masters: Vec<MasterKey>) -> Self {
        Self { masters, house: None, roots: Vec::new() }
    }

    /// With the house's data key it can seal and open.
    #[must_use]
    pub fn with_house(mut self, key: DataKey) -> Self {
        self.roots = std::iter::once(key.root()).chain(self.masters.iter().map(MasterKey::root)).collect();
        self.house = Some(key);
        self
    }

    /// Whether it can neither seal nor open.
    #[must_use]
    pub const fn is_sealed(&self) -> bool {
        self.house.is_none()
    }

    /// The ids of the master keys held, the preferred one first.
    pub fn held(&self) -> impl Iterator<Item = KeyId> {
        self.masters.iter().map(MasterKey::id)
    }

    /// Draws a data key for an owner and wraps it under one of the master keys.
    ///
    /// # Errors
    /// [`OpenError::UnknownKey`]: that master key is not held here.
    pub fn wrap_fresh(
        &self,
        under: KeyId,
        entropy: &(impl Entropy + ?Sized),
        owner: Owner,
        id: Uuid,
    ) -> Result<Sealed, OpenError> {
        Ok(self.master(under)?.seal(entropy, &Place::of_data_key(owner, id), &DataKey::draw(entropy)))
    }

    /// Unwraps an owner's data key.
    ///
    /// # Errors
    /// [`OpenError`] tells a missing master key from an altered row.
    pub fn unwrap(&self, owner: Owner, id: Uuid, wrapped: &Sealed) -> Result<DataKey, OpenError> {
        DataKey::of(id, &self.master(wrapped.key)?.open(&Place::of_data_key(owner, id), wrapped)?)
    }

    /// Wraps a data key anew under another master key. Neither the key itself nor anything under it changes.
    ///
    /// # Errors
    /// As for [`Self::unwrap`], and when the other master key is not held.
    pub fn rewrap(
        &self,
        under: KeyId,
        entropy: &(impl Entropy + ?Sized),
        (owner, id): (Owner, Uuid),
        wrapped: &Sealed,
    ) -> Result<Sealed, OpenError> {
        let place = Place::of_data_key(owner, id);
        let key = self.master(wrapped.key)?.open(&place, wrapped)?;
        Ok(self.master(under)?.seal(entropy, &place, &key))
    }

    /// Seals a value of the house.
    ///
    /// # Errors
    /// [`OpenError::NoKey`].
    pub fn seal(
        &self,
        entropy: &(impl Entropy + ?Sized),
        place: &Place<'_>,
        secret: &Secret,
    ) -> Result<Sealed, OpenError> {
        Ok(self.house.as_ref().ok_or(OpenError::NoKey)?.seal(entropy, place, secret))
    }

    /// Opens a value of the house; also one that an older Berth sealed directly under a master key.
    ///
    /// # Errors
    /// [`OpenError`] tells a missing key from an altered value.
    pub fn open(&self, place: &Place<'_>, sealed: &Sealed) -> Result<Secret, OpenError> {
        let house = self.house.as_ref().ok_or(OpenError::NoKey)?;
        if sealed.key == house.id() { house.open(place, sealed) } else { self.master(sealed.key)?.open(place, sealed) }
    }

    /// Whether a stored value is an envelope that opens at this place. What is inside is not kept.
    ///
    /// # Errors
    /// [`OpenError`], as [`Self::open`] would give it.
    pub fn opens(&self, place: &Place<'_>, stored: &[u8]) -> Result<(), OpenError> {
        self.open(place, &Sealed::from_bytes(stored)?).map(drop)
    }

    /// A keyed hash of some bytes for one purpose, under each root, the house's first.
    ///
    /// HMAC-SHA256 twice: a key for the purpose from the root, then the bytes under it. Nobody without
    /// the key can tell which bytes it was, nor make one. Written under the first, looked up under all. A rotation of
    /// master keys leaves the first as it is.
    ///
    /// # Errors
    /// [`OpenError::NoKey`].
    pub fn keyed(&self, purpose: &str, bytes: &[u8]) -> Result<KeyedHashes, OpenError> {
        let under = |root: &hmac::Key| keyed(root, purpose, bytes);
        let (first, older) = self.roots.split_first().ok_or(OpenError::NoKey)?;
        Ok(KeyedHashes { first: under(first), older: older.iter().map(under).collect() })
    }

    fn master(&self, id: KeyId) -> Result<&MasterKey, OpenError> {
        self.masters.iter().find(|key| key.id() == id).ok_or(OpenError::UnknownKey(id))
    }
}

/// One value hashed under every root of a process.
#[derive(Debug)]
pub struct KeyedHashes {
    /// What is written.
    pub first: Zeroizing<[u8; 32]>,
    /// What an older Berth may have written.
    pub older: Vec<Zeroizing<[u8; 32]>>,
}

impl KeyedHashes {
    /// All of them, what is written now first: for looking up.
    pub fn all(&self) -> impl Iterator<Item = &[u8; 32]> {
        std::iter::once(&*self.first).chain(self.older.iter().map(|hash| &**hash))
    }
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let state = if self.is_sealed() { "sealed" } else { "usable" };
        write!(f, "Keyring({state}, {} master keys)", self.masters.len())
    }
}

#[cfg(test)]
mod tests;
