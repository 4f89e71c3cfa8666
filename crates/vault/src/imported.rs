//! Values that other programs sealed with a passphrase: read once, when somebody brings them along.
//!
//! Two forms are known. Nothing here writes them: what was opened is sealed anew, as an envelope. Each opening
//! derives a key, which costs 4 ms for 10,000 rounds and 40 ms for 100,000; who calls from an async thread goes
//! through `app::import`.
//!
//! | form | bytes | key |
//! |---|---|---|
//! | [`Imported::gcm`] | base64 of salt (16), nonce (12), ciphertext, tag (16) | PBKDF2-HMAC-SHA256, 100,000 rounds; AES-256-GCM |
//! | [`Imported::openssl`] | `Salted__`, salt (8), ciphertext | PBKDF2-HMAC-SHA256, key and first block; AES-256-CBC |
//!
//! AES-CBC has no tag. Whoever can change such a value can change what it opens to, and one wrong passphrase in 256
//! yields a padding that looks right. What opens is therefore refused unless it is text without control characters.
//! That finds nearly every change, but it is no tag: the caller asks the credential's vendor whether it is good.

use std::{fmt, num::NonZeroU32};

use aws_lc_rs::{
    cipher::{AES_256, DecryptionContext, PaddedBlockDecryptingKey, UnboundCipherKey},
    iv::FixedLength,
    pbkdf2,
};
use base64::{Engine as _, engine::general_purpose::STANDARD};
use zeroize::Zeroizing;

use crate::{
    key::{cipher, open_raw},
    secret::Secret,
};

const KEY: usize = 32;
const TAG: usize = 16;
const BLOCK: usize = 16;
const GCM_SALT: usize = 16;
const GCM_NONCE: usize = 12;
const GCM_ROUNDS: NonZeroU32 = NonZeroU32::new(100_000).expect("not zero");
const OPENSSL_MAGIC: &[u8] = b"Salted__";
const OPENSSL_SALT: usize = 8;

/// How often PBKDF2 runs its hash: the cost of one guess.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rounds(NonZeroU32);

/// Fewer than 1,000 rounds or more than 1,000,000.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("rounds go from 1000 to 1000000; `openssl enc -pbkdf2` takes 10000 unless -iter says otherwise")]
pub struct BadRounds;

impl Rounds {
    /// What `openssl enc -pbkdf2` takes without `-iter`.
    pub const OPENSSL: Self = Self(NonZeroU32::new(10_000).expect("not zero"));
    /// The fewest: fewer protect nothing.
    pub const LEAST: u32 = 1_000;
    /// The most: 0.4 s of one processor.
    pub const MOST: u32 = 1_000_000;

    /// The only other constructor.
    ///
    /// # Errors
    /// [`BadRounds`] outside of [`Self::LEAST`] to [`Self::MOST`].
    pub fn new(count: u32) -> Result<Self, BadRounds> {
        let count = NonZeroU32::new(count).ok_or(BadRounds)?;
        if (Self::LEAST..=Self::MOST).contains(&count.get()) { Ok(Self(count)) } else { Err(BadRounds) }
    }
}

/// A value that another program sealed, as its bytes. Safe to log: it prints its form and length only.
pub struct Imported {
    form: Form,
    /// GCM: ciphertext, then the tag. openssl: whole blocks.
    body: Vec<u8>,
}

enum Form {
    Gcm { salt: [u8; GCM_SALT], nonce: [u8; GCM_NONCE] },
    OpenSsl { salt: [u8; OPENSSL_SALT], rounds: Rounds },
}

/// The text is no sealed value of the form that was named. It is not repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadImport {
    /// Longer than [`Imported::TEXT_MAX`].
    #[error("a sealed value has at most 32 KiB of text")]
    Long,
    /// Not base64.
    #[error("it is not base64: paste the sealed value whole")]
    NotBase64,
    /// Too short, no whole blocks, or without `Salted__`.
    #[error("it is base64, but not of a value sealed in this way: was it cut off?")]
    Form,
}

/// The passphrase is wrong, or the value was altered: which of them, nobody can tell.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it does not open: the passphrase or the number of rounds is wrong, or the value was altered")]
pub struct NotOpened;

impl Imported {
    /// The longest text that is looked at, in bytes: three times what the longest credential needs.
    pub const TEXT_MAX: usize = 32 * 1024;
    /// The longest passphrase, in bytes.
    pub const PASSPHRASE_MAX: usize = 1024;

    /// Reads `base64(salt ‖ nonce ‖ ciphertext ‖ tag)`. Line breaks and spaces count for nothing.
    ///
    /// # Errors
    /// [`BadImport`], which never repeats the text.
    pub fn gcm(text: &str) -> Result<Self, BadImport> {
        let bytes = decoded(text)?;
        let (salt, rest) = bytes.split_first_chunk().ok_or(BadImport::Form)?;
        let (nonce, body) = rest.split_first_chunk().ok_or(BadImport::Form)?;
        if body.len() < TAG {
            return Err(BadImport::Form);
        }
        Ok(Self { form: Form::Gcm { salt: *salt, nonce: *nonce }, body: body.to_vec() })
    }

    /// Reads what `openssl enc -aes-256-cbc -pbkdf2 -md sha256 -a` writes, or the base64 of what it writes without `-a`.
    ///
    /// # Errors
    /// [`BadImport`], which never repeats the text.
    pub fn openssl(text: &str, rounds: Rounds) -> Result<Self, BadImport> {
        let bytes = decoded(text)?;
        let rest = bytes.strip_prefix(OPENSSL_MAGIC).ok_or(BadImport::Form)?;
        let (salt, body) = rest.split_first_chunk().ok_or(BadImport::Form)?;
        if body.is_empty() || body.len() % BLOCK != 0 {
            return Err(BadImport::Form);
        }
        Ok(Self { form: Form::OpenSsl { salt: *salt, rounds }, body: body.to_vec() })
    }

    /// Opens it. Takes as long as its rounds; call it where nobody waits on the thread.
    ///
    /// # Errors
    /// [`NotOpened`], the same for every cause.
    pub fn open(&self, passphrase: &Secret) -> Result<Secret, NotOpened> {
        let passphrase = passphrase.expose();
        if passphrase.is_empty() || passphrase.len() > Self::PASSPHRASE_MAX {
            return Err(NotOpened);
        }
        let opened = match &self.form {
            Form::Gcm { salt, nonce } => {
                let mut key = Zeroizing::new([0; KEY]);
                derive(passphrase, salt, GCM_ROUNDS, key.as_mut_slice());
                cipher(&key).and_then(|cipher| open_raw(&cipher, *nonce, &[], &self.body).ok())
            }
            Form::OpenSsl { salt, rounds } => {
                let (mut both, mut first) = (Zeroizing::new([0; KEY + BLOCK]), [0; BLOCK]);
                derive(passphrase, salt, rounds.0, both.as_mut_slice());
                let (key, rest) = both.split_at(KEY);
                first.copy_from_slice(rest);
                open_cbc(key, first, &self.body)
            }
        };
        opened.filter(is_words).ok_or(NotOpened)
    }
}

impl fmt::Debug for Imported {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let form = match self.form {
            Form::Gcm { .. } => "gcm",
            Form::OpenSsl { .. } => "openssl",
        };
        write!(f, "Imported({form}, {} bytes)", self.body.len())
    }
}

fn decoded(text: &str) -> Result<Vec<u8>, BadImport> {
    if text.len() > Imported::TEXT_MAX {
        return Err(BadImport::Long);
    }
    let dense: Vec<u8> = text.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
    STANDARD.decode(dense).map_err(|_| BadImport::NotBase64)
}

/// What people keep as a credential or a variable: text, on one line or several.
fn is_words(secret: &Secret) -> bool {
    let is_plain = |c: char| !c.is_control() || matches!(c, '\n' | '\r' | '\t');
    secret.expose_text().is_some_and(|text| text.chars().all(is_plain))
}

/// PBKDF2-HMAC-SHA256 (RFC 8018, 5.2).
pub(crate) fn derive(passphrase: &[u8], salt: &[u8], rounds: NonZeroU32, out: &mut [u8]) {
    pbkdf2::derive(pbkdf2::PBKDF2_HMAC_SHA256, rounds, salt, passphrase, out);
}

/// AES-256-CBC with the padding of PKCS#7. `None`: the padding does not fit, which is all that can be seen.
pub(crate) fn open_cbc(key: &[u8], first: [u8; BLOCK], body: &[u8]) -> Option<Secret> {
    let key = PaddedBlockDecryptingKey::cbc_pkcs7(UnboundCipherKey::new(&AES_256, key).ok()?).ok()?;
    let mut body = Zeroizing::new(body.to_vec());
    let plain = key.decrypt(&mut body, DecryptionContext::Iv128(FixedLength::from(first))).ok()?;
    Some(Secret::new(plain.to_vec()))
}

#[cfg(test)]
mod tests;
