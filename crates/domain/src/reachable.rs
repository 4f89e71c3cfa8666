//! Whether an address that a tenant names may be called, such as `https://models.example.org/v1`.
//!
//! [`Reachable::judge`] is the only way to one, and is asked before each call: https
//! on the public internet, or one of the places that an operator named
//! ([`NamedHosts`]). A name is not looked up here; whoever calls it looks it up once
//! and judges the addresses ([`crate::public_address`]).

use std::fmt;

use url::{Host, Url};

use crate::public_address::is_public;

/// A base URL that may be called, without a slash at its end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reachable {
    text: String,
    is_named: bool,
}

/// Why an address is not called. Each is a sentence for the person who typed it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum NotReachable {
    /// Empty or too long.
    #[error("an address has 1 to {} characters", Reachable::BYTES_MAX)]
    Length,
    /// It cannot be read.
    #[error("that is no address; one looks like https://models.example.org/v1")]
    Form,
    /// Another scheme.
    #[error("an address begins with https://")]
    Scheme,
    /// A user, a password, a query or a fragment.
    #[error("an address is a host and a path: no user, no password, nothing after ? or #")]
    Extra,
    /// A port on which other things than web servers answer.
    #[error("an address names no port, or 443, or one above 1023")]
    Port,
    /// Not on the public internet.
    #[error("that host is not on the public internet, so Berth does not call it")]
    Private,
}

/// Places outside the public internet that an operator named: scheme, host and port of each.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NamedHosts(Vec<Url>);

/// A list of places cannot be read.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("holds {0}, which is no http or https address of a host alone, such as http://models.internal:8000")]
pub struct BadNamedHost(String);

impl NamedHosts {
    /// Reads addresses without a path, separated by commas.
    ///
    /// # Errors
    /// [`BadNamedHost`]
    pub fn parse(list: &str) -> Result<Self, BadNamedHost> {
        let items = list.split(',').map(str::trim).filter(|item| !item.is_empty());
        let read = |item: &str| {
            let bad = || BadNamedHost(item.to_owned());
            let url = read(item).map_err(|_| bad())?;
            let is_bare = url.path() == "/" && ["http", "https"].contains(&url.scheme());
            if is_bare { Ok(url) } else { Err(bad()) }
        };
        items.map(read).collect::<Result<_, _>>().map(Self)
    }

    fn names(&self, url: &Url) -> bool {
        self.0.iter().any(|named| named.origin() == url.origin())
    }
}

impl Reachable {
    /// Most bytes of one.
    pub const BYTES_MAX: usize = 300;

    /// The only constructor. Space around the address, and slashes at its end, are dropped.
    ///
    /// # Errors
    /// [`NotReachable`]
    pub fn judge(raw: &str, named: &NamedHosts) -> Result<Self, NotReachable> {
        let url = read(raw)?;
        let is_named = named.names(&url);
        if !is_named {
            is_open(&url)?;
        }
        Ok(Self { text: url.as_str().trim_end_matches('/').to_owned(), is_named })
    }

    /// The address.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// The address of something below it; `path` begins without a slash.
    #[must_use]
    pub fn below(&self, path: &str) -> String {
        format!("{}/{path}", self.text)
    }

    /// Whether an operator named this place, so that it may have any address.
    #[must_use]
    pub const fn is_named(&self) -> bool {
        self.is_named
    }
}

impl fmt::Display for Reachable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

/// Reads an address as browsers do: `0x7f.1` and `2130706433` are 127.0.0.1 from here on.
fn read(raw: &str) -> Result<Url, NotReachable> {
    let text = raw.trim();
    if text.is_empty() || text.len() > Reachable::BYTES_MAX {
        return Err(NotReachable::Length);
    }
    // A browser drops or turns these; what is read here is what was typed.
    if text.chars().any(|c| c.is_control() || c.is_whitespace() || c == '\\') {
        return Err(NotReachable::Form);
    }
    let url = Url::parse(text).map_err(|_| NotReachable::Form)?;
    if !["http", "https"].contains(&url.scheme()) {
        return Err(NotReachable::Scheme);
    }
    let extra = !url.username().is_empty() || url.password().is_some() || url.query().is_some();
    if extra || url.fragment().is_some() || url.as_str().len() > Reachable::BYTES_MAX {
        return Err(if extra || url.fragment().is_some() { NotReachable::Extra } else { NotReachable::Length });
    }
    Ok(url)
}

/// What no operator named.
fn is_open(url: &Url) -> Result<(), NotReachable> {
    if url.scheme() != "https" {
        return Err(NotReachable::Scheme);
    }
    if url.port().is_some_and(|port| port < 1024) {
        return Err(NotReachable::Port);
    }
    let is_public = match url.host() {
        Some(Host::Ipv4(address)) => is_public(address.into()),
        Some(Host::Ipv6(address)) => is_public(address.into()),
        // A name without a dot is one of a local network; the others are set aside for such (RFC 6761, 6762, 8375, ICANN).
        Some(Host::Domain(name)) => {
            let name = name.trim_end_matches('.');
            let last = name.rsplit('.').next().unwrap_or_default();
            name.contains('.') && !["localhost", "local", "internal"].contains(&last) && !name.ends_with(".home.arpa")
        }
        None => false,
    };
    if is_public { Ok(()) } else { Err(NotReachable::Private) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn judge(raw: &str) -> Result<String, NotReachable> {
        Reachable::judge(raw, &NamedHosts::default()).map(|url| url.to_string())
    }

    #[test]
    fn a_public_https_address_is_taken_without_the_slash_at_its_end() {
        let table = [
            (" https://models.example.org/v1/ ", "https://models.example.org/v1"),
            ("https://models.example.org", "https://models.example.org"),
            ("https://MODELS.example.org:8443/a/../v1//", "https://models.example.org:8443/v1"),
            ("https://models.example.org:443/v1", "https://models.example.org/v1"),
            ("https://1.1.1.1/v1", "https://1.1.1.1/v1"),
            ("https://[2606:4700:4700::1111]/v1", "https://[2606:4700:4700::1111]/v1"),
            ("https://münchen.example/v1", "https://xn--mnchen-3ya.example/v1"),
        ];
        for (raw, text) in table {
            assert_eq!(judge(raw).as_deref(), Ok(text), "{raw}");
        }
        let base = Reachable::judge("https://models.example.org/v1/", &NamedHosts::default()).unwrap();
        assert_eq!(base.below("models"), "https://models.example.org/v1/models");
        assert!(!base.is_named());
    }

    #[test]
    fn what_is_no_address_of_a_web_server_is_refused() {
        use NotReachable::{Extra, Form, Length, Port, Scheme};
        let table = [
            ("", Length),
            ("models.example.org", Form),
            ("https://", Form),
            ("https://a b.example/", Form),
            ("https://models.example.org\\@127.0.0.1/", Form),
            ("https://models.exa\tmple.org/", Form),
            ("https://models.example.org/v1\r\nx: y", Form),
            ("http://models.example.org/v1", Scheme),
            ("file:///etc/passwd", Scheme),
            ("gopher://models.example.org/", Scheme),
            ("https://user@models.example.org/", Extra),
            ("https://:hunter2@models.example.org/", Extra),
            ("https://models.example.org/?a=b", Extra),
            ("https://models.example.org/#a", Extra),
            ("https://models.example.org:22/", Port),
            ("https://models.example.org:80/", Port),
            ("https://models.example.org:25/", Port),
        ];
        for (raw, why) in table {
            assert_eq!(judge(raw), Err(why), "{raw}");
        }
        assert_eq!(judge(&format!("https://models.example.org/{}", "x".repeat(300))), Err(Length));
        assert_eq!(judge(&format!("https://models.example.org/{}", "ä".repeat(100))), Err(Length), "as it goes out");
    }

    #[test]
    fn no_spelling_of_a_private_host_is_taken() {
        for host in [
            "127.0.0.1",
            "127.1",
            "2130706433",
            "0x7f000001",
            "0x7f.1",
            "0177.0.0.1",
            "017700000001",
            "0",
            "0.0.0.0",
            "10.1",
            "0xa9fea9fe",
            "169.254.169.254",
            "169.254.43518",
            "192.168.0.1",
            "100.64.0.1",
            "224.0.0.1",
            "[::1]",
            "[::]",
            "[::ffff:127.0.0.1]",
            "[::ffff:7f00:1]",
            "[0:0:0:0:0:ffff:10.0.0.1]",
            "[fe80::1]",
            "[fd00:ec2::254]",
            "[64:ff9b::7f00:1]",
            "[2002:7f00:1::]",
            "[ff02::1]",
            "１２７.０.０.１",
            "①②⑦.0.0.1",
            "127。0。0。1",
            "localhost",
            "LOCALHOST",
            "localhost.",
            "berth.localhost",
            "postgres",
            "postgres.",
            "printer.local",
            "metadata.google.internal",
            "metadata.google.internal.",
            "router.home.arpa",
        ] {
            assert_eq!(judge(&format!("https://{host}/v1")), Err(NotReachable::Private), "{host}");
        }
    }

    #[test]
    fn a_place_that_an_operator_named_is_taken_and_no_other_beside_it() {
        let named = NamedHosts::parse("http://models.internal:8000, https://10.1.2.3,,").unwrap();
        let base = |raw: &str| Reachable::judge(raw, &named).map(|base| (base.to_string(), base.is_named()));
        assert_eq!(base("http://models.internal:8000/v1/"), Ok(("http://models.internal:8000/v1".into(), true)));
        assert_eq!(base("https://10.1.2.3:443/v1"), Ok(("https://10.1.2.3/v1".into(), true)));
        assert_eq!(base("https://models.example.org"), Ok(("https://models.example.org".into(), false)));
        for beside in [
            "http://models.internal/v1",
            "https://models.internal:8000/v1",
            "http://models.internal:8001/v1",
            "http://10.1.2.3/v1",
            "https://10.1.2.4/v1",
            "https://10.1.2.3:8443/v1",
            "http://user@models.internal:8000/",
        ] {
            assert!(base(beside).is_err(), "{beside}");
        }
        assert_eq!(NamedHosts::parse(" , "), Ok(NamedHosts::default()));
        for bad in
            ["models.internal", "http://models.internal/v1", "ftp://models.internal", "http://a:b@models.internal"]
        {
            assert_eq!(NamedHosts::parse(bad), Err(BadNamedHost(bad.to_owned())));
        }
    }
}
