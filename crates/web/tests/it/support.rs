//! A world with a router before it, and callers.

use std::sync::Arc;

use axum::{Router, body::Body};
use domain::{names::Email, operators::AdminEmails, people::Caller};
use http::{HeaderMap, Method, Request, StatusCode};
use http_body_util::BodyExt as _;
use serde_json::Value;
use testkit::{
    World,
    stripe::{FakeStripe, STRIPE_KEY},
};
use tokio_util::sync::CancellationToken;
use tower::ServiceExt as _;
use url::Url;
use vault::{Secret, SessionKey, SessionKeys};
use web::{
    Dice, Door, Pace, PoolPlan, Ready, SignIn, Site, Web,
    llm::{Models, OwnModels},
};

pub const METRICS_TOKEN: &str = "metrics-token-marker";
pub const CRON_SECRET: &str = "cron-secret-marker";
/// What stands for Stripe in these tests signs with it.
pub const STRIPE_SECRET: &str = "whsec_stripe0marker0123";

/// A world, its router, and what its callers hold.
pub struct House {
    pub world: World,
    /// Where people pay, once [`House::bill`] was called.
    pub stripe: FakeStripe,
    pub web: Web,
    pub router: Router,
    /// Alice's personal token.
    pub alice: String,
    /// Mallory's personal token.
    pub mallory: String,
    /// Sent with every request, if set.
    pub request_id: Option<&'static str>,
}

/// Another process of the same installation.
pub struct Neighbour {
    router: Router,
}

impl Neighbour {
    pub async fn page(&self, cookie: &str, path: &str) -> Answer {
        let request = Request::builder().uri(path).header("cookie", cookie).header("accept", "text/html");
        send(&self.router, request.body(Body::empty()).unwrap()).await
    }

    pub async fn form(&self, cookie: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path).header("cookie", cookie);
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        send(&self.router, request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn send(&self, request: Request<Body>) -> Answer {
        send(&self.router, request).await
    }
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: StatusCode,
    pub headers: HeaderMap,
    pub text: String,
}

impl House {
    pub async fn new() -> Self {
        Self::with(Some(CRON_SECRET), "http://127.0.0.1:8080").await
    }

    pub async fn with(cron_secret: Option<&str>, public_url: &str) -> Self {
        Self::ready(cron_secret, public_url, Arc::new(|| Box::pin(async { Ok(()) }))).await
    }

    /// A house where people can sign in at a vendor.
    pub async fn with_vendor(vendor: web::VendorSettings) -> Self {
        Self::with_admins(vendor, "").await
    }

    /// The same, with `ADMIN_EMAILS`.
    pub async fn with_admins(vendor: web::VendorSettings, admins: &str) -> Self {
        let admins = AdminEmails::parse(admins).unwrap();
        let base = "http://127.0.0.1:8080";
        let vendor = web::Vendor::new(vendor, &Url::parse(base).unwrap()).unwrap();
        Self::made(Some(CRON_SECRET), base, Arc::new(|| Box::pin(async { Ok(()) })), (vec![vendor], admins)).await
    }

    pub async fn ready(cron_secret: Option<&str>, public_url: &str, ready: Ready) -> Self {
        Self::made(cron_secret, public_url, ready, (Vec::new(), AdminEmails::default())).await
    }

    async fn made(
        cron_secret: Option<&str>,
        public_url: &str,
        ready: Ready,
        (vendors, admins): (Vec<web::Vendor>, AdminEmails),
    ) -> Self {
        crate::logs::keep();
        let mut world = World::new().await;
        let mut tx = world.flows.db.system().await.unwrap();
        let stripe = FakeStripe::start(store::house::now(&mut tx).await.unwrap()).await;
        drop(tx);
        let key = Secret::from(STRIPE_KEY.to_owned());
        let payments = Arc::new(clients::stripe::Stripe::new(&Url::parse(&stripe.url()).unwrap(), &key).unwrap());
        world.flows.payments = Some(payments.clone());
        let contact = Some("mailto:security@berth.example".to_owned());
        let secret = cron_secret.map(|text| Secret::from(text.to_owned()));
        let site = Site::new(Url::parse(public_url).unwrap(), secret, contact, ready);
        let mut site = site.with_metrics(Some(Secret::from(METRICS_TOKEN.to_owned())), crate::figures::render());
        site.stripe = vec![vault::stripe::SigningSecret::parse(STRIPE_SECRET).unwrap()];
        site.payments = Some(payments);
        site.rates = domain::rates::DollarRates::parse("eur=0.5").unwrap();
        // Tests ask faster than people do; those of the pace set one.
        site.pace = Pace::per_minute(0);
        site = site.with_sign_in(SignIn { vendors, keys: keys(public_url), mails: true, admins });
        let web = Web {
            db: world.flows.db.clone(),
            ring: Arc::clone(&world.flows.ring),
            dice: Dice(Arc::clone(&world.flows.entropy)),
            site: Arc::new(site),
            models: Models::Proof,
            own_models: OwnModels::default(),
            closing: CancellationToken::new(),
        };
        let alice = token(&web, &world.alice.caller).await;
        let mallory = token(&web, &world.mallory.caller).await;
        let router = web::router(web.clone(), Door::Public);
        Self { world, stripe, web, router, alice, mallory, request_id: None }
    }

    /// From here on people pay: the plan `pro` holds three agents.
    pub async fn bill(&self) {
        let price = self.stripe.add_price("pro", 4900);
        let mut tx = self.web.db.system().await.unwrap();
        store::house::installation(&mut tx, self.world.flows.installation).await.unwrap();
        store::house::set_billing(&mut tx, domain::entitlement::Billing::On).await.unwrap();
        tx.commit().await.unwrap();
        let sold = "insert into plan_prices (price_id, plan, cents, currency) values ('{}', 'pro', 4900, 'eur'); update plans set price_id = '{}' where plan = 'pro'";
        self.world.database.sql(&sold.replace("{}", price.as_str())).await;
    }

    /// Alice's tenant is a customer at Stripe.
    pub async fn customer(&self) -> domain::billing::CustomerId {
        let answer = self.post(&self.alice, "/api/v1/billing/checkout", r#"{"plan":"pro"}"#).await;
        assert_eq!(answer.status, StatusCode::OK, "{}", answer.text);
        let known = self.world.database.texts("select customer from billing").await;
        domain::billing::CustomerId::parse(&known[0]).unwrap()
    }

    /// Keeps so many spares, and says so on the operator's page.
    pub fn keep_spares(&mut self, floor: u16, ceiling: u16) {
        let mut machines = (*self.world.flows.machines).clone();
        (machines.pool.floor, machines.pool.ceiling) = (floor, ceiling);
        let public_url = self.web.site.public_url.clone();
        let ready: Ready = Arc::new(|| Box::pin(async { Ok(()) }));
        let sign_in = SignIn {
            vendors: Vec::new(),
            keys: keys(public_url.as_str().trim_end_matches('/')),
            mails: true,
            ..SignIn::default()
        };
        let mut site = Site::new(public_url, None, None, ready).with_sign_in(sign_in);
        site.pace = Pace::per_minute(0);
        site.pool = PoolPlan { floor, ceiling, image: machines.image.clone() };
        self.world.flows.machines = machines.into();
        self.web.site = Arc::new(site);
        self.router = web::router(self.web.clone(), Door::Public);
    }

    /// The same house as another process serves it, with a pool and a memory of its own.
    pub fn over(&self, db: store::Db) -> Neighbour {
        Neighbour { router: web::router(Web { db, ..self.web.clone() }, Door::Public) }
    }

    /// No mails leave any more.
    pub fn mute(&mut self) {
        let site = Site::new(self.web.site.public_url.clone(), None, None, Arc::new(|| Box::pin(async { Ok(()) })));
        self.web.site = Arc::new(site);
        self.router = web::router(self.web.clone(), Door::Public);
    }

    pub async fn send(&self, mut request: Request<Body>) -> Answer {
        if let Some(id) = self.request_id {
            request.headers_mut().insert("x-request-id", id.parse().unwrap());
        }
        send(&self.router, request).await
    }

    pub async fn get(&self, token: &str, path: &str) -> Answer {
        self.send(ask(Method::GET, path, token).body(Body::empty()).unwrap()).await
    }

    pub async fn post(&self, token: &str, path: &str, body: &str) -> Answer {
        let request = ask(Method::POST, path, token).header("content-type", "application/json");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    /// Posts a form as a browser with this cookie would.
    pub async fn form(&self, cookie: &str, path: &str, body: &str) -> Answer {
        let request = Request::builder().method(Method::POST).uri(path).header("cookie", cookie);
        let request = request.header("sec-fetch-site", "same-origin").header("accept", "text/html");
        let request = request.header("content-type", "application/x-www-form-urlencoded");
        self.send(request.body(Body::from(body.to_owned())).unwrap()).await
    }

    pub async fn delete(&self, cookie: &str, path: &str) -> Answer {
        let request = Request::builder().method(Method::DELETE).uri(path).header("cookie", cookie);
        self.send(request.body(Body::empty()).unwrap()).await
    }

    pub async fn page(&self, cookie: &str, path: &str) -> Answer {
        let request = Request::builder().uri(path).header("cookie", cookie).header("accept", "text/html");
        self.send(request.body(Body::empty()).unwrap()).await
    }

    /// The virtual model key of a live agent's machine: known by hash only, so one is planted.
    pub async fn model_key(&self) -> String {
        self.world.live_agent("scout").await;
        let token = vault::Token::mint(&*self.web.dice.0, vault::TokenKind::Model);
        let hash = vault::digest(token.expose().as_bytes());
        self.world.database.sql(&format!("update machines set model_key_hash = '\\x{hash}'")).await;
        token.expose().to_owned()
    }

    /// A personal token of somebody who runs the service.
    pub async fn operator(&self, email: &str) -> String {
        let email = Email::parse(email).unwrap();
        let mut tx = self.web.db.system().await.unwrap();
        let token = app::tokens::issue_token(&mut tx, &*self.web.dice.0, &email, true, "test").await.unwrap();
        tx.commit().await.unwrap();
        token.expose().to_owned()
    }

    /// A code that this many may use, made by alice.
    pub async fn invite(&self, uses: u32) -> String {
        let wish = app::invites::Wish { codes: 1, uses, days: 1, note: "", gift: None };
        let mut tx = self.web.db.system().await.unwrap();
        let by = &self.world.alice.caller;
        let made = app::invites::make(&mut tx, &*self.web.dice.0, &self.web.ring, &wish, by).await.unwrap();
        tx.commit().await.unwrap();
        made[0].1.symbols().to_owned()
    }

    /// Signs alice in and returns the cookie that shows it.
    pub async fn cookie(&self) -> String {
        self.cookie_of(&self.alice).await
    }

    /// Signs alice in and returns both of her cookies.
    pub async fn cookies(&self) -> String {
        self.cookies_of(&self.alice).await
    }

    /// Signs in with a personal token and returns the cookie that shows it. Operators have given a second factor.
    pub async fn cookie_of(&self, token: &str) -> String {
        self.cookies_of(token).await.split("; ").next().unwrap().to_owned()
    }

    /// The same, both cookies.
    pub async fn cookies_of(&self, token: &str) -> String {
        let cookies = self.plain_cookies_of(token).await;
        let sessions = "update sessions set factor_at = berth.now() where factor_at is null \
                        and user_id in (select id from users where is_operator)";
        let factors = "insert into operator_factors (user_id, secret_sealed, confirmed_at) \
                       select id, decode(repeat('01', 45), 'hex'), now() from users where is_operator on conflict do nothing";
        self.world.database.sql(sessions).await;
        self.world.database.sql(factors).await;
        cookies
    }

    /// Signs in with a personal token and nothing else.
    pub async fn plain_cookie_of(&self, token: &str) -> String {
        self.plain_cookies_of(token).await.split("; ").next().unwrap().to_owned()
    }

    pub async fn plain_cookies_of(&self, token: &str) -> String {
        let answer = self.form("", "/login", &format!("token={token}")).await;
        assert_eq!(answer.status, StatusCode::SEE_OTHER, "{}", answer.text);
        answer.cookies()
    }
}

/// What signs the passes of a house at this address.
fn keys(public_url: &str) -> SessionKeys {
    SessionKeys::new(public_url, &SessionKey::new(&(0..32).collect::<Vec<u8>>()).into_iter().collect::<Vec<_>>())
}

impl Answer {
    /// What a browser would send back of the cookies that were set here.
    pub fn cookies(&self) -> String {
        let set =
            self.headers.get_all("set-cookie").iter().map(|value| value.to_str().unwrap().split(';').next().unwrap());
        set.filter(|pair| !pair.ends_with('=')).collect::<Vec<_>>().join("; ")
    }

    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_else(|error| panic!("{error}: {}", self.text))
    }
}

pub fn ask(method: Method, path: &str, token: &str) -> http::request::Builder {
    let request = Request::builder().method(method).uri(path);
    if token.is_empty() { request } else { request.header("authorization", format!("Bearer {token}")) }
}

pub async fn send(router: &Router, request: Request<Body>) -> Answer {
    let (head, body) = router.clone().oneshot(request).await.unwrap().into_parts();
    let bytes = body.collect().await.unwrap().to_bytes();
    Answer { status: head.status, headers: head.headers, text: String::from_utf8_lossy(&bytes).into_owned() }
}

async fn token(web: &Web, caller: &Caller) -> String {
    let email = Email::parse(caller.email.as_str()).unwrap();
    let mut tx = web.db.system().await.unwrap();
    let token = app::tokens::issue_token(&mut tx, &*web.dice.0, &email, false, "test").await.unwrap();
    tx.commit().await.unwrap();
    token.expose().to_owned()
}

impl House {
    /// Makes somebody a member of alice's tenant.
    pub async fn join(&self, email: &str, role: &str) -> domain::MemberId {
        let token = self.person(email).await;
        let me = self.get(&token, "/api/v1/me").await.json();
        let user: domain::UserId = me["user"].as_str().unwrap().parse().unwrap();
        let id: domain::MemberId = domain::entropy::mint(&*self.web.dice.0);
        let role = domain::people::Role::parse(role).unwrap();
        let mut tx = self.web.db.system().await.unwrap();
        store::members::insert(&mut tx, id, (self.world.alice.caller.tenant, user), role).await.unwrap();
        tx.commit().await.unwrap();
        id
    }

    /// A personal token of somebody who gets a tenant of their own.
    pub async fn person(&self, email: &str) -> String {
        let email = Email::parse(email).unwrap();
        let mut tx = self.web.db.system().await.unwrap();
        let token = app::tokens::issue_token(&mut tx, &*self.web.dice.0, &email, false, "test").await.unwrap();
        tx.commit().await.unwrap();
        token.expose().to_owned()
    }

    /// The same person's token for alice's tenant, whose member they are.
    pub async fn token_in_alices(&self, email: &str) -> String {
        let token = vault::Token::mint(&*self.web.dice.0, vault::TokenKind::Personal);
        let hash = vault::digest(token.expose().as_bytes());
        let tenant = self.world.alice.caller.tenant.uuid();
        self.world
            .database
            .sql(&format!(
                "insert into tokens (id, token_hash, user_id, tenant_id, name, expires_at) \
                 select gen_random_uuid(), '\\x{hash}', id, '{tenant}', 'test', berth.now() + interval '1 day' \
                 from users where email = '{email}'"
            ))
            .await;
        token.expose().to_owned()
    }

    /// An open invitation into alice's tenant, and the link that was mailed.
    pub async fn invited(&self, email: &str) -> (String, String) {
        let body = format!(r#"{{"email":"{email}","role":"member"}}"#);
        let answer = self.post(&self.alice, "/api/v1/members", &body).await;
        assert_eq!(answer.status, StatusCode::ACCEPTED, "{}", answer.text);
        self.world.run_flows(20).await;
        (answer.json()["id"].as_str().unwrap().to_owned(), self.mailed_link(email))
    }

    /// The link in the last mail with one to this address.
    pub fn mailed_link(&self, email: &str) -> String {
        let sent = self.world.mailer.ledger();
        let brings = |mail: &&clients::mail::Mail| mail.to.as_str() == email && mail.text.contains("berth_lnk_");
        let mail = sent.iter().rev().map(|sent| &sent.what).find(brings).expect("a mail");
        let at = mail.text.find("berth_lnk_").expect("a link");
        mail.text[at..].split_whitespace().next().unwrap().to_owned()
    }

    /// Makes alice a viewer of mallory's tenant too; returns its id.
    pub async fn second_tenant(&self) -> String {
        let id: domain::MemberId = domain::entropy::mint(&*self.web.dice.0);
        let tenant = self.world.mallory.caller.tenant;
        let mut tx = self.web.db.system().await.unwrap();
        let who = (tenant, self.world.alice.caller.user);
        store::members::insert(&mut tx, id, who, domain::people::Role::Viewer).await.unwrap();
        tx.commit().await.unwrap();
        tenant.to_string()
    }
}
