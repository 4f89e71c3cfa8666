//! Money, in millionths of a US dollar.

use std::fmt;

/// Millionths of a US dollar; prints as dollars and cents, rounded up.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, PartialOrd, Ord)]
pub struct Micros(u64);

impl Micros {
    /// Nothing.
    pub const ZERO: Self = Self(0);

    /// So many millionths.
    #[must_use]
    pub const fn new(micros: u64) -> Self {
        Self(micros)
    }

    /// The number of millionths.
    #[must_use]
    pub const fn get(self) -> u64 {
        self.0
    }

    /// The sum; it does not wrap around.
    #[must_use]
    pub const fn plus(self, other: Self) -> Self {
        Self(self.0.saturating_add(other.0))
    }

    /// Dollars with at most six decimals: `5`, `0.25`. Below a thousand million.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, rest) = text.split_once('.').unwrap_or((text, "0"));
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(rest) || whole.len() > 9 || rest.len() > 6 {
            return None;
        }
        let dollars: u64 = whole.parse().ok()?;
        let fraction: u64 = format!("{rest:0<6}").parse().ok()?;
        Some(Self(dollars * 1_000_000 + fraction))
    }
}

impl fmt::Display for Micros {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let cents = self.0.div_ceil(10_000);
        write!(f, "${}.{:02}", cents / 100, cents % 100)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn dollars_are_read_exactly_and_shown_rounded_up() {
        let read = |text| Micros::parse(text).map(Micros::get);
        assert_eq!(read("5"), Some(5_000_000));
        assert_eq!(read("0.25"), Some(250_000));
        assert_eq!(read("0.000001"), Some(1));
        assert_eq!(read("999999999"), Some(999_999_999_000_000));
        for bad in ["", ".", "5.", ".5", "-1", "+1", "1e3", "1,5", "0.0000001", "1000000000", "$5", " 5"] {
            assert_eq!(read(bad), None, "{bad:?}");
        }
        assert_eq!(Micros::new(1).to_string(), "$0.01", "a millionth is not nothing");
        assert_eq!(Micros::new(5_000_000).to_string(), "$5.00");
        assert_eq!(Micros::new(12_345_678).to_string(), "$12.35");
    }
}
