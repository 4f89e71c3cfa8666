//! Sending one letter: a link that signs its reader in, or a code that lets them sign up.
//!
//! What is in it is made here from the letter's id, so that a letter that is sent
//! twice says the same, and no row holds it. Nobody who waits for an answer learns
//! from the time it takes whether an address is known: this runs after the answer.

use clients::mail::{Mail, MailError, Subject};
use domain::{InviteId, LetterId, invite::InviteCode, letter::LetterKind};
use store::{flows::Claim, letters::Letter};
use vault::Token;

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, StepError},
};

/// Runs the one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let id = LetterId::from_uuid(claim.subject);
    let done = |outcome: &str| Ok(Outcome::next(Next::Done).house(HouseWrite::LetterEnded(id, outcome.to_owned())));
    let mut tx = world.db.system().await?;
    let Some(letter) = store::letters::unsent(&mut tx, id).await? else { return Ok(Outcome::next(Next::Done)) };
    drop(tx);
    if claim.overdue {
        tracing::warn!(letter = %id, "a letter was given up: no mail server took it in time");
        return done("given up: no mail server took it in time");
    }
    let Some(mailer) = &world.carriers.letters else { return done("not sent: no mail is set up") };
    let Some((subject, text)) = words(world, &letter).await? else { return done("not sent: nobody to be let in") };
    let mail = Mail { id: id.to_string(), at: claim.now, to: letter.to.clone(), subject, text };
    match mailer.send(&mail).await {
        Ok(()) => done("handed over"),
        Err(error @ (MailError::Refused(_) | MailError::Unfit)) => {
            tracing::warn!(letter = %id, error = %error, "a letter was refused");
            done(&error.to_string())
        }
        Err(error @ (MailError::Later(_) | MailError::Folder)) => Err(StepError::retry(error.to_string())),
    }
}

async fn words(world: &World, letter: &Letter) -> Result<Option<(Subject, String)>, StepError> {
    let base = &world.carriers.base;
    Ok(match (letter.kind, letter.invite) {
        (LetterKind::SignIn, _) => link(world, letter).await?.map(|link| sign_in(base, &link)),
        (LetterKind::Invite, Some(invite)) => code(world, letter, invite).await?.map(|code| invitation(base, &code)),
        (LetterKind::Invite, None) => None,
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

fn sign_in(base: &str, link: &Token) -> (Subject, String) {
    let minutes = app::letters::MAILED_LINK.as_secs() / 60;
    let lines = [
        "Somebody asked to sign in to Berth with this address. If it was you, open this".to_owned(),
        format!("link within {minutes} minutes and press the button. It works once:"),
        String::new(),
        format!("{base}/login?link={}", link.expose()),
        String::new(),
        "If it was not you, do nothing: without this link nobody gets in.".to_owned(),
    ];
    (Subject::of("Your link to sign in to Berth"), lines.join("\n") + "\n")
}

fn invitation(base: &str, code: &InviteCode) -> (Subject, String) {
    let lines = [
        "You asked to be let in to Berth. Here is your invite:".to_owned(),
        String::new(),
        format!("    {}", code.shown()),
        String::new(),
        format!("It works once, within {} days, at:", app::invites::MAILED_DAYS),
        String::new(),
        format!("{base}/signup?code={}", code.shown()),
        String::new(),
        "If you did not ask, do nothing.".to_owned(),
    ];
    (Subject::of("Your invite to Berth"), lines.join("\n") + "\n")
}
