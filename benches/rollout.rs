//! Berth's half of B5: brings one secret to many machines, with the SSH client of production.
//!
//! Started by benches/rollout.py, which makes the machines and prints the table.
//! Each machine has its own pinned host key, each connection its own certificate
//! of a minute's making: nothing is left out that a rollout pays for. Answers
//! each line `REQUEST DIGEST MACHINES AT_ONCE LIMIT_MS` with `set` and, when told to
//! go, with what came of it.

use std::{
    collections::BTreeMap,
    fs,
    io::{self, BufRead as _, Write as _},
    net::SocketAddr,
    process::ExitCode,
    sync::Arc,
    time::Duration,
};

use domain::{
    Entropy, Id, MachineId,
    protocol::{Outcome, Reply, Request},
};
use rand::TryRng as _;
use serde_json::{Value, json};
use ssh::{Authority, HostKey, Pinned, Reach as _, Russh, Target};
use tokio::{sync::Semaphore, task::JoinSet};

const USAGE: &str = "\
Usage: rollout keys FOLDER MACHINES   writes the authority's public key and a host key a machine
       rollout push FOLDER ACCOUNT    reads addresses from FOLDER/addresses, one a line
";

type Failure = Box<dyn std::error::Error + Send + Sync>;

struct Random;

impl Entropy for Random {
    fn fill(&self, buffer: &mut [u8]) {
        #[expect(clippy::expect_used, reason = "a benchmark without random numbers measures nothing")]
        rand::rngs::SysRng.try_fill_bytes(buffer).expect("the system gives random numbers");
    }

    fn unix_millis(&self) -> u64 {
        let since = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since.as_millis()).unwrap_or_default()
    }
}

fn main() -> ExitCode {
    // cargo bench adds a word of its own.
    let words: Vec<String> = std::env::args().skip(1).filter(|word| word != "--bench").collect();
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["keys", folder, count] => count.parse().map_err(Into::into).and_then(|count| keys(folder, count)),
        ["push", folder, account] => push(folder, account),
        _ => Err(USAGE.into()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            writeln!(io::stderr(), "rollout: {why}").ok();
            ExitCode::FAILURE
        }
    }
}

/// Makes what a control plane knows of its machines before their first start.
fn keys(folder: &str, count: usize) -> Result<(), Failure> {
    let authority = Authority::generate(&Random);
    fs::write(format!("{folder}/authority"), authority.to_openssh().as_bytes())?;
    fs::write(format!("{folder}/authority.pub"), authority.public_line() + "\n")?;
    for number in 0..count {
        let (home, key) = (format!("{folder}/hosts/{number}"), HostKey::generate(&Random));
        fs::create_dir_all(&home)?;
        fs::write(format!("{home}/host_key"), key.private_openssh().as_bytes())?;
        fs::write(format!("{home}/host_key.pub"), key.public_openssh() + "\n")?;
        fs::write(format!("{home}/machine"), MachineId::from_uuid(Random.uuid()).to_string())?;
    }
    Ok(())
}

/// One machine, as a row of the database tells it.
struct Machine {
    address: SocketAddr,
    id: MachineId,
    pinned: Pinned,
}

struct Client {
    russh: Russh,
    authority: Authority,
    machines: Vec<Machine>,
}

fn push(folder: &str, account: &str) -> Result<(), Failure> {
    let addresses = fs::read_to_string(format!("{folder}/addresses"))?;
    let machine = |(number, address): (usize, &str)| -> Result<Machine, Failure> {
        let of = |name: &str| fs::read_to_string(format!("{folder}/hosts/{number}/{name}"));
        let id = of("machine")?.parse().map_err(|_| "no machine id")?;
        Ok(Machine { address: address.parse()?, id, pinned: of("host_key.pub")?.parse()? })
    };
    let machines = addresses.lines().enumerate().map(machine).collect::<Result<_, _>>()?;
    let authority = Authority::from_openssh(&fs::read_to_string(format!("{folder}/authority"))?)?;
    let russh = Russh::new(Id::from_uuid(uuid::Uuid::nil()), Arc::new(Random)).signing_in_as(account);
    let client = Arc::new(Client { russh, authority, machines });
    // As the server has it.
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build()?;
    let mut out = io::stdout();
    writeln!(out, "ready")?;
    let mut lines = io::stdin().lock().lines().map_while(Result::ok);
    while let Some(line) = lines.next() {
        let words: Vec<&str> = line.split(' ').collect();
        let [request, digest, count, at_once, limit] = words.as_slice() else { return Err(USAGE.into()) };
        let limit = Duration::from_millis(limit.parse()?);
        let request = Arc::new(serde_json::from_slice(&fs::read(request)?)?);
        writeln!(out, "set")?;
        lines.next();
        let work = roll_out(Arc::clone(&client), request, digest, count.parse()?, at_once.parse()?, limit);
        writeln!(out, "{}", runtime.block_on(work)?)?;
    }
    Ok(())
}

/// Who was brought it, and why the others were not.
async fn roll_out(
    client: Arc<Client>,
    request: Arc<Request>,
    digest: &str,
    count: usize,
    at_once: usize,
    limit: Duration,
) -> Result<Value, Failure> {
    let seats = Arc::new(Semaphore::new(at_once));
    let mut tasks = JoinSet::new();
    for number in 0..count.min(client.machines.len()) {
        let (client, request, digest) = (Arc::clone(&client), Arc::clone(&request), digest.to_owned());
        let seats = Arc::clone(&seats);
        tasks.spawn(async move {
            let Ok(_seat) = seats.acquire().await else { return Err("nobody gives seats".to_owned()) };
            one(&client, number, &request, &digest, limit).await
        });
    }
    let (mut done, mut failures) = (0, BTreeMap::<String, u32>::new());
    while let Some(ended) = tasks.join_next().await {
        match ended? {
            Ok(()) => done += 1,
            Err(why) => *failures.entry(why).or_default() += 1,
        }
    }
    Ok(json!({ "done": done, "failures": failures }))
}

async fn one(client: &Client, number: usize, request: &Request, digest: &str, limit: Duration) -> Result<(), String> {
    let machine = client.machines.get(number).ok_or("no such machine")?;
    let target = Target {
        address: machine.address,
        machine: machine.id,
        host_key: &machine.pinned,
        authority: &client.authority,
        now: std::time::SystemTime::now().into(),
    };
    let answer = client.russh.ask(&target, request, limit).await.map_err(|error| error.to_string())?;
    match answer.outcome {
        Outcome::Done(Reply::Applied(applied)) if applied.digest == digest => Ok(()),
        Outcome::Done(_) => Err("the machine holds something else".to_owned()),
        Outcome::Refused(refusal) => Err(refusal.to_string()),
    }
}
