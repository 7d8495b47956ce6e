//! Events of any JSON. Each gets an answer. A member that is `null`, of a wrong type or there twice counts as absent. No
//! value of an event is in the log.

use crate::support::{
    self, Fixture, basic, bearer,
    envelope::{Request, Sender},
    log::Captured,
    sample::{APPLICATION, OWNER_ELSEWHERE, PROTECTED_CLIENT, PROTECTED_TARGET, RFC_CLIENT, SERVICE, SERVICE_TOKEN},
};
use deregister::http::event::Event;
use lambda_http::LambdaEvent;
use serde_json::{Value, json};

/// A text that is in the log only if a value of the event is.
const MARKER: &str = "x9w2k7q4";

/// The answer to an event, as the platform gets it. The event is read as `lambda_runtime` reads it.
async fn answer(fixture: &Fixture, event: &str) -> Value {
    let event: Event = serde_json::from_slice(event.as_bytes()).unwrap();
    let event = LambdaEvent::new(event, support::invocation());
    serde_json::to_value(Box::pin(fixture.function.call(event)).await.unwrap()).unwrap()
}

/// A request at each endpoint. Its client is protected. So an endpoint that reads less of the request answers differently,
/// and no request changes the table.
fn requests() -> [Request; 3] {
    let request = |method: &str, path: String, authorization: String, body: &str| Request {
        method: method.to_owned(),
        path,
        query: "a=b".to_owned(),
        headers: vec![
            ("authorization".to_owned(), authorization),
            ("content-type".to_owned(), "application/json".to_owned()),
            ("if-match".to_owned(), "\"3\"".to_owned()),
        ],
        body: body.as_bytes().to_vec(),
        source_ip: "198.51.100.7".to_owned(),
        stage: Some("prod".to_owned()),
    };
    let call = json!({ "clientId": PROTECTED_CLIENT.0, "token": PROTECTED_CLIENT.1 }).to_string();
    [
        request("DELETE", format!("/config/{APPLICATION}/clients/{PROTECTED_TARGET}"), basic(OWNER_ELSEWHERE), "{}"),
        request("DELETE", format!("/register/{}", PROTECTED_CLIENT.0), bearer(PROTECTED_CLIENT.1), "{}"),
        request("POST", format!("/api/{SERVICE}/client/registration/delete"), bearer(SERVICE_TOKEN), &call),
    ]
}

/// The events of each supported sender, and each endpoint in both payload versions.
fn events() -> Vec<Value> {
    let [configuration, registration, authlete] = requests();
    let mut events = vec![
        configuration.payload_2(Sender::HttpApi),
        configuration.payload_1(Sender::Gateway),
        registration.payload_2(Sender::FunctionUrl),
        registration.payload_1(Sender::HttpApi),
        authlete.payload_2(Sender::FunctionUrl),
        authlete.payload_1(Sender::Gateway),
    ];
    for event in &mut events {
        event["isBase64Encoded"] = json!(false);
    }
    events
}

/// The pointers to the members of an object, and to their members.
fn members(value: &Value) -> Vec<String> {
    let members = value.as_object().into_iter().flatten().filter(|(_, value)| !value.is_null());
    let pointers = members.flat_map(|(name, value)| {
        let below = members_below(name, value);
        [format!("/{name}")].into_iter().chain(below)
    });
    pointers.collect()
}

fn members_below(name: &str, value: &Value) -> Vec<String> {
    members(value).into_iter().map(|below| format!("/{name}{below}")).collect()
}

/// The values, as JSON texts, that have a wrong type where the event has `value`. A list of texts is the lines of a header
/// field or a parameter, so neither is a wrong type in their maps. The first four can disturb any parser.
fn wrong_values(value: &Value, is_in_map: bool) -> Vec<String> {
    let deep = |open: &str, close: &str| format!("{}\"{MARKER}\"{}", open.repeat(10_000), close.repeat(10_000));
    let mut wrong = vec!["null".to_owned(), "1e999".to_owned(), format!("\"{MARKER}\\ud83d\""), deep("[[", "]]")];
    wrong.extend(["1", "-1.5E-999", "[]", "[[]]", "[1]", &"9".repeat(10_000)].map(str::to_owned));
    let is_text = value.is_string() || is_in_map;
    wrong.extend((!is_text).then(|| format!("\"{MARKER}\"")));
    wrong.extend((!value.is_object()).then(|| format!("{{\"{MARKER}\":\"{MARKER}\"}}")));
    wrong.extend((!value.is_object()).then(|| deep(r#"{"a":"#, "}")));
    wrong.extend((!is_in_map).then(|| format!("[\"{MARKER}\"]")));
    wrong.extend((!value.is_boolean()).then(|| "true".to_owned()));
    wrong
}

#[tokio::test]
async fn a_member_of_a_wrong_type_or_there_twice_counts_as_absent_and_is_not_logged() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    for event in events() {
        let answered = answer(&fixture, &event.to_string()).await;
        for pointer in members(&event) {
            let (parent, name) = pointer.rsplit_once('/').unwrap();
            let value = event.pointer(&pointer).unwrap();
            let (mut without, mut with) = (event.clone(), event.clone());
            without.pointer_mut(parent).unwrap().as_object_mut().unwrap().remove(name);
            *with.pointer_mut(&pointer).unwrap() = json!("@");
            let (without, with) = (without.to_string(), with.to_string());
            let expected = answer(&fixture, &without).await;
            let is_read = expected != answered;
            log.take();

            let is_in_map = ["eaders/", "arameters/"].iter().any(|map| pointer.contains(map));
            let wrong = wrong_values(value, is_in_map).into_iter().take(if is_read { usize::MAX } else { 4 });
            let wrong = wrong.map(|wrong| with.replace("\"@\"", &wrong));
            let member = format!("\"{name}\":{value}");
            let twice = with.replace(&format!("\"{name}\":\"@\""), &format!("{member},{member}"));
            for sent in wrong.chain((!is_in_map).then_some(twice)) {
                let context = &sent[..sent.len().min(3_000)];
                assert_eq!(answer(&fixture, &sent).await, expected, "{pointer}: {context}");
                let logged = log.take();
                assert!(logged.lines().count() == 1 && !logged.contains(MARKER), "{logged} for {context}");
            }
        }
    }
}

#[tokio::test]
async fn json_without_a_path_is_404_whatever_it_is() {
    let fixture = Fixture::empty().await;
    let log = Captured::at("INFO");
    let deep = |open: &str, close: &str| format!("{}{}", open.repeat(100_000), close.repeat(100_000));
    let surrogates = format!(r#"{{"\ud83d":"{MARKER}\udc00","\ud83d":1}}"#);
    let texts = [
        "null",
        "true",
        "[]",
        "{}",
        "\"\"",
        r#""\ud83d""#,
        "1e999",
        &"9".repeat(100_000),
        &deep("[", "]"),
        &deep(r#"{"rawPath":"#, "}").replace(":}", ":1}"),
        &surrogates,
        &format!(r#"["{MARKER}",{{"rawPath":"/register/{MARKER}"}}]"#),
        r#"{"rawPath":"/register/a","rawPath":"/register/a"}"#,
        r#"{"rawPath":"/register/\ud83d"}"#,
        r#" { "path" : null } "#,
    ];
    for text in texts {
        let answer = answer(&fixture, text).await;
        let body = r#"{"error":"not_found","error_description":"There is nothing at this path."}"#;
        assert_eq!((&answer["statusCode"], &answer["body"]), (&json!(404), &json!(body)), "{text:.100}");
        let logged = log.take();
        assert!(logged.contains("unknown_path") && !logged.contains(MARKER), "{logged}");
    }
    // A `Value` is JSON too.
    let event: Event = serde_json::from_value(json!({ "path": 1, "requestContext": null })).unwrap();
    let answer = Box::pin(fixture.function.call(LambdaEvent::new(event, support::invocation()))).await.unwrap();
    assert_eq!(answer.response.status(), 404);
}

/// An event of payload 1.0 that deletes the client of RFC 7592, with these headers.
fn with_headers(headers: &str) -> String {
    format!(
        r#"{{"httpMethod":"DELETE","path":"/register/{}",{headers},"requestContext":{{"stage":"v1"}}}}"#,
        RFC_CLIENT.0
    )
}

#[tokio::test]
async fn a_line_that_is_not_a_text_does_not_make_two_authorization_lines_one() {
    let fixture = Fixture::with_samples().await;
    let right = format!("\"{}\"", bearer(RFC_CLIENT.1));
    for other in ["1", "null", "true", "1e999", "{}", "[[]]", r#""\ud83d""#, "\"\""] {
        for headers in [
            format!(r#""multiValueHeaders":{{"Authorization":[{right},{other}]}}"#),
            format!(r#""multiValueHeaders":{{"Authorization":[{other},{right}]}}"#),
            format!(r#""headers":{{"Authorization":{other},"authorization":{right}}}"#),
            format!(r#""headers":{{"authorization":{right},"\u0061uthorization":{other}}}"#),
        ] {
            assert_eq!(answer(&fixture, &with_headers(&headers)).await["statusCode"], json!(400), "{headers}");
        }
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn a_header_without_a_line_that_is_a_text_is_absent() {
    let fixture = Fixture::with_samples().await;
    for value in ["1", "null", "{}", "[]", "[1]", "[null,[]]", r#"["\ud83d"]"#] {
        for headers in ["headers", "multiValueHeaders"] {
            let headers = format!(r#""{headers}":{{"Authorization":{value}}}"#);
            let answer = answer(&fixture, &with_headers(&headers)).await;
            // RFC 6750, section 3.1: a request without credentials gets no error code.
            let challenge = &answer["headers"]["www-authenticate"];
            assert_eq!((&answer["statusCode"], challenge), (&json!(401), &json!(r#"Bearer realm="deregister""#)));
        }
    }
    let right = bearer(RFC_CLIENT.1);
    let headers = format!(r#""multiValueHeaders":"{MARKER}","headers":{{"authorization":"{right}","if-match":[1]}}"#);
    assert_eq!(answer(&fixture, &with_headers(&headers)).await["statusCode"], json!(204));
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_in_each_member_that_can_have_it() {
    let fixture = Fixture::with_samples().await;
    let headers = format!(r#""headers":{{"authorization":"{}"}}"#, bearer(RFC_CLIENT.1));
    for query in [
        r#""multiValueQueryStringParameters":{"access_token":["a"]}"#,
        r#""multiValueQueryStringParameters":{"access_token":[1,"a"]}"#,
        r#""multiValueQueryStringParameters":{"\u0061ccess_token":"","\ud83d":1e999}"#,
        r#""multiValueQueryStringParameters":{"access_token":["a"],"access_token":[]}"#,
        r#""multiValueQueryStringParameters":null,"queryStringParameters":{"access_token":"a"}"#,
        r#""rawQueryString":1,"queryStringParameters":{"access_token":"a"}"#,
        r#""rawQueryString":"access_token=a","queryStringParameters":{}"#,
    ] {
        let sent = with_headers(&format!("{headers},{query}"));
        assert_eq!(answer(&fixture, &sent).await["statusCode"], json!(400), "{query}");
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
    let sent = with_headers(&format!(r#"{headers},"multiValueQueryStringParameters":{{"access_token":[1,null]}}"#));
    assert_eq!(answer(&fixture, &sent).await["statusCode"], json!(204));
}
