//! Invites: the codes that let people sign up.

use std::fmt;

use crate::entropy::Entropy;

/// What codes are made of: 32 symbols of five bits; none looks like another.
const ALPHABET: &[u8; 32] = b"ABCDEFGHJKLMNPQRSTUVWXYZ23456789";
/// Symbols of a code: 60 bits.
const SYMBOLS: usize = 12;

/// A code in the clear: `XXXX-XXXX-XXXX`. Stored as a keyed hash only; prints as its first four symbols.
#[derive(Clone, PartialEq, Eq)]
pub struct InviteCode(String);

impl InviteCode {
    /// Draws a fresh code.
    #[must_use]
    pub fn draw(entropy: &(impl Entropy + ?Sized)) -> Self {
        let mut bytes = [0; 32];
        entropy.fill(&mut bytes);
        Self::of_bytes(&bytes)
    }

    /// The code of these random bytes: the lowest five bits of each of the first twelve.
    #[must_use]
    pub fn of_bytes(bytes: &[u8; 32]) -> Self {
        let symbols = bytes.iter().take(SYMBOLS).filter_map(|byte| ALPHABET.get(usize::from(byte & 31)));
        Self(symbols.map(|symbol| char::from(*symbol)).collect())
    }

    /// Takes what somebody typed: in any case, with or without dashes and spaces.
    #[must_use]
    pub fn parse(typed: &str) -> Option<Self> {
        if typed.len() > 40 {
            return None;
        }
        let kept = typed.chars().filter(|c| !matches!(c, '-' | ' '));
        let code: String = kept.map(|c| c.to_ascii_uppercase()).collect();
        let fits = code.len() == SYMBOLS && code.bytes().all(|byte| ALPHABET.contains(&byte));
        fits.then_some(Self(code))
    }

    /// The twelve symbols, without dashes: what is hashed.
    #[must_use]
    pub fn symbols(&self) -> &str {
        &self.0
    }

    /// As people read it: `XXXX-XXXX-XXXX`.
    #[must_use]
    pub fn shown(&self) -> String {
        let part = |from: usize| self.0.get(from..from + 4).unwrap_or_default();
        format!("{}-{}-{}", part(0), part(4), part(8))
    }
}

impl fmt::Debug for InviteCode {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "InviteCode({}-…)", self.0.get(..4).unwrap_or_default())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Mutex;

    use super::*;

    /// A generator good enough for counting (xorshift64*).
    struct Dice(Mutex<u64>);
    impl Entropy for Dice {
        fn fill(&self, buffer: &mut [u8]) {
            let mut state = self.0.lock().unwrap();
            for byte in buffer {
                *state ^= *state >> 12;
                *state ^= *state << 25;
                *state ^= *state >> 27;
                *byte = u8::try_from(state.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 56).unwrap();
            }
        }
        fn unix_millis(&self) -> u64 {
            0
        }
    }

    /// AUT-03: 10,000 codes, every symbol equally often: chi-squared with 31 degrees of freedom, p > 0.001.
    #[test]
    fn ten_thousand_codes_use_every_symbol_alike() {
        let dice = Dice(Mutex::new(889));
        let mut counts = [0_u32; 256];
        for _ in 0..10_000 {
            let code = InviteCode::draw(&dice);
            assert_eq!(InviteCode::parse(&code.shown()), Some(code.clone()));
            code.symbols().bytes().for_each(|byte| counts[usize::from(byte)] += 1);
        }
        let expected = f64::from(10_000 * 12) / 32.0;
        let chi: f64 =
            ALPHABET.iter().map(|s| (f64::from(counts[usize::from(*s)]) - expected).powi(2) / expected).sum();
        assert!(chi < 61.1, "{chi}");
        assert_eq!(counts.iter().sum::<u32>(), 120_000);
        for confusable in b"01OI" {
            assert_eq!(counts[usize::from(*confusable)], 0);
        }
    }

    #[test]
    fn what_is_typed_is_folded_and_nothing_else_is_a_code() {
        let code = InviteCode::parse("ABCD-EFGH-JKLM").unwrap();
        for typed in ["abcd-efgh-jklm", " ABCDEFGHJKLM ", "abcd efgh jklm"] {
            assert_eq!(InviteCode::parse(typed), Some(code.clone()), "{typed}");
        }
        assert_eq!((code.shown(), format!("{code:?}")), ("ABCD-EFGH-JKLM".to_owned(), "InviteCode(ABCD-…)".to_owned()));
        for bad in ["", "ABCD-EFGH-JKL", "ABCD-EFGH-JKLMN", "ABCD-EFGH-JKL0", "ÄBCD-EFGH-JKL", &"A".repeat(41)] {
            assert_eq!(InviteCode::parse(bad), None, "{bad}");
        }
    }
}
