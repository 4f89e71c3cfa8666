//! People as operators see them: ids and counts; an address only to whoever knows it.

use chrono::{DateTime, Utc};
use domain::{UserId, names::Email};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// A person among many.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct UserView {
    /// Who.
    pub id: UserId,
    /// Since when.
    pub created_at: DateTime<Utc>,
    /// Whether they run the service, too.
    pub is_operator: bool,
    /// Tenants that they belong to.
    pub tenants: i64,
    /// Browsers in which they are signed in.
    pub sessions: i64,
    /// Since when they may do nothing.
    pub suspended_at: Option<DateTime<Utc>>,
    /// Why, in the words that they read.
    pub suspended_why: Option<String>,
}

/// Which people a list shows.
#[derive(Debug, Clone, Default)]
pub struct UserFilter {
    /// Those who came before this one.
    pub after: Option<UserId>,
    /// This one alone.
    pub only: Option<UserId>,
    /// Those of this whole address.
    pub email: Option<Email>,
}

/// People, newest first, at most `limit`.
pub async fn list(tx: &mut SystemTx, filter: &UserFilter, limit: i64) -> Result<Vec<UserView>, StoreError> {
    let rows = sqlx::query!(
        r#"select u.id, u.created_at, u.is_operator, u.suspended_at, u.suspended_why,
                  (select count(*) from members m where m.user_id = u.id) as "tenants!",
                  (select count(*) from sessions s where s.user_id = u.id and s.expires_at > berth.now())
                      as "sessions!"
           from users u
           where u.id < $1 and ($2::text is null or u.email = $2) and ($3::uuid is null or u.id = $3)
           order by u.id desc
           limit $4"#,
        filter.after.map_or(Uuid::max(), UserId::uuid),
        filter.email.as_ref().map(Email::as_str),
        filter.only.map(UserId::uuid),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows
        .into_iter()
        .map(|row| UserView {
            id: UserId::from_uuid(row.id),
            created_at: row.created_at,
            is_operator: row.is_operator,
            tenants: row.tenants,
            sessions: row.sessions,
            suspended_at: row.suspended_at,
            suspended_why: row.suspended_why,
        })
        .collect())
}
