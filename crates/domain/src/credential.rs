//! What a tenant gives Berth to use: keys to models, tokens of bots, variables of an agent.
//!
//! A credential's value goes in and never comes out again: whoever lost it sets a
//! new one. What is shown of it are its last four characters, and those only of a
//! value that is long enough to stay secret.

use std::fmt;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    protocol::{SecretFile, SecretText},
    variable::{self, BadVariableName, BadVariableValue, VariableValue},
};

pub use crate::variable::VARIABLES_MAX;
/// Most characters of a key or a token.
pub const KEY_CHARS_MAX: usize = 500;
/// Fewest characters of a value whose last four are shown.
const SHOWN_FROM: usize = 12;

/// What a credential is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum Kind {
    /// A key to Anthropic's API.
    #[serde(rename = "anthropic")]
    Anthropic,
    /// A key to `OpenAI`'s API.
    #[serde(rename = "openai")]
    OpenAi,
    /// A key to `OpenRouter`'s API.
    #[serde(rename = "openrouter")]
    OpenRouter,
    /// A key to another vendor that speaks `OpenAI`'s chat completions.
    #[serde(rename = "compatible")]
    Compatible,
    /// The token of a Telegram bot.
    #[serde(rename = "telegram")]
    Telegram,
    /// The two tokens of a Slack app: its bot's and its own.
    #[serde(rename = "slack")]
    Slack,
    /// The token of a Discord bot.
    #[serde(rename = "discord")]
    Discord,
    /// An environment variable of an agent.
    #[serde(rename = "variable")]
    Variable,
}

impl Kind {
    /// All of them, in the order in which they are shown.
    pub const EVERY: [Self; 8] = [
        Self::Anthropic,
        Self::OpenAi,
        Self::OpenRouter,
        Self::Compatible,
        Self::Telegram,
        Self::Slack,
        Self::Discord,
        Self::Variable,
    ];

    /// The word in the database and in the API.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Anthropic => "anthropic",
            Self::OpenAi => "openai",
            Self::OpenRouter => "openrouter",
            Self::Compatible => "compatible",
            Self::Telegram => "telegram",
            Self::Slack => "slack",
            Self::Discord => "discord",
            Self::Variable => "variable",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|kind| kind.name() == word)
    }

    /// What people call it.
    #[must_use]
    pub const fn title(self) -> &'static str {
        match self {
            Self::Anthropic => "Anthropic key",
            Self::OpenAi => "OpenAI key",
            Self::OpenRouter => "OpenRouter key",
            Self::Compatible => "Key of an OpenAI-compatible vendor",
            Self::Telegram => "Telegram bot",
            Self::Slack => "Slack app",
            Self::Discord => "Discord bot",
            Self::Variable => "Variable",
        }
    }

    /// Whether it is a key to a model vendor. Those are the tenant's and never reach a machine.
    #[must_use]
    pub const fn is_model_key(self) -> bool {
        matches!(self, Self::Anthropic | Self::OpenAi | Self::OpenRouter | Self::Compatible)
    }

    /// Whether it is the token of a bot. Those are one agent's, and no other agent's of the installation.
    #[must_use]
    pub const fn is_bot_token(self) -> bool {
        matches!(self, Self::Telegram | Self::Slack | Self::Discord)
    }
}

/// Why a value cannot be that of a credential. Each is a sentence for who typed it, without what they typed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadCredential {
    /// Nothing, or nothing but space.
    #[error("the value is empty")]
    Empty,
    /// Longer than any key is.
    #[error("a key or token has at most {KEY_CHARS_MAX} characters")]
    Long,
    /// It holds what no key holds.
    #[error("a key or token is one word of letters, digits and signs; something else was copied along")]
    Form,
    /// No bot token of Telegram's looks like that.
    #[error("a Telegram token looks like 123456789:AA…; BotFather shows it when the bot is made")]
    Telegram,
    /// No pair of Slack's tokens looks like that.
    #[error("Slack needs two tokens, one a line: the bot's (xoxb-…) and the app's (xapp-…)")]
    Slack,
    /// More than a variable holds.
    #[error("a variable holds at most 8 KB")]
    VariableLong,
    /// A variable holds text.
    #[error("a variable holds text: take the control characters out")]
    VariableForm,
    /// Not a variable's name.
    #[error("a variable's name is made of A-Z, 0-9 and _, begins with a letter and has at most 64 characters")]
    Name,
    /// A name that would change the agent's gateway.
    #[error("that name is not free: it would change the agent's gateway itself. Choose another one")]
    NameReserved,
    /// A name from which a channel's token would be taken.
    #[error("that is a channel's token: set it as the agent's channel, not as a variable")]
    NameOfChannel,
    /// It needs a name, or has one where it should not.
    #[error("a variable needs a name, and nothing else has one")]
    NameMissing,
    /// It needs an address, or has one where it should not.
    #[error("a compatible vendor needs an address that begins with https://, and nothing else has one")]
    Address,
    /// It belongs to an agent, or to the tenant.
    #[error("keys to models belong to the tenant, everything else to one agent")]
    Owner,
}

/// A value of the right form for its kind, on its way to be sealed. Prints as a placeholder.
pub struct Value {
    kind: Kind,
    text: SecretText,
}

impl Value {
    /// The only constructor. Space around a key is dropped; a variable's value is kept as it is.
    ///
    /// # Errors
    /// [`BadCredential`] says which rule was broken.
    pub fn parse(kind: Kind, raw: &SecretText) -> Result<Self, BadCredential> {
        let raw = raw.expose();
        if kind == Kind::Variable {
            let value = VariableValue::parse(raw.to_owned()).map_err(|bad| match bad {
                BadVariableValue::Empty => BadCredential::Empty,
                BadVariableValue::Long => BadCredential::VariableLong,
                BadVariableValue::Control => BadCredential::VariableForm,
            })?;
            return Ok(Self { kind, text: SecretText::new(value.expose().to_owned()) });
        }
        let words: Vec<&str> = raw.split_ascii_whitespace().collect();
        let text = match (kind, words.as_slice()) {
            (_, []) => return Err(BadCredential::Empty),
            (Kind::Slack, [one, other]) => {
                let (bot, app) = if one.starts_with("xapp-") { (other, one) } else { (one, other) };
                if !(bot.starts_with("xoxb-") && app.starts_with("xapp-")) {
                    return Err(BadCredential::Slack);
                }
                format!("{bot}\n{app}")
            }
            (Kind::Slack, _) => return Err(BadCredential::Slack),
            (Kind::Telegram, [word]) if !is_telegram(word) => return Err(BadCredential::Telegram),
            (_, [word]) => (*word).to_owned(),
            _ => return Err(BadCredential::Form),
        };
        let text = SecretText::new(text);
        match () {
            () if text.expose().len() > KEY_CHARS_MAX => Err(BadCredential::Long),
            () if !words.iter().all(|word| word.bytes().all(|byte| byte.is_ascii_graphic())) => {
                Err(BadCredential::Form)
            }
            () if text.expose().len() < 8 => Err(BadCredential::Form),
            () => Ok(Self { kind, text }),
        }
    }

    /// What it is for.
    #[must_use]
    pub const fn kind(&self) -> Kind {
        self.kind
    }

    /// The value. Every call of this is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        self.text.expose()
    }

    /// The last four characters, of a value that is long enough; else nothing. A variable shows nothing.
    #[must_use]
    pub fn tail(&self) -> String {
        let text = self.text.expose();
        let count = text.chars().count();
        if self.kind == Kind::Variable || count < SHOWN_FROM {
            return String::new();
        }
        text.chars().skip(count - 4).collect()
    }
}

impl fmt::Debug for Value {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Value({})", self.kind.name())
    }
}

fn is_telegram(word: &str) -> bool {
    word.split_once(':').is_some_and(|(bot, secret)| {
        (5..=16).contains(&bot.len())
            && bot.bytes().all(|byte| byte.is_ascii_digit())
            && (20..=100).contains(&secret.len())
            && secret.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-')
    })
}

/// The files in which a bot's tokens lie on a machine. Empty for a kind that is no bot, or a text that is not its.
#[must_use]
pub fn files(kind: Kind, text: &str) -> Vec<SecretFile> {
    let file = |name: &str, value: &str| SecretFile { name: name.to_owned(), value: SecretText::new(value.to_owned()) };
    match (kind, text.split_once('\n')) {
        (Kind::Telegram, None) => vec![file("telegram_token", text)],
        (Kind::Discord, None) => vec![file("discord_token", text)],
        (Kind::Slack, Some((bot, app))) => vec![file("slack_bot_token", bot), file("slack_app_token", app)],
        _ => Vec::new(),
    }
}

/// The name of an environment variable: `^[A-Z][A-Z0-9_]*$`, at most 64 characters.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(transparent)]
pub struct VariableName(String);

impl VariableName {
    /// The only constructor.
    ///
    /// # Errors
    /// [`BadCredential::Name`].
    pub fn parse(raw: &str) -> Result<Self, BadCredential> {
        let raw = raw.trim();
        variable::VariableName::parse(raw).map(|name| Self(name.as_str().to_owned())).map_err(|bad| match bad {
            BadVariableName::Form => BadCredential::Name,
            BadVariableName::Reserved => BadCredential::NameReserved,
            BadVariableName::Channel => BadCredential::NameOfChannel,
        })
    }

    /// As it stands in the environment.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Where a compatible vendor's API begins: `https://…`, at most 300 characters, without a slash at the end. Plain http is
/// for places that an operator named; whether this is one is judged when it is asked ([`crate::reachable`]).
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(transparent)]
pub struct BaseUrl(String);

impl BaseUrl {
    /// The only constructor. Whether the host may be asked at all is for who asks it.
    ///
    /// # Errors
    /// [`BadCredential::Address`].
    pub fn parse(raw: &str) -> Result<Self, BadCredential> {
        let text = raw.trim().trim_end_matches('/');
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://"));
        let host = rest.and_then(|rest| rest.split('/').next()).unwrap_or_default();
        let plain = text.bytes().all(|byte| byte.is_ascii_graphic() && !matches!(byte, b'@' | b'?' | b'#' | b'\\'));
        if host.is_empty() || !plain || text.len() > 300 {
            return Err(BadCredential::Address);
        }
        Ok(Self(text.to_owned()))
    }

    /// As it is asked.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// Its host, with the port where one is named, and nothing of the path: some vendors put a key there.
    #[must_use]
    pub fn host(&self) -> &str {
        self.0.split('/').nth(2).unwrap_or_default()
    }
}

/// What a vendor said of a credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "verdict", rename_all = "snake_case")]
pub enum Verdict {
    /// It is good.
    Accepted {
        /// Whose it is, in the vendor's words: a bot's name. Hostile.
        who: Option<String>,
    },
    /// It is not, or not any more.
    Refused {
        /// In a sentence.
        why: String,
    },
    /// The vendor could not be asked, or this kind is not checked.
    Unknown {
        /// In a sentence.
        why: String,
    },
}

/// When a vendor was asked, and what it said.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Checked {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    #[serde(flatten)]
    pub verdict: Verdict,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(kind: Kind, raw: &str) -> Result<String, BadCredential> {
        Value::parse(kind, &SecretText::new(raw.to_owned())).map(|value| value.expose().to_owned())
    }

    const TELEGRAM: &str = "123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc";

    #[test]
    fn a_value_is_taken_in_the_form_of_its_kind() {
        assert_eq!(parse(Kind::Anthropic, " sk-ant-1234567890 \n").unwrap(), "sk-ant-1234567890");
        assert_eq!(parse(Kind::Telegram, TELEGRAM).unwrap(), TELEGRAM);
        assert_eq!(parse(Kind::Slack, "xapp-1-abcdef xoxb-2-abcdef").unwrap(), "xoxb-2-abcdef\nxapp-1-abcdef");
        assert_eq!(parse(Kind::Variable, " a b\n").unwrap(), " a b\n", "as it is");
        let bad = [
            (Kind::OpenAi, "", BadCredential::Empty),
            (Kind::OpenAi, "sk-1234567890 and more", BadCredential::Form),
            (Kind::OpenAi, "sk-123456789\u{e9}", BadCredential::Form),
            (Kind::OpenAi, "short", BadCredential::Form),
            (Kind::OpenRouter, &"x".repeat(501), BadCredential::Long),
            (Kind::Telegram, "AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc", BadCredential::Telegram),
            (Kind::Slack, "xoxb-2-abcdef", BadCredential::Slack),
            (Kind::Slack, "xoxb-2-abcdef xoxb-2-abcdef", BadCredential::Slack),
            (Kind::Variable, &"x".repeat(8193), BadCredential::VariableLong),
            (Kind::Variable, "a\0b", BadCredential::VariableForm),
        ];
        for (kind, raw, why) in bad {
            assert_eq!(parse(kind, raw).unwrap_err(), why, "{kind:?}");
        }
    }

    /// CRY-16: four characters at most, and none of what is short.
    #[test]
    fn the_tail_of_a_long_value_is_shown_and_nothing_of_a_short_one() {
        let tail = |kind, raw: &str| Value::parse(kind, &SecretText::new(raw.to_owned())).unwrap().tail();
        assert_eq!(tail(Kind::Anthropic, "sk-ant-12345678abcd"), "abcd");
        assert_eq!(tail(Kind::Anthropic, "sk-ant-1234"), "");
        assert_eq!(tail(Kind::Variable, "a long value of a variable"), "");
        let shown = format!("{:?}", Value::parse(Kind::Telegram, &SecretText::new(TELEGRAM.to_owned())).unwrap());
        assert_eq!(shown, "Value(telegram)");
    }

    #[test]
    fn a_bot_has_a_file_for_each_token() {
        let names = |kind, text: &str| files(kind, text).into_iter().map(|file| file.name).collect::<Vec<_>>();
        assert_eq!(names(Kind::Telegram, TELEGRAM), ["telegram_token"]);
        assert_eq!(names(Kind::Slack, "xoxb-1\nxapp-2"), ["slack_bot_token", "slack_app_token"]);
        assert!(names(Kind::Anthropic, "sk").is_empty(), "a key to a model never reaches a machine");
    }

    #[test]
    fn a_variables_name_is_shouted() {
        for good in ["A", "API_KEY", "A1_"] {
            assert_eq!(VariableName::parse(good).unwrap().as_str(), good);
        }
        for bad in ["", "a", "1A", "_A", "A-B", "A B", "Ä", &"A".repeat(65)] {
            assert_eq!(VariableName::parse(bad), Err(BadCredential::Name), "{bad}");
        }
    }

    #[test]
    fn an_address_is_https_and_names_a_host() {
        assert_eq!(BaseUrl::parse(" https://llm.example/v1/ ").unwrap().as_str(), "https://llm.example/v1");
        assert_eq!(BaseUrl::parse("http://llm.internal:8000/v1/k-123").unwrap().host(), "llm.internal:8000");
        for bad in [
            "",
            "ftp://llm.example",
            "llm.example",
            "https://",
            "https:///v1",
            "https://a@b",
            "https://a/?k=v",
            "https://a b",
        ] {
            assert_eq!(BaseUrl::parse(bad), Err(BadCredential::Address), "{bad}");
        }
    }

    #[test]
    fn a_kind_reads_as_its_name() {
        for kind in Kind::EVERY {
            assert_eq!((Kind::parse(kind.name()), serde_json::json!(kind)), (Some(kind), kind.name().into()));
        }
    }
}
