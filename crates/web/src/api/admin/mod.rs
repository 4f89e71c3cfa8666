//! The operator's JSON API, `/api/admin/v1/`: lists are newest first, at most a hundred, by key.
//!
//! Ids and states of tenants' things are shown; their words, names and secrets are not.

pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod differences;
pub(crate) mod events;
pub(crate) mod flows;
pub(crate) mod invites;
pub(crate) mod machines;
pub(crate) mod plans;
pub(crate) mod pool;
pub(crate) mod revenue;
pub(crate) mod schedules;
pub(crate) mod stats;
pub(crate) mod subscriptions;
pub(crate) mod suspension;
pub(crate) mod tenants;
pub(crate) mod users;
pub(crate) mod view;
pub(crate) mod waitlist;

use std::fmt::Display;

use serde::Serialize;

use crate::{body::Query, problem::Problem};

/// Most entries of one answer, and how many come without a wish.
pub(crate) const PAGE_MAX: i64 = 100;

/// How many entries are wanted.
pub(crate) fn limit(query: &Query) -> Result<i64, Problem> {
    Ok(query.within("limit", 1..=PAGE_MAX)?.unwrap_or(PAGE_MAX))
}

/// One page of a list that was read with one entry more, and the address of the next one, with the same filters.
pub(crate) fn page<T, K: Display>(
    mut rows: Vec<T>,
    limit: i64,
    (path, query): (&str, &Query),
    key: impl Fn(&T) -> K,
) -> (Vec<T>, Option<String>) {
    let wanted = usize::try_from(limit).unwrap_or(usize::MAX);
    let more = rows.len() > wanted;
    rows.truncate(wanted);
    let next = rows.last().filter(|_| more).map(|last| {
        let filters = query.except(&["after"]);
        format!("{path}?{filters}{}after={}", if filters.is_empty() { "" } else { "&" }, key(last))
    });
    (rows, next)
}

/// A filter that is a choice of words of ours. An empty one is none: forms send those.
pub(crate) fn yes_or_no(query: &Query, name: &'static str) -> Result<Option<bool>, Problem> {
    match query.get(name) {
        None | Some("") => Ok(None),
        Some(_) => query.read(name, "true or false"),
    }
}

/// A filter that is an id, or another parsed value. An empty one is none.
pub(crate) fn filter<T: std::str::FromStr>(
    query: &Query,
    name: &'static str,
    must_be: &'static str,
) -> Result<Option<T>, Problem> {
    match query.get(name) {
        None | Some("") => Ok(None),
        Some(_) => query.read(name, must_be),
    }
}

/// The event after which a page of the audit goes on.
pub(crate) fn after_event(query: &Query) -> Result<Option<i64>, Problem> {
    query.within("after", 1..=i64::MAX)
}

/// A filter that is a word of ours. An empty one is none; what is no word at all never reaches the database.
pub(crate) fn word<'a>(query: &'a Query, name: &'static str) -> Result<Option<&'a str>, Problem> {
    let given = query.get(name).filter(|word| !word.is_empty());
    let is_word = |word: &str| word.len() <= 40 && word.bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_');
    if given.is_some_and(|word| !is_word(word)) {
        let detail = format!("`{name}` must be a word of small letters and underscores.");
        return Err(Problem { field: Some(name), ..Problem::unreadable(detail) });
    }
    Ok(given)
}

/// A list as JSON: the entries under their own name, and where it goes on.
#[derive(Debug, Serialize)]
pub(crate) struct Listed<T> {
    #[serde(flatten)]
    pub(crate) entries: T,
    pub(crate) next: Option<String>,
}
