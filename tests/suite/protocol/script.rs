//! A scripted wire between the SDK and the embedded database: every attempt waits until the script says what happens to
//! it.

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::{
    client::{
        http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
        orchestrator::{HttpRequest, HttpResponse},
        result::ConnectorError,
    },
    http::StatusCode,
};
use aws_smithy_types::body::SdkBody;
use dynoxide::{Database, Result};
use serde::{Serialize, de::DeserializeOwned};
use serde_json::Value;
use std::{
    fmt, io,
    sync::{Arc, Mutex},
};
use tokio::sync::oneshot;

/// A database call.
#[derive(Clone)]
pub struct Call {
    pub operation: String,
    pub body: Value,
}

/// What the sender of an attempt gets.
pub enum Reply {
    Answer(u16, String),
    /// The connection breaks.
    Reset,
    /// The sender gives the attempt up.
    TimeOut,
}

impl Reply {
    /// The answer of a server that fails.
    pub fn server_error() -> Self {
        Self::Answer(500, r#"{"__type":"com.amazonaws.dynamodb.v20120810#InternalServerError"}"#.to_owned())
    }
}

/// Carries out a call on the embedded database.
pub fn carry_out(database: &Database, call: &Call) -> Reply {
    let body = &call.body;
    let answer = match call.operation.as_str() {
        "BatchGetItem" => answer(body, |request| database.batch_get_item(request)),
        "GetItem" => answer(body, |request| database.get_item(request)),
        "PutItem" => answer(body, |request| database.put_item(request)),
        "DeleteItem" => answer(body, |request| database.delete_item(request)),
        "UpdateItem" => answer(body, |request| database.update_item(request)),
        "Query" => answer(body, |request| database.query(request)),
        other => panic!("{other}"),
    };
    match answer {
        Ok(body) => Reply::Answer(200, body),
        Err(error) => Reply::Answer(error.status_code(), error.to_json()),
    }
}

fn answer<Q: DeserializeOwned, A: Serialize>(body: &Value, operation: impl FnOnce(Q) -> Result<A>) -> Result<String> {
    operation(serde_json::from_value(body.clone()).unwrap()).map(|answer| serde_json::to_string(&answer).unwrap())
}

/// An HTTP client for the SDK, over the embedded database.
#[derive(Clone)]
pub struct Script {
    database: Database,
    /// The attempt that waits. `None` in a script that carries out every attempt at once.
    waiting: Option<Waiting>,
}

type Waiting = Arc<Mutex<Option<(Call, oneshot::Sender<Reply>)>>>;

impl Script {
    /// A wire on which every attempt waits.
    pub fn stepwise(database: &Database) -> Self {
        Self { database: database.clone(), waiting: Some(Arc::default()) }
    }

    /// A wire without faults.
    pub fn direct(database: &Database) -> Self {
        Self { database: database.clone(), waiting: None }
    }

    /// The call that waits.
    pub fn waiting(&self) -> Option<Call> {
        self.waiting.as_ref()?.lock().unwrap().as_ref().map(|(call, _)| call.clone())
    }

    /// Replies to the attempt that waits.
    pub fn reply(&self, reply: Reply) {
        let waiting = self.waiting.as_ref().and_then(|waiting| waiting.lock().unwrap().take());
        // The sender may have given up.
        let _ = waiting.expect("an attempt that waits").1.send(reply);
    }
}

impl fmt::Debug for Script {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Script")
    }
}

impl HttpClient for Script {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(self.clone())
    }
}

impl From<Script> for SharedHttpClient {
    fn from(script: Script) -> Self {
        Self::new(script)
    }
}

impl HttpConnector for Script {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = serde_json::from_slice(request.body().bytes().unwrap()).unwrap();
        let call = Call { operation, body };
        let Some(waiting) = &self.waiting else {
            return HttpConnectorFuture::ready(response(carry_out(&self.database, &call)));
        };
        let (sender, reply) = oneshot::channel();
        *waiting.lock().unwrap() = Some((call, sender));
        HttpConnectorFuture::new(async move { response(reply.await.unwrap_or(Reply::Reset)) })
    }
}

fn response(reply: Reply) -> std::result::Result<HttpResponse, ConnectorError> {
    match reply {
        Reply::Answer(status, body) => {
            let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
            response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
            Ok(response)
        }
        Reply::Reset => Err(ConnectorError::io(io::Error::from(io::ErrorKind::ConnectionReset).into())),
        Reply::TimeOut => Err(ConnectorError::timeout(io::Error::from(io::ErrorKind::TimedOut).into())),
    }
}
