//! `/auth/mail`: asking for a link by mail.

use app::limits::Limit;
use axum::{extract::State, response::Response};
use domain::own_path::OwnPath;
use http::{HeaderMap, StatusCode};

use crate::{
    body::Form,
    guard::CameFrom,
    pages::{
        self,
        login::{LoginPage, Ways, address},
        signup,
    },
    problem::Problem,
    state::Web,
};

/// The answer and the work are the same for every address: who may come in is looked up when the letter is sent.
pub(crate) async fn ask(
    State(web): State<Web>,
    came: CameFrom,
    headers: HeaderMap,
    form: Form,
) -> Result<Response, Problem> {
    if !web.site.sign_in.mails {
        let detail = "This Berth sends no mails, so it cannot mail a link. Sign in another way at /login.";
        return Err(Problem::unavailable("mail-off", detail));
    }
    let next = OwnPath::of(form.field("next"));
    let email = match address(form.field("email")) {
        Ok(email) => email,
        Err(fault) => {
            let page = LoginPage::new(Ways::of(&web.site), &next).refused_mail(form.field("email"), &fault);
            return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
        }
    };
    came.spend(&web, |source| Limit::Mail { source, to: &email }).await?;
    let mut tx = web.db.system().await?;
    let invite = signup::held(&web, &mut tx, &headers).await?;
    app::letters::ask_for_link(&mut tx, &*web.dice.0, &email, invite, &next).await?;
    tx.commit().await?;
    Ok(pages::see_other("/login?mailed=1"))
}
