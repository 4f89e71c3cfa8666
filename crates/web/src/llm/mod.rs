//! The model route: what a machine's gateway calls instead of a vendor.
//!
//! Berth's own [`crate::proof_model`] answers proofs, and everything while
//! [`Models::Proof`] is set. With [`Models::Vendor`] a call is judged (`ask`), the
//! most it can cost is held against its tenant's day, and it is passed on (`call`).
//! Words pass through and are kept nowhere.

mod ask;
mod call;
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
use clients::model::{ApiVersion, ModelVendor};
use domain::{
    Entropy,
    model::{Menu, Micros, PROOF_MODEL, PROOF_MODEL_TITLE},
};
use futures::stream;
use http::HeaderMap;
use serde_json::{Value, json};
use store::Db;
use tokio_util::task::TaskTracker;

use self::call::Outward;
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
    /// changes.
    ///
    /// # Errors
    /// It is not offered.
    pub(crate) fn chosen(&self, name: &str) -> Result<Option<String>, NotOffered> {
        let place = self.offered().iter().position(|offer| offer.name == name).ok_or(NotOffered)?;
        Ok((place > 0).then(|| name.to_owned()))
    }

    /// The title of the model that answers an agent with this choice.
    pub(crate) fn title(&self, chosen: Option<&str>) -> String {
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
    State(models): State<Models>,
    caller: ModelCaller,
    (headers, Weighed { value, bytes }): (HeaderMap, Weighed<Request>),
) -> Result<Response, Problem> {
    let machine = caller.machine();
    let (Models::Vendor(forwarding), Some(tenant)) = (models, machine.tenant) else {
        return Ok(proof(&value, bytes.len(), &*entropy));
    };
    if value.model == PROOF_MODEL {
        return Ok(proof(&value, bytes.len(), &*entropy));
    }
    if let (Some(nonce), Some(agent)) = (proof_model::nonce_in(&value), machine.agent) {
        let mut tx = db.tenant_read(tenant).await.or_problem()?;
        if store::proofs::is_fresh_nonce(&mut tx, agent, &nonce).await.or_problem()? {
            return Ok(proof(&value, bytes.len(), &*entropy));
        }
    }
    drop(value);
    let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let version = ApiVersion::parse(header("anthropic-version")).unwrap_or_default();
    let beta = ask::betas(header("anthropic-beta"));
    call::forward(db, entropy, forwarding, tenant, Outward { body: bytes, version, beta }).await
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
