//! What operators see beside alerts and machines, from made-up data: their second factor, tenants, the house's audit.

use app::audit::chain;
use askama::Template as _;
use chrono::{DateTime, Utc};
use domain::{TenantId, UserId, audit::Chain, people::Caller};
use store::{operators::Standing, tenant_views::TenantView, user_views::UserView};

use super::{HOSTILE, before, failed, id, live, people};
use crate::{
    api::{admin::tenants::Shown, audit::Names},
    pages::{
        admin::{
            Look,
            audit::HouseAuditPage,
            tenant::{One, TenantPage},
            tenants::TenantsPage,
            users::UsersPage,
        },
        factor::FactorPage,
    },
};

/// Name of the file and the page.
pub(super) fn all(by: &Caller, now: DateTime<Utc>) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let look = Look { by, now };
    let factor = |is_enrolled, is_fresh| FactorPage::new(by, Standing { is_enrolled, is_fresh }, "/admin");
    let wrong = "That code is wrong, or was used already; wait for the next one.".to_owned();
    let codes = (0..10).map(|n| format!("ABCD-EFGH-JKLM-NP{}{}", n / 5 + 2, n % 5 + 2)).collect();
    let [calm, troubled, _] = tenants();
    let one = |row: &TenantView, account| One { row: row.clone(), account, plans: super::billing::plans() };
    let tenant = || TenantPage::new(&one(&calm, super::billing::paid(now)), look);
    let short = "Give a reason of 10 to 300 characters; the tenant reads it.".to_owned();
    let shown = super::fingerprints::shown(by, &[live().0, failed().0]);
    let bare = Shown { credentials: Vec::new(), data_key: None, ..super::fingerprints::shown(by, &[]) };
    let head = Some(chain::empty(Chain::House));
    let events = people::events(by, now);
    let audit = HouseAuditPage::new(&events, &Names::default(), (head, Some("/admin/audit?after=3".to_owned())), look);
    vec![
        ("factor", factor(false, false).render()),
        ("factor-setting-up", factor(false, false).setting_up(by, "JBSWY3DPEHPK3PXPJBSWY3DPEHPK3PXP").render()),
        ("factor-codes", factor(true, true).enrolled(codes).render()),
        ("factor-asked", factor(true, false).render()),
        ("factor-wrong", factor(true, false).refused(wrong).render()),
        ("factor-fresh", factor(true, true).render()),
        ("factor-recovered", factor(true, true).recovered(3).render()),
        ("admin-tenants", TenantsPage::new(&tenants(), Some("/admin/tenants?after=x".to_owned()), look).render()),
        ("admin-tenants-none", TenantsPage::new(&[], None, look).render()),
        ("admin-tenant", tenant().render()),
        ("admin-tenant-suspended", TenantPage::new(&one(&troubled, super::billing::given(now)), look).render()),
        ("admin-tenant-refused", tenant().refused(HOSTILE, short.clone()).render()),
        ("admin-tenant-not-suspended", tenant().not_suspended(HOSTILE, short.clone()).render()),
        ("admin-users", UsersPage::new(&users(by), Some("/admin/users?after=x".to_owned()), look).render()),
        ("admin-users-none", UsersPage::new(&[], None, look).asked_for("nobody@harbour.example").render()),
        ("admin-users-refused", UsersPage::new(&users(by)[1..2], None, look).not_suspended(HOSTILE, short).render()),
        ("admin-tenant-read", tenant().showing(&shown, "ticket 4711: it does not start", look).render()),
        ("admin-tenant-read-bare", tenant().showing(&bare, "ticket 4711: it does not start", look).render()),
        ("admin-audit", audit.render()),
        ("admin-audit-none", HouseAuditPage::new(&[], &Names::default(), (None, None), look).render()),
    ]
}

fn users(by: &Caller) -> [UserView; 3] {
    let one = |id, tenants, sessions, is_operator| UserView {
        id,
        created_at: before(900_000_000),
        is_operator,
        tenants,
        sessions,
        suspended_at: None,
        suspended_why: None,
    };
    let why = format!("ticket 4711: {HOSTILE}");
    let suspended = |one| UserView { suspended_at: Some(before(60_000)), suspended_why: Some(why), ..one };
    let id = |n: u128| id::<domain::id::User>(n) as UserId;
    [one(by.user, 2, 1, true), one(id(61), 1, 3, false), suspended(one(id(62), 1, 0, false))]
}

fn tenants() -> [TenantView; 3] {
    let one = |n: u128, members, machines, alerts| TenantView {
        id: id::<domain::id::Tenant>(n) as TenantId,
        created_at: before(900_000_000),
        suspended_at: None,
        suspended_why: None,
        members,
        machines,
        alerts,
    };
    let why = format!("ticket 4711: {HOSTILE}");
    let suspended = |one| TenantView { suspended_at: Some(before(60_000)), suspended_why: Some(why), ..one };
    [one(50, 3, 2, 1), suspended(one(51, 1, 0, 0)), one(52, 12_000, 340, 0)]
}
