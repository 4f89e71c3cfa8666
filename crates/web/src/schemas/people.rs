//! The shapes of invites, of the waitlist and of sessions.

use app::{
    invites::{BATCH_MAX, DAYS_MAX, USES_MAX},
    plans::GIFT_DAYS_MAX,
};
use serde_json::{Map, Value, json};

use super::{
    admin::listed,
    named, object, taken,
    texts::{self, id},
};

/// Each by its name.
pub(super) fn all() -> Map<String, Value> {
    let all = [
        ("InviteCode", code()),
        ("InviteVerdict", verdict()),
        ("InviteWish", wish()),
        ("NewInvites", made()),
        ("Invite", invite()),
        ("Invites", listed("invites", "Invite")),
        ("NewWaiting", new_waiting()),
        ("Waitlisted", waitlisted()),
        ("Waiting", waiting()),
        ("Waitlist", listed("waitlist", "Waiting")),
        ("Session", session()),
        ("Sessions", sessions()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema)).collect()
}

fn maybe(schema: &Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn whole() -> Value {
    json!({ "type": "integer", "minimum": 0 })
}

fn up_to(most: u32) -> Value {
    json!({ "type": "integer", "minimum": 1, "maximum": most })
}

fn code() -> Value {
    taken(json!({ "code": { "type": "string", "examples": ["ABCD-EFGH-JKLM"] } }), &["code"])
}

fn verdict() -> Value {
    object(json!({ "valid": { "type": "boolean" } }), &["valid"])
}

fn wish() -> Value {
    let (codes, uses, days) = (up_to(BATCH_MAX), up_to(USES_MAX), up_to(DAYS_MAX));
    let plan = maybe(&texts::plan_name());
    let gift_days = json!({
        "type": ["integer", "null"], "minimum": 1, "maximum": GIFT_DAYS_MAX,
        "description": "How long who comes by it has the plan without paying; null: for good.",
    });
    taken(
        json!({
            "codes": codes, "uses": uses, "days": days, "note": texts::note(), "plan": plan, "gift_days": gift_days,
        }),
        &[],
    )
}

fn made() -> Value {
    let one = object(json!({ "id": id("inv"), "code": text() }), &["id", "code"]);
    object(json!({ "invites": { "type": "array", "items": one } }), &["invites"])
}

fn invite() -> Value {
    object(
        json!({
            "id": id("inv"), "batch": { "type": "string", "format": "uuid" }, "note": text(), "made_by": text(),
            "uses_max": whole(), "uses": whole(), "users": { "type": "array", "items": text() },
            "open": { "type": "boolean" }, "created_at": time(), "expires_at": time(), "revoked_at": maybe(&time()),
            "plan": maybe(&text()), "gift_days": maybe(&whole()),
        }),
        &[
            "id",
            "batch",
            "note",
            "made_by",
            "uses_max",
            "uses",
            "users",
            "open",
            "created_at",
            "expires_at",
            "revoked_at",
            "plan",
            "gift_days",
        ],
    )
}

fn new_waiting() -> Value {
    taken(json!({ "email": texts::email() }), &["email"])
}

fn waitlisted() -> Value {
    object(json!({ "state": { "const": "waiting" } }), &["state"])
}

fn waiting() -> Value {
    object(
        json!({
            "id": id("wtg"), "position": maybe(&whole()), "email": text(), "asked_at": time(), "from_source": whole(),
            "invited_at": maybe(&time()),
        }),
        &["id", "position", "email", "asked_at", "from_source", "invited_at"],
    )
}

fn session() -> Value {
    object(
        json!({
            "id": id("ses"), "tenant": text(), "browser": text(), "created_at": time(), "authenticated_at": time(),
            "seen_at": time(), "expires_at": time(), "current": { "type": "boolean" },
        }),
        &["id", "tenant", "browser", "created_at", "authenticated_at", "seen_at", "expires_at", "current"],
    )
}

fn sessions() -> Value {
    object(json!({ "sessions": { "type": "array", "items": named("Session") } }), &["sessions"])
}
