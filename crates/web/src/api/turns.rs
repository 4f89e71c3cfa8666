//! Talking to an agent, and reading its machine's logs: asked of a worker, awaited for a bounded time.

use std::{sync::Arc, time::Duration};

use app::exchanges::{AskError, Opened, ReadExchangeError};
use axum::{
    Json,
    extract::State,
    response::{IntoResponse as _, Response},
};
use chrono::NaiveDateTime;
use domain::{
    AgentId, ExchangeId,
    exchange::{ExchangeKind, ExchangeState},
    id,
    names::{BadTurnText, TurnText},
    people::Caller,
    protocol::LogLine,
};
use http::{StatusCode, header};
use serde::Deserialize;
use store::Db;
use tokio::time::{Instant, timeout_at};
use vault::{Keyring, Secret};

use crate::{
    api::{
        agents::sentence,
        view::{LogsView, TurnView},
    },
    body::{self, At, AtTurn, Query},
    guard::Member,
    problem::Problem,
    state::Web,
};

/// Longest wait for an answer to a turn.
const TURN_SECONDS: i64 = 60;
/// Longest wait for log lines.
const ANSWER: Duration = Duration::from_secs(30);
/// How often a waiting request looks by itself: a commit in another process does not wake this one.
const LOOK: Duration = Duration::from_millis(500);

/// What a turn takes.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct NewTurn {
    text: String,
}

pub(crate) async fn say(
    State(web): State<Web>,
    member: Member,
    At(agent): At<id::Agent>,
    query: Query,
    body::Json(new): body::Json<NewTurn>,
) -> Result<Response, Problem> {
    let text = TurnText::parse(&new.text)?;
    let seconds = query.within("wait", 0..=TURN_SECONDS)?.unwrap_or(TURN_SECONDS);
    let by = member.caller();
    let mut tx = web.db.tenant(by.tenant).await?;
    let id = app::exchanges::say(&mut tx, (&web.ring, &*web.dice.0), agent, &text, by).await?;
    tx.commit().await?;
    let opened = wait(&web, by, (agent, id), Duration::from_secs(seconds.unsigned_abs())).await?;
    let location = [(header::LOCATION, format!("/api/v1/agents/{agent}/turns/{id}"))];
    let view = opened.map_or_else(|| on_its_way(id), |opened| turn(&opened));
    let status = match view.state {
        "answered" => StatusCode::OK,
        "failed" => return Ok((location, failed(view.why)).into_response()),
        _ => StatusCode::ACCEPTED,
    };
    Ok((status, location, Json(view)).into_response())
}

pub(crate) async fn show(
    State(db): State<Db>,
    State(ring): State<Arc<Keyring>>,
    member: Member,
    AtTurn(agent, id): AtTurn,
) -> Result<Json<TurnView>, Problem> {
    let mut tx = db.tenant_read(member.caller().tenant).await?;
    let opened = app::exchanges::read(&mut tx, &ring, id).await?;
    let opened = opened.filter(|o| o.exchange.agent == agent && o.exchange.kind == ExchangeKind::Turn);
    opened.map(|opened| Json(turn(&opened))).ok_or_else(Problem::not_found)
}

pub(crate) async fn logs(
    State(web): State<Web>,
    member: Member,
    At(agent): At<id::Agent>,
) -> Result<Json<LogsView>, Problem> {
    let by = member.caller();
    let mut tx = web.db.tenant(by.tenant).await?;
    let id = app::exchanges::ask_logs(&mut tx, &*web.dice.0, agent, by).await?;
    tx.commit().await?;
    Ok(Json(LogsView { lines: log_lines(answer(&web, by, (agent, id)).await?.as_ref()) }))
}

/// What a machine answers while a person waits, at most 30 seconds.
pub(crate) async fn answer(web: &Web, by: &Caller, exchange: (AgentId, ExchangeId)) -> Result<Option<Secret>, Problem> {
    let opened = wait(web, by, exchange, ANSWER).await?.ok_or_else(|| {
        let detail =
            "The machine has not answered within 30 seconds. It may be starting or unreachable; try again in a minute.";
        Problem::new(StatusCode::GATEWAY_TIMEOUT, "no-answer-yet", detail)
    })?;
    match opened.exchange.state {
        ExchangeState::Failed { why, is_gone: true, .. } => Err(Problem::conflict("gone", why)),
        ExchangeState::Failed { why, .. } => Err(failed(Some(why))),
        ExchangeState::Asked | ExchangeState::Answered { .. } => Ok(opened.answer),
    }
}

/// Waits until an exchange has ended, at most `longest`. `None`: it is still on its way.
pub(crate) async fn wait(
    web: &Web,
    by: &Caller,
    (agent, id): (AgentId, ExchangeId),
    longest: Duration,
) -> Result<Option<Opened>, Problem> {
    let end = Instant::now() + longest;
    let mut watch = web.db.watch(agent.uuid());
    loop {
        let mut tx = web.db.tenant_read(by.tenant).await?;
        let opened = app::exchanges::read(&mut tx, &web.ring, id).await?;
        drop(tx);
        if opened.as_ref().is_none_or(|opened| opened.exchange.state != ExchangeState::Asked) {
            return Ok(opened);
        }
        let next = end.min(Instant::now() + LOOK);
        let closing = tokio::select! {
            _ = timeout_at(next, watch.changed()) => false,
            () = web.closing.cancelled() => true,
        };
        if closing || Instant::now() >= end {
            return Ok(None);
        }
    }
}

/// The lines of a log tail, as the exchange's flow wrote them: `2026-11-21 14:02:31 unit text`. Hostile text.
pub(crate) fn log_lines(answer: Option<&Secret>) -> Vec<LogLine> {
    let text = words(answer).unwrap_or_default();
    let mut lines: Vec<LogLine> = Vec::new();
    for line in text.lines() {
        match (log_line(line), lines.last_mut()) {
            (Some(line), _) => lines.push(line),
            (None, Some(before)) => before.text.extend(["\n", line]),
            (None, None) => {}
        }
    }
    lines
}

fn log_line(line: &str) -> Option<LogLine> {
    let (at, rest) = line.split_at_checked(19)?;
    let at = NaiveDateTime::parse_from_str(at, "%Y-%m-%d %H:%M:%S").ok()?.and_utc();
    let (unit, text) = rest.strip_prefix(' ')?.split_once(' ')?;
    Some(LogLine { at, unit: unit.to_owned(), text: text.to_owned() })
}

pub(crate) fn words(secret: Option<&Secret>) -> Option<String> {
    secret.map(|secret| String::from_utf8_lossy(secret.expose()).into_owned())
}

const fn on_its_way(id: ExchangeId) -> TurnView {
    TurnView { id, state: "asked", text: None, latency_ms: None, why: None }
}

fn turn(opened: &Opened) -> TurnView {
    let view = on_its_way(opened.exchange.id);
    match &opened.exchange.state {
        ExchangeState::Asked => view,
        ExchangeState::Answered { latency_ms, .. } => {
            TurnView { state: "answered", text: words(opened.answer.as_ref()), latency_ms: Some(*latency_ms), ..view }
        }
        ExchangeState::Failed { why, .. } => TurnView { state: "failed", why: Some(why.clone()), ..view },
    }
}

fn failed(why: Option<String>) -> Problem {
    Problem::new(StatusCode::BAD_GATEWAY, "no-answer", why.unwrap_or_else(|| "The agent did not answer.".to_owned()))
}

impl From<BadTurnText> for Problem {
    fn from(error: BadTurnText) -> Self {
        Self::unusable("text", sentence(&error))
    }
}

impl From<AskError> for Problem {
    fn from(error: AskError) -> Self {
        match error {
            AskError::NotFound => Self::not_found(),
            AskError::Forbidden => Self::not_allowed(sentence(&error)),
            AskError::NotRunning => Self::conflict("not-running", sentence(&error)),
            AskError::Keys(error) => error.into(),
            AskError::Store(error) => error.into(),
        }
    }
}

impl From<ReadExchangeError> for Problem {
    fn from(error: ReadExchangeError) -> Self {
        match error {
            ReadExchangeError::Sealed(error) => error.into(),
            ReadExchangeError::Store(error) => error.into(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_log_tail_reads_line_by_line() {
        let text = "2026-11-21 14:02:31 openclaw ready\n  at index.js\n2026-11-21 14:02:32 berth-guest apply: ä";
        let lines = log_lines(Some(&Secret::from(text.to_owned())));
        let read: Vec<_> = lines.iter().map(|line| (line.unit.as_str(), line.text.as_str())).collect();
        assert_eq!(read, [("openclaw", "ready\n  at index.js"), ("berth-guest", "apply: ä")]);
        assert!(log_lines(Some(&Secret::from("éééééééééééééééééééé".to_owned()))).is_empty());
    }
}
