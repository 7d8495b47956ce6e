//! The connection to DynamoDB: the configuration of the SDK's client, for a short start.
//!
//! On Lambda, the environment holds everything that the client needs, and DynamoDB's certificates are issued under
//! Amazon's own roots. So the SDK's other sources and the machine's certificates are not read there. This saves most of
//! the time that a start can save (`docs/adr/0006-a-lean-client.md`). Elsewhere, and if a variable needs another
//! source, the SDK's own sources are used.

use super::https;
use crate::settings::Database;
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

/// The longest wait before the second attempt of a call. The SDK's default is a second. Most callers do not wait longer
/// than that for the whole answer.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
/// The longest wait between two attempts.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// The roots of Amazon's certificates, from <https://www.amazontrust.com/repository/>.
const AMAZON_ROOTS: [&[u8]; 5] = [
    include_bytes!("roots/AmazonRootCA1.cer"),
    include_bytes!("roots/AmazonRootCA2.cer"),
    include_bytes!("roots/AmazonRootCA3.cer"),
    include_bytes!("roots/AmazonRootCA4.cer"),
    include_bytes!("roots/SFSRootCAG2.cer"),
];

/// Why the HTTPS client cannot be made.
#[derive(Debug, thiserror::Error)]
pub enum NoHttps {
    /// The environment names a certificate file that cannot be read.
    #[error("{variable} names {path}, which cannot be read: {why}")]
    Unreadable {
        /// The environment variable.
        variable: &'static str,
        /// The file.
        path: String,
        /// What is wrong with the file.
        why: pem::Error,
    },
    /// The environment names a certificate file without a certificate that can be a root.
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

/// The configuration for the endpoint, Region and credentials that the usual AWS environment names. `variable` gives
/// the value of an environment variable. An empty value counts as unset.
///
/// # Errors
/// [`NoHttps`] if `AWS_CA_BUNDLE` or `SSL_CERT_FILE` names a file without a usable certificate.
pub async fn configure(
    settings: &Database,
    variable: impl Fn(&str) -> Option<String>,
) -> Result<config::Builder, NoHttps> {
    let variable = |name: &str| variable(name).filter(|value| !value.is_empty());
    let of_lambda = of_lambda(variable);
    let http = https::client(trusted(of_lambda.is_some(), variable)?)?;
    let retries = RetryConfig::standard()
        .with_max_attempts(settings.attempts)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF)
        // An error answer does not mean that the connection is broken. A broken connection is closed anyway.
        .with_reconnect_mode(ReconnectMode::ReuseAllConnections);
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(settings.attempt_timeout)
        .operation_timeout(settings.call_timeout)
        .build();
    let config = if let Some(config) = of_lambda {
        config
    } else {
        // These retries are for the calls that fetch credentials. Without them, the SDK reads AWS_MAX_ATTEMPTS and
        // AWS_RETRY_MODE, and panics on a wrong or empty value.
        let sources = aws_config::defaults(BehaviorVersion::v2026_01_12())
            .http_client(http.clone())
            .retry_config(RetryConfig::standard());
        let sources = Box::pin(sources.load()).await;
        let mut config = config::Builder::from(&sources);
        if configured_endpoint(&sources, "AWS_ENDPOINT_URL").is_some_and(|endpoint| endpoint.is_empty()) {
            config.set_endpoint_url(endpoint(variable).or_else(|| profile_endpoint(&sources)));
        }
        config
    };
    Ok(config.http_client(http).retry_config(retries).timeout_config(timeouts))
}

/// The configuration from Lambda's environment. `None` if this is not Lambda, or if the SDK must read other sources
/// too.
fn of_lambda(variable: impl Fn(&str) -> Option<String>) -> Option<config::Builder> {
    const NEEDS_OTHER_SOURCES: [&str; 4] =
        ["AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"];
    variable("AWS_LAMBDA_RUNTIME_API")?;
    if NEEDS_OTHER_SOURCES.into_iter().any(|name| variable(name).is_some()) {
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

/// The endpoint that replaces AWS's own.
fn endpoint(variable: impl Fn(&str) -> Option<String>) -> Option<String> {
    variable("AWS_ENDPOINT_URL_DYNAMODB").or_else(|| variable("AWS_ENDPOINT_URL"))
}

/// The endpoint of the profile. The SDK reads an empty environment variable as an endpoint, and then ignores the
/// profile. So ask it again, with the name of a variable that does not exist.
fn profile_endpoint(sources: &SdkConfig) -> Option<String> {
    configured_endpoint(sources, "DEREGISTER_HAS_NO_SUCH_VARIABLE").filter(|endpoint| !endpoint.is_empty())
}

/// The endpoint that the SDK reads from the environment variable of this name, or the service's own, or the profile.
fn configured_endpoint(sources: &SdkConfig, variable: &str) -> Option<String> {
    let key = ServiceConfigKey::builder().service_id("dynamodb").env(variable).profile("endpoint_url").build().ok()?;
    sources.service_config()?.load_config(key)
}

/// The trusted roots: Amazon's, and those of the file that the environment names. Without such a file, the machine's
/// roots are trusted too if the server may have a certificate under another root: outside Lambda, at another endpoint,
/// and in partitions with other authorities.
fn trusted(on_lambda: bool, variable: impl Fn(&str) -> Option<String>) -> Result<RootCertStore, NoHttps> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(AMAZON_ROOTS.map(CertificateDer::from));
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        if let Some(path) = variable(name) {
            return add_file(&mut roots, name, path).map(|()| roots);
        }
    }
    let has_other_roots = |region: String| region.starts_with("cn-") || region.contains("-iso");
    let plain = |endpoint: String| endpoint.starts_with("http://");
    if !on_lambda || variable("AWS_REGION").is_none_or(has_other_roots) || !endpoint(variable).is_none_or(plain) {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

/// Adds the certificates of a file. Those that cannot be roots are ignored.
fn add_file(roots: &mut RootCertStore, variable: &'static str, path: String) -> Result<(), NoHttps> {
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read.map(|certificates| roots.add_parsable_certificates(certificates)) {
        Ok((0, _)) => Err(NoHttps::NoCertificate { variable, path }),
        Ok(_) => Ok(()),
        Err(why) => Err(NoHttps::Unreadable { variable, path, why }),
    }
}
