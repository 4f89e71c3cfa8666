//! The part of `openclaw.json` that belongs to Berth, and how it is compared.
//!
//! OpenClaw may write keys of its own beside ours ([`THEIRS`]); [`ours`] leaves
//! them out, so that what we sent and what the gateway reports can be compared
//! by digest over [`canonical`] JSON.

use serde_json::{Map, Value, json};

use crate::{
    channel::{Channel, Channels},
    credential::Kind,
    model::{Menu, Offer, OwnModel, PROOF_MODEL, PROOF_MODEL_TITLE},
};

/// Top-level keys that OpenClaw itself may write: `meta` (who last touched the file) and `wizard` (onboarding).
pub const THEIRS: [&str; 2] = ["meta", "wizard"];

/// The port on which the gateway listens, on the machine's loopback only.
pub const GATEWAY_PORT: u16 = 18789;

/// Folder of the opened secrets on the machine, a tmpfs.
pub const SECRETS_DIR: &str = "/run/openclaw/secrets";

/// Where an agent's instructions lie in its workspace: a folder of ours, and a file in it. OpenClaw takes files of
/// this name only.
pub const INSTRUCTIONS_FILE: (&str, &str) = ("berth", "AGENTS.md");

/// What differs between the configurations of two machines.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the gateway finds its model, without `/v1`: the control plane's `/llm`, as reached from the machine.
    pub model_base_url: String,
    /// Which model the agent asks for.
    pub model: AgentModel,
    /// How people reach the agent. Their tokens are secrets beside the document.
    pub channels: Channels,
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum ModelApi {
    /// Anthropic's Messages: `POST {base}/v1/messages`.
    #[default]
    Messages,
    /// OpenAI's Chat Completions: `POST {base}/v1/chat/completions`.
    ChatCompletions,
}

impl ModelApi {
    /// What the gateway calls a provider of models that is asked so.
    const fn provider(self) -> &'static str {
        match self {
            Self::Messages => "berth",
            Self::ChatCompletions => "berth-openai",
        }
    }

    /// The gateway's word for it.
    const fn adapter(self) -> &'static str {
        match self {
            Self::Messages => "anthropic-messages",
            Self::ChatCompletions => "openai-completions",
        }
    }

    /// Where the gateway finds it. Of the two, only the adapter for Messages puts `/v1` there by itself.
    fn base_url(self, root: &str) -> String {
        match self {
            Self::Messages => root.to_owned(),
            Self::ChatCompletions => format!("{root}/v1"),
        }
    }
}

/// The model that an agent asks for by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentModel {
    /// How it is asked.
    pub api: ModelApi,
    /// As its vendor names it.
    pub name: String,
    /// What it is called where a person reads it.
    pub title: String,
    /// Most tokens that a conversation may have.
    pub context_tokens: u64,
    /// Most tokens of one answer. What is set aside for a call grows with it.
    pub answer_tokens: u64,
}

/// Most tokens of one answer that an agent asks for, whatever its model could give.
const ANSWER_TOKENS_MAX: u64 = 8192;

impl AgentModel {
    /// Berth's built-in proof model.
    #[must_use]
    pub fn proof() -> Self {
        let (name, title) = (PROOF_MODEL.to_owned(), PROOF_MODEL_TITLE.to_owned());
        Self { api: ModelApi::Messages, name, title, context_tokens: 200_000, answer_tokens: ANSWER_TOKENS_MAX }
    }

    /// A vendor's model.
    #[must_use]
    pub fn of(offer: &Offer) -> Self {
        Self {
            api: ModelApi::Messages,
            name: offer.name.clone(),
            title: offer.title.clone(),
            context_tokens: offer.price.context_tokens,
            answer_tokens: offer.price.answer_tokens.min(ANSWER_TOKENS_MAX),
        }
    }
}

impl AgentModel {
    /// A model that a vendor answers with the tenant's own key. Nobody tells how large it is; these sizes fit all that are
    /// in use. The route for Chat Completions wants to hear whose key is meant; that for Messages has one vendor.
    fn own(text: &str, model: &OwnModel<'_>) -> Self {
        let (api, name) = match model.kind {
            Kind::Anthropic => (ModelApi::Messages, model.name),
            _ => (ModelApi::ChatCompletions, text),
        };
        let (name, title) = (name.to_owned(), model.title());
        Self { api, name, title, context_tokens: 128_000, answer_tokens: ANSWER_TOKENS_MAX }
    }
}

/// The models that agents may ask for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentModels {
    /// What an agent is set to that has chosen none.
    usual: AgentModel,
    others: Vec<AgentModel>,
}

impl AgentModels {
    /// Berth's built-in proof model alone.
    #[must_use]
    pub fn proof() -> Self {
        Self { usual: AgentModel::proof(), others: Vec::new() }
    }

    /// Those of a menu, the first one usual.
    #[must_use]
    pub fn of(menu: &Menu) -> Self {
        let mut all = menu.offers().iter().map(AgentModel::of);
        all.next().map_or_else(Self::proof, |usual| Self { usual, others: all.collect() })
    }

    /// The model that was chosen; the usual one where none was, or where it is offered no more. One that is answered with
    /// the tenant's own key is always what was chosen.
    #[must_use]
    pub fn chosen(&self, name: Option<&str>) -> AgentModel {
        let own = name.and_then(|text| Some(AgentModel::own(text, &OwnModel::parse(text)?)));
        let offered = || self.others.iter().find(|model| Some(model.name.as_str()) == name).unwrap_or(&self.usual);
        own.unwrap_or_else(|| offered().clone())
    }
}

/// The configuration that Berth wants in force: terminal off, mDNS off, heartbeat off, pairing before anyone is heard.
///
/// Secrets are named, not held: `gateway_token`, `model_key` and the tokens of channels are files below
/// [`SECRETS_DIR`]. Where no channel is on, there is no word of channels.
#[must_use]
pub fn document(settings: &Settings) -> Value {
    let api = settings.model.api;
    let channels = settings.channels.on();
    let names = ["gateway_token", "model_key"].into_iter();
    let names = names.chain(channels.iter().flat_map(|channel| channel.secrets()).copied());
    let files: Map<String, Value> = names.map(|name| (name.to_owned(), secret_file(name))).collect();
    let mut document = json!({
        "gateway": {
            "mode": "local",
            "port": GATEWAY_PORT,
            "bind": "loopback",
            "auth": { "mode": "token", "token": secret("gateway_token") },
            "http": { "endpoints": { "chatCompletions": { "enabled": true } } },
            "controlUi": { "enabled": false },
            "terminal": { "enabled": false }
        },
        "secrets": { "providers": files },
        "models": { "mode": "merge", "providers": { api.provider(): {
            "baseUrl": api.base_url(&settings.model_base_url),
            "api": api.adapter(),
            "apiKey": secret("model_key"),
            "models": [ {
                "id": settings.model.name, "name": settings.model.title, "input": ["text"],
                "contextWindow": settings.model.context_tokens, "maxTokens": settings.model.answer_tokens
            } ]
        } } },
        "agents": {
            "defaults": {
                "workspace": "/home/openclaw/.openclaw/workspace",
                "model": { "primary": format!("{}/{}", api.provider(), settings.model.name) },
                "heartbeat": { "every": "0m" }
            },
            "entries": { "main": {} }
        },
        // The one hook that is on takes an agent's instructions into its conversations, where there are any.
        "hooks": { "internal": { "enabled": true, "entries": {
            "bootstrap-extra-files": {
                "enabled": true, "paths": [format!("{}/{}", INSTRUCTIONS_FILE.0, INSTRUCTIONS_FILE.1)]
            }
        } } },
        "plugins": { "entries": { "admin-http-rpc": { "enabled": true } } },
        "discovery": { "mdns": { "mode": "off" } },
        // So that the gateway's own log lines can be told from the agent's words, which it prints among them.
        "logging": { "consoleStyle": "json" },
        "update": { "checkOnStart": false }
    });
    for plugin in channels.iter().filter(|channel| channel.is_plugin()) {
        if let Some(Value::Object(entries)) = document.pointer_mut("/plugins/entries") {
            entries.insert(plugin.as_str().to_owned(), json!({ "enabled": true }));
        }
    }
    if let Value::Object(map) = &mut document
        && !channels.is_empty()
    {
        let on = channels.iter().map(|channel| (channel.as_str().to_owned(), channel_settings(*channel, settings)));
        map.insert("channels".to_owned(), Value::Object(on.collect()));
    }
    document
}

/// A reference to a secret, by its name.
fn secret(name: &str) -> Value {
    json!({ "source": "file", "provider": name, "id": "value" })
}

/// Where the gateway reads a secret.
fn secret_file(name: &str) -> Value {
    json!({ "source": "file", "path": format!("{SECRETS_DIR}/{name}"), "mode": "singleValue" })
}

/// One channel: nobody is heard before the tenant let them in, no group is answered, and nothing that is said there
/// changes the configuration.
fn channel_settings(channel: Channel, settings: &Settings) -> Value {
    let mut of_channel = json!({
        "enabled": true, "dmPolicy": "pairing", "groupPolicy": "allowlist", "configWrites": false
    });
    let more = match channel {
        Channel::Telegram => {
            let root = settings.channels.telegram.as_ref().and_then(|telegram| telegram.api_root.as_ref());
            let token = json!({ "botToken": secret("telegram_token") });
            [Some(token), root.map(|root| json!({ "apiRoot": root.as_str() }))]
        }
        Channel::Slack => {
            let tokens = json!({ "botToken": secret("slack_bot_token"), "appToken": secret("slack_app_token") });
            [Some(json!({ "mode": "socket" })), Some(tokens)]
        }
        // Who writes to a bot directly is read without the intent to read what is written anywhere else.
        Channel::Discord => {
            let token = json!({ "token": secret("discord_token") });
            [Some(token), Some(json!({ "intents": { "messageContent": false } }))]
        }
    };
    if let Value::Object(map) = &mut of_channel {
        map.extend(more.into_iter().flatten().filter_map(|more| more.as_object().cloned()).flatten());
    }
    of_channel
}

/// Our part of a document as the gateway reports it.
#[must_use]
pub fn ours(reported: &Value) -> Value {
    match reported {
        Value::Object(map) => Value::Object(
            map.iter()
                .filter(|(key, _)| !THEIRS.contains(&key.as_str()))
                .map(|(k, v)| (k.clone(), v.clone()))
                .collect(),
        ),
        other => other.clone(),
    }
}

/// One text for one document: keys sorted, no space (the idea of RFC 8785, for the whole numbers and strings we use).
#[must_use]
pub fn canonical(document: &Value) -> String {
    fn sorted(value: &Value) -> Value {
        match value {
            Value::Object(map) => {
                let mut keys: Vec<&String> = map.keys().collect();
                keys.sort();
                let pairs = keys.into_iter().filter_map(|key| map.get(key).map(|value| (key.clone(), sorted(value))));
                Value::Object(pairs.collect::<Map<_, _>>())
            }
            Value::Array(items) => Value::Array(items.iter().map(sorted).collect()),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => value.clone(),
        }
    }
    sorted(document).to_string()
}

/// What the digest of a configuration is made over: its [`canonical`] text and, where there are any, the
/// instructions that lie beside it. Canonical text has no line break, so no two pairs read the same.
#[must_use]
pub fn whole(document: &Value, instructions: Option<&str>) -> String {
    let document = canonical(document);
    instructions.map_or_else(|| document.clone(), |text| format!("{document}\n{text}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings() -> Settings {
        Settings { model_base_url: "http://b/llm".into(), model: AgentModel::proof(), channels: Channels::default() }
    }

    #[test]
    fn the_document_names_the_model_and_its_sizes() {
        let menu = crate::model::Menu::parse("claude-sonnet-5-5", "").unwrap();
        let mut settings = settings();
        let of_proof = document(&settings);
        settings.model = AgentModel::of(&menu.offers()[0]);
        let document = document(&settings);
        assert_eq!(document["agents"]["defaults"]["model"]["primary"], "berth/claude-sonnet-5-5");
        let model = &document["models"]["providers"]["berth"]["models"][0];
        let sizes = (&model["contextWindow"], &model["maxTokens"]);
        assert_eq!(sizes, (&json!(1_000_000), &json!(8192)));
        assert_eq!(of_proof["agents"]["defaults"]["model"]["primary"], "berth/berth-proof");
    }

    #[test]
    fn a_model_of_the_other_kind_is_asked_at_a_provider_of_its_own() {
        let mut settings = settings();
        settings.model.api = ModelApi::ChatCompletions;
        settings.model.name = "gpt-x".into();
        let document = document(&settings);
        assert_eq!(document["agents"]["defaults"]["model"]["primary"], "berth-openai/gpt-x");
        let providers = document["models"]["providers"].as_object().unwrap();
        assert_eq!(providers.keys().collect::<Vec<_>>(), ["berth-openai"]);
        let provider = &providers["berth-openai"];
        assert_eq!((&provider["api"], &provider["baseUrl"]), (&json!("openai-completions"), &json!("http://b/llm/v1")));
        assert_eq!(provider["apiKey"], secret("model_key"), "the same virtual key opens both");
    }

    #[test]
    fn a_channel_that_is_on_names_its_tokens_and_hears_nobody_yet() {
        let mut settings = settings();
        let without = document(&settings);
        assert_eq!(without.get("channels"), None);
        let api_root = Some(crate::channel::ApiRoot::parse("http://10.0.0.1:9/").unwrap());
        settings.channels = Channels {
            telegram: Some(crate::channel::Telegram { api_root }),
            slack: Some(crate::channel::Slack),
            discord: Some(crate::channel::Discord),
        };
        let with = document(&settings);
        let channels = with["channels"].as_object().unwrap();
        let names: std::collections::BTreeSet<&str> = channels.keys().map(String::as_str).collect();
        assert_eq!(names, ["discord", "slack", "telegram"].into());
        for (name, channel) in channels {
            let policy = ["enabled", "dmPolicy", "groupPolicy", "configWrites"].map(|key| &channel[key]);
            assert_eq!(policy, [&json!(true), &json!("pairing"), &json!("allowlist"), &json!(false)], "{name}");
            for secret in Channel::parse(name).unwrap().secrets() {
                assert_eq!(with["secrets"]["providers"][secret], secret_file(secret));
                assert!(channel.to_string().contains(&format!("\"provider\":\"{secret}\"")), "{name}: {secret}");
            }
        }
        assert_eq!(channels["telegram"]["apiRoot"], "http://10.0.0.1:9");
        assert_eq!(channels["discord"]["intents"], json!({ "messageContent": false }));
        let plugins = with["plugins"]["entries"].as_object().unwrap();
        let names: std::collections::BTreeSet<&str> = plugins.keys().map(String::as_str).collect();
        assert_eq!(names, ["admin-http-rpc", "discord", "slack"].into());
        settings.channels.telegram = Some(crate::channel::Telegram::default());
        assert_eq!(document(&settings)["channels"]["telegram"].get("apiRoot"), None);
    }

    #[test]
    fn a_chosen_model_is_asked_for_while_it_is_offered() {
        let menu = crate::model::Menu::parse("claude-haiku-4-5,claude-opus-5-5", "").unwrap();
        let models = AgentModels::of(&menu);
        let chosen = |name| models.chosen(name).name;
        assert_eq!(chosen(None), "claude-haiku-4-5");
        assert_eq!(chosen(Some("claude-opus-5-5")), "claude-opus-5-5");
        assert_eq!(chosen(Some("claude-gone")), "claude-haiku-4-5");
        assert_eq!(AgentModels::proof().chosen(Some("claude-opus-5-5")), AgentModel::proof());
    }

    #[test]
    fn a_model_of_a_vendor_with_an_own_key_is_asked_for_in_that_vendors_form() {
        let document = |name| {
            let settings = Settings { model: AgentModels::proof().chosen(Some(name)), ..settings() };
            document(&settings)
        };
        let openai = document("openai/gpt-5.5");
        assert_eq!(openai["agents"]["defaults"]["model"]["primary"], "berth-openai/openai/gpt-5.5");
        let provider = &openai["models"]["providers"]["berth-openai"];
        assert_eq!(
            (&provider["api"], &provider["models"][0]["id"]),
            (&json!("openai-completions"), &json!("openai/gpt-5.5"))
        );
        let anthropic = document("anthropic/claude-opus-5");
        assert_eq!(anthropic["agents"]["defaults"]["model"]["primary"], "berth/claude-opus-5");
        assert_eq!(document("telegram/x"), document("berth-proof"), "no vendor of models");
    }

    #[test]
    fn instructions_are_part_of_what_is_compared() {
        let document = document(&settings());
        assert_eq!(whole(&document, None), canonical(&document), "without any, as it always was");
        let told = |text| whole(&document, Some(text));
        assert!(told("a") != told("b") && told("a") != whole(&document, None));
        assert!(!canonical(&json!({ "a": "x\ny" })).contains('\n'));
    }

    #[test]
    fn what_openclaw_writes_for_itself_is_left_out() {
        let sent = document(&settings());
        let mut reported = sent.clone();
        reported["meta"] = json!({ "lastTouchedVersion": "x" });
        assert_eq!(canonical(&ours(&reported)), canonical(&sent));
        reported["gateway"]["bind"] = json!("lan");
        assert_ne!(canonical(&ours(&reported)), canonical(&sent));
    }

    #[test]
    fn the_document_names_secrets_and_leaves_no_door_open() {
        let text = canonical(&document(&settings()));
        for shut in
            [r#""bind":"loopback""#, r#""terminal":{"enabled":false}"#, r#""mdns":{"mode":"off"}"#, r#""every":"0m""#]
        {
            assert!(text.contains(shut), "{shut}");
        }
        for name in ["gateway_token", "model_key"] {
            assert!(text.contains(&format!("{SECRETS_DIR}/{name}")), "{name} is no file of its own");
        }
    }
}
