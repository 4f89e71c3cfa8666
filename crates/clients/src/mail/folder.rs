//! Mails as files in a folder, for development: nothing leaves this computer.

use std::path::PathBuf;

use async_trait::async_trait;
use domain::names::Email;
use tokio::fs;

use super::{Mail, MailError, Mailer, message};

/// A folder with one `.eml` file a mail, named by the mail's id: the same mail twice is one file.
pub struct Folder {
    path: PathBuf,
    from: Email,
}

impl Folder {
    /// Makes the folder at the first mail, unless it is there.
    #[must_use]
    pub const fn new(path: PathBuf, from: Email) -> Self {
        Self { path, from }
    }

    async fn write(&self, name: &str, bytes: &[u8]) -> std::io::Result<()> {
        fs::create_dir_all(&self.path).await?;
        // A reader sees the whole mail or none: it is written beside, then renamed.
        let beside = self.path.join(format!(".{name}.new"));
        fs::write(&beside, bytes).await?;
        fs::rename(&beside, self.path.join(format!("{name}.eml"))).await
    }
}

#[async_trait]
impl Mailer for Folder {
    async fn send(&self, mail: &Mail) -> Result<(), MailError> {
        let bytes = message(mail, &self.from)?.formatted();
        if mail.id.contains('/') || mail.id.starts_with('.') {
            return Err(MailError::Unfit);
        }
        self.write(&mail.id, &bytes).await.map_err(|error| {
            tracing::warn!(error = &error as &dyn std::error::Error, "a mail could not be put into its folder");
            MailError::Folder
        })
    }
}
