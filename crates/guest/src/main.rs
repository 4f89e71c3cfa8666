//! The `berth-guest` program: which of its three faces is asked for.

use std::{
    io::{self, Write as _},
    process::ExitCode,
};

use anyhow::Result;
use guest::{paths::Paths, serve, shim, unseal};
use rustix::process::DumpableBehavior;

const HELP: &str = "\
berth-guest: carries out on a machine what Berth asks for

Usage: berth-guest <serve | shim | unseal | --help | --version>

  serve    the service, as root; listens on /run/berth/guest.sock
  shim     what SSH runs: one request on stdin, one answer on stdout
  unseal   opens the sealed secrets before the gateway starts, as root
";

fn main() -> ExitCode {
    // No core dump, and no other program of the same user looks into this one.
    if rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).is_err() {
        let _ = io::stderr().write_all(b"berth-guest: the kernel does not keep this program's memory to itself\n");
        return ExitCode::FAILURE;
    }
    let mut arguments = std::env::args().skip(1);
    let done = match (arguments.next().as_deref(), arguments.next()) {
        (Some("serve"), None) => run_serve(),
        (Some("shim"), _) => return run_shim(),
        (Some("unseal"), None) => Paths::system().and_then(|paths| unseal::unseal(&paths)),
        (Some("--help" | "-h" | "help"), None) => say(HELP),
        (Some("--version" | "-V"), None) => say(concat!("berth-guest ", env!("CARGO_PKG_VERSION"), "\n")),
        _ => {
            let _ = io::stderr().write_all(HELP.as_bytes());
            return ExitCode::from(2);
        }
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            let _ = writeln!(io::stderr(), "berth-guest: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run_serve() -> Result<()> {
    // The journal adds the time and keeps the lines.
    tracing_subscriber::fmt()
        .with_max_level(tracing::Level::INFO)
        .without_time()
        .with_ansi(false)
        .with_target(false)
        .with_writer(io::stderr)
        .init();
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve::serve(Paths::system()?))
}

fn run_shim() -> ExitCode {
    match shim::pass(&Paths::system_socket(), io::stdin().lock(), io::stdout().lock()) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) | Err(_) => ExitCode::FAILURE,
    }
}

fn say(text: &str) -> Result<()> {
    Ok(io::stdout().write_all(text.as_bytes())?)
}
