//! Stripe, by its REST API.
//!
//! The words of each request are those of the crates of async-stripe, which are made from
//! Stripe's own description; [`line`] carries them, with a bound on time and size that
//! their client does not have; [`wire`] reads of each answer only what is needed.
//! `docs/decisions/0091-stripe-requests.md` says why.
//!
//! `testkit::stripe` stands for Stripe in tests.

mod line;
mod wire;

use std::{collections::HashMap, time::Duration};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use domain::billing::{
    Checkout, CheckoutId, CustomerId, Dispute, DisputeState, IdempotencyKey, NAME_CHARS_MAX, NamedPrice, StripeEventId,
    Subscription, SubscriptionId, SubscriptionStatus,
};
use serde::de::DeserializeOwned;
use stripe_billing::{
    billing_portal_session::CreateBillingPortalSession,
    subscription::{
        CancelSubscription, ListSubscription, ListSubscriptionStatus, RetrieveSubscription, UpdateSubscription,
    },
};
use stripe_checkout::{
    CheckoutSessionMode,
    checkout_session::{
        CreateCheckoutSession, CreateCheckoutSessionLineItems, CreateCheckoutSessionSubscriptionData,
        RetrieveCheckoutSession,
    },
};
use stripe_client_core::{RequestBuilder, StripeRequest};
use stripe_core::{
    charge::{ListCharge, RetrieveCharge},
    customer::CreateCustomer,
    dispute::ListDispute,
    event::ListEvent,
};
use stripe_product::price::ListPrice;
use stripe_types::RangeQueryTs;
use tokio::time::timeout;
use url::Url;
use vault::Secret;

use self::{
    line::Line,
    wire::{
        ChargeSeen, CheckoutSeen, Cursor, DisputeSeen, EventSeen, List, Named, PortalSeen, PriceSeen, SubscriptionSeen,
    },
};
use crate::payments::{EventPage, LOOKUP_KEYS_MAX, NewCheckout, NewCustomer, Payments, PaymentsError};

/// The version of the API that every call asks for: the one that async-stripe's requests were made from.
pub const API_VERSION: &str = "2026-09-30.endive";
/// Where Stripe is.
pub const ADDRESS: &str = "https://api.stripe.com/";
/// How long one call may take in all.
pub const CALL_MAX: Duration = Duration::from_secs(20);
/// How long a whole listing may take: less than a flow's step may.
pub const LISTING_MAX: Duration = Duration::from_mins(1);
/// Most bytes of an answer that are read.
pub const ANSWER_MAX: usize = 8 << 20;

/// How many things one page of a listing holds: the most that Stripe gives.
const PAGE: i64 = 100;
/// Most pages of a whole listing. One customer's come nowhere near.
const PAGES_MAX: usize = 20;
/// Most names of prices that Stripe takes at a time.
const LOOKUP_KEYS_AT_ONCE: usize = 10;
/// What the tenant's name is called at Stripe.
const TENANT: &str = "berth_tenant";

/// The client could not be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NoStripe {
    /// The key is none. It is not repeated.
    #[error("that is no secret key of Stripe's: it begins with sk_ or rk_, test or live")]
    BadKey,
    /// The key would go over the wire in the clear.
    #[error("Stripe's address must be https, or on this machine")]
    BadAddress,
    /// TLS cannot be set up on this system.
    #[error("the client for Stripe could not be made: TLS cannot be set up")]
    NoTls,
}

/// Stripe itself.
pub struct Stripe {
    line: Line,
}

impl Stripe {
    /// At this address, [`ADDRESS`] but in tests, with an account's secret or restricted key.
    ///
    /// # Errors
    /// [`NoStripe`].
    pub fn new(address: &Url, key: &Secret) -> Result<Self, NoStripe> {
        Ok(Self { line: Line::new(address, key)? })
    }

    /// The same with less patience than [`CALL_MAX`].
    #[must_use]
    pub fn within(self, call_max: Duration) -> Self {
        Self { line: self.line.within(call_max.min(CALL_MAX)) }
    }

    /// One call that changes nothing, or that may be sent again as it is.
    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, PaymentsError> {
        wire::read(&self.line.send(request, None).await?)
    }

    /// One call that changes something.
    async fn order<T: DeserializeOwned>(
        &self,
        key: &IdempotencyKey,
        request: RequestBuilder,
    ) -> Result<T, PaymentsError> {
        wire::read(&self.line.send(request, Some(key)).await?)
    }

    /// Every page of a listing; `page` asks for the one after a name.
    async fn whole<T: DeserializeOwned + Cursor>(
        &self,
        page: impl Fn(Option<String>) -> RequestBuilder + Send + Sync,
    ) -> Result<Vec<T>, PaymentsError> {
        let pages = async {
            let (mut all, mut after) = (Vec::new(), None);
            for _ in 0..PAGES_MAX {
                let List { data, has_more } = self.ask::<List<T>>(page(after.clone())).await?;
                let last = data.last().map(|one: &T| one.cursor().to_owned());
                all.extend(data);
                if !has_more {
                    return Ok(all);
                }
                if last.is_none() || last == after {
                    return Err(wire::garbled("a listing that goes on does not say from where"));
                }
                after = last;
            }
            Err(wire::garbled("a listing does not end"))
        };
        timeout(LISTING_MAX, pages).await.unwrap_or_else(|_| {
            let why = format!("a whole listing took longer than {} s", LISTING_MAX.as_secs());
            Err(PaymentsError::Unavailable { why, retry_after: None })
        })
    }
}

#[async_trait]
impl Payments for Stripe {
    async fn create_customer(&self, key: &IdempotencyKey, new: &NewCustomer) -> Result<CustomerId, PaymentsError> {
        let request = CreateCustomer::new()
            .name(&new.name)
            .email(new.email.as_str())
            .metadata(HashMap::from([(TENANT.to_owned(), new.tenant.to_string())]));
        let customer: Named = self.order(key, request.build()).await?;
        wire::named(customer.id(), CustomerId::parse)
    }

    async fn open_checkout(&self, key: &IdempotencyKey, new: &NewCheckout) -> Result<Checkout, PaymentsError> {
        let mut item = CreateCheckoutSessionLineItems::new();
        (item.price, item.quantity) = (Some(new.price.to_string()), Some(1));
        let whose = HashMap::from([(TENANT.to_owned(), new.tenant.to_string())]);
        let mut subscription = CreateCheckoutSessionSubscriptionData::new();
        subscription.metadata = Some(whose.clone());
        subscription.trial_period_days = new.trial_days.map(|days| u32::from(days.get()));
        let request = CreateCheckoutSession::new()
            .mode(CheckoutSessionMode::Subscription)
            .customer(new.customer.as_str())
            .client_reference_id(new.tenant.to_string())
            .metadata(whose)
            .line_items(vec![item])
            .subscription_data(subscription)
            .success_url(&new.paid_to)
            .cancel_url(&new.back_to);
        self.order::<CheckoutSeen>(key, request.build()).await?.read()
    }

    async fn checkout(&self, id: &CheckoutId) -> Result<Checkout, PaymentsError> {
        self.ask::<CheckoutSeen>(RetrieveCheckoutSession::new(id.as_str()).build()).await?.read()
    }

    async fn open_portal(
        &self,
        key: &IdempotencyKey,
        customer: &CustomerId,
        back_to: &Url,
    ) -> Result<Url, PaymentsError> {
        let request = CreateBillingPortalSession::new().customer(customer.as_str()).return_url(back_to.as_str());
        wire::page(&self.order::<PortalSeen>(key, request.build()).await?.url)
    }

    async fn subscriptions(&self, customer: &CustomerId) -> Result<Vec<Subscription>, PaymentsError> {
        let page = |after: Option<String>| {
            let request = ListSubscription::new().customer(customer.as_str()).status(ListSubscriptionStatus::All);
            let request = request.limit(PAGE);
            after.into_iter().fold(request, ListSubscription::starting_after).build()
        };
        let seen: Vec<SubscriptionSeen> = self.whole(page).await?;
        if seen.iter().any(|one| one.customer.id() != customer.as_str()) {
            return Err(wire::garbled("a subscription of somebody else stands in a customer's listing"));
        }
        seen.into_iter().map(SubscriptionSeen::read).collect()
    }

    async fn cancel_at_period_end(
        &self,
        key: &IdempotencyKey,
        id: &SubscriptionId,
    ) -> Result<Subscription, PaymentsError> {
        let request = UpdateSubscription::new(id.as_str()).cancel_at_period_end(true);
        self.order::<SubscriptionSeen>(key, request.build()).await?.read()
    }

    async fn cancel_now(&self, id: &SubscriptionId) -> Result<Subscription, PaymentsError> {
        match self.ask::<SubscriptionSeen>(CancelSubscription::new(id.as_str()).build()).await {
            Ok(seen) => seen.read(),
            // Stripe has one that is over no more for this call. Whether it is over is another question.
            Err(PaymentsError::NotFound) => {
                let request = RetrieveSubscription::new(id.as_str());
                let found = self.ask::<SubscriptionSeen>(request.build()).await?.read()?;
                let is_over =
                    matches!(found.status, SubscriptionStatus::Canceled | SubscriptionStatus::IncompleteExpired);
                if is_over { Ok(found) } else { Err(PaymentsError::NotFound) }
            }
            Err(other) => Err(other),
        }
    }

    async fn disputes(&self, customer: &CustomerId) -> Result<Vec<Dispute>, PaymentsError> {
        // Stripe lists disputes by payment, not by customer; a payment says whether it was ever disputed.
        let page = |after: Option<String>| {
            let request = ListCharge::new().customer(customer.as_str()).limit(PAGE);
            after.into_iter().fold(request, ListCharge::starting_after).build()
        };
        let charges: Vec<ChargeSeen> = self.whole(page).await?;
        let mut all = Vec::new();
        for charge in charges.into_iter().filter(|charge| charge.disputed) {
            let page = |after: Option<String>| {
                let request = ListDispute::new().charge(&charge.id).limit(PAGE);
                after.into_iter().fold(request, ListDispute::starting_after).build()
            };
            for seen in self.whole::<DisputeSeen>(page).await? {
                let (opened, state) = (wire::moment(seen.created)?, DisputeState::of(&seen.status));
                all.push(Dispute { id: seen.id, opened, state });
            }
        }
        Ok(all)
    }

    async fn charge_customer(&self, charge: &str) -> Result<Option<CustomerId>, PaymentsError> {
        // It becomes a part of the path, and came from outside.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_';
        if charge.is_empty() || charge.len() > NAME_CHARS_MAX || !charge.bytes().all(is_plain) {
            return Err(PaymentsError::NotFound);
        }
        let seen = self.ask::<ChargeSeen>(RetrieveCharge::new(charge).build()).await?;
        if seen.id != charge {
            return Err(wire::garbled("another charge than was asked for"));
        }
        seen.customer.map(|customer| wire::named(customer.id(), CustomerId::parse)).transpose()
    }

    async fn prices(&self, lookup_keys: &[String]) -> Result<Vec<NamedPrice>, PaymentsError> {
        if lookup_keys.len() > LOOKUP_KEYS_MAX {
            let why = format!("more than {LOOKUP_KEYS_MAX} names of prices at once");
            return Err(PaymentsError::Refused { code: "too_many".to_owned(), why });
        }
        let mut all = Vec::new();
        for some in lookup_keys.chunks(LOOKUP_KEYS_AT_ONCE) {
            let page = |after: Option<String>| {
                let request = ListPrice::new().lookup_keys(some).limit(PAGE);
                after.into_iter().fold(request, ListPrice::starting_after).build()
            };
            for seen in self.whole::<PriceSeen>(page).await? {
                all.push(seen.read()?);
            }
        }
        Ok(all)
    }

    async fn events(&self, since: DateTime<Utc>, after: Option<&StripeEventId>) -> Result<EventPage, PaymentsError> {
        let request = ListEvent::new().created(RangeQueryTs::gte(since.timestamp())).limit(PAGE);
        let request = after.map(StripeEventId::as_str).into_iter().fold(request, ListEvent::starting_after);
        let List { data, has_more } = self.ask::<List<EventSeen>>(request.build()).await?;
        if has_more && data.is_empty() {
            return Err(wire::garbled("a listing that goes on does not say from where"));
        }
        let events = data.into_iter().map(EventSeen::read).collect::<Result<_, _>>()?;
        Ok(EventPage { events, has_more })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_version_asked_for_is_the_one_that_the_requests_were_made_from() {
        assert_eq!(stripe_client_core::VERSION.as_str(), API_VERSION);
    }

    #[test]
    fn a_key_that_is_none_is_refused_and_so_is_an_address_in_the_clear() {
        let make = |address: &str, key: &str| {
            Stripe::new(&address.parse().unwrap(), &Secret::from(key.to_owned())).map(|_| ()).err()
        };
        assert_eq!(make(ADDRESS, "sk_test_0123456789abcdef"), None);
        assert_eq!(make("http://127.0.0.1:12111/", "rk_live_0123456789abcdef"), None);
        assert_eq!(make("http://api.stripe.com/", "sk_test_0123456789abcdef"), Some(NoStripe::BadAddress));
        assert_eq!(make("ftp://127.0.0.1/", "sk_test_0123456789abcdef"), Some(NoStripe::BadAddress));
        for bad in ["", "pk_test_0123456789abcdef", "sk_test_", "sk_test_0123456789 abcdef", "sk_other_0123456789"] {
            assert_eq!(make(ADDRESS, bad), Some(NoStripe::BadKey), "{bad:?}");
        }
    }
}
