//! `/admin`: the pages of whoever runs the service. Ids and states; no tenant's words, names or secrets.

pub(crate) mod alert;
pub(crate) mod alerts;
pub(crate) mod audit;
pub(crate) mod credentials;
pub(crate) mod differences;
pub(crate) mod event;
pub(crate) mod events;
pub(crate) mod flow;
pub(crate) mod flows;
pub(crate) mod gifts;
pub(crate) mod invites;
pub(crate) mod letters;
pub(crate) mod machines;
pub(crate) mod overview;
pub(crate) mod plans;
pub(crate) mod pool;
pub(crate) mod revenue;
pub(super) mod samples;
pub(crate) mod schedules;
pub(crate) mod subscriptions;
pub(crate) mod suspension;
pub(crate) mod tenant;
pub(crate) mod tenants;
pub(crate) mod users;
pub(crate) mod waitlist;

use chrono::{DateTime, Utc};
use domain::{alert::Related, people::Caller};

use crate::{
    api::admin,
    pages::{frame::Frame, words::Moment},
};

/// Entries of a list on one page.
const PAGE: i64 = admin::PAGE_MAX;

/// An operator's page: title, tab, and the address that it is read again at.
fn frame(by: &Caller, title: &str, path: String, tone: &'static str) -> Frame {
    let mut frame = Frame::of(by, "operate", title).showing(tone);
    frame.page = path;
    frame
}

/// An id among many: long enough to tell them apart, with the whole one behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct ShortId {
    /// `agt_…4e3b2a1f`: ids begin with their age, so their ends differ.
    pub short: String,
    /// The whole id.
    pub full: String,
}

impl ShortId {
    pub(crate) fn of(id: impl std::fmt::Display) -> Self {
        let full = id.to_string();
        let short = match (full.split_once('_'), full.len().checked_sub(8)) {
            (Some((prefix, _)), Some(at)) if full.len() > 16 && full.is_ascii() => {
                format!("{prefix}_…{}", full.get(at..).unwrap_or_default())
            }
            _ => full.clone(),
        };
        Self { short, full }
    }
}

/// Something that a page leads to.
#[derive(Debug, Clone)]
pub(crate) struct Link {
    /// What it is, in a word.
    pub what: &'static str,
    /// Its id.
    pub id: ShortId,
    /// Its page, where there is one.
    pub to: Option<String>,
}

impl Link {
    /// What an alert is about.
    fn related(subject: &str) -> Self {
        let related = Related::of(subject);
        let to = match &related {
            Related::Agent(id) => Some(format!("/admin/flows?subject={id}")),
            Related::Machine(id) => Some(format!("/admin/machines?id={id}")),
            Related::Flow(id) => Some(format!("/admin/flows/{id}")),
            Related::Other(_) => None,
        };
        let what = if to.is_some() { related.kind() } else { "" }; // a name speaks for itself
        Self { what, id: ShortId::of(related.id()), to }
    }

    /// What a flow is about: a notice has its alert's page, an agent its machine.
    fn subject(kind: &str, subject: &str) -> Self {
        let (what, to) = match kind {
            "life" => ("agent", Some(format!("/admin/machines?agent={subject}"))),
            "notice" => ("alert", Some(format!("/admin/alerts/{subject}"))),
            "exchange" => ("exchange", None),
            "spare" => ("machine", Some(format!("/admin/machines?id={subject}"))),
            "refill" => ("run", Some("/admin/schedules#pool".to_owned())),
            "retention" => ("run", Some("/admin/schedules#retention".to_owned())),
            "sweep" => ("run", Some("/admin/schedules#health".to_owned())),
            "reconciliation" => ("run", Some("/admin/schedules#billing".to_owned())),
            "event" => ("event", Some(format!("/admin/events/{subject}"))),
            "billing" => ("tenant", Some(format!("/admin/tenants/{subject}"))),
            _ => ("subject", None),
        };
        Self { what, id: ShortId::of(subject), to }
    }
}

/// One of the choices above a list.
#[derive(Debug, Clone)]
pub(crate) struct Choice {
    /// In words.
    pub words: &'static str,
    /// Where it leads.
    pub to: &'static str,
    /// Whether it is the one chosen.
    pub is_here: bool,
}

/// What an operator looks at a page with: who, and when.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Look<'a> {
    pub by: &'a Caller,
    pub now: DateTime<Utc>,
}

impl Look<'_> {
    fn at(&self, at: DateTime<Utc>) -> Moment {
        Moment::new(at, self.now)
    }
}
