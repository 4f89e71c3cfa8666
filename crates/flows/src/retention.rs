//! Forgets what is kept for a while only, a thousand rows at a time.

use std::time::Duration;

use serde_json::{Value, json};
use store::{flows::Claim, history, limits};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

/// Runs the one step, again and again until nothing is left to forget.
///
/// # Errors
/// [`StepError::Retry`] only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    if claim.overdue {
        let counts = json!({ "error": "there was more to forget than half an hour allows; the next run goes on" });
        return Ok(Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts)));
    }
    let so_far = |name: &str| claim.step.get("so_far").and_then(|sum| sum.get(name)).and_then(Value::as_i64);
    let mut tx = world.db.system().await?;
    let weeks = match so_far("weeks") {
        Some(weeks) => weeks,
        None => history::keep_weeks(&mut tx).await?,
    };
    let now = history::forget_expired(&mut tx).await?;
    let buckets = limits::forget_full(&mut tx).await?;
    // What is forgotten stays forgotten, whether or not this step is written down.
    tx.commit().await?;
    let sum = |name: &str, more: i64| so_far(name).unwrap_or_default() + more;
    let counts = json!({
        "sessions": sum("sessions", now.sessions), "tokens": sum("tokens", now.tokens), "links": sum("links", now.links),
        "runs": sum("runs", now.runs), "sign_ins": sum("sign_ins", now.sign_ins),
        "letters": sum("letters", now.letters), "events": sum("events", now.events),
        "checkouts": sum("checkouts", now.checkouts), "differences": sum("differences", now.differences), "weeks": weeks, "limits": sum("limits", buckets),
    });
    if now.may_be_more() || buckets >= 1000 {
        let again = Step { name: "forget", value: json!({ "step": "forget", "so_far": counts }), deadline: None };
        return Ok(Outcome::next(Next::Wait(again, Duration::from_millis(100))));
    }
    Ok(Outcome::next(Next::Done).house(HouseWrite::JobEnded(claim.subject, counts)))
}
