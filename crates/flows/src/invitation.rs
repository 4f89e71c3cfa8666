//! Mailing an invitation: one step, until a mail server took it or a day is over.
//!
//! The link is drawn here and its hash committed before the mail leaves, so it stands in no
//! row and no flow. A mail that is sent twice holds two links; the later one works.

use clients::mail::{MailError, Mailer};
use domain::{InvitationId, letter::words};
use store::{flows::Claim, members::Invitation};
use vault::{Token, TokenKind};

use crate::{
    World, letter,
    outcome::{HouseWrite, Next, Outcome, StepError},
};

/// Runs the one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let id = InvitationId::from_uuid(claim.subject);
    let done = |told: &str| Ok(Outcome::next(Next::Done).house(HouseWrite::Invited(id, told.to_owned())));
    let link = Token::mint(world.entropy.as_ref(), TokenKind::Link);
    let mut tx = world.db.system().await?;
    let invitation = store::members::invitation_by_id(&mut tx, id).await?;
    let Some(invitation) = invitation else { return Ok(Outcome::next(Next::Done)) }; // answered or taken back
    if claim.overdue {
        return done("not sent: no mail server took it within a day");
    }
    let Some(mailer) = mailer(world) else { return done("not sent: no mail is set up here") };
    if !store::members::keep_link(&mut tx, id, &link.hash()).await? {
        return Ok(Outcome::next(Next::Done)); // it expired meanwhile
    }
    tx.commit().await?;
    let Invitation { tenant_name, role, invited_by, email, .. } = &invitation;
    let written = words::invitation(&world.carriers.base, tenant_name, role.name(), invited_by, link.expose());
    let mail = letter::mail(id.to_string(), claim, email.clone(), &written);
    match mailer.send(&mail).await {
        Ok(()) => done("sent"),
        Err(error @ (MailError::Refused(_) | MailError::Unfit)) => done(&format!("not sent: {error}")),
        Err(error @ (MailError::Later(_) | MailError::Folder)) => Err(StepError::retry(error.to_string())),
    }
}

/// What sends mails to people.
fn mailer(world: &World) -> Option<&dyn Mailer> {
    world.carriers.letters.as_deref()
}
