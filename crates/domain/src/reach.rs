//! Where a machine may connect to, beside its home: `host:port`, by name or by address.
//!
//! The packet filter of a machine lets its programs reach what stands on this list
//! and nothing else. The control plane makes the list from what an agent's channels
//! need; the guest checks it again before it writes it down.

use std::{fmt, net::IpAddr};

use crate::public_address::is_public;

/// Most places on the list of one machine.
pub const REACH_MAX: usize = 32;

/// Most characters of a host's name, by RFC 1035.
const HOST_CHARS_MAX: usize = 253;

/// One place: a host's name in lower case, or an address, and a TCP port.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Reach {
    host: String,
    address: Option<IpAddr>,
    port: u16,
}

/// Why a text is no place that a machine may reach.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadReach {
    /// Not `host:port`.
    #[error("a place is a host and a port, such as api.example.org:443")]
    Form,
    /// A name that no host could have, a name without a dot, or one that means the machine itself.
    #[error("that is no full name of a host")]
    Host,
    /// Port 0 or above 65535.
    #[error("the port is from 1 to 65535")]
    Port,
}

impl Reach {
    /// Reads `host:port`, an IPv6 address in brackets. Upper case becomes lower case.
    ///
    /// # Errors
    /// [`BadReach`] says which rule was broken.
    pub fn parse(raw: &str) -> Result<Self, BadReach> {
        let (host, port) = raw.rsplit_once(':').ok_or(BadReach::Form)?;
        if port.is_empty() || port.len() > 5 || !port.bytes().all(|byte| byte.is_ascii_digit()) {
            return Err(BadReach::Form);
        }
        let port = port.parse().ok().filter(|port| *port != 0).ok_or(BadReach::Port)?;
        Self::of(host, port)
    }

    /// A host, an IPv6 address in brackets, and a port.
    ///
    /// # Errors
    /// [`BadReach::Host`].
    pub fn of(host: &str, port: u16) -> Result<Self, BadReach> {
        let bracketed = host.strip_prefix('[').and_then(|rest| rest.strip_suffix(']'));
        let address = match bracketed {
            Some(inside) => Some(IpAddr::V6(inside.parse().map_err(|_| BadReach::Host)?)),
            None => host.parse().ok().filter(IpAddr::is_ipv4),
        };
        if let Some(address) = address {
            // Written as the standard library writes it, so that one place has one text.
            let host = if address.is_ipv6() { format!("[{address}]") } else { address.to_string() };
            return Ok(Self { host, address: Some(address), port });
        }
        let host = host.to_ascii_lowercase();
        if is_name(&host) { Ok(Self { host, address: None, port }) } else { Err(BadReach::Host) }
    }

    /// The host's name, or its address, an IPv6 one in brackets.
    #[must_use]
    pub fn host(&self) -> &str {
        &self.host
    }

    /// The TCP port.
    #[must_use]
    pub const fn port(&self) -> u16 {
        self.port
    }

    /// Whether it is an address that no host on the public internet has ([`is_public`]).
    ///
    /// A name says nothing about where it leads, so this is `false` for every name.
    #[must_use]
    pub fn is_private_address(&self) -> bool {
        self.address.is_some_and(|address| !is_public(address))
    }
}

impl fmt::Display for Reach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.host, self.port)
    }
}

/// A name with at least one dot, so that no search list completes it, and a last label that is no number.
fn is_name(host: &str) -> bool {
    let is_label = |label: &str| {
        matches!(label.len(), 1..=63)
            && label.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-')
            && !label.starts_with('-')
            && !label.ends_with('-')
    };
    let last = host.rsplit('.').next().unwrap_or_default();
    host.len() <= HOST_CHARS_MAX
        && host.contains('.')
        && host.split('.').all(is_label)
        && last.bytes().any(|b| b.is_ascii_lowercase())
        && last != "localhost"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_place_has_one_text() {
        for (raw, text) in [
            ("api.telegram.org:443", "api.telegram.org:443"),
            ("API.Telegram.ORG:0443", "api.telegram.org:443"),
            ("149.154.167.220:443", "149.154.167.220:443"),
            ("[2001:67c:4e8:f004:0:0:0:9]:443", "[2001:67c:4e8:f004::9]:443"),
            ("bot-api.example.org:8081", "bot-api.example.org:8081"),
        ] {
            assert_eq!(Reach::parse(raw).unwrap().to_string(), text, "{raw}");
        }
    }

    #[test]
    fn what_a_packet_filter_could_misread_is_refused() {
        for raw in [
            "",
            ":443",
            "api.telegram.org",
            "api.telegram.org:",
            "api.telegram.org:0",
            "api.telegram.org:65536",
            "api.telegram.org:+443",
            "api.telegram.org:443 ",
            "api.telegram.org}; accept; #:443",
            "a b.org:1",
            "a\nb.org:1",
            "$(id).org:1",
            "-a.org:1",
            "a-.org:1",
            "a..org:1",
            ".org:1",
            "org.:1",
            "localhost:1",
            "db.localhost:1",
            "1.2.3:1",
            "1.2.3.4.5:1",
            "0x7f.1:1",
            "2130706433:1",
            "2001:db8::1:443",
            "[1.2.3.4]:1",
            "[fe80::1%eth0]:1",
            "*.slack.com:443",
            "ä.org:443",
            "10.0.0.0/8:443",
        ] {
            assert!(Reach::parse(raw).is_err(), "{raw:?} was taken");
        }
        assert!(Reach::of(&format!("{}.org", "a".repeat(64)), 1).is_err());
        assert!(Reach::of(&format!("{}org", "a.".repeat(126)), 1).is_err());
    }

    #[test]
    fn addresses_of_no_public_network_are_told_from_the_others() {
        for private in [
            "127.0.0.1:80",
            "10.1.2.3:443",
            "172.16.0.1:443",
            "172.31.255.255:443",
            "192.168.1.1:443",
            "169.254.169.254:80",
            "100.64.0.1:443",
            "0.0.0.0:1",
            "198.18.0.1:1",
            "224.0.0.1:1",
            "255.255.255.255:1",
            "[::1]:80",
            "[::]:80",
            "[fe80::1]:80",
            "[fd00::1]:80",
            "[ff02::1]:80",
            "[::ffff:10.0.0.1]:80",
        ] {
            assert!(Reach::parse(private).unwrap().is_private_address(), "{private}");
        }
        for public in
            ["149.154.167.220:443", "172.32.0.1:443", "[2606:4700::1]:443", "[::ffff:8.8.8.8]:443", "slack.com:443"]
        {
            assert!(!Reach::parse(public).unwrap().is_private_address(), "{public}");
        }
    }
}
