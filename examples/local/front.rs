//! The HTTP front: it does what API Gateway's HTTP API does. Each request becomes an event of payload 2.0, which goes
//! through the function's public parser; what the function hands back becomes the response.

use axum::{
    Router,
    body::{Body, to_bytes},
    extract::{ConnectInfo, Request},
    http::{HeaderMap, StatusCode},
    response::Response,
};
use base64::{Engine, prelude::BASE64_STANDARD};
use deregister::{dynamodb::ClientsTable, functions::Delete};
use lambda_http::{LambdaEvent, lambda_runtime::Context};
use serde_json::{Map, Value, json};
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

/// API Gateway's own limit for a body, in bytes.
const MAX_BODY: usize = 10 * 1024 * 1024;
/// The time that an answer may take.
const TIMEOUT: Duration = Duration::from_secs(10);

/// Answers every request on `listener` with the function.
pub(crate) async fn serve(listener: TcpListener, function: Delete<ClientsTable>) -> io::Result<()> {
    let function = Arc::new(function);
    let router = Router::new().fallback(move |ConnectInfo(peer): ConnectInfo<SocketAddr>, request: Request| {
        let function = Arc::clone(&function);
        async move {
            answer(&function, peer, request).await.unwrap_or_else(|error| {
                let mut response = Response::new(Body::from(error.to_string()));
                *response.status_mut() = StatusCode::BAD_GATEWAY;
                response
            })
        }
    });
    axum::serve(listener, router.into_make_service_with_connect_info::<SocketAddr>()).await
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

/// The event of payload 2.0.
async fn event(peer: SocketAddr, request: Request) -> Result<Value, Box<dyn Error>> {
    let (parts, body) = request.into_parts();
    let bytes = to_bytes(body, MAX_BODY).await?;
    let (body, is_base64) = match String::from_utf8(bytes.to_vec()) {
        Ok(text) => (text, false),
        Err(binary) => (BASE64_STANDARD.encode(binary.as_bytes()), true),
    };
    Ok(json!({
        "version": "2.0",
        "routeKey": "$default",
        "rawPath": parts.uri.path(),
        "rawQueryString": parts.uri.query().unwrap_or_default(),
        "headers": joined(&parts.headers),
        "requestContext": {
            "stage": "$default",
            "http": {
                "method": parts.method.as_str(),
                "path": parts.uri.path(),
                "protocol": format!("{:?}", parts.version),
                "sourceIp": peer.ip().to_string(),
            },
        },
        "body": if body.is_empty() { Value::Null } else { Value::String(body) },
        "isBase64Encoded": is_base64,
    }))
}

/// The header fields; field lines of one name are joined with commas.
fn joined(headers: &HeaderMap) -> Map<String, Value> {
    let lines = |name| {
        let values = headers.get_all(name).iter().map(|value| String::from_utf8_lossy(value.as_bytes()));
        values.collect::<Vec<_>>().join(",")
    };
    headers.keys().map(|name| (name.to_string(), Value::String(lines(name)))).collect()
}

/// The context of a new invocation, which has this much time. Its id is unique across runs too, since a run may keep
/// its data.
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
