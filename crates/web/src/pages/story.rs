//! An agent's timeline, told: runs (somebody asked for something), and in each its steps.

use chrono::{DateTime, Utc};
use domain::{
    agent::{Agent, Seen},
    exchange::ExchangeKind,
    life::Life,
    timeline::{Entry, Happening, Usual},
};

use crate::pages::words::{self, Moment, as_sentence, took};

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
    let mut teller = Teller { usual, now, runs: Vec::new(), began: Vec::new(), lines: Vec::new() };
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

struct Teller<'a> {
    usual: &'a [Usual],
    now: DateTime<Utc>,
    runs: Vec<Run>,
    began: Vec<DateTime<Utc>>,
    /// Questions, which happen beside the runs.
    lines: Vec<Run>,
}

impl Teller<'_> {
    fn hear(&mut self, entry: &Entry) {
        let (at, now) = (entry.at, self.now);
        match &entry.what {
            Happening::Asked { what, by } => self.begin(format!("{by} asked to {}", wish(what)), at),
            Happening::Wanted { .. } => {}
            Happening::StepStarted { step } => {
                if !is_rest(step) {
                    let usual = ordinary(self.usual, step);
                    let so_far_ms = (now - at).num_milliseconds().max(0);
                    let row = Row {
                        usual,
                        so_far_ms,
                        took: Some(took(so_far_ms)),
                        step: Some(step.clone()),
                        ..self.row("running", Life::sentence(step), at)
                    };
                    self.push(row, at);
                }
            }
            Happening::StepEnded { step, took_ms } => {
                let total = self.began.last().map(|began| took((at - *began).num_milliseconds()));
                let (ended, took) = (Some(Moment::new(at, now)), Some(took(*took_ms)));
                if let Some(row) = self.running(step) {
                    (row.mark, row.mark_word, row.ended, row.took) = ("done", "done", ended, took);
                } else if !is_rest(step) {
                    // The first step begins with the flow itself and is told when it ends.
                    let began = at - chrono::TimeDelta::milliseconds(*took_ms);
                    let usual = ordinary(self.usual, step);
                    let row = self.row("done", Life::sentence(step), began);
                    self.push(Row { usual, ended, took, step: Some(step.clone()), ..row }, began);
                }
                if let Some(run) = self.runs.last_mut() {
                    run.total = total;
                }
            }
            Happening::StepRetried { step, why, attempt } => {
                if let Some(row) = self.running(step) {
                    let tries = if *attempt == 1 { "1 try".to_owned() } else { format!("{attempt} tries") };
                    row.notes = vec![format!("{tries} did not work. The last time: {}", as_sentence(why))];
                }
            }
            Happening::Seen { seen } => self.see(seen, at),
            Happening::MachineTaken { spare } => {
                let text = if *spare {
                    "Took a spare machine that was ready"
                } else {
                    "No spare machine was ready: a new one is made, which takes longer"
                };
                let row = self.row("note", text, at);
                self.push(row, at);
            }
            Happening::Proof { proof } => {
                let latency = proof.latency_ms.map(|ms| format!(" in {}", took(i64::from(ms)))).unwrap_or_default();
                let (mark, text) = if proof.ok {
                    ("done", format!("Proof: it answered{latency}"))
                } else {
                    ("failed", "Proof: no right answer".to_owned())
                };
                let notes = proof.why.iter().map(|why| as_sentence(why)).collect();
                let row = Row { notes, ..self.row(mark, text, at) };
                self.push(row, at);
            }
            Happening::Exchanged { ok, kind, .. } => self.exchanged(*kind, *ok, at),
        }
    }

    /// A line beside the runs; several of a kind become one.
    fn exchanged(&mut self, kind: Option<ExchangeKind>, ok: bool, at: DateTime<Utc>) {
        let after = self.runs.len();
        let same =
            |run: &&mut Run| run.asked.is_some_and(|asked| (asked.kind, asked.ok, asked.after) == (kind, ok, after));
        if let Some(run) = self.lines.last_mut().filter(same) {
            let times = run.asked.map_or(1, |asked| asked.times) + 1;
            run.asked = Some(Asked { kind, ok, times, after });
            (run.title, run.at) = (questions(kind, ok, times), Moment::new(at, self.now));
            return;
        }
        self.lines.push(Run {
            title: questions(kind, ok, 1),
            at: Moment::new(at, self.now),
            rows: Vec::new(),
            is_open: false,
            total: None,
            began: at,
            asked: Some(Asked { kind, ok, times: 1, after }),
        });
    }

    fn see(&mut self, seen: &Seen, at: DateTime<Utc>) {
        let text = match seen {
            Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. } | Seen::Deleting { .. } => return,
            Seen::Live { .. } => "Live",
            Seen::Degraded { .. } => "Not answering as it should",
            Seen::Stopped { .. } => "Stopped",
            Seen::Failed { .. } => "Berth gave up",
        };
        if let Some(row) = self.runs.last_mut().and_then(|run| run.rows.last_mut()).filter(|row| row.mark == "running")
        {
            // A step that never ended well: what was seen ended it.
            (row.mark, row.mark_word, row.ended) = ("failed", "did not end well", Some(Moment::new(at, self.now)));
        }
        if matches!(seen, Seen::Failed { .. }) {
            let total = self.began.last().map(|began| took((at - *began).num_milliseconds()));
            if let Some(run) = self.runs.last_mut() {
                run.total = total;
            }
        }
        let notes = seen.why().map(as_sentence).into_iter().collect();
        let row = Row { notes, ..self.row(words::tone(seen), text, at) };
        self.push(row, at);
    }

    fn row(&self, mark: &'static str, text: impl Into<String>, at: DateTime<Utc>) -> Row {
        let mark_word = match mark {
            "running" => "under way",
            "failed" => "failed",
            "attention" => "attention",
            "note" => "note",
            _ => "done",
        };
        let began = Some(Moment::new(at, self.now));
        Row {
            mark,
            mark_word,
            text: text.into(),
            notes: Vec::new(),
            began,
            ended: None,
            took: None,
            usual: None,
            so_far_ms: 0,
            step: None,
        }
    }

    fn begin(&mut self, title: String, at: DateTime<Utc>) {
        let (rows, is_open, total, asked) = (Vec::new(), false, None, None);
        self.runs.push(Run { title, at: Moment::new(at, self.now), rows, is_open, total, began: at, asked });
        self.began.push(at);
    }

    fn push(&mut self, row: Row, at: DateTime<Utc>) {
        if self.runs.is_empty() {
            self.begin("Earlier".to_owned(), at);
        }
        if let Some(run) = self.runs.last_mut() {
            run.rows.push(row);
        }
    }

    fn running(&mut self, step: &str) -> Option<&mut Row> {
        let rows = self.runs.iter_mut().rev().flat_map(|run| run.rows.iter_mut().rev());
        rows.into_iter().find(|row| row.mark == "running" && row.step.as_deref() == Some(step))
    }
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

/// `The log was read 3 times`, `A question was not answered`.
fn questions(kind: Option<ExchangeKind>, ok: bool, times: u32) -> String {
    let is_log = kind == Some(ExchangeKind::Logs);
    match (is_log, ok, times) {
        (true, true, 1) => "The log was read".to_owned(),
        (true, true, _) => format!("The log was read {times} times"),
        (true, false, 1) => "The log could not be read".to_owned(),
        (true, false, _) => format!("The log could not be read, {times} times"),
        (false, true, 1) => "A question was answered".to_owned(),
        (false, true, _) => format!("{times} questions were answered"),
        (false, false, 1) => "A question was not answered".to_owned(),
        (false, false, _) => format!("{times} questions were not answered"),
    }
}

fn is_rest(step: &str) -> bool {
    matches!(step, "live" | "stopped" | "failed")
}

fn wish(what: &str) -> &str {
    match what {
        "create" => "create it",
        "stop" => "stop it",
        "start" => "start it",
        "restart" => "restart it",
        "proof" => "prove it",
        "retry" => "try again",
        "delete" => "delete it",
        other => other,
    }
}

#[cfg(test)]
mod tests {
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
