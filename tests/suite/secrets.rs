//! No answer, no line of the log and no item holds a secret or a token, in clear or encoded.
//!
//! The log is everything that the thread logs at TRACE: this crate, the SDK, its HTTP client and the embedded database.
//! That is far more than the function logs on Lambda. The SDK hides the bodies of its requests and its own credentials,
//! and logs the items of its answers. The embedded database logs both. They contain digests, because the table contains
//! digests.

use crate::support::{
    Fixture, basic, bearer,
    build::{api_client, grants_settings, id, oauth_client},
    event,
    log::Captured,
    now,
    sample::{self, CLIENT},
};
use aws_sdk_dynamodb::types::AttributeValue;
use axum::{
    Router,
    http::StatusCode,
    routing::{get, post},
};
use base64::{
    Engine,
    prelude::{BASE64_STANDARD, BASE64_STANDARD_NO_PAD},
};
use deregister::{
    dynamodb::GrantsTable,
    http::event::{Event, EventResponse},
    model::{Digest, Restoration, VersionConditions},
    rule::{authlete, configuration, registration},
    store::{ClientStatuses, Grants},
};
use serde_json::json;
use std::{
    collections::HashMap,
    process::Command,
    sync::atomic::{AtomicUsize, Ordering},
};
use tracing_subscriber::filter::LevelFilter;

/// Secrets and tokens: valid ones, expired ones, and made-up ones.
const SECRETS: [&str; 19] = [
    sample::OWNER.1,
    sample::OWNERS_OLD_SECRET,
    sample::OWNER_ELSEWHERE.1,
    sample::DIRECT_ACCESS.1,
    sample::DELETED_OWNER.1,
    sample::SERVICE_TOKEN,
    sample::ORGANIZATION_TOKEN,
    sample::FOREIGN_TOKEN,
    sample::EXPIRED_TOKEN,
    sample::CLIENT.1,
    sample::STATIC_CLIENT.1,
    sample::PROTECTED_CLIENT.1,
    sample::STRICT_CLIENT.1,
    sample::CLOSED_CLIENT.1,
    sample::RFC_CLIENT.1,
    "Zk4vQ1xT8rW3nB6yH0mD5sL2",
    "made.up-token_f7Yq2Wc9Jx5Rb8",
    "not a b64token: \u{fc}ber-geheim-93846",
    "trailing-padding-4hT9wKz2==",
];
/// A secret in the place of an id.
const MISPLACED: &str = "misplaced-Xw8kQ3vN6zR1tY4u";

/// Captures all that this thread logs.
fn capture_all() -> Captured {
    Captured::by(|buffer| tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(buffer).finish())
}

/// The lines of this crate. The lines of the embedded database contain what is in the table, and what is read from it.
fn own_lines(log: &Captured) -> String {
    log.text().lines().filter(|line| line.contains(" deregister::")).collect::<Vec<_>>().join("\n")
}

/// The forms in which a text can hold these bytes: as they are, in base64 at each of the three offsets in a longer
/// text, in hexadecimal digits, and as Rust prints a list of bytes.
fn forms(bytes: &[u8]) -> Vec<String> {
    let base64 = [("", 0), (":", 2), ("::", 3)].map(|(before, skipped)| {
        let text = BASE64_STANDARD_NO_PAD.encode([before.as_bytes(), bytes].concat());
        text[skipped..text.len() - 1].to_owned()
    });
    let list = format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    let text = String::from_utf8(bytes.to_vec()).ok();
    base64.into_iter().chain([hex::encode(bytes), list]).chain(text).collect()
}

/// Checks that the text holds the secret in no form.
#[track_caller]
fn assert_hidden(secret: &str, place: &str, text: &str) {
    for form in forms(secret.as_bytes()) {
        let at = text.find(&form);
        assert_eq!(at.map(|at| text[at.saturating_sub(200)..].chars().take(300).collect::<String>()), None, "{place}");
    }
}

/// A request without its path: header fields, query and body.
type Parts = (Vec<(&'static str, String)>, String, String);

/// Every way to send a secret.
fn requests_with(secret: &str) -> Vec<Parts> {
    let header = |value: String| vec![("authorization", value)];
    let ids = [sample::OWNER.0, sample::OWNER_ELSEWHERE.0, sample::DIRECT_ACCESS.0, sample::DELETED_OWNER.0, "unknown"];
    let credentials = ids
        .map(|id| basic((id, secret)))
        .into_iter()
        .chain([
            basic((sample::OWNER.0, secret)).replace("Basic", "Bearer"),
            format!("Basic {}:{secret}", sample::OWNER.0),
            format!("Basic {}", BASE64_STANDARD.encode(secret)),
            bearer(secret),
            format!("Bearer {secret} {secret}"),
            format!("Token {secret}"),
            secret.to_owned(),
        ])
        .map(|value| (header(value), String::new(), String::new()));
    let json = |id: &str| json!({ "clientId": id, "token": secret, "json": { "secret": secret } }).to_string();
    let valid = [basic(sample::OWNER), bearer(sample::SERVICE_TOKEN), bearer(sample::RFC_CLIENT.1)];
    let outside_credentials = valid.into_iter().flat_map(|valid| {
        [
            (header(valid.clone()), format!("access_token={secret}"), String::new()),
            (header(valid.clone()), format!("client_secret={secret}"), secret.to_owned()),
            (header(valid.clone()), String::new(), json("unknown")),
            (header(valid.clone()), String::new(), json(sample::PROTECTED_CLIENT.0)),
            (header(valid.clone()), String::new(), json(sample::CLIENT.0)),
            (
                [header(valid.clone()), vec![("content-type", "application/x-www-form-urlencoded".to_owned())]]
                    .concat(),
                String::new(),
                format!("clientId={}&token={secret}&access_token={secret}", sample::STRICT_CLIENT.0),
            ),
            (
                [header(valid.clone()), vec![("if-match", format!("\"{secret}\""))]].concat(),
                String::new(),
                "{".to_owned(),
            ),
            ([header(valid), vec![("Authorization", bearer(secret))]].concat(), String::new(), String::new()),
        ]
    });
    credentials.chain(outside_credentials).collect()
}

#[tokio::test]
async fn no_answer_log_line_or_item_holds_a_secret() {
    let log = capture_all();
    let fixture = Fixture::with_samples().await;
    let targets = [
        ("DELETE", format!("/config/{}/clients/{}", sample::APPLICATION, sample::TARGET)),
        ("DELETE", format!("/register/{}", sample::RFC_CLIENT.0)),
        ("POST", format!("/api/{}/client/registration/delete", sample::SERVICE)),
        ("PUT", "/register/unknown".to_owned()),
        ("POST", "/nowhere".to_owned()),
    ];
    for (secret, (method, path)) in SECRETS.iter().flat_map(|secret| targets.iter().map(move |target| (secret, target)))
    {
        for (headers, query, body) in requests_with(secret) {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = fixture.invoke(&event(method, path, &query, &headers, &body)).await;
            let answer = EventResponse { response: answer, cookies: None };
            assert_hidden(secret, "an answer", &serde_json::to_string(&answer).unwrap());
        }
    }
    for client in [sample::TARGET, sample::RFC_CLIENT.0, sample::CLIENT.0] {
        assert!(!fixture.lives(client).await, "no request deleted {client}");
    }

    let (log, table) = (log.text(), fixture.sdk.scan().table_name(&fixture.table).send().await.unwrap().items);
    for secret in SECRETS {
        assert_hidden(secret, "the log", &log);
        assert_hidden(secret, "the table", &format!("{table:?}"));
    }
}

/// Only the answer of the Authlete API repeats it, as documented.
#[tokio::test]
async fn a_secret_in_the_place_of_an_id_is_not_logged() {
    let log = capture_all();
    let fixture = Fixture::with_samples().await;
    let config = format!("/config/{MISPLACED}/clients/{MISPLACED}");
    fixture.send("DELETE", &config, Some(&basic((MISPLACED, sample::OWNER.0))), "").await;
    fixture.send("DELETE", &format!("/register/{MISPLACED}"), Some(&bearer("unknown")), "").await;
    let api = format!("/api/{}/client/registration/delete", sample::SERVICE);
    fixture
        .send("POST", &api, Some(&bearer(sample::SERVICE_TOKEN)), &json!({ "clientId": MISPLACED }).to_string())
        .await;

    let log = own_lines(&log);
    assert!(log.contains("unknown_caller"), "{log}");
    assert_hidden(MISPLACED, "the log", &log);
}

/// An item with a secret in the place of its digest cannot be read. The reason for that is logged.
#[tokio::test]
async fn a_secret_that_was_stored_in_clear_is_not_logged() {
    let log = capture_all();
    let secret = "stored-in-clear-Hq7wZ2mK9xV4";
    let client: HashMap<_, _> = [("kind", "oauth"), ("service_id", "id"), ("registration_token_digest", secret)]
        .map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())))
        .into();
    let fixture = Fixture::empty().await;
    let put =
        fixture.sdk.put_item().table_name(&fixture.table).item("pk", AttributeValue::S("client#stored".to_owned()));
    put.item("client", AttributeValue::M(client)).send().await.unwrap();

    assert_eq!(fixture.send("DELETE", "/register/stored", Some(&bearer(secret)), "").await.status(), 401);
    let log = own_lines(&log);
    assert!(log.contains("client#stored"), "{log}");
    assert_hidden(secret, "the log", &log);
}

/// What the table holds: digests, and what an authorization server keeps in its clients and grants.
#[tokio::test]
async fn no_line_has_anything_of_an_item_at_any_level() {
    const OWN: &str = "client-secret-of-the-server-8Kq2";
    const GRANT: &str = "refresh-token-as-a-sort-key-4Wz7";
    let fixture = Fixture::with_samples().await;
    fixture.create_grants_table().await;
    let put = fixture.sdk.put_item().table_name("grants").item("client_id", AttributeValue::S(CLIENT.0.to_owned()));
    put.item("grant_id", AttributeValue::S(GRANT.to_owned())).send().await.unwrap();
    let key = AttributeValue::S(format!("client#{}", CLIENT.0));
    let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
    let update = update.update_expression("SET client.client_secret = :own");
    update.expression_attribute_values(":own", AttributeValue::S(OWN.to_owned())).send().await.unwrap();

    for level in ["TRACE", "DEBUG", "INFO"] {
        let log = Captured::at(level);
        let client = id(CLIENT.0);
        let status = fixture.clients.client_status(&client).await.unwrap();
        fixture.clients.note_use(&client, &status, now()).await.unwrap();
        let body = json!({ "clientId": CLIENT.0, "token": CLIENT.1 }).to_string();
        let path = format!("/api/{}/client/registration/delete", sample::SERVICE);
        let headers = [("authorization", &*bearer(sample::SERVICE_TOKEN)), ("content-type", "application/json")];
        fixture.invoke(&event("POST", &path, "", &headers, &body)).await;
        let config = fixture.sdk.config().to_builder();
        let grants = GrantsTable::open(config, grants_settings()).await.unwrap();
        assert_eq!(grants.page(&client, None).await.unwrap().keys.len(), 1);
        let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
        fixture.clients.restore(&client, &restoration).await.unwrap();
        let text = log.text();
        assert!(text.contains("client_id"), "{text}");
        for secret in [OWN, GRANT, CLIENT.1, sample::SERVICE_TOKEN] {
            assert_hidden(secret, level, &text);
            let digest = Digest::of(secret);
            assert!(!forms(digest.as_bytes()).iter().any(|form| text.contains(form)), "{level}");
        }
    }
}

/// At TRACE Lambda's runtime library logs every event, with its `Authorization` header. The function filters these
/// lines.
#[tokio::test]
async fn the_function_logs_no_event_at_any_level() {
    let next = get(async || {
        static EVENTS: AtomicUsize = AtomicUsize::new(0);
        let number = EVENTS.fetch_add(1, Ordering::Relaxed);
        let (method, path, authorization) = match number {
            0 => ("DELETE", "/config/a/clients/b", basic(sample::OWNER)),
            1 => ("DELETE", "/register/a", bearer(sample::RFC_CLIENT.1)),
            2 => ("POST", "/api/a/client/registration/delete", bearer(sample::SERVICE_TOKEN)),
            // This answer ends the process.
            _ => return Err(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let body = json!({ "clientId": "unknown", "token": sample::CLIENT.1 }).to_string();
        let event = event(method, path, "", &[("authorization", &authorization)], &body);
        let id = ("lambda-runtime-aws-request-id", format!("event-{number}"));
        Ok(([id, ("lambda-runtime-deadline-ms", "1".to_owned())], event))
    });
    let runtime_api = Router::new()
        .route("/2018-06-01/runtime/invocation/next", next)
        .route("/2018-06-01/runtime/invocation/{id}/response", post(async || StatusCode::ACCEPTED));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    tokio::spawn(async { axum::serve(listener, runtime_api).await });

    let mut function = Command::new(env!("CARGO_BIN_EXE_deregister"));
    function.env_clear().env("AWS_LAMBDA_RUNTIME_API", address).envs([
        ("AWS_LAMBDA_FUNCTION_NAME", "deregister"),
        ("AWS_LAMBDA_FUNCTION_VERSION", "1"),
        ("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128"),
        ("AWS_LAMBDA_LOG_GROUP_NAME", "group"),
        ("AWS_LAMBDA_LOG_STREAM_NAME", "stream"),
        ("AWS_LAMBDA_LOG_LEVEL", "TRACE"),
        ("AWS_REGION", "eu-central-1"),
        ("AWS_ACCESS_KEY_ID", "test"),
        ("AWS_SECRET_ACCESS_KEY", "test"),
        ("AWS_ENDPOINT_URL_DYNAMODB", "http://127.0.0.1:9"),
    ]);
    let output = tokio::task::spawn_blocking(move || function.output()).await.unwrap().unwrap();

    let log = String::from_utf8([output.stdout, output.stderr].concat()).unwrap();
    assert!(["event-0", "event-1", "event-2"].iter().all(|id| log.contains(id)), "{log}");
    for secret in [sample::OWNER.1, sample::RFC_CLIENT.1, sample::SERVICE_TOKEN, sample::CLIENT.1] {
        assert_hidden(secret, "the log", &log);
    }
}

#[test]
fn debug_output_has_neither_secrets_nor_digests() {
    let secret = "Zk4vQ1xT8rW3nB6yH0mD5sL2";
    let digest = Digest::of(secret);
    let event: Event =
        serde_json::from_str(&event("POST", "/", secret, &[("authorization", &bearer(secret))], secret)).unwrap();
    let to_configuration = configuration::Request {
        caller: id("caller"),
        secret: digest,
        source_ip: None,
        application: "application".to_owned(),
        target: id("target"),
        conditions: VersionConditions::default(),
    };
    let to_registration =
        registration::Request { target: id("target"), token: digest, conditions: VersionConditions::default() };
    let to_authlete = authlete::Request {
        access_token: digest,
        service: id("service"),
        client_id: "target".to_owned(),
        target: Some(id("target")),
        token: Some(digest),
    };
    for text in [
        format!("{digest:?}"),
        format!("{:?}", api_client().secret(secret).build()),
        format!("{:?}", oauth_client().registration_token(secret).build()),
        format!("{to_configuration:?}"),
        format!("{to_registration:?}"),
        format!("{to_authlete:?}"),
        format!("{event:?}"),
    ] {
        assert_hidden(secret, "the debug output", &text);
        assert!(!forms(digest.as_bytes()).iter().any(|form| text.contains(form)), "{text}");
    }
}
