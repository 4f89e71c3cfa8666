//! Mails handed to a server over SMTP (RFC 5321), over TLS but on this host.

use std::time::Duration;

use async_trait::async_trait;
use domain::names::Email;
use lettre::{
    AsyncSmtpTransport, AsyncTransport as _, Tokio1Executor,
    transport::smtp::{AsyncSmtpTransportBuilder, PoolConfig},
};
use url::{Host, Url};
use zeroize::Zeroizing;

use super::{Mail, MailError, Mailer, message};

/// For each command and its answer.
const COMMAND_MAX: Duration = Duration::from_secs(10);
/// For the whole of a mail.
const MAIL_MAX: Duration = Duration::from_secs(30);

/// A mail server's address, checked. It may hold a password, so it prints as a placeholder.
#[derive(Clone)]
pub struct Server(Zeroizing<String>);

/// Why a mail server's address cannot be used. It does not repeat the address.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum BadServer {
    /// Another form.
    #[error("is not smtps://user:password@host, nor smtp://user:password@host:587?tls=required")]
    Form,
    /// Plain SMTP to another host would show mails and the password to whoever listens.
    #[error("is smtp:// without ?tls=required, which is accepted for this host only")]
    Plain,
}

impl Server {
    /// The only constructor.
    ///
    /// # Errors
    /// [`BadServer`].
    pub fn parse(text: &str) -> Result<Self, BadServer> {
        let url: Url = text.parse().map_err(|_| BadServer::Form)?;
        let required = url.query_pairs().any(|(name, value)| name == "tls" && value == "required");
        match url.scheme() {
            "smtps" => {}
            "smtp" if required || is_this_host(&url) => {}
            "smtp" => return Err(BadServer::Plain),
            _ => return Err(BadServer::Form),
        }
        let server = Self(Zeroizing::new(text.to_owned()));
        server.builder().map(|_| server)
    }

    fn builder(&self) -> Result<AsyncSmtpTransportBuilder, BadServer> {
        AsyncSmtpTransport::<Tokio1Executor>::from_url(&self.0).map_err(|_| BadServer::Form)
    }
}

impl std::fmt::Debug for Server {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Server(..)")
    }
}

/// Hands mails to a server, over at most two connections.
pub struct Smtp {
    transport: AsyncSmtpTransport<Tokio1Executor>,
    from: Email,
}

impl Smtp {
    /// Sends through this server, in the name of `from`. Must be called within a runtime.
    ///
    /// # Errors
    /// [`BadServer::Form`], which parsing has ruled out.
    pub fn new(server: &Server, from: Email) -> Result<Self, BadServer> {
        let pool = PoolConfig::new().max_size(2).idle_timeout(Duration::from_secs(30));
        Ok(Self { transport: server.builder()?.timeout(Some(COMMAND_MAX)).pool_config(pool).build(), from })
    }
}

fn is_this_host(url: &Url) -> bool {
    match url.host() {
        // A scheme that the URL standard does not know keeps its host as text.
        Some(Host::Domain(name)) => {
            let bare = name.trim_start_matches('[').trim_end_matches(']');
            name == "localhost" || bare.parse::<std::net::IpAddr>().is_ok_and(|address| address.is_loopback())
        }
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    }
}

#[async_trait]
impl Mailer for Smtp {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let message = message(mail, &self.from)?;
        let sent = tokio::time::timeout(MAIL_MAX, self.transport.send(message)).await;
        match sent.map_err(|_| MailError::Later(None))? {
            Ok(_) => Ok(()),
            Err(error) => {
                let code = error.status().map(u16::from);
                tracing::debug!(code, permanent = error.is_permanent(), "a mail was not taken");
                Err(if error.is_permanent() { MailError::Refused(code) } else { MailError::Later(code) })
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_password_never_goes_over_a_plain_line() {
        let new = |url: &str| Server::parse(url).err();
        for good in [
            "smtps://berth:hunter2@mail.example",
            "smtp://berth:hunter2@mail.example:587?tls=required",
            "smtp://127.0.0.1:2525",
            "smtp://localhost",
            "smtp://[::1]:25",
        ] {
            assert_eq!(new(good), None, "{good}");
        }
        for plain in
            ["smtp://berth:hunter2@mail.example:587", "smtp://10.0.0.1", "smtp://mail.example?tls=opportunistic"]
        {
            assert_eq!(new(plain), Some(BadServer::Plain), "{plain}");
        }
        for bad in ["", "hunter2", "https://mail.example"] {
            assert_eq!(new(bad), Some(BadServer::Form), "{bad}");
        }
    }
}
