//! Where the vendors are whose credentials tenants bring.

use url::Url;

use crate::outgoing::is_loopback;

/// The base address of each vendor's API, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct VendorAddresses {
    /// Above `/v1/models` and `/v1/messages`.
    pub anthropic: String,
    /// Above `/models` and `/chat/completions`.
    pub openai: String,
    /// Above `/key` and `/chat/completions`.
    pub openrouter: String,
    /// Above `/bot…/getMe`.
    pub telegram: String,
    /// Above `/auth.test`.
    pub slack: String,
    /// Above `/users/@me`.
    pub discord: String,
}

/// Another address of a vendor cannot be used. It names the part that is wrong, which is no secret.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BadVendorAddress {
    /// No vendor, or no address.
    #[error(
        "must be VENDOR=ADDRESS, separated by commas; vendors are anthropic, openai, openrouter, telegram, slack, discord"
    )]
    Form,
    /// The address would show the key to others.
    #[error("names an address for {0} that is neither https nor plain http on this host")]
    Address(&'static str),
}

impl Default for VendorAddresses {
    fn default() -> Self {
        Self {
            anthropic: "https://api.anthropic.com".into(),
            openai: "https://api.openai.com/v1".into(),
            openrouter: "https://openrouter.ai/api/v1".into(),
            telegram: "https://api.telegram.org".into(),
            slack: "https://slack.com/api".into(),
            discord: "https://discord.com/api/v10".into(),
        }
    }
}

impl VendorAddresses {
    /// Reads other addresses, such as `openai=http://127.0.0.1:4000/v1`; whoever is not named stays where they are.
    ///
    /// # Errors
    /// [`BadVendorAddress`]
    pub fn parse(list: &str) -> Result<Self, BadVendorAddress> {
        let mut all = Self::default();
        for item in list.split(',').map(str::trim).filter(|item| !item.is_empty()) {
            let (name, address) = item.split_once('=').ok_or(BadVendorAddress::Form)?;
            let places = [
                ("anthropic", &mut all.anthropic),
                ("openai", &mut all.openai),
                ("openrouter", &mut all.openrouter),
                ("telegram", &mut all.telegram),
                ("slack", &mut all.slack),
                ("discord", &mut all.discord),
            ];
            let place = places.into_iter().find(|(vendor, _)| *vendor == name.trim());
            let (vendor, place) = place.ok_or(BadVendorAddress::Form)?;
            let url: Url = address.trim().parse().map_err(|_| BadVendorAddress::Form)?;
            let is_hidden = url.scheme() == "https" || (url.scheme() == "http" && is_loopback(&url));
            if !is_hidden || url.query().is_some() || url.fragment().is_some() || !url.username().is_empty() {
                return Err(BadVendorAddress::Address(vendor));
            }
            url.as_str().trim_end_matches('/').clone_into(place);
        }
        Ok(all)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn others_stay_where_they_are() {
        let all =
            VendorAddresses::parse("openai=http://127.0.0.1:4000/v1/, slack = https://slack.example/api").unwrap();
        assert_eq!(
            (all.openai.as_str(), all.slack.as_str()),
            ("http://127.0.0.1:4000/v1", "https://slack.example/api")
        );
        assert_eq!(all.telegram, VendorAddresses::default().telegram);
        assert_eq!(VendorAddresses::parse(""), Ok(VendorAddresses::default()));
        for bad in ["openai", "nobody=https://a.example", "openai=here"] {
            assert_eq!(VendorAddresses::parse(bad), Err(BadVendorAddress::Form), "{bad}");
        }
        for bad in
            ["http://api.openai.com/v1", "https://key@api.openai.com", "https://api.openai.com/?a=b", "ftp://127.0.0.1"]
        {
            let read = VendorAddresses::parse(&format!("openai={bad}"));
            assert_eq!(read, Err(BadVendorAddress::Address("openai")), "{bad}");
        }
    }
}
