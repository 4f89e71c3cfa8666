//! What model calls cost a tenant in a day (UTC, the database's clock), and what is held for those under way.
//!
//! Held plus spent never passes the limit: [`hold`] is one statement that adds or
//! refuses, on one row a tenant and day. A hold ends once, by [`settle`]. One that
//! nobody settles (its process was killed) stays held, which counts the same as
//! spent; the tenant's next settle after an hour books it as spent in full.
//!
//! Calls with a tenant's own key are counted beside that ([`count_own`]): they cost the house nothing.

use chrono::{DateTime, NaiveDate, Utc};
use domain::{
    HoldId,
    model::{Micros, Usage},
};

use crate::{db::TenantTx, error::StoreError};

/// A tenant's day so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Today {
    /// Which day, UTC.
    pub day: NaiveDate,
    /// Held and spent: what counts against the limit.
    pub used: Micros,
    /// The part of it that is held for calls under way.
    pub held: Micros,
    /// Calls that have ended.
    pub calls: u64,
    /// Tokens in, cached ones included.
    pub input_tokens: u64,
    /// Tokens out.
    pub output_tokens: u64,
    /// The same of calls with the tenant's own keys, which no budget bounds.
    pub own: OwnCalls,
    /// The beginning of the next day.
    pub resets_at: DateTime<Utc>,
    /// Until then, rounded up; at least 1.
    pub resets_in_seconds: u32,
}

/// Calls with the tenant's own keys that have ended.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct OwnCalls {
    /// How many.
    pub calls: u64,
    /// Tokens in, cached ones included, as far as the vendors counted.
    pub input_tokens: u64,
    /// Tokens out, likewise.
    pub output_tokens: u64,
}

/// Holds the most that a call can cost. `false`: held plus spent plus this would pass the limit, and nothing was written.
pub async fn hold(
    tx: &mut TenantTx,
    id: HoldId,
    model: &str,
    worst: Micros,
    limit: Micros,
) -> Result<bool, StoreError> {
    let tenant = tx.tenant();
    let held = sqlx::query!(
        "with today as (
             insert into model_days as d (tenant_id, day, held_micros)
             select $1, (berth.now() at time zone 'utc')::date, $3::bigint
             where $3::bigint <= $4::bigint
             on conflict (tenant_id, day) do update
             set held_micros = d.held_micros + excluded.held_micros
             where d.held_micros + d.spent_micros + excluded.held_micros <= $4::bigint
             returning d.day
         )
         insert into model_holds (tenant_id, id, day, model, micros)
         select $1, $2, today.day, $5, $3::bigint from today",
        tenant.uuid(),
        id.uuid(),
        bigint(worst.get()),
        bigint(limit.get()),
        model,
    )
    .execute(tx.conn())
    .await?;
    Ok(held.rows_affected() == 1)
}

/// Ends a hold with what the call came to, on the day on which it was held. Also books holds that nobody ended for an hour.
///
/// `false`: it had ended before, and nothing is charged twice.
pub async fn settle(tx: &mut TenantTx, id: HoldId, spent: Micros, usage: &Usage) -> Result<bool, StoreError> {
    let input = tokens_in(usage);
    let ended = sqlx::query_scalar!(
        r#"with ended as (
             delete from model_holds
             where id = $1 or held_at < berth.now() - interval '1 hour'
             returning id, day, micros
         ), sums as (
             select day, sum(micros)::bigint as held,
                    sum(case when id = $1 then $2::bigint else micros end)::bigint as spent,
                    count(*) as calls, bool_or(id = $1) as has_this
             from ended
             group by day
         ), booked as (
             update model_days d
             set held_micros = d.held_micros - sums.held,
                 spent_micros = d.spent_micros + sums.spent,
                 calls = d.calls + sums.calls,
                 input_tokens = d.input_tokens + case when sums.has_this then $3::bigint else 0 end,
                 output_tokens = d.output_tokens + case when sums.has_this then $4::bigint else 0 end
             from sums
             where d.day = sums.day
             returning sums.has_this
         )
         select coalesce(bool_or(has_this), false) as "ended!" from booked"#,
        id.uuid(),
        bigint(spent.get()),
        bigint(input),
        bigint(usage.output_tokens),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(ended)
}

/// Counts a call with the tenant's own key that has ended, on the day of now.
pub async fn count_own(tx: &mut TenantTx, usage: &Usage) -> Result<(), StoreError> {
    let tenant = tx.tenant();
    sqlx::query!(
        "insert into model_days as d (tenant_id, day, own_calls, own_input_tokens, own_output_tokens)
         select $1, (berth.now() at time zone 'utc')::date, 1, $2, $3
         on conflict (tenant_id, day) do update
         set own_calls = d.own_calls + 1,
             own_input_tokens = d.own_input_tokens + excluded.own_input_tokens,
             own_output_tokens = d.own_output_tokens + excluded.own_output_tokens",
        tenant.uuid(),
        bigint(tokens_in(usage)),
        bigint(usage.output_tokens),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// What calls on the house's account came to in the thirty days that end today, those under way counted in full.
pub async fn of_thirty_days(tx: &mut TenantTx) -> Result<Micros, StoreError> {
    let sum = sqlx::query_scalar!(
        r#"select coalesce(sum(spent_micros + held_micros), 0)::bigint as "sum!" from model_days
           where day > (berth.now() at time zone 'utc')::date - 30"#
    );
    Ok(Micros::new(count(sum.fetch_one(tx.conn()).await?)))
}

/// The tenant's day so far.
pub async fn today(tx: &mut TenantTx) -> Result<Today, StoreError> {
    let row = sqlx::query!(
        r#"select clock.day as "day!", clock.resets_at as "resets_at!",
                  greatest(1, ceil(extract(epoch from clock.resets_at - clock.now)))::integer as "seconds!",
                  coalesce(d.held_micros, 0) as "held!", coalesce(d.spent_micros, 0) as "spent!",
                  coalesce(d.calls, 0) as "calls!", coalesce(d.input_tokens, 0) as "input!",
                  coalesce(d.output_tokens, 0) as "output!", coalesce(d.own_calls, 0) as "own_calls!",
                  coalesce(d.own_input_tokens, 0) as "own_input!", coalesce(d.own_output_tokens, 0) as "own_output!"
           from (select n.now, (n.now at time zone 'utc')::date as day,
                        (((n.now at time zone 'utc')::date + 1)::timestamp at time zone 'utc') as resets_at
                 from (select berth.now() as now) n) clock
           left join model_days d on d.day = clock.day"#
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Today {
        day: row.day,
        used: Micros::new(count(row.held)).plus(Micros::new(count(row.spent))),
        held: Micros::new(count(row.held)),
        calls: count(row.calls),
        input_tokens: count(row.input),
        output_tokens: count(row.output),
        own: OwnCalls {
            calls: count(row.own_calls),
            input_tokens: count(row.own_input),
            output_tokens: count(row.own_output),
        },
        resets_at: row.resets_at,
        resets_in_seconds: u32::try_from(row.seconds).unwrap_or(1),
    })
}

/// All words in, cached or not.
fn tokens_in(usage: &Usage) -> u64 {
    let parts = [usage.input_tokens, usage.cache_read_tokens, usage.cache_write_5m_tokens, usage.cache_write_1h_tokens];
    parts.into_iter().fold(0, u64::saturating_add)
}

/// Amounts beyond what the column holds are its end: more than nine million million dollars.
fn bigint(number: u64) -> i64 {
    i64::try_from(number).unwrap_or(i64::MAX)
}

fn count(number: i64) -> u64 {
    u64::try_from(number).unwrap_or(0)
}
