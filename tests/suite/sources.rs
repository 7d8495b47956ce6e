//! The SDK's own sources, outside Lambda: an empty variable counts as unset, and what a profile or a container gives is
//! checked before the SDK uses it.

use crate::support::Fixture;
use axum::{Router, routing::get};
use deregister::{
    dynamodb::{
        ClientsTable,
        connection::{self, Connection, NoConnection},
    },
    settings::{Database, Variables},
    snapshot::Key,
    store::Store,
};
use std::{
    collections::BTreeSet,
    fs, iter,
    path::{Path, PathBuf},
    sync::{
        Arc,
        atomic::{AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::net::TcpListener;

/// Keys and a Region, as a profile has them.
const COMPLETE: &str = "region = eu-central-1\naws_access_key_id = id\naws_secret_access_key = key\n";

/// A home directory of its own.
fn home(name: &str, config: &str, credentials: &str) -> PathBuf {
    let home = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("sources-{}-{name}", std::process::id()));
    fs::create_dir_all(home.join(".aws")).unwrap();
    fs::write(home.join(".aws/config"), config).unwrap();
    fs::write(home.join(".aws/credentials"), credentials).unwrap();
    home
}

/// The connection with this home directory and these variables.
async fn connect(home: &Path, variables: &[(&str, &str)]) -> Result<Connection, NoConnection> {
    let home = home.to_str().unwrap();
    let always = [("HOME", home), ("AWS_EC2_METADATA_DISABLED", "true")];
    let variables = variables.iter().copied().chain(always).collect();
    connection::configure(&Database::read(&Variables::default()).unwrap(), &variables).await
}

/// The reason why there is no connection.
async fn refused(home: &Path, variables: &[(&str, &str)]) -> String {
    connect(home, variables).await.map(|connection| connection.place.to_string()).unwrap_err().to_string()
}

/// Reads a key that does not exist.
async fn read(connection: Connection) -> Result<(), String> {
    let table = ClientsTable::new(connection.config, "clients", Duration::ZERO);
    table.load(BTreeSet::from([Key::Token("none".to_owned())])).await.map(drop).map_err(|fault| fault.to_string())
}

#[tokio::test]
async fn an_empty_variable_counts_as_unset() {
    let fixture = Fixture::empty().await;
    let endpoint = format!("endpoint_url = {}\n", fixture.endpoint);
    let home = home("empty", &format!("[default]\n{COMPLETE}{endpoint}"), "");
    let empty = [
        "AWS_REGION",
        "AWS_DEFAULT_REGION",
        "AWS_PROFILE",
        "AWS_CONFIG_FILE",
        "AWS_SHARED_CREDENTIALS_FILE",
        "AWS_ENDPOINT_URL",
        "AWS_ENDPOINT_URL_DYNAMODB",
        "AWS_ACCESS_KEY_ID",
        "AWS_SECRET_ACCESS_KEY",
        "AWS_SESSION_TOKEN",
        "AWS_WEB_IDENTITY_TOKEN_FILE",
        "AWS_ROLE_ARN",
        "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
        "AWS_USE_FIPS_ENDPOINT",
        "AWS_MAX_ATTEMPTS",
        "AWS_RETRY_MODE",
    ];
    let variables = empty.map(|name| (name, ""));
    let connection = connect(&home, &variables).await.unwrap();
    assert_eq!(connection.place.to_string(), format!("Region eu-central-1, endpoint {}", fixture.endpoint));
    assert_eq!(read(connection).await, Ok(()));
}

#[tokio::test]
async fn the_default_region_counts_if_the_region_is_empty() {
    let home = home("default-region", "", "");
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];
    let variables = [("AWS_REGION", ""), ("AWS_DEFAULT_REGION", "eu-west-1")];
    let place = connect(&home, &[&keys[..], &variables].concat()).await.unwrap().place;
    assert_eq!(place.to_string(), "Region eu-west-1, AWS's own endpoint");
}

#[tokio::test]
async fn an_odd_property_of_a_profile_is_named_and_not_quoted() {
    for (name, property, value, rule) in [
        ("continued-key", "aws_access_key_id", "SECRET\n  more", "visible ASCII characters"),
        ("control-character", "aws_secret_access_key", "SECRET\u{1}", "visible ASCII characters"),
        ("token", "aws_session_token", "SECRET\u{fc}", "visible ASCII characters"),
        ("region", "region", "SECRET region", "1 to 63 letters, digits and hyphens"),
        ("endpoint", "endpoint_url", "127.0.0.1:8000", "a URL that begins with http://"),
        ("endpoint-credentials", "endpoint_url", "http://user:SECRET@127.0.0.1", "a URL that begins with http://"),
    ] {
        let home = home(name, &format!("[profile dev]\n{COMPLETE}{property} = {value}\n"), "");
        let error = refused(&home, &[("AWS_PROFILE", "dev")]).await;
        assert!(error.starts_with(&format!("{property} of the AWS profile \"dev\" must be {rule}")), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}

/// The SDK signs the call for the role with the keys of the other profile.
#[tokio::test]
async fn the_keys_for_a_role_are_checked_too() {
    let role = "[profile dev]\nregion = eu-central-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n";
    let config = format!("{role}[profile base]\nsource_profile = dev\n");
    let home = home("role", &config, "[base]\naws_access_key_id = id\n  more\naws_secret_access_key = key\n");
    let error = refused(&home, &[("AWS_PROFILE", "dev")]).await;
    assert!(error.starts_with("aws_access_key_id of the AWS profile \"base\" must be visible ASCII"), "{error}");
}

/// With an empty one the SDK panics when it calls STS. DynamoDB's endpoint is replaced.
#[tokio::test]
async fn an_empty_endpoint_in_a_profile_with_a_role_is_refused() {
    let config = "[default]\nregion = eu-central-1\nendpoint_url =\nrole_arn = arn:aws:iam::1:role/r\n\
                  source_profile = base\n[profile base]\naws_access_key_id = id\naws_secret_access_key = key\n";
    let home = home("empty-endpoint", config, "");
    let error = refused(&home, &[]).await;
    assert!(error.starts_with("endpoint_url of the AWS profile \"default\" must be a URL"), "{error}");
}

#[tokio::test]
async fn profiles_that_cannot_be_parsed_are_refused_without_a_line_of_the_file() {
    let home = home("unparsable", "[default]\naws_secret_access_key SECRET\n", "");
    let error = refused(&home, &[("AWS_REGION", "eu-central-1")]).await;
    assert!(error.starts_with("the AWS profiles cannot be read") && !error.contains("SECRET"), "{error}");
}

#[tokio::test]
async fn fips_endpoints_and_another_endpoint_contradict_each_other() {
    let home = home("fips", &format!("[default]\n{COMPLETE}endpoint_url = http://127.0.0.1:1\n"), "");
    for variable in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT"] {
        let error = refused(&home, &[(variable, "true")]).await;
        assert!(error.contains("http://127.0.0.1:1 is not an endpoint of AWS: unset"), "{error}");
        assert!(connect(&home, &[(variable, "false")]).await.is_ok());
    }
}

/// A service that gives credentials to a container: these answers, one after the other.
async fn container(answers: &'static [&'static str]) -> String {
    let asked = Arc::new(AtomicUsize::new(0));
    let answer = get(async move || answers[asked.fetch_add(1, Ordering::Relaxed).min(answers.len() - 1)]);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/", listener.local_addr().unwrap());
    tokio::spawn(async { axum::serve(listener, Router::new().route("/", answer)).await });
    url
}

/// Credentials that expire at once, so that each call asks for new ones.
const USABLE: &str =
    r#"{"AccessKeyId":"id","SecretAccessKey":"key","Token":"token","Expiration":"2020-01-01T00:00:00Z"}"#;
const UNUSABLE: &str =
    r#"{"AccessKeyId":"id","SecretAccessKey":"key","Token":"SECRET\u0001","Expiration":"2020-01-01T00:00:00Z"}"#;

#[tokio::test]
async fn the_credentials_of_a_container_are_checked_every_time() {
    let fixture = Fixture::empty().await;
    let home = home("container", "", "");
    let connect = async |answers| {
        let url = container(answers).await;
        let variables = [
            ("AWS_REGION", "eu-central-1"),
            ("AWS_ENDPOINT_URL", fixture.endpoint.as_str()),
            ("AWS_CONTAINER_CREDENTIALS_FULL_URI", &url),
        ];
        connect(&home, &variables).await
    };
    assert_eq!(read(connect(&[USABLE]).await.unwrap()).await, Ok(()));

    let error = connect(&[UNUSABLE]).await.unwrap_err().to_string();
    assert!(error.starts_with("the AWS credentials must be visible ASCII characters"), "{error}");

    let fault = read(connect(&[USABLE, UNUSABLE]).await.unwrap()).await.unwrap_err();
    assert!(fault.contains("the source of the credentials refuses, or its answer is unusable"), "{fault}");
    assert!(!fault.contains("SECRET"), "{fault}");
}

#[tokio::test]
async fn a_source_that_fails_is_an_error_without_its_text() {
    let home = home("failing", "", "");
    let url = container(&[r#"{"Code":"SECRET","Message":"SECRET"}"#]).await;
    let unreachable = "http://127.0.0.1:1/";
    for (url, reason) in
        [(url.as_str(), "the source of the credentials refuses"), (unreachable, "the connection was refused")]
    {
        let variables = [("AWS_REGION", "eu-central-1"), ("AWS_CONTAINER_CREDENTIALS_FULL_URI", url)];
        let error = refused(&home, &variables).await;
        assert!(error.starts_with(&format!("the AWS credentials cannot be fetched: {reason}")), "{error}");
        assert!(!error.contains("SECRET"), "{error}");
    }
}

#[tokio::test]
async fn what_no_source_has_is_named() {
    let home = home("nothing", "", "");
    let keys = [("AWS_ACCESS_KEY_ID", "id"), ("AWS_SECRET_ACCESS_KEY", "key")];
    assert_eq!(connect(&home, &keys).await.unwrap_err(), NoConnection::NoRegion);
    assert_eq!(connect(&home, &[("AWS_REGION", "eu-central-1")]).await.unwrap_err(), NoConnection::NoCredentials);
    // Without a source the SDK asks the machine, which is not an instance of AWS.
    let nothing_there = [
        ("AWS_EC2_METADATA_DISABLED", "false"),
        ("AWS_EC2_METADATA_SERVICE_ENDPOINT", "http://127.0.0.1:1"),
        ("AWS_REGION", "eu-central-1"),
    ];
    assert_eq!(connect(&home, &nothing_there).await.unwrap_err(), NoConnection::NoCredentials);
    let unknown = iter::once(("AWS_PROFILE", "dev")).chain(keys).collect::<Vec<_>>();
    assert_eq!(connect(&home, &unknown).await.unwrap_err(), NoConnection::UnknownProfile("dev".to_owned()));
}
