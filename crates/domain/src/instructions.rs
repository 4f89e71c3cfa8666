//! What a tenant tells an agent about itself, and what else it chose for it.

use std::fmt;

use serde::{Deserialize, Serialize};

/// Most characters of instructions. OpenClaw takes up to 20,000 of a file into what it tells the model.
pub const CHARS_MAX: usize = 8_000;

/// An agent's instructions: who it is, how it answers, what it leaves alone. 1 to 8,000 characters of plain text.
#[derive(Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Instructions(String);

/// Why a text is no instructions. Each is a sentence for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadInstructions {
    /// Longer than an agent is told.
    #[error("instructions hold at most 8,000 characters")]
    Long,
    /// A control character other than a line break or a tab.
    #[error("instructions are plain text: take the control characters out")]
    Control,
}

impl Instructions {
    /// The only constructor. Line breaks become `\n`, space around the text is dropped; nothing but space is `None`.
    ///
    /// # Errors
    /// [`BadInstructions`] says which rule was broken.
    pub fn parse(raw: &str) -> Result<Option<Self>, BadInstructions> {
        let text = raw.replace("\r\n", "\n").replace('\r', "\n");
        let text = text.trim();
        if text.chars().count() > CHARS_MAX {
            return Err(BadInstructions::Long);
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(BadInstructions::Control);
        }
        Ok((!text.is_empty()).then(|| Self(text.to_owned())))
    }

    /// The words; a tenant's own.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// The file that the agent reads, ended by a line break.
    #[must_use]
    pub fn file(&self) -> String {
        format!("{}\n", self.0)
    }
}

/// A tenant's words are in no log.
impl fmt::Debug for Instructions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Instructions({} bytes)", self.0.len())
    }
}

/// What a tenant chose for an agent, beside its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Choices {
    /// A model of the menu, by its name. `None`: whichever is first on the menu.
    pub model: Option<String>,
    /// What it is told about itself.
    pub instructions: Option<Instructions>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_text_is_taken_as_it_is_typed_and_controls_are_not() {
        let kept = |raw: &str| Instructions::parse(raw).map(|text| text.map(|text| text.as_str().to_owned()));
        assert_eq!(kept(" \r\n\t "), Ok(None));
        assert_eq!(kept("Be kind.\r\nBe brief.\r"), Ok(Some("Be kind.\nBe brief.".into())));
        let hostile = "</script><script>alert(1)</script> ${HOME} $(id) `id` ../../etc/passwd {{x}} \u{202e}evil";
        assert_eq!(kept(hostile), Ok(Some(hostile.into())), "only words: nobody runs or expands them");
        for control in ["a\0b", "a\u{1b}[31mb", "a\u{7f}", "a\u{85}b"] {
            assert_eq!(kept(control), Err(BadInstructions::Control), "{control:?}");
        }
        assert_eq!(kept(&"ä".repeat(CHARS_MAX)).unwrap().unwrap().chars().count(), CHARS_MAX);
        assert_eq!(kept(&"ä".repeat(CHARS_MAX + 1)), Err(BadInstructions::Long));
    }

    #[test]
    fn no_word_of_them_shows_in_a_log() {
        let text = Instructions::parse("hush-words").unwrap();
        assert_eq!(format!("{text:?}"), "Some(Instructions(10 bytes))");
    }
}
