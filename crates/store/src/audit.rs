//! The audit chains: events that are written with the act, and never changed.
//!
//! The head's row is the lock: two acts of one tenant append one after the other, and the
//! second waits until the first has committed. It is taken last in a transaction.

use chrono::{DateTime, Utc};
use domain::{
    TenantId,
    audit::{Chain, Details, Event, Head, NewEvent, VERSION, stamp},
};
use serde_json::Value;
use sqlx::PgConnection;
use vault::{Digest, digest};

use crate::{
    db::{SystemTx, TenantTx},
    error::{StoreError, json, read},
};

/// An event as it stands in its chain.
#[derive(Debug, Clone)]
pub struct Row {
    /// What is hashed.
    pub event: Event,
    /// Its hash: 64 hexadecimal digits.
    pub hash: String,
    /// When, for showing.
    pub at: DateTime<Utc>,
}

/// Appends to this tenant's chain.
pub async fn append(tx: &mut TenantTx, new: &NewEvent) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    append_as_tenant(tx.conn(), tenant, new).await
}

/// Appends to a tenant's chain from a transaction on the house tables.
pub async fn append_for(tx: &mut SystemTx, tenant: TenantId, new: &NewEvent) -> Result<(), StoreError> {
    append_as_tenant(tx.enter_tenant(tenant).await?, tenant, new).await?;
    tx.leave_tenant().await
}

/// Appends to the house's chain.
pub async fn append_house(tx: &mut SystemTx, new: &NewEvent) -> Result<(), StoreError> {
    let beginning = digest(Chain::House.beginning().as_bytes());
    let head = sqlx::query!(
        r#"insert into house_audit_heads (seq, hash) values (0, $1)
           on conflict (only_one) do update set seq = house_audit_heads.seq
           returning seq, hash, berth.now() as "now!""#,
        &beginning.bytes()[..],
    )
    .fetch_one(tx.conn())
    .await?;
    let (event, hash) = link(Chain::House, (head.seq, &head.hash, head.now), new)?;
    sqlx::query!(
        "with moved as (update house_audit_heads set seq = $1, hash = $8)
         insert into house_audit_events (seq, at, actor, via, act, subject, details, prior, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $9, $8)",
        head.seq + 1,
        head.now,
        event.actor,
        event.via,
        event.act,
        event.subject,
        json(&event.details)?,
        &hash[..],
        &head.hash,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Where this tenant's chain ends. `None`: nothing was written yet.
pub async fn head(tx: &mut TenantTx) -> Result<Option<Head>, StoreError> {
    let chain = Chain::Tenant(tx.tenant());
    let row = sqlx::query!("select seq, hash from audit_heads").fetch_optional(tx.conn()).await?;
    row.map(|row| end(chain, row.seq, &row.hash)).transpose()
}

/// Where the house's chain ends. `None`: nothing was written yet.
pub async fn house_head(tx: &mut SystemTx) -> Result<Option<Head>, StoreError> {
    let row = sqlx::query!("select seq, hash from house_audit_heads").fetch_optional(tx.conn()).await?;
    row.map(|row| end(Chain::House, row.seq, &row.hash)).transpose()
}

/// This tenant's events before this place, newest first, at most `limit`.
pub async fn latest(tx: &mut TenantTx, before: Option<i64>, limit: i64) -> Result<Vec<Row>, StoreError> {
    let chain = Chain::Tenant(tx.tenant());
    let rows = sqlx::query_as!(
        Stored,
        "select seq, at, actor, via, act, subject, details, prior, hash
         from audit_events
         where seq < $1
         order by seq desc
         limit $2",
        before.unwrap_or(i64::MAX),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.row(chain)).collect()
}

/// This tenant's events after this place, oldest first, at most `limit`.
pub async fn since(tx: &mut TenantTx, after: i64, limit: i64) -> Result<Vec<Row>, StoreError> {
    let chain = Chain::Tenant(tx.tenant());
    let rows = sqlx::query_as!(
        Stored,
        "select seq, at, actor, via, act, subject, details, prior, hash
         from audit_events
         where seq > $1
         order by seq
         limit $2",
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.row(chain)).collect()
}

/// The house's events before this place, newest first, at most `limit`.
pub async fn house_latest(tx: &mut SystemTx, before: Option<i64>, limit: i64) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_as!(
        Stored,
        "select seq, at, actor, via, act, subject, details, prior, hash
         from house_audit_events
         where seq < $1
         order by seq desc
         limit $2",
        before.unwrap_or(i64::MAX),
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.row(Chain::House)).collect()
}

/// The house's events after this place, oldest first, at most `limit`.
pub async fn house_since(tx: &mut SystemTx, after: i64, limit: i64) -> Result<Vec<Row>, StoreError> {
    let rows = sqlx::query_as!(
        Stored,
        "select seq, at, actor, via, act, subject, details, prior, hash
         from house_audit_events
         where seq > $1
         order by seq
         limit $2",
        after,
        limit,
    )
    .fetch_all(tx.conn())
    .await?;
    rows.into_iter().map(|row| row.row(Chain::House)).collect()
}

async fn append_as_tenant(conn: &mut PgConnection, tenant: TenantId, new: &NewEvent) -> Result<(), StoreError> {
    let chain = Chain::Tenant(tenant);
    let beginning = digest(chain.beginning().as_bytes());
    let head = sqlx::query!(
        r#"insert into audit_heads (tenant_id, seq, hash) values ($1, 0, $2)
           on conflict (tenant_id) do update set seq = audit_heads.seq
           returning seq, hash, berth.now() as "now!""#,
        tenant.uuid(),
        &beginning.bytes()[..],
    )
    .fetch_one(&mut *conn)
    .await?;
    let (event, hash) = link(chain, (head.seq, &head.hash, head.now), new)?;
    sqlx::query!(
        "with moved as (update audit_heads set seq = $2, hash = $9)
         insert into audit_events (tenant_id, seq, at, actor, via, act, subject, details, prior, hash)
         values ($1, $2, $3, $4, $5, $6, $7, $8, $10, $9)",
        tenant.uuid(),
        head.seq + 1,
        head.now,
        event.actor,
        event.via,
        event.act,
        event.subject,
        json(&event.details)?,
        &hash[..],
        &head.hash,
    )
    .execute(conn)
    .await?;
    Ok(())
}

/// The event that follows on a head (its place, its hash, the time), and its hash.
fn link(
    chain: Chain,
    (seq, prior, now): (i64, &[u8], DateTime<Utc>),
    new: &NewEvent,
) -> Result<(Event, [u8; 32]), StoreError> {
    let event = Event {
        act: new.act.word().to_owned(),
        actor: new.actor.id.clone(),
        at: stamp(now),
        chain: chain.to_string(),
        details: new.details.clone(),
        prior: hex(prior)?,
        seq: place(seq + 1)?,
        subject: new.subject.clone(),
        v: VERSION,
        via: new.actor.via.clone(),
    };
    let hash = *digest(event.canonical().as_bytes()).bytes();
    Ok((event, hash))
}

struct Stored {
    seq: i64,
    at: DateTime<Utc>,
    actor: String,
    via: String,
    act: String,
    subject: String,
    details: Value,
    prior: Vec<u8>,
    hash: Vec<u8>,
}

impl Stored {
    fn row(self, chain: Chain) -> Result<Row, StoreError> {
        let details: Details = read("audit_events", "details", self.details)?;
        let event = Event {
            act: self.act,
            actor: self.actor,
            at: stamp(self.at),
            chain: chain.to_string(),
            details,
            prior: hex(&self.prior)?,
            seq: place(self.seq)?,
            subject: self.subject,
            v: VERSION,
            via: self.via,
        };
        Ok(Row { event, hash: hex(&self.hash)?, at: self.at })
    }
}

fn end(chain: Chain, seq: i64, hash: &[u8]) -> Result<Head, StoreError> {
    Ok(Head { chain: chain.to_string(), hash: hex(hash)?, seq: place(seq)? })
}

fn place(seq: i64) -> Result<u64, StoreError> {
    u64::try_from(seq).map_err(|error| StoreError::corrupt("audit_events", "seq", error))
}

/// 64 hexadecimal digits, as events write a hash.
fn hex(bytes: &[u8]) -> Result<String, StoreError> {
    let bytes = bytes.try_into().map_err(|error| StoreError::corrupt("audit_events", "hash", error))?;
    Ok(Digest::from_bytes(bytes).to_string())
}
