//! What can be run: `berth <noun> <verb>`.
//!
//! Exit codes: 0 done, 1 failed (one sentence on standard error), 2 usage.
//! `berth verify` and `berth audit verify` have their own: 0 clean, 1 violated, 2 cannot tell.

use std::{io::Write as _, process::ExitCode};

use clap::{Parser, Subcommand};
use domain::names::Email;
use store::{Db, DbOptions};

use crate::{
    audit, billing,
    config::{Config, DatabaseConfig},
    entropy::System,
    keys, machines, memory,
    run::{self, Parts},
    settings::{self, Values},
    telemetry, verify,
};

/// Berth hosts AI agents, one private machine each.
#[derive(Debug, Parser)]
#[command(
    name = "berth",
    version,
    after_help = "Example:\n  berth all\n  berth admin issue-token --email you@example.org --operator"
)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Serve people and machines, and run flows, in one process
    All,
    /// Serve people and machines only
    Serve,
    /// Run flows only
    Work,
    /// Check that everything that must hold does hold; changes nothing
    #[command(
        after_help = "Exit codes: 0 clean, 1 violated, 2 cannot tell (the database or the provider is away).\n\nWhat is checked: docs/runbooks/verify.md\n\nExample:\n  berth verify\n  berth verify --json | jq '.invariants[] | select(.state == \"violated\")'"
    )]
    Verify(verify::Arguments),
    /// Who did what: chains that nobody can change unseen
    #[command(subcommand)]
    Audit(AuditCommand),
    /// The keys under which every secret lies
    #[command(subcommand)]
    Keys(keys::Command),
    /// The gateway tokens and machine keys of agents' machines
    #[command(subcommand)]
    Machines(machines::Command),
    /// What Stripe told, and what it still knows
    #[command(subcommand)]
    Billing(billing::Command),
    /// Bring the database's schema up to date
    Migrate,
    /// Show settings
    #[command(subcommand)]
    Config(ConfigCommand),
    /// What an operator does on the server itself
    #[command(subcommand)]
    Admin(AdminCommand),
}

#[derive(Debug, Subcommand)]
enum ConfigCommand {
    /// Print .env.example: every setting with its meaning and default
    Example,
    /// Print the settings in force; secrets show as "(set)"
    Show,
}

#[derive(Debug, Subcommand)]
enum AuditCommand {
    /// Verify an export, or every chain of the database
    #[command(
        after_help = "Exit codes: 0 whole, 1 broken, 2 cannot tell.\n\nWhat is verified: docs/AUDIT.md\n\nExample:\n  berth audit verify audit.jsonl --head 41:9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08\n  berth audit verify"
    )]
    Verify(audit::Arguments),
}

#[derive(Debug, Subcommand)]
enum AdminCommand {
    /// Issue a personal token; makes the user and a tenant of their own if they are missing
    #[command(
        after_help = "Example:\n  berth admin issue-token --email you@example.org --operator\n\nThe token is shown once and works for 90 days: Authorization: Bearer <token>"
    )]
    IssueToken {
        /// Whose token
        #[arg(long)]
        email: String,
        /// Also make them an operator
        #[arg(long)]
        operator: bool,
        /// What the token is for
        #[arg(long, default_value = "command line")]
        name: String,
        /// Print {"token": …} instead of the bare token
        #[arg(long)]
        json: bool,
    },
    /// Forget the authenticator of an operator who lost it; they set up a new one
    ResetFactor {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// End all sessions, tokens and open links of an account that may be in other hands
    SignOut {
        /// Whose
        #[arg(long)]
        email: String,
    },
    /// Make a one-time link that signs a known user in
    SignInLink {
        /// Who signs in
        #[arg(long)]
        email: String,
    },
}

/// Runs the program.
#[must_use]
pub fn main() -> ExitCode {
    if let Err(error) = memory::keep_private() {
        writeln!(std::io::stderr(), "berth: {error:#}").ok();
        return ExitCode::FAILURE;
    }
    let arguments = Arguments::parse();
    if let Command::Verify(arguments) = arguments.command {
        return verify::main(&arguments);
    }
    if let Command::Audit(AuditCommand::Verify(arguments)) = arguments.command {
        return audit::main(&arguments);
    }
    match execute(arguments.command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // The chain on one line: what failed, then why.
            writeln!(std::io::stderr(), "berth: {error:#}").ok();
            ExitCode::FAILURE
        }
    }
}

#[tokio::main]
async fn execute(command: Command) -> anyhow::Result<()> {
    match command {
        Command::All => start(Parts::All).await,
        Command::Serve => start(Parts::Serve).await,
        Command::Work => start(Parts::Work).await,
        Command::Verify(_) | Command::Audit(_) => Ok(()), // have exit codes of their own: see `main`
        Command::Migrate => migrate().await,
        Command::Keys(command) => keys::run(command).await,
        Command::Machines(command) => machines::run(command).await,
        Command::Billing(command) => billing::run(command).await,
        Command::Config(ConfigCommand::Example) => say(&settings::example()),
        Command::Config(ConfigCommand::Show) => say(&settings::effective(&Values::of_process()?)),
        Command::Admin(AdminCommand::IssueToken { email, operator, name, json }) => {
            issue_token(&email, operator, &name, json).await
        }
        Command::Admin(AdminCommand::ResetFactor { email }) => reset_factor(&email).await,
        Command::Admin(AdminCommand::SignOut { email }) => sign_out(&email).await,
        Command::Admin(AdminCommand::SignInLink { email }) => sign_in_link(&email).await,
    }
}

async fn start(parts: Parts) -> anyhow::Result<()> {
    telemetry::start()?;
    run::run(Config::of_process()?, parts).await
}

async fn migrate() -> anyhow::Result<()> {
    let database = DatabaseConfig::of_process()?;
    let url = database.migrator_url.ok_or_else(|| {
        anyhow::anyhow!("BERTH_DATABASE_MIGRATOR_URL is not set; migrating needs the owner of the tables")
    })?;
    store::migrate(&url).await?;
    say("The database is up to date.\n")
}

async fn issue_token(email: &str, operator: bool, name: &str, json: bool) -> anyhow::Result<()> {
    let email = Email::parse(email)?;
    let db = connect().await?;
    let mut tx = db.system().await?;
    let token = app::tokens::issue_token(&mut tx, &System, &email, operator, name).await?;
    tx.commit().await?;
    if json {
        say(&format!("{}\n", serde_json::json!({ "token": token.expose() })))
    } else {
        say(&format!("{}\n", token.expose()))
    }
}

async fn reset_factor(email: &str) -> anyhow::Result<()> {
    let email = Email::parse(email)?;
    let db = connect().await?;
    let mut tx = db.system().await?;
    let reset = app::operators::reset_factor(&mut tx, &email).await?;
    tx.commit().await?;
    anyhow::ensure!(reset > 0, "no operator with the address {email} has an authenticator");
    say("The authenticator is forgotten. They set up a new one at /factor.\n")
}

async fn sign_out(email: &str) -> anyhow::Result<()> {
    let email = Email::parse(email)?;
    let db = connect().await?;
    let mut tx = db.system().await?;
    let people = app::sessions::sign_out_everywhere(&mut tx, &email).await?;
    tx.commit().await?;
    anyhow::ensure!(people > 0, "nobody signs in as {email}");
    say("Signed out everywhere. They show anew who they are, and issue new tokens under Settings.\n")
}

async fn sign_in_link(email: &str) -> anyhow::Result<()> {
    let email = Email::parse(email)?;
    let url = Config::of_process()?.public_url;
    let db = connect().await?;
    let mut tx = db.system().await?;
    let link = app::people::sign_in_link(&mut tx, &System, &email).await?;
    tx.commit().await?;
    let link = link.ok_or_else(|| {
        anyhow::anyhow!("nobody signs in as {email}; `berth admin issue-token --email {email}` makes a user")
    })?;
    say(&format!("{}/login?link={}\n", url.as_str().trim_end_matches('/'), link.expose()))
}

async fn connect() -> anyhow::Result<Db> {
    let database = DatabaseConfig::of_process()?;
    Ok(Db::connect(&DbOptions { url: database.url.to_string(), connections_max: 2 }).await?)
}

fn say(text: &str) -> anyhow::Result<()> {
    std::io::stdout().lock().write_all(text.as_bytes())?;
    Ok(())
}
