//! Reads from an answer of the Chat Completions API, as it passes by, what it used.
//!
//! The vendor counts once, in one of the last pieces of a stream, and only when it
//! was asked to (`stream_options`); some never count. Nothing is kept of an answer
//! but these counts and whether it came to its end.

use domain::model::Usage;
use serde::{Deserialize, de::IgnoredAny};

use super::lines::Lines;

/// Listens to a stream of pieces.
#[derive(Debug, Default)]
pub struct ChatMeter {
    lines: Lines,
    heard: Noted,
}

#[derive(Debug, Default)]
struct Noted {
    usage: Usage,
    is_ended: bool,
}

impl ChatMeter {
    /// The next piece of the answer, cut anywhere.
    pub fn hear(&mut self, piece: &[u8]) {
        let Self { lines, heard } = self;
        lines.hear(piece, |data| heard.note(data));
    }

    /// Whether the model said that it ended: some vendors leave out the last line, `[DONE]`.
    #[must_use]
    pub const fn is_ended(&self) -> bool {
        self.heard.is_ended
    }

    /// What the vendor counted so far; nothing where it did not.
    #[must_use]
    pub const fn usage(&self) -> Usage {
        self.heard.usage
    }
}

impl Noted {
    fn note(&mut self, data: &[u8]) {
        if data == b"[DONE]" {
            self.is_ended = true;
            return;
        }
        let Ok(chunk) = serde_json::from_slice::<Chunk>(data) else { return };
        self.is_ended |= chunk.choices.iter().flatten().any(|choice| choice.finish_reason.is_some());
        if let Some(counts) = chunk.usage {
            counts.raise(&mut self.usage);
        }
    }
}

/// The counts of an answer in one piece; `None` when it is no answer.
#[must_use]
pub fn of_completion(body: &[u8]) -> Option<Usage> {
    let completion: Completion = serde_json::from_slice(body).ok()?;
    let mut usage = Usage::default();
    if let Some(counts) = completion.usage {
        counts.raise(&mut usage);
    }
    Some(usage)
}

#[derive(Deserialize)]
struct Chunk {
    choices: Option<Vec<Choice>>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Choice {
    finish_reason: Option<IgnoredAny>,
}

#[derive(Deserialize)]
struct Completion {
    #[serde(rename = "choices")]
    _choices: Vec<IgnoredAny>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    prompt_tokens: Option<u64>,
    completion_tokens: Option<u64>,
    prompt_tokens_details: Option<Details>,
}

#[derive(Deserialize)]
struct Details {
    cached_tokens: Option<u64>,
}

impl Counts {
    /// Counts only grow within one answer: some vendors count in every piece.
    fn raise(&self, usage: &mut Usage) {
        let raise = |to: &mut u64, count: u64| *to = (*to).max(count);
        let all = self.prompt_tokens.unwrap_or(0);
        // The vendor counts cached words among all of them.
        let cached =
            self.prompt_tokens_details.as_ref().and_then(|details| details.cached_tokens).unwrap_or(0).min(all);
        raise(&mut usage.cache_read_tokens, cached);
        raise(&mut usage.input_tokens, all - cached);
        raise(&mut usage.output_tokens, self.completion_tokens.unwrap_or(0));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        r#"data: {"choices":[{"index":0,"delta":{"content":"data: {\"usage\":{\"completion_tokens\":9999}}"},"finish_reason":null}],"usage":null}"#,
        "\n\n: keep-alive\n\n",
        r#"data: {"choices":[{"index":0,"delta":{},"finish_reason":"stop"}]}"#,
        "\r\n\r\n",
        r#"data: {"choices":[],"usage":{"prompt_tokens":40,"completion_tokens":15,"total_tokens":55,"prompt_tokens_details":{"cached_tokens":30}}}"#,
        "\n\ndata: [DONE]\n\n",
    );

    const USAGE: Usage = Usage { input_tokens: 10, cache_read_tokens: 30, output_tokens: 15, ..Usage::NONE };

    #[test]
    fn the_counts_are_found_however_the_stream_is_cut_into_pieces() {
        for size in [1, 2, 7, 64, STREAM.len()] {
            let mut meter = ChatMeter::default();
            for piece in STREAM.as_bytes().chunks(size) {
                meter.hear(piece);
            }
            assert_eq!((meter.usage(), meter.is_ended()), (USAGE, true), "pieces of {size}");
        }
    }

    #[test]
    fn an_end_is_heard_from_the_model_or_from_the_last_line() {
        let ended = |stream: &str| {
            let mut meter = ChatMeter::default();
            meter.hear(stream.as_bytes());
            meter.is_ended()
        };
        assert!(!ended("data: {\"choices\":[{\"finish_reason\":null}]}\n\n") && !ended("data: [DONE]"));
        assert!(ended("data: [DONE]\n") && ended("data: {\"choices\":[{\"finish_reason\":\"length\"}]}\n"));
        assert!(!ended("data: {\"error\":{\"message\":\"x\"}}\n") && !ended("[DONE]\n"));
    }

    #[test]
    fn an_answer_in_one_piece_may_have_counts() {
        let body = br#"{"choices":[{}],"usage":{"prompt_tokens":40,"completion_tokens":15,"prompt_tokens_details":{"cached_tokens":30}}}"#;
        assert_eq!(of_completion(body), Some(USAGE));
        assert_eq!(of_completion(br#"{"choices":[]}"#), Some(Usage::NONE), "not every vendor counts");
        let more = br#"{"choices":[],"usage":{"prompt_tokens":1,"prompt_tokens_details":{"cached_tokens":9}}}"#;
        assert_eq!(
            of_completion(more),
            Some(Usage { cache_read_tokens: 1, ..Usage::NONE }),
            "no part is more than all"
        );
        for bad in [&b"{}"[..], b"[", b"", b"<html>", br#"{"choices":[],"usage":{"prompt_tokens":-1}}"#] {
            assert_eq!(of_completion(bad), None);
        }
    }
}
