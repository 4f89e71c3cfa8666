//! Judges a call before it is paid for: what it asks, and the most that it can cost.
//!
//! Only fields whose price is known may stand in it. The bytes that were judged
//! are the bytes that go out, so they must mean the same to the vendor: a field
//! that stands there twice is refused.

use std::{borrow::Cow, fmt};

use domain::model::{Menu, Micros, Offer};
use http::StatusCode;
use serde::{
    Deserialize, Deserializer,
    de::{IgnoredAny, MapAccess, SeqAccess, Visitor},
};

use crate::problem::Problem;

/// Beta features of the vendor that a call may ask for: they cost nothing more. Others are not passed on.
const BETAS: [&str; 1] = ["fine-grained-tool-streaming-2025-05-14"];

/// Tokens that the vendor adds by itself: its own words before tools, and the frame of a conversation.
const ADDED_TOKENS: u64 = 4096;

/// Most tokens that the vendor takes an image for, whatever its size.
const IMAGE_TOKENS: u64 = 5000;

/// Deeper JSON is refused: nothing that an agent says needs it.
const DEPTH_MAX: usize = 100;

/// A call that may be held for.
#[derive(Debug)]
pub(super) struct Ask<'a> {
    /// What is asked for.
    pub offer: &'a Offer,
    /// Most tokens of the answer.
    pub output_tokens_max: u64,
    /// The most that it can cost.
    pub worst: Micros,
}

impl<'a> Ask<'a> {
    /// Judges the bytes of a call.
    pub fn judge(body: &[u8], menu: &'a Menu) -> Result<Self, Problem> {
        if depth(body) > DEPTH_MAX {
            return Err(refused(format!("The JSON body is nested deeper than {DEPTH_MAX} levels.")));
        }
        let wire: Wire =
            crate::body::parse(body).map_err(|problem| Problem { status: StatusCode::BAD_REQUEST, ..problem })?;
        let offer = menu.find(&wire.model).ok_or_else(|| unknown(menu))?;
        let output_tokens_max =
            wire.max_tokens.max(wire.thinking.as_ref().and_then(|think| think.budget_tokens).unwrap_or(0));
        if !(1..=offer.price.answer_tokens).contains(&output_tokens_max) {
            let most = offer.price.answer_tokens;
            return Err(refused(format!("max_tokens: must be between 1 and {most} for {}.", offer.name)));
        }
        if wire.tools.iter().flatten().any(|tool| tool.kind.as_deref().is_some_and(|kind| kind != "custom")) {
            return Err(refused("tools: only tools of your own can be used here, none that the vendor runs."));
        }
        let images = wire.images()?;
        let input = u64::try_from(body.len()).unwrap_or(u64::MAX).saturating_add(ADDED_TOKENS);
        let input = input.saturating_add(images.saturating_mul(IMAGE_TOKENS));
        Ok(Self { offer, output_tokens_max, worst: offer.price.worst_case(input, output_tokens_max) })
    }
}

/// Those features of the header's list that may be asked for.
pub(super) fn betas(asked: &str) -> &'static [&'static str] {
    let is_wanted = |name: &&str| asked.split(',').any(|one| one.trim() == *name);
    if BETAS.iter().all(is_wanted) { &BETAS } else { &[] }
}

/// The fields of a request whose price is known. Any other one is refused by name.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wire<'b> {
    #[serde(borrow)]
    model: Cow<'b, str>,
    max_tokens: u64,
    messages: Vec<Message>,
    #[serde(default, rename = "stream")]
    _stream: bool,
    #[serde(default)]
    system: Option<Content>,
    #[serde(default)]
    tools: Option<Vec<Tool>>,
    #[serde(default)]
    thinking: Option<Thinking>,
    #[serde(default, rename = "service_tier")]
    _service_tier: Option<ServiceTier>,
    #[serde(default, rename = "cache_control")]
    _cache_control: IgnoredAny,
    #[serde(default, rename = "metadata")]
    _metadata: IgnoredAny,
    #[serde(default, rename = "output_config")]
    _output_config: IgnoredAny,
    #[serde(default, rename = "stop_sequences")]
    _stop_sequences: IgnoredAny,
    #[serde(default, rename = "temperature")]
    _temperature: IgnoredAny,
    #[serde(default, rename = "tool_choice")]
    _tool_choice: IgnoredAny,
    #[serde(default, rename = "top_k")]
    _top_k: IgnoredAny,
    #[serde(default, rename = "top_p")]
    _top_p: IgnoredAny,
}

/// Both are charged at the list price.
#[derive(Deserialize)]
#[serde(rename_all = "snake_case")]
enum ServiceTier {
    Auto,
    StandardOnly,
}

#[derive(Deserialize)]
struct Message {
    content: Content,
}

#[derive(Deserialize)]
struct Tool {
    #[serde(default, rename = "type")]
    kind: Option<String>,
}

#[derive(Deserialize)]
struct Thinking {
    #[serde(default)]
    budget_tokens: Option<u64>,
}

/// What stands where words may stand: a text, or blocks.
struct Content(Vec<Block>);

struct Block {
    kind: String,
    source: Option<Source>,
    content: Option<Content>,
}

#[derive(Deserialize)]
struct Source {
    #[serde(rename = "type")]
    kind: String,
}

impl Wire<'_> {
    /// How many images the call holds. A block whose cost cannot be bounded is refused.
    fn images(&self) -> Result<u64, Problem> {
        let mut images: u64 = 0;
        let mut open: Vec<&Block> = self.messages.iter().flat_map(|message| &message.content.0).collect();
        open.extend(self.system.iter().flat_map(|system| &system.0));
        while let Some(block) = open.pop() {
            match (block.kind.as_str(), block.source.as_ref().map(|source| source.kind.as_str())) {
                ("text" | "tool_use" | "thinking" | "redacted_thinking", None) => {}
                ("tool_result", None) => open.extend(block.content.iter().flat_map(|content| &content.0)),
                ("image", Some("base64")) => images = images.saturating_add(1),
                ("image", _) => {
                    return Err(refused(
                        "messages: an image must be in the call itself, as base64, not at an address.",
                    ));
                }
                _ => {
                    return Err(refused(
                        "messages: only text, images, thinking, and your own tools' calls and results can be sent here.",
                    ));
                }
            }
        }
        Ok(images)
    }
}

/// How deep brackets nest, at most. Brackets inside of strings do not count.
fn depth(body: &[u8]) -> usize {
    let (mut now, mut most, mut in_string, mut is_escaped) = (0_usize, 0_usize, false, false);
    for byte in body {
        match (in_string, is_escaped, byte) {
            (true, true, _) => is_escaped = false,
            (true, false, b'\\') => is_escaped = true,
            (_, _, b'"') => in_string = !in_string,
            (false, _, b'[' | b'{') => {
                now += 1;
                most = most.max(now);
            }
            (false, _, b']' | b'}') => now = now.saturating_sub(1),
            _ => {}
        }
    }
    most
}

/// The name that was asked for is not repeated: it may be words.
fn unknown(menu: &Menu) -> Problem {
    let names: Vec<&str> = menu.offers().iter().map(|offer| offer.name.as_str()).collect();
    let detail = format!("model: that one is not offered here. Offered are: {}.", names.join(", "));
    Problem::new(StatusCode::NOT_FOUND, "unknown-model", detail)
}

fn refused(detail: impl Into<Cow<'static, str>>) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "model-call-refused", detail)
}

impl<'de> Deserialize<'de> for Content {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Content;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a text or a list of blocks")
            }

            fn visit_str<E>(self, _: &str) -> Result<Content, E> {
                Ok(Content(Vec::new()))
            }

            fn visit_seq<A: SeqAccess<'de>>(self, mut blocks: A) -> Result<Content, A::Error> {
                let mut all = Vec::new();
                while let Some(block) = blocks.next_element()? {
                    all.push(block);
                }
                Ok(Content(all))
            }
        }
        deserializer.deserialize_any(Reads)
    }
}

impl<'de> Deserialize<'de> for Block {
    /// By hand, because `content` is words in one kind of block and something else in others.
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Reads;
        impl<'de> Visitor<'de> for Reads {
            type Value = Block;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a block")
            }

            fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Block, A::Error> {
                let twice = serde::de::Error::duplicate_field;
                let (mut kind, mut source, mut content) = (None, None, None);
                while let Some(name) = fields.next_key::<Cow<'de, str>>()? {
                    match name.as_ref() {
                        "type" if kind.is_some() => return Err(twice("type")),
                        "type" => kind = Some(fields.next_value()?),
                        "source" if source.is_some() => return Err(twice("source")),
                        "source" => source = Some(fields.next_value()?),
                        "content" if content.is_some() => return Err(twice("content")),
                        "content" => content = Some(fields.next_value()?),
                        _ => {
                            fields.next_value::<IgnoredAny>()?;
                        }
                    }
                }
                let kind = kind.ok_or_else(|| serde::de::Error::missing_field("type"))?;
                Ok(Block { kind, source, content })
            }
        }
        deserializer.deserialize_map(Reads)
    }
}

#[cfg(test)]
mod tests;
