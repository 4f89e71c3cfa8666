//! What each operation may answer, good and bad: every status that its guard, its body and its handler know.

use serde_json::{Map, Value, json};

use crate::{
    guard::Needs,
    routes::{Gives, Route, Takes, Verb},
    schemas,
};

/// Speaks a form of its own.
const CHAT: &str = "/llm/v1/chat/completions";

/// Every answer of a route, by its status.
pub(super) fn of(route: &Route) -> Value {
    let mut all = Map::new();
    for (status, answer) in good(route) {
        all.insert(status.to_string(), answer);
    }
    for (status, words) in refusals(route) {
        all.entry(status.to_string()).or_insert_with(|| json!({ "description": words, "content": refused(route) }));
    }
    Value::Object(all)
}

fn good(route: &Route) -> Vec<(u16, Value)> {
    let html = json!({ "text/html": { "schema": { "type": "string" } } });
    let page = || (200, json!({ "description": "A page", "content": html }));
    let there = || {
        let location = json!({ "Location": { "required": true, "schema": { "type": "string" } } });
        (303, json!({ "description": "Go there", "headers": location }))
    };
    let of_type = |words: &str, kind: &str| {
        let content = json!({ kind: { "schema": { "type": "string" } } });
        json!({ "description": words, "content": content })
    };
    match (route.gives, route.path) {
        // Somebody who is signed in is led on, somebody who is not to where one signs in.
        (Gives::Page, _) => vec![page(), there()],
        // Recovery codes are shown once, in the answer itself.
        (Gives::Redirect, "/factor") => vec![there(), page()],
        (Gives::Redirect, _) => vec![there()],
        (Gives::Json(status, schema), path) => {
            let whole = json!({ "schema": schemas::named(schema) });
            let content = if ["/llm/v1/messages", CHAT].contains(&path) {
                json!({ "application/json": whole, "text/event-stream": { "schema": event() } })
            } else {
                json!({ "application/json": whole })
            };
            let answer = json!({ "description": schema, "content": content });
            let later = (202, json!({ "description": "It is still at it", "content": content }));
            // What takes a while is answered before it is done, and can be asked for again.
            let may_take_longer = path.starts_with("/api/cron/") || path.ends_with("/turns");
            if may_take_longer { vec![(status, answer), later] } else { vec![(status, answer)] }
        }
        (Gives::Status(status), _) => vec![(status, json!({ "description": "Done" }))],
        (Gives::Archive, _) => vec![(200, of_type("A tar archive", "application/x-tar"))],
        (Gives::Lines, _) => vec![(200, of_type("JSON Lines", "application/jsonl"))],
        (Gives::Events, _) => {
            vec![(200, json!({ "description": "A stream", "content": { "text/event-stream": { "schema": event() } } }))]
        }
        (Gives::Text, "/assets/{file}") => {
            vec![(200, json!({ "description": "A file" })), (304, json!({ "description": "As you have it" }))]
        }
        (Gives::Text, _) => vec![(200, of_type("A text", "text/plain"))],
    }
}

/// One server-sent event.
fn event() -> Value {
    let text = json!({ "type": "string" });
    let fields = json!({ "id": text, "event": text, "data": text });
    json!({ "type": "object", "properties": fields, "required": ["data"], "description": "Each event" })
}

/// How a refusal is written: for programs, for whoever looks at a page, for a client of the model API.
fn refused(route: &Route) -> Value {
    let problem = json!({ "schema": schemas::named("Problem") });
    if route.path == CHAT {
        return json!({ "application/json": { "schema": schemas::named("ChatProblem") } });
    }
    if route.path.starts_with("/llm/") {
        return json!({ "application/json": { "schema": schemas::named("ModelProblem") } });
    }
    if ["/api/", "/health", "/ready"].iter().any(|prefix| route.path.starts_with(prefix)) {
        return json!({ "application/problem+json": problem });
    }
    json!({ "application/problem+json": problem, "text/html": { "schema": { "type": "string" } } })
}

fn refusals(route: &Route) -> Vec<(u16, &'static str)> {
    let mut all = Vec::new();
    let changes = route.verb != Verb::Get;
    let reads_address = !super::parameters::of(route).as_array().is_none_or(Vec::is_empty);
    if reads_address {
        all.push((400, "Unreadable"));
    }
    match route.needs {
        Needs::Open => {}
        Needs::Person | Needs::Member(_) | Needs::Operator => {
            all.push((401, "Not signed in, or not lately enough"));
            all.push((403, "The role, the token or the second factor does not suffice, or another site asks"));
        }
        Needs::Stripe => all.extend([
            (400, "Not signed by Stripe, or no event, or STRIPE_WEBHOOK_SECRET is not set"),
            (429, "Too many that Stripe did not sign"),
        ]),
        Needs::Machine | Needs::ModelKey => all.push((401, "No machine's token")),
        Needs::Cron => all.extend([(401, "Wrong secret"), (503, "CRON_SECRET is not set")]),
        Needs::Metrics => all.extend([(401, "Wrong token"), (503, "BERTH_METRICS_TOKEN is not set")]),
    }
    if changes {
        all.extend([(403, "Another site asks"), (413, "Too large")]);
        if !matches!(route.needs, Needs::Open | Needs::Cron | Needs::Machine | Needs::Stripe) {
            all.push((409, "It does not fit what is there"));
        }
    }
    if route.path.contains('{') || route.needs == Needs::Operator || is_optional(route.path) {
        all.push((404, "Unknown, malformed, or another tenant's; to who does not run the service, all of it"));
    }
    if route.takes != Takes::Nothing {
        all.extend([
            (400, "Unreadable"),
            (408, "The body came too slowly"),
            (415, "Another type of content"),
            (422, "A value cannot be used"),
        ]);
    }
    all.extend(particular(route.verb, route.path));
    if route.counts {
        all.push((429, "Too often for now; Retry-After says when to go on"));
    }
    all.extend([(500, "A fault in Berth"), (503, "The database is away, or it took too long")]);
    all
}

/// Whether something may not be set up at all.
fn is_optional(path: &str) -> bool {
    path == "/.well-known/security.txt" || path.starts_with("/factor")
}

/// What single handlers say beside that.
fn particular(verb: Verb, path: &str) -> Vec<(u16, &'static str)> {
    const NO_ANSWER: (u16, &str) = (502, "The agent did not answer");
    match (verb, path) {
        (_, "/setup") => vec![(410, "It is set up")],
        (_, "/invitation") => vec![(409, "It does not fit who is signed in"), (410, "Nobody is invited by this link")],
        (Verb::Get, "/factor") => vec![(409, "A factor is given in a browser")],
        (_, "/api/admin/v1/users") => vec![(422, "That is no address")],
        (Verb::Post, "/login") => vec![(401, "Nobody is known by that")],
        (_, "/signup") => vec![(403, "Nobody can sign up with that code")],
        (_, "/auth/{provider}/callback") => {
            vec![(401, "What the vendor said cannot be trusted"), (403, "Nobody is let in by that")]
        }
        (Verb::Post, "/api/v1/agents/{id}/turns") => vec![NO_ANSWER],
        (
            _,
            "/api/v1/agents/{id}/logs"
            | "/api/v1/agents/{id}/pairings"
            | "/agents/{id}/pairings"
            | "/agents/{id}/pairings/approve",
        ) => {
            vec![NO_ANSWER, (409, "It does not run"), (504, "The machine has not answered yet")]
        }
        (
            Verb::Post,
            "/agents"
            | "/welcome/finish"
            | "/agents/{id}/start"
            | "/agents/{id}/retry"
            | "/api/v1/agents"
            | "/api/v1/agents/{id}/start"
            | "/api/v1/agents/{id}/retry",
        ) => vec![(402, "Nobody pays for it, or the plan holds no more")],
        (
            Verb::Post,
            "/billing/checkout" | "/billing/portal" | "/api/v1/billing/checkout" | "/api/v1/billing/portal",
        ) => vec![(502, "Stripe refused")],
        (Verb::Post, "/credentials" | "/api/v1/credentials") => vec![(404, "There is no such agent")],
        (_, "/llm/v1/messages" | CHAT) => vec![
            (402, "The tenant's account at the vendor does not pay for it"),
            (404, "There is no such model"),
            (502, "The vendor did not answer well"),
            (504, "The vendor did not answer in time"),
            (529, "The vendor has too much to do"),
        ],
        _ => Vec::new(),
    }
}
