//! What letters say. Short and calm: what is so, until when, and where one goes on. Every date in words, in UTC.
//!
//! All of them are about a contract or were asked for by their reader; none is an advertisement, so none offers to
//! unsubscribe (docs/decisions/0093-letters-with-a-cause.md).

use chrono::{DateTime, Utc};

use super::{
    dress::{Block, Link, Written},
    told::{Certificate, Destroyed, Stopped, Told},
};
use crate::dunning::FAILED_ON;

/// A moment as letters say it: "Monday, 30 November 2026, 14:05 UTC".
#[must_use]
pub fn moment(at: DateTime<Utc>) -> String {
    at.format("%A, %-d %B %Y, %H:%M UTC").to_string()
}

/// A link that signs its reader in; `minutes` is how long it can be used.
#[must_use]
pub fn sign_in(base: &str, link: &str, minutes: u64) -> Written {
    Written {
        subject: "Your link to sign in to Berth".to_owned(),
        before: vec![
            words("Somebody asked to sign in to Berth with this address."),
            words(format!(
                "If it was you, open this link within {minutes} minutes and press the button. It works once."
            )),
        ],
        link: Link { does: "Sign in", to: format!("{base}/login?link={link}") },
        after: vec![words("If it was not you, do nothing: without this link nobody gets in.")],
    }
}

/// A code that lets its reader sign up; `days` is how long it can be used.
#[must_use]
pub fn invite(base: &str, code: &str, days: u32) -> Written {
    Written {
        subject: "Your invite to Berth".to_owned(),
        before: vec![
            words("You asked to be let in to Berth. Here is your invite:"),
            Block::Code(code.to_owned()),
            words(format!("It works once, within {days} days.")),
        ],
        link: Link { does: "Sign up", to: format!("{base}/signup?code={code}") },
        after: vec![words("If you did not ask, do nothing.")],
    }
}

/// An invitation into a tenant. `who` is empty where whoever invited has left.
#[must_use]
pub fn invitation(base: &str, tenant: &str, role: &str, who: &str, link: &str) -> Written {
    let who = if who.is_empty() { "Somebody" } else { who };
    Written {
        subject: format!("Join {tenant} on Berth"),
        before: vec![
            words(format!("{who} invites you to {tenant} on Berth, as {role}.")),
            words("Open this link within seven days and press the button. It works once."),
        ],
        link: Link { does: "Answer the invitation", to: format!("{base}/invitation?link={link}") },
        after: vec![words("If you did not expect this, do nothing.")],
    }
}

/// A letter with a cause. `base` is where people reach Berth.
#[must_use]
pub fn told(base: &str, told: &Told) -> Written {
    let billing = |does| Link { does, to: format!("{base}/billing") };
    match told {
        Told::Welcome => Written {
            subject: "Welcome to Berth".to_owned(),
            before: vec![
                words("Your account is there. Berth runs AI agents for you, each on a machine of its own."),
                words("The next step is your first agent: a name, a few choices, and it is made while you watch."),
            ],
            link: Link { does: "Make your first agent", to: format!("{base}/welcome") },
            after: vec![words("You sign in with this address. There is no password to remember.")],
        },
        Told::Ready { agent, name } => Written {
            subject: format!("Your agent {name} is live"),
            before: vec![words(format!(
                "{name} has its machine, and it has answered a first question there. You can talk to it now, and \
                 connect the channels by which others reach it."
            ))],
            link: Link { does: "Open the agent", to: format!("{base}/agents/{agent}") },
            after: vec![words("This is written for your first agent only. The dashboard shows all that follow.")],
        },
        Told::TrialEnding { ends, plan } => Written {
            subject: format!("Your trial of {} ends soon", a_plan(plan.as_deref())),
            before: vec![
                words(format!("Your trial ends on {}.", moment(*ends))),
                words(
                    "If there is a way to pay by then, the plan goes on and its first month is charged. If there is \
                     none, your agents are stopped and everything of theirs is kept.",
                ),
                words("If you do not want to go on, cancel before that date, and nothing is charged."),
            ],
            link: billing("See your plan"),
            after: Vec::new(),
        },
        Told::GiftEnding { ends, plan } => Written {
            subject: format!("{} without paying ends soon", a_plan(plan.as_deref())),
            before: vec![
                words(format!("You were given {} without paying until {}.", a_plan(plan.as_deref()), moment(*ends))),
                words(
                    "If you have a plan of your own by then, it goes on with that. If there is none, your agents are \
                     stopped and everything of theirs is kept.",
                ),
            ],
            link: billing("Choose a plan"),
            after: Vec::new(),
        },
        Told::PaymentFailed { since, day, until, plan } => {
            payment_failed((*since, *day, *until, plan.as_deref()), billing("Look at how you pay"))
        }
        Told::Suspended { why, since } => suspended(*why, *since, billing("Go to billing")),
        Told::Restored { at } => Written {
            subject: "Your agents are started again".to_owned(),
            before: vec![
                words(format!("All is well with your plan again, since {}.", moment(*at))),
                words("Agents that were stopped because of it start by themselves. Nothing of theirs was lost."),
            ],
            link: billing("See your plan"),
            after: vec![words("An agent that you stopped yourself stays stopped.")],
        },
        Told::Cancelled { served_until, kept_until, plan } => Written {
            subject: "Your subscription is cancelled".to_owned(),
            before: vec![
                words(format!("Your subscription to {} is cancelled.", a_plan(plan.as_deref()))),
                Block::List(vec![
                    format!("Your agents run until {}. Then they are stopped.", moment(*served_until)),
                    format!(
                        "Everything of theirs is kept until {}. Then it is destroyed, and you get a list of it.",
                        moment(*kept_until)
                    ),
                ]),
                words("Until the second date you can come back: take out a plan, and your agents start again."),
            ],
            link: billing("See both dates, or come back"),
            after: vec![words("Nothing further is charged.")],
        },
        Told::Removed { certificate } => removed(certificate, billing("Go to billing")),
    }
}

fn payment_failed((since, day, until, plan): (DateTime<Utc>, u8, DateTime<Utc>, Option<&str>), link: Link) -> Written {
    let is_last = FAILED_ON.last() == Some(&day);
    let subject = match day {
        0 => "A payment failed".to_owned(),
        _ if is_last => format!("Last notice: agents stop on {}", until.format("%-d %B")),
        day => format!("A payment is still open after {day} days"),
    };
    Written {
        subject,
        before: vec![
            words(format!("A payment for {} failed on {}.", a_plan(plan), moment(since))),
            words(format!(
                "Your agents go on running until {}. If it is not paid by then, they are stopped. Everything of theirs \
                 is kept, and they start by themselves once it is paid.",
                moment(until)
            )),
        ],
        link,
        after: vec![words("Often the card has expired, or the bank asks for a confirmation. The page leads to both.")],
    }
}

fn suspended(why: Stopped, since: DateTime<Utc>, link: Link) -> Written {
    let (reason, way_out) = match why {
        Stopped::PastDue => (
            "a payment failed seven days before and was not made since",
            "Pay on the billing page, and they start by themselves.",
        ),
        Stopped::Disputed => (
            "a payment is disputed at your bank",
            "They start by themselves once that is settled. If you know of no dispute, write to whoever runs this Berth.",
        ),
        Stopped::TrialOver => {
            ("the trial ended without a way to pay", "Add one on the billing page, and they start by themselves.")
        }
        Stopped::GiftOver => (
            "the time for which your plan was given to you is over",
            "Choose a plan on the billing page, and they start by themselves.",
        ),
    };
    Written {
        subject: "Your agents are stopped".to_owned(),
        before: vec![
            words(format!("Your agents are stopped since {}: {reason}.", moment(since))),
            words(format!("Nothing is deleted. {way_out}")),
        ],
        link,
        after: vec![words(
            "You can still see everything, take your data with you, and delete what you want to delete.",
        )],
    }
}

fn removed(certificate: &Certificate, link: Link) -> Written {
    let mut lines = Vec::new();
    for Destroyed { agent, name, machines } in &certificate.agents {
        if machines.is_empty() {
            lines.push(format!("{name} ({agent}): it never had a machine."));
        }
        for machine in machines {
            let (made, gone) = (moment(machine.made), moment(machine.gone));
            lines.push(format!("{name} ({agent}): machine {}, made {made}, gone {gone}.", machine.id));
        }
    }
    let many = if certificate.agents.len() == 1 { "This agent is" } else { "These agents are" };
    Written {
        subject: "Your agents are destroyed".to_owned(),
        before: vec![
            words("Your subscription ended more than thirty days ago."),
            words(format!("{many} destroyed, each with its machine and everything on it:")),
            Block::List(lines),
            words(format!(
                "A machine counts as gone once its provider no longer has it; {}.",
                certificate.backups.said()
            )),
        ],
        link,
        after: vec![words("The same list stands in your tenant's audit. You can begin anew at any time.")],
    }
}

fn a_plan(title: Option<&str>) -> &str {
    title.unwrap_or("your plan")
}

fn words(text: impl Into<String>) -> Block {
    Block::Words(text.into())
}

/// A made-up letter of each kind with a name for it, for previews and tests: what people wrote in it is hostile.
#[must_use]
pub fn samples(base: &str, now: DateTime<Utc>) -> Vec<(&'static str, Written)> {
    super::told::samples(now)
        .into_iter()
        .map(|(name, it)| (name, told(base, &it)))
        .chain([
            ("sign_in", sign_in(base, "a-link-that-works-once", 15)),
            ("invite", invite(base, "0000-0000-0000", 14)),
            ("invitation", invitation(base, "Harbour <b>& Sons</b>", "member", "ada@harbour.example", "a-link")),
        ])
        .collect()
}

#[cfg(test)]
mod tests;
