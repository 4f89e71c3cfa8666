//! `/api/admin/v1/users`: people by id; an address finds its owner and is not shown.

use axum::{Json, extract::State};
use chrono::{DateTime, Utc};
use domain::{UserId, names::Email};
use serde::Serialize;
use store::{
    Db,
    user_views::{UserFilter, UserView as Row},
};

use crate::{
    api::{
        admin::{self, Listed},
        agents::sentence,
    },
    body::Query,
    guard::Operator,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct Users {
    users: Vec<UserView>,
}

#[derive(Debug, Serialize)]
struct UserView {
    id: UserId,
    created_at: DateTime<Utc>,
    is_operator: bool,
    tenants: i64,
    sessions: i64,
    suspended_at: Option<DateTime<Utc>>,
    suspended_why: Option<String>,
}

impl From<Row> for UserView {
    fn from(row: Row) -> Self {
        let Row { id, created_at, is_operator, tenants, sessions, suspended_at, suspended_why } = row;
        Self { id, created_at, is_operator, tenants, sessions, suspended_at, suspended_why }
    }
}

/// Which people a list shows.
pub(crate) fn filter(query: &Query) -> Result<UserFilter, Problem> {
    let email = query.get("email").filter(|text| !text.is_empty()).map(Email::parse).transpose();
    Ok(UserFilter {
        after: admin::filter(query, "after", "the id of a user")?,
        only: admin::filter(query, "id", "the id of a user")?,
        email: email.map_err(|error| Problem::unusable("email", sentence(&error)))?,
    })
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Users>>, Problem> {
    let (limit, filter) = (admin::limit(&query)?, filter(&query)?);
    let mut tx = db.system().await?;
    let rows = store::user_views::list(&mut tx, &filter, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/users", &query), |row| row.id);
    Ok(Json(Listed { entries: Users { users: rows.into_iter().map(UserView::from).collect() }, next }))
}
