//! Stripe for tests: an HTTP server with customers, checkouts and subscriptions, a clock that the test moves, and a ledger.
//!
//! The test is the customer ([`FakeStripe::pay`], [`FakeStripe::set_card`], [`FakeStripe::dispute`]) and time
//! ([`FakeStripe::advance`]); what happens is told in events ([`FakeStripe::events`]), which the test delivers signed,
//! once, twice, late or in another order ([`FakeStripe::deliver`]). Shapes are those of version 2026-09-30 of the API, as
//! far as Berth or Stripe's own clients read them; those clients hold its fidelity (`crates/clients/tests/it/peers/stripe.rs`).

mod api;
mod form;
mod life;
mod objects;
mod wire;

use std::{
    collections::{HashMap, VecDeque},
    net::SocketAddr,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::Duration,
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::billing::{CheckoutId, CustomerId, PriceId, SubscriptionId};
use http::Method;
use serde_json::{Value, json};
use tokio::net::TcpListener;
use vault::stripe::SigningSecret;

use crate::http_call::{self, Call};

/// The account's secret key.
pub const STRIPE_KEY: &str = "sk_test_fake0123456789abcdef";
/// The secret of the endpoint that hears of events.
pub const STRIPE_SIGNING_SECRET: &str = "whsec_fake0123456789abcdef";

/// What it does with a call instead of answering.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum StripeFault {
    /// 429.
    Limited {
        /// What `Retry-After` says.
        seconds: u64,
    },
    /// 500, and nothing happened.
    Failed,
    /// 500, and it happened.
    FailedAfter,
    /// The connection breaks before anything happened.
    CutBefore,
    /// It happened, and the connection breaks.
    CutAfter,
    /// No answer, ever, and nothing happened.
    Mute,
}

/// How a customer's payments end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Card {
    /// They succeed.
    Good,
    /// The bank refuses.
    Declined,
    /// There is none.
    None,
}

/// One call as it came.
#[derive(Debug, Clone)]
pub struct StripeCall {
    /// Its method.
    pub method: Method,
    /// Its path, `/v1/customers`.
    pub path: String,
    /// What it asked for, nested.
    pub params: Value,
    /// Its header `Idempotency-Key`.
    pub idempotency_key: Option<String>,
    /// Its header `Stripe-Version`.
    pub version: Option<String>,
    /// What it was answered with; 0 where the connection broke or hangs.
    pub status: u16,
}

/// Everything there is.
#[derive(Debug)]
struct State {
    address: SocketAddr,
    now: DateTime<Utc>,
    /// Names never come twice.
    last_id: u64,
    /// Every object but events, in the order of their making.
    objects: Vec<Value>,
    events: Vec<Value>,
    cards: HashMap<String, Card>,
    keys: HashMap<String, wire::Kept>,
    faults: VecDeque<StripeFault>,
    outage: Option<StripeFault>,
    calls: Vec<StripeCall>,
}

/// A running Stripe. Clones are the same one.
#[derive(Debug, Clone)]
pub struct FakeStripe {
    state: Arc<Mutex<State>>,
}

impl FakeStripe {
    /// Starts one on a port of its own, at a moment.
    ///
    /// # Panics
    /// When there is no port.
    pub async fn start(now: DateTime<Utc>) -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).await.expect("a port");
        let state = State {
            address: listener.local_addr().expect("an address"),
            now,
            last_id: 0,
            objects: Vec::new(),
            events: Vec::new(),
            cards: HashMap::new(),
            keys: HashMap::new(),
            faults: VecDeque::new(),
            outage: None,
            calls: Vec::new(),
        };
        let stripe = Self { state: Arc::new(Mutex::new(state)) };
        tokio::spawn(wire::serve(listener, stripe.clone()));
        stripe
    }

    /// Its root, without a slash at the end.
    #[must_use]
    pub fn url(&self) -> String {
        format!("http://{}", self.state().address)
    }

    /// Its moment.
    #[must_use]
    pub fn now(&self) -> DateTime<Utc> {
        self.state().now
    }

    /// Time goes on, and all that is due by then happens, in order: trials end, periods renew, payments are tried again,
    /// checkouts expire.
    pub fn advance(&self, by: TimeDelta) {
        let mut state = self.state();
        let until = state.now + by;
        life::run_until(&mut state, until);
    }

    /// Makes a monthly price with a name.
    ///
    /// # Panics
    /// Never: what it makes is well formed.
    #[must_use]
    pub fn add_price(&self, lookup_key: &str, cents: i64) -> PriceId {
        let id = objects::price(&mut self.state(), Some(lookup_key), cents, "usd", "month");
        PriceId::parse(&id).expect("a price's name")
    }

    /// How this customer's payments end from now on. At first they succeed.
    pub fn set_card(&self, customer: &CustomerId, card: Card) {
        self.state().cards.insert(customer.to_string(), card);
    }

    /// Somebody pays at a checkout's page.
    ///
    /// # Panics
    /// When the checkout is not open.
    #[must_use]
    pub fn pay(&self, checkout: &CheckoutId) -> SubscriptionId {
        let id = life::complete(&mut self.state(), checkout.as_str()).expect("an open checkout");
        SubscriptionId::parse(&id).expect("a subscription's name")
    }

    /// A customer pays what is open, as on the page of the invoice.
    pub fn settle(&self, customer: &CustomerId) {
        life::settle(&mut self.state(), customer.as_str());
    }

    /// A customer cancels in the portal, for the end of the period, or takes that back.
    pub fn set_cancelled(&self, subscription: &SubscriptionId, cancelled: bool) {
        life::cancel_at_period_end(&mut self.state(), subscription.as_str(), cancelled);
    }

    /// A customer disputes the last payment at their bank. Its name.
    ///
    /// # Panics
    /// When there is no payment.
    #[must_use]
    pub fn dispute(&self, customer: &CustomerId) -> String {
        life::dispute(&mut self.state(), customer.as_str()).expect("a payment")
    }

    /// The bank decides.
    pub fn close_dispute(&self, dispute: &str, won: bool) {
        life::close_dispute(&mut self.state(), dispute, won);
    }

    /// The last payment of a customer is given back.
    pub fn refund(&self, customer: &CustomerId) {
        life::refund(&mut self.state(), customer.as_str());
    }

    /// An object as it stands, by its name.
    #[must_use]
    pub fn object(&self, id: &str) -> Option<Value> {
        self.state().find(id).map(api::shown)
    }

    /// Every event so far, oldest first.
    #[must_use]
    pub fn events(&self) -> Vec<Value> {
        self.state().events.clone()
    }

    /// An event as it is sent at a moment: the header `Stripe-Signature`, and the body.
    ///
    /// # Panics
    /// Never: the secret is one.
    #[must_use]
    pub fn signed(event: &Value, at: DateTime<Utc>) -> (String, String) {
        let secret = SigningSecret::parse(STRIPE_SIGNING_SECRET).expect("a secret");
        let body = event.to_string();
        (secret.sign(at.timestamp(), body.as_bytes()), body)
    }

    /// Sends an event, signed at a moment, and waits for the answer's status.
    ///
    /// # Errors
    /// A sentence: no connection, no answer in five seconds.
    pub async fn deliver(event: &Value, at: DateTime<Utc>, to: &str) -> Result<u16, String> {
        let sent = http_call::call(Call {
            method: Method::POST,
            url: to.to_owned(),
            headers: vec![("stripe-signature", Self::signed(event, at).0)],
            body: Some(event.clone()),
            patience: Duration::from_secs(5),
        });
        sent.await.map(|answer| answer.status)
    }

    /// The next call comes to this; called again, the one after it.
    pub fn fail_next(&self, fault: StripeFault) {
        self.state().faults.push_back(fault);
    }

    /// What was to come of the next calls is forgotten.
    pub fn clear_faults(&self) {
        self.state().faults.clear();
    }

    /// Every call comes to this, until it is told otherwise.
    pub fn set_outage(&self, fault: Option<StripeFault>) {
        self.state().outage = fault;
    }

    /// Every call so far, oldest first.
    #[must_use]
    pub fn calls(&self) -> Vec<StripeCall> {
        self.state().calls.clone()
    }

    /// How many objects of a kind there are, `customer` for one.
    #[must_use]
    pub fn count(&self, kind: &str) -> usize {
        self.state().of(kind).count()
    }

    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn fresh_id(&mut self, prefix: &str) -> String {
        self.last_id += 1;
        format!("{prefix}_1Fake{:011}", self.last_id)
    }

    fn find(&self, id: &str) -> Option<&Value> {
        self.objects.iter().find(|object| text(object, "id") == id)
    }

    fn find_mut(&mut self, id: &str) -> Option<&mut Value> {
        self.objects.iter_mut().find(|object| text(object, "id") == id)
    }

    /// All of a kind, in the order of their making.
    fn of<'s>(&'s self, kind: &'s str) -> impl DoubleEndedIterator<Item = &'s Value> {
        self.objects.iter().filter(move |object| text(object, "object") == kind)
    }

    fn card(&self, customer: &str) -> Card {
        self.cards.get(customer).copied().unwrap_or(Card::Good)
    }

    /// Changes some fields of an object.
    fn set(&mut self, id: &str, change: &Value) {
        if let (Some(Value::Object(object)), Value::Object(change)) = (self.find_mut(id), change) {
            object.extend(change.clone());
        }
    }

    /// Tells what happened to an object, as it stands now.
    fn tell(&mut self, kind: &str, id: &str) {
        let Some(object) = self.find(id).map(api::shown) else { return };
        let event = json!({
            "id": self.fresh_id("evt"), "object": "event", "api_version": clients::stripe::API_VERSION,
            "created": self.now.timestamp(), "data": { "object": object }, "livemode": false, "pending_webhooks": 1,
            "request": { "id": null, "idempotency_key": null }, "type": kind
        });
        self.events.push(event);
    }
}

/// A field's text; nothing where there is none.
fn text<'v>(object: &'v Value, name: &str) -> &'v str {
    object.get(name).and_then(Value::as_str).unwrap_or_default()
}

/// A field's number.
fn number(object: &Value, name: &str) -> Option<i64> {
    object.get(name).and_then(Value::as_i64)
}
