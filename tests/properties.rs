//! What holds for every input: requests of any bytes get a well-formed answer that gives nothing back, ids of any
//! characters are matched whole, and the small parsers agree with their plainest description.
#![expect(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{
    allow_list::AllowList,
    client::{ApiClient, Client, Id, Kind, OAuthClient, Service, Version},
    credential::Secret,
    event::Answer,
    rule::IfMatch,
    settings::Settings,
};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use proptest::{collection::vec, option, prelude::*, sample::select};
use serde_json::{Value, json};
use std::{
    collections::HashMap,
    net::{IpAddr, Ipv4Addr},
};
use support::{Lab, basic, bearer, event, sample};
use tokio::runtime::Runtime;

fn cases(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

/// Text of any characters, many of them with a meaning somewhere on the way.
fn anything() -> impl Strategy<Value = String> {
    let character = prop_oneof![any::<char>(), any::<u8>().prop_map(char::from), select(&MEANINGFUL[..])];
    vec(character, 0..24).prop_map(String::from_iter)
}

const MEANINGFUL: [char; 20] =
    ['/', '%', '?', '#', '&', '=', '+', '.', ':', ';', ',', ' ', '"', '\\', '{', '}', '\0', '\n', '\r', '\t'];

/// Text that its sender would recognize, so unlikely is it to come from anywhere else.
fn marker() -> impl Strategy<Value = String> {
    "[a-z]{4}[0-9a-z]{12}"
}

/// Text of any characters with the marker somewhere in it, or an id that the table knows.
fn planted(marker: &str) -> impl Strategy<Value = String> + use<> {
    let marker = marker.to_owned();
    let around = (anything(), anything()).prop_map(move |(before, after)| format!("{before}{marker}{after}"));
    let known = [sample::APPLICATION, sample::OWNER.0, sample::PROTECTED_TARGET, sample::SERVICE, sample::RFC_CLIENT.0];
    prop_oneof![3 => around, 1 => select(known.map(str::to_owned).to_vec())]
}

/// What a door's errors look like.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Envelope {
    Configuration,
    Registration,
    Authlete,
    /// Nobody said which door it would be.
    Any,
}

/// A path, and the door that it leads to.
fn path(marker: &str) -> impl Strategy<Value = (String, Envelope)> + use<> {
    let segment = planted(marker).prop_flat_map(|text| {
        let encoded = utf8_percent_encode(&text, NON_ALPHANUMERIC).to_string();
        prop_oneof![Just(encoded), Just(text.replace('/', "%"))]
    });
    let known = (segment.clone(), segment, 0..3).prop_map(|(one, other, door)| match door {
        0 => (format!("/config/{one}/clients/{other}"), Envelope::Configuration),
        1 => (format!("/register/{one}"), Envelope::Registration),
        _ => (format!("/api/{one}/client/registration/delete"), Envelope::Authlete),
    });
    prop_oneof![5 => known, 1 => planted(marker).prop_map(|path| (path, Envelope::Any))]
}

/// Credentials, good ones among them for those who may not delete anything that the paths name.
fn authorization(marker: &str) -> impl Strategy<Value = String> + use<> {
    let base64 = |scheme: &'static str| move |text: String| format!("{scheme} {}", BASE64_STANDARD.encode(text));
    prop_oneof![
        planted(marker),
        planted(marker).prop_map(base64("Basic")),
        planted(marker).prop_map(|secret| basic((sample::OWNER.0, &secret))),
        planted(marker).prop_map(base64("Bearer")),
        planted(marker).prop_map(|token| bearer(&token)),
        Just(basic(sample::OWNER)),
        Just(bearer(sample::SERVICE_TOKEN)),
    ]
}

/// Header fields, each with as many lines as it likes.
fn headers(marker: &str) -> impl Strategy<Value = Vec<(String, String)>> + use<> {
    let media_types = ["application/json", "application/x-www-form-urlencoded", "text/plain"];
    vec(
        prop_oneof![
            4 => authorization(marker).prop_map(|value| ("authorization".to_owned(), value)),
            1 => authorization(marker).prop_map(|value| ("Authorization".to_owned(), value)),
            1 => planted(marker).prop_map(|value| ("if-match".to_owned(), value)),
            1 => select(&media_types[..]).prop_map(|value| ("content-type".to_owned(), value.to_owned())),
            1 => (planted(marker), planted(marker)),
        ],
        0..4,
    )
}

/// A body. The marker is never the client id, which the Authlete API echoes as documented.
fn body(marker: &str) -> impl Strategy<Value = String> + use<> {
    prop_oneof![
        planted(marker),
        (anything(), planted(marker))
            .prop_map(|(id, token)| json!({ "clientId": id, "token": token, "json": token }).to_string()),
        (planted(marker), planted(marker)).prop_map(|(name, value)| json!({ name: value }).to_string()),
        planted(marker).prop_map(|token| {
            form_urlencoded::Serializer::new(String::new())
                .append_pair("clientId", sample::PROTECTED_CLIENT.0)
                .append_pair("token", &token)
                .finish()
        }),
    ]
}

/// A request as one of the two payload versions has it.
#[derive(Debug, Clone)]
struct Attempt {
    marker: String,
    event: String,
    method: String,
    envelope: Envelope,
}

fn attempts() -> impl Strategy<Value = Attempt> {
    marker().prop_flat_map(|marker| {
        let method = prop_oneof![8 => select(vec!["DELETE".to_owned(), "POST".to_owned()]), 1 => planted(&marker)];
        let query = (prop_oneof![2 => Just(String::new()), 1 => Just("access_token".to_owned()), 1 => planted(&marker)], planted(&marker));
        let stage = option::of(select(vec!["$default", "prod", "config", ""]));
        let parts = (method, path(&marker), query, headers(&marker), body(&marker));
        (Just(marker), parts, stage, any::<[bool; 3]>()).prop_map(|(marker, parts, stage, [v2, base64, flagged])| {
            let (method, (path, envelope), (name, value), headers, body) = parts;
            let path = match stage {
                Some(stage) if v2 && !stage.is_empty() => format!("/{stage}{path}"),
                _ => path,
            };
            let body = if base64 { BASE64_STANDARD.encode(body) } else { body };
            let source_ip = "203.0.113.7";
            let event = if v2 {
                let query = form_urlencoded::Serializer::new(String::new()).append_pair(&name, &value).finish();
                json!({
                    "version": "2.0",
                    "rawPath": path,
                    "rawQueryString": if name.is_empty() { value } else { query },
                    "headers": headers.into_iter().collect::<HashMap<_, _>>(),
                    "requestContext": { "stage": stage, "http": { "method": method, "sourceIp": source_ip } },
                    "body": body,
                    "isBase64Encoded": flagged,
                })
            } else {
                let mut lines: HashMap<String, Vec<String>> = HashMap::new();
                for (name, value) in headers {
                    lines.entry(name).or_default().push(value);
                }
                json!({
                    "httpMethod": method,
                    "path": path,
                    "multiValueQueryStringParameters": (!name.is_empty()).then(|| json!({ name: [value] })),
                    "multiValueHeaders": lines,
                    "requestContext": { "stage": stage, "identity": { "sourceIp": source_ip } },
                    "body": body,
                    "isBase64Encoded": flagged,
                })
            };
            Attempt { marker, event: event.to_string(), method, envelope }
        })
    })
}

/// Whether the body is an error as the door tells it, with no member beside the documented ones.
fn is_error(envelope: Envelope, status: u16, body: &Value) -> bool {
    let members: Vec<_> = body.as_object().unwrap().keys().map(String::as_str).collect();
    let text = |name: &str| body[name].as_str().unwrap_or_default();
    let labelled = |name: &str| text(name).starts_with(&format!("[{}] ", text("resultCode")));
    match envelope {
        Envelope::Configuration => members == ["errors"] && body["errors"].is_string(),
        Envelope::Registration => {
            members == ["error", "error_description"] && is_quotable(text("error")) && is_quotable(text(members[1]))
        }
        Envelope::Authlete if status == 200 => {
            let content: Value = serde_json::from_str(text("responseContent")).unwrap();
            members == ["action", "responseContent", "resultCode", "resultMessage"]
                && labelled("resultMessage")
                && content["error_description"] == body["resultMessage"]
        }
        Envelope::Authlete => members == ["resultCode", "resultMessage"] && labelled("resultMessage"),
        Envelope::Any => [Envelope::Configuration, Envelope::Registration, Envelope::Authlete]
            .into_iter()
            .any(|envelope| is_error(envelope, status, body)),
    }
}

/// Whether the text is of the characters that RFC 6750, section 3, allows, and says something.
fn is_quotable(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\')
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

#[test]
fn any_request_gets_a_well_formed_answer_that_gives_nothing_back_and_writes_nothing() {
    let runtime = Runtime::new().unwrap();
    let lab = runtime.block_on(Lab::with_samples());
    lab.wire.take_calls();
    proptest!(cases(1000), |(attempt in attempts())| {
        let Attempt { marker, event, envelope } = attempt;
        let answer = runtime.block_on(lab.invoke(&event));
        let status = answer.status().as_u16();
        let sent = serde_json::to_value(Answer(answer)).unwrap();
        prop_assert!(!sent.to_string().contains(&marker), "{sent}");

        let field = |name: &str| sent["headers"][name].as_str();
        prop_assert!(status == 200 || (400..500).contains(&status), "{sent}");
        prop_assert_eq!(field("cache-control"), Some("no-store"));
        prop_assert_eq!(field("pragma"), Some("no-cache"));
        prop_assert_eq!(field("content-type"), Some("application/json"));
        prop_assert_eq!(field("allow").is_some(), status == 405, "{}", sent);
        prop_assert!(field("www-authenticate").map_or(status != 401, is_challenge), "{sent}");

        let body: Value = serde_json::from_str(sent["body"].as_str().unwrap()).unwrap();
        prop_assert!(is_error(envelope, status, &body), "{sent}");
    });
    let calls = lab.wire.take_calls();
    assert!(!calls.is_empty(), "no request came as far as the table");
    assert!(calls.iter().all(|operation| operation == "BatchGetItem"), "{calls:?}");
}

fn encode(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

#[test]
fn an_id_of_any_characters_is_deleted_and_no_other() {
    let runtime = Runtime::new().unwrap();
    proptest!(cases(60), |(name in anything().prop_filter("an id is not empty", |name| !name.is_empty()), door in 0..3)| {
        runtime.block_on(async {
            let lab = Lab::empty().await;
            let store = lab.quiet_store();
            let api = || Kind::Api(ApiClient { app_id: name.clone(), ..ApiClient::default() });
            let oauth = || Kind::OAuth(OAuthClient {
                service_id: id(&name),
                dynamic: true,
                registration_token_digest: Some(Secret::new("registration-token").digest()),
                metadata: Metadata::default(),
            });
            let live = |kind| Client { kind, protected: false, version: None };
            let neighbours = [encode(&name), format!("{name} "), format!("{name}\0"), format!("/{name}")];
            let kind = if door == 0 { api } else { oauth };
        });
    });
}
