//! The forms of our pages: each field as its handler reads it.

use app::{
    invites::{BATCH_MAX, DAYS_MAX, USES_MAX},
    plans::GIFT_DAYS_MAX,
};
use domain::{
    channel::Channel,
    credential::Kind,
    job::CatchUp,
    machine::{CPUS_MAX, MEMORY_MIB_MAX, MEMORY_MIB_MIN},
    plan::{AGENTS_MAX, CENTS_MAX, TRIAL_DAYS_MAX},
    scopes::Scope,
};
use serde_json::{Map, Value, json};

use super::texts;

/// The form that is posted to this path. Fields that it does not know are passed over.
pub(crate) fn posted(path: &str, fields: &[&str]) -> Value {
    let properties: Map<String, Value> = fields.iter().map(|name| ((*name).to_owned(), field(path, name))).collect();
    let required: Vec<&&str> = fields.iter().filter(|name| is_required(path, name)).collect();
    json!({ "type": "object", "properties": properties, "required": required })
}

fn field(path: &str, name: &str) -> Value {
    let up_to = |most: u32| json!({ "type": "integer", "minimum": 1, "maximum": most });
    let number = |least: u32, most: u32| json!({ "type": "integer", "minimum": least, "maximum": most });
    match (path, name) {
        ("/setup" | "/waitlist" | "/auth/mail" | "/team/invitations", "email") => texts::email(),
        ("/setup", "tenant") | ("/settings/tokens", "name") | ("/admin/plans", "title") => texts::shown_name(),
        ("/signup", "code") => texts::invite_code(),
        ("/settings/tokens", "days") => up_to(app::tokens::DAYS_MAX),
        ("/settings/tokens", "scope") => {
            json!({ "type": "array", "minItems": 1, "items": { "enum": Scope::EVERY.map(Scope::name) } })
        }
        ("/team/invitations", "role") => json!({ "enum": ["viewer", "member", "admin"] }),
        ("/team/members/{id}/role", "role") => json!({ "enum": ["viewer", "member", "admin", "owner"] }),
        ("/agents", "name") => texts::agent_name(),
        ("/welcome", "step") => json!({ "enum": ["name", "model", "channel", "instructions"] }),
        ("/agents/{id}/turns", "text") => texts::turn(),
        ("/credentials", "kind") => json!({ "enum": Kind::EVERY.map(Kind::name) }),
        ("/agents/{id}/pairings/approve", "channel") => json!({ "enum": Channel::ALL.map(Channel::as_str) }),
        ("/agents/{id}/pairings/approve", "request") => texts::pairing_request(),
        (path, "reason") if path.starts_with("/admin/") => texts::reason(),
        ("/admin/schedules/{job}", "catch_up") => json!({ "enum": CatchUp::EVERY.map(CatchUp::name) }),
        ("/admin/schedules/{job}", "cron") => json!({ "type": "string", "maxLength": 100 }),
        ("/billing/checkout" | "/admin/plans" | "/admin/tenants/{id}/gift", "plan") => texts::plan_name(),
        ("/admin/plans", "cents" | "machine_cents") => number(0, CENTS_MAX),
        ("/admin/plans", "currency") => json!({ "type": "string", "pattern": "^[a-z]{3}$" }),
        ("/admin/plans", "trial_days") => number(0, u32::from(TRIAL_DAYS_MAX)),
        ("/admin/plans", "agents") => number(1, u32::from(AGENTS_MAX)),
        ("/admin/plans", "price") => json!({ "type": "string", "pattern": "^(price_[A-Za-z0-9_]{1,94})?$" }),
        ("/admin/plans", "daily_model") => json!({ "type": "string", "pattern": r"^([0-9]{1,9}(\.[0-9]{1,6})?)?$" }),
        ("/admin/plans", "cpus") => up_to(u32::from(CPUS_MAX)),
        ("/admin/plans", "memory_mib") => number(MEMORY_MIB_MIN, MEMORY_MIB_MAX),
        ("/admin/tenants/{id}/gift", "days") | ("/admin/invites", "gift_days") => up_to(u32::from(GIFT_DAYS_MAX)),
        ("/admin/invites", "codes") => up_to(BATCH_MAX),
        ("/admin/invites", "uses") => up_to(USES_MAX),
        ("/admin/invites", "days") => up_to(DAYS_MAX),
        ("/admin/invites", "note") => texts::note(),
        ("/admin/invites", "plan") => texts::no_or_plan_name(),
        _ => json!({ "type": "string" }),
    }
}

/// A field without which the form is refused. The ways to sign in are several, and none of them is missed alone.
fn is_required(path: &str, name: &str) -> bool {
    let optional = matches!(
        (path, name),
        ("/login", _)
            | (_, "next" | "live" | "note" | "enabled" | "model" | "instructions" | "agent" | "base_url")
            | ("/admin/plans", "price" | "daily_model" | "cpus" | "memory_mib" | "machine_cents")
            | ("/admin/tenants/{id}/gift", "days")
            | ("/admin/invites", "plan" | "gift_days")
            | ("/setup" | "/invitation", "link")
            | ("/credentials" | "/welcome", "name")
    );
    !optional
}
