//! `/api/v1/sessions`

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{SessionId, id, people::Shown};
use http::StatusCode;
use serde::Serialize;
use store::Db;

use crate::{body::At, guard::Person, problem::Problem};

#[derive(Debug, Serialize)]
pub(crate) struct Sessions {
    sessions: Vec<SessionLine>,
}

#[derive(Debug, Serialize)]
struct SessionLine {
    id: SessionId,
    tenant: String,
    browser: String,
    created_at: DateTime<Utc>,
    authenticated_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    expires_at: DateTime<Utc>,
    current: bool,
}

pub(crate) async fn list(State(db): State<Db>, person: Person) -> Result<Json<Sessions>, Problem> {
    let by = person.caller();
    let mut tx = db.system().await?;
    let sessions = app::sessions::list(&mut tx, by).await?.into_iter().map(|session| SessionLine {
        current: matches!(by.shown, Shown::Session { id, .. } if id == session.id),
        id: session.id,
        tenant: session.tenant,
        browser: session.browser,
        created_at: session.created_at,
        authenticated_at: session.authenticated_at,
        seen_at: session.seen_at,
        expires_at: session.expires_at,
    });
    Ok(Json(Sessions { sessions: sessions.collect() }))
}

pub(crate) async fn end(State(db): State<Db>, person: Person, At(id): At<id::Session>) -> Result<StatusCode, Problem> {
    let mut tx = db.system().await?;
    if !app::sessions::end(&mut tx, person.caller(), id).await? {
        return Err(Problem::not_found());
    }
    tx.commit().await?;
    Ok(StatusCode::NO_CONTENT)
}
