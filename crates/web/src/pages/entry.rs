//! Addresses that only lead on.

use axum::response::Response;

use crate::{guard::Visitor, pages::see_other};

/// `/`: the dashboard for those who are signed in, the sign-in page for others.
pub(crate) async fn home(Visitor(caller): Visitor) -> Response {
    see_other(if caller.is_some() { "/dashboard" } else { "/login" })
}

/// `/agents` is what people type.
pub(crate) async fn agents() -> Response {
    see_other("/dashboard")
}
