//! `/api/v1/me`

use axum::Json;

use crate::{api::view::MeView, guard::Member};

pub(crate) async fn show(member: Member) -> Json<MeView> {
    Json(member.caller().into())
}
