//! The part of `openclaw.json` that belongs to Berth, and how it is compared.
//!
//! OpenClaw may write keys of its own beside ours ([`THEIRS`]); [`ours`] leaves
//! them out, so that what we sent and what the gateway reports can be compared
//! by digest over [`canonical`] JSON.

use serde_json::{Map, Value, json};

use crate::model::{Menu, Offer, PROOF_MODEL, PROOF_MODEL_TITLE};

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
}

/// The model that an agent asks for by itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AgentModel {
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
        Self { name, title, context_tokens: 200_000, answer_tokens: ANSWER_TOKENS_MAX }
    }

    /// A vendor's model.
    #[must_use]
    pub fn of(offer: &Offer) -> Self {
        Self {
            name: offer.name.clone(),
            title: offer.title.clone(),
            context_tokens: offer.price.context_tokens,
            answer_tokens: offer.price.answer_tokens.min(ANSWER_TOKENS_MAX),
        }
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

    /// The model that was chosen; the usual one where none was, or where it is offered no more.
    #[must_use]
    pub fn chosen(&self, name: Option<&str>) -> &AgentModel {
        self.others.iter().find(|model| Some(model.name.as_str()) == name).unwrap_or(&self.usual)
    }
}

/// The configuration that Berth wants in force: terminal off, mDNS off, heartbeat off, pairing before anyone is heard.
///
/// Secrets are named, not held: `gateway_token` and `model_key` are files below [`SECRETS_DIR`].
#[must_use]
pub fn document(settings: &Settings) -> Value {
    let secret = |name: &str| json!({ "source": "file", "provider": name, "id": "value" });
    let file = |name: &str| json!({ "source": "file", "path": format!("{SECRETS_DIR}/{name}"), "mode": "singleValue" });
    json!({
        "gateway": {
            "mode": "local",
            "port": GATEWAY_PORT,
            "bind": "loopback",
            "auth": { "mode": "token", "token": secret("gateway_token") },
            "http": { "endpoints": { "chatCompletions": { "enabled": true } } },
            "controlUi": { "enabled": false },
            "terminal": { "enabled": false }
        },
        "secrets": { "providers": { "gateway_token": file("gateway_token"), "model_key": file("model_key") } },
        "models": { "mode": "merge", "providers": { "berth": {
            "baseUrl": settings.model_base_url,
            "api": "anthropic-messages",
            "apiKey": secret("model_key"),
            "models": [ {
                "id": settings.model.name, "name": settings.model.title, "input": ["text"],
                "contextWindow": settings.model.context_tokens, "maxTokens": settings.model.answer_tokens
            } ]
        } } },
        "agents": {
            "defaults": {
                "workspace": "/home/openclaw/.openclaw/workspace",
                "model": { "primary": format!("berth/{}", settings.model.name) },
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
    })
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
        Settings { model_base_url: "http://b/llm".into(), model: AgentModel::proof() }
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
    fn a_chosen_model_is_asked_for_while_it_is_offered() {
        let menu = crate::model::Menu::parse("claude-haiku-4-5,claude-opus-5-5", "").unwrap();
        let models = AgentModels::of(&menu);
        let chosen = |name| models.chosen(name).name.as_str();
        assert_eq!(chosen(None), "claude-haiku-4-5");
        assert_eq!(chosen(Some("claude-opus-5-5")), "claude-opus-5-5");
        assert_eq!(chosen(Some("claude-gone")), "claude-haiku-4-5");
        assert_eq!(AgentModels::proof().chosen(Some("claude-opus-5-5")), &AgentModel::proof());
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
