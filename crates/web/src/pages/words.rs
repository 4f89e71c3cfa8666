//! Times and states in words, the same on every page.

use chrono::{DateTime, SecondsFormat, Utc};
use domain::{
    agent::{Agent, Seen, Wanted},
    currency::Currency,
};

use crate::api::agents::sentence;

/// A point in time, as pages show it: short, with the exact form behind it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// For `datetime`.
    pub iso: String,
    /// `14:02:31` on the same day, `20 Nov 14:02` otherwise.
    pub short: String,
    /// For `title`.
    pub full: String,
}

impl Moment {
    /// `now` decides whether the day is shown.
    #[must_use]
    pub fn new(at: DateTime<Utc>, now: DateTime<Utc>) -> Self {
        let short = if at.date_naive() == now.date_naive() { "%H:%M:%S" } else { "%-d %b %H:%M" };
        Self {
            iso: at.to_rfc3339_opts(SecondsFormat::Millis, true),
            short: at.format(short).to_string(),
            full: at.format("%-d %B %Y, %H:%M:%S UTC").to_string(),
        }
    }
}

/// `42 ms`, `0.4 s`, `32 s`, `3 min 20 s`, `2 h 5 min`, `3 days`.
#[must_use]
pub fn took(millis: i64) -> String {
    let millis = millis.max(0);
    let seconds = (millis + 500) / 1000;
    match seconds {
        _ if millis < 100 => format!("{millis} ms"),
        _ if millis < 10_000 => format!("{:.1} s", f64::from(i32::try_from(millis).unwrap_or(i32::MAX)) / 1000.0),
        ..60 => format!("{seconds} s"),
        60..3600 if seconds % 60 == 0 => format!("{} min", seconds / 60),
        60..3600 => format!("{} min {} s", seconds / 60, seconds % 60),
        3600..86_400 => format!("{} h {} min", seconds / 3600, seconds % 3600 / 60),
        86_400..172_800 => "1 day".to_owned(),
        _ => format!("{} days", seconds / 86_400),
    }
}

/// `just now`, `40 s ago`, `3 min ago`, `2 h ago`, `3 days ago`.
#[must_use]
pub fn ago(at: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let seconds = (now - at).num_seconds();
    match seconds {
        ..5 => "just now".to_owned(),
        5..60 => format!("{seconds} s ago"),
        60..3600 => format!("{} min ago", seconds / 60),
        3600..86_400 => format!("{} h ago", seconds / 3600),
        86_400..172_800 => "yesterday".to_owned(),
        _ => format!("{} days ago", seconds / 86_400),
    }
}

/// `19.00 EUR`, `−1,203.20 EUR`; without a currency the number alone.
#[must_use]
pub fn signed_money(cents: i64, currency: Option<Currency>) -> String {
    let sign = if cents < 0 { "\u{2212}" } else { "" };
    let whole = cents.unsigned_abs();
    let letters = currency.map(|currency| format!(" {currency}")).unwrap_or_default();
    let digits = (whole / 100).to_string();
    let comma =
        |(n, digit): (usize, char)| [Some(',').filter(|_| n > 0 && (digits.len() - n).is_multiple_of(3)), Some(digit)];
    let grouped: String = digits.chars().enumerate().flat_map(comma).flatten().collect();
    format!("{sign}{grouped}.{:02}{letters}", whole % 100)
}

/// The colour and shape of a state; always shown beside the word.
#[must_use]
pub const fn tone(seen: &Seen) -> &'static str {
    match seen {
        Seen::Live { .. } => "live",
        Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. } | Seen::Deleting { .. } => "working",
        Seen::Degraded { .. } => "attention",
        Seen::Failed { .. } => "failed",
        Seen::Stopped { .. } => "off",
    }
}

/// Whether somebody should keep looking: more will happen by itself.
#[must_use]
pub fn is_moving(agent: &Agent) -> bool {
    !is_as_wanted(agent) && !matches!(agent.seen, Seen::Failed { .. })
}

/// Whether what was seen is what is wanted.
#[must_use]
pub const fn is_as_wanted(agent: &Agent) -> bool {
    matches!(
        (agent.wanted, &agent.seen),
        (Wanted::Running, Seen::Live { .. }) | (Wanted::Stopped, Seen::Stopped { .. })
    )
}

/// What is true now, since when: the first words of a page.
#[must_use]
pub fn headline(agent: &Agent) -> &'static str {
    match agent.seen {
        Seen::Preparing { .. } => "Preparing its machine since",
        Seen::Configuring { .. } => "Configuring since",
        Seen::Proving { .. } => "Proving since",
        Seen::Live { .. } => "Live since",
        Seen::Degraded { .. } => "Not answering as it should since",
        Seen::Stopped { .. } => "Stopped since",
        Seen::Failed { .. } => "Berth gave up at",
        Seen::Deleting { .. } => "Being deleted since",
    }
}

/// The sentence after the headline, for one agent among many.
#[must_use]
pub fn aside(agent: &Agent, now: DateTime<Utc>) -> String {
    match &agent.seen {
        Seen::Live { .. } => proof(agent, now),
        Seen::Degraded { why, .. } | Seen::Failed { why, .. } => as_sentence(why),
        Seen::Stopped { .. } if agent.wanted == Wanted::Running => "It is about to start.".to_owned(),
        Seen::Stopped { .. } => "Its data stays.".to_owned(),
        Seen::Deleting { .. } => "Its machine is being destroyed.".to_owned(),
        Seen::Preparing { .. } | Seen::Configuring { .. } | Seen::Proving { .. } => String::new(),
    }
}

/// `Last proof 3 min ago, 0.4 s.`
#[must_use]
pub fn proof(agent: &Agent, now: DateTime<Utc>) -> String {
    match &agent.proof {
        None => "No proof yet.".to_owned(),
        Some(proof) if proof.ok => {
            let latency = proof.latency_ms.map(|ms| format!(", {}", took(i64::from(ms)))).unwrap_or_default();
            format!("Last proof {}{latency}.", ago(proof.at, now))
        }
        Some(proof) => {
            let why = proof.why.as_deref().map(|why| format!(" {}", as_sentence(why))).unwrap_or_default();
            format!("The last proof failed {}.{why}", ago(proof.at, now))
        }
    }
}

/// With a capital and a full stop, whatever the source wrote.
#[must_use]
pub fn as_sentence(words: &str) -> String {
    let words = words.trim().trim_end_matches(['.', ' ']);
    if words.is_empty() { String::new() } else { sentence(&words) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use chrono::{TimeDelta, TimeZone as _};

    #[test]
    fn durations_read_as_people_say_them() {
        let said: Vec<String> =
            [42, 380, 9_940, 32_200, 60_000, 200_000, 7_500_000, 90_000_000, 300_000_000].map(took).into();
        assert_eq!(said, ["42 ms", "0.4 s", "9.9 s", "32 s", "1 min", "3 min 20 s", "2 h 5 min", "1 day", "3 days"]);
    }

    #[test]
    fn ages_never_run_into_the_future() {
        let now = Utc.timestamp_opt(1_800_000_000, 0).unwrap();
        assert_eq!(ago(now + TimeDelta::seconds(3), now), "just now");
        assert_eq!(ago(now - TimeDelta::seconds(200), now), "3 min ago");
    }

    #[test]
    fn an_amount_says_its_currency_and_whether_it_is_below_nothing() {
        let said = [
            (1900, Some(Currency::EUR)),
            (-320, Some(Currency::USD)),
            (0, None),
            (-5, None),
            (-123_456_789, None),
            (12_345_600, None),
        ]
        .map(|(of, in_)| signed_money(of, in_));
        assert_eq!(
            said,
            ["19.00 EUR", "\u{2212}3.20 USD", "0.00", "\u{2212}0.05", "\u{2212}1,234,567.89", "123,456.00"]
        );
    }

    #[test]
    fn the_day_shows_when_it_is_another_one() {
        let now = Utc.with_ymd_and_hms(2026, 11, 21, 14, 2, 31).unwrap();
        assert_eq!(Moment::new(now, now).short, "14:02:31");
        assert_eq!(Moment::new(now - TimeDelta::days(1), now).short, "20 Nov 14:02");
    }
}
