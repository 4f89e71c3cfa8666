//! The operating system's randomness and clock.

use std::time::{SystemTime, UNIX_EPOCH};

use domain::Entropy;

/// Randomness from the cryptographic library's system generator.
#[derive(Debug, Clone, Copy)]
pub(crate) struct System;

impl Entropy for System {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "a process without randomness must not go on making keys")]
        aws_lc_rs::rand::fill(buffer).expect("the system gives random bytes");
    }

    fn unix_millis(&self) -> u64 {
        let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or(u64::MAX)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use vault::{Token, TokenKind};

    use super::*;

    /// TOK-18: 256 bits each, none twice, every byte value alike.
    #[test]
    fn tokens_are_drawn_from_the_systems_generator() {
        let mut counts = [0_u64; 256];
        let mut seen = HashSet::new();
        for _ in 0..100_000 {
            let mut bytes = [0; 32];
            System.fill(&mut bytes);
            for byte in bytes {
                *counts.get_mut(usize::from(byte)).unwrap() += 1;
            }
            assert!(seen.insert(bytes), "drawn twice");
        }
        let all: u64 = counts.iter().sum();
        #[expect(clippy::cast_precision_loss, reason = "far below 2^52")]
        let bits: f64 = counts.iter().map(|count| *count as f64 / all as f64).map(|share| -share * share.log2()).sum();
        assert!(bits > 7.999, "{bits} bits a byte");
        let token = Token::mint(&System, TokenKind::Personal);
        assert_eq!(token.expose().len(), TokenKind::Personal.prefix().len() + 43, "32 bytes in base64url");
    }
}
