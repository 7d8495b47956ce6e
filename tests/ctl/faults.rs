//! A database that fails, and an output that cannot be written.

use crate::{
    fixture::authlete_call,
    run::{only, text},
    support::{Fixture, basic, json as body},
    write_proxy::Write,
};
use axum::Router;
use lambda_http::http::StatusCode;
use std::{future::IntoFuture, io};
use tokio::net::{TcpListener, TcpSocket};

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
        ("client protect me --table nowhere", "table nowhere", "UpdateItem"),
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
