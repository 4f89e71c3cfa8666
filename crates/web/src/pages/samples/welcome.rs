//! The wizard at each question, from made-up data.

use askama::Template as _;
use domain::{
    AgentId,
    instructions::{Choices, Instructions},
    names::AgentName,
    onboarding::{Draft, Step},
    people::Caller,
};

use super::{BASE, HOSTILE, id};
use crate::{llm::Offered, pages::welcome::WelcomePage};

/// Name of the file and the page.
pub(super) fn all(by: &Caller, viewer: &Caller) -> Vec<(&'static str, Result<String, askama::Error>)> {
    let at = |step| WelcomePage::new(by, BASE, &menu(), Some(&draft(step)), Some(step));
    let proof = || vec![offer("berth-proof", "Berth's built-in proof model", true)];
    let taken = "You already have an agent with that name.".to_owned();
    let long = "Instructions hold at most 8,000 characters.".to_owned();
    let ending = "This tenant is to be erased, so no agent is created in it: keep it first.".to_owned();
    vec![
        ("welcome", WelcomePage::new(by, BASE, &menu(), None, None).render()),
        ("welcome-refused", WelcomePage::new(by, BASE, &menu(), None, None).refused(HOSTILE, taken).render()),
        ("welcome-model", at(Step::Model).render()),
        ("welcome-model-proof", WelcomePage::new(by, BASE, &proof(), Some(&draft(Step::Model)), None).render()),
        (
            "welcome-model-gone",
            at(Step::Model)
                .refused("", "That model is not offered here any more. Choose one of these.".to_owned())
                .render(),
        ),
        ("welcome-channel", at(Step::Channel).render()),
        ("welcome-instructions", at(Step::Instructions).render()),
        ("welcome-instructions-long", at(Step::Instructions).refused(HOSTILE, long).render()),
        ("welcome-ending", at(Step::Instructions).stopped(ending).render()),
        ("welcome-viewer", WelcomePage::new(viewer, BASE, &menu(), None, None).render()),
    ]
}

fn offer(name: &str, title: &str, is_proof: bool) -> Offered {
    Offered { name: name.to_owned(), title: title.to_owned(), is_proof }
}

fn menu() -> Vec<Offered> {
    vec![
        offer("claude-haiku-4-5", "Claude Haiku 4.5", false),
        offer("claude-sonnet-5-5", "Claude Sonnet 5.5", false),
        offer("x", HOSTILE, false),
    ]
}

/// What was said by the time this question is asked.
#[expect(clippy::expect_used, reason = "sample data, written in this file")]
fn draft(step: Step) -> Draft {
    let told = format!("You are the night watch of Harbour & Sons.\nYou answer in short sentences. {HOSTILE}");
    let instructions = Instructions::parse(&told).expect("plain text");
    Draft {
        agent: id::<domain::id::Agent>(7) as AgentId,
        step,
        name: Some(AgentName::parse("night-watch").expect("a name")),
        choices: Choices { model: Some("claude-sonnet-5-5".to_owned()), instructions },
        ended: None,
    }
}
