//! Berth's half of the benchmarks: the real runner on a real database, without machines.
//!
//! Started by benches/claims.py and benches/sweep.py, which make the database
//! and print the tables. Talks with them by lines: `ready`, `go`, numbers, `end`.

mod claims;
mod endpoints;
mod fleet;
mod lines;
mod world;

use std::process::ExitCode;

const USAGE: &str = "\
Usage: engine migrate URL
       engine claims URL LEDGER_URL SEATS CONNECTIONS
       engine endpoints MACHINES LATENCY_MS
       engine sweep URL MACHINES SSH_PORT
";

#[tokio::main]
async fn main() -> ExitCode {
    // cargo bench adds a word of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done: Result<(), lines::Failure> = match words.as_slice() {
        ["migrate", url] => store::migrate(url).await.map_err(Into::into),
        ["claims", url, ledger, seats, connections] => match (seats.parse(), connections.parse()) {
            (Ok(seats), Ok(connections)) => claims::work(url, ledger, seats, connections).await,
            _ => Err(USAGE.into()),
        },
        ["endpoints", machines, latency] => match (machines.parse(), latency.parse()) {
            (Ok(machines), Ok(latency)) => endpoints::serve(machines, latency).await,
            _ => Err(USAGE.into()),
        },
        ["sweep", url, machines, port] => match (machines.parse(), port.parse()) {
            (Ok(machines), Ok(port)) => fleet::sweep(url, machines, port).await,
            _ => Err(USAGE.into()),
        },
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            lines::complain(&why.to_string());
            ExitCode::FAILURE
        }
    }
}
