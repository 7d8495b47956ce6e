//! Batches of records, as Lambda delivers them from the table's stream.

use super::{MAX_DURATION, Tables, all_done, deletion, event, id, restore, s};
use crate::support::{
    endpoint::Endpoint,
    log::Captured,
    sample::{self, CLIENT, RFC_CLIENT, TARGET},
    stream::Stream,
};
use deregister::{
    functions::cascade::UnreadableBatch,
    model::{Id, Service},
};
use lambda_runtime::Diagnostic;
use serde_json::{Value, json};

#[tokio::test]
async fn records_of_other_items_cost_no_call_and_no_log_line() {
    let tables = Tables::new().await;
    for client in ["a", "service#a", "token#a"] {
        tables.issue(client, 0..1).await;
    }
    let expected = tables.items().await;
    tables.take_calls();
    let too_long = format!("client#{}", "x".repeat(Id::MAX_BYTES + 1));
    let keys = ["service#a", "token#a", "client#", "Client#a", "a", "", &too_long];
    let record = |key: &&str| json!({ "dynamodb": { "Keys": { "pk": { "S": key } }, "SequenceNumber": "1" } });
    let log = Captured::at("INFO");
    assert_eq!(tables.deliver(&keys.iter().map(record).collect::<Vec<_>>()).await, all_done());
    assert_eq!(tables.take_calls(), [""; 0]);
    assert_eq!(log.text(), "");
    assert!(tables.items().await == expected);
}

#[tokio::test]
async fn records_that_cannot_be_read_fail_and_the_others_are_done() {
    let tables = Tables::new().await;
    for client in ["a", "b"] {
        tables.issue(client, 0..1).await;
    }
    let malformed = |number: &str, keys: Value| json!({ "dynamodb": { "Keys": keys, "SequenceNumber": number } });
    let batch = [
        malformed("1", json!({ "pk": { "N": "1" } })),
        deletion("2", "a"),
        malformed("3", json!({ "id": { "S": "client#a" } })),
        malformed("4", json!(null)),
        deletion("5", "b"),
        json!({ "dynamodb": { "SequenceNumber": "6" } }),
    ];
    let log = Captured::at("INFO");
    let response = tables.deliver(&batch).await;
    let expected = ["1", "3", "4", "6"].map(|number| json!({ "itemIdentifier": number }));
    assert_eq!(serde_json::to_value(&response).unwrap(), json!({ "batchItemFailures": expected }));
    assert_eq!([tables.count("a").await, tables.count("b").await], [0, 0]);
    let logged: Vec<_> = log.lines().iter().map(|line| line["sequence_number"].clone()).collect();
    assert_eq!(logged, [json!("1"), json!("3"), json!("4"), json!("6"), Value::Null, Value::Null]);
}

#[tokio::test]
async fn a_record_without_a_sequence_number_fails_the_batch() {
    let tables = Tables::new().await;
    for record in [
        json!({}),
        json!(null),
        json!({ "dynamodb": { "Keys": { "pk": { "S": "client#a" } } } }),
        json!({ "dynamodb": { "SequenceNumber": 1 } }),
    ] {
        let event = event(MAX_DURATION, &[deletion("1", "b"), record.clone()]);
        let result = Box::pin(tables.cascade.call(event)).await;
        assert!(matches!(result, Err(UnreadableBatch::NoSequenceNumber)), "{record}");
    }
}

/// A text that is in an error or a log line only if a value of the event is.
const MARKER: &str = "x9w2k7q4";

/// Delivers the batch with this JSON text. It is read as `lambda_runtime` reads it.
async fn deliver(tables: &Tables, json: &str) -> Result<Value, UnreadableBatch> {
    let mut event = event(MAX_DURATION, &[]);
    event.payload = serde_json::from_slice(json.as_bytes()).unwrap();
    let response = Box::pin(tables.cascade.call(event)).await?;
    Ok(serde_json::to_value(response).unwrap())
}

#[tokio::test]
async fn an_event_without_a_list_of_records_is_an_error_without_a_value_of_it() {
    let tables = Tables::new().await;
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    for json in [
        "null",
        "1e999",
        "{}",
        &deep,
        &format!("\"{MARKER}\""),
        &format!("[{{\"Records\":\"{MARKER}\"}}]"),
        &format!("{{\"Records\":\"{MARKER}\"}}"),
        &format!("{{\"Records\":{{\"{MARKER}\":1}}}}"),
        r#"{"Records":1e999}"#,
        r#"{"Records":null}"#,
        r#"{"Records":[],"Records":[]}"#,
        r#"{"records":[],"\ud83d":[]}"#,
    ] {
        let log = Captured::at("INFO");
        let error = deliver(&tables, json).await.unwrap_err();
        assert_eq!(error, UnreadableBatch::NoRecords, "{json:.100}");
        let diagnostic = Diagnostic::from(error);
        assert_eq!(diagnostic.error_type, "NoRecords");
        assert_eq!(diagnostic.error_message, "the event has no list of records");
        assert_eq!(log.text(), "");
    }
    assert_eq!(Diagnostic::from(UnreadableBatch::NoSequenceNumber).error_type, "NoSequenceNumber");
}

#[tokio::test]
async fn a_record_of_any_json_does_not_disturb_the_others() {
    let tables = Tables::new().await;
    let deep = format!("{}\"{MARKER}\"{}", r#"{"M":"#.repeat(10_000), "}".repeat(10_000));
    let member = |dynamodb: &str| format!(r#"{{"dynamodb":{{"SequenceNumber":"2",{dynamodb}}}}}"#);
    for (record, fails) in [
        (member(&format!(r#""Keys":{{"pk":{{"S":"client#b"}}}},"NewImage":{deep}"#)), false),
        (member(r#""Keys":{"pk":{"S":"client#b"}},"SizeBytes":1e999,"\ud83d":"\udc00""#), false),
        (member(r#""Keys":{"pk":{"S":"client#b","S":"client#b"}}"#), true),
        (member(r#""Keys":{"pk":{"S":"client#b"}},"Keys":{"pk":{"S":"client#b"}}"#), true),
        (member(r#""Keys":{"pk":{"S":"client#\ud83d"}}"#), true),
        (member(&format!(r#""Keys":"{MARKER}""#)), true),
        (member(&format!(r#""Keys":{{"pk":{{"S":["{MARKER}"]}}}}"#)), true),
        (member(&format!(r#""Keys":{deep}"#)), true),
    ] {
        tables.issue("a", 0..1).await;
        tables.issue("b", 0..1).await;
        tables.issue("c", 0..1).await;
        let (first, last) = (deletion("1", "a"), deletion("3", "c"));
        let log = Captured::at("INFO");
        let response = deliver(&tables, &format!(r#"{{"Records":[{first},{record},{last}]}}"#)).await.unwrap();
        let failures = if fails { json!([{ "itemIdentifier": "2" }]) } else { json!([]) };
        assert_eq!(response, json!({ "batchItemFailures": failures }), "{record:.200}");
        let left = [tables.count("a").await, tables.count("b").await, tables.count("c").await];
        assert_eq!(left, [0, fails.into(), 0], "{record:.200}");
        assert!(!log.text().contains(MARKER), "{}", log.text());
        drop(log);
        if fails {
            tables.deliver(&[deletion("2", "b")]).await;
        }
    }
}

#[tokio::test]
async fn an_empty_batch_has_no_failures_and_costs_no_call() {
    let tables = Tables::new().await;
    let response = tables.deliver(&[]).await;
    assert_eq!(serde_json::to_value(response).unwrap(), json!({ "batchItemFailures": [] }));
    assert_eq!(tables.take_calls(), [""; 0]);
}

#[tokio::test]
async fn the_record_of_a_deletion_at_any_endpoint_removes_the_grants() {
    let tables = Tables::new().await;
    let mut stream = Stream::of(&tables.fixture).await;
    for endpoint in Endpoint::ALL {
        tables.issue(endpoint.client(), 0..3).await;
    }
    for endpoint in Endpoint::ALL {
        tables.delete(endpoint.client()).await;
        let expected = tables.items_without(endpoint.client()).await;
        let records = stream.records().await;
        let keys: Vec<_> = records.iter().map(|record| &record["dynamodb"]["Keys"]["pk"]["S"]).collect();
        assert_eq!(keys, [&format!("client#{}", endpoint.client())], "{endpoint:?}");
        assert_eq!(tables.deliver(&records).await, all_done(), "{endpoint:?}");
        assert!(tables.items().await == expected, "{endpoint:?}");
    }
}

#[tokio::test]
async fn records_of_every_change_are_read_and_only_deleted_clients_lose_their_grants() {
    let tables = Tables::new().await;
    let (fixture, store) = (&tables.fixture, tables.fixture.direct());
    let mut stream = Stream::of(fixture).await;
    for client in ["new", CLIENT.0, RFC_CLIENT.0, TARGET] {
        tables.issue(client, 0..3).await;
    }
    store.create_client(&id("new"), &sample::owner()).await.unwrap();
    store.create_service(&id("new"), &Service::default()).await.unwrap();
    for client in [CLIENT.0, RFC_CLIENT.0, TARGET] {
        tables.delete(client).await;
    }
    restore(fixture, TARGET).await;
    // The time to live removes a tombstone like this.
    let collect = fixture.sdk.delete_item().table_name(&fixture.table).key("pk", s(&format!("client#{}", CLIENT.0)));
    collect.send().await.unwrap();

    let records = stream.records().await;
    let names: Vec<_> = records.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "INSERT", "MODIFY", "MODIFY", "MODIFY", "MODIFY", "REMOVE"]);
    assert_eq!(tables.deliver(&records).await, all_done());
    for (client, left) in [("new", 3), (CLIENT.0, 0), (RFC_CLIENT.0, 0), (TARGET, 3)] {
        assert_eq!(tables.count(client).await, left, "{client}");
    }
}
