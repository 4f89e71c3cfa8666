//! Passes a vendor's answer on, as it comes, no faster than the caller takes it.

use axum::body::Body;
use bytes::{Bytes, BytesMut};
use clients::model::{
    ModelAnswer, ModelError,
    chat_usage::ChatMeter,
    usage::{Meter, Reading},
};
use domain::model::Usage;
use futures::{StreamExt as _, stream};
use tokio::sync::mpsc;

/// Most bytes of an answer in one piece: many times the longest that a model gives.
const WHOLE_BYTES_MAX: usize = 4 << 20;

/// Pieces of a stream that wait for the caller; the vendor is not read further meanwhile.
const PIECES_WAITING: usize = 1;

/// Where pieces of a stream go.
pub(super) type Pieces = mpsc::Sender<Result<Bytes, std::io::Error>>;

/// Listens to what passes by.
pub(super) trait Ear: Send {
    /// The next piece.
    fn hear(&mut self, piece: &[u8]);
    /// Whether the answer came to its end.
    fn is_ended(&self) -> bool;
    /// What the vendor counted so far.
    fn usage(&self) -> Usage;
}

impl Ear for Meter {
    fn hear(&mut self, piece: &[u8]) {
        Self::hear(self, piece);
    }

    fn is_ended(&self) -> bool {
        matches!(self.reading(), Reading::Final(_))
    }

    fn usage(&self) -> Usage {
        match self.reading() {
            Reading::Unknown => Usage::NONE,
            Reading::Cut(usage) | Reading::Final(usage) => usage,
        }
    }
}

impl Ear for ChatMeter {
    fn hear(&mut self, piece: &[u8]) {
        Self::hear(self, piece);
    }

    fn is_ended(&self) -> bool {
        Self::is_ended(self)
    }

    fn usage(&self) -> Usage {
        Self::usage(self)
    }
}

/// How passing on ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Passed {
    /// With the answer's end.
    Ended,
    /// The caller went away.
    Gone,
    /// The answer broke off, and the caller was told; how, in one word for the log.
    Broke(&'static str),
}

/// Why there is no answer in one piece.
pub(super) enum NotWhole {
    /// The caller went away.
    Gone,
    /// The answer broke off.
    Broke(ModelError),
}

/// A body, and where its pieces are put.
pub(super) fn stream() -> (Pieces, Body) {
    let (pieces, waiting) = mpsc::channel(PIECES_WAITING);
    let body = stream::unfold(waiting, |mut waiting| async { waiting.recv().await.map(|piece| (piece, waiting)) });
    (pieces, Body::from_stream(body))
}

/// Passes events on. `tell` writes the last event of a stream that breaks off.
pub(super) async fn events(
    mut answer: ModelAnswer,
    pieces: &Pieces,
    ear: &mut dyn Ear,
    tell: impl FnOnce(&ModelError, Option<&str>) -> Bytes + Send,
) -> Passed {
    let (error, how) = loop {
        let piece = tokio::select! {
            biased;
            () = pieces.closed() => return Passed::Gone,
            piece = answer.body.next() => piece,
        };
        match piece {
            Some(Ok(piece)) => {
                ear.hear(&piece);
                if pieces.send(Ok(piece)).await.is_err() {
                    return Passed::Gone;
                }
            }
            // All of the answer was there; what broke after it is nobody's matter.
            None | Some(Err(_)) if ear.is_ended() => return Passed::Ended,
            None => break (ModelError::Lost, "cut by the vendor"),
            Some(Err(error)) => break (error, "cut"),
        }
    };
    // Said before the stream ends, so that nobody takes a part for the whole.
    let told = tell(&error, answer.request_id.as_deref());
    pieces.send(Ok(told)).await.ok();
    Passed::Broke(how)
}

/// Reads an answer in one piece, until all of it is there or `gone` says that nobody waits.
pub(super) async fn whole(answer: &mut ModelAnswer, gone: impl Future<Output = ()> + Send) -> Result<Bytes, NotWhole> {
    let mut body = BytesMut::new();
    tokio::pin!(gone);
    loop {
        let piece = tokio::select! {
            biased;
            () = &mut gone => return Err(NotWhole::Gone),
            piece = answer.body.next() => piece,
        };
        match piece {
            None => return Ok(body.freeze()),
            Some(Ok(piece)) if body.len() + piece.len() <= WHOLE_BYTES_MAX => body.extend_from_slice(&piece),
            Some(Ok(_)) => return Err(NotWhole::Broke(ModelError::TooLarge(WHOLE_BYTES_MAX))),
            Some(Err(error)) => return Err(NotWhole::Broke(error)),
        }
    }
}
