//! The connection to the database: the environment configures it, it verifies TLS, and the start opens it.

use crate::support::{Fixture, basic, endpoints, event, invocation, now, sample, tls};
use deregister::{
    dynamodb::{ClientsTable, connection},
    functions::{Delete, Environment},
    settings::{Database, Variables},
    snapshot::Key,
    store::{Fault, Store},
};
use lambda_http::LambdaEvent;
use sha2::{Digest, Sha256};
use std::{
    collections::BTreeSet,
    fs,
    path::{Path, PathBuf},
    sync::atomic::Ordering,
    time::Duration,
};
use tokio::{io::AsyncReadExt, net::TcpListener};

/// Lambda's environment with some more variables.
fn environment(more: &[(&str, &str)]) -> Variables {
    let of_lambda = [
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
    ];
    more.iter().chain(&of_lambda).copied().collect()
}

fn settings() -> Database {
    Database::read(&Variables::default()).unwrap()
}

/// The clients table, as Lambda's environment with these variables leads to it.
async fn table_in(variables: &[(&str, &str)]) -> ClientsTable {
    let connection = connection::configure(&settings(), &environment(variables)).await.unwrap();
    ClientsTable::new(connection.config, "clients", Duration::ZERO)
}

/// The sample data behind TLS, and the clients table with the server's certificate in the file that this variable
/// names.
async fn trusting_by(variable: &'static str) -> (tls::Front, ClientsTable) {
    let fixture = Fixture::with_samples().await;
    let certificates = file(variable);
    let front = tls::front(&fixture.endpoint, &certificates).await.unwrap();
    let certificates = certificates.to_str().unwrap();
    let table = table_in(&[("AWS_ENDPOINT_URL_DYNAMODB", front.url.as_str()), (variable, certificates)]).await;
    (front, table)
}

/// The path of a temporary file.
fn file(name: &str) -> PathBuf {
    Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("connection-{}-{name}", std::process::id()))
}

/// The key of an item that does not exist.
fn missing() -> BTreeSet<Key> {
    BTreeSet::from([Key::Token("none".to_owned())])
}

#[tokio::test]
async fn region_and_credentials_come_from_lambdas_environment() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", database.local_addr().unwrap());
    let head = tokio::spawn(async move {
        let (mut stream, _) = database.accept().await.unwrap();
        let mut head = Vec::new();
        while !head.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.read_buf(&mut head).await.unwrap();
        }
        String::from_utf8_lossy(&head).to_ascii_lowercase()
    });
    let table = table_in(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)]).await;
    let _ = table.load(missing()).await;
    let head = head.await.unwrap();
    assert!(head.contains("credential=key/") && head.contains("/eu-central-1/dynamodb/"), "{head}");
    assert!(head.contains("x-amz-security-token: session"), "{head}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let fixture = Fixture::with_samples().await;
    let empty = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_PROFILE", "AWS_SESSION_TOKEN"];
    let mut variables = vec![("AWS_ENDPOINT_URL", fixture.endpoint.as_str())];
    variables.extend(empty.map(|name| (name, "")));
    table_in(&variables).await.load(missing()).await.unwrap();

    let table = table_in(&[("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ENDPOINT_URL", "")]).await;
    let fault = table.load(missing()).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
}

#[tokio::test]
async fn the_first_request_uses_the_tls_connection_that_the_start_opened() {
    let (front, table) = trusting_by("AWS_CA_BUNDLE").await;
    table.open(Duration::from_secs(10)).await;
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 1);

    let function = Delete::new(table, endpoints(), now, Environment::default());
    let path = format!("/config/{}/clients/{}", sample::APPLICATION, sample::TARGET);
    let event = event("DELETE", &path, "", &[("authorization", &basic(sample::OWNER))], "");
    let event = serde_json::from_str(&event).unwrap();
    let answer = Box::pin(function.call(LambdaEvent::new(event, invocation()))).await.unwrap();
    assert_eq!(answer.response.status(), 204);
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn with_an_opening_timeout_of_zero_the_first_request_opens_the_connection() {
    let (front, table) = trusting_by("SSL_CERT_FILE").await;
    table.open(Duration::ZERO).await;
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 0);
    table.load(missing()).await.unwrap();
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn a_connection_that_cannot_be_opened_does_not_stop_the_start() {
    let table = table_in(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]).await;
    table.open(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_server_with_an_untrusted_certificate_is_refused() {
    let fixture = Fixture::with_samples().await;
    let front = tls::front(&fixture.endpoint, &file("untrusted.pem")).await.unwrap();
    let table = table_in(&[("AWS_ENDPOINT_URL_DYNAMODB", front.url.as_str())]).await;
    let Err(Fault::Unavailable(why)) = table.load(missing()).await else { panic!("the server is not refused") };
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn the_start_fails_and_names_the_certificate_file_without_a_usable_certificate() {
    let empty = file("empty.pem");
    fs::write(&empty, "").unwrap();
    for (variable, path, why) in [
        ("AWS_CA_BUNDLE", "/nonexistent.pem", "cannot be read"),
        ("SSL_CERT_FILE", empty.to_str().unwrap(), "no usable certificate"),
    ] {
        let error =
            connection::configure(&settings(), &environment(&[(variable, path)])).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{variable} names {path}, ")) && error.contains(why), "{error}");
    }
}

/// The fingerprints are those of <https://www.amazontrust.com/repository/>.
#[test]
fn amazons_roots_are_those_that_amazon_publishes() {
    for (name, fingerprint) in [
        ("AmazonRootCA1", "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e"),
        ("AmazonRootCA2", "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4"),
        ("AmazonRootCA3", "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4"),
        ("AmazonRootCA4", "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092"),
        ("SFSRootCAG2", "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5"),
    ] {
        let certificate = fs::read(format!("src/dynamodb/roots/{name}.cer")).unwrap();
        assert_eq!(hex::encode(Sha256::digest(certificate)), fingerprint, "{name}");
    }
}
