//! A Slack app's two tokens, kept as one credential.
//!
//! OpenClaw listens to Slack over a socket of its own (Socket Mode), which takes
//! the app's token (`xapp-`), and speaks with the bot's (`xoxb-`). One without the
//! other is of no use, so a tenant gives both at once.
//!
//! The credential's text is the bot's token, a line break, the app's token. A
//! person may paste them in either order, with any space between.

use std::fmt;

/// Both tokens, in the text that they stand in.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct SlackTokens<'a> {
    /// Speaks: `xoxb-…`. What the last four characters are shown of, and what is hashed to find it twice.
    pub bot: &'a str,
    /// Listens: `xapp-…`.
    pub app: &'a str,
}

/// Why a text does not hold them. Each is a sentence for the person who pasted it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadSlackTokens {
    /// Not two of them.
    #[error("Slack needs two tokens, one a line: the bot's (xoxb-…) and the app's (xapp-…)")]
    Two,
    /// A character that no token has, or too many.
    #[error("a Slack token holds letters, digits and dashes only, at most {} of them", SlackTokens::BYTES_MAX)]
    Alphabet,
}

impl<'a> SlackTokens<'a> {
    /// Most bytes of one token.
    pub const BYTES_MAX: usize = 300;

    /// Finds both.
    ///
    /// # Errors
    /// [`BadSlackTokens`]
    pub fn parse(text: &'a str) -> Result<Self, BadSlackTokens> {
        let mut words = text.split_whitespace();
        let (Some(one), Some(other), None) = (words.next(), words.next(), words.next()) else {
            return Err(BadSlackTokens::Two);
        };
        let (bot, app) = if one.starts_with("xapp-") { (other, one) } else { (one, other) };
        if !bot.starts_with("xoxb-") || !app.starts_with("xapp-") {
            return Err(BadSlackTokens::Two);
        }
        let fits = |token: &str| {
            token.len() <= Self::BYTES_MAX && token.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
        };
        if fits(bot) && fits(app) { Ok(Self { bot, app }) } else { Err(BadSlackTokens::Alphabet) }
    }

    /// The credential's text: the same for the same tokens, however they were pasted.
    #[must_use]
    pub fn to_text(&self) -> String {
        format!("{}\n{}", self.bot, self.app)
    }
}

impl fmt::Debug for SlackTokens<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("SlackTokens(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_tokens_are_found_however_they_were_pasted() {
        for text in ["xoxb-1-a\nxapp-1-b", "xapp-1-b\r\n\r\n xoxb-1-a\n", "xapp-1-b xoxb-1-a"] {
            let tokens = SlackTokens::parse(text).unwrap();
            assert_eq!((tokens.bot, tokens.app, tokens.to_text().as_str()), ("xoxb-1-a", "xapp-1-b", "xoxb-1-a\nxapp-1-b"));
            assert!(!format!("{tokens:?}").contains("1-a"));
        }
        for text in ["", "xoxb-1", "xapp-1", "xoxb-1 xoxb-2", "xapp-1 xapp-2", "xoxp-1 xapp-1", "xoxb-1 xapp-1 xoxp-1"] {
            assert_eq!(SlackTokens::parse(text), Err(BadSlackTokens::Two), "{text}");
        }
        let long = format!("xoxb-{} xapp-1", "x".repeat(300));
        for text in ["xoxb-ä xapp-1", "xoxb-1 xapp-1\u{1}", "xoxb-1/../ xapp-1", &long] {
            assert_eq!(SlackTokens::parse(text), Err(BadSlackTokens::Alphabet), "{text}");
        }
    }
}
