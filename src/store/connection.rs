//! The connection to DynamoDB: how the SDK's client is configured, for a short start.
//!
//! On Lambda everything that the client needs stands in the environment, and DynamoDB's certificates are issued under
//! Amazon's own roots. Taking both from there, instead of asking the SDK's chain of sources and reading every
//! certificate on the machine, is most of what a start can save (`docs/adr/0006-a-lean-client.md`). Elsewhere, and
//! wherever the environment asks for more, the SDK's own ways are taken.

use crate::settings::Settings;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Config,
    config::{self, Credentials, SharedHttpClient},
};
use aws_smithy_http_client::{Builder, tls};
use base64::{Engine, prelude::BASE64_STANDARD};
use rustls::{
    RootCertStore,
    pki_types::{CertificateDer, pem::PemObject},
};
use std::{fs, time::Duration};

/// The wait before the second try of a call, at the most. The SDK's own is a second, which is the time that most callers
/// are willing to wait in all.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// The roots under which Amazon's certificates are issued: Amazon Root CA 1 to 4, and Starfield Services Root G2.
const AMAZON_ROOTS: &str = include_str!("amazon-roots.pem");

/// A certificate file that the environment names and that is of no use.
#[derive(Debug, thiserror::Error)]
#[error("{variable} names {path}, {why}")]
pub struct UnusableCertificates {
    variable: &'static str,
    path: String,
    why: String,
}

/// The configuration for the endpoint, region and credentials that the usual AWS environment names; `variable` gives an
/// environment variable's value.
///
/// # Errors
/// [`UnusableCertificates`], where `AWS_CA_BUNDLE` or `SSL_CERT_FILE` names a file without a usable certificate.
pub async fn configure(
    settings: &Settings,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<config::Builder, UnusableCertificates> {
    let http = https(trusted(&variable)?);
    let retries = RetryConfig::standard()
        .with_max_attempts(settings.attempts)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(settings.attempt_timeout)
        .operation_timeout(settings.call_timeout)
        .build();
    let config = if let Some(config) = of_lambda(&variable) {
        config
    } else {
        let sources = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
        (&Box::pin(sources.load()).await).into()
    };
    Ok(config.http_client(http).retry_config(retries).timeout_config(timeouts))
}

/// The configuration that stands in Lambda's environment, or nothing where it is not all there is to know.
fn of_lambda(variable: impl Fn(&str) -> Option<String>) -> Option<config::Builder> {
    const ASK_THE_SDK: [&str; 4] =
        ["AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"];
    variable("AWS_LAMBDA_RUNTIME_API")?;
    if ASK_THE_SDK.into_iter().any(|name| variable(name).is_some()) {
        return None;
    }
    let credentials = Credentials::new(
        variable("AWS_ACCESS_KEY_ID")?,
        variable("AWS_SECRET_ACCESS_KEY")?,
        variable("AWS_SESSION_TOKEN"),
        None,
        "Lambda",
    );
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(variable("AWS_REGION")?))
        .credentials_provider(credentials);
    config.set_endpoint_url(endpoint(variable));
    Some(config)
}

/// The endpoint that takes the place of AWS's own.
fn endpoint(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    variable("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// Whose certificates are trusted: Amazon's, and those of the file that the environment names. The machine's own roots
/// count where neither would do: at another endpoint, and in partitions that other authorities serve.
fn trusted(variable: impl Fn(&str) -> Option<String>) -> Result<tls::TrustStore, UnusableCertificates> {
    let amazon = tls::TrustStore::empty().with_pem_certificate(AMAZON_ROOTS);
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        if let Some(path) = variable(name) {
            return match certificates(&path) {
                Ok(pem) => Ok(amazon.with_pem_certificate(pem)),
                Err(why) => Err(UnusableCertificates { variable: name, path, why }),
            };
        }
    }
    let elsewhere = variable("AWS_REGION").is_none_or(|region| region.starts_with("cn-") || region.contains("-iso"));
    Ok(if elsewhere || endpoint(variable).is_some() { tls::TrustStore::default() } else { amazon })
}

/// The certificates of a file, as PEM. Those that rustls cannot use are left out, since the SDK panics on them.
fn certificates(path: &str) -> Result<String, String> {
    let pem = fs::read(path).map_err(|error| format!("which cannot be read: {error}"))?;
    let usable = |der: &CertificateDer<'_>| RootCertStore::empty().add(der.clone().into_owned()).is_ok();
    let mut blocks = String::new();
    for der in CertificateDer::pem_slice_iter(&pem).filter_map(Result::ok).filter(usable) {
        let base64 = BASE64_STANDARD.encode(der);
        blocks.extend(["-----BEGIN CERTIFICATE-----\n", &base64, "\n-----END CERTIFICATE-----\n"]);
    }
    if blocks.is_empty() { Err("which holds no usable certificate".to_owned()) } else { Ok(blocks) }
}

/// An HTTPS client with rustls and ring.
fn https(trusted: tls::TrustStore) -> SharedHttpClient {
    let builder = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring));
    match tls::TlsContext::builder().with_trust_store(trusted).build() {
        Ok(context) => builder.tls_context(context).build_https(),
        Err(_) => builder.build_https(),
    }
}
