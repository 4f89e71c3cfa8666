//! Statements made from the catalogue: whatever tables of a tenant there are, also those that come later.
//!
//! The only statements that are not checked when compiling. Their text is made of names that
//! the catalogue gave, quoted by the database itself.

use serde_json::Value;
use sqlx::AssertSqlSafe;

use crate::{db::TenantTx, error::StoreError};

/// A table of a tenant's.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TenantTable {
    /// Its name.
    pub name: String,
    /// Its name as it stands in a statement.
    quoted: String,
    /// The columns of its primary key, quoted.
    key: Vec<String>,
    /// Columns that hold bytes: sealed values and hashes, which leave no database.
    hidden: Vec<String>,
}

/// Every tenant table, by name.
pub async fn tenant_tables(tx: &mut TenantTx) -> Result<Vec<TenantTable>, StoreError> {
    let rows = sqlx::query!(
        r#"select c.relname::text as "name!", format('%I.%I', n.nspname, c.relname) as "quoted!",
                  array(select format('%I', a.attname)
                        from pg_index i
                        cross join unnest(i.indkey::smallint[]) with ordinality as k (attnum, place)
                        join pg_attribute a on a.attrelid = c.oid and a.attnum = k.attnum
                        where i.indrelid = c.oid and i.indisprimary
                        order by k.place) as "key!",
                  array(select a.attname::text
                        from pg_attribute a
                        where a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped
                          and a.atttypid = 'bytea'::regtype) as "hidden!"
           from pg_class c
           join pg_namespace n on n.oid = c.relnamespace
           join pg_policy p on p.polrelid = c.oid
           where p.polname = 'tenant_rows' and n.nspname = 'public'
           order by c.relname"#
    )
    .fetch_all(tx.conn())
    .await?;
    let tables = rows.into_iter().map(|row| {
        let (name, quoted, key, hidden) = (row.name, row.quoted, row.key, row.hidden);
        TenantTable { name, quoted, key, hidden }
    });
    Ok(tables.collect())
}

/// This tenant's rows after the one given, by key, at most `limit`, without the columns that hold bytes.
pub async fn rows(
    tx: &mut TenantTx,
    table: &TenantTable,
    after: Option<&Value>,
    limit: i64,
) -> Result<Vec<Value>, StoreError> {
    let TenantTable { quoted, key, .. } = table;
    let of = |name: &str| key.iter().map(|column| format!("{name}.{column}")).collect::<Vec<_>>().join(", ");
    let statement = format!(
        "select to_jsonb(t) - $3::text[] from {quoted} t \
         where $1::jsonb is null or ({}) > (select {} from jsonb_populate_record(null::{quoted}, $1) r) \
         order by {} limit $2",
        of("t"),
        of("r"),
        of("t"),
    );
    let rows = sqlx::query_scalar::<_, Value>(AssertSqlSafe(statement))
        .bind(after)
        .bind(limit)
        .bind(&table.hidden)
        .fetch_all(tx.conn())
        .await?;
    Ok(rows)
}
