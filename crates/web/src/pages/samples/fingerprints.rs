//! What an operator reads of a tenant for a reason, from made-up data.

use domain::{
    UserId,
    agent::Agent,
    credential::{Checked, Kind, Verdict},
    people::Caller,
};
use store::{
    credential_views::{CredentialView, GivenTo, Opening},
    keys::{MasterState, Standing},
};
use vault::KeyId;

use super::{HOSTILE, before, id, people};
use crate::api::admin::tenants::Shown;

/// A tenant with a credential of each kind that looks different, for the first of these agents.
pub(super) fn shown(by: &Caller, agents: &[Agent]) -> Shown {
    let data_key = Standing {
        id: id::<domain::id::Credential>(79).uuid(),
        created_at: before(7_500_000_000),
        master: KeyId([0x3a; 16]),
        state: MasterState::Current,
        since: before(900_000_000),
    };
    let credentials = agents.first().map(|agent| credentials(by, agent)).unwrap_or_default();
    Shown { members: people::members(by), agents: agents.to_vec(), credentials, data_key: Some(data_key) }
}

fn credentials(by: &Caller, agent: &Agent) -> Vec<CredentialView> {
    let given = GivenTo { id: agent.id, name: agent.name.as_str().to_owned(), wanted: 8, in_force: 7 };
    let opened = |purpose: &str| Some(Opening { at: before(90_000), purpose: purpose.to_owned() });
    let checked = |verdict| Some(Checked { at: before(60_000), verdict });
    let key = |n: u128, kind: Kind| CredentialView {
        id: id::<domain::id::Credential>(n),
        agent: None,
        kind,
        name: String::new(),
        host: None,
        fingerprint: "0b7e53f1c2d9".parse().ok(),
        version: 3,
        checked: checked(Verdict::Accepted { who: None }),
        set_by: by.user,
        set_at: before(7_000_000_000),
        opened: opened("model call"),
    };
    let refused = Verdict::Refused { why: format!("Anthropic does not know this key. {HOSTILE}") };
    let unknown = Verdict::Unknown { why: "The vendor did not answer within 10 s.".to_owned() };
    vec![
        CredentialView { checked: checked(refused), ..key(70, Kind::Anthropic) },
        CredentialView { fingerprint: None, set_by: id::<domain::id::User>(71) as UserId, ..key(71, Kind::OpenAi) },
        CredentialView {
            host: Some("a-vendor-with-a-long-name.example:8443".to_owned()),
            checked: checked(unknown),
            opened: None,
            ..key(72, Kind::Compatible)
        },
        CredentialView { agent: Some(given.clone()), opened: opened("delivery"), ..key(73, Kind::Telegram) },
        CredentialView {
            agent: Some(GivenTo { in_force: 8, ..given }),
            name: "A_VARIABLE_WITH_A_NAME_THAT_IS_AS_LONG_AS_A_NAME_MAY_EVER_BE_XYZ".to_owned(),
            checked: None,
            opened: opened("delivery"),
            version: 1,
            ..key(74, Kind::Variable)
        },
    ]
}
