//! Jobs: asking for a run, and when they run by themselves.

use std::time::Duration;

use chrono::{DateTime, Utc};
use croner::Cron;
use domain::{
    Entropy,
    audit::Act,
    billing::ReconcileStep,
    entropy::mint,
    job::{AskedBy, CatchUp, Job},
    people::Caller,
};
use serde_json::{Value, json};
use store::{StoreError, SystemTx, flows::NewFlow, jobs::Asker};
use uuid::Uuid;

use crate::{audit, reconciliation::RECONCILIATION};

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
    Ok(begin(tx, entropy, job, Asker { by, operator: None }).await?.0)
}

/// Why a run was not begun.
#[derive(Debug, thiserror::Error)]
pub enum RunJobError {
    /// Only who runs the service.
    #[error("only an operator runs a job")]
    Forbidden,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// The same on an operator's word, who is named with the run. Asking while one is under way joins it.
///
/// # Errors
/// [`RunJobError`].
pub async fn run_now(tx: &mut SystemTx, entropy: &dyn Entropy, job: Job, by: &Caller) -> Result<Uuid, RunJobError> {
    if !by.is_operator {
        return Err(RunJobError::Forbidden);
    }
    let (run, is_new) = begin(tx, entropy, job, Asker { by: AskedBy::Operator, operator: Some(by.user) }).await?;
    if is_new {
        audit::record_house(tx, by, Act::JobRun, &run, &[("job", job.name())]).await?;
    }
    Ok(run)
}

/// The run, and whether it is a new one.
async fn begin(tx: &mut SystemTx, entropy: &dyn Entropy, job: Job, asker: Asker) -> Result<(Uuid, bool), StoreError> {
    let (run, new) = store::jobs::ask(tx, job, asker, entropy.uuid()).await?;
    if new {
        let (kind, step, deadline) = match job {
            // Somebody waits for what cron asked; the schedule's own run may take its time.
            Job::Health => (SWEEP, json!({ "step": "spread", "calm": asker.by == AskedBy::Schedule }), 10),
            Job::Pool => (REFILL, json!({ "step": "count" }), 5),
            Job::Retention => (RETENTION, json!({ "step": "forget" }), 30),
            Job::Billing => (RECONCILIATION, json!(ReconcileStep::first()), 30),
        };
        let deadline = Some(Duration::from_mins(deadline));
        store::flows::start_house(tx, &NewFlow { id: mint(entropy), kind, subject: run, step, deadline }).await?;
    }
    Ok((run, new))
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

/// What shall be different about a schedule. What is `None` stays as it is.
#[derive(Debug, Clone, Copy, Default)]
pub struct ScheduleChange<'a> {
    /// When: a cron expression, in UTC.
    pub cron: Option<&'a str>,
    /// Whether it runs by itself.
    pub enabled: Option<bool>,
    /// What becomes of ticks that were missed.
    pub catch_up: Option<CatchUp>,
}

/// Why a schedule was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ScheduleError {
    /// Only who runs the service.
    #[error("only an operator changes a schedule")]
    Forbidden,
    /// It is no cron expression that ever comes true.
    #[error(
        "`{cron}` is no time that comes: write five fields (minute hour day month weekday), in UTC, like `*/5 * * * *`"
    )]
    Cron {
        /// What was given, its beginning.
        cron: String,
    },
    /// There is no such schedule yet: no worker has started.
    #[error("there is no schedule for this job yet: start a worker once (`berth all` or `berth work`)")]
    Unknown,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Changes when a job runs by itself. What was missed until now is not made up for.
///
/// # Errors
/// [`ScheduleError`]; nothing is changed then.
pub async fn set_schedule(
    tx: &mut SystemTx,
    job: Job,
    change: ScheduleChange<'_>,
    by: &Caller,
) -> Result<(), ScheduleError> {
    if !by.is_operator {
        return Err(ScheduleError::Forbidden);
    }
    let mut schedule = store::schedules::hold(tx, job).await?.ok_or(ScheduleError::Unknown)?;
    if let Some(cron) = change.cron {
        cron.trim().clone_into(&mut schedule.cron);
    }
    schedule.enabled = change.enabled.unwrap_or(schedule.enabled);
    if let Some(catch_up) = change.catch_up {
        catch_up.name().clone_into(&mut schedule.catch_up);
    }
    let now = store::house::now(tx).await?;
    let unreadable = || ScheduleError::Cron { cron: schedule.cron.chars().take(80).collect() };
    schedule.next_at = next_tick(&schedule.cron, now).ok_or_else(unreadable)?;
    store::schedules::set(tx, &schedule, by.user).await?;
    let enabled = if schedule.enabled { "true" } else { "false" };
    let details = [("cron", &*schedule.cron), ("enabled", enabled), ("catch_up", &*schedule.catch_up)];
    Ok(audit::record_house(tx, by, Act::ScheduleChange, &job.name(), &details).await?)
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

/// The first `count` ticks after `now`; fewer where there are no more.
#[must_use]
pub fn next_ticks(cron: &str, now: DateTime<Utc>, count: usize) -> Vec<DateTime<Utc>> {
    std::iter::successors(next_tick(cron, now), |tick| next_tick(cron, *tick)).take(count).collect()
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
    fn ticks_follow_each_other() {
        let now = Utc.with_ymd_and_hms(2026, 12, 31, 23, 51, 30).unwrap();
        let said: Vec<String> =
            next_ticks("*/5 * * * *", now, 3).iter().map(|at| at.format("%j %H:%M").to_string()).collect();
        assert_eq!(said, ["365 23:55", "001 00:00", "001 00:05"]);
        assert!(next_ticks("never", now, 3).is_empty());
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
