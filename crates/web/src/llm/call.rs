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
use axum::{
    body::Body,
    response::{IntoResponse as _, Response},
};
use bytes::{Bytes, BytesMut};
use clients::model::{
    ApiVersion, ModelAnswer, ModelCall, ModelError,
    usage::{self, Meter, Reading},
};
use domain::{
    Entropy, HoldId, TenantId,
    model::{Micros, Price, Usage},
};
use futures::{StreamExt as _, stream};
use http::{HeaderName, HeaderValue, StatusCode, header};
use serde_json::{Value, json};
use store::Db;
use tokio::{
    sync::{mpsc, oneshot},
    time::timeout,
};
use tracing::Instrument as _;

use super::{Forwarding, ask::Ask};
use crate::problem::Problem;

/// A call that goes on longer is given up, wherever it is. Well below the hour after which a hold counts as spent.
const CALL_MAX: Duration = Duration::from_mins(15);

/// Most bytes of an answer in one piece: many times the longest that a model gives.
const WHOLE_BYTES_MAX: usize = 4 << 20;

/// Most bytes of a vendor's refusal that are read.
const REFUSAL_BYTES_MAX: usize = 64 * 1024;

/// Pieces of a stream that wait for the caller; the vendor is not read further meanwhile.
const PIECES_WAITING: usize = 1;

type Pieces = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// All that goes out of what a machine sent.
pub(super) struct Outward {
    /// As it came.
    pub body: Bytes,
    /// Which form of the API it is written for.
    pub version: ApiVersion,
    /// Beta features that cost nothing more.
    pub beta: &'static [&'static str],
}

/// Passes a call on and returns as soon as its answer begins.
pub(super) async fn forward(
    db: Db,
    entropy: Arc<dyn Entropy>,
    forwarding: Arc<Forwarding>,
    tenant: TenantId,
    outward: Outward,
) -> Result<Response, Problem> {
    let ask = Ask::judge(&outward.body, &forwarding.menu)?;
    let (model, price) = (ask.offer.name.clone(), ask.offer.price);
    let (worst, output_tokens_max, is_stream) = (ask.worst, ask.output_tokens_max, ask.is_stream);
    let (begin, begun) = oneshot::channel();
    let call = Call { db, entropy, tenant, model, price, worst, output_tokens_max };
    let Outward { body, version, beta } = outward;
    let outward = ModelCall { body, is_stream, version, beta };
    let calls = forwarding.calls.clone();
    calls.spawn(call.run(forwarding, outward, begin).in_current_span());
    begun.await.map_err(|_| Problem::broken("a model call ended without an answer"))?
}

struct Call {
    db: Db,
    entropy: Arc<dyn Entropy>,
    tenant: TenantId,
    model: String,
    price: Price,
    worst: Micros,
    output_tokens_max: u64,
}

/// Who waits for the beginning of the answer.
type Begin = oneshot::Sender<Result<Response, Problem>>;

/// How a call ended, in one word for the log, and what it came to.
struct End {
    how: &'static str,
    spent: Micros,
    usage: Usage,
}

impl Call {
    async fn run(self, forwarding: Arc<Forwarding>, outward: ModelCall, begin: Begin) {
        let hold = match self.hold(forwarding.daily_budget).await {
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
    async fn hold(&self, limit: Micros) -> Result<HoldId, Result<Response, Problem>> {
        let held = async {
            let mut tx = self.db.tenant(self.tenant).await?;
            let hold = app::model_budget::hold(&mut tx, &*self.entropy, &self.model, self.worst, limit).await?;
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
            let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
            let body = Body::from_stream(stream::unfold(waiting, |mut waiting| async {
                waiting.recv().await.map(|piece| (piece, waiting))
            }));
            begin.send(Ok(response(answer.request_id.as_deref(), "text/event-stream", body))).ok();
            return self.pass_on(answer, &pieces, meter).await;
        }
        self.whole(answer, begin).await
    }

    /// Passes events on as they come, no faster than the caller takes them.
    async fn pass_on(&self, mut answer: ModelAnswer, pieces: &Pieces, meter: &mut Meter) -> End {
        loop {
            let piece = tokio::select! {
                biased;
                () = pieces.closed() => return self.gone(meter),
                piece = answer.body.next() => piece,
            };
            let (last, how) = match piece {
                Some(Ok(piece)) => {
                    meter.hear(&piece);
                    if pieces.send(Ok(piece)).await.is_err() {
                        return self.gone(meter);
                    }
                    continue;
                }
                None => match meter.reading() {
                    Reading::Final(usage) => return self.counted("ended", usage),
                    Reading::Cut(_) | Reading::Unknown => (ModelError::Lost, "cut by the vendor"),
                },
                Some(Err(error)) => match meter.reading() {
                    // All of the answer was there; what broke after it is nobody's matter.
                    Reading::Final(usage) => return self.counted("ended", usage),
                    Reading::Cut(_) | Reading::Unknown => (error, "cut"),
                },
            };
            // Said before the stream ends, so that nobody takes a part for the whole.
            let told = broke_off(&last, answer.request_id.as_deref());
            pieces.send(Ok(told)).await.ok();
            return self.cut(how, meter);
        }
    }

    /// Passes an answer in one piece on, once all of it is there.
    async fn whole(&self, mut answer: ModelAnswer, mut begin: Begin) -> End {
        let meter = Meter::default();
        let mut body = BytesMut::new();
        loop {
            let piece = tokio::select! {
                biased;
                () = begin.closed() => return self.cut("the caller went away", &meter),
                piece = answer.body.next() => piece,
            };
            let error = match piece {
                None => break,
                Some(Ok(piece)) if body.len() + piece.len() <= WHOLE_BYTES_MAX => {
                    body.extend_from_slice(&piece);
                    continue;
                }
                Some(Ok(_)) => ModelError::TooLarge(WHOLE_BYTES_MAX),
                Some(Err(error)) => error,
            };
            begin.send(Err(unanswered(error))).ok();
            return self.cut("cut", &meter);
        }
        let Some(usage) = usage::of_message(&body) else {
            begin.send(Err(unreadable())).ok();
            return self.cut("unreadable", &meter);
        };
        let response = response(answer.request_id.as_deref(), "application/json", Body::from(body.freeze()));
        begin.send(Ok(response)).ok();
        self.counted("ended", usage)
    }

    fn counted(&self, how: &'static str, usage: Usage) -> End {
        End { how, spent: self.price.cost(&usage), usage }
    }

    /// The caller may have gone with the last word heard.
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
            match pause {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => tracing::error!(%tenant, %hold, "a hold stays and counts as spent"),
            }
        }
    }
}

const fn nothing(how: &'static str) -> End {
    End { how, spent: Micros::ZERO, usage: Usage::NONE }
}

/// Only what a caller needs of the vendor's head goes on: the kind of body and the call's name.
fn response(request_id: Option<&str>, kind: &'static str, body: Body) -> Response {
    let mut response = Response::new(body);
    response.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static(kind));
    if let Some(Ok(id)) = request_id.map(HeaderValue::from_str) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    response
}

/// Why a call is not paid for, as the vendor would say it.
fn refusal(error: HoldError) -> Result<Response, Problem> {
    match error {
        HoldError::Store(error) => Err(error.into()),
        HoldError::TooLarge { worst, limit } => Err(Problem::new(
            StatusCode::BAD_REQUEST,
            "budget-too-small",
            format!(
                "This call could cost up to {worst}, more than the {limit} that this tenant may spend on models in a \
                 day. Shorten it or ask for fewer max_tokens."
            ),
        )),
        HoldError::UsedUp { today, worst, limit } => {
            let detail = format!(
                "The model budget of today does not pay for this call: {} of {limit} is used or held for calls under \
                 way, and this one could cost up to {worst}. The budget begins anew at {}.",
                today.used,
                today.resets_at.format("%Y-%m-%d %H:%M UTC"),
            );
            let problem = Problem {
                retry_after_seconds: Some(today.resets_in_seconds),
                ..Problem::new(StatusCode::TOO_MANY_REQUESTS, "budget-used-up", detail)
            };
            // The vendor's clients would try again at once.
            let mut response = problem.into_response();
            response.headers_mut().insert("x-should-retry", HeaderValue::from_static("false"));
            Ok(response)
        }
    }
}

/// No answer came, or not all of it.
fn unanswered(error: ModelError) -> Problem {
    let (status, slug, detail) = match error {
        ModelError::Unreachable(_) => (
            StatusCode::SERVICE_UNAVAILABLE,
            "vendor-away",
            "Berth cannot reach the model vendor right now. Nothing was charged. Try again in a few seconds.",
        ),
        ModelError::Silent(_) | ModelError::TooLong(_) => (
            StatusCode::GATEWAY_TIMEOUT,
            "vendor-silent",
            "The model vendor did not answer in time. What it may charge for this call is charged to today's budget.",
        ),
        ModelError::Lost | ModelError::TooLarge(_) => (
            StatusCode::BAD_GATEWAY,
            "vendor-broke-off",
            "The model vendor's answer broke off. What it may charge for this call is charged to today's budget.",
        ),
    };
    Problem { cause: Some(Box::new(error)), ..Problem::new(status, slug, detail) }
}

fn unreadable() -> Problem {
    let detail = "The model vendor's answer is none that Berth can read. What it may charge for this call is charged to today's budget.";
    Problem::new(StatusCode::BAD_GATEWAY, "vendor-unreadable", detail)
}

/// The vendor's refusal in Berth's words, but for what it says about the request itself.
async fn refused(mut answer: ModelAnswer) -> Result<Response, Problem> {
    let mut body = BytesMut::new();
    while let Some(Ok(piece)) = answer.body.next().await {
        if body.len() + piece.len() > REFUSAL_BYTES_MAX {
            break;
        }
        body.extend_from_slice(&piece);
    }
    let status = StatusCode::from_u16(answer.status).unwrap_or(StatusCode::BAD_GATEWAY);
    let said = serde_json::from_slice::<Value>(&body).ok();
    let said = said
        .as_ref()
        .and_then(|body| body.pointer("/error/message")?.as_str())
        .map(|text| text.chars().take(1000).collect::<String>());
    let problem = |status, slug, detail: &'static str| Problem::new(status, slug, detail);
    let mut problem = match answer.status {
        400 | 404 | 413 => Problem::new(
            status,
            "vendor-refused",
            said.unwrap_or_else(|| "The model vendor refused the request and did not say why.".to_owned()),
        ),
        429 => problem(
            status,
            "vendor-busy",
            "The model vendor takes no more calls from this installation right now. Nothing was charged. Try again a little later.",
        ),
        401 | 402 | 403 => Problem {
            cause: Some(
                "the model vendor refuses this installation's key: look at ANTHROPIC_API_KEY and the account".into(),
            ),
            ..problem(
                StatusCode::BAD_GATEWAY,
                "vendor-account",
                "The model vendor refuses this installation. Its operator has to look at the vendor's account. Nothing was charged.",
            )
        },
        529 | 503 => problem(
            status,
            "vendor-overloaded",
            "The model vendor is overloaded right now. Nothing was charged. Try again a little later.",
        ),
        _ => Problem {
            cause: Some(format!("the model vendor answered {}", answer.status).into()),
            ..problem(
                StatusCode::BAD_GATEWAY,
                "vendor-fault",
                "The model vendor had a fault of its own. Nothing was charged. Try again.",
            )
        },
    };
    problem.retry_after_seconds = answer.retry_after_seconds;
    let mut response = problem.into_response();
    if let Some(Ok(id)) = answer.request_id.as_deref().map(HeaderValue::from_str) {
        response.headers_mut().insert(HeaderName::from_static("request-id"), id);
    }
    Ok(response)
}

/// The last event of a stream that broke off. It begins with an empty line, which ends a half event.
fn broke_off(error: &ModelError, request_id: Option<&str>) -> Bytes {
    let words = unanswered(error.clone()).detail;
    let body = json!({ "type": "error", "error": { "type": "api_error", "message": words }, "request_id": request_id });
    Bytes::from(format!("\n\nevent: error\ndata: {body}\n\n"))
}
