//! Of Stripe's answers what is needed, in the shapes of more than one version: a new field or word breaks nothing.

use chrono::{DateTime, Utc};
use domain::billing::{
    BadName, Checkout, CheckoutId, CheckoutState, CustomerId, NamedPrice, PriceId, StripeEventId, Subscription,
    SubscriptionId, SubscriptionStatus, ToldEvent,
};
use serde::{Deserialize, de::DeserializeOwned};
use serde_json::Value;
use url::Url;

use crate::{outgoing, payments::PaymentsError};

pub(super) fn garbled(why: impl Into<String>) -> PaymentsError {
    PaymentsError::Garbled { why: why.into() }
}

/// Reads an answer. What is in it is not repeated.
pub(super) fn read<T: DeserializeOwned>(body: &[u8]) -> Result<T, PaymentsError> {
    serde_json::from_slice(body).map_err(|error| {
        let what = if error.is_data() { "it is not what was asked for" } else { "it is no JSON" };
        garbled(format!("{what}, at line {} column {}", error.line(), error.column()))
    })
}

/// What is wrong, in Stripe's words.
#[derive(Debug, Default, Deserialize)]
pub(super) struct Trouble {
    pub(super) code: Option<String>,
    #[serde(rename = "type")]
    pub(super) kind: Option<String>,
    pub(super) message: Option<String>,
}

pub(super) fn trouble(body: &[u8]) -> Trouble {
    #[derive(Deserialize)]
    struct Told {
        error: Trouble,
    }
    serde_json::from_slice::<Told>(body).map(|told| told.error).unwrap_or_default()
}

/// Something that is named, or that stands there whole.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub(super) enum Named {
    Id(String),
    Whole { id: String },
}

impl Named {
    pub(super) fn id(&self) -> &str {
        match self {
            Self::Id(id) | Self::Whole { id } => id,
        }
    }
}

/// A page of a listing.
#[derive(Debug, Deserialize)]
pub(super) struct List<T> {
    pub(super) data: Vec<T>,
    #[serde(default)]
    pub(super) has_more: bool,
}

/// What the next page begins after.
pub(super) trait Cursor {
    fn cursor(&self) -> &str;
}

macro_rules! cursors {
    ($($seen:ident),*) => {$(
        impl Cursor for $seen {
            fn cursor(&self) -> &str {
                &self.id
            }
        }
    )*};
}

cursors!(SubscriptionSeen, ChargeSeen, DisputeSeen, PriceSeen);

#[derive(Debug, Deserialize)]
pub(super) struct SubscriptionSeen {
    id: String,
    pub(super) customer: Named,
    status: String,
    created: i64,
    items: List<ItemSeen>,
    trial_end: Option<i64>,
    #[serde(default)]
    cancel_at_period_end: bool,
    cancel_at: Option<i64>,
    ended_at: Option<i64>,
    /// Where Stripe kept it before 2025.
    current_period_end: Option<i64>,
}

#[derive(Debug, Deserialize)]
struct ItemSeen {
    price: Option<Named>,
    /// What prices were called before 2020.
    plan: Option<Named>,
    current_period_end: Option<i64>,
}

#[derive(Debug, Deserialize)]
pub(super) struct ChargeSeen {
    pub(super) id: String,
    #[serde(default)]
    pub(super) disputed: bool,
    pub(super) customer: Option<Named>,
}

#[derive(Debug, Deserialize)]
pub(super) struct DisputeSeen {
    pub(super) id: String,
    pub(super) created: i64,
    pub(super) status: String,
}

#[derive(Debug, Deserialize)]
pub(super) struct PriceSeen {
    id: String,
    lookup_key: Option<String>,
    active: bool,
}

#[derive(Debug, Deserialize)]
pub(super) struct CheckoutSeen {
    id: String,
    status: Option<String>,
    url: Option<String>,
    client_reference_id: Option<String>,
    customer: Option<Named>,
    subscription: Option<Named>,
    expires_at: i64,
}

#[derive(Debug, Deserialize)]
pub(super) struct PortalSeen {
    pub(super) url: String,
}

/// An event, kept whole.
#[derive(Debug, Deserialize)]
#[serde(transparent)]
pub(super) struct EventSeen(Value);

pub(super) fn moment(seconds: i64) -> Result<DateTime<Utc>, PaymentsError> {
    DateTime::from_timestamp(seconds, 0).ok_or_else(|| garbled("a moment that no calendar has"))
}

pub(super) fn named<T>(id: &str, parse: impl Fn(&str) -> Result<T, BadName>) -> Result<T, PaymentsError> {
    parse(id).map_err(|_| garbled("a name of another kind than was asked for"))
}

/// A page that a browser is sent to.
pub(super) fn page(url: &str) -> Result<Url, PaymentsError> {
    let url = Url::parse(url)
        .ok()
        .filter(|url| url.scheme() == "https" || (url.scheme() == "http" && outgoing::is_loopback(url)));
    url.ok_or_else(|| garbled("a page without an address to send a browser to"))
}

impl SubscriptionSeen {
    pub(super) fn read(self) -> Result<Subscription, PaymentsError> {
        let optional = |seconds: Option<i64>| seconds.map(moment).transpose();
        let first = self.items.data.first().ok_or_else(|| garbled("a subscription to nothing"))?;
        let price =
            first.price.as_ref().or(first.plan.as_ref()).ok_or_else(|| garbled("a subscription at no price"))?;
        // Items may have periods of their own; what is paid is paid until the last of them.
        let of_items = self.items.data.iter().filter_map(|item| item.current_period_end).max();
        let period_ends = of_items.or(self.current_period_end);
        let period_ends = moment(period_ends.ok_or_else(|| garbled("a subscription without a period"))?)?;
        let status =
            SubscriptionStatus::parse(&self.status).ok_or_else(|| garbled("a subscription in an unknown state"))?;
        let ended = optional(self.ended_at)?;
        let ends = match optional(self.cancel_at)? {
            _ if ended.is_some() => None,
            Some(at) => Some(at),
            None => self.cancel_at_period_end.then_some(period_ends),
        };
        Ok(Subscription {
            id: named(&self.id, SubscriptionId::parse)?,
            status,
            price: named(price.id(), PriceId::parse)?,
            created: moment(self.created)?,
            period_ends,
            trial_ends: optional(self.trial_end)?,
            ends,
            ended,
        })
    }
}

impl CheckoutSeen {
    pub(super) fn read(self) -> Result<Checkout, PaymentsError> {
        let state = match self.status.as_deref() {
            Some("open") => CheckoutState::Open { page: page(&self.url.unwrap_or_default())? },
            Some("complete") => {
                let subscription = self.subscription.ok_or_else(|| garbled("a checkout that made no subscription"))?;
                CheckoutState::Complete { subscription: named(subscription.id(), SubscriptionId::parse)? }
            }
            Some("expired") => CheckoutState::Expired,
            _ => return Err(garbled("a checkout in an unknown state")),
        };
        Ok(Checkout {
            id: named(&self.id, CheckoutId::parse)?,
            state,
            tenant: self.client_reference_id.and_then(|text| text.parse().ok()),
            customer: self.customer.map(|customer| named(customer.id(), CustomerId::parse)).transpose()?,
            expires: moment(self.expires_at)?,
        })
    }
}

impl PriceSeen {
    pub(super) fn read(self) -> Result<NamedPrice, PaymentsError> {
        let lookup_key = self.lookup_key.ok_or_else(|| garbled("a price without the name that was asked for"))?;
        Ok(NamedPrice { id: named(&self.id, PriceId::parse)?, lookup_key, is_active: self.active })
    }
}

impl EventSeen {
    pub(super) fn read(self) -> Result<ToldEvent, PaymentsError> {
        let text = |name: &str| self.0.get(name).and_then(Value::as_str).unwrap_or_default();
        let (id, kind) = (named(text("id"), StripeEventId::parse)?, text("type").to_owned());
        let at = moment(self.0.get("created").and_then(Value::as_i64).ok_or_else(|| garbled("an event at no time"))?)?;
        Ok(ToldEvent { id, kind, at, payload: self.0 })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(seconds: i64) -> Option<DateTime<Utc>> {
        DateTime::from_timestamp(seconds, 0)
    }

    fn subscription(change: &Value) -> Result<Subscription, PaymentsError> {
        let mut seen = json!({
            "id": "sub_1", "object": "subscription", "customer": "cus_1", "status": "active", "created": 100,
            "items": { "object": "list", "has_more": false, "data": [
                { "id": "si_1", "price": { "id": "price_1", "object": "price" }, "current_period_end": 900 } ] },
            "trial_end": null, "cancel_at": null, "cancel_at_period_end": false, "ended_at": null, "a_new_field": {}
        });
        for (name, value) in change.as_object().unwrap() {
            seen[name] = value.clone();
        }
        serde_json::from_value::<SubscriptionSeen>(seen).unwrap().read()
    }

    #[test]
    fn a_subscription_is_read_as_it_stands() {
        let read = subscription(&json!({})).unwrap();
        assert_eq!((read.period_ends, read.ends, read.ended), (at(900).unwrap(), None, None));
        assert_eq!((read.price.as_str(), read.status), ("price_1", SubscriptionStatus::Active));
        let expanded = subscription(&json!({ "customer": { "id": "cus_1", "object": "customer" } })).unwrap();
        assert_eq!(expanded, read);
    }

    #[test]
    fn its_end_is_told_however_it_was_cancelled() {
        let ends = |change: Value| subscription(&change).unwrap().ends;
        assert_eq!(ends(json!({ "cancel_at_period_end": true })), at(900));
        assert_eq!(ends(json!({ "cancel_at_period_end": true, "cancel_at": 950 })), at(950));
        assert_eq!(ends(json!({ "cancel_at": 800 })), at(800));
        let over = subscription(&json!({ "status": "canceled", "cancel_at": 800, "ended_at": 800 })).unwrap();
        assert_eq!((over.ends, over.ended), (None, at(800)));
    }

    #[test]
    fn an_older_shape_is_read_too_and_what_is_none_is_said_so() {
        let older = json!({ "current_period_end": 700, "items": { "data": [ { "id": "si_1", "plan": "price_1" } ] } });
        assert_eq!(subscription(&older).unwrap().period_ends, at(700).unwrap());
        for wrong in [
            json!({ "status": "resting" }),
            json!({ "items": { "data": [] } }),
            json!({ "items": { "data": [ { "price": "price_1" } ] } }),
            json!({ "id": "cus_1" }),
            json!({ "created": i64::MAX }),
        ] {
            assert!(matches!(subscription(&wrong), Err(PaymentsError::Garbled { .. })), "{wrong}");
        }
    }

    #[test]
    fn a_checkout_leads_nowhere_in_the_clear() {
        let of = |url: &str| {
            let seen = json!({ "id": "cs_test_1", "status": "open", "url": url, "expires_at": 9 });
            serde_json::from_value::<CheckoutSeen>(seen).unwrap().read().map(|checkout| checkout.state)
        };
        assert!(matches!(of("https://checkout.stripe.com/c/pay/cs_test_1#x"), Ok(CheckoutState::Open { .. })));
        assert!(of("http://checkout.stripe.com/").is_err() && of("javascript:alert(1)").is_err() && of("").is_err());
    }
}
