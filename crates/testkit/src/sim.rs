//! A machine simulator: a daemon and two hundred machines in one process, for the real `berth` program.
//!
//! [`Simulator`] serves the part of the Incus/LXD REST API that Berth's own
//! client uses, over a unix socket ([`daemon`]). A started machine is a real SSH
//! server on a loopback address of its own ([`sshd`]), which shows the host key
//! that Berth put into its files and lets in certificates of the placed authority
//! for the placed principal. Behind it a guest answers the protocol with a
//! simulated gateway ([`guest`]), whose turns call Berth's own model route.
//!
//! Every effect is one line of a [`ledger`]: a test compares what Berth says
//! with what was done. [`faults`] makes calls fail, or lose their answer after
//! the effect. Why, and what it does not show: `docs/decisions/0050-machine-simulator.md`.

mod daemon;
mod disk;
mod faults;
mod guest;
mod home;
mod instances;
mod ledger;
mod machine;
mod network;
mod operations;
mod outside;
mod received;
mod sshd;
mod wire;

use std::{io, net::Ipv4Addr, path::PathBuf, sync::Arc, time::Duration};

use tokio::net::UnixListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub use faults::{How, Verb};
pub use instances::Seen;
pub use ledger::{Effect, Entry};
pub use network::Network;
pub use received::REKEYED;

/// How long things take, on top of what they cost.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Delays {
    /// Making or deleting an instance.
    pub make: Duration,
    /// Changing its power.
    pub power: Duration,
    /// From power to a listening SSH server.
    pub boot: Duration,
    /// From a starting gateway to a ready one.
    pub gateway: Duration,
    /// Taking up a configuration.
    pub apply: Duration,
    /// A turn, besides its call to the model route.
    pub turn: Duration,
}

impl Default for Delays {
    fn default() -> Self {
        let ms = Duration::from_millis;
        Self { make: ms(6), power: ms(4), boot: ms(10), gateway: ms(20), apply: ms(3), turn: ms(3) }
    }
}

/// What a simulator is made with.
#[derive(Debug, Clone)]
pub struct Options {
    /// Holds the socket `unix.socket` and the ledger `ledger.jsonl`.
    pub folder: PathBuf,
    /// The machines' loopback network. `None`: one that no other simulator on this computer uses.
    pub network: Option<Network>,
    /// Port of the machines' SSH servers.
    pub ssh_port: u16,
    /// Alias of the one image there is.
    pub image: String,
    /// How long things take.
    pub delays: Delays,
    /// What a machine with power is, instead of the server and the guest in here.
    pub program: Option<PathBuf>,
}

impl Options {
    /// The defaults, below this folder.
    #[must_use]
    pub fn below(folder: impl Into<PathBuf>) -> Self {
        Self {
            folder: folder.into(),
            network: None,
            ssh_port: 2222,
            image: "berth-machine-simulated".to_owned(),
            delays: Delays::default(),
            program: None,
        }
    }
}

/// A running simulator; dropping it cuts the power of every machine.
#[derive(Debug)]
pub struct Simulator {
    shared: Arc<Shared>,
    _end: DropGuard,
}

/// What the parts share.
#[derive(Debug)]
struct Shared {
    options: Options,
    network: Network,
    instances: instances::Instances,
    operations: operations::Operations,
    ledger: ledger::Ledger,
    faults: faults::Faults,
    received: received::Received,
    end: CancellationToken,
}

impl Simulator {
    /// Opens the ledger, takes a network and listens.
    ///
    /// # Errors
    /// The folder, the socket or every network is taken.
    pub async fn start(options: Options) -> io::Result<Self> {
        let (network, reserved) = network::take(options.network, options.ssh_port).await?;
        let socket = UnixListener::bind(options.folder.join(SOCKET))?;
        let end = CancellationToken::new();
        let shared = Arc::new(Shared {
            ledger: ledger::Ledger::open(&options.folder.join(LEDGER))?,
            network,
            instances: instances::Instances::default(),
            operations: operations::Operations::default(),
            faults: faults::Faults::default(),
            received: received::Received::default(),
            end: end.clone(),
            options,
        });
        tokio::spawn(daemon::serve(Arc::clone(&shared), socket, reserved));
        Ok(Self { shared, _end: end.drop_guard() })
    }

    /// The daemon's unix socket: `BERTH_INCUS_SOCKET`.
    #[must_use]
    pub fn socket(&self) -> PathBuf {
        self.shared.options.folder.join(SOCKET)
    }

    /// Name of the bridge: `BERTH_INCUS_NETWORK`.
    #[must_use]
    pub const fn bridge(&self) -> &'static str {
        wire::BRIDGE
    }

    /// Name of the storage pool: `BERTH_INCUS_POOL`.
    #[must_use]
    pub const fn pool(&self) -> &'static str {
        wire::POOL
    }

    /// The host's address on the machines' network: where a home can listen.
    #[must_use]
    pub fn home(&self) -> Ipv4Addr {
        self.shared.network.home
    }

    /// As it was made.
    #[must_use]
    pub fn options(&self) -> &Options {
        &self.shared.options
    }

    /// Every machine that exists, by name.
    #[must_use]
    pub fn machines(&self) -> Vec<Seen> {
        self.shared.instances.seen()
    }

    /// Every effect so far, in order.
    #[must_use]
    pub fn ledger(&self) -> Vec<Entry> {
        self.shared.ledger.entries()
    }

    /// What machines were given so far that nobody else may know, in order: files by their path, secrets and variables
    /// by their name, a new machine key as [`REKEYED`].
    #[must_use]
    pub fn received(&self) -> Vec<(String, Vec<u8>)> {
        self.shared.received.all()
    }

    /// The next `times` calls of this verb go wrong like this.
    pub fn strike(&self, verb: Verb, how: How, times: u32) {
        self.shared.faults.add(verb, how, times);
    }

    /// Whether a fault for this verb is still to come.
    #[must_use]
    pub fn will_strike(&self, verb: Verb) -> bool {
        self.shared.faults.expects(verb)
    }

    /// A gateway stops being ready by itself, tells home, and is started again by its unit.
    pub fn lose_gateway(&self, name: &str) {
        if let Some(guest) = self.shared.instances.guest(name) {
            guest.lose_gateway();
        }
    }

    /// What a machine shows at home: its own token and its model key. `None`: no gateway of that name is configured.
    #[must_use]
    pub fn credentials(&self, name: &str) -> Option<(String, String)> {
        self.shared.instances.guest(name)?.credentials()
    }
}

const SOCKET: &str = "unix.socket";
const LEDGER: &str = "ledger.jsonl";
