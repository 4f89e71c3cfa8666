//! Reads from an answer, as it passes by, what it will cost.
//!
//! The vendor counts in two events of a stream: `message_start` (tokens in) and
//! `message_delta` (tokens out so far, at the end all of them). Nothing is kept of
//! an answer but these counts.

use domain::model::Usage;
use serde::Deserialize;

use super::lines::Lines;

/// Listens to a stream of events.
#[derive(Debug, Default)]
pub struct Meter {
    lines: Lines,
    stage: Stage,
    usage: Usage,
}

/// How far the counting got.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
enum Stage {
    #[default]
    Before,
    /// The tokens in are known.
    Begun,
    /// The tokens out are known, if this was the last count.
    Counted,
    /// It was.
    Ended,
}

/// What a meter knows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reading {
    /// Nothing: the answer did not get as far as `message_start`.
    Unknown,
    /// The tokens in; the answer was cut, so the tokens out are not final.
    Cut(Usage),
    /// The answer came to its end.
    Final(Usage),
}

impl Meter {
    /// The next piece of the answer, cut anywhere.
    pub fn hear(&mut self, piece: &[u8]) {
        let Self { lines, stage, usage } = self;
        lines.hear(piece, |data| note(data, stage, usage));
    }

    /// What is known so far.
    #[must_use]
    pub const fn reading(&self) -> Reading {
        match self.stage {
            Stage::Before => Reading::Unknown,
            Stage::Begun | Stage::Counted => Reading::Cut(self.usage),
            Stage::Ended => Reading::Final(self.usage),
        }
    }
}

fn note(data: &[u8], stage: &mut Stage, usage: &mut Usage) {
    let Ok(event) = serde_json::from_slice::<Event>(data) else { return };
    let counts = event.usage.or(event.message.and_then(|message| message.usage));
    *stage = match (event.kind.as_str(), *stage, &counts) {
        ("message_start", Stage::Before, Some(_)) => Stage::Begun,
        ("message_delta", Stage::Begun, Some(_)) => Stage::Counted,
        ("message_stop", Stage::Counted, _) => Stage::Ended,
        (_, stage, _) => stage,
    };
    if let Some(counts) = counts {
        counts.raise(usage);
    }
}

/// The counts of an answer in one piece; `None` when it is not one.
#[must_use]
pub fn of_message(body: &[u8]) -> Option<Usage> {
    let message: Message = serde_json::from_slice(body).ok()?;
    let mut usage = Usage::default();
    message.usage?.raise(&mut usage);
    Some(usage)
}

#[derive(Deserialize)]
struct Event {
    #[serde(rename = "type")]
    kind: String,
    message: Option<Message>,
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Message {
    usage: Option<Counts>,
}

#[derive(Deserialize)]
struct Counts {
    input_tokens: Option<u64>,
    output_tokens: Option<u64>,
    cache_read_input_tokens: Option<u64>,
    cache_creation_input_tokens: Option<u64>,
    cache_creation: Option<Creation>,
}

#[derive(Deserialize)]
struct Creation {
    ephemeral_1h_input_tokens: Option<u64>,
}

impl Counts {
    /// Counts only grow within one answer; a later event repeats or raises an earlier one.
    fn raise(&self, usage: &mut Usage) {
        let raise = |to: &mut u64, count: Option<u64>| *to = (*to).max(count.unwrap_or(0));
        raise(&mut usage.input_tokens, self.input_tokens);
        raise(&mut usage.output_tokens, self.output_tokens);
        raise(&mut usage.cache_read_tokens, self.cache_read_input_tokens);
        let hour = self.cache_creation.as_ref().and_then(|creation| creation.ephemeral_1h_input_tokens).unwrap_or(0);
        raise(&mut usage.cache_write_1h_tokens, Some(hour));
        // The total holds both; what does not live an hour lives five minutes.
        let hour = usage.cache_write_1h_tokens;
        raise(&mut usage.cache_write_5m_tokens, self.cache_creation_input_tokens.map(|all| all.saturating_sub(hour)));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const STREAM: &str = concat!(
        "event: message_start\n",
        r#"data: {"type":"message_start","message":{"id":"msg_1","usage":{"input_tokens":25,"output_tokens":1,"#,
        r#""cache_creation_input_tokens":30,"cache_read_input_tokens":40,"cache_creation":{"ephemeral_1h_input_tokens":10}}}}"#,
        "\n\nevent: ping\ndata: {\"type\": \"ping\"}\n\n",
        r#"data: {"type":"content_block_delta","delta":{"text":"data: {\"type\":\"message_delta\",\"usage\":{\"output_tokens\":9999}}"}}"#,
        "\r\n\r\n",
        r#"data: {"type":"message_delta","usage":{"output_tokens":15,"input_tokens":25}}"#,
        "\n\ndata: {\"type\":\"message_stop\"}\n\n",
    );

    const USAGE: Usage = Usage {
        input_tokens: 25,
        cache_write_5m_tokens: 20,
        cache_write_1h_tokens: 10,
        cache_read_tokens: 40,
        output_tokens: 15,
    };

    #[test]
    fn the_counts_are_found_however_the_stream_is_cut_into_pieces() {
        for size in [1, 2, 7, 64, STREAM.len()] {
            let mut meter = Meter::default();
            for piece in STREAM.as_bytes().chunks(size) {
                meter.hear(piece);
            }
            assert_eq!(meter.reading(), Reading::Final(USAGE), "pieces of {size}");
        }
    }

    #[test]
    fn a_cut_stream_tells_what_it_told() {
        let mut meter = Meter::default();
        assert_eq!(meter.reading(), Reading::Unknown);
        let (before, _) = STREAM.split_once("event: ping").unwrap();
        meter.hear(before.as_bytes());
        assert_eq!(meter.reading(), Reading::Cut(Usage { output_tokens: 1, ..USAGE }));
        meter.hear(b"data: {\"type\":\"message_stop\"");
        assert!(matches!(meter.reading(), Reading::Cut(_)), "half an event is none");
    }

    #[test]
    fn what_is_no_event_is_passed_over_and_not_kept() {
        let mut meter = Meter::default();
        for _ in 0..100 {
            meter.hear(&[b'x'; 10_000]);
        }
        meter.hear(b"\ndata: [[[\ndata: {\"type\":\"message_start\",\"message\":{}}\n");
        assert_eq!(meter.reading(), Reading::Unknown, "a start without counts");
        meter.hear(b"data: {\"type\":\"message_stop\"}\n");
        assert_eq!(meter.reading(), Reading::Unknown, "an end without a beginning costs the worst case");
        meter.hear(STREAM.as_bytes());
        assert!(matches!(meter.reading(), Reading::Final(_)));
    }

    #[test]
    fn an_answer_in_one_piece_has_its_counts() {
        let body = br#"{"type":"message","usage":{"input_tokens":25,"output_tokens":15,"cache_creation_input_tokens":30,
            "cache_read_input_tokens":40,"cache_creation":{"ephemeral_5m_input_tokens":20,"ephemeral_1h_input_tokens":10}}}"#;
        assert_eq!(of_message(body), Some(USAGE));
        for bad in [&b"{}"[..], b"[", b"", b"{\"usage\":{\"input_tokens\":-1}}"] {
            assert_eq!(of_message(bad), None);
        }
    }
}
