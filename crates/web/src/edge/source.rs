//! Who is counted as one: the peer, or whom a proxy of ours names.

use axum::extract::Request;
use domain::limits::Source;

use crate::{listener::Peer, state::Site};

const FORWARDED_FOR: &str = "x-forwarded-for";

/// Where a request comes from. `None` without a listener before the router, which only tests do.
pub(crate) fn of(request: &Request, site: &Site) -> Option<Source> {
    let peer = request.extensions().get::<Peer>()?.0.ip();
    let told = request.headers().get_all(FORWARDED_FOR).iter();
    // A value that is no text ends the reading, as an entry that is no address does.
    Some(site.proxies.source(peer, told.map(|value| value.to_str().unwrap_or("?"))))
}
