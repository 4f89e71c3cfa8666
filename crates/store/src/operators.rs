//! Who runs the service, and their second factor.

use chrono::{DateTime, Utc};
use domain::{SessionId, UserId, names::Email, operators::FACTOR};
use vault::{Digest, Sealed};

use crate::{db::SystemTx, error::StoreError, house::sealed};

/// Where an operator's browser stands, by the database's clock.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Standing {
    /// Whether they have an authenticator.
    pub is_enrolled: bool,
    /// Whether this session gave a second factor within the last twelve hours.
    pub is_fresh: bool,
}

/// Where this session of an operator's stands.
pub async fn standing(tx: &mut SystemTx, user: UserId, session: SessionId) -> Result<Standing, StoreError> {
    let row = sqlx::query!(
        r#"select exists (select from operator_factors
                          where user_id = $1 and confirmed_at is not null) as "is_enrolled!",
                  exists (select from sessions
                          where id = $2 and user_id = $1
                            and factor_at > berth.now() - make_interval(secs => $3)) as "is_fresh!""#,
        user.uuid(),
        session.uuid(),
        FACTOR.as_secs_f64(),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Standing { is_enrolled: row.is_enrolled, is_fresh: row.is_fresh })
}

/// An operator's authenticator.
#[derive(Debug)]
pub struct Factor {
    /// Sealed at the user's row.
    pub secret: Sealed,
    /// Whether a code of it was right once.
    pub is_confirmed: bool,
    /// The last step of which a code was taken.
    pub last_step: i64,
    /// Wrong codes within the last five minutes.
    pub failures: i32,
    /// The time, by the database's clock.
    pub now: DateTime<Utc>,
}

/// An operator's authenticator, locked until this transaction ends.
pub async fn lock_factor(tx: &mut SystemTx, user: UserId) -> Result<Option<Factor>, StoreError> {
    let row = sqlx::query!(
        r#"select secret_sealed, confirmed_at is not null as "is_confirmed!", last_step, berth.now() as "now!",
                  case when window_at > berth.now() - interval '5 minutes' then failures else 0 end as "failures!"
           from operator_factors
           where user_id = $1
           for update"#,
        user.uuid(),
    )
    .fetch_optional(tx.conn())
    .await?;
    row.map(|row| {
        Ok(Factor {
            secret: sealed("operator_factors", "secret_sealed", &row.secret_sealed)?,
            is_confirmed: row.is_confirmed,
            last_step: row.last_step,
            failures: row.failures,
            now: row.now,
        })
    })
    .transpose()
}

/// Keeps a fresh, unconfirmed authenticator. `false`: there is a confirmed one, which stays.
pub async fn begin_factor(tx: &mut SystemTx, user: UserId, secret: &Sealed) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into operator_factors (user_id, secret_sealed) values ($1, $2)
         on conflict (user_id) do update
         set secret_sealed = excluded.secret_sealed, last_step = 0, created_at = berth.now()
         where operator_factors.confirmed_at is null",
        user.uuid(),
        secret.to_bytes(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// A code of this step was right: it is confirmed, and no code of the step or before is taken again.
pub async fn take_step(tx: &mut SystemTx, user: UserId, step: i64) -> Result<(), StoreError> {
    sqlx::query!(
        "update operator_factors
         set last_step = $2, failures = 0, confirmed_at = coalesce(confirmed_at, berth.now())
         where user_id = $1",
        user.uuid(),
        step,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Counts a wrong code.
pub async fn count_failure(tx: &mut SystemTx, user: UserId) -> Result<(), StoreError> {
    sqlx::query!(
        "update operator_factors
         set failures = case when window_at > berth.now() - interval '5 minutes' then failures + 1 else 1 end,
             window_at = case when window_at > berth.now() - interval '5 minutes' then window_at else berth.now() end
         where user_id = $1",
        user.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Writes that this session gave a second factor now.
pub async fn mark_session(tx: &mut SystemTx, session: SessionId) -> Result<(), StoreError> {
    sqlx::query!("update sessions set factor_at = berth.now() where id = $1", session.uuid())
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// Keeps the hashes of fresh recovery codes; earlier ones stop working.
pub async fn keep_recovery_codes(tx: &mut SystemTx, user: UserId, hashes: &[Digest]) -> Result<(), StoreError> {
    sqlx::query!("delete from recovery_codes where user_id = $1", user.uuid()).execute(tx.conn()).await?;
    let hashes: Vec<Vec<u8>> = hashes.iter().map(|hash| hash.bytes().to_vec()).collect();
    sqlx::query!(
        "insert into recovery_codes (code_hash, user_id) select hash, $1 from unnest($2::bytea[]) as hash",
        user.uuid(),
        &hashes,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Uses a recovery code up. Of any number at once exactly one gets `true`.
pub async fn use_recovery_code(tx: &mut SystemTx, user: UserId, hash: &Digest) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "update recovery_codes set used_at = berth.now()
         where code_hash = $1 and user_id = $2 and used_at is null",
        &hash.bytes()[..],
        user.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// How many recovery codes are left.
pub async fn recovery_codes_left(tx: &mut SystemTx, user: UserId) -> Result<i64, StoreError> {
    Ok(sqlx::query_scalar!(
        r#"select count(*) as "n!" from recovery_codes where user_id = $1 and used_at is null"#,
        user.uuid(),
    )
    .fetch_one(tx.conn())
    .await?)
}

/// Lets an address make this user an operator. `false`: it made somebody one before.
pub async fn claim_bootstrap(tx: &mut SystemTx, user: UserId, email: &Email) -> Result<bool, StoreError> {
    let done = sqlx::query!(
        "insert into operator_bootstraps (email, user_id) values ($1, $2) on conflict (email) do nothing",
        email.as_str(),
        user.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(done.rows_affected() == 1)
}

/// Makes a user an operator; their tokens that could operate end, for they were issued without a second factor.
/// `false`: they are one already.
pub async fn promote(tx: &mut SystemTx, user: UserId) -> Result<bool, StoreError> {
    let done = sqlx::query!("update users set is_operator = true where id = $1 and not is_operator", user.uuid())
        .execute(tx.conn())
        .await?;
    if done.rows_affected() == 1 {
        sqlx::query!("delete from tokens where user_id = $1 and scopes && array['all', 'operate']", user.uuid())
            .execute(tx.conn())
            .await?;
    }
    Ok(done.rows_affected() == 1)
}

/// Forgets the authenticators of operators with this address; returns whose.
pub async fn reset_factor(tx: &mut SystemTx, email: &Email) -> Result<Vec<UserId>, StoreError> {
    let users = sqlx::query_scalar!(
        "delete from operator_factors f using users u
         where u.id = f.user_id and u.email = $1
         returning f.user_id",
        email.as_str(),
    )
    .fetch_all(tx.conn())
    .await?;
    sqlx::query!("delete from recovery_codes where user_id = any ($1)", &users).execute(tx.conn()).await?;
    Ok(users.into_iter().map(UserId::from_uuid).collect())
}
