//! The environment variables that the SDK reads: wrong ones are named before the SDK reads them, and never quoted.

use deregister::{
    dynamodb::connection,
    settings::{Database, Variables},
};
use std::{ffi::OsStr, iter};

/// Examples of the variables that begin with `AWS_`, and all others that are checked.
const NAMES: [&str; 14] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_SECRET_ACCESS_KEY",
    "SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_REGION",
    "AWS_PROFILE",
    "AWS_ENDPOINT_URL",
    "AWS_SDK_UA_APP_ID",
    "AWS_ROLE_ARN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONFIG_FILE",
    "AWS_OF_TOMORROW",
    "SSL_CERT_FILE",
    "HOME",
];

/// Whether the value passes the check. If not, checks that the error names the variable, and is the same for every value.
fn passes(name: &str, value: impl AsRef<OsStr>) -> bool {
    let check =
        |value: &OsStr| connection::check(&Variables::from_iter([(name, value)])).map_err(|error| error.to_string());
    let Err(error) = check(value.as_ref()) else { return true };
    assert!(error.starts_with(&format!("{name} must be ")) && error.ends_with(", and is not"), "{error}");
    assert_eq!(check(OsStr::new("\u{1}")), Err(error));
    false
}

#[test]
fn a_control_character_is_refused_in_every_variable_that_the_sdk_reads() {
    for name in NAMES {
        for character in (0..32).chain(127..160).filter_map(char::from_u32) {
            assert!(!passes(name, format!("local{character}")), "{name}, {character:?}");
        }
    }
    assert!(passes("MAIL", "a\rb"), "the SDK does not read this one");
}

#[cfg(unix)]
#[test]
fn a_value_that_is_not_unicode_is_refused_in_every_variable_that_the_sdk_reads() {
    use std::os::unix::ffi::OsStrExt;
    for name in NAMES {
        assert!(!passes(name, OsStr::from_bytes(b"t\xff")), "{name}");
    }
    assert!(passes("MAIL", OsStr::from_bytes(b"t\xff")), "the SDK does not read this one");
}

#[test]
fn an_empty_value_is_refused_in_no_variable_but_the_one_that_the_sdk_cannot_skip() {
    for name in NAMES {
        assert!(passes(name, ""), "{name}");
    }
    for value in ["", "/nonexistent"] {
        assert!(!passes("SMITHY_CLIENT_SDK_CUSTOM_PARTITION", value));
    }
}

#[test]
fn credentials_are_visible_ascii_characters() {
    for name in ["AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "SECRET_ACCESS_KEY", "AWS_SESSION_TOKEN"] {
        assert!(passes(name, "wJalrXUtnFEMI/K7MDENG+bPxRfiCY=="));
        for value in ["key ", " ", "k ey", "schl\u{fc}ssel", "\u{200b}key"] {
            assert!(!passes(name, value), "{name}: {value:?}");
        }
    }
}

#[test]
fn a_region_is_a_label_of_a_host_name() {
    for name in ["AWS_REGION", "AWS_DEFAULT_REGION", "AWS_ACCOUNT_ID"] {
        for value in ["eu-central-1", "us-gov-west-1", "local", "1"] {
            assert!(passes(name, value), "{value}");
        }
        let long = "a".repeat(64);
        for value in [" ", "eu central 1", "eu.central", "eu_central", "-a", "a-", "a/b", "a@b", "\u{e4}", &long] {
            assert!(!passes(name, value), "{value}");
        }
    }
}

#[test]
fn an_endpoint_is_an_absolute_url_without_credentials() {
    for name in ["AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_ENDPOINT_URL_STS"] {
        for value in [
            "http://127.0.0.1:8000",
            "http://localhost:8000/",
            "https://dynamodb.eu-central-1.amazonaws.com",
            "http://[::1]:8000",
            "https://vpce-1.example.com/path",
        ] {
            assert!(passes(name, value), "{value}");
        }
        for value in [
            "127.0.0.1:8000",
            "localhost",
            "//localhost:8000",
            "http:localhost",
            "http://",
            "http:///path",
            "http://:8000",
            "http://localhost:",
            "http://localhost:99999",
            "http://localhost:port",
            "http://user:secret@localhost",
            "http://user@localhost",
            "http://local host",
            "http://1.2.3.4.5",
            "http://[::1",
            "http://localhost?query",
            "http://localhost#fragment",
            "ftp://localhost",
            "http://b\u{fc}cher.example",
            " http://localhost",
        ] {
            assert!(!passes(name, value), "{value}");
        }
    }
    let other_service = "AWS_ENDPOINT_URL_S3";
    assert!(passes(other_service, "127.0.0.1:9000"), "the program does not call this service");
}

#[test]
fn the_sources_of_credentials_have_urls_and_paths() {
    assert!(passes("AWS_CONTAINER_CREDENTIALS_FULL_URI", "http://127.0.0.1/get?id=1"));
    assert!(!passes("AWS_CONTAINER_CREDENTIALS_FULL_URI", "127.0.0.1/get"));
    assert!(passes("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "/v2/credentials/1"));
    assert!(!passes("AWS_CONTAINER_CREDENTIALS_RELATIVE_URI", "v2/credentials"));
    assert!(!passes("AWS_EC2_METADATA_SERVICE_ENDPOINT", "169.254.169.254"));
}

#[test]
fn a_switch_is_true_or_false() {
    for name in ["AWS_USE_FIPS_ENDPOINT", "AWS_USE_DUALSTACK_ENDPOINT", "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS"] {
        for value in ["true", "false", "TRUE"] {
            assert!(passes(name, value), "{value}");
        }
        for value in ["yes", "1", " true"] {
            assert!(!passes(name, value), "{value}");
        }
    }
}

/// The fast start on Lambda has the same checks.
#[tokio::test]
async fn on_lambda_a_wrong_variable_stops_the_configuration() {
    let of_lambda = [
        ("AWS_LAMBDA_RUNTIME_API", "127.0.0.1:9001"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "key"),
        ("AWS_SECRET_ACCESS_KEY", "secret"),
    ];
    let settings = Database::read(&Variables::default()).unwrap();
    for (name, value) in [
        ("AWS_ACCESS_KEY_ID", "local\r"),
        ("AWS_SECRET_ACCESS_KEY", "local\r"),
        ("AWS_SESSION_TOKEN", "local\r"),
        ("AWS_REGION", "local\r"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "127.0.0.1:8000"),
        ("AWS_EXECUTION_ENV", "local\r"),
    ] {
        let variables = iter::once((name, value)).chain(of_lambda).collect();
        let error = connection::configure(&settings, &variables).await.unwrap_err().to_string();
        assert!(error.starts_with(&format!("{name} must be ")), "{error}");
    }
    let place = connection::configure(&settings, &Variables::from_iter(of_lambda)).await.unwrap().place;
    assert_eq!(place.to_string(), "Region eu-central-1, AWS's own endpoint");
}
