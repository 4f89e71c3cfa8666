//! `/api/v1/export`: everything of a tenant as one archive, read in batches while it is sent.
//!
//! Which tables there are comes from the catalogue, so that a new one is in it by itself;
//! `docs/EXPORT.md` says what is where. Columns that hold bytes (sealed words, hashes) are left out.

mod tar;

use std::collections::{BTreeMap, VecDeque};

use axum::{
    body::Body,
    extract::State,
    response::{IntoResponse as _, Response},
};
use bytes::Bytes;
use domain::{
    TenantId,
    audit::{Act, Chain, Head},
};
use futures::stream;
use http::header;
use serde_json::{Value, json};
use store::{Db, StoreError, dynamic::TenantTable};

use crate::{guard::Member, problem::Problem, state::Web};

/// Rows in one file of the archive, and in memory at once.
const BATCH: i64 = 500;

const README: &str = "Everything that Berth keeps of one tenant, as JSON Lines: one JSON object a line.

tenant.jsonl, members.jsonl, invitations.jsonl, tokens.jsonl   the tenant, its people, how programs sign in
audit/N.jsonl     who did what; all of them in order are one chain (docs/AUDIT.md of Berth)
data/TABLE/N.jsonl   the rows of each table, in batches
manifest.json     how many rows there are of each

Not in it: secrets, their hashes, and words between a person and an agent, which Berth forgets after
ten minutes. An id stands here as a UUID; elsewhere it is a prefix and the same digits without dashes.
";

/// One piece of the archive that is still to be made.
enum Part {
    Readme,
    House,
    Audit(i64, u32),
    Table(TenantTable, Option<Value>, u32),
    Manifest,
}

struct Export {
    db: Db,
    tenant: TenantId,
    head: Head,
    at: i64,
    parts: VecDeque<Part>,
    rows: BTreeMap<String, u64>,
}

/// The event that this leaves is in the archive too: it is committed before the first byte.
pub(crate) async fn stream(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    let by = member.caller();
    let tenant = by.tenant;
    let mut tx = web.db.tenant(tenant).await?;
    app::audit::record(&mut tx, by, Act::TenantExport, &tenant, &[]).await?;
    tx.commit().await?;
    let mut tx = web.db.tenant_read(tenant).await?;
    let head = store::audit::head(&mut tx).await?;
    let head = head.unwrap_or_else(|| app::audit::chain::empty(Chain::Tenant(tenant)));
    let tables = store::dynamic::tenant_tables(&mut tx).await?;
    drop(tx);
    let mut parts = VecDeque::from([Part::Readme, Part::House, Part::Audit(0, 1)]);
    // The audit has a form of its own, which can be verified.
    let plain = tables.into_iter().filter(|table| !table.name.starts_with("audit_"));
    parts.extend(plain.map(|table| Part::Table(table, None, 1)));
    parts.push_back(Part::Manifest);
    let at = web.dice.now().timestamp();
    let export = Export { db: web.db.clone(), tenant, head, at, parts, rows: BTreeMap::new() };
    let bytes = stream::try_unfold(export, |mut export| async move {
        let Some(part) = export.parts.pop_front() else { return Ok::<_, StoreError>(None) };
        let bytes = export.make(part).await?;
        Ok(Some((Bytes::from(bytes), export)))
    });
    let name = format!("attachment; filename=\"berth-{tenant}.tar\"");
    let headers = [(header::CONTENT_TYPE, "application/x-tar".to_owned()), (header::CONTENT_DISPOSITION, name)];
    Ok((headers, Body::from_stream(bytes)).into_response())
}

impl Export {
    async fn make(&mut self, part: Part) -> Result<Vec<u8>, StoreError> {
        match part {
            Part::Readme => Ok(tar::entry("README.txt", README.as_bytes(), self.at)),
            Part::House => self.house().await,
            Part::Audit(after, number) => self.audit(after, number).await,
            Part::Table(table, after, number) => self.table(table, after, number).await,
            Part::Manifest => {
                let manifest = json!({ "tenant": self.tenant, "rows": self.rows, "audit_head": self.head });
                let mut bytes = tar::entry("manifest.json", format!("{manifest}\n").as_bytes(), self.at);
                bytes.extend(tar::end());
                Ok(bytes)
            }
        }
    }

    async fn house(&mut self) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.db.system().await?;
        let parts = store::tenants::exported(&mut tx, self.tenant).await?;
        drop(tx);
        let mut bytes = Vec::new();
        for (name, rows) in parts {
            bytes.extend(self.file(&format!("{name}.jsonl"), name, &rows));
        }
        Ok(bytes)
    }

    async fn audit(&mut self, after: i64, number: u32) -> Result<Vec<u8>, StoreError> {
        let last = i64::try_from(self.head.seq).unwrap_or(i64::MAX);
        let mut tx = self.db.tenant_read(self.tenant).await?;
        let rows = store::audit::since(&mut tx, after, BATCH.min(last - after)).await?;
        drop(tx);
        let count = i64::try_from(rows.len()).unwrap_or(0);
        let mut text: String = rows.iter().map(|row| row.event.line(&row.hash) + "\n").collect();
        if rows.is_empty() || after + count >= last {
            text += &(self.head.line() + "\n");
        } else {
            self.parts.push_front(Part::Audit(after + count, number + 1));
        }
        *self.rows.entry("audit_events".to_owned()).or_default() += u64::try_from(count).unwrap_or(0);
        Ok(tar::entry(&format!("audit/{number:06}.jsonl"), text.as_bytes(), self.at))
    }

    async fn table(&mut self, table: TenantTable, after: Option<Value>, number: u32) -> Result<Vec<u8>, StoreError> {
        let mut tx = self.db.tenant_read(self.tenant).await?;
        let rows = store::dynamic::rows(&mut tx, &table, after.as_ref(), BATCH).await?;
        drop(tx);
        let name = table.name.clone();
        let bytes = self.file(&format!("data/{name}/{number:06}.jsonl"), &name, &rows);
        if i64::try_from(rows.len()).unwrap_or(0) == BATCH {
            self.parts.push_front(Part::Table(table, rows.into_iter().last(), number + 1));
        }
        Ok(bytes)
    }

    fn file(&mut self, path: &str, counted: &str, rows: &[Value]) -> Vec<u8> {
        *self.rows.entry(counted.to_owned()).or_default() += u64::try_from(rows.len()).unwrap_or(0);
        let text = rows.iter().fold(String::new(), |text, row| text + &row.to_string() + "\n");
        tar::entry(path, text.as_bytes(), self.at)
    }
}
