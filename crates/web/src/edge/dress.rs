//! Writes the body of a problem for whoever asked: a program, a person, or a client of the model API.

use askama::Template as _;
use axum::{
    Json,
    extract::Request,
    response::{Html, IntoResponse as _, Response},
};
use http::{HeaderValue, Method, StatusCode, header};

use crate::{
    pages,
    problem::{Problem, Undressed},
};

/// Who asked, as far as the answer's form is concerned.
#[derive(Debug, Clone)]
pub(crate) struct Asked {
    pub is_asset: bool,
    api: Option<ModelApi>,
    wants_page: bool,
    sign_in: Option<String>,
    factor: Option<String>,
    sign_in_again: Option<String>,
}

/// Whose form a client of the model route reads.
#[derive(Debug, Clone, Copy)]
enum ModelApi {
    Messages,
    Chat,
}

impl ModelApi {
    fn of(path: &str) -> Option<Self> {
        let api = path.strip_prefix("/llm/")?;
        Some(if api.starts_with("v1/chat/") { Self::Chat } else { Self::Messages })
    }
}

impl Asked {
    pub(crate) fn of(request: &Request) -> Self {
        let path = request.uri().path();
        let accept = request.headers().get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        let is_api = ["/api/", "/llm/", "/health", "/ready"].iter().any(|prefix| path.starts_with(prefix));
        let wants_page = !is_api && accept.contains("text/html");
        let sign_in = (wants_page && request.method() == Method::GET).then(|| pages::login_address(path));
        // From a form one comes back to the page that it stands on: its address without the last word.
        let page =
            if request.method() == Method::GET { path } else { path.rsplit_once('/').map_or("/", |(page, _)| page) };
        let sign_in_again = wants_page.then(|| pages::login_again_address(page));
        let factor = sign_in.is_some().then(|| pages::factor::address(path));
        let (is_asset, api) = (path.starts_with("/assets/"), ModelApi::of(path));
        Self { is_asset, api, wants_page, sign_in, factor, sign_in_again }
    }
}

pub(crate) fn dress(mut response: Response, asked: &Asked, request_id: &str) -> Response {
    let Some(Undressed(problem)) = response.extensions_mut().remove::<Undressed>() else {
        return response;
    };
    let address = if problem.slug == "sign-in-again" { &asked.sign_in_again } else { &asked.sign_in };
    if let (StatusCode::UNAUTHORIZED, Some(address)) = (problem.status, address) {
        return pages::see_other(address);
    }
    if let (Problem::FACTOR, Some(address)) = (problem.slug, &asked.factor) {
        return pages::see_other(address);
    }
    let body = match asked.api {
        Some(ModelApi::Messages) => Json(problem.to_model_json(request_id)).into_response(),
        Some(ModelApi::Chat) => Json(problem.to_chat_json(request_id)).into_response(),
        None if asked.wants_page => page(&problem, request_id),
        None => {
            let mut body = Json(problem.to_json(request_id)).into_response();
            body.headers_mut().insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
            body
        }
    };
    let (head, body) = body.into_parts();
    *response.body_mut() = body;
    for name in [header::CONTENT_TYPE, header::CONTENT_LENGTH] {
        response.headers_mut().remove(&name);
        if let Some(value) = head.headers.get(&name) {
            response.headers_mut().insert(name, value.clone());
        }
    }
    response
}

fn page(problem: &Problem, request_id: &str) -> Response {
    pages::problem::ProblemPage::new(problem, request_id)
        .render()
        .map_or_else(|_| problem.title().into_response(), |html| Html(html).into_response())
}
