//! People: users, tenants, members.

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use crate::{
    entitlement::Entitlement,
    id::{SessionId, TenantId, TokenId, UserId},
    names::Email,
    scopes::Scopes,
};

/// The issuer of identities that Berth itself gives out by a one-time link.
pub const LOCAL_ISSUER: &str = "berth:local";

/// What a user may do in a tenant.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Role {
    /// Reads.
    Viewer,
    /// Talks to agents and runs them.
    Member,
    /// Manages agents and people.
    Admin,
    /// Everything, billing and deletion included.
    Owner,
}

impl Role {
    /// From the one that may do least to the one that may do most.
    pub const EVERY: [Self; 4] = [Self::Viewer, Self::Member, Self::Admin, Self::Owner];

    /// The word in the database and on pages.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Viewer => "viewer",
            Self::Member => "member",
            Self::Admin => "admin",
            Self::Owner => "owner",
        }
    }

    /// Reads the word back.
    #[must_use]
    pub fn parse(word: &str) -> Option<Self> {
        Self::EVERY.into_iter().find(|role| role.name() == word)
    }
}

/// What a caller showed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Shown {
    /// The cookie of a browser that is signed in.
    Session {
        /// Which session.
        id: SessionId,
        /// When they last showed who they are, by whatever method.
        authenticated_at: DateTime<Utc>,
        /// When they last gave a second factor.
        factor_at: Option<DateTime<Utc>>,
    },
    /// A personal token.
    Token(TokenId),
}

/// Who is calling: a user in one of their tenants. Looked up once per request, before any tenant transaction.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// The person.
    pub user: UserId,
    /// Contact data, for showing who did something.
    pub email: Email,
    /// The tenant they act for.
    pub tenant: TenantId,
    /// That tenant's name.
    pub tenant_name: String,
    /// What they may do in it.
    pub role: Role,
    /// Whether they also run the service.
    pub is_operator: bool,
    /// What they showed.
    pub shown: Shown,
    /// What that lets them do: everything of theirs, unless it is a narrow token.
    pub scopes: Scopes,
    /// Why they may do nothing for now, if an operator said so.
    pub suspended: Option<Suspended>,
    /// What their tenant may expect for its money, as judged last; nothing is known of one that never paid.
    pub entitlement: Option<Entitlement>,
}

/// Out of service, on an operator's word, with the reason in words for whom it concerns.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Suspended {
    /// The person, in whichever tenant.
    User(String),
    /// The tenant they act for; they may act for another one of theirs.
    Tenant(String),
}

/// What a tenant, and a person within one, may be called: 1 to 60 characters without control characters.
#[must_use]
pub fn shown_name(raw: &str) -> Option<&str> {
    let name = raw.trim();
    let fits = !name.is_empty() && name.chars().count() <= 60 && !name.chars().any(char::is_control);
    fits.then_some(name)
}
