//! What may be done only so often, counted in the database: exact across processes, and over their death.
//!
//! The arithmetic is [`domain::limits`]', once more in SQL, by the database's clock. All buckets of a use are
//! asked in one statement, in the order of their keys, so that two uses never wait for each other in a circle.

use std::time::Duration;

use domain::limits::{Rule, TooMany};
use vault::Digest;

use crate::{db::SystemTx, error::StoreError};

/// One bucket that a use takes from.
#[derive(Debug, Clone, Copy)]
pub struct Bucket {
    /// Which one: a digest of what is counted.
    pub key: Digest,
    /// How much it holds and how it fills.
    pub rule: Rule,
    /// An empty one of these does not stop whoever took nothing lately: see [`spend`].
    pub yields_to_newcomers: bool,
}

/// Takes one from each bucket. Where one is empty this says so, and the caller gives the transaction up, so that
/// nothing was taken from the others.
///
/// `newcomer` names the bucket of whoever asks: while that one is full, buckets that yield to newcomers do not
/// stop them. So the many who ask too often do not keep out the one who asks once.
pub async fn spend(
    tx: &mut SystemTx,
    buckets: &[Bucket],
    newcomer: Option<&Digest>,
) -> Result<Result<(), TooMany>, StoreError> {
    let keys: Vec<Vec<u8>> = buckets.iter().map(|bucket| bucket.key.bytes().to_vec()).collect();
    let every: Vec<i64> = buckets.iter().map(|bucket| micros(bucket.rule.every())).collect();
    let room: Vec<i64> = buckets.iter().map(|bucket| micros(bucket.rule.room())).collect();
    let yields: Vec<bool> = buckets.iter().map(|bucket| bucket.yields_to_newcomers).collect();
    // A conflicting row is locked and read anew before the condition is judged: that is what makes it exact.
    // The wait is told from the rows as they were when the statement began, which is enough for whoever waits alone.
    let wait = sqlx::query_scalar!(
        r#"with asked as materialized (
               select key_hash, every_us * interval '1 microsecond' as every, room_us * interval '1 microsecond' as room, yields
               from unnest($1::bytea[], $2::bigint[], $3::bigint[], $4::boolean[])
                    as asked (key_hash, every_us, room_us, yields)
           ), spent as (
               insert into limits as bucket (key_hash, full_at)
               select key_hash, berth.now() + every from asked order by key_hash
               on conflict (key_hash) do update
                   set full_at = greatest(bucket.full_at, berth.now()) + (excluded.full_at - berth.now())
                   where greatest(bucket.full_at, berth.now()) + (excluded.full_at - berth.now())
                         <= berth.now() + (select room from asked where asked.key_hash = excluded.key_hash)
               returning key_hash
           )
           select (extract(epoch from max(coalesce(greatest(bucket.full_at, berth.now()) + every - room - berth.now(), every)))
                   * 1000000)::bigint as wait_us
           from asked
           left join limits bucket on bucket.key_hash = asked.key_hash
           where not exists (select from spent where spent.key_hash = asked.key_hash)
             and (not yields or exists (select from limits mine where mine.key_hash = $5 and mine.full_at > berth.now()))"#,
        &keys,
        &every,
        &room,
        &yields,
        newcomer.map(|key| &key.bytes()[..]),
    )
    .fetch_one(tx.conn())
    .await?;
    Ok(match wait {
        None => Ok(()),
        Some(micros) => Err(TooMany { retry_after: Duration::from_micros(u64::try_from(micros).unwrap_or_default()) }),
    })
}

/// Gives back what one use took: it turned out to be a good one.
pub async fn give_back(tx: &mut SystemTx, buckets: &[Bucket]) -> Result<(), StoreError> {
    let keys: Vec<Vec<u8>> = buckets.iter().map(|bucket| bucket.key.bytes().to_vec()).collect();
    let every: Vec<i64> = buckets.iter().map(|bucket| micros(bucket.rule.every())).collect();
    sqlx::query!(
        "with held as (
             select bucket.key_hash, every_us
             from limits bucket
             join unnest($1::bytea[], $2::bigint[]) as asked (key_hash, every_us) on asked.key_hash = bucket.key_hash
             order by bucket.key_hash
             for update of bucket
         )
         update limits set full_at = full_at - every_us * interval '1 microsecond'
         from held where held.key_hash = limits.key_hash",
        &keys,
        &every,
    )
    .execute(tx.conn())
    .await?;
    Ok(())
}

/// Forgets at most a thousand buckets that are full: they say nothing any more. Returns how many.
pub async fn forget_full(tx: &mut SystemTx) -> Result<i64, StoreError> {
    let forgotten = sqlx::query!(
        "delete from limits where key_hash in
             (select key_hash from limits where full_at < berth.now() limit 1000 for update skip locked)"
    )
    .execute(tx.conn())
    .await?;
    Ok(i64::try_from(forgotten.rows_affected()).unwrap_or(i64::MAX))
}

/// At most thirty years, which a timestamp bears.
fn micros(time: Duration) -> i64 {
    const MOST: u64 = 30 * 366 * 86_400 * 1_000_000;
    i64::try_from(u64::try_from(time.as_micros()).unwrap_or(MOST).min(MOST)).unwrap_or(i64::MAX)
}
