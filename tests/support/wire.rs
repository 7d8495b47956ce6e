//! The wire between the SDK and the database: it counts the calls, and does to the next ones what it is told to.

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
use deregister::dynamodb::https;
use rustls::RootCertStore;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    pin::Pin,
    sync::{Arc, Mutex},
};

/// What is done to one call.
pub enum Fault {
    /// The database does as it is told, and its answer is lost on the way back.
    AnswerLost,
    /// The connection is closed before the database hears of it.
    Reset,
    /// The database answers this status and JSON text instead of doing anything.
    Answer(u16, String),
    /// Something else happens first; then the call goes through.
    Meanwhile(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// Something else is the case while the call goes through, until what the future gives is dropped.
    While(Pin<Box<dyn Future<Output = Box<dyn Send>> + Send>>),
    /// The database does as it is told, and this status and text take the place of its answer.
    Replaced(u16, &'static str),
    /// The database leaves all keys of a read unprocessed.
    Unprocessed,
    /// The database makes the first of a batch of writes, and leaves the others unprocessed.
    OnlyFirst,
    /// The database refuses the signature, since its clock is far away from the caller's.
    Skewed,
    /// There is never an answer.
    Silence,
}

impl Fault {
    /// The error of this type, as DynamoDB tells it.
    pub fn error(status: u16, kind: &str) -> Self {
        let body = serde_json::json!({
            "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"),
            "message": "as the test asked",
        });
        Self::Answer(status, body.to_string())
    }

    /// Something else that happens first.
    pub fn meanwhile(event: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Meanwhile(Box::pin(event))
    }

    /// Something else that is the case while the call goes through.
    pub fn during<G: Send + 'static>(event: impl Future<Output = G> + Send + 'static) -> Self {
        Self::While(Box::pin(async { Box::new(event.await) as Box<dyn Send> }))
    }
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    last_body: String,
    faults: HashMap<String, VecDeque<Fault>>,
}

/// An HTTP client for the SDK.
#[derive(Clone)]
pub struct Wire {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

/// The HTTP client without a wire around it.
pub fn http() -> SharedHttpClient {
    https::client(RootCertStore::empty()).unwrap()
}

impl Wire {
    pub fn new() -> Self {
        Self::over(http())
    }

    /// A wire around this HTTP client.
    pub fn over(inner: SharedHttpClient) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Does this to the next call of the operation for which nothing is planned yet.
    pub fn plan(&self, operation: &str, fault: Fault) {
        self.state.lock().unwrap().faults.entry(operation.to_owned()).or_default().push_back(fault);
    }

    /// The operations called since this was last asked, each try by itself.
    pub fn take_calls(&self) -> Vec<String> {
        std::mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The body of the last call.
    pub fn last_body(&self) -> String {
        self.state.lock().unwrap().last_body.clone()
    }

    fn next(&self, request: &HttpRequest) -> Option<Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let mut state = self.state.lock().unwrap();
        let fault = state.faults.get_mut(&operation).and_then(VecDeque::pop_front);
        state.calls.push(operation);
        state.last_body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        fault
    }
}

impl fmt::Debug for Wire {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Wire")
    }
}

impl HttpClient for Wire {
    fn http_connector(&self, settings: &HttpConnectorSettings, components: &RuntimeComponents) -> SharedHttpConnector {
        let inner = self.inner.http_connector(settings, components);
        SharedHttpConnector::new(WiredConnector { inner, wire: self.clone() })
    }
}

#[derive(Debug)]
struct WiredConnector {
    inner: SharedHttpConnector,
    wire: Wire,
}

impl HttpConnector for WiredConnector {
    fn call(&self, mut request: HttpRequest) -> HttpConnectorFuture {
        let fault = self.wire.next(&request);
        let inner = self.inner.clone();
        HttpConnectorFuture::new(async move {
            let lost = || ConnectorError::io(std::io::Error::from(std::io::ErrorKind::ConnectionReset).into());
            match fault {
                None => inner.call(request).await,
                Some(Fault::Meanwhile(event)) => {
                    event.await;
                    inner.call(request).await
                }
                Some(Fault::While(event)) => {
                    let _guard = event.await;
                    inner.call(request).await
                }
                Some(Fault::AnswerLost) => {
                    inner.call(request).await?;
                    Err(lost())
                }
                Some(Fault::Reset) => Err(lost()),
                Some(Fault::Silence) => std::future::pending().await,
                Some(Fault::Answer(status, body)) => Ok(answer(status, &body)),
                Some(Fault::Replaced(status, body)) => {
                    inner.call(request).await?;
                    Ok(answer(status, body))
                }
                Some(Fault::Unprocessed) => Ok(answer(200, &unprocessed(&request))),
                Some(Fault::OnlyFirst) => {
                    let left = only_first(&mut request);
                    inner.call(request).await?;
                    Ok(answer(200, &left))
                }
                Some(Fault::Skewed) => {
                    let mut refused =
                        answer(400, r#"{ "__type": "com.amazon.coral.service#InvalidSignatureException" }"#);
                    refused.headers_mut().insert("date", "Thu, 01 Jan 2026 00:00:00 GMT");
                    Ok(refused)
                }
            }
        })
    }
}

fn answer(status: u16, body: &str) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

fn unprocessed(read: &HttpRequest) -> String {
    let read: serde_json::Value = serde_json::from_slice(read.body().bytes().unwrap()).unwrap();
    serde_json::json!({ "Responses": {}, "UnprocessedKeys": read.get("RequestItems") }).to_string()
}

/// Leaves only the first of its writes in the request; the answer that says so of the others.
fn only_first(writes: &mut HttpRequest) -> String {
    let mut body: serde_json::Value = serde_json::from_slice(writes.body().bytes().unwrap()).unwrap();
    let mut left = body.get("RequestItems").cloned().unwrap();
    for (table, requests) in body.get_mut("RequestItems").and_then(|tables| tables.as_object_mut()).unwrap() {
        left[table] = requests.as_array_mut().unwrap().split_off(1).into();
    }
    let body = body.to_string();
    writes.headers_mut().insert("content-length", body.len().to_string());
    *writes.body_mut() = SdkBody::from(body);
    serde_json::json!({ "UnprocessedItems": left }).to_string()
}
