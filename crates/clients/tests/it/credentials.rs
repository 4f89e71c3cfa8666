//! What vendors say of credentials: good, refused, or nothing; and what is never said.

use std::{
    io,
    net::{IpAddr, Ipv4Addr},
    sync::{Arc, Mutex, Once, PoisonError},
    time::{Duration, Instant},
};

use async_trait::async_trait;
use clients::{
    credentials::{CredentialVendors as _, HttpCredentialVendors},
    reach::Lookup,
};
use domain::{
    credential::{BaseUrl, Kind, Verdict},
    reachable::NamedHosts,
};
use futures::future::join_all;
use testkit::vendor::{FakeVendor, VendorMood, own_secret};
use tokio::net::TcpListener;
use tracing_subscriber::{fmt::MakeWriter, util::SubscriberInitExt as _};
use vault::Secret;

/// Those that a vendor is asked about.
const ASKED: [Kind; 7] =
    [Kind::Anthropic, Kind::OpenAi, Kind::OpenRouter, Kind::Compatible, Kind::Telegram, Kind::Slack, Kind::Discord];

struct Desk {
    vendor: FakeVendor,
    client: HttpCredentialVendors,
    base: BaseUrl,
}

impl Desk {
    async fn new() -> Self {
        keep_log();
        let vendor = FakeVendor::start().await;
        let named = NamedHosts::parse(&vendor.url()).expect("a host");
        let client = HttpCredentialVendors::new(vendor.addresses(), named).expect("clients");
        let base = BaseUrl::parse(&vendor.compatible()).expect("a base");
        Self { vendor, client, base }
    }

    async fn check(&self, kind: Kind) -> Verdict {
        self.check_secret(kind, own_secret(kind)).await
    }

    async fn check_secret(&self, kind: Kind, secret: &str) -> Verdict {
        let base = (kind == Kind::Compatible).then_some(&self.base);
        self.client.check(kind, base, &Secret::from(secret.to_owned())).await
    }
}

fn word(verdict: &Verdict) -> (&'static str, &str) {
    match verdict {
        Verdict::Accepted { who } => ("accepted", who.as_deref().unwrap_or_default()),
        Verdict::Refused { why } => ("refused", why),
        Verdict::Unknown { why } => ("unknown", why),
    }
}

#[tokio::test]
async fn a_good_credential_is_accepted_by_one_cheap_question() {
    let desk = Desk::new().await;
    let table = [
        (Kind::Anthropic, "", vec!["GET /v1/models"]),
        (Kind::OpenAi, "", vec!["GET /openai/v1/models"]),
        (Kind::OpenRouter, "", vec!["GET /openrouter/api/v1/key"]),
        (Kind::Compatible, "", vec!["GET /compatible/v1/models"]),
        (Kind::Telegram, "@scout_bot", vec!["GET /telegram/bot123456789:AAE-own-token-marker_QXMENQjcrGb/getMe"]),
        (Kind::Slack, "scout in Harbour", vec!["POST /slack/api/auth.test", "POST /slack/api/apps.connections.open"]),
        (Kind::Discord, "scout", vec!["GET /discord/api/v10/users/@me"]),
    ];
    for (kind, who, asked) in table {
        let before = desk.vendor.calls().len();
        let verdict = desk.check(kind).await;
        assert_eq!(word(&verdict), ("accepted", who), "{kind:?}");
        let calls = desk.vendor.calls().split_off(before);
        let paths: Vec<String> = calls.iter().map(|call| format!("{} {}", call.method, call.path)).collect();
        assert_eq!(paths, asked, "{kind:?}");
        let known =
            ["accept", "anthropic-version", "authorization", "content-length", "host", "user-agent", "x-api-key"];
        for call in calls {
            assert!(call.body.is_empty() && call.headers.keys().all(|name| known.contains(&name.as_str())), "{call:?}");
        }
    }
    assert_eq!(desk.check(Kind::Variable).await, Verdict::Accepted { who: None }, "nobody is asked");
}

#[tokio::test]
async fn a_revoked_or_mistyped_credential_is_refused_with_a_way_out() {
    let desk = Desk::new().await;
    for kind in ASKED {
        let wrong = match kind {
            Kind::Telegram => "123456789:AAE-other-token-of-somebody".to_owned(),
            Kind::Slack => "xoxb-other-hunter2\nxapp-other-hunter2".to_owned(),
            _ => format!("{}-hunter2", own_secret(kind)),
        };
        desk.vendor.revoke(kind);
        for secret in [own_secret(kind), &wrong] {
            let verdict = desk.check_secret(kind, secret).await;
            let (said, why) = word(&verdict);
            assert!(said == "refused" && why.ends_with('.') && !why.contains("hunter2"), "{kind:?}: {verdict:?}");
        }
    }
    // What cannot be one is not sent anywhere.
    let before = desk.vendor.calls().len();
    let (_, telegram) = own_secret(Kind::Telegram).split_at(3);
    for (kind, secret) in [
        (Kind::Telegram, "123456789:AAE/../../getUpdates/own-token-marker"),
        (Kind::Telegram, telegram.trim_start_matches(|c: char| c.is_ascii_digit())),
        (Kind::Telegram, ""),
        (Kind::Slack, "xoxb-1-own-token-marker"),
        (Kind::OpenAi, "sk-proj-own\r\nx-injected: yes"),
        (Kind::Discord, "MTIz\0"),
    ] {
        assert_eq!(word(&desk.check_secret(kind, secret).await).0, "refused", "{secret:?}");
    }
    let alone = desk.client.check(Kind::Compatible, None, &Secret::from("x".to_owned())).await;
    assert_eq!(word(&alone).0, "refused");
    assert_eq!(desk.vendor.calls().len(), before);
}

#[tokio::test]
async fn the_apps_token_of_slack_is_asked_about_too() {
    let desk = Desk::new().await;
    let verdict = desk.check_secret(Kind::Slack, "xoxb-1-own-token-marker\nxapp-1-other").await;
    assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("xapp")), "{verdict:?}");
    let verdict = desk.check_secret(Kind::Slack, "xoxb-1-other\nxapp-1-own-token-marker").await;
    assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("xoxb")), "{verdict:?}");
    desk.vendor.set_mood(VendorMood::Picky);
    let verdict = desk.check(Kind::Slack).await;
    assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("scope")), "{verdict:?}");
}

#[tokio::test]
async fn a_vendor_that_does_not_say_leaves_it_unknown() {
    let desk = Desk::new().await;
    let moods = [
        (VendorMood::Limited, "no more questions"),
        (VendorMood::Overloaded, "fault of its own"),
        (VendorMood::Faulty, "fault of its own"),
        (VendorMood::Redirect, "points to another address"),
        (VendorMood::Garbled, "something else"),
        (VendorMood::Huge, "something else"),
    ];
    for (mood, words) in moods {
        desk.vendor.set_mood(mood);
        for kind in ASKED {
            let verdict = desk.check(kind).await;
            let (said, why) = word(&verdict);
            assert!(said == "unknown" && why.contains(words), "{mood:?} {kind:?}: {verdict:?}");
        }
    }
    assert!(desk.vendor.calls().iter().all(|call| !call.path.contains("elsewhere")), "a redirect was followed");
    let nobody = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = nobody.local_addr().expect("an address");
    drop(nobody);
    let addresses = clients::vendors::VendorAddresses::parse(&format!("telegram=http://{address}")).expect("addresses");
    let away = HttpCredentialVendors::new(addresses, NamedHosts::default()).expect("clients");
    let verdict = away.check(Kind::Telegram, None, &Secret::from(own_secret(Kind::Telegram).to_owned())).await;
    assert_eq!(verdict, Verdict::Unknown { why: "Telegram cannot be reached right now.".into() });
}

#[tokio::test]
async fn a_vendor_that_never_answers_is_waited_for_ten_seconds() {
    let desk = Desk::new().await;
    desk.vendor.set_mood(VendorMood::Mute);
    let began = Instant::now();
    for verdict in join_all(ASKED.map(|kind| desk.check(kind))).await {
        assert!(matches!(&verdict, Verdict::Unknown { why } if why.contains("within 10 s")), "{verdict:?}");
    }
    let took = began.elapsed();
    assert!((Duration::from_secs(9)..Duration::from_secs(15)).contains(&took), "{took:?}");
}

/// Says that every name is this host.
struct Homeward;

#[async_trait]
impl Lookup for Homeward {
    async fn addresses(&self, _: &str) -> io::Result<Vec<IpAddr>> {
        Ok(vec![IpAddr::V4(Ipv4Addr::LOCALHOST)])
    }
}

#[tokio::test]
async fn no_address_of_a_tenants_leads_into_our_own_network() {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let port = listener.local_addr().expect("an address").port();
    let vendor = FakeVendor::start().await;
    let client = HttpCredentialVendors::with_lookup(vendor.addresses(), NamedHosts::default(), Arc::new(Homeward));
    let client = client.expect("clients");
    let secret = Secret::from("compatible-own-key-marker".to_owned());
    for host in [
        "127.0.0.1",
        "2130706433",
        "0x7f.1",
        "0177.0.0.1",
        "0.0.0.0",
        "[::1]",
        "[::ffff:127.0.0.1]",
        "localhost",
        "169.254.169.254",
        "metadata.google.internal",
        "models.example.org",
        "127.0.0.1.nip.example",
    ] {
        let base = BaseUrl::parse(&format!("https://{host}:{port}/v1")).expect("a base");
        let verdict = client.check(Kind::Compatible, Some(&base), &secret).await;
        assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("public internet")), "{host}: {verdict:?}");
    }
    let plain = BaseUrl::parse(&format!("http://models.example.org:{port}/v1")).expect("a base");
    let verdict = client.check(Kind::Compatible, Some(&plain), &secret).await;
    assert!(matches!(&verdict, Verdict::Refused { why } if why.contains("https://")), "{verdict:?}");
    let knocked = tokio::time::timeout(Duration::from_millis(200), listener.accept()).await;
    assert!(knocked.is_err(), "somebody connected");
}

/// The log of all tests of this program, at every level, of our own and of the libraries below.
static LINES: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Lines;

impl io::Write for Lines {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        LINES.lock().unwrap_or_else(PoisonError::into_inner).extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl MakeWriter<'_> for Lines {
    type Writer = Self;

    fn make_writer(&self) -> Self {
        Self
    }
}

fn keep_log() {
    static KEEP: Once = Once::new();
    KEEP.call_once(|| {
        let subscriber = tracing_subscriber::fmt().with_ansi(false).with_max_level(tracing::Level::TRACE);
        subscriber.with_writer(Lines).finish().init();
    });
}

#[tokio::test]
async fn no_log_at_any_level_holds_a_credential() {
    let desk = Desk::new().await;
    let moods = [
        VendorMood::Well,
        VendorMood::Limited,
        VendorMood::Faulty,
        VendorMood::Picky,
        VendorMood::Redirect,
        VendorMood::Garbled,
        VendorMood::Huge,
    ];
    for mood in moods {
        desk.vendor.set_mood(mood);
        for kind in ASKED {
            desk.check(kind).await;
        }
    }
    let nowhere = "telegram=http://127.0.0.1:1,discord=http://127.0.0.1:1,slack=https://127.0.0.1:1";
    let addresses = clients::vendors::VendorAddresses::parse(nowhere).expect("addresses");
    let away = HttpCredentialVendors::new(addresses, NamedHosts::default()).expect("clients");
    for kind in [Kind::Telegram, Kind::Discord, Kind::Slack] {
        away.check(kind, None, &Secret::from(own_secret(kind).to_owned())).await;
    }
    let log = String::from_utf8_lossy(&LINES.lock().unwrap_or_else(PoisonError::into_inner)).into_owned();
    assert!(log.contains("a credential was checked with its vendor") && log.contains("TRACE"), "the log is kept");
    assert!(log.contains("starting new connection"), "so is what the HTTP library says");
    for marker in ["own-key-marker", "own-token-marker", "ticket-marker", "/bot123456789"] {
        let told = log.lines().find(|line| line.contains(marker));
        assert_eq!(told, None, "the log holds {marker}");
    }
}
