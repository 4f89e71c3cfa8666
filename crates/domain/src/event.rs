//! What other systems tell Berth: kept as it came, before it is understood.
//!
//! An event of Stripe's only says that something about a customer changed. What it is,
//! Stripe is asked; so events may come twice, late, in any order, or of a kind that
//! nobody here knows. Source: Stripe API Reference, "The Event object".

mod redacted;

use std::time::Duration;

use serde::{Deserialize, Serialize};
use serde_json::Value;

use crate::{
    TenantId,
    billing::{CustomerId, StripeEventId},
};

pub use redacted::redacted;

/// Most bytes of a kind's word that are kept.
pub const KIND_BYTES_MAX: usize = 100;

/// The steps of an event's flow: one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "step", rename_all = "snake_case")]
pub enum EventStep {
    /// Finds out whom it is about, and has what is known of them looked at again.
    Read,
}

impl EventStep {
    /// The word in the database.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Read => "read",
        }
    }

    /// How long it is tried before a person is told; nothing is lost by then, and it goes on.
    #[must_use]
    pub const fn deadline(self) -> Duration {
        match self {
            Self::Read => Duration::from_hours(1),
        }
    }
}

/// That is no event, though it may well be signed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadEvent {
    /// No JSON object, or one that is too deep.
    #[error("the body is no JSON object")]
    NoObject,
    /// It cannot be told from another one.
    #[error("the body has no id of an event")]
    NoId,
}

/// As much of an event of Stripe's as Berth needs. Everything but its id may be missing or of another shape.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StripeEvent {
    /// Which one: the same for every time that it is sent.
    pub name: StripeEventId,
    /// What happened, in Stripe's word; at most [`KIND_BYTES_MAX`] bytes, empty where there is none.
    pub kind: String,
    /// Whether it is about real money.
    pub is_live: bool,
    /// Whom it is about, as far as it says so itself.
    pub about: About,
}

/// Whom an event is about, in the order in which it is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum About {
    /// A customer.
    Customer(CustomerId),
    /// A tenant that Berth named itself when it sent somebody to Stripe.
    Tenant(TenantId),
    /// A charge, whose customer only Stripe knows.
    Charge(String),
    /// Nobody that Berth could find.
    Nobody,
}

impl StripeEvent {
    /// Reads it. What is not understood is passed over.
    ///
    /// # Errors
    /// [`BadEvent`].
    pub fn read(body: &[u8]) -> Result<Self, BadEvent> {
        let all: Value = serde_json::from_slice(body).map_err(|_| BadEvent::NoObject)?;
        let all = all.as_object().ok_or(BadEvent::NoObject)?;
        let name = all.get("id").and_then(Value::as_str).and_then(|id| StripeEventId::parse(id).ok());
        let name = name.ok_or(BadEvent::NoId)?;
        let kind = all.get("type").and_then(Value::as_str).unwrap_or_default();
        let kind = kind.chars().filter(char::is_ascii_graphic).take(KIND_BYTES_MAX).collect();
        let is_live = all.get("livemode").and_then(Value::as_bool).unwrap_or(false);
        let object = all.get("data").and_then(|data| data.get("object")).unwrap_or(&Value::Null);
        Ok(Self { name, kind, is_live, about: About::of(object) })
    }
}

impl About {
    fn of(object: &Value) -> Self {
        let text = |name: &str| {
            let field = object.get(name)?;
            // What Stripe expands comes as an object with the same id.
            field.as_str().or_else(|| field.get("id")?.as_str())
        };
        let is_customer = text("object") == Some("customer");
        let customer = if is_customer { text("id") } else { text("customer") };
        if let Some(customer) = customer.and_then(|id| CustomerId::parse(id).ok()) {
            return Self::Customer(customer);
        }
        if let Some(tenant) = text("client_reference_id").and_then(|id| id.parse().ok()) {
            return Self::Tenant(tenant);
        }
        let is_charge = |id: &&str| {
            (id.starts_with("ch_") || id.starts_with("py_"))
                && id.len() <= crate::billing::NAME_CHARS_MAX
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_')
        };
        text("charge").filter(is_charge).map_or(Self::Nobody, |charge| Self::Charge(charge.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn read(value: &Value) -> StripeEvent {
        StripeEvent::read(value.to_string().as_bytes()).unwrap()
    }

    #[test]
    fn whom_it_is_about_is_found_where_stripe_says_it() {
        let tenant = TenantId::from_uuid(uuid::Uuid::from_u128(7));
        let customer = || About::Customer(CustomerId::parse("cus_1").unwrap());
        let table = [
            (json!({ "object": "subscription", "id": "sub_1", "customer": "cus_1" }), customer()),
            (json!({ "object": "customer", "id": "cus_1" }), customer()),
            (json!({ "object": "invoice", "customer": { "id": "cus_1", "object": "customer" } }), customer()),
            (json!({ "object": "checkout.session", "client_reference_id": tenant.to_string() }), About::Tenant(tenant)),
            (json!({ "object": "dispute", "charge": "ch_1" }), About::Charge("ch_1".to_owned())),
            (json!({ "object": "dispute", "charge": "ch_1/../x" }), About::Nobody),
            (json!({ "object": "product", "customer": 7, "id": "prod_1" }), About::Nobody),
            (json!("text"), About::Nobody),
            (Value::Null, About::Nobody),
        ];
        for (object, about) in table {
            let event = json!({ "id": "evt_1", "type": "x.y", "livemode": true, "data": { "object": object } });
            assert_eq!(read(&event).about, about, "{object}");
        }
    }

    #[test]
    fn nothing_but_the_id_has_to_be_there() {
        let bare = read(&json!({ "id": "evt_1", "type": 7, "data": [], "more": { "a": [1] } }));
        assert_eq!((bare.kind.as_str(), bare.is_live, &bare.about), ("", false, &About::Nobody));
        let long = read(&json!({ "id": "evt_1", "type": "é".repeat(9) + &"x".repeat(900) }));
        assert_eq!(long.kind, "x".repeat(KIND_BYTES_MAX));
        let bad = |body: &str| StripeEvent::read(body.as_bytes()).unwrap_err();
        assert_eq!(bad(""), BadEvent::NoObject);
        assert_eq!(bad("[]"), BadEvent::NoObject);
        assert_eq!(bad(&"{\"a\":".repeat(100_000)), BadEvent::NoObject);
        assert_eq!(bad("{\"id\":\"sub_1\"}"), BadEvent::NoId);
        assert_eq!(bad("{\"id\":1}"), BadEvent::NoId);
    }
}
