//! Sending one letter: a link that signs its reader in, a code that lets them sign up, or what happened to their tenant.
//!
//! A link or a code is made here from the letter's id, so that a letter that is sent
//! twice says the same, and no row holds it. Nobody who waits for an answer learns
//! from the time it takes whether an address is known: this runs after the answer.
//! A letter with a cause is looked at once more before it leaves: what is over is not told.

use clients::mail::{Mail, MailError, Subject};
use domain::{
    InviteId, LetterId,
    invite::InviteCode,
    letter::{LetterKind, LetterStep, Written, words},
    names::Email,
};
use store::{flows::Claim, letters::Letter};
use vault::Token;

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// Runs one step. Both do the same; what is told goes on being tried after the first.
///
/// # Errors
/// [`StepError::Retry`] and the database only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let id = LetterId::from_uuid(claim.subject);
    let done = |outcome: &str| Ok(Outcome::next(Next::Done).house(HouseWrite::LetterEnded(id, outcome.to_owned())));
    let mut tx = world.db.system().await?;
    let Some(letter) = store::letters::unsent(&mut tx, id).await? else { return Ok(Outcome::next(Next::Done)) };
    drop(tx);
    let is_first = claim.step.get("step").and_then(serde_json::Value::as_str) == Some(LetterStep::Send.name());
    if claim.overdue && is_first && letter.told.is_some() {
        let (step, value) = (LetterStep::Tell, serde_json::json!(LetterStep::Tell));
        return Ok(Outcome::next(Next::Go(Step { name: step.name(), value, deadline: Some(step.deadline()) })));
    }
    if claim.overdue {
        tracing::warn!(letter = %id, "a letter was given up: no mail server took it in time");
        return done("given up: no mail server took it in time");
    }
    let Some(mailer) = &world.carriers.letters else { return done("not sent: no mail is set up") };
    let mut tx = world.db.system().await?;
    let moot = app::letters::is_moot(&mut tx, &letter).await?;
    drop(tx);
    if let Some(why) = moot {
        return done(why);
    }
    let Some(written) = write(world, &letter).await? else { return done("not sent: nobody to be let in") };
    let mail = mail(id.to_string(), claim, letter.to.clone(), &written);
    match mailer.send(&mail).await {
        Ok(()) => done("handed over"),
        Err(error @ (MailError::Refused(_) | MailError::Unfit)) => {
            tracing::warn!(letter = %id, error = %error, "a letter was refused");
            done(&error.to_string())
        }
        Err(error @ (MailError::Later(_) | MailError::Folder)) => Err(StepError::retry(error.to_string())),
    }
}

/// A mail in both dresses.
pub(crate) fn mail(id: String, claim: &Claim, to: Email, written: &Written) -> Mail {
    let (text, html) = (written.plain(), Some(written.html()));
    Mail { id, at: claim.now, to, subject: Subject::of(&written.subject), text, html }
}

async fn write(world: &World, letter: &Letter) -> Result<Option<Written>, StepError> {
    let base = &world.carriers.base;
    if let Some((_, told)) = &letter.told {
        return Ok(Some(words::told(base, told)));
    }
    Ok(match (letter.kind, letter.invite) {
        (LetterKind::SignIn, _) => {
            let minutes = app::letters::MAILED_LINK.as_secs() / 60;
            link(world, letter).await?.map(|link| words::sign_in(base, link.expose(), minutes))
        }
        (LetterKind::Invite, Some(invite)) => {
            let code = code(world, letter, invite).await?;
            code.map(|code| words::invite(base, &code.shown(), app::invites::MAILED_DAYS))
        }
        _ => None,
    })
}

/// The link is kept before it leaves the house.
async fn link(world: &World, letter: &Letter) -> Result<Option<Token>, StepError> {
    let mut tx = world.db.system().await?;
    let link = app::letters::link_of(&mut tx, &world.ring, letter).await?;
    tx.commit().await?;
    Ok(link)
}

async fn code(world: &World, letter: &Letter, invite: InviteId) -> Result<Option<InviteCode>, StepError> {
    let mut tx = world.db.system().await?;
    Ok(app::invites::mailed_code(&mut tx, &world.ring, letter.id, invite).await?)
}
