//! Where a request comes from, as far as counting goes.

use std::{
    fmt,
    net::{IpAddr, Ipv4Addr, Ipv6Addr},
    str::FromStr,
};

/// An IPv4 address, or the /64 of an IPv6 address: what one customer of a network has to themselves.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Source(IpAddr);

/// Addresses that begin alike: `10.0.0.0/8`, `fd00::/8`, or one address.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: u128,
    bits: u32,
}

/// Who may say for whom a request comes: the TLS proxies before Berth. By default nobody.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Proxies(Vec<Network>);

/// That is no network.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("a network is an address, or an address and how many of its bits count: 10.0.0.0/8")]
pub struct BadNetwork;

impl Source {
    /// The source that an address belongs to. An IPv4 address in IPv6's clothes is an IPv4 address.
    #[must_use]
    pub fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V4(address) => Self(IpAddr::V4(address)),
            IpAddr::V6(address) => {
                let [a, b, c, d, ..] = address.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
        }
    }

    /// Where nothing is known: all such requests are counted as one.
    #[must_use]
    pub const fn unknown() -> Self {
        Self(IpAddr::V4(Ipv4Addr::UNSPECIFIED))
    }
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let (address, bits) = text.split_once('/').map_or((text, None), |(address, bits)| (address, Some(bits)));
        let address: IpAddr = address.trim().parse().map_err(|_| BadNetwork)?;
        let widest = if address.is_ipv4() { 32 } else { 128 };
        let bits = bits.map_or(Ok(widest), |bits| bits.trim().parse()).map_err(|_| BadNetwork)?;
        if bits > widest {
            return Err(BadNetwork);
        }
        Ok(Self { address: wide(address), bits: bits + 128 - widest })
    }
}

impl Network {
    /// Whether the address begins like this.
    #[must_use]
    pub fn holds(&self, address: IpAddr) -> bool {
        let differ = wide(address.to_canonical()) ^ self.address;
        self.bits == 0 || differ >> (128 - self.bits) == 0
    }
}

impl FromStr for Proxies {
    type Err = BadNetwork;

    /// Networks, separated by commas.
    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        text.split(',')
            .map(str::trim)
            .filter(|part| !part.is_empty())
            .map(str::parse)
            .collect::<Result<_, _>>()
            .map(Self)
    }
}

impl Proxies {
    /// Who is behind a request: the peer itself, unless it is one of ours. Then the last address in the values of
    /// `X-Forwarded-For` that is none of ours; each of ours added the one that it saw. What stands before that was
    /// written by somebody we do not know, and what cannot be read counts as the last one that could.
    #[must_use]
    pub fn source<'a>(&self, peer: IpAddr, forwarded_for: impl DoubleEndedIterator<Item = &'a str>) -> Source {
        let mut nearest = peer;
        for text in forwarded_for.rev().flat_map(|value| value.rsplit(',')) {
            if !self.holds(nearest) {
                break;
            }
            let Ok(address) = text.trim().parse() else { break };
            nearest = address;
        }
        Source::of(nearest)
    }

    fn holds(&self, address: IpAddr) -> bool {
        self.0.iter().any(|network| network.holds(address))
    }
}

fn wide(address: IpAddr) -> u128 {
    match address {
        IpAddr::V4(address) => address.to_ipv6_mapped().to_bits(),
        IpAddr::V6(address) => address.to_bits(),
    }
}
