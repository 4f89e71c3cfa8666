//! What things look like. Source: Stripe API Reference, the object of each kind.

use chrono::{DateTime, Months, Utc};
use serde_json::{Map, Value, json};

use super::{State, text};

/// The end of a period that begins at a moment.
pub(super) fn a_month_after(start: i64) -> i64 {
    let at = DateTime::<Utc>::from_timestamp(start, 0).unwrap_or_default();
    at.checked_add_months(Months::new(1)).map_or(start, |end| end.timestamp())
}

fn keep(state: &mut State, object: Value) -> String {
    let id = text(&object, "id").to_owned();
    state.objects.push(object);
    id
}

pub(super) fn price(state: &mut State, lookup_key: Option<&str>, cents: i64, currency: &str, interval: &str) -> String {
    let (id, product) = (state.fresh_id("price"), state.fresh_id("prod"));
    let price = json!({
        "id": id, "object": "price", "active": true, "billing_scheme": "per_unit", "created": state.now.timestamp(),
        "currency": currency, "custom_unit_amount": null, "livemode": false, "lookup_key": lookup_key, "metadata": {},
        "nickname": null, "product": product,
        "recurring": { "interval": interval, "interval_count": 1, "meter": null, "trial_period_days": null, "usage_type": "licensed" },
        "tax_behavior": "unspecified", "tiers_mode": null, "transform_quantity": null, "type": "recurring",
        "unit_amount": cents, "unit_amount_decimal": cents.to_string()
    });
    keep(state, price)
}

pub(super) fn customer(state: &mut State, params: &Map<String, Value>) -> String {
    let given = |name: &str| params.get(name).cloned().unwrap_or(Value::Null);
    let id = state.fresh_id("cus");
    let prefix = id.chars().rev().take(8).collect::<String>();
    let customer = json!({
        "id": id, "object": "customer", "address": null, "balance": 0, "created": state.now.timestamp(), "currency": null,
        "default_source": null, "delinquent": false, "description": given("description"), "email": given("email"),
        "invoice_prefix": prefix,
        "invoice_settings": { "custom_fields": null, "default_payment_method": null, "footer": null, "rendering_options": null },
        "livemode": false, "metadata": params.get("metadata").cloned().unwrap_or_else(|| json!({})), "name": given("name"),
        "next_invoice_sequence": 1, "phone": null, "preferred_locales": [], "shipping": null, "tax_exempt": "none",
        "test_clock": null
    });
    keep(state, customer)
}

/// Of parameters that were looked at before.
pub(super) fn checkout(state: &mut State, params: &Map<String, Value>, price: &str) -> String {
    let given = |name: &str| params.get(name).cloned().unwrap_or(Value::Null);
    let id = state.fresh_id("cs_test");
    let at = state.now.timestamp();
    let url = format!("http://{}/c/pay/{id}", state.address);
    let data = params.get("subscription_data").cloned().unwrap_or_else(|| json!({}));
    let whole = |name: &str| data.get(name).and_then(Value::as_str).and_then(|text| text.parse::<i64>().ok());
    let session = json!({
        "id": id, "object": "checkout.session", "amount_subtotal": null, "amount_total": null,
        "automatic_tax": { "enabled": false, "liability": null, "provider": null, "status": null },
        "cancel_url": given("cancel_url"), "client_reference_id": given("client_reference_id"), "client_secret": null,
        "created": at, "currency": "usd", "custom_fields": [], "customer": given("customer"), "customer_details": null,
        "customer_email": null, "expires_at": at + 86_400, "invoice": null, "livemode": false, "locale": null,
        "metadata": params.get("metadata").cloned().unwrap_or_else(|| json!({})), "mode": "subscription",
        "payment_intent": null, "payment_method_collection": "always", "payment_method_types": ["card"],
        "payment_status": "unpaid", "setup_intent": null, "shipping_options": [], "status": "open",
        "subscription": null, "success_url": given("success_url"), "ui_mode": "hosted_page", "url": url,
        // Not told, needed when it is paid.
        "fake": { "price": price, "trial_days": whole("trial_period_days"), "metadata": data.get("metadata") }
    });
    keep(state, session)
}

pub(super) fn portal(state: &mut State, params: &Map<String, Value>) -> Value {
    let id = state.fresh_id("bps");
    json!({
        "id": id, "object": "billing_portal.session", "configuration": "bpc_fake", "created": state.now.timestamp(),
        "customer": params.get("customer"), "flow": null, "livemode": false, "locale": null, "on_behalf_of": null,
        "return_url": params.get("return_url"), "url": format!("http://{}/p/session/{id}", state.address)
    })
}

/// One that begins now, with a trial or without.
pub(super) fn subscription(
    state: &mut State,
    customer: &str,
    price: &str,
    trial_days: Option<i64>,
    metadata: &Value,
) -> String {
    let (id, item, at) = (state.fresh_id("sub"), state.fresh_id("si"), state.now.timestamp());
    let trial_end = trial_days.map(|days| at + days * 86_400);
    let price = state.find(price).cloned().unwrap_or_default();
    let subscription = json!({
        "id": id, "object": "subscription", "application": null, "application_fee_percent": null,
        "automatic_tax": { "disabled_reason": null, "enabled": false, "liability": null },
        "billing_cycle_anchor": trial_end.unwrap_or(at), "billing_mode": { "flexible": null, "type": "classic" },
        "cancel_at": null, "cancel_at_period_end": false, "canceled_at": null,
        "cancellation_details": { "comment": null, "feedback": null, "reason": null },
        "collection_method": "charge_automatically", "created": at, "currency": "usd", "customer": customer,
        "days_until_due": null, "default_payment_method": null, "default_source": null, "description": null,
        "discounts": [], "ended_at": null,
        "items": { "object": "list", "has_more": false, "total_count": 1, "url": format!("/v1/subscription_items?subscription={id}"),
            "data": [ {
                "id": item, "object": "subscription_item", "billing_thresholds": null, "created": at,
                "current_period_start": at, "current_period_end": trial_end.unwrap_or_else(|| a_month_after(at)),
                "discounts": [], "metadata": {}, "price": price, "quantity": 1, "subscription": id, "tax_rates": []
            } ] },
        "latest_invoice": null, "livemode": false,
        "metadata": if metadata.is_object() { metadata.clone() } else { json!({}) },
        "next_pending_invoice_item_invoice": null, "on_behalf_of": null, "pause_collection": null, "pending_setup_intent": null,
        "pending_update": null, "schedule": null, "start_date": at,
        "status": if trial_end.is_some() { "trialing" } else { "active" }, "test_clock": null, "transfer_data": null,
        "trial_end": trial_end, "trial_start": trial_end.map(|_| at),
        "trial_settings": { "end_behavior": { "missing_payment_method": "pause" } }
    });
    keep(state, subscription)
}

pub(super) fn invoice(state: &mut State, subscription: &Value, cents: i64, reason: &str) -> String {
    let (id, at) = (state.fresh_id("in"), state.now.timestamp());
    let invoice = json!({
        "id": id, "object": "invoice", "amount_due": cents, "amount_paid": 0, "amount_remaining": cents, "attempt_count": 0,
        "attempted": false, "auto_advance": true, "billing_reason": reason, "collection_method": "charge_automatically",
        "created": at, "currency": "usd", "customer": subscription.get("customer"), "due_date": null,
        "hosted_invoice_url": format!("http://{}/i/{id}", state.address), "invoice_pdf": null,
        "lines": { "object": "list", "data": [], "has_more": false, "url": format!("/v1/invoices/{id}/lines") },
        "livemode": false, "metadata": {}, "next_payment_attempt": null, "number": id,
        "parent": { "type": "subscription_details", "quote_details": null,
            "subscription_details": { "subscription": subscription.get("id"), "metadata": subscription.get("metadata") } },
        "period_end": at, "period_start": at, "status": "open",
        "status_transitions": { "finalized_at": at, "marked_uncollectible_at": null, "paid_at": null, "voided_at": null },
        "subtotal": cents, "total": cents
    });
    keep(state, invoice)
}

pub(super) fn charge(state: &mut State, customer: &str, cents: i64) -> String {
    let (id, payment) = (state.fresh_id("ch"), state.fresh_id("pi"));
    let charge = json!({
        "id": id, "object": "charge", "amount": cents, "amount_captured": cents, "amount_refunded": 0, "captured": true,
        "created": state.now.timestamp(), "currency": "usd", "customer": customer, "disputed": false, "failure_code": null,
        "livemode": false, "metadata": {}, "paid": true, "payment_intent": payment, "refunded": false, "status": "succeeded"
    });
    keep(state, charge)
}

pub(super) fn dispute(state: &mut State, charge: &str, cents: i64) -> String {
    let id = state.fresh_id("du");
    let dispute = json!({
        "id": id, "object": "dispute", "amount": cents, "balance_transactions": [], "charge": charge,
        "created": state.now.timestamp(), "currency": "usd", "enhanced_eligibility_types": [], "evidence": {},
        "evidence_details": { "due_by": null, "has_evidence": false, "past_due": false, "submission_count": 0 },
        "is_charge_refundable": false, "livemode": false, "metadata": {}, "payment_intent": null, "reason": "general",
        "status": "needs_response"
    });
    keep(state, dispute)
}
