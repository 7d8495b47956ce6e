//! What callers can try: large requests, deep nesting, requests that two readers read differently, texts that look
//! alike. A request has one reading, one answer, and a bounded cost.

mod allow_list;
mod cost;
mod lookalikes;
mod readings;

use crate::support::json;
use lambda_http::{Body, Response};
use serde_json::Value;

/// The `resultCode` of an answer of the Authlete API.
fn result_code(answer: &Response<Body>) -> Value {
    json(answer)["resultCode"].take()
}
