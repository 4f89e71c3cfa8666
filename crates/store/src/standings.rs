//! How many begin to pay, fail to, and leave: from the rows that say how each payer stood, one a change.
//!
//! [`crate::billing::acted`] writes them. A payer is a tenant under a name that nothing else leads to, so that what is
//! counted outlives the tenant. Months are UTC's.

use chrono::NaiveDate;
use domain::TenantId;

use crate::{db::SystemTx, error::StoreError};

/// How many months back are counted, the one under way among them.
pub const MONTHS: i32 = 12;
/// How many days back failed payments are followed.
pub const DUNNING_DAYS: i32 = 90;

/// A month of who pays.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ChurnMonth {
    /// Its first day.
    pub month: NaiveDate,
    /// Who paid as it began.
    pub at_start: i64,
    /// Who began to pay, again or for the first time.
    pub began: i64,
    /// Who paid and left.
    pub left: i64,
}

/// What became of payments that failed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Dunning {
    /// How often a tenant's payment failed.
    pub failed: i64,
    /// Of those: settled while it was still served, by paying or by an operator who let it off.
    pub settled: i64,
    /// Its agents were stopped.
    pub suspended: i64,
    /// Of those: settled after that, the same ways.
    pub came_back: i64,
    /// Left, stopped before or not.
    pub left: i64,
}

impl Dunning {
    /// Of whom it is not known yet.
    #[must_use]
    pub const fn open(&self) -> i64 {
        self.failed - self.settled - self.came_back - self.left
    }
}

/// The last months, oldest first. One statement.
///
/// Who paid once pays until it is outside: past due, suspended and ending still count.
pub async fn churn(tx: &mut SystemTx) -> Result<Vec<ChurnMonth>, StoreError> {
    let rows = sqlx::query!(
        r#"with stays as (
               select payer, id, at, standing,
                      count(*) filter (where standing in ('trial', 'gift', 'left', 'unpaid', 'billing_off'))
                          over (partition by payer order by id) as stay
               from standings
           ), known as (
               select payer, id, at, bool_or(standing = 'paying') over (partition by payer, stay order by id) as pays from stays
           ), moves as (
               select at, pays, coalesce(lag(pays) over (partition by payer order by id), false) as paid from known
           ), months as (
               select (date_trunc('month', berth.now() at time zone 'utc') - make_interval(months => n)) as month
               from generate_series(0, $1::integer - 1) n
           )
           select months.month::date as "month!",
                  count(*) filter (where m.pays and m.at < begins.at) - count(*) filter (where m.paid and m.at < begins.at) as "at_start!",
                  count(*) filter (where m.pays and m.at >= begins.at) as "began!",
                  count(*) filter (where m.paid and m.at >= begins.at) as "left!"
           from months
           cross join lateral (select months.month at time zone 'utc' as at,
                                      (months.month + interval '1 month') at time zone 'utc' as next) begins
           left join moves m on m.pays <> m.paid and m.at < begins.next
           group by months.month
           order by months.month"#,
        MONTHS,
    )
    .fetch_all(tx.conn())
    .await?;
    let month = rows.into_iter().map(|row| ChurnMonth {
        month: row.month,
        at_start: row.at_start,
        began: row.began,
        left: row.left,
    });
    Ok(month.collect())
}

/// What became of the payments that failed in the last days. One statement.
///
/// A tenant that a bank's dispute stopped meanwhile counts as stopped too.
pub async fn dunning(tx: &mut SystemTx) -> Result<Dunning, StoreError> {
    let row = sqlx::query!(
        r#"with moves as (
               select payer, id, at, standing, lag(standing) over (partition by payer order by id) as before from standings
           ), failed as (
               select payer, id from moves
               where standing = 'past_due' and coalesce(before not in ('past_due', 'suspended'), true)
                 and at > berth.now() - make_interval(days => $1)
           ), followed as (
               select then_.standing as then_, last.standing as last
               from failed f
               left join lateral (
                   select s.id, s.standing from standings s
                   where s.payer = f.payer and s.id > f.id and s.standing <> 'past_due'
                   order by s.id limit 1
               ) then_ on true
               left join lateral (
                   select s.standing from standings s
                   where then_.standing = 'suspended' and s.payer = f.payer and s.id > then_.id
                     and s.standing not in ('suspended', 'past_due')
                   order by s.id limit 1
               ) last on true
           )
           select count(*) as "failed!",
                  count(*) filter (where then_ in ('paying', 'trial', 'gift', 'ending', 'billing_off')) as "settled!",
                  count(*) filter (where then_ = 'suspended') as "suspended!",
                  count(*) filter (where last in ('paying', 'trial', 'gift', 'ending', 'billing_off')) as "came_back!",
                  count(*) filter (where coalesce(last, then_) in ('left', 'unpaid')) as "left!"
           from followed"#,
        DUNNING_DAYS,
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(Dunning {
        failed: row.failed,
        settled: row.settled,
        suspended: row.suspended,
        came_back: row.came_back,
        left: row.left,
    })
}

/// Ends what is counted of a tenant that is about to be erased: nothing is written of it any more. Two statements.
pub(crate) async fn end(tx: &mut SystemTx, tenant: TenantId) -> Result<(), StoreError> {
    // Whoever judges it at this moment writes before this, or finds no row.
    sqlx::query!("select tenant_id from billing where tenant_id = $1 for no key update", tenant.uuid())
        .fetch_optional(tx.conn())
        .await?;
    sqlx::query!(
        "insert into standings (payer, standing)
         select b.payer, 'left' from billing b
         where b.tenant_id = $1
           and (select s.standing from standings s where s.payer = b.payer order by s.id desc limit 1) <> 'left'",
        tenant.uuid(),
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}
