//! Signatures of the webhooks that Stripe sends: the header `Stripe-Signature` over the raw body.
//!
//! `t=SECONDS,v1=HEX[,v1=HEX…]`, where each `v1` is an HMAC-SHA-256 of `SECONDS.BODY` in
//! lower-case hexadecimal digits. Other schemes, `v0` among them, are passed over. Source:
//! Stripe Docs, "Verify webhook signatures manually".
//!
//! Stricter than Stripe's own libraries, never laxer: one moment, written plainly, not in the
//! future either. `crates/vault/tests/it/stripe.rs` holds the two next to each other.

use aws_lc_rs::hmac;
use chrono::{DateTime, TimeDelta, Utc};
use subtle::ConstantTimeEq as _;

use crate::Secret;

/// How far the moment of signing may be from now, before or after.
pub const TOLERANCE: TimeDelta = TimeDelta::minutes(5);
/// Longest header that is read, in bytes. Stripe's have less than 300.
pub const HEADER_BYTES_MAX: usize = 4_096;
/// Most digits of a moment: enough until the year 33658.
const SECONDS_DIGITS_MAX: usize = 12;

/// The secret of an endpoint at Stripe: `whsec_` and 16 to 200 letters, digits and `+ / _ = -`. All of the text is the
/// key, its prefix too.
#[derive(Debug)]
pub struct SigningSecret(Secret);

/// The text is no signing secret of Stripe's. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not whsec_ followed by 16 to 200 letters and digits, as Stripe shows it beside the endpoint")]
pub struct BadSigningSecret;

/// Why a body is not taken for Stripe's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum SignatureError {
    /// No header.
    #[error("the header Stripe-Signature is missing")]
    Missing,
    /// Not one moment and one signature or more, or too long.
    #[error("the header Stripe-Signature is not of the form t=…,v1=…")]
    Malformed,
    /// No text: Stripe sends JSON.
    #[error("the body is empty or no UTF-8 text")]
    NotText,
    /// None of the signatures is by one of the secrets over this body.
    #[error("no signature in the header fits the body")]
    NoMatch,
    /// Signed by Stripe, more than [`TOLERANCE`] ago.
    #[error("it was signed more than five minutes ago")]
    TooOld,
    /// Signed by Stripe, more than [`TOLERANCE`] from now: one of the two clocks is wrong.
    #[error("it was signed more than five minutes in the future")]
    FromTheFuture,
}

impl SigningSecret {
    /// The only constructor. White space around it is dropped.
    ///
    /// # Errors
    /// [`BadSigningSecret`] for anything else.
    pub fn parse(text: &str) -> Result<Self, BadSigningSecret> {
        let text = text.trim();
        let rest = text.strip_prefix("whsec_").ok_or(BadSigningSecret)?;
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"+/_=-".contains(&byte);
        let fits = (16..=200).contains(&rest.len()) && rest.bytes().all(plain);
        if fits { Ok(Self(Secret::from(text.to_owned()))) } else { Err(BadSigningSecret) }
    }

    /// The header that Stripe sends with this body: for what stands for Stripe in tests.
    #[must_use]
    pub fn sign(&self, unix_seconds: i64, body: &[u8]) -> String {
        format!("t={unix_seconds},v1={}", self.hex_of(unix_seconds, body))
    }

    fn hex_of(&self, unix_seconds: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{unix_seconds}.").as_bytes());
        context.update(body);
        hex::encode(context.sign().as_ref())
    }
}

/// Whether Stripe sent this body, at about this moment. `header` is the raw value of `Stripe-Signature`; while an
/// endpoint's secret is being replaced, both are in `secrets`.
///
/// Every signature is compared with every secret's, in constant time. The moment is judged last: an error about it is
/// about a body that Stripe did sign.
///
/// # Errors
/// [`SignatureError`].
pub fn check(
    secrets: &[SigningSecret],
    header: Option<&[u8]>,
    body: &[u8],
    now: DateTime<Utc>,
) -> Result<(), SignatureError> {
    let header = header.ok_or(SignatureError::Missing)?;
    let (unix_seconds, signatures) = parts(header).ok_or(SignatureError::Malformed)?;
    let signed = DateTime::from_timestamp(unix_seconds, 0).ok_or(SignatureError::Malformed)?;
    // A mark of byte order is not text of Stripe's either: some libraries drop it before they look.
    if body.is_empty() || body.starts_with("\u{feff}".as_bytes()) || std::str::from_utf8(body).is_err() {
        return Err(SignatureError::NotText);
    }
    let fits = secrets.iter().fold(false, |found, secret| {
        let expected = secret.hex_of(unix_seconds, body);
        signatures.iter().fold(found, |found, one| bool::from(one.as_bytes().ct_eq(expected.as_bytes())) | found)
    });
    match now - signed {
        _ if !fits => Err(SignatureError::NoMatch),
        age if age > TOLERANCE => Err(SignatureError::TooOld),
        age if age < -TOLERANCE => Err(SignatureError::FromTheFuture),
        _ => Ok(()),
    }
}

/// The moment and all signatures of the scheme `v1`. `None`: the header does not have exactly one and at least one.
fn parts(header: &[u8]) -> Option<(i64, Vec<&str>)> {
    let printable = header.len() <= HEADER_BYTES_MAX && header.iter().all(|byte| (b' '..=b'~').contains(byte));
    let header = if printable { std::str::from_utf8(header).ok()? } else { return None };
    let (mut moment, mut signatures) = (None, Vec::new());
    for item in header.split(',') {
        match item.split_once('=') {
            Some(("t", digits)) if moment.is_none() => moment = Some(seconds(digits)?),
            Some(("v1", signature)) => signatures.push(signature),
            // A second moment, or either name without a value: which one was meant is not for us to guess.
            Some(("t", _)) => return None,
            None if item == "t" || item == "v1" => return None,
            _ => {}
        }
    }
    if signatures.is_empty() { None } else { Some((moment?, signatures)) }
}

/// Plain decimal digits, as Stripe writes them: no sign, no space, no zero before them.
fn seconds(digits: &str) -> Option<i64> {
    let plain = digits.len() <= SECONDS_DIGITS_MAX && digits.bytes().all(|byte| byte.is_ascii_digit());
    if plain && !digits.starts_with('0') { digits.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SIGNED: i64 = 1_795_000_000;
    const BODY: &[u8] = br#"{"id":"evt_1","object":"event"}"#;
    /// Computed with Python's `hmac`, not with this code.
    const RIGHT: &str = "0b8f75acf69b14e2ba3b8ff4a23e451635a5e8775ec6312bd94dffda1c4fdf99";

    fn secret(text: &str) -> SigningSecret {
        SigningSecret::parse(text).unwrap()
    }

    fn ours() -> Vec<SigningSecret> {
        vec![secret("whsec_0123456789abcdef"), secret("whsec_fedcba9876543210")]
    }

    fn at(seconds: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(seconds, 0).unwrap()
    }

    fn checked(header: &str) -> Result<(), SignatureError> {
        check(&ours(), Some(header.as_bytes()), BODY, at(SIGNED))
    }

    #[test]
    fn the_signature_is_the_one_that_stripe_describes() {
        assert_eq!(ours()[0].sign(SIGNED, BODY), format!("t={SIGNED},v1={RIGHT}"));
        assert_eq!(checked(&format!("t={SIGNED},v1={RIGHT}")), Ok(()));
    }

    #[test]
    fn either_secret_is_good_while_one_is_replaced() {
        for secret in ours() {
            assert_eq!(checked(&secret.sign(SIGNED, BODY)), Ok(()));
        }
        assert_eq!(checked(&secret("whsec_another_one_of_them").sign(SIGNED, BODY)), Err(SignatureError::NoMatch));
        let header = ours()[0].sign(SIGNED, BODY);
        assert_eq!(check(&[], Some(header.as_bytes()), BODY, at(SIGNED)), Err(SignatureError::NoMatch));
    }

    #[test]
    fn one_right_signature_is_enough_and_other_schemes_say_nothing() {
        let wrong = "0".repeat(64);
        for header in [
            format!("t={SIGNED},v1={wrong},v1={RIGHT}"),
            format!("v1={RIGHT},t={SIGNED},v1="),
            format!("v0={wrong},t={SIGNED},v2,v1={RIGHT},,x=y=z"),
        ] {
            assert_eq!(checked(&header), Ok(()), "{header}");
        }
        assert_eq!(checked(&format!("t={SIGNED},v1={wrong},v0={RIGHT}")), Err(SignatureError::NoMatch));
        assert_eq!(checked(&format!("t={SIGNED},v1={}", RIGHT.to_uppercase())), Err(SignatureError::NoMatch));
    }

    #[test]
    fn a_header_of_another_form_is_refused() {
        let long = format!("t={SIGNED},v1={RIGHT},{}", "x".repeat(HEADER_BYTES_MAX));
        for header in [
            "",
            "t",
            "hunter2",
            &format!("v1={RIGHT}"),
            &format!("t={SIGNED}"),
            &format!("t={SIGNED},v0={RIGHT}"),
            &format!("t={SIGNED}, v1={RIGHT}"),
            &format!("t={SIGNED},v1,v1={RIGHT}"),
            &format!("t={SIGNED},t={SIGNED},v1={RIGHT}"),
            &format!("t={SIGNED},t,v1={RIGHT}"),
            &format!("t=0{SIGNED},v1={RIGHT}"),
            &format!("t=+{SIGNED},v1={RIGHT}"),
            &format!("t=,v1={RIGHT}"),
            &format!("t=9999999999999,v1={RIGHT}"),
            &format!("t={SIGNED},v1={RIGHT},ü"),
            &format!("t={SIGNED},v1={RIGHT}\n"),
            &long,
        ] {
            assert_eq!(checked(header), Err(SignatureError::Malformed), "{header:?}");
        }
        assert_eq!(check(&ours(), None, BODY, at(SIGNED)), Err(SignatureError::Missing));
        assert_eq!(check(&ours(), Some(b"t=\xff,v1=0"), BODY, at(SIGNED)), Err(SignatureError::Malformed));
    }

    #[test]
    fn another_body_and_what_is_no_text_are_refused() {
        let header = |body: &[u8]| ours()[0].sign(SIGNED, body);
        let of = |header: &str, body: &[u8]| check(&ours(), Some(header.as_bytes()), body, at(SIGNED));
        assert_eq!(of(&header(BODY), b"{}"), Err(SignatureError::NoMatch));
        for body in [&b""[..], b"{\xff}", "\u{feff}{}".as_bytes()] {
            assert_eq!(of(&header(body), body), Err(SignatureError::NotText), "{body:?}");
        }
    }

    #[test]
    fn five_minutes_before_and_after_to_the_moment() {
        let header = ours()[0].sign(SIGNED, BODY);
        let of = |now| check(&ours(), Some(header.as_bytes()), BODY, now);
        let nanosecond = TimeDelta::nanoseconds(1);
        assert_eq!(of(at(SIGNED) + TOLERANCE), Ok(()));
        assert_eq!(of(at(SIGNED) - TOLERANCE), Ok(()));
        assert_eq!(of(at(SIGNED) + TOLERANCE + nanosecond), Err(SignatureError::TooOld));
        assert_eq!(of(at(SIGNED) - TOLERANCE - nanosecond), Err(SignatureError::FromTheFuture));
        // The moment of a body that Stripe did not sign is nothing to tell about.
        assert_eq!(check(&ours(), Some(header.as_bytes()), b"{}", at(0)), Err(SignatureError::NoMatch));
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let long = format!("whsec_{}", "a".repeat(201));
        for bad in ["", "whsec_", "whsec_short", "sk_live_0123456789abcdef", "whsec_0123456789 abcdef", &long] {
            let error = SigningSecret::parse(bad).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| bad.len() < 7 || !error.contains(bad)), "{bad}");
        }
        assert!(SigningSecret::parse(" whsec_0123456789abcdef\n").is_ok());
        assert_eq!(format!("{:?}", secret("whsec_0123456789abcdef")), "SigningSecret(Secret(..))");
    }
}
