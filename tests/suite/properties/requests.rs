//! A request of any bytes gets a well-formed answer, which does not repeat what was sent, and writes nothing.

use super::{anything, cases, encode, is_quotable};
use crate::support::{Fixture, basic, bearer, sample};
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::http::event::EventResponse;
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};
use std::collections::HashMap;
use tokio::runtime::Runtime;

/// Text that is in an answer only if the answer repeats it.
fn marker() -> impl Strategy<Value = String> {
    "[a-z]{4}[0-9a-z]{12}"
}

/// Text of any characters with the marker somewhere in it.
fn planted(marker: &str) -> impl Strategy<Value = String> + use<> {
    let marker = marker.to_owned();
    (anything(), anything()).prop_map(move |(before, after)| format!("{before}{marker}{after}"))
}

/// Text with the marker in it, or one of the known texts.
fn planted_or(marker: &str, known: &[&str]) -> impl Strategy<Value = String> + use<> {
    prop_oneof![planted(marker), select(known.iter().map(|&text| text.to_owned()).collect::<Vec<_>>())]
}

/// The endpoints, and a path of none.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Route {
    Configuration,
    Registration,
    Authlete,
    Unknown,
}

impl Route {
    fn method(self) -> &'static str {
        if self == Self::Authlete { "POST" } else { "DELETE" }
    }

    fn path(self, parent: &str, client: &str) -> String {
        match self {
            Self::Configuration => format!("/config/{parent}/clients/{client}"),
            Self::Registration => format!("/register/{client}"),
            Self::Authlete => format!("/api/{parent}/client/registration/delete"),
            Self::Unknown => parent.to_owned(),
        }
    }

    /// Valid credentials. No request names a client that they can delete.
    fn credentials(self) -> String {
        match self {
            Self::Configuration => basic(sample::OWNER),
            Self::Registration | Self::Unknown => bearer(sample::PROTECTED_CLIENT.1),
            Self::Authlete => bearer(sample::SERVICE_TOKEN),
        }
    }

    /// Whether the body is an error of the endpoint, with the documented members only.
    fn is_error(self, status: u16, body: &Value) -> bool {
        let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
        let text = |name: &str| body[name].as_str().unwrap_or_default();
        match self {
            Self::Configuration => members == ["errors"] && !text("errors").is_empty(),
            Self::Registration | Self::Unknown => {
                members == ["error", "error_description"] && members.iter().all(|name| is_quotable(text(name)))
            }
            Self::Authlete => {
                let labelled = text("resultMessage").starts_with(&format!("[{}] ", text("resultCode")));
                let printable = !text("resultMessage").contains(char::is_control);
                let outcome = || {
                    let content: Value = serde_json::from_str(text("responseContent")).unwrap();
                    members == ["action", "responseContent", "resultCode", "resultMessage"]
                        && content["error_description"] == body["resultMessage"]
                };
                labelled && printable && (members == ["resultCode", "resultMessage"]) != (status == 200 && outcome())
            }
        }
    }
}

/// Whether the text is one challenge, each parameter a quoted string (RFC 9110, section 11.6.1).
fn is_challenge(text: &str) -> bool {
    let parameter = |parameter: &str| {
        let (name, value) = parameter.split_once("=\"").unwrap_or_default();
        ["realm", "charset", "error", "error_description"].contains(&name) && is_quotable(value)
    };
    text.strip_prefix("Basic ")
        .or_else(|| text.strip_prefix("Bearer "))
        .and_then(|parameters| parameters.strip_suffix('"'))
        .is_some_and(|parameters| parameters.split("\", ").all(parameter))
}

/// A path segment, encoded or as it is.
fn segment(text: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    (text, any::<bool>()).prop_map(|(text, encoded)| if encoded { encode(&text) } else { text.replace('/', "%") })
}

/// Header fields. A name can be there twice.
fn headers(marker: &str, route: Route) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let base64 = |scheme: &'static str| move |text: String| format!("{scheme} {}", BASE64_STANDARD.encode(text));
    let authorization = prop_oneof![
        20 => Just(route.credentials()),
        1 => planted(marker),
        1 => planted(marker).prop_map(base64("Basic")),
        1 => planted(marker).prop_map(base64("Bearer")),
        1 => planted(marker).prop_map(|secret| basic((sample::OWNER.0, &secret))),
        1 => planted(marker).prop_map(|token| bearer(&token)),
    ];
    let media_type = select(vec!["application/json", "application/x-www-form-urlencoded", "text/plain"]);
    let field = prop_oneof![
        4 => (Just("authorization".to_owned()), authorization),
        1 => (planted_or(marker, &["Authorization", "if-match", "content-type"]), planted(marker)),
        2 => media_type.prop_map(|value| ("content-type".to_owned(), value.to_owned())),
    ];
    vec(field, 1..3)
}

/// A body. The marker is never in the client id, which the Authlete API repeats, as documented.
fn body(marker: &str) -> impl Strategy<Value = String> + use<> {
    let client_id =
        || prop_oneof![anything(), select(vec![sample::PROTECTED_CLIENT.0, sample::CLIENT.0]).prop_map_into()];
    let token = || planted_or(marker, &[sample::PROTECTED_CLIENT.1, ""]);
    prop_oneof![
        1 => planted(marker),
        1 => (planted(marker), planted(marker)).prop_map(|(name, value)| json!({ name: value }).to_string()),
        4 => (client_id(), token(), planted(marker))
            .prop_map(|(id, token, json)| json!({ "clientId": id, "token": token, "json": json }).to_string()),
        2 => (client_id(), token())
            .prop_map(|(id, token)| format!("clientId={}&token={}", encode(&id), encode(&token))),
    ]
}

/// An event, with the marker in every place that its sender controls.
#[derive(Debug, Clone)]
struct Sent {
    marker: String,
    event: String,
    route: Route,
}

fn any_event() -> impl Strategy<Value = Sent> {
    let route = select(vec![Route::Configuration, Route::Registration, Route::Authlete, Route::Unknown]);
    (marker(), route).prop_flat_map(|(marker, route)| {
        let parent = if route == Route::Authlete { sample::SERVICE } else { sample::APPLICATION };
        let parent = segment(prop_oneof![1 => planted(&marker), 3 => Just(parent.to_owned())]);
        let known = [sample::OWNER.0, sample::PROTECTED_TARGET, sample::PROTECTED_CLIENT.0, sample::CLIENT.0];
        let path = (parent, segment(planted_or(&marker, &known)))
            .prop_map(move |(parent, client)| route.path(&parent, &client));
        let method = prop_oneof![9 => Just(route.method().to_owned()), 1 => planted_or(&marker, &["GET", "PUT"])];
        let query = option::weighted(0.2, (planted_or(&marker, &["access_token"]), planted(&marker)));
        let request = (method, path, query, headers(&marker, route), body(&marker));
        let stage = select(vec![None, Some("$default"), Some("prod"), Some("config"), Some("")]);
        let flags = any::<[bool; 4]>();
        (request, stage, flags).prop_map(move |(request, stage, [payload_1, is_base64, says_base64, is_decoded])| {
            let (method, path, query, headers, body) = request;
            let path = stage.filter(|stage| !stage.is_empty()).map_or(path.clone(), |stage| format!("/{stage}{path}"));
            let body = if is_base64 { BASE64_STANDARD.encode(body) } else { body };
            let event = if payload_1 {
                let mut lines: HashMap<String, Vec<String>> = HashMap::new();
                for (name, value) in headers {
                    lines.entry(name).or_default().push(value);
                }
                json!({
                    "version": is_decoded.then_some("1.0"),
                    "httpMethod": method,
                    "path": path,
                    "multiValueQueryStringParameters": query.map(|(name, value)| json!({ name: [value] })),
                    "multiValueHeaders": lines,
                    "requestContext": { "stage": stage, "identity": { "sourceIp": "203.0.113.7" } },
                    "body": body,
                    "isBase64Encoded": says_base64,
                })
            } else {
                json!({
                    "version": "2.0",
                    "rawPath": path,
                    "rawQueryString": query.map(|(name, value)| format!("{name}={value}")),
                    "headers": headers.into_iter().collect::<HashMap<_, _>>(),
                    "requestContext": {
                        "domainName": if is_decoded { "a.execute-api.a" } else { "a.lambda-url.a" },
                        "stage": stage,
                        "http": { "method": method, "sourceIp": "203.0.113.7" },
                    },
                    "body": body,
                    "isBase64Encoded": says_base64,
                })
            };
            Sent { marker: marker.clone(), event: event.to_string(), route }
        })
    })
}

#[test]
fn any_request_gets_a_well_formed_answer_that_repeats_nothing_and_writes_nothing() {
    let runtime = Runtime::new().unwrap();
    let fixture = runtime.block_on(Fixture::with_samples());
    fixture.wire.take_calls();
    proptest!(cases(1500), |(sent in any_event())| {
        let Sent { marker, event, route } = sent;
        let answer = runtime.block_on(fixture.invoke(&event));
        let status = answer.status().as_u16();
        let answer = serde_json::to_value(EventResponse { response: answer, cookies: None }).unwrap();
        prop_assert!(!answer.to_string().contains(&marker), "{answer}");

        let field = |name: &str| answer["headers"][name].as_str();
        prop_assert!(status == 200 || (400..500).contains(&status), "{answer}");
        prop_assert_eq!(field("cache-control"), Some("no-store"));
        prop_assert_eq!(field("pragma"), Some("no-cache"));
        prop_assert_eq!(field("content-type"), Some("application/json"));
        prop_assert_eq!(field("allow").is_some(), status == 405, "{}", answer);
        prop_assert!(field("www-authenticate").map_or(status != 401, is_challenge), "{answer}");

        let body: Value = serde_json::from_str(answer["body"].as_str().unwrap()).unwrap();
        prop_assert!(route.is_error(status, &body), "{answer}");
    });
    let calls = fixture.wire.take_calls();
    assert!(!calls.is_empty(), "no request reached the table");
    assert!(calls.iter().all(|operation| operation == "BatchGetItem"), "{calls:?}");
}
