//! Odd values: of every variable that the SDK, Lambda's runtime or the programs read, and of every property of a profile
//! that the SDK reads. None ends a program by a panic or by a signal.

use crate::{PROGRAMS, Start, TOOL, file, not_unicode};
use std::{
    ffi::{OsStr, OsString},
    os::unix::ffi::OsStrExt,
    sync::atomic::{AtomicUsize, Ordering},
    thread,
};

/// The variables that are read: by the sources of the SDK, of Lambda's runtime and of this crate.
const VARIABLES: [&str; 62] = [
    "AWS_ACCESS_KEY_ID",
    "AWS_ACCOUNT_ID",
    "AWS_ACCOUNT_ID_ENDPOINT_MODE",
    "AWS_AUTH_SCHEME_PREFERENCE",
    "AWS_CA_BUNDLE",
    "AWS_CONFIG_FILE",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN",
    "AWS_CONTAINER_AUTHORIZATION_TOKEN_FILE",
    "AWS_CONTAINER_CREDENTIALS_FULL_URI",
    "AWS_CONTAINER_CREDENTIALS_RELATIVE_URI",
    "AWS_DEFAULT_REGION",
    "AWS_DISABLE_CLOCK_SKEW_CORRECTION",
    "AWS_DISABLE_REQUEST_COMPRESSION",
    "AWS_EC2_METADATA_DISABLED",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT",
    "AWS_EC2_METADATA_SERVICE_ENDPOINT_MODE",
    "AWS_ENDPOINT_URL",
    "AWS_ENDPOINT_URL_DYNAMODB",
    "AWS_ENDPOINT_URL_STS",
    "AWS_EXECUTION_ENV",
    "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    "AWS_LAMBDA_FUNCTION_MEMORY_SIZE",
    "AWS_LAMBDA_FUNCTION_NAME",
    "AWS_LAMBDA_FUNCTION_VERSION",
    "AWS_LAMBDA_INITIALIZATION_TYPE",
    "AWS_LAMBDA_LOG_GROUP_NAME",
    "AWS_LAMBDA_LOG_LEVEL",
    "AWS_LAMBDA_LOG_STREAM_NAME",
    "AWS_LAMBDA_MAX_CONCURRENCY",
    "AWS_LAMBDA_RUNTIME_API",
    "AWS_MAX_ATTEMPTS",
    "AWS_NEW_RETRIES_2026",
    "AWS_PROFILE",
    "AWS_REGION",
    "AWS_REQUEST_CHECKSUM_CALCULATION",
    "AWS_REQUEST_MIN_COMPRESSION_SIZE_BYTES",
    "AWS_RESPONSE_CHECKSUM_VALIDATION",
    "AWS_RETRY_MODE",
    "AWS_ROLE_ARN",
    "AWS_ROLE_SESSION_NAME",
    "AWS_SDK_UA_APP_ID",
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AWS_SHARED_CREDENTIALS_FILE",
    "AWS_SIGV4A_SIGNING_REGION_SET",
    "AWS_USE_DUALSTACK_ENDPOINT",
    "AWS_USE_FIPS_ENDPOINT",
    "AWS_WEB_IDENTITY_TOKEN_FILE",
    "CLIENTS_TABLE",
    "DATABASE_ATTEMPTS",
    "DATABASE_CALL_TIMEOUT_MS",
    "GRANTS_EXPIRE_AT",
    "GRANTS_TABLE",
    "HOME",
    "OPENING_TIMEOUT_MS",
    "SECRET_ACCESS_KEY",
    "SMITHY_CLIENT_SDK_CUSTOM_PARTITION",
    "SSL_CERT_DIR",
    "SSL_CERT_FILE",
    "TOKIO_WORKER_THREADS",
    "USER",
    "_X_AMZN_TRACE_ID",
];

const VALUES: [&[u8]; 13] = [
    b"",
    b" ",
    b"odd\r",
    b"o\nd\nd",
    b"t\xff",
    "\u{fc}".as_bytes(),
    b"0",
    b"-1",
    b"127.0.0.1:1",
    b"http://",
    b"http://user@127.0.0.1",
    b"/nonexistent",
    &[b'a'; 3000],
];

/// The properties of a profile that the SDK reads.
const PROPERTIES: [&str; 34] = [
    "account_id_endpoint_mode",
    "auth_scheme_preference",
    "aws_access_key_id",
    "aws_account_id",
    "aws_secret_access_key",
    "aws_session_token",
    "credential_process",
    "credential_source",
    "disable_clock_skew_correction",
    "disable_request_compression",
    "ec2_metadata_service_endpoint",
    "ec2_metadata_service_endpoint_mode",
    "endpoint_url",
    "external_id",
    "ignore_configured_endpoint_urls",
    "login_session",
    "max_attempts",
    "region",
    "request_checksum_calculation",
    "request_min_compression_size_bytes",
    "response_checksum_validation",
    "retry_mode",
    "role_arn",
    "role_session_name",
    "sdk_ua_app_id",
    "services",
    "sigv4a_signing_region_set",
    "source_profile",
    "sso_account_id",
    "sso_session",
    "sso_start_url",
    "use_dualstack_endpoint",
    "use_fips_endpoint",
    "web_identity_token_file",
];

const PROPERTY_VALUES: [&[u8]; 10] = [
    b"",
    b"odd\x01",
    b"odd\n  more",
    b"\n  endpoint_url = ",
    b"t\xff",
    "\u{fc}".as_bytes(),
    b"adaptive",
    b"127.0.0.1:1",
    b"empty",
    b"Environment",
];

/// Runs all starts, several at once. Each must fail in one sentence.
fn refuse_all(starts: &[Start]) {
    let next = AtomicUsize::new(0);
    let work = || {
        while let Some(start) = starts.get(next.fetch_add(1, Ordering::Relaxed)) {
            let sentence = start.refused();
            assert!(!sentence.is_empty(), "{}", start.last());
        }
    };
    thread::scope(|scope| (0..32).for_each(|_| drop(scope.spawn(work))));
}

#[test]
fn no_value_of_a_variable_ends_a_program_by_a_panic_or_a_signal() {
    let mut starts = Vec::new();
    for (program, _) in PROGRAMS {
        for (variable, value) in VARIABLES.iter().flat_map(|name| VALUES.map(|value| (*name, OsStr::from_bytes(value))))
        {
            starts.push(Start::of(program).with(variable, value));
        }
    }
    // With fewer variables the SDK looks for Region, credentials and endpoint elsewhere.
    for missing in ["AWS_ACCESS_KEY_ID", "AWS_REGION", "AWS_ENDPOINT_URL_DYNAMODB"] {
        for (variable, value) in VARIABLES.iter().flat_map(|name| VALUES.map(|value| (*name, OsStr::from_bytes(value))))
        {
            let start = Start::of(TOOL).with("DATABASE_CALL_TIMEOUT_MS", "100").without(missing);
            starts.push(start.with(variable, value));
        }
    }
    refuse_all(&starts);
}

#[test]
fn no_property_of_a_profile_ends_a_program_by_a_panic_or_a_signal() {
    let services = b"[services empty]\ndynamodb =\n  endpoint_url =\nsts =\n  endpoint_url =\n";
    let base: &[u8] = b"[profile base]\naws_access_key_id = id\naws_secret_access_key = key\n";
    let profiles: [(&str, &[u8]); 3] = [
        ("keys", b"[default]\nregion = eu-central-1\naws_access_key_id = id\naws_secret_access_key = key\n"),
        ("role", b"[default]\nregion = eu-central-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"),
        ("base", b"[default]\nregion = eu-central-1\nrole_arn = arn:aws:iam::1:role/r\nsource_profile = base\n"),
    ];
    let mut starts = Vec::new();
    for (name, profile) in profiles {
        for (property, value) in PROPERTIES.iter().flat_map(|name| PROPERTY_VALUES.map(|value| (*name, value))) {
            let line = [property.as_bytes(), b" = ", value, b"\n"].concat();
            let parts =
                if name == "base" { [profile, base, &line, services] } else { [profile, &line, base, services] };
            let path = file(&format!("{name}-{}", starts.len()), &parts.concat());
            let start =
                Start::of(TOOL).without("AWS_ACCESS_KEY_ID").without("AWS_REGION").with("AWS_CONFIG_FILE", path);
            starts.push(start.with("AWS_ENDPOINT_URL_STS", "http://127.0.0.1:1"));
        }
    }
    refuse_all(&starts);
}

#[test]
fn a_variable_that_is_not_text_is_named_by_every_program() {
    for (program, _) in PROGRAMS {
        for name in ["CLIENTS_TABLE", "AWS_PROFILE", "AWS_ENDPOINT_URL_DYNAMODB", "AWS_SECRET_ACCESS_KEY"] {
            for value in [not_unicode(), &OsString::from("odd\r")] {
                let sentence = Start::of(program).with(name, value).refused();
                assert!(sentence.starts_with(&format!("{name} must be ")), "{program}: {sentence}");
                let is_quoted = sentence.contains("odd");
                assert_eq!(is_quoted, name == "CLIENTS_TABLE" && value != not_unicode(), "{program}: {sentence}");
            }
        }
    }
}
