//! The texts that people give, as patterns: what a parser of [`domain`] takes, and nothing else.
//!
//! Parsers drop space around a text; the patterns say so, because a document that is stricter than the program is wrong
//! too. A peer sends what fits a pattern, and what does not: `crates/server/tests/faults/peers/prober.rs`.

use app::invites::NOTE_CHARS_MAX;
use domain::{
    billing::DifferenceKind, entitlement::Standing, event::KIND_BYTES_MAX, job::Job, model::OwnModel,
    protocol::PAIRING_REQUEST_CHARS_MAX,
};
use serde_json::{Value, json};

use super::with;

/// What counts as space, inside a class.
const SPACE: &str = r"\t-\r \u0085\u00a0\u1680\u2000-\u200a\u2028\u2029\u202f\u205f\u3000";
/// What nobody can read, inside a class.
const CONTROL: &str = r"\u0000-\u001f\u007f-\u009f";

fn fits(pattern: &str, told: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^[{SPACE}]*{pattern}[{SPACE}]*$"), "description": told })
}

/// An id of this noun.
pub(crate) fn id(prefix: &str) -> Value {
    json!({ "type": "string", "pattern": format!("^{prefix}_[0-9a-f]{{32}}$") })
}

/// [`domain::names::AgentName`]
pub(crate) fn agent_name() -> Value {
    fits("[a-z0-9]([a-z0-9-]{0,38}[a-z0-9])?", "1 to 40 lowercase letters, digits and dashes, no dash at either end")
}

/// [`domain::plan::PlanName`]
pub(crate) fn plan_name() -> Value {
    json!({ "type": "string", "pattern": "^[a-z][a-z0-9_]{0,39}$", "example": "pro", "description": "Which plan" })
}

/// The same, or nothing, as a form has it.
pub(crate) fn no_or_plan_name() -> Value {
    json!({ "type": "string", "pattern": "^([a-z][a-z0-9_]{0,39})?$", "description": "Which plan; empty: none" })
}

/// [`domain::names::Email`]
pub(crate) fn email() -> Value {
    with(fits(&address(), "An e-mail address"), "maxLength", json!(254))
}

/// The same, or nothing: a filter that was left empty.
pub(crate) fn maybe_email() -> Value {
    json!({ "type": "string", "maxLength": 254, "pattern": format!("^([{SPACE}]*{}[{SPACE}]*)?$", address()) })
}

fn address() -> String {
    let local = r"[A-Za-z0-9.!#$%&'*+/=?^_`{|}~-]{1,64}";
    let label = "[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?";
    let here = "[Ll][Oo][Cc][Aa][Ll][Hh][Oo][Ss][Tt]";
    format!(r"{local}@({here}|{label}(\.{label})+)")
}

/// [`domain::names::TurnText`]
pub(crate) fn turn() -> Value {
    let chars = domain::names::TurnText::CHARS_MAX;
    let pattern = format!("[^{SPACE}]");
    json!({ "type": "string", "pattern": pattern, "maxLength": chars, "description": "Not only space" })
}

/// [`domain::instructions::Instructions`], or none.
pub(crate) fn instructions() -> Value {
    let plain = r"[^\u0000-\u0008\u000b\u000c\u000e-\u001f\u007f-\u009f]*";
    let told = "The agent's system prompt in plain text: OpenClaw adds it to its own in every conversation. Everybody in the tenant can read it.";
    let text = with(fits(plain, told), "type", json!(["string", "null"]));
    with(text, "maxLength", json!(domain::instructions::CHARS_MAX))
}

/// A name of up to 60 characters that somebody reads.
pub(crate) fn shown_name() -> Value {
    fits(&format!("[^{SPACE}{CONTROL}]([^{CONTROL}]{{0,58}}[^{SPACE}{CONTROL}])?"), "1 to 60 characters in one line")
}

/// [`domain::operators::Reason`]
pub(crate) fn reason() -> Value {
    let (blank, word) = (format!("[{SPACE}{CONTROL}]*"), format!("[^{SPACE}{CONTROL}]"));
    let pattern = format!(r"^{blank}{word}[\s\S]{{8,298}}{word}{blank}$");
    json!({ "type": "string", "pattern": pattern, "description": "10 to 300 characters; the tenant reads them" })
}

/// What invites are for.
pub(crate) fn note() -> Value {
    fits(&format!("[^{CONTROL}]{{0,{NOTE_CHARS_MAX}}}"), "At most 200 characters in one line")
}

/// [`domain::invite::InviteCode`], as it may be typed.
pub(crate) fn invite_code() -> Value {
    let pattern = "^[- ]*([A-HJ-NP-Za-hj-np-z2-9][- ]*){12}$";
    json!({ "type": "string", "pattern": pattern, "maxLength": 40, "examples": ["ABCD-EFGH-JKLM"] })
}

/// [`domain::credential::Value`] of a key or a token.
pub(crate) fn key() -> Value {
    json!({ "type": "string", "pattern": "^[!-~]{8,500}$", "example": "sk-ant-123456789012" })
}

/// [`vault::Imported`], of which it can be seen only when it is opened whether it is one.
pub(crate) fn imported() -> Value {
    let pattern = r"^[A-Za-z0-9+/=\t-\r ]+$";
    json!({
        "type": "string", "pattern": pattern, "maxLength": vault::Imported::TEXT_MAX,
        "description": "The sealed value in base64, whole; spaces and line breaks count for nothing",
    })
}

/// [`domain::credential::Value`] of a Telegram bot.
pub(crate) fn telegram_token() -> Value {
    json!({ "type": "string", "pattern": "^[0-9]{5,16}:[A-Za-z0-9_-]{20,100}$" })
}

/// [`domain::credential::Value`] of a Slack app.
pub(crate) fn slack_tokens() -> Value {
    let token = "[!-~]{1,240}";
    json!({
        "type": "string", "pattern": format!("^(xoxb-{token}\\sxapp-{token}|xapp-{token}\\sxoxb-{token})$"),
        "description": "The bot's token and the app's, with a space or a line break between",
    })
}

/// [`domain::credential::BaseUrl`]
pub(crate) fn base_url() -> Value {
    let pattern = r#"^https?://[!"$-.0->A-\[\]-~][!"$->A-\[\]-~]{0,280}$"#;
    json!({ "type": "string", "pattern": pattern, "example": "https://models.example/v1" })
}

/// [`domain::variable::VariableName`], but for the names that are not free.
pub(crate) fn variable_name() -> Value {
    json!({ "type": "string", "pattern": "^[A-Z][A-Z0-9_]{0,63}$" })
}

/// [`domain::variable::VariableValue`]
pub(crate) fn variable_value() -> Value {
    let pattern = r"^[^\u0000-\u0008\u000b-\u001f\u007f-\u009f]+$";
    json!({ "type": "string", "pattern": pattern, "maxLength": 8192, "description": "At most 8 KB" })
}

/// [`domain::protocol::is_pairing_request`]
pub(crate) fn pairing_request() -> Value {
    json!({ "type": "string", "pattern": format!("^[A-Za-z0-9_-]{{1,{PAIRING_REQUEST_CHARS_MAX}}}$") })
}

/// [`domain::model::OwnModel`] of a vendor that speaks Chat Completions.
pub(crate) fn own_model() -> Value {
    json!({
        "type": "string", "pattern": "^(openai|openrouter|compatible)/[A-Za-z0-9._:/@+-]+$",
        "maxLength": OwnModel::BYTES_MAX, "example": "openai/gpt-5.5",
        "description": "The vendor whose key is meant, and its model: openai/…, openrouter/… or compatible/…",
    })
}

/// A word of ours to choose by: small letters and underscores.
pub(crate) fn word() -> Value {
    json!({ "type": "string", "pattern": "^[a-z_]{0,40}$" })
}

/// A word of Stripe's for what happened, or the beginning of one, or nothing.
pub(crate) fn stripe_kind() -> Value {
    fits(&format!("[a-z0-9_.]{{0,{KIND_BYTES_MAX}}}"), "Such as `invoice.paid`, or `invoice` for all that begin so")
}

/// An id of Stripe's with this prefix, or nothing.
pub(crate) fn stripe_name(prefix: &str) -> Value {
    fits(&format!("({prefix}_[A-Za-z0-9_]{{1,96}})?"), "As Stripe writes it")
}

/// [`Standing`], or nothing.
pub(crate) fn standing() -> Value {
    let words: Vec<&str> = Standing::EVERY.map(Standing::name).into_iter().chain([""]).collect();
    json!({ "type": "string", "enum": words, "description": "Empty: all" })
}

/// [`DifferenceKind`], or nothing.
pub(crate) fn difference_kind() -> Value {
    let words: Vec<&str> = DifferenceKind::EVERY.map(DifferenceKind::name).into_iter().chain([""]).collect();
    json!({ "type": "string", "enum": words, "description": "Empty: both" })
}

/// A job.
pub(crate) fn job() -> Value {
    json!({ "enum": Job::EVERY.map(Job::name) })
}
