//! One call with a tenant's own key: send, pass on, count.
//!
//! The tenant's account at the vendor pays, so nothing is held and no budget of the
//! house is looked at; the tokens are counted beside it. The bounds in time and size
//! are those of every model call, and a tenant has a number of calls under way at
//! once. The key lives until the vendor began to answer.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError},
};

use axum::{body::Body, response::Response};
use clients::model::{
    ModelAnswer, ModelCall,
    chat_usage::{self, ChatMeter},
    own::{OwnKey, OwnVendors},
    usage::{self, Meter},
};
use domain::{TenantId, credential::Kind, model::Usage};
use store::Db;
use tokio::{sync::oneshot, time::timeout};
use tokio_util::task::TaskTracker;
use tracing::Instrument as _;

use super::{
    call::{Begin, CALL_MAX},
    keys::TenantKeys,
    own_told::{broke_off, refused, too_many, unanswered, unreadable},
    pass::{self, Ear, NotWhole, Passed},
    told::response,
};
use crate::problem::Problem;

/// Calls of one tenant that a process has under way at once: more than an agent has with a dozen others in its service,
/// and few enough that a vendor which never ends cannot hold many connections.
const CALLS_AT_ONCE: usize = 16;

/// Calls with tenants' own keys; by default nobody has any.
#[derive(Clone, Default)]
pub struct OwnModels(Option<Arc<Line>>);

struct Line {
    vendors: Arc<dyn OwnVendors>,
    keys: Arc<dyn TenantKeys>,
    /// Calls under way; each ends by counting, also after its caller has gone.
    calls: TaskTracker,
    seats: Arc<Mutex<HashMap<TenantId, usize>>>,
}

impl OwnModels {
    /// Keys are taken from here, and calls go there.
    #[must_use]
    pub fn new(vendors: Arc<dyn OwnVendors>, keys: Arc<dyn TenantKeys>) -> Self {
        Self(Some(Arc::new(Line { vendors, keys, calls: TaskTracker::new(), seats: Arc::default() })))
    }

    /// Whether tenants may have keys of their own at all.
    pub(super) const fn is_on(&self) -> bool {
        self.0.is_some()
    }

    /// The tenant's key of this kind, if there is one.
    pub(super) async fn key(&self, tenant: TenantId, kind: Kind) -> Result<Option<OwnKey>, Problem> {
        let Some(line) = &self.0 else { return Ok(None) };
        Ok(line.keys.key(tenant, kind).await?)
    }

    /// Waits until every call under way has been counted; no new ones are expected.
    pub async fn wait(&self) {
        if let Some(line) = &self.0 {
            line.calls.close();
            line.calls.wait().await;
        }
    }
}

/// Passes a call on and returns as soon as its answer begins.
pub(super) async fn forward(
    db: Db,
    own: OwnModels,
    tenant: TenantId,
    key: OwnKey,
    call: ModelCall,
) -> Result<Response, Problem> {
    let line = own.0.ok_or_else(|| Problem::broken("a key of a tenant's without a line to its vendor"))?;
    let seat = Seat::take(&line.seats, tenant).ok_or_else(too_many)?;
    let (begin, beginning) = oneshot::channel();
    let calls = line.calls.clone();
    let under_way = Call { db, line, tenant, kind: key.kind, _seat: seat };
    calls.spawn(under_way.run(key, call, begin).in_current_span());
    beginning.await.map_err(|_| Problem::broken("a model call ended without an answer"))?
}

/// Room for one call of a tenant's.
struct Seat {
    seats: Arc<Mutex<HashMap<TenantId, usize>>>,
    tenant: TenantId,
}

impl Seat {
    fn take(seats: &Arc<Mutex<HashMap<TenantId, usize>>>, tenant: TenantId) -> Option<Self> {
        let mut taken = seats.lock().unwrap_or_else(PoisonError::into_inner);
        let count = taken.entry(tenant).or_default();
        if *count >= CALLS_AT_ONCE {
            return None;
        }
        *count += 1;
        drop(taken);
        Some(Self { seats: Arc::clone(seats), tenant })
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut taken = self.seats.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(count) = taken.get_mut(&self.tenant) {
            *count -= 1;
            if *count == 0 {
                taken.remove(&self.tenant);
            }
        }
    }
}

struct Call {
    db: Db,
    line: Arc<Line>,
    tenant: TenantId,
    kind: Kind,
    _seat: Seat,
}

/// How a call ended, in one word for the log, and whether the vendor worked.
struct End {
    how: &'static str,
    was_answered: bool,
}

const fn unanswered_end(how: &'static str) -> End {
    End { how, was_answered: false }
}

const fn answered_end(how: &'static str) -> End {
    End { how, was_answered: true }
}

impl Call {
    async fn run(self, key: OwnKey, call: ModelCall, begin: Begin) {
        let mut ear: Box<dyn Ear> =
            if self.kind == Kind::Anthropic { Box::<Meter>::default() } else { Box::<ChatMeter>::default() };
        let mut counted = None;
        let speaking = self.speak(key, call, begin, &mut *ear, &mut counted);
        let end = timeout(CALL_MAX, speaking).await.unwrap_or(answered_end("took too long"));
        let usage = counted.unwrap_or_else(|| ear.usage());
        let (tenant, vendor, how) = (self.tenant, self.kind.name(), end.how);
        let (input, output) = (usage.input_tokens, usage.output_tokens);
        tracing::info!(%tenant, vendor, how, input, output, "a model call with a tenant's own key ended");
        if end.was_answered {
            self.count(&usage).await;
        }
    }

    async fn speak(
        &self,
        key: OwnKey,
        call: ModelCall,
        mut begin: Begin,
        ear: &mut dyn Ear,
        counted: &mut Option<Usage>,
    ) -> End {
        let is_stream = call.is_stream;
        let answer = tokio::select! {
            biased;
            () = begin.closed() => return unanswered_end("the caller went away"),
            answer = self.line.vendors.send(&key, call) => answer,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                begin.send(Err(unanswered(self.kind, error))).ok();
                return unanswered_end("no answer");
            }
        };
        if answer.status != 200 {
            if answer.status == 401 {
                self.line.keys.refused(self.tenant, &key).await;
            }
            drop(key);
            begin.send(Ok(refused(self.kind, answer).await)).ok();
            return unanswered_end("refused by the vendor");
        }
        drop(key);
        if is_stream && answer.is_events {
            let (pieces, body) = pass::stream();
            begin.send(Ok(response(answer.request_id.as_deref(), "text/event-stream", body))).ok();
            let kind = self.kind;
            let passed = pass::events(answer, &pieces, ear, |error, id| broke_off(kind, error, id)).await;
            return answered_end(match passed {
                Passed::Ended => "ended",
                Passed::Gone => "the caller went away",
                Passed::Broke(how) => how,
            });
        }
        self.whole(answer, begin, counted).await
    }

    /// Passes an answer in one piece on, once all of it is there.
    async fn whole(&self, mut answer: ModelAnswer, mut begin: Begin, counted: &mut Option<Usage>) -> End {
        let body = match pass::whole(&mut answer, begin.closed()).await {
            Ok(body) => body,
            Err(NotWhole::Gone) => return answered_end("the caller went away"),
            Err(NotWhole::Broke(error)) => {
                begin.send(Err(unanswered(self.kind, error))).ok();
                return answered_end("cut");
            }
        };
        *counted = match self.kind {
            Kind::Anthropic => usage::of_message(&body),
            _ => chat_usage::of_completion(&body),
        };
        if counted.is_none() {
            begin.send(Err(unreadable(self.kind))).ok();
            return answered_end("unreadable");
        }
        begin.send(Ok(response(answer.request_id.as_deref(), "application/json", Body::from(body)))).ok();
        answered_end("ended")
    }

    /// What cannot be counted is left out: nobody is charged by it.
    async fn count(&self, usage: &Usage) {
        let counted = async {
            let mut tx = self.db.tenant(self.tenant).await?;
            store::model_usage::count_own(&mut tx, usage).await?;
            tx.commit().await
        };
        if let Err(error) = counted.await {
            let (tenant, error) = (self.tenant, &error as &dyn std::error::Error);
            tracing::warn!(%tenant, error, "a model call with a tenant's own key was not counted");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tenant_has_so_many_calls_at_once_and_a_seat_is_free_again() {
        let seats = Arc::default();
        let [alice, mallory] = [1, 2].map(|number| TenantId::from_uuid(uuid::Uuid::from_u128(number)));
        let mut taken: Vec<Seat> = (0..CALLS_AT_ONCE).map_while(|_| Seat::take(&seats, alice)).collect();
        assert_eq!(taken.len(), CALLS_AT_ONCE);
        assert!(Seat::take(&seats, alice).is_none() && Seat::take(&seats, mallory).is_some());
        taken.pop();
        assert!(Seat::take(&seats, alice).is_some());
        taken.clear();
        assert!(seats.lock().unwrap().is_empty(), "nobody is remembered who has no call");
    }
}
