//! The vendors whose credentials tenants bring, as an operator set them.

use clients::vendors::VendorAddresses;
use domain::reachable::NamedHosts;

use crate::settings::{BadSetting, Values, bad};

/// Where vendors are.
#[derive(Debug, Clone, Default)]
pub struct TenantVendors {
    /// Those that everybody knows.
    pub addresses: VendorAddresses,
    /// Places outside the public internet where compatible ones may be.
    pub named: NamedHosts,
}

impl TenantVendors {
    pub(super) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let (hosts, vendors) = ("BERTH_COMPATIBLE_HOSTS", "BERTH_CREDENTIAL_VENDORS");
        let named = NamedHosts::parse(&values.get(hosts)?.unwrap_or_default());
        let addresses = VendorAddresses::parse(&values.get(vendors)?.unwrap_or_default());
        Ok(Self {
            addresses: addresses.map_err(|error| bad(vendors, error.to_string()))?,
            named: named.map_err(|error| bad(hosts, error.to_string()))?,
        })
    }
}
