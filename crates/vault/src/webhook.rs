//! Signatures of the webhooks that Berth sends, by the Standard Webhooks specification (version 1.0.0).

use aws_lc_rs::hmac;
use base64::{Engine as _, engine::general_purpose::STANDARD as BASE64};

use crate::Secret;

/// The shared secret of a webhook: `whsec_` and 24 to 64 random bytes in base64.
#[derive(Debug)]
pub struct WebhookSecret(Secret);

/// The text is no webhook secret. It does not repeat the text.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("it is not whsec_ followed by 24 to 64 bytes in base64")]
pub struct BadWebhookSecret;

impl WebhookSecret {
    /// The only constructor.
    ///
    /// # Errors
    /// [`BadWebhookSecret`] for anything else.
    pub fn parse(text: &str) -> Result<Self, BadWebhookSecret> {
        let bytes = text.trim().strip_prefix("whsec_").and_then(|rest| BASE64.decode(rest).ok());
        let secret = Secret::new(bytes.ok_or(BadWebhookSecret)?);
        if (24..=64).contains(&secret.expose().len()) { Ok(Self(secret)) } else { Err(BadWebhookSecret) }
    }

    /// The value of the header `webhook-signature`. `seconds` is the one of `webhook-timestamp`.
    #[must_use]
    pub fn sign(&self, id: &str, seconds: i64, body: &[u8]) -> String {
        let key = hmac::Key::new(hmac::HMAC_SHA256, self.0.expose());
        let mut context = hmac::Context::with_key(&key);
        context.update(format!("{id}.{seconds}.").as_bytes());
        context.update(body);
        format!("v1,{}", BASE64.encode(context.sign().as_ref()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Computed with Python's `hmac` and `base64`, not with this code.
    #[test]
    fn the_signature_is_the_one_of_the_specification() {
        let secret = WebhookSecret::parse("whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=").unwrap();
        let signature = secret.sign("dlv_1", 1_795_000_000, br#"{"type":"alert.fired"}"#);
        assert_eq!(signature, "v1,/Y8g+VeoLGpgJ1TRCHok+8I4y2xiNwp6dR2zHhp9YPM=");
    }

    #[test]
    fn what_is_no_secret_is_refused_without_being_repeated() {
        let short = format!("whsec_{}", BASE64.encode([7; 23]));
        let long = format!("whsec_{}", BASE64.encode([7; 65]));
        for bad in ["", "hunter2", "whsec_", "whsec_!!", &short, &long] {
            let error = WebhookSecret::parse(bad).err().map(|error| error.to_string());
            assert!(error.is_some_and(|error| bad.len() < 7 || !error.contains(bad)), "{bad}");
        }
        assert_eq!(format!("{:?}", WebhookSecret(Secret::from("hunter2".to_owned()))), "WebhookSecret(Secret(..))");
    }
}
