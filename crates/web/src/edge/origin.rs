//! Refuses requests that another site makes in a visitor's name.
//!
//! The scheme of Go 1.25's `CrossOriginProtection`: browsers say where a request
//! comes from (`Sec-Fetch-Site`, or `Origin` where that header is not sent, as
//! over plain http). Requests with neither come from programs, which hold no
//! cookie by accident. A request with a bearer cannot be forged by a page.

use http::{HeaderMap, Method, header};
use url::Url;

use crate::problem::Problem;

pub(crate) fn check(method: &Method, headers: &HeaderMap, public_url: &Url) -> Result<(), Problem> {
    if method.is_safe() || headers.contains_key(header::AUTHORIZATION) || comes_from_here(headers, public_url) {
        return Ok(());
    }
    let detail =
        "This request came from another site, so it was not carried out. Open Berth itself and try again there.";
    Err(Problem { slug: "cross-site", ..Problem::not_allowed(detail) })
}

fn comes_from_here(headers: &HeaderMap, public_url: &Url) -> bool {
    let text = |name: &str| headers.get(name).map(|value| value.to_str().unwrap_or_default());
    match (text("sec-fetch-site"), text("origin")) {
        (Some(site), _) => matches!(site, "same-origin" | "none"),
        (None, None) => true,
        (None, Some(origin)) => {
            let same_host = origin.split_once("://").is_some_and(|(_, host)| Some(host) == text("host"));
            same_host || origin == public_url.origin().ascii_serialization()
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verdict(method: &Method, pairs: &[(&'static str, &str)]) -> bool {
        let mut headers = HeaderMap::new();
        for (name, value) in pairs {
            headers.insert(*name, value.parse().unwrap());
        }
        check(method, &headers, &Url::parse("https://berth.example").unwrap()).is_ok()
    }

    #[test]
    fn a_form_on_another_site_cannot_act() {
        let post = Method::POST;
        assert!(!verdict(&post, &[("sec-fetch-site", "cross-site")]));
        assert!(!verdict(&post, &[("sec-fetch-site", "same-site"), ("origin", "https://berth.example")]));
        assert!(!verdict(&post, &[("origin", "https://evil.example"), ("host", "berth.example")]));
        assert!(!verdict(&post, &[("origin", "null"), ("host", "berth.example")]));
        assert!(!verdict(&Method::DELETE, &[("origin", "http://evil"), ("host", "h")]));
    }

    #[test]
    fn our_own_pages_and_programs_can() {
        let post = Method::POST;
        assert!(verdict(&post, &[("sec-fetch-site", "same-origin")]));
        assert!(verdict(&post, &[("origin", "http://127.0.0.1:8080"), ("host", "127.0.0.1:8080")]));
        assert!(verdict(&post, &[("origin", "https://berth.example"), ("host", "inside:8080")]));
        assert!(verdict(&post, &[]));
        assert!(verdict(&post, &[("sec-fetch-site", "cross-site"), ("authorization", "Bearer x")]));
        assert!(verdict(&Method::GET, &[("sec-fetch-site", "cross-site")]));
    }
}
