//! The proof model's answer in the shape of the Chat Completions API.

use serde_json::{Value, json};

use super::{Answer, tokens};

impl Answer {
    /// The whole answer at once; `created` in seconds since 1970.
    #[must_use]
    pub fn to_completion(&self, created: u64) -> Value {
        let message = json!({ "role": "assistant", "content": self.text, "refusal": null });
        let choice = json!({ "index": 0, "message": message, "logprobs": null, "finish_reason": "stop" });
        self.frame_of("chat.completion", created, &json!([choice]), &self.counts())
    }

    /// The same piece by piece; counted in a last one where the caller asked for it.
    #[must_use]
    pub fn to_chunks(&self, created: u64, counts: bool) -> Vec<Value> {
        let chunk = |choices: &Value, usage: &Value| self.frame_of("chat.completion.chunk", created, choices, usage);
        let piece = |delta: Value, end: Option<&str>| {
            chunk(&json!([{ "index": 0, "delta": delta, "logprobs": null, "finish_reason": end }]), &Value::Null)
        };
        let mut all = vec![piece(json!({ "role": "assistant", "content": "" }), None)];
        all.extend(self.text.split_inclusive(' ').map(|word| piece(json!({ "content": word }), None)));
        all.push(piece(json!({}), Some("stop")));
        if counts {
            all.push(chunk(&json!([]), &self.counts()));
        }
        all
    }

    fn frame_of(&self, object: &str, created: u64, choices: &Value, usage: &Value) -> Value {
        json!({
            "id": self.id, "object": object, "created": created, "model": self.model, "choices": choices, "usage": usage,
        })
    }

    fn counts(&self) -> Value {
        let (input, output) = (self.input_tokens, tokens(self.text.len()));
        json!({ "prompt_tokens": input, "completion_tokens": output, "total_tokens": input + output })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pieces_hold_the_same_words_as_the_whole() {
        let answer =
            Answer { id: "chatcmpl-1".into(), model: "m".into(), text: "one two  three".into(), input_tokens: 10 };
        let chunks = answer.to_chunks(5, true);
        let words = chunks.iter().filter_map(|chunk| chunk.pointer("/choices/0/delta/content").and_then(Value::as_str));
        let whole = answer.to_completion(5);
        assert_eq!(words.collect::<String>(), whole["choices"][0]["message"]["content"]);
        assert_eq!(chunks.last().map(|chunk| &chunk["usage"]), Some(&whole["usage"]));
        let uncounted = answer.to_chunks(5, false);
        assert_eq!(uncounted.last().map(|chunk| &chunk["choices"][0]["finish_reason"]), Some(&json!("stop")));
    }
}
