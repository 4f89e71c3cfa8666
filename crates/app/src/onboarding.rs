//! Setting up the first agent, step by step: it can be left, gone on with elsewhere, and skipped.
//!
//! What is said is kept at once, together with the id of the agent that will come of it. Finishing
//! twice, or in two windows at once, therefore makes one agent.

use domain::{
    Entropy,
    agent::Agent,
    entropy::mint,
    instructions::{Choices, Instructions},
    names::AgentName,
    onboarding::{Draft, Ended, Step},
    people::{Caller, Role},
};
use store::{StoreError, SystemTx, TenantTx};

use crate::agents::{self, CreateAgentError, NewAgent};

/// What was said to one question.
#[derive(Debug, Clone)]
pub enum Answer {
    /// Its name.
    Name(AgentName),
    /// A model of the menu; `None`: the first one.
    Model(Option<String>),
    /// No channel yet: there are none.
    NoChannel,
    /// What it is told; `None`: nothing.
    Instructions(Option<Instructions>),
}

impl Answer {
    const fn step(&self) -> Step {
        match self {
            Self::Name(_) => Step::Name,
            Self::Model(_) => Step::Model,
            Self::NoChannel => Step::Channel,
            Self::Instructions(_) => Step::Instructions,
        }
    }
}

/// Why nothing came of it.
#[derive(Debug, thiserror::Error)]
pub enum OnboardingError {
    /// The role does not allow it.
    #[error("your role in this tenant does not allow creating agents")]
    Forbidden,
    /// There is no name yet.
    #[error("name your agent first")]
    NoName,
    /// The tenant will be erased.
    #[error("this tenant is to be erased, so no agent is created in it: keep it first")]
    Ending,
    /// The agent was not created.
    #[error(transparent)]
    Create(#[from] CreateAgentError),
    /// The database.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Keeps an answer. Whoever finished before begins anew with it; whoever skipped goes on.
///
/// # Errors
/// [`OnboardingError`]; the caller does not commit.
pub async fn answer(
    tx: &mut TenantTx,
    entropy: &dyn Entropy,
    answer: Answer,
    by: &Caller,
) -> Result<Draft, OnboardingError> {
    members_only(by)?;
    let mut draft = match store::onboardings::lock(tx, by.user).await? {
        Some(draft) if !matches!(draft.ended, Some(Ended::Finished(_))) => Draft { ended: None, ..draft },
        Some(_) | None => fresh(entropy),
    };
    draft.step = draft.step.max(answer.step().next());
    match answer {
        Answer::Name(name) => draft.name = Some(name),
        Answer::Model(model) => draft.choices.model = model,
        Answer::NoChannel => {}
        Answer::Instructions(instructions) => draft.choices.instructions = instructions,
    }
    store::onboardings::save(tx, by.user, &draft).await?;
    Ok(draft)
}

/// Remembers that the wizard is not wanted. Finished stays finished.
///
/// # Errors
/// [`OnboardingError`]; the caller does not commit.
pub async fn skip(tx: &mut TenantTx, entropy: &dyn Entropy, by: &Caller) -> Result<(), OnboardingError> {
    let draft = store::onboardings::lock(tx, by.user).await?.unwrap_or_else(|| fresh(entropy));
    if draft.ended.is_none() {
        store::onboardings::save(tx, by.user, &Draft { ended: Some(Ended::Skipped), ..draft }).await?;
    }
    Ok(())
}

/// Creates the agent of the draft, with the last answer. Finished before: the agent that came of it then, if it is still
/// there.
///
/// # Errors
/// [`OnboardingError`]; the caller does not commit.
pub async fn finish(
    mut tx: SystemTx,
    entropy: &dyn Entropy,
    instructions: Option<Instructions>,
    by: &Caller,
) -> Result<(TenantTx, Option<Agent>), OnboardingError> {
    members_only(by)?;
    let ends = store::tenants::erasure(&mut tx, by.tenant).await?.flatten();
    let mut tx = tx.into_tenant(by.tenant).await?;
    let mut draft = store::onboardings::lock(&mut tx, by.user).await?.ok_or(OnboardingError::NoName)?;
    if let Some(Ended::Finished(agent)) = draft.ended {
        let agent = store::agents::by_id(&mut tx, agent).await?;
        return Ok((tx, agent));
    }
    if ends.is_some() {
        return Err(OnboardingError::Ending);
    }
    let name = draft.name.clone().ok_or(OnboardingError::NoName)?;
    draft.choices.instructions = instructions;
    let new = NewAgent { id: draft.agent, name, choices: draft.choices.clone() };
    let agent = agents::create(&mut tx, entropy, &new, None, by).await?;
    let ended = Some(Ended::Finished(draft.agent));
    store::onboardings::save(&mut tx, by.user, &Draft { ended, ..draft }).await?;
    Ok((tx, Some(agent)))
}

fn fresh(entropy: &dyn Entropy) -> Draft {
    Draft { agent: mint(entropy), step: Step::Name, name: None, choices: Choices::default(), ended: None }
}

fn members_only(by: &Caller) -> Result<(), OnboardingError> {
    if by.role < Role::Member { Err(OnboardingError::Forbidden) } else { Ok(()) }
}
