//! How often things may be done that are worth attacking or cost money, and who shares which limit.
//!
//! One call each: [`spend`], before what is limited is done, or after it failed where only failures count. All of it
//! is exact in the database, for all processes. Ordinary requests are counted in memory, in `web`.
//!
//! Nobody is ever locked out by what others do in their name: what counts for an account counts for the account
//! *and* the source, so whoever guesses elsewhere fills a bucket of their own. A source takes at most a tenth of
//! what there is for all; and when all of that is used up, a source that asked nothing lately is let in regardless.

use std::time::Duration;

use domain::{
    TenantId,
    limits::{Rule, Source, TooMany},
    names::Email,
};
use store::{Db, StoreError, SystemTx, limits::Bucket};
use vault::Digest;

/// What is limited.
#[derive(Debug, Clone, Copy)]
pub enum Limit<'a> {
    /// Asking to be signed in as somebody, by whatever way: counts before it is tried.
    SignIn {
        /// Who asks.
        source: Source,
        /// As whom, in the asker's words; it need not exist.
        account: &'a str,
    },
    /// Trying an invite's code: counts before it is tried.
    Invite {
        /// Who asks.
        source: Source,
    },
    /// A well-formed token or key that nobody has: counts after it was looked up, so a good one is never refused.
    WrongToken {
        /// Who asks.
        source: Source,
    },
    /// A one-time link that is not open: counts after it was looked up.
    WrongLink {
        /// Who asks.
        source: Source,
    },
    /// A mail that somebody's request causes: counts before it is written.
    Mail {
        /// Who asks.
        source: Source,
        /// Who would get it.
        to: &'a Email,
    },
    /// Asking a vendor about a credential: counts before it is asked, so that nobody tries stolen keys here.
    Check {
        /// Who asks.
        source: Source,
        /// For which tenant.
        tenant: TenantId,
    },
    /// Opening what another program sealed: counts before it is opened, because each costs up to 0.4 s of a processor.
    Import {
        /// Who asks.
        source: Source,
        /// For which tenant.
        tenant: TenantId,
    },
}

/// Why it is not done now.
#[derive(Debug, thiserror::Error)]
pub enum LimitError {
    /// Too many for now.
    #[error(transparent)]
    TooMany(#[from] TooMany),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

const fn seconds(at_once: u32, every: u64) -> Rule {
    Rule::new(at_once, Duration::from_secs(every))
}

// A person mistypes a few times; a guesser needs millions.
const SIGN_IN_ACCOUNT: Rule = seconds(10, 60);
const SIGN_IN_SOURCE: Rule = seconds(30, 10);
const SIGN_IN_ALL: Rule = Rule::new(600, Duration::from_millis(100));
// A code is typed once. Its form leaves no room for guessing; this bounds the work.
const INVITE_SOURCE: Rule = seconds(10, 60);
const INVITE_ALL: Rule = seconds(300, 1);
// A program with an old token asks again and again without harm; a flood of them costs a query each.
const WRONG_TOKEN_SOURCE: Rule = seconds(30, 10);
const WRONG_TOKEN_ALL: Rule = Rule::new(3000, Duration::from_millis(50));
const WRONG_LINK_SOURCE: Rule = seconds(10, 30);
const WRONG_LINK_ALL: Rule = seconds(300, 1);
// Each mail costs money and good name, and lands in a mailbox whose owner may not have asked.
const MAIL_ADDRESS_FROM_SOURCE: Rule = seconds(3, 600);
const MAIL_ADDRESS: Rule = seconds(10, 600);
const MAIL_SOURCE: Rule = seconds(10, 300);
const MAIL_ALL: Rule = seconds(200, 15);
// A person sets a handful; a script that sets up an agent sets fifty variables.
const CHECK_TENANT: Rule = seconds(60, 10);
const CHECK_SOURCE: Rule = seconds(120, 5);
const CHECK_ALL: Rule = Rule::new(3000, Duration::from_millis(100));
// An agent's fifty variables at once, and a few keys.
const IMPORT_TENANT: Rule = seconds(60, 10);
const IMPORT_SOURCE: Rule = seconds(120, 5);
const IMPORT_ALL: Rule = Rule::new(3000, Duration::from_millis(100));

impl Limit<'_> {
    fn source(self) -> Source {
        match self {
            Self::SignIn { source, .. }
            | Self::Invite { source }
            | Self::WrongToken { source }
            | Self::WrongLink { source }
            | Self::Mail { source, .. }
            | Self::Check { source, .. }
            | Self::Import { source, .. } => source,
        }
    }

    const fn name(self) -> &'static str {
        match self {
            Self::SignIn { .. } => "sign-in",
            Self::Invite { .. } => "invite",
            Self::WrongToken { .. } => "wrong-token",
            Self::WrongLink { .. } => "wrong-link",
            Self::Mail { .. } => "mail",
            Self::Check { .. } => "check",
            Self::Import { .. } => "import",
        }
    }

    /// For one source, and for all together.
    const fn shares(self) -> (Rule, Rule) {
        match self {
            Self::SignIn { .. } => (SIGN_IN_SOURCE, SIGN_IN_ALL),
            Self::Invite { .. } => (INVITE_SOURCE, INVITE_ALL),
            Self::WrongToken { .. } => (WRONG_TOKEN_SOURCE, WRONG_TOKEN_ALL),
            Self::WrongLink { .. } => (WRONG_LINK_SOURCE, WRONG_LINK_ALL),
            Self::Mail { .. } => (MAIL_SOURCE, MAIL_ALL),
            Self::Check { .. } => (CHECK_SOURCE, CHECK_ALL),
            Self::Import { .. } => (IMPORT_SOURCE, IMPORT_ALL),
        }
    }

    fn key(self, part: &str, values: &[&str]) -> Digest {
        // A length before each value, so that no two lists of values read the same.
        let values: String = values.iter().flat_map(|value| [value.len().to_string(), format!(":{value} ")]).collect();
        vault::digest(format!("{} {part} {values}", self.name()).as_bytes())
    }

    fn buckets(self) -> (Vec<Bucket>, Digest) {
        let (of_source, of_all) = self.shares();
        let source = self.source().to_string();
        let mine = self.key("source", &[&source]);
        let bucket = |key, rule| Bucket { key, rule, yields_to_newcomers: false };
        // A mail costs the same whoever asked: the sum of mails is never passed.
        let is_hard = matches!(self, Self::Mail { .. });
        let mut all = vec![
            bucket(mine, of_source),
            Bucket { key: self.key("all", &[]), rule: of_all, yields_to_newcomers: !is_hard },
        ];
        match self {
            Self::SignIn { account, .. } => {
                all.push(bucket(self.key("account", &[&source, &account.to_lowercase()]), SIGN_IN_ACCOUNT));
            }
            Self::Mail { to, .. } => {
                let to = to.as_str().to_lowercase();
                all.push(bucket(self.key("address", &[&to]), MAIL_ADDRESS));
                all.push(bucket(self.key("address from", &[&source, &to]), MAIL_ADDRESS_FROM_SOURCE));
            }
            Self::Check { tenant, .. } => {
                all.push(bucket(self.key("tenant", &[&tenant.to_string()]), CHECK_TENANT));
            }
            Self::Import { tenant, .. } => {
                all.push(bucket(self.key("tenant", &[&tenant.to_string()]), IMPORT_TENANT));
            }
            Self::Invite { .. } | Self::WrongToken { .. } | Self::WrongLink { .. } => {}
        }
        (all, mine)
    }
}

/// Takes one. After [`LimitError::TooMany`] the caller drops the transaction and does not do what was asked.
///
/// The buckets' rows stay locked until the transaction ends: use a short one, or [`spend_at_once`].
///
/// # Errors
/// [`LimitError`].
pub async fn spend(tx: &mut SystemTx, limit: Limit<'_>) -> Result<(), LimitError> {
    let (buckets, mine) = limit.buckets();
    Ok(store::limits::spend(tx, &buckets, Some(&mine)).await??)
}

/// Takes one in a transaction of its own, so that it counts whatever becomes of the rest.
///
/// # Errors
/// [`LimitError`].
pub async fn spend_at_once(db: &Db, limit: Limit<'_>) -> Result<(), LimitError> {
    let mut tx = db.system().await?;
    spend(&mut tx, limit).await?;
    Ok(tx.commit().await?)
}

/// Gives back what [`spend`] took: whoever asked turned out to be the rightful owner.
///
/// # Errors
/// The database.
pub async fn give_back(tx: &mut SystemTx, limit: Limit<'_>) -> Result<(), StoreError> {
    store::limits::give_back(tx, &limit.buckets().0).await
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_source_takes_at_most_a_tenth_of_what_there_is_for_all() {
        let (source, to) = (Source::unknown(), Email::parse("ada@harbour.example").unwrap());
        for limit in [
            Limit::SignIn { source, account: "ada" },
            Limit::Invite { source },
            Limit::WrongToken { source },
            Limit::WrongLink { source },
            Limit::Mail { source, to: &to },
            Limit::Check { source, tenant: TenantId::from_uuid(uuid::Uuid::nil()) },
            Limit::Import { source, tenant: TenantId::from_uuid(uuid::Uuid::nil()) },
        ] {
            let (mine, all) = limit.shares();
            assert!(mine.is_share_of(all, 10), "{limit:?}");
        }
    }

    #[test]
    fn no_two_values_share_a_bucket_by_accident() {
        let source = |text: &str| Source::of(text.parse().unwrap());
        let keys = |limit: Limit<'_>| limit.buckets().0.iter().map(|bucket| bucket.key).collect::<Vec<_>>();
        let ada = keys(Limit::SignIn { source: source("192.0.2.1"), account: "Ada" });
        assert_eq!(ada, keys(Limit::SignIn { source: source("192.0.2.1"), account: "ada" }));
        let elsewhere = keys(Limit::SignIn { source: source("192.0.2.2"), account: "ada" });
        let shared: Vec<_> = ada.iter().filter(|key| elsewhere.contains(key)).collect();
        assert_eq!(shared.len(), 1, "only what there is for all");
        let other_use = keys(Limit::WrongToken { source: source("192.0.2.1") });
        assert!(other_use.iter().all(|key| !ada.contains(key)));
    }
}
