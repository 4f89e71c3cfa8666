//! Tokens of bots: Telegram and Discord tell a bot its own name.

use domain::credential::{Kind, Verdict};
use reqwest::Client;
use serde::Deserialize;
use vault::Secret;

use super::{ask, clean, header, refused, unclear};

/// `getMe`. The token stands in the path, as Telegram wants it, so it is looked at first: a slash in it would lead elsewhere.
pub(super) async fn telegram(http: &Client, address: &str, secret: &Secret) -> Verdict {
    #[derive(Deserialize)]
    struct Answer {
        ok: bool,
        result: Option<Me>,
    }
    #[derive(Deserialize)]
    struct Me {
        is_bot: bool,
        username: Option<String>,
    }
    let kind = Kind::Telegram;
    let Some(token) = secret.expose_text().filter(|text| is_telegram_token(text)) else {
        return refused("That is no Telegram bot token; one looks like 123456789:AAE… and comes from @BotFather.");
    };
    let said = match ask(kind, http.get(format!("{address}/bot{token}/getMe"))).await {
        Ok(said) => said,
        Err(none) => return none,
    };
    match (said.status, said.json::<Answer>()) {
        (200, Some(Answer { ok: true, result: Some(Me { is_bot: true, username }) })) => {
            Verdict::Accepted { who: username.as_deref().and_then(clean).map(|name| format!("@{name}")) }
        }
        // Telegram says 404 for a token that it could never have given.
        (401 | 404, Some(Answer { ok: false, .. })) => {
            refused("Telegram does not know this token. Ask @BotFather for the bot's token, or for a new one.")
        }
        (status, _) => unclear(kind, status),
    }
}

/// `GET /users/@me`
pub(super) async fn discord(http: &Client, address: &str, secret: &Secret) -> Verdict {
    #[derive(Deserialize)]
    struct Me {
        id: String,
        username: String,
    }
    let kind = Kind::Discord;
    let token = match header(kind, &[b"Bot ", secret.expose()]) {
        Ok(token) => token,
        Err(bad) => return bad,
    };
    let request = http.get(format!("{address}/users/@me")).header("authorization", token);
    // Discord blocks clients that do not name themselves in this form.
    let request = request.header("user-agent", concat!("DiscordBot (berth, ", env!("CARGO_PKG_VERSION"), ")"));
    let said = match ask(kind, request).await {
        Ok(said) => said,
        Err(none) => return none,
    };
    match (said.status, said.json::<Me>()) {
        (200, Some(me)) if !me.id.is_empty() => Verdict::Accepted { who: clean(&me.username) },
        (401, _) => refused(
            "Discord does not know this token. Look at the application's page Bot there: a new token replaces the old one.",
        ),
        (status, _) => unclear(kind, status),
    }
}

/// A number, a colon, and letters that mean nothing in an address.
fn is_telegram_token(text: &str) -> bool {
    let Some((bot, key)) = text.split_once(':') else { return false };
    let is_key = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-');
    (1..=20).contains(&bot.len())
        && bot.bytes().all(|byte| byte.is_ascii_digit())
        && (20..=100).contains(&key.len())
        && is_key
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_telegram_token_cannot_lead_elsewhere() {
        assert!(is_telegram_token("123456789:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc"));
        for wrong in [
            "",
            "123456789",
            ":AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
            "12a:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K-bc",
            "123:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K/../..",
            "123:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K?a=b",
            "123:AAEhBOweik6ad9r_QXMENQjcrGbqCr4K#",
            "123:AAEhBOweik6ad9r%2fQXMENQjcrGbqCr4K",
            "123:AAEhBOweik6ad9r QXMENQjcrGbqCr4K",
            "123:short",
        ] {
            assert!(!is_telegram_token(wrong), "{wrong}");
        }
    }
}
