//! The log: one record a request, with the exact reason of a refusal, which the answer does not have.

use crate::support::{
    Fixture, RETENTION, basic, bearer, endpoints, event, invocation,
    log::Captured,
    now,
    sample::{APPLICATION, OWNER, SERVICE, SERVICE_TOKEN, TARGET},
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::ClientsTable,
    functions::{Delete, Environment},
    model::Digest,
    settings::Metrics,
};
use lambda_http::LambdaEvent;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

/// Sends the request to delete [`TARGET`] with these credentials, and returns the status.
async fn delete_target(fixture: &Fixture, caller: (&str, &str)) -> u16 {
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    fixture.send("DELETE", &path, Some(&basic(caller)), "").await.status().as_u16()
}

/// The keys of a JSON object.
fn keys(line: &Value) -> BTreeSet<&str> {
    line.as_object().unwrap().keys().map(String::as_str).collect()
}

#[tokio::test]
async fn a_deletion_is_one_record_at_info() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    delete_target(&fixture, OWNER).await;
    let record = log.only_line();
    let expected = [
        ("level", json!("INFO")),
        ("timestamp", json!("2027-01-15T08:00:00.000Z")),
        ("service", json!("deregister")),
        ("message", json!("deleted a client")),
        ("endpoint", json!("configuration")),
        ("outcome", json!("deleted")),
        ("client_id", json!(TARGET)),
        ("caller", json!(format!("client#{}", OWNER.0))),
        ("source_ip", json!("203.0.113.7")),
        ("status", json!(204)),
        ("cold_start", json!(true)),
        ("database_calls", json!(2)),
        ("retries", json!(0)),
        ("throttles", json!(0)),
        ("requests", json!(1)),
        ("cold_starts", json!(1)),
    ];
    for (key, value) in &expected {
        assert_eq!(record[key], *value, "{key} in {record}");
    }
    assert!(record["function_request_id"].as_str().unwrap().starts_with("invocation-"), "{record}");
    assert!(record["duration_ms"].as_f64().unwrap() >= record["database_ms"].as_f64().unwrap(), "{record}");

    let mut all: BTreeSet<_> = expected.iter().map(|(key, _)| *key).collect();
    all.extend(["function_request_id", "duration_ms", "database_ms", "_aws"]);
    all.extend(cfg!(target_os = "linux").then_some("max_memory_mb"));
    assert_eq!(keys(&record), all);
}

#[tokio::test]
async fn a_refusal_is_one_record_with_its_reason_at_info() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, (OWNER.0, "wrong")).await, 401);
    let record = log.only_line();
    assert_eq!((&record["level"], &record["outcome"]), (&json!("INFO"), &json!("refused")));
    assert_eq!(record["reason"], "wrong_secret");
    assert_eq!(record["database_calls"], 1);
}

/// The SDK puts the whole request into the text of its error. Here the client id is a token by mistake.
#[tokio::test]
async fn a_fault_shows_no_request() {
    let fixture = Fixture::empty().await;
    let config = fixture.sdk.config().to_builder().endpoint_url("127.0.0.1:8000");
    let clients = ClientsTable::new(config, &fixture.table, RETENTION);
    let function = Delete::new(clients, endpoints(), now, Environment::default());
    let (misplaced, token) = ("misplaced-Xw8kQ3vN6zR1tY4u", "other-Kq7sJ2hG9fD4aP0m");
    let log = Captured::at("INFO");
    for (method, path) in
        [("DELETE", format!("/register/{misplaced}")), ("POST", format!("/api/{misplaced}/client/registration/delete"))]
    {
        let body = json!({ "clientId": misplaced, "token": token }).to_string();
        let event =
            serde_json::from_str(&event(method, &path, "", &[("authorization", &bearer(token))], &body)).unwrap();
        let answer = Box::pin(function.call(LambdaEvent::new(event, invocation()))).await.unwrap().response;
        assert_eq!(answer.status(), 503);
    }
    let text = log.text();
    assert!(text.contains("BatchGetItem: the SDK finds no endpoint"), "{text}");
    for hidden in [misplaced, token, &Digest::of(misplaced).to_hex(), &Digest::of(token).to_hex()] {
        assert!(!text.contains(hidden), "{text}");
    }
}

#[tokio::test]
async fn a_fault_is_one_record_at_error() {
    let fixture = Fixture::with_samples().await;
    fixture.wire.plan("BatchGetItem", Fault::error(400, "AccessDeniedException"));
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, OWNER).await, 500);
    let record = log.only_line();
    assert_eq!((&record["level"], &record["outcome"]), (&json!("ERROR"), &json!("failed")));
    assert!(record["reason"].as_str().unwrap().contains("AccessDeniedException"), "{record}");
}

/// DynamoDB throttles a read of few keys by leaving them unprocessed.
#[tokio::test]
async fn retries_and_throttles_are_counted() {
    let throttled = || Fault::error(400, "ThrottlingException");
    for (read_faults, write_faults, [calls, retries, throttles]) in [
        (vec![], vec![], [2, 0, 0]),
        (vec![throttled()], vec![], [3, 1, 1]),
        (vec![Fault::Unprocessed], vec![], [3, 1, 1]),
        (vec![Fault::Unprocessed, throttled(), Fault::Unprocessed], vec![], [5, 3, 3]),
        (vec![], vec![Fault::Reset], [3, 1, 0]),
        (vec![throttled()], vec![Fault::error(400, "ProvisionedThroughputExceededException"), Fault::Reset], [5, 3, 2]),
    ] {
        let fixture = Fixture::with_samples().await;
        for (call, faults) in [("BatchGetItem", read_faults), ("UpdateItem", write_faults)] {
            for fault in faults {
                fixture.wire.plan(call, fault);
            }
        }
        let log = Captured::at("INFO");
        assert_eq!(delete_target(&fixture, OWNER).await, 204);
        let record = log.only_line();
        let counts = [&record["database_calls"], &record["retries"], &record["throttles"]];
        assert_eq!(counts, [&json!(calls), &json!(retries), &json!(throttles)]);
    }
}

#[tokio::test]
async fn a_request_that_no_endpoint_accepts_has_a_record() {
    let fixture = Fixture::empty().await;
    let log = Captured::at("INFO");
    fixture.send("DELETE", "/nowhere", None, "").await;
    fixture.send("GET", "/register/a", None, "").await;
    let records: Vec<_> =
        log.lines().iter().map(|record| [&record["endpoint"], &record["reason"]].map(Value::clone)).collect();
    let expected = [["none", "unknown_path"], ["registration", "method_not_allowed"]];
    assert_eq!(records, expected.map(|record| record.map(|text| json!(text))));
}

#[tokio::test]
async fn a_record_carries_its_metrics_in_the_embedded_format() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    delete_target(&fixture, OWNER).await;
    let record = log.only_line();
    let metric = |name: &str, unit: &str| json!({ "Name": name, "Unit": unit });
    let expected = json!({
        "Timestamp": 1_800_000_000_000_u64,
        "CloudWatchMetrics": [
            {
                "Namespace": "deregister",
                "Dimensions": [["endpoint", "outcome"]],
                "Metrics": [metric("requests", "Count")],
            },
            {
                "Namespace": "deregister",
                "Dimensions": [["endpoint"]],
                "Metrics": [
                    metric("duration_ms", "Milliseconds"),
                    metric("database_ms", "Milliseconds"),
                    metric("throttles", "Count"),
                    metric("cold_starts", "Count"),
                ],
            },
        ],
    });
    assert_eq!(record["_aws"], expected);
    for name in ["requests", "duration_ms", "database_ms", "throttles", "cold_starts"] {
        assert!(record[name].is_number(), "{name} in {record}");
    }
    assert_eq!((&record["endpoint"], &record["outcome"]), (&json!("configuration"), &json!("deleted")));
}

#[tokio::test]
async fn only_the_first_record_of_an_environment_is_a_cold_start_with_its_duration_and_each_has_its_namespace() {
    let mut fixture = Fixture::with_samples().await;
    let metrics = Metrics { namespace: "a-stack".to_owned() };
    let environment = Environment::started_in(Duration::from_micros(123_500), metrics);
    fixture.function = Delete::new(fixture.clients.clone(), endpoints(), now, environment);
    let log = Captured::at("INFO");
    delete_target(&fixture, OWNER).await;
    delete_target(&fixture, OWNER).await;
    let starts: Vec<_> = log
        .lines()
        .iter()
        .map(|record| ["cold_start", "cold_starts", "init_ms"].map(|key| record.get(key).cloned()))
        .collect();
    let first = [Some(json!(true)), Some(json!(1)), Some(json!(123.5))];
    assert_eq!(starts, [first, [Some(json!(false)), Some(json!(0)), None]]);
    for record in log.lines() {
        let directives = record["_aws"]["CloudWatchMetrics"].as_array().unwrap();
        assert!(directives.iter().all(|directive| directive["Namespace"] == "a-stack"), "{record}");
    }
}

#[cfg(target_os = "linux")]
#[tokio::test]
async fn a_record_has_the_peak_of_the_memory() {
    let fixture = Fixture::empty().await;
    let log = Captured::at("INFO");
    fixture.send("DELETE", "/nowhere", None, "").await;
    let megabytes = log.only_line()["max_memory_mb"].as_f64().unwrap();
    assert!((1.0..100_000.0).contains(&megabytes), "{megabytes}");
}

#[tokio::test]
async fn a_record_has_the_trace_id_of_x_ray() {
    let fixture = Fixture::empty().await;
    let log = Captured::at("INFO");
    let mut invocation = invocation();
    invocation.xray_trace_id =
        Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".to_owned());
    fixture.invoke_in(invocation, &event("DELETE", "/nowhere", "", &[], "")).await;
    assert_eq!(log.only_line()["xray_trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
}

#[tokio::test]
async fn a_level_drops_ordinary_lines_and_no_record() {
    let fixture = Fixture::with_samples().await;
    for (level, expected) in [
        ("TRACE", vec!["an info", "a warning", "an error", "refused a request"]),
        ("INFO", vec!["an info", "a warning", "an error", "refused a request"]),
        ("WARN", vec!["a warning", "an error", "refused a request"]),
        ("ERROR", vec!["an error", "refused a request"]),
    ] {
        let log = Captured::at(level);
        tracing::info!("an info");
        tracing::warn!("a warning");
        tracing::error!("an error");
        delete_target(&fixture, (OWNER.0, "wrong")).await;
        let mut messages: Vec<_> = log.lines().iter().map(|line| line["message"].clone()).collect();
        // At TRACE the SDK and its HTTP client log too.
        messages.retain(|message| level != "TRACE" || expected.iter().any(|expected| message == expected));
        assert_eq!(messages, expected, "{level}");
    }
}

#[test]
fn an_unknown_level_counts_as_info() {
    for level in ["", " ", "off", "OFF", "0", "6", "FATAL", "verbose", "INFO,deregister=trace"] {
        let log = Captured::at(level);
        tracing::debug!("a detail");
        tracing::info!("an info");
        tracing::error!("an error");
        let levels: Vec<_> = log.lines().iter().map(|line| line["level"].clone()).collect();
        assert_eq!(levels, ["INFO", "ERROR"], "{level:?}");
    }
}

/// The runtime opens this span for each invocation.
#[test]
fn an_ordinary_line_has_its_location_and_the_ids_of_the_invocation() {
    let log = Captured::at("INFO");
    tracing::info_span!("Lambda runtime invoke", requestId = "invocation", xrayTraceId = "trace", other = "other")
        .in_scope(|| tracing::warn!(target: "somewhere", entries = 3, "a warning"));
    let expected = json!({
        "level": "WARN",
        "timestamp": "2027-01-15T08:00:00.000Z",
        "service": "deregister",
        "location": "somewhere",
        "message": "a warning",
        "entries": 3,
        "function_request_id": "invocation",
        "xray_trace_id": "trace",
    });
    assert_eq!(log.only_line(), expected);
}

#[tokio::test]
async fn an_unreadable_entry_of_an_allow_list_is_a_warning_with_the_key_of_the_client() {
    let fixture = Fixture::with_samples().await;
    let overlong = "x".repeat(1000);
    let entries = ["203.0.113.0/33", "198.51.100.0/24", &overlong, "three", "four", "five", "six", "seven"];
    let entries = AttributeValue::L(entries.map(|entry| AttributeValue::S(entry.to_owned())).into());
    fixture
        .sdk
        .update_item()
        .table_name(&fixture.table)
        .key("pk", AttributeValue::S(format!("client#{}", OWNER.0)))
        .update_expression("SET client.ip_allow_list = :entries")
        .expression_attribute_values(":entries", entries)
        .send()
        .await
        .unwrap();
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, OWNER).await, 403);
    let [warning, record] = log.lines().try_into().unwrap();
    let named = format!("[\"203.0.113.0/33\", \"{}\", \"three\", \"four\", \"five\"]", "x".repeat(64));
    assert_eq!((&warning["level"], &warning["entries"]), (&json!("WARN"), &json!(named)));
    assert_eq!(warning["others"], 2);
    assert_eq!(warning["key"], json!(format!("client#{}", OWNER.0)));
    assert_eq!(record["reason"], "outside_allow_list");
}

#[tokio::test]
async fn the_caller_of_the_authlete_api_is_the_scope_of_its_token() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    let path = format!("/api/{SERVICE}/client/registration/delete");
    fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), r#"{"clientId":"unknown"}"#).await;
    let record = log.only_line();
    assert_eq!(
        (&record["caller"], &record["reason"]),
        (&json!(format!("service#{SERVICE}")), &json!("unknown_client"))
    );
}
