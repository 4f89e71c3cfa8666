//! Time-based one-time codes (RFC 6238): six digits, thirty seconds, HMAC-SHA-1 as every authenticator knows it.

use domain::Entropy;
use totp_rs::{Algorithm, TOTP};
use zeroize::Zeroizing;

use crate::{digest::same, secret::Secret};

/// Length of a step in seconds.
pub const STEP_SECONDS: u64 = 30;
/// Length of a secret in bytes: that of the hash, as RFC 4226 (4, R6) advises.
pub const SECRET_BYTES: usize = 20;

/// Draws a fresh secret.
#[must_use]
pub fn fresh_totp(entropy: &(impl Entropy + ?Sized)) -> Secret {
    let mut bytes = Zeroizing::new([0; SECRET_BYTES]);
    entropy.fill(bytes.as_mut_slice());
    Secret::new(bytes.to_vec())
}

/// The step whose code this is: the present one, or one before or after it, for clocks that differ. The caller takes
/// each step once. `None`: a wrong code.
#[must_use]
pub fn totp_step(secret: &Secret, code: &str, unix_seconds: u64) -> Option<u64> {
    let now = unix_seconds / STEP_SECONDS;
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, STEP_SECONDS, secret.expose().to_vec()).ok()?;
    // All three are computed and compared, so that the time tells nothing.
    let steps = [now.saturating_sub(1), now, now + 1];
    steps.into_iter().fold(None, |found, step| {
        let fits = same(totp.generate(step * STEP_SECONDS).as_bytes(), code.as_bytes());
        if fits { Some(step) } else { found }
    })
}

/// The code of a moment: what an authenticator shows.
#[must_use]
pub fn totp_code(secret: &Secret, unix_seconds: u64) -> Option<String> {
    let totp = TOTP::new(Algorithm::SHA1, 6, 1, STEP_SECONDS, secret.expose().to_vec()).ok()?;
    Some(totp.generate(unix_seconds))
}

/// The secret as people type it into an authenticator: base32 (RFC 4648) without padding.
#[must_use]
pub fn totp_text(secret: &Secret) -> Zeroizing<String> {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut text = Zeroizing::new(String::with_capacity(32));
    for five in secret.expose().chunks(5) {
        let bits = five.iter().fold(0_u64, |bits, byte| (bits << 8) | u64::from(*byte)) << (8 * (5 - five.len()));
        for place in 0..(five.len() * 8).div_ceil(5) {
            let index = usize::try_from((bits >> (35 - 5 * place)) & 31).unwrap_or_default();
            text.push(ALPHABET.get(index).copied().map_or('A', char::from));
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    /// RFC 6238, appendix B: the last six of its eight digits, and the secret of its SHA-1 rows.
    #[test]
    fn the_codes_are_those_of_the_standard() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        for (seconds, code) in
            [(59, "287082"), (1_111_111_109, "081804"), (1_234_567_890, "005924"), (20_000_000_000, "353130")]
        {
            assert_eq!(totp_step(&secret, code, seconds), Some(seconds / 30));
            assert_eq!(totp_code(&secret, seconds).as_deref(), Some(code));
        }
        assert_eq!(totp_text(&secret).as_str(), "GEZDGNBVGY3TQOJQGEZDGNBVGY3TQOJQ", "by the program base32");
    }

    #[test]
    fn a_code_is_taken_a_step_early_or_late_and_no_further() {
        let secret = Secret::new(b"12345678901234567890".to_vec());
        for (seconds, taken) in [(29, true), (59, true), (89, true), (90, false), (119, false)] {
            assert_eq!(totp_step(&secret, "287082", seconds).is_some(), taken, "{seconds}");
        }
        for wrong in ["", "28708", "2870822", "287083", "２８７０８２"] {
            assert_eq!(totp_step(&secret, wrong, 59), None, "{wrong:?}");
        }
    }
}
