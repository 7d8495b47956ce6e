//! The function as it is deployed, with a network that can fail. And a summary of its answers.

use crate::support::{
    Fixture,
    endpoint::Endpoint::{self, Authlete, Configuration, Registration},
    header, now,
    proxy::Proxy,
    sample::{CLIENT, OWNER, RFC_CLIENT, SERVICE_TOKEN},
    text,
    wire::{FAULT_MESSAGE, Wire},
};
use aws_sdk_dynamodb::config::retry::RetryPartition;
use deregister::{
    dynamodb::{ClientsTable, connection},
    functions::{Delete, Environment},
    settings::{Database, Endpoints, Variables},
};
use lambda_http::{Body, Context, LambdaEvent, Response};
use serde_json::{Value, json};

/// The credentials of the function for the database.
const DATABASE_SECRETS: [&str; 2] = ["wJalrXUtnFEMIK7MDENGbPxRfiCY", "IQoJb3JpZ2luX2VjEXAMPLE"];

/// The function with the connection that it has on Lambda: over a wire, and over a proxy.
pub(super) struct Site {
    pub(super) proxy: Proxy,
    pub(super) wire: Wire,
    function: Delete<ClientsTable>,
}

impl Site {
    /// The function over the fixture's table. `variables` is a part of the environment: `NAME=value NAME=value`.
    pub(super) async fn open(fixture: &Fixture, variables: &str) -> Self {
        let proxy = Proxy::before(&fixture.endpoint);
        let ([key, session], url, table) = (DATABASE_SECRETS, proxy.url(), &fixture.table);
        let environment = format!(
            "AWS_LAMBDA_RUNTIME_API=127.0.0.1:9001 AWS_REGION=eu-central-1 AWS_ACCESS_KEY_ID=test \
             AWS_SECRET_ACCESS_KEY={key} AWS_SESSION_TOKEN={session} AWS_ENDPOINT_URL_DYNAMODB={url} \
             CLIENTS_TABLE={table} {variables}"
        );
        let variables: Variables = environment.split(' ').filter_map(|variable| variable.split_once('=')).collect();
        let (database, endpoints) = (Database::read(&variables).unwrap(), Endpoints::read(&variables).unwrap());
        let config = connection::configure(&database, &variables).await.unwrap().config;
        let wire = Wire::over(config.clone().build().http_client().unwrap());
        // A quota of retries of its own: a case must not use up the quota of the others.
        let config = config.retry_partition(RetryPartition::new(url)).http_client(wire.clone());
        let clients = ClientsTable::new(config, database.table, database.retention);
        clients.open(endpoints.opening_timeout).await;
        wire.take_calls();
        Self { proxy, wire, function: Delete::new(clients, endpoints, now, Environment::default()) }
    }

    /// The answer to the request of the endpoint. Checks that it holds no secret and no text of the database.
    pub(super) async fn answer(&self, endpoint: Endpoint, invocation: Context) -> Response<Body> {
        let event = serde_json::from_str(&endpoint.event()).unwrap();
        let answer = Box::pin(self.function.call(LambdaEvent::new(event, invocation))).await.unwrap().response;
        let printed = format!("{answer:?}");
        let hidden = [OWNER.1, RFC_CLIENT.1, CLIENT.1, SERVICE_TOKEN, FAULT_MESSAGE];
        hidden.into_iter().chain(DATABASE_SECRETS).for_each(|hidden| assert!(!printed.contains(hidden), "{printed}"));
        answer
    }
}

/// The outcome of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    Deleted,
    /// The same request may succeed later.
    Unavailable,
    Failed,
}
pub(super) use Outcome::{Deleted, Failed, Unavailable};

/// The status and the words of an answer that show its outcome, and its header fields `Cache-Control`, `Pragma`,
/// `Content-Type` and `Retry-After`.
pub(super) type Summary = (String, [Option<String>; 4]);

pub(super) fn summary(answer: &Response<Body>) -> Summary {
    let read = |text: &str| serde_json::from_str(text).unwrap_or_else(|_| json!({ "error": text }));
    let body: Value = read(text(answer));
    let content: Value = body["responseContent"].as_str().map_or(Value::Null, read);
    let members = [&body["errors"], &body["error"], &body["resultCode"], &body["action"], &content["error"]];
    let words: Vec<_> = members.into_iter().filter_map(Value::as_str).collect();
    let words = format!("{} {}", answer.status().as_str(), words.join(" "));
    let fields = ["cache-control", "pragma", "content-type", "retry-after"];
    (words.trim_end().to_owned(), fields.map(|name| header(answer, name).map(str::to_owned)))
}

/// The summary of the answer with this outcome. `call` is the call that meets the fault.
pub(super) fn expected_summary(endpoint: Endpoint, call: &str, outcome: Outcome) -> Summary {
    let words = match (endpoint, outcome) {
        (Configuration | Registration, Deleted) => "204",
        (Configuration, Unavailable) => "503 The service is temporarily unavailable.",
        (Configuration, Failed) => "500 An internal error occurred.",
        (Registration, Unavailable) => "503 temporarily_unavailable",
        (Registration, Failed) => "500 server_error",
        (Authlete, Deleted) => "200 A216001 DELETED",
        (Authlete, _) if call == "UpdateItem" => "200 A001101 INTERNAL_SERVER_ERROR server_error",
        (Authlete, Unavailable) => "503 D001003",
        (Authlete, Failed) => "500 A001101",
    };
    let json = (words != "204").then_some("application/json");
    let retry_after = words.starts_with("503").then_some("1");
    (words.to_owned(), [Some("no-store"), Some("no-cache"), json, retry_after].map(|value| value.map(str::to_owned)))
}
