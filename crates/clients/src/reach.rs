//! How a base URL is reached that a tenant named.
//!
//! A name is looked up once for each connection, all of its addresses are judged,
//! and the connection goes to one of those that were judged: what the name says a
//! moment later is not asked. One address that is not public refuses the name. An
//! address in place of a name was judged with its URL ([`Reachable`]).
//!
//! A place that an operator named may have any address, and plain http.

use std::{
    io,
    net::{IpAddr, SocketAddr},
    sync::Arc,
};

use async_trait::async_trait;
use domain::{public_address::is_public, reachable::Reachable};
use reqwest::{
    Client, ClientBuilder,
    dns::{Addrs, Name, Resolve, Resolving},
};

/// A name leads to an address that is not on the public internet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the name leads to an address that is not on the public internet")]
pub struct NotPublic;

/// Finds the addresses of names.
#[async_trait]
pub trait Lookup: Send + Sync + 'static {
    /// All addresses of a name.
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>>;
}

/// As the system does it.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemLookup;

#[async_trait]
impl Lookup for SystemLookup {
    async fn addresses(&self, name: &str) -> io::Result<Vec<IpAddr>> {
        Ok(tokio::net::lookup_host((name, 0)).await?.map(|address| address.ip()).collect())
    }
}

/// Two clients: one that connects to public addresses only, one for what an operator named.
pub(crate) struct Reach {
    public: Client,
    named: Client,
}

impl Reach {
    /// Both are made from what `builder` gives.
    pub(crate) fn new(builder: impl Fn() -> ClientBuilder, lookup: Arc<dyn Lookup>) -> reqwest::Result<Self> {
        let public = builder().https_only(true).dns_resolver(Arc::new(PublicOnly(lookup))).build()?;
        Ok(Self { public, named: builder().build()? })
    }

    /// What may connect there.
    pub(crate) const fn client(&self, base: &Reachable) -> &Client {
        if base.is_named() { &self.named } else { &self.public }
    }
}

/// Looks names up and lets those through whose addresses are all public.
struct PublicOnly(Arc<dyn Lookup>);

impl Resolve for PublicOnly {
    fn resolve(&self, name: Name) -> Resolving {
        let lookup = Arc::clone(&self.0);
        Box::pin(async move {
            let found = lookup.addresses(name.as_str()).await?;
            if found.iter().any(|address| !is_public(*address)) {
                tracing::info!("a tenant's vendor was not called: its name leads to a private address");
                return Err(NotPublic.into());
            }
            if found.is_empty() {
                return Err(io::Error::from(io::ErrorKind::NotFound).into());
            }
            // The port is the URL's.
            let addresses: Addrs = Box::new(found.into_iter().map(|address| SocketAddr::new(address, 0)));
            Ok(addresses)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::{
        sync::atomic::{AtomicUsize, Ordering},
        time::Duration,
    };

    use domain::reachable::NamedHosts;

    use super::*;
    use crate::outgoing::{self, NoAnswer};

    /// Says one thing first and another thing later, as a name does that is to lead behind the fence.
    struct Turning {
        says: Vec<Vec<&'static str>>,
        asked: AtomicUsize,
    }

    #[async_trait]
    impl Lookup for Turning {
        async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
            let at = self.asked.fetch_add(1, Ordering::SeqCst);
            let said = self.says.get(at).or(self.says.last()).cloned().unwrap_or_default();
            Ok(said.iter().map(|text| text.parse().expect("an address")).collect())
        }
    }

    fn turning(says: &[&[&'static str]]) -> Arc<Turning> {
        Arc::new(Turning { says: says.iter().map(|one| one.to_vec()).collect(), asked: AtomicUsize::new(0) })
    }

    async fn judged(lookup: &Arc<Turning>) -> Result<Vec<SocketAddr>, bool> {
        let resolver = PublicOnly(Arc::clone(lookup) as Arc<dyn Lookup>);
        let found = resolver.resolve("models.example.org".parse().expect("a name")).await;
        found.map(Iterator::collect).map_err(|error| error.is::<NotPublic>())
    }

    #[tokio::test]
    async fn a_name_is_looked_up_once_and_the_connection_gets_what_was_judged() {
        let lookup = turning(&[&["1.1.1.1", "2606:4700:4700::1111"], &["127.0.0.1"]]);
        let first = judged(&lookup).await.expect("public");
        assert_eq!(first, ["1.1.1.1:0".parse().unwrap(), "[2606:4700:4700::1111]:0".parse().unwrap()]);
        assert_eq!(lookup.asked.load(Ordering::SeqCst), 1, "nobody asks again between judging and connecting");
        assert_eq!(judged(&lookup).await, Err(true), "the next connection judges anew");
    }

    #[tokio::test]
    async fn one_private_address_refuses_the_name() {
        for says in [["1.1.1.1", "10.0.0.1"], ["::1", "1.1.1.1"], ["1.1.1.1", "::ffff:169.254.169.254"]] {
            assert_eq!(judged(&turning(&[&says])).await, Err(true), "{says:?}");
        }
        assert_eq!(judged(&turning(&[&[]])).await, Err(false), "no address is no reason to blame it");
    }

    #[tokio::test]
    async fn nothing_connects_to_a_private_address_behind_a_public_name() {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let port = listener.local_addr().expect("an address").port();
        let builder = || outgoing::builder(Duration::from_secs(2));
        let reach = Reach::new(builder, turning(&[&["127.0.0.1"]])).expect("clients");
        let base =
            Reachable::judge(&format!("https://models.example.org:{port}"), &NamedHosts::default()).expect("a base");
        let answer = outgoing::send(reach.client(&base).get(base.below("models"))).await;
        assert_eq!(answer.err(), Some(NoAnswer::NotPublic));
        let knocked = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
        assert!(knocked.is_err(), "somebody connected");
    }
}
