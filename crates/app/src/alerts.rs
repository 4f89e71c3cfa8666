//! What an operator may do about an alert: say that they know, and take that back.
//!
//! Nobody closes an alert by hand: it closes when what was wrong is seen to be right.

use domain::{AlertId, audit::Act, people::Caller};
use store::{StoreError, SystemTx, alerts::Acknowledged};

use crate::audit;

/// Kind of the flow that tells a person of an alert.
pub const NOTICE: &str = store::notices::NOTICE;

/// Why an alert was not changed.
#[derive(Debug, thiserror::Error)]
pub enum ChangeAlertError {
    /// There is no such alert.
    #[error("there is no such alert")]
    NotFound,
    /// Only who runs the service.
    #[error("only an operator changes an alert")]
    Forbidden,
    /// What was wrong is right again.
    #[error("this alert is closed: what was wrong was seen to be right")]
    Closed,
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Says who knows of it, once; it does not fire again. Asking twice is asking once.
///
/// # Errors
/// [`ChangeAlertError`].
pub async fn acknowledge(tx: &mut SystemTx, alert: AlertId, by: &Caller) -> Result<(), ChangeAlertError> {
    only_operators(by)?;
    read(store::alerts::acknowledge(tx, alert, by.user).await?)?;
    Ok(audit::record_house(tx, by, Act::AlertAcknowledge, &alert, &[]).await?)
}

/// Takes an acknowledgement back; it fires again when it is due.
///
/// # Errors
/// [`ChangeAlertError`].
pub async fn take_back(tx: &mut SystemTx, alert: AlertId, by: &Caller) -> Result<(), ChangeAlertError> {
    only_operators(by)?;
    read(store::alerts::take_back(tx, alert).await?)?;
    Ok(audit::record_house(tx, by, Act::AlertTakeBack, &alert, &[]).await?)
}

const fn only_operators(by: &Caller) -> Result<(), ChangeAlertError> {
    if by.is_operator { Ok(()) } else { Err(ChangeAlertError::Forbidden) }
}

const fn read(became: Acknowledged) -> Result<(), ChangeAlertError> {
    match became {
        Acknowledged::Yes => Ok(()),
        Acknowledged::Closed => Err(ChangeAlertError::Closed),
        Acknowledged::Unknown => Err(ChangeAlertError::NotFound),
    }
}
