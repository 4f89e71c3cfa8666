//! Whether this Berth bills, through Stripe.

use std::sync::Arc;

use clients::{payments::Payments, stripe};
use domain::entitlement::Billing;
use url::Url;
use vault::{Secret, stripe::SigningSecret};

use crate::settings::{BadSetting, Values, bad};

const SIGNING: &str = "STRIPE_WEBHOOK_SECRET";
const KEY: &str = "STRIPE_SECRET_KEY";
const ADDRESS: &str = "BERTH_STRIPE_URL";
/// While an endpoint's secret is being replaced there are two.
const SECRETS_MAX: usize = 2;

/// How Stripe is talked to. Without it nobody bills, and everybody is served.
#[derive(Default)]
pub struct StripeConfig {
    /// What Stripe signs its webhooks with; empty where nobody bills.
    pub signing: Vec<SigningSecret>,
    /// Who takes the money.
    pub payments: Option<Arc<dyn Payments>>,
}

impl StripeConfig {
    pub(crate) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let set = |name| Ok::<_, BadSetting>(values.get(name)?.filter(|text| !text.trim().is_empty()));
        let (text, key) = match (set(SIGNING)?, set(KEY)?) {
            (None, None) => return Ok(Self::default()),
            (Some(text), Some(key)) => (text, key),
            // Who is billed must hear what becomes of it, and what is heard must be asked about.
            (None, Some(_)) => return Err(bad(SIGNING, format!("is not set, and {KEY} is: billing needs both"))),
            (Some(_), None) => return Err(bad(KEY, format!("is not set, and {SIGNING} is: billing needs both"))),
        };
        let signing = text.split(',').map(SigningSecret::parse).collect::<Result<Vec<_>, _>>();
        let signing = signing.map_err(|error| bad(SIGNING, format!("cannot be used: {error}")))?;
        if signing.len() > SECRETS_MAX {
            return Err(bad(SIGNING, "holds more than two secrets: one, and its successor while you replace it"));
        }
        let address: Option<Url> = values.parse(ADDRESS, "an address such as http://127.0.0.1:8420/")?;
        let address = address.or_else(|| Url::parse(stripe::ADDRESS).ok());
        let address = address.ok_or_else(|| bad(ADDRESS, "is no address"))?;
        let key = Secret::new(key.trim().as_bytes().to_vec());
        let payments =
            stripe::Stripe::new(&address, &key).map_err(|error| bad(KEY, format!("cannot be used: {error}")))?;
        Ok(Self { signing, payments: Some(Arc::new(payments)) })
    }

    /// Whether anybody pays.
    #[must_use]
    pub const fn billing(&self) -> Billing {
        if self.payments.is_some() { Billing::On } else { Billing::Off }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_secret_or_two_while_it_is_replaced() {
        let parse =
            |text: &str| StripeConfig::parse(&Values::of(&[(SIGNING, text), (KEY, "sk_test_0123456789abcdef")]));
        let (one, two) = ("whsec_0123456789abcdef", "whsec_fedcba9876543210");
        assert!(StripeConfig::parse(&Values::of(&[])).unwrap().signing.is_empty());
        assert!(parse(" ").is_err(), "one without the other");
        assert!(StripeConfig::parse(&Values::of(&[(SIGNING, one)])).is_err(), "one without the other");
        assert_eq!(parse(one).unwrap().signing.len(), 1);
        assert_eq!(parse(&format!("{one}, {two}")).unwrap().signing.len(), 2);
        for bad in ["sk_live_0123456789abcdef", "whsec_", &format!("{one},{two},{one}"), &format!("{one},")] {
            let error = parse(bad).err().unwrap().to_string();
            assert!(error.contains(SIGNING) && !error.contains("0123456789"), "{error}");
        }
    }
}
