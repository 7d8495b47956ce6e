//! The HTTP front, in place of API Gateway's HTTP API. It turns each request into an event, gives it to the
//! function's public parser, and turns the function's answer into a response. It can pass GET and PUT of the client
//! configuration endpoint on to the authorization server, as the API of `template.yaml` does.

use crate::envelope::{self, Sender};
use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderName, HeaderValue, Method, StatusCode, header},
    response::Response,
};
use deregister::{dynamodb::ClientsTable, functions::Delete};
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lambda_http::{LambdaEvent, lambda_runtime::Context};
use percent_encoding::percent_decode_str;
use serde_json::Value;
use std::{
    error::Error,
    io,
    net::SocketAddr,
    sync::{
        Arc,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, SystemTime},
};
use tokio::net::TcpListener;

/// API Gateway's limit for a body, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// The time-out of an invocation.
const TIMEOUT: Duration = Duration::from_secs(10);

/// The header fields that concern one connection only (RFC 9110, section 7.6.1), and the name of the host.
const CONNECTION_FIELDS: [HeaderName; 6] = [
    header::CONNECTION,
    header::HOST,
    header::TE,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The authorization server behind the front.
#[derive(Debug, Clone)]
pub(crate) struct RegistrationServer {
    /// The base path of the front. A request may omit it.
    pub(crate) base_path: String,
    /// The path of the client configuration endpoint here.
    pub(crate) path: String,
    /// The URL of the same endpoint at the server. Neither has the client id.
    pub(crate) url: String,
}

/// Answers every request on `listener` with the function, or with the authorization server.
pub(crate) async fn serve(
    listener: TcpListener,
    function: Delete<ClientsTable>,
    server: Option<RegistrationServer>,
) -> io::Result<()> {
    let (function, server) = (Arc::new(function), Arc::new(server));
    let router = Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
        let (function, server) = (Arc::clone(&function), Arc::clone(&server));
        async move {
            let answer = match server.as_ref().as_ref().and_then(|server| server.target(&request)) {
                Some(target) => pass_on(target, request).await,
                None => answer(&function, peer, request).await,
            };
            answer.unwrap_or_else(|_| {
                let mut response = Response::new(Body::from(
                    "The request cannot be converted, or the authorization server did not answer.",
                ));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            })
        }
    });
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
}

impl RegistrationServer {
    /// The URL at the server, if it answers this request. A path that leads out of the endpoint is not passed on.
    fn target(&self, request: &Request) -> Option<String> {
        let path = request.uri().path();
        let path = path.strip_prefix(&self.base_path).unwrap_or(path);
        let id = path.strip_prefix(&self.path)?.strip_prefix('/')?;
        let decoded = percent_decode_str(id).decode_utf8().ok()?;
        let is_inside = !id.is_empty() && !decoded.split(['/', '\\']).any(|segment| [".", ".."].contains(&segment));
        if !(is_inside && [Method::GET, Method::PUT].contains(request.method())) {
            return None;
        }
        let query = request.uri().query().map(|query| format!("?{query}")).unwrap_or_default();
        Some(format!("{}/{id}{query}", self.url.trim_end_matches('/')))
    }
}

/// Sends the request to this URL, and returns the response.
async fn pass_on(target: String, mut request: Request) -> Result<Response, Box<dyn Error>> {
    *request.uri_mut() = target.parse()?;
    let named = request.headers().get_all(header::CONNECTION).iter().filter_map(|names| names.to_str().ok());
    let named: Vec<_> = named.flat_map(|names| names.split(',')).map(|name| name.trim().to_owned()).collect();
    for name in named.iter().map(String::as_str).chain(CONNECTION_FIELDS.iter().map(HeaderName::as_str)) {
        request.headers_mut().remove(name);
    }
    let client = Client::builder(TokioExecutor::new()).build_http::<Body>();
    Ok(client.request(request).await?.map(Body::new))
}

async fn answer(
    function: &Delete<ClientsTable>,
    peer: SocketAddr,
    request: Request,
) -> Result<Response, Box<dyn Error>> {
    let event = serde_json::from_value(event(peer, request).await?)?;
    let answer = function.call(LambdaEvent::new(event, invocation(TIMEOUT))).await?;
    response(&serde_json::to_value(answer)?)
}

/// The event, as an HTTP API makes it.
async fn event(peer: SocketAddr, request: Request) -> Result<Value, Box<dyn Error>> {
    let (parts, body) = request.into_parts();
    let line = |(name, value): (&HeaderName, &HeaderValue)| {
        (name.to_string(), String::from_utf8_lossy(value.as_bytes()).into_owned())
    };
    let request = envelope::Request {
        method: parts.method.to_string(),
        path: parts.uri.path().to_owned(),
        query: parts.uri.query().unwrap_or_default().to_owned(),
        headers: parts.headers.iter().map(line).collect(),
        body: to_bytes(body, MAX_BODY).await?.to_vec(),
        source_ip: peer.ip().to_string(),
        stage: None,
    };
    Ok(request.payload_2(Sender::Gateway))
}

/// The context of a new invocation with this time-out. Its id is unique across runs, because a run may keep its data.
pub(crate) fn invocation(timeout: Duration) -> Context {
    static COUNT: AtomicU64 = AtomicU64::new(0);
    let since_epoch = super::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let mut context = Context::default();
    context.request_id = format!("local-{}-{}", since_epoch.as_nanos(), COUNT.fetch_add(1, Ordering::Relaxed));
    context.deadline = u64::try_from((since_epoch + timeout).as_millis()).unwrap_or(u64::MAX);
    context
}

/// The response that the function's answer describes.
fn response(answer: &Value) -> Result<Response, Box<dyn Error>> {
    let status = answer.get("statusCode").and_then(Value::as_u64).ok_or("an answer without a status")?;
    let mut builder = Response::builder().status(u16::try_from(status)?);
    for (name, value) in answer.get("headers").and_then(Value::as_object).into_iter().flatten() {
        builder = builder.header(name, value.as_str().unwrap_or_default());
    }
    let body = answer.get("body").and_then(Value::as_str).unwrap_or_default();
    Ok(builder.body(Body::from(body.to_owned()))?)
}
