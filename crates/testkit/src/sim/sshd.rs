//! A machine's SSH server: its placed host key, the placed authority and principal, one forced command.

use std::{sync::Arc, time::Duration};

use domain::protocol::BYTES_MAX;
use russh::{
    Channel, ChannelId,
    keys::{
        Certificate, HashAlg, PrivateKey, PublicKey,
        ssh_key::{Fingerprint, certificate::CertType},
    },
    server::{self, Auth, ChannelOpenHandle, Msg, Session},
};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

use super::{guest::Guest, ledger::now};

/// Who gets in, and which key is shown.
#[derive(Debug)]
pub(super) struct Lock {
    host_key: PrivateKey,
    authority: Fingerprint,
    principal: String,
}

impl Lock {
    /// From the texts of the three files.
    pub(super) fn new(host_key: &str, authority: &str, principal: &str) -> Option<Self> {
        Some(Self {
            host_key: PrivateKey::from_openssh(host_key).ok()?,
            authority: PublicKey::from_openssh(authority.trim()).ok()?.fingerprint(HashAlg::Sha256),
            principal: principal.trim().to_owned(),
        })
    }

    /// The account, the authority's signature, the time, this machine's name, and no option that we would not know.
    fn opens(&self, account: &str, certificate: &Certificate) -> bool {
        let now = u64::try_from(now().timestamp()).unwrap_or_default();
        account == ssh::USER
            && certificate.cert_type() == CertType::User
            && certificate.validate_at(now, [&self.authority]).is_ok()
            && certificate.valid_principals().contains(&self.principal)
            && certificate.critical_options().is_empty()
    }
}

/// Serves until the power is cut.
pub(super) async fn serve(listener: TcpListener, lock: Lock, guest: Arc<Guest>, off: CancellationToken) {
    let config = Arc::new(server::Config {
        keys: vec![lock.host_key.clone()],
        auth_rejection_time: Duration::ZERO,
        inactivity_timeout: Some(Duration::from_mins(3)),
        nodelay: true,
        ..server::Config::default()
    });
    let lock = Arc::new(lock);
    loop {
        let Ok((stream, _)) = listener.accept().await else { continue };
        let visitor = Visitor { lock: Arc::clone(&lock), guest: Arc::clone(&guest), request: Vec::new() };
        tokio::spawn(session(Arc::clone(&config), stream, visitor, off.clone()));
    }
}

async fn session(config: Arc<server::Config>, stream: TcpStream, visitor: Visitor, off: CancellationToken) {
    stream.set_nodelay(true).ok();
    let begun = tokio::select! {
        () = off.cancelled() => return,
        begun = server::run_stream(config, stream, visitor) => begun,
    };
    let Ok(session) = begun else { return };
    let handle = session.handle();
    tokio::select! {
        () = off.cancelled() => {
            handle.disconnect(russh::Disconnect::ByApplication, String::new(), String::new()).await.ok();
        }
        _ = session => {}
    }
}

/// One connection.
struct Visitor {
    lock: Arc<Lock>,
    guest: Arc<Guest>,
    request: Vec<u8>,
}

impl server::Handler for Visitor {
    type Error = russh::Error;

    async fn auth_openssh_certificate(
        &mut self,
        account: &str,
        certificate: &Certificate,
    ) -> Result<Auth, russh::Error> {
        Ok(if self.lock.opens(account, certificate) { Auth::Accept } else { Auth::reject() })
    }

    async fn channel_open_session(
        &mut self,
        _: Channel<Msg>,
        reply: ChannelOpenHandle,
        _: &mut Session,
    ) -> Result<(), russh::Error> {
        reply.accept().await;
        Ok(())
    }

    async fn exec_request(&mut self, channel: ChannelId, _: &[u8], session: &mut Session) -> Result<(), russh::Error> {
        session.channel_success(channel)
    }

    async fn data(&mut self, _: ChannelId, data: &[u8], _: &mut Session) -> Result<(), russh::Error> {
        if self.request.len().saturating_add(data.len()) > BYTES_MAX {
            return Err(russh::Error::Disconnect);
        }
        self.request.extend_from_slice(data);
        Ok(())
    }

    /// The request is whole: the guest answers beside the session. Its work goes on when the asking side is gone.
    async fn channel_eof(&mut self, channel: ChannelId, session: &mut Session) -> Result<(), russh::Error> {
        let request = std::mem::take(&mut self.request);
        let (guest, handle) = (Arc::clone(&self.guest), session.handle());
        tokio::spawn(async move {
            if let Some(answer) = guest.answer(&request).await {
                handle.data(channel, answer).await.ok();
                handle.exit_status_request(channel, 0).await.ok();
                handle.eof(channel).await.ok();
                handle.close(channel).await.ok();
            } else {
                handle.disconnect(russh::Disconnect::ByApplication, String::new(), String::new()).await.ok();
            }
        });
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use russh::keys::ssh_key::{LineEnding, certificate::Builder, private::Ed25519Keypair};

    use super::*;

    fn key(seed: u8) -> PrivateKey {
        PrivateKey::from(Ed25519Keypair::from_seed(&[seed; 32]))
    }

    fn certificate(authority: &PrivateKey, principal: &str, until: u64) -> Certificate {
        let mut builder = Builder::new([7; 16], key(9).public_key().key_data().clone(), 0, until).unwrap();
        builder.cert_type(CertType::User).unwrap();
        builder.key_id("test").unwrap();
        builder.valid_principal(principal).unwrap();
        builder.sign(authority).unwrap()
    }

    #[test]
    fn one_certificate_opens_one_machine_for_its_time() {
        let text = |key: &PrivateKey| key.to_openssh(LineEnding::LF).unwrap();
        let (ours, other) = (key(1), key(2));
        let lock = Lock::new(&text(&key(3)), &ours.public_key().to_openssh().unwrap(), "mch_1\n").unwrap();
        let soon = u64::try_from(now().timestamp()).unwrap() + 60;
        assert!(lock.opens(ssh::USER, &certificate(&ours, "mch_1", soon)));
        assert!(!lock.opens("root", &certificate(&ours, "mch_1", soon)), "another account");
        assert!(!lock.opens(ssh::USER, &certificate(&other, "mch_1", soon)), "another authority");
        assert!(!lock.opens(ssh::USER, &certificate(&ours, "mch_2", soon)), "another machine's principal");
        assert!(!lock.opens(ssh::USER, &certificate(&ours, "mch_1", soon - 120)), "an old one");
    }
}
