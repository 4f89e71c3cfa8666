//! The root service: one request a connection, one answer, closed.
//!
//! `hello`, `status`, `logs` and `pairings` run beside anything. One change at a time:
//! `apply`, `start`, `stop`, `restart`, `approve`, `rekey`, `wipe`. Turns run beside each other but
//! not beside an apply. Who must wait longer than a moment is told so
//! ([`Refusal::Busy`]), and decides for itself when to come again. Work goes on
//! to its end when the asking side goes away.

use std::{fs, os::unix::fs::PermissionsExt as _, sync::Arc, time::Duration};

use anyhow::{Context as _, Result};
use domain::protocol::{Answer, Ask, BYTES_MAX, Gateway, Outcome, Refusal, Reply, Request, SecretText, VERSION};
use tokio::{
    io::{AsyncReadExt as _, AsyncWriteExt as _},
    net::{UnixListener, UnixStream},
    sync::Semaphore,
    time::{Instant, timeout},
};
use zeroize::Zeroizing;

use crate::{
    apply::apply,
    calling_home,
    logs::logs,
    machine::Machine,
    machine_key, pairings,
    paths::Paths,
    sealed::{Bundle, GATEWAY_TOKEN},
    status, unit,
    wipe::wipe,
};

const REQUEST_PATIENCE: Duration = Duration::from_secs(10);
const ANSWER_PATIENCE: Duration = Duration::from_secs(10);
/// How long a change waits for another one before it is refused.
const TURN_TO_ACT_PATIENCE: Duration = Duration::from_secs(2);
const DRAIN_PATIENCE: Duration = Duration::from_secs(3);
const TURN_PATIENCE_MAX: Duration = Duration::from_mins(2);
const SESSION_CHARS_MAX: usize = 200;
const CONNECTIONS_MAX: usize = 32;

/// Serves until the process ends.
pub async fn serve(paths: Paths) -> Result<()> {
    let machine = Arc::new(Machine::read(paths)?);
    let listener = listen(&machine.paths)?;
    tracing::info!(machine = %machine.config.machine, version = env!("CARGO_PKG_VERSION"), "guest is up");
    let calls = calling_home::run(Arc::clone(&machine));
    let requests = accept(listener, Arc::clone(&machine));
    tokio::join!(calls, requests);
    Ok(())
}

/// The socket exists with its final rights from the first moment that anybody else can see it.
fn listen(paths: &Paths) -> Result<UnixListener> {
    let beside = paths.socket.with_extension("new");
    let _ = fs::remove_file(&beside);
    let listener = UnixListener::bind(&beside).context("cannot listen")?;
    let owner = paths.socket_owner;
    std::os::unix::fs::chown(&beside, Some(owner.uid), Some(owner.gid)).context("cannot give the socket away")?;
    fs::set_permissions(&beside, fs::Permissions::from_mode(0o660))?;
    fs::rename(&beside, &paths.socket).context("cannot put the socket in place")?;
    Ok(listener)
}

async fn accept(listener: UnixListener, machine: Arc<Machine>) {
    let room = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    loop {
        let Ok(place) = Arc::clone(&room).acquire_owned().await else { return };
        match listener.accept().await {
            Ok((stream, _)) => {
                let machine = Arc::clone(&machine);
                tokio::spawn(async move {
                    converse(&machine, stream).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept");
                tokio::time::sleep(Duration::from_millis(100)).await;
            }
        }
    }
}

async fn converse(machine: &Machine, mut stream: UnixStream) {
    let since = Instant::now();
    let (verb, outcome) = match timeout(REQUEST_PATIENCE, read(&mut stream)).await {
        Ok(Ok(ask)) => {
            let verb = ask.verb();
            (verb, carry_out(machine, ask).await.map_or_else(Outcome::Refused, Outcome::Done))
        }
        Ok(Err(refusal)) => ("none", Outcome::Refused(refusal)),
        Err(_) => ("none", Outcome::Refused(Refusal::Malformed { why: "the request took too long".to_owned() })),
    };
    let elapsed_ms = u64::try_from(since.elapsed().as_millis()).unwrap_or(u64::MAX);
    match &outcome {
        Outcome::Done(_) => tracing::info!(verb, elapsed_ms, "done"),
        Outcome::Refused(refusal) => tracing::warn!(verb, elapsed_ms, %refusal, "refused"),
    }
    let bytes = written(outcome);
    let sent = timeout(ANSWER_PATIENCE, async {
        stream.write_all(&bytes).await?;
        stream.shutdown().await
    });
    if !matches!(sent.await, Ok(Ok(()))) {
        tracing::info!(verb, "nobody took the answer");
    }
}

/// One request: up to the end, or to the end of the first line.
async fn read(stream: &mut UnixStream) -> Result<Ask, Refusal> {
    let malformed = |why: &str| Refusal::Malformed { why: why.to_owned() };
    let mut bytes = Zeroizing::new(Vec::with_capacity(64 * 1024));
    let mut piece = Zeroizing::new(vec![0; 16 * 1024]);
    loop {
        let count = stream.read(piece.as_mut_slice()).await.map_err(|_| malformed("the request broke off"))?;
        let piece = piece.get(..count).unwrap_or_default();
        if bytes.len() + piece.len() > BYTES_MAX {
            return Err(malformed("the request is larger than allowed"));
        }
        bytes.extend_from_slice(piece);
        if piece.is_empty() || piece.contains(&b'\n') {
            break;
        }
    }
    parse(&bytes)
}

/// The version is looked at first: what another version asks need not make sense to us.
fn parse(bytes: &[u8]) -> Result<Ask, Refusal> {
    #[derive(serde::Deserialize)]
    struct Versioned {
        version: u16,
    }
    let not_read = |why: &str| Refusal::Malformed { why: why.to_owned() };
    let versioned: Versioned =
        serde_json::from_slice(bytes).map_err(|_| not_read("not a JSON object with a version"))?;
    if versioned.version != VERSION {
        return Err(Refusal::Version { guest: VERSION });
    }
    // The parser's message may repeat a value, so it is not passed on.
    let request: Request =
        serde_json::from_slice(bytes).map_err(|_| not_read("no such verb, or its fields are not as agreed"))?;
    Ok(request.ask)
}

async fn carry_out(machine: &Machine, ask: Ask) -> Result<Reply, Refusal> {
    match ask {
        Ask::Hello => status::hello(machine).await.map(Reply::Hello),
        Ask::Status => status::status(machine).await.map(Reply::Status),
        Ask::Logs { lines } => logs(machine, lines).await.map(|lines| Reply::Logs { lines }),
        Ask::Turn { text, session, timeout_ms } => turn(machine, &text, &session, timeout_ms).await,
        Ask::Apply { fence, document, secrets, instructions, variables, reach } => {
            let _change = my_turn(machine.changes.lock()).await?;
            let _turns = my_turn(machine.turns.write()).await?;
            let former_tokens = Vec::new();
            let wanted = Bundle { fence, document, secrets, instructions, variables, reach, former_tokens };
            apply(machine, wanted).await.map(Reply::Applied)
        }
        Ask::Pairings => pairings::pairings(machine).await.map(|pairings| Reply::Pairings { pairings }),
        Ask::Approve { channel, request } => {
            let _change = my_turn(machine.changes.lock()).await?;
            pairings::approve(machine, channel, &request).await.map(|()| Reply::Ok)
        }
        Ask::Rekey { fence, key } => {
            let _change = my_turn(machine.changes.lock()).await?;
            machine_key::rekey(machine, fence, &key).await.map(Reply::Rekeyed)
        }
        Ask::Start => {
            let _change = my_turn(machine.changes.lock()).await?;
            start(machine).await
        }
        Ask::Stop => {
            let _change = my_turn(machine.changes.lock()).await?;
            stop(machine).await
        }
        Ask::Restart => {
            let _change = my_turn(machine.changes.lock()).await?;
            stop(machine).await?;
            start(machine).await
        }
        Ask::Wipe => {
            let _change = my_turn(machine.changes.lock()).await?;
            machine.ask_down(true);
            wipe(machine).await.map(|()| Reply::Ok)
        }
    }
}

async fn my_turn<T>(wait: impl Future<Output = T>) -> Result<T, Refusal> {
    timeout(TURN_TO_ACT_PATIENCE, wait).await.map_err(|_| Refusal::Busy)
}

async fn start(machine: &Machine) -> Result<Reply, Refusal> {
    machine.ask_down(false);
    unit::start(&machine.paths).await.map_err(|error| machine.broken(&error))?;
    Ok(Reply::Ok)
}

/// Stops after a drain if the gateway is idle within a moment; else the unit's own time for stopping holds.
async fn stop(machine: &Machine) -> Result<Reply, Refusal> {
    machine.ask_down(true);
    if let Some(bundle) = machine.store().ok().and_then(|store| store.current().ok().flatten())
        && let Some(token) = bundle.secret(GATEWAY_TOKEN)
        && machine.gateway.ready().await
    {
        let idle = machine.gateway.drain(token, DRAIN_PATIENCE).await;
        tracing::info!(idle, "drained");
    }
    unit::stop(&machine.paths).await.map_err(|error| machine.broken(&error))?;
    Ok(Reply::Ok)
}

async fn turn(machine: &Machine, text: &SecretText, session: &str, timeout_ms: u32) -> Result<Reply, Refusal> {
    if session.is_empty() || session.chars().count() > SESSION_CHARS_MAX || session.chars().any(char::is_control) {
        return Err(Refusal::Malformed { why: "the session's name is not as agreed".to_owned() });
    }
    let _turn = my_turn(machine.turns.read()).await?;
    let current = machine.store().and_then(|store| store.current()).map_err(|error| machine.broken(&error))?;
    let current = current.ok_or_else(|| Refusal::NotReady { why: "nothing was applied yet".to_owned() })?;
    if status::gateway(machine).await? != Gateway::Ready {
        return Err(Refusal::NotReady { why: "the gateway is not ready".to_owned() });
    }
    let patience = Duration::from_millis(timeout_ms.into()).clamp(Duration::from_secs(1), TURN_PATIENCE_MAX);
    let since = Instant::now();
    let token = current.secret(GATEWAY_TOKEN).ok_or_else(|| Refusal::Broken { why: "no gateway token".to_owned() })?;
    let answered = machine.gateway.turn(token, text, session, patience).await;
    let latency_ms = u32::try_from(since.elapsed().as_millis()).unwrap_or(u32::MAX);
    match answered {
        Ok(text) => Ok(Reply::Turn { text, latency_ms }),
        Err(error) => Err(Refusal::TurnFailed { why: machine.reason(&error.to_string()) }),
    }
}

/// The answer as bytes; one that is too large becomes a refusal that says so.
fn written(outcome: Outcome) -> Zeroizing<Vec<u8>> {
    let write = |outcome| serde_json::to_vec(&Answer { version: VERSION, outcome }).unwrap_or_default();
    let bytes = Zeroizing::new(write(outcome));
    if bytes.len() <= BYTES_MAX && !bytes.is_empty() {
        return bytes;
    }
    let why = "the answer is larger than allowed".to_owned();
    Zeroizing::new(write(Outcome::Refused(Refusal::Broken { why })))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_request_that_makes_no_sense_is_refused_without_being_repeated() {
        assert_eq!(parse(br#"{"version":9,"verb":"shell"}"#).unwrap_err(), Refusal::Version { guest: VERSION });
        let marked =
            r#"{"version":1,"verb":"apply","fence":1,"document":{},"secrets":[{"name":"k","value":{"x":"marker"}}]}"#;
        for bad in ["", "[]", "{}", r#"{"version":1}"#, r#"{"version":1,"verb":"shell"}"#, r#"{"version":"1"}"#, marked]
        {
            let refusal = parse(bad.as_bytes()).unwrap_err();
            assert!(matches!(refusal, Refusal::Malformed { .. }), "{bad}");
            assert!(!refusal.to_string().contains("marker"));
        }
    }

    #[test]
    fn an_answer_never_grows_beyond_the_bound() {
        let text = SecretText::new("\n".repeat(BYTES_MAX - 100));
        let bytes = written(Outcome::Done(Reply::Turn { text, latency_ms: 1 }));
        assert!(String::from_utf8_lossy(&bytes).contains("larger than allowed"));
    }
}
