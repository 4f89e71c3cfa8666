//! People: users, their tenants, their membership.

use domain::{MemberId, TenantId, UserId, names::Email};

use crate::{db::SystemTx, error::StoreError};

/// Adds a user with their first identity. `identities_pkey` refuses a second one of the same issuer and subject.
pub async fn insert_user(
    tx: &mut SystemTx,
    id: UserId,
    (issuer, subject): (&str, &str),
    email: &Email,
    is_operator: bool,
) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into users (id, email, is_operator) values ($1, $2, $3)",
        id.uuid(),
        email.as_str(),
        is_operator,
    )
    .execute(tx.conn())
    .await?;
    sqlx::query!("insert into identities (issuer, subject, user_id) values ($1, $2, $3)", issuer, subject, id.uuid(),)
        .execute(tx.conn())
        .await?;
    Ok(())
}

/// The user whom an issuer knows by this subject.
pub async fn user_by_identity(tx: &mut SystemTx, issuer: &str, subject: &str) -> Result<Option<UserId>, StoreError> {
    let id = sqlx::query_scalar!("select user_id from identities where issuer = $1 and subject = $2", issuer, subject)
        .fetch_optional(tx.conn())
        .await?;
    Ok(id.map(UserId::from_uuid))
}

/// Their address was shown to be theirs: by a vendor that verified it, or by a link that was mailed there.
pub async fn verified_email(tx: &mut SystemTx, user: UserId, email: &Email) -> Result<(), StoreError> {
    sqlx::query!(
        "update users set email = $2, email_verified_at = berth.now() where id = $1",
        user.uuid(),
        email.as_str(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Whether anybody can sign in yet.
pub async fn any_operator(tx: &mut SystemTx) -> Result<bool, StoreError> {
    Ok(sqlx::query_scalar!(r#"select exists (select from users where is_operator) as "any!""#)
        .fetch_one(tx.conn())
        .await?)
}

/// Lets one at a time make a user: a set-up, a sign-up, somebody who was invited. The lock ends with the transaction.
pub async fn lock_setup(tx: &mut SystemTx) -> Result<(), StoreError> {
    sqlx::query!("select pg_advisory_xact_lock(hashtext('berth set-up'))").execute(tx.conn()).await?;
    Ok(())
}

/// Adds a tenant with its first owner.
pub async fn insert_tenant(
    tx: &mut SystemTx,
    tenant: TenantId,
    name: &str,
    member: MemberId,
    owner: UserId,
) -> Result<(), StoreError> {
    sqlx::query!("insert into tenants (id, name) values ($1, $2)", tenant.uuid(), name).execute(tx.conn()).await?;
    sqlx::query!(
        "insert into members (id, tenant_id, user_id, role) values ($1, $2, $3, 'owner')",
        member.uuid(),
        tenant.uuid(),
        owner.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// The tenant that a user joined first.
pub async fn first_tenant(tx: &mut SystemTx, user: UserId) -> Result<Option<TenantId>, StoreError> {
    let id = sqlx::query_scalar!(
        "select tenant_id from members where user_id = $1 order by created_at, id limit 1",
        user.uuid()
    )
    .fetch_optional(tx.conn())
    .await?;
    Ok(id.map(TenantId::from_uuid))
}

/// The addresses of those of these users who are members of this tenant now.
pub async fn addresses_in(
    tx: &mut SystemTx,
    tenant: TenantId,
    users: &[UserId],
) -> Result<Vec<(UserId, String)>, StoreError> {
    let ids: Vec<_> = users.iter().map(|user| user.uuid()).collect();
    let rows = sqlx::query!(
        "select u.id, u.email
         from users u
         join members m on m.user_id = u.id
         where m.tenant_id = $1 and u.id = any ($2)",
        tenant.uuid(),
        &ids,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| (UserId::from_uuid(row.id), row.email)).collect())
}

/// The addresses of these users, whoever they belong to: for operators.
pub async fn addresses(tx: &mut SystemTx, users: &[UserId]) -> Result<Vec<(UserId, String)>, StoreError> {
    let ids: Vec<_> = users.iter().map(|user| user.uuid()).collect();
    let rows = sqlx::query!("select id, email from users where id = any ($1)", &ids).fetch_all(tx.conn()).await?;
    Ok(rows.into_iter().map(|row| (UserId::from_uuid(row.id), row.email)).collect())
}
