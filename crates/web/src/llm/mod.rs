//! The model route: what a machine's gateway calls instead of a vendor.
//!
//! Berth's own [`crate::proof_model`] answers proofs, and everything while
//! [`Models::Proof`] is set. With [`Models::Vendor`] a call is judged (`ask`), the
//! most it can cost is held against its tenant's day, and it is passed on (`call`).
//! A tenant's own key goes before both ([`keys`], `own`): then the tenant's account
//! pays, nothing is held, and tokens are counted only. Words pass through and are
//! kept nowhere.
//!
//! Two APIs are spoken: Anthropic's Messages, and Chat Completions (`chat`), which
//! only a tenant's own key opens.

mod ask;
mod call;
pub(crate) mod chat;
pub mod keys;
mod own;
mod own_told;
mod pass;
mod told;

use std::{convert::Infallible, sync::Arc};

use axum::{
    Json,
    extract::State,
    response::{
        IntoResponse as _, Response,
        sse::{Event, Sse},
    },
};
use clients::model::{ApiVersion, ModelCall, ModelVendor};
use domain::{
    AgentId, Entropy, TenantId,
    credential::Kind,
    model::{Menu, Micros, OwnModel, PROOF_MODEL, PROOF_MODEL_TITLE},
};
use futures::stream;
use http::HeaderMap;
use serde_json::{Value, json};
use store::Db;
use tokio_util::task::TaskTracker;

pub use self::own::OwnModels;
use crate::{
    body::Weighed,
    errors::Fault as _,
    guard::ModelCaller,
    problem::Problem,
    proof_model::{self, Request},
    state::Dice,
};

/// Who answers at `/llm/`.
#[derive(Clone, Default)]
pub enum Models {
    /// Berth's built-in proof model, and nobody else.
    #[default]
    Proof,
    /// A vendor, but for proofs.
    Vendor(Arc<Forwarding>),
}

/// What it takes to pass calls on to a vendor.
pub struct Forwarding {
    /// Who answers.
    pub vendor: Arc<dyn ModelVendor>,
    /// What is offered.
    pub menu: Menu,
    /// What a tenant may spend in a day.
    pub daily_budget: Micros,
    /// Calls under way; each ends by settling what it held, also after its caller has gone.
    pub calls: TaskTracker,
}

/// A model that an agent may be set to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Offered {
    /// As its vendor names it.
    pub(crate) name: String,
    /// As a person reads it.
    pub(crate) title: String,
    /// Whether it is Berth's built-in one, which is no real model.
    pub(crate) is_proof: bool,
}

/// A model of this name is not, or no more, on the menu.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NotOffered;

impl Models {
    /// What an agent may be set to, the usual one first.
    pub(crate) fn offered(&self) -> Vec<Offered> {
        match self {
            Self::Proof => {
                let (name, title) = (PROOF_MODEL.to_owned(), PROOF_MODEL_TITLE.to_owned());
                vec![Offered { name, title, is_proof: true }]
            }
            Self::Vendor(forwarding) => {
                let offers = forwarding.menu.offers().iter();
                offers.map(|o| Offered { name: o.name.clone(), title: o.title.clone(), is_proof: false }).collect()
            }
        }
    }

    /// What somebody chose by this name: the usual one is no choice (`None`), so that it goes along when the menu
    /// changes. One of a vendor to which the tenant has a key of its own is taken by its name: no list knows them all.
    ///
    /// # Errors
    /// It is not offered.
    pub(crate) fn chosen(&self, name: &str) -> Result<Option<String>, NotOffered> {
        if OwnModel::parse(name).is_some() {
            return Ok(Some(name.to_owned()));
        }
        let place = self.offered().iter().position(|offer| offer.name == name).ok_or(NotOffered)?;
        Ok((place > 0).then(|| name.to_owned()))
    }

    /// The title of the model that answers an agent with this choice.
    pub(crate) fn title(&self, chosen: Option<&str>) -> String {
        if let Some(own) = chosen.and_then(OwnModel::parse) {
            return own.title();
        }
        let all = self.offered();
        let found = all.iter().find(|offer| Some(offer.name.as_str()) == chosen).or_else(|| all.first());
        found.map(|offer| offer.title.clone()).unwrap_or_default()
    }

    /// Waits until every call under way has settled; no new ones are expected.
    pub async fn wait(&self) {
        if let Self::Vendor(forwarding) = self {
            forwarding.calls.close();
            forwarding.calls.wait().await;
        }
    }
}

pub(crate) async fn messages(
    State(db): State<Db>,
    State(Dice(entropy)): State<Dice>,
    State((models, own)): State<(Models, OwnModels)>,
    caller: ModelCaller,
    (headers, Weighed { value, bytes }): (HeaderMap, Weighed<Request>),
) -> Result<Response, Problem> {
    let machine = caller.machine();
    let Some(tenant) = machine.tenant else {
        return Ok(proof(&value, bytes.len(), &*entropy));
    };
    if matches!(models, Models::Proof) && !own.is_on() {
        return Ok(proof(&value, bytes.len(), &*entropy));
    }
    if is_proof(&db, tenant, machine.agent, &value).await? {
        return Ok(proof(&value, bytes.len(), &*entropy));
    }
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let version = ApiVersion::parse(header("anthropic-version")).unwrap_or_default();
    let beta = ask::betas(header("anthropic-beta"));
    let call = ModelCall { body: bytes, is_stream: value.stream, version, beta };
    match (own.key(tenant, Kind::Anthropic).await?, models) {
        (Some(key), _) => {
            drop(value);
            own::forward(db, own, tenant, key, call).await
        }
        (None, Models::Vendor(forwarding)) => {
            drop(value);
            let limit = machine.daily_model.unwrap_or(forwarding.daily_budget);
            call::forward(db, entropy, forwarding, (tenant, limit), call).await
        }
        (None, Models::Proof) => Ok(proof(&value, call.body.len(), &*entropy)),
    }
}

pub(crate) async fn completions(
    State(db): State<Db>,
    State(Dice(entropy)): State<Dice>,
    State(own): State<OwnModels>,
    caller: ModelCaller,
    Weighed { value, bytes }: Weighed<chat::Request>,
) -> Result<Response, Problem> {
    let machine = caller.machine();
    let (is_stream, counts) = (value.stream, value.wants_counts());
    let request = Request::from(value);
    let Some(tenant) = machine.tenant else { return Ok(chat::proof(&request, bytes.len(), &*entropy, counts)) };
    if is_proof(&db, tenant, machine.agent, &request).await? {
        return Ok(chat::proof(&request, bytes.len(), &*entropy, counts));
    }
    drop(request);
    let (kind, body) = chat::named(&bytes)?;
    let key = own.key(tenant, kind).await?.ok_or_else(|| own_told::none(kind))?;
    let call = ModelCall { body, is_stream, version: ApiVersion::default(), beta: &[] };
    own::forward(db, own, tenant, key, call).await
}

/// Whether Berth's built-in model answers this, at no cost: it is asked for, or the words are a proof's.
async fn is_proof(db: &Db, tenant: TenantId, agent: Option<AgentId>, request: &Request) -> Result<bool, Problem> {
    if request.model == PROOF_MODEL {
        return Ok(true);
    }
    let (Some(nonce), Some(agent)) = (proof_model::nonce_in(request), agent) else { return Ok(false) };
    let mut tx = db.tenant_read(tenant).await.or_problem()?;
    store::proofs::is_fresh_nonce(&mut tx, agent, &nonce).await.or_problem()
}

pub(crate) async fn count_tokens(_: ModelCaller, asked: Weighed<Request>) -> Json<Value> {
    Json(json!({ "input_tokens": proof_model::tokens(asked.bytes.len()) }))
}

fn proof(ask: &Request, bytes: usize, entropy: &dyn Entropy) -> Response {
    let id = format!("msg_{}", entropy.uuid().simple());
    let answer = proof_model::answer(ask, id, bytes);
    if !ask.stream {
        return Json(answer.to_json()).into_response();
    }
    let events = answer
        .to_events()
        .into_iter()
        .map(|(name, data)| Ok::<_, Infallible>(Event::default().event(name).data(data.to_string())));
    Sse::new(stream::iter(events.collect::<Vec<_>>())).into_response()
}
