//! What tells a sealed value from another one of the same tenant, and nothing else about it.

use std::{fmt, str::FromStr};

use crate::key::DataKey;

const BYTES: usize = 6;

/// The first 48 bits of a keyed hash under a tenant's data key; prints as 12 hexadecimal digits.
///
/// Whoever lacks that key can neither guess the value nor compare it with one of another tenant. It ends with the
/// key: once that is destroyed, nobody can try a guess any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fingerprint([u8; BYTES]);

/// Not 12 lower-case hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a fingerprint is 12 lower-case hexadecimal digits")]
pub struct NotAFingerprint;

impl Fingerprint {
    /// Of these parts in this order. A length stands before each, so no two lists of parts read alike.
    #[must_use]
    pub fn of(key: &DataKey, parts: &[&[u8]]) -> Self {
        // Reserved whole at once: a growing buffer would leave copies behind.
        let size = parts.iter().map(|part| 8 + part.len()).sum();
        let mut text = zeroize::Zeroizing::new(Vec::with_capacity(size));
        for part in parts {
            text.extend_from_slice(&(part.len() as u64).to_be_bytes());
            text.extend_from_slice(part);
        }
        let full = key.keyed("fingerprint", &text);
        let mut short = [0; BYTES];
        short.copy_from_slice(full.split_at(BYTES).0);
        Self(short)
    }
}

impl fmt::Display for Fingerprint {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

impl FromStr for Fingerprint {
    type Err = NotAFingerprint;

    fn from_str(text: &str) -> Result<Self, NotAFingerprint> {
        let mut bytes = [0; BYTES];
        hex::decode_to_slice(text, &mut bytes).map_err(|_| NotAFingerprint)?;
        let read = Self(bytes);
        if read.to_string() == text { Ok(read) } else { Err(NotAFingerprint) }
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;
    use crate::secret::Secret;

    fn key(byte: u8) -> DataKey {
        DataKey::of(Uuid::nil(), &Secret::new(vec![byte; 32])).unwrap()
    }

    #[test]
    fn it_depends_on_the_key_and_on_every_part_and_its_place() {
        let of = |byte, parts: &[&[u8]]| Fingerprint::of(&key(byte), parts);
        let one = of(1, &[b"openai", b"sk-1"]);
        assert_eq!(one, of(1, &[b"openai", b"sk-1"]));
        let others = [
            of(2, &[b"openai", b"sk-1"]),
            of(1, &[b"openai", b"sk-2"]),
            of(1, &[b"openaisk-1"]),
            of(1, &[b"opena", b"isk-1"]),
            of(1, &[b"sk-1", b"openai"]),
            of(1, &[b"openai", b"", b"sk-1"]),
        ];
        assert!(others.iter().all(|other| *other != one), "{others:?}");
    }

    /// What is stored stays readable: HMAC-SHA256 twice, as Python's `hmac` made it.
    #[test]
    fn it_is_the_one_that_was_written_down() {
        assert_eq!(Fingerprint::of(&key(1), &[b"openai", b"sk-1"]).to_string(), "982094c29243");
    }

    #[test]
    fn it_is_read_as_it_is_written() {
        let one = Fingerprint::of(&key(1), &[b"x"]);
        assert_eq!(one.to_string().parse(), Ok(one));
        for bad in ["", "0123456789a", "0123456789abc", "0123456789AB", "0123456789ax"] {
            assert_eq!(bad.parse::<Fingerprint>(), Err(NotAFingerprint), "{bad}");
        }
    }
}
