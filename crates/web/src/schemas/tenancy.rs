//! The shapes of the API of tenants: audit, members, tokens.

use domain::{channel::Channel, credential::Kind};
use serde_json::{Value, json};
use vault::{Imported, Rounds};

use super::{
    named, object, taken,
    texts::{self, id},
    with,
};

/// Each by its name.
pub(super) fn all() -> impl Iterator<Item = (String, Value)> {
    let all = [
        ("Tenants", tenants()),
        ("Member", member()),
        ("Invitation", invitation()),
        ("Members", members()),
        ("NewMember", new_member()),
        ("Invited", invited()),
        ("NewRole", new_role()),
        ("Token", token()),
        ("Tokens", tokens()),
        ("NewToken", new_token()),
        ("Credential", credential()),
        (
            "Credentials",
            object(json!({ "credentials": { "type": "array", "items": named("Credential") } }), &["credentials"]),
        ),
        ("NewCredential", new_credential()),
        ("Pairings", object(json!({ "pairings": { "type": "array", "items": pairing() } }), &["pairings"])),
        (
            "NewApproval",
            taken(
                json!({ "channel": { "enum": Channel::ALL.map(Channel::as_str) }, "request": texts::pairing_request() }),
                &["channel", "request"],
            ),
        ),
        ("IssuedToken", issued_token()),
        ("ErasedAccount", erased_account()),
        ("Erasure", object(json!({ "tenant": id("ten"), "erase_after": time() }), &["tenant", "erase_after"])),
        ("OperatedTenant", operated_tenant()),
        ("OperatedUsers", super::admin::listed("users", "OperatedUser")),
        ("OperatedUser", operated_user()),
        ("OperatedTenants", super::admin::listed("tenants", "OperatedTenant")),
        ("ReasonToRead", taken(json!({ "reason": texts::reason() }), &["reason"])),
        ("TenantData", tenant_data()),
        ("AuditEvent", audit_event()),
        ("AuditHead", audit_head()),
        ("AuditEvents", audit_events()),
    ];
    all.into_iter().map(|(name, schema)| (name.to_owned(), schema))
}

fn text() -> Value {
    json!({ "type": "string" })
}

fn maybe(schema: &Value) -> Value {
    json!({ "oneOf": [schema, { "type": "null" }] })
}

fn time() -> Value {
    json!({ "type": "string", "format": "date-time" })
}

fn role() -> Value {
    json!({ "enum": ["viewer", "member", "admin", "owner"] })
}

fn scopes() -> Value {
    json!({ "type": "array", "items": { "enum": domain::scopes::Scope::EVERY.map(domain::scopes::Scope::name) } })
}

fn pairing() -> Value {
    object(
        json!({
            "channel": { "enum": Channel::ALL.map(Channel::as_str) }, "request": text(), "sender": text(),
            "name": maybe(&text()), "asked_at": time(), "expires_at": time(),
        }),
        &["channel", "request", "sender", "name", "asked_at", "expires_at"],
    )
}

fn credential() -> Value {
    let verdict = object(
        json!({
            "at": time(), "verdict": { "enum": ["accepted", "refused", "unknown"] }, "who": maybe(&text()), "why": text(),
        }),
        &["at", "verdict"],
    );
    object(
        json!({
            "id": id("crd"), "kind": { "enum": Kind::EVERY.map(Kind::name) }, "agent": maybe(&id("agt")),
            "name": maybe(&text()), "base_url": maybe(&text()), "version": { "type": "integer" },
            "shown": { "type": "string", "description": "Dots and the last four characters of a long value. The value itself is never told." },
            "checked": maybe(&verdict), "set_by": id("usr"), "set_at": time(),
        }),
        &["id", "kind", "agent", "name", "base_url", "shown", "version", "checked", "set_by", "set_at"],
    )
}

/// A key to models is the tenant's; a bot and a variable are an agent's. Each comes as a value, or sealed by another
/// program.
fn new_credential() -> Value {
    let agent = id("agt");
    let of = |kinds: &[&str], beside: &Value, value: Value| {
        ["value", "imported"].map(|way| {
            let given = if way == "value" { value.clone() } else { imported() };
            let properties = with(with(beside.clone(), "kind", json!({ "enum": kinds })), way, given);
            let required: Vec<String> =
                properties.as_object().map(|all| all.keys().cloned().collect()).unwrap_or_default();
            taken(properties, &required.iter().map(String::as_str).collect::<Vec<_>>())
        })
    };
    let all = [
        of(&["anthropic", "openai", "openrouter"], &json!({}), texts::key()),
        of(&["compatible"], &json!({ "base_url": texts::base_url() }), texts::key()),
        of(&["telegram"], &json!({ "agent": agent }), texts::telegram_token()),
        of(&["slack"], &json!({ "agent": agent }), texts::slack_tokens()),
        of(&["discord"], &json!({ "agent": agent }), texts::key()),
        of(&["variable"], &json!({ "agent": agent, "name": texts::variable_name() }), texts::variable_value()),
    ];
    json!({ "oneOf": all.concat() })
}

/// A value that another program sealed: opened once, and kept as every other one.
fn imported() -> Value {
    let passphrase = json!({ "type": "string", "minLength": 1, "maxLength": Imported::PASSPHRASE_MAX });
    let of = |form: &str| json!({ "form": { "const": form }, "text": texts::imported(), "passphrase": passphrase });
    let rounds = json!({ "type": "integer", "minimum": Rounds::LEAST, "maximum": Rounds::MOST, "description": "10000 unless `-iter` said otherwise" });
    let told = "`gcm`: base64 of salt (16 bytes), nonce (12), ciphertext and tag, by PBKDF2-HMAC-SHA256 with 100000 rounds and \
                AES-256-GCM. `openssl`: what `openssl enc -aes-256-cbc -pbkdf2 -md sha256 -a` writes.";
    let required = ["form", "text", "passphrase"];
    let both = [taken(of("gcm"), &required), taken(with(of("openssl"), "rounds", rounds), &required)];
    json!({ "oneOf": both, "description": told })
}

fn erased_account() -> Value {
    object(
        json!({
            "user": id("usr"),
            "left": { "type": "array", "items": id("ten") },
            "ending": { "type": "array", "items": named("Erasure") },
        }),
        &["user", "left", "ending"],
    )
}

fn tenants() -> Value {
    let tenant = object(
        json!({ "id": id("ten"), "name": text(), "role": role(), "is_current": { "type": "boolean" } }),
        &["id", "name", "role", "is_current"],
    );
    object(json!({ "tenants": { "type": "array", "items": tenant } }), &["tenants"])
}

fn member() -> Value {
    object(
        json!({ "id": id("mem"), "user": id("usr"), "email": text(), "role": role(), "since": time() }),
        &["id", "user", "email", "role", "since"],
    )
}

fn invitation() -> Value {
    object(
        json!({
            "id": id("itn"), "email": text(), "role": role(), "invited_by": text(), "mail": maybe(&text()),
            "created_at": time(), "expires_at": time(),
        }),
        &["id", "email", "role", "invited_by", "mail", "created_at", "expires_at"],
    )
}

fn members() -> Value {
    object(
        json!({
            "members": { "type": "array", "items": named("Member") },
            "invitations": { "type": "array", "items": named("Invitation") },
        }),
        &["members", "invitations"],
    )
}

fn new_member() -> Value {
    let role = json!({ "enum": ["viewer", "member", "admin"] });
    taken(json!({ "email": texts::email(), "role": role }), &["email", "role"])
}

fn invited() -> Value {
    object(json!({ "id": id("itn") }), &["id"])
}

fn new_role() -> Value {
    taken(json!({ "role": role() }), &["role"])
}

fn token() -> Value {
    object(
        json!({
            "id": id("tok"), "name": text(), "scopes": scopes(), "created_at": time(), "expires_at": time(),
            "last_used_at": maybe(&time()), "is_expired": { "type": "boolean" },
        }),
        &["id", "name", "scopes", "created_at", "expires_at", "last_used_at", "is_expired"],
    )
}

fn tokens() -> Value {
    object(json!({ "tokens": { "type": "array", "items": named("Token") } }), &["tokens"])
}

fn new_token() -> Value {
    let wanted = with(scopes(), "minItems", json!(1));
    let days = json!({ "type": "integer", "minimum": 1, "maximum": app::tokens::DAYS_MAX });
    taken(json!({ "name": texts::shown_name(), "scopes": wanted, "days": days }), &["name", "scopes", "days"])
}

fn issued_token() -> Value {
    object(json!({ "id": id("tok"), "token": text() }), &["id", "token"])
}

fn operated_tenant() -> Value {
    let whole = json!({ "type": "integer", "minimum": 0 });
    object(
        json!({
            "id": id("ten"), "created_at": time(), "members": whole, "machines": whole, "alerts": whole,
            "suspended_at": maybe(&time()), "suspended_why": maybe(&text()),
        }),
        &["id", "created_at", "members", "machines", "alerts", "suspended_at", "suspended_why"],
    )
}

fn operated_user() -> Value {
    let whole = json!({ "type": "integer", "minimum": 0 });
    object(
        json!({
            "id": id("usr"), "created_at": time(), "is_operator": { "type": "boolean" }, "tenants": whole,
            "sessions": whole, "suspended_at": maybe(&time()), "suspended_why": maybe(&text()),
        }),
        &["id", "created_at", "is_operator", "tenants", "sessions", "suspended_at", "suspended_why"],
    )
}

fn tenant_data() -> Value {
    object(
        json!({
            "id": id("ten"), "members": { "type": "array", "items": named("Member") },
            "agents": { "type": "array", "items": named("Agent") },
            "credentials": { "type": "array", "items": fingerprinted() },
            "data_key": maybe(&data_key()),
        }),
        &["id", "members", "agents", "credentials", "data_key"],
    )
}

/// A credential as operators see it.
fn fingerprinted() -> Value {
    let whole = json!({ "type": "integer", "minimum": 0 });
    let agent = object(
        json!({ "id": id("agt"), "name": text(), "wanted": whole, "in_force": whole }),
        &["id", "name", "wanted", "in_force"],
    );
    let checked = object(
        json!({ "at": time(), "verdict": { "enum": ["accepted", "refused", "unknown"] }, "why": maybe(&text()) }),
        &["at", "verdict", "why"],
    );
    let opened = object(json!({ "at": time(), "purpose": text() }), &["at", "purpose"]);
    let told = "Equal for the same key or token of this tenant, and for the same variable of the same agent with the same \
                value. Says nothing about the value, and nothing beside another tenant's. Null: not known until set anew.";
    object(
        json!({
            "id": id("crd"), "kind": { "enum": Kind::EVERY.map(Kind::name) }, "name": maybe(&text()),
            "host": maybe(&text()), "agent": maybe(&agent),
            "fingerprint": maybe(&json!({ "type": "string", "pattern": "^[0-9a-f]{12}$", "description": told })),
            "version": whole, "set_at": time(), "age_days": whole, "set_by": id("usr"), "checked": maybe(&checked),
            "opened": maybe(&opened),
        }),
        &[
            "id",
            "kind",
            "name",
            "host",
            "agent",
            "fingerprint",
            "version",
            "set_at",
            "age_days",
            "set_by",
            "checked",
            "opened",
        ],
    )
}

fn data_key() -> Value {
    let whole = json!({ "type": "integer", "minimum": 0 });
    let master = object(
        json!({ "id": text(), "state": { "enum": ["current", "retiring", "retired"] }, "since": time() }),
        &["id", "state", "since"],
    );
    object(
        json!({
            "id": { "type": "string", "format": "uuid" }, "created_at": time(), "age_days": whole, "master": master,
        }),
        &["id", "created_at", "age_days", "master"],
    )
}

fn digits() -> Value {
    json!({ "type": "string", "pattern": "^[0-9a-f]{64}$" })
}

fn audit_event() -> Value {
    object(
        json!({
            "act": text(), "actor": text(),
            "actor_name": maybe(&text()),
            "at": text(), "chain": text(),
            "details": { "type": "object", "additionalProperties": text() },
            "prior": digits(), "seq": { "type": "integer", "minimum": 1 }, "subject": text(),
            "v": { "const": 1 }, "via": text(), "hash": digits(),
        }),
        &["act", "actor", "actor_name", "at", "chain", "details", "prior", "seq", "subject", "v", "via", "hash"],
    )
}

fn audit_head() -> Value {
    object(
        json!({ "chain": text(), "hash": digits(), "seq": { "type": "integer", "minimum": 0 } }),
        &["chain", "hash", "seq"],
    )
}

fn audit_events() -> Value {
    object(
        json!({
            "events": { "type": "array", "items": named("AuditEvent") },
            "head": maybe(&named("AuditHead")),
            "next": maybe(&text()),
        }),
        &["events", "head", "next"],
    )
}
