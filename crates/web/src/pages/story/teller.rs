//! Makes runs of entries: what was asked begins one, what happened then belongs to it.

use chrono::{DateTime, Utc};
use domain::{
    agent::Seen,
    exchange::ExchangeKind,
    life::Life,
    timeline::{Entry, Happening, Usual},
};

use super::{Asked, Row, Run, ordinary};
use crate::pages::words::{self, Moment, as_sentence, took};

/// Hears one entry after the other.
pub(super) struct Teller<'a> {
    usual: &'a [Usual],
    now: DateTime<Utc>,
    pub(super) runs: Vec<Run>,
    began: Vec<DateTime<Utc>>,
    /// Questions, which happen beside the runs.
    pub(super) lines: Vec<Run>,
}

impl<'a> Teller<'a> {
    pub(super) const fn new(usual: &'a [Usual], now: DateTime<Utc>) -> Self {
        Self { usual, now, runs: Vec::new(), began: Vec::new(), lines: Vec::new() }
    }

    pub(super) fn hear(&mut self, entry: &Entry) {
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
            Happening::MachineSized { size } => {
                let text = match size.to_string().as_str() {
                    "" => "Its machine was given the size that machines have here".to_owned(),
                    size => format!("Its machine was given what the plan holds: {size}"),
                };
                let row = self.row("note", &text, at);
                self.push(row, at);
            }
            Happening::KeysReplaced { machine_key } => {
                let text = if *machine_key {
                    "Its gateway token and its machine key were replaced"
                } else {
                    "Its gateway token was replaced; its machine is of an image that cannot change its machine key"
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

/// `The log was read 3 times`, `A question was not answered`.
fn questions(kind: Option<ExchangeKind>, ok: bool, times: u32) -> String {
    match (kind, ok) {
        (Some(ExchangeKind::Pairings), true) => return "Who waits at its channels was looked up".to_owned(),
        (Some(ExchangeKind::Pairings), false) => return "Who waits at its channels could not be looked up".to_owned(),
        (Some(ExchangeKind::Approve), true) => return "Somebody was let in at a channel".to_owned(),
        (Some(ExchangeKind::Approve), false) => return "Somebody could not be let in at a channel".to_owned(),
        _ => {}
    }
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
        "rotate" => "replace its gateway token and machine key",
        "retry" => "try again",
        "delete" => "delete it",
        "set telegram" => "give it a Telegram bot",
        "remove telegram" => "take its Telegram bot away",
        "set slack" => "give it a Slack app",
        "remove slack" => "take its Slack app away",
        "set discord" => "give it a Discord bot",
        "remove discord" => "take its Discord bot away",
        "set variable" => "give it a variable",
        "remove variable" => "take a variable away",
        other => other,
    }
}
