//! Requests of the Chat Completions API: which vendor they are for, and proofs that come in this form.
//!
//! A model is named `VENDOR/MODEL` here, such as `openai/gpt-5.5` or
//! `compatible/qwen3`: so an agent says whose key it means. The vendor's word is
//! taken off before the call goes out; every other byte stays.

use std::convert::Infallible;

use axum::{
    Json,
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use bytes::{Bytes, BytesMut};
use domain::{Entropy, credential::Kind, model::OwnModel};
use futures::stream;
use http::StatusCode;
use serde::Deserialize;

use crate::{
    problem::Problem,
    proof_model::{self, Content},
};

/// The part of a request that matters here; the rest is the vendor's to judge.
#[derive(Debug, Deserialize)]
pub(crate) struct Request {
    model: String,
    messages: Vec<Message>,
    #[serde(default)]
    pub(super) stream: bool,
    stream_options: Option<StreamOptions>,
}

#[derive(Debug, Deserialize)]
struct Message {
    role: String,
    /// Missing where the model called tools.
    content: Option<Content>,
}

#[derive(Debug, Deserialize)]
struct StreamOptions {
    #[serde(default)]
    include_usage: bool,
}

impl Request {
    /// Whether the caller wants the tokens of a stream counted in it.
    pub(super) fn wants_counts(&self) -> bool {
        self.stream_options.as_ref().is_some_and(|options| options.include_usage)
    }
}

impl From<Request> for proof_model::Request {
    fn from(request: Request) -> Self {
        let message = |Message { role, content }| proof_model::Message {
            role,
            content: content.unwrap_or_else(|| Content::Text(String::new())),
        };
        let messages = request.messages.into_iter().map(message).collect();
        Self { model: request.model, messages, stream: request.stream }
    }
}

/// The vendor that a request's model names, and the request as that vendor shall read it.
pub(super) fn named(body: &Bytes) -> Result<(Kind, Bytes), Problem> {
    /// Borrowed, so that its place in the body is known.
    #[derive(Deserialize)]
    struct Named<'b> {
        model: &'b str,
    }
    let plain = |_| refused("model: write it without escapes, such as openai/gpt-5.5.");
    let Named { model } = serde_json::from_slice(body).map_err(plain)?;
    // Anthropic speaks the other API.
    let Some(own) = OwnModel::parse(model).filter(|own| own.kind != Kind::Anthropic) else {
        let detail = "model: say whose key is meant, before the model's name: openai/…, openrouter/…, compatible/….";
        return Err(Problem::new(StatusCode::NOT_FOUND, "unknown-model", detail));
    };
    let (kind, prefix) = (own.kind, model.len() - own.name.len());
    let at = model.as_ptr().addr().checked_sub(body.as_ptr().addr());
    let cut = at.and_then(|at| Some((body.get(..at)?, body.get(at + prefix..)?)));
    let (before, after) = cut.ok_or_else(|| Problem::broken("a model's name that is not in its request"))?;
    let mut outward = BytesMut::with_capacity(before.len() + after.len());
    outward.extend_from_slice(before);
    outward.extend_from_slice(after);
    Ok((kind, outward.freeze()))
}

/// The proof model's answer in this form.
pub(super) fn proof(ask: &proof_model::Request, bytes: usize, entropy: &dyn Entropy, counts: bool) -> Response {
    let answer = proof_model::answer(ask, format!("chatcmpl-{}", entropy.uuid().simple()), bytes);
    let created = entropy.unix_millis() / 1000;
    if !ask.stream {
        return Json(answer.to_completion(created)).into_response();
    }
    let chunks = answer.to_chunks(created, counts).into_iter().map(|chunk| chunk.to_string());
    let all = chunks.chain(std::iter::once("[DONE]".to_owned()));
    let events = all.map(|data| Ok::<_, Infallible>(Event::default().data(data))).collect::<Vec<_>>();
    Sse::new(stream::iter(events)).into_response()
}

fn refused(detail: &'static str) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "model-call-refused", detail)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn cut(body: &str) -> Result<(Kind, String), u16> {
        let read = named(&Bytes::copy_from_slice(body.as_bytes()));
        let text = |bytes: Bytes| String::from_utf8(bytes.to_vec()).unwrap();
        read.map(|(kind, body)| (kind, text(body))).map_err(|problem| problem.status.as_u16())
    }

    #[test]
    fn the_vendors_word_is_taken_off_and_every_other_byte_stays() {
        let table = [
            (r#"{"model":"openai/gpt-5.5"}"#, Kind::OpenAi, r#"{"model":"gpt-5.5"}"#),
            (r#"{"model":"openrouter/openai/gpt-5.5"}"#, Kind::OpenRouter, r#"{"model":"openai/gpt-5.5"}"#),
            (r#"{"model":"compatible/@a/b:c"}"#, Kind::Compatible, r#"{"model":"@a/b:c"}"#),
        ];
        for (body, kind, outward) in table {
            assert_eq!(cut(body), Ok((kind, outward.to_owned())));
        }
        let body = concat!(
            " {\"b\" : 1.0, \"messages\":[{\"role\":\"user\",\"content\":\"\\\"model\\\":\\\"openai/x\\\"\",\"model\":\"openai/y\"}],\n",
            "\"model\"\t: \"openai/z\", \"a\":{\"model\":\"openai/w\"}, \"big\":123456789012345678901234567890 }",
        );
        assert_eq!(cut(body), Ok((Kind::OpenAi, body.replace("\"openai/z\"", "\"z\""))));
    }

    #[test]
    fn what_names_no_vendor_is_refused() {
        for model in [
            "gpt-5.5",
            "openai",
            "openai/",
            "/gpt",
            "anthropic/claude",
            "OpenAI/gpt",
            "compatible/a b",
            " openai/gpt",
            "telegram/x",
            "",
        ] {
            assert_eq!(cut(&format!(r#"{{"model":"{model}"}}"#)), Err(404), "{model}");
        }
        for body in
            [r#"{"model":"openai\/gpt"}"#, r#"{"model":"openai/a","model":"openai/b"}"#, r#"{"model":5}"#, "{}", "["]
        {
            assert_eq!(cut(body), Err(400), "{body}");
        }
    }
}
