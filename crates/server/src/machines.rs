//! `berth machines`: other gateway tokens and machine keys for the machines of agents, and how old they are.

use std::io::Write as _;

use anyhow::ensure;
use chrono::{DateTime, Utc};
use clap::Subcommand;
use domain::{AgentId, audit::Actor};
use store::{
    Db, DbOptions,
    machine_rotations::{KeyAges, Standing, ages, standing},
};

use crate::config::DatabaseConfig;

/// What can be done to machines.
#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Have gateway tokens and machine keys replaced, a few machines at a time
    #[command(
        after_help = "Each agent goes on answering; its gateway takes the new token without a restart. A stopped one gets it when it starts.\nAsked again, it is asked for the rest. docs/runbooks/keys.md has the steps.\n\nExample:\n  berth machines rotate --all --per-minute 30\n  berth machines rotate --agent agt_019aa6b27c1e7d3f9b1a2f6c5d4e3b2a"
    )]
    Rotate {
        /// One agent's machine, at once
        #[arg(long, required_unless_present = "all", conflicts_with = "all")]
        agent: Option<AgentId>,
        /// The machines of all agents
        #[arg(long)]
        all: bool,
        /// How many machines a minute
        #[arg(long, default_value_t = 60, value_parser = clap::value_parser!(u32).range(1..=6000))]
        per_minute: u32,
    },
    /// Show how many rotations are left, and how old the keys in force are
    #[command(after_help = "Example:\n  berth machines status --json | jq .left")]
    Status {
        /// One agent's machine alone
        #[arg(long)]
        agent: Option<AgentId>,
        /// Print JSON
        #[arg(long)]
        json: bool,
    },
}

/// Rotations that are named one by one.
const NAMED_MAX: i64 = 20;

/// Does it.
///
/// # Errors
/// A sentence for the operator.
pub(crate) async fn run(command: Command) -> anyhow::Result<()> {
    let database = DatabaseConfig::of_process()?;
    let db = Db::connect(&DbOptions { url: database.url.to_string(), connections_max: 2 }).await?;
    let done = match command {
        Command::Rotate { agent, per_minute, .. } => rotate(&db, agent, per_minute).await,
        Command::Status { agent, json } => status(&db, agent, json).await,
    };
    db.close().await;
    done
}

async fn rotate(db: &Db, agent: Option<AgentId>, per_minute: u32) -> anyhow::Result<()> {
    let asked = app::machines::rotate(db, agent, per_minute, Actor::shell).await?;
    ensure!(agent.is_none() || asked.machines > 0, "there is no such agent, it has no machine, or it is being deleted");
    let mut tx = db.system().await?;
    let standing = standing(&mut tx).await?;
    let mut out = std::io::stdout().lock();
    let before = asked.machines - asked.fresh;
    writeln!(out, "{} asked now, {before} before; {} on the way.", machines(asked.fresh), standing.left)?;
    if asked.fresh > u64::from(per_minute) {
        let minutes = asked.fresh.div_ceil(u64::from(per_minute));
        writeln!(out, "The last one's turn comes in about {minutes} minutes.")?;
    }
    Ok(writeln!(out, "`berth machines status` says what is left.")?)
}

fn machines(count: u64) -> String {
    if count == 1 { "1 machine".to_owned() } else { format!("{count} machines") }
}

async fn status(db: &Db, agent: Option<AgentId>, json: bool) -> anyhow::Result<()> {
    let mut tx = db.system().await?;
    let all = standing(&mut tx).await?;
    let named = ages(&mut tx, agent, NAMED_MAX).await?;
    ensure!(agent.is_none() || !named.is_empty(), "there is no such agent, or it has no machine");
    let now = store::house::now(&mut tx).await?;
    let mut out = std::io::stdout().lock();
    if json {
        return Ok(writeln!(out, "{}", in_json(&all, &named))?);
    }
    if agent.is_none() {
        writeln!(out, "{}", in_words(&all, now))?;
    }
    if !named.is_empty() {
        writeln!(out, "{:<36}  {:<13}  {:<13}  {:<16}  life", "agent", "token made", "key made", "turn")?;
    }
    for one in &named {
        let turn = one.due_at.map_or_else(|| "none".to_owned(), |due| due.format("%Y-%m-%d %H:%M").to_string());
        let step = one.step.as_deref().unwrap_or("none");
        let (token, key) = (age(one.token_made_at, now), age(one.key_made_at, now));
        writeln!(out, "{}  {token:<13}  {key:<13}  {turn:<16}  {step}", one.agent)?;
    }
    Ok(())
}

fn in_words(all: &Standing, now: DateTime<Utc>) -> String {
    let Standing { left, waiting, begun, at_rest, machines, .. } = all;
    let oldest = |made: Option<DateTime<Utc>>| made.map_or_else(|| "none".to_owned(), |made| age(made, now));
    let (token, key) = (oldest(all.oldest_token), oldest(all.oldest_key));
    format!(
        "{left} of {machines} machines have a rotation before them: {waiting} wait for their turn, {begun} have begun, {at_rest} are of agents at rest.\nThe oldest gateway token in force was made {token}, the oldest machine key {key}."
    )
}

/// How long ago, in the largest unit that fits.
fn age(made: DateTime<Utc>, now: DateTime<Utc>) -> String {
    let minutes = (now - made).num_minutes().max(0);
    let (count, unit) = match minutes {
        0..60 => (minutes, "minute"),
        60..1440 => (minutes / 60, "hour"),
        _ => (minutes / 1440, "day"),
    };
    format!("{count} {unit}{} ago", if count == 1 { "" } else { "s" })
}

fn in_json(all: &Standing, named: &[KeyAges]) -> serde_json::Value {
    let one = |of: &KeyAges| {
        serde_json::json!({
            "agent": of.agent, "machine": of.machine, "token_made_at": of.token_made_at, "key_made_at": of.key_made_at,
            "asked_at": of.asked_at, "due_at": of.due_at, "life": of.step,
        })
    };
    serde_json::json!({
        "machines": all.machines, "left": all.left, "waiting": all.waiting, "begun": all.begun, "at_rest": all.at_rest,
        "oldest_token": all.oldest_token, "oldest_key": all.oldest_key,
        "named": named.iter().map(one).collect::<Vec<_>>(),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_age_is_told_in_its_largest_unit() {
        let now = DateTime::UNIX_EPOCH + chrono::TimeDelta::days(100);
        let told = |minutes| age(now - chrono::TimeDelta::minutes(minutes), now);
        let ages = [-3, 0, 1, 59, 60, 1439, 1440, 100 * 1440].map(told);
        assert_eq!(
            ages,
            [
                "0 minutes ago",
                "0 minutes ago",
                "1 minute ago",
                "59 minutes ago",
                "1 hour ago",
                "23 hours ago",
                "1 day ago",
                "100 days ago"
            ]
        );
    }
}
