//! Sends a call and reads its answer, each part within its time and the whole within its size.

use bytes::Bytes;
use futures::{StreamExt as _, stream};
use reqwest::{RequestBuilder, Response};
use tokio::time::{Instant, timeout, timeout_at};

use super::{ModelAnswer, ModelError, anthropic::Limits};
use crate::outgoing::{self, NoAnswer};

/// Waits for the beginning of the answer.
pub(super) async fn send(request: RequestBuilder, is_stream: bool, limits: Limits) -> Result<ModelAnswer, ModelError> {
    let ends = Instant::now() + limits.total;
    let longest = if is_stream { limits.first_event } else { limits.whole };
    let sent = timeout(longest, outgoing::send(request)).await.map_err(|_| ModelError::Silent(longest))?;
    let response = sent.map_err(|none| match none {
        NoAnswer::Unreachable => ModelError::Unreachable("no connection"),
        NoAnswer::NotPublic => ModelError::Unreachable("its address is not on the public internet"),
        NoAnswer::Broken => ModelError::Lost,
    })?;
    tracing::debug!(status = response.status().as_u16(), "the model vendor answered");
    Ok(ModelAnswer {
        status: response.status().as_u16(),
        request_id: header_text(&response, "request-id").or_else(|| header_text(&response, "x-request-id")),
        retry_after_seconds: header_text(&response, "retry-after").and_then(|text| text.parse().ok()),
        is_events: header_text(&response, "content-type").is_some_and(|kind| kind.starts_with("text/event-stream")),
        body: pieces(response, limits, ends),
    })
}

/// What is left of an answer: each piece within its time, all of them within theirs and within the size.
fn pieces(response: Response, limits: Limits, ends: Instant) -> stream::BoxStream<'static, Result<Bytes, ModelError>> {
    let state = Some((response.bytes_stream(), limits.bytes));
    stream::unfold(state, move |state| async move {
        let (mut pieces, left) = state?;
        let next = timeout(limits.idle, pieces.next());
        let piece = match timeout_at(ends, next).await {
            Err(_) => Err(ModelError::TooLong(limits.total)),
            Ok(Err(_)) => Err(ModelError::Silent(limits.idle)),
            Ok(Ok(None)) => return None,
            Ok(Ok(Some(Err(_)))) => Err(ModelError::Lost),
            Ok(Ok(Some(Ok(piece)))) if piece.len() > left => Err(ModelError::TooLarge(limits.bytes)),
            Ok(Ok(Some(Ok(piece)))) => Ok(piece),
        };
        let rest = piece.as_ref().ok().map(|piece| (pieces, left - piece.len()));
        Some((piece, rest))
    })
    .boxed()
}

fn header_text(response: &Response, name: &str) -> Option<String> {
    let text = response.headers().get(name)?.to_str().ok()?;
    (text.len() <= 200).then(|| text.to_owned())
}
