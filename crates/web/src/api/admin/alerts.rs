//! `/api/admin/v1/alerts`

use app::alerts::ChangeAlertError;
use axum::{Json, extract::State};
use domain::{AlertId, id};
use serde::Serialize;
use store::{Db, alert_views::AlertFilter};

use crate::{
    api::{
        admin::{self, Listed, view::AlertView},
        agents::sentence,
    },
    body::{At, Query},
    guard::Operator,
    problem::Problem,
};

#[derive(Debug, Serialize)]
pub(crate) struct Alerts {
    alerts: Vec<AlertView>,
}

pub(crate) async fn list(State(db): State<Db>, _: Operator, query: Query) -> Result<Json<Listed<Alerts>>, Problem> {
    let limit = admin::limit(&query)?;
    let filter = AlertFilter {
        open: admin::yes_or_no(&query, "open")?,
        after: admin::filter(&query, "after", "the id of an alert")?,
    };
    let mut tx = db.system().await?;
    let rows = store::alert_views::list(&mut tx, filter, limit + 1).await?;
    let (rows, next) = admin::page(rows, limit, ("/api/admin/v1/alerts", &query), |alert| alert.id);
    Ok(Json(Listed { entries: Alerts { alerts: rows.into_iter().map(AlertView::from).collect() }, next }))
}

pub(crate) async fn show(State(db): State<Db>, _: Operator, At(id): At<id::Alert>) -> Result<Json<AlertView>, Problem> {
    answer(&db, id).await
}

pub(crate) async fn acknowledge(
    State(db): State<Db>,
    by: Operator,
    At(id): At<id::Alert>,
) -> Result<Json<AlertView>, Problem> {
    let mut tx = db.system().await?;
    app::alerts::acknowledge(&mut tx, id, by.caller()).await?;
    tx.commit().await?;
    answer(&db, id).await
}

pub(crate) async fn take_back(
    State(db): State<Db>,
    by: Operator,
    At(id): At<id::Alert>,
) -> Result<Json<AlertView>, Problem> {
    let mut tx = db.system().await?;
    app::alerts::take_back(&mut tx, id, by.caller()).await?;
    tx.commit().await?;
    answer(&db, id).await
}

async fn answer(db: &Db, id: AlertId) -> Result<Json<AlertView>, Problem> {
    let mut tx = db.system().await?;
    let alert = store::alert_views::by_id(&mut tx, id).await?.ok_or_else(Problem::not_found)?;
    Ok(Json(alert.into()))
}

impl From<ChangeAlertError> for Problem {
    fn from(error: ChangeAlertError) -> Self {
        match error {
            ChangeAlertError::NotFound => Self::not_found(),
            ChangeAlertError::Forbidden => Self::not_allowed(sentence(&error)),
            ChangeAlertError::Closed => Self::conflict("alert-closed", sentence(&error)),
            ChangeAlertError::Store(error) => error.into(),
        }
    }
}
