//! Pages about people, from made-up data.

use app::{audit::chain, tokens::Wish};
use askama::Template as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{
    MemberId, TokenId, UserId,
    audit::{Act, Chain, Event, VERSION, stamp},
    names::Email,
    people::{Caller, Role},
    scopes::{Scope, Scopes},
};
use store::{
    audit::Row,
    members::{Invitation, Member, Membership},
    tokens::TokenRow,
};

use super::{HOSTILE, before, id};
use crate::{
    api::audit::Names,
    pages::{audit::AuditPage, invitation::InvitationPage, team::TeamPage, tenants::TenantsPage},
};

/// Name of the file and the page.
pub(super) fn all(
    by: &Caller,
    viewer: &Caller,
    now: DateTime<Utc>,
) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let team = |by: &Caller| TeamPage::new(by, &members(by), &invitations(by), now);
    let asked = || invitations(by).into_iter().next();
    let joins = |who| asked().map_or(Ok(String::new()), |one| InvitationPage::open("berth_lnk_x", &one, who).render());
    let known = asked().map_or(Ok(String::new()), |one| {
        let page = InvitationPage::open("berth_lnk_x", &one, None);
        page.refused("Sign in first, then open the invitation again: this address is known here.".to_owned()).render()
    });
    let head = chain::empty(Chain::Tenant(by.tenant));
    let audit =
        AuditPage::new(by, &events(by, now), &Names::default(), (Some(head), Some("/audit?after=3".to_owned())), now);
    vec![
        ("team", team(by).render()),
        ("team-viewer", team(viewer).render()),
        ("team-not-invited", team(by).not_invited(HOSTILE, "That is not an e-mail address.".to_owned()).render()),
        (
            "team-refused",
            team(by).refused("A tenant always has an owner: make somebody else one first.".to_owned()).render(),
        ),
        ("tenants", TenantsPage::new(by, &memberships(by), None, now).render()),
        ("tenants-ending", TenantsPage::new(by, &memberships(by), Some(before(-900_000_000)), now).render()),
        (
            "tenants-refused",
            TenantsPage::new(by, &memberships(by), None, now).refused("That is not its name.".to_owned()).render(),
        ),
        ("tenants-viewer", TenantsPage::new(viewer, &memberships(viewer), None, now).render()),
        ("invitation", joins(None)),
        ("invitation-signed-in", joins(Some(viewer))),
        ("invitation-known", known),
        ("invitation-closed", InvitationPage::closed().render()),
        ("audit", audit.render()),
        ("audit-none", AuditPage::new(by, &[], &Names::default(), (None, None), now).render()),
    ]
}

/// Tokens of somebody's.
pub(super) fn tokens() -> Vec<TokenRow> {
    let token = |n: u128, name: &str, scopes, used, is_expired| TokenRow {
        id: id::<domain::id::Token>(n) as TokenId,
        name: name.to_owned(),
        scopes,
        created_at: before(90_000_000),
        expires_at: before(if is_expired { 1_000 } else { -900_000_000 }),
        last_used_at: used,
        is_expired,
    };
    vec![
        token(20, "nightly report", Scopes::of([Scope::Read, Scope::Talk]), Some(before(120_000)), false),
        token(21, HOSTILE, Scopes::ALL, None, false),
        token(22, "old laptop", Scopes::of([Scope::Agents]), Some(before(400_000_000)), true),
    ]
}

/// A wish for a token that cannot be.
pub(super) fn wish(name: &str) -> Wish<'_> {
    Wish { name, scopes: vec!["talk"], days: 0 }
}

#[expect(clippy::expect_used, reason = "sample data, written in this file")]
fn invitations(by: &Caller) -> Vec<Invitation> {
    let one = |n: u128, email: &str, mail: Option<&str>, expires_at| Invitation {
        id: id::<domain::id::Invitation>(n),
        tenant: by.tenant,
        tenant_name: by.tenant_name.clone(),
        email: Email::parse(email).expect("an address"),
        role: Role::Member,
        invited_by: "ada@harbour.example".to_owned(),
        mail: mail.map(str::to_owned),
        created_at: before(1_000_000),
        expires_at,
    };
    vec![
        one(30, "grace@harbour.example", None, before(-600_000_000)),
        one(31, "a.very.long.name.that.does.not.end@department.of.harbour.example", Some("sent"), before(-500_000_000)),
        one(32, "late@harbour.example", Some("not sent: no mail is set up here"), before(1_000)),
    ]
}

pub(super) fn members(by: &Caller) -> Vec<Member> {
    let one = |n: u128, email: &str, role| Member {
        id: id::<domain::id::Member>(n) as MemberId,
        user: if n == 10 { by.user } else { id::<domain::id::User>(n) as UserId },
        email: email.to_owned(),
        role,
        since: before(900_000_000),
    };
    vec![
        one(10, by.email.as_str(), by.role),
        one(11, "a.very.long.name.that.does.not.end@department.of.harbour.example", Role::Admin),
        one(12, "linus@harbour.example", Role::Viewer),
    ]
}

fn memberships(by: &Caller) -> Vec<Membership> {
    let one = |tenant, name: &str, role| Membership { tenant, name: name.to_owned(), role };
    vec![one(by.tenant, &by.tenant_name, by.role), one(id(40), HOSTILE, Role::Viewer)]
}

pub(super) fn events(by: &Caller, now: DateTime<Utc>) -> Vec<Row> {
    let one = |seq: u64, act: Act, actor: String, details: &[(&str, &str)]| {
        let at = now - TimeDelta::seconds(100 - i64::try_from(seq).unwrap_or_default());
        let event = Event {
            act: act.word().to_owned(),
            actor,
            at: stamp(at),
            chain: by.tenant.to_string(),
            details: details.iter().map(|(name, text)| ((*name).to_owned(), (*text).to_owned())).collect(),
            prior: "0".repeat(64),
            seq,
            subject: id::<domain::id::Agent>(5).to_string(),
            v: VERSION,
            via: id::<domain::id::Session>(3).to_string(),
        };
        Row { event, hash: "1".repeat(64), at }
    };
    vec![
        one(5, Act::AgentStop, by.user.to_string(), &[("name", HOSTILE)]),
        one(4, Act::MemberRole, by.user.to_string(), &[("from", "viewer"), ("to", "admin")]),
        one(3, Act::TokenIssue, "shell".to_owned(), &[("scopes", "all")]),
    ]
}
