//! Loopback addresses for machines: each simulator has a /16 of 127.0.0.0/8.

use std::{io, net::Ipv4Addr, str::FromStr};

use tokio::net::TcpListener;

/// First of the second octets that are tried; below it are addresses that other programs like.
const OCTET_MIN: u8 = 16;
const OCTET_MAX: u8 = 250;

/// A simulator's network.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    /// The host's address on it.
    pub home: Ipv4Addr,
}

impl Network {
    /// `127.x.0.1/16`, as the daemon tells it.
    pub(super) fn cidr(self) -> String {
        format!("{}/16", self.home)
    }
}

impl FromStr for Network {
    type Err = &'static str;

    /// Reads `127.77.0.1`.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let home: Ipv4Addr = text.parse().map_err(|_| "not an IPv4 address")?;
        if home.octets()[0] == 127 && home.octets()[2..] == [0, 1] {
            Ok(Self { home })
        } else {
            Err("not of the form 127.x.0.1")
        }
    }
}

/// Takes a network. The listener on its home address tells other simulators that it is taken.
pub(super) async fn take(wanted: Option<Network>, port: u16) -> io::Result<(Network, TcpListener)> {
    if let Some(network) = wanted {
        return Ok((network, TcpListener::bind((network.home, port)).await?));
    }
    let count = u32::from(OCTET_MAX - OCTET_MIN) + 1;
    for n in 0..count {
        // Where it begins to look depends on the process, so that two rarely meet.
        let octet = (std::process::id().wrapping_mul(31) + n) % count;
        let octet = OCTET_MIN + u8::try_from(octet).unwrap_or_default();
        let home = Ipv4Addr::new(127, octet, 0, 1);
        if let Ok(listener) = TcpListener::bind((home, port)).await {
            return Ok((Network { home }, listener));
        }
    }
    Err(io::Error::new(io::ErrorKind::AddrInUse, "every network of 127.16.0.0 to 127.250.0.0 is taken"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn two_simulators_never_share_a_network() {
        let (one, _held) = take(None, 2299).await.unwrap();
        let (other, _also) = take(None, 2299).await.unwrap();
        assert_ne!(one, other);
        assert!(take(Some(one), 2299).await.is_err());
    }

    #[test]
    fn only_a_home_on_loopback_is_a_network() {
        assert_eq!("127.77.0.1".parse::<Network>().unwrap().cidr(), "127.77.0.1/16");
        for text in ["10.0.0.1", "127.77.0.2", "127.77.1.1", "here"] {
            assert!(text.parse::<Network>().is_err(), "{text}");
        }
    }
}
