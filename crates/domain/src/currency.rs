//! Which money an amount is of.

use std::fmt;

use serde::{Serialize, Serializer};

/// A currency: three small letters. Source: ISO 4217, as Stripe writes it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Currency([u8; 3]);

impl Currency {
    /// What model vendors are paid in.
    pub const USD: Self = Self(*b"usd");
    /// The euro.
    pub const EUR: Self = Self(*b"eur");

    /// Reads three small letters.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let letters: [u8; 3] = text.as_bytes().try_into().ok()?;
        letters.iter().all(u8::is_ascii_lowercase).then_some(Self(letters))
    }

    /// As it is stored, and as Stripe writes it: `eur`.
    #[must_use]
    pub const fn as_str(&self) -> &str {
        // Only ever made of letters.
        match std::str::from_utf8(&self.0) {
            Ok(letters) => letters,
            Err(_) => "",
        }
    }
}

impl fmt::Display for Currency {
    /// As people read it: `EUR`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.as_str().to_ascii_uppercase())
    }
}

impl fmt::Debug for Currency {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Serialize for Currency {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.as_str())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_currency_has_three_small_letters() {
        let francs = Currency::parse("chf").unwrap();
        assert_eq!((francs.as_str(), francs.to_string().as_str()), ("chf", "CHF"));
        assert_eq!([Currency::parse("eur"), Currency::parse("usd")], [Some(Currency::EUR), Some(Currency::USD)]);
        for bad in ["EUR", "euro", "eu", "", "e1r", "é€"] {
            assert_eq!(Currency::parse(bad), None, "{bad:?}");
        }
    }
}
