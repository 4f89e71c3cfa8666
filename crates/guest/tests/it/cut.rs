//! A configuration on its way through a real sshd, and the line is cut: at every kind of byte, ten times each.
//!
//! What is in force afterwards is the old one or the new one; nothing of the new one lies anywhere but in memory or
//! sealed; and the same request, sent again as the flow does, ends with the digest that was meant.

use std::{
    fs, io,
    ops::Range,
    path::{Path, PathBuf},
    time::Duration,
};

use domain::protocol::{Answer, Ask, InForce, Outcome, Reply, Request, SecretFile, SecretText};
use guest::{in_force::digest, shim};
use ssh::{Reach as _, SshError, Target};

use crate::{
    fake_gateway::Hold,
    proxy::{Cut, Proxy, Seen},
    setup::{client, now},
    sshd::Sshd,
    world::{MARKER, World, key, secrets, token, wanted},
};

/// Cuts of each kind.
const TIMES: usize = 10;
const PATIENCE: Duration = Duration::from_secs(30);
const SOCKET: &str = "GUEST_TEST_SOCKET";
/// Secrets that make the request long, so that most of what is sent is its body.
const PADDING: usize = 8;

/// Where a connection is, by what was said so far.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Banner,
    KeyExchange,
    Authentication,
    Channel,
    Body,
    /// The whole request went out; its answer is on its way.
    Answer,
}

/// A machine behind a real sshd, behind a line that can be cut, with version 1 in force.
struct Line {
    world: World,
    sshd: Sshd,
    proxy: Proxy,
    version: u64,
}

impl Line {
    async fn new() -> Self {
        let world = World::new().await;
        // The harness of tests writes to the standard output; the answer takes another way.
        let script = format!(
            "{SOCKET}={} {} --exact cut::the_shim_in_its_own_process --ignored --nocapture 3>&1 >/dev/null | cat",
            world.paths.socket.display(),
            std::env::current_exe().unwrap().display()
        );
        let sshd = Sshd::start(&script);
        let proxy = Proxy::before(sshd.address).await;
        let line = Self { world, sshd, proxy, version: 1 };
        line.send().await.unwrap();
        line
    }

    /// Sends the wanted version, as the flow does, over the line as it is.
    async fn send(&self) -> Result<InForce, String> {
        let answer = self.ask().await.map_err(|error| error.to_string())?;
        match answer.outcome {
            Outcome::Done(Reply::Applied(in_force)) => Ok(in_force),
            other => Err(format!("{other:?}")),
        }
    }

    async fn ask(&self) -> Result<Answer, SshError> {
        let pinned = self.sshd.host_key.pinned();
        let target = Target {
            address: self.proxy.address,
            machine: self.sshd.machine,
            host_key: &pinned,
            authority: &self.sshd.authority,
            now: now(),
        };
        client().ask(&target, &request(self.version), PATIENCE).await
    }

    /// The version that is in force, as the gateway runs it; a mixture of two ends the test.
    fn in_force(&self) -> u64 {
        let runs = self.world.gateway.runs();
        let whole = |version: u64| {
            let name = name_of(version);
            (format!("berth/{name}"), token(&name), key(&name))
        };
        let one = [self.version - 1, self.version].into_iter().find(|version| runs == whole(*version));
        one.unwrap_or_else(|| panic!("a third configuration is in force: {runs:?}, not v{}", self.version))
    }

    /// Files outside the folder that is in memory that hold a secret of this version.
    fn left_in_plain(&self) -> Vec<PathBuf> {
        let marker = format!("{MARKER}-{}", name_of(self.version));
        let mut found = Vec::new();
        search(self.world.root(), &self.world.paths.secrets, marker.as_bytes(), &mut found);
        found
    }

    /// The line is whole again and the flow sends once more.
    async fn recover(&self) {
        self.proxy.cut(Cut::Never);
        let in_force = self.send().await.unwrap();
        let meant = digest(&wanted(&name_of(self.version)), None);
        assert_eq!((in_force.fence, in_force.digest, in_force.applied), (self.version, meant, true));
        assert_eq!(self.in_force(), self.version);
        assert_eq!(self.left_in_plain(), Vec::<PathBuf>::new());
    }
}

#[tokio::test]
async fn cut_in_the_banner_the_old_one_stays_in_force() {
    cut_before_the_request_is_whole(Kind::Banner).await;
}

#[tokio::test]
async fn cut_in_the_key_exchange_the_old_one_stays_in_force() {
    cut_before_the_request_is_whole(Kind::KeyExchange).await;
}

#[tokio::test]
async fn cut_while_signing_in_the_old_one_stays_in_force() {
    cut_before_the_request_is_whole(Kind::Authentication).await;
}

#[tokio::test]
async fn cut_while_the_channel_opens_the_old_one_stays_in_force() {
    cut_before_the_request_is_whole(Kind::Channel).await;
}

/// VMC-14.
#[tokio::test]
async fn cut_within_the_body_the_old_one_stays_in_force() {
    cut_before_the_request_is_whole(Kind::Body).await;
}

async fn cut_before_the_request_is_whole(kind: Kind) {
    let mut line = Line::new().await;
    let ways = ways(&line.proxy.seen(), kind);
    for n in 0..TIMES {
        line.version += 1;
        let at = ways.start + ways.len() * n / TIMES;
        line.proxy.cut(Cut::Up(at));
        let error = line.ask().await.expect_err("the line was cut");
        assert!(error.is_transient(), "at {at} of {ways:?}: the flow would give up: {error}");
        assert_eq!(line.in_force(), line.version - 1, "at {at} of {ways:?}");
        assert_eq!(line.left_in_plain(), Vec::<PathBuf>::new(), "at {at} of {ways:?}");
        line.recover().await;
    }
    // The cuts were where they are said to be: nobody was let in before the channel, everybody after it.
    let accepted = line.sshd.log().matches("Accepted publickey").count();
    let after = if matches!(kind, Kind::Channel | Kind::Body) { TIMES } else { 0 };
    assert_eq!(accepted, 1 + TIMES + after);
}

#[tokio::test]
async fn cut_before_the_answer_is_whole_it_is_one_of_the_two() {
    let mut line = Line::new().await;
    let ways = ways(&line.proxy.seen(), Kind::Answer);
    let mut lost = 0;
    for n in 0..TIMES {
        line.version += 1;
        let at = ways.start + ways.len() * n / TIMES;
        line.proxy.cut(Cut::Down(at));
        match line.send().await {
            // The answer was whole and only the goodbye was cut.
            Ok(in_force) => assert_eq!((in_force.fence, line.in_force()), (line.version, line.version)),
            Err(_) => lost += 1,
        }
        line.in_force();
        assert_eq!(line.left_in_plain(), Vec::<PathBuf>::new(), "at {at} of {ways:?}");
        line.recover().await;
    }
    assert!(lost >= TIMES / 2, "only {lost} answers were lost: this test shows little");
}

#[tokio::test]
async fn a_guest_that_dies_before_it_puts_the_new_one_in_place_leaves_one_of_the_two() {
    let mut line = Line::new().await;
    for n in 0..TIMES {
        let point = [Hold::AtGet, Hold::BeforeWriting, Hold::AfterWriting][n % 3];
        line.version += 1;
        line.world.gateway.inner().hold = Some(point);
        tokio::select! {
            done = line.send() => panic!("{point:?}: it was not held: {done:?}"),
            () = line.world.gateway.held.notified() => {}
        }
        line.world.kill_service().await;
        // Before the gateway has taken it, and when it starts again, it is whole and old.
        line.world.restart_gateway();
        assert!(matches!(line.world.ask(Ask::Hello).await, Ok(Reply::Hello(_))));
        assert_eq!(line.in_force(), line.version - 1, "{point:?}");
        assert_eq!(line.left_in_plain(), Vec::<PathBuf>::new(), "{point:?}");
        line.recover().await;
    }
}

/// From where to where a connection is in this, in bytes that one side has sent: learnt from one that was not cut.
fn ways(seen: &Seen, kind: Kind) -> Range<usize> {
    let banner = 1 + seen.up.iter().position(|byte| *byte == b'\n').unwrap();
    let keys = until_new_keys(&seen.up, banner);
    // The server's word after each of ours: service, key, signature, channel.
    let mut turns: Vec<usize> = seen.turns.iter().map(|(up, _)| *up).filter(|up| *up > keys).collect();
    turns.dedup();
    let body = serde_json::to_vec(&request(1)).unwrap().len();
    assert!(turns[3] + body < seen.up.len(), "the body follows the channel: {turns:?} {}", seen.up.len());
    let answered = seen.turns.iter().find(|(up, _)| *up > turns[3] + body).unwrap().1;
    match kind {
        Kind::Banner => 1..banner,
        Kind::KeyExchange => banner..keys,
        Kind::Authentication => keys..turns[2],
        Kind::Channel => turns[2]..turns[3],
        Kind::Body => turns[3] + 100..turns[3] + body,
        Kind::Answer => answered + 1..seen.down,
    }
}

/// The end of the last packet that is not encrypted.
fn until_new_keys(up: &[u8], mut at: usize) -> usize {
    const NEW_KEYS: u8 = 21;
    loop {
        let length = u32::from_be_bytes(up[at..at + 4].try_into().unwrap());
        let kind = up[at + 5];
        at += 4 + usize::try_from(length).unwrap();
        if kind == NEW_KEYS {
            return at;
        }
    }
}

fn name_of(version: u64) -> String {
    format!("v{version}")
}

fn request(version: u64) -> Request {
    let name = name_of(version);
    let padding = (0..PADDING).map(|n| SecretFile {
        name: format!("padding_{n}"),
        value: SecretText::new(format!("{MARKER}-{name} ").repeat(1_000)),
    });
    let secrets = secrets(&name).into_iter().chain(padding).collect();
    Request::new(Ask::Apply {
        fence: version,
        document: wanted(&name),
        secrets,
        instructions: None,
        variables: Vec::new(),
        reach: Vec::new(),
    })
}

fn search(folder: &Path, but: &Path, for_: &[u8], found: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap().flatten() {
        let path = entry.path();
        let Ok(kind) = entry.file_type() else { continue };
        if kind.is_dir() && path != but {
            search(&path, but, for_, found);
        } else if kind.is_file() && fs::read(&path).is_ok_and(|bytes| bytes.windows(for_.len()).any(|at| at == for_)) {
            found.push(path);
        }
    }
}

/// The forced command.
#[test]
#[ignore = "no test: sshd runs it for each request"]
fn the_shim_in_its_own_process() {
    let Some(socket) = std::env::var_os(SOCKET) else { return };
    let answer = fs::File::options().write(true).open("/proc/self/fd/3").unwrap();
    shim::pass(Path::new(&socket), io::stdin().lock(), answer).unwrap();
}
