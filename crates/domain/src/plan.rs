//! What can be bought, and how much of everything one gets for it.

use std::{fmt, num::NonZeroU16};

use serde::{Deserialize, Serialize};

use crate::{billing::PriceId, currency::Currency, machine::MachineSize, model::Micros};

/// Most agents that any plan holds.
pub const AGENTS_MAX: u16 = 1000;
/// The longest trial, in days.
pub const TRIAL_DAYS_MAX: u16 = 90;
/// The highest price of a month, in cents: a million.
pub const CENTS_MAX: u32 = 100_000_000;

/// Which plan: `starter`, `pro_byok`. A plan keeps its name for ever; what people read is its title.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct PlanName(String);

/// That is no name of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a plan's name has 1 to 40 small letters, digits and '_', and begins with a letter")]
pub struct BadPlanName;

impl PlanName {
    /// The only constructor.
    ///
    /// # Errors
    /// [`BadPlanName`].
    pub fn parse(text: &str) -> Result<Self, BadPlanName> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'_';
        let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
        let fits = text.len() <= 40 && begins && text.bytes().all(plain);
        if fits { Ok(Self(text.to_owned())) } else { Err(BadPlanName) }
    }

    /// As it is stored.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for PlanName {
    type Error = BadPlanName;
    fn try_from(text: String) -> Result<Self, BadPlanName> {
        Self::parse(&text)
    }
}

impl From<PlanName> for String {
    fn from(name: PlanName) -> Self {
        name.0
    }
}

impl fmt::Display for PlanName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// One plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Plan {
    /// Which one.
    pub name: PlanName,
    /// What people read, at most 60 characters.
    pub title: String,
    /// What a month costs at Stripe. Without one the plan is not sold.
    pub price: Option<PriceId>,
    /// The same, as pages say it.
    pub money: Money,
    /// How long the first one is free, in days.
    pub trial_days: Option<NonZeroU16>,
    /// How much one gets.
    pub limits: PlanLimits,
    /// What one machine of it costs whoever runs Berth, a month, in hundredths of the price's currency: an operator's
    /// figure, since a host of one's own has no price list. `None`: nobody has said.
    pub machine_cents: Option<u32>,
}

/// How much of everything a plan holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PlanLimits {
    /// Agents, running or not.
    pub agents: u16,
    /// What model calls on Berth's account may cost a day; `None`: what the installation allows. Nothing at all is a
    /// plan for people with a key of their own.
    pub daily_model: Option<Micros>,
    /// How large each agent's machine is.
    pub machine: MachineSize,
}

impl PlanLimits {
    /// Whether it is for people who bring a model vendor's key.
    #[must_use]
    pub fn is_own_key(&self) -> bool {
        self.daily_model == Some(Micros::ZERO)
    }
}

/// An amount of money a month.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Money {
    /// In the currency's hundredths.
    pub cents: u32,
    /// Which.
    pub currency: Currency,
}

impl fmt::Display for Money {
    /// "19.00 EUR".
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{:02} {}", self.cents / 100, self.cents % 100, self.currency)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_plan_has_a_plain_name() {
        assert_eq!(PlanName::parse("pro_byok").unwrap().as_str(), "pro_byok");
        for bad in ["", "Pro", "1pro", "pro-byok", "_pro", &"a".repeat(41)] {
            assert_eq!(PlanName::parse(bad), Err(BadPlanName), "{bad:?}");
        }
    }

    #[test]
    fn money_is_written_with_its_hundredths_and_its_currency() {
        let euros = |cents| Money { cents, currency: Currency::EUR }.to_string();
        assert_eq!([euros(1900), euros(5), euros(0)], ["19.00 EUR", "0.05 EUR", "0.00 EUR"]);
    }
}
