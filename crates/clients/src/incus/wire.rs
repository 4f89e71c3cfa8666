//! The daemon's nouns, as far as we read them.

use std::{collections::HashMap, net::IpAddr};

use chrono::{DateTime, Datelike as _, Utc};
use domain::{InstallationId, MachineId, machine::MachineName};
use serde::Deserialize;

use crate::provider::{ProviderError, Sighting};

/// Label: the installation that made it. Nothing without ours is touched.
pub(super) const LABEL_INSTALLATION: &str = "user.berth.installation";
/// Label: which machine it is.
pub(super) const LABEL_MACHINE: &str = "user.berth.machine";
/// Label: alias of the image it was made from; the daemon itself remembers the fingerprint only.
pub(super) const LABEL_IMAGE: &str = "user.berth.image";

/// The status code of an instance without power.
pub(super) const STOPPED: u16 = 102;

/// The one network device of a machine.
pub(super) const NIC: &str = "eth0";

/// `GET /1.0`.
#[derive(Deserialize)]
pub(super) struct Server {
    /// `trusted` where we may do everything.
    pub auth: String,
    pub environment: Environment,
}

#[derive(Deserialize)]
pub(super) struct Environment {
    /// `lxd` or `incus`.
    pub server: String,
    pub server_version: String,
    /// Names of the drivers that work here, such as `lxc | qemu`.
    pub driver: String,
}

/// `GET /1.0/images/aliases/<alias>`.
#[derive(Deserialize)]
pub(super) struct Alias {
    /// The image's fingerprint.
    pub target: String,
    /// `container` or `virtual-machine`.
    #[serde(rename = "type")]
    pub kind: String,
}

/// `GET /1.0/networks/<name>`.
#[derive(Deserialize)]
pub(super) struct Network {
    pub managed: bool,
    #[serde(rename = "type")]
    pub kind: String,
    pub config: HashMap<String, String>,
}

/// An entry of `GET /1.0/networks/<name>/leases`: reserved or in use.
#[derive(Deserialize)]
pub(super) struct Lease {
    pub hostname: String,
    pub address: IpAddr,
}

/// An entry of `GET /1.0/operations?recursion=1`.
#[derive(Deserialize)]
pub(super) struct Running {
    pub id: String,
    pub status_code: u16,
    #[serde(default)]
    pub resources: Option<HashMap<String, Vec<String>>>,
}

impl Running {
    /// Whether it has to do with this machine.
    pub(super) fn touches(&self, name: &MachineName) -> bool {
        let path = format!("/1.0/instances/{name}");
        let of = |paths: &Vec<String>| paths.iter().any(|one| one.split('?').next() == Some(&path));
        self.status_code < 200 && self.resources.iter().flat_map(HashMap::values).any(of)
    }
}

/// `GET /1.0/instances/<name>`.
#[derive(Debug, Deserialize)]
pub(super) struct Instance {
    pub name: String,
    pub status_code: u16,
    pub config: HashMap<String, String>,
    #[serde(default)]
    pub devices: HashMap<String, HashMap<String, String>>,
    pub created_at: DateTime<Utc>,
    pub last_used_at: DateTime<Utc>,
}

impl Instance {
    /// Whether the label of this installation is on it.
    pub(super) fn is_of(&self, installation: InstallationId) -> bool {
        self.config.get(LABEL_INSTALLATION).is_some_and(|label| *label == installation.to_string())
    }

    /// Which machine its label says it is.
    pub(super) fn machine(&self) -> Option<MachineId> {
        self.config.get(LABEL_MACHINE).and_then(|label| label.parse().ok())
    }

    /// The daemon writes when an instance was started last; before the first time that is 1970 or the year 1.
    pub(super) fn was_started(&self) -> bool {
        self.last_used_at.year() > 1970
    }

    /// Whether it has power. The daemon's own doubt is an error.
    pub(super) fn is_running(&self) -> Result<bool, ProviderError> {
        match self.status_code {
            // Running, Stopping, Ready (which a guest can declare)
            103 | 107 | 113 => Ok(true),
            // Stopped, Starting, Aborting, Freezing, Frozen, Thawed
            102 | 106 | 108..=111 => Ok(false),
            // Error: a broken monitor, or a cluster member that does not answer
            112 => Err(ProviderError::Unavailable { why: format!("the daemon does not know how {} is", self.name) }),
            code => Err(ProviderError::Garbled { why: format!("{} has the unknown status {code}", self.name) }),
        }
    }

    /// The address that is reserved for it.
    pub(super) fn address(&self) -> Option<IpAddr> {
        self.devices.get(NIC)?.get("ipv4.address")?.parse().ok()
    }

    /// As flows see it.
    pub(super) fn sighting(&self, name: MachineName) -> Result<Sighting, ProviderError> {
        Ok(Sighting {
            name,
            machine: self.machine(),
            running: self.is_running()?,
            address: self.address(),
            image: self.config.get(LABEL_IMAGE).cloned(),
            created_at: self.created_at,
        })
    }
}
