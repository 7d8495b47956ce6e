//! The three HTTP endpoints. Each converts an HTTP request to a deletion request, and its outcome to an answer.
//!
//! Only this module and `functions` know HTTP requests and answers. Each endpoint parses in one function and maps its refusals to answers in one `match`, which
//! reads like the endpoint's table in `docs/api.md`.

pub(crate) mod authlete;
mod authorization;
pub(crate) mod configuration;
pub mod event;
pub(crate) mod path;
pub(crate) mod registration;
pub(crate) mod response;

use crate::{
    deletion::Outcome,
    model::{EntityTags, VersionConditions},
    rule::DeletionRequest,
};
use lambda_http::{
    Body, Request, Response,
    http::{
        HeaderName, StatusCode,
        header::{CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH},
    },
};

/// An HTTP endpoint.
pub(crate) trait Endpoint {
    /// The deletion request that the endpoint parses from an HTTP request.
    type Request: DeletionRequest;

    /// The endpoint's only method.
    const METHOD: &'static str;

    /// Parses a request, without a database call.
    fn parse(&self, request: &Request) -> Result<Self::Request, <Self::Request as DeletionRequest>::Refusal>;

    /// The answer for an outcome.
    fn respond(&self, outcome: &Outcome<Self::Request>) -> Response<Body>;

    /// The answer to a request with another method.
    fn method_not_allowed(&self) -> Response<Body>;
}

/// The preconditions `If-Match` and `If-None-Match`. Repeated field lines are one list (RFC 9110, section 5.3).
fn version_conditions(request: &Request) -> VersionConditions {
    let tags = |field: HeaderName| {
        let lines = request.headers().get_all(field).iter().map(|line| String::from_utf8_lossy(line.as_bytes()));
        let lines: Vec<_> = lines.collect();
        (!lines.is_empty()).then(|| EntityTags::parse(&lines.join(",")))
    };
    VersionConditions { if_match: tags(IF_MATCH), if_none_match: tags(IF_NONE_MATCH) }
}

/// The media type of a form.
const FORM: &str = "application/x-www-form-urlencoded";

/// The body's media type, without parameters and in lower case. Empty if the request does not name one.
fn media_type(request: &Request) -> String {
    let value = request.headers().get(CONTENT_TYPE).map_or(&b""[..], |value| value.as_bytes());
    String::from_utf8_lossy(value).split(';').next().unwrap_or_default().trim_matches([' ', '\t']).to_ascii_lowercase()
}

/// The answer to a path that no endpoint has.
pub(crate) fn not_found() -> Response<Body> {
    response::json(
        StatusCode::NOT_FOUND,
        r#"{"error":"not_found","error_description":"There is nothing at this path."}"#,
    )
}

/// The answer to the event of a sender that the function does not support.
pub(crate) fn unsupported_sender() -> Response<Body> {
    response::json(
        StatusCode::NOT_FOUND,
        r#"{"error":"not_found","error_description":"This function answers API Gateway and function URLs only."}"#,
    )
}
