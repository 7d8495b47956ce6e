//! The connection to DynamoDB: the configuration of the SDK's client, for a short start.
//!
//! On Lambda, the environment holds everything that the client needs, and DynamoDB's certificates are issued under
//! Amazon's own roots. So the SDK's other sources and the machine's certificates are not read there. This saves most of
//! the time that a start can save (`docs/adr/0006-a-lean-client.md`). Elsewhere, and if a variable needs another
//! source, the SDK's own sources are used. Everything that the SDK reads is checked before.

use super::{https, reason, sources, variables};
use crate::settings::{Database, Variables, WrongSetting};
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::{
    Config,
    config::{self, Credentials, StalledStreamProtectionConfig, retry::ReconnectMode},
};
use rustls::{
    RootCertStore,
    pki_types::{
        CertificateDer,
        pem::{self, PemObject},
    },
};
use std::{fmt, time::Duration};

pub use variables::check;

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

/// A configuration for the SDK's client, and where it leads.
#[derive(Debug, Clone)]
pub struct Connection {
    /// The configuration.
    pub config: config::Builder,
    /// Where the database is.
    pub place: Place,
}

/// Where a database is: the Region, and the endpoint.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Place {
    pub(super) region: String,
    /// The endpoint that replaces AWS's own.
    pub(super) endpoint: Option<String>,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { region, endpoint } = self;
        match endpoint {
            Some(endpoint) => write!(f, "Region {region}, endpoint {endpoint}"),
            None => write!(f, "Region {region}, AWS's own endpoint"),
        }
    }
}

/// Why the client of the SDK cannot be configured: what is missing or wrong in the environment, and what to do.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NoConnection {
    /// A variable that the SDK reads has a wrong value.
    #[error(transparent)]
    Variable(#[from] WrongSetting),
    /// The environment names a certificate file that cannot be read.
    #[error("{variable} names {path}, which cannot be read: {why}")]
    Unreadable {
        /// The environment variable.
        variable: &'static str,
        /// The file.
        path: String,
        /// What is wrong with the file.
        why: &'static str,
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
    #[error("TLS cannot be configured")]
    Tls,
    /// The files of AWS profiles do not have the form of such files.
    #[error(
        "the AWS profiles cannot be read: ~/.aws/config, ~/.aws/credentials, or a file that AWS_CONFIG_FILE or \
         AWS_SHARED_CREDENTIALS_FILE names, has a line that is neither a [section] nor a property"
    )]
    UnreadableProfiles,
    /// `AWS_PROFILE` names a profile that does not exist.
    #[error("there is no AWS profile {0:?}: check AWS_PROFILE with aws configure list-profiles, or unset it")]
    UnknownProfile(String),
    /// A property of a profile has a wrong value.
    #[error("{property} of the AWS profile {profile:?} must be {must_be}, and is not")]
    WrongProfile {
        /// The profile.
        profile: String,
        /// The property.
        property: &'static str,
        /// The values that are accepted.
        must_be: &'static str,
    },
    /// AWS has no FIPS or dual-stack variant of another endpoint.
    #[error(
        "FIPS or dual-stack endpoints are switched on, and {0} is not an endpoint of AWS: unset the endpoint, or \
         AWS_USE_FIPS_ENDPOINT and AWS_USE_DUALSTACK_ENDPOINT"
    )]
    OtherEndpoint(String),
    /// No source has a Region.
    #[error("there is no AWS Region: set AWS_REGION, or region in the AWS profile")]
    NoRegion,
    /// No source has credentials.
    #[error(
        "there are no AWS credentials: set AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or AWS_PROFILE to a profile \
         with credentials"
    )]
    NoCredentials,
    /// The credentials of the profile need the AWS CLI.
    #[error(
        "the AWS profile {0:?} gets its credentials by a sign-in or a command, which this program cannot do: run \
         eval \"$(aws configure export-credentials --format env)\", and set AWS_REGION"
    )]
    SignIn(String),
    /// A source should have credentials, and does not give them.
    #[error("the AWS credentials cannot be fetched: {0}; check them with aws sts get-caller-identity")]
    Credentials(&'static str),
    /// A source gives credentials that cannot be used.
    #[error("the AWS credentials must be {must_be}, and are not")]
    WrongCredentials {
        /// The values that are accepted.
        must_be: &'static str,
    },
}

/// The configuration for the endpoint, Region and credentials that the usual AWS environment names. An empty variable
/// counts as unset.
///
/// # Errors
/// [`NoConnection`], if something that a call needs is missing or wrong.
pub async fn configure(settings: &Database, variables: &Variables) -> Result<Connection, NoConnection> {
    check(variables)?;
    let of_lambda = of_lambda(variables)?;
    let http = https::client(trusted(of_lambda.is_some(), variables)?).map_err(|_| NoConnection::Tls)?;
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
    let Connection { config, place } = match of_lambda {
        Some(connection) => connection,
        None => sources::read(variables, http.clone()).await?,
    };
    let config = config
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts)
        // Not needed: the time-out of an attempt also ends an answer that stalls.
        .stalled_stream_protection(StalledStreamProtectionConfig::disabled());
    Ok(Connection { config, place })
}

/// The configuration from Lambda's environment. `None` if this is not Lambda, or if the SDK must read other sources
/// too.
fn of_lambda(variables: &Variables) -> Result<Option<Connection>, WrongSetting> {
    const NEEDS_OTHER_SOURCES: [&str; 4] =
        ["AWS_PROFILE", "AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"];
    if variables.get("AWS_LAMBDA_RUNTIME_API")?.is_none() {
        return Ok(None);
    }
    for name in NEEDS_OTHER_SOURCES {
        if variables.get(name)?.is_some() {
            return Ok(None);
        }
    }
    let id_and_secret = variables.get("AWS_ACCESS_KEY_ID")?.zip(variables.get("AWS_SECRET_ACCESS_KEY")?);
    let Some((region, (id, secret))) = variables.get("AWS_REGION")?.zip(id_and_secret) else { return Ok(None) };
    let session = variables.get("AWS_SESSION_TOKEN")?.map(ToOwned::to_owned);
    let mut config = Config::builder()
        .behavior_version(BehaviorVersion::v2026_01_12())
        .region(Region::new(region.to_owned()))
        .credentials_provider(Credentials::new(id, secret, session, None, "Lambda"));
    let endpoint = endpoint(variables)?;
    config.set_endpoint_url(endpoint.clone());
    Ok(Some(Connection { config, place: Place { region: region.to_owned(), endpoint } }))
}

/// The endpoint that the environment names in place of AWS's own.
fn endpoint(variables: &Variables) -> Result<Option<String>, WrongSetting> {
    let own = variables.get("AWS_ENDPOINT_URL_DYNAMODB")?;
    Ok(own.or(variables.get("AWS_ENDPOINT_URL")?).map(ToOwned::to_owned))
}

/// The trusted roots: Amazon's, and those of the file that the environment names. Without such a file, the machine's
/// roots are trusted too if the server may have a certificate under another root: outside Lambda, at another endpoint,
/// and in partitions with other authorities.
fn trusted(on_lambda: bool, variables: &Variables) -> Result<RootCertStore, NoConnection> {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(AMAZON_ROOTS.map(CertificateDer::from));
    for name in ["AWS_CA_BUNDLE", "SSL_CERT_FILE"] {
        if let Some(path) = variables.get(name)? {
            return add_file(&mut roots, name, path.to_owned()).map(|()| roots);
        }
    }
    let plain = |endpoint: String| endpoint.starts_with("http://");
    let region = variables.get("AWS_REGION")?;
    if !on_lambda || region.is_none_or(has_other_roots) || !endpoint(variables)?.is_none_or(plain) {
        roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    }
    Ok(roots)
}

/// Whether the Region is in a partition whose certificates may have other roots than Amazon's.
fn has_other_roots(region: &str) -> bool {
    ["cn-", "eusc-"].iter().any(|prefix| region.starts_with(prefix)) || region.contains("-iso")
}

/// Adds the certificates of a file. Those that cannot be roots are ignored.
fn add_file(roots: &mut RootCertStore, variable: &'static str, path: String) -> Result<(), NoConnection> {
    let read = CertificateDer::pem_file_iter(&path).and_then(Iterator::collect::<Result<Vec<_>, _>>);
    match read.map(|certificates| roots.add_parsable_certificates(certificates)) {
        Ok((0, _)) => Err(NoConnection::NoCertificate { variable, path }),
        Ok(_) => Ok(()),
        // The other errors quote lines of the file.
        Err(pem::Error::Io(error)) => {
            let why = reason::of_io(&error).unwrap_or("the operating system does not read it");
            Err(NoConnection::Unreadable { variable, path, why })
        }
        Err(_) => Err(NoConnection::Unreadable { variable, path, why: "it does not have the form of a PEM file" }),
    }
}

#[cfg(test)]
mod tests {
    #[test]
    fn the_machines_roots_count_in_partitions_with_other_authorities() {
        for region in ["cn-north-1", "us-iso-east-1", "us-isob-east-1", "eu-isoe-west-1", "eusc-de-east-1"] {
            assert!(super::has_other_roots(region), "{region}");
        }
        for region in ["us-east-1", "eu-central-1", "us-gov-west-1"] {
            assert!(!super::has_other_roots(region), "{region}");
        }
    }
}
