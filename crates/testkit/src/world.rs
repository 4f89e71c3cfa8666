//! A world for flows and operations: two tenants, the real runner, machines in memory.

use std::sync::Arc;

use app::credentials::{CredentialError, Wish};
use clients::{
    fake::FakeProvider,
    fake_messages::{FakeMailer, FakeWebhook},
    provider::{Limits, Provider as _},
};
use domain::{
    AgentId, CredentialId, Entropy,
    agent::Agent,
    audit::Actor,
    credential::{BaseUrl, Kind, Value, VariableName},
    entropy::mint,
    life::Life,
    names::{AgentName, Email},
    openclaw::AgentModels,
    people::Caller,
    protocol::SecretText,
};
use flows::{Carriers, Machines, Ran, RunnerOptions};
use ssh::{Authority, fake::FakeReach};
use vault::{KeyId, Keyring, MasterKey};

use crate::{Database, Seeded, SimGuests};

/// Somebody with a tenant of their own.
#[derive(Debug, Clone)]
pub struct Person {
    /// As an extractor would have found them.
    pub caller: Caller,
}

/// The world of one test.
pub struct World {
    /// Its database.
    pub database: Database,
    /// What steps are given.
    pub flows: flows::World,
    /// Where its machines live, with a ledger.
    pub provider: FakeProvider,
    /// How its machines are asked, with a ledger.
    pub reach: FakeReach,
    /// What answers there.
    pub guests: SimGuests,
    /// Where alerts are posted to, with a ledger.
    pub webhook: FakeWebhook,
    /// Where mails are sent by, with a ledger.
    pub mailer: FakeMailer,
    /// A customer.
    pub alice: Person,
    /// Another customer, who means harm.
    pub mallory: Person,
}

impl World {
    /// A fresh world.
    ///
    /// # Panics
    /// When there is no test server.
    pub async fn new() -> Self {
        let database = Database::fresh().await;
        let entropy: Arc<dyn Entropy> = Arc::new(Seeded::new(7));
        let (provider, guests) = (FakeProvider::default(), SimGuests::default());
        let reach = guests.reach();
        let (webhook, mailer) = (FakeWebhook::default(), FakeMailer::default());
        let flows = flows::World {
            db: database.db.clone(),
            ring: Arc::new(usable_ring(&database, entropy.as_ref()).await),
            entropy: Arc::clone(&entropy),
            provider: Arc::new(provider.clone()),
            reach: Arc::new(reach.clone()),
            authority: Arc::new(Authority::generate(entropy.as_ref())),
            installation: mint(entropy.as_ref()),
            machines: Arc::new(Machines {
                provider: "fake",
                image: "berth-machine-test".into(),
                limits: Limits { cpus: 1, memory_bytes: 1 << 30, disk_bytes: 1 << 32 },
                home: "http://10.0.0.1:8081".into(),
                models: AgentModels::proof(),
                ssh_port: 22,
                telegram: None,
                pool: flows::Pool::default(),
                keys_age_max: None,
            }),
            adopt: |_, _| {},
            carriers: Arc::new(Carriers {
                mail: Some((Arc::new(mailer.clone()), Email::parse("night-watch@example.org").expect("an address"))),
                letters: Some(Arc::new(mailer.clone())),
                webhook: Some(Arc::new(webhook.clone())),
                base: "http://127.0.0.1:8080".into(),
            }),
            payments: None,
        };
        let alice = person(&database, entropy.as_ref(), "alice@example.org").await;
        let mallory = person(&database, entropy.as_ref(), "mallory@example.org").await;
        Self { database, flows, provider, reach, guests, webhook, mailer, alice, mallory }
    }

    /// Gives this process another master key in front, and begins the rotation to it.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn begin_rotation(&mut self) -> KeyId {
        let entropy = Arc::clone(&self.flows.entropy);
        let ring = Keyring::new(vec![master_key(9), master_key(7)]);
        let mut tx = self.database.db.system().await.expect("a transaction begins");
        let ring =
            app::keys::unseal(&mut tx, ring, entropy.as_ref()).await.expect("keys are read").expect("it is usable");
        let to = app::keys::rotate(&mut tx, &ring, entropy.as_ref(), Actor::shell()).await.expect("a rotation begins");
        tx.commit().await.expect("it commits");
        self.flows.ring = Arc::new(ring);
        to
    }

    /// Lets somebody try to set one.
    ///
    /// # Errors
    /// As [`app::credentials::set`].
    ///
    /// # Panics
    /// When the value is none of its kind.
    pub async fn try_credential(
        &self,
        who: &Person,
        agent: Option<AgentId>,
        kind: Kind,
        value: &str,
    ) -> Result<CredentialId, CredentialError> {
        let value = Value::parse(kind, &SecretText::new(value.to_owned())).expect("a value of its kind");
        let wish = Wish { agent, name: None, base_url: None, value: &value, checked: None };
        let mut tx = self.database.db.tenant(who.caller.tenant).await?;
        let keys = (self.flows.ring.as_ref(), self.flows.entropy.as_ref());
        let set = app::credentials::set(&mut tx, keys, &wish, &who.caller).await?;
        tx.commit().await?;
        Ok(set.id)
    }

    /// Lets Alice set a credential; the flow that brings it there is due.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn set_credential(
        &self,
        agent: Option<AgentId>,
        kind: Kind,
        name: Option<&str>,
        value: &str,
    ) -> CredentialId {
        let name = name.map(|name| VariableName::parse(name).expect("a variable's name"));
        let value = Value::parse(kind, &SecretText::new(value.to_owned())).expect("a value of its kind");
        let base_url =
            (kind == Kind::Compatible).then(|| BaseUrl::parse("https://llm.example/v1").expect("an address"));
        let wish = Wish { agent, name: name.as_ref(), base_url: base_url.as_ref(), value: &value, checked: None };
        let by = &self.alice.caller;
        let mut tx = self.database.db.tenant(by.tenant).await.expect("a transaction begins");
        let keys = (self.flows.ring.as_ref(), self.flows.entropy.as_ref());
        let set = app::credentials::set(&mut tx, keys, &wish, by).await.expect("it is set");
        tx.commit().await.expect("it commits");
        set.id
    }

    /// Runs what is due until nothing is, without waiting: pauses are skipped. At most `steps_max` steps.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn run_flows(&self, steps_max: usize) -> Vec<Ran> {
        let mut ran = Vec::new();
        for _ in 0..steps_max {
            let now = flows::run_due(&self.flows, &RunnerOptions::default()).await.expect("flows are claimed");
            if now.is_empty() && !self.skip_pause().await {
                break;
            }
            ran.extend(now);
        }
        ran
    }

    /// Makes a pausing flow due, unless it rests for an hour (or waits to forget).
    async fn skip_pause(&self) -> bool {
        let skipped = "with moved as (update flows set run_at = now() \
                       where run_at > now() and run_at < now() + interval '9 minutes' returning 1) \
                       select count(*) from moved";
        self.database.count(skipped).await > 0
    }

    /// An agent of alice's, asked for and not begun.
    ///
    /// # Panics
    /// When it is refused.
    pub async fn new_agent(&self, name: &str) -> AgentId {
        self.agent_of(&self.alice, name).await
    }

    /// An agent that somebody asks for.
    ///
    /// # Panics
    /// When it cannot be created.
    pub async fn agent_of(&self, who: &Person, name: &str) -> AgentId {
        let name = AgentName::parse(name).expect("a good name");
        let mut tx = self.database.db.tenant(who.caller.tenant).await.expect("a transaction");
        let entropy = self.flows.entropy.as_ref();
        let new = app::agents::NewAgent::named(entropy, name);
        let agent = app::agents::create(&mut tx, entropy, &new, None, &who.caller).await;
        tx.commit().await.expect("a commit");
        agent.expect("created").id
    }

    /// An agent of alice's that is live.
    ///
    /// # Panics
    /// When it does not become live.
    pub async fn live_agent(&self, name: &str) -> AgentId {
        let id = self.new_agent(name).await;
        self.run_flows(40).await;
        let agent = self.agent(id).await.expect("the agent exists");
        assert_eq!(agent.seen.name(), "live", "{:?}", agent.seen);
        id
    }

    /// An agent of alice's, as she sees it.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn agent(&self, id: AgentId) -> Option<Agent> {
        let mut tx = self.database.db.tenant_read(self.alice.caller.tenant).await.expect("a transaction");
        store::agents::by_id(&mut tx, id).await.expect("a query")
    }

    /// Puts an agent's flow at a step, due at once.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn put_at(&self, agent: AgentId, step: &Life) {
        let step = serde_json::to_string(step).expect("a step serialises");
        let statement = format!(
            "update flows set step = '{step}', run_at = now(), lease_until = null, deadline_at = null, attempt = 0 \
             where subject = '{}'",
            agent.uuid()
        );
        self.database.sql(&statement).await;
    }

    /// The step an agent's flow is at.
    ///
    /// # Panics
    /// When it cannot be read.
    pub async fn step(&self, agent: AgentId) -> Option<Life> {
        let mut tx = self.database.db.system().await.expect("a transaction");
        let flows = store::flows::all(&mut tx).await.expect("a query");
        let flow = flows.into_iter().find(|flow| flow.subject == agent.uuid())?;
        Some(serde_json::from_value(flow.step).expect("a step"))
    }

    /// Wants an agent of alice's gone and lets it happen.
    ///
    /// # Panics
    /// When the database fails.
    pub async fn remove(&self, agent: AgentId) {
        let mut tx = self.database.db.tenant(self.alice.caller.tenant).await.expect("a transaction");
        app::agents::remove(&mut tx, agent, &self.alice.caller).await.expect("removable");
        tx.commit().await.expect("a commit");
        self.run_flows(40).await;
    }

    /// Nothing is left: no machine at the provider, no living row, no flow of an agent.
    ///
    /// # Panics
    /// When something is.
    pub async fn assert_nothing_left(&self) {
        assert_eq!(self.provider.list().await.expect("a listing"), [], "machines are left at the provider");
        assert_eq!(self.database.count("select count(*) from machines where gone_at is null").await, 0);
        assert_eq!(self.database.count("select count(*) from agents").await, 0);
        assert_eq!(self.database.count("select count(*) from flows where kind = 'life'").await, 0);
    }
}

/// A ring with one master key and the house's own.
///
/// # Panics
/// When the database fails.
pub async fn usable_ring(database: &Database, entropy: &dyn Entropy) -> Keyring {
    let mut tx = database.db.system().await.expect("a transaction begins");
    let ring = app::keys::unseal(&mut tx, Keyring::new(vec![master_key(7)]), entropy).await.expect("keys are read");
    tx.commit().await.expect("it commits");
    ring.expect("a fresh database takes the first key")
}

/// A master key of tests, told apart by a number.
#[must_use]
pub fn master_key(number: u8) -> MasterKey {
    let mut key = [number; 32];
    key[0] = number.wrapping_add(1);
    MasterKey::from_bytes(key)
}

async fn person(database: &Database, entropy: &dyn Entropy, email: &str) -> Person {
    let email = Email::parse(email).expect("an address");
    let mut tx = database.db.system().await.expect("a transaction");
    let token = app::tokens::issue_token(&mut tx, entropy, &email, false, "test").await.expect("a token");
    let caller = app::tokens::caller_by_token(&mut tx, &token).await.expect("a query").expect("a caller");
    tx.commit().await.expect("a commit");
    Person { caller }
}
