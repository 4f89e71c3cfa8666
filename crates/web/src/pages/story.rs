//! An agent's timeline, told: runs (somebody asked for something), and in each its steps.

mod teller;

use chrono::{DateTime, Utc};
use domain::{
    agent::{Agent, Seen},
    exchange::ExchangeKind,
    life::Life,
    timeline::{Entry, Usual},
};

use crate::pages::{
    story::teller::Teller,
    words::{Moment, took},
};

/// What somebody asked for, and everything that came of it.
#[derive(Debug, Clone)]
pub struct Run {
    /// "Ada asked to create it".
    pub title: String,
    /// When.
    pub at: Moment,
    /// In the order in which it happened.
    pub rows: Vec<Row>,
    /// Whether the newest run is told in full at first sight.
    pub is_open: bool,
    /// From the first step to the last.
    pub total: Option<String>,
    /// When it began, for the order of runs.
    began: DateTime<Utc>,
    /// Set for a line of its own: questions that were asked, which belong to no run.
    asked: Option<Asked>,
}

/// Questions of one kind and with one end, one after the other.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Asked {
    kind: Option<ExchangeKind>,
    ok: bool,
    times: u32,
    /// How many runs had begun: another run in between begins another line.
    after: usize,
}

impl Run {
    /// Whether it is a line without steps.
    #[must_use]
    pub const fn is_line(&self) -> bool {
        self.asked.is_some()
    }

    /// Whether a line tells of something that did not work.
    #[must_use]
    pub fn is_fault(&self) -> bool {
        self.asked.is_some_and(|asked| !asked.ok)
    }
}

/// One line of a run.
#[derive(Debug, Clone)]
pub struct Row {
    /// `done`, `running`, `next`, `live`, `failed`, `off`, `attention`, `note`.
    pub mark: &'static str,
    /// The same for those who hear the page.
    pub mark_word: &'static str,
    /// What it is.
    pub text: String,
    /// More about it: why it was tried again, what went wrong.
    pub notes: Vec<String>,
    /// When it began.
    pub began: Option<Moment>,
    /// When it ended.
    pub ended: Option<Moment>,
    /// How long it took, or has taken so far.
    pub took: Option<String>,
    /// What is usual for it.
    pub usual: Option<Ordinary>,
    /// Milliseconds so far, for the bar of a running step.
    pub so_far_ms: i64,
    step: Option<String>,
}

/// What is usual for a step here.
#[derive(Debug, Clone)]
pub struct Ordinary {
    /// Half of the runs took at most this.
    pub p50: String,
    /// 95 of 100 took at most this.
    pub p95: String,
    /// The same in milliseconds, at least 1.
    pub p95_ms: i64,
    p50_ms: i64,
}

/// The story, newest run first, and what it says about now.
#[derive(Debug, Clone, Default)]
pub struct Story {
    /// Newest first.
    pub runs: Vec<Run>,
    /// The step under way: "Making the machine: 12 s so far, usually 24 s."
    pub now: Option<String>,
    /// "Usually live in about 30 s."
    pub forecast: Option<String>,
    /// The tries of the newest run that did not work.
    pub tried: Vec<String>,
    /// The highest number told; the page follows from here.
    pub seq: i64,
}

/// The steps from nothing to live, in order.
const WAY: [&str; 6] = ["reserve", "create", "await", "hello", "apply", "prove"];

/// Tells the entries, oldest first, as runs.
#[must_use]
pub fn tell(entries: &[Entry], usual: &[Usual], agent: &Agent, now: DateTime<Utc>) -> Story {
    let mut teller = Teller::new(usual, now);
    for entry in entries {
        teller.hear(entry);
    }
    let Teller { mut runs, lines, .. } = teller;
    let mut story = Story { seq: entries.last().map_or(0, |entry| entry.seq), ..Story::default() };
    if let Some(run) = runs.last_mut() {
        run.is_open = true;
        story.tried = run
            .rows
            .iter()
            .filter(|row| row.step.is_some())
            .flat_map(|row| row.notes.iter().map(|note| format!("{}: {note}", row.text)))
            .collect();
        look_ahead(run, usual, agent, &mut story);
    }
    runs.extend(lines);
    runs.sort_by_key(|run| std::cmp::Reverse(run.began));
    story.runs = runs;
    story
}

/// What comes next, and when it is usually done.
fn look_ahead(run: &mut Run, usual: &[Usual], agent: &Agent, story: &mut Story) {
    let Some(row) = run.rows.iter().rev().find(|row| row.mark == "running") else { return };
    let ordinary_now = row.usual.clone();
    let (text, so_far) = (row.text.clone(), row.so_far_ms);
    let here = row.step.clone().unwrap_or_default();
    run.total = None;
    story.now = Some(match &ordinary_now {
        Some(usual) => format!("{text}: {} so far, usually {}.", took(so_far), usual.p50),
        None => format!("{text}: {} so far.", took(so_far)),
    });
    if !matches!(agent.seen, Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. }) {
        return;
    }
    let from = WAY.iter().position(|step| *step == here).map_or(3, |place| place + 1);
    let mut left = ordinary_now.map(|usual| (usual.p50_ms - so_far).max(0));
    for step in WAY.iter().skip(from) {
        let usual = ordinary(usual, step);
        left = left.zip(usual.as_ref()).map(|(left, usual)| left + usual.p50_ms);
        let text = Life::sentence(step).to_owned();
        run.rows.push(Row {
            mark: "next",
            mark_word: "to come",
            text,
            notes: Vec::new(),
            began: None,
            ended: None,
            took: None,
            usual,
            so_far_ms: 0,
            step: None,
        });
    }
    story.forecast = left.map(|left| match left {
        ..1500 => "Usually live any moment now.".to_owned(),
        _ => format!("Usually live in about {}.", took(left / 1000 * 1000 + 9).replace(".0 s", " s")),
    });
}

fn ordinary(usual: &[Usual], step: &str) -> Option<Ordinary> {
    let usual = usual.iter().find(|usual| usual.step == step && usual.runs > 0)?;
    Some(Ordinary {
        p50: took(usual.p50_ms),
        p95: took(usual.p95_ms),
        p95_ms: usual.p95_ms.max(1),
        p50_ms: usual.p50_ms,
    })
}

#[cfg(test)]
mod tests {
    use domain::timeline::Happening;

    use super::*;
    use crate::pages::samples;

    #[test]
    fn a_running_step_shows_what_is_usual_and_what_comes_next() {
        let (agent, entries, usual, now) = samples::preparing();
        let story = tell(&entries, &usual, &agent, now);
        let marks: Vec<_> = story.runs[0].rows.iter().map(|row| row.mark).collect();
        assert_eq!(marks, ["done", "running", "next", "next", "next", "next"]);
        assert_eq!(story.now.as_deref(), Some("Making the machine: 7.6 s so far, usually 6.1 s."));
        assert!(story.forecast.unwrap().starts_with("Usually live in about"));
    }

    /// A log that was asked for while or after a proof is no part of that proof.
    #[test]
    fn questions_have_lines_of_their_own() {
        let (agent, mut entries, usual, now) = samples::live();
        let exchange = domain::ExchangeId::from_uuid(uuid::Uuid::nil());
        let mut ask = |kind, ok, seconds| {
            let what = Happening::Exchanged { exchange, ok, kind: Some(kind) };
            entries.push(Entry { seq: 100, at: now - chrono::TimeDelta::seconds(seconds), what });
        };
        ask(ExchangeKind::Logs, true, 5);
        ask(ExchangeKind::Logs, true, 4);
        ask(ExchangeKind::Turn, false, 3);
        let story = tell(&entries, &usual, &agent, now);
        let told: Vec<_> = story.runs.iter().map(|run| (run.title.as_str(), run.is_line(), run.is_fault())).collect();
        assert_eq!(
            told,
            [
                ("A question was not answered", true, true),
                ("The log was read 3 times", true, false),
                ("ada@harbour.example asked to prove it", false, false),
                ("A question was answered", true, false),
                ("ada@harbour.example asked to create it", false, false),
            ]
        );
        let steps = story.runs.iter().flat_map(|run| &run.rows).map(|row| row.text.as_str());
        assert!(!steps.into_iter().any(|text| text.contains("uestion") || text.contains("log")), "inside a run");
        assert!(story.runs[2].is_open, "the newest run is told in full, whatever was asked since");
    }

    #[test]
    fn a_failure_tells_what_was_tried() {
        let (agent, entries, usual, now) = samples::failed();
        let story = tell(&entries, &usual, &agent, now);
        assert_eq!(story.tried.len(), 1, "{:?}", story.tried);
        assert!(story.tried[0].contains("4 tries"));
        assert!(story.runs[0].rows.iter().all(|row| row.mark != "running"));
    }
}
