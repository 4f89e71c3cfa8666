//! Jobs: asking for a run, and when they run by themselves.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use domain::{
    Entropy,
    entropy::mint,
    job::{AskedBy, CatchUp, Job},
};
use serde_json::{Value, json};
use store::{StoreError, SystemTx, flows::NewFlow};
use uuid::Uuid;

/// Kind of the flow that looks at every machine.
pub const SWEEP: &str = "sweep";
/// Kind of the flow that keeps the spares.
pub const REFILL: &str = "refill";
/// Kind of the flow that forgets.
pub const RETENTION: &str = "retention";

/// A tick found later than this was missed: no worker ran then.
const MISSED: Duration = Duration::from_mins(1);

/// Asks for a run, or joins the one under way. Returns what to wait for.
///
/// # Errors
/// The database.
pub async fn ask(tx: &mut SystemTx, entropy: &dyn Entropy, job: Job, by: AskedBy) -> Result<Uuid, StoreError> {
    let (run, new) = store::jobs::ask(tx, job, by, entropy.uuid()).await?;
    if new {
        let (kind, step, deadline) = match job {
            // Somebody waits for what cron asked; the schedule's own run may take its time.
            Job::Health => (SWEEP, json!({ "step": "spread", "calm": by == AskedBy::Schedule }), 10),
            Job::Pool => (REFILL, json!({ "step": "count" }), 5),
            Job::Retention => (RETENTION, json!({ "step": "forget" }), 30),
        };
        let deadline = Some(Duration::from_mins(deadline));
        store::flows::start_house(tx, &NewFlow { id: mint(entropy), kind, subject: run, step, deadline }).await?;
    }
    Ok(run)
}

/// What a run did, once it ended.
///
/// # Errors
/// The database.
pub async fn counts(tx: &mut SystemTx, run: Uuid) -> Result<Option<Value>, StoreError> {
    store::jobs::counts(tx, run).await
}

/// Gives every job its first schedule. Schedules that an operator changed stay as they are.
///
/// # Errors
/// The database.
pub async fn plant_schedules(tx: &mut SystemTx) -> Result<(), StoreError> {
    let now = store::house::now(tx).await?;
    for job in Job::EVERY {
        let next = next_tick(job.default_cron(), now).unwrap_or(now);
        store::schedules::plant(tx, job, job.default_cron(), job.catch_up(), next).await?;
    }
    Ok(())
}

/// Starts a run of each job whose tick has come, and moves its schedule on. Each tick has one owner: the
/// transaction that holds the schedule's row. Returns the jobs that were started.
///
/// # Errors
/// The database.
pub async fn tick(tx: &mut SystemTx, entropy: &dyn Entropy) -> Result<Vec<Job>, StoreError> {
    let now = store::house::now(tx).await?;
    let mut started = Vec::new();
    for schedule in store::schedules::due(tx).await? {
        // A row of a newer build's job, or one edited by hand: looked at again tomorrow, not every second.
        let next = next_tick(&schedule.cron, now).unwrap_or(now + Duration::from_hours(24));
        let missed = (now - schedule.next_at).to_std().unwrap_or_default() > MISSED;
        let runs = !(missed && schedule.catch_up == CatchUp::Skip.name());
        let job = Job::parse(&schedule.job).filter(|_| runs);
        if let Some(job) = job {
            ask(tx, entropy, job, AskedBy::Schedule).await?;
            started.push(job);
        }
        store::schedules::move_on(tx, &schedule.job, next, job.is_some()).await?;
    }
    Ok(started)
}

/// Why a schedule was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// It is no cron expression that ever comes true.
    #[error("`{cron}` is no cron expression: five fields (minute hour day month weekday), in UTC, like `*/5 * * * *`")]
    Cron {
        /// What was given.
        cron: String,
    },
    /// There is no such schedule yet: no worker has started.
    #[error("there is no schedule for this job yet; start a worker once")]
    Unknown,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Sets when a job runs by itself.
///
/// # Errors
/// [`ScheduleError`]; nothing is changed then.
pub async fn set_schedule(tx: &mut SystemTx, job: Job, cron: &str, enabled: bool) -> Result<(), ScheduleError> {
    let now = store::house::now(tx).await?;
    let unreadable = || ScheduleError::Cron { cron: cron.chars().take(80).collect() };
    let next = next_tick(cron, now).ok_or_else(unreadable)?;
    if store::schedules::set(tx, job, cron.trim(), enabled, next).await? { Ok(()) } else { Err(ScheduleError::Unknown) }
}

/// The first tick after `now`. `None`: no cron expression, or one that never comes true.
#[must_use]
pub fn next_tick(cron: &str, now: DateTime<Utc>) -> Option<DateTime<Utc>> {
    // Five fields: a job every second is nobody's wish.
    if cron.len() > 100 || cron.split_whitespace().count() != 5 {
        return None;
    }
    cron.parse::<Cron>().ok()?.find_next_occurrence(&now, false).ok()
}

/// A cron expression in words, for pages.
#[must_use]
pub fn in_words(cron: &str) -> Option<String> {
    Some(cron.parse::<Cron>().ok()?.describe())
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::TimeZone as _;

    #[test]
    fn the_next_tick_is_after_now_in_utc() {
        let now = Utc.with_ymd_and_hms(2026, 2, 28, 23, 58, 30).unwrap();
        for (cron, next) in [
            ("*/5 * * * *", (2026, 3, 1, 0, 0)),
            ("* * * * *", (2026, 2, 28, 23, 59)),
            ("17 3 * * *", (2026, 3, 1, 3, 17)),
            ("0 0 29 2 *", (2028, 2, 29, 0, 0)),
        ] {
            let (y, m, d, h, min) = next;
            assert_eq!(next_tick(cron, now), Some(Utc.with_ymd_and_hms(y, m, d, h, min, 0).unwrap()), "{cron}");
        }
    }

    #[test]
    fn what_is_no_schedule_is_none() {
        let now = Utc.with_ymd_and_hms(2026, 1, 1, 0, 0, 0).unwrap();
        let long = "1,".repeat(5000);
        for cron in ["", "x", "* * * * * *", "61 * * * *", "0 0 31 2 *", "* * * *", "*/0 * * * *", &long] {
            assert_eq!(next_tick(cron, now), None, "{}", &cron[..cron.len().min(20)]);
        }
    }

    #[test]
    fn every_job_has_a_schedule_that_comes_true() {
        for job in Job::EVERY {
            assert!(next_tick(job.default_cron(), DateTime::UNIX_EPOCH).is_some(), "{}", job.name());
            assert!(in_words(job.default_cron()).is_some_and(|words| !words.is_empty()));
        }
    }
}
