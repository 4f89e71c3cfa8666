//! What a dollar is worth where people pay in something else: model vendors are paid in dollars.

use crate::{currency::Currency, model::Micros};

/// Most currencies that rates are said for.
pub const RATES_MAX: usize = 40;

/// What a dollar is worth, as an operator said it. A dollar is a dollar.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DollarRates(Vec<(Currency, u64)>);

/// That is no list of rates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("must say what a dollar is worth in each currency once, with at most six decimals, such as eur=0.92, gbp=0.79")]
pub struct BadRates;

const DOLLAR: (Currency, u64) = (Currency::USD, 1_000_000);

impl Default for DollarRates {
    fn default() -> Self {
        Self(vec![DOLLAR])
    }
}

impl DollarRates {
    /// Reads `eur=0.92, gbp=0.79`.
    ///
    /// # Errors
    /// [`BadRates`]: a currency twice, the dollar itself, or no number above nothing.
    pub fn parse(text: &str) -> Result<Self, BadRates> {
        let mut rates = Self::default();
        for part in text.split(',').map(str::trim).filter(|part| !part.is_empty()) {
            let (currency, worth) = part.split_once('=').ok_or(BadRates)?;
            let currency = Currency::parse(currency.trim()).ok_or(BadRates)?;
            let worth = Micros::parse(worth.trim()).map(Micros::get).filter(|worth| *worth > 0).ok_or(BadRates)?;
            if rates.of(currency).is_some() || rates.0.len() > RATES_MAX {
                return Err(BadRates);
            }
            rates.0.push((currency, worth));
        }
        Ok(rates)
    }

    /// What a dollar is worth, in millionths of this currency. `None`: nobody has said.
    #[must_use]
    pub fn of(&self, currency: Currency) -> Option<u64> {
        self.0.iter().find(|(of, _)| *of == currency).map(|(_, worth)| *worth)
    }

    /// An amount of dollars in hundredths of this currency, rounded up. `None`: nobody has said what a dollar is worth.
    #[must_use]
    pub fn cents(&self, dollars: Micros, currency: Currency) -> Option<i64> {
        let worth = self.of(currency)?;
        let cents = (u128::from(dollars.get()) * u128::from(worth)).div_ceil(10_000_000_000);
        i64::try_from(cents).ok()
    }

    /// As two columns: currencies, and millionths of each for a dollar.
    #[must_use]
    pub fn columns(&self) -> (Vec<String>, Vec<i64>) {
        let column = |(currency, worth): &(Currency, u64)| {
            (currency.as_str().to_owned(), i64::try_from(*worth).unwrap_or(i64::MAX))
        };
        self.0.iter().map(column).unzip()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rates_are_read_once_for_each_currency() {
        let rates = DollarRates::parse(" eur=0.92, gbp = 0.790001 ,").unwrap();
        assert_eq!(
            ["eur", "gbp", "usd", "chf"].map(|of| rates.of(Currency::parse(of).unwrap())),
            [Some(920_000), Some(790_001), Some(1_000_000), None]
        );
        assert_eq!(rates.columns().1, [1_000_000, 920_000, 790_001]);
        assert_eq!(DollarRates::parse(""), Ok(DollarRates::default()));
        for bad in ["eur", "eur=", "EUR=1", "eur=0", "eur=-1", "eur=1,eur=1", "usd=2", "euro=1", "eur=1.1234567"] {
            assert_eq!(DollarRates::parse(bad), Err(BadRates), "{bad:?}");
        }
    }

    #[test]
    fn a_cost_is_rounded_up() {
        let rates = DollarRates::parse("eur=0.5").unwrap();
        let euros = |micros| rates.cents(Micros::new(micros), Currency::EUR);
        assert_eq!([euros(0), euros(1), euros(20_000), euros(20_001)], [Some(0), Some(1), Some(1), Some(2)]);
        assert_eq!(rates.cents(Micros::new(1), Currency::parse("chf").unwrap()), None);
    }
}
