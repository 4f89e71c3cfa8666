//! How long steps took, kept for some weeks; and forgetting what is kept for a while only.

use std::time::Duration;

use domain::timeline::Usual;

use crate::{db::SystemTx, error::StoreError};

/// Remembers how long a step took.
pub async fn record_run(tx: &mut SystemTx, kind: &str, step: &str, took: Duration) -> Result<(), StoreError> {
    sqlx::query!(
        "insert into step_runs (kind, step, took_ms) values ($1, $2, $3)",
        kind,
        step,
        i64::try_from(took.as_millis()).unwrap_or(i64::MAX),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// How long these steps usually take here: the last 200 runs of each within 30 days.
pub async fn usual(tx: &mut SystemTx, kind: &str, steps: &[&str]) -> Result<Vec<Usual>, StoreError> {
    let steps: Vec<String> = steps.iter().map(|step| (*step).to_owned()).collect();
    let rows = sqlx::query!(
        r#"select step.name as "step!",
                  percentile_disc(0.5) within group (order by recent.took_ms) as "p50!",
                  percentile_disc(0.95) within group (order by recent.took_ms) as "p95!",
                  count(*) as "runs!"
           from unnest($2::text[]) as step (name),
                lateral (select took_ms from step_runs
                         where kind = $1 and step_runs.step = step.name and at > berth.now() - interval '30 days'
                         order by at desc limit 200) as recent
           group by step.name
           order by step.name"#,
        kind,
        &steps,
    )
    .fetch_all(tx.conn())
    .await?;
    Ok(rows.into_iter().map(|row| Usual { step: row.step, p50_ms: row.p50, p95_ms: row.p95, runs: row.runs }).collect())
}

/// Prepares the weeks to come and drops the weeks that are over. Returns how many were dropped.
pub async fn keep_weeks(tx: &mut SystemTx) -> Result<i64, StoreError> {
    let dropped = sqlx::query_scalar!(r#"select berth.keep_history() as "dropped!""#).fetch_one(tx.conn()).await?;
    Ok(dropped.into())
}

/// Rows of one kind forgotten in one go; more are left for the next.
const BATCH: i64 = 1000;

/// What was forgotten.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Forgotten {
    /// Sessions that ran out.
    pub sessions: i64,
    /// Tokens that ran out a month ago.
    pub tokens: i64,
    /// Links that ran out a day ago.
    pub links: i64,
    /// Runs of jobs that ended a month ago.
    pub runs: i64,
    /// Attempts to sign in that ran out a day ago.
    pub sign_ins: i64,
    /// Letters that were sent, or not, a month ago. Of those with a cause the cause stays.
    pub letters: i64,
    /// Events of Stripe's that were understood ninety days ago.
    pub events: i64,
    /// Ways to Stripe that were taken ninety days ago.
    pub checkouts: i64,
    /// Differences from Stripe that were found ninety days ago.
    pub differences: i64,
}

impl Forgotten {
    /// Whether there may be more of a kind.
    #[must_use]
    pub fn may_be_more(&self) -> bool {
        let sign_in = [self.sessions, self.tokens, self.links, self.sign_ins];
        let others = [self.runs, self.letters, self.events, self.checkouts, self.differences];
        sign_in.iter().chain(&others).any(|n| *n >= BATCH)
    }

    /// Both together.
    #[must_use]
    pub const fn and(self, other: Self) -> Self {
        Self {
            sessions: self.sessions + other.sessions,
            tokens: self.tokens + other.tokens,
            links: self.links + other.links,
            runs: self.runs + other.runs,
            sign_ins: self.sign_ins + other.sign_ins,
            letters: self.letters + other.letters,
            events: self.events + other.events,
            checkouts: self.checkouts + other.checkouts,
            differences: self.differences + other.differences,
        }
    }
}

/// Forgets at most a thousand rows of each kind: never one long statement that everybody waits for.
pub async fn forget_expired(tx: &mut SystemTx) -> Result<Forgotten, StoreError> {
    let row = sqlx::query!(
        r#"with ended_sessions as (
               delete from sessions where id in
                   (select id from sessions where expires_at < berth.now() limit $1) returning 1
           ), ended_tokens as (
               delete from tokens where id in
                   (select id from tokens where expires_at < berth.now() - interval '30 days' limit $1) returning 1
           ), ended_links as (
               delete from links where token_hash in
                   (select token_hash from links where expires_at < berth.now() - interval '1 day' limit $1) returning 1
           ), ended_runs as (
               delete from job_runs where id in
                   (select id from job_runs where ended_at < berth.now() - interval '30 days' limit $1) returning 1
           ), ended_sign_ins as (
               delete from sign_ins where id in
                   (select id from sign_ins where expires_at < berth.now() - interval '1 day' limit $1) returning 1
           ), ended_letters as (
               delete from letters where id in
                   (select id from letters
                    where ended_at < berth.now() - interval '30 days' and cause is null limit $1) returning 1
           ), forgotten_letters as (
               -- That it was told stays, so that nobody is told again; whom and what does not.
               update letters set to_address = '', facts = null, outcome = null where id in
                   (select id from letters where ended_at < berth.now() - interval '30 days'
                    and cause is not null and to_address <> '' limit $1) returning 1
           ), understood as (
               -- One that nobody has understood yet stays, however old it is.
               delete from events where id in
                   (select id from events where read_at < berth.now() - interval '90 days' limit $1) returning 1
           ), ended_checkouts as (
               delete from checkouts where id in
                   (select id from checkouts where asked_at < berth.now() - interval '90 days' limit $1) returning 1
           ), old_differences as (
               delete from billing_differences where id in
                   (select id from billing_differences where at < berth.now() - interval '90 days' limit $1) returning 1
           ), sources as (
               -- Its key was another month's: it can be compared with nothing any more.
               update waitlist set source_hash = null
               where source_hash is not null and asked_at < berth.now() - interval '62 days'
           )
           select (select count(*) from understood) as "events!", (select count(*) from ended_checkouts) as "checkouts!",
                  (select count(*) from old_differences) as "differences!",
                  (select count(*) from ended_sign_ins) as "sign_ins!",
                  (select count(*) from ended_letters) + (select count(*) from forgotten_letters) as "letters!",
                  (select count(*) from ended_sessions) as "sessions!", (select count(*) from ended_tokens) as "tokens!",
                  (select count(*) from ended_links) as "links!", (select count(*) from ended_runs) as "runs!""#,
        BATCH,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Forgotten {
        sessions: row.sessions,
        tokens: row.tokens,
        links: row.links,
        runs: row.runs,
        sign_ins: row.sign_ins,
        letters: row.letters,
        events: row.events,
        checkouts: row.checkouts,
        differences: row.differences,
    })
}
