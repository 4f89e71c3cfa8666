//! Calls with a tenant's own key, to the vendor that it belongs to.
//!
//! [`OwnVendors`] is the trait, [`HttpOwnVendors`] the real thing. Anthropic is spoken
//! to by its Messages API; OpenAI, OpenRouter and whatever is compatible by Chat
//! Completions. A compatible vendor is where the tenant says; `crate::reach` has what
//! keeps it from being a way into Berth's own network.
//!
//! Invariant: a key lives as long as its call, and goes to its own vendor only.

use std::{sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    credential::{BaseUrl, Kind},
    reachable::{NamedHosts, Reachable},
};
use http::header;
use reqwest::Client;
use vault::Secret;

use super::{
    ModelAnswer, ModelCall, ModelError,
    anthropic::{ApiKey, Limits},
    wire,
};
use crate::{
    credentials::NoClients,
    outgoing,
    reach::{Lookup, Reach, SystemLookup},
    vendors::VendorAddresses,
};

/// A key of a tenant's, opened for one call.
#[derive(Debug)]
pub struct OwnKey {
    /// Whose vendor takes it: one of the kinds that are keys of models.
    pub kind: Kind,
    /// The key.
    pub secret: Secret,
    /// Where its vendor is, for [`Kind::Compatible`].
    pub base_url: Option<BaseUrl>,
}

/// The vendors that answer to keys of tenants.
#[async_trait]
pub trait OwnVendors: Send + Sync + 'static {
    /// Sends one call and waits for the beginning of its answer. Dropping the future ends the call.
    async fn send(&self, key: &OwnKey, call: ModelCall) -> Result<ModelAnswer, ModelError>;
}

/// The vendors themselves.
pub struct HttpOwnVendors {
    http: Client,
    reach: Reach,
    addresses: VendorAddresses,
    named: NamedHosts,
    limits: Limits,
}

impl HttpOwnVendors {
    /// The vendors at these addresses; compatible ones on the public internet, or where an operator named them.
    ///
    /// # Errors
    /// [`NoClients`]
    pub fn new(addresses: VendorAddresses, named: NamedHosts, limits: Limits) -> Result<Self, NoClients> {
        Self::with_lookup(addresses, named, limits, Arc::new(SystemLookup))
    }

    /// The same, with names looked up in another way: for tests.
    ///
    /// # Errors
    /// [`NoClients`]
    pub fn with_lookup(
        addresses: VendorAddresses,
        named: NamedHosts,
        limits: Limits,
        lookup: Arc<dyn Lookup>,
    ) -> Result<Self, NoClients> {
        let builder = || outgoing::builder(limits.connect).pool_idle_timeout(Duration::from_secs(50));
        let http = builder().build().map_err(NoClients::of)?;
        // A connection to a tenant's own address is not kept: its name is judged anew for each call.
        let reach = Reach::new(|| builder().pool_max_idle_per_host(0), lookup).map_err(NoClients::of)?;
        Ok(Self { http, reach, addresses, named, limits })
    }
}

#[async_trait]
impl OwnVendors for HttpOwnVendors {
    async fn send(&self, key: &OwnKey, call: ModelCall) -> Result<ModelAnswer, ModelError> {
        let unusable = ModelError::Unreachable("the key cannot be sent");
        let is_stream = call.is_stream;
        let (client, address) = match (key.kind, &key.base_url) {
            (Kind::Anthropic, _) => (&self.http, format!("{}/v1/messages", self.addresses.anthropic)),
            (Kind::OpenAi, _) => (&self.http, format!("{}/chat/completions", self.addresses.openai)),
            (Kind::OpenRouter, _) => (&self.http, format!("{}/chat/completions", self.addresses.openrouter)),
            (Kind::Compatible, Some(base)) => {
                let base = Reachable::judge(base.as_str(), &self.named)
                    .map_err(|_| ModelError::Unreachable("its address is not one that may be called"))?;
                (self.reach.client(&base), base.below("chat/completions"))
            }
            (Kind::Compatible, None) => return Err(ModelError::Unreachable("its address is missing")),
            (Kind::Telegram | Kind::Slack | Kind::Discord | Kind::Variable, _) => return Err(unusable),
        };
        let request = client.post(address);
        let request = if key.kind == Kind::Anthropic {
            let key = ApiKey::new(key.secret.expose()).map_err(|_| unusable)?;
            request.headers(key.headers(&call))
        } else {
            let bearer = zeroize::Zeroizing::new([b"Bearer ", key.secret.expose()].concat());
            let bearer = outgoing::sensitive(&bearer).map_err(|_| unusable)?;
            request.header(header::AUTHORIZATION, bearer).header(header::CONTENT_TYPE, "application/json")
        };
        wire::send(request.body(call.body), is_stream, self.limits).await
    }
}
