//! An agent's timeline as server-sent events: replay first, then as it happens.

use std::{collections::VecDeque, convert::Infallible, time::Duration};

use axum::{
    extract::State,
    response::sse::{Event, KeepAlive, Sse},
};
use domain::{AgentId, TenantId, TokenId, id, people::Shown, timeline::Entry};
use futures::{Stream, stream};
use http::HeaderMap;
use store::{Db, StoreError, Watch};
use tokio::time::{Instant, timeout};
use tokio_util::sync::CancellationToken;

use crate::{
    body::{At, Query},
    guard::Member,
    problem::Problem,
};

/// How often a stream looks by itself: the net below wake-ups that got lost.
const LOOK: Duration = Duration::from_secs(2);
/// How often it looks whether its session goes on; that is remembered, and asks the database nothing.
const ADMITTED: Duration = Duration::from_millis(500);
/// After this a stream ends; the client comes back with its Last-Event-ID and is looked up anew.
const LONGEST: Duration = Duration::from_mins(20);
/// Keeps proxies from thinking that nobody is there.
const HEARTBEAT: Duration = Duration::from_secs(15);
const BATCH: i64 = 200;

struct Follow {
    db: Db,
    tenant: TenantId,
    /// What was shown when it was opened.
    shown: Shown,
    agent: AgentId,
    seq: i64,
    waiting: VecDeque<Entry>,
    watch: Watch,
    closing: CancellationToken,
    end: Instant,
    said_gone: bool,
}

enum Look {
    Entries(Vec<Entry>),
    Gone,
}

pub(crate) async fn stream(
    State(db): State<Db>,
    State(closing): State<CancellationToken>,
    member: Member,
    (At(agent), query): (At<id::Agent>, Query),
    headers: HeaderMap,
) -> Result<Sse<impl Stream<Item = Result<Event, Infallible>>>, Problem> {
    let last = headers.get("last-event-id").and_then(|value| value.to_str().ok()?.parse().ok());
    let seq = last.or(query.within("after", 0..=i64::MAX)?).unwrap_or(0);
    let tenant = member.caller().tenant;
    let mut tx = db.tenant_read(tenant).await?;
    store::agents::by_id(&mut tx, agent).await?.ok_or_else(Problem::not_found)?;
    drop(tx);
    let shown = member.caller().shown;
    let (watch, end) = (db.watch(agent.uuid()), Instant::now() + LONGEST);
    let follow =
        Follow { db, tenant, shown, agent, seq, waiting: VecDeque::new(), watch, closing, end, said_gone: false };
    let events =
        stream::unfold(follow, |mut follow| async move { follow.next().await.map(|event| (Ok(event), follow)) });
    Ok(Sse::new(events).keep_alive(KeepAlive::new().interval(HEARTBEAT).text("still here")))
}

impl Follow {
    async fn next(&mut self) -> Option<Event> {
        loop {
            if let Some(entry) = self.waiting.pop_front() {
                self.seq = entry.seq;
                return Some(event(&entry));
            }
            if self.said_gone || Instant::now() >= self.end || self.closing.is_cancelled() {
                return None;
            }
            match self.look().await {
                Ok(Look::Gone) => {
                    self.said_gone = true;
                    return Some(Event::default().event("gone").data("{}"));
                }
                Ok(Look::Entries(entries)) if !entries.is_empty() => {
                    self.waiting = entries.into();
                    continue;
                }
                Ok(Look::Entries(_)) => {}
                Err(error) => tracing::warn!(error = %error, "an event stream could not look"),
            }
            if !self.wait().await {
                return None;
            }
        }
    }

    /// Until there may be something to see. `false`: the stream is over.
    async fn wait(&mut self) -> bool {
        let (closing, until) = (self.closing.clone(), Instant::now() + LOOK);
        loop {
            let heard = tokio::select! {
                heard = timeout(ADMITTED, self.watch.changed()) => heard.is_ok(),
                () = closing.cancelled() => return false,
            };
            let looks = heard || Instant::now() >= until;
            if !self.is_admitted(looks).await {
                return false;
            }
            if looks {
                return true;
            }
        }
    }

    /// Whether its session goes on, in the same tenant; or its token, which is looked up only when the stream looks
    /// anyway. A database that is away for a moment decides nothing.
    async fn is_admitted(&self, looks: bool) -> bool {
        let stands = match self.shown {
            Shown::Session { id, .. } => self.db.caller_in(id).await.map(|found| {
                found.is_some_and(|(caller, _)| caller.tenant == self.tenant && caller.suspended.is_none())
            }),
            Shown::Token(id) if looks => self.token_stands(id).await,
            Shown::Token(_) => Ok(true),
        };
        stands.unwrap_or(true)
    }

    async fn token_stands(&self, id: TokenId) -> Result<bool, StoreError> {
        store::tokens::stands(&mut self.db.system().await?, id, self.tenant).await
    }

    async fn look(&self) -> Result<Look, StoreError> {
        let mut tx = self.db.tenant_read(self.tenant).await?;
        let entries = store::timeline::since(&mut tx, self.agent, self.seq, BATCH).await?;
        if entries.is_empty() && store::agents::by_id(&mut tx, self.agent).await?.is_none() {
            return Ok(Look::Gone);
        }
        Ok(Look::Entries(entries))
    }
}

fn event(entry: &Entry) -> Event {
    let data = serde_json::to_string(entry).unwrap_or_default();
    Event::default().id(entry.seq.to_string()).event(entry.what.name()).data(data)
}
