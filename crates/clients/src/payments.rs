//! What the rest of Berth knows of who takes money for it.

use std::{num::NonZeroU16, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::{
    TenantId,
    billing::{
        Checkout, CheckoutId, CustomerId, Dispute, IdempotencyKey, NamedPrice, PriceId, StripeEventId, Subscription,
        SubscriptionId, ToldEvent,
    },
    names::Email,
};
use url::Url;

/// Most names of prices in one question. Stripe takes ten at a time.
pub const LOOKUP_KEYS_MAX: usize = 100;

/// Who takes money. A changing call may be sent again with the same key: it counts once.
///
/// A call that failed with [`PaymentsError::Unavailable`] may have counted. Whoever does not know
/// asks again with the same key and the same words, within 24 hours.
#[async_trait]
pub trait Payments: Send + Sync + 'static {
    /// Makes the customer of a tenant.
    async fn create_customer(&self, key: &IdempotencyKey, new: &NewCustomer) -> Result<CustomerId, PaymentsError>;

    /// Opens a page on which a customer takes out a subscription.
    async fn open_checkout(&self, key: &IdempotencyKey, new: &NewCheckout) -> Result<Checkout, PaymentsError>;

    /// How far a checkout is.
    async fn checkout(&self, id: &CheckoutId) -> Result<Checkout, PaymentsError>;

    /// Opens a page on which a customer sees invoices and changes how they pay. The address lets whoever has it in, for
    /// some minutes.
    async fn open_portal(
        &self,
        key: &IdempotencyKey,
        customer: &CustomerId,
        back_to: &Url,
    ) -> Result<Url, PaymentsError>;

    /// Every subscription that a customer has or had, the youngest first. A listing that may be incomplete is an error.
    async fn subscriptions(&self, customer: &CustomerId) -> Result<Vec<Subscription>, PaymentsError>;

    /// Lets a subscription end with the period that is paid. Once more is success, unless it is over.
    async fn cancel_at_period_end(
        &self,
        key: &IdempotencyKey,
        id: &SubscriptionId,
    ) -> Result<Subscription, PaymentsError>;

    /// Ends a subscription now, without a further invoice. Once more is success.
    async fn cancel_now(&self, id: &SubscriptionId) -> Result<Subscription, PaymentsError>;

    /// Every dispute about a customer's payments, open or over, the youngest payment first.
    async fn disputes(&self, customer: &CustomerId) -> Result<Vec<Dispute>, PaymentsError>;

    /// Who paid, or was to pay, a charge (`ch_…`, `py_…`). `None`: nobody who is a customer.
    async fn charge_customer(&self, charge: &str) -> Result<Option<CustomerId>, PaymentsError>;

    /// The prices with these names, at most [`LOOKUP_KEYS_MAX`]. A name that no price has is left out.
    async fn prices(&self, lookup_keys: &[String]) -> Result<Vec<NamedPrice>, PaymentsError>;

    /// What happened since a moment, the youngest first, a page at a time: the next one begins after the last event of
    /// the one before. Stripe tells thirty days.
    async fn events(&self, since: DateTime<Utc>, after: Option<&StripeEventId>) -> Result<EventPage, PaymentsError>;
}

/// Who is to pay.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCustomer {
    /// Whose customer it is; kept at Stripe with it.
    pub tenant: TenantId,
    /// What invoices say.
    pub name: String,
    /// Where invoices go.
    pub email: Email,
}

/// What is to be paid.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewCheckout {
    /// Who pays.
    pub customer: CustomerId,
    /// For whom; kept at Stripe with the checkout and the subscription.
    pub tenant: TenantId,
    /// What.
    pub price: PriceId,
    /// After how many days the first payment is due; at once without.
    pub trial_days: Option<NonZeroU16>,
    /// Where the browser goes on after paying. `{CHECKOUT_SESSION_ID}` in it becomes the checkout's name.
    pub paid_to: String,
    /// Where it goes back to without.
    pub back_to: String,
}

/// Some events.
#[derive(Debug, Clone, PartialEq)]
pub struct EventPage {
    /// The youngest first.
    pub events: Vec<ToldEvent>,
    /// Whether there are older ones.
    pub has_more: bool,
}

/// Why there is no answer. Nothing in it is a key, an address of a page, or a customer's word.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PaymentsError {
    /// No answer, or a failure that may pass. A changing call may have counted.
    #[error("Stripe is not available: {why}")]
    Unavailable {
        /// What was seen.
        why: String,
        /// How long Stripe asks to be left alone.
        retry_after: Option<Duration>,
    },
    /// Stripe failed on this key and now repeats that answer for as long as it remembers the key. Look whether the call
    /// counted, and go on with another key.
    #[error("Stripe failed on this idempotency key and repeats that; see whether it counted, then take another key")]
    KeySpent,
    /// Stripe understood and will not.
    #[error("Stripe refused ({code}): {why}")]
    Refused {
        /// Stripe's short word, or its status.
        code: String,
        /// Stripe's sentence, cleaned.
        why: String,
    },
    /// Stripe has nothing of this name, or not in this mode (test or live).
    #[error("Stripe does not have it; a name of the test mode is unknown in the live one")]
    NotFound,
    /// Stripe does not take the secret key.
    #[error("Stripe does not take the secret key, or it may not do this; see STRIPE_SECRET_KEY")]
    BadKey,
    /// The answer makes no sense, or is too large.
    #[error("Stripe's answer cannot be read: {why}")]
    Garbled {
        /// What is wrong with it.
        why: String,
    },
}

impl PaymentsError {
    /// Whether the same call may succeed a little later without anybody doing anything.
    #[must_use]
    pub const fn is_transient(&self) -> bool {
        match self {
            Self::Unavailable { .. } => true,
            Self::KeySpent | Self::Refused { .. } | Self::NotFound | Self::BadKey | Self::Garbled { .. } => false,
        }
    }

    /// How long Stripe asks to be left alone.
    #[must_use]
    pub const fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Unavailable { retry_after, .. } => *retry_after,
            Self::KeySpent | Self::Refused { .. } | Self::NotFound | Self::BadKey | Self::Garbled { .. } => None,
        }
    }
}
