//! Marks: secrets that a test plants to see where they get, one of each class, and the hunt for them.
//!
//! [`Marks::new`] draws one for each [`Class`]. What Berth draws itself is told with [`Marks::learn`]. [`Hunt`] then
//! looks for all of them in bytes, streams and folders: as they are, and in every [`Encoding`], also inside gzip
//! members wherever they begin. A part of a secret is found, too: any [`PART`] bytes of it.
//!
//! What is not seen: secrets inside other compression (zstd, lz4, xz, what Postgres does to long values) or under
//! encryption, and secrets that are cut into pieces shorter than that.

use std::collections::BTreeMap;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use domain::Entropy;

mod allowed;
mod encoding;
mod hunt;

pub use allowed::{Allowed, BadAllowance};
pub use encoding::Encoding;
pub use hunt::{Found, Hit, Hunt};

/// So many bytes of a secret in a row are found for certain, whatever stands around them.
pub const PART: usize = WINDOW + STEP - 1;
const WINDOW: usize = 14;
const STEP: usize = 7;

macro_rules! classes {
    ($($(#[$doc:meta])+ $arm:ident => $name:literal, $shape:expr;)+) => {
        /// What a secret is. One mark each.
        #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Class {
            $($(#[$doc])+ $arm,)+
        }

        impl Class {
            /// All of them.
            pub const EVERY: &[Self] = &[$(Self::$arm,)+];

            /// As it stands in a report and in the list of what is allowed.
            #[must_use]
            pub const fn name(self) -> &'static str {
                match self {
                    $(Self::$arm => $name,)+
                }
            }

            const fn shape(self) -> Shape {
                match self {
                    $(Self::$arm => $shape,)+
                }
            }
        }
    };
}

/// How the mark of a class looks, so that it is taken for one.
enum Shape {
    /// These characters, which are no secret, and so many random letters and digits.
    Token(&'static str, usize),
    /// The same, in lower-case hexadecimal digits.
    Hex(&'static str, usize),
    /// So many random bytes, given as base64 after these characters.
    Bytes(&'static str, usize),
    /// Words with everything in them that some encoding escapes.
    Words,
}

classes! {
    // What tenants bring.
    /// Of a tenant, at Anthropic.
    AnthropicKey => "anthropic_key", Shape::Token("sk-ant-api03-", 43);
    /// Of a tenant, at OpenAI.
    OpenAiKey => "openai_key", Shape::Token("sk-proj-", 48);
    /// Of a tenant, at OpenRouter.
    OpenRouterKey => "openrouter_key", Shape::Hex("sk-or-v1-", 64);
    /// Of a tenant, at a compatible vendor of models.
    CompatibleKey => "compatible_key", Shape::Token("key-", 43);
    /// Of a bot at Telegram.
    TelegramToken => "telegram_token", Shape::Token("7123456789:AA", 33);
    /// Of a bot at Slack.
    SlackBotToken => "slack_bot_token", Shape::Token("xoxb-2345678901-2345678901234-", 24);
    /// Of an app at Slack.
    SlackAppToken => "slack_app_token", Shape::Hex("xapp-1-A02ABCDEFGH-2345678901234-", 64);
    /// With which Slack signs.
    SlackSigningSecret => "slack_signing_secret", Shape::Hex("", 32);
    /// Of a bot at Discord.
    DiscordToken => "discord_token", Shape::Token("MTIzNDU2Nzg5MDEyMzQ1Njc4.GmAbCd.", 38);
    /// An environment variable of an agent.
    Variable => "variable", Shape::Words;
    /// A passphrase under which somebody brings a secret along.
    ImportPassphrase => "import_passphrase", Shape::Words;
    /// A secret that was brought along, sealed by another program.
    ImportedSecret => "imported_secret", Shape::Token("imported-", 43);
    // What people say.
    /// What a tenant tells an agent about itself.
    Instructions => "instructions", Shape::Words;
    /// What somebody said to an agent.
    Question => "question", Shape::Words;
    /// What an agent answered.
    Answer => "answer", Shape::Words;
    // What Berth draws.
    /// A person's API token.
    PersonalToken => "personal_token", Shape::Token("berth_pat_", 43);
    /// What renews a browser's session.
    SessionToken => "session_token", Shape::Token("berth_ses_", 43);
    /// A browser on its way through a vendor's sign-in.
    SignInToken => "sign_in_token", Shape::Token("berth_sgn_", 43);
    /// A one-time link.
    Link => "link", Shape::Token("berth_lnk_", 43);
    /// A machine calling home.
    MachineToken => "machine_token", Shape::Token("berth_mch_", 43);
    /// A machine's key for the model route.
    ModelKey => "model_key", Shape::Token("berth_llm_", 43);
    /// Of a machine's gateway.
    GatewayToken => "gateway_token", Shape::Token("berth_gtw_", 43);
    /// Under which a machine seals its bundle.
    MachineKey => "machine_key", Shape::Bytes("", 32);
    /// A machine's SSH host key: its secret half.
    HostKey => "host_key", Shape::Bytes("", 32);
    /// Of the house's SSH authority: its secret half.
    AuthorityKey => "authority_key", Shape::Bytes("", 32);
    /// Under which a tenant's secrets are sealed.
    DataKey => "data_key", Shape::Bytes("", 32);
    /// An operator's second factor.
    SecondFactor => "second_factor", Shape::Bytes("", 20);
    /// What lets somebody sign up.
    InviteCode => "invite_code", Shape::Token("", 14);
    /// A code of an agent's channel for somebody who wants to talk to it.
    PairingCode => "pairing_code", Shape::Token("", 20);
    // What the operator sets.
    /// The master key that seals.
    MasterKey => "master_key", Shape::Bytes("", 32);
    /// A master key that only opens.
    RetiredKey => "retired_key", Shape::Bytes("", 32);
    /// What signs passes.
    SessionKey => "session_key", Shape::Bytes("", 32);
    /// What the scheduler of the operator shows.
    CronSecret => "cron_secret", Shape::Token("", 43);
    /// What reads `/metrics`.
    MetricsToken => "metrics_token", Shape::Token("", 43);
    /// Of the database.
    DatabasePassword => "database_password", Shape::Token("", 43);
    /// Of the mail server.
    MailPassword => "mail_password", Shape::Token("", 43);
    /// Berth's own, at a vendor of identities.
    ClientSecret => "client_secret", Shape::Token("GOCSPX-", 43);
    /// With which Berth signs the webhook of alerts.
    WebhookSecret => "webhook_secret", Shape::Bytes("whsec_", 32);
    /// The house's key at the model vendor.
    HouseModelKey => "house_model_key", Shape::Token("sk-ant-api03-", 43);
}

/// One mark of each class.
#[derive(Debug, Clone)]
pub struct Marks {
    /// Whole, as it is given to whom it belongs.
    values: BTreeMap<Class, String>,
    /// What alone is secret of it, in every shape in which it may lie about.
    secrets: Vec<(Class, Vec<u8>)>,
}

impl Marks {
    /// Draws all of them.
    #[must_use]
    pub fn new(entropy: &dyn Entropy) -> Self {
        let mut marks = Self { values: BTreeMap::new(), secrets: Vec::new() };
        for class in Class::EVERY {
            let (known, secret) = match class.shape() {
                Shape::Token(known, length) => (known, drawn(entropy, LETTERS, length)),
                Shape::Hex(known, length) => (known, drawn(entropy, DIGITS, length)),
                Shape::Words => ("", words(entropy)),
                Shape::Bytes(known, length) => {
                    let mut bytes = vec![0; length];
                    entropy.fill(&mut bytes);
                    let text = STANDARD.encode(&bytes);
                    marks.secrets.push((*class, bytes));
                    (known, text)
                }
            };
            marks.values.insert(*class, format!("{known}{secret}"));
            marks.secrets.push((*class, secret.into_bytes()));
        }
        marks
    }

    /// The mark of a class, whole.
    #[must_use]
    pub fn value(&self, class: Class) -> &str {
        self.values.get(&class).map_or("", String::as_str)
    }

    /// The bytes that a mark in base64 stands for. Empty for all others.
    #[must_use]
    pub fn bytes(&self, class: Class) -> &[u8] {
        let is_bytes = matches!(class.shape(), Shape::Bytes(..));
        let own = self.secrets.iter().find(|(of, _)| is_bytes && *of == class);
        own.map_or(&[], |(_, bytes)| bytes)
    }

    /// Another secret of a class, which Berth drew itself. `known` bytes at its start are no secret: `berth_mch_`.
    ///
    /// # Panics
    /// When less than a part that can be found is left.
    pub fn learn(&mut self, class: Class, known: usize, secret: &[u8]) {
        let rest = secret.get(known..).unwrap_or_default();
        assert!(rest.len() >= WINDOW, "{} is too short to be looked for", class.name());
        self.secrets.push((class, rest.to_vec()));
    }

    /// Parts of every secret, so that one that was cut is found as well.
    fn parts(&self) -> impl Iterator<Item = (Class, &[u8])> {
        self.secrets.iter().flat_map(|(class, secret)| windows(secret).into_iter().map(|part| (*class, part)))
    }
}

/// Overlapping parts of a secret; of text, whole characters.
fn windows(secret: &[u8]) -> Vec<&[u8]> {
    let text = std::str::from_utf8(secret).ok();
    let whole = |at: usize| text.is_none_or(|text| text.is_char_boundary(at));
    let last = secret.len().saturating_sub(WINDOW);
    let starts = (0..last).step_by(STEP).chain([last]);
    let mut parts: Vec<&[u8]> = starts
        .map(|start| {
            let start = (0..=start).rev().find(|at| whole(*at)).unwrap_or(0);
            let end = (start + WINDOW..=secret.len()).find(|at| whole(*at)).unwrap_or(secret.len());
            secret.get(start..end).unwrap_or_default()
        })
        .collect();
    parts.dedup();
    parts
}

const DIGITS: &[u8] = b"0123456789abcdef";
const LETTERS: &[u8] = b"0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ";

fn drawn(entropy: &dyn Entropy, letters: &[u8], length: usize) -> String {
    let mut random = vec![0; length];
    entropy.fill(&mut random);
    random.iter().filter_map(|byte| letters.get(usize::from(*byte) % letters.len()).copied().map(char::from)).collect()
}

/// Every second word ends with what some encoding escapes.
fn words(entropy: &dyn Entropy) -> String {
    const SPECIAL: [&str; 12] = ["\"", "\\", "&", "+", "%", "/", "<", "'", "µ", "=", "€", ">"];
    let parts =
        SPECIAL.iter().map(|special| format!("{}{special}{}", drawn(entropy, LETTERS, 5), drawn(entropy, LETTERS, 2)));
    parts.collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests;
