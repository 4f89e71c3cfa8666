//! What this process remembers of who is signed in, so that a request needs no look-up.
//!
//! It is believed only while this process is sure to hear of every change: the
//! database tells them with the commit that makes them (the triggers in
//! `migrations/20261121161000_let_people_in.sql`), and [`crate::carry`] shows every
//! [`PULSE`] that it still listens. When it does not, each request looks up.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, MutexGuard, PoisonError},
    time::{Duration, Instant},
};

use chrono::{DateTime, TimeDelta, Utc};
use domain::{SessionId, people::Caller};
use uuid::Uuid;

use crate::{db::Db, error::StoreError, sessions};

/// How often the listening connection is tried.
pub(crate) const PULSE: Duration = Duration::from_millis(250);
/// How long after a try was begun what is remembered is believed. With it, a change counts within a second.
const TRUST: Duration = Duration::from_millis(900);
/// More sessions than one process serves at once; beyond, everything is looked up anew.
const SESSIONS_MAX: usize = 20_000;

/// Shared by all clones of a `Db`.
#[derive(Clone, Default)]
pub(crate) struct Access(Arc<Mutex<Known>>);

#[derive(Default)]
struct Known {
    /// Raised by every change: what was looked up before it is not kept.
    changes: u64,
    trusted_until: Option<Instant>,
    sessions: HashMap<Uuid, Remembered>,
}

struct Remembered {
    caller: Caller,
    standing: sessions::Standing,
    since: Instant,
}

impl Access {
    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The listener answered a question that was asked then.
    pub(crate) fn heard_at(&self, asked: Instant) {
        self.known().trusted_until = Some(asked + TRUST);
    }

    /// Something may have been missed.
    pub(crate) fn forget_everything(&self) {
        let mut known = self.known();
        known.changes += 1;
        known.trusted_until = None;
        known.sessions.clear();
    }

    /// Something changed about a session, a user or a tenant.
    pub(crate) fn forget(&self, subject: Uuid) {
        let mut known = self.known();
        known.changes += 1;
        known.sessions.retain(|session, kept| {
            *session != subject && kept.caller.user.uuid() != subject && kept.caller.tenant.uuid() != subject
        });
    }

    fn recall(&self, session: SessionId) -> Result<(Caller, sessions::Standing), u64> {
        let known = self.known();
        let is_trusted = known.trusted_until.is_some_and(|until| Instant::now() < until);
        let Some(kept) = known.sessions.get(&session.uuid()).filter(|_| is_trusted) else { return Err(known.changes) };
        let passed = TimeDelta::from_std(kept.since.elapsed()).unwrap_or(TimeDelta::MAX);
        let now: Option<DateTime<Utc>> = kept.standing.now.checked_add_signed(passed);
        match now.filter(|now| *now < kept.standing.expires_at) {
            Some(now) => Ok((kept.caller.clone(), sessions::Standing { now, ..kept.standing })),
            None => Err(known.changes),
        }
    }

    /// Keeps what was looked up, unless something changed since `changes` was read.
    fn keep(&self, changes: u64, caller: Caller, standing: sessions::Standing, since: Instant) {
        let mut known = self.known();
        if known.changes != changes {
            return;
        }
        if known.sessions.len() >= SESSIONS_MAX {
            known.sessions.clear();
        }
        known.sessions.insert(standing.id.uuid(), Remembered { caller, standing, since });
    }
}

impl Db {
    /// Who is in this session, as it is now: remembered, or looked up in one transaction.
    pub async fn caller_in(&self, session: SessionId) -> Result<Option<(Caller, sessions::Standing)>, StoreError> {
        let changes = match self.access().recall(session) {
            Ok(found) => return Ok(Some(found)),
            Err(changes) => changes,
        };
        let since = Instant::now();
        let mut tx = self.system().await?;
        let found = sessions::caller_by_id(&mut tx, session).await?;
        if let Some((caller, standing)) = &found {
            self.access().keep(changes, caller.clone(), *standing, since);
        }
        Ok(found)
    }
}

#[cfg(test)]
mod tests {
    use domain::{
        TenantId, UserId,
        names::Email,
        people::{Role, Shown},
    };

    use super::*;

    fn someone() -> (Caller, sessions::Standing) {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap_or_default();
        let id = SessionId::from_uuid(Uuid::from_u128(1));
        let user = UserId::from_uuid(Uuid::from_u128(2));
        let caller = Caller {
            user,
            email: Email::parse("ada@harbour.example").unwrap(),
            tenant: TenantId::from_uuid(Uuid::from_u128(3)),
            tenant_name: "Harbour".to_owned(),
            role: Role::Owner,
            is_operator: false,
            shown: Shown::Session { id, authenticated_at: now, factor_at: None },
            scopes: domain::scopes::Scopes::ALL,
            suspended: None,
            entitlement: None,
        };
        (caller, sessions::Standing { id, user, now, expires_at: now + TimeDelta::hours(1) })
    }

    fn knowing() -> Access {
        let (access, (caller, standing)) = (Access::default(), someone());
        access.heard_at(Instant::now());
        access.keep(0, caller, standing, Instant::now());
        access
    }

    #[test]
    fn a_change_to_session_user_or_tenant_is_heard() {
        let session = someone().1.id;
        assert!(knowing().recall(session).is_ok());
        for subject in 1..=3 {
            let access = knowing();
            access.forget(Uuid::from_u128(subject));
            assert_eq!(access.recall(session).err(), Some(1), "{subject}");
        }
        let access = knowing();
        access.forget(Uuid::from_u128(4));
        assert!(access.recall(session).is_ok(), "somebody else");
    }

    #[test]
    fn nothing_is_believed_without_a_listener() {
        let session = someone().1.id;
        let deaf = Access::default();
        deaf.keep(0, someone().0, someone().1, Instant::now());
        assert!(deaf.recall(session).is_err());
        let late = knowing();
        late.heard_at(Instant::now().checked_sub(TRUST).unwrap());
        assert!(late.recall(session).is_err());
        let missed = knowing();
        missed.forget_everything();
        missed.heard_at(Instant::now());
        assert!(missed.recall(session).is_err());
    }

    #[test]
    fn what_was_looked_up_before_a_change_is_not_kept_after_it() {
        let (access, (caller, standing)) = (Access::default(), someone());
        access.heard_at(Instant::now());
        let changes = access.recall(standing.id).err().unwrap();
        access.forget(standing.user.uuid());
        access.keep(changes, caller, standing, Instant::now());
        assert!(access.recall(standing.id).is_err());
    }

    #[test]
    fn an_expired_session_is_looked_up() {
        let (access, (caller, standing)) = (Access::default(), someone());
        access.heard_at(Instant::now());
        let over = sessions::Standing { expires_at: standing.now, ..standing };
        access.keep(0, caller, over, Instant::now());
        assert!(access.recall(standing.id).is_err());
    }
}
