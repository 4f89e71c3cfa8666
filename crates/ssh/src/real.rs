//! The real [`Reach`]: russh over a pinned connection, one exec channel, one exchange.

use std::{borrow::Cow, io, sync::Arc, time::Duration};

use async_trait::async_trait;
use domain::{
    Entropy, InstallationId,
    protocol::{Answer, BYTES_MAX, Request},
};
use russh::{
    Channel, ChannelMsg, Disconnect, Preferred, cipher,
    client::{self, AuthResult, Handle},
    compression, kex,
    keys::{Algorithm, EcdsaCurve, PublicKeyOrCertificate},
    mac,
};
use zeroize::Zeroizing;

use crate::{
    Pinned, Reach, SshError, Target, USER, key,
    line::{Grip, Line},
};

/// A request that cannot be connected for this long is not going to be.
const CONNECT_MAX: Duration = Duration::from_secs(5);

/// Longest writing of a goodbye; it usually takes microseconds.
const GOODBYE_MAX: Duration = Duration::from_millis(100);

/// The word of the exec request. The machine's sshd forces its own command and ignores it.
const COMMAND: &str = "ask";

/// Key exchanges in order of preference; the post-quantum hybrid first (OpenSSH 9.9 and later offer it).
const EXCHANGES: &[kex::Name] = &[
    kex::MLKEM768X25519_SHA256,
    kex::CURVE25519,
    kex::EXTENSION_SUPPORT_AS_CLIENT,
    kex::EXTENSION_OPENSSH_STRICT_KEX_AS_CLIENT,
];

/// Ed25519 is what we pin. The others are offered so that a machine which lost its key is told from one that speaks no SSH.
const HOST_KEYS: &[Algorithm] = &[Algorithm::Ed25519, Algorithm::Ecdsa { curve: EcdsaCurve::NistP256 }];

const CIPHERS: &[cipher::Name] = &[cipher::CHACHA20_POLY1305, cipher::AES_256_GCM];

/// Both ciphers authenticate by themselves; a name is offered because an empty list is refused.
const MACS: &[mac::Name] = &[mac::HMAC_SHA256_ETM];

/// Reaches machines over SSH.
pub struct Russh {
    installation: InstallationId,
    entropy: Arc<dyn Entropy>,
    account: String,
    config: Arc<client::Config>,
}

impl Russh {
    /// `installation` is named in each certificate's key id, which the machines' sshd writes to its log.
    #[must_use]
    pub fn new(installation: InstallationId, entropy: Arc<dyn Entropy>) -> Self {
        let config = client::Config {
            preferred: Preferred {
                kex: Cow::Borrowed(EXCHANGES),
                key: Cow::Borrowed(HOST_KEYS),
                host_key_certificates: Cow::Borrowed(&[]),
                cipher: Cow::Borrowed(CIPHERS),
                mac: Cow::Borrowed(MACS),
                compression: Cow::Borrowed(&[compression::NONE]),
            },
            nodelay: true,
            ..client::Config::default()
        };
        Self { installation, entropy, account: USER.to_owned(), config: Arc::new(config) }
    }

    /// Signs in to another account than [`USER`], where the machine was not made by us and calls it otherwise.
    #[must_use]
    pub fn signing_in_as(self, account: &str) -> Self {
        Self { account: account.to_owned(), ..self }
    }

    /// Everything but the limit.
    async fn exchange(&self, target: &Target<'_>, request: &[u8]) -> Result<Answer, SshError> {
        let (mut session, _grip) = self.connect(target).await?;
        self.sign_in(&mut session, target).await?;
        let channel = session.channel_open_session().await.map_err(lost)?;
        let answer = converse(channel, request).await;
        // The peer learns that we meant it. Whether it hears us changes nothing, so nobody waits for long.
        session.disconnect(Disconnect::ByApplication, "", "").await.ok();
        tokio::time::timeout(GOODBYE_MAX, session).await.ok();
        parse(&answer?)
    }

    /// Connects and checks the host key; nothing about us has been sent when this returns.
    async fn connect(&self, target: &Target<'_>) -> Result<(Handle<Doorman>, Grip), SshError> {
        let unreachable = |why: String| SshError::Unreachable { why };
        let (line, grip) = tokio::time::timeout(CONNECT_MAX, Line::open(target.address))
            .await
            .map_err(|_| unreachable("no answer to the connection".into()))?
            .map_err(|error| unreachable(error.to_string()))?;
        let doorman = Doorman { pinned: target.host_key.clone() };
        match client::connect_stream(Arc::clone(&self.config), line, doorman).await {
            Ok(session) => Ok((session, grip)),
            Err(Fault::OtherKey { shown }) => {
                Err(SshError::HostKeyChanged { expected: target.host_key.fingerprint(), shown })
            }
            Err(Fault::Russh(russh::Error::NoCommonAlgo { kind: russh::AlgorithmKind::Key, theirs, .. })) => {
                let shown = format!("only keys of the kinds {}", words(&theirs));
                Err(SshError::HostKeyChanged { expected: target.host_key.fingerprint(), shown })
            }
            Err(Fault::Russh(error)) => Err(unreachable(error.to_string())),
        }
    }

    /// Signs in with a key and a certificate that exist for this connection only.
    async fn sign_in(&self, session: &mut Handle<Doorman>, target: &Target<'_>) -> Result<(), SshError> {
        let user = key::fresh(&*self.entropy, "");
        let certificate = target
            .authority
            .certify(user.public_key(), target.machine, self.installation, target.now, &*self.entropy)
            .map_err(|_| SshError::Refused { why: "no certificate could be made for it" })?;
        match session.authenticate_openssh_cert(&self.account, Arc::new(user), certificate).await {
            Ok(AuthResult::Success) => Ok(()),
            // russh's word for a line that broke before the server said anything.
            Ok(AuthResult::Failure { remaining_methods, .. }) if remaining_methods.is_empty() => {
                Err(SshError::Lost { why: "it ended while signing in".to_owned() })
            }
            Ok(AuthResult::Failure { .. }) => Err(SshError::Refused { why: "the certificate was not accepted" }),
            Err(error) => Err(lost(error)),
        }
    }
}

#[async_trait]
impl Reach for Russh {
    async fn ask(&self, target: &Target<'_>, request: &Request, limit: Duration) -> Result<Answer, SshError> {
        let bytes = encode(request)?;
        let begun = tokio::time::Instant::now();
        let outcome = match tokio::time::timeout(limit, self.exchange(target, &bytes)).await {
            Ok(outcome) => outcome,
            Err(_) => Err(SshError::TimedOut { limit }),
        };
        let (verb, took_ms) = (request.ask.verb(), begun.elapsed().as_millis());
        match &outcome {
            Ok(_) => tracing::debug!(machine = %target.machine, verb, took_ms, "machine answered"),
            Err(error) => tracing::debug!(machine = %target.machine, verb, took_ms, %error, "machine did not answer"),
        }
        outcome
    }
}

/// Knows one face and lets nobody else pass.
struct Doorman {
    pinned: Pinned,
}

/// What can go wrong while russh runs the session.
#[derive(Debug)]
enum Fault {
    OtherKey { shown: String },
    Russh(russh::Error),
}

impl From<russh::Error> for Fault {
    fn from(error: russh::Error) -> Self {
        Self::Russh(error)
    }
}

impl client::Handler for Doorman {
    type Error = Fault;

    async fn check_server_key(&mut self, shown: &PublicKeyOrCertificate) -> Result<bool, Fault> {
        match shown {
            PublicKeyOrCertificate::PublicKey { key, .. } if self.pinned.is(key) => Ok(true),
            PublicKeyOrCertificate::PublicKey { key, .. } => Err(Fault::OtherKey { shown: key::fingerprint(key) }),
            PublicKeyOrCertificate::Certificate(_) => Err(Fault::OtherKey { shown: "a certificate".into() }),
        }
    }
}

/// Sends the request and its end, and reads until the machine has said everything.
async fn converse(channel: Channel<client::Msg>, request: &[u8]) -> Result<Zeroizing<Vec<u8>>, SshError> {
    let (mut from, to) = channel.split();
    let request_sent = async {
        to.exec(true, COMMAND).await?;
        to.data(request).await?;
        to.eof().await
    };
    // A guest that refuses early answers before it has read everything, so a failure to send is not yet the outcome.
    let (sent, answer) = tokio::join!(request_sent, async {
        let mut answer = Zeroizing::new(Vec::with_capacity(4096));
        let mut exit = None;
        while let Some(message) = from.wait().await {
            match message {
                ChannelMsg::Data { data } => {
                    if answer.len().saturating_add(data.len()) > BYTES_MAX {
                        return Err(garbled(format!("it is longer than {BYTES_MAX} bytes")));
                    }
                    keep(&mut answer, &data);
                }
                ChannelMsg::Failure => return Err(SshError::Refused { why: "it runs no command for us" }),
                ChannelMsg::ExitStatus { exit_status } => exit = Some(exit_status),
                ChannelMsg::ExitSignal { .. } => return Err(garbled("its program was killed".into())),
                ChannelMsg::Close => break,
                // What the program writes to stderr is not part of the protocol, and hostile.
                _ => {}
            }
        }
        Ok((answer, exit))
    });
    let (answer, exit) = answer?;
    match (answer.is_empty(), exit, sent) {
        (false, _, _) => Ok(answer),
        (true, Some(status), _) => Err(garbled(format!("it is empty, and the program ended with {status}"))),
        (true, None, Err(error)) => Err(lost(error)),
        (true, None, Ok(())) => Err(lost(russh::Error::Disconnect)),
    }
}

/// Appends without leaving copies behind: a growing vector would free the old one as it is.
fn keep(answer: &mut Zeroizing<Vec<u8>>, more: &[u8]) {
    let wanted = answer.len().saturating_add(more.len());
    if wanted > answer.capacity() {
        let mut larger = Zeroizing::new(Vec::with_capacity(wanted.saturating_mul(2)));
        larger.extend_from_slice(answer);
        *answer = larger;
    }
    answer.extend_from_slice(more);
}

/// The request as JSON in one allocation of the right size, which is wiped when dropped.
fn encode(request: &Request) -> Result<Zeroizing<Vec<u8>>, SshError> {
    struct Count(usize);
    impl io::Write for Count {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.0 = self.0.saturating_add(bytes.len());
            Ok(bytes.len())
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }
    let unwritable = |_| garbled("our request does not encode".into());
    let mut length = Count(0);
    serde_json::to_writer(&mut length, request).map_err(unwritable)?;
    if length.0 > BYTES_MAX {
        return Err(garbled(format!("our request is longer than {BYTES_MAX} bytes")));
    }
    let mut bytes = Zeroizing::new(Vec::with_capacity(length.0));
    serde_json::to_writer(&mut *bytes, request).map_err(unwritable)?;
    Ok(bytes)
}

/// Reads an answer; says where it stops making sense, never what stands there.
fn parse(bytes: &[u8]) -> Result<Answer, SshError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let kind = match error.classify() {
            serde_json::error::Category::Data => "not an answer of the protocol",
            serde_json::error::Category::Eof => "cut off",
            serde_json::error::Category::Io | serde_json::error::Category::Syntax => "not JSON",
        };
        garbled(format!("{kind}, at line {} column {}", error.line(), error.column()))
    })
}

fn garbled(why: String) -> SshError {
    SshError::Garbled { why }
}

#[expect(clippy::needless_pass_by_value, reason = "shape of map_err")]
fn lost(error: russh::Error) -> SshError {
    SshError::Lost { why: error.to_string() }
}

/// A list from the other side, kept short.
fn words(theirs: &[String]) -> String {
    theirs.iter().take(4).map(|word| word.chars().take(40).collect::<String>()).collect::<Vec<_>>().join(", ")
}
