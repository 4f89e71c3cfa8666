//! A vendor's public keys (RFC 7517), as far as they may sign a token.

use jsonwebtoken::{
    Algorithm, DecodingKey,
    jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse},
};
use serde::Deserialize;
use serde_json::Value;

use super::token::Head;

/// More keys than any vendor has.
const KEYS_MAX: usize = 100;

/// The set as published: each key is read by itself, so that a strange one does not hide the others.
#[derive(Debug, Deserialize)]
pub struct Published {
    keys: Vec<Value>,
}

/// Those that may sign a token.
pub struct Keys(Vec<Known>);

struct Known {
    id: Option<String>,
    said: Option<String>,
    fits: &'static [Algorithm],
    key: DecodingKey,
}

/// A key with the one algorithm that it is used with.
pub struct Key {
    pub(super) key: DecodingKey,
    pub(super) algorithm: Algorithm,
}

impl Keys {
    /// Keeps public keys for signatures; secret ones and those for encryption are left out.
    #[must_use]
    pub fn of(published: &Published) -> Self {
        Self(published.keys.iter().take(KEYS_MAX).filter_map(Known::of).collect())
    }

    /// The key that a token names. One that names none is taken if the vendor has one key only.
    #[must_use]
    pub fn find(&self, head: &Head) -> Option<Key> {
        let fits = |known: &&Known| {
            known.fits.contains(&head.algorithm) && known.said.as_deref().is_none_or(|said| said == head.word)
        };
        let known = match &head.key_id {
            Some(id) => self.0.iter().filter(|known| known.id.as_ref() == Some(id)).find(fits)?,
            None => match &self.0[..] {
                [only] => Some(only).filter(fits)?,
                _ => return None,
            },
        };
        Some(Key { key: known.key.clone(), algorithm: head.algorithm })
    }
}

impl Known {
    fn of(value: &Value) -> Option<Self> {
        // Said in the key itself; the library knows fewer words than there are.
        let said = value.get("alg").and_then(Value::as_str).map(str::to_owned);
        let jwk: Jwk = serde_json::from_value(value.clone()).ok()?;
        if jwk.common.public_key_use.as_ref().is_some_and(|used| *used != PublicKeyUse::Signature) {
            return None;
        }
        let fits: &[Algorithm] = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => &[Algorithm::RS256, Algorithm::PS256],
            AlgorithmParameters::EllipticCurve(key) if key.curve == EllipticCurve::P256 => &[Algorithm::ES256],
            AlgorithmParameters::OctetKeyPair(key) if key.curve == EllipticCurve::Ed25519 => &[Algorithm::EdDSA],
            _ => return None,
        };
        let key = DecodingKey::from_jwk(&jwk).ok()?;
        Some(Self { id: jwk.common.key_id, said, fits, key })
    }
}
