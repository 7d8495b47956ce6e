//! How the operator's tool is run, and what is looked at afterwards.

use crate::support::{Fixture, bearer, event};
use axum::{Router, response::IntoResponse};
use deregister::{
    dynamodb::item::Item,
    model::Id,
    snapshot::{Key, Record},
};
use hyper_util::{client::legacy, rt::TokioExecutor};
use lambda_http::http::StatusCode;
use serde_json::{Value, json};
use std::{
    fs,
    future::IntoFuture,
    io::Write,
    path::PathBuf,
    process::{Command, Stdio},
    sync::{
        Arc,
        atomic::{AtomicU32, Ordering},
    },
};
use tokio::{net::TcpListener, sync::Semaphore};

/// A run of the tool.
pub struct Run {
    pub command: Command,
    stdin: String,
}

/// A run of the tool on the fixture's database, with the arguments in `line`.
pub fn ctl(fixture: &Fixture, line: &str) -> Run {
    let mut command = Command::new(env!("CARGO_BIN_EXE_deregisterctl"));
    command
        .args(line.split_whitespace())
        .env_clear()
        .env("AWS_ENDPOINT_URL_DYNAMODB", &fixture.endpoint)
        .env("AWS_REGION", "eu-central-1")
        .env("AWS_ACCESS_KEY_ID", "test")
        .env("AWS_SECRET_ACCESS_KEY", "test")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    Run { command, stdin: String::new() }
}

impl Run {
    pub fn with_env(mut self, name: &str, value: &str) -> Self {
        self.command.env(name, value);
        self
    }

    pub fn with_stdin(self, text: &str) -> Self {
        Self { stdin: text.to_owned(), ..self }
    }

    pub async fn run(mut self) -> Ran {
        let run = move || {
            let mut child = self.command.spawn().unwrap();
            child.stdin.take().unwrap().write_all(self.stdin.as_bytes()).unwrap();
            let output = child.wait_with_output().unwrap();
            let text = |bytes| String::from_utf8(bytes).unwrap();
            Ran { code: output.status.code(), stdout: text(output.stdout), stderr: text(output.stderr) }
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }
}

/// What came of a run.
pub struct Ran {
    pub code: Option<i32>,
    pub stdout: String,
    pub stderr: String,
}

impl Ran {
    /// The output of a run that did what it was told.
    pub fn done(self) -> String {
        assert_eq!((self.code, self.stderr.as_str()), (Some(0), ""));
        self.stdout
    }

    /// The one sentence of a run that was refused or failed.
    pub fn refused(self) -> String {
        assert_eq!((self.code, self.stdout.as_str(), self.stderr.lines().count()), (Some(1), "", 1), "{}", self.stderr);
        self.stderr.trim_end().strip_prefix("deregisterctl: ").unwrap().to_owned()
    }
}

/// The objects that a run prints, one a line.
pub async fn objects(fixture: &Fixture, line: &str) -> Vec<Value> {
    let printed = ctl(fixture, &format!("--json {line}")).run().await.done();
    printed.lines().map(parse).collect()
}

/// The one object that a run prints.
pub async fn object(fixture: &Fixture, line: &str) -> Value {
    only(&ctl(fixture, &format!("--json {line}")).run().await.done())
}

pub fn only(printed: &str) -> Value {
    assert_eq!(printed.lines().count(), 1, "{printed}");
    parse(printed)
}

pub fn parse(line: &str) -> Value {
    serde_json::from_str(line).unwrap()
}

pub fn text<'o>(object: &'o Value, name: &str) -> &'o str {
    object[name].as_str().unwrap_or_else(|| panic!("no {name} in {object}"))
}

/// A file with this text.
pub fn file(name: &str, text: &str) -> PathBuf {
    let path = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("ctl-{name}"));
    fs::write(&path, text).unwrap();
    path
}

/// What becomes of a `PutItem`.
pub enum Put {
    Done,
    /// It takes effect, and the answer says that it failed.
    DoneUnknown,
    Refused,
    /// It takes effect when there is a permit for it.
    Held(Arc<Semaphore>),
}

/// An endpoint in front of the database, at which this becomes of each `PutItem`, counted from 0.
pub async fn front(fixture: &Fixture, becomes: impl Fn(u32) -> Put + Clone + Send + Sync + 'static) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let client = legacy::Client::builder(TokioExecutor::new()).build_http::<axum::body::Body>();
    let (database, puts) = (fixture.endpoint.clone(), Arc::new(AtomicU32::new(0)));
    let forward = async move |mut request: axum::extract::Request| {
        *request.uri_mut() = database.parse().unwrap();
        let is_put = request.headers()["x-amz-target"].to_str().unwrap().ends_with(".PutItem");
        match if is_put { becomes(puts.fetch_add(1, Ordering::Relaxed)) } else { Put::Done } {
            Put::Held(permits) => {
                permits.acquire().await.unwrap().forget();
                client.request(request).await.unwrap().into_response()
            }
            Put::Done => client.request(request).await.unwrap().into_response(),
            Put::DoneUnknown => {
                client.request(request).await.unwrap();
                StatusCode::INTERNAL_SERVER_ERROR.into_response()
            }
            Put::Refused => StatusCode::BAD_REQUEST.into_response(),
        }
    };
    tokio::spawn(axum::serve(listener, Router::new().fallback(forward)).into_future());
    endpoint
}

pub fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

/// What stands under a client's id.
pub async fn client(fixture: &Fixture, client_id: &str) -> Option<Record> {
    fixture.direct().find(&Key::Client(id(client_id))).await.unwrap()
}

/// Every item of a table.
pub async fn table(fixture: &Fixture, name: &str) -> Vec<Item> {
    fixture.sdk.scan().table_name(name).send().await.unwrap().items.unwrap()
}

/// The status with which the client configuration endpoint answers.
pub async fn delete_itself(fixture: &Fixture, client_id: &str, token: &str) -> u16 {
    fixture.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(token)), "").await.status().as_u16()
}

/// The call of the Authlete API that deletes a registered client.
pub fn authlete(service: &str, access_token: &str, registered: &Value) -> String {
    let path = format!("/api/{service}/client/registration/delete");
    let body = json!({ "clientId": registered["client_id"], "token": registered["registration_access_token"] });
    event("POST", &path, "", &[("authorization", &bearer(access_token))], &body.to_string())
}
