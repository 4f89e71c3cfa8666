//! Where what was known of payments differed from what stands at Stripe. For operators; kept for ninety days.

use chrono::{DateTime, Utc};
use domain::{
    TenantId,
    billing::{Difference, DifferenceKind},
};
use uuid::Uuid;

use crate::{db::SystemTx, error::StoreError};

/// One that was written down.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Found {
    /// Its row.
    pub id: Uuid,
    /// When it was found.
    pub at: DateTime<Utc>,
    /// What differed.
    pub difference: Difference,
}

/// Writes one down.
pub async fn keep(tx: &mut SystemTx, id: Uuid, difference: &Difference) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into billing_differences (id, tenant_id, what, before, after) values ($1, $2, $3, left($4, 300), left($5, 300))",
        id,
        difference.tenant.map(TenantId::uuid),
        difference.kind.name(),
        difference.before,
        difference.after,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How many tenants' payments were found to be otherwise since a moment.
pub async fn accounts_since(tx: &mut SystemTx, since: DateTime<Utc>) -> Result<i64, StoreError> {
    let count = sqlx::query_scalar!(
        r#"select count(*) as "count!" from billing_differences where what = 'account' and at >= $1"#,
        since,
    );
    Ok(count.fetch_one(tx.conn()).await?)
}

/// Which of them. What is `None` does not matter.
#[derive(Debug, Clone, Copy, Default)]
pub struct FoundFilter {
    /// Of this kind.
    pub kind: Option<DifferenceKind>,
    /// Of this tenant.
    pub tenant: Option<TenantId>,
    /// Those found before this one; before one that was forgotten there is nothing.
    pub after: Option<Uuid>,
}

/// The youngest, at most so many.
pub async fn list(tx: &mut SystemTx, filter: FoundFilter, most: i64) -> Result<Vec<Found>, StoreError> {
    let rows = sqlx::query!(
        "select id, at, tenant_id, what, before, after from billing_differences
         where ($1::uuid is null or (at, id) < (select at, id from billing_differences where id = $1))
           and ($2::text is null or what = $2)
           and ($3::uuid is null or tenant_id = $3)
         order by at desc, id desc limit $4",
        filter.after,
        filter.kind.map(DifferenceKind::name),
        filter.tenant.map(TenantId::uuid),
        most,
    )
    .fetch_all(tx.conn())
    .await?;
    let found = rows.into_iter().map(|row| {
        let kind = DifferenceKind::parse(&row.what)
            .ok_or_else(|| StoreError::corrupt("billing_differences", "what", "no word of this build"))?;
        let tenant = row.tenant_id.map(TenantId::from_uuid);
        let difference = Difference { tenant, kind, before: row.before, after: row.after };
        Ok(Found { id: row.id, at: row.at, difference })
    });
    found.collect()
}
