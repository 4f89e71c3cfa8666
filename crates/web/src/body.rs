//! What a handler reads from a request: bounded, and refused with a sentence that names the field.

use std::{ops::RangeInclusive, str::FromStr, time::Duration};

use axum::{
    RequestPartsExt as _,
    body::Bytes,
    extract::{FromRequest, FromRequestParts, Path, Request},
};
use domain::{
    id::{Id, Kind},
    job::Job,
};
use http::{StatusCode, header, request::Parts};
use http_body_util::{BodyExt as _, LengthLimitError, Limited};
use serde::{Deserialize, Deserializer, de::DeserializeOwned};
use tokio::time::timeout;

use crate::problem::Problem;

/// Most bytes of a body on this route; put into the request by the route's wrapper.
#[derive(Debug, Clone, Copy)]
pub(crate) struct BytesMax(pub usize);

/// A JSON body.
#[derive(Debug)]
pub(crate) struct Json<T>(pub T);

/// How long a body of at most 64 KiB may take to arrive, as the head of a request may: nobody waits for a drip.
pub(crate) const BODY_WITHIN: Duration = Duration::from_secs(10);
/// How long the body of a model call may take to arrive: its answer may take far longer.
const WEIGHED_WITHIN: Duration = Duration::from_secs(30);

/// A JSON body as read and as it came; anything unfit is a 400, as clients of the model API expect.
pub(crate) struct Weighed<T> {
    /// As read.
    pub value: T,
    /// As it came.
    pub bytes: Bytes,
}

/// The fields of a form that a page posted.
#[derive(Debug)]
pub(crate) struct Form(Vec<(String, String)>);

/// The part of an address after `?`.
#[derive(Debug)]
pub(crate) struct Query(Vec<(String, String)>);

/// The id in an address. Anything that is no id of this noun reads as an unknown one.
pub(crate) struct At<K>(pub Id<K>);

/// The job in an address. Another word reads as an unknown one.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtJob(pub Job);

/// The agent and the exchange in an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct AtTurn(pub domain::AgentId, pub domain::ExchangeId);

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Json<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !has_type(&request, &["application/json"]) {
            return Err(wrong_type("application/json"));
        }
        let bytes = whole(request, BODY_WITHIN).await?;
        parse(&bytes).map(Self)
    }
}

impl<T: DeserializeOwned, S: Send + Sync> FromRequest<S> for Weighed<T> {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        let bytes = whole(request, WEIGHED_WITHIN).await?;
        let value = parse(&bytes).map_err(|problem| Problem { status: StatusCode::BAD_REQUEST, ..problem })?;
        Ok(Self { value, bytes })
    }
}

/// Reads JSON; the sentence names the field and says what was expected.
pub(crate) fn parse<'b, T: Deserialize<'b>>(bytes: &'b [u8]) -> Result<T, Problem> {
    // Fields without their names would be read in the order in which we happen to write them down.
    if bytes.trim_ascii_start().starts_with(b"[") {
        let detail = "The JSON body does not fit. It is a list; this address takes an object.";
        return Err(Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "unreadable", detail));
    }
    let mut deserializer = serde_json::Deserializer::from_slice(bytes);
    let value = serde_path_to_error::deserialize(&mut deserializer).map_err(|error| {
        let path = error.path().to_string();
        let (inner, at) = (error.inner(), if path == "." { String::new() } else { format!("In `{path}`: ") });
        let words: String = inner.to_string().chars().take(200).collect();
        // Some words for "not that type" are those for "no JSON": then the body itself is asked.
        let is_json = inner.is_data() || serde_json::from_slice::<serde::de::IgnoredAny>(bytes).is_ok();
        let status = if is_json { StatusCode::UNPROCESSABLE_ENTITY } else { StatusCode::BAD_REQUEST };
        Problem::new(status, "unreadable", format!("The JSON body does not fit. {at}{words}."))
    })?;
    deserializer.end().map_err(|_| Problem::unreadable("The JSON body goes on after its end."))?;
    Ok(value)
}

/// A whole number in JSON, which may be written `3.0` too: JSON knows one kind of number.
pub(crate) fn whole_number<'d, D: Deserializer<'d>>(deserializer: D) -> Result<u32, D::Error> {
    whole_of(f64::deserialize(deserializer)?)
}

/// The same, or none.
pub(crate) fn maybe_whole_number<'d, D: Deserializer<'d>>(deserializer: D) -> Result<Option<u32>, D::Error> {
    Option::<f64>::deserialize(deserializer)?.map(whole_of).transpose()
}

fn whole_of<E: serde::de::Error>(number: f64) -> Result<u32, E> {
    let is_whole = number.fract() == 0.0 && (0.0..=f64::from(u32::MAX)).contains(&number);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "it is whole and fits")]
    let whole = number as u32;
    if is_whole { Ok(whole) } else { Err(E::custom(format!("expected a whole number, not {number}"))) }
}

impl<S: Send + Sync> FromRequest<S> for Form {
    type Rejection = Problem;

    async fn from_request(request: Request, _: &S) -> Result<Self, Problem> {
        if !has_type(&request, &["application/x-www-form-urlencoded"]) {
            return Err(wrong_type("application/x-www-form-urlencoded"));
        }
        let bytes = whole(request, BODY_WITHIN).await?;
        Ok(Self(pairs(&bytes)))
    }
}

impl Form {
    /// Every value of a field that stands there several times.
    pub fn all(&self, name: &str) -> Vec<&str> {
        self.0.iter().filter(|(key, _)| key == name).map(|(_, value)| value.as_str()).collect()
    }

    /// A field as typed; empty when it is missing.
    pub fn field(&self, name: &str) -> &str {
        find(&self.0, name).unwrap_or_default()
    }
}

impl<S: Send + Sync> FromRequestParts<S> for Query {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        Ok(Self(pairs(parts.uri.query().unwrap_or_default().as_bytes())))
    }
}

impl Query {
    /// A value, if it is there.
    pub fn get(&self, name: &str) -> Option<&str> {
        find(&self.0, name)
    }

    /// What was asked but for these, to be asked again.
    pub fn except(&self, names: &[&str]) -> String {
        let kept = self.0.iter().filter(|(name, value)| !names.contains(&name.as_str()) && !value.is_empty());
        url::form_urlencoded::Serializer::new(String::new()).extend_pairs(kept).finish()
    }

    /// A parsed value, if it is there.
    pub fn read<T: FromStr>(&self, name: &'static str, must_be: &'static str) -> Result<Option<T>, Problem> {
        let refuse = |_| Problem {
            status: StatusCode::BAD_REQUEST,
            ..Problem::unusable(name, format!("`{name}` must be {must_be}."))
        };
        self.get(name).map(|text| text.parse().map_err(refuse)).transpose()
    }

    /// A whole number of this range, if it is there. One outside of it is refused, not bent.
    pub fn within(&self, name: &'static str, range: RangeInclusive<i64>) -> Result<Option<i64>, Problem> {
        let refuse = || Problem {
            status: StatusCode::BAD_REQUEST,
            ..Problem::unusable(
                name,
                format!("`{name}` must be a whole number from {} to {}.", range.start(), range.end()),
            )
        };
        let number = self.get(name).map(|text| text.parse().ok().filter(|number| range.contains(number)));
        number.map(|number| number.ok_or_else(refuse)).transpose()
    }
}

impl<K: Kind, S: Send + Sync> FromRequestParts<S> for At<K> {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(text) = parts.extract::<Path<String>>().await.map_err(|_| Problem::not_found())?;
        text.parse().map(Self).map_err(|_| Problem::not_found())
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtJob {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let Path(word) = parts.extract::<Path<String>>().await.map_err(|_| Problem::not_found())?;
        Job::parse(&word).map(Self).ok_or_else(Problem::not_found)
    }
}

impl<S: Send + Sync> FromRequestParts<S> for AtTurn {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, _: &S) -> Result<Self, Problem> {
        let found = parts.extract::<Path<(String, String)>>().await;
        let Path((agent, turn)) = found.map_err(|_| Problem::not_found())?;
        match (agent.parse(), turn.parse()) {
            (Ok(agent), Ok(turn)) => Ok(Self(agent, turn)),
            _ => Err(Problem::not_found()),
        }
    }
}

/// The whole body, refused as soon as it is seen to be too large, or has taken too long.
pub(crate) async fn whole(request: Request, within: Duration) -> Result<Bytes, Problem> {
    let max = request.extensions().get::<BytesMax>().map_or(0, |max| max.0);
    let late = |_| Problem {
        status: StatusCode::REQUEST_TIMEOUT,
        ..Problem::unreadable("The request's body arrived too slowly.")
    };
    let read = timeout(within, Limited::new(request.into_body(), max).collect()).await.map_err(late)?;
    read.map(http_body_util::Collected::to_bytes).map_err(|error| {
        if error.is::<LengthLimitError>() {
            Problem::too_large(max)
        } else {
            Problem::unreadable("The request's body broke off.")
        }
    })
}

fn has_type(request: &Request, types: &[&str]) -> bool {
    let given = request.headers().get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let given = given.split(';').next().unwrap_or_default().trim();
    types.iter().any(|one| given.eq_ignore_ascii_case(one))
}

fn wrong_type(wanted: &str) -> Problem {
    Problem::new(
        StatusCode::UNSUPPORTED_MEDIA_TYPE,
        "content-type",
        format!("Send the body as `Content-Type: {wanted}`."),
    )
}

fn pairs(bytes: &[u8]) -> Vec<(String, String)> {
    url::form_urlencoded::parse(bytes).into_owned().collect()
}

fn find<'a>(pairs: &'a [(String, String)], name: &str) -> Option<&'a str> {
    pairs.iter().find(|(key, _)| key == name).map(|(_, value)| value.as_str())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug, serde::Deserialize)]
    #[serde(deny_unknown_fields)]
    struct Wish {
        #[expect(dead_code, reason = "only its reading is tested")]
        name: String,
    }

    #[test]
    fn a_number_outside_its_range_is_refused() {
        let read = |query: &str| Query(pairs(query.as_bytes())).within("limit", 1..=100).map_err(|p| p.status.as_u16());
        assert_eq!(read(""), Ok(None));
        assert_eq!((read("limit=1"), read("limit=100")), (Ok(Some(1)), Ok(Some(100))));
        for wrong in
            ["limit=", "limit=0", "limit=101", "limit=-1", "limit=1.5", "limit=x", "limit=99999999999999999999"]
        {
            assert_eq!(read(wrong), Err(400), "{wrong}");
        }
    }

    #[test]
    fn a_whole_number_may_be_written_with_a_point() {
        let read = |text: &str| whole_number(&mut serde_json::Deserializer::from_str(text)).ok();
        assert_eq!(
            (read("3"), read("3.0"), read("0"), read("4294967295")),
            (Some(3), Some(3), Some(0), Some(u32::MAX))
        );
        for wrong in ["-1", "3.5", "4294967296", "1e300", "\"3\"", "true", "null", "[]"] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn a_wrong_type_is_named() {
        let told = |text: &str| {
            parse::<Wish>(text.as_bytes()).map(|_| ()).map_err(|p| (p.status.as_u16(), p.detail.into_owned()))
        };
        let (status, words) = told(r#"{"name":5}"#).unwrap_err();
        assert!(status == 422 && words.contains("`name`") && words.contains("expected a string"), "{words}");
        let (status, words) = told(r#"{"name":"a","nmae":1}"#).unwrap_err();
        assert!(status == 422 && words.contains("`nmae`"), "{words}");
        assert_eq!(told("{").unwrap_err().0, 400);
        assert_eq!(told("[]").unwrap_err().0, 422);
        assert_eq!(told(r#"{"name":"a"} x"#).unwrap_err().0, 400);
    }
}
