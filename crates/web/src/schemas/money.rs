//! The shapes of what operators see of money: subscriptions, Stripe's events, differences from Stripe.

use domain::{billing::DifferenceKind, entitlement::Standing};
use serde_json::{Map, Value, json};

use super::{
    admin::{listed, maybe, text, time, whole},
    named, object,
    texts::id,
    with,
};

/// All of them by name.
pub(super) fn all() -> Map<String, Value> {
    let all = [
        ("StripeEvent", event()),
        ("StripeEvents", listed("events", "StripeEvent")),
        ("ShownEvent", shown_event()),
        ("Difference", difference()),
        ("Differences", differences()),
        ("OperatedSubscription", subscription()),
        ("Subscriptions", listed("subscriptions", "OperatedSubscription")),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn event_fields() -> Value {
    json!({
        "id": id("evt"), "name": { "type": "string", "description": "Its id at Stripe" },
        "kind": { "type": "string", "description": "Stripe's word for what happened" },
        "live": { "type": "boolean", "description": "Whether it is about real money" },
        "received_at": time(), "waiting": { "type": "boolean", "description": "It is not understood yet" },
        "read_at": maybe(&time()), "outcome": maybe(&text()), "tenant": maybe(&id("ten")), "flow": maybe(&id("flw")),
    })
}

const EVENT: [&str; 10] =
    ["id", "name", "kind", "live", "received_at", "waiting", "read_at", "outcome", "tenant", "flow"];

fn event() -> Value {
    object(event_fields(), &EVENT)
}

fn shown_event() -> Value {
    let mut fields = event_fields();
    let payload =
        "The body, of whose values only those are there that are neither a person's nor a secret; null: it is no JSON.";
    if let Some(fields) = fields.as_object_mut() {
        fields.insert("bytes".to_owned(), whole());
        fields.insert("sha256".to_owned(), json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" }));
        fields.insert("payload".to_owned(), with(maybe(&named("Anything")), "description", json!(payload)));
    }
    let required: Vec<&str> = EVENT.into_iter().chain(["bytes", "sha256", "payload"]).collect();
    object(fields, &required)
}

fn difference() -> Value {
    object(
        json!({
            "id": { "type": "string", "format": "uuid" }, "found_at": time(),
            "kind": { "enum": DifferenceKind::EVERY.map(DifferenceKind::name) }, "tenant": maybe(&id("ten")),
            "before": with(maybe(&text()), "description", json!("As it was here; null: it was not here.")),
            "after": { "type": "string", "description": "As it stands at Stripe." },
        }),
        &["id", "found_at", "kind", "tenant", "before", "after"],
    )
}

fn differences() -> Value {
    object(
        json!({
            "differences": { "type": "array", "items": named("Difference") },
            "last_run": with(maybe(&named("Run")), "description", json!("When it was looked for differences last.")),
            "next_run": with(maybe(&time()), "description", json!("When it is looked next; null: not by itself.")),
            "next": maybe(&text()),
        }),
        &["differences", "last_run", "next_run", "next"],
    )
}

fn subscription() -> Value {
    let month = object(
        json!({
            "cents": with(maybe(&whole()), "description", json!("Null: an older price, which Stripe knows.")),
            "currency": maybe(&text()),
            "from": with(maybe(&time()), "description", json!("When the first payment is due, in a trial.")),
            "owed": { "type": "boolean", "description": "Whether the last payment failed." },
        }),
        &["cents", "currency", "from", "owed"],
    );
    object(
        json!({
            "tenant": id("ten"), "standing": { "enum": Standing::EVERY.map(Standing::name) },
            "entitlement": named("Entitlement"), "plan": maybe(&named("Plan")),
            "month": with(maybe(&month), "description", json!("What a month brings; null: nothing is to be paid.")),
            "gift": { "type": "boolean" }, "customer": maybe(&text()), "subscription": maybe(&text()),
            "asked_at": with(maybe(&time()), "description", json!("When Stripe was asked.")),
        }),
        &["tenant", "standing", "entitlement", "plan", "month", "gift", "customer", "subscription", "asked_at"],
    )
}
