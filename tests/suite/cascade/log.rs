//! The record of a purge.

use super::{CONTENT, MAX_DURATION, Tables, deletion, event};
use crate::support::{
    log::Captured,
    sample::{RFC_CLIENT, TARGET},
};
use serde_json::{Value, json};

#[tokio::test]
async fn a_purge_has_a_record_at_every_log_level_with_nothing_of_the_grants() {
    let tables = Tables::new().await;
    tables.issue(TARGET, 0..3).await;
    tables.issue(RFC_CLIENT.0, 0..26).await;
    for client in [TARGET, RFC_CLIENT.0] {
        tables.delete(client).await;
    }
    let mut event = event(MAX_DURATION, &[deletion("1", TARGET), deletion("2", RFC_CLIENT.0)]);
    event.context.xray_trace_id = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned());
    let invocation = event.context.request_id.clone();
    let log = Captured::at("ERROR");
    Box::pin(tables.cascade.call(event)).await.unwrap();
    let lines = log.lines();
    assert_eq!(lines.len(), 2);
    for (line, (client, removed, calls)) in lines.iter().zip([(TARGET, 3, 3), (RFC_CLIENT.0, 26, 4)]) {
        for (name, value) in [
            ("level", json!("INFO")),
            ("timestamp", json!("2027-01-15T08:00:00.000Z")),
            ("service", json!("deregister")),
            ("message", json!("found no more grants of the client")),
            ("outcome", json!("removed")),
            ("reason", Value::Null),
            ("client_id", json!(client)),
            ("grants_removed", json!(removed)),
            ("function_request_id", json!(invocation)),
            ("xray_trace_id", json!("1-5759e988-bd862e3fe1be46a994272793")),
            ("database_calls", json!(calls)),
            ("retries", json!(0)),
            ("throttles", json!(0)),
        ] {
            assert_eq!(line[name], value, "{name} in {line}");
        }
        assert!(line["duration_ms"].as_f64() >= line["database_ms"].as_f64(), "{line}");
    }
    for secret in [CONTENT, "grant-0"] {
        assert!(!log.text().contains(secret));
    }
}

#[tokio::test]
async fn the_record_is_a_metric_in_the_embedded_format() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    let log = Captured::at("INFO");
    tables.deliver(&[deletion("1", "a")]).await;
    let [line] = log.lines().try_into().unwrap();
    assert_eq!(line["_aws"]["Timestamp"], 1_800_000_000_000_u64);
    let metrics = [("grants_removed", "Count"), ("duration_ms", "Milliseconds")]
        .map(|(name, unit)| json!({ "Name": name, "Unit": unit }));
    let directive = json!({ "Namespace": "deregister", "Dimensions": [["outcome"]], "Metrics": metrics });
    assert_eq!(line["_aws"]["CloudWatchMetrics"], json!([directive]));
    assert!(line["grants_removed"].is_number() && line["duration_ms"].is_number() && line["outcome"].is_string());
}
