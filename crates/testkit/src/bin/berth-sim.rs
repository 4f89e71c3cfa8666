//! The machine simulator as a program, for a Berth that was started by hand. Development only.

use std::{
    io::{self, Write as _},
    path::PathBuf,
    process::ExitCode,
};

use testkit::sim::{Options, Simulator};

const USAGE: &str = "\
Usage: berth-sim FOLDER [--network 127.X.0.1] [--ssh-port PORT] [--machine PROGRAM]

Serves unix.socket in FOLDER, which must exist, and writes ledger.jsonl there.
Prints the settings with which a Berth uses it, and runs until it is interrupted.
With --machine each machine is a process: PROGRAM boot FOLDER ADDRESS PORT, until its input ends.
";

#[tokio::main]
async fn main() -> ExitCode {
    let Some(options) = options(std::env::args().skip(1)) else {
        io::stderr().write_all(USAGE.as_bytes()).ok();
        return ExitCode::from(2);
    };
    match run(options).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            writeln!(io::stderr(), "berth-sim: {error}").ok();
            ExitCode::FAILURE
        }
    }
}

async fn run(options: Options) -> io::Result<()> {
    let simulator = Simulator::start(options).await?;
    let options = simulator.options();
    let mut out = io::stdout();
    writeln!(out, "BERTH_INCUS_SOCKET={}", simulator.socket().display())?;
    writeln!(out, "BERTH_INCUS_NETWORK={}", simulator.bridge())?;
    writeln!(out, "BERTH_INCUS_POOL={}", simulator.pool())?;
    writeln!(out, "BERTH_MACHINE_IMAGE={}", options.image)?;
    writeln!(out, "BERTH_MACHINE_SSH_PORT={}", options.ssh_port)?;
    writeln!(out, "BERTH_MACHINE_LISTEN={}:8081", simulator.home())?;
    out.flush()?;
    tokio::signal::ctrl_c().await
}

/// `None`: not as the usage says.
fn options(mut arguments: impl Iterator<Item = String>) -> Option<Options> {
    let folder = arguments.next().filter(|folder| !folder.starts_with('-'))?;
    let mut options = Options::below(PathBuf::from(folder));
    while let Some(name) = arguments.next() {
        let value = arguments.next()?;
        match name.as_str() {
            "--network" => options.network = Some(value.parse().ok()?),
            "--machine" => options.program = Some(PathBuf::from(value)),
            "--ssh-port" => options.ssh_port = value.parse().ok()?,
            _ => return None,
        }
    }
    Some(options)
}
