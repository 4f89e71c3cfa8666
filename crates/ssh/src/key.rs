//! The keys of machines: made by us before the first start, pinned ever after.

use std::{fmt, str::FromStr};

use domain::Entropy;
use russh::keys::{
    Algorithm, HashAlg, PrivateKey, PublicKey,
    ssh_key::{LineEnding, private::Ed25519Keypair},
};
use zeroize::Zeroizing;

/// The text is no key that Berth uses. Carries nothing of the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("not an {expected}")]
pub struct BadKey {
    expected: &'static str,
}

impl BadKey {
    pub(crate) const PRIVATE: Self = Self { expected: "unencrypted Ed25519 private key in OpenSSH format" };
    pub(crate) const PUBLIC: Self = Self { expected: "Ed25519 public key in OpenSSH format" };
}

/// A fresh Ed25519 key.
pub(crate) fn fresh(entropy: &(impl Entropy + ?Sized), comment: &str) -> PrivateKey {
    let mut seed = Zeroizing::new([0; 32]);
    entropy.fill(&mut *seed);
    let mut key = PrivateKey::from(Ed25519Keypair::from_seed(&seed));
    key.set_comment(comment);
    key
}

/// Reads an Ed25519 private key that no passphrase protects.
pub(crate) fn read(text: &str) -> Result<PrivateKey, BadKey> {
    let key = PrivateKey::from_openssh(text).map_err(|_| BadKey::PRIVATE)?;
    if key.is_encrypted() || key.algorithm() != Algorithm::Ed25519 {
        return Err(BadKey::PRIVATE);
    }
    Ok(key)
}

/// The private key in OpenSSH's own format, lines ended by a line feed.
pub(crate) fn write(key: &PrivateKey) -> Zeroizing<String> {
    #[expect(clippy::expect_used, reason = "an Ed25519 key in memory has one encoding, and it fits")]
    key.to_openssh(LineEnding::LF).expect("an Ed25519 key encodes")
}

/// The public key as one line, with its comment and without a line end.
pub(crate) fn public_line(key: &PublicKey) -> String {
    #[expect(clippy::expect_used, reason = "an Ed25519 key in memory has one encoding, and it fits")]
    key.to_openssh().expect("an Ed25519 key encodes")
}

/// A machine's host key, made by us and put into the machine before its first start.
pub struct HostKey(PrivateKey);

impl HostKey {
    /// A fresh Ed25519 key.
    #[must_use]
    pub fn generate(entropy: &(impl Entropy + ?Sized)) -> Self {
        Self(fresh(entropy, ""))
    }

    /// The contents of `ssh_host_ed25519_key`.
    #[must_use]
    pub fn private_openssh(&self) -> Zeroizing<String> {
        write(&self.0)
    }

    /// The contents of `ssh_host_ed25519_key.pub`, without a line end; what [`Pinned`] parses.
    #[must_use]
    pub fn public_openssh(&self) -> String {
        public_line(self.0.public_key())
    }

    /// What connections to this machine pin.
    #[must_use]
    pub fn pinned(&self) -> Pinned {
        Pinned(self.0.public_key().clone())
    }
}

impl fmt::Debug for HostKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "HostKey({}, ..)", self.pinned().fingerprint())
    }
}

/// The one host key that a machine may show.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pinned(PublicKey);

impl Pinned {
    /// `SHA256:…`, as `ssh-keygen -l` prints it.
    #[must_use]
    pub fn fingerprint(&self) -> String {
        fingerprint(&self.0)
    }

    /// Whether this is the key; a comment beside it means nothing.
    pub(crate) fn is(&self, shown: &PublicKey) -> bool {
        self.0.key_data() == shown.key_data()
    }
}

impl FromStr for Pinned {
    type Err = BadKey;

    /// Reads one line `ssh-ed25519 AAAA… [comment]`.
    fn from_str(line: &str) -> Result<Self, BadKey> {
        let mut key = PublicKey::from_openssh(line.trim()).map_err(|_| BadKey::PUBLIC)?;
        if key.algorithm() != Algorithm::Ed25519 {
            return Err(BadKey::PUBLIC);
        }
        key.set_comment("");
        Ok(Self(key))
    }
}

impl fmt::Display for Pinned {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&public_line(&self.0))
    }
}

/// `SHA256:…` of any public key.
pub(crate) fn fingerprint(key: &PublicKey) -> String {
    key.fingerprint(HashAlg::Sha256).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Counting;
    impl Entropy for Counting {
        fn fill(&self, buffer: &mut [u8]) {
            for (n, byte) in (0..).zip(buffer) {
                *byte = n;
            }
        }
        fn unix_millis(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_host_key_pins_itself_through_its_text() {
        let key = HostKey::generate(&Counting);
        let pinned: Pinned = key.public_openssh().parse().unwrap();
        assert_eq!(pinned, key.pinned());
        assert_eq!(pinned.to_string().parse(), Ok(pinned));
        assert!(key.private_openssh().starts_with("-----BEGIN OPENSSH PRIVATE KEY-----\n"));
    }

    #[test]
    fn a_comment_does_not_make_another_key() {
        let key = HostKey::generate(&Counting);
        let line = format!("{} root@somewhere\n", key.public_openssh().trim());
        assert_eq!(line.parse(), Ok(key.pinned()));
    }

    #[test]
    fn other_texts_are_no_pin() {
        for text in ["", "ssh-ed25519", "ssh-ed25519 AAAA", "ecdsa-sha2-nistp256 AAAAE2VjZHNh"] {
            assert_eq!(text.parse::<Pinned>(), Err(BadKey::PUBLIC), "{text}");
        }
    }

    #[test]
    fn debug_shows_no_private_key() {
        let shown = format!("{:?}", HostKey::generate(&Counting));
        assert!(shown.starts_with("HostKey(SHA256:"), "{shown}");
        assert!(shown.len() < 80, "{shown}");
    }
}
