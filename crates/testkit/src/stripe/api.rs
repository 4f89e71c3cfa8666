//! What each call does. A parameter that is not known here is refused, as Stripe refuses one that it does not know.

use http::Method;
use serde_json::{Map, Value, json};

use super::{State, life, number, objects, text, wire::Refusal};

type Answer = Result<Value, Refusal>;
type Params = Map<String, Value>;

/// What every listing takes.
const LISTING: [&str; 4] = ["limit", "starting_after", "ending_before", "expand"];

/// One call, by its method and path.
pub(super) fn answer(state: &mut State, method: &Method, path: &str, params: &Params) -> Answer {
    let path: Vec<&str> = path.trim_matches('/').split('/').skip(1).collect();
    let (post, get, delete) = (*method == Method::POST, *method == Method::GET, *method == Method::DELETE);
    match path.as_slice() {
        ["customers"] if post => {
            known(params, &["name", "email", "description", "metadata"])?;
            let id = objects::customer(state, params);
            state.tell("customer.created", &id);
            read(state, "customer", &id)
        }
        ["customers"] if get => list(state, "customer", "/v1/customers", params, &["email"]),
        ["customers", id] if get => read(state, "customer", id),
        ["prices"] if post => {
            known(params, &["currency", "unit_amount", "lookup_key", "recurring", "product_data", "product"])?;
            let cents = given(params, "unit_amount")?.parse();
            let cents = cents.map_err(|_| Refusal::invalid("Invalid integer: unit_amount", Some("unit_amount")))?;
            let interval = params.get("recurring").map(|recurring| text(recurring, "interval")).unwrap_or_default();
            let lookup_key = params.get("lookup_key").and_then(Value::as_str);
            let id = objects::price(state, lookup_key, cents, given(params, "currency")?, interval);
            read(state, "price", &id)
        }
        ["prices"] if get => list(state, "price", "/v1/prices", params, &["lookup_keys", "active"]),
        ["prices", id] if get => read(state, "price", id),
        ["checkout", "sessions"] if post => open_checkout(state, params),
        ["checkout", "sessions", id] if get => read(state, "checkout.session", id),
        ["billing_portal", "sessions"] if post => {
            known(params, &["customer", "return_url"])?;
            existing(state, "customer", given(params, "customer")?, "customer")?;
            Ok(objects::portal(state, params))
        }
        ["subscriptions"] if get => list(state, "subscription", "/v1/subscriptions", params, &["customer", "status"]),
        ["subscriptions", id] if get => read(state, "subscription", id),
        ["subscriptions", id] if post => {
            known(params, &["cancel_at_period_end", "metadata"])?;
            alive(state, id)?;
            life::cancel_at_period_end(state, id, text_of(params, "cancel_at_period_end") == "true");
            read(state, "subscription", id)
        }
        ["subscriptions", id] if delete => {
            known(params, &["invoice_now", "prorate"])?;
            alive(state, id)?;
            life::end(state, id);
            read(state, "subscription", id)
        }
        ["charges"] if get => list(state, "charge", "/v1/charges", params, &["customer"]),
        ["charges", id] if get => read(state, "charge", id),
        ["invoices"] if get => list(state, "invoice", "/v1/invoices", params, &["customer", "status"]),
        ["disputes"] if get => list(state, "dispute", "/v1/disputes", params, &["charge"]),
        ["events"] if get => list(state, "event", "/v1/events", params, &["type", "types"]),
        ["events", id] if get => {
            let found = state.events.iter().find(|event| text(event, "id") == *id).cloned();
            found.ok_or_else(|| Refusal::missing(404, "event", id, "id"))
        }
        _ => {
            let message = format!("Unrecognized request URL ({method}: /v1/{}).", path.join("/"));
            Err(Refusal(404, json!({ "type": "invalid_request_error", "message": message })))
        }
    }
}

fn open_checkout(state: &mut State, params: &Params) -> Answer {
    let all = ["mode", "customer", "client_reference_id", "metadata", "line_items", "subscription_data", "success_url"];
    known(params, &[&all[..], &["cancel_url"]].concat())?;
    if given(params, "mode")? != "subscription" {
        return Err(Refusal::invalid("Only subscriptions are sold here.", Some("mode")));
    }
    given(params, "success_url")?;
    existing(state, "customer", given(params, "customer")?, "customer")?;
    let item = params.get("line_items").and_then(|items| items.get(0)).cloned().unwrap_or_default();
    let price = text(&item, "price").to_owned();
    existing(state, "price", &price, "line_items[0][price]")?;
    let trial = params.get("subscription_data").and_then(|data| data.get("trial_period_days")).and_then(Value::as_str);
    if trial.is_some_and(|days| !days.parse::<u32>().is_ok_and(|days| days > 0)) {
        let param = "subscription_data[trial_period_days]";
        return Err(Refusal::invalid("The minimum number of trial period days is 1.", Some(param)));
    }
    let id = objects::checkout(state, params, &price);
    read(state, "checkout.session", &id)
}

/// What is told of an object: all but what is only remembered here.
pub(super) fn shown(object: &Value) -> Value {
    let mut object = object.clone();
    if let Value::Object(fields) = &mut object {
        fields.retain(|name, _| !name.starts_with("fake"));
    }
    object
}

fn read(state: &State, kind: &str, id: &str) -> Answer {
    let found = state.find(id).filter(|object| text(object, "object") == kind);
    found.map(shown).ok_or_else(|| Refusal::missing(404, kind.rsplit('.').next().unwrap_or(kind), id, "id"))
}

/// A reference in a parameter must lead somewhere.
fn existing(state: &State, kind: &str, id: &str, param: &str) -> Result<(), Refusal> {
    let found = state.find(id).filter(|object| text(object, "object") == kind);
    found.map(|_| ()).ok_or_else(|| Refusal::missing(400, kind, id, param))
}

/// A subscription that is over can be read, and not be changed.
fn alive(state: &State, id: &str) -> Result<(), Refusal> {
    let found = state.find(id).filter(|object| text(object, "object") == "subscription");
    let alive = found.filter(|object| !matches!(text(object, "status"), "canceled" | "incomplete_expired"));
    alive.map(|_| ()).ok_or_else(|| Refusal::missing(404, "subscription", id, "id"))
}

fn known(params: &Params, names: &[&str]) -> Result<(), Refusal> {
    let unknown = params.keys().find(|name| !names.contains(&name.as_str()) && name.as_str() != "expand");
    let Some(name) = unknown else { return Ok(()) };
    let message = format!("Received unknown parameter: {name}");
    Err(Refusal(
        400,
        json!({ "type": "invalid_request_error", "code": "parameter_unknown", "message": message, "param": name }),
    ))
}

fn text_of<'p>(params: &'p Params, name: &str) -> &'p str {
    params.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn given<'p>(params: &'p Params, name: &str) -> Result<&'p str, Refusal> {
    let found = params.get(name).and_then(Value::as_str).filter(|text| !text.is_empty());
    found.ok_or_else(|| {
        let message = format!("Missing required param: {name}.");
        Refusal(
            400,
            json!({ "type": "invalid_request_error", "code": "parameter_missing", "message": message, "param": name }),
        )
    })
}

/// The youngest first, a page at a time.
fn list(state: &State, kind: &str, url: &str, params: &Params, filters: &[&str]) -> Answer {
    known(params, &[&LISTING[..], &["created"], filters].concat())?;
    let limit = text_of(params, "limit").parse().unwrap_or(10_usize);
    if !(1..=100).contains(&limit) {
        return Err(Refusal::invalid("Limit must be between 1 and 100.", Some("limit")));
    }
    let all: Vec<&Value> = if kind == "event" { state.events.iter().collect() } else { state.of(kind).collect() };
    let mut fitting: Vec<&Value> = all.into_iter().rev().filter(|one| fits(one, kind, params)).collect();
    if let Some(after) = params.get("starting_after").and_then(Value::as_str) {
        let place = fitting.iter().position(|one| text(one, "id") == after);
        let place = place.ok_or_else(|| Refusal::missing(400, kind, after, "starting_after"))?;
        fitting.drain(..=place);
    }
    let has_more = fitting.len() > limit;
    let data: Vec<Value> = fitting.into_iter().take(limit).map(shown).collect();
    Ok(json!({ "object": "list", "url": url, "has_more": has_more, "data": data }))
}

fn fits(one: &Value, kind: &str, params: &Params) -> bool {
    let words = |name: &str| -> Option<Vec<&str>> {
        let list = params.get(name)?.as_array()?;
        Some(list.iter().filter_map(Value::as_str).collect())
    };
    let since = params.get("created").and_then(|range| text(range, "gte").parse::<i64>().ok());
    params.iter().all(|(name, value)| match (name.as_str(), value.as_str().unwrap_or_default()) {
        // Without a word, Stripe keeps back what is over.
        ("status", "all") => true,
        ("status", "ended") => matches!(text(one, "status"), "canceled" | "incomplete_expired"),
        ("lookup_keys", _) => words(name).is_some_and(|keys| keys.contains(&text(one, "lookup_key"))),
        ("types", _) => words(name).is_some_and(|types| types.contains(&text(one, "type"))),
        ("active", word) => one.get("active").and_then(Value::as_bool) == word.parse().ok(),
        ("created", _) => since.is_none_or(|since| number(one, "created").is_some_and(|at| at >= since)),
        ("customer" | "charge" | "email" | "type" | "status", word) => text(one, name) == word,
        _ => true,
    }) && (kind != "subscription" || params.contains_key("status") || text(one, "status") != "canceled")
}
