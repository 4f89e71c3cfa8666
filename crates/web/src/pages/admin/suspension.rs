//! The buttons that take a tenant or a person out of service, and back.

use app::suspension;
use axum::{extract::State, response::Response};
use domain::{id, operators::Reason};
use http::StatusCode;
use store::user_views::{UserFilter, UserView};

use crate::{
    api::agents::sentence,
    body::{At, Form},
    guard::Operator,
    pages::{
        self,
        admin::{Look, tenant, users},
    },
    problem::Problem,
    state::Web,
};

pub(crate) async fn tenant(
    State(web): State<Web>,
    by: Operator,
    At(id): At<id::Tenant>,
    form: Form,
) -> Result<Response, Problem> {
    let why = match Reason::parse(form.field("reason")) {
        Ok(why) => why,
        Err(error) => {
            let look = Look { by: by.caller(), now: web.dice.now() };
            let page = tenant::TenantPage::new(&tenant::one(&web, id).await?, look);
            let page = page.not_suspended(form.field("reason"), sentence(&error));
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    suspension::suspend_tenant(web.db.system().await?, id, &why, by.caller()).await?;
    Ok(pages::see_other(&format!("/admin/tenants/{id}")))
}

pub(crate) async fn restore_tenant(
    State(web): State<Web>,
    by: Operator,
    At(id): At<id::Tenant>,
) -> Result<Response, Problem> {
    suspension::restore_tenant(web.db.system().await?, id, by.caller()).await?;
    Ok(pages::see_other(&format!("/admin/tenants/{id}")))
}

pub(crate) async fn user(
    State(web): State<Web>,
    by: Operator,
    At(id): At<id::User>,
    form: Form,
) -> Result<Response, Problem> {
    let why = match Reason::parse(form.field("reason")) {
        Ok(why) => why,
        Err(error) => {
            let look = Look { by: by.caller(), now: web.dice.now() };
            let row = one(&web, id).await?;
            let page = users::UsersPage::new(&[row], None, look).not_suspended(form.field("reason"), sentence(&error));
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    suspension::suspend_user(web.db.system().await?, id, &why, by.caller()).await?;
    Ok(pages::see_other(&format!("/admin/users?id={id}")))
}

pub(crate) async fn restore_user(
    State(web): State<Web>,
    by: Operator,
    At(id): At<id::User>,
) -> Result<Response, Problem> {
    suspension::restore_user(web.db.system().await?, id, by.caller()).await?;
    Ok(pages::see_other(&format!("/admin/users?id={id}")))
}

async fn one(web: &Web, id: domain::UserId) -> Result<UserView, Problem> {
    let mut tx = web.db.system().await?;
    let only = UserFilter { only: Some(id), ..UserFilter::default() };
    store::user_views::list(&mut tx, &only, 1).await?.pop().ok_or_else(Problem::not_found)
}
