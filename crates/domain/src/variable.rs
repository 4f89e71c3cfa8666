//! Environment variables that a tenant gives its agent.
//!
//! They are in the environment of the gateway, and so of every program that the
//! agent runs: that is what they are for, and anybody who reads them here should
//! know it. What would change the gateway itself is refused by name.

use std::fmt;

use zeroize::Zeroizing;

/// Most variables of one agent.
pub const VARIABLES_MAX: usize = 50;

/// Most bytes of a value.
pub const VALUE_BYTES_MAX: usize = 8 * 1024;

/// Most characters of a name.
const NAME_CHARS_MAX: usize = 64;

/// A variable's name: a letter, then letters, digits and underscores, all upper case; none that is reserved.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct VariableName(String);

/// Why a text is no name. Each is a sentence for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVariableName {
    /// Another form.
    #[error("a name is a letter, then letters, digits and underscores, all in upper case, at most 64")]
    Form,
    /// It would change the gateway, the programs under it, or what Berth relies on.
    #[error("that name is not free: it would change the agent's gateway itself. Choose another one")]
    Reserved,
    /// The token of a channel.
    #[error("that is a channel's token: set it as the agent's channel, not as a variable")]
    Channel,
}

/// A variable's value: 1 byte to 8 KiB of text without control characters but line breaks and tabs.
pub struct VariableValue(Zeroizing<String>);

/// Why a text is no value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadVariableValue {
    /// Nothing.
    #[error("a value is not empty: remove the variable instead")]
    Empty,
    /// More than fits.
    #[error("a value holds at most 8 KB")]
    Long,
    /// A control character other than a line break or a tab.
    #[error("a value is text: take the control characters out")]
    Control,
}

/// Names that begin like this belong to the gateway, to Node, to the loader, to the shell, to systemd or to Berth.
const RESERVED_PREFIXES: &[&str] = &[
    "BERTH_",
    "CLAWDBOT_",
    "CLAWHUB_",
    "DYLD_",
    "GLIBC_",
    "LD_",
    "LISTEN_",
    "MALLOC_",
    "MOLTBOT_",
    "NODE_",
    "NPM_CONFIG_",
    "OPENCLAW_",
    "SYSTEMD_",
    "XDG_",
];

/// Names that end like this choose the way out to the network.
const RESERVED_SUFFIX: &str = "_PROXY";

/// Names that mean something to the gateway, to what it is built of, or to the shells that it starts.
const RESERVED: &[&str] = &[
    "BASHOPTS",
    "BASH_ENV",
    "CACHE_DIRECTORY",
    "CONFIGURATION_DIRECTORY",
    "CREDENTIALS_DIRECTORY",
    "DO_NOT_TRACK",
    "ENV",
    "GCONV_PATH",
    "GETCONF_DIR",
    "HOME",
    "HOSTALIASES",
    "IFS",
    "INVOCATION_ID",
    "JOURNAL_STREAM",
    "LOCALDOMAIN",
    "LOCPATH",
    "LOGNAME",
    "LOGS_DIRECTORY",
    "MAINPID",
    "MANAGERPID",
    "NIS_PATH",
    "NLSPATH",
    "NOTIFY_SOCKET",
    "OLDPWD",
    "OPENSSL_CONF",
    "OPENSSL_ENGINES",
    "OPENSSL_MODULES",
    "PATH",
    "PROMPT_COMMAND",
    "PS4",
    "PWD",
    "RESOLV_HOST_CONF",
    "RES_OPTIONS",
    "RUNTIME_DIRECTORY",
    "SHELL",
    "SHELLOPTS",
    "SSLKEYLOGFILE",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "STATE_DIRECTORY",
    "TEMP",
    "TMP",
    "TMPDIR",
    "TZDIR",
    "USER",
    "UV_THREADPOOL_SIZE",
    "UV_USE_IO_URING",
    "WATCHDOG_USEC",
];

/// Names from which OpenClaw takes the token of a channel. One bot belongs to one agent, which only a channel can promise.
const CHANNELS: &[&str] =
    &["DISCORD_BOT_TOKEN", "SLACK_APP_TOKEN", "SLACK_BOT_TOKEN", "SLACK_USER_TOKEN", "TELEGRAM_BOT_TOKEN"];

impl VariableName {
    /// The only constructor.
    ///
    /// # Errors
    /// [`BadVariableName`] says which rule was broken.
    pub fn parse(raw: &str) -> Result<Self, BadVariableName> {
        let is_form = raw.len() <= NAME_CHARS_MAX
            && raw.bytes().next().is_some_and(|first| first.is_ascii_uppercase())
            && raw.bytes().all(|byte| byte.is_ascii_uppercase() || byte.is_ascii_digit() || byte == b'_');
        if !is_form {
            return Err(BadVariableName::Form);
        }
        if CHANNELS.contains(&raw) {
            return Err(BadVariableName::Channel);
        }
        let is_reserved = RESERVED.contains(&raw)
            || RESERVED_PREFIXES.iter().any(|prefix| raw.starts_with(prefix))
            || raw.ends_with(RESERVED_SUFFIX);
        if is_reserved { Err(BadVariableName::Reserved) } else { Ok(Self(raw.to_owned())) }
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for VariableName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl VariableValue {
    /// The only constructor; takes the plaintext over. Line breaks become `\n`, as browsers send others.
    ///
    /// # Errors
    /// [`BadVariableValue`] says which rule was broken; the text is wiped.
    pub fn parse(raw: String) -> Result<Self, BadVariableValue> {
        let raw = Zeroizing::new(raw);
        let text = if raw.contains("\r\n") { Zeroizing::new(raw.replace("\r\n", "\n")) } else { raw };
        if text.is_empty() {
            return Err(BadVariableValue::Empty);
        }
        if text.len() > VALUE_BYTES_MAX {
            return Err(BadVariableValue::Long);
        }
        if text.chars().any(|c| c.is_control() && c != '\n' && c != '\t') {
            return Err(BadVariableValue::Control);
        }
        Ok(Self(text))
    }

    /// The plaintext. Every call of this is a place to review.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for VariableValue {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("VariableValue(..)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_has_one_form() {
        for good in ["A", "API_KEY", "X1", "OPENAI_API_KEY", "GITHUB_TOKEN", "A__B", "PATHS", "HOMEPAGE", "TZ", "LANG"]
        {
            assert_eq!(VariableName::parse(good).unwrap().as_str(), good);
        }
        let long = "A".repeat(65);
        for bad in ["", "a", "Api", "1A", "_A", "A-B", "A B", "A=B", "A\n", "Ä", "A.B", long.as_str()] {
            assert_eq!(VariableName::parse(bad), Err(BadVariableName::Form), "{bad:?}");
        }
    }

    #[test]
    fn what_would_change_the_gateway_is_refused() {
        for name in [
            "PATH",
            "HOME",
            "LD_PRELOAD",
            "LD_LIBRARY_PATH",
            "NODE_OPTIONS",
            "NODE_EXTRA_CA_CERTS",
            "NODE_TLS_REJECT_UNAUTHORIZED",
            "OPENCLAW_GATEWAY_TOKEN",
            "OPENCLAW_CONFIG_PATH",
            "BERTH_ANYTHING",
            "HTTP_PROXY",
            "HTTPS_PROXY",
            "ALL_PROXY",
            "NO_PROXY",
            "BASH_ENV",
            "SSLKEYLOGFILE",
            "GLIBC_TUNABLES",
            "NOTIFY_SOCKET",
            "XDG_CONFIG_HOME",
            "NPM_CONFIG_REGISTRY",
        ] {
            assert_eq!(VariableName::parse(name), Err(BadVariableName::Reserved), "{name}");
        }
        for name in ["TELEGRAM_BOT_TOKEN", "DISCORD_BOT_TOKEN", "SLACK_APP_TOKEN"] {
            assert_eq!(VariableName::parse(name), Err(BadVariableName::Channel), "{name}");
        }
        assert!(RESERVED.is_sorted() && RESERVED_PREFIXES.is_sorted() && CHANNELS.is_sorted());
    }

    #[test]
    fn a_value_is_text_of_a_bounded_size_that_does_not_show() {
        let parse = |raw: &str| VariableValue::parse(raw.to_owned());
        for good in ["x", " two words ", "-----BEGIN KEY-----\nabc\n-----END KEY-----\n", "a\tb", "\"'$`\\", "ä"] {
            assert_eq!(parse(good).unwrap().expose(), good);
        }
        assert_eq!(parse("a\r\nb\r\n").unwrap().expose(), "a\nb\n");
        assert_eq!(parse("").unwrap_err(), BadVariableValue::Empty);
        for control in ["a\0b", "a\x1bb", "a\rb", "a\u{85}b"] {
            assert_eq!(parse(control).unwrap_err(), BadVariableValue::Control, "{control:?}");
        }
        assert!(parse(&"x".repeat(VALUE_BYTES_MAX)).is_ok());
        assert_eq!(parse(&"x".repeat(VALUE_BYTES_MAX + 1)).unwrap_err(), BadVariableValue::Long);
        assert_eq!(format!("{:?}", parse("hush").unwrap()), "VariableValue(..)");
    }
}
