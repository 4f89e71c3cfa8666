//! Pages of credentials, from made-up data.

use askama::Template as _;
use chrono::{DateTime, Utc};
use domain::{
    AgentId,
    agent::Agent,
    channel::Channel,
    credential::{Checked, Kind, Verdict},
    people::Caller,
    protocol::Pairing,
};
use store::credentials::Credential;

use super::{HOSTILE, before, id};
use crate::pages::credentials::{CredentialsPage, Given};

/// Name of the file and the page.
pub(super) fn all(
    by: &Caller,
    viewer: &Caller,
    agent: &Agent,
    now: DateTime<Utc>,
) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let given = |wanted, in_force| Given { agent: agent.clone(), wanted, in_force };
    let rows = rows(by, agent.id);
    let agents = [agent.clone()];
    let waiting = [
        waiting(Channel::Telegram, "4242", Some("Eve @eve")),
        waiting(Channel::Slack, "U0EVE", None),
        waiting(Channel::Discord, "a-very-long-id-that-a-channel-may-have-0123456789", Some(HOSTILE)),
    ];
    vec![
        ("keys", CredentialsPage::new(by, None, &rows, &agents, now).render()),
        ("keys-none", CredentialsPage::new(by, None, &[], &[], now).render()),
        ("keys-viewer", CredentialsPage::new(viewer, None, &rows, &agents, now).render()),
        ("agent-keys", CredentialsPage::new(by, Some(&given(3, 3)), &rows, &[], now).render()),
        ("agent-keys-none", CredentialsPage::new(by, Some(&given(0, 0)), &[], &[], now).render()),
        (
            "agent-keys-waiting",
            CredentialsPage::new(by, Some(&given(4, 3)), &rows, &[], now).with_waiting(&waiting, now).render(),
        ),
        (
            "agent-keys-nobody",
            CredentialsPage::new(by, Some(&given(3, 3)), &rows, &[], now).with_waiting(&[], now).render(),
        ),
        ("agent-keys-viewer", CredentialsPage::new(viewer, Some(&given(3, 3)), &rows, &[], now).render()),
    ]
}

fn rows(by: &Caller, agent: AgentId) -> Vec<Credential> {
    let one = |n: u128, kind: Kind, name: &str, verdict: Option<Verdict>| Credential {
        id: id::<domain::id::Credential>(n),
        agent: (!kind.is_model_key()).then_some(agent),
        kind,
        name: name.to_owned(),
        base_url: (kind == Kind::Compatible).then(|| "https://a-vendor-with-a-long-name.example/v1".to_owned()),
        tail: if kind == Kind::Variable { String::new() } else { "a1b2".to_owned() },
        version: 2,
        checked: verdict.map(|verdict| Checked { at: before(60_000), verdict }),
        set_by: by.user,
        set_at: before(7_000_000),
    };
    let refused = "Anthropic does not know this key. Make a new one in its console.".to_owned();
    vec![
        one(60, Kind::Anthropic, "", Some(Verdict::Refused { why: refused })),
        one(61, Kind::OpenAi, "", Some(Verdict::Accepted { who: None })),
        one(
            62,
            Kind::Compatible,
            "",
            Some(Verdict::Unknown { why: "The vendor did not answer within 10 s.".to_owned() }),
        ),
        one(63, Kind::Telegram, "", Some(Verdict::Accepted { who: Some(format!("@scout_bot {HOSTILE}")) })),
        one(66, Kind::Slack, "", Some(Verdict::Accepted { who: Some("scout in Harbour & Sons".to_owned()) })),
        one(67, Kind::Discord, "", Some(Verdict::Unknown { why: "Discord did not answer within 10 s.".to_owned() })),
        one(64, Kind::Variable, "API_KEY", None),
        one(65, Kind::Variable, "A_VARIABLE_WITH_A_NAME_THAT_IS_AS_LONG_AS_A_NAME_MAY_EVER_BE_XYZ", None),
    ]
}

fn waiting(channel: Channel, sender: &str, name: Option<&str>) -> Pairing {
    Pairing {
        channel,
        request: "3q2-7_w".to_owned(),
        sender: sender.to_owned(),
        name: name.map(str::to_owned),
        asked_at: before(120_000),
        expires_at: before(-3_000_000),
    }
}
