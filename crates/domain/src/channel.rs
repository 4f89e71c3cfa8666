//! How people reach an agent: Telegram, Slack, Discord.
//!
//! [`Channels`] says which are on, and holds no secret: a channel's tokens travel
//! beside the configuration, under the names of [`Channel::secrets`]. What a
//! machine must be able to reach for them is [`Channels::reach`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::reach::{BadReach, Reach};

/// Where Telegram's Bot API is, unless an operator says otherwise.
const TELEGRAM_HOST: (&str, u16) = ("api.telegram.org", 443);

/// Slack in Socket Mode: the Web API, the two socket hosts, and where files lie.
const SLACK_HOSTS: [(&str, u16); 4] =
    [("slack.com", 443), ("wss-primary.slack.com", 443), ("wss-backup.slack.com", 443), ("files.slack.com", 443)];

/// Discord: the API, the gateway, and where attachments lie.
const DISCORD_HOSTS: [(&str, u16); 4] =
    [("discord.com", 443), ("gateway.discord.gg", 443), ("cdn.discordapp.com", 443), ("media.discordapp.net", 443)];

/// A kind of channel.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Channel {
    /// A Telegram bot.
    Telegram,
    /// A Slack app in Socket Mode.
    Slack,
    /// A Discord bot.
    Discord,
}

impl Channel {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Telegram, Self::Slack, Self::Discord];

    /// Those that the machine image can run, and so those that may be offered. OpenClaw takes Slack and Discord from
    /// plugins that the image brings (`docs/decisions/0085-channels-and-variables.md`).
    pub const OFFERED: [Self; 3] = Self::ALL;

    /// The word for it, as OpenClaw has it.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Telegram => "telegram",
            Self::Slack => "slack",
            Self::Discord => "discord",
        }
    }

    /// Reads [`Self::as_str`].
    #[must_use]
    pub fn parse(raw: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channel| channel.as_str() == raw)
    }

    /// Whether OpenClaw takes it from a plugin that it does not carry itself.
    #[must_use]
    pub const fn is_plugin(self) -> bool {
        match self {
            Self::Telegram => false,
            Self::Slack | Self::Discord => true,
        }
    }

    /// Names of the secrets that it takes, each a file of its own on the machine.
    #[must_use]
    pub const fn secrets(self) -> &'static [&'static str] {
        match self {
            Self::Telegram => &["telegram_token"],
            Self::Slack => &["slack_bot_token", "slack_app_token"],
            Self::Discord => &["discord_token"],
        }
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// The channels of one agent. Which are on, and how; no secret.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Channels {
    /// On or off.
    pub telegram: Option<Telegram>,
    /// On or off.
    pub slack: Option<Slack>,
    /// On or off.
    pub discord: Option<Discord>,
}

/// A Telegram bot, by long polling.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Telegram {
    /// Another Bot API server, when an operator has set one.
    pub api_root: Option<ApiRoot>,
}

/// A Slack app, by Socket Mode.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Slack;

/// A Discord bot.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Discord;

impl Channels {
    /// Those that are on.
    #[must_use]
    pub fn on(&self) -> Vec<Channel> {
        let is_on = |channel: &Channel| match channel {
            Channel::Telegram => self.telegram.is_some(),
            Channel::Slack => self.slack.is_some(),
            Channel::Discord => self.discord.is_some(),
        };
        Channel::ALL.into_iter().filter(is_on).collect()
    }

    /// Where a machine must be able to connect to for them, in order.
    #[must_use]
    pub fn reach(&self) -> Vec<Reach> {
        let named = |hosts: &[(&str, u16)]| -> Vec<Reach> {
            hosts.iter().filter_map(|(host, port)| Reach::of(host, *port).ok()).collect()
        };
        let telegram = self.telegram.iter().flat_map(|telegram| match &telegram.api_root {
            Some(root) => vec![root.reach.clone()],
            None => named(&[TELEGRAM_HOST]),
        });
        let slack = self.slack.iter().flat_map(|_| named(&SLACK_HOSTS));
        let discord = self.discord.iter().flat_map(|_| named(&DISCORD_HOSTS));
        let mut all: Vec<Reach> = telegram.chain(slack).chain(discord).collect();
        all.sort();
        all.dedup();
        all
    }
}

/// The root of a Bot API server that an operator runs: `http(s)://host[:port][/path]`, without a slash at the end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ApiRoot {
    text: String,
    reach: Reach,
}

/// Why a text is no root of a Bot API server.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadApiRoot {
    /// No address of that form.
    #[error(
        "a Bot API server is http:// or https://, a host, and perhaps a port and a path; no user, query or fragment"
    )]
    Form,
    /// Its host or port is none.
    #[error(transparent)]
    Reach(#[from] BadReach),
}

impl ApiRoot {
    /// The only constructor. A slash at the end is dropped.
    ///
    /// # Errors
    /// [`BadApiRoot`] says which rule was broken.
    pub fn parse(raw: &str) -> Result<Self, BadApiRoot> {
        let (scheme, rest) = raw.trim().split_once("://").ok_or(BadApiRoot::Form)?;
        let port = match scheme {
            "http" => 80,
            "https" => 443,
            _ => return Err(BadApiRoot::Form),
        };
        let rest = rest.trim_end_matches('/');
        let (authority, path) = rest.split_at(rest.find('/').unwrap_or(rest.len()));
        let plain = |text: &str| text.bytes().all(|b| b.is_ascii_graphic() && !b"?#@\\\"'<>`{}|^%".contains(&b));
        if authority.is_empty() || !plain(authority) || !plain(path) {
            return Err(BadApiRoot::Form);
        }
        let has_port = authority.rsplit_once(':').is_some_and(|(_, port)| !port.ends_with(']'));
        let reach = if has_port { Reach::parse(authority)? } else { Reach::of(authority, port)? };
        Ok(Self { text: format!("{scheme}://{}{path}", authority.to_ascii_lowercase()), reach })
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Where it is reached.
    #[must_use]
    pub const fn reach(&self) -> &Reach {
        &self.reach
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::reach::REACH_MAX;

    #[test]
    fn a_channel_opens_its_own_hosts_and_no_others() {
        let texts = |channels: &Channels| channels.reach().iter().map(ToString::to_string).collect::<Vec<_>>();
        assert_eq!(texts(&Channels::default()), Vec::<String>::new());
        let telegram = Channels { telegram: Some(Telegram::default()), ..Channels::default() };
        assert_eq!(texts(&telegram), ["api.telegram.org:443"]);
        let api_root = Some(ApiRoot::parse("http://10.4.0.1:8081/").unwrap());
        let own = Channels { telegram: Some(Telegram { api_root }), ..Channels::default() };
        assert_eq!(texts(&own), ["10.4.0.1:8081"], "an operator's own server stands in Telegram's place");
        let all = Channels { telegram: Some(Telegram::default()), slack: Some(Slack), discord: Some(Discord) };
        assert_eq!(all.on(), Channel::ALL);
        assert_eq!(all.reach().len(), 1 + SLACK_HOSTS.len() + DISCORD_HOSTS.len());
        assert!(all.reach().len() <= REACH_MAX && all.reach().iter().all(|reach| !reach.is_private_address()));
    }

    #[test]
    fn channels_and_their_secrets_are_named_once() {
        for channel in Channel::ALL {
            assert_eq!(Channel::parse(channel.as_str()), Some(channel));
            assert_eq!(serde_json::to_value(channel).unwrap(), channel.as_str());
        }
        assert_eq!(Channel::parse("Telegram"), None);
        let mut names: Vec<&str> = Channel::ALL.iter().flat_map(|channel| channel.secrets()).copied().collect();
        names.sort_unstable();
        assert_eq!(names, ["discord_token", "slack_app_token", "slack_bot_token", "telegram_token"]);
    }

    #[test]
    fn an_operators_bot_api_server_is_an_address_and_nothing_more() {
        for (raw, text, reach) in [
            ("https://bots.example.org", "https://bots.example.org", "bots.example.org:443"),
            ("http://Bots.Example.org:8081/", "http://bots.example.org:8081", "bots.example.org:8081"),
            ("http://10.0.0.7/telegram/", "http://10.0.0.7/telegram", "10.0.0.7:80"),
            ("http://[fd00::7]:8081", "http://[fd00::7]:8081", "[fd00::7]:8081"),
            ("https://[fd00::7]", "https://[fd00::7]", "[fd00::7]:443"),
        ] {
            let root = ApiRoot::parse(raw).unwrap();
            assert_eq!((root.as_str(), root.reach().to_string().as_str()), (text, reach));
        }
        for bad in [
            "",
            "bots.example.org",
            "ftp://bots.example.org",
            "https://",
            "https:///bot",
            "https://user@bots.example.org",
            "https://bots.example.org?x=1",
            "https://bots.example.org/#x",
            "https://bots example.org",
            "https://bots.example.org:0",
            "https://localhost:1",
        ] {
            assert!(ApiRoot::parse(bad).is_err(), "{bad:?} was taken");
        }
    }
}
