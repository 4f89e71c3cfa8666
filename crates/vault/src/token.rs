//! Credentials that Berth issues: shown once, stored as a hash.

use std::fmt;

use base64::{Engine as _, engine::general_purpose::URL_SAFE_NO_PAD};
use domain::Entropy;
use zeroize::Zeroizing;

use crate::digest::digest;

/// What a token is for; its prefix lets people and secret scanners recognise it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A person's API token.
    Personal,
    /// What renews a browser's session.
    Session,
    /// A browser on its way through a vendor's sign-in.
    Attempt,
    /// A one-time link.
    Link,
    /// A machine calling home.
    Machine,
    /// A machine's virtual key for the model route.
    Model,
    /// The token of a machine's gateway.
    Gateway,
}

impl TokenKind {
    /// The first characters of every token of this kind.
    #[must_use]
    pub const fn prefix(self) -> &'static str {
        match self {
            Self::Personal => "berth_pat_",
            Self::Session => "berth_ses_",
            Self::Attempt => "berth_sgn_",
            Self::Link => "berth_lnk_",
            Self::Machine => "berth_mch_",
            Self::Model => "berth_llm_",
            Self::Gateway => "berth_gtw_",
        }
    }
}

/// A token in the clear: prefix and 256 random bits in base64url. Prints as its prefix only.
pub struct Token {
    kind: TokenKind,
    text: Zeroizing<String>,
}

/// What is stored of a token: its SHA-256. The token has 256 bits of entropy, so no salt or stretching is needed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TokenHash([u8; 32]);

impl Token {
    /// Draws a fresh token.
    #[must_use]
    pub fn mint(entropy: &(impl Entropy + ?Sized), kind: TokenKind) -> Self {
        let mut random = Zeroizing::new([0; 32]);
        entropy.fill(random.as_mut_slice());
        Self { kind, text: Zeroizing::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(random.as_slice()))) }
    }

    /// Makes the token of these 256 secret bits: for one that has to come out the same when it is made again.
    #[must_use]
    pub fn of_bytes(kind: TokenKind, secret: &[u8; 32]) -> Self {
        Self { kind, text: Zeroizing::new(format!("{}{}", kind.prefix(), URL_SAFE_NO_PAD.encode(secret))) }
    }

    /// Takes a text that a caller presented. `None` if it cannot be a token of this kind, before any look-up.
    #[must_use]
    pub fn parse(kind: TokenKind, text: &str) -> Option<Self> {
        let random = text.strip_prefix(kind.prefix())?;
        let well_formed =
            random.len() == 43 && random.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-' || b == b'_');
        well_formed.then(|| Self { kind, text: Zeroizing::new(text.to_owned()) })
    }

    /// The token in the clear.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.text
    }

    /// What is stored and looked up.
    #[must_use]
    pub fn hash(&self) -> TokenHash {
        TokenHash(*digest(self.text.as_bytes()).bytes())
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}…", self.kind.prefix())
    }
}

impl TokenHash {
    /// The stored bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8; 32] {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Zeros;
    impl Entropy for Zeros {
        fn fill(&self, buffer: &mut [u8]) {
            buffer.fill(0);
        }
        fn unix_millis(&self) -> u64 {
            0
        }
    }

    #[test]
    fn a_token_parses_as_its_own_kind_only() {
        let token = Token::mint(&Zeros, TokenKind::Session);
        assert_eq!(Token::parse(TokenKind::Session, token.expose()).map(|t| t.hash()), Some(token.hash()));
        assert!(Token::parse(TokenKind::Personal, token.expose()).is_none());
        for bad in
            ["", "berth_ses_", "berth_ses_short", &format!("{}x", token.expose()), &token.expose().replace('A', "é")]
        {
            assert!(Token::parse(TokenKind::Session, bad).is_none(), "{bad:?}");
        }
        assert_eq!(format!("{token:?}"), "berth_ses_…");
    }
}
