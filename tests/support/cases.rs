//! The table of cases, `tests/cases/*.json`: for each row of `docs/api.md` its requests and its answer.
//!
//! The default of a request's method and path is its endpoint's. A body in the table is the answer's, byte for byte.

use super::envelope::{self, Sender};
use base64::{Engine, prelude::BASE64_STANDARD_NO_PAD};
use serde::Deserialize;
use serde_json::{
    Value,
    value::{RawValue, to_raw_value},
};
use std::collections::BTreeMap;

/// The table of an endpoint.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Table {
    method: String,
    path: String,
    answers: BTreeMap<String, Answer>,
    pub cases: Vec<Case>,
}

/// An answer: its status, the headers that not every answer has, and its body.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Answer {
    pub status: u16,
    #[serde(default)]
    pub headers: BTreeMap<String, String>,
    pub body: Option<Box<RawValue>>,
}

/// Requests that get the same answer.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Case {
    /// The row of the endpoint's table in `docs/api.md`, if it has a number.
    pub row: Option<u8>,
    #[serde(rename = "case")]
    pub title: String,
    answer: String,
    /// The database calls: a read, and a write.
    pub calls: usize,
    /// The client that is deleted.
    pub deletes: Option<String>,
    pub requests: Vec<Request>,
}

/// A request.
#[derive(Clone, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The name, for the request's events and its example in `openapi.yaml`.
    pub name: Option<String>,
    method: Option<String>,
    path: Option<String>,
    #[serde(default)]
    query: String,
    /// Basic credentials: id and secret.
    basic: Option<(String, String)>,
    /// A Bearer token.
    bearer: Option<String>,
    /// `Authorization`, as it is. A list: one field line each.
    authorization: Option<Lines>,
    if_match: Option<String>,
    content_type: Option<String>,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    json: Option<Box<RawValue>>,
    body: Option<String>,
    /// Whether the sender encodes the body in base64.
    #[serde(default)]
    base64: bool,
    source_ip: Option<String>,
    sender: Option<String>,
    stage: Option<String>,
}

#[derive(Clone, Deserialize)]
#[serde(untagged)]
enum Lines {
    One(String),
    Several(Vec<String>),
}

/// The tables, each with the name of its endpoint.
pub fn tables() -> [(&'static str, Table); 4] {
    let read = |text| serde_json::from_str(text).unwrap();
    [
        ("configuration", read(include_str!("../cases/configuration.json"))),
        ("registration", read(include_str!("../cases/registration.json"))),
        ("authlete", read(include_str!("../cases/authlete.json"))),
        ("elsewhere", read(include_str!("../cases/elsewhere.json"))),
    ]
}

impl Table {
    /// The answer of a case.
    pub fn answer(&self, case: &Case) -> &Answer {
        &self.answers[&case.answer]
    }

    /// The event of a request, in this payload version.
    pub fn event(&self, request: &Request, payload: u8) -> Value {
        let mut headers: Vec<(String, String)> = request.headers.clone().into_iter().collect();
        let mut add = |name: &str, value: String| headers.push((name.to_owned(), value));
        if let Some((id, secret)) = &request.basic {
            add("authorization", format!("Basic {}", BASE64_STANDARD_NO_PAD.encode(format!("{id}:{secret}"))));
        }
        if let Some(token) = &request.bearer {
            add("authorization", format!("Bearer {token}"));
        }
        match &request.authorization {
            None => {}
            Some(Lines::One(line)) => add("authorization", line.clone()),
            Some(Lines::Several(lines)) => lines.iter().for_each(|line| add("authorization", line.clone())),
        }
        if let Some(value) = &request.if_match {
            add("if-match", value.clone());
        }
        if let Some(value) = &request.content_type {
            add("content-type", value.clone());
        }
        let json = request.json.as_ref().map(|json| json.get().to_owned());
        let body = json.or_else(|| request.body.clone()).unwrap_or_default();
        let sender = match request.sender.as_deref() {
            None => Sender::Gateway,
            Some("function_url") => Sender::FunctionUrl,
            Some("http_api") => Sender::HttpApi,
            Some("sam_local") => Sender::SamLocal,
            Some("load_balancer") => Sender::LoadBalancer,
            Some("lattice") => Sender::Lattice,
            Some(other) => panic!("no sender is called {other}"),
        };
        let caller = if sender == Sender::SamLocal { "127.0.0.1" } else { "203.0.113.7" };
        let whole = envelope::Request {
            method: request.method.as_ref().unwrap_or(&self.method).clone(),
            path: request.path.as_ref().unwrap_or(&self.path).clone(),
            query: request.query.clone(),
            headers,
            body: body.into_bytes(),
            source_ip: request.source_ip.clone().unwrap_or_else(|| caller.to_owned()),
            stage: request.stage.clone(),
        };
        let mut event = if payload == 2 { whole.payload_2(sender) } else { whole.payload_1(sender) };
        if request.base64 {
            use base64::prelude::BASE64_STANDARD;
            event["body"] = BASE64_STANDARD.encode(&whole.body).into();
            event["isBase64Encoded"] = true.into();
        }
        event
    }
}

impl Answer {
    /// The headers of the whole answer.
    pub fn all_headers(&self) -> BTreeMap<String, String> {
        let common = [("cache-control", "no-store"), ("pragma", "no-cache")];
        let media_type = self.body.as_ref().map(|_| ("content-type", "application/json"));
        let common = common.into_iter().chain(media_type).map(|(name, value)| (name.to_owned(), value.to_owned()));
        common.chain(self.headers.clone()).collect()
    }
}

/// The events that have a name, as `<endpoint>-<name>.<payload>.0`, each with its answer.
pub fn events() -> BTreeMap<String, (Value, Box<RawValue>)> {
    let mut events = BTreeMap::new();
    for (endpoint, table) in tables() {
        for case in &table.cases {
            let answer = table.answer(case);
            for request in &case.requests {
                let Some(name) = &request.name else { continue };
                for payload in [1, 2] {
                    let answer = serde_json::json!({
                        "status": answer.status,
                        "headers": answer.all_headers(),
                        "body": answer.body.as_ref().map(|body| body.get()),
                    });
                    let key = format!("{endpoint}-{name}.{payload}.0");
                    let taken = events.insert(key, (table.event(request, payload), to_raw_value(&answer).unwrap()));
                    assert!(taken.is_none(), "two requests of {endpoint} are called {name}");
                }
            }
        }
    }
    events
}
