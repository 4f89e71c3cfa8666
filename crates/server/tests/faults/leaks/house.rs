//! A Berth whose every secret is a mark: the operator's from files, the database's log and its WAL kept whole.

use std::{fs, path::PathBuf, process::Command};

use domain::credential::Kind;
use store::{Db, DbOptions};
use tempfile::TempDir;
use testkit::{
    Database, Seeded,
    issuer::{CLIENT, CLIENT_SECRET, FakeIssuer},
    marks::{Class, Marks},
    vendor::{FakeVendor, VENDOR_WORDS},
};

use crate::{cluster::Cluster, fleet::Fleet};

/// Everything is said in the server's log, and no segment of the WAL is used again.
const TALKATIVE: &str = "-c log_statement=all -c log_parameter_max_length=-1 -c log_parameter_max_length_on_error=-1 \
                         -c log_min_messages=debug1 -c wal_keep_size=4GB -c max_wal_size=4GB";

/// The house.
pub(super) struct Marked {
    /// In force at the end.
    pub(super) marks: Marks,
    /// Given first, and replaced.
    pub(super) earlier: Marks,
    pub(super) vendor: FakeVendor,
    pub(super) issuer: FakeIssuer,
    /// Holds `answers` and `mails`: what Berth gave away.
    pub(super) room: TempDir,
    // Dropped in this order: the program, then its server.
    pub(super) fleet: Fleet,
    pub(super) cluster: Cluster,
    /// The operator's own files, which nobody searches.
    files: TempDir,
}

impl Marked {
    pub(super) async fn new() -> Self {
        let seed = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_nanos();
        let seed = u64::try_from(seed % u128::from(u64::MAX)).unwrap();
        let mut marks = Marks::new(&Seeded::new(seed));
        let earlier = Marks::new(&Seeded::new(seed ^ 1));
        for class in VENDORS.iter().chain(&[Class::Variable]) {
            let value = earlier.value(*class).as_bytes();
            let known =
                value.iter().zip(marks.value(*class).as_bytes()).take_while(|(one, other)| one == other).count();
            marks.learn(*class, known, value);
        }
        // Those two are fixed where they are good.
        marks.learn(Class::ClientSecret, 0, CLIENT_SECRET.as_bytes());
        marks.learn(Class::Answer, 0, VENDOR_WORDS.as_bytes());
        let vendor = FakeVendor::start().await;
        for given in [&marks, &earlier] {
            for class in VENDORS {
                vendor.take(given.value(class));
            }
        }
        let issuer = FakeIssuer::start().await;
        let (files, room) = (TempDir::new().unwrap(), TempDir::new().unwrap());
        fs::create_dir(room.path().join("answers")).unwrap();
        fs::create_dir(room.path().join("mails")).unwrap();
        let cluster = Cluster::start().await;
        let database = Database::fresh_on(cluster.url()).await;
        let password = marks.value(Class::DatabasePassword);
        let url = locked(&cluster, &database, password).await;
        let mut settings = vec![
            ("BERTH_LOG", "trace".to_owned()),
            ("BERTH_OIDC_ISSUER", issuer.url()),
            ("BERTH_OIDC_CLIENT_ID", CLIENT.to_owned()),
            ("GOOGLE_CLIENT_ID", "berth.example".to_owned()),
            ("BERTH_MODEL_FORWARD", "on".to_owned()),
            ("BERTH_MODEL_VENDOR_URL", vendor.url()),
            ("BERTH_COMPATIBLE_HOSTS", vendor.url()),
            ("BERTH_CREDENTIAL_VENDORS", addresses(&vendor)),
            ("BERTH_ALERT_WEBHOOK_URL", format!("{}/alerts", vendor.url())),
            ("BERTH_ALERT_MAIL_TO", "operator@example.org".to_owned()),
            ("BERTH_MAIL_FROM", "berth@example.org".to_owned()),
            ("BERTH_MAIL_DIR", room.path().join("mails").display().to_string()),
        ];
        let key = format!("{},{}", marks.value(Class::RetiredKey), marks.value(Class::MasterKey));
        for (name, by_file, value) in [
            ("CREDENTIAL_ENCRYPTION_KEY", KEY_FILE, key.as_str()),
            ("DATABASE_URL", "DATABASE_URL_FILE", &url),
            ("BERTH_SESSION_KEY", "BERTH_SESSION_KEY_FILE", marks.value(Class::SessionKey)),
            ("CRON_SECRET", "CRON_SECRET_FILE", marks.value(Class::CronSecret)),
            ("BERTH_METRICS_TOKEN", "BERTH_METRICS_TOKEN_FILE", marks.value(Class::MetricsToken)),
            ("ANTHROPIC_API_KEY", "ANTHROPIC_API_KEY_FILE", marks.value(Class::HouseModelKey)),
            ("GOOGLE_CLIENT_SECRET", "GOOGLE_CLIENT_SECRET_FILE", marks.value(Class::ClientSecret)),
            ("BERTH_OIDC_CLIENT_SECRET", "BERTH_OIDC_CLIENT_SECRET_FILE", CLIENT_SECRET),
            ("BERTH_ALERT_WEBHOOK_SECRET", "BERTH_ALERT_WEBHOOK_SECRET_FILE", marks.value(Class::WebhookSecret)),
        ] {
            settings.push((name, String::new()));
            settings.push((by_file, file(&files, name, value)));
        }
        let fleet = Fleet::with(database, 1, settings).await;
        marks.learn(Class::PersonalToken, "berth_pat_".len(), fleet.api.token.as_bytes());
        Self { marks, earlier, vendor, issuer, room, fleet, cluster, files }
    }

    /// Starts Berth anew, with the other master key in front, and a mail server that is away.
    pub(super) async fn restart(&mut self) {
        let key = format!("{},{}", self.marks.value(Class::MasterKey), self.marks.value(Class::RetiredKey));
        file(&self.files, "CREDENTIAL_ENCRYPTION_KEY", &key);
        let smtp = format!("smtp://berth:{}@127.0.0.1:9", self.marks.value(Class::MailPassword));
        let smtp = file(&self.files, "BERTH_SMTP_URL", &smtp);
        self.fleet.restart_with(&[("BERTH_MAIL_DIR", ""), ("BERTH_SMTP_URL_FILE", &smtp)]).await;
    }

    /// The two values of a credential's class: what is given first, and what replaces it.
    pub(super) fn values(&self, kind: Kind) -> [String; 2] {
        [&self.earlier, &self.marks].map(|marks| match kind {
            Kind::Anthropic => marks.value(Class::AnthropicKey).to_owned(),
            Kind::OpenAi => marks.value(Class::OpenAiKey).to_owned(),
            Kind::OpenRouter => marks.value(Class::OpenRouterKey).to_owned(),
            Kind::Compatible => marks.value(Class::CompatibleKey).to_owned(),
            Kind::Telegram => marks.value(Class::TelegramToken).to_owned(),
            Kind::Slack => format!("{}\n{}", marks.value(Class::SlackBotToken), marks.value(Class::SlackAppToken)),
            Kind::Discord => marks.value(Class::DiscordToken).to_owned(),
            Kind::Variable => marks.value(Class::Variable).to_owned(),
        })
    }

    /// What `openssl enc` makes of the secret that is brought along, under its passphrase. Both come to it by files of the
    /// operator's own: an environment is watched.
    pub(super) fn brought_along(&self) -> String {
        let value = self.files.path().join("brought-along");
        fs::write(&value, self.marks.value(Class::ImportedSecret)).unwrap();
        let passphrase = file(&self.files, "passphrase", self.marks.value(Class::ImportPassphrase));
        let mut command = Command::new("openssl");
        command.args(["enc", "-aes-256-cbc", "-pbkdf2", "-md", "sha256", "-a", "-in"]).arg(&value);
        let output = command.args(["-pass", &format!("file:{passphrase}")]).output().expect("openssl is installed");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8(output.stdout).unwrap()
    }

    pub(super) fn answers(&self) -> PathBuf {
        self.room.path().join("answers")
    }

    pub(super) fn mails(&self) -> PathBuf {
        self.room.path().join("mails")
    }
}

const KEY_FILE: &str = "CREDENTIAL_ENCRYPTION_KEY_FILE";

/// What some vendor knows.
const VENDORS: [Class; 9] = [
    Class::AnthropicKey,
    Class::OpenAiKey,
    Class::OpenRouterKey,
    Class::CompatibleKey,
    Class::TelegramToken,
    Class::SlackBotToken,
    Class::SlackAppToken,
    Class::DiscordToken,
    Class::HouseModelKey,
];

/// Gives Berth's login a password, and lets it in with that only; from then on the server logs every statement.
async fn locked(cluster: &Cluster, database: &Database, password: &str) -> String {
    // Before the log begins: how an operator sets a password is theirs.
    database.sql(&format!("alter role berth_login password '{password}'")).await;
    let rules = "local all berth_login scram-sha-256\nlocal all all trust\nlocal replication all trust\n";
    fs::write(cluster.data().join("pg_hba.conf"), rules).unwrap();
    let options: Vec<&str> = TALKATIVE.split("-c ").skip(1).collect();
    for option in options {
        let (name, value) = option.trim().split_once('=').unwrap();
        database.sql(&format!("alter system set {name} = '{value}'")).await;
    }
    database.sql("select pg_reload_conf()").await;
    let without = database.url_as("berth_login");
    let is_open = async |url: &str| Db::connect(&DbOptions { url: url.to_owned(), connections_max: 1 }).await.is_ok();
    for _ in 0..100 {
        if !is_open(&without).await {
            let url = without.replace("berth_login@", &format!("berth_login:{password}@"));
            assert!(is_open(&url).await, "the password is taken");
            return url;
        }
        tokio::time::sleep(std::time::Duration::from_millis(20)).await;
    }
    panic!("the database still takes Berth's login without a password");
}

fn addresses(vendor: &FakeVendor) -> String {
    let at = vendor.addresses();
    let named = [
        ("anthropic", at.anthropic),
        ("openai", at.openai),
        ("openrouter", at.openrouter),
        ("telegram", at.telegram),
        ("slack", at.slack),
        ("discord", at.discord),
    ];
    named.map(|(name, address)| format!("{name}={address}")).join(",")
}

fn file(folder: &TempDir, name: &str, value: &str) -> String {
    let path = folder.path().join(name);
    fs::write(&path, format!("{value}\n")).unwrap();
    path.display().to_string()
}
