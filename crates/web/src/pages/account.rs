//! `/settings/erase`: the end of one's own account.

use app::accounts::AccountError;
use axum::{extract::State, response::Response};
use http::{StatusCode, header};

use crate::{
    api::agents::sentence,
    body::Form,
    guard::Person,
    pages::{self, settings},
    problem::Problem,
    session,
    state::Web,
};

/// Erases the account, if its address was typed.
pub(crate) async fn erase(State(web): State<Web>, person: Person, form: Form) -> Result<Response, Problem> {
    let by = person.caller();
    let address = by.email.as_str();
    if !form.field("email").trim().eq_ignore_ascii_case(address) {
        let fault = format!("That is not your address, so nothing was erased. Type {address} to erase your account.");
        let page = settings::read(&web, by).await?.not_erased(fault);
        return pages::page(StatusCode::UNPROCESSABLE_ENTITY, &page);
    }
    match app::accounts::erase(web.db.system().await?, &*web.dice.0, by).await {
        Ok(_) => {
            let mut response = pages::see_other("/login?erased=1");
            for cookie in session::no_cookies(&web.site) {
                response.headers_mut().append(header::SET_COOKIE, cookie);
            }
            Ok(response)
        }
        Err(error @ (AccountError::LastOwner(_) | AccountError::LastOperator)) => {
            let page = settings::read(&web, by).await?.not_erased(sentence(&error));
            pages::page(StatusCode::CONFLICT, &page)
        }
        Err(error @ (AccountError::Tenant(_) | AccountError::Store(_))) => Err(error.into()),
    }
}
