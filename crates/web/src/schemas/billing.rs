//! The shapes of what is paid: how a tenant stands, plans, gifts.

use app::plans::GIFT_DAYS_MAX;
use domain::{
    machine::{CPUS_MAX, MEMORY_MIB_MAX, MEMORY_MIB_MIN},
    plan::{AGENTS_MAX, CENTS_MAX, TRIAL_DAYS_MAX},
};
use serde_json::{Map, Value, json};

use super::{
    admin::{maybe, text, time, whole},
    named, object, taken, texts, with,
};

/// All of them by name.
pub(super) fn all() -> Map<String, Value> {
    let url = json!({ "type": "string", "format": "uri", "description": "Whoever has it sees what stands there." });
    let all = [
        ("Billing", standing()),
        ("Entitlement", entitlement()),
        ("Plan", plan()),
        ("WantedPlan", taken(json!({ "plan": texts::plan_name() }), &["plan"])),
        ("PageAtStripe", object(json!({ "url": url }), &["url"])),
        ("Plans", operated()),
        ("ChangedPlan", changed()),
        ("Gift", gift()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

/// What a tenant may expect for its money.
fn entitlement() -> Value {
    let is = |word: &str| json!({ "const": word });
    let one = |fields: Value, required: &[&str]| object(fields, required);
    let served = |by: Value, required: &[&str]| {
        let by = with(object(by, required), "description", json!("What being served rests on."));
        one(json!({ "entitlement": is("served"), "by": by }), &["entitlement", "by"])
    };
    let kinds = [
        served(json!({ "by": is("billing_off") }), &["by"]),
        served(json!({ "by": is("complimentary"), "until": maybe(&time()) }), &["by", "until"]),
        served(json!({ "by": is("trial"), "ends": time() }), &["by", "ends"]),
        served(json!({ "by": is("paid"), "renews": time() }), &["by", "renews"]),
        served(json!({ "by": is("cancelled"), "ends": time() }), &["by", "ends"]),
        served(json!({ "by": is("past_due"), "until": time() }), &["by", "until"]),
        one(
            json!({
                "entitlement": is("suspended"), "since": time(),
                "why": { "enum": ["past_due", "disputed", "paused"] },
            }),
            &["entitlement", "why", "since"],
        ),
        one(json!({ "entitlement": is("leaving"), "until": time() }), &["entitlement", "until"]),
        one(json!({ "entitlement": is("gone"), "since": time() }), &["entitlement", "since"]),
        one(json!({ "entitlement": is("unpaid") }), &["entitlement"]),
    ];
    json!({ "oneOf": kinds })
}

/// How a tenant stands.
fn standing() -> Value {
    object(
        json!({
            "is_billing": { "type": "boolean", "description": "Whether anybody pays here." },
            "standing": named("Entitlement"),
            "plan": maybe(&named("Plan")), "agents": whole(), "agents_running": whole(),
            "offered": { "type": "array", "items": named("Plan") },
        }),
        &["is_billing", "standing", "plan", "agents", "agents_running", "offered"],
    )
}

fn fields() -> Value {
    json!({
        "plan": text(), "title": text(),
        "cents": { "type": "integer", "minimum": 0, "description": "A month, in hundredths; Stripe's price decides." },
        "currency": text(), "trial_days": whole(), "agents": whole(),
        "cpus": maybe(&whole()), "memory_mib": maybe(&whole()),
        "is_own_key": { "type": "boolean", "description": "Model calls are not included: one brings a vendor's key." },
    })
}

const PLAN: [&str; 9] =
    ["plan", "title", "cents", "currency", "trial_days", "agents", "is_own_key", "cpus", "memory_mib"];

/// One plan, as people see it.
fn plan() -> Value {
    object(fields(), &PLAN)
}

/// All plans, as operators see them.
fn operated() -> Value {
    let all = with(fields(), "price", maybe(&text()));
    let all = with(all, "daily_model_micro_usd", maybe(&whole()));
    let all = with(all, "machine_cents", maybe(&whole()));
    let required: Vec<&str> = PLAN.into_iter().chain(["price", "daily_model_micro_usd", "machine_cents"]).collect();
    object(json!({ "plans": { "type": "array", "items": object(all, &required) } }), &["plans"])
}

/// What an operator puts in a plan's place.
fn changed() -> Value {
    let up_to = |least: u32, most: u32| json!({ "type": "integer", "minimum": least, "maximum": most });
    let or_none =
        |number: Value, told: &str| with(with(number, "type", json!(["integer", "null"])), "description", json!(told));
    let price = json!({
        "type": ["string", "null"], "pattern": "^price_[A-Za-z0-9_]{1,94}$",
        "description": "What a month costs at Stripe; null: the plan is not sold.",
    });
    taken(
        json!({
            "plan": texts::plan_name(), "title": texts::shown_name(), "price": price,
            "cents": up_to(0, CENTS_MAX), "currency": { "type": "string", "pattern": "^[a-z]{3}$" },
            "trial_days": up_to(0, u32::from(TRIAL_DAYS_MAX)), "agents": up_to(1, u32::from(AGENTS_MAX)),
            "daily_model_micro_usd": {
                "type": ["integer", "null"], "minimum": 0, "maximum": u32::MAX,
                "description": "What model calls may cost a day; null: what the installation allows; 0: people bring a key.",
            },
            "cpus": or_none(up_to(1, u32::from(CPUS_MAX)), "Processors of each agent's machine; null: as the installation has it."),
            "memory_mib": or_none(
                up_to(MEMORY_MIB_MIN, MEMORY_MIB_MAX),
                "Memory of each agent's machine, in MiB; null: as the installation has it.",
            ),
            "machine_cents": or_none(
                up_to(0, CENTS_MAX),
                "What a machine costs whoever runs Berth, a month, in hundredths of the price's currency; null: not known.",
            ),
        }),
        &["plan", "title", "cents", "currency", "trial_days", "agents"],
    )
}

/// Letting a tenant off.
fn gift() -> Value {
    let days = json!({
        "type": ["integer", "null"], "minimum": 1, "maximum": GIFT_DAYS_MAX, "description": "From now; null: for good.",
    });
    taken(json!({ "plan": texts::plan_name(), "days": days }), &["plan"])
}
