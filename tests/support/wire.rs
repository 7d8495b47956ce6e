//! The wire between the SDK and the database. It counts the calls, and plays planned faults.

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
use http_body_util::Limited;
use rustls::RootCertStore;
use std::{
    collections::{HashMap, VecDeque},
    fmt,
    future::Future,
    mem,
    pin::Pin,
    sync::{Arc, Mutex},
};

/// The message of every error answer that [`Fault::error`] makes.
pub const FAULT_MESSAGE: &str = "as the test asked";

/// What happens to one attempt of a call.
pub enum Fault {
    /// The database carries out the call, and its answer is lost.
    AnswerLost,
    /// The connection is reset. The database does not receive the call.
    Reset,
    /// The database does not receive the call. This status and JSON text are the answer.
    Answer(u16, String),
    /// The future runs first. Then the database carries out the call.
    Meanwhile(Pin<Box<dyn Future<Output = ()> + Send>>),
    /// The future runs first. Then the database carries out the call. The output of the future is dropped after the
    /// answer.
    While(Pin<Box<dyn Future<Output = Box<dyn Send>> + Send>>),
    /// The database carries out the call. This status and text replace its answer.
    Replaced(u16, &'static str),
    /// The database carries out the call. Its answer breaks off at the start of the body.
    Truncated,
    /// The database leaves all keys of a read unprocessed.
    Unprocessed,
    /// The database makes the first write of a batch, and leaves the others unprocessed.
    OnlyFirst,
    /// The database refuses the signature, because its clock differs from the caller's.
    Skewed,
    /// The database does not receive the call, and there is never an answer.
    Silence,
    /// The sender gives the call up, and [`Late::arrive`] delivers it later.
    Late(Late),
}

/// A call that arrives after its sender gave it up.
#[derive(Clone, Default)]
pub struct Late(Arc<Mutex<Option<(SharedHttpConnector, HttpRequest)>>>);

impl Late {
    /// Delivers the call. Its answer is dropped.
    pub async fn arrive(&self) {
        let (connector, request) = self.0.lock().unwrap().take().unwrap();
        connector.call(request).await.unwrap();
    }
}

impl Fault {
    /// An error answer of DynamoDB, with this type.
    pub fn error(status: u16, kind: &str) -> Self {
        let body = serde_json::json!({
            "__type": format!("com.amazonaws.dynamodb.v20120810#{kind}"),
            "message": FAULT_MESSAGE,
        });
        Self::Answer(status, body.to_string())
    }

    /// [`Meanwhile`](Self::Meanwhile), with a future that is not boxed.
    pub fn meanwhile(event: impl Future<Output = ()> + Send + 'static) -> Self {
        Self::Meanwhile(Box::pin(event))
    }

    /// [`While`](Self::While), with a future that is not boxed.
    pub fn during<G: Send + 'static>(event: impl Future<Output = G> + Send + 'static) -> Self {
        Self::While(Box::pin(async { Box::new(event.await) as Box<dyn Send> }))
    }
}

#[derive(Default)]
struct State {
    calls: Vec<String>,
    last_body: String,
    faults: HashMap<String, VecDeque<Fault>>,
    rules: Vec<(String, Rule)>,
}

/// Gives the fault of an attempt with this body, if there is one.
type Rule = Box<dyn FnMut(&str) -> Option<Fault> + Send>;

/// An HTTP client for the SDK. Clones share the plan and the calls.
#[derive(Clone)]
pub struct Wire {
    inner: SharedHttpClient,
    state: Arc<Mutex<State>>,
}

/// The HTTP client of the function, without a wire.
pub fn http() -> SharedHttpClient {
    https::client(RootCertStore::empty()).unwrap()
}

impl Wire {
    /// A wire over this HTTP client.
    pub fn over(inner: SharedHttpClient) -> Self {
        Self { inner, state: Arc::default() }
    }

    /// Plans a fault for an attempt of the operation: the next one without a plan.
    pub fn plan(&self, operation: &str, fault: Fault) {
        self.state.lock().unwrap().faults.entry(operation.to_owned()).or_default().push_back(fault);
    }

    /// Plans the faults of all further attempts of the operation: the rule gets the body of each. It comes after what
    /// [`plan`](Self::plan) planned.
    pub fn always(&self, operation: &str, rule: impl FnMut(&str) -> Option<Fault> + Send + 'static) {
        self.state.lock().unwrap().rules.push((operation.to_owned(), Box::new(rule)));
    }

    /// Ends the rules of [`always`](Self::always).
    pub fn repair(&self) {
        self.state.lock().unwrap().rules.clear();
    }

    /// The operations that were called since the last `take_calls`. Each attempt counts.
    pub fn take_calls(&self) -> Vec<String> {
        mem::take(&mut self.state.lock().unwrap().calls)
    }

    /// The body of the last attempt.
    pub fn last_body(&self) -> String {
        self.state.lock().unwrap().last_body.clone()
    }

    fn next(&self, request: &HttpRequest) -> Option<Fault> {
        let target = request.headers().get("x-amz-target").unwrap_or_default();
        let operation = target.rsplit('.').next().unwrap_or_default().to_owned();
        let body = String::from_utf8_lossy(request.body().bytes().unwrap_or_default()).into_owned();
        let mut state = self.state.lock().unwrap();
        let planned = state.faults.get_mut(&operation).and_then(VecDeque::pop_front);
        let mut rules = state.rules.iter_mut().filter(|(of, _)| *of == operation);
        let fault = planned.or_else(|| rules.find_map(|(_, rule)| rule(&body)));
        state.calls.push(operation);
        state.last_body = body;
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
                Some(Fault::Late(late)) => {
                    *late.0.lock().unwrap() = Some((inner, request));
                    Err(ConnectorError::timeout(std::io::Error::from(std::io::ErrorKind::TimedOut).into()))
                }
                Some(Fault::Answer(status, body)) => Ok(answer(status, &body)),
                Some(Fault::Replaced(status, body)) => {
                    inner.call(request).await?;
                    Ok(answer(status, body))
                }
                Some(Fault::Truncated) => {
                    let mut answer = inner.call(request).await?;
                    let body = mem::replace(answer.body_mut(), SdkBody::empty());
                    *answer.body_mut() = SdkBody::from_body_1_x(Limited::new(body, 0));
                    Ok(answer)
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

/// An answer of DynamoDB.
fn answer(status: u16, body: &str) -> HttpResponse {
    let mut response = HttpResponse::new(StatusCode::try_from(status).unwrap(), SdkBody::from(body));
    response.headers_mut().insert("content-type", "application/x-amz-json-1.0");
    response
}

/// The answer that leaves all keys of the read unprocessed.
fn unprocessed(read: &HttpRequest) -> String {
    let read: serde_json::Value = serde_json::from_slice(read.body().bytes().unwrap()).unwrap();
    serde_json::json!({ "Responses": {}, "UnprocessedKeys": read.get("RequestItems") }).to_string()
}

/// Keeps only the first write in the request. Returns the answer that leaves the others unprocessed.
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
