//! What a tenant gives Berth to use in its name.

use serde::{Deserialize, Serialize};

/// What a credential opens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Kind {
    /// A key for Anthropic's models.
    Anthropic,
    /// A key for OpenAI's models.
    #[serde(rename = "openai")]
    OpenAi,
    /// A key for OpenRouter's models.
    #[serde(rename = "openrouter")]
    OpenRouter,
    /// A key for a server that speaks as OpenAI's does, at an address of the tenant's.
    Compatible,
    /// The token of a Telegram bot.
    Telegram,
    /// The two tokens of a Slack app.
    Slack,
    /// The token of a Discord bot.
    Discord,
    /// An environment variable of an agent.
    Variable,
}

impl Kind {
    /// All of them.
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

    /// The word for it in tables, addresses and logs.
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

    /// The kind of this name.
    #[must_use]
    pub fn parse(name: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|kind| kind.name() == name)
    }

    /// Whether a vendor of models takes it.
    #[must_use]
    pub const fn is_model_key(self) -> bool {
        matches!(self, Self::Anthropic | Self::OpenAi | Self::OpenRouter | Self::Compatible)
    }

    /// Whether a bot speaks with it.
    #[must_use]
    pub const fn is_bot_token(self) -> bool {
        matches!(self, Self::Telegram | Self::Slack | Self::Discord)
    }
}
