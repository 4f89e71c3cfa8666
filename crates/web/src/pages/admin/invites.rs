//! `/admin/invites`: making codes, and who came by which.

use app::{
    invites::{BATCH_MAX, DAYS_MAX, InviteError, USES_MAX, Wish},
    plans::GIFT_DAYS_MAX,
};
use askama::Template;
use axum::{extract::State, response::Response};
use domain::{id, plan::Plan};
use http::StatusCode;
use store::invites::{Gift, Invite, InviteFilter};

use crate::{
    api::{admin, agents::sentence},
    body::{At, Form, Query},
    guard::Operator,
    pages::{
        self,
        admin::{Choice, Look, PAGE, ShortId, frame},
        frame::Frame,
        words::Moment,
    },
    problem::Problem,
    state::Web,
};

/// The page.
#[derive(Debug, Template)]
#[template(path = "admin/invites.html")]
pub(crate) struct InvitesPage {
    frame: Frame,
    tab: &'static str,
    choices: Vec<Choice>,
    codes: Vec<String>,
    fields: [Field; 5],
    /// Plans that can be given along, with their titles; the one that was chosen.
    plans: Vec<(String, String)>,
    plan: String,
    plan_fault: Option<String>,
    invites: Vec<Line>,
    next: Option<String>,
}

#[derive(Debug)]
struct Field {
    name: &'static str,
    label: &'static str,
    /// The largest number; 0 for a text.
    most: u32,
    is_required: bool,
    value: String,
    fault: Option<String>,
}

#[derive(Debug)]
struct Line {
    id: ShortId,
    tone: &'static str,
    state: &'static str,
    is_open: bool,
    uses: u32,
    uses_max: u32,
    users: String,
    note: String,
    gift: String,
    made_by: String,
    made: Moment,
    until: Moment,
}

impl InvitesPage {
    pub(crate) fn new(
        rows: Vec<Invite>,
        next: Option<String>,
        open: Option<bool>,
        plans: &[Plan],
        look: Look<'_>,
    ) -> Self {
        let choice = |words, to, is| Choice { words, to, is_here: open == is };
        let field = |name, label, most, value: &str| {
            let is_required = most > 0 && !value.is_empty();
            Field { name, label, most, is_required, value: value.to_owned(), fault: None }
        };
        Self {
            frame: frame(look.by, "Invites", "/admin/invites".to_owned(), "berth"),
            tab: "invites",
            choices: vec![
                choice("Open", "/admin/invites", Some(true)),
                choice("Closed", "/admin/invites?open=false", Some(false)),
                choice("All", "/admin/invites?open=", None),
            ],
            codes: Vec::new(),
            fields: [
                field("codes", "Codes", BATCH_MAX, "1"),
                field("uses", "Uses of each", USES_MAX, "1"),
                field("days", "Days", DAYS_MAX, "14"),
                field("note", "For", 0, ""),
                field("gift_days", "Days of the plan", u32::from(GIFT_DAYS_MAX), ""),
            ],
            invites: rows.into_iter().map(|row| Line::new(row, plans, look)).collect(),
            plans: plans.iter().map(|plan| (plan.name.to_string(), plan.title.clone())).collect(),
            plan: String::new(),
            plan_fault: None,
            next,
        }
    }

    /// With the codes that were made just now.
    pub(crate) fn with_codes(self, codes: Vec<String>) -> Self {
        Self { codes, ..self }
    }

    /// As it was filled in, with what is wrong with it.
    pub(crate) fn refused(mut self, typed: [&str; 5], plan: &str, error: &InviteError) -> Self {
        plan.clone_into(&mut self.plan);
        self.plan_fault = matches!(error, InviteError::Plan).then(|| "Choose a plan, or take the days out.".to_owned());
        for (field, typed) in self.fields.iter_mut().zip(typed) {
            typed.clone_into(&mut field.value);
            field.fault = error.field().filter(|name| *name == field.name).map(|_| sentence(error));
        }
        self
    }
}

impl Line {
    fn new(row: Invite, plans: &[Plan], look: Look<'_>) -> Self {
        let (tone, state) = match () {
            () if row.is_open => ("live", "open"),
            () if row.revoked_at.is_some() => ("off", "taken back"),
            () if row.uses >= row.uses_max => ("done", "used up"),
            () => ("off", "expired"),
        };
        let more = u32::try_from(row.users.len()).is_ok_and(|shown| shown < row.uses);
        Self {
            id: ShortId::of(row.id),
            tone,
            state,
            is_open: row.is_open,
            uses: row.uses,
            uses_max: row.uses_max,
            users: row.users.join(", ") + if more { " and others" } else { "" },
            note: row.note,
            gift: row.gift.map(|gift| given(&gift, plans)).unwrap_or_default(),
            made_by: row.made_by,
            made: look.at(row.created_at),
            until: look.at(row.expires_at),
        }
    }
}

/// "Pro for 30 days": what comes along.
fn given(gift: &Gift, plans: &[Plan]) -> String {
    let plan = plans.iter().find(|plan| plan.name == gift.plan);
    let title = plan.map_or_else(|| gift.plan.to_string(), |plan| plan.title.clone());
    match gift.days {
        Some(1) => format!("{title} for a day"),
        Some(days) => format!("{title} for {days} days"),
        None => format!("{title} for good"),
    }
}

pub(crate) async fn show(State(web): State<Web>, operator: Operator, query: Query) -> Result<Response, Problem> {
    let page = read(&web, &operator, &query).await?;
    pages::page(StatusCode::OK, &page)
}

async fn read(web: &Web, operator: &Operator, query: &Query) -> Result<InvitesPage, Problem> {
    let mut filter = admin::invites::filter(query)?;
    if query.get("open").is_none() {
        filter.open = Some(true);
    }
    let mut tx = web.db.system().await?;
    let rows = store::invites::list(&mut tx, filter, PAGE + 1).await?;
    let plans = store::plans::list(&mut tx).await?;
    drop(tx);
    let (rows, next) = admin::page(rows, PAGE, ("/admin/invites", query), |invite| invite.id);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    Ok(InvitesPage::new(rows, next, filter.open, &plans, look))
}

pub(crate) async fn make(State(web): State<Web>, operator: Operator, form: Form) -> Result<Response, Problem> {
    let typed = ["codes", "uses", "days", "note", "gift_days"].map(|name| form.field(name).trim());
    let [codes, uses, days, note, gift_days] = typed;
    let plan = form.field("plan").trim();
    // What is no number is none that fits.
    let number = |text: &str| text.parse().unwrap_or(0);
    let some = |text: &str| (!text.is_empty()).then(|| number(text));
    let mut tx = web.db.system().await?;
    let made = match admin::invites::gift((!plan.is_empty()).then_some(plan), some(gift_days)) {
        Ok(gift) => {
            let gift = gift.as_ref();
            let wish = Wish { codes: number(codes), uses: number(uses), days: number(days), note, gift };
            app::invites::make(&mut tx, &*web.dice.0, &web.ring, &wish, operator.caller()).await
        }
        Err(error) => Err(error),
    };
    let (status, made) = match made {
        Ok(made) => {
            tx.commit().await?;
            (StatusCode::OK, Ok(made.iter().map(|(_, code)| code.shown()).collect()))
        }
        Err(InviteError::Keys(error)) => return Err(error.into()),
        Err(InviteError::Store(error)) => return Err(error.into()),
        Err(error) => {
            drop(tx);
            (StatusCode::UNPROCESSABLE_ENTITY, Err(error))
        }
    };
    let mut tx = web.db.system().await?;
    let filter = InviteFilter { open: Some(true), ..InviteFilter::default() };
    let rows = store::invites::list(&mut tx, filter, PAGE).await?;
    let plans = store::plans::list(&mut tx).await?;
    drop(tx);
    let look = Look { by: operator.caller(), now: web.dice.now() };
    let page = InvitesPage::new(rows, None, Some(true), &plans, look);
    match made {
        Ok(codes) => pages::page(status, &page.with_codes(codes)),
        Err(error) => pages::page(status, &page.refused(typed, plan, &error)),
    }
}

pub(crate) async fn revoke(State(web): State<Web>, by: Operator, At(id): At<id::Invite>) -> Result<Response, Problem> {
    let mut tx = web.db.system().await?;
    if !app::invites::revoke(&mut tx, id, by.caller()).await? {
        return Err(Problem::not_found());
    }
    tx.commit().await?;
    Ok(pages::see_other("/admin/invites"))
}
