//! Converts events of API Gateway to requests, and answers to the responses of events.
//!
//! This module reads payload 2.0 (HTTP APIs, function URLs) and payload 1.0 (REST APIs, HTTP APIs) itself, because
//! `lambda_http` loses a repeated header of payload 1.0 and panics on a body that is not base64
//! (`docs/adr/0004-events-are-read-here.md`). It makes `lambda_http`'s own request type.

use super::authorization::ACCESS_TOKEN;
use crate::json::{self, RawValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{
    Body, Request, RequestExt, Response,
    aws_lambda_events::query_map::QueryMap,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH},
    },
};
use serde::{Deserialize, Deserializer, Serialize, Serializer, ser::SerializeStruct};
use std::{borrow::Cow, collections::HashMap, fmt, net::IpAddr};

/// The origin of a request, from the platform. A request made from an [`Event`] carries it as an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The sender of the event.
    pub sender: Sender,
    /// The caller's address. `X-Forwarded-For` is never used.
    pub source_ip: Option<IpAddr>,
    /// The API's stage. The path may begin with it.
    pub stage: Option<String>,
}

/// The sender of an event.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Sender {
    /// An HTTP API of API Gateway.
    HttpApi,
    /// A REST API of API Gateway. An unknown sender counts as one.
    #[default]
    RestApi,
    /// A function URL.
    FunctionUrl,
    /// An Application Load Balancer or VPC Lattice. The function does not support their events.
    Unsupported,
}

impl Sender {
    /// Whether the sender percent-decodes the path before it sends the event.
    #[must_use]
    pub fn decodes_path(self) -> bool {
        self == Self::HttpApi
    }
}

/// An event of API Gateway or of a function URL. Any JSON is an event: a member counts as absent if it is missing,
/// `null`, of a wrong type, or there twice. Only the header fields that an endpoint reads are kept.
#[derive(Default)]
pub struct Event {
    origin: Origin,
    is_payload_2: bool,
    method: Option<Method>,
    path: Option<String>,
    query: QueryMap,
    headers: HeaderMap,
    body: Option<String>,
    is_base64: bool,
}

impl<'de> Deserialize<'de> for Event {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Owned, because not every deserializer has a text that can be borrowed.
        Box::<RawValue>::deserialize(deserializer).map(|event| Self::read(&event))
    }
}

impl Event {
    fn read(event: &RawValue) -> Self {
        let names = [
            "version",
            "rawPath",
            "path",
            "rawQueryString",
            "multiValueQueryStringParameters",
            "queryStringParameters",
            "httpMethod",
            "multiValueHeaders",
            "headers",
            "body",
            "isBase64Encoded",
            "requestContext",
            "raw_path",
        ];
        let [
            version,
            raw_path,
            path,
            raw_query,
            queries,
            query,
            http_method,
            lines,
            fields,
            body,
            is_base64,
            context,
            lattice_path,
        ] = json::values(Some(event), names);
        let [stage, domain, http, identity, balancer, network] =
            json::values(context, ["stage", "domainName", "http", "identity", "elb", "serviceNetworkArn"]);

        let raw_path = raw_path.and_then(json::text);
        let is_payload_2 = raw_path.is_some();
        let is_payload_1_of_http_api = || version.and_then(json::text).is_some_and(|version| version == "1.0");
        let is_of_lattice = || [lattice_path, network].into_iter().flatten().any(|value| json::text(value).is_some());
        let sender = if balancer.and_then(json::object).is_some() || is_of_lattice() {
            Sender::Unsupported
        } else if domain.and_then(json::text).is_some_and(|domain| domain.contains(".lambda-url.")) {
            Sender::FunctionUrl
        } else if is_payload_2 || is_payload_1_of_http_api() {
            Sender::HttpApi
        } else {
            Sender::RestApi
        };
        // Payload 2.0 has `http`, payload 1.0 `identity`.
        let http = http.and_then(json::object);
        let (method, source_ip) = if http.is_some() {
            let [method, source_ip] = json::values(http, ["method", "sourceIp"]);
            (method, source_ip)
        } else {
            let [source_ip] = json::values(identity, ["sourceIp"]);
            (http_method, source_ip)
        };
        Self {
            origin: Origin {
                sender,
                source_ip: source_ip.and_then(json::parsed),
                stage: stage.and_then(json::text).map(Cow::into_owned),
            },
            is_payload_2,
            method: method.and_then(json::parsed),
            path: raw_path.or_else(|| path.and_then(json::text)).map(Cow::into_owned),
            query: match raw_query.and_then(json::text) {
                Some(query) => query.parse().unwrap_or_default(),
                None => queries.and_then(json::object).or(query).map(read_query).unwrap_or_default(),
            },
            headers: lines.and_then(json::object).or(fields).map(read_headers).unwrap_or_default(),
            body: body.and_then(json::text).map(Cow::into_owned),
            is_base64: is_base64.is_some_and(|value| value.get() == "true"),
        }
    }

    /// Whether the response has a list of cookies. Only payload 2.0 has one: REST APIs refuse unknown members.
    pub(crate) fn has_cookies(&self) -> bool {
        self.is_payload_2
    }
}

/// Shows no content: the query and the body may contain tokens.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event(…)")
    }
}

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let mut request = Request::new(body(event.body, event.is_base64));
        *request.method_mut() = event.method.unwrap_or_default();
        *request.headers_mut() = event.headers;
        request.extensions_mut().insert(event.origin);
        request.with_raw_http_path(event.path.unwrap_or_default()).with_query_string_parameters(event.query)
    }
}

/// The body. A body that is marked as base64, but is not base64, is not changed.
fn body(body: Option<String>, is_base64: bool) -> Body {
    match body {
        None => Body::Empty,
        Some(text) if is_base64 => BASE64_STANDARD.decode(&text).map_or(Body::Text(text), Body::Binary),
        Some(text) => Body::Text(text),
    }
}

/// The values of a name: a text, or a list of texts. `None` is a value of a wrong type.
fn texts(json: &RawValue) -> impl Iterator<Item = Option<Cow<'_, str>>> {
    let list = json::list(json);
    let single = list.is_none().then(|| json::text(json));
    list.into_iter().flatten().map(json::text).chain(single)
}

/// Reads the query parameter that the endpoints refuse, from an object of parameters.
fn read_query(parameters: &RawValue) -> QueryMap {
    let is_token = |name: &[u8]| (name == ACCESS_TOKEN.as_bytes()).then_some(0);
    let mut tokens = Vec::new();
    json::read_object(parameters.get().as_bytes(), &is_token, &mut |_, value| {
        tokens.extend(texts(value).flatten().map(Cow::into_owned));
    });
    if tokens.is_empty() { QueryMap::default() } else { HashMap::from([(ACCESS_TOKEN.to_owned(), tokens)]).into() }
}

/// The header fields that an endpoint reads.
static READ: [HeaderName; 4] = [AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH];

/// Reads the header fields that an endpoint needs, from an object of fields.
///
/// A field is absent if none of its values is a text. If one is, each value of another type becomes a field line that
/// no endpoint can read. So two `Authorization` lines stay two.
fn read_headers(fields: &RawValue) -> HeaderMap {
    let number_of = |name: &[u8]| READ.iter().position(|read| name.eq_ignore_ascii_case(read.as_str().as_bytes()));
    let (mut headers, mut has_text) = (HeaderMap::new(), [false; READ.len()]);
    json::read_object(fields.get().as_bytes(), &number_of, &mut |number, value| {
        if let (Some(name), Some(has_text)) = (READ.get(number), has_text.get_mut(number)) {
            for line in texts(value) {
                *has_text |= line.is_some();
                if let Some(mut line) = line.map_or_else(unreadable, |line| header_value(&line)) {
                    line.set_sensitive(name == AUTHORIZATION);
                    headers.append(name, line);
                }
            }
        }
    });
    for (name, _) in READ.iter().zip(has_text).filter(|(_, has_text)| !has_text) {
        headers.remove(name);
    }
    headers
}

/// A field's value. A character that is not allowed in it is replaced by a byte that credentials cannot contain.
fn header_value(text: &str) -> Option<HeaderValue> {
    let fit = |byte: u8| if byte == b'\t' || !byte.is_ascii_control() { byte } else { UNREADABLE };
    let replaced = || HeaderValue::from_bytes(&text.bytes().map(fit).collect::<Vec<_>>());
    HeaderValue::from_str(text).or_else(|_| replaced()).ok()
}

fn unreadable() -> Option<HeaderValue> {
    HeaderValue::from_bytes(&[UNREADABLE]).ok()
}

/// A byte that no credentials, media type or entity tag contains.
const UNREADABLE: u8 = 0xFF;

/// The response to an event, in the form of the event's payload version.
#[derive(Debug)]
pub struct EventResponse {
    /// The answer.
    pub response: Response<Body>,
    /// An empty list, or no list. AWS does not need the list; `cargo lambda` does.
    pub cookies: Option<[&'static str; 0]>,
}

/// The header fields of an answer. None is repeated.
struct Fields<'r>(&'r HeaderMap);

impl Serialize for Fields<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_map(self.0.iter().filter_map(|(name, value)| Some((name.as_str(), value.to_str().ok()?))))
    }
}

impl Serialize for EventResponse {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let body = match self.response.body() {
            Body::Text(text) => Some(text.as_str()),
            _ => None,
        };
        let mut event_response = serializer.serialize_struct("EventResponse", 5)?;
        event_response.serialize_field("statusCode", &self.response.status().as_u16())?;
        event_response.serialize_field("headers", &Fields(self.response.headers()))?;
        event_response.serialize_field("isBase64Encoded", &false)?;
        match body {
            Some(body) => event_response.serialize_field("body", body)?,
            None => event_response.skip_field("body")?,
        }
        match &self.cookies {
            Some(cookies) => event_response.serialize_field("cookies", cookies)?,
            None => event_response.skip_field("cookies")?,
        }
        event_response.end()
    }
}
