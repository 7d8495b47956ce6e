//! The database of a test. Each [`Fixture`](super::Fixture) has a table of its own in it.
//!
//! The database is an embedded one, in memory, new for each fixture. The modules about a database's behaviour run
//! against another database too: if the environment has `AWS_ENDPOINT_URL_DYNAMODB`,
//! [`Fixture::anywhere`](super::Fixture::anywhere) uses the one at that address. Its tables are called
//! `deregister-test-` and a random number, and each is deleted with its fixture. If it is reached over HTTP, it is an
//! emulator and gets made-up credentials. Over HTTPS, which reaches AWS itself, Region, credentials and trust come from
//! the environment, as they do for the function.

use super::wire;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Builder, Config, Credentials, Region},
    error::DisplayErrorContext,
};
use deregister::{
    dynamodb::connection,
    settings::{Database as Settings, Variables},
};
use http_body_util::BodyExt;
use hyper_util::{client::legacy, rt::TokioExecutor};
use lambda_http::http::{self, StatusCode};
use serde_json::Value;
use std::{
    env,
    hash::{BuildHasher, RandomState},
    thread,
};
use tokio::runtime;

/// A database, and the name of a table that does not exist in it yet.
pub struct Database {
    /// The SDK's configuration, with an HTTP client.
    pub config: Builder,
    /// The endpoint.
    pub endpoint: String,
    /// The table's name.
    pub table: String,
    /// Deletes the table, if the database outlives the test.
    pub clean_up: Option<CleanUp>,
}

impl Database {
    /// The database that the environment names, or an embedded one.
    pub async fn named() -> Self {
        match env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|endpoint| !endpoint.is_empty()) {
            Some(endpoint) => Self::shared(endpoint).await,
            None => Self::embedded().await,
        }
    }

    /// An embedded database.
    pub async fn embedded() -> Self {
        let database = dynoxide::Database::memory().unwrap();
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        let endpoint = format!("http://{}", listener.local_addr().unwrap());
        tokio::spawn(dynoxide::server::serve_on(listener, database));
        Self { config: emulator(&endpoint), endpoint, table: "clients".to_owned(), clean_up: None }
    }

    async fn shared(endpoint: String) -> Self {
        let table = format!("deregister-test-{:016x}", RandomState::new().hash_one(()));
        let clean_up = CleanUp { endpoint: endpoint.clone(), table: table.clone() };
        Self { config: reach(&endpoint).await, endpoint, table, clean_up: Some(clean_up) }
    }
}

/// The configuration for the database that the environment names.
async fn reach(endpoint: &str) -> Builder {
    if endpoint.starts_with("http://") {
        return emulator(endpoint);
    }
    let settings = Settings::read(&Variables::default()).unwrap();
    connection::configure(&settings, &env::vars_os().collect()).await.unwrap().config
}

fn emulator(endpoint: &str) -> Builder {
    Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .endpoint_url(endpoint)
        .region(Region::from_static("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .http_client(wire::http())
}

/// Deletes the table when it is dropped.
pub struct CleanUp {
    endpoint: String,
    table: String,
}

impl Drop for CleanUp {
    /// Uses a thread and a connection of its own, because the test's runtime is blocked meanwhile.
    fn drop(&mut self) {
        let delete = || {
            runtime::Builder::new_current_thread().enable_all().build().unwrap().block_on(async {
                let client = Client::from_conf(reach(&self.endpoint).await.build());
                if let Err(error) = client.delete_table().table_name(&self.table).send().await {
                    eprintln!("the table {} is not deleted: {}", self.table, DisplayErrorContext(error));
                }
            });
        };
        thread::scope(|scope| drop(scope.spawn(delete).join()));
    }
}

/// Sends the body of a call to an emulator, without the SDK. Returns the status and the answer.
pub async fn ask(endpoint: &str, target: &str, body: &Value) -> (StatusCode, Value) {
    let request = http::Request::post(endpoint)
        .header("content-type", "application/x-amz-json-1.0")
        .header("x-amz-target", target)
        .header("x-amz-date", "20270115T080000Z")
        .header("authorization", "AWS4-HMAC-SHA256 Credential=test, SignedHeaders=host, Signature=test")
        .body(body.to_string());
    let client = legacy::Client::builder(TokioExecutor::new()).build_http();
    let answer = client.request(request.unwrap()).await.unwrap();
    (answer.status(), serde_json::from_slice(&answer.into_body().collect().await.unwrap().to_bytes()).unwrap())
}
