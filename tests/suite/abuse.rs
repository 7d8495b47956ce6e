//! What callers can try: much of everything, deep nesting, two readings of one request, texts that look alike.
//!
//! What is promised here is that there is one reading, one answer, and a bound on what it costs.

use crate::support::{
    Fixture, basic, bearer, event, json, now,
    sample::{APPLICATION, CLIENT, OWNER, OWNER_ELSEWHERE, RFC_CLIENT, SERVICE, SERVICE_TOKEN, TARGET},
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::admin::Creation,
    http::event::{Event, EventResponse},
    model::{AllowList, ApiClient, Client, Digest, Id, Kind, Metadata, OAuthClient, Service, StoredSecret},
    telemetry,
};
use lambda_http::{Body, LambdaEvent, RequestExt, Response};
use serde_json::{Value, json};
use std::{
    cell::RefCell,
    io::{self, Write},
    sync::Once,
};

const KIB: usize = 1024;
const MIB: usize = 1024 * KIB;

fn id(text: &str) -> Id {
    Id::new(text).unwrap()
}

async fn create(fixture: &Fixture, name: &str, kind: Kind) {
    let client = Client { kind, protected: false, version: None, idle: None };
    assert_eq!(fixture.direct().create_client(&id(name), &client).await, Ok(Creation::Done));
}

fn api_client(application: &str, features: &[&str]) -> ApiClient {
    ApiClient {
        app_id: application.to_owned(),
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        secrets: vec![StoredSecret { digest: Digest::of("secret"), expires_at: None }],
        ..ApiClient::default()
    }
}

fn oauth_client(service: &str) -> Kind {
    Kind::OAuth(OAuthClient {
        service_id: id(service),
        dynamic: true,
        registration_token_digest: Some(Digest::of("token")),
        metadata: Metadata::default(),
    })
}

/// The log of the test's thread. It is installed for all of them: what a thread without one passes first, `tracing` can
/// take for what nobody wants.
struct Log;

thread_local! {
    static LOG: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) };
}

impl Log {
    fn begin() {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| tracing::subscriber::set_global_default(telemetry::subscriber(None, now, || Self)).unwrap());
        Self::take();
    }

    /// What has been logged since this was last called.
    fn take() -> String {
        String::from_utf8(LOG.take()).unwrap()
    }
}

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.with_borrow_mut(|log| log.write(text))
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

// What a caller without credentials can cost.

/// A door, and the most that a request costs there whose credentials are good for nothing, whatever is in it.
struct Cost {
    method: &'static str,
    /// The path, in which `{}` is an id.
    path: &'static str,
    scheme: &'static str,
    /// How many items are read, and how many read units of 4 KiB that takes while no item is larger than one.
    reads: usize,
}

const COSTS: [Cost; 3] = [
    Cost { method: "DELETE", path: "/config/{}/clients/{}", scheme: "Basic", reads: 2 },
    Cost { method: "DELETE", path: "/register/{}", scheme: "Bearer", reads: 1 },
    Cost { method: "POST", path: "/api/{}/client/registration/delete", scheme: "Bearer", reads: 3 },
];
/// One read, no write.
const MOST_CALLS: usize = 1;
/// What is sent to the database: two ids of 2,040 bytes, each of which takes six in JSON, and what is around them.
const MOST_ASKED: usize = 25 * KIB;
/// The answer, as the platform is given it.
const MOST_ANSWERED: usize = KIB;
/// What is logged.
const MOST_LOGGED: usize = 2 * KIB;
/// A read unit of DynamoDB's.
const READ_UNIT: usize = 4 * KIB;

impl Cost {
    fn path(&self, id: &str) -> String {
        self.path.replace("{}", id)
    }

    /// Credentials that can be read and are nobody's.
    fn credentials(&self, id: &str, secret: &str) -> String {
        if self.scheme == "Basic" { basic((id, secret)) } else { bearer(secret) }
    }

    /// Requests that are as large as can be in one way each, and in all.
    fn requests(&self) -> Vec<String> {
        let [nobodys, another] = ["\u{1}", "\u{2}"].map(|character| character.repeat(Id::MAX_BYTES));
        let usual = self.path("x");
        let credentials = self.credentials("x", "x");
        let request = |path: &str, query: &str, credentials: &str, body: &str| {
            event(self.method, path, query, &[("authorization", credentials), ("if-match", "\"1\"")], body)
        };
        let longest = request(
            &self.path(&nobodys.replace('\u{1}', "%01")),
            "",
            &self.credentials(&another, &"x".repeat(10 * KIB)),
            &json!({ "clientId": nobodys, "token": "x".repeat(30 * KIB) }).to_string(),
        );
        let json = |size: usize| json!({ "clientId": "x", "token": "x", "json": "x".repeat(size) }).to_string();
        let known = json!({ "clientId": CLIENT.0, "token": "x" }).to_string();
        let mut requests = vec![
            longest,
            request(&self.path(TARGET), "", &self.credentials(OWNER.0, "x"), &known),
            request(&self.path(RFC_CLIENT.0), "", &self.credentials(OWNER_ELSEWHERE.0, "x"), &known),
        ];
        for size in [10 * KIB, MIB / 4] {
            let much = "x".repeat(size);
            requests.extend([
                request(&self.path(&much), "", &credentials, &json(0)),
                request(&usual, &much, &credentials, &json(0)),
                request(&usual, &"a=b&".repeat(size / 4), &credentials, &json(0)),
                request(&usual, "", &self.credentials(&much, "x"), &json(0)),
                request(&usual, "", &self.credentials("x", &much), &json(0)),
                request(&usual, "", &format!("{} {much}", self.scheme), &json(0)),
                request(&usual, "", &much, &json(0)),
                event(self.method, &usual, "", &[("authorization", &credentials), ("if-match", &much)], &json(0)),
                event(self.method, &usual, "", &[("authorization", &credentials), ("content-type", &much)], &json(0)),
                event(self.method, &usual, "", &[("authorization", &credentials), (&much, &much)], &json(0)),
            ]);
        }
        let form = [("authorization", credentials.as_str()), ("content-type", "application/x-www-form-urlencoded")];
        requests.extend([
            request(&usual, "", &credentials, &json(10 * MIB)),
            event(self.method, &usual, "", &form, &"a=%41&".repeat(10 * MIB / 6)),
        ]);
        requests
    }
}

#[tokio::test]
async fn what_a_request_without_good_credentials_costs_is_bounded_however_large_it_is() {
    let fixture = Fixture::with_samples().await;
    Log::begin();
    for cost in COSTS {
        let mut most_reads = 0;
        for event in cost.requests() {
            fixture.wire.take_calls();
            let answer = fixture.invoke(&event).await;
            let beginning: String = event.chars().take(200).collect();
            assert!(answer.status().is_client_error(), "{answer:?} to {beginning}");

            let calls = fixture.wire.take_calls();
            assert!(calls.len() <= MOST_CALLS && calls.iter().all(|call| call == "BatchGetItem"), "{calls:?}");
            if !calls.is_empty() {
                let asked = fixture.wire.last_body();
                assert!(asked.len() <= MOST_ASKED, "{} bytes asked for {beginning}", asked.len());
                let asked: Value = serde_json::from_str(&asked).unwrap();
                most_reads = most_reads.max(asked["RequestItems"][&fixture.table]["Keys"].as_array().unwrap().len());
            }
            let answered = serde_json::to_string(&Answer { response: answer, cookies: None }).unwrap();
            assert!(answered.len() <= MOST_ANSWERED, "{answered}");
            let logged = Log::take();
            assert!(logged.len() <= MOST_LOGGED && logged.lines().count() == 1, "{logged}");
        }
        assert_eq!(most_reads, cost.reads, "{}", cost.path);
    }
}

/// So that the number of keys above is the number of read units.
#[tokio::test]
async fn an_item_of_the_usual_size_is_one_read_unit() {
    let fixture = Fixture::with_samples().await;
    let items = fixture.sdk.scan().table_name(&fixture.table).send().await.unwrap().items.unwrap();
    assert!(items.iter().all(|item| format!("{item:?}").len() <= READ_UNIT));
}

/// Anybody can name a client, and have its item read.
#[tokio::test]
async fn unreadable_entries_of_an_allow_list_are_one_short_line_of_the_log_however_many_there_are() {
    let fixture = Fixture::with_samples().await;
    let entries = (0..10_000).map(|n| format!("{n}.0.113.0/33"));
    let listed = ApiClient { ip_allow_list: AllowList::new(entries), ..api_client(APPLICATION, &["owner"]) };
    create(&fixture, "many", Kind::Api(listed)).await;
    let listed = ApiClient { ip_allow_list: AllowList::new(["x".repeat(300 * KIB)]), ..api_client(APPLICATION, &[]) };
    create(&fixture, "long", Kind::Api(listed)).await;

    Log::begin();
    for (client, credentials) in [("many", basic(("x", "x"))), ("long", basic(("many", "x")))] {
        let path = format!("/config/{APPLICATION}/clients/{client}");
        assert_eq!(fixture.send("DELETE", &path, Some(&credentials), "").await.status(), 401);
    }
    let logged = Log::take();
    // For each request its own line, and one for each of the lists that it meets.
    assert_eq!(logged.lines().count(), 2 + 3, "{} bytes", logged.len());
    assert!(logged.lines().all(|line| line.len() <= MOST_LOGGED), "{} bytes", logged.len());
}

/// Anybody can name a client that cannot be read, and have the reason logged.
#[tokio::test]
async fn the_reason_why_an_item_cannot_be_read_is_short_and_quotes_nothing_of_it() {
    let fixture = Fixture::with_samples().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let secret = "stored-in-clear-".repeat(KIB);
    for (client, member) in [("a", "secrets"), ("b", "protected"), ("c", "kind"), ("d", "version")] {
        let members = [("kind", text("api")), ("app_id", text(APPLICATION)), (member, text(&secret))];
        let members = members.map(|(name, value)| (name.to_owned(), value)).into();
        let put = fixture.sdk.put_item().table_name(&fixture.table).item("pk", text(&format!("client#{client}")));
        put.item("client", AttributeValue::M(members)).send().await.unwrap();

        Log::begin();
        let answer = fixture.send("DELETE", &format!("/register/{client}"), Some(&bearer("x")), "").await;
        assert_eq!(answer.status(), 500);
        let logged = Log::take();
        assert!(logged.contains(&format!("client#{client}")), "{member}");
        assert!(logged.len() <= MOST_LOGGED, "{member}: {} bytes", logged.len());
        assert!(!logged.contains("stored-in-clear"), "{member}: {logged}");
    }
}

#[tokio::test]
async fn ten_thousand_entries_of_an_allow_list_are_decided_by_each() {
    let fixture = Fixture::with_samples().await;
    let others: Vec<_> = (0..10_000).map(|n| format!("10.{}.{}.0/24", n / 256, n % 256)).collect();
    for (caller, last, status) in [("outside", "203.0.113.8", 403), ("inside", "203.0.113.7", 204)] {
        let ip_allow_list = AllowList::new(others.iter().map(String::as_str).chain([last]));
        create(&fixture, caller, Kind::Api(ApiClient { ip_allow_list, ..api_client(APPLICATION, &["owner"]) })).await;
        let path = format!("/config/{APPLICATION}/clients/{TARGET}");
        let answer = fixture.send("DELETE", &path, Some(&basic((caller, "secret"))), "").await;
        assert_eq!(answer.status(), status, "{caller}");
    }
}

// What is nested deeply.

#[tokio::test]
async fn nesting_of_any_depth_overflows_no_stack() {
    let fixture = Fixture::with_samples().await;
    let authlete = format!("/api/{SERVICE}/client/registration/delete");
    for (open, close) in [("[", "]"), (r#"{"a":"#, "}")] {
        let deep = format!("{}1{}", open.repeat(100_000), close.repeat(100_000));

        // Some members are then none of an event; those that nobody reads do no harm.
        for members in [
            format!(r#""requestContext":{deep}"#),
            format!(r#""requestContext":{{"http":{deep}}}"#),
            format!(r#""requestContext":{{"authorizer":{deep}}}"#),
            format!(r#""headers":{deep}"#),
            format!(r#""headers":{{"authorization":{deep}}}"#),
            format!(r#""headers":{{"accept":{deep}}}"#),
            format!(r#""multiValueQueryStringParameters":{{"access_token":{deep}}}"#),
            format!(r#""body":{deep}"#),
            format!(r#""another":{deep}"#),
        ] {
            if let Ok(event) = serde_json::from_str(&format!(r#"{{"rawPath":"/register/x",{members}}}"#)) {
                let answer = fixture.function.call(LambdaEvent::new(event, support::invocation())).await.unwrap();
                assert_eq!(answer.response.status(), 405, "{}", &members[..40]);
            }
        }

        // The body of a call is read by the door alone.
        let within_64_kib = format!("{}1{}", open.repeat(10_000), close.repeat(10_000));
        for (body, status) in [
            (deep, 400),
            (format!(r#"{{"clientId":{within_64_kib}}}"#), 400),
            (format!(r#"{{"clientId":"x","json":{within_64_kib}}}"#), 200),
        ] {
            let answer = fixture.send("POST", &authlete, Some(&bearer(SERVICE_TOKEN)), &body).await;
            assert_eq!(answer.status(), status, "{}", &body[..40]);
        }
    }
}

// What two readers could read differently.

/// What the doors learn of an event: method, path, `access_token`, `Authorization` and `Content-Type` lines, address, stage.
fn reading(event: &str) -> Value {
    let (request, origin) = support::request(event);
    let lines = |name: &str| -> Vec<_> {
        request.headers().get_all(name).iter().map(|line| line.to_str().unwrap().to_owned()).collect()
    };
    json!({
        "method": request.method().as_str(),
        "path": request.raw_http_path(),
        "access_token": request.query_string_parameters_ref().and_then(|query| query.first("access_token")),
        "authorization": lines("authorization"),
        "content-type": lines("content-type"),
        "body": String::from_utf8_lossy(request.body()),
        "source_ip": origin.source_ip,
        "stage": origin.stage,
    })
}

/// Where an event has the members of both payloads, those of 2.0 count, but of header fields those of 1.0. What it calls
/// itself, what API Gateway says twice, and the order have no say.
#[test]
fn an_event_has_one_reading_whatever_shapes_are_mixed_in_it() {
    let payload_2 = [
        ("rawPath", json!("/two")),
        ("rawQueryString", json!("access_token=two")),
        ("headers", json!({ "authorization": "two", "content-type": "two" })),
        (
            "requestContext",
            json!({
                "stage": "stage",
                "path": "/context",
                "httpMethod": "PATCH",
                "http": { "method": "DELETE", "path": "/http", "sourceIp": "2.2.2.2" },
                "identity": { "sourceIp": "1.1.1.1" },
            }),
        ),
        ("body", json!("body")),
    ];
    let payload_1 = [
        ("httpMethod", json!("POST")),
        ("path", json!("/one")),
        ("resource", json!("/resource")),
        ("multiValueHeaders", json!({ "Authorization": ["one"] })),
        ("multiValueQueryStringParameters", json!({ "access_token": ["one"] })),
        ("queryStringParameters", json!({ "access_token": "none" })),
        ("cookies", json!(["authorization=none"])),
    ];
    let expected = json!({
        "method": "DELETE",
        "path": "/two",
        "access_token": "two",
        "authorization": ["one"],
        "content-type": [],
        "body": "body",
        "source_ip": "2.2.2.2",
        "stage": "stage",
    });
    for version in ["1.0", "2.0", "3.0", ""] {
        let version_member = [("version", json!(version))];
        let members = payload_2.iter().chain(&payload_1).chain(&version_member);
        let mut texts: Vec<_> = members.map(|(name, value)| format!("\"{name}\":{value}")).collect();
        assert_eq!(reading(&format!("{{{}}}", texts.join(","))), expected, "{version}");
        texts.reverse();
        assert_eq!(reading(&format!("{{{}}}", texts.join(","))), expected, "{version}, in reverse");
    }
}

/// The half of a payload is not completed from the other: without a method there is none, rather than the other's.
#[test]
fn what_the_context_of_payload_2_leaves_out_is_not_taken_from_payload_1() {
    let event = json!({
        "httpMethod": "DELETE",
        "path": "/path",
        "requestContext": { "http": {}, "identity": { "sourceIp": "1.1.1.1" } },
    });
    let read = reading(&event.to_string());
    assert_eq!((&read["method"], &read["source_ip"]), (&json!("GET"), &Value::Null));

    let event = json!({ "multiValueHeaders": {}, "headers": { "authorization": "two" } });
    assert_eq!(reading(&event.to_string())["authorization"], json!([]));
    let event = json!({ "multiValueHeaders": null, "headers": { "authorization": "two" } });
    assert_eq!(reading(&event.to_string())["authorization"], json!(["two"]));
}

#[test]
fn a_member_that_stands_twice_in_an_event_has_no_reading() {
    for member in ["rawPath", "path", "rawQueryString", "httpMethod", "body"] {
        let event = format!(r#"{{"{member}":"DELETE","{member}":"DELETE"}}"#);
        assert!(serde_json::from_str::<Event>(&event).is_err(), "{member}");
    }
    for member in ["headers", "multiValueHeaders", "requestContext", "multiValueQueryStringParameters"] {
        let event = format!(r#"{{"{member}":{{}},"{member}":{{}}}}"#);
        assert!(serde_json::from_str::<Event>(&event).is_err(), "{member}");
    }
    let event = r#"{"requestContext":{"http":{"method":"GET"},"http":{"method":"DELETE"}}}"#;
    assert!(serde_json::from_str::<Event>(event).is_err());
}

#[tokio::test]
async fn a_header_field_whose_name_stands_twice_in_an_event_is_two_lines() {
    let fixture = Fixture::with_samples().await;
    let (right, path) = (bearer(RFC_CLIENT.1), format!("/register/{}", RFC_CLIENT.0));
    for (first, second) in [("authorization", "authorization"), ("authorization", "Authorization")] {
        for headers in ["headers", "multiValueHeaders"] {
            let event = format!(
                r#"{{"rawPath":"{path}","requestContext":{{"http":{{"method":"DELETE"}}}},
                "{headers}":{{"{first}":"{right}","{second}":"{right}"}}}}"#
            );
            assert_eq!(fixture.invoke(&event).await.status(), 400, "{first} and {second} in {headers}");
        }
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn only_the_exact_name_is_authorization() {
    let fixture = Fixture::with_samples().await;
    let right = bearer(RFC_CLIENT.1);
    let names = ["authorization ", " authorization", "authorization\0", "authorization:", "\u{430}uthorization"];
    let names =
        names.into_iter().chain(["author\u{131}zation", "proxy-authorization", "x-amzn-remapped-authorization"]);
    for name in names {
        let answer =
            fixture.invoke(&event("DELETE", &format!("/register/{}", RFC_CLIENT.0), "", &[(name, &right)], "")).await;
        assert_eq!(answer.status(), 401, "{name:?}");
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn a_member_of_a_body_that_stands_twice_is_refused_however_it_is_written() {
    let fixture = Fixture::with_samples().await;
    let (path, credentials) = (format!("/api/{SERVICE}/client/registration/delete"), bearer(SERVICE_TOKEN));
    let (client, token) = CLIENT;
    let json = [
        format!(r#"{{"clientId":"x","clientId":"{client}","token":"{token}"}}"#),
        format!(r#"{{"clientId":"x","\u0063lientId":"{client}","token":"{token}"}}"#),
        format!(r#"{{"clientId":null,"clientId":"{client}","token":"{token}"}}"#),
        format!(r#"{{"clientId":"{client}","token":"{token}"}}{{"clientId":"x"}}"#),
    ];
    let forms = [
        format!("clientId=x&clientId={client}&token={token}"),
        format!("clientId=x&%63lientId={client}&token={token}"),
        format!("clientId&clientId={client}&token={token}"),
    ];
    for (media_type, body) in json
        .iter()
        .map(|body| ("application/json", body))
        .chain(forms.iter().map(|body| ("application/x-www-form-urlencoded", body)))
    {
        let headers = [("authorization", credentials.as_str()), ("content-type", media_type)];
        let answer = fixture.invoke(&event("POST", &path, "", &headers, body)).await;
        assert_eq!(json_code(&answer), "A258201", "{body}");
    }
    assert!(fixture.lives(client).await);
}

fn json_code(answer: &Response<Body>) -> Value {
    json(answer)["resultCode"].take()
}

/// Members have one name each: what another reader may take for it is not read.
#[tokio::test]
async fn only_the_exact_name_is_a_member_of_a_body() {
    let fixture = Fixture::with_samples().await;
    let path = format!("/api/{SERVICE}/client/registration/delete");
    for name in ["clientid", "ClientId", "client_id", "clientId ", "client\u{406}d", "client\u{200b}Id"] {
        let body = json!({ name: CLIENT.0, "token": CLIENT.1 }).to_string();
        assert_eq!(
            json_code(&fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), &body).await),
            "A215301",
            "{name:?}"
        );
    }
}

/// Spaces alone stand between a scheme and its credentials, and white space around a value is a space or a tab.
#[tokio::test]
async fn only_spaces_and_tabs_are_white_space_and_only_where_they_may_be() {
    let fixture = Fixture::with_samples().await;
    let (client, token) = RFC_CLIENT;
    for line in [format!("Bearer \t{token}"), format!("Bearer\t{token}"), format!("Bearer \u{a0}{token}")] {
        let answer = fixture.send("DELETE", &format!("/register/{client}"), Some(&line), "").await;
        assert!(answer.status().is_client_error(), "{line:?}");
    }
    let (path, credentials) = (format!("/api/{SERVICE}/client/registration/delete"), bearer(SERVICE_TOKEN));
    let body = json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string();
    for media_type in ["application/json\u{a0}", "\u{3000}application/json", "\u{85}application/json;charset=utf-8"] {
        let headers = [("authorization", credentials.as_str()), ("content-type", media_type)];
        let answer = fixture.invoke(&event("POST", &path, "", &headers, &body)).await;
        assert_eq!(json_code(&answer), "A258201", "{media_type:?}");
    }
    assert!(fixture.lives(client).await && fixture.lives(CLIENT.0).await);

    let line = format!(" \tBearer  {token}\t ");
    assert_eq!(fixture.send("DELETE", &format!("/register/{client}"), Some(&line), "").await.status(), 204);
}

#[tokio::test]
async fn a_token_in_the_query_is_refused_however_its_name_is_written() {
    let fixture = Fixture::with_samples().await;
    let path = format!("/register/{}", RFC_CLIENT.0);
    let headers = [("authorization", bearer(RFC_CLIENT.1))];
    let headers = headers.each_ref().map(|(name, value)| (*name, value.as_str()));
    for query in
        ["access%5Ftoken=a", "%61ccess_token", "access_token=", "a=b&access_token=a", "%FF&&=&access_token=a&%zz"]
    {
        assert_eq!(fixture.invoke(&event("DELETE", &path, query, &headers, "")).await.status(), 400, "{query}");
    }
    assert!(fixture.lives(RFC_CLIENT.0).await);
}

#[tokio::test]
async fn a_path_is_split_before_it_is_decoded_and_never_resolved() {
    let fixture = Fixture::with_samples().await;
    let (client, owner, token) = (RFC_CLIENT.0, basic(OWNER), bearer(RFC_CLIENT.1));
    for (path, credentials, status) in [
        (format!("/register%2F{client}"), &token, 404),
        (format!("%2Fregister/{client}"), &token, 404),
        (format!("//register/{client}"), &token, 404),
        (format!("/./register/{client}"), &token, 404),
        (format!("/x/../register/{client}"), &token, 404),
        (format!("/Register/{client}"), &token, 404),
        (format!("/%72egister/{client}"), &token, 404),
        (format!("/register;v=1/{client}"), &token, 404),
        (format!("\\register\\{client}"), &token, 404),
        (format!("https://example.com/register/{client}"), &token, 404),
        (format!("/register/{client}%2F"), &token, 401),
        (format!("/register/x%2F..%2F{client}"), &token, 401),
        (format!("/register/{client}%00"), &token, 401),
        (format!("/register/{client}%0A"), &token, 401),
        (format!("/register/{client};v=1"), &token, 401),
        (format!("/register/{client}?x"), &token, 401),
        (format!("/register/{client}#x"), &token, 401),
        (format!("/config/{APPLICATION}%2Fclients%2F{TARGET}"), &owner, 404),
        (format!("/config/{APPLICATION}/clients/x/../{TARGET}"), &owner, 404),
        (format!("/config/{APPLICATION}/clients/{TARGET}%20"), &owner, 404),
    ] {
        assert_eq!(fixture.send("DELETE", &path, Some(credentials), "").await.status(), status, "{path}");
    }
    // Overlong forms, surrogates and half characters are no UTF-8, and nobody's id.
    fixture.wire.take_calls();
    for id in ["%C0%AF", "%E0%80%AF", "%ED%A0%80", "%C3", "%F4%90%80%80"] {
        assert_eq!(fixture.send("DELETE", &format!("/register/{id}"), Some(&token), "").await.status(), 401, "{id}");
    }
    assert!(fixture.wire.take_calls().is_empty());
    assert!(fixture.lives(client).await && fixture.lives(TARGET).await);
}

// What looks alike.

/// Words that look like `owner`, or are `owner` to somebody.
const OWNER_ALIKE: [&str; 9] = [
    "\u{43e}wner",
    "own\u{435}r",
    "\u{ff4f}\u{ff57}\u{ff4e}\u{ff45}\u{ff52}",
    "owner\0",
    "owner\u{200b}",
    "owner\u{301}",
    "owner\n",
    "\u{feff}owner",
    "owner,login_client",
];

#[tokio::test]
async fn a_feature_that_looks_like_owner_neither_opens_the_door_nor_protects() {
    let fixture = Fixture::with_samples().await;
    for feature in OWNER_ALIKE {
        create(&fixture, &format!("a {feature}"), Kind::Api(api_client(APPLICATION, &[feature]))).await;
        let path = format!("/config/{APPLICATION}/clients/{TARGET}");
        let answer = fixture.send("DELETE", &path, Some(&basic((&format!("a {feature}"), "secret"))), "").await;
        assert_eq!(answer.status(), 403, "{feature:?}");

        let encoded = percent_encoding::utf8_percent_encode(feature, percent_encoding::NON_ALPHANUMERIC);
        let path = format!("/config/{APPLICATION}/clients/a%20{encoded}");
        assert_eq!(fixture.send("DELETE", &path, Some(&basic(OWNER)), "").await.status(), 204, "{feature:?}");
    }
}

/// One id as it was given, and others that look like it, or become it in another's hands.
const ID_ALIKE: [&str; 9] = [
    "Caf\u{e9}",
    "Cafe\u{301}",
    "caf\u{e9}",
    "CAF\u{c9}",
    "\u{421}af\u{e9}",
    "\u{ff23}af\u{e9}",
    "Caf\u{e9}\u{200b}",
    " Caf\u{e9}",
    "Caf\u{c3}\u{a9}",
];

#[tokio::test]
async fn ids_that_look_alike_are_different_ids_at_every_door() {
    let fixture = Fixture::with_samples().await;
    let encode = |id: &str| percent_encoding::utf8_percent_encode(id, percent_encoding::NON_ALPHANUMERIC).to_string();
    let [first, alike @ ..] = ID_ALIKE;
    create(&fixture, &format!("{first} api"), Kind::Api(api_client(first, &[]))).await;
    create(&fixture, &format!("{first} owner"), Kind::Api(api_client(first, &["owner"]))).await;
    create(&fixture, &format!("{first} oauth"), oauth_client(SERVICE)).await;
    fixture.direct().create_service(&id(first), &Service::default()).await.unwrap();

    let owner = basic((&format!("{first} owner"), "secret"));
    for other in alike {
        let [mine, another] = [first, other].map(encode);
        for (path, credentials, status) in [
            (format!("/config/{mine}/clients/{another}%20api"), &owner, 404),
            (format!("/config/{another}/clients/{mine}%20api"), &owner, 404),
            (format!("/config/{mine}/clients/{mine}%20api"), &basic((&format!("{other} owner"), "secret")), 401),
            (format!("/register/{another}%20oauth"), &bearer("token"), 401),
        ] {
            assert_eq!(
                fixture.send("DELETE", &path, Some(credentials), "").await.status(),
                status,
                "{other:?}: {path}"
            );
        }
        let call = format!("/api/{SERVICE}/client/registration/delete");
        let body = json!({ "clientId": format!("{other} oauth"), "token": "token" }).to_string();
        let answer = fixture.send("POST", &call, Some(&bearer(SERVICE_TOKEN)), &body).await;
        assert_eq!(json_code(&answer), "A215302", "{other:?}");
    }
    assert!(fixture.lives(&format!("{first} api")).await && fixture.lives(&format!("{first} oauth")).await);
}

#[tokio::test]
async fn an_id_with_line_breaks_and_quotes_forges_no_line_of_the_log() {
    let fixture = Fixture::with_samples().await;
    let forged = "x\",\"outcome\":\"deleted\"}\n{\"level\":\"INFO\",\"outcome\":\"deleted\"}\r\u{2028}\0";
    create(&fixture, forged, oauth_client(SERVICE)).await;
    let encoded = percent_encoding::utf8_percent_encode(forged, percent_encoding::NON_ALPHANUMERIC);
    Log::begin();
    assert_eq!(fixture.send("DELETE", &format!("/register/{encoded}"), Some(&bearer("x")), "").await.status(), 401);
    let logged = Log::take();
    assert_eq!(logged.trim_end().split(['\n', '\r']).count(), 1, "{logged}");
    let line: Value = serde_json::from_str(&logged).unwrap();
    assert_eq!((&line["outcome"], &line["client_id"]), (&json!("refused"), &json!(forged)));
}

// Addresses and allow lists, at their edges.

#[test]
fn an_entry_of_an_allow_list_admits_what_it_says_to_the_last_bit() {
    for (entry, admitted, refused) in [
        (
            "203.0.113.7/32",
            vec!["203.0.113.7", "::ffff:203.0.113.7"],
            vec!["203.0.113.6", "203.0.113.8", "::203.0.113.7"],
        ),
        ("203.0.113.6/31", vec!["203.0.113.6", "203.0.113.7"], vec!["203.0.113.5", "203.0.113.8"]),
        ("128.0.0.0/1", vec!["128.0.0.0", "255.255.255.255"], vec!["127.255.255.255", "8000::"]),
        ("203.0.113.7/0", vec!["0.0.0.0", "255.255.255.255", "::"], vec![]),
        ("2001:db8::1/128", vec!["2001:db8::1"], vec!["2001:db8::", "2001:db8::2"]),
        ("2001:DB8:0:0::/127", vec!["2001:db8::", "2001:db8::1"], vec!["2001:db8::2"]),
        ("8000::/1", vec!["8000::", "ffff::"], vec!["7fff::", "128.0.0.1"]),
        ("::ffff:203.0.113.0/128", vec!["203.0.113.0"], vec!["203.0.113.1"]),
        ("::ffff:0:0/95", vec!["::fffe:0:1"], vec!["203.0.113.7", "::ffff:203.0.113.7"]),
        ("::/0", vec!["::", "ffff::"], vec!["0.0.0.0", "::ffff:0.0.0.0"]),
    ] {
        let list = AllowList::new([entry]);
        for (addresses, expected) in [(admitted, true), (refused, false)] {
            for address in addresses {
                assert_eq!(list.admits(Some(address.parse().unwrap())), expected, "{address} by {entry}");
            }
        }
    }
}

/// Only `0.0.0.0/0`, as documented, is more than it says.
#[test]
fn all_of_ipv4_written_as_ipv6_is_ipv4_alone() {
    let list = AllowList::new(["::ffff:0:0/96"]);
    assert!(list.admits("203.0.113.7".parse().ok()));
    assert!(!list.admits("2001:db8::1".parse().ok()));
    assert!(!list.admits(None));
}

#[test]
fn an_entry_of_an_allow_list_that_is_not_written_as_it_should_be_admits_nobody() {
    for entry in [
        " 203.0.113.0/24",
        "203.0.113.0/24 ",
        "203.0.113.0 /24",
        "203.0.113.0/ 24",
        "203.0.113.0/24\n",
        "203.0.113.0/+24",
        "203.0.113.0/-1",
        "203.0.113.0/",
        "/24",
        "203.0.113/24",
        "203.0.113.0/024",
        "203.0.113.0/04",
        "2001:db8::/010",
        "203.0.113.0/255.255.255.0",
        "203.0.113.0-203.0.113.255",
        "203.0.113.0/24,198.51.100.0/24",
        "*",
        "203.0.113.*",
        "203.0.113.7:443",
        "[2001:db8::1]",
        "fe80::1%eth0",
        "fe80::%1/10",
        "0xcb.0.113.7",
        "3405803783",
        "0xcb007107",
        "\u{ff12}03.0.113.7",
        "2001:db8::1::",
        "2001:db8::/129",
        "203.0.113.0/256",
        "203.0.113.0/4294967320",
        "localhost",
    ] {
        let list = AllowList::new([entry]);
        assert_eq!(list.unreadable().collect::<Vec<_>>(), [entry]);
        for address in ["203.0.113.7", "2001:db8::1", "fe80::1", "0.0.0.0"] {
            assert!(!list.admits(address.parse().ok()), "{address} by {entry:?}");
        }
        assert!(!list.admits(None), "{entry:?}");
    }
}

/// To some readers `010` is ten, to others eight. What is no address by itself is none in a block either.
#[test]
fn an_address_in_a_block_is_read_as_strictly_as_one_by_itself() {
    for (entry, addresses) in [
        ("010.0.0.1", ["8.0.0.1", "10.0.0.1"]),
        ("010.0.0.0/8", ["8.0.0.1", "10.0.0.1"]),
        ("10.0.0.00/8", ["8.0.0.1", "10.0.0.1"]),
        ("::ffff:010.0.0.0/104", ["8.0.0.1", "10.0.0.1"]),
        ("::1:1:1:1:1:1:1:1/128", ["1:1:1:1:1:1:1:1", "0:1:1:1:1:1:1:1"]),
    ] {
        let list = AllowList::new([entry]);
        assert_eq!(list.unreadable().collect::<Vec<_>>(), [entry]);
        for address in addresses {
            assert!(!list.admits(address.parse().ok()), "{address} by {entry}");
        }
    }
}

#[tokio::test]
async fn an_address_that_is_not_one_is_no_address() {
    let fixture = Fixture::with_samples().await;
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    let request = event("DELETE", &path, "", &[("authorization", &basic(OWNER_ELSEWHERE))], "");
    let from = |address: &str| {
        let mut event: Value = serde_json::from_str(&request).unwrap();
        event["requestContext"]["http"]["sourceIp"] = address.into();
        event.to_string()
    };
    for address in [
        "",
        " 198.51.100.7",
        "198.51.100.7 ",
        "198.51.100.7:443",
        "198.51.100.7%eth0",
        "198.51.100.7/32",
        "198.51.100.007",
        "198.51.100.7, 203.0.113.7",
        "::198.51.100.7",
        "::ffff:198.51.100.7%1",
        "[::ffff:198.51.100.7]",
        "unknown",
    ] {
        assert_eq!(fixture.invoke(&from(address)).await.status(), 403, "{address:?}");
    }
    assert_eq!(fixture.invoke(&from("::ffff:198.51.100.7")).await.status(), 204);
}
