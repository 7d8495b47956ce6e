//! The empty handler with TLS: for each event it makes two HTTPS requests, and answers 204.
//!
//! It uses the function's TLS library and HTTP client. `AWS_ENDPOINT_URL_DYNAMODB` is the URL of the requests.
//! `AWS_CA_BUNDLE` is the file with the certificates that it trusts.

use http_body_util::{BodyExt, Empty};
use hyper_rustls::HttpsConnectorBuilder;
use hyper_util::{client::legacy::Client, rt::TokioExecutor};
use lambda_http::{Body, Error, Request, Response, http::Uri, run_concurrent, service_fn};
use rustls::{
    ClientConfig, RootCertStore,
    crypto::ring,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{env, sync::Arc};

#[tokio::main(flavor = "current_thread")]
async fn main() -> Result<(), Error> {
    let mut roots = RootCertStore::empty();
    for certificate in CertificateDer::pem_file_iter(env::var("AWS_CA_BUNDLE")?)? {
        roots.add(certificate?)?;
    }
    let tls = ClientConfig::builder_with_provider(Arc::new(ring::default_provider()))
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots)
        .with_no_client_auth();
    let connector = HttpsConnectorBuilder::new().with_tls_config(tls).https_only().enable_http1().build();
    let client = Client::builder(TokioExecutor::new()).build::<_, Empty<&[u8]>>(connector);
    let host: Uri = env::var("AWS_ENDPOINT_URL_DYNAMODB")?.parse()?;
    run_concurrent(service_fn(move |_: Request| {
        let (client, host) = (client.clone(), host.clone());
        async move {
            for _ in 0..2 {
                client.get(host.clone()).await?.into_body().collect().await?;
            }
            let mut response = Response::new(Body::Empty);
            *response.status_mut() = lambda_http::http::StatusCode::NO_CONTENT;
            Ok::<_, Error>(response)
        }
    }))
    .await
}
