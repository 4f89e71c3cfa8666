//! The shapes of what operators see of money: subscriptions, revenue, Stripe's events, differences from Stripe.

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
        ("TenantMonth", tenant_month()),
        ("TenantMonths", listed("tenants", "TenantMonth")),
        ("Revenue", revenue()),
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
            "cents": with(maybe(&whole()), "description", json!("Null: a price that was never a plan's, which Stripe knows.")),
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

/// Hundredths of a currency that may be below nothing, or not known.
fn cents(words: &str) -> Value {
    with(maybe(&json!({ "type": "integer" })), "description", json!(words))
}

fn tenant_month() -> Value {
    object(
        json!({
            "tenant": id("ten"), "standing": { "enum": Standing::EVERY.map(Standing::name) }, "at": time(), "plan": maybe(&text()),
            "currency": with(maybe(&text()), "description", json!("Of all its amounts; null: it has no plan and pays nothing.")),
            "price_cents": cents("Paid, owed while past due, or from the end of the trial on."),
            "brings_cents": cents("What a month brings; null: a price that was never a plan's."),
            "machines": whole(), "machine_cents": cents("Null: nobody has said what one costs."),
            "model_micro_usd": whole(),
            "left_cents": cents("What is left; null: something of it is not known, such as what a dollar is worth."),
        }),
        &[
            "tenant",
            "standing",
            "at",
            "plan",
            "currency",
            "price_cents",
            "brings_cents",
            "machines",
            "machine_cents",
            "model_micro_usd",
            "left_cents",
        ],
    )
}

fn revenue() -> Value {
    let sum = object(
        json!({
            "currency": with(maybe(&text()), "description", json!("Null: tenants without a plan.")), "paying": whole(),
            "brings_cents": whole(), "owed_cents": whole(), "machine_cents": whole(), "model_micro_usd": whole(),
            "model_cents": cents("Null: nobody has said what a dollar is worth."), "left_cents": cents("Null: likewise."),
            "unknown": { "type": "integer", "minimum": 0, "description": "Of how many tenants something is not known." },
        }),
        &[
            "currency",
            "paying",
            "brings_cents",
            "owed_cents",
            "machine_cents",
            "model_micro_usd",
            "model_cents",
            "left_cents",
            "unknown",
        ],
    );
    let month = object(
        json!({
            "month": { "type": "string", "format": "date" }, "paying_at_start": { "type": "integer" }, "began": whole(),
            "left": whole(),
        }),
        &["month", "paying_at_start", "began", "left"],
    );
    let dunning = object(
        json!({
            "days": whole(), "failed": whole(), "settled": whole(), "suspended": whole(), "came_back": whole(), "left": whole(),
            "open": { "type": "integer" },
        }),
        &["days", "failed", "settled", "suspended", "came_back", "left", "open"],
    );
    object(
        json!({
            "months": { "type": "array", "items": sum },
            "churn": { "type": "array", "items": month, "description": "The last twelve months, oldest first." },
            "dunning": with(dunning, "description", json!("What became of payments that failed in the last days.")),
        }),
        &["months", "churn", "dunning"],
    )
}
