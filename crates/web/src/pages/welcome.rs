//! `/welcome`: setting up the first agent, one question a page, without a script.

use app::{
    agents::CreateAgentError,
    onboarding::{self, Answer, OnboardingError},
};
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{
    instructions::Instructions,
    names::AgentName,
    onboarding::{Draft, Ended, Step},
    people::{Caller, Role},
};
use http::StatusCode;

use crate::{
    api::agents::sentence,
    body::{Form, Query},
    guard::Member,
    llm::Offered,
    pages::{self, frame::Frame},
    problem::Problem,
    state::Web,
};

/// Where the wizard is.
pub(crate) const PATH: &str = "/welcome";

/// The page.
#[derive(Debug, Template)]
#[template(path = "welcome.html")]
pub(crate) struct WelcomePage {
    frame: Frame,
    tenant: String,
    base: String,
    can_run: bool,
    steps: Vec<StepMark>,
    here: Here,
    name: String,
    is_proof: bool,
    /// The model that is usual here, for the example.
    usual: String,
    /// What is wrong with the answer.
    fault: Option<String>,
    /// Why no agent can be created at all.
    stop: Option<String>,
}

/// The question that is asked, with what was said to it.
#[derive(Debug)]
enum Here {
    Name { typed: String },
    Model { offers: Vec<OfferLine> },
    Channel,
    Instructions { typed: String },
}

#[derive(Debug)]
struct StepMark {
    number: usize,
    word: &'static str,
    title: &'static str,
    is_open: bool,
    is_said: bool,
    is_here: bool,
}

#[derive(Debug)]
struct OfferLine {
    name: String,
    title: String,
    is_chosen: bool,
    is_usual: bool,
}

impl WelcomePage {
    /// The question that was reached, or an earlier one.
    pub(crate) fn new(by: &Caller, base: &str, offered: &[Offered], draft: Option<&Draft>, at: Option<Step>) -> Self {
        // What came of it is done with: whoever comes again begins anew.
        let draft = draft.filter(|draft| !matches!(draft.ended, Some(Ended::Finished(_))));
        let reached = draft.map_or(Step::Name, |draft| draft.step);
        let here = at.filter(|step| *step <= reached).unwrap_or(reached);
        let chosen = draft.and_then(|draft| draft.choices.model.clone());
        let usual = offered.first().map(|offer| offer.name.clone()).unwrap_or_default();
        let name = draft.and_then(|draft| draft.name.as_ref()).map(ToString::to_string).unwrap_or_default();
        let told = draft.and_then(|draft| draft.choices.instructions.as_ref());
        Self {
            frame: Frame::of(by, "agents", "Set up your first agent"),
            tenant: by.tenant_name.clone(),
            base: base.to_owned(),
            can_run: by.role >= Role::Member,
            steps: marks(reached, here),
            here: match here {
                Step::Name => Here::Name { typed: name.clone() },
                Step::Model => Here::Model { offers: lines(offered, chosen.as_deref()) },
                Step::Channel => Here::Channel,
                Step::Instructions => {
                    Here::Instructions { typed: told.map(|text| text.as_str().to_owned()).unwrap_or_default() }
                }
            },
            name,
            is_proof: offered.iter().all(|offer| offer.is_proof),
            usual,
            fault: None,
            stop: None,
        }
    }

    /// With the answer as it was typed, and what is wrong with it.
    pub(crate) fn refused(mut self, typed: &str, fault: String) -> Self {
        match &mut self.here {
            Here::Name { typed: kept } => *kept = typed.chars().take(80).collect(),
            Here::Instructions { typed: kept } => *kept = typed.chars().take(20_000).collect(),
            Here::Model { .. } | Here::Channel => {}
        }
        Self { fault: Some(fault), ..self }
    }

    /// With why nothing comes of it now.
    pub(crate) fn stopped(self, why: String) -> Self {
        Self { stop: Some(why), ..self }
    }
}

fn marks(reached: Step, here: Step) -> Vec<StepMark> {
    let title = |step| match step {
        Step::Name => "Name",
        Step::Model => "Model",
        Step::Channel => "Channel",
        Step::Instructions => "Instructions",
    };
    let mark = |(number, step): (usize, Step)| StepMark {
        number,
        word: step.name(),
        title: title(step),
        is_open: step <= reached,
        is_said: step < reached,
        is_here: step == here,
    };
    (1..).zip(Step::EVERY).map(mark).collect()
}

fn lines(offered: &[Offered], chosen: Option<&str>) -> Vec<OfferLine> {
    let is_there = offered.iter().any(|offer| Some(offer.name.as_str()) == chosen);
    let line = |(place, offer): (usize, &Offered)| OfferLine {
        name: offer.name.clone(),
        title: offer.title.clone(),
        is_chosen: if is_there { Some(offer.name.as_str()) == chosen } else { place == 0 },
        is_usual: place == 0,
    };
    offered.iter().enumerate().map(line).collect()
}

pub(crate) async fn show(State(web): State<Web>, member: Member, query: Query) -> Result<Response, Problem> {
    let at = query.get("step").and_then(Step::parse);
    pages::page(StatusCode::OK, &read(&web, member.caller(), at).await?)
}

/// Keeps the answer to one question and leads to the next.
pub(crate) async fn answer(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let by = member.caller();
    let unknown = || Problem::unusable("step", "There is no such question: name, model, channel or instructions.");
    let step = Step::parse(form.field("step")).ok_or_else(unknown)?;
    let said = match step {
        Step::Name => match AgentName::parse(form.field("name")) {
            Ok(name) => Answer::Name(name),
            Err(error) => return again(&web, by, (step, form.field("name")), sentence(&error)).await,
        },
        Step::Model => {
            let Ok(model) = web.models.chosen(form.field("model")) else {
                let fault = "That model is not offered here any more. Choose one of these.".to_owned();
                return again(&web, by, (step, ""), fault).await;
            };
            Answer::Model(model)
        }
        Step::Channel => Answer::NoChannel,
        Step::Instructions => match Instructions::parse(form.field("instructions")) {
            Ok(instructions) => Answer::Instructions(instructions),
            Err(error) => return again(&web, by, (step, form.field("instructions")), sentence(&error)).await,
        },
    };
    let mut tx = web.db.tenant(by.tenant).await?;
    if let Answer::Name(name) = &said
        && store::agents::is_taken(&mut tx, name).await?
    {
        drop(tx);
        return again(&web, by, (step, name.as_str()), sentence(&CreateAgentError::NameTaken)).await;
    }
    onboarding::answer(&mut tx, &*web.dice.0, said, by).await?;
    tx.commit().await?;
    Ok(pages::see_other(&format!("{PATH}?step={}", step.next().name())))
}

/// Creates the agent with the last answer and leads to its timeline.
pub(crate) async fn finish(State(web): State<Web>, member: Member, form: Form) -> Result<Response, Problem> {
    let (by, typed) = (member.caller(), form.field("instructions"));
    let instructions = match Instructions::parse(typed) {
        Ok(instructions) => instructions,
        Err(error) => return again(&web, by, (Step::Instructions, typed), sentence(&error)).await,
    };
    let error = match onboarding::finish(web.db.system().await?, &*web.dice.0, instructions.clone(), by).await {
        Ok((tx, agent)) => {
            tx.commit().await?;
            let path = agent.map_or_else(|| "/dashboard".to_owned(), |agent| format!("/agents/{}", agent.id));
            return Ok(pages::see_other(&path));
        }
        Err(error) => error,
    };
    match error {
        OnboardingError::NoName => again(&web, by, (Step::Name, ""), sentence(&error)).await,
        OnboardingError::Create(CreateAgentError::NameTaken) => {
            let draft = keep(&web, by, instructions).await?;
            let name = draft.name.map(|name| name.to_string()).unwrap_or_default();
            again(&web, by, (Step::Name, &name), sentence(&error)).await
        }
        OnboardingError::Create(CreateAgentError::NotPaid(error)) => {
            keep(&web, by, instructions).await?;
            let page = read(&web, by, Some(Step::Instructions)).await?.stopped(sentence(&error));
            pages::page(StatusCode::PAYMENT_REQUIRED, &page)
        }
        OnboardingError::Ending => {
            keep(&web, by, instructions).await?;
            let page = read(&web, by, Some(Step::Instructions)).await?.stopped(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        OnboardingError::Forbidden
        | OnboardingError::Store(_)
        | OnboardingError::Create(
            CreateAgentError::Forbidden | CreateAgentError::KeyReused | CreateAgentError::Store(_),
        ) => Err(error.into()),
    }
}

/// What was typed last is not lost where no agent came of it.
async fn keep(web: &Web, by: &Caller, instructions: Option<Instructions>) -> Result<Draft, Problem> {
    let mut tx = web.db.tenant(by.tenant).await?;
    let draft = onboarding::answer(&mut tx, &*web.dice.0, Answer::Instructions(instructions), by).await?;
    tx.commit().await?;
    Ok(draft)
}

pub(crate) async fn skip(State(web): State<Web>, member: Member) -> Result<Response, Problem> {
    let by = member.caller();
    let mut tx = web.db.tenant(by.tenant).await?;
    onboarding::skip(&mut tx, &*web.dice.0, by).await?;
    tx.commit().await?;
    Ok(pages::see_other("/dashboard"))
}

async fn read(web: &Web, by: &Caller, at: Option<Step>) -> Result<WelcomePage, Problem> {
    let mut tx = web.db.tenant_read(by.tenant).await?;
    let draft = store::onboardings::of(&mut tx, by.user).await?;
    Ok(WelcomePage::new(by, &web.site.address(""), &web.models.offered(), draft.as_ref(), at))
}

async fn again(web: &Web, by: &Caller, (step, typed): (Step, &str), fault: String) -> Result<Response, Problem> {
    let page = read(web, by, Some(step)).await?.refused(typed, fault);
    pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page)
}

impl From<OnboardingError> for Problem {
    fn from(error: OnboardingError) -> Self {
        let words = sentence(&error);
        match error {
            OnboardingError::Forbidden => Self::not_allowed(words),
            OnboardingError::NoName => Self::conflict("no-name", words),
            OnboardingError::Ending => Self::conflict("erasure-wanted", words),
            OnboardingError::Create(error) => error.into(),
            OnboardingError::Store(error) => error.into(),
        }
    }
}
