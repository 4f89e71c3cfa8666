//! A model at a vendor to which the tenant has a key of its own.

use crate::credential::Kind;

/// A model as an agent is set to it: `VENDOR/MODEL`, such as `openai/gpt-5.5` or `compatible/qwen3`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OwnModel<'a> {
    /// Whose key is meant: one of the kinds that are keys of models.
    pub kind: Kind,
    /// As its vendor names it; it may hold slashes.
    pub name: &'a str,
}

impl<'a> OwnModel<'a> {
    /// Most bytes of the whole.
    pub const BYTES_MAX: usize = 100;

    /// Reads it; `None` where no vendor stands before the name, or no vendor has such a name.
    #[must_use]
    pub fn parse(text: &'a str) -> Option<Self> {
        let (vendor, name) = text.split_once('/')?;
        let kind = Kind::parse(vendor).filter(|kind| kind.is_model_key())?;
        // The name goes into a configuration whose reader expands what looks like a variable.
        let is_plain = |byte: u8| byte.is_ascii_alphanumeric() || b"._-:/@+".contains(&byte);
        let fits = !name.is_empty() && text.len() <= Self::BYTES_MAX && name.bytes().all(is_plain);
        fits.then_some(Self { kind, name })
    }

    /// What it is called where a person reads it.
    #[must_use]
    pub fn title(&self) -> String {
        let vendor = match self.kind {
            Kind::Anthropic => "Anthropic",
            Kind::OpenAi => "OpenAI",
            Kind::OpenRouter => "OpenRouter",
            Kind::Compatible | Kind::Telegram | Kind::Slack | Kind::Discord | Kind::Variable => "a compatible vendor",
        };
        format!("{} of {vendor}", self.name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_vendor_stands_before_the_name() {
        let table = [
            ("openai/gpt-5.5", Kind::OpenAi, "gpt-5.5"),
            ("openrouter/anthropic/claude-opus-5:beta", Kind::OpenRouter, "anthropic/claude-opus-5:beta"),
            ("compatible/@cf/meta/llama-4", Kind::Compatible, "@cf/meta/llama-4"),
            ("anthropic/claude-opus-5", Kind::Anthropic, "claude-opus-5"),
        ];
        for (text, kind, name) in table {
            assert_eq!(OwnModel::parse(text), Some(OwnModel { kind, name }), "{text}");
        }
        let long = format!("openai/{}", "x".repeat(94));
        for text in [
            "",
            "gpt-5.5",
            "openai",
            "openai/",
            "/gpt",
            "OpenAI/gpt",
            " openai/gpt",
            "telegram/x",
            "variable/x",
            "openai/a b",
            "openai/${HOME}",
            "openai/a\"b",
            "openai/ä",
            "openai/a\n",
            &long,
        ] {
            assert_eq!(OwnModel::parse(text), None, "{text}");
        }
        assert_eq!(OwnModel::parse("openai/gpt-5.5").map(|model| model.title()).as_deref(), Some("gpt-5.5 of OpenAI"));
    }
}
