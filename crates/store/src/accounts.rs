//! The end of a person's account: what says who they were goes, what others did with them stays.

use domain::{TenantId, UserId, names::Email};

use crate::{db::SystemTx, error::StoreError};

/// Locks a person: nobody makes them a member of anything until this transaction ends.
pub async fn lock(tx: &mut SystemTx, user: UserId) -> Result<(), StoreError> {
    sqlx::query!("select id from users where id = $1 for update", user.uuid()).fetch_optional(tx.conn()).await?;
    Ok(())
}

/// Whether somebody else runs the service too.
pub async fn another_operator(tx: &mut SystemTx, than: UserId) -> Result<bool, StoreError> {
    Ok(
        sqlx::query_scalar!(
            r#"select exists (select from users where is_operator and id <> $1) as "is!""#,
            than.uuid(),
        )
        .fetch_one(tx.conn())
        .await?,
    )
}

/// Forgets an address in the timelines of a tenant's agents. What was done, and when, stays.
pub async fn forget_author(tx: &mut SystemTx, tenant: TenantId, email: &Email) -> Result<(), StoreError> {
    let conn = tx.enter_tenant(tenant).await?;
    sqlx::query!(
        r#"update timeline set what = jsonb_set(what, '{by}', '"a former member"', false) where what ->> 'by' = $1"#,
        email.as_str(),
    )
    .execute(conn)
    .await?;
    tx.leave_tenant().await
}

/// Erases a person: identities, memberships, sessions, tokens, second factor, and what was mailed to them or waits for
/// them. Already gone is success.
pub async fn erase(tx: &mut SystemTx, user: UserId, email: &Email) -> Result<(), StoreError> {
    let address = email.as_str();
    sqlx::query!("delete from waitlist where email = $1", address).execute(tx.conn()).await?;
    sqlx::query!("delete from letters where to_address = $1", address).execute(tx.conn()).await?;
    sqlx::query!("delete from links where address = $1", address).execute(tx.conn()).await?;
    sqlx::query!("delete from invitations where email = $1", address).execute(tx.conn()).await?;
    sqlx::query!("delete from users where id = $1", user.uuid()).execute(tx.conn()).await?;
    tx.forget_access(user.uuid());
    Ok(())
}
