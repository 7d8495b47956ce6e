//! Faults: whether the same call may succeed later, and why it failed. No text of others is passed on.

use super::{deletion, key, load, write_tombstone};
use crate::support::{
    Fixture, RETENTION,
    build::{api_client, id},
    now,
    wire::Fault as Planned,
};
use aws_sdk_dynamodb::config::{HttpClient, RuntimeComponents, retry::RetryConfig};
use aws_smithy_runtime_api::client::{
    http::{HttpConnector, HttpConnectorFuture, HttpConnectorSettings, SharedHttpConnector},
    orchestrator::HttpRequest,
    result::ConnectorError,
};
use deregister::{
    dynamodb::ClientsTable,
    model::IdlePartition,
    rule::Authorization,
    store::{ClientStatuses, Fault, IdleClients, Store},
};
use rustls::pki_types::ServerName;
use serde_json::json;
use std::io;

#[tokio::test]
async fn an_error_makes_the_database_unavailable_if_the_same_call_may_succeed_later() {
    for (status, kind, is_temporary) in [
        (400, "ProvisionedThroughputExceededException", true),
        (400, "RequestLimitExceeded", true),
        (400, "ThrottlingException", true),
        (400, "TransactionConflictException", true),
        (400, "ReplicatedWriteConflictException", true),
        (500, "InternalServerError", true),
        (503, "ServiceUnavailable", true),
        (400, "ValidationException", false),
        (400, "ResourceNotFoundException", false),
        (400, "AccessDeniedException", false),
        (400, "UnrecognizedClientException", false),
    ] {
        let fixture = Fixture::anywhere().await;
        for operation in ["BatchGetItem", "UpdateItem"] {
            (0..4).for_each(|_| fixture.wire.plan(operation, Planned::error(status, kind)));
        }
        let read = load(&fixture.clients, &[key("a")]).await.unwrap_err();
        let written = write_tombstone(&fixture, "a", &[]).await.unwrap_err();
        for fault in [read, written] {
            match fault {
                Fault::Unavailable(_) => assert!(is_temporary, "{kind}: {fault}"),
                Fault::Unexpected(_) => assert!(!is_temporary, "{kind}: {fault}"),
                Fault::Unreadable(_) => panic!("{kind}: {fault}"),
            }
            assert!(fault.to_string().contains(kind), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_database_that_cannot_be_reached_is_unavailable() {
    let fixture = Fixture::anywhere().await;
    (0..4).for_each(|_| fixture.wire.plan("BatchGetItem", Planned::Reset));
    let fault = load(&fixture.clients, &[key("a")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
}

/// A text that must not be passed on.
const SECRET: &str = "token#0123456789abcdef";

/// Checks that a fault of each call says these words, and nothing of the text.
async fn assert_words(clients: &ClientsTable, words: &str) {
    let read = load(clients, &[key("a")]).await.unwrap_err().to_string();
    let (target, client) = (id("a"), api_client().build());
    let authorization = Authorization::new(&target, &client, Vec::new());
    let written = clients.write_tombstone(&authorization, &deletion("this")).await.unwrap_err().to_string();
    let status = clients.client_status(&id("a")).await.unwrap_err().to_string();
    let idle =
        clients.idle_clients(IdlePartition { used: true, shard: '0' }, now(), None).await.unwrap_err().to_string();
    let calls = [(read, "BatchGetItem"), (written, "UpdateItem"), (status, "GetItem"), (idle, "Query")];
    for (text, operation) in calls {
        assert!(text.contains(operation) && text.contains(words), "{text}");
        assert!(!text.contains(SECRET) && !text.contains("client#a"), "{text}");
    }
}

#[tokio::test]
async fn the_text_of_an_error_of_the_database_is_not_passed_on() {
    for (status, kind, words) in [
        (400, "AccessDeniedException", "the role or user may not make this call"),
        (400, "ResourceNotFoundException", "there is no such table or index in this account and Region"),
        (400, "UnrecognizedClientException", "AWS does not know the access key or session token"),
        (400, "InvalidSignatureException", "the secret access key, the Region or the clock of this machine is wrong"),
        (400, "ExpiredTokenException", "the credentials have expired"),
        (400, "ThrottlingException", "DynamoDB throttles the call"),
        (500, "InternalServerError", "DynamoDB has a fault"),
        (400, "ImATeapotException", "ImATeapotException in "),
        // An answer of something else than DynamoDB: its code is not one.
        (403, SECRET, "no error code in "),
    ] {
        let fixture = Fixture::empty().await;
        for operation in ["BatchGetItem", "UpdateItem", "GetItem", "Query"] {
            let body = json!({ "__type": kind, "message": format!("Failed to parse '{SECRET}' of client#a") });
            (0..4).for_each(|_| fixture.wire.plan(operation, Planned::Answer(status, body.to_string())));
        }
        assert_words(&fixture.clients, words).await;
    }
}

#[tokio::test]
async fn the_text_of_an_answer_that_cannot_be_read_is_not_passed_on() {
    let answers = [(200, "the answer cannot be read"), (403, "no error code in "), (503, "status 503")];
    for (status, words) in answers {
        let fixture = Fixture::empty().await;
        for operation in ["BatchGetItem", "UpdateItem", "GetItem", "Query"] {
            let body = format!("{{\"Item\": <html>{SECRET} of client#a");
            (0..4).for_each(|_| fixture.wire.plan(operation, Planned::Answer(status, body.clone())));
        }
        let fault = load(&fixture.clients, &[key("a")]).await.unwrap_err().to_string();
        assert!(fault.contains(words) && !fault.contains(SECRET), "{fault}");
    }
}

/// An HTTP client that always fails.
#[derive(Debug, Clone, Copy)]
struct Failing(Failure);

type Failure = fn() -> ConnectorError;

impl HttpClient for Failing {
    fn http_connector(&self, _: &HttpConnectorSettings, _: &RuntimeComponents) -> SharedHttpConnector {
        SharedHttpConnector::new(*self)
    }
}

impl HttpConnector for Failing {
    fn call(&self, _: HttpRequest) -> HttpConnectorFuture {
        HttpConnectorFuture::ready(Err(self.0()))
    }
}

#[tokio::test]
async fn the_text_of_an_error_of_the_connection_is_not_passed_on() {
    let fixture = Fixture::empty().await;
    let errors: [(Failure, &str); 10] = [
        (|| ConnectorError::io(io::Error::new(io::ErrorKind::ConnectionRefused, SECRET).into()), "was refused"),
        (|| ConnectorError::io(io::Error::new(io::ErrorKind::ConnectionReset, SECRET).into()), "was broken"),
        (
            || ConnectorError::io(io::Error::new(io::ErrorKind::HostUnreachable, SECRET).into()),
            "does not reach the host",
        ),
        (|| ConnectorError::io(io::Error::new(io::ErrorKind::TimedOut, SECRET).into()), "no connection in time"),
        (|| ConnectorError::io(io::Error::other(unknown_issuer()).into()), "is not under a trusted root"),
        (|| ConnectorError::io(io::Error::other(other_host()).into()), "is for another host"),
        (|| ConnectorError::io(SECRET.into()), "was broken, or the server does not speak HTTP"),
        (|| ConnectorError::timeout(SECRET.into()), "no answer in time"),
        (|| ConnectorError::user(SECRET.into()), "no endpoint or no signature"),
        (|| ConnectorError::other(SECRET.into(), None), "no endpoint or no signature"),
    ];
    for (error, words) in errors {
        let config = fixture.sdk.config().to_builder().http_client(Failing(error));
        let config = config.retry_config(RetryConfig::disabled());
        assert_words(&ClientsTable::new(config, &fixture.table, RETENTION), words).await;
    }
}

fn unknown_issuer() -> io::Error {
    let error = rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer);
    io::Error::new(io::ErrorKind::InvalidData, error)
}

fn other_host() -> rustls::Error {
    let error = rustls::CertificateError::NotValidForNameContext {
        expected: ServerName::try_from("localhost").unwrap(),
        presented: vec![SECRET.to_owned()],
    };
    rustls::Error::InvalidCertificate(error)
}

/// The SDK puts the whole request into the text of this error.
#[tokio::test]
async fn a_malformed_endpoint_shows_no_request() {
    let fixture = Fixture::empty().await;
    for endpoint in ["127.0.0.1:8000", "localhost"] {
        let config = fixture.sdk.config().to_builder().endpoint_url(endpoint);
        assert_words(&ClientsTable::new(config, &fixture.table, RETENTION), "no endpoint or no signature").await;
    }
}

#[tokio::test]
async fn a_host_that_cannot_be_resolved_has_a_reason_of_its_own() {
    let fixture = Fixture::empty().await;
    // No resolver asks a server for a label of more than 63 characters.
    let endpoint = format!("http://{}.example", "a".repeat(64));
    let config = fixture.sdk.config().to_builder().endpoint_url(endpoint).retry_config(RetryConfig::disabled());
    assert_words(&ClientsTable::new(config, &fixture.table, RETENTION), "the name of the host cannot be resolved")
        .await;
}
