//! `/admin/schedules`: when jobs run by themselves, what their last runs did, and a button for now.

use app::jobs::{ScheduleChange, ScheduleError};
use askama::Template;
use axum::{extract::State, response::Response};
use domain::job::{AskedBy, CatchUp, Job};
use http::StatusCode;
use serde_json::Value;
use store::job_views::{JobRun, ScheduleView};

use crate::{
    api::{
        admin::schedules::{TIMES_TOLD, does},
        agents::sentence,
    },
    body::{AtJob, Form},
    guard::Operator,
    pages::{
        self,
        admin::{Look, frame},
        frame::Frame,
        words::{Moment, as_sentence, took},
    },
    problem::Problem,
    state::Web,
};

/// Runs of each job on this page; older ones are in the API.
const RUNS: i64 = 5;

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/schedules.html")]
pub(crate) struct SchedulesPage {
    frame: Frame,
    tab: &'static str,
    base: String,
    is_running: bool,
    schedules: Vec<Line>,
}

/// One job.
#[derive(Debug)]
struct Line {
    job: String,
    does: &'static str,
    tone: &'static str,
    state: &'static str,
    cron: String,
    in_words: String,
    enabled: bool,
    missed: &'static str,
    next: Vec<Moment>,
    last: Option<Moment>,
    changed: Option<(Moment, String)>,
    running: Option<RunLine>,
    runs: Vec<RunLine>,
    typed: Typed,
    cron_fault: Option<String>,
    catch_up_fault: Option<String>,
}

/// What stands in the form.
#[derive(Debug, Clone)]
pub(crate) struct Typed {
    pub cron: String,
    pub enabled: bool,
    pub catch_up: String,
}

/// What is wrong with the form.
#[derive(Debug, Clone)]
pub(crate) enum Fault {
    /// With the expression.
    Cron(String),
    /// With the choice.
    CatchUp(String),
}

/// One run of a job.
#[derive(Debug, Clone)]
pub(crate) struct RunLine {
    pub at: Moment,
    pub by: String,
    pub tone: &'static str,
    pub state: &'static str,
    pub took: String,
    pub did: String,
    pub flow: Option<String>,
    /// Since when, for a clock that goes on; empty once it ended.
    pub since: String,
}

impl SchedulesPage {
    /// `runs` are those of all jobs, newest first within a job; `base` is where people reach Berth.
    pub(crate) fn new(rows: Vec<ScheduleView>, runs: &[JobRun], base: &str, look: Look<'_>) -> Self {
        let is_running = runs.iter().any(|run| run.ended_at.is_none());
        Self {
            frame: frame(look.by, "Schedules", "/admin/schedules".to_owned(), "berth"),
            tab: "schedules",
            base: base.to_owned(),
            is_running,
            schedules: rows.into_iter().map(|row| Line::new(row, runs, look)).collect(),
        }
    }

    /// The page again, with the form of this job as it was filled in and what is wrong with it.
    pub(crate) fn refused(mut self, job: Job, typed: &Typed, fault: &Fault) -> Self {
        for line in self.schedules.iter_mut().filter(|line| line.job == job.name()) {
            line.typed = typed.clone();
            match fault {
                Fault::Cron(words) => line.cron_fault = Some(words.clone()),
                Fault::CatchUp(words) => line.catch_up_fault = Some(words.clone()),
            }
        }
        self
    }
}

impl Line {
    fn new(row: ScheduleView, runs: &[JobRun], look: Look<'_>) -> Self {
        let mut runs: Vec<RunLine> =
            runs.iter().filter(|run| run.job == row.job).map(|run| RunLine::new(run, look)).collect();
        // A job has at most one run under way, and it is the newest.
        let running = runs.first().filter(|run| !run.since.is_empty()).cloned();
        if running.is_some() {
            runs.remove(0);
        }
        let (tone, state) = match (row.enabled, running.is_some()) {
            (_, true) => ("working", "running"),
            (true, false) => ("live", "on"),
            (false, false) => ("off", "off"),
        };
        Self {
            does: does(&row.job),
            tone,
            state,
            in_words: app::jobs::in_words(&row.cron)
                .map(|words| as_sentence(&format!("{}, UTC", words.trim_end_matches('.'))))
                .unwrap_or_default(),
            next: app::jobs::next_ticks(&row.cron, row.now, TIMES_TOLD).into_iter().map(|at| look.at(at)).collect(),
            missed: CatchUp::parse(&row.catch_up).map_or("unknown to this build", CatchUp::sentence),
            last: row.last_at.map(|at| look.at(at)),
            changed: row.updated_by.map(|by| (look.at(row.updated_at), by)),
            typed: Typed { cron: row.cron.clone(), enabled: row.enabled, catch_up: row.catch_up.clone() },
            job: row.job,
            cron: row.cron,
            enabled: row.enabled,
            running,
            runs,
            cron_fault: None,
            catch_up_fault: None,
        }
    }

    fn is_refused(&self) -> bool {
        self.cron_fault.is_some() || self.catch_up_fault.is_some()
    }

    /// Every policy with its word, its sentence, and whether the form shows it chosen.
    fn policies(&self) -> [(&'static str, &'static str, bool); 2] {
        CatchUp::EVERY.map(|one| (one.name(), one.sentence(), one.name() == self.typed.catch_up))
    }
}

impl RunLine {
    pub(crate) fn new(run: &JobRun, look: Look<'_>) -> Self {
        let has_failed = run.counts.as_ref().is_some_and(|counts| counts.get("error").is_some());
        let (tone, state) = match (run.ended_at, has_failed) {
            (None, _) => ("working", "running"),
            (Some(_), true) => ("attention", "not finished"),
            (Some(_), false) => ("done", "done"),
        };
        let at = look.at(run.asked_at);
        Self {
            by: who(&run.asked_by, run.operator.as_deref()),
            tone,
            state,
            took: took(run.took_ms()),
            did: run.counts.as_ref().map(in_words).unwrap_or_default(),
            flow: run.flow.map(|flow| flow.to_string()),
            since: if run.ended_at.is_none() { at.iso.clone() } else { String::new() },
            at,
        }
    }
}

/// Who asked for a run.
fn who(by: &str, operator: Option<&str>) -> String {
    let word = |asked: AskedBy| by == asked.name();
    match operator {
        Some(email) => email.to_owned(),
        None if word(AskedBy::Schedule) => "its schedule".to_owned(),
        None if word(AskedBy::Berth) => "Berth: a spare was taken".to_owned(),
        None if word(AskedBy::Operator) => "an operator".to_owned(),
        None => by.to_owned(),
    }
}

/// `wanted 3, ready 2, begun 1`: counts in their own order, in words.
fn in_words(counts: &Value) -> String {
    let said = |(name, value): (&String, &Value)| match value {
        Value::Object(_) => format!("{} ({})", name.replace('_', " "), in_words(value)),
        Value::String(words) if name == "error" => as_sentence(words),
        Value::String(words) => format!("{} {words}", name.replace('_', " ")),
        Value::Null => format!("{} unknown", name.replace('_', " ")),
        Value::Bool(_) | Value::Number(_) | Value::Array(_) => format!("{} {value}", name.replace('_', " ")),
    };
    let told: Vec<String> = counts.as_object().map(|all| all.iter().map(said).collect()).unwrap_or_default();
    if told.is_empty() { "nothing to count".to_owned() } else { told.join(", ") }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator) -> Result<Response, Problem> {
    pages::page(StatusCode::OK, &read(&web, &operator).await?)
}

pub(crate) async fn change(
    State(web): State<Web>,
    operator: Operator,
    AtJob(job): AtJob,
    form: Form,
) -> Result<Response, Problem> {
    let typed = Typed {
        cron: form.field("cron").to_owned(),
        enabled: form.field("enabled") == "true",
        catch_up: form.field("catch_up").to_owned(),
    };
    let Some(catch_up) = CatchUp::parse(&typed.catch_up) else {
        let fault = Fault::CatchUp("Choose what becomes of missed times.".to_owned());
        let page = read(&web, &operator).await?.refused(job, &typed, &fault);
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
    };
    let wish = ScheduleChange { cron: Some(&typed.cron), enabled: Some(typed.enabled), catch_up: Some(catch_up) };
    let mut tx = web.db.system().await?;
    match app::jobs::set_schedule(&mut tx, job, wish, operator.caller()).await {
        Ok(()) => {
            tx.commit().await?;
            Ok(back(job))
        }
        Err(error @ ScheduleError::Cron { .. }) => {
            drop(tx);
            let page = read(&web, &operator).await?.refused(job, &typed, &Fault::Cron(sentence(&error)));
            pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page)
        }
        Err(error @ (ScheduleError::Forbidden | ScheduleError::Unknown | ScheduleError::Store(_))) => Err(error.into()),
    }
}

pub(crate) async fn run(State(web): State<Web>, operator: Operator, AtJob(job): AtJob) -> Result<Response, Problem> {
    begin(&web, &operator, job).await?;
    Ok(back(job))
}

/// Asks for a run, or joins the one under way.
pub(crate) async fn begin(web: &Web, operator: &Operator, job: Job) -> Result<(), Problem> {
    let mut tx = web.db.system().await?;
    app::jobs::run_now(&mut tx, &*web.dice.0, job, operator.caller()).await?;
    tx.commit().await?;
    Ok(())
}

fn back(job: Job) -> Response {
    pages::see_other(&format!("/admin/schedules#{}", job.name()))
}

async fn read(web: &Web, operator: &Operator) -> Result<SchedulesPage, Problem> {
    let mut tx = web.db.system().await?;
    let schedules = store::job_views::schedules(&mut tx).await?;
    let runs = store::job_views::latest(&mut tx, RUNS + 1).await?;
    drop(tx);
    // Times beside each other come from one clock: the database's.
    let now = schedules.first().map_or_else(|| web.dice.now(), |schedule| schedule.now);
    let look = Look { by: operator.caller(), now };
    Ok(SchedulesPage::new(schedules, &runs, &web.site.address(""), look))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn counts_read_as_words() {
        let counts = json!({ "begun": 1, "machines": { "not_ready": 2 }, "provider": null });
        assert_eq!(in_words(&counts), "begun 1, machines (not ready 2), provider unknown");
        assert_eq!(in_words(&json!({ "error": "the refill did not end in time" })), "The refill did not end in time.");
        assert_eq!(in_words(&json!({})), "nothing to count");
    }
}
