//! A year of one tenant: trial, paid, not paid, suspended, paid again, cancelled, kept, removed. Stripe is away for three
//! days of it, and once more when it matters most.

use chrono::{DateTime, TimeDelta, Utc};
use clients::provider::Provider as _;
use domain::{
    AgentId,
    agent::Wanted,
    billing::SubscriptionStatus,
    entitlement::{Entitlement, Served, Suspended},
};
use testkit::stripe::{Card, StripeFault};

use crate::paying::{Payer, Till};

const SECOND: TimeDelta = TimeDelta::seconds(1);

struct Year {
    till: Till,
    payer: Payer,
    heard: usize,
    agent: Option<AgentId>,
}

impl Year {
    async fn begin() -> Self {
        let till = Till::open().await;
        let payer = till.known_at_stripe(till.world.alice.caller.tenant).await;
        Self { till, payer, heard: 0, agent: None }
    }

    /// Everything that Stripe told since the last time arrives, and everybody goes on until nothing is due any more.
    async fn settle(&mut self) {
        let events = self.till.stripe.events();
        for event in &events[self.heard..] {
            self.till.hear(event).await;
        }
        self.heard = events.len();
        self.work().await;
    }

    /// The same without a word from Stripe. Short pauses between the steps of a life are skipped.
    async fn work(&self) {
        for _ in 0..60 {
            self.till.run().await;
            let skipped = "with moved as (update flows set run_at = berth.now() where kind = 'life' \
                           and run_at > berth.now() and run_at < berth.now() + interval '1 minute' returning 1) \
                           select count(*) from moved";
            if self.till.world.database.count(skipped).await == 0 {
                return;
            }
        }
        panic!("it does not come to rest");
    }

    async fn days(&mut self, days: usize) {
        for _ in 0..days {
            self.till.pass(TimeDelta::days(1)).await;
            self.settle().await;
        }
    }

    /// To this moment, day by day.
    async fn until(&mut self, at: DateTime<Utc>) {
        while self.till.stripe.now() + TimeDelta::days(1) < at {
            self.days(1).await;
        }
        self.till.pass_until(at).await;
        self.settle().await;
    }

    async fn judged(&self) -> Entitlement {
        self.till.judged(&self.payer).await
    }

    /// What is wanted of the agent, and what is seen of it.
    async fn agent(&self) -> (Wanted, &'static str) {
        let agent = self.till.world.agent(self.agent.expect("it was made")).await.expect("it is there");
        (agent.wanted, agent.seen.name())
    }

    async fn alerts(&self, kind: &str) -> i64 {
        let open = format!("select count(*) from alerts where kind = '{kind}' and closed_at is null");
        self.till.world.database.count(&open).await
    }

    /// When the period that is paid ends.
    async fn period_ends(&self) -> DateTime<Utc> {
        self.till.truth(&self.payer).await.expect("a subscription").period_ends
    }
}

#[tokio::test]
async fn a_year_of_a_tenant_to_the_second() {
    let mut year = Year::begin().await;
    let begun = year.till.stripe.now();
    year.till.subscribe(&year.payer, 7).await;
    year.settle().await;
    assert_eq!(year.judged().await, Entitlement::Served { by: Served::Trial { ends: begun + TimeDelta::days(7) } });
    year.agent = Some(year.till.world.new_agent("scout").await);
    year.settle().await;
    assert_eq!(year.agent().await, (Wanted::Running, "live"));
    let calls =
        "insert into model_days (tenant_id, day, spent_micros) select tenant_id, berth.now()::date, 1234 from billing";
    year.till.world.database.sql(calls).await;

    // The trial ends with a payment, and so do eight months.
    for month in 0..9 {
        let due = year.period_ends().await;
        year.until(due - SECOND).await;
        assert!(year.judged().await.may_run());
        year.until(due + SECOND).await;
        let renews = year.period_ends().await;
        assert_eq!(year.judged().await, Entitlement::Served { by: Served::Paid { renews } });
        // What model calls of thirty days came to is known at each look.
        let model = year.till.world.database.count("select model_micros from billing").await;
        assert_eq!(model, if month == 0 { 1234 } else { 0 }, "month {month}");
    }
    unpaid_while_stripe_is_away(&mut year).await;
    paid_again(&mut year).await;
    left(&mut year).await;
    let lived = year.till.stripe.now() - begun;
    assert!(lived > TimeDelta::days(365), "a year has {} days", lived.num_days());
    year.till.assert_all_read().await;
    assert_eq!(year.till.world.database.count("select count(*) from alerts where closed_at is null").await, 0);
    counted(&year).await;
}

/// Each change of how it stood is one row, and months and failures are counted from them.
async fn counted(year: &Year) {
    let database = &year.till.world.database;
    let lived = "select string_agg(standing, ' ' order by id) from standings";
    assert_eq!(database.texts(lived).await, ["trial paying past_due suspended paying ending left"]);
    let brings = "select string_agg(coalesce(cents::text, '-'), ' ' order by id) from standings";
    assert_eq!(database.texts(brings).await, ["4900 4900 4900 - 4900 - -"]);
    let mut tx = database.db.system().await.expect("a transaction");
    let months = store::standings::churn(&mut tx).await.expect("a count");
    // It began more than twelve months ago. Suspended for a while is not left.
    let counts = months.iter().map(|month| (month.at_start, month.began, month.left)).collect::<Vec<_>>();
    let left_in = counts.iter().position(|count| *count == (1, 0, 1)).expect("it left");
    assert!(counts[..left_in].iter().all(|count| *count == (1, 0, 0)), "{counts:?}");
    assert!(counts[left_in + 1..].iter().all(|count| *count == (0, 0, 0)), "{counts:?}");
}

/// The bank refuses on the second of three days on which Stripe answers nobody and tells nothing.
async fn unpaid_while_stripe_is_away(year: &mut Year) {
    let due = year.period_ends().await;
    year.until(due - TimeDelta::days(1)).await;
    year.till.stripe.set_outage(Some(StripeFault::Failed));
    year.till.stripe.set_card(&year.payer.customer, Card::Declined);
    for hour in 1..=72 {
        year.till.pass(TimeDelta::hours(1)).await;
        year.work().await;
        assert!(year.judged().await.may_run(), "hour {hour}");
    }
    assert_eq!(year.agent().await, (Wanted::Running, "live"), "who is not known to owe is served");
    assert_eq!(year.alerts("billing_stuck").await, 1, "a person was told");
    year.till.stripe.set_outage(None);
    year.till.pass(TimeDelta::minutes(2)).await;
    year.settle().await;
    assert_eq!(year.alerts("billing_stuck").await, 0);

    // Seven days from the moment at which it was seen.
    let since = year.till.account(&year.payer).await.facts.past_due_since.expect("it is seen");
    assert_eq!(since.signed_duration_since(year.till.stripe.now()).num_seconds(), 0);
    let until = since + TimeDelta::days(7);
    assert_eq!(year.judged().await, Entitlement::Served { by: Served::PastDue { until } });
    year.until(until - SECOND).await;
    assert_eq!(year.agent().await, (Wanted::Running, "live"));
    year.until(until + SECOND + SECOND).await;
    let judged = year.judged().await;
    assert_eq!(judged, Entitlement::Suspended { why: Suspended::PastDue, since: until });
    assert_eq!(year.agent().await, (Wanted::Stopped, "stopped"));
    let machines = year.till.world.provider.list().await.expect("a listing");
    assert_eq!(machines.len(), 1, "stopped, and everything is kept");
    // However long it is not paid, nothing is removed.
    year.days(40).await;
    assert_eq!(year.till.truth(&year.payer).await.expect("a subscription").status, SubscriptionStatus::Unpaid);
    assert_eq!(year.agent().await, (Wanted::Stopped, "stopped"));
}

async fn paid_again(year: &mut Year) {
    year.till.stripe.set_card(&year.payer.customer, Card::Good);
    year.till.stripe.settle(&year.payer.customer);
    year.settle().await;
    assert!(matches!(year.judged().await, Entitlement::Served { by: Served::Paid { .. } }));
    assert_eq!(year.agent().await, (Wanted::Running, "live"), "without a person");
    assert_eq!(year.till.account(&year.payer).await.facts.past_due_since, None);
    assert_eq!(year.till.account(&year.payer).await.rested, Vec::new());
}

async fn left(year: &mut Year) {
    year.days(1).await;
    let subscription = year.till.truth(&year.payer).await.expect("a subscription");
    year.till.stripe.set_cancelled(&subscription.id, true);
    year.settle().await;
    let ends = subscription.period_ends;
    assert_eq!(year.judged().await, Entitlement::Served { by: Served::Cancelled { ends } });
    year.until(ends - SECOND).await;
    assert_eq!(year.agent().await, (Wanted::Running, "live"), "what is paid is served");
    year.until(ends + SECOND).await;
    let until = ends + TimeDelta::days(30);
    assert_eq!(year.judged().await, Entitlement::Leaving { until });
    assert_eq!(year.agent().await, (Wanted::Stopped, "stopped"));

    year.until(until - SECOND).await;
    assert_eq!(year.agent().await, (Wanted::Stopped, "stopped"), "the last second in which it could come back");
    // On what was known before, nothing is removed.
    year.till.stripe.set_outage(Some(StripeFault::Failed));
    year.till.pass(TimeDelta::hours(3)).await;
    year.work().await;
    assert_eq!(year.agent().await, (Wanted::Stopped, "stopped"));
    year.till.stripe.set_outage(None);
    year.till.pass(TimeDelta::minutes(2)).await;
    year.settle().await;
    assert_eq!(year.judged().await, Entitlement::Gone { since: until });
    year.till.world.assert_nothing_left().await;
}

/// The thirty days with Stripe there all the time: removed two seconds after, at the latest.
#[tokio::test]
async fn thirty_days_after_the_end_nothing_is_left_and_not_a_second_before() {
    let mut year = Year::begin().await;
    let id = year.till.subscribe(&year.payer, 0).await;
    year.settle().await;
    year.agent = Some(year.till.world.new_agent("scout").await);
    year.settle().await;
    year.till.stripe.set_cancelled(&id, true);
    let until = year.period_ends().await + TimeDelta::days(30);
    year.until(until - SECOND).await;
    assert_eq!(year.agent().await, (Wanted::Stopped, "stopped"));
    assert_eq!(year.till.world.provider.list().await.expect("a listing").len(), 1);
    year.until(until + SECOND + SECOND).await;
    assert_eq!(year.judged().await, Entitlement::Gone { since: until });
    year.till.world.assert_nothing_left().await;
}
