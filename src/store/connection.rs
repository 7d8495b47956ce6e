//! The connection to DynamoDB: the SDK's client, with an HTTP client and limits of our own.

use crate::settings::Settings;
use aws_config::{BehaviorVersion, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::Client;
use aws_smithy_http_client::{Builder, tls};
use std::time::Duration;

/// The wait before the second try of a call, at the most. The SDK's own is a second, which is the time that most callers
/// are willing to wait in all.
const FIRST_BACKOFF: Duration = Duration::from_millis(25);
/// The longest wait between two tries.
const LONGEST_BACKOFF: Duration = Duration::from_millis(500);

/// A client for the endpoint, region and credentials that the usual AWS environment names.
pub async fn connect(settings: &Settings) -> Client {
    let http = Builder::new().tls_provider(tls::Provider::Rustls(tls::rustls_provider::CryptoMode::Ring)).build_https();
    let retries = RetryConfig::standard()
        .with_max_attempts(settings.attempts)
        .with_initial_backoff(FIRST_BACKOFF)
        .with_max_backoff(LONGEST_BACKOFF);
    let timeouts = TimeoutConfig::builder()
        .operation_attempt_timeout(settings.attempt_timeout)
        .operation_timeout(settings.call_timeout)
        .build();
    let environment = aws_config::defaults(BehaviorVersion::v2026_01_12())
        .http_client(http)
        .retry_config(retries)
        .timeout_config(timeouts)
        .load()
        .await;
    Client::new(&environment)
}
