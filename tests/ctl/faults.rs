//! A database that fails, and an output that cannot be written.

use crate::{
    fixture::authlete_call,
    run::{file, only, text},
    support::{Fixture, basic, json as body},
    write_proxy::Write,
};
use aws_sdk_dynamodb::types::TimeToLiveStatus;
use axum::Router;
use deregister::model::Version;
use lambda_http::http::StatusCode;
use serde_json::json;
use std::{collections::BTreeSet, future::IntoFuture, io, sync::Arc};
use tokio::{
    net::{TcpListener, TcpSocket},
    sync::Semaphore,
};

#[tokio::test]
async fn an_unreachable_database_is_reported_in_one_sentence() {
    let fixture = Fixture::empty().await;
    // The port is bound, so that no other process takes it, and nothing listens.
    let socket = TcpSocket::new_v4().unwrap();
    socket.bind("127.0.0.1:0".parse().unwrap()).unwrap();
    let endpoint = format!("http://{}", socket.local_addr().unwrap());
    for line in ["table create", "service create 1", "token issue --organization org", "client show me"] {
        let run = fixture.ctl(line).with_env("DATABASE_ATTEMPTS", "1");
        let ran = run.with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
        assert!(ran.refused().starts_with("the database is unavailable"), "{line}");
    }
}

#[tokio::test]
async fn a_fault_names_table_region_and_endpoint() {
    let fixture = Fixture::empty().await;
    let place = format!("Region eu-central-1, endpoint {})", fixture.endpoint);
    for (line, table, operation) in [
        ("client show me --table nowhere", "table nowhere", "GetItem"),
        ("--json client list --app app --table nowhere", "table nowhere", "Scan"),
        ("service create 1 --table nowhere", "table nowhere", "PutItem"),
        ("client protect me --table nowhere", "table nowhere", "GetItem"),
        ("client restore me --grants-table nowhere", "tables clients and nowhere", "DescribeTable"),
    ] {
        let sentence = fixture.ctl(line).run().await.refused();
        let reason = format!("ResourceNotFoundException in {operation}: there is no such table or index");
        assert!(sentence.starts_with(&format!("the database call failed: {reason}")), "{line}: {sentence}");
        assert!(sentence.ends_with(&format!("({table}, {place}")), "{line}: {sentence}");
    }
}

#[tokio::test]
async fn the_text_of_an_error_of_the_database_is_not_printed() {
    let fixture = Fixture::empty().await;
    let answer = async || {
        let message = "Failed to parse 'SECRET' of client#me";
        (StatusCode::BAD_REQUEST, format!(r#"{{"__type":"ValidationException","message":"{message}"}}"#))
    };
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, Router::new().fallback(answer)).into_future());
    for line in ["client show me", "client create --app app --id me", "client delete me --yes", "table create"] {
        let ran = fixture.ctl(line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
        assert_eq!(ran.code, Some(1), "{line}");
        assert!(ran.stderr.contains("ValidationException in "), "{line}: {}", ran.stderr);
        let printed = ran.stdout + &ran.stderr;
        assert!(!printed.contains("SECRET") && !printed.contains("client#me"), "{line}: {printed}");
    }
}

#[tokio::test]
async fn a_closed_output_fails_without_a_panic() {
    let fixture = Fixture::empty().await;
    for line in ["service create 1", "client register --service 1 --count 20"] {
        let (reader, writer) = io::pipe().unwrap();
        drop(reader);
        let mut run = fixture.ctl(line);
        run.command.stdout(writer);
        assert!(run.run().await.refused().starts_with("the output cannot be written"), "{line}");
    }
}

#[tokio::test]
async fn an_ambiguous_write_that_took_effect_is_recognized() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;

    let mut printed = Vec::new();
    for line in
        ["client create --app app --feature owner --id me", "client register --service 1", "token issue --service 1"]
    {
        let endpoint = fixture.write_proxy(|write| if write == 0 { Write::Ambiguous } else { Write::Done }).await;
        let run = fixture.ctl(&format!("--json {line}")).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
        printed.push(only(&run.run().await.done()));
    }
    let [owner, registered, issued] = &printed[..] else { panic!("three runs, three objects") };
    assert_eq!(fixture.items("clients").await.len(), 4, "each of them once, and the service");

    let credentials = basic(("me", text(owner, "client_secret")));
    let answer = fixture.send("DELETE", "/config/app/clients/missing", Some(&credentials), "").await;
    assert_eq!(answer.status(), 404, "the owner is known");
    let answer = fixture.invoke(&authlete_call("1", text(issued, "access_token"), registered)).await;
    assert_eq!(body(&answer)["action"], "DELETED");
}

/// Commands that create one item, each with its input.
const WRITES_ONE_ITEM: [(&str, &str); 9] = [
    ("client create --app app --secret-from-stdin", "a secret of 16 bytes"),
    ("client create --app app --secret-from-stdin --id given", "a secret of 16 bytes"),
    ("client create --app app", ""),
    ("client register --service 1", ""),
    ("client register --service 1 --static", ""),
    ("client register --service 1 --static --id given", ""),
    ("service create 2", ""),
    ("token issue --service 1", ""),
    ("token issue --organization org", ""),
];

const LOST: [fn(u32) -> Write; 2] = [
    |write| if write == 0 { Write::Ambiguous } else { Write::Done },
    |write| if write == 0 { Write::Cut } else { Write::Done },
];

#[tokio::test]
async fn a_creation_whose_answer_is_lost_creates_one_item_and_prints_it() {
    for lost in LOST {
        let fixture = Fixture::empty().await;
        fixture.object("service create 1").await;
        for (line, input) in WRITES_ONE_ITEM {
            let before: BTreeSet<_> = fixture.clients_by_key().await.into_keys().collect();
            let endpoint = fixture.write_proxy(lost).await;
            let run = fixture.ctl(&format!("--json {line}")).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
            let printed = only(&run.with_stdin(input).run().await.done());
            let after: BTreeSet<_> = fixture.clients_by_key().await.into_keys().collect();
            let new: Vec<_> = after.difference(&before).collect();
            assert_eq!(new.len(), 1, "{line}: {new:?}");
            if let Some(id) = printed["client_id"].as_str() {
                assert_eq!(*new[0], format!("client#{id}"), "{line}");
                fixture.remove_item(new[0]).await;
            }
        }
    }
}

#[tokio::test]
async fn a_change_whose_answer_is_lost_is_made_once() {
    for lost in LOST {
        let fixture = Fixture::empty().await;
        fixture.object("service create 1").await;
        fixture.object("client create --app app --id me").await;
        fixture.register_untracked("1", "old").await;
        let list = file("lost.json", r#"[{"_id": "imported", "_secret": "a secret of 16 bytes"}]"#);
        let import = format!("import --app app {}", list.display());
        for (line, expected) in [
            ("client protect me", json!({ "client_id": "me", "protected": true, "version": 2, "entity_tag": "\"2\"" })),
            (
                "client unprotect me",
                json!({ "client_id": "me", "protected": false, "version": 3, "entity_tag": "\"3\"" }),
            ),
            ("client track --service 1", json!({ "tracked": 1, "already_tracked": 0, "not_dynamic": 0 })),
            (&import, json!({ "imported": 1, "already_there": 0, "skipped": 0 })),
            ("table create --table new", json!({ "table": "new" })),
        ] {
            let endpoint = fixture.write_proxy(lost).await;
            let run = fixture.ctl(&format!("--json {line}")).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
            assert_eq!(only(&run.run().await.done()), expected, "{line}");
        }
        assert_eq!(fixture.live("me").await.version, Version(3).into());
        let described = fixture.sdk.describe_time_to_live().table_name("new").send().await.unwrap();
        let status = described.time_to_live_description.unwrap().time_to_live_status;
        assert_eq!(status, Some(TimeToLiveStatus::Enabled));
    }
}

#[tokio::test]
async fn a_deletion_and_a_restoration_whose_answers_are_lost_are_one_entry_of_the_history() {
    for lost in LOST {
        let fixture = Fixture::empty().await;
        fixture.object("client create --app app --id me").await;
        for line in ["client delete me --yes", "client restore me"] {
            let endpoint = fixture.write_proxy(lost).await;
            let ran = fixture.ctl(line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).run().await;
            assert_eq!(ran.code, Some(0), "{line}: {}", ran.stderr);
        }
        assert_eq!(fixture.live("me").await.version, Version(2).into());
        let shown = fixture.object("deletion show me").await;
        assert_eq!(shown["history"].as_array().map(Vec::len), Some(1), "{shown}");
    }
}

#[tokio::test]
async fn a_table_that_existed_before_is_not_reported_as_created() {
    let fixture = Fixture::empty().await;
    // The answer that the table exists is lost.
    let endpoint = fixture.write_proxy(LOST[0]).await;
    let run = fixture.ctl("table create").with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
    assert_eq!(run.run().await.refused(), "the table clients exists already, and nothing was added to it");
}

#[tokio::test]
async fn an_unprotection_that_arrives_late_does_not_end_a_later_protection() {
    let fixture = Fixture::empty().await;
    fixture.object("client create --app app --id me --protected").await;
    let (released, arrived) = (Arc::new(Semaphore::new(0)), Arc::new(Semaphore::new(0)));
    let late = (Arc::clone(&released), Arc::clone(&arrived));
    let becomes = move |write| match write {
        0 => Write::Late { released: Arc::clone(&late.0), arrived: Arc::clone(&late.1) },
        _ => Write::Done,
    };
    let endpoint = fixture.write_proxy(becomes).await;
    let run = fixture.ctl("--json client unprotect me").with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint);
    let unprotected = only(&run.with_env("DATABASE_ATTEMPT_TIMEOUT_MS", "200").run().await.done());
    assert_eq!((&unprotected["protected"], &unprotected["version"]), (&json!(false), &json!(2)));
    fixture.object("client protect me").await;
    let before = fixture.items("clients").await;
    released.add_permits(1);
    arrived.acquire().await.unwrap().forget();
    assert_eq!(fixture.items("clients").await, before);
    assert!(fixture.live("me").await.protected);
}

#[tokio::test]
async fn an_unconfirmed_creation_names_the_client() {
    let fixture = Fixture::empty().await;
    fixture.object("service create 1").await;
    for line in ["client create --app app --secret-from-stdin", "client register --service 1"] {
        let endpoint = fixture.write_proxy(|_| Write::Ambiguous).await;
        let run = fixture.ctl(line).with_env("AWS_ENDPOINT_URL_DYNAMODB", &endpoint).with_env("DATABASE_ATTEMPTS", "1");
        let refused = run.with_stdin("a secret of 16 bytes").run().await.refused();
        let created = fixture.client_keys().await.pop().unwrap();
        let id = created.strip_prefix("client#").unwrap();
        assert!(refused.contains(&format!("the client {id} may be there all the same")), "{refused}");
        fixture.remove_item(&created).await;
    }
}
