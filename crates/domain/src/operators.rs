//! Who runs the service: the addresses that may make the first operators.

use std::time::Duration;

use crate::names::{BadEmail, Email};

/// How long an operator's second factor holds in one browser.
pub const FACTOR: Duration = Duration::from_hours(12);

/// `ADMIN_EMAILS`: whose verified address makes them an operator, once. Empty: nobody's.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AdminEmails(Vec<Email>);

impl AdminEmails {
    /// Addresses between commas. Nothing between two commas is nothing.
    ///
    /// # Errors
    /// [`BadEmail`] for a part that is no address.
    pub fn parse(text: &str) -> Result<Self, BadEmail> {
        let parts = text.split(',').map(str::trim).filter(|part| !part.is_empty());
        parts.map(Email::parse).collect::<Result<_, _>>().map(Self)
    }

    /// Whether this very address is listed: whole, in lower case, no pattern.
    #[must_use]
    pub fn list(&self, email: &Email) -> bool {
        self.0.contains(email)
    }
}

/// A reason that somebody gives, shown to those whom it concerns: 10 to 300 characters.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reason(String);

/// The text is no reason.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("give a reason of 10 to 300 characters; the tenant reads it")]
pub struct BadReason;

impl Reason {
    /// The only constructor. Control characters become spaces.
    ///
    /// # Errors
    /// [`BadReason`].
    pub fn parse(raw: &str) -> Result<Self, BadReason> {
        let plain: String = raw.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
        let reason = plain.trim();
        if (10..=300).contains(&reason.chars().count()) { Ok(Self(reason.to_owned())) } else { Err(BadReason) }
    }

    /// The words.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_whole_address_is_listed() {
        let listed = AdminEmails::parse(" Ada@Example.org , ,b@example.org").unwrap();
        for (address, is) in [
            ("ada@example.org", true),
            ("b@example.org", true),
            ("a@example.org", false),
            ("ada+x@example.org", false),
            ("ada@example.org.evil.example", false),
            ("xada@example.org", false),
            ("аda@example.org", false), // the first letter is Cyrillic
        ] {
            assert_eq!(Email::parse(address).is_ok_and(|email| listed.list(&email)), is, "{address}");
        }
        assert_eq!(AdminEmails::parse("").unwrap(), AdminEmails::default());
        assert_eq!(AdminEmails::parse(" , ,").unwrap(), AdminEmails::default());
        assert!(AdminEmails::parse("ada").is_err());
    }

    #[test]
    fn a_reason_says_something() {
        assert!(Reason::parse("  because  ").is_err() && Reason::parse(&"x".repeat(301)).is_err());
        assert_eq!(Reason::parse("a ticket\r\nof yesterday").unwrap().as_str(), "a ticket  of yesterday");
    }
}
