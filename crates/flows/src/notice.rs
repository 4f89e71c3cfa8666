//! Telling a person of an alert: fire → deliver → rest, again until somebody acknowledges it, and once when it is over.
//!
//! One flow for each alert, from its opening to its closing. A firing's
//! deliveries are rows, committed in the step `fire` before anything leaves the
//! house; `deliver` tries one a step and writes down what came of it, so a
//! process that dies in between sends that one again, under the same id.

use std::{sync::Arc, time::Duration};

use chrono::TimeDelta;
use clients::{
    mail::{Mail, Mailer},
    webhook::{Message, Webhook},
};
use domain::{
    AlertId,
    alert::{AlertKind, Carrier, DeliveryState, Due, Notice},
    entropy::mint,
    names::Email,
};
use store::{
    flows::Claim,
    notices::{Told, Write},
};

use crate::{
    World,
    outcome::{HouseWrite, Next, Outcome, Step, StepError},
};

mod words;

/// How long a notice sleeps while nobody has to be told.
const REST: Duration = Duration::from_hours(1);
/// Tries without success after which the carrier itself is an alert: a little more than a minute.
const FAILING_TRIES: u32 = 5;

/// How alerts reach a person. Without any, they stand on the page only.
#[derive(Clone, Default)]
pub struct Carriers {
    /// Who sends mails, and to whom.
    pub mail: Option<(Arc<dyn Mailer>, Email)>,
    /// Who sends letters to people; the same one, whether or not alerts are mailed.
    pub letters: Option<Arc<dyn Mailer>>,
    /// The operator's program.
    pub webhook: Option<Arc<dyn Webhook>>,
    /// Where people reach Berth, without a slash at the end.
    pub base: String,
}

impl Carriers {
    /// Those that are set up.
    #[must_use]
    pub fn all(&self) -> Vec<Carrier> {
        let has = |carrier: &Carrier| match carrier {
            Carrier::Mail => self.mail.is_some(),
            Carrier::Webhook => self.webhook.is_some(),
        };
        Carrier::EVERY.into_iter().filter(has).collect()
    }
}

/// Runs one step.
///
/// # Errors
/// [`StepError::Retry`] and the database only.
pub async fn run(world: &World, claim: &Claim) -> Result<Outcome, StepError> {
    let step: Notice = serde_json::from_value(claim.step.clone())
        .map_err(|_| StepError::retry("this build cannot read the flow's step"))?;
    let mut tx = world.db.system().await?;
    let told = store::notices::read(&mut tx, AlertId::from_uuid(claim.subject)).await?;
    drop(tx);
    let Some(told) = told.filter(|_| !claim.removal_asked) else { return Ok(Outcome::next(Next::Done)) };
    let here = Here { world, claim, told };
    let outcome = match step {
        Notice::Fire { firing } => here.fire(firing),
        Notice::Deliver { firing } => here.deliver(firing).await,
        Notice::Rest { firing } => here.rest(firing),
    };
    Ok(outcome.heard())
}

struct Here<'a> {
    world: &'a World,
    claim: &'a Claim,
    told: Told,
}

impl Here<'_> {
    /// The identities of this firing, before anything leaves the house.
    fn fire(&self, firing: u32) -> Outcome {
        let carriers = self.world.carriers.all();
        let before = firing.saturating_sub(1);
        // The first firing is told even if the trouble was short: somebody should know that it was there.
        let is_known = match (self.told.closed_at, self.told.fired_at) {
            (Some(closed), Some(fired)) => fired >= closed,
            (Some(_) | None, _) => self.told.acknowledged_at.is_some(),
        };
        if is_known {
            return go(Notice::Deliver { firing: before }); // what is pending still has to end
        }
        if carriers.is_empty() {
            return go(Notice::Rest { firing: before });
        }
        let deliveries = carriers.into_iter().map(|carrier| (mint(self.world.entropy.as_ref()), carrier)).collect();
        let write = Write::Fire { alert: self.told.id, firing, deliveries };
        go(Notice::Deliver { firing }).house(HouseWrite::Notice(write))
    }

    /// Tries what is due, one delivery a step.
    async fn deliver(&self, firing: u32) -> Outcome {
        let dropped = |state| {
            let write = Write::Drop { alert: self.told.id, state };
            go(Notice::Rest { firing }).house(HouseWrite::Notice(write))
        };
        if self.has_to_tell_the_end() {
            return go(Notice::Fire { firing: firing.saturating_add(1) });
        }
        if self.told.acknowledged_at.is_some() && self.told.closed_at.is_none() {
            return dropped(DeliveryState::NotNeeded);
        }
        let again_in = self.again_in(firing);
        if again_in.is_some_and(|left| left.is_zero()) {
            return go(Notice::Fire { firing: firing.saturating_add(1) });
        }
        if self.claim.overdue {
            return dropped(DeliveryState::GivenUp);
        }
        match (self.told.due, self.told.next_in) {
            (Some(due), _) => self.hand_over(firing, due).await,
            (None, Some(next_in)) => {
                let pause = again_in.map_or(next_in, |again| again.min(next_in));
                Outcome::next(Next::Wait(stored(Notice::Deliver { firing }), pause))
            }
            (None, None) => go(Notice::Rest { firing }),
        }
    }

    /// Waits until it is due again, as long as nobody knows of it.
    fn rest(&self, firing: u32) -> Outcome {
        if self.has_to_tell_the_end() {
            return go(Notice::Fire { firing: firing.saturating_add(1) });
        }
        if self.told.closed_at.is_some() {
            return Outcome::next(Next::Done);
        }
        let may_fire = self.told.acknowledged_at.is_none() && !self.world.carriers.all().is_empty();
        match self.again_in(firing).filter(|_| may_fire) {
            Some(left) if left.is_zero() => go(Notice::Fire { firing: firing.saturating_add(1) }),
            left => Outcome::next(Next::Wait(stored(Notice::Rest { firing }), left.unwrap_or(REST).min(REST))),
        }
    }

    /// Whoever was told of the trouble is told that it is over: one firing more.
    fn has_to_tell_the_end(&self) -> bool {
        let (Some(closed), Some(fired)) = (self.told.closed_at, self.told.fired_at) else { return false };
        fired < closed && !self.world.carriers.all().is_empty()
    }

    /// How long until it fires again, by the database's clock. `None`: it does not.
    fn again_in(&self, firing: u32) -> Option<Duration> {
        if self.told.closed_at.is_some() || self.told.acknowledged_at.is_some() {
            return None;
        }
        let Some(fired_at) = self.told.fired_at else { return Some(Duration::ZERO) };
        let after = TimeDelta::from_std(self.told.severity.again_after(firing)).unwrap_or(TimeDelta::MAX);
        Some((fired_at + after - self.claim.now).to_std().unwrap_or_default())
    }

    async fn hand_over(&self, firing: u32, due: Due) -> Outcome {
        let carriers = &self.world.carriers;
        let notice = words::Words { told: &self.told, due, base: &carriers.base };
        let outcome = match (due.carrier, &carriers.mail, &carriers.webhook) {
            (Carrier::Mail, Some((mailer, to)), _) => {
                let mail = Mail {
                    id: due.id.to_string(),
                    at: self.claim.now,
                    to: to.clone(),
                    subject: notice.subject(),
                    text: notice.text(),
                    html: None,
                };
                mailer.send(&mail).await.map(|()| "handed over".to_owned()).map_err(|error| error.to_string())
            }
            (Carrier::Webhook, _, Some(webhook)) => {
                let message = Message { id: due.id.to_string(), at: self.claim.now, body: notice.json() };
                let posted = webhook.post(&message).await;
                posted.map(|taken| format!("it answered {}", taken.0)).map_err(|error| error.to_string())
            }
            (Carrier::Mail, None, _) | (Carrier::Webhook, _, None) => Err("it is not set up any more".to_owned()),
        };
        let write = Write::Tried { due, outcome: outcome.clone() };
        let next = go(Notice::Deliver { firing }).house(HouseWrite::Notice(write));
        match outcome {
            Ok(_) => next.house(HouseWrite::CloseAlerts(vec![key(due.carrier)])),
            Err(why) => self.not_taken(next, due, &why),
        }
    }

    /// A carrier that fails for a while is an alert of its own: the other one, or the page, tells of it.
    fn not_taken(&self, next: Outcome, due: Due, why: &str) -> Outcome {
        let (carrier, tries) = (due.carrier.name(), due.tries.saturating_add(1));
        tracing::warn!(alert = %self.told.id, delivery = %due.id, carrier, tries, why, "an alert was not delivered");
        if tries < FAILING_TRIES {
            return next;
        }
        next.house(HouseWrite::Alert {
            key: key(due.carrier),
            kind: AlertKind::DeliveryFailing,
            subject: self.claim.flow.to_string(),
            message: format!("alerts do not get through by {carrier}: {why}, after {tries} tries"),
        })
    }
}

fn key(carrier: Carrier) -> String {
    format!("{}:{}", AlertKind::DeliveryFailing.name(), carrier.name())
}

fn go(step: Notice) -> Outcome {
    Outcome::next(Next::Go(stored(step)))
}

fn stored(step: Notice) -> Step {
    Step { name: step.name(), value: serde_json::json!(step), deadline: step.deadline() }
}
