//! Addresses for whoever runs Berth or looks after it.

use std::sync::Arc;

use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::{Datelike as _, SecondsFormat, TimeDelta};
use http::header;
use serde_json::{Value, json};
use store::Db;

use crate::{
    openapi,
    problem::Problem,
    state::{Dice, Site},
};

/// The process is up. Says nothing about the database: a restart would not help it.
pub(crate) async fn health() -> Json<Value> {
    Json(json!({ "status": "ok" }))
}

/// The database answers and this process can do its work.
pub(crate) async fn ready(State(db): State<Db>, State(site): State<Arc<Site>>) -> Result<Json<Value>, Problem> {
    db.ping().await?;
    (site.ready)().await.map_err(|missing| Problem::unavailable("not-ready", missing))?;
    Ok(Json(json!({ "status": "ok" })))
}

/// The table of routes, for programs.
pub(crate) async fn openapi(State(site): State<Arc<Site>>) -> Json<Value> {
    Json(openapi::document(&site.address("")))
}

/// RFC 9116. Without a contact there is nothing to say.
pub(crate) async fn security_txt(State(site): State<Arc<Site>>, State(dice): State<Dice>) -> Result<Response, Problem> {
    let contact = site.security_contact.as_deref().ok_or_else(Problem::not_found)?;
    // The date is the same for a whole month, so that the file does not change with every reading.
    let now = dice.now();
    let expires = now.with_day(1).unwrap_or(now).date_naive().and_hms_opt(0, 0, 0).unwrap_or_default().and_utc();
    let expires = (expires + TimeDelta::days(180)).to_rfc3339_opts(SecondsFormat::Secs, true);
    let here = site.address("/.well-known/security.txt");
    let text = format!("Contact: {contact}\nExpires: {expires}\nPreferred-Languages: en\nCanonical: {here}\n");
    Ok(([(header::CONTENT_TYPE, "text/plain; charset=utf-8")], text).into_response())
}
