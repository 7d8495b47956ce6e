//! The database that the tests run against. Each [`Fixture`](super::Fixture) has a table of its own in it.
//!
//! It is an embedded one, new for each fixture and in memory. Where the environment has `AWS_ENDPOINT_URL_DYNAMODB`, the
//! [suites](SUITES) that are about what a database does run against the one at that address instead, in tables called
//! `deregister-test-` and a random number, each deleted with its fixture. Over HTTP it is taken for an emulator, and given
//! credentials that are made up. Over HTTPS, which is how AWS itself is reached, region, credentials and trust come from
//! the environment in the way they do for the function.

use super::wire;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Builder, Config, Credentials, Region},
    error::DisplayErrorContext,
};
use deregister::{dynamodb::connection, settings::Database as Settings};
use std::{
    env,
    hash::{BuildHasher, RandomState},
    thread,
};
use tokio::runtime;

/// The suites that can run against any database. The others are about something else, and name tables as they please.
const SUITES: [&str; 4] = ["store", "doors", "races", "restore"];

/// Where a fixture's table is.
pub struct Database {
    /// The SDK's configuration, with an HTTP client.
    pub config: Builder,
    /// Where it is reached.
    pub endpoint: String,
    /// The table's name. There is no such table yet.
    pub table: String,
    /// What deletes the table in the end, where the database outlives the test.
    pub clean_up: Option<CleanUp>,
}

impl Database {
    /// The database that the environment names, or an embedded one.
    pub async fn open() -> Self {
        let named = env::var("AWS_ENDPOINT_URL_DYNAMODB").ok().filter(|endpoint| !endpoint.is_empty());
        match named.filter(|_| SUITES.contains(&env!("CARGO_CRATE_NAME"))) {
            Some(endpoint) => Self::shared(endpoint).await,
            None => Self::embedded().await,
        }
    }

    async fn embedded() -> Self {
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
    let settings = Settings::read(|_| None).unwrap();
    connection::configure(&settings, |name| env::var(name).ok()).await.unwrap()
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
    /// In a thread and over a connection of its own, since the test's runtime stands still meanwhile.
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
