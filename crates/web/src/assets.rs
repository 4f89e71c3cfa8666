//! Style, script and icons: compiled in, named by their content, kept by browsers for a year.

use std::sync::OnceLock;

use axum::{
    extract::Path,
    response::{IntoResponse as _, Response},
};
use http::{HeaderMap, HeaderValue, StatusCode, header};

use crate::{body::Query, problem::Problem};

struct Asset {
    name: &'static str,
    kind: &'static str,
    bytes: &'static [u8],
}

macro_rules! assets {
    ($($name:literal as $kind:literal),* $(,)?) => {
        &[$(Asset { name: $name, kind: $kind, bytes: include_bytes!(concat!("../assets/", $name)) }),*]
    };
}

static ASSETS: &[Asset] = assets![
    "berth.css" as "text/css; charset=utf-8",
    "live.js" as "text/javascript; charset=utf-8",
    "icon-attention.svg" as "image/svg+xml",
    "icon-berth.svg" as "image/svg+xml",
    "icon-failed.svg" as "image/svg+xml",
    "icon-live.svg" as "image/svg+xml",
    "icon-off.svg" as "image/svg+xml",
    "icon-working.svg" as "image/svg+xml",
];

/// The address of an asset, changing with its content.
#[must_use]
pub fn address(name: &str) -> String {
    format!("/assets/{name}?v={}", version(name))
}

pub(crate) async fn serve(Path(name): Path<String>, query: Query, headers: HeaderMap) -> Result<Response, Problem> {
    let asset = ASSETS.iter().find(|asset| asset.name == name).ok_or_else(Problem::not_found)?;
    let version = version(asset.name);
    let tag = format!("\"{version}\"");
    let lasting = query.get("v") == Some(version);
    let kept = if lasting { "public, max-age=31536000, immutable" } else { "public, max-age=300" };
    let head = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.kind)),
        (header::CACHE_CONTROL, HeaderValue::from_static(kept)),
        (header::ETAG, HeaderValue::from_str(&tag).map_err(Problem::broken)?),
    ];
    let known = headers.get(header::IF_NONE_MATCH).and_then(|value| value.to_str().ok());
    if known.is_some_and(|tags| tags.contains(&tag)) {
        return Ok((StatusCode::NOT_MODIFIED, head).into_response());
    }
    Ok((head, asset.bytes).into_response())
}

/// The first digits of the content's SHA-256; empty for a name that is not there.
fn version(name: &str) -> &'static str {
    static VERSIONS: OnceLock<Vec<(&'static str, String)>> = OnceLock::new();
    let versions = VERSIONS.get_or_init(|| {
        let short = |asset: &Asset| vault::digest(asset.bytes).to_string().chars().take(12).collect();
        ASSETS.iter().map(|asset| (asset.name, short(asset))).collect()
    });
    versions.iter().find(|(known, _)| *known == name).map_or("", |(_, version)| version)
}
