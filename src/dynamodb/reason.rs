//! Says in this program's own words why something failed.
//!
//! The texts of the SDK, of its HTTP client and of TLS are never passed on: they can hold whole requests, items,
//! credentials, and lines of files. Only kinds and codes are passed on.

use super::https::UnknownHost;
use aws_credential_types::provider::error::CredentialsError;
use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use rustls::{AlertDescription, CertificateError};
use std::{any::type_name, error::Error, io, iter};

/// Why the call failed: the operation, and DynamoDB's error code or the kind of the failure.
pub(super) fn of_call<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> String {
    let operation = operation::<E>();
    let reason = match error {
        SdkError::ServiceError(refused) => match code(refused.err()) {
            Some(code) => {
                let meaning = of_code(code).map(|meaning| format!(": {meaning}")).unwrap_or_default();
                return format!("{code} in {operation}{meaning}");
            }
            None if refused.raw().status().is_success() => "the answer cannot be read",
            None => return format!("no error code in {operation}, status {}", refused.raw().status().as_u16()),
        },
        SdkError::ConstructionFailure(_) => "the request cannot be built",
        SdkError::TimeoutError(_) => "no answer in time",
        SdkError::ResponseError(_) => of_chain(error).unwrap_or("the answer cannot be read"),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => of_chain(error).unwrap_or("no answer in time"),
        SdkError::DispatchFailure(failure) if failure.is_io() => {
            of_chain(error).unwrap_or("the connection was broken, or the server does not speak HTTP")
        }
        _ => of_chain(error).unwrap_or("the SDK finds no endpoint or no signature for this configuration"),
    };
    format!("{operation}: {reason}")
}

/// The operation with this type of errors. The SDK names its errors after their operations.
fn operation<E>() -> &'static str {
    let name = type_name::<E>().rsplit("::").next().unwrap_or_default();
    name.strip_suffix("Error").unwrap_or(name)
}

/// DynamoDB's error code. `None` if the answer has none, or one that does not look like a code.
pub(super) fn code<E: ProvideErrorMetadata>(error: &E) -> Option<&str> {
    // Letters only: a digest in the place of a code has digits.
    let is_code = |code: &&str| code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphabetic());
    error.code().filter(is_code)
}

/// What the code means, if people who operate the program can do something about it.
fn of_code(code: &str) -> Option<&'static str> {
    Some(match code {
        "AccessDeniedException" => "the role or user may not make this call",
        "ResourceNotFoundException" => {
            "there is no such table or index in this account and Region: check the name, or create the table"
        }
        "UnrecognizedClientException" | "InvalidClientTokenId" => "AWS does not know the access key or session token",
        "InvalidSignatureException" | "SignatureDoesNotMatch" => {
            "the secret access key, the Region or the clock of this machine is wrong"
        }
        "IncompleteSignatureException" | "MissingAuthenticationTokenException" => "the credentials are incomplete",
        "ExpiredTokenException" | "ExpiredToken" => "the credentials have expired",
        "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "ThrottlingException" => {
            "DynamoDB throttles the call"
        }
        "InternalServerError" | "ServiceUnavailable" => "DynamoDB has a fault",
        _ => return None,
    })
}

/// The reason by the first error in the chain whose type says one.
fn of_chain(error: &(dyn Error + 'static)) -> Option<&'static str> {
    iter::successors(Some(error), |&error| error.source()).find_map(|error| {
        let credentials = error.downcast_ref().map(of_credentials);
        let host = || error.downcast_ref().map(|UnknownHost| "the name of the host cannot be resolved");
        credentials.or_else(host).or_else(|| error.downcast_ref().and_then(of_io))
    })
}

/// Why there are no credentials.
pub(super) fn of_credentials(error: &CredentialsError) -> &'static str {
    match error {
        CredentialsError::CredentialsNotLoaded(_) => "no source has credentials",
        CredentialsError::ProviderTimedOut(_) => "the source of the credentials did not answer in time",
        CredentialsError::InvalidConfiguration(_) => "the source of the credentials is configured wrongly",
        _ => error
            .source()
            .and_then(of_chain)
            .unwrap_or("the source of the credentials refuses, or its answer is unusable"),
    }
}

/// Why a connection failed, or why a file cannot be read. `None` if the kind of the error says nothing.
pub(super) fn of_io(error: &io::Error) -> Option<&'static str> {
    use io::ErrorKind as Kind;
    // An error of TLS is in an error of I/O, or in two.
    if let Some(inner) = error.get_ref() {
        let tls = inner.downcast_ref().map(of_tls);
        if let Some(reason) = tls.or_else(|| inner.downcast_ref().and_then(of_io)) {
            return Some(reason);
        }
    }
    Some(match error.kind() {
        Kind::ConnectionRefused => "the connection was refused",
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::UnexpectedEof => {
            "the connection was broken"
        }
        Kind::TimedOut => "no connection in time",
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::NetworkDown => "the network does not reach the host",
        Kind::NotFound => "there is no such file",
        Kind::PermissionDenied => "the permission is denied",
        Kind::IsADirectory => "it is a directory",
        _ => return None,
    })
}

fn of_tls(error: &rustls::Error) -> &'static str {
    match error {
        rustls::Error::InvalidCertificate(error) => match error {
            CertificateError::UnknownIssuer => "the certificate of the server is not under a trusted root",
            CertificateError::Expired | CertificateError::ExpiredContext { .. } => {
                "the certificate of the server has expired, or the clock of this machine is wrong"
            }
            CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
                "the certificate of the server is for another host"
            }
            _ => "the certificate of the server is not valid",
        },
        rustls::Error::AlertReceived(AlertDescription::HandshakeFailure | AlertDescription::ProtocolVersion) => {
            "the server does not support TLS as this program does"
        }
        rustls::Error::InvalidMessage(_) => "the server does not speak TLS",
        _ => "TLS failed",
    }
}
