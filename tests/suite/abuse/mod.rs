//! What callers can try: large requests, deep nesting, requests that two programs read differently, texts that look
//! alike. The function reads a request in one way, gives one answer, and has a bounded cost.

mod allow_list;
mod cost;
mod events;
mod lookalikes;
mod readings;

use crate::support::json;
use lambda_http::{Body, Response};
use serde_json::Value;

/// The `resultCode` of an answer of the Authlete API.
fn result_code(answer: &Response<Body>) -> Value {
    json(answer)["resultCode"].take()
}
