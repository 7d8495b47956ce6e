//! The three doors: what each answers, row by row of its table, and what that leaves in the table.
//!
//! An answer is compared whole, to the byte. Rows that may not be told apart expect one and the same [`Answer`], after
//! the same calls of the database.
#![expect(clippy::unwrap_used, reason = "tests fail so")]

mod support;

use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::{admin::Creation, item::Item, schema::KEY},
    http::event,
    model::{ApiClient, Client, Digest, Id, Kind, Metadata, OAuthClient, Service, StoredSecret},
};
use lambda_http::{Body, LambdaEvent, Response};
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde::Deserialize;
use serde_json::{Value, json};
use std::{
    collections::{BTreeMap, BTreeSet},
    fs,
};
use support::{
    Lab, RETENTION, basic, bearer, invocation, now,
    sample::{
        APPLICATION, CLIENT, CLOSED_CLIENT, CLOSED_SERVICE, DELETED_OWNER, DIRECT_ACCESS, EXPIRED_TOKEN,
        FOREIGN_SERVICE, FOREIGN_TOKEN, ORGANIZATION, ORGANIZATION_TOKEN, OTHER_APPLICATION, OWNER, OWNER_ELSEWHERE,
        OWNERS_OLD_SECRET, PROTECTED_CLIENT, PROTECTED_TARGET, RFC_CLIENT, SERVICE, SERVICE_TOKEN, STATIC_CLIENT,
        STRICT_CLIENT, STRICT_SERVICE, TARGET, TARGET_ELSEWHERE, TOKENLESS_CLIENT,
    },
    text,
    wire::Mishap,
};

/// An id that nothing has, and a secret and token that nobody has.
const NOBODY: &str = "x3k9z7q2mt5vb8nyc4hw6rg2sadfjpue";

/// The calls of the database behind a refusal at the door, a refusal by the rule, and a deletion.
const NO_CALL: &[&str] = &[];
const READ: &[&str] = &["BatchGetItem"];
const READ_AND_WRITE: &[&str] = &["BatchGetItem", "UpdateItem"];

// Requests.

#[derive(Debug, Clone)]
struct Request {
    method: &'static str,
    path: String,
    query: &'static str,
    headers: Vec<(&'static str, String)>,
    body: String,
}

impl Request {
    fn new(method: &'static str, path: impl Into<String>) -> Self {
        Self { method, path: path.into(), query: "", headers: Vec::new(), body: String::new() }
    }

    fn header(mut self, name: &'static str, value: impl Into<String>) -> Self {
        self.headers.push((name, value.into()));
        self
    }

    fn authorization(self, value: impl Into<String>) -> Self {
        self.header("authorization", value)
    }

    fn basic(self, credentials: (&str, &str)) -> Self {
        self.authorization(basic(credentials))
    }

    fn bearer(self, token: &str) -> Self {
        self.authorization(bearer(token))
    }

    fn if_match(self, value: &str) -> Self {
        self.header("if-match", value)
    }

    fn form(self, body: &str) -> Self {
        self.header("content-type", "application/x-www-form-urlencoded").body(body)
    }

    fn body(self, body: impl Into<String>) -> Self {
        Self { body: body.into(), ..self }
    }

    fn query(self, query: &'static str) -> Self {
        Self { query, ..self }
    }

    fn event(&self) -> String {
        let headers: Vec<_> = self.headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
        support::event(self.method, &self.path, self.query, &headers, &self.body)
    }

    async fn send(&self, lab: &Lab) -> Answer {
        Answer::of(&lab.invoke(&self.event()).await)
    }
}

fn segment(id: &str) -> impl std::fmt::Display {
    utf8_percent_encode(id, NON_ALPHANUMERIC)
}

fn configuration(application: &str, client: &str) -> Request {
    Request::new("DELETE", format!("/config/{}/clients/{}", segment(application), segment(client)))
}

/// The request to delete [`TARGET`], without credentials.
fn target() -> Request {
    configuration(APPLICATION, TARGET)
}

fn registration(client: &str) -> Request {
    Request::new("DELETE", format!("/register/{}", segment(client)))
}

/// The call of the Authlete API, without an access token.
fn call(service: &str, parameters: &Value) -> Request {
    Request::new("POST", format!("/api/{}/client/registration/delete", segment(service))).body(parameters.to_string())
}

/// The call for a client that presented this token to [`SERVICE`].
fn authlete((client, token): (&str, &str)) -> Request {
    call(SERVICE, &json!({ "clientId": client, "token": token })).bearer(SERVICE_TOKEN)
}

// Answers.

/// What is sent back, whole.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    /// The answer with what all answers have, and a media type where there is a body.
    fn new(status: u16, body: impl Into<String>) -> Self {
        let body = body.into();
        let answer = Self { status, headers: BTreeMap::new(), body };
        let answer = answer.with("cache-control", "no-store").with("pragma", "no-cache");
        if answer.body.is_empty() { answer } else { answer.with("content-type", "application/json") }
    }

    fn with(mut self, name: &str, value: &str) -> Self {
        self.headers.insert(name.to_owned(), value.to_owned());
        self
    }

    fn of(response: &Response<Body>) -> Self {
        let headers = response.headers().iter();
        Self {
            status: response.status().as_u16(),
            headers: headers.map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned())).collect(),
            body: text(response).to_owned(),
        }
    }
}

fn no_content() -> Answer {
    Answer::new(204, "")
}

const AUTHENTICATION_REQUIRED: &str = r#"{"errors": "Authentication required."}"#;

fn unauthenticated() -> Answer {
    Answer::new(401, AUTHENTICATION_REQUIRED).with("www-authenticate", r#"Basic realm="deregister", charset="UTF-8""#)
}

fn forbidden() -> Answer {
    Answer::new(403, AUTHENTICATION_REQUIRED)
}

fn not_found() -> Answer {
    Answer::new(404, r#"{"errors": "Client ID not found."}"#)
}

fn target_is_owner() -> Answer {
    Answer::new(403, r#"{"errors": "A client with the owner feature cannot be deleted."}"#)
}

fn target_is_protected() -> Answer {
    Answer::new(403, r#"{"errors": "This client is protected from deletion."}"#)
}

fn target_is_at_another_version() -> Answer {
    Answer::new(412, r#"{"errors": "The client is not at the version that If-Match names."}"#)
}

fn oauth_error(status: u16, error: &str, description: &str) -> Answer {
    Answer::new(status, format!(r#"{{"error":"{error}","error_description":"{description}"}}"#))
}

fn challenge(status: u16, error: &str, description: &str) -> Answer {
    oauth_error(status, error, description).with(
        "www-authenticate",
        &format!(r#"Bearer realm="deregister", error="{error}", error_description="{description}""#),
    )
}

fn no_token() -> Answer {
    oauth_error(401, "invalid_token", "A registration access token is required.")
        .with("www-authenticate", r#"Bearer realm="deregister""#)
}

fn invalid_request() -> Answer {
    let description = "Present one registration access token, in one Authorization header, and nowhere else.";
    challenge(400, "invalid_request", description)
}

fn invalid_token() -> Answer {
    challenge(401, "invalid_token", "The registration access token is not valid for this client.")
}

fn insufficient_scope() -> Answer {
    challenge(403, "insufficient_scope", "This client is protected from deletion.")
}

fn at_another_version() -> Answer {
    oauth_error(412, "precondition_failed", "The client is not at the version that If-Match names.")
}

/// An outcome of the Authlete API that is no deletion.
fn outcome(code: &str, text: &str, action: &str) -> Answer {
    let error = match action {
        "BAD_REQUEST" => "invalid_request",
        "UNAUTHORIZED" => "invalid_token",
        _ => "server_error",
    };
    told(code, text, action, |message| {
        format!(
            r#"{{"error":"{error}","error_description":"{message}","error_uri":"https://docs.authlete.com/#{code}"}}"#
        )
    })
}

fn told(code: &str, text: &str, action: &str, content: impl Fn(&str) -> String) -> Answer {
    let message = format!("[{code}] {text}");
    let content = Value::from(content(&message));
    Answer::new(
        200,
        format!(
            r#"{{"resultCode":"{code}","resultMessage":"{message}","action":"{action}","responseContent":{content}}}"#
        ),
    )
}

fn bad_request(code: &str, text: &str) -> Answer {
    outcome(code, text, "BAD_REQUEST")
}

/// The deletion of a client that is told as these members.
fn deleted_client(members: &str) -> Answer {
    Answer::new(
        200,
        format!(
            r#"{{"resultCode":"A216001","resultMessage":"[A216001] The client has been deleted.","action":"DELETED","client":{{{members}}}}}"#
        ),
    )
}

/// What is told of the sample clients beside their numbers.
const MY_TEST_CLIENT: &str = r#""clientType":"PUBLIC","redirectUris":["https://example.com/callback"],"responseTypes":["CODE"],"grantTypes":["AUTHORIZATION_CODE"]"#;

fn my_test_client() -> Answer {
    deleted_client(&format!(
        r#""number":1140735077,"serviceNumber":715948317,"clientName":"My Test Client","clientId":1140735077,{MY_TEST_CLIENT}"#
    ))
}

/// A call of the Authlete API that fails itself.
fn failure(status: u16, code: &str, text: &str) -> Answer {
    let message = format!("[{code}] /client/registration/delete, {text}");
    let answer = Answer::new(status, format!(r#"{{"resultCode":"{code}","resultMessage":"{message}"}}"#));
    if status == 401 { answer.with("www-authenticate", r#"Bearer realm="deregister""#) } else { answer }
}

fn no_access_token() -> Answer {
    failure(401, "A001202", "Authorization header is missing.")
}

fn malformed_access_token() -> Answer {
    failure(401, "A001203", "Authorization header is malformed.")
}

fn invalid_access_token() -> Answer {
    failure(401, "A001203", "the access token is not valid.")
}

fn not_covered() -> Answer {
    failure(403, "D001002", "the access token does not cover this service.")
}

fn unreadable_body() -> Answer {
    let text = "the body is not a JSON object or a form with the members clientId and token, of 64 KiB at most.";
    failure(400, "A258201", text)
}

// What is expected of them.

/// Every item of the table, by its key.
async fn items(lab: &Lab) -> BTreeMap<String, Item> {
    let found = lab.client.scan().table_name(&lab.table).consistent_read(true).send().await.unwrap().items.unwrap();
    found.into_iter().map(|item| (item.get(KEY).unwrap().as_s().unwrap().clone(), item)).collect()
}

/// Each request gets this answer after these calls of the database, and leaves the table as it was.
async fn refused_in(lab: &Lab, calls: &[&str], requests: &[Request], answer: &Answer) {
    let before = items(lab).await;
    for request in requests {
        lab.wire.take_calls();
        assert_eq!(request.send(lab).await, *answer, "{request:?}");
        assert_eq!(lab.wire.take_calls(), calls, "{request:?}");
    }
    assert_eq!(items(lab).await, before);
}

/// The same, over the sample data.
async fn refused(calls: &[&str], requests: &[Request], answer: &Answer) {
    refused_in(&Lab::with_samples().await, calls, requests, answer).await;
}

/// The request gets this answer, and one read and one write later `client` is dead and all else is as it was.
async fn deleted_in(lab: &Lab, request: &Request, client: &str, answer: &Answer) {
    let mut before = items(lab).await;
    assert!(lab.lives(client).await, "{client}");
    lab.wire.take_calls();
    assert_eq!(request.send(lab).await, *answer, "{request:?}");
    assert_eq!(lab.wire.take_calls(), READ_AND_WRITE, "{request:?}");
    assert!(!lab.lives(client).await, "{request:?}");
    let mut after = items(lab).await;
    let key = format!("client#{client}");
    assert!(before.remove(&key).is_some() && after.remove(&key).is_some(), "a tombstone stands");
    assert_eq!(after, before);
}

/// The same, over the sample data.
async fn deleted(request: Request, client: &str, answer: &Answer) {
    deleted_in(&Lab::with_samples().await, &request, client, answer).await;
}

/// Each request, for which the conditions of two rows hold, gets the answer of the earlier one.
async fn answered_in(lab: &Lab, requests: &[(Request, Answer)]) {
    for (request, answer) in requests {
        assert_eq!(request.send(lab).await, *answer, "{request:?}");
    }
}

async fn create(lab: &Lab, id: &str, kind: Kind, protected: bool) {
    let client = Client { kind, protected, version: None, idle: None };
    let created = lab.quiet_store().create_client(&Id::new(id).unwrap(), &client).await;
    assert_eq!(created, Ok(Creation::Done), "{id}");
}

/// Creates a service of the sample organization.
async fn create_service(lab: &Lab, id: &str, service: Service) {
    let service = Service { organization_id: Some(ORGANIZATION.to_owned()), ..service };
    let created = lab.quiet_store().create_service(&Id::new(id).unwrap(), &service).await;
    assert_eq!(created, Ok(Creation::Done), "{id}");
}

fn api_client(application: &str, features: &[&str], secrets: &[&str]) -> Kind {
    Kind::Api(ApiClient {
        app_id: application.to_owned(),
        features: features.iter().map(|&feature| feature.to_owned()).collect(),
        secrets: secrets.iter().map(|&secret| StoredSecret { digest: Digest::of(secret), expires_at: None }).collect(),
        ..ApiClient::default()
    })
}

fn oauth_client(service: &str, token: &str) -> Kind {
    Kind::OAuth(OAuthClient {
        service_id: Id::new(service).unwrap(),
        dynamic: true,
        registration_token_digest: Some(Digest::of(token)),
        metadata: Metadata::default(),
    })
}

// The platform's events.

/// What `answers.json` says of an event.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Expected {
    status: u16,
    #[serde(default)]
    headers: BTreeMap<String, String>,
    body: Option<Value>,
}

impl From<Expected> for Answer {
    fn from(Expected { status, headers, body }: Expected) -> Self {
        let mut answer = Self::new(status, body.map(|body| body.to_string()).unwrap_or_default());
        answer.headers.extend(headers);
        answer
    }
}

const ANSWERS: &str = include_str!("../events/answers.json");
const EVENTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/events");

#[test]
fn every_event_has_an_answer_and_every_answer_an_event() {
    let answers: BTreeMap<String, Expected> = serde_json::from_str(ANSWERS).unwrap();
    let files = fs::read_dir(EVENTS).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap());
    // The other files are for the two functions behind the doors, which answer nobody.
    let events: BTreeSet<_> = files.filter(|name| name.ends_with(".1.0.json") || name.ends_with(".2.0.json")).collect();
    assert_eq!(answers.into_keys().collect::<BTreeSet<_>>(), events);
}

#[tokio::test]
async fn every_event_gets_its_answer_in_either_payload_version() {
    let expected: BTreeMap<String, Expected> = serde_json::from_str(ANSWERS).unwrap();
    let mut answers = BTreeMap::new();
    let mut lab = Lab::with_samples().await;
    for (file, expected) in expected {
        let event = fs::read_to_string(format!("{EVENTS}/{file}")).unwrap();
        let answer = Answer::of(&lab.invoke(&event).await);
        if lab.wire.take_calls() == READ_AND_WRITE {
            lab = Lab::with_samples().await;
        }

        let mut as_json = answer.clone();
        if !answer.body.is_empty() {
            as_json.body = serde_json::from_str::<Value>(&answer.body).unwrap().to_string();
        }
        assert_eq!(as_json, expected.into(), "{file}");

        let case = file.split_once('.').unwrap().0.to_owned();
        if let Some(in_other_version) = answers.insert(case, answer.clone()) {
            assert_eq!(answer, in_other_version, "{file}");
        }
    }
}

#[tokio::test]
async fn the_platform_is_given_a_body_only_where_there_is_one() {
    let lab = Lab::with_samples().await;
    let mut given = Vec::new();
    for _ in 0..2 {
        let event = target().basic(OWNER).event();
        given.push(serde_json::to_value(event::Answer { response: lab.invoke(&event).await, cookies: None }).unwrap());
    }
    let headers = json!({ "cache-control": "no-store", "pragma": "no-cache" });
    assert_eq!(given[0], json!({ "statusCode": 204, "headers": headers, "isBase64Encoded": false }));
    let headers = json!({ "cache-control": "no-store", "pragma": "no-cache", "content-type": "application/json" });
    let body = not_found().body;
    assert_eq!(given[1], json!({ "statusCode": 404, "headers": headers, "isBase64Encoded": false, "body": body }));
}

// Where no door is, and other methods.

#[tokio::test]
async fn an_unknown_path_is_404() {
    let paths = ["/", "", "/register", "/register/a/b", "/config/a/clients", "/config/a/clients/b/", "/api/1/client"];
    let requests = paths.map(|path| Request::new("DELETE", path).basic(OWNER));
    refused(NO_CALL, &requests, &oauth_error(404, "not_found", "There is nothing at this path.")).await;
}

#[tokio::test]
async fn another_method_is_405_in_the_envelope_of_the_door() {
    let others = |request: Request| ["GET", "HEAD", "PUT", "PATCH"].map(|method| Request { method, ..request.clone() });
    let answer = Answer::new(405, r#"{"errors": "Only DELETE is supported here."}"#).with("allow", "DELETE");
    refused(NO_CALL, &others(target().basic(OWNER)), &answer).await;
    let answer = oauth_error(405, "method_not_allowed", "Only DELETE is supported here.").with("allow", "DELETE");
    refused(NO_CALL, &others(registration(RFC_CLIENT.0).bearer(RFC_CLIENT.1)), &answer).await;
    let answer = failure(405, "D001004", "only POST is supported.").with("allow", "POST");
    refused(NO_CALL, &others(authlete(CLIENT)), &answer).await;
}

// The Configuration API, row by row.

#[tokio::test]
async fn configuration_row_1_credentials_that_cannot_be_parsed_are_401_authentication_required() {
    let credentials = basic(OWNER);
    let requests = [
        target(),
        target().authorization(""),
        target().authorization("Basic"),
        target().authorization("Basic %%%"),
        target().authorization(format!("{credentials} {credentials}")),
        target().authorization(format!("{credentials},{credentials}")),
        target().authorization(credentials.replace(' ', "")),
        target().authorization(credentials.replace("Basic", "Digest")),
        target().authorization("Basic bm8gY29sb24"),
        target().basic(("", OWNER.1)),
        target().basic((&"x".repeat(2042), OWNER.1)),
        target().bearer(OWNER.1),
        target().query("access_token=b").basic(OWNER),
    ];
    refused(NO_CALL, &requests, &unauthenticated()).await;
}

#[tokio::test]
async fn configuration_row_1_wrong_credentials_are_401_authentication_required() {
    let requests = [
        (NOBODY, OWNER.1),
        (CLIENT.0, CLIENT.1),
        (OWNER.0, NOBODY),
        (OWNER.0, ""),
        (OWNER.0, DIRECT_ACCESS.1),
        (OWNER.0, OWNERS_OLD_SECRET),
        DELETED_OWNER,
    ];
    refused(READ, &requests.map(|credentials| target().basic(credentials)), &unauthenticated()).await;
}

#[tokio::test]
async fn configuration_row_2_outside_the_allow_list_is_403_authentication_required() {
    refused(READ, &[target().basic(OWNER_ELSEWHERE)], &forbidden()).await;
}

#[tokio::test]
async fn configuration_row_3_no_owner_is_403_authentication_required() {
    refused(READ, &[target().basic(DIRECT_ACCESS)], &forbidden()).await;
}

#[tokio::test]
async fn configuration_row_4_another_application_is_404_client_id_not_found() {
    let requests = [(OTHER_APPLICATION, TARGET_ELSEWHERE), (OTHER_APPLICATION, TARGET), (NOBODY, TARGET)];
    refused(READ, &requests.map(|(app, client)| configuration(app, client).basic(OWNER)), &not_found()).await;
}

#[tokio::test]
async fn configuration_row_5_no_such_client_is_404_client_id_not_found() {
    let clients = [NOBODY, DELETED_OWNER.0, TARGET_ELSEWHERE, CLIENT.0, &TARGET.to_uppercase(), &TARGET[1..]];
    refused(READ, &clients.map(|client| configuration(APPLICATION, client).basic(OWNER)), &not_found()).await;
}

#[tokio::test]
async fn configuration_row_6_an_owner_is_403_even_to_itself() {
    let owners = [OWNER_ELSEWHERE.0, OWNER.0];
    refused(READ, &owners.map(|owner| configuration(APPLICATION, owner).basic(OWNER)), &target_is_owner()).await;
}

#[tokio::test]
async fn configuration_row_7_a_protected_client_is_403() {
    refused(READ, &[configuration(APPLICATION, PROTECTED_TARGET).basic(OWNER)], &target_is_protected()).await;
}

#[tokio::test]
async fn configuration_row_8_another_version_is_412() {
    refused(READ, &[target().basic(OWNER).if_match("\"2\"")], &target_is_at_another_version()).await;
}

#[tokio::test]
async fn configuration_row_9_otherwise_the_client_is_deleted() {
    deleted(target().basic(OWNER), TARGET, &no_content()).await;
    deleted(configuration(APPLICATION, DIRECT_ACCESS.0).basic(OWNER), DIRECT_ACCESS.0, &no_content()).await;
    deleted(target().basic(OWNER).form("access_token=b"), TARGET, &no_content()).await;
    deleted(target().basic(OWNER).body("{}"), TARGET, &no_content()).await;
}

/// Rows 2 and 3, and rows 4 and 5, have one answer: no request tells their order.
#[tokio::test]
async fn configuration_rows_are_decided_in_order() {
    let lab = Lab::with_samples().await;
    create(&lab, "owner there", api_client(OTHER_APPLICATION, &["owner"], &[]), false).await;
    create(&lab, "protected owner", api_client(APPLICATION, &["owner"], &[]), true).await;
    let requests = [
        (target().basic((OWNER_ELSEWHERE.0, NOBODY)), unauthenticated()),
        (target().basic((DIRECT_ACCESS.0, NOBODY)), unauthenticated()),
        (configuration(OTHER_APPLICATION, TARGET).basic(OWNER_ELSEWHERE), forbidden()),
        (configuration(OTHER_APPLICATION, TARGET).basic(DIRECT_ACCESS), forbidden()),
        (configuration(APPLICATION, NOBODY).basic(DIRECT_ACCESS), forbidden()),
        (configuration(OTHER_APPLICATION, "owner there").basic(OWNER), not_found()),
        (configuration(APPLICATION, "owner there").basic(OWNER), not_found()),
        (configuration(APPLICATION, "protected owner").basic(OWNER), target_is_owner()),
        (configuration(APPLICATION, PROTECTED_TARGET).basic(OWNER).if_match("\"2\""), target_is_protected()),
    ];
    answered_in(&lab, &requests).await;
}

#[tokio::test]
async fn only_the_exact_feature_owner_opens_the_configuration_api() {
    let lab = Lab::with_samples().await;
    let shut: [&[&str]; 4] = [
        &[],
        &["Owner"],
        &["owners", " owner"],
        &["access_issuer", "direct_access", "direct_read_access", "login_client", "metadata", "image_create"],
    ];
    for (n, features) in shut.into_iter().enumerate() {
        let caller = format!("caller {n}");
        create(&lab, &caller, api_client(APPLICATION, features, &["secret"]), false).await;
        refused_in(&lab, READ, &[target().basic((&caller, "secret"))], &forbidden()).await;
    }
    create(&lab, "caller", api_client(APPLICATION, &["login_client", "owner"], &["secret"]), false).await;
    deleted_in(&lab, &target().basic(("caller", "secret")), TARGET, &no_content()).await;
}

#[tokio::test]
async fn either_of_two_valid_secrets_is_accepted_and_may_hold_colons() {
    for secret in ["old", "new:with:colons"] {
        let lab = Lab::with_samples().await;
        create(&lab, "caller", api_client(APPLICATION, &["owner"], &["old", "new:with:colons"]), false).await;
        deleted_in(&lab, &target().basic(("caller", secret)), TARGET, &no_content()).await;
    }
}

#[tokio::test]
async fn basic_credentials_may_be_padded() {
    let padded = format!("{}=", basic(OWNER));
    assert_eq!((padded.len() - "Basic ".len()) % 4, 0);
    deleted(target().authorization(padded), TARGET, &no_content()).await;
}

#[tokio::test]
async fn x_forwarded_for_never_opens_an_allow_list() {
    let claims = ["x-forwarded-for", "forwarded", "x-real-ip", "true-client-ip"];
    let requests = claims.map(|name| target().basic(OWNER_ELSEWHERE).header(name, "198.51.100.7"));
    refused(READ, &requests, &forbidden()).await;
}

// The client configuration endpoint, row by row.

/// The RFC's own client deletes itself.
fn rfc_client() -> Request {
    registration(RFC_CLIENT.0).bearer(RFC_CLIENT.1)
}

#[tokio::test]
async fn registration_row_1_no_bearer_credentials_are_401_without_an_error_parameter() {
    let request = || registration(RFC_CLIENT.0);
    let requests = [
        request(),
        request().basic(RFC_CLIENT),
        request().authorization(""),
        request().authorization(format!("Bearer{}", RFC_CLIENT.1)),
        request().authorization(RFC_CLIENT.1),
    ];
    refused(NO_CALL, &requests, &no_token()).await;
}

#[tokio::test]
async fn registration_row_2_malformed_or_doubled_credentials_are_400_invalid_request() {
    let request = || registration(RFC_CLIENT.0);
    let token = bearer(RFC_CLIENT.1);
    let requests = [
        request().authorization("Bearer"),
        request().authorization("Bearer ="),
        request().bearer("two words"),
        request().bearer("réservé"),
        request().bearer("\"quoted\""),
        request().bearer("pad=ding"),
        request().authorization(format!("{token},{token}")),
        rfc_client().query("access_token=reg-23410913-abewfq.123483"),
        rfc_client().query("a=b&access_token="),
        rfc_client().form("access_token=reg-23410913-abewfq.123483"),
        rfc_client().form("a=b&access%5Ftoken="),
    ];
    refused(NO_CALL, &requests, &invalid_request()).await;
}

#[tokio::test]
async fn registration_row_3_whatever_is_wrong_with_the_token_is_one_401_invalid_token() {
    let requests = [
        (NOBODY, RFC_CLIENT.1),
        (DELETED_OWNER.0, RFC_CLIENT.1),
        (DELETED_OWNER.0, DELETED_OWNER.1),
        (RFC_CLIENT.0, CLIENT.1),
        (RFC_CLIENT.0, NOBODY),
        (RFC_CLIENT.0, &RFC_CLIENT.1.to_uppercase()),
        (TOKENLESS_CLIENT, NOBODY),
        (TARGET, NOBODY),
        OWNER,
        (PROTECTED_CLIENT.0, RFC_CLIENT.1),
    ];
    refused(READ, &requests.map(|(client, token)| registration(client).bearer(token)), &invalid_token()).await;
}

#[tokio::test]
async fn registration_row_3_a_repeated_deletion_is_401_invalid_token() {
    let lab = Lab::with_samples().await;
    deleted_in(&lab, &rfc_client(), RFC_CLIENT.0, &no_content()).await;
    refused_in(&lab, READ, &[rfc_client(), registration(NOBODY).bearer(NOBODY)], &invalid_token()).await;
}

#[tokio::test]
async fn registration_row_4_a_protected_client_is_403_insufficient_scope() {
    let request = registration(PROTECTED_CLIENT.0).bearer(PROTECTED_CLIENT.1);
    refused(READ, &[request], &insufficient_scope()).await;
}

#[tokio::test]
async fn registration_row_5_another_version_is_412() {
    refused(READ, &[rfc_client().if_match("\"2\"")], &at_another_version()).await;
}

#[tokio::test]
async fn registration_row_6_otherwise_the_client_is_deleted() {
    deleted(rfc_client(), RFC_CLIENT.0, &no_content()).await;
    deleted(registration(STATIC_CLIENT.0).bearer(STATIC_CLIENT.1), STATIC_CLIENT.0, &no_content()).await;
    deleted(rfc_client().body("{}"), RFC_CLIENT.0, &no_content()).await;
    deleted(rfc_client().form("token=b"), RFC_CLIENT.0, &no_content()).await;
    let json = rfc_client().header("content-type", "application/json").body(r#"{"access_token":"b"}"#);
    deleted(json, RFC_CLIENT.0, &no_content()).await;
}

#[tokio::test]
async fn registration_rows_are_decided_in_order() {
    let protected = || registration(PROTECTED_CLIENT.0);
    let requests = [
        (registration(RFC_CLIENT.0).query("access_token=b"), no_token()),
        (registration(RFC_CLIENT.0).basic(RFC_CLIENT).form("access_token=b"), no_token()),
        (registration(NOBODY).bearer(NOBODY).query("access_token=b"), invalid_request()),
        (registration(NOBODY).bearer("two words"), invalid_request()),
        (protected().bearer(NOBODY), invalid_token()),
        (protected().bearer(PROTECTED_CLIENT.1).if_match("\"2\""), insufficient_scope()),
    ];
    answered_in(&Lab::with_samples().await, &requests).await;
}

/// RFC 6750, section 3.
#[tokio::test]
async fn challenges_keep_to_the_characters_that_bearer_tokens_allow() {
    let lab = Lab::with_samples().await;
    let protected = registration(PROTECTED_CLIENT.0).bearer(PROTECTED_CLIENT.1);
    for request in [rfc_client().query("access_token=b"), registration(NOBODY).bearer(NOBODY), protected] {
        let challenge = request.send(&lab).await.headers.remove("www-authenticate").unwrap();
        let (_, description) = challenge.split_once("error_description=\"").unwrap();
        let description = description.strip_suffix('"').unwrap();
        assert!(description.bytes().all(|b| matches!(b, b' '..=b'~') && b != b'"' && b != b'\\'), "{description}");
    }
}

// The Authlete API, row by row.

/// The call at a service of the organization for a client that presented this token.
fn organization((client, token): (&str, &str), service: &str) -> Request {
    call(service, &json!({ "clientId": client, "token": token })).bearer(ORGANIZATION_TOKEN)
}

fn at_service(parameters: &Value) -> Request {
    call(SERVICE, parameters).bearer(SERVICE_TOKEN)
}

#[tokio::test]
async fn authlete_row_1_a_service_without_dynamic_registration_is_a206201() {
    let answer = bad_request("A206201", "Service (715948319) does not support dynamic client registration.");
    refused(READ, &[organization(CLOSED_CLIENT, CLOSED_SERVICE)], &answer).await;
}

#[tokio::test]
async fn authlete_row_2_an_unreadable_client_id_is_a215301() {
    let requests = [
        json!({}),
        json!({ "token": CLIENT.1 }),
        json!({ "clientId": null, "token": CLIENT.1 }),
        json!({ "clientId": "", "token": CLIENT.1 }),
    ];
    let answer = bad_request("A215301", "Unable to parse client ID ().");
    refused(READ, &requests.map(|parameters| at_service(&parameters)), &answer).await;
    refused(READ, &["", "token=a", "clientId="].map(|form| at_service(&json!({})).form(form)), &answer).await;

    let answer = bad_request("A215301", &format!("Unable to parse client ID ({}).", "é".repeat(64)));
    refused(READ, &[authlete((&"é".repeat(1024), CLIENT.1))], &answer).await;
}

#[tokio::test]
async fn authlete_row_3_no_such_client_is_a215302() {
    for client in [NOBODY, DELETED_OWNER.0, TARGET, STRICT_CLIENT.0, &"9".repeat(Id::MAX_BYTES)] {
        let shown: String = client.chars().take(64).collect();
        let answer = bad_request("A215302", &format!("Client with id '{shown}' not found."));
        refused(READ, &[authlete((client, STRICT_CLIENT.1))], &answer).await;
    }
}

#[tokio::test]
async fn authlete_row_4_a_client_that_did_not_register_itself_is_a215303() {
    let answer = bad_request("A215303", "Client (1140735078) is not dynamically registered.");
    refused(READ, &[authlete(STATIC_CLIENT)], &answer).await;
}

fn no_registration_access_token() -> Answer {
    bad_request("A215305", "The registration access token is not present.")
}

#[tokio::test]
async fn authlete_row_5_an_absent_token_is_a215305() {
    let requests = [
        json!({ "clientId": CLIENT.0 }),
        json!({ "clientId": CLIENT.0, "token": null }),
        json!({ "clientId": CLIENT.0, "token": "" }),
    ];
    refused(READ, &requests.map(|parameters| at_service(&parameters)), &no_registration_access_token()).await;
}

fn tokenless() -> Answer {
    let text = "The client (1140735079) has no registration access token, so that none can be presented for it.";
    bad_request("A215306", text)
}

#[tokio::test]
async fn authlete_row_6_a_client_without_a_token_is_a215306() {
    refused(READ, &[authlete((TOKENLESS_CLIENT, NOBODY))], &tokenless()).await;
}

fn wrong_token(client: &str, action: &str) -> Answer {
    let text = "The registration access token presented does not match the registration access token for this client";
    outcome("A215307", &format!("{text} ({client})."), action)
}

#[tokio::test]
async fn authlete_row_7_a_wrong_token_is_a215307() {
    let tokens = [NOBODY, RFC_CLIENT.1, SERVICE_TOKEN];
    let requests = tokens.map(|token| authlete((CLIENT.0, token)));
    refused(READ, &requests, &wrong_token(CLIENT.0, "BAD_REQUEST")).await;
}

#[tokio::test]
async fn authlete_row_8_a_protected_client_has_a_code_of_its_own() {
    let answer = bad_request("D001001", "Client (1140735080) is protected from deletion.");
    refused(READ, &[authlete(PROTECTED_CLIENT)], &answer).await;
}

#[tokio::test]
async fn authlete_row_9_otherwise_the_client_is_deleted() {
    let form = format!("json=%7B%7D&clientId={}&token={}", CLIENT.0, CLIENT.1);
    let parameters = json!({ "clientId": CLIENT.0, "token": CLIENT.1, "json": { "ignored": true } });
    let requests = [
        authlete(CLIENT),
        organization(CLIENT, SERVICE),
        at_service(&parameters),
        authlete(CLIENT).header("content-type", "Application/JSON; charset=utf-8"),
        authlete(CLIENT).if_match("\"2\""),
        at_service(&json!({})).form(&form),
    ];
    for request in requests {
        deleted(request, CLIENT.0, &my_test_client()).await;
    }
}

#[tokio::test]
async fn authlete_row_10_a_fault_of_the_database_is_a001101() {
    let lab = Lab::with_samples().await;
    lab.wire.plan("UpdateItem", Mishap::error(400, "AccessDeniedException"));
    let text = "The client could not be deleted, because of a failure of the database.";
    let answer = outcome("A001101", text, "INTERNAL_SERVER_ERROR");
    refused_in(&lab, READ_AND_WRITE, &[authlete(CLIENT)], &answer).await;
}

#[tokio::test]
async fn authlete_says_unauthorized_where_the_service_wants_it() {
    let strict = |client, token| organization((client, token), STRICT_SERVICE);
    let not_found = format!("Client with id '{NOBODY}' not found.");
    refused(READ, &[strict(NOBODY, NOBODY)], &outcome("A215302", &not_found, "UNAUTHORIZED")).await;
    let absent = outcome("A215305", "The registration access token is not present.", "UNAUTHORIZED");
    refused(READ, &[strict(STRICT_CLIENT.0, "")], &absent).await;
    refused(READ, &[strict(STRICT_CLIENT.0, NOBODY)], &wrong_token(STRICT_CLIENT.0, "UNAUTHORIZED")).await;
    refused(READ, &[strict("", "")], &bad_request("A215301", "Unable to parse client ID ().")).await;
}

#[tokio::test]
async fn authlete_rows_are_decided_in_order() {
    let token_only = json!({ "token": NOBODY });
    let closed = "Service (715948319) does not support dynamic client registration.";
    let not_found = "Client with id '1140735078' not found.";
    let requests = [
        (call(CLOSED_SERVICE, &token_only).bearer(ORGANIZATION_TOKEN), bad_request("A206201", closed)),
        (at_service(&token_only), bad_request("A215301", "Unable to parse client ID ().")),
        (organization(STATIC_CLIENT, STRICT_SERVICE), outcome("A215302", not_found, "UNAUTHORIZED")),
        (authlete((STATIC_CLIENT.0, "")), bad_request("A215303", "Client (1140735078) is not dynamically registered.")),
        (authlete((TOKENLESS_CLIENT, "")), no_registration_access_token()),
        (authlete((TOKENLESS_CLIENT, NOBODY)), tokenless()),
        (authlete((PROTECTED_CLIENT.0, NOBODY)), wrong_token(PROTECTED_CLIENT.0, "BAD_REQUEST")),
    ];
    answered_in(&Lab::with_samples().await, &requests).await;
}

// The Authlete API, calls that fail themselves.

fn my_call() -> Request {
    call(SERVICE, &json!({ "clientId": CLIENT.0, "token": CLIENT.1 }))
}

#[tokio::test]
async fn authlete_without_an_authorization_header_is_401_a001202() {
    refused(NO_CALL, &[my_call()], &no_access_token()).await;
}

#[tokio::test]
async fn authlete_with_malformed_credentials_is_401_a001203() {
    let token = bearer(SERVICE_TOKEN);
    let requests = [
        my_call().authorization(""),
        my_call().authorization(SERVICE_TOKEN),
        my_call().authorization("Bearer"),
        my_call().bearer("two words"),
        my_call().basic((SERVICE, SERVICE_TOKEN)),
        my_call().authorization(format!("{token},{token}")),
        my_call().bearer(SERVICE_TOKEN).query("access_token=b"),
    ];
    refused(NO_CALL, &requests, &malformed_access_token()).await;
}

#[tokio::test]
async fn authlete_with_an_unknown_or_expired_token_is_401_a001203() {
    let tokens = [NOBODY, EXPIRED_TOKEN, CLIENT.1, &SERVICE_TOKEN.to_uppercase()];
    refused(READ, &tokens.map(|token| my_call().bearer(token)), &invalid_access_token()).await;
}

#[tokio::test]
async fn authlete_with_a_token_that_does_not_cover_the_service_is_403() {
    let requests = [
        (SERVICE, FOREIGN_TOKEN),
        (STRICT_SERVICE, SERVICE_TOKEN),
        (FOREIGN_SERVICE, ORGANIZATION_TOKEN),
        (NOBODY, SERVICE_TOKEN),
        (NOBODY, ORGANIZATION_TOKEN),
    ];
    let parameters = json!({ "clientId": CLIENT.0, "token": CLIENT.1 });
    refused(READ, &requests.map(|(service, token)| call(service, &parameters).bearer(token)), &not_covered()).await;
}

#[tokio::test]
async fn authlete_with_a_body_that_cannot_be_read_is_400() {
    let bodies = [
        "",
        "{",
        "null",
        "[]",
        r#"["1140735077","rat_T5yU8iO2pA6sD9fG3hJ7kL1zX4cV0bNm"]"#,
        r#""1140735077""#,
        r#"{"clientId":1140735077}"#,
        r#"{"clientId":"1140735077","token":["a"]}"#,
        r#"{"clientId":"1","clientId":"2"}"#,
        "clientId=1140735077",
    ];
    refused(NO_CALL, &bodies.map(|body| authlete(CLIENT).body(body)), &unreadable_body()).await;
    let types = ["text/plain", "application/xml", "application/json-seq", "multipart/form-data"];
    refused(NO_CALL, &types.map(|name| authlete(CLIENT).header("content-type", name)), &unreadable_body()).await;
    refused(NO_CALL, &[authlete(CLIENT).form("clientId=1&clientId=2")], &unreadable_body()).await;
}

#[tokio::test]
async fn authlete_reads_bodies_of_64_kib_and_no_more() {
    let body = |length: usize| {
        let parameters = |json: &str| json!({ "clientId": CLIENT.0, "token": CLIENT.1, "json": json });
        let padding = length - parameters("").to_string().len();
        at_service(&parameters(&"x".repeat(padding)))
    };
    refused(NO_CALL, &[body(64 * 1024 + 1)], &unreadable_body()).await;
    deleted(body(64 * 1024), CLIENT.0, &my_test_client()).await;
}

#[tokio::test]
async fn authlete_with_an_unexpected_fault_is_500_a001101() {
    let lab = Lab::with_samples().await;
    lab.wire.plan("BatchGetItem", Mishap::error(400, "AccessDeniedException"));
    let answer = failure(500, "A001101", "an internal error occurred.");
    refused_in(&lab, READ, &[authlete(CLIENT)], &answer).await;
}

#[tokio::test]
async fn authlete_looks_at_the_credentials_before_all_else() {
    let unreadable = || my_call().body("{");
    let requests = [
        (unreadable(), no_access_token()),
        (unreadable().bearer("two words"), malformed_access_token()),
        (call(NOBODY, &json!({})).bearer(NOBODY), invalid_access_token()),
        (call(CLOSED_SERVICE, &json!({})).bearer(NOBODY), invalid_access_token()),
        (call(CLOSED_SERVICE, &json!({})).bearer(SERVICE_TOKEN), not_covered()),
    ];
    answered_in(&Lab::with_samples().await, &requests).await;
}

// What the Authlete API tells.

#[tokio::test]
async fn an_echoed_client_id_is_short_and_printable() {
    let client = format!("\0\n\u{7f}\u{85}{}", "é".repeat(100));
    let shown = format!("{}{}", "\u{fffd}".repeat(4), "é".repeat(60));
    let answer = bad_request("A215302", &format!("Client with id '{shown}' not found."));
    refused(READ, &[authlete((&client, NOBODY))], &answer).await;
}

#[tokio::test]
async fn an_id_is_told_only_as_the_integer_that_it_spells() {
    let lab = Lab::with_samples().await;
    let names = format!(r#""serviceNumber":715948317,"clientName":"My Test Client",{MY_TEST_CLIENT}"#);
    deleted_in(&lab, &authlete(RFC_CLIENT), RFC_CLIENT.0, &deleted_client(&names)).await;

    for id in ["007", "-1", "+1", "1.0", "9223372036854775808"] {
        create(&lab, id, oauth_client(SERVICE, "token"), false).await;
        let answer = deleted_client(r#""serviceNumber":715948317"#);
        deleted_in(&lab, &authlete((id, "token")), id, &answer).await;
    }

    create_service(&lab, "my-service", Service::default()).await;
    create(&lab, "9223372036854775807", oauth_client("my-service", "token"), false).await;
    let answer = deleted_client(r#""number":9223372036854775807,"clientId":9223372036854775807"#);
    let request = organization(("9223372036854775807", "token"), "my-service");
    deleted_in(&lab, &request, "9223372036854775807", &answer).await;
}

#[tokio::test]
async fn a_service_can_leave_out_the_description_and_the_uri_of_errors() {
    let lab = Lab::with_samples().await;
    for (description, uri) in [(true, true), (true, false), (false, true), (false, false)] {
        let service =
            Service { error_description_omitted: !description, error_uri_omitted: !uri, ..Service::default() };
        let id = format!("service {description} {uri}");
        create_service(&lab, &id, service).await;

        let text = format!("Client with id '{NOBODY}' not found.");
        let answer = told("A215302", &text, "BAD_REQUEST", |message| {
            let description = format!(r#","error_description":"{message}""#).repeat(description.into());
            let uri = r#","error_uri":"https://docs.authlete.com/#A215302""#.repeat(uri.into());
            format!(r#"{{"error":"invalid_request"{description}{uri}}}"#)
        });
        refused_in(&lab, READ, &[organization((NOBODY, NOBODY), &id)], &answer).await;
    }
}

// What the doors have in common.

/// A path segment that cannot be an id.
fn no_ids() -> [String; 3] {
    [String::new(), "%FF".to_owned(), "x".repeat(2049)]
}

#[tokio::test]
async fn what_cannot_be_a_client_id_is_not_found_without_a_call() {
    let requests = no_ids().map(|id| Request::new("DELETE", format!("/config/{APPLICATION}/clients/{id}")));
    refused(NO_CALL, &requests.map(|request| request.basic(OWNER)), &not_found()).await;
    let requests = no_ids().map(|id| Request::new("DELETE", format!("/register/{id}")));
    refused(NO_CALL, &requests.map(|request| request.bearer(NOBODY)), &invalid_token()).await;
}

#[tokio::test]
async fn what_cannot_be_an_application_id_is_not_found_without_a_call() {
    let requests = no_ids().map(|id| Request::new("DELETE", format!("/config/{id}/clients/{TARGET}")));
    refused(NO_CALL, &requests.map(|request| request.basic(OWNER)), &not_found()).await;
}

#[tokio::test]
async fn what_cannot_be_a_service_id_is_not_covered_without_a_call() {
    let requests = no_ids().map(|id| {
        let path = format!("/api/{id}/client/registration/delete");
        Request { path, ..authlete(CLIENT) }
    });
    refused(NO_CALL, &requests, &not_covered()).await;
}

#[tokio::test]
async fn ids_are_any_strings_decoded_once() {
    let lab = Lab::with_samples().await;
    for id in ["a/b", "a b", "a+b", "100%", "%2F", "%25", "..", "é☃", "client#a", "\u{1}"] {
        let [api, caller, oauth, server] = ["api", "caller", "oauth", "server"].map(|kind| format!("{id} {kind}"));
        create(&lab, &caller, api_client(id, &["owner"], &["secret"]), false).await;
        create(&lab, &api, api_client(id, &[], &[]), false).await;
        deleted_in(&lab, &configuration(id, &api).basic((&caller, "secret")), &api, &no_content()).await;

        create(&lab, &oauth, oauth_client(SERVICE, "token"), false).await;
        deleted_in(&lab, &registration(&oauth).bearer("token"), &oauth, &no_content()).await;

        create_service(&lab, id, Service::default()).await;
        create(&lab, &server, oauth_client(id, "token"), false).await;
        deleted_in(&lab, &organization((&server, "token"), id), &server, &deleted_client("")).await;
    }
}

#[tokio::test]
async fn schemes_are_named_in_any_case_and_followed_by_any_number_of_spaces() {
    for (basic_scheme, bearer_scheme) in [("basic ", "bearer "), ("BASIC   ", "BEARER   "), ("bAsIc  ", "bEaReR  ")] {
        let credentials = basic(OWNER).replace("Basic ", basic_scheme);
        deleted(target().authorization(credentials), TARGET, &no_content()).await;
        let token = format!("{bearer_scheme}{}", RFC_CLIENT.1);
        deleted(registration(RFC_CLIENT.0).authorization(token), RFC_CLIENT.0, &no_content()).await;
        let token = format!("{bearer_scheme}{SERVICE_TOKEN}");
        deleted(my_call().authorization(token), CLIENT.0, &my_test_client()).await;
    }
}

#[tokio::test]
async fn if_match_is_met_by_the_version_in_a_list_or_any() {
    for value in ["\"3\"", "*", "\"2\", \"3\"", "\"3\",\"4\"", "\"a\", W/\"3\" , \"3\""] {
        deleted(target().basic(OWNER).if_match(value), TARGET, &no_content()).await;
        deleted(rfc_client().if_match(value), RFC_CLIENT.0, &no_content()).await;
    }
}

/// Entity tags are compared character by character, and weak ones never match (RFC 9110, section 8.8.3.2).
#[tokio::test]
async fn if_match_is_not_met_by_anything_else() {
    let values =
        ["", "3", "\"\"", "\"4\"", "\"2\", \"4\"", "W/\"3\"", "'3'", "\"3", "\"* \"", "\"03\"", "\"+3\"", "\"3 \""];
    let requests = values.map(|value| target().basic(OWNER).if_match(value));
    refused(READ, &requests, &target_is_at_another_version()).await;
    let requests = values.map(|value| rfc_client().if_match(value));
    refused(READ, &requests, &at_another_version()).await;
}

#[tokio::test]
async fn if_match_is_met_by_any_alone_where_the_client_has_no_version() {
    let lab = Lab::with_samples().await;
    create(&lab, "a", api_client(APPLICATION, &[], &[]), false).await;
    let request = || configuration(APPLICATION, "a").basic(OWNER);
    let requests = ["\"0\"", "\"1\"", "\"\""].map(|value| request().if_match(value));
    refused_in(&lab, READ, &requests, &target_is_at_another_version()).await;
    deleted_in(&lab, &request().if_match("*"), "a", &no_content()).await;
}

#[tokio::test]
async fn a_deletion_leaves_a_tombstone_that_says_who_when_from_where_and_how() {
    let itself = format!("client#{}", RFC_CLIENT.0);
    let owner = format!("client#{}", OWNER.0);
    let service = format!("service#{SERVICE}");
    let organization_id = format!("organization#{ORGANIZATION}");
    let deletions = [
        (target().basic(OWNER), TARGET, "configuration", &owner),
        (rfc_client(), RFC_CLIENT.0, "registration", &itself),
        (authlete(CLIENT), CLIENT.0, "authlete", &service),
        (organization(STRICT_CLIENT, STRICT_SERVICE), STRICT_CLIENT.0, "authlete", &organization_id),
    ];
    let lab = Lab::with_samples().await;
    for (request, client, door, by) in deletions {
        let key = format!("client#{client}");
        let was = lab.item(&key).await.unwrap().remove("client").unwrap();
        let context = invocation();
        let request_id = context.request_id.clone();
        let event = serde_json::from_str(&request.event()).unwrap();
        lab.function.call(LambdaEvent::new(event, context)).await.unwrap();

        let text = |text: &str| AttributeValue::S(text.to_owned());
        let seconds = |instant: std::time::SystemTime| {
            AttributeValue::N(instant.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string())
        };
        let deleted = [
            ("at", seconds(now())),
            ("by", text(by)),
            ("via", text(door)),
            ("source_ip", text("203.0.113.7")),
            ("request_id", text(&request_id)),
        ];
        let deleted = deleted.map(|(name, value)| (name.to_owned(), value));
        let tombstone = Item::from([
            (KEY.to_owned(), text(&key)),
            ("tombstone".to_owned(), was),
            ("deleted".to_owned(), AttributeValue::M(deleted.into())),
            ("expires_at".to_owned(), seconds(now() + RETENTION)),
        ]);
        assert_eq!(lab.item(&key).await, Some(tombstone), "{door}");
    }
}

#[tokio::test]
async fn a_deleted_clients_credentials_are_dead_at_every_door() {
    let lab = Lab::with_samples().await;
    let deleted_caller = || configuration(APPLICATION, PROTECTED_TARGET).basic(DIRECT_ACCESS);
    refused_in(&lab, READ, &[deleted_caller()], &forbidden()).await;
    let request = configuration(APPLICATION, DIRECT_ACCESS.0).basic(OWNER);
    deleted_in(&lab, &request, DIRECT_ACCESS.0, &no_content()).await;
    refused_in(&lab, READ, &[deleted_caller()], &unauthenticated()).await;
    refused_in(&lab, READ, &[request], &not_found()).await;

    let itself = || registration(CLIENT.0).bearer(CLIENT.1);
    deleted_in(&lab, &authlete(CLIENT), CLIENT.0, &my_test_client()).await;
    refused_in(&lab, READ, &[itself()], &invalid_token()).await;
    let unknown = bad_request("A215302", "Client with id '1140735077' not found.");
    refused_in(&lab, READ, &[authlete(CLIENT)], &unknown).await;
}

#[tokio::test]
async fn an_answer_has_a_list_of_cookies_in_payload_2_alone() {
    let lab = Lab::empty().await;
    for (event, listed) in [
        (r#"{"version": "2.0", "rawPath": "/nowhere"}"#, Some(json!([]))),
        (r#"{"resource": "/{proxy+}", "path": "/nowhere", "httpMethod": "GET"}"#, None),
    ] {
        let event = LambdaEvent::new(serde_json::from_str(event).unwrap(), support::invocation());
        let answer = serde_json::to_value(lab.function.call(event).await.unwrap()).unwrap();
        assert_eq!(answer.get("cookies"), listed.as_ref());
    }
}
