//! Who answers the agents, as an operator set it.

use domain::{
    model::{BadMenu, Menu, Micros},
    openclaw::AgentModels,
};
use url::Url;
use vault::Secret;

use super::is_loopback;
use crate::settings::{BadSetting, Values, bad};

/// Who answers the agents.
pub struct ModelConfig {
    /// A vendor, if calls are passed on.
    pub vendor: Option<VendorConfig>,
    /// A key is there, but nothing is passed on: worth a line at start.
    pub is_key_idle: bool,
}

/// A vendor of models.
pub struct VendorConfig {
    /// Where its API is, without a slash at the end.
    pub address: String,
    /// Berth's key there.
    pub key: Secret,
    /// What is offered, with prices.
    pub menu: Menu,
    /// What a tenant may spend in a day.
    pub daily_budget: Micros,
}

impl ModelConfig {
    pub(super) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let key = values.get("ANTHROPIC_API_KEY")?;
        let is_on = match values.need("BERTH_MODEL_FORWARD")?.as_str() {
            "on" => true,
            "off" => false,
            _ => return Err(bad("BERTH_MODEL_FORWARD", "must be on or off")),
        };
        // Read in any case, so that a mistake is told before the switch is turned.
        let vendor = VendorConfig {
            address: vendor_address(values)?,
            key: Secret::new(key.as_deref().map(|key| key.trim().as_bytes().to_vec()).unwrap_or_default()),
            menu: menu(values)?,
            daily_budget: daily_budget(values)?,
        };
        match (is_on, key.is_some()) {
            (true, false) => Err(bad("ANTHROPIC_API_KEY", "is not set, and BERTH_MODEL_FORWARD is on")),
            (true, true) => Ok(Self { vendor: Some(vendor), is_key_idle: false }),
            (false, is_key_idle) => Ok(Self { vendor: None, is_key_idle }),
        }
    }

    /// The models that agents may ask for.
    #[must_use]
    pub fn agents_models(&self) -> AgentModels {
        self.vendor.as_ref().map_or_else(AgentModels::proof, |vendor| AgentModels::of(&vendor.menu))
    }
}

fn vendor_address(values: &Values) -> Result<String, BadSetting> {
    let name = "BERTH_MODEL_VENDOR_URL";
    let url: Url = values.parse(name, "an https address")?.ok_or_else(|| bad(name, "is not set"))?;
    match url.scheme() {
        "https" => {}
        "http" if is_loopback(&url) => {}
        "http" => return Err(bad(name, "is plain http on another host; the key and every word would be readable")),
        _ => return Err(bad(name, "must begin with https://")),
    }
    if !url.username().is_empty() || url.password().is_some() || url.query().is_some() {
        return Err(bad(name, "must be a host and a path only"));
    }
    Ok(url.as_str().trim_end_matches('/').to_owned())
}

fn menu(values: &Values) -> Result<Menu, BadSetting> {
    let prices = values.get("BERTH_MODEL_PRICES")?.unwrap_or_default();
    Menu::parse(&values.need("BERTH_MODELS")?, &prices).map_err(|error| {
        let name = if error == BadMenu::Price { "BERTH_MODEL_PRICES" } else { "BERTH_MODELS" };
        bad(name, error.to_string())
    })
}

fn daily_budget(values: &Values) -> Result<Micros, BadSetting> {
    let name = "BERTH_MODEL_DAILY_BUDGET";
    let budget = Micros::parse(values.need(name)?.trim());
    budget.ok_or_else(|| bad(name, "must be US dollars with at most six decimals, such as 2.50"))
}
