//! What happens to subscriptions when time goes on or their customers act. Source: Stripe Docs, "How subscriptions work".

use chrono::{DateTime, Utc};
use serde_json::{Value, json};

use super::{Card, State, number, objects, text};

const DAY: i64 = 86_400;
/// When a failed payment is tried again, in days after the first try. After the last of them Stripe stops.
const TRIES: [i64; 3] = [3, 5, 7];

/// Somebody pays at the page of a checkout. `None`: it is not open.
pub(super) fn complete(state: &mut State, checkout: &str) -> Option<String> {
    let session = state.find(checkout).filter(|session| text(session, "status") == "open")?.clone();
    let (customer, fake) = (text(&session, "customer").to_owned(), session.get("fake").cloned().unwrap_or_default());
    let trial_days = number(&fake, "trial_days");
    let metadata = fake.get("metadata").cloned().unwrap_or_default();
    let id = objects::subscription(state, &customer, text(&fake, "price"), trial_days, &metadata);
    state.tell("customer.subscription.created", &id);
    let cents = if trial_days.is_some() { 0 } else { cents_of(state, &id) };
    bill(state, &id, cents, "subscription_create");
    let paid = if trial_days.is_some() { "no_payment_required" } else { "paid" };
    let done = json!({ "status": "complete", "payment_status": paid, "subscription": id, "url": null });
    state.set(checkout, &done);
    state.tell("checkout.session.completed", checkout);
    Some(id)
}

/// Everything that is due until a moment, in order.
pub(super) fn run_until(state: &mut State, until: DateTime<Utc>) {
    while let Some((at, id)) = next_due(state).filter(|(at, _)| *at <= until.timestamp()) {
        // What was due before the clock's moment is done at that moment.
        if let Some(at) = DateTime::from_timestamp(at, 0).filter(|at| *at > state.now) {
            state.now = at;
        }
        happen(state, &id);
    }
    state.now = until;
}

/// The thing to happen first, and when.
fn next_due(state: &State) -> Option<(i64, String)> {
    let due = state.objects.iter().filter_map(|object| Some((due_at(object)?, text(object, "id").to_owned())));
    due.min_by_key(|(at, _)| *at)
}

fn due_at(object: &Value) -> Option<i64> {
    match (text(object, "object"), text(object, "status")) {
        ("checkout.session", "open") => number(object, "expires_at"),
        ("subscription", "trialing") => {
            let warned = object.get("fake_warned") == Some(&Value::Bool(true));
            number(object, "trial_end").map(|end| if warned { end } else { end - 3 * DAY })
        }
        ("subscription", "active") => period(object).map(|(_, end)| end),
        ("subscription", "past_due") => {
            let (_, end) = period(object)?;
            Some(number(object, "fake_retry_at").map_or(end, |retry| retry.min(end)))
        }
        // One that nobody pays for ends when it was to end, and bills no more.
        ("subscription", "unpaid" | "paused") if object.get("cancel_at_period_end") == Some(&Value::Bool(true)) => {
            period(object).map(|(_, end)| end)
        }
        _ => None,
    }
}

fn period(subscription: &Value) -> Option<(i64, i64)> {
    let item = subscription.pointer("/items/data/0")?;
    Some((number(item, "current_period_start")?, number(item, "current_period_end")?))
}

fn happen(state: &mut State, id: &str) {
    let Some(object) = state.find(id).cloned() else { return };
    let leaves = object.get("cancel_at_period_end") == Some(&Value::Bool(true));
    let now = state.now.timestamp();
    match (text(&object, "object"), text(&object, "status")) {
        ("checkout.session", _) => {
            state.set(id, &json!({ "status": "expired", "url": null }));
            state.tell("checkout.session.expired", id);
        }
        (_, "trialing") if object.get("fake_warned") != Some(&Value::Bool(true)) => {
            state.set(id, &json!({ "fake_warned": true }));
            state.tell("customer.subscription.trial_will_end", id);
        }
        (_, "past_due") if number(&object, "fake_retry_at").is_some_and(|at| at <= now) => try_again(state, id),
        _ if leaves => end(state, id),
        (_, "trialing") if state.card(text(&object, "customer")) == Card::None => {
            state.set(id, &json!({ "status": "paused" }));
            state.tell("customer.subscription.updated", id);
            state.tell("customer.subscription.paused", id);
        }
        _ => renew(state, id),
    }
}

/// A new period begins, and is billed.
fn renew(state: &mut State, id: &str) {
    let Some((_, start)) = state.find(id).and_then(period) else { return };
    move_period(state, id, start, objects::a_month_after(start));
    if state.find(id).is_some_and(|object| text(object, "status") == "trialing") {
        state.set(id, &json!({ "status": "active" }));
    }
    let cents = cents_of(state, id);
    bill(state, id, cents, "subscription_cycle");
    state.tell("customer.subscription.updated", id);
}

fn move_period(state: &mut State, id: &str, start: i64, end: i64) {
    let item = state.find_mut(id).and_then(|object| object.pointer_mut("/items/data/0"));
    if let Some(Value::Object(item)) = item {
        item.insert("current_period_start".to_owned(), start.into());
        item.insert("current_period_end".to_owned(), end.into());
    }
}

fn cents_of(state: &State, id: &str) -> i64 {
    let cents = state.find(id).and_then(|object| object.pointer("/items/data/0/price/unit_amount")?.as_i64());
    cents.unwrap_or(0)
}

/// Makes an invoice and tries to have it paid.
fn bill(state: &mut State, id: &str, cents: i64, reason: &str) {
    let subscription = state.find(id).cloned().unwrap_or_default();
    let invoice = objects::invoice(state, &subscription, cents, reason);
    state.set(id, &json!({ "latest_invoice": invoice }));
    state.tell("invoice.finalized", &invoice);
    collect(state, id, &invoice);
}

/// Tries to have an open invoice paid; whether it was.
fn collect(state: &mut State, id: &str, invoice: &str) -> bool {
    let now = state.now.timestamp();
    let Some(open) = state.find(invoice).cloned() else { return false };
    let customer = text(&open, "customer").to_owned();
    let (due, tries) = (number(&open, "amount_due").unwrap_or(0), number(&open, "attempt_count").unwrap_or(0) + 1);
    if due == 0 || state.card(&customer) == Card::Good {
        if due > 0 {
            let charge = objects::charge(state, &customer, due);
            state.tell("charge.succeeded", &charge);
        }
        let paid = json!({ "status": "paid", "amount_paid": due, "amount_remaining": 0, "attempted": true,
            "attempt_count": tries, "next_payment_attempt": null });
        state.set(invoice, &paid);
        state.tell("invoice.paid", invoice);
        return true;
    }
    let first = number(&open, "created").unwrap_or(now);
    let before = usize::try_from(tries - 1).unwrap_or(usize::MAX);
    let next = TRIES.get(before).map(|days| first + days * DAY);
    state.set(invoice, &json!({ "attempted": true, "attempt_count": tries, "next_payment_attempt": next }));
    state.tell("invoice.payment_failed", invoice);
    // Without a further try, Stripe leaves it unpaid: what an account may choose, and Berth advises.
    let status = if next.is_some() { "past_due" } else { "unpaid" };
    state.set(id, &json!({ "status": status, "fake_retry_at": next }));
    false
}

fn try_again(state: &mut State, id: &str) {
    let invoice = state.find(id).map(|object| text(object, "latest_invoice").to_owned()).unwrap_or_default();
    if collect(state, id, &invoice) {
        state.set(id, &json!({ "status": "active", "fake_retry_at": null }));
    }
    state.tell("customer.subscription.updated", id);
}

/// A customer pays the open invoices of every subscription that is not over.
pub(super) fn settle(state: &mut State, customer: &str) {
    let of_them = |object: &&Value| text(object, "customer") == customer;
    let owing: Vec<Value> = state.of("subscription").filter(of_them).cloned().collect();
    for subscription in owing {
        let id = text(&subscription, "id").to_owned();
        match text(&subscription, "status") {
            "past_due" | "unpaid" => try_again(state, &id),
            "paused" => {
                let now = state.now.timestamp();
                move_period(state, &id, now, objects::a_month_after(now));
                state.set(&id, &json!({ "status": "active" }));
                let cents = cents_of(state, &id);
                bill(state, &id, cents, "subscription_cycle");
                state.tell("customer.subscription.resumed", &id);
                state.tell("customer.subscription.updated", &id);
            }
            _ => {}
        }
    }
}

pub(super) fn cancel_at_period_end(state: &mut State, id: &str, cancelled: bool) {
    let end = state.find(id).and_then(period).map(|(_, end)| end);
    let at = cancelled.then(|| state.now.timestamp());
    let change =
        json!({ "cancel_at_period_end": cancelled, "cancel_at": end.filter(|_| cancelled), "canceled_at": at });
    state.set(id, &change);
    state.tell("customer.subscription.updated", id);
}

/// Ends a subscription now.
pub(super) fn end(state: &mut State, id: &str) {
    let now = state.now.timestamp();
    let before = state.find(id).and_then(|object| number(object, "canceled_at"));
    let over = json!({ "status": "canceled", "ended_at": now, "canceled_at": before.unwrap_or(now), "cancel_at_period_end": false });
    state.set(id, &over);
    state.tell("customer.subscription.deleted", id);
}

fn last_charge(state: &State, customer: &str) -> Option<(String, i64)> {
    let charge = state.of("charge").rfind(|charge| text(charge, "customer") == customer)?;
    Some((text(charge, "id").to_owned(), number(charge, "amount").unwrap_or(0)))
}

/// `None`: the customer never paid.
pub(super) fn dispute(state: &mut State, customer: &str) -> Option<String> {
    let (charge, cents) = last_charge(state, customer)?;
    state.set(&charge, &json!({ "disputed": true }));
    let id = objects::dispute(state, &charge, cents);
    state.tell("charge.dispute.created", &id);
    Some(id)
}

pub(super) fn close_dispute(state: &mut State, id: &str, won: bool) {
    state.set(id, &json!({ "status": if won { "won" } else { "lost" } }));
    state.tell("charge.dispute.closed", id);
}

pub(super) fn refund(state: &mut State, customer: &str) {
    if let Some((charge, cents)) = last_charge(state, customer) {
        state.set(&charge, &json!({ "refunded": true, "amount_refunded": cents }));
        state.tell("charge.refunded", &charge);
    }
}
