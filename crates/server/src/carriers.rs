//! How mails leave this installation, and how alerts reach a person: parsed once, then made.

use std::{path::PathBuf, sync::Arc};

use clients::{
    mail::{
        Mailer,
        folder::Folder,
        smtp::{BadServer, Server, Smtp},
    },
    webhook::HttpWebhook,
};
use domain::names::Email;
use flows::Carriers;
use url::{Host, Url};
use vault::WebhookSecret;

use crate::settings::{BadSetting, Values, bad};

/// How mails leave, and who hears of alerts.
#[derive(Default)]
pub struct CarriersConfig {
    /// How mails leave; none leave without.
    pub mail: Option<MailConfig>,
    /// Who gets alerts by mail.
    pub alert_to: Option<Email>,
    /// Which program gets alerts, and the secret that they are signed with.
    pub webhook: Option<(Url, WebhookSecret)>,
}

/// How mails leave.
pub struct MailConfig {
    /// In whose name.
    pub from: Email,
    /// Where to.
    pub to: MailWay,
}

/// Where mails go.
pub enum MailWay {
    /// To a server.
    Server(Server),
    /// Into a folder.
    Folder(PathBuf),
}

impl CarriersConfig {
    pub(crate) fn parse(values: &Values) -> Result<Self, BadSetting> {
        let mail = mail(values)?;
        let alert_to = email(values, "BERTH_ALERT_MAIL_TO")?;
        if alert_to.is_some() && mail.is_none() {
            return Err(bad("BERTH_ALERT_MAIL_TO", "needs BERTH_SMTP_URL, or BERTH_MAIL_DIR in development"));
        }
        Ok(Self { mail, alert_to, webhook: webhook(values)? })
    }

    /// Who hears of alerts, for the page. No secret: of the webhook's address the host alone.
    #[must_use]
    pub fn shown(&self) -> Vec<String> {
        let mail = self.alert_to.as_ref().map(|to| format!("mail to {to}"));
        let host = |url: &Url| url.host_str().unwrap_or_default().to_owned();
        let webhook = self.webhook.as_ref().map(|(url, _)| format!("webhook at {}", host(url)));
        mail.into_iter().chain(webhook).collect()
    }

    /// Makes what flows use. `base` is where people reach Berth.
    ///
    /// # Errors
    /// The mail server's address cannot be used, or this system has no certificates to trust.
    pub fn build(self, base: &Url) -> anyhow::Result<Carriers> {
        let mailer = self.mail.map(MailConfig::build).transpose()?;
        let webhook = self.webhook.map(|(url, secret)| HttpWebhook::new(url, secret)).transpose()?;
        Ok(Carriers {
            letters: mailer.clone(),
            mail: mailer.zip(self.alert_to),
            webhook: webhook.map(|webhook| Arc::new(webhook) as _),
            base: base.as_str().trim_end_matches('/').to_owned(),
        })
    }
}

impl MailConfig {
    fn build(self) -> Result<Arc<dyn Mailer>, BadSetting> {
        Ok(match self.to {
            MailWay::Folder(path) => Arc::new(Folder::new(path, self.from)),
            MailWay::Server(server) => Arc::new(Smtp::new(&server, self.from).map_err(bad_server)?),
        })
    }
}

fn mail(values: &Values) -> Result<Option<MailConfig>, BadSetting> {
    let folder = values.get("BERTH_MAIL_DIR")?.map(|path| MailWay::Folder(PathBuf::from(path.as_str())));
    let to = match (values.get("BERTH_SMTP_URL")?, folder) {
        (Some(_), Some(_)) => return Err(bad("BERTH_SMTP_URL", "and BERTH_MAIL_DIR are both set; give one")),
        (Some(url), None) => MailWay::Server(Server::parse(&url).map_err(bad_server)?),
        (None, Some(folder)) => folder,
        (None, None) => return Ok(None),
    };
    let from = email(values, "BERTH_MAIL_FROM")?;
    let from = from.ok_or_else(|| bad("BERTH_MAIL_FROM", "is not set; a mail needs an address that it comes from"))?;
    Ok(Some(MailConfig { from, to }))
}

fn bad_server(error: BadServer) -> BadSetting {
    bad("BERTH_SMTP_URL", error.to_string())
}

fn email(values: &Values, name: &'static str) -> Result<Option<Email>, BadSetting> {
    values.get(name)?.map(|text| Email::parse(&text).map_err(|_| bad(name, "is not an e-mail address"))).transpose()
}

fn webhook(values: &Values) -> Result<Option<(Url, WebhookSecret)>, BadSetting> {
    let (name, key) = ("BERTH_ALERT_WEBHOOK_URL", "BERTH_ALERT_WEBHOOK_SECRET");
    let url: Option<Url> = values.parse(name, "an https address")?;
    let secret = values.get(key)?.map(|text| WebhookSecret::parse(&text)).transpose();
    let secret = secret.map_err(|error| bad(key, format!("cannot be used: {error}")))?;
    let Some(url) = url else { return Ok(None) };
    let secret = secret.ok_or_else(|| {
        bad(key, "is not set; what is posted has to be signed (`echo whsec_$(openssl rand -base64 32)`)")
    })?;
    let loopback = match url.host() {
        Some(Host::Domain(host)) => host == "localhost",
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        None => false,
    };
    match url.scheme() {
        "https" => Ok(Some((url, secret))),
        "http" if loopback => Ok(Some((url, secret))),
        _ => Err(bad(name, "must begin with https://, unless it leads to this host")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECRET: &str = "whsec_AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";

    fn parse(pairs: &[(&str, &str)]) -> Result<CarriersConfig, BadSetting> {
        CarriersConfig::parse(&Values::of(pairs))
    }

    #[test]
    fn nothing_set_up_is_nobody_told() {
        assert_eq!(parse(&[]).unwrap().shown(), Vec::<String>::new());
    }

    #[test]
    fn what_is_shown_holds_no_secret() {
        let config = parse(&[
            ("BERTH_ALERT_WEBHOOK_URL", "https://hunter2@pager.example/hunter2?key=hunter2"),
            ("BERTH_ALERT_WEBHOOK_SECRET", SECRET),
            ("BERTH_SMTP_URL", "smtps://berth:hunter2@mail.example"),
            ("BERTH_MAIL_FROM", "berth@harbour.example"),
            ("BERTH_ALERT_MAIL_TO", "ada@harbour.example"),
        ]);
        assert_eq!(config.unwrap().shown(), ["mail to ada@harbour.example", "webhook at pager.example"]);
    }

    #[test]
    fn half_a_carrier_is_refused_without_its_value() {
        let dir = ("BERTH_MAIL_DIR", "/tmp/hunter2");
        let from = ("BERTH_MAIL_FROM", "berth@harbour.example");
        let cases: [(&[(&str, &str)], &str); 9] = [
            (&[("BERTH_ALERT_WEBHOOK_URL", "https://pager.example/hunter2")], "BERTH_ALERT_WEBHOOK_SECRET"),
            (
                &[("BERTH_ALERT_WEBHOOK_URL", "http://pager.example/hunter2"), ("BERTH_ALERT_WEBHOOK_SECRET", SECRET)],
                "BERTH_ALERT_WEBHOOK_URL",
            ),
            (&[("BERTH_ALERT_WEBHOOK_SECRET", "whsec_hunter2")], "BERTH_ALERT_WEBHOOK_SECRET"),
            (&[("BERTH_ALERT_MAIL_TO", "hunter2@x.example")], "BERTH_ALERT_MAIL_TO"),
            (&[dir, from, ("BERTH_ALERT_MAIL_TO", "hunter2")], "BERTH_ALERT_MAIL_TO"),
            (&[dir], "BERTH_MAIL_FROM"),
            (&[dir, ("BERTH_MAIL_FROM", "hunter2\r\nBcc: x@y.example")], "BERTH_MAIL_FROM"),
            (&[dir, from, ("BERTH_SMTP_URL", "smtp://hunter2")], "BERTH_SMTP_URL"),
            (&[from, ("BERTH_SMTP_URL", "smtp://berth:hunter2@mail.example")], "BERTH_SMTP_URL"),
        ];
        for (pairs, name) in cases {
            let error = parse(pairs).err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.starts_with(name) && !error.contains("hunter2"), "{name}: {error}");
        }
    }
}
