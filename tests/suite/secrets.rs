//! No answer, no line of the log and nothing in the table ever holds a secret or a token, in clear or encoded.
//!
//! The log is all that the process says at TRACE, far more than the function writes on Lambda: this crate, the SDK, its
//! HTTP client, and the embedded database. The SDK hides the bodies of its requests and its own credentials; it does
//! write the items that it was answered, and the embedded database writes both. What they have of a secret is what the
//! table has: its digest.

use crate::support::{Fixture, basic, bearer, event, sample};
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
    http::event::{Event, EventResponse},
    model::{ApiClient, Client, Digest, Id, Kind, Metadata, OAuthClient, StoredSecret},
    rule::{authlete, configuration, registration},
};
use serde_json::json;
use std::{
    collections::HashMap,
    io::{self, Write},
    process::Command,
    sync::{
        Mutex, Once,
        atomic::{AtomicUsize, Ordering},
    },
};
use tracing_subscriber::filter::LevelFilter;

/// What is good somewhere, was good once, or never was.
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
/// A secret where an id belongs.
const MISPLACED: &str = "misplaced-Xw8kQ3vN6zR1tY4u";

/// All that has been logged.
static LOG: Mutex<Vec<u8>> = Mutex::new(Vec::new());

struct Log;

impl Write for Log {
    fn write(&mut self, text: &[u8]) -> io::Result<usize> {
        LOG.lock().unwrap().write(text)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

impl Log {
    /// Begins to log, once for all tests.
    fn begin() {
        static BEGUN: Once = Once::new();
        BEGUN.call_once(|| tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(|| Log).init());
    }

    fn text() -> String {
        String::from_utf8_lossy(&LOG.lock().unwrap()).into_owned()
    }

    /// This crate's lines. What is in the table, or asked of it, is in the embedded database's own.
    fn ours() -> String {
        Self::text().lines().filter(|line| line.contains(" deregister::")).collect::<Vec<_>>().join("\n")
    }
}

/// What gives the bytes away: the text, its base64 wherever it begins in a longer one, its hexadecimal digits, and its
/// bytes as Rust lists them.
fn forms(bytes: &[u8]) -> Vec<String> {
    let base64 = [("", 0), (":", 2), ("::", 3)].map(|(before, foreign)| {
        let text = BASE64_STANDARD_NO_PAD.encode([before.as_bytes(), bytes].concat());
        text[foreign..text.len() - 1].to_owned()
    });
    let listed = format!("{bytes:?}").trim_matches(['[', ']']).to_owned();
    let text = String::from_utf8(bytes.to_vec()).ok();
    base64.into_iter().chain([hex::encode(bytes), listed]).chain(text).collect()
}

#[track_caller]
fn assert_kept(secret: &str, place: &str, text: &str) {
    for form in forms(secret.as_bytes()) {
        let at = text.find(&form);
        assert_eq!(at.map(|at| text[at.saturating_sub(200)..].chars().take(300).collect::<String>()), None, "{place}");
    }
}

/// Header fields, query and body.
type Way = (Vec<(&'static str, String)>, String, String);

/// Every way to send a secret.
fn ways(secret: &str) -> Vec<Way> {
    let header = |value: String| vec![("authorization", value)];
    let ids = [sample::OWNER.0, sample::OWNER_ELSEWHERE.0, sample::DIRECT_ACCESS.0, sample::DELETED_OWNER.0, "nobody"];
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
    let good = [basic(sample::OWNER), bearer(sample::SERVICE_TOKEN), bearer(sample::RFC_CLIENT.1)];
    let elsewhere = good.into_iter().flat_map(|good| {
        [
            (header(good.clone()), format!("access_token={secret}"), String::new()),
            (header(good.clone()), format!("client_secret={secret}"), secret.to_owned()),
            (header(good.clone()), String::new(), json("nobody")),
            (header(good.clone()), String::new(), json(sample::PROTECTED_CLIENT.0)),
            (header(good.clone()), String::new(), json(sample::CLIENT.0)),
            (
                [header(good.clone()), vec![("content-type", "application/x-www-form-urlencoded".to_owned())]].concat(),
                String::new(),
                format!("clientId={}&token={secret}&access_token={secret}", sample::STRICT_CLIENT.0),
            ),
            (
                [header(good.clone()), vec![("if-match", format!("\"{secret}\""))]].concat(),
                String::new(),
                "{".to_owned(),
            ),
            ([header(good), vec![("Authorization", bearer(secret))]].concat(), String::new(), String::new()),
        ]
    });
    credentials.chain(elsewhere).collect()
}

#[tokio::test]
async fn no_answer_log_line_or_item_holds_a_secret() {
    Log::begin();
    let fixture = Fixture::with_samples().await;
    let doors = [
        ("DELETE", format!("/config/{}/clients/{}", sample::APPLICATION, sample::TARGET)),
        ("DELETE", format!("/register/{}", sample::RFC_CLIENT.0)),
        ("POST", format!("/api/{}/client/registration/delete", sample::SERVICE)),
        ("PUT", "/register/nobody".to_owned()),
        ("POST", "/nowhere".to_owned()),
    ];
    for (secret, (method, path)) in SECRETS.iter().flat_map(|secret| doors.iter().map(move |door| (secret, door))) {
        for (headers, query, body) in ways(secret) {
            let headers: Vec<_> = headers.iter().map(|(name, value)| (*name, value.as_str())).collect();
            let answer = fixture.invoke(&event(method, path, &query, &headers, &body)).await;
            assert_kept(
                secret,
                "an answer",
                &serde_json::to_string(&Answer { response: answer, cookies: None }).unwrap(),
            );
        }
    }
    for client in [sample::TARGET, sample::RFC_CLIENT.0, sample::CLIENT.0] {
        assert!(!fixture.lives(client).await, "{client} should have been deleted on the way");
    }

    let (log, table) = (Log::text(), fixture.sdk.scan().table_name("clients").send().await.unwrap().items);
    for secret in SECRETS {
        assert_kept(secret, "the log", &log);
        assert_kept(secret, "the table", &format!("{table:?}"));
    }
}

/// Who mistakes the secret for the id has still not told it to the log. Authlete's answer echoes it, as documented.
#[tokio::test]
async fn a_secret_in_the_place_of_an_id_is_not_logged() {
    Log::begin();
    let fixture = Fixture::with_samples().await;
    let config = format!("/config/{MISPLACED}/clients/{MISPLACED}");
    fixture.send("DELETE", &config, Some(&basic((MISPLACED, sample::OWNER.0))), "").await;
    fixture.send("DELETE", &format!("/register/{MISPLACED}"), Some(&bearer("nobody")), "").await;
    let api = format!("/api/{}/client/registration/delete", sample::SERVICE);
    fixture
        .send("POST", &api, Some(&bearer(sample::SERVICE_TOKEN)), &json!({ "clientId": MISPLACED }).to_string())
        .await;

    let log = Log::ours();
    assert!(log.contains("unknown_caller"), "{log}");
    assert_kept(MISPLACED, "the log", &log);
}

/// An item with a secret where its digest belongs cannot be read, and the reason for that is logged.
#[tokio::test]
async fn a_secret_that_was_stored_in_clear_is_not_logged() {
    Log::begin();
    let secret = "stored-in-clear-Hq7wZ2mK9xV4";
    let client: HashMap<_, _> = [("kind", "oauth"), ("service_id", "id"), ("registration_token_digest", secret)]
        .map(|(name, text)| (name.to_owned(), AttributeValue::S(text.to_owned())))
        .into();
    let fixture = Fixture::empty().await;
    let put = fixture.sdk.put_item().table_name("clients").item("pk", AttributeValue::S("client#stored".to_owned()));
    put.item("client", AttributeValue::M(client)).send().await.unwrap();

    assert_eq!(fixture.send("DELETE", "/register/stored", Some(&bearer(secret)), "").await.status(), 500);
    let log = Log::ours();
    assert!(log.contains("client#stored"), "{log}");
    assert_kept(secret, "the log", &log);
}

/// The Lambda runtime writes every event at TRACE, its Authorization header included, unless it is kept from that.
#[tokio::test]
async fn the_function_logs_no_event_at_any_level() {
    let next = get(async || {
        static EVENTS: AtomicUsize = AtomicUsize::new(0);
        let number = EVENTS.fetch_add(1, Ordering::Relaxed);
        let (method, path, authorization) = match number {
            0 => ("DELETE", "/config/a/clients/b", basic(sample::OWNER)),
            1 => ("DELETE", "/register/a", bearer(sample::RFC_CLIENT.1)),
            2 => ("POST", "/api/a/client/registration/delete", bearer(sample::SERVICE_TOKEN)),
            // With that, the runtime gives up and the process ends.
            _ => return Err(StatusCode::INTERNAL_SERVER_ERROR),
        };
        let body = json!({ "clientId": "nobody", "token": sample::CLIENT.1 }).to_string();
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
    let said = tokio::task::spawn_blocking(move || function.output()).await.unwrap().unwrap();

    let log = String::from_utf8([said.stdout, said.stderr].concat()).unwrap();
    assert!(["event-0", "event-1", "event-2"].iter().all(|id| log.contains(id)), "{log}");
    for secret in [sample::OWNER.1, sample::RFC_CLIENT.1, sample::SERVICE_TOKEN, sample::CLIENT.1] {
        assert_kept(secret, "the log", &log);
    }
}

#[test]
fn what_holds_a_secret_or_a_digest_does_not_print_it() {
    let (secret, id) = ("Zk4vQ1xT8rW3nB6yH0mD5sL2", || Id::new("id").unwrap());
    let digest = Digest::of(secret);
    let api = ApiClient { secrets: vec![StoredSecret { digest, expires_at: None }], ..ApiClient::default() };
    let oauth = OAuthClient {
        service_id: id(),
        dynamic: true,
        registration_token_digest: Some(digest),
        metadata: Metadata::default(),
    };
    let client = |kind| Client { kind, protected: false, version: None, idle: None };
    let sent = event("POST", "/", secret, &[("authorization", &bearer(secret))], secret);

    let printed = [
        format!("{:?}", Secret::new(secret)),
        format!("{digest:?}"),
        format!("{:?}", client(Kind::Api(api))),
        format!("{:?}", client(Kind::OAuth(oauth))),
        format!(
            "{:?}",
            configuration::Request {
                caller: id(),
                secret: digest,
                source_ip: None,
                application: "application".to_owned(),
                target: id(),
                if_match: None,
            }
        ),
        format!("{:?}", registration::Request { target: id(), token: digest, if_match: None }),
        format!(
            "{:?}",
            authlete::Request {
                access_token: digest,
                service: id(),
                client_id: "id".to_owned(),
                target: Some(id()),
                token: Some(digest),
            }
        ),
        format!("{:?}", serde_json::from_str::<Event>(&sent).unwrap()),
    ];
    for text in printed {
        assert_kept(secret, "what is printed", &text);
        assert!(!forms(digest.as_bytes()).iter().any(|form| text.contains(form)), "{text}");
    }
}
