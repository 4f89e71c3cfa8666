//! `/webhooks/stripe`: what Stripe tells. Checked, kept, answered; understood later, by a flow.

use app::{events::KeepError, limits::Limit};
use axum::{
    extract::{FromRequest, Request, State},
    http::StatusCode,
};
use bytes::Bytes;
use http::HeaderName;
use store::Db;
use vault::stripe::SignatureError;

use crate::{
    body,
    guard::CameFrom,
    problem::Problem,
    state::{Dice, Web},
};

/// Where Stripe writes its signature.
const SIGNATURE: HeaderName = HeaderName::from_static("stripe-signature");

/// A body that Stripe signed, as it came. Only a check of the signature makes it, on a route that [`crate::guard::Needs::Stripe`].
#[derive(Debug)]
pub(crate) struct SignedByStripe(Bytes);

/// Put into the request by the guard of a route that needs Stripe's signature.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Awaited;

impl FromRequest<Web> for SignedByStripe {
    type Rejection = Problem;

    async fn from_request(request: Request, web: &Web) -> Result<Self, Problem> {
        if request.extensions().get::<Awaited>().is_none() {
            return Err(Problem::broken("the route does not declare SignedByStripe"));
        }
        let from = CameFrom(request.extensions().get().copied());
        let signature = request.headers().get(SIGNATURE).cloned();
        let body = body::whole(request, body::BODY_WITHIN).await?;
        let given = signature.as_ref().map(http::HeaderValue::as_bytes);
        match vault::stripe::check(&web.site.stripe, given, &body, web.dice.now()) {
            Ok(()) => Ok(Self(body)),
            Err(error) => Err(refused(web, from, error).await),
        }
    }
}

/// Counts what nobody signed. What Stripe signed is never refused for what others send.
async fn refused(web: &Web, from: CameFrom, error: SignatureError) -> Problem {
    tracing::warn!(error = %error, "a webhook in Stripe's name was refused");
    let limited = from.spend(web, |source| Limit::WrongToken { source }).await;
    let detail = format!("This is not taken for Stripe's: {error}.");
    limited.err().unwrap_or_else(|| Problem::new(StatusCode::BAD_REQUEST, "wrong-signature", detail))
}

/// Keeps what Stripe sent. The answer goes out once it is on the disk, and before anybody has understood it.
pub(crate) async fn stripe(
    State(db): State<Db>,
    State(dice): State<Dice>,
    SignedByStripe(body): SignedByStripe,
) -> Result<StatusCode, Problem> {
    app::events::keep_at_once(&db, &*dice.0, &body).await.map_err(|error| match error {
        KeepError::Bad(bad) => Problem::unreadable(format!("This is no event: {bad}.")),
        KeepError::Store(error) => error.into(),
    })?;
    Ok(StatusCode::NO_CONTENT)
}
