//! Keys of models: the list of models costs nothing, and OpenRouter tells a key about itself.

use domain::{
    credential::{Kind, Verdict},
    reachable::Reachable,
};
use reqwest::Client;
use serde::Deserialize;
use serde_json::Value;
use vault::Secret;

use super::{Said, ask, header, refused, unclear, unknown, vendor};
use crate::model::ApiVersion;

/// `GET /v1/models`
pub(super) async fn anthropic(http: &Client, address: &str, secret: &Secret) -> Verdict {
    let key = match header(Kind::Anthropic, &[secret.expose()]) {
        Ok(key) => key,
        Err(bad) => return bad,
    };
    let request = http.get(format!("{address}/v1/models?limit=1")).header("x-api-key", key);
    let request = request.header("anthropic-version", ApiVersion::default().name());
    judged(Kind::Anthropic, ask(Kind::Anthropic, request).await)
}

/// `GET /v1/models`
pub(super) async fn openai(http: &Client, address: &str, secret: &Secret) -> Verdict {
    listed(Kind::OpenAi, http, &format!("{address}/models"), secret).await
}

/// `GET {base}/models`. Some servers answer it without looking at the key: then this shows that the address is right,
/// and the first call of the agent shows the rest.
pub(super) async fn compatible(http: &Client, base: &Reachable, secret: &Secret) -> Verdict {
    listed(Kind::Compatible, http, &base.below("models"), secret).await
}

/// `GET /api/v1/key`, which tells of the key itself. What it is called there holds a part of it, and is not repeated.
pub(super) async fn openrouter(http: &Client, address: &str, secret: &Secret) -> Verdict {
    #[derive(Deserialize)]
    struct Answer {
        data: Key,
    }
    #[derive(Deserialize)]
    struct Key {
        #[serde(default)]
        is_management_key: bool,
        #[serde(default)]
        is_provisioning_key: bool,
    }
    let kind = Kind::OpenRouter;
    let key = match header(kind, &[b"Bearer ", secret.expose()]) {
        Ok(key) => key,
        Err(bad) => return bad,
    };
    let said = match ask(kind, http.get(format!("{address}/key")).header("authorization", key)).await {
        Ok(said) => said,
        Err(none) => return none,
    };
    if said.status != 200 {
        return judged(kind, Ok(said));
    }
    match said.json::<Answer>() {
        Some(Answer { data }) if data.is_management_key || data.is_provisioning_key => {
            refused("This OpenRouter key manages other keys and cannot ask a model. Make an ordinary one.")
        }
        Some(_) => Verdict::Accepted { who: None },
        None => unclear(kind, said.status),
    }
}

async fn listed(kind: Kind, http: &Client, address: &str, secret: &Secret) -> Verdict {
    match header(kind, &[b"Bearer ", secret.expose()]) {
        Ok(key) => judged(kind, ask(kind, http.get(address).header("authorization", key)).await),
        Err(bad) => bad,
    }
}

fn judged(kind: Kind, said: Result<Said, Verdict>) -> Verdict {
    let said = match said {
        Ok(said) => said,
        Err(none) => return none,
    };
    let name = vendor(kind);
    match said.status {
        200 if looks_like_a_list(&said) => Verdict::Accepted { who: None },
        401 => refused(format!("{name} does not know this key. Copy it once more, or make a new one there.")),
        // A narrow key may ask a model and not list them.
        403 => unknown(format!("{name} does not let this key list its models, so it could not be checked.")),
        404 if kind == Kind::Compatible => {
            unknown("There is no list of models at this address. It usually ends in /v1.")
        }
        status => unclear(kind, status),
    }
}

/// A list may be longer than what is read of it; a page of a website is none.
fn looks_like_a_list(said: &Said) -> bool {
    if said.is_whole {
        return said.json::<Value>().is_some_and(|body| body.get("data").is_some_and(Value::is_array));
    }
    said.is_json && said.body.trim_ascii_start().starts_with(b"{")
}
