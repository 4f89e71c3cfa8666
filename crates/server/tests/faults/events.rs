//! Berth dies while it takes an event of Stripe's and while it understands one; nothing is lost, nothing counts twice.

use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use clients::{
    payments::{NewCheckout, NewCustomer, Payments as _},
    stripe::Stripe,
};
use domain::{
    TenantId,
    billing::{CustomerId, IdempotencyKey, SubscriptionId},
    names::Email,
};
use flows::CrashPoint;
use serde_json::Value;
use testkit::{
    Database,
    stripe::{FakeStripe, STRIPE_KEY, STRIPE_SIGNING_SECRET, StripeFault},
};
use tokio::{io::AsyncWriteExt as _, net::TcpStream, time::sleep};
use vault::Secret;

use crate::{
    dice::Dice,
    fleet::Fleet,
    size::{say, seed, sized},
};

/// Longest until an event is understood, with a process that starts and a lease that runs out.
const UNDERSTOOD: Duration = Duration::from_secs(30);
/// The steps on an event's way: it is read, then its tenant is woken and looked at.
const STEPS: [&str; 3] = ["read", "rest", "refresh"];

/// The processes' clock is the true one, and so is Stripe's.
fn now() -> DateTime<Utc> {
    std::time::SystemTime::now().into()
}

/// One process that bills, and a tenant that pays.
struct Paying {
    fleet: Fleet,
    stripe: FakeStripe,
    customer: CustomerId,
    subscription: SubscriptionId,
    cancelled: bool,
    heard: i64,
}

impl Paying {
    async fn start() -> Self {
        let stripe = FakeStripe::start(now()).await;
        let settings = vec![
            ("BERTH_STRIPE_URL", stripe.url()),
            ("STRIPE_SECRET_KEY", STRIPE_KEY.to_owned()),
            ("STRIPE_WEBHOOK_SECRET", STRIPE_SIGNING_SECRET.to_owned()),
        ];
        let fleet = Fleet::with(Database::fresh().await, 1, settings).await;
        let tenant = fleet.database.texts("select id::text from tenants limit 1").await.pop().unwrap();
        let tenant = TenantId::from_uuid(tenant.parse().unwrap());
        let client = Stripe::new(&stripe.url().parse().unwrap(), &Secret::from(STRIPE_KEY.to_owned())).unwrap();
        let new = NewCustomer { tenant, name: "Ada".to_owned(), email: Email::parse("ada@harbour.example").unwrap() };
        let customer = client.create_customer(&IdempotencyKey::parse("key:customer").unwrap(), &new).await.unwrap();
        let entropy = testkit::Seeded::new(11);
        let mut tx = fleet.database.db.tenant(tenant).await.unwrap();
        app::billing::open(&mut tx, &entropy).await.unwrap();
        assert!(store::billing::set_customer(&mut tx, &customer).await.unwrap());
        tx.commit().await.unwrap();
        let new = NewCheckout {
            customer: customer.clone(),
            tenant,
            price: stripe.add_price("pro", 4_900),
            trial_days: None,
            paid_to: "https://berth.example/paid".to_owned(),
            back_to: "https://berth.example/".to_owned(),
        };
        let checkout = client.open_checkout(&IdempotencyKey::parse("key:checkout").unwrap(), &new).await.unwrap();
        let subscription = stripe.pay(&checkout.id);
        let mut paying = Self { fleet, stripe, customer, subscription, cancelled: false, heard: 0 };
        let first = paying.stripe.events().pop().unwrap();
        paying.send_until_taken(&first).await;
        paying.understood().await;
        paying
    }

    /// Something changes at Stripe: the subscription is cancelled, or is not any more. The event about it.
    fn change(&mut self) -> Value {
        self.cancelled = !self.cancelled;
        self.stripe.set_cancelled(&self.subscription, self.cancelled);
        self.stripe.events().pop().unwrap()
    }

    /// As Stripe does: again and again, until somebody says that it was taken.
    async fn send_until_taken(&mut self, event: &Value) {
        let (to, began) = (format!("http://{}/webhooks/stripe", self.fleet.processes[0].people()), Instant::now());
        while FakeStripe::deliver(event, now(), &to).await != Ok(204) {
            assert!(began.elapsed() < UNDERSTOOD, "nobody takes it\n{}", self.fleet.log());
            sleep(Duration::from_millis(20)).await;
        }
        self.heard += 1;
    }

    /// Sends an event and reads no answer.
    async fn send_blindly(&self, event: &Value) -> TcpStream {
        let (signature, body) = FakeStripe::signed(event, now());
        let request = format!(
            "POST /webhooks/stripe HTTP/1.1\r\nHost: berth\r\nContent-Type: application/json\r\n\
             Content-Length: {}\r\nStripe-Signature: {signature}\r\n\r\n{body}",
            body.len()
        );
        let mut stream = TcpStream::connect(self.fleet.processes[0].people()).await.unwrap();
        stream.write_all(request.as_bytes()).await.unwrap();
        stream
    }

    async fn count(&self, statement: &str) -> i64 {
        self.fleet.database.count(statement).await
    }

    async fn kept(&self) -> i64 {
        self.count("select count(*) from events").await
    }

    /// Until everything that was told is understood once, and what is known is what stands at Stripe.
    async fn understood(&self) {
        let began = Instant::now();
        let left = "select (select count(*) from events where read_at is null or tenant_id is null) \
                    + (select count(*) from flows where kind = 'event') + (select count(*) from flow_signals)";
        let is = format!(
            "select count(*) from billing where customer = '{}' and subscription ->> 'status' = 'active' \
             and (subscription ->> 'ends' is not null) = {}",
            self.customer, self.cancelled
        );
        while self.count(left).await > 0 || self.count(&is).await != 1 {
            assert!(began.elapsed() < UNDERSTOOD, "it is not understood\n{}", self.fleet.log());
            sleep(Duration::from_millis(20)).await;
        }
        assert_eq!(self.kept().await, self.heard, "each event is kept once, and none is lost");
    }
}

/// Killed as soon as the row can be seen, or at any moment around that; whoever got no answer sends again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_between_commit_and_answer_it_keeps_each_event_once() {
    let (began, kills) = (Instant::now(), sized(12, 65));
    let dice = Dice::new(seed("kills between commit and answer"));
    let mut paying = Paying::start().await;
    let mut committed = 0;
    for n in 0..kills {
        let (event, before) = (paying.change(), paying.kept().await);
        let unread = paying.send_blindly(&event).await;
        if n % 2 == 0 {
            while paying.kept().await == before {
                sleep(Duration::from_micros(200)).await;
            }
        } else {
            sleep(dice.ms(0, 6)).await;
        }
        paying.fleet.processes[0].kill().await;
        committed += paying.kept().await - before;
        drop(unread);
        paying.fleet.processes[0].start(None);
        paying.fleet.processes[0].up().await;
        paying.send_until_taken(&event).await;
        paying.understood().await;
    }
    let took = began.elapsed().as_secs_f64();
    say(&format!("commit and answer: {kills} kills, {committed} after the commit, 0 lost, 0 double, in {took:.0} s"));
    assert!(committed > 0, "no kill came after a commit: this shows nothing");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_at_each_step_of_an_event_it_is_understood_once() {
    let (began, rounds) = (Instant::now(), sized(1, 15));
    let mut paying = Paying::start().await;
    let mut deaths = 0;
    for _ in 0..rounds {
        for step in STEPS {
            for point in CrashPoint::EVERY {
                paying.fleet.arm(0, &format!("{step}:{}", point.name())).await;
                let event = paying.change();
                // It may be dead before it has answered.
                let unread = paying.send_blindly(&event).await;
                assert!(paying.fleet.processes[0].crashed(UNDERSTOOD).await, "{step} {point:?} was not reached");
                drop(unread);
                deaths += 1;
                paying.fleet.processes[0].start(None);
                paying.fleet.processes[0].up().await;
                paying.send_until_taken(&event).await;
                paying.understood().await;
            }
        }
    }
    let took = began.elapsed().as_secs_f64();
    say(&format!("steps of an event: {deaths} deaths, 0 lost, 0 double, in {took:.0} s"));
}

/// `berth billing replay` on the server itself: what never arrived is there, and twice is once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_never_arrived_is_brought_back_by_a_replay() {
    let mut paying = Paying::start().await;
    paying.change();
    let told = paying.stripe.events().len();
    let replay = async |since: &str| {
        let output =
            paying.fleet.processes[0].command(&["billing", "replay", "--since", since]).output().await.unwrap();
        let said = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        (output.status.code(), said(&output.stdout), said(&output.stderr))
    };
    let (code, first, trouble) = replay("30d").await;
    assert_eq!(code, Some(0), "{trouble}");
    let missing = told - 1;
    assert!(first.contains(" customer.subscription.updated of "), "{first}");
    assert!(first.ends_with(&format!(", {missing} missing, {missing} kept.\n")), "{first}");
    let again = replay("2h").await.1;
    assert!(again.starts_with(&format!("{told} told by Stripe since ")) && again.ends_with(", 0 missing, 0 kept.\n"));
    assert_eq!(replay("yesterday").await.0, Some(2));
    paying.stripe.set_outage(Some(StripeFault::Failed));
    let (code, _, trouble) = replay("2h").await;
    assert_eq!(code, Some(1));
    assert!(trouble.starts_with("berth: Stripe is not available"), "{trouble}");
    paying.stripe.set_outage(None);
    let began = Instant::now();
    let is = "select count(*) from billing where subscription ->> 'ends' is not null";
    while paying.count(is).await != 1 {
        assert!(began.elapsed() < UNDERSTOOD, "it is not understood\n{}", paying.fleet.log());
        sleep(Duration::from_millis(20)).await;
    }
}
