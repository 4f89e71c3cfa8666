//! Tenants that pay: a world that bills, and a Stripe whose clock goes with the database's.

use std::{collections::BTreeMap, num::NonZeroU16, sync::Arc};

use chrono::{DateTime, TimeDelta, Utc};
use clients::{
    payments::{NewCheckout, NewCustomer, Payments as _},
    stripe::Stripe,
};
use domain::{
    Entropy as _, TenantId,
    billing::{CustomerId, IdempotencyKey, PriceId, Subscription, SubscriptionId},
    entitlement::{Billing, Entitlement},
    names::Email,
};
use flows::{Ran, RunnerOptions};
use serde_json::Value;
use store::billing::Account;
use testkit::{
    Seeded, World,
    stripe::{FakeStripe, STRIPE_KEY, STRIPE_SIGNING_SECRET},
};
use vault::{
    Secret,
    stripe::{SigningSecret, check},
};

/// A world that bills.
pub(crate) struct Till {
    pub(crate) world: World,
    pub(crate) stripe: FakeStripe,
    pub(crate) client: Arc<Stripe>,
    price: PriceId,
    secrets: [SigningSecret; 1],
}

/// Whoever pays.
#[derive(Debug, Clone)]
pub(crate) struct Payer {
    pub(crate) tenant: TenantId,
    pub(crate) customer: CustomerId,
}

impl Till {
    /// One plan is sold, and both clocks stand at the same whole second.
    pub(crate) async fn open() -> Self {
        let start = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let (mut world, stripe) = (World::new().await, FakeStripe::start(start).await);
        let address = stripe.url().parse().unwrap();
        let client = Arc::new(Stripe::new(&address, &Secret::from(STRIPE_KEY.to_owned())).unwrap());
        world.flows.payments = Some(Arc::clone(&client) as Arc<_>);
        let price = stripe.add_price("pro", 4_900);
        let mut tx = world.database.db.system().await.unwrap();
        store::house::installation(&mut tx, world.flows.installation).await.unwrap();
        store::house::set_billing(&mut tx, Billing::On).await.unwrap();
        let all = store::plans::list(&mut tx).await.unwrap();
        let mut plan = all.into_iter().find(|plan| plan.name.as_str() == "pro").expect("it is planted");
        plan.price = Some(price.clone());
        assert_eq!(store::plans::change(&mut tx, &plan).await.unwrap(), store::plans::Changed::So);
        tx.commit().await.unwrap();
        world.database.set_clock(start).await;
        Self { world, stripe, client, price, secrets: [SigningSecret::parse(STRIPE_SIGNING_SECRET).unwrap()] }
    }

    /// Time goes on, there and here.
    pub(crate) async fn pass(&self, by: TimeDelta) {
        self.stripe.advance(by);
        self.world.database.set_clock(self.stripe.now()).await;
    }

    /// Until a moment, there and here.
    pub(crate) async fn pass_until(&self, at: DateTime<Utc>) {
        self.pass(at - self.stripe.now()).await;
    }

    /// A tenant that was sent to Stripe and has not paid yet. It has no people.
    pub(crate) async fn payer(&self) -> Payer {
        let tenant: TenantId = domain::entropy::mint(self.world.flows.entropy.as_ref());
        self.world
            .database
            .sql(&format!("insert into tenants (id, name) values ('{}', 'a payer')", tenant.uuid()))
            .await;
        self.known_at_stripe(tenant).await
    }

    /// Makes a tenant a customer, as the way to a checkout does.
    pub(crate) async fn known_at_stripe(&self, tenant: TenantId) -> Payer {
        let email = Email::parse("ada@harbour.example").unwrap();
        let new = NewCustomer { tenant, name: "Ada".to_owned(), email };
        let customer = self.client.create_customer(&key(&format!("customer:{tenant}")), &new).await.unwrap();
        let mut tx = self.world.database.db.tenant(tenant).await.unwrap();
        app::billing::open(&mut tx, self.world.flows.entropy.as_ref()).await.unwrap();
        assert!(store::billing::set_customer(&mut tx, &customer).await.unwrap());
        tx.commit().await.unwrap();
        Payer { tenant, customer }
    }

    /// Pays at a checkout, after a trial or at once.
    pub(crate) async fn subscribe(&self, payer: &Payer, trial_days: u16) -> SubscriptionId {
        let new = NewCheckout {
            customer: payer.customer.clone(),
            tenant: payer.tenant,
            price: self.price.clone(),
            trial_days: NonZeroU16::new(trial_days),
            paid_to: "https://berth.example/billing/paid".to_owned(),
            back_to: "https://berth.example/billing".to_owned(),
        };
        let key = key(&format!("checkout:{}:{}", payer.tenant, self.stripe.count("checkout.session")));
        let checkout = self.client.open_checkout(&key, &new).await.unwrap();
        self.stripe.pay(&checkout.id)
    }

    /// Delivers an event as the webhook's route does: its signature is checked, it is kept. Whether it is new.
    pub(crate) async fn hear(&self, event: &Value) -> bool {
        let (signature, body) = FakeStripe::signed(event, self.stripe.now());
        self.hear_body(&signature, body.as_bytes()).await.expect("Stripe signed it")
    }

    /// The same with a body that may not be what was signed. `None`: it is refused, and nothing was written.
    pub(crate) async fn hear_body(&self, signature: &str, body: &[u8]) -> Option<bool> {
        check(&self.secrets, Some(signature.as_bytes()), body, self.stripe.now()).ok()?;
        let mut tx = self.world.database.db.system().await.unwrap();
        let is_new = app::events::keep(&mut tx, self.world.flows.entropy.as_ref(), body).await.unwrap();
        tx.commit().await.unwrap();
        Some(is_new)
    }

    /// Runs what is due until nothing is. Nothing is skipped: what waits goes on waiting.
    pub(crate) async fn run(&self) {
        let options = RunnerOptions { steps_max: 256, ..RunnerOptions::default() };
        loop {
            let ran = flows::run_due(&self.world.flows, &options).await.unwrap();
            assert!(!ran.contains(&Ran::LostLease), "a step could not be written down");
            if ran.is_empty() {
                return;
            }
        }
    }

    /// What is known here.
    pub(crate) async fn account(&self, payer: &Payer) -> Account {
        let mut tx = self.world.database.db.system().await.unwrap();
        store::billing::known(&mut tx, payer.tenant).await.unwrap().expect("a tenant")
    }

    /// What stands at Stripe.
    pub(crate) async fn truth(&self, payer: &Payer) -> Option<Subscription> {
        Subscription::that_matters(self.client.subscriptions(&payer.customer).await.unwrap())
    }

    /// What was acted upon last.
    pub(crate) async fn judged(&self, payer: &Payer) -> Entitlement {
        self.account(payer).await.entitlement.expect("it was judged")
    }

    /// What matters of a tenant, to be compared with another's that lived the same life: names and seconds are left out.
    pub(crate) async fn figure(&self, payer: &Payer) -> String {
        let statement = format!(
            "select regexp_replace(jsonb_build_object( \
                 'subscription', subscription - 'id', 'entitlement', entitlement, 'rested', cardinality(rested), \
                 'past_due_since', past_due_since at time zone 'UTC', 'disputed_since', disputed_since, \
                 'wanted', (select jsonb_agg(wanted order by created_at) from agents a where a.tenant_id = b.tenant_id) \
             )::text, ':[0-9][0-9]([.][0-9]+)?(Z|\")', '', 'g') from billing b where tenant_id = '{}'",
            payer.tenant.uuid()
        );
        self.world.database.texts(&statement).await.pop().expect("a row")
    }

    /// Every event that was kept is understood, nothing of it is left to do, and all that must hold does.
    pub(crate) async fn assert_all_read(&self) {
        self.world.assert_verified().await;
        let left = "select count(*) from events where read_at is null";
        assert_eq!(self.world.database.count(left).await, 0, "events that nobody has understood");
        assert_eq!(self.world.database.count("select count(*) from flows where kind = 'event'").await, 0);
    }

    /// The events about each customer, from one on, oldest first.
    pub(crate) fn told_since(&self, from: usize) -> BTreeMap<String, Vec<Value>> {
        let mut told: BTreeMap<String, Vec<Value>> = BTreeMap::new();
        for event in self.stripe.events().into_iter().skip(from) {
            let object = &event["data"]["object"];
            let whose = if object["object"] == "customer" { &object["id"] } else { &object["customer"] };
            let whose = whose.as_str().map_or_else(|| self.whose_charge(&object["charge"]), str::to_owned);
            told.entry(whose).or_default().push(event);
        }
        told
    }

    fn whose_charge(&self, charge: &Value) -> String {
        let charge = self.stripe.object(charge.as_str().expect("a charge")).expect("it was made");
        charge["customer"].as_str().expect("a customer").to_owned()
    }
}

fn key(text: &str) -> IdempotencyKey {
    IdempotencyKey::parse(text).unwrap()
}

/// How often: the second where `BERTH_TEST_LONG` is `1`.
#[expect(clippy::disallowed_methods, reason = "tests learn from scripts/test how long they shall run")]
pub(crate) fn sized<T>(short: T, long: T) -> T {
    if std::env::var("BERTH_TEST_LONG").is_ok_and(|value| value == "1") { long } else { short }
}

/// Chance that can be repeated: the same seed, the same throws.
pub(crate) struct Dice(Seeded);

impl Dice {
    pub(crate) const fn new(seed: u64) -> Self {
        Self(Seeded::new(seed))
    }

    pub(crate) fn next(&self) -> u64 {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes);
        u64::from_le_bytes(bytes)
    }

    /// A number below `bound`.
    pub(crate) fn below(&self, bound: usize) -> usize {
        usize::try_from(self.next() % u64::try_from(bound).unwrap()).unwrap()
    }

    pub(crate) fn shuffle<T>(&self, things: &mut [T]) {
        for last in (1..things.len()).rev() {
            things.swap(last, self.below(last + 1));
        }
    }
}
