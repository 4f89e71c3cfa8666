//! `berth billing`: Stripe's events once more, as far back as it still tells them.

use std::{io::Write as _, str::FromStr};

use anyhow::Context as _;
use chrono::{DateTime, TimeDelta, Utc};
use clap::Subcommand;
use domain::billing::{TOLD_FOR, Told};
use store::{Db, DbOptions};

use crate::{
    config::{DatabaseConfig, stripe::StripeConfig},
    entropy::System,
    settings::Values,
};

/// What can be done about payments.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Ask Stripe for its events, keep those that are missing, and have their tenants looked at again
    #[command(
        after_help = "Stripe tells thirty days. What is here already is not kept a second time: once more is harmless.\nA running worker understands what was kept. The job `billing` does the same by itself, seven hours back, every six hours.\n\nExit codes: 0 done, 1 failed (what was kept until then stays; run it again), 2 usage.\n\nExample:\n  berth billing replay --since 30d\n  berth billing replay --since 2026-11-20T00:00:00Z"
    )]
    Replay {
        /// From when on: a moment in RFC 3339, or so many days or hours ago: 30d, 12h
        #[arg(long)]
        since: Since,
    },
}

/// A moment, or how long ago.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Since {
    At(DateTime<Utc>),
    Ago(TimeDelta),
}

impl FromStr for Since {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        if let Ok(at) = DateTime::parse_from_rfc3339(text) {
            return Ok(Self::At(at.to_utc()));
        }
        let number = |text: &str| text.parse::<u16>().ok().filter(|number| *number > 0).map(i64::from);
        let ago = match (text.strip_suffix('d').and_then(number), text.strip_suffix('h').and_then(number)) {
            (Some(days), _) => TimeDelta::days(days),
            (None, Some(hours)) => TimeDelta::hours(hours),
            (None, None) => return Err("write 30d, 12h, or a moment such as 2026-11-20T00:00:00Z".to_owned()),
        };
        Ok(Self::Ago(ago))
    }
}

impl Since {
    fn before(self, now: DateTime<Utc>) -> DateTime<Utc> {
        match self {
            Self::At(at) => at,
            Self::Ago(ago) => now - ago,
        }
    }
}

/// Does it.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let values = Values::of_process()?;
    let payments = StripeConfig::parse(&values)?.payments;
    let payments = payments.context("STRIPE_SECRET_KEY is not set: this Berth does not bill, and has nobody to ask")?;
    let database = DatabaseConfig::of_process()?;
    let db = Db::connect(&DbOptions { url: database.url.to_string(), connections_max: 2 }).await?;
    let Command::Replay { since } = command;
    let done = replay(&db, payments.as_ref(), since).await;
    db.close().await;
    done
}

async fn replay(db: &Db, payments: &dyn clients::payments::Payments, since: Since) -> anyhow::Result<()> {
    let now = store::house::now(&mut db.system().await?).await?;
    let since = since.before(now);
    anyhow::ensure!(since < now, "that moment is not over yet");
    let mut out = std::io::stdout().lock();
    if now - since > TOLD_FOR {
        writeln!(out, "Stripe tells thirty days; what is older it has forgotten.")?;
    }
    let (mut told, mut after) = (Told::default(), None);
    loop {
        let page = flows::reconciliation::page(db, &System, payments, (since, after.as_ref()), true).await?;
        told = told.and(page.taken.told);
        for event in page.taken.missing {
            writeln!(out, "missing: {event}")?;
        }
        after = page.next;
        if after.is_none() {
            break;
        }
    }
    let Told { asked, missing, kept } = told;
    writeln!(
        out,
        "{asked} told by Stripe since {}, {missing} missing, {kept} kept.",
        since.format("%Y-%m-%d %H:%M UTC")
    )?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn since_when_is_a_moment_or_how_long_ago() {
        let now = DateTime::from_timestamp(1_795_000_000, 0).unwrap();
        let since = |text: &str| Since::from_str(text).map(|since| since.before(now));
        assert_eq!(since("30d"), Ok(now - TimeDelta::days(30)));
        assert_eq!(since("12h"), Ok(now - TimeDelta::hours(12)));
        assert_eq!(since("1970-01-01T01:00:00+01:00"), Ok(DateTime::UNIX_EPOCH));
        for wrong in ["", "d", "0d", "-1d", "1.5h", "30", "2026-11-20", "99999d", "é"] {
            assert!(since(wrong).is_err(), "{wrong}");
        }
    }
}
