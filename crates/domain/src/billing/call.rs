//! What goes to Stripe and comes back, beside subscriptions.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use url::Url;

use super::{CheckoutId, CustomerId, PriceId, StripeEventId, SubscriptionId};
use crate::TenantId;

/// Most characters of an idempotency key: what Stripe takes.
pub const IDEMPOTENCY_KEY_CHARS_MAX: usize = 255;

/// Makes a call at Stripe count once, however often it is sent. Chosen and committed before the call.
///
/// Stripe remembers it for at least 24 hours, with the answer it gave. The same key with other words is refused.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct IdempotencyKey(String);

/// That cannot be an idempotency key.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("an idempotency key has 8 to 255 letters, digits, '-', '_', ':' and '.'")]
pub struct BadIdempotencyKey;

impl IdempotencyKey {
    /// The only constructor.
    ///
    /// # Errors
    /// [`BadIdempotencyKey`].
    pub fn parse(text: &str) -> Result<Self, BadIdempotencyKey> {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-_:.".contains(&byte);
        let fits = (8..=IDEMPOTENCY_KEY_CHARS_MAX).contains(&text.len()) && text.bytes().all(plain);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadIdempotencyKey) }
    }

    /// As it is sent.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for IdempotencyKey {
    type Error = BadIdempotencyKey;
    fn try_from(text: String) -> Result<Self, BadIdempotencyKey> {
        Self::parse(&text)
    }
}

impl From<IdempotencyKey> for String {
    fn from(key: IdempotencyKey) -> Self {
        key.0
    }
}

impl fmt::Display for IdempotencyKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// A page at Stripe on which somebody pays, as it is at one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Checkout {
    /// Which one.
    pub id: CheckoutId,
    /// How far it is.
    pub state: CheckoutState,
    /// Whose it is: the tenant named when it was made.
    pub tenant: Option<TenantId>,
    /// Who pays.
    pub customer: Option<CustomerId>,
    /// When nobody can pay there any more.
    pub expires: DateTime<Utc>,
}

/// How far a checkout is. Source: Stripe API Reference, "The Checkout Session object", `status`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum CheckoutState {
    /// It waits for whoever pays.
    Open {
        /// Where. Whoever has it can see the customer's address.
        page: Url,
    },
    /// Done: there is a subscription.
    Complete {
        /// Which one.
        subscription: SubscriptionId,
    },
    /// It was not used in time.
    Expired,
}

/// A price under the name that an operator gave it at Stripe.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NamedPrice {
    /// Which one.
    pub id: PriceId,
    /// Its name: Stripe's `lookup_key`. One price has it at a time.
    pub lookup_key: String,
    /// Whether it can be bought. Who has an inactive one keeps it.
    pub is_active: bool,
}

/// A payment that a customer disputes at their bank.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dispute {
    /// Stripe's name for it, `du_…` or `dp_…`.
    pub id: String,
    /// Since when.
    pub opened: DateTime<Utc>,
    /// How it stands.
    pub state: DisputeState,
}

/// How a dispute stands. Source: Stripe API Reference, "The Dispute object", `status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DisputeState {
    /// A bank asks, or judges.
    Open,
    /// Over, and the payment stands.
    Won,
    /// Over, and the payment is gone.
    Lost,
    /// A word that Stripe did not have yet.
    Unknown,
}

impl DisputeState {
    /// Reads Stripe's word.
    #[must_use]
    pub fn of(word: &str) -> Self {
        match word {
            "needs_response"
            | "under_review"
            | "appeal_needs_response"
            | "appeal_under_review"
            | "warning_needs_response"
            | "warning_under_review" => Self::Open,
            "won" | "prevented" | "warning_closed" => Self::Won,
            "lost" => Self::Lost,
            _ => Self::Unknown,
        }
    }
}

/// Something that happened at Stripe, as Stripe tells it again when it is asked.
#[derive(Debug, Clone, PartialEq)]
pub struct ToldEvent {
    /// Which one. The same as in the webhook.
    pub id: StripeEventId,
    /// Its kind, `customer.subscription.updated` for one.
    pub kind: String,
    /// When it happened.
    pub at: DateTime<Utc>,
    /// All of it.
    pub payload: serde_json::Value,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_idempotency_key_fits_a_header() {
        assert_eq!(IdempotencyKey::parse("flw_1:customer").unwrap().as_str(), "flw_1:customer");
        let long = "k".repeat(256);
        for bad in ["", "short", "with space", "line\nbreaks", "ünicode-key", &long] {
            assert_eq!(IdempotencyKey::parse(bad), Err(BadIdempotencyKey), "{bad:?}");
        }
    }

    #[test]
    fn an_unknown_word_about_a_dispute_is_not_an_open_one() {
        assert_eq!(DisputeState::of("needs_response"), DisputeState::Open);
        assert_eq!(DisputeState::of("warning_closed"), DisputeState::Won);
        assert_eq!(DisputeState::of("lost"), DisputeState::Lost);
        assert_eq!(DisputeState::of("pondered"), DisputeState::Unknown);
    }
}
