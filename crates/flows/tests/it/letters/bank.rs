//! Stripe in one value: what it says of the one customer there is.

use std::sync::{Arc, Mutex};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use clients::payments::{EventPage, NewCheckout, NewCustomer, Payments, PaymentsError};
use domain::billing::{
    Checkout, CheckoutId, CustomerId, Dispute, DisputeState, IdempotencyKey, NamedPrice, PriceId, StripeEventId,
    Subscription, SubscriptionId, SubscriptionStatus,
};
use testkit::World;
use url::Url;

/// What is said. Clones share it.
#[derive(Clone, Default)]
pub struct Bank(Arc<Mutex<Said>>);

#[derive(Default)]
struct Said {
    subscription: Option<Subscription>,
    disputed_since: Option<DateTime<Utc>>,
}

impl Bank {
    /// Opens it for a world in which Alice, at an address that is hers, is a customer.
    pub async fn of(world: &mut World) -> Self {
        let bank = Self::default();
        world.flows.payments = Some(Arc::new(bank.clone()));
        let tenant = world.alice.caller.tenant;
        world
            .database
            .sql("insert into installation (id) select gen_random_uuid() where not exists (select from installation)")
            .await;
        world.database.sql("update installation set is_billing = true").await;
        world.database.sql("insert into plan_prices (price_id, plan) values ('price_pro', 'pro')").await;
        own_address(world).await;
        let mut tx = world.database.db.tenant(tenant).await.unwrap();
        app::billing::open(&mut tx, world.flows.entropy.as_ref()).await.unwrap();
        store::billing::set_customer(&mut tx, &CustomerId::parse("cus_1").unwrap()).await.unwrap();
        tx.commit().await.unwrap();
        bank
    }

    /// From now on there is a subscription in this state; the closure says what else is so.
    pub fn says(&self, status: SubscriptionStatus, also: impl FnOnce(&mut Subscription)) {
        let now: DateTime<Utc> = std::time::SystemTime::now().into();
        let mut subscription = Subscription {
            id: SubscriptionId::parse("sub_1").unwrap(),
            status,
            price: PriceId::parse("price_pro").unwrap(),
            created: now,
            period_ends: now + chrono::Duration::days(30),
            trial_ends: None,
            ends: None,
            ended: None,
        };
        also(&mut subscription);
        self.0.lock().unwrap().subscription = Some(subscription);
    }

    /// From now on a payment is disputed, or not.
    pub fn dispute(&self, since: Option<DateTime<Utc>>) {
        self.0.lock().unwrap().disputed_since = since;
    }
}

/// Alice's address was shown to be hers.
pub async fn own_address(world: &World) {
    let user = world.alice.caller.user.uuid();
    world.database.sql(&format!("update users set email_verified_at = now() where id = '{user}'")).await;
}

const NOT_HERE: &str = "no test of letters asks for this";

#[async_trait]
impl Payments for Bank {
    async fn subscriptions(&self, _: &CustomerId) -> Result<Vec<Subscription>, PaymentsError> {
        Ok(self.0.lock().unwrap().subscription.clone().into_iter().collect())
    }

    async fn charge_customer(&self, _: &str) -> Result<Option<CustomerId>, PaymentsError> {
        Ok(None)
    }

    async fn disputes(&self, _: &CustomerId) -> Result<Vec<Dispute>, PaymentsError> {
        let since = self.0.lock().unwrap().disputed_since;
        let open = |opened| Dispute { id: "du_1".to_owned(), opened, state: DisputeState::Open };
        Ok(since.map(open).into_iter().collect())
    }

    async fn create_customer(&self, _: &IdempotencyKey, _: &NewCustomer) -> Result<CustomerId, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn open_checkout(&self, _: &IdempotencyKey, _: &NewCheckout) -> Result<Checkout, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn checkout(&self, _: &CheckoutId) -> Result<Checkout, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn open_portal(&self, _: &IdempotencyKey, _: &CustomerId, _: &Url) -> Result<Url, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn cancel_at_period_end(
        &self,
        _: &IdempotencyKey,
        _: &SubscriptionId,
    ) -> Result<Subscription, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn cancel_now(&self, _: &SubscriptionId) -> Result<Subscription, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn prices(&self, _: &[String]) -> Result<Vec<NamedPrice>, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }

    async fn events(&self, _: DateTime<Utc>, _: Option<&StripeEventId>) -> Result<EventPage, PaymentsError> {
        unreachable!("{NOT_HERE}")
    }
}
