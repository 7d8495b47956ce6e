//! The promises about the connection to the database: what the environment says is what is used, TLS is verified, and
//! the connection is opened once, ahead of the first request.

use crate::support::{Fixture, basic, event, invocation, now, sample};
use deregister::{
    dynamodb::{ClientsTable, connection},
    functions::Delete,
    model::Realm,
    settings::Settings,
    store::{Fault, Store},
};
use lambda_http::LambdaEvent;
use std::{collections::BTreeSet, path::PathBuf, sync::atomic::Ordering, time::Duration};
use tokio::{io::AsyncReadExt, net::TcpListener};

/// What Lambda's environment says, and these variables beside it.
fn environment(more: &[(&'static str, &str)]) -> impl Fn(&str) -> Option<String> + use<> {
    let lambdas = [
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
        ("AWS_SESSION_TOKEN", "session"),
    ];
    let all: Vec<_> = more.iter().chain(&lambdas).map(|&(name, value)| (name, value.to_owned())).collect();
    move |asked| all.iter().find(|(name, _)| *name == asked).map(|(_, value)| value.clone())
}

fn settings() -> Settings {
    Settings::read(|_| None).unwrap()
}

async fn store_in(variables: &[(&'static str, &str)]) -> ClientsTable {
    let config = connection::configure(&settings(), environment(variables)).await.unwrap();
    ClientsTable::new(config, "clients", Duration::ZERO)
}

/// The sample data behind TLS, and a store that trusts its certificate by this variable.
async fn trusting_by(variable: &'static str) -> (tls::Front, ClientsTable) {
    let fixture = Fixture::with_samples().await;
    let certificates = file(variable);
    let front = tls::front(&fixture.endpoint, &certificates).await.unwrap();
    let certificates = certificates.to_str().unwrap();
    let store = store_in(&[("AWS_ENDPOINT_URL_DYNAMODB", front.url.as_str()), (variable, certificates)]).await;
    (front, store)
}

/// A file of this test's own.
fn file(name: &str) -> PathBuf {
    std::env::temp_dir().join(format!("deregister-{}-{name}", std::process::id()))
}

#[tokio::test]
async fn region_and_credentials_are_those_of_lambdas_environment() {
    let database = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", database.local_addr().unwrap());
    let heard = tokio::spawn(async move {
        let (mut stream, _) = database.accept().await.unwrap();
        let mut heard = Vec::new();
        while !heard.windows(4).any(|end| end == b"\r\n\r\n") {
            stream.read_buf(&mut heard).await.unwrap();
        }
        String::from_utf8_lossy(&heard).to_ascii_lowercase()
    });
    let store = store_in(&[("AWS_ENDPOINT_URL", "http://127.0.0.1:1"), ("AWS_ENDPOINT_URL_DYNAMODB", &url)]).await;
    let _ = store.load(BTreeSet::from([key()])).await;
    let heard = heard.await.unwrap();
    assert!(heard.contains("credential=key/") && heard.contains("/eu-central-1/dynamodb/"), "{heard}");
    assert!(heard.contains("x-amz-security-token: session"), "{heard}");
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let fixture = Fixture::with_samples().await;
    let empty = ["AWS_ENDPOINT_URL_DYNAMODB", "AWS_CA_BUNDLE", "SSL_CERT_FILE", "AWS_PROFILE", "AWS_SESSION_TOKEN"];
    let mut variables = vec![("AWS_ENDPOINT_URL", fixture.endpoint.as_str())];
    variables.extend(empty.map(|name| (name, "")));
    store_in(&variables).await.load(BTreeSet::from([key()])).await.unwrap();

    let store = store_in(&[("AWS_ENDPOINT_URL_DYNAMODB", ""), ("AWS_ENDPOINT_URL", "")]).await;
    let fault = store.load(BTreeSet::from([key()])).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
}

#[tokio::test]
async fn the_connection_is_opened_over_tls_and_the_first_delete_uses_it() {
    let (front, store) = trusting_by("AWS_CA_BUNDLE").await;
    store.open(Duration::from_secs(10)).await;
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 1);

    let function = Delete::new(store, Realm::new("deregister").unwrap(), now);
    let path = format!("/config/{}/clients/{}", sample::APPLICATION, sample::TARGET);
    let event = event("DELETE", &path, "", &[("authorization", &basic(sample::OWNER))], "");
    let event = serde_json::from_str(&event).unwrap();
    let answer = Box::pin(function.call(LambdaEvent::new(event, invocation()))).await.unwrap();
    assert_eq!(answer.response.status(), 204);
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_opening_of_no_time_leaves_the_connection_to_the_first_request() {
    let (front, store) = trusting_by("SSL_CERT_FILE").await;
    store.open(Duration::ZERO).await;
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 0);
    store.load(BTreeSet::from([key()])).await.unwrap();
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 1);
}

#[tokio::test]
async fn an_opening_that_fails_is_no_error() {
    let store = store_in(&[("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:1")]).await;
    store.open(Duration::from_secs(10)).await;
}

#[tokio::test]
async fn a_server_whose_certificate_nobody_vouches_for_is_not_spoken_to() {
    let fixture = Fixture::with_samples().await;
    let front = tls::front(&fixture.endpoint, &file("untrusted.pem")).await.unwrap();
    let store = store_in(&[("AWS_ENDPOINT_URL_DYNAMODB", front.url.as_str())]).await;
    let Err(Fault::Unavailable(why)) = store.load(BTreeSet::from([key()])).await else {
        panic!("it was spoken to");
    };
    assert!(why.contains("certificate"), "{why}");
    assert_eq!(front.handshakes.load(Ordering::Relaxed), 0);
}

#[tokio::test]
async fn a_certificate_file_that_is_of_no_use_stops_the_start_and_is_named() {
    let empty = file("empty.pem");
    std::fs::write(&empty, "").unwrap();
    for (variable, path, why) in [
        ("AWS_CA_BUNDLE", "/nonexistent.pem", "cannot be read"),
        ("SSL_CERT_FILE", empty.to_str().unwrap(), "no usable certificate"),
    ] {
        let error = connection::configure(&settings(), environment(&[(variable, path)])).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{variable} names {path}, ")) && error.contains(why), "{error}");
    }
}

#[test]
fn amazons_roots_are_those_that_amazon_publishes() {
    use sha2::{Digest, Sha256};
    for (name, fingerprint) in [
        ("AmazonRootCA1", "8ecde6884f3d87b1125ba31ac3fcb13d7016de7f57cc904fe1cb97c6ae98196e"),
        ("AmazonRootCA2", "1ba5b2aa8c65401a82960118f80bec4f62304d83cec4713a19c39c011ea46db4"),
        ("AmazonRootCA3", "18ce6cfe7bf14e60b2e347b8dfe868cb31d02ebb3ada271569f50343b46db3a4"),
        ("AmazonRootCA4", "e35d28419ed02025cfa69038cd623962458da5c695fbdea3c22b0bfb25897092"),
        ("SFSRootCAG2", "568d6905a2c88708a4b3025190edcfedb1974a606a13c6e5290fcb2ae63edab5"),
    ] {
        let certificate = std::fs::read(format!("src/store/roots/{name}.cer")).unwrap();
        assert_eq!(hex::encode(Sha256::digest(certificate)), fingerprint, "{name}");
    }
}

fn key() -> deregister::snapshot::Key {
    deregister::snapshot::Key::Token("none".to_owned())
}
