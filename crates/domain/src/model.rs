//! What a model call may cost: money, prices, and the models that are offered.
//!
//! Start with [`Price`]: [`Price::worst_case`] is what is set aside before a call,
//! [`Price::cost`] what it came to. [`Menu`] is the list of models that an
//! installation offers; a model without a price cannot be on it.
//!
//! Invariants: money is whole millionths of a US dollar, rounded up; no sum
//! wraps around; a worst case is never below the cost of a call within its bounds.

mod money;
mod own;
mod prices;

use std::collections::HashSet;

pub use money::Micros;
pub use own::OwnModel;
pub use prices::{PRICES, PRICES_OF, PRICES_SEEN};

/// The name of Berth's built-in proof model: no vendor has it, and it costs nothing.
pub const PROOF_MODEL: &str = "berth-proof";

/// What the proof model is called where a person reads it.
pub const PROOF_MODEL_TITLE: &str = "Berth's built-in proof model";

/// What a vendor takes for a model, in millionths of a dollar for a million tokens, and how much it takes in.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Price {
    /// Words in, not cached.
    pub input: u64,
    /// Words in, kept by the vendor for five minutes.
    pub cache_write_5m: u64,
    /// Words in, kept by the vendor for an hour.
    pub cache_write_1h: u64,
    /// Words in that the vendor had kept.
    pub cache_read: u64,
    /// Words out, thinking included.
    pub output: u64,
    /// Most tokens that fit in one call, in and out together.
    pub context_tokens: u64,
    /// Most tokens of one answer.
    pub answer_tokens: u64,
}

/// What a call used, as its vendor counted.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Usage {
    /// Words in, not cached.
    pub input_tokens: u64,
    /// Words in, kept for five minutes.
    pub cache_write_5m_tokens: u64,
    /// Words in, kept for an hour.
    pub cache_write_1h_tokens: u64,
    /// Words in that had been kept.
    pub cache_read_tokens: u64,
    /// Words out.
    pub output_tokens: u64,
}

/// A model that this installation offers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Offer {
    /// As its vendor names it.
    pub name: String,
    /// As a person reads it.
    pub title: String,
    /// What it costs.
    pub price: Price,
}

/// The models that are offered; the first one is what agents are set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Menu(Vec<Offer>);

/// Why a list of models is no menu.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadMenu {
    /// Nothing is on it.
    #[error("names no model")]
    Empty,
    /// A name that no vendor could have.
    #[error("holds a name that is none: letters, digits, dots, dashes and underscores only, at most 100")]
    Name,
    /// The same name twice.
    #[error("names {0} twice")]
    Twice(String),
    /// Nobody knows what it costs, so it is not offered.
    #[error("names {0}, whose price Berth does not know; give it in BERTH_MODEL_PRICES")]
    NoPrice(String),
    /// A price that cannot be read.
    #[error("holds a price that is none: NAME=IN/OUT or NAME=IN/OUT/CONTEXT, dollars for a million tokens")]
    Price,
}

impl Usage {
    /// Nothing.
    pub const NONE: Self = Self {
        input_tokens: 0,
        cache_write_5m_tokens: 0,
        cache_write_1h_tokens: 0,
        cache_read_tokens: 0,
        output_tokens: 0,
    };
}

impl Price {
    /// The most that a call of these bounds can cost: the dearest price for every token in, and a full answer.
    #[must_use]
    pub fn worst_case(&self, input_tokens_max: u64, output_tokens_max: u64) -> Micros {
        let input = input_tokens_max.min(self.context_tokens);
        part(input, self.dearest_input()).plus(part(output_tokens_max, self.output))
    }

    /// What a call came to. Each part is rounded up.
    #[must_use]
    pub fn cost(&self, usage: &Usage) -> Micros {
        [
            (usage.input_tokens, self.input),
            (usage.cache_write_5m_tokens, self.cache_write_5m),
            (usage.cache_write_1h_tokens, self.cache_write_1h),
            (usage.cache_read_tokens, self.cache_read),
            (usage.output_tokens, self.output),
        ]
        .into_iter()
        .fold(Micros::ZERO, |sum, (tokens, price)| sum.plus(part(tokens, price)))
    }

    fn dearest_input(&self) -> u64 {
        self.input.max(self.cache_write_5m).max(self.cache_write_1h).max(self.cache_read)
    }

    /// `IN/OUT` or `IN/OUT/CONTEXT`, in dollars for a million tokens. What caching costs is then taken to be at its worst.
    fn parse(text: &str) -> Option<Self> {
        let mut parts = text.split('/').map(str::trim);
        let (input, output) = (Micros::parse(parts.next()?)?.get(), Micros::parse(parts.next()?)?.get());
        let context_tokens = parts.next().map_or(Some(200_000), |text| text.parse().ok())?;
        let fits = parts.next().is_none() && input > 0 && output > 0 && (1_000..=10_000_000).contains(&context_tokens);
        fits.then(|| Self {
            input,
            cache_write_5m: input.saturating_mul(2),
            cache_write_1h: input.saturating_mul(2),
            cache_read: input,
            output,
            context_tokens,
            answer_tokens: context_tokens,
        })
    }
}

impl Menu {
    /// Reads the names of the models, separated by commas, and the operator's own prices, which go before the built-in ones.
    ///
    /// # Errors
    /// [`BadMenu`]: above all a model whose price nobody knows.
    pub fn parse(names: &str, prices: &str) -> Result<Self, BadMenu> {
        let own = items(prices).map(|item| {
            let (name, price) = item.split_once('=').ok_or(BadMenu::Price)?;
            Ok((name.trim(), Price::parse(price).ok_or(BadMenu::Price)?))
        });
        let own = own.collect::<Result<Vec<_>, BadMenu>>()?;
        let mut seen = HashSet::new();
        let offer = |name: &str| {
            let is_name = (1..=100).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_".contains(&byte));
            if !is_name || name == PROOF_MODEL {
                return Err(BadMenu::Name);
            }
            if !seen.insert(name.to_owned()) {
                return Err(BadMenu::Twice(name.to_owned()));
            }
            let built_in = PRICES.iter().find(|(known, ..)| *known == name);
            let given = own.iter().find(|(known, _)| *known == name).map(|(_, price)| *price);
            let price = given.or_else(|| built_in.map(|(_, _, price)| *price));
            let price = price.ok_or_else(|| BadMenu::NoPrice(name.to_owned()))?;
            let title = built_in.map_or(name, |(_, title, _)| *title).to_owned();
            Ok(Offer { name: name.to_owned(), title, price })
        };
        let offers = items(names).map(offer).collect::<Result<Vec<_>, _>>()?;
        if offers.is_empty() { Err(BadMenu::Empty) } else { Ok(Self(offers)) }
    }

    /// The offer of this name.
    #[must_use]
    pub fn find(&self, name: &str) -> Option<&Offer> {
        self.0.iter().find(|offer| offer.name == name)
    }

    /// All of them, the agents' own first.
    #[must_use]
    pub fn offers(&self) -> &[Offer] {
        &self.0
    }
}

fn items(list: &str) -> impl Iterator<Item = &str> {
    list.split(',').map(str::trim).filter(|item| !item.is_empty())
}

/// Tokens at a price for a million, rounded up.
fn part(tokens: u64, price: u64) -> Micros {
    let micros = (u128::from(tokens) * u128::from(price)).div_ceil(1_000_000);
    Micros::new(u64::try_from(micros).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn haiku() -> Price {
        Menu::parse("claude-haiku-4-5", "").unwrap().offers()[0].price
    }

    #[test]
    fn a_cost_is_tokens_times_price_rounded_up() {
        let of = |input_tokens, output_tokens| Usage { input_tokens, output_tokens, ..Usage::default() };
        let table = [
            (of(0, 0), 0),
            (of(1, 0), 1), // a dollar for a million is one millionth for a token
            (of(0, 1), 5),
            (of(60_000, 500), 62_500), // a first turn: six cents
            (of(1_000_000, 1_000_000), 6_000_000),
            (Usage { cache_read_tokens: 1, ..Usage::default() }, 1), // a tenth, rounded up
            (Usage { cache_read_tokens: 1_000, ..Usage::default() }, 100),
            (Usage { cache_write_5m_tokens: 1_000, ..Usage::default() }, 1_250),
            (Usage { cache_write_1h_tokens: 1_000, ..Usage::default() }, 2_000),
        ];
        for (usage, micros) in table {
            assert_eq!(haiku().cost(&usage), Micros::new(micros), "{usage:?}");
        }
        let most = Usage { input_tokens: u64::MAX, output_tokens: u64::MAX, ..Usage::default() };
        assert_eq!(haiku().cost(&most), Micros::new(u64::MAX), "no sum wraps around");
    }

    #[test]
    fn a_worst_case_is_never_below_what_a_call_within_its_bounds_costs() {
        for (name, _, price) in PRICES {
            for (input, output) in [(1, 1), (61_000, 8_192), (150_000, 64)] {
                let worst = price.worst_case(input, output);
                let ways = [
                    Usage { input_tokens: input, output_tokens: output, ..Usage::default() },
                    Usage { cache_write_5m_tokens: input, output_tokens: output, ..Usage::default() },
                    Usage { cache_write_1h_tokens: input, output_tokens: output, ..Usage::default() },
                    Usage { cache_read_tokens: input, output_tokens: output, ..Usage::default() },
                ];
                assert!(ways.iter().all(|usage| price.cost(usage) <= worst), "{name}");
            }
            assert_eq!(price.worst_case(u64::MAX, 0), price.worst_case(price.context_tokens, 0), "{name}");
        }
    }

    #[test]
    fn a_menu_has_prices_or_is_refused() {
        let own = "new-model = 0.25/1.5/1000000, claude-haiku-4-5=2/10";
        let menu = Menu::parse("claude-haiku-4-5, new-model", own).unwrap();
        assert_eq!(menu.find("claude-haiku-4-5").unwrap().price.input, 2_000_000, "the operator's price goes first");
        let new = menu.find("new-model").unwrap();
        assert_eq!((new.price.input, new.price.output, new.price.context_tokens), (250_000, 1_500_000, 1_000_000));
        assert!(menu.find("claude").is_none() && menu.find("claude-haiku-4-5-20251001").is_none());
        let refused = |names, prices| Menu::parse(names, prices).unwrap_err();
        assert_eq!(refused("claude-x", ""), BadMenu::NoPrice("claude-x".into()));
        assert_eq!(refused(" , ", ""), BadMenu::Empty);
        assert_eq!(refused("claude-haiku-4-5,claude-haiku-4-5", ""), BadMenu::Twice("claude-haiku-4-5".into()));
        for name in ["a b", "a\"b", "ä", PROOF_MODEL] {
            assert_eq!(refused(name, ""), BadMenu::Name, "{name}");
        }
        for price in ["m", "m=1", "m=1/2/3/4", "m=-1/2", "m=0/1", "m=1/0", "m=1/x", "m=1/2/10"] {
            assert_eq!(refused("m", price), BadMenu::Price, "{price}");
        }
    }

    #[test]
    fn the_built_in_prices_are_plausible() {
        for (name, title, price) in PRICES {
            assert!(title.starts_with("Claude ") && name.starts_with("claude-"), "{name}");
            assert!(price.cache_read < price.input && price.input < price.cache_write_5m, "{name}");
            assert!(price.cache_write_5m < price.cache_write_1h && price.cache_write_1h < price.output, "{name}");
            assert!(price.answer_tokens <= price.context_tokens, "{name}");
        }
    }
}
