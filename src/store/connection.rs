//! The connection to DynamoDB: how the SDK's client is configured, for a short start.
//!
//! On Lambda everything that the client needs stands in the environment, and DynamoDB's certificates are issued under
//! Amazon's own roots. Taking both from there, instead of asking the SDK's chain of sources and reading every
//! certificate on the machine, is most of what a start can save (`docs/adr/0006-a-lean-client.md`). Elsewhere, and
//! wherever the environment asks for more, the SDK's own ways are taken.

use super::https;
use crate::settings::Settings;
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Config,
    config::{self, Credentials, retry::ReconnectMode},
};
use aws_types::{SdkConfig, service_config::ServiceConfigKey};
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};
use std::time::Duration;

/// The wait before the second try of a call, at the most. The SDK's own is a second, which is the time that most callers
/// are willing to wait in all.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// The roots under which Amazon's certificates are issued, as <https://www.amazontrust.com/repository/> has them.
const AMAZON_ROOTS: [&[u8]; 5] = [
    include_bytes!("roots/AmazonRootCA1.cer"),
    include_bytes!("roots/AmazonRootCA2.cer"),
    include_bytes!("roots/AmazonRootCA3.cer"),
    include_bytes!("roots/AmazonRootCA4.cer"),
    include_bytes!("roots/SFSRootCAG2.cer"),
];

/// Why there is no HTTPS client.
#[derive(Debug, thiserror::Error)]
pub enum NoHttps {
    /// A certificate file that the environment names cannot be read.
    #[error("{variable} names {path}, which cannot be read: {why}")]
    Unreadable {
        /// The environment variable.
        variable: &'static str,
        /// The file.
        path: String,
        /// What is wrong with it.
        why: pem::Error,
    },
    /// A certificate file that the environment names holds none that can be a root.
    #[error("{variable} names {path}, which holds no usable certificate")]
    NoCertificate {
        /// The environment variable.
        variable: &'static str,
        /// The file.
        path: String,
    },
    /// TLS cannot be configured.
    #[error(transparent)]
    Tls(#[from] rustls::Error),
}

/// The configuration for the endpoint, region and credentials that the usual AWS environment names; `variable` gives an
/// environment variable's value. An empty value counts as unset.
///
/// # Errors
/// [`NoHttps`], where `AWS_CA_BUNDLE` or `SSL_CERT_FILE` names a file without a usable certificate.
pub async fn configure(
    settings: &Settings,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<config::Builder, NoHttps> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let of_lambda = of_lambda(variable);
    let http = https::client(trusted(of_lambda.is_some(), variable)?)?;
    let retries = RetryConfig::standard()
        .with_max_attempts(settings.attempts)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF)
        // What breaks a connection closes it; an answer that says no to a call says nothing against the connection.
        .with_reconnect_mode(ReconnectMode::ReuseAllConnections);
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(settings.attempt_timeout)
        .operation_timeout(settings.call_timeout)
        .build();
    let config = if let Some(config) = of_lambda {
        config
    } else {
        let sources = aws_config::defaults(BehaviorVersion::v2026_01_12()).http_client(http.clone());
        let sources = Box::pin(sources.load()).await;
        let mut config = config::Builder::from(&sources);
        if configured_endpoint(&sources, "AWS_ENDPOINT_URL").is_some_and(|endpoint| endpoint.is_empty()) {
            config.set_endpoint_url(endpoint(variable).or_else(|| profile_endpoint(&sources)));
        }
        config
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

/// The endpoint of the profile alone: the SDK takes an empty environment variable for an endpoint, and then does not look
/// at the profile.
fn profile_endpoint(sources: &SdkConfig) -> Option<String> {
    configured_endpoint(sources, "DEREGISTER_HAS_NO_SUCH_VARIABLE").filter(|endpoint| !endpoint.is_empty())
}

/// The endpoint that the SDK reads from the environment variable of this name, or the service's own, or the profile.
fn configured_endpoint(sources: &SdkConfig, variable: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("dynamodb").env(variable).profile("endpoint_url").build().ok()?;
    sources.service_config()?.load_config(key)
}

/// Whose certificates are trusted: Amazon's, and those of the file that the environment names. The machine's own roots
/// count where neither would do: off Lambda, at another endpoint, and in partitions that other authorities serve.
fn trusted(on_lambda: bool, variable: impl Fn(&str) -> Option<String>) -> Result<RootCertStore, NoHttps> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(AMAZON_ROOTS.map(CertificateDer::from));
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        if let Some(path) = variable(name) {
            return add_file(&mut roots, name, path).map(|()| roots);
        }
    }
    let others_serve = |region: String| region.starts_with("cn-") || region.contains("-iso");
    let plain = |endpoint: String| endpoint.starts_with("http://");
    if !on_lambda || variable("AWS_REGION").is_none_or(others_serve) || !endpoint(variable).is_none_or(plain) {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

/// Adds the certificates of a file, save those that cannot be roots.
fn add_file(roots: &mut RootCertStore, variable: &'static str, path: String) -> Result<(), NoHttps> {
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read.map(|certificates| roots.add_parsable_certificates(certificates)) {
        Ok((0, _)) => Err(NoHttps::NoCertificate { variable, path }),
        Ok(_) => Ok(()),
        Err(why) => Err(NoHttps::Unreadable { variable, path, why }),
    }
}
