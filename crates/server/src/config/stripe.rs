//! Whether this Berth bills, through Stripe.

use vault::stripe::SigningSecret;

use crate::settings::{BadSetting, Values, bad};

const SIGNING: &str = "STRIPE_WEBHOOK_SECRET";
/// While an endpoint's secret is being replaced there are two.
const SECRETS_MAX: usize = 2;

/// How Stripe is talked to.
#[derive(Debug, Default)]
pub struct StripeConfig {
    /// What Stripe signs its webhooks with; empty where nobody bills.
    pub signing: Vec<SigningSecret>,
}

impl StripeConfig {
    pub(crate) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let Some(text) = values.get(SIGNING)?.filter(|text| !text.trim().is_empty()) else {
            return Ok(Self::default());
        };
        let signing = text.split(',').map(SigningSecret::parse).collect::<Result<Vec<_>, _>>();
        let signing = signing.map_err(|error| bad(SIGNING, format!("cannot be used: {error}")))?;
        if signing.len() > SECRETS_MAX {
            return Err(bad(SIGNING, "holds more than two secrets: one, and its successor while you replace it"));
        }
        Ok(Self { signing })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_or_two_while_it_is_replaced() {
        let parse = |text: &str| StripeConfig::parse(&Values::of(&[(SIGNING, text)]));
        let (one, two) = ("whsec_0123456789abcdef", "whsec_fedcba9876543210");
        assert!(StripeConfig::parse(&Values::of(&[])).unwrap().signing.is_empty());
        assert!(parse(" ").unwrap().signing.is_empty());
        assert_eq!(parse(one).unwrap().signing.len(), 1);
        assert_eq!(parse(&format!("{one}, {two}")).unwrap().signing.len(), 2);
        for bad in ["sk_live_0123456789abcdef", "whsec_", &format!("{one},{two},{one}"), &format!("{one},")] {
            let error = parse(bad).unwrap_err().to_string();
            assert!(error.contains(SIGNING) && !error.contains("0123456789"), "{error}");
        }
    }
}
