//! SHA-256 (FIPS 180-4) and comparison in constant time.

use aws_lc_rs::digest::{SHA256, digest as sha};
use subtle::ConstantTimeEq as _;

/// A SHA-256 digest; prints as 64 hexadecimal digits.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Digest([u8; 32]);

impl Digest {
    /// A digest as it was stored.
    #[must_use]
    pub const fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// The 32 bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

impl std::fmt::Display for Digest {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(&hex::encode(self.0))
    }
}

/// SHA-256 of some bytes.
#[must_use]
pub fn digest(bytes: &[u8]) -> Digest {
    let mut out = [0; 32];
    out.copy_from_slice(sha(&SHA256, bytes).as_ref());
    Digest(out)
}

/// Whether two secrets are the same, in a time that tells nothing about where they differ.
///
/// Both are hashed first, so that their lengths do not show either.
#[must_use]
pub fn same(one: &[u8], other: &[u8]) -> bool {
    digest(one).0.ct_eq(&digest(other).0).into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_is_the_one_everybody_knows() {
        // FIPS 180-4 example: SHA-256 of "abc".
        assert_eq!(digest(b"abc").to_string(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
        assert!(same(b"a", b"a") && !same(b"a", b"b") && !same(b"", b"a"));
    }
}
