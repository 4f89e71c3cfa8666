//! Slack's two tokens: the bot's is asked who it is, the app's whether it may open a socket.
//!
//! OpenClaw listens to Slack over a socket of its own (Socket Mode), which takes the app's token, and speaks with the
//! bot's. One without the other is of no use, so they are one credential: the bot's, a line break, the app's.

use domain::credential::{Kind, Verdict};
use reqwest::Client;
use serde::Deserialize;
use vault::Secret;

use super::{ask, clean, header, refused, unclear};

#[derive(Deserialize)]
struct Answer {
    ok: bool,
    error: Option<String>,
    user: Option<String>,
    team: Option<String>,
}

/// Slack's words for a token that is not, or no more, good.
const REFUSALS: [&str; 8] = [
    "access_denied",
    "account_inactive",
    "invalid_auth",
    "not_allowed_token_type",
    "not_authed",
    "token_expired",
    "token_revoked",
    "no_permission",
];

/// `auth.test` with the bot's token, then `apps.connections.open` with the app's. The second names an address for one
/// socket, which nobody opens and which lapses; it is not kept.
pub(super) async fn check(http: &Client, address: &str, secret: &Secret) -> Verdict {
    let Some((bot, app)) = secret.expose_text().and_then(|text| text.split_once('\n')) else {
        return refused("Slack needs two tokens, one a line: the bot's (xoxb-…) and the app's (xapp-…).");
    };
    let me = match call(http, &format!("{address}/auth.test"), bot).await {
        Ok(answer) if answer.ok => answer,
        Ok(answer) => return refusal(&answer, "bot's token (xoxb-…)", "OAuth & Permissions"),
        Err(none) => return none,
    };
    match call(http, &format!("{address}/apps.connections.open"), app).await {
        Ok(answer) if answer.ok => Verdict::Accepted { who: who(&me) },
        Ok(answer) => refusal(&answer, "app's token (xapp-…)", "Basic Information, with the scope connections:write"),
        Err(none) => none,
    }
}

async fn call(http: &Client, address: &str, token: &str) -> Result<Answer, Verdict> {
    let token = header(Kind::Slack, &[b"Bearer ", token.as_bytes()])?;
    let said = ask(Kind::Slack, http.post(address).header("authorization", token).body("")).await?;
    match (said.status, said.json()) {
        (200, Some(answer)) => Ok(answer),
        (status, _) => Err(unclear(Kind::Slack, status)),
    }
}

/// Slack answers 200 to what it refuses and says why in a word. The word itself is not repeated.
fn refusal(answer: &Answer, which: &str, page: &str) -> Verdict {
    match answer.error.as_deref() {
        Some("missing_scope") => refused(format!("The {which} lacks a scope. Look at the app's page {page}.")),
        Some(word) if REFUSALS.contains(&word) => {
            refused(format!("Slack does not take the {which}. Copy it once more from the app's page {page}."))
        }
        Some("ratelimited") => unclear(Kind::Slack, 429),
        _ => unclear(Kind::Slack, 500),
    }
}

fn who(bot: &Answer) -> Option<String> {
    let (user, team) = (bot.user.as_deref().and_then(clean), bot.team.as_deref().and_then(clean));
    match (user, team) {
        (Some(user), Some(team)) => clean(&format!("{user} in {team}")),
        (user, team) => user.or(team),
    }
}
