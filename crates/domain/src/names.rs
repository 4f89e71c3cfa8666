//! Text that people give us, checked once.

use std::fmt;

use serde::Serialize;

/// What an agent is called within its tenant: 1 to 40 of `a-z 0-9 -`, no dash at either end.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct AgentName(String);

/// Why a text is no agent name. Each is a sentence for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadName {
    /// Empty or too long.
    #[error("a name needs 1 to 40 characters")]
    Length,
    /// A character outside the alphabet.
    #[error("a name holds lowercase letters, digits and dashes only, with no dash at either end")]
    Alphabet,
}

impl AgentName {
    /// The only constructor. Space around the name is dropped.
    ///
    /// # Errors
    /// [`BadName`] says which rule was broken.
    pub fn parse(raw: &str) -> Result<Self, BadName> {
        let name = raw.trim();
        if name.is_empty() || name.len() > 40 {
            return Err(BadName::Length);
        }
        let allowed = name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
        if !allowed || name.starts_with('-') || name.ends_with('-') {
            return Err(BadName::Alphabet);
        }
        Ok(Self(name.to_owned()))
    }

    /// The name itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for AgentName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// An e-mail address, lower case, at most 254 octets (RFC 5321, 4.5.3.1.3). Contact data, never an identity.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Email(String);

/// The text is no e-mail address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("that is not an e-mail address")]
pub struct BadEmail;

impl Email {
    /// The only constructor: what every mail server takes (RFC 5321 without extensions). Letters, digits and the usual
    /// marks, at most 64 of them, then `@` and a host: labels between dots, or `localhost`. Space around it is dropped.
    ///
    /// # Errors
    /// [`BadEmail`] for anything else.
    pub fn parse(raw: &str) -> Result<Self, BadEmail> {
        let address = raw.trim().to_ascii_lowercase();
        let (local, host) = address.split_once('@').ok_or(BadEmail)?;
        let mark = |c: char| c.is_ascii_alphanumeric() || ".!#$%&'*+/=?^_`{|}~-".contains(c);
        let label = |label: &str| {
            let plain = label.chars().all(|c| c.is_ascii_alphanumeric() || c == '-');
            (1..=63).contains(&label.len()) && plain && !label.starts_with('-') && !label.ends_with('-')
        };
        let host_reads = host == "localhost" || (host.contains('.') && host.split('.').all(label));
        let local_reads = (1..=64).contains(&local.len()) && local.chars().all(mark);
        if address.len() > 254 || !local_reads || !host_reads {
            return Err(BadEmail);
        }
        Ok(Self(address))
    }

    /// The address itself.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Email {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// What a person says to an agent: 1 to 16,000 characters that are not all space.
#[derive(Clone, PartialEq, Eq)]
pub struct TurnText(String);

/// Why a text cannot be said.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadTurnText {
    /// Nothing but space.
    #[error("say something first")]
    Empty,
    /// Longer than one turn may be.
    #[error("one message holds at most 16,000 characters")]
    Long,
}

impl TurnText {
    /// Most characters in one turn.
    pub const CHARS_MAX: usize = 16_000;

    /// The only constructor. Space around the text is dropped.
    ///
    /// # Errors
    /// [`BadTurnText`] says which rule was broken.
    pub fn parse(raw: &str) -> Result<Self, BadTurnText> {
        let text = raw.trim();
        if text.is_empty() {
            return Err(BadTurnText::Empty);
        }
        if text.chars().count() > Self::CHARS_MAX {
            return Err(BadTurnText::Long);
        }
        Ok(Self(text.to_owned()))
    }

    /// The words themselves: a person's, never to be logged.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for TurnText {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "TurnText({} bytes)", self.0.len())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_is_trimmed_and_checked() {
        assert_eq!(AgentName::parse(" scout-2 ").map(|n| n.to_string()), Ok("scout-2".into()));
        for bad in ["", "  ", "Scout", "a b", "-a", "a-", "ä", "a\0", "../x"] {
            assert!(AgentName::parse(bad).is_err(), "{bad:?}");
        }
        assert_eq!(AgentName::parse(&"a".repeat(41)), Err(BadName::Length));
        assert_eq!(AgentName::parse(&"a".repeat(1_000_000)), Err(BadName::Length));
    }

    #[test]
    fn an_address_has_two_sides_and_no_controls() {
        assert!(Email::parse("Ada@Example.org").is_ok_and(|e| e.as_str() == "ada@example.org"));
        assert!(Email::parse(" o'hara+berth@a-1.example ").is_ok() && Email::parse("x@localhost").is_ok());
        assert!(Email::parse(&format!("{}@b.c", "a".repeat(64))).is_ok());
        let long = format!("{}@b.c", "a".repeat(65));
        for bad in
            ["", "a", "a@", "@b.c", "a@b", "a b@c.d", "a@b.c\r\nBcc: x@y.z", "a@b@c.d", "a@b..c", "a@b.c*", &long]
        {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
        for bad in ["a@-b.c", "a@b-.c", "a@b_c.d", "ä@b.c", "a@ä.c", "a@b.c\u{1}", "<a@b.c>", "a@b.c\0"] {
            assert!(Email::parse(bad).is_err(), "{bad:?}");
        }
    }
}
