//! The model route: what a machine's gateway calls instead of a vendor.
//!
//! Until a vendor key is set, Berth's own [`crate::proof_model`] answers. Words
//! pass through and are kept nowhere.

use std::convert::Infallible;

use axum::{
    Json,
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use futures::stream;
use serde_json::{Value, json};

use crate::{
    body::Weighed,
    guard::ModelCaller,
    proof_model::{self, Request},
    state::Dice,
};

pub(crate) async fn messages(
    State(dice): State<Dice>,
    _: ModelCaller,
    Weighed(ask, bytes): Weighed<Request>,
) -> Response {
    let id = format!("msg_{}", dice.0.uuid().simple());
    let answer = proof_model::answer(&ask, id, bytes);
    if !ask.stream {
        return Json(answer.to_json()).into_response();
    }
    let events = answer
        .to_events()
        .into_iter()
        .map(|(name, data)| Ok::<_, Infallible>(Event::default().event(name).data(data.to_string())));
    Sse::new(stream::iter(events.collect::<Vec<_>>())).into_response()
}

pub(crate) async fn count_tokens(_: ModelCaller, Weighed(_, bytes): Weighed<Request>) -> Json<Value> {
    Json(json!({ "input_tokens": proof_model::tokens(bytes) }))
}
