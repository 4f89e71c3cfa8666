//! One call to the vendor: hold, call, pass on, settle.
//!
//! It runs in a task of its own, so that what was held is settled also when the
//! caller has gone; the vendor's answer is dropped then, which ends the call. No
//! transaction is open while the vendor is waited for.
//!
//! What is charged: the vendor's own count when the answer came to its end;
//! nothing when the vendor refused or was not reached; otherwise, when it was cut
//! short, the words in as counted (or their worst case) and a full answer.

use std::{sync::Arc, time::Duration};

use app::model_budget::HoldError;
use axum::{body::Body, response::Response};
use clients::model::{
    ModelAnswer, ModelCall,
    usage::{self, Meter, Reading},
};
use domain::{
    Entropy, HoldId, TenantId,
    model::{Micros, Price, Usage},
};
use store::Db;
use tokio::{sync::oneshot, time::timeout};
use tracing::Instrument as _;

use super::{
    Forwarding,
    ask::Ask,
    pass::{self, NotWhole, Passed, Pieces},
    told::{broke_off, refusal, refused, response, unanswered, unreadable},
};
use crate::problem::Problem;

/// A call that goes on longer is given up, wherever it is. Well below the hour after which a hold counts as spent.
pub(super) const CALL_MAX: Duration = Duration::from_mins(15);

/// Passes a call on and returns as soon as its answer begins.
pub(super) async fn forward(
    db: Db,
    entropy: Arc<dyn Entropy>,
    forwarding: Arc<Forwarding>,
    (tenant, limit): (TenantId, Micros),
    outward: ModelCall,
) -> Result<Response, Problem> {
    let ask = Ask::judge(&outward.body, &forwarding.menu)?;
    let (model, price) = (ask.offer.name.clone(), ask.offer.price);
    let (worst, output_tokens_max) = (ask.worst, ask.output_tokens_max);
    let (begin, beginning) = oneshot::channel();
    let call = Call { db, entropy, tenant, limit, model, price, worst, output_tokens_max };
    let calls = forwarding.calls.clone();
    calls.spawn(call.run(forwarding, outward, begin).in_current_span());
    beginning.await.map_err(|_| Problem::broken("a model call ended without an answer"))?
}

struct Call {
    db: Db,
    entropy: Arc<dyn Entropy>,
    tenant: TenantId,
    /// Of a whole day of the tenant's.
    limit: Micros,
    model: String,
    price: Price,
    worst: Micros,
    output_tokens_max: u64,
}

/// Who waits for the beginning of the answer.
pub(super) type Begin = oneshot::Sender<Result<Response, Problem>>;

/// How a call ended, in one word for the log, and what it came to.
struct End {
    how: &'static str,
    spent: Micros,
    usage: Usage,
}

impl Call {
    async fn run(self, forwarding: Arc<Forwarding>, outward: ModelCall, begin: Begin) {
        let hold = match self.hold().await {
            Ok(hold) => hold,
            Err(refusal) => {
                begin.send(refusal).ok();
                return;
            }
        };
        let mut meter = Meter::default();
        let speaking = self.speak(&forwarding, outward, begin, &mut meter);
        let end = match timeout(CALL_MAX, speaking).await {
            Ok(end) => end,
            Err(_) => self.cut("took too long", &meter),
        };
        self.settle(hold, &end).await;
    }

    /// Holds the worst case, committed before the vendor hears anything.
    async fn hold(&self) -> Result<HoldId, Result<Response, Problem>> {
        let held = async {
            let mut tx = self.db.tenant(self.tenant).await?;
            let hold = app::model_budget::hold(&mut tx, &*self.entropy, &self.model, self.worst, self.limit).await?;
            tx.commit().await?;
            Ok::<_, HoldError>(hold)
        };
        held.await.map_err(refusal)
    }

    async fn speak(&self, forwarding: &Forwarding, outward: ModelCall, mut begin: Begin, meter: &mut Meter) -> End {
        let is_stream = outward.is_stream;
        let answer = tokio::select! {
            biased;
            () = begin.closed() => return self.cut("the caller went away", meter),
            answer = forwarding.vendor.send(outward) => answer,
        };
        let answer = match answer {
            Ok(answer) => answer,
            Err(error) => {
                let end = if error.is_unsent() { nothing("not reached") } else { self.cut("no answer", meter) };
                begin.send(Err(unanswered(error))).ok();
                return end;
            }
        };
        if answer.status != 200 {
            let problem = refused(answer).await;
            begin.send(problem).ok();
            return nothing("refused by the vendor");
        }
        if is_stream && answer.is_events {
            let (pieces, body) = pass::stream();
            begin.send(Ok(response(answer.request_id.as_deref(), "text/event-stream", body))).ok();
            return self.pass_on(answer, &pieces, meter).await;
        }
        self.whole(answer, begin).await
    }

    async fn pass_on(&self, answer: ModelAnswer, pieces: &Pieces, meter: &mut Meter) -> End {
        match pass::events(answer, pieces, meter, broke_off).await {
            // It may have gone with the last word heard.
            Passed::Ended | Passed::Gone => self.gone(meter),
            Passed::Broke(how) => self.cut(how, meter),
        }
    }

    /// Passes an answer in one piece on, once all of it is there.
    async fn whole(&self, mut answer: ModelAnswer, mut begin: Begin) -> End {
        let meter = Meter::default();
        let body = match pass::whole(&mut answer, begin.closed()).await {
            Ok(body) => body,
            Err(NotWhole::Gone) => return self.cut("the caller went away", &meter),
            Err(NotWhole::Broke(error)) => {
                begin.send(Err(unanswered(error))).ok();
                return self.cut("cut", &meter);
            }
        };
        let Some(usage) = usage::of_message(&body) else {
            begin.send(Err(unreadable())).ok();
            return self.cut("unreadable", &meter);
        };
        let response = response(answer.request_id.as_deref(), "application/json", Body::from(body));
        begin.send(Ok(response)).ok();
        self.counted("ended", usage)
    }

    fn counted(&self, how: &'static str, usage: Usage) -> End {
        End { how, spent: self.price.cost(&usage), usage }
    }

    /// What was counted, if all of it was there.
    fn gone(&self, meter: &Meter) -> End {
        match meter.reading() {
            Reading::Final(usage) => self.counted("ended", usage),
            Reading::Cut(_) | Reading::Unknown => self.cut("the caller went away", meter),
        }
    }

    /// Cut short: nobody counted the words out, so a full answer is charged.
    fn cut(&self, how: &'static str, meter: &Meter) -> End {
        match meter.reading() {
            Reading::Unknown => End { how, spent: self.worst, usage: Usage::default() },
            Reading::Cut(usage) | Reading::Final(usage) => {
                let full = Usage { output_tokens: usage.output_tokens.max(self.output_tokens_max), ..usage };
                End { how, spent: self.price.cost(&full), usage }
            }
        }
    }

    /// Three times at most. What cannot be settled stays held, which counts as spent.
    async fn settle(&self, hold: HoldId, end: &End) {
        let (tenant, model, how) = (self.tenant, self.model.as_str(), end.how);
        let (spent_micros, held_micros) = (end.spent.get(), self.worst.get());
        if end.spent > self.worst {
            tracing::error!(%tenant, model, spent_micros, held_micros, "a model call cost more than its worst case");
        }
        for pause in [Some(1), Some(5), None] {
            let settled = async {
                let mut tx = self.db.tenant(self.tenant).await?;
                let was_held = app::model_budget::settle(&mut tx, hold, end.spent, &end.usage).await?;
                tx.commit().await?;
                Ok::<_, store::StoreError>(was_held)
            };
            match settled.await {
                Ok(_) => {
                    let (input, output) = (end.usage.input_tokens, end.usage.output_tokens);
                    tracing::info!(%tenant, model, how, spent_micros, held_micros, input, output, "a model call ended");
                    return;
                }
                Err(error) => {
                    tracing::warn!(%tenant, %hold, error = &error as &dyn std::error::Error, "a hold is not settled yet");
                }
            }
            if let Some(seconds) = pause {
                tokio::time::sleep(Duration::from_secs(seconds)).await;
            }
        }
        tracing::error!(%tenant, %hold, "a hold stays and counts as spent");
    }
}

const fn nothing(how: &'static str) -> End {
    End { how, spent: Micros::ZERO, usage: Usage::NONE }
}
