//! Converts events of API Gateway to requests, and answers to the responses of events.
//!
//! This module reads payload 2.0 (HTTP APIs, function URLs) and payload 1.0 (REST APIs) itself, because `lambda_http`
//! loses a repeated header of payload 1.0 and panics on a body that is not base64
//! (`docs/adr/0004-events-are-read-here.md`). It makes `lambda_http`'s own request type.

use base64::{Engine, prelude::BASE64_STANDARD};
use lambda_http::{
    Body, Request, RequestExt, Response,
    aws_lambda_events::query_map::QueryMap,
    http::{
        HeaderMap, HeaderName, HeaderValue, Method,
        header::{AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH},
    },
};
use serde::{
    Deserialize, Deserializer, Serialize, Serializer,
    de::{self, IgnoredAny},
    ser::SerializeStruct,
};
use std::{borrow::Cow, collections::HashMap, fmt, net::IpAddr, str::FromStr};

/// The origin of a request, from the platform. A request made from an [`Event`] carries it as an extension.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Origin {
    /// The caller's address. `X-Forwarded-For` is never used.
    pub source_ip: Option<IpAddr>,
    /// The API's stage. The path may begin with it.
    pub stage: Option<String>,
}

/// An event of API Gateway or of a function URL. A missing member counts as empty. Only the header fields that an
/// endpoint reads are kept.
#[derive(Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Event {
    /// Payload 2.0.
    raw_path: Option<String>,
    /// Payload 2.0.
    raw_query_string: Option<String>,
    /// Payload 1.0.
    #[serde(deserialize_with = "parsed")]
    http_method: Option<Method>,
    /// Payload 1.0.
    path: Option<String>,
    /// Payload 1.0.
    multi_value_query_string_parameters: Option<HashMap<String, Vec<String>>>,
    /// Payload 1.0, each field line by itself.
    multi_value_headers: Option<Headers>,
    /// Payload 2.0, where repeated field lines are joined with commas; payload 1.0, only the last field line.
    headers: Option<Headers>,
    body: Option<String>,
    is_base64_encoded: bool,
    request_context: Context,
}

impl Event {
    /// Whether the response has a list of cookies. Only payload 2.0 has one: REST APIs refuse unknown members.
    pub(crate) fn has_cookies(&self) -> bool {
        self.raw_path.is_some()
    }
}

/// Shows no content: the query and the body may contain tokens.
impl fmt::Debug for Event {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Event(…)")
    }
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Context {
    stage: Option<String>,
    /// Payload 2.0.
    http: Option<Http>,
    /// Payload 1.0.
    identity: Option<Identity>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Http {
    #[serde(deserialize_with = "parsed")]
    method: Option<Method>,
    #[serde(deserialize_with = "parsed")]
    source_ip: Option<IpAddr>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(default, rename_all = "camelCase")]
struct Identity {
    #[serde(deserialize_with = "parsed")]
    source_ip: Option<IpAddr>,
}

/// Parses a text. `None` if it cannot be parsed.
fn parsed<'de, D: Deserializer<'de>, T: FromStr>(deserializer: D) -> Result<Option<T>, D::Error> {
    let text = Option::<Text<'_>>::deserialize(deserializer)?;
    Ok(text.and_then(|Text(text)| text.parse().ok()))
}

/// A text, copied only if it contains escapes.
#[derive(Deserialize)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

impl From<Event> for Request {
    fn from(event: Event) -> Self {
        let Context { stage, http, identity } = event.request_context;
        let (method, source_ip) = match http {
            Some(http) => (http.method, http.source_ip),
            None => (event.http_method, identity.and_then(|identity| identity.source_ip)),
        };
        let query = match event.raw_query_string {
            Some(query) => query.parse().unwrap_or_default(),
            None => QueryMap::from(event.multi_value_query_string_parameters.unwrap_or_default()),
        };

        let mut request = Request::new(body(event.body, event.is_base64_encoded));
        *request.method_mut() = method.unwrap_or_default();
        *request.headers_mut() = event.multi_value_headers.or(event.headers).unwrap_or_default().0;
        request.extensions_mut().insert(Origin { source_ip, stage });
        request
            .with_raw_http_path(event.raw_path.or(event.path).unwrap_or_default())
            .with_query_string_parameters(query)
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

/// The header fields that an endpoint reads.
const READ: [HeaderName; 4] = [AUTHORIZATION, CONTENT_TYPE, IF_MATCH, IF_NONE_MATCH];

/// Header fields, one value an entry.
#[derive(Debug, Default)]
struct Headers(HeaderMap);

impl Headers {
    /// Adds a field line. A character that a header value cannot have is replaced by one that credentials cannot have.
    fn append(&mut self, name: HeaderName, value: &str) {
        let value = HeaderValue::from_str(value).or_else(|_| {
            let fit = |b: u8| if b == b'\t' || !b.is_ascii_control() { b } else { 0xFF };
            HeaderValue::from_bytes(&value.bytes().map(fit).collect::<Vec<_>>())
        });
        if let Ok(mut value) = value {
            value.set_sensitive(name == AUTHORIZATION);
            self.0.append(name, value);
        }
    }
}

impl<'de> Deserialize<'de> for Headers {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Fields;

        #[derive(Deserialize)]
        #[serde(untagged)]
        enum Values<'a> {
            #[serde(borrow)]
            One(Text<'a>),
            Many(Vec<String>),
        }

        impl<'de> de::Visitor<'de> for Fields {
            type Value = Headers;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a map of header fields")
            }

            fn visit_map<M: de::MapAccess<'de>>(self, mut fields: M) -> Result<Headers, M::Error> {
                let mut headers = Headers::default();
                while let Some(Text(name)) = fields.next_key()? {
                    let Some(name) = READ.into_iter().find(|read| name.eq_ignore_ascii_case(read.as_str())) else {
                        fields.next_value::<IgnoredAny>()?;
                        continue;
                    };
                    match fields.next_value()? {
                        Values::One(Text(value)) => headers.append(name, &value),
                        Values::Many(values) => values.iter().for_each(|value| headers.append(name.clone(), value)),
                    }
                }
                Ok(headers)
            }
        }

        deserializer.deserialize_map(Fields)
    }
}

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
