//! What an operator may see of an event's body: some fields' values, and of every other value only what kind it is and how long.
//!
//! Stripe's objects hold names, addresses and links that let in whoever has them, and get new fields without asking anybody
//! here. So nothing is shown because it looks harmless: a value is shown where its field is listed in this file and it has
//! the shape that this field's values have. Source: Stripe API Reference, the objects that events carry.

use serde_json::{Map, Value};

use crate::TenantId;

/// Most fields and entries that are shown.
pub const NODES_MAX: usize = 600;
/// Most bytes of what is shown, printed for people.
pub const BYTES_MAX: usize = 64 * 1024;
/// How deep it is looked into lists and objects.
pub const DEPTH_MAX: usize = 12;

/// Kept back for the brackets and the words that close what did not fit.
const BYTES_TO_END: usize = 4 * 1024;
/// Most characters of a field's name that is shown.
const NAME_MAX: usize = 40;
/// Under which a thing says how much of it is not there.
const REST: &str = "…";

/// What is shown of a body. `None`: it is no JSON, or deeper than anybody sends.
#[must_use]
pub fn redacted(body: &[u8]) -> Option<Value> {
    let all: Value = serde_json::from_slice(body).ok()?;
    let mut room = Room { nodes: NODES_MAX, bytes: BYTES_MAX - BYTES_TO_END };
    Some(if all.is_object() { room.show(&all, true, None, 0) } else { marker(&all) })
}

/// How a value of a listed field looks.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Shape {
    /// An id that Stripe drew: a prefix of its, then letters and digits.
    Id,
    /// A word of Stripe's: small letters, digits, `_` and `.`.
    Word,
    /// A whole number: a moment, an amount in hundredths, a count.
    Whole,
    /// Yes or no.
    Flag,
    /// Three small letters.
    Currency,
    /// A date, and a name after it.
    Version,
    /// The id of a tenant of ours, which Berth gave Stripe.
    Tenant,
}

/// What Stripe's ids begin with. Ids of coupons and of old plans are chosen by people, and not shown.
const PREFIXES: [&str; 24] = [
    "acct", "bpc", "ch", "cn", "cs", "cus", "dp", "du", "evt", "ii", "il", "in", "inpay", "pi", "pm", "price", "prod",
    "py", "re", "req", "seti", "si", "sub", "txn",
];

fn shape(field: &str) -> Option<Shape> {
    Some(match field {
        "id"
        | "customer"
        | "subscription"
        | "subscription_item"
        | "invoice"
        | "latest_invoice"
        | "charge"
        | "latest_charge"
        | "payment_intent"
        | "setup_intent"
        | "payment_method"
        | "default_payment_method"
        | "balance_transaction"
        | "price"
        | "product" => Shape::Id,
        "object"
        | "type"
        | "status"
        | "billing_reason"
        | "billing_scheme"
        | "collection_method"
        | "interval"
        | "usage_type"
        | "mode"
        | "payment_status"
        | "behavior"
        | "missing_payment_method" => Shape::Word,
        "created"
        | "quantity"
        | "total"
        | "subtotal"
        | "unit_amount"
        | "interval_count"
        | "period_start"
        | "period_end"
        | "current_period_start"
        | "current_period_end"
        | "start"
        | "end"
        | "start_date"
        | "billing_cycle_anchor"
        | "cancel_at"
        | "canceled_at"
        | "ended_at"
        | "trial_start"
        | "trial_end"
        | "trial_period_days"
        | "due_date"
        | "next_payment_attempt"
        | "attempt_count"
        | "expires_at"
        | "finalized_at"
        | "paid_at"
        | "voided_at"
        | "marked_uncollectible_at"
        | "pending_webhooks"
        | "total_count" => Shape::Whole,
        amount if amount == "amount" || amount.starts_with("amount_") => Shape::Whole,
        "livemode"
        | "cancel_at_period_end"
        | "active"
        | "attempted"
        | "paid"
        | "captured"
        | "refunded"
        | "disputed"
        | "has_more" => Shape::Flag,
        "currency" => Shape::Currency,
        "api_version" => Shape::Version,
        "client_reference_id" => Shape::Tenant,
        _ => return None,
    })
}

/// Whether a field's list or object is looked into. What Stripe expands comes as an object in the place of its id.
fn is_entered(field: &str) -> bool {
    matches!(
        field,
        "data"
            | "object"
            | "previous_attributes"
            | "items"
            | "lines"
            | "price"
            | "plan"
            | "recurring"
            | "period"
            | "parent"
            | "subscription_details"
            | "subscription_item_details"
            | "invoice_item_details"
            | "pricing"
            | "price_details"
            | "trial_settings"
            | "end_behavior"
            | "status_transitions"
            | "pause_collection"
            | "request"
            | "customer"
            | "subscription"
            | "invoice"
            | "latest_invoice"
            | "charge"
            | "payment_intent"
            | "product"
    )
}

impl Shape {
    fn fits(self, value: &Value) -> bool {
        match (self, value) {
            (Self::Whole, Value::Number(number)) => number.is_i64() || number.is_u64(),
            (Self::Flag, Value::Bool(_)) => true,
            (Self::Id, Value::String(text)) => is_id(text),
            (Self::Word, Value::String(text)) => is_word(text),
            (Self::Currency, Value::String(text)) => {
                text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_lowercase())
            }
            (Self::Version, Value::String(text)) => is_version(text),
            (Self::Tenant, Value::String(text)) => text.parse::<TenantId>().is_ok(),
            _ => false,
        }
    }
}

fn is_id(text: &str) -> bool {
    let Some((prefix, drawn)) = text.split_once('_') else { return false };
    let drawn = drawn.strip_prefix("test_").or_else(|| drawn.strip_prefix("live_")).unwrap_or(drawn);
    let is_drawn = !drawn.is_empty() && drawn.bytes().all(|byte| byte.is_ascii_alphanumeric());
    text.len() <= crate::billing::NAME_CHARS_MAX && PREFIXES.contains(&prefix) && is_drawn
}

fn is_word(text: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_' || byte == b'.';
    text.len() <= 60 && text.starts_with(|c: char| c.is_ascii_lowercase()) && text.bytes().all(plain)
}

/// `2025-03-31.basil`
fn is_version(text: &str) -> bool {
    let (date, name) = text.split_once('.').unwrap_or((text, ""));
    let is_date = date.len() == 10 && chrono::NaiveDate::parse_from_str(date, "%Y-%m-%d").is_ok();
    is_date && name.len() <= 20 && name.bytes().all(|byte| byte.is_ascii_lowercase())
}

/// How much may still be shown.
struct Room {
    nodes: usize,
    bytes: usize,
}

impl Room {
    fn show(&mut self, value: &Value, is_entered: bool, shape: Option<Shape>, depth: usize) -> Value {
        match value {
            // That there is nothing tells nothing.
            Value::Null => Value::Null,
            Value::Object(fields) if is_entered && depth < DEPTH_MAX => Value::Object(self.fields(fields, depth)),
            Value::Array(entries) if is_entered && depth < DEPTH_MAX => Value::Array(self.entries(entries, depth)),
            value if shape.is_some_and(|shape| shape.fits(value)) => value.clone(),
            value => marker(value),
        }
    }

    fn fields(&mut self, fields: &Map<String, Value>, depth: usize) -> Map<String, Value> {
        let (mut shown, mut rest) = (Map::new(), 0_usize);
        for (name, value) in fields {
            if !is_name(name) || !self.takes(name.len(), depth) {
                rest += 1;
                continue;
            }
            let value = self.show(value, is_entered(name), shape(name), depth + 1);
            self.spend(&value);
            shown.insert(name.clone(), value);
        }
        if rest > 0 {
            let words = Value::String(counted(rest, "more field", "more fields"));
            self.forced(&words, depth);
            shown.insert(REST.to_owned(), words);
        }
        shown
    }

    /// Of a list only what its entries hold is shown: what stands in it by itself has no field's name.
    fn entries(&mut self, entries: &[Value], depth: usize) -> Vec<Value> {
        let (mut shown, mut rest) = (Vec::new(), 0_usize);
        for entry in entries {
            if !self.takes(0, depth) {
                rest += 1;
                continue;
            }
            let entry = self.show(entry, entry.is_object(), None, depth + 1);
            self.spend(&entry);
            shown.push(entry);
        }
        if rest > 0 {
            let words = Value::String(format!("{REST} {}", counted(rest, "more entry", "more entries")));
            self.forced(&words, depth);
            shown.push(words);
        }
        shown
    }

    /// Makes room for one field or entry: its line, with brackets and all that stands before it.
    fn takes(&mut self, name: usize, depth: usize) -> bool {
        let bytes = name + 4 * (depth + 2) + 8;
        // A value that is shown has at most a hundred bytes.
        if self.nodes == 0 || self.bytes < bytes + 128 {
            return false;
        }
        self.nodes -= 1;
        self.bytes -= bytes;
        true
    }

    /// What says how much is not there is always said: by as many things at the end as were open then.
    fn forced(&mut self, words: &Value, depth: usize) {
        self.takes(REST.len(), depth);
        self.spend(words);
    }

    fn spend(&mut self, value: &Value) {
        if !value.is_object() && !value.is_array() {
            self.bytes = self.bytes.saturating_sub(value.to_string().len());
        }
    }
}

/// Names of Stripe's own are plain. What is not may be somebody's.
fn is_name(name: &str) -> bool {
    let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
    name.len() <= NAME_MAX && name.starts_with(|c: char| c.is_ascii_lowercase()) && name.bytes().all(plain)
}

/// What stands in the place of a value that is not shown.
fn marker(value: &Value) -> Value {
    let words = match value {
        Value::Null => return Value::Null,
        Value::Bool(_) => "yes or no".to_owned(),
        Value::Number(_) => "number".to_owned(),
        Value::String(text) => format!("text, {}", counted(text.chars().count(), "character", "characters")),
        Value::Array(entries) => format!("list, {}", counted(entries.len(), "entry", "entries")),
        Value::Object(fields) => format!("object, {}", counted(fields.len(), "field", "fields")),
    };
    Value::String(format!("{REST} {words}"))
}

fn counted(count: usize, one: &str, many: &str) -> String {
    format!("{count} {}", if count == 1 { one } else { many })
}

#[cfg(test)]
mod tests;
