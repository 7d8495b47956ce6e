//! Builds answers, with the header fields that all of them have.

use lambda_http::{
    Body, Response,
    http::{
        HeaderName, HeaderValue, StatusCode,
        header::{ALLOW, CACHE_CONTROL, CONTENT_TYPE, PRAGMA, RETRY_AFTER},
    },
};
use serde::Serialize;

/// 204 without a body.
pub(crate) fn no_content() -> Response<Body> {
    respond(StatusCode::NO_CONTENT, Body::Empty)
}

/// A JSON text.
pub(crate) fn json(status: StatusCode, text: impl Into<String>) -> Response<Body> {
    let response = respond(status, Body::Text(text.into()));
    with(response, CONTENT_TYPE, HeaderValue::from_static("application/json"))
}

/// A value as JSON. In practice every value can be serialized. If one cannot, the answer is a 500 without details.
pub(crate) fn json_of(status: StatusCode, value: &impl Serialize) -> Response<Body> {
    match serde_json::to_string(value) {
        Ok(text) => json(status, text),
        Err(_) => json(StatusCode::INTERNAL_SERVER_ERROR, "{}"),
    }
}

/// The answer with one more header field.
pub(crate) fn with(mut response: Response<Body>, name: HeaderName, value: HeaderValue) -> Response<Body> {
    response.headers_mut().insert(name, value);
    response
}

/// Adds `Allow` to the answer to a request with another method.
pub(crate) fn allow(allowed: &'static str, response: Response<Body>) -> Response<Body> {
    with(response, ALLOW, HeaderValue::from_static(allowed))
}

/// Adds `Retry-After` to the answer for an unavailable database: the same request may succeed in a second.
pub(crate) fn retry_later(response: Response<Body>) -> Response<Body> {
    with(response, RETRY_AFTER, HeaderValue::from_static("1"))
}

fn respond(status: StatusCode, body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    *response.status_mut() = status;
    let never_stored = with(response, CACHE_CONTROL, HeaderValue::from_static("no-store"));
    with(never_stored, PRAGMA, HeaderValue::from_static("no-cache"))
}
