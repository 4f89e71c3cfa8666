//! What leaves the house when an alert is told: ids, times and one sentence; no secret, no tenant's words.

use chrono::SecondsFormat;
use clients::mail::Subject;
use domain::alert::{Due, Related};
use serde_json::json;
use store::notices::Told;

/// Most characters of the sentence, which may hold a provider's own words.
const SENTENCE_CHARS_MAX: usize = 500;

/// One firing of one alert, in words.
pub(super) struct Words<'a> {
    pub(super) told: &'a Told,
    pub(super) due: Due,
    pub(super) base: &'a str,
}

impl Words<'_> {
    /// `[critical] An agent's flow gave up: agt_…`, later `[closed] …`
    pub(super) fn subject(&self) -> Subject {
        let Told { severity, kind, subject, closed_at, .. } = self.told;
        let state = if closed_at.is_some() { "closed" } else { severity.name() };
        Subject::of(&format!("[{state}] {}: {subject}", kind.title()))
    }

    /// The mail's text.
    pub(super) fn text(&self) -> String {
        let told = self.told;
        let related = Related::of(&told.subject);
        let mut lines = vec![
            format!("{}. {}", told.kind.title(), told.severity.sentence()),
            String::new(),
            self.sentence(),
            String::new(),
            format!("About:    {} {}", related.kind(), related.id()),
            format!("Opened:   {}", time(told.opened_at)),
            format!("Seen:     {}, last at {}", times(told.sightings), time(told.seen_at)),
        ];
        lines.extend(told.closed_at.map(|at| format!("Closed:   {}, by itself", time(at))));
        lines.extend([
            format!("Firing:   {}", self.due.firing),
            String::new(),
            format!(
                "Look{} {}",
                if told.closed_at.is_some() { ":                " } else { " and acknowledge:" },
                self.address()
            ),
            format!("What to do:           {}", told.kind.runbook()),
            String::new(),
            match told.closed_at {
                Some(_) => "It was seen to be right. Nothing more comes of this alert.",
                None => "It fires again, later and later, until somebody acknowledges it or the trouble is over.",
            }
            .to_owned(),
        ]);
        lines.join("\n") + "\n"
    }

    /// The webhook's body.
    pub(super) fn json(&self) -> Vec<u8> {
        let told = self.told;
        let related = Related::of(&told.subject);
        let body = json!({
            "type": if told.closed_at.is_some() { "alert.closed" } else { "alert.fired" },
            "timestamp": time(told.fired_at.unwrap_or(told.opened_at)),
            "data": {
                "id": told.id,
                "delivery": self.due.id,
                "firing": self.due.firing,
                "kind": told.kind,
                "severity": told.severity,
                "title": told.kind.title(),
                "message": self.sentence(),
                "related": { "kind": related.kind(), "id": related.id() },
                "opened_at": time(told.opened_at),
                "seen_at": time(told.seen_at),
                "sightings": told.sightings,
                "closed_at": told.closed_at.map(time),
                "url": self.address(),
                "runbook": told.kind.runbook(),
            },
        });
        body.to_string().into_bytes()
    }

    fn sentence(&self) -> String {
        let plain = self.told.message.chars().map(|c| if c.is_control() { ' ' } else { c });
        plain.take(SENTENCE_CHARS_MAX).collect()
    }

    fn address(&self) -> String {
        format!("{}/admin/alerts/{}", self.base, self.told.id)
    }
}

fn times(count: u32) -> String {
    if count == 1 { "once".to_owned() } else { format!("{count} times") }
}

fn time(at: chrono::DateTime<chrono::Utc>) -> String {
    at.to_rfc3339_opts(SecondsFormat::Secs, true)
}
