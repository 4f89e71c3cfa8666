//! What surrounds every page.

use chrono::{DateTime, Utc};
use domain::people::{Caller, Role};

use crate::{assets, pages::billing};

/// Title, icon, navigation, and who is signed in.
#[derive(Debug, Clone)]
pub struct Frame {
    /// State first, so that a tab tells.
    pub title: String,
    /// Which favicon: a tone, or `berth`.
    pub icon: &'static str,
    /// Who is signed in.
    pub who: Option<Who>,
    /// The entry of the navigation that this page is.
    pub here: &'static str,
    /// The page's own address, also after a form that came back; empty where nothing is followed.
    pub page: String,
    /// Address of the stylesheet.
    pub style: String,
    /// Address of the script.
    pub script: String,
    /// What is to be mended about paying, on every page until it is.
    pub trouble: Option<String>,
    /// Where a browser goes on to by itself, at once.
    pub leads_to: Option<String>,
    /// Whether a browser without JavaScript shall load the page again by itself.
    pub reloads: bool,
}

/// Who is signed in, as the navigation shows it.
#[derive(Debug, Clone)]
pub struct Who {
    /// Address.
    pub email: String,
    /// Name of the tenant.
    pub tenant: String,
    /// Whether they manage people and see the audit.
    pub manages: bool,
    /// Whether they also run the service.
    pub is_operator: bool,
}

impl Frame {
    /// A page for nobody in particular.
    #[must_use]
    pub fn alone(title: &str) -> Self {
        Self {
            title: format!("{title} · Berth"),
            icon: "berth",
            who: None,
            here: "",
            page: String::new(),
            style: assets::address("berth.css"),
            script: assets::address("live.js"),
            trouble: None,
            leads_to: None,
            reloads: false,
        }
    }

    /// A page for somebody.
    #[must_use]
    pub fn of(caller: &Caller, here: &'static str, title: &str) -> Self {
        let who = Who {
            email: caller.email.as_str().to_owned(),
            tenant: caller.tenant_name.clone(),
            manages: caller.role >= Role::Admin,
            is_operator: caller.is_operator,
        };
        let trouble = caller.entitlement.as_ref().and_then(billing::trouble);
        Self { who: Some(who), here, trouble, ..Self::alone(title) }
    }

    /// Without the line about paying: the page says it itself.
    #[must_use]
    pub fn untroubled(self) -> Self {
        Self { trouble: None, ..self }
    }

    /// With a state in title and icon.
    #[must_use]
    pub fn showing(self, tone: &'static str) -> Self {
        Self { icon: tone, ..self }
    }
}

/// "20 November 2026, 14:02 UTC".
#[must_use]
pub(crate) fn day(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y, %H:%M UTC").to_string()
}
