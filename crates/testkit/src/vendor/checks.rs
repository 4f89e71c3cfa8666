//! The cheap question of each vendor: is this credential good?

use domain::credential::Kind;
use serde_json::{Value, json};

use super::{Answer, FakeVendor, VendorCall, VendorMood, chat, endless, messages, own_secret, whole};

impl FakeVendor {
    pub(super) async fn check(&self, call: &VendorCall, mood: VendorMood) -> Answer {
        if let Some(mishap) = self.mishap(mood).await {
            return mishap;
        }
        if mood == VendorMood::Huge {
            return endless();
        }
        let path = call.path.as_str();
        match path {
            "/v1/models" => self.anthropic(call, mood),
            "/openai/v1/models" => self.list(Kind::OpenAi, call, mood),
            "/compatible/v1/models" => self.list(Kind::Compatible, call, mood),
            "/openrouter/api/v1/key" => self.openrouter(call, mood),
            "/slack/api/auth.test" | "/slack/api/apps.connections.open" => self.slack(call, mood),
            "/discord/api/v10/users/@me" => self.discord(call, mood),
            _ => match path.strip_prefix("/telegram/bot").and_then(|rest| rest.strip_suffix("/getMe")) {
                Some(token) => self.telegram(token, mood),
                None => messages::refusal(404, "not_found_error", "Not found"),
            },
        }
    }

    fn anthropic(&self, call: &VendorCall, mood: VendorMood) -> Answer {
        let given = if call.bearer().is_empty() { call.header("x-api-key") } else { call.bearer() };
        if !self.knows(Kind::Anthropic, given) {
            return messages::refusal(401, "authentication_error", "invalid x-api-key");
        }
        if call.header("anthropic-version").is_empty() {
            return messages::refusal(400, "invalid_request_error", "anthropic-version: header is required");
        }
        let model = json!({
            "type": "model", "id": "claude-haiku-4-5", "display_name": "Claude Haiku 4.5",
            "created_at": "2025-10-15T00:00:00Z",
        });
        let list = json!({ "data": [model], "has_more": false, "first_id": "claude-haiku-4-5", "last_id": "claude-haiku-4-5" });
        messages::in_mood(mood).unwrap_or_else(|| whole(200, list.to_string()))
    }

    fn list(&self, kind: Kind, call: &VendorCall, mood: VendorMood) -> Answer {
        if !self.knows(kind, call.bearer()) {
            return chat::refusal(401, "invalid_request_error", Some("invalid_api_key"), "Incorrect API key provided");
        }
        let model = json!({ "id": "gpt-5.5", "object": "model", "created": 1_795_000_000, "owned_by": "system" });
        let list = json!({ "object": "list", "data": [model] });
        chat::in_mood(mood).unwrap_or_else(|| whole(200, list.to_string()))
    }

    fn openrouter(&self, call: &VendorCall, mood: VendorMood) -> Answer {
        if !self.knows(Kind::OpenRouter, call.bearer()) {
            return whole(401, json!({ "error": { "message": "User not found.", "code": 401 } }).to_string());
        }
        let label = json!({
            "label": "sk-or-v1-own...ker", "limit": null, "limit_remaining": null, "usage": 0.5,
            "is_free_tier": false, "is_management_key": false, "is_provisioning_key": false,
        });
        chat::in_mood(mood).unwrap_or_else(|| whole(200, json!({ "data": label }).to_string()))
    }

    fn telegram(&self, token: &str, mood: VendorMood) -> Answer {
        let refusal = |status: u16, words: &str| {
            whole(status, json!({ "ok": false, "error_code": status, "description": words }).to_string())
        };
        if !self.knows(Kind::Telegram, token) {
            return refusal(401, "Unauthorized");
        }
        match mood {
            VendorMood::Limited => return refusal(429, "Too Many Requests: retry after 7"),
            VendorMood::Overloaded => return refusal(502, "Bad Gateway"),
            VendorMood::Faulty => return refusal(500, "Internal Server Error"),
            VendorMood::Picky => return refusal(404, "Not Found"),
            _ => {}
        }
        let me = json!({
            "id": 123_456_789, "is_bot": true, "first_name": "Scout \u{202e}", "username": "scout_bot",
            "can_join_groups": true, "can_read_all_group_messages": false, "supports_inline_queries": false,
            "can_connect_to_business": false, "has_main_web_app": false,
        });
        whole(200, json!({ "ok": true, "result": me }).to_string())
    }

    /// Slack answers 200 to nearly everything.
    fn slack(&self, call: &VendorCall, mood: VendorMood) -> Answer {
        let refusal = |word: &str| whole(200, json!({ "ok": false, "error": word }).to_string());
        match mood {
            VendorMood::Limited => {
                let mut response = whole(429, json!({ "ok": false, "error": "ratelimited" }).to_string());
                response.headers_mut().insert("retry-after", http::HeaderValue::from_static("7"));
                return response;
            }
            VendorMood::Overloaded => return whole(503, "no upstream".to_owned()),
            VendorMood::Faulty => return refusal("fatal_error"),
            VendorMood::Picky => return refusal("missing_scope"),
            _ => {}
        }
        let is_bots = call.path.ends_with("/auth.test");
        let (bot, app) = own_secret(Kind::Slack).split_once('\n').expect("two tokens");
        let is_own = call.bearer() == if is_bots { bot } else { app };
        let given = if is_own { own_secret(Kind::Slack) } else { call.bearer() };
        if !self.knows(Kind::Slack, given) {
            return refusal(if call.bearer().starts_with("xo") { "invalid_auth" } else { "not_allowed_token_type" });
        }
        let answer: Value = if is_bots {
            json!({
                "ok": true, "url": "https://harbour.slack.example/", "team": "Harbour", "user": "scout",
                "team_id": "T1", "user_id": "U1", "bot_id": "B1", "is_enterprise_install": false,
            })
        } else {
            json!({ "ok": true, "url": "wss://wss.slack.example/link/?ticket=ticket-marker&app_id=A1" })
        };
        whole(200, answer.to_string())
    }

    fn discord(&self, call: &VendorCall, mood: VendorMood) -> Answer {
        let refusal = |status: u16, words: &str| whole(status, json!({ "message": words, "code": 0 }).to_string());
        let token = call.header("authorization").strip_prefix("Bot ").unwrap_or_default();
        if !self.knows(Kind::Discord, token) {
            return refusal(401, "401: Unauthorized");
        }
        match mood {
            VendorMood::Limited => {
                let words = json!({ "message": "You are being rate limited.", "retry_after": 7.0, "global": false });
                return whole(429, words.to_string());
            }
            VendorMood::Overloaded => return refusal(503, "upstream connect error"),
            VendorMood::Faulty => return refusal(500, "500: Internal Server Error"),
            VendorMood::Picky => return refusal(400, "400: Bad Request"),
            _ => {}
        }
        let me = json!({
            "id": "123", "username": "scout", "discriminator": "0000", "avatar": null, "bot": true, "flags": 0,
            "global_name": null, "mfa_enabled": true, "locale": "en-US", "verified": true, "email": null,
        });
        whole(200, me.to_string())
    }
}
