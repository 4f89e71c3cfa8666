//! The pages of signing in and up, and of sessions.

use askama::Template as _;
use chrono::{DateTime, TimeDelta, Utc};
use domain::{own_path::OwnPath, people::Caller, plan::PlanName};
use store::{
    invites::{Gift, Invite},
    sessions::SessionView,
    waitlist::Waiting,
};
use uuid::Uuid;

use super::{HOSTILE, id};
use crate::pages::{
    admin::{Look, invites::InvitesPage, waitlist::WaitlistPage as AdminWaitlistPage},
    login::{LoginPage, Ways},
    sessions::SessionsPage,
    signup::SignupPage,
    waitlist::WaitlistPage,
};

/// Name of the file and the page.
pub(super) fn all(by: &Caller, now: DateTime<Utc>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let ways = || Ways { vendors: vec![("google", "Google".to_owned()), ("oidc", "Harbour".to_owned())], mail: true };
    let next = OwnPath::dashboard();
    let login = || LoginPage::new(ways(), &next);
    let look = Look { by, now };
    let plans = super::billing::plans();
    let older = || Some("/admin/invites?after=x".to_owned());
    let invites = || InvitesPage::new(invites(now), older(), Some(true), &plans, look);
    let codes = || vec!["ABCD-EFGH-JKLM".to_owned(), "NPQR-STUV-WXYZ".to_owned()];
    let waitlist = |rows, waiting, mails| AdminWaitlistPage::new(rows, None, (waiting, mails), look);
    vec![
        ("admin-invites", invites().render()),
        ("admin-invites-made", invites().with_codes(codes()).render()),
        (
            "admin-invites-refused",
            invites().refused(["0", "1", "14", HOSTILE, ""], "", &app::invites::InviteError::Codes).render(),
        ),
        (
            "admin-invites-no-plan",
            invites().refused(["1", "1", "14", "", "30"], "", &app::invites::InviteError::Plan).render(),
        ),
        ("admin-invites-none", InvitesPage::new(Vec::new(), None, None, &plans, look).render()),
        ("admin-waitlist", waitlist(people(by, now, false), true, true).render()),
        ("admin-waitlist-mute", waitlist(people(by, now, false), true, false).render()),
        ("admin-waitlist-invited", waitlist(people(by, now, true), false, true).render()),
        ("admin-waitlist-none", waitlist(Vec::new(), true, true).render()),
        ("login", login().render()),
        ("login-bare", LoginPage::new(Ways::default(), &next).render()),
        ("login-refused", login().refused("Berth does not know that token.").render()),
        ("login-refused-mail", login().refused_mail(HOSTILE, "That is no e-mail address.").render()),
        ("login-mailed", login().mailed(true).render()),
        ("login-erased", login().erased(true).render()),
        ("login-again", login().again(true).render()),
        ("login-link", login().with_link("berth_lnk_x").render()),
        ("signup", SignupPage::asking(ways(), "", None).render()),
        ("signup-refused", SignupPage::asking(ways(), HOSTILE, Some("That is no invite code.")).render()),
        ("signup-invited", SignupPage::invited(ways()).render()),
        ("signup-invited-bare", SignupPage::invited(Ways::default()).render()),
        ("waitlist", WaitlistPage::asking("", None).render()),
        ("waitlist-refused", WaitlistPage::asking(HOSTILE, Some("That is no e-mail address.".to_owned())).render()),
        ("waitlist-done", WaitlistPage::done().render()),
        ("sessions", SessionsPage::new(by, sessions(now), true, now).render()),
        ("sessions-none", SessionsPage::new(by, Vec::new(), false, now).render()),
    ]
}

fn sessions(now: DateTime<Utc>) -> Vec<SessionView> {
    let session = |n: u128, browser: &str, hours| SessionView {
        id: id(n),
        tenant: "Harbour".to_owned(),
        browser: browser.to_owned(),
        created_at: now - TimeDelta::hours(hours),
        authenticated_at: now - TimeDelta::hours(hours),
        seen_at: now - TimeDelta::minutes(hours),
        expires_at: now + TimeDelta::hours(168 - hours),
    };
    vec![session(1, "Firefox on Linux", 1), session(2, "Safari on an iPhone", 30), session(3, HOSTILE, 100)]
}

fn invites(now: DateTime<Utc>) -> Vec<Invite> {
    let invite = |n: u128, uses: u32, note: &str, users: &[&str]| Invite {
        id: id(n),
        batch: Uuid::nil(),
        note: note.to_owned(),
        made_by: "ada@harbour.example".to_owned(),
        uses_max: 3,
        uses,
        users: users.iter().map(|user| (*user).to_owned()).collect(),
        created_at: now - TimeDelta::hours(5),
        expires_at: now + TimeDelta::days(9),
        revoked_at: (n == 3).then(|| now - TimeDelta::hours(1)),
        is_open: uses < 3 && n != 3,
        gift: (n == 1).then(|| PlanName::parse("pro").ok()).flatten().map(|plan| Gift { plan, days: Some(30) }),
    };
    vec![
        invite(1, 1, "friends of the house", &["grace@harbour.example"]),
        invite(2, 3, HOSTILE, &["one@harbour.example", "two@harbour.example"]),
        invite(3, 0, "", &[]),
    ]
}

fn people(by: &Caller, now: DateTime<Utc>, invited: bool) -> Vec<Waiting> {
    let person = |n: u32, from_source| Waiting {
        id: id(u128::from(n)),
        position: (!invited).then_some(n),
        email: by.email.clone(),
        asked_at: now - TimeDelta::days(i64::from(9 - n)),
        from_source,
        invited_at: invited.then(|| now - TimeDelta::hours(1)),
    };
    vec![person(1, 1), person(2, 0), person(3, 40)]
}
