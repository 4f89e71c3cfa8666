//! Which address a machine gets: chosen by us before it exists, so that nobody waits for a lease.

use std::{
    collections::HashSet,
    net::{IpAddr, Ipv4Addr},
};

use domain::MachineId;

/// The bridge's network, with the host's own address on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Subnet {
    home: Ipv4Addr,
    /// Addresses in it, the network's own and the broadcast address included; a power of two.
    size: u32,
}

impl Subnet {
    /// Reads `10.77.0.1/24`. Networks smaller than /30 or larger than /8 are refused.
    pub(super) fn parse(text: &str) -> Option<Self> {
        let (home, prefix) = text.split_once('/')?;
        let prefix: u32 = prefix.parse().ok().filter(|prefix| (8..=30).contains(prefix))?;
        Some(Self { home: home.parse().ok()?, size: 1 << (32 - prefix) })
    }

    /// The host's address.
    pub(super) const fn home(self) -> IpAddr {
        IpAddr::V4(self.home)
    }

    /// A free address. Where it starts to look depends on the machine, so that two who choose at once rarely agree.
    pub(super) fn choose(self, machine: MachineId, taken: &HashSet<IpAddr>) -> Option<Ipv4Addr> {
        let network = self.home.to_bits() & !(self.size - 1);
        let usable = self.size - 2;
        let [.., a, b, c, d] = *machine.uuid().as_bytes();
        let begin = u32::from_be_bytes([a, b, c, d]) % usable;
        (0..usable)
            .map(|n| Ipv4Addr::from_bits(network + 1 + (begin + n) % usable))
            .find(|address| *address != self.home && !taken.contains(&IpAddr::V4(*address)))
    }
}

#[cfg(test)]
mod tests {
    use domain::Id;

    use super::*;

    fn machine(n: u128) -> MachineId {
        Id::from_uuid(uuid::Uuid::from_u128(n))
    }

    #[test]
    fn a_small_network_is_used_up_to_its_last_address() {
        let subnet = Subnet::parse("10.9.8.1/29").unwrap();
        let mut taken = HashSet::new();
        while let Some(address) = subnet.choose(machine(12345), &taken) {
            assert!(taken.insert(address.into()), "{address} twice");
        }
        let all: HashSet<IpAddr> = (2..=6).map(|n| Ipv4Addr::new(10, 9, 8, n).into()).collect();
        assert_eq!(taken, all, "not the network, not the host, not the broadcast address");
    }

    #[test]
    fn machines_begin_at_different_places() {
        let subnet = Subnet::parse("10.9.8.1/24").unwrap();
        let chosen: HashSet<_> = (0..100).filter_map(|n| subnet.choose(machine(n), &HashSet::new())).collect();
        assert!(chosen.len() >= 99, "{}", chosen.len());
    }

    #[test]
    fn other_texts_are_no_network() {
        for text in ["", "none", "10.0.0.1", "10.0.0.1/31", "10.0.0.1/4", "fd00::1/64", "10.0.0/24"] {
            assert_eq!(Subnet::parse(text), None, "{text}");
        }
    }
}
