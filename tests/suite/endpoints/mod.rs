//! The three endpoints: each row of `docs/api.md`, its answer to the byte, its database calls, and what it changes.
//!
//! [`table`] runs the table of cases, `tests/cases`. The other modules test what a table cannot express: which of two
//! rows comes first, and requests that need their own client.

mod authlete;
mod common;
mod configuration;
mod paths;
mod registration;
mod table;

use crate::support::{self, Fixture, RETENTION, basic, bearer, invocation, now, sample::*, text, wire};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::{admin::Creation, item::Item, schema::KEY},
    http::event::EventResponse,
    model::{ApiClient, Client, Digest, Id, Kind, OAuthClient, Service, StoredSecret, StoredVersion},
};
use lambda_http::{Body, Response};
use lambda_runtime::LambdaEvent;
use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// An id that no item has, and a secret that no client has.
const UNKNOWN: &str = "x3k9z7q2mt5vb8nyc4hw6rg2sadfjpue";

/// The database calls of a request that the endpoint refuses, of one that the rule refuses, and of a deletion.
const NO_CALL: &[&str] = &[];
const READ: &[&str] = &["BatchGetItem"];
const READ_AND_WRITE: &[&str] = &["BatchGetItem", "UpdateItem"];

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

    async fn send(&self, fixture: &Fixture) -> Answer {
        Answer::of(&fixture.invoke(&self.event()).await)
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

/// The request of RFC 7592's client to delete itself.
fn rfc_client() -> Request {
    registration(RFC_CLIENT.0).bearer(RFC_CLIENT.1)
}

/// The call at a service of the organization, for a client that presented this token.
fn organization((client, token): (&str, &str), service: &str) -> Request {
    call(service, &json!({ "clientId": client, "token": token })).bearer(ORGANIZATION_TOKEN)
}

fn at_service(parameters: &Value) -> Request {
    call(SERVICE, parameters).bearer(SERVICE_TOKEN)
}

fn my_call() -> Request {
    call(SERVICE, &json!({ "clientId": CLIENT.0, "token": CLIENT.1 }))
}

/// A whole answer.
#[derive(Debug, Clone, PartialEq)]
struct Answer {
    status: u16,
    headers: BTreeMap<String, String>,
    body: String,
}

impl Answer {
    /// The answer with the headers of every answer, and with a media type if there is a body.
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

/// Every item of the table, by its key.
async fn items(fixture: &Fixture) -> BTreeMap<String, Item> {
    let found =
        fixture.sdk.scan().table_name(&fixture.table).consistent_read(true).send().await.unwrap().items.unwrap();
    found.into_iter().map(|item| (item.get(KEY).unwrap().as_s().unwrap().clone(), item)).collect()
}

/// Each request gets this answer after these database calls, and leaves the table as it was.
async fn refused_in(fixture: &Fixture, calls: &[&str], requests: &[Request], answer: &Answer) {
    let before = items(fixture).await;
    for request in requests {
        fixture.wire.take_calls();
        assert_eq!(request.send(fixture).await, *answer, "{request:?}");
        assert_eq!(fixture.wire.take_calls(), calls, "{request:?}");
    }
    assert_eq!(items(fixture).await, before);
}

/// The same, over the sample data.
async fn refused(calls: &[&str], requests: &[Request], answer: &Answer) {
    refused_in(&Fixture::anywhere_with_samples().await, calls, requests, answer).await;
}

/// The request gets this answer after one read and one write. `client` is a tombstone then, and no other item changed.
async fn deleted_in(fixture: &Fixture, request: &Request, client: &str, answer: &Answer) {
    let mut before = items(fixture).await;
    assert!(fixture.lives(client).await, "{client}");
    fixture.wire.take_calls();
    assert_eq!(request.send(fixture).await, *answer, "{request:?}");
    assert_eq!(fixture.wire.take_calls(), READ_AND_WRITE, "{request:?}");
    assert!(!fixture.lives(client).await, "{request:?}");
    let mut after = items(fixture).await;
    let key = format!("client#{client}");
    assert!(before.remove(&key).is_some() && after.remove(&key).is_some(), "there is a tombstone");
    assert_eq!(after, before);
}

/// The same, over the sample data.
async fn deleted(request: Request, client: &str, answer: &Answer) {
    deleted_in(&Fixture::anywhere_with_samples().await, &request, client, answer).await;
}

/// Each request meets the conditions of two rows, and gets the answer of the earlier one.
async fn answered_in(fixture: &Fixture, requests: &[(Request, Answer)]) {
    for (request, answer) in requests {
        assert_eq!(request.send(fixture).await, *answer, "{request:?}");
    }
}

async fn create(fixture: &Fixture, id: &str, kind: Kind, protected: bool) {
    let client = Client { protected, version: StoredVersion::None, ..Client::new(kind) };
    let created = fixture.direct().create_client(&Id::new(id).unwrap(), &client).await;
    assert_eq!(created, Ok(Creation::Done), "{id}");
}

/// Creates a service of the sample organization.
async fn create_service(fixture: &Fixture, id: &str, service: Service) {
    let service = Service { organization_id: Some(ORGANIZATION.to_owned()), ..service };
    let created = fixture.direct().create_service(&Id::new(id).unwrap(), &service).await;
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
        service_id: Id::new(service),
        dynamic: true,
        registration_token_digest: Some(Digest::of(token)),
        ..OAuthClient::default()
    })
}

// Answers of the Configuration API.

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
    Answer::new(412, r#"{"errors": "The version of the client does not meet If-Match or If-None-Match."}"#)
}

// Answers of the client configuration endpoint.

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

// Answers of the Authlete API.

/// The answer of the Authlete API to a deletion that is refused or fails.
fn outcome(code: &str, text: &str, action: &str) -> Answer {
    let error = match action {
        "BAD_REQUEST" => "invalid_request",
        "UNAUTHORIZED" => "invalid_token",
        _ => "server_error",
    };
    answer_with(code, text, action, |message| {
        format!(
            r#"{{"error":"{error}","error_description":"{message}","error_uri":"https://docs.authlete.com/#{code}"}}"#
        )
    })
}

fn answer_with(code: &str, text: &str, action: &str, content: impl Fn(&str) -> String) -> Answer {
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

/// The answer of the Authlete API to a deletion, with these members of the client.
fn deleted_client(members: &str) -> Answer {
    Answer::new(
        200,
        format!(
            r#"{{"resultCode":"A216001","resultMessage":"[A216001] The client has been deleted.","action":"DELETED","client":{{{members}}}}}"#
        ),
    )
}

/// The members of the sample clients, without their numbers.
const MY_TEST_CLIENT: &str = r#""clientType":"PUBLIC","redirectUris":["https://example.com/callback"],"responseTypes":["CODE"],"grantTypes":["AUTHORIZATION_CODE"]"#;

fn my_test_client() -> Answer {
    deleted_client(&format!(
        r#""number":1140735077,"serviceNumber":715948317,"clientName":"My Test Client","clientId":1140735077,{MY_TEST_CLIENT}"#
    ))
}

/// The answer to a call that is refused or fails.
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
