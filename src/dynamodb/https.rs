//! The HTTP client for the SDK: HTTP/1.1, the only version that DynamoDB speaks, over rustls and ring.
//!
//! The SDK's own client does the same, and adds HTTP/2, proxies, and a trust store that each client reads again.

use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, SharedHttpClient};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::{HttpRequest, HttpResponse},
    result::ConnectorError,
};
use aws_smithy_types::body::SdkBody;
use hyper_rustls::{HttpsConnector, HttpsConnectorBuilder};
use hyper_util::{
    client::legacy::{
        Client,
        connect::{
            HttpConnector as TcpConnector,
            dns::{GaiAddrs, GaiResolver, Name},
        },
    },
    rt::{TokioExecutor, TokioTimer},
};
use rustls::{ClientConfig, RootCertStore, client::Resumption, crypto::ring};
use std::{
    fmt,
    pin::Pin,
    sync::Arc,
    task::{Context, Poll},
    time::Duration,
};
use tokio::time::timeout;
use tower_service::Service;

/// The time-out for a connection.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(3);

/// An HTTP client that trusts servers with a certificate under one of these roots. If an endpoint's URL begins with
/// `http://`, it uses plain HTTP.
///
/// # Errors
/// None in practice: ring supports the protocol versions.
pub fn client(roots: RootCertStore) -> Result<SharedHttpClient, rustls::Error> {
    let mut tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    // The client connects to one server, DynamoDB, and perhaps to servers that give credentials.
    tls.resumption = Resumption::in_memory_sessions(8);

    let mut tcp = TcpConnector::new_with_resolver(Resolver(GaiResolver::new()));
    tcp.enforce_http(false);
    tcp.set_nodelay(true);
    tcp.set_connect_timeout(Some(CONNECT_TIMEOUT));
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http().enable_http1();
    let client =
        Client::builder(TokioExecutor::new()).pool_timer(TokioTimer::new()).build(connector.wrap_connector(tcp));
    Ok(SharedHttpClient::new(Https { client, read_timeout: None }))
}

/// A pool of connections. Clones share it.
#[derive(Clone)]
struct Https {
    client: Client<HttpsConnector<TcpConnector<Resolver>>, SdkBody>,
    /// The time-out for the first byte of an answer.
    read_timeout: Option<Duration>,
}

impl fmt::Debug for Https {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Https")
    }
}

impl HttpClient for Https {
    fn http_connector(&self, settings: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(Self { read_timeout: settings.read_timeout(), ..self.clone() })
    }
}

impl HttpConnector for Https {
    fn call(&self, request: HttpRequest) -> HttpConnectorFuture {
        let Self { client, read_timeout } = self.clone();
        HttpConnectorFuture::new(async move {
            let request = request.try_into_http1x().map_err(|error| ConnectorError::user(error.into()))?;
            let answer = client.request(request);
            let answer = match read_timeout {
                Some(limit) => timeout(limit, answer).await.map_err(|late| ConnectorError::timeout(late.into()))?,
                None => answer.await,
            };
            // The same call may succeed when it is made again.
            let response = answer.map_err(|error| ConnectorError::io(error.into()))?;
            HttpResponse::try_from(response.map(SdkBody::from_body_1_x))
                .map_err(|error| ConnectorError::other(error.into(), None))
        })
    }
}

/// The resolver of the operating system. Its errors have a type of their own, which the reason for a failure needs.
#[derive(Debug, Clone)]
struct Resolver(GaiResolver);

/// The name of a host cannot be resolved.
#[derive(Debug, thiserror::Error)]
#[error("the name of the host cannot be resolved")]
pub(super) struct UnknownHost;

impl Service<Name> for Resolver {
    type Response = GaiAddrs;
    type Error = UnknownHost;
    type Future = Pin<Box<dyn Future<Output = Result<GaiAddrs, UnknownHost>> + Send>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), UnknownHost>> {
        self.0.poll_ready(context).map_err(|_| UnknownHost)
    }

    fn call(&mut self, name: Name) -> Self::Future {
        let addresses = self.0.call(name);
        Box::pin(async { addresses.await.map_err(|_| UnknownHost) })
    }
}
