//! The real [`Provider`]: the REST API that Incus 6 and LXD 5 share, over its unix socket.
//!
//! The daemon does the waiting: a call that takes time is an operation, and one
//! request is answered when it is over. Addresses are reserved when a machine is
//! made ([`address`]), so nobody waits for a lease either. Everything else is
//! one look.
//!
//! What it makes are system containers. A virtual machine takes files only from
//! an agent inside it, so nothing could be put in before its first start by this
//! road; such an image is refused with that sentence.

mod address;
mod machine;
mod socket;
mod wire;

use std::{
    collections::{BTreeSet, HashSet},
    net::IpAddr,
    path::PathBuf,
    sync::Mutex,
    time::Duration,
};

use async_trait::async_trait;
use domain::{
    InstallationId,
    machine::{Isolation, MachineName},
};
use tokio::sync::OnceCell;

use crate::provider::{Limits, Plan, Provider, ProviderError, Sighting};

use self::{
    address::Subnet,
    socket::{Call, Socket, Trouble},
    wire::{Instance, Lease, Network, Running, Server},
};

/// Longest grace of [`Provider::stop`].
const GRACE_MAX: Duration = Duration::from_mins(5);

/// How often the wish to shut down is repeated. A machine that has just been started loses the first one,
/// because its init does not listen yet (seen: asked 30 ms after the start, it was still running 30 s later).
const SHUTDOWN_SLICE: Duration = Duration::from_secs(5);

/// Longest start, stop by force, or deletion. The first start shifts the owner of every file: 3 s here, more on slow disks.
const POWER_MAX: Duration = Duration::from_secs(90);

/// Where the daemon is, and what of it is ours to use.
#[derive(Debug, Clone)]
pub struct Settings {
    /// The daemon's unix socket.
    pub socket: PathBuf,
    /// Name of a managed bridge with an IPv4 network; machines get their addresses from it.
    pub network: String,
    /// Name of the storage pool for the machines' disks.
    pub pool: String,
    /// Written on every machine; what is without it is never touched.
    pub installation: InstallationId,
}

/// What was found at the daemon.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Survey {
    /// Its name and version, such as `lxd 5.0.2`.
    pub server: String,
    /// Whether it could run virtual machines.
    pub virtual_machines: bool,
    /// The host's address on the bridge.
    pub home: IpAddr,
}

/// A client of one daemon. Makes no connection until it is asked something.
#[derive(Debug)]
pub struct Incus {
    settings: Settings,
    socket: Socket,
    /// `lxd` or `incus`: the two differ in one word of an instance's configuration.
    flavour: OnceCell<Flavour>,
    /// Addresses given to machines that the daemon does not know yet.
    promised: Mutex<HashSet<IpAddr>>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Flavour {
    Lxd,
    Incus,
}

impl Incus {
    /// A client with these settings.
    #[must_use]
    pub fn new(settings: Settings) -> Self {
        let socket = Socket::new(&settings.socket);
        Self { settings, socket, flavour: OnceCell::new(), promised: Mutex::default() }
    }

    /// Looks whether everything that a machine needs is there, for `berth doctor` and for the start.
    pub async fn survey(&self) -> Result<Survey, ProviderError> {
        let server = self.server().await?;
        let home = self.subnet().await?.home();
        let pool = format!("/1.0/storage-pools/{}", self.settings.pool);
        match self.socket.ask::<serde_json::Value>(Call::get(pool)).await {
            Ok(_) => {}
            Err(trouble) if trouble.is_absence() => {
                return Err(refused(format!("it has no storage pool {}", self.settings.pool)));
            }
            Err(trouble) => return Err(trouble.into()),
        }
        let environment = server.environment;
        Ok(Survey {
            server: format!("{} {}", environment.server, environment.server_version),
            virtual_machines: environment.driver.contains("qemu"),
            home,
        })
    }

    async fn server(&self) -> Result<Server, ProviderError> {
        let server: Server = self.socket.ask(Call::get("/1.0")).await?;
        if server.auth != "trusted" {
            return Err(refused(format!("the daemon does not trust us ({})", server.auth)));
        }
        Ok(server)
    }

    async fn flavour(&self) -> Result<Flavour, ProviderError> {
        let read = || async {
            let server = self.server().await?;
            match server.environment.server.as_str() {
                "lxd" => Ok(Flavour::Lxd),
                "incus" => Ok(Flavour::Incus),
                other => Err(refused(format!("the daemon is neither LXD nor Incus but {other}"))),
            }
        };
        self.flavour.get_or_try_init(read).await.copied()
    }

    async fn subnet(&self) -> Result<Subnet, ProviderError> {
        let name = &self.settings.network;
        let network: Network = match self.socket.ask(Call::get(format!("/1.0/networks/{name}"))).await {
            Ok(network) => network,
            Err(trouble) if trouble.is_absence() => return Err(refused(format!("it has no network {name}"))),
            Err(trouble) => return Err(trouble.into()),
        };
        let address = network.config.get("ipv4.address").filter(|_| network.managed && network.kind == "bridge");
        address
            .and_then(|text| Subnet::parse(text))
            .ok_or_else(|| refused(format!("the network {name} is no managed bridge with an IPv4 network")))
    }

    /// Every address that is reserved or in use on the bridge, and by whom.
    async fn leases(&self) -> Result<Vec<Lease>, ProviderError> {
        Ok(self.socket.ask(Call::get(format!("/1.0/networks/{}/leases", self.settings.network))).await?)
    }

    /// The instance of this name, whoever made it.
    async fn instance(&self, name: &MachineName) -> Result<Option<Instance>, ProviderError> {
        match self.socket.ask::<Instance>(Call::get(format!("/1.0/instances/{name}"))).await {
            Ok(instance) if instance.name == name.as_str() => Ok(Some(instance)),
            Ok(_) => Err(garbled("another instance than the one asked for")),
            Err(trouble) if trouble.is_absence() => Ok(None),
            Err(trouble) => Err(trouble.into()),
        }
    }

    /// The instance of this name, which has to be ours if it is there.
    async fn our_instance(&self, name: &MachineName) -> Result<Option<Instance>, ProviderError> {
        match self.instance(name).await? {
            Some(instance) if !instance.is_of(self.settings.installation) => {
                Err(refused(format!("{name} is there, and was not made by this installation of Berth")))
            }
            Some(instance) if instance.machine().is_none_or(|machine| MachineName::of(machine) != *name) => {
                Err(refused(format!("{name} is labelled as another machine")))
            }
            found => Ok(found),
        }
    }

    /// Waits for the operations on this machine that are under way; whether there was one.
    async fn settle(&self, name: &MachineName, limit: Duration) -> Result<bool, ProviderError> {
        let mut waited = false;
        for operation in self.under_way(name).await? {
            waited = true;
            match self.socket.wait(&format!("/1.0/operations/{}", operation.id), limit).await {
                // How it ended is for a look to find out.
                Ok(()) | Err(Trouble::Failed { .. }) => {}
                Err(trouble) => return Err(trouble.into()),
            }
        }
        Ok(waited)
    }

    async fn under_way(&self, name: &MachineName) -> Result<Vec<Running>, ProviderError> {
        let by_state: std::collections::HashMap<String, Vec<Running>> =
            self.socket.ask(Call::get("/1.0/operations?recursion=1")).await?;
        Ok(by_state.into_values().flatten().filter(|operation| operation.touches(name)).collect())
    }

    /// Changes the power and then looks: an operation that failed because someone else was faster is no failure.
    async fn power(&self, name: &MachineName, how: Power) -> Result<(), ProviderError> {
        let begun = std::time::Instant::now();
        let (body, limit) = match how {
            Power::On => (serde_json::json!({"action": "start", "timeout": POWER_MAX.as_secs()}), POWER_MAX),
            Power::Off(grace) if grace.is_zero() => {
                (serde_json::json!({"action": "stop", "force": true, "timeout": POWER_MAX.as_secs()}), POWER_MAX)
            }
            Power::Off(grace) => {
                let seconds = grace.as_secs().max(1);
                let body = serde_json::json!({"action": "stop", "force": false, "timeout": seconds});
                (body, Duration::from_secs(seconds).saturating_add(Duration::from_secs(10)))
            }
        };
        let call = Call::json(http::Method::PUT, format!("/1.0/instances/{name}/state"), &body);
        let outcome = self.socket.operate(call, limit).await;
        let took_ms = begun.elapsed().as_millis();
        tracing::debug!(machine = %name, ?how, ok = outcome.is_ok(), took_ms, "power changed");
        let Err(trouble) = outcome else { return Ok(()) };
        let wanted = matches!(how, Power::On);
        match self.instance(name).await? {
            Some(instance) if instance.is_running()? == wanted => Ok(()),
            _ => Err(trouble.into()),
        }
    }
}

/// A change of power.
#[derive(Debug, Clone, Copy)]
enum Power {
    On,
    /// By its own shutdown within this time; by force at once where it is zero.
    Off(Duration),
}

#[async_trait]
impl Provider for Incus {
    fn isolation(&self) -> Isolation {
        Isolation::Container
    }

    async fn ensure(&self, plan: &Plan) -> Result<Sighting, ProviderError> {
        machine::ensure(self, plan).await
    }

    async fn look(&self, name: &MachineName) -> Result<Option<Sighting>, ProviderError> {
        match self.our_instance(name).await? {
            Some(instance) => instance.sighting(name.clone()).map(Some),
            // One that is being made is not absent, even before its first trace.
            None if self.under_way(name).await?.is_empty() => Ok(None),
            None => Err(ProviderError::Busy),
        }
    }

    async fn start(&self, name: &MachineName) -> Result<(), ProviderError> {
        match self.our_instance(name).await? {
            None => Err(refused(format!("there is no machine {name}"))),
            Some(instance) if instance.is_running()? => Ok(()),
            Some(instance) if !instance.was_started() => {
                Err(refused(format!("{name} was never made ready: its files may be missing")))
            }
            Some(_) => self.power(name, Power::On).await,
        }
    }

    async fn stop(&self, name: &MachineName, grace: Duration) -> Result<(), ProviderError> {
        match self.our_instance(name).await? {
            None => return Err(refused(format!("there is no machine {name}"))),
            Some(instance) if instance.status_code == wire::STOPPED => return Ok(()),
            Some(_) => {}
        }
        let mut left = grace.min(GRACE_MAX);
        while !left.is_zero() {
            let slice = left.min(SHUTDOWN_SLICE);
            match self.power(name, Power::Off(slice)).await {
                Err(error) => tracing::debug!(machine = %name, %error, "no clean shutdown yet"),
                Ok(()) => return Ok(()),
            }
            left = left.saturating_sub(slice);
        }
        if !grace.is_zero() {
            tracing::info!(machine = %name, "no clean shutdown, cutting the power");
        }
        self.power(name, Power::Off(Duration::ZERO)).await
    }

    async fn resize(&self, name: &MachineName, limits: &Limits) -> Result<(), ProviderError> {
        machine::resize(self, name, limits).await
    }

    async fn remove(&self, name: &MachineName) -> Result<(), ProviderError> {
        self.settle(name, POWER_MAX).await?;
        let begun = std::time::Instant::now();
        let Some(instance) = self.our_instance(name).await? else { return Ok(()) };
        if instance.status_code != wire::STOPPED {
            self.power(name, Power::Off(Duration::ZERO)).await?;
        }
        let mut deleted = self.delete(name).await;
        if deleted.as_ref().is_err_and(|trouble| trouble.mentions("is running")) {
            // A daemon that was just started again takes a running machine for a stopped one for a moment (seen).
            self.power(name, Power::Off(Duration::ZERO)).await?;
            deleted = self.delete(name).await;
        }
        match (self.look(name).await?, deleted) {
            (None, _) => {
                tracing::debug!(machine = %name, took_ms = begun.elapsed().as_millis(), "machine removed");
                Ok(())
            }
            (Some(_), Err(trouble)) if trouble.mentions("is running") => Err(ProviderError::Busy),
            (Some(_), Err(trouble)) => Err(trouble.into()),
            (Some(_), Ok(())) => Err(garbled("it was deleted, and is still there")),
        }
    }

    async fn list(&self) -> Result<Vec<Sighting>, ProviderError> {
        let names = self.names().await?;
        let instances: Vec<Instance> = self.socket.ask(Call::get("/1.0/instances?recursion=1")).await?;
        let listed: BTreeSet<&str> = instances.iter().map(|instance| instance.name.as_str()).collect();
        if listed.len() != instances.len() {
            return Err(garbled("a listing with the same instance twice"));
        }
        // What is in the short listing before and after the long one has to be in the long one.
        let after = self.names().await?;
        if let Some(missing) = names.intersection(&after).find(|name| !listed.contains(name.as_str())) {
            return Err(garbled(&format!("a listing without {missing}, which is there")));
        }
        let mut sightings = Vec::new();
        for instance in instances.iter().filter(|instance| instance.is_of(self.settings.installation)) {
            let name = instance.machine().map(MachineName::of).filter(|name| name.as_str() == instance.name);
            let name = name.ok_or_else(|| garbled(&format!("{} is labelled as another machine", instance.name)))?;
            sightings.push(instance.sighting(name)?);
        }
        sightings.sort_by(|one, other| one.name.cmp(&other.name));
        Ok(sightings)
    }

    async fn home_address(&self) -> Result<IpAddr, ProviderError> {
        Ok(self.subnet().await?.home())
    }
}

impl Incus {
    async fn delete(&self, name: &MachineName) -> Result<(), Trouble> {
        self.socket.operate(Call::delete(format!("/1.0/instances/{name}")), POWER_MAX).await
    }

    /// The names of all instances there are, ours and others'.
    async fn names(&self) -> Result<BTreeSet<String>, ProviderError> {
        let paths: Vec<String> = self.socket.ask(Call::get("/1.0/instances")).await?;
        let name = |path: &String| {
            let name = path.split('?').next().and_then(|path| path.strip_prefix("/1.0/instances/"));
            name.map(str::to_owned).ok_or_else(|| garbled("a listing with something else than instances"))
        };
        paths.iter().map(name).collect()
    }
}

const fn refused(why: String) -> ProviderError {
    ProviderError::Refused { why }
}

fn garbled(why: &str) -> ProviderError {
    ProviderError::Garbled { why: why.to_owned() }
}
