//! The lines of a run.

use super::{
    DELETES, HOUR, OBSERVES, Sweep, TOKEN, due, grants, issue, record, run, run_in, run_of, s, set, sweep, table_with,
};
use crate::support::log::Captured;
use deregister::model::Digest;
use serde_json::{Value, json};

#[tokio::test]
async fn there_is_a_line_for_each_swept_client_and_a_record_of_the_run_that_is_a_metric() {
    for settings in [DELETES, OBSERVES] {
        let deletes = settings.deletes;
        let fixture = table_with([("a", due()), ("b", due().protected())]).await;
        let log = Captured::at("INFO");
        let mut context = run_of(HOUR);
        context.xray_trace_id = Some("Root=1-5759e988-bd862e3fe1be46a994272793;Sampled=1".to_owned());
        let request_id = context.request_id.clone();
        run_in(context, &sweep(&fixture, settings)).await.unwrap();

        let [swept, record] = log.lines().try_into().unwrap();
        let message = if deletes { "swept a client" } else { "would sweep a client" };
        for (name, value) in [
            ("level", json!("INFO")),
            ("message", json!(message)),
            ("client_id", json!("a")),
            ("used", json!(false)),
            ("idle_since", json!("2027-01-14T07:00:00Z")),
            ("_aws", Value::Null),
        ] {
            assert_eq!(swept[name], value, "{name} in {swept}");
        }
        for (name, value) in [
            ("level", json!("INFO")),
            ("timestamp", json!("2027-01-15T08:00:00.000Z")),
            ("message", json!("read the index of idle clients")),
            ("mode", json!(if deletes { "delete" } else { "observe" })),
            ("due", json!(2)),
            ("swept", json!(1)),
            ("protected", json!(1)),
            ("granted", json!(0)),
            ("full", json!(0)),
            ("changed", json!(0)),
            ("unreadable", json!(0)),
            ("failed", json!(0)),
            ("complete", json!(true)),
            ("function_request_id", json!(request_id)),
            ("xray_trace_id", json!("1-5759e988-bd862e3fe1be46a994272793")),
            ("database_calls", json!(if deletes { 67 } else { 66 })),
            ("reason", Value::Null),
        ] {
            assert_eq!(record[name], value, "{name} in {record}");
        }
        let [directive] = &record["_aws"]["CloudWatchMetrics"].as_array().unwrap()[..] else { panic!("{record}") };
        assert_eq!(directive["Dimensions"], json!([["mode"]]));
        for metric in directive["Metrics"].as_array().unwrap() {
            assert!(record[metric["Name"].as_str().unwrap()].is_number(), "{metric} in {record}");
        }
    }
}

#[tokio::test]
async fn the_record_is_written_at_every_log_level() {
    let fixture = table_with([("a", due())]).await;
    let log = Captured::at("ERROR");
    run(&sweep(&fixture, DELETES)).await;
    assert_eq!(record(&log)["swept"], 1);
}

#[tokio::test]
async fn of_a_client_the_log_has_only_its_id_and_its_idle_time() {
    let fixture = table_with([("a", due()), ("b", due())]).await;
    set(&fixture, "a", "secret_of_the_future", s(TOKEN)).await;
    let grants = grants(&fixture).await;
    issue(&fixture, "b", "grant-of-a-test", None).await;
    let log = Captured::at("INFO");
    run(&Sweep { grants: Some(grants), ..sweep(&fixture, DELETES) }).await;
    assert_eq!(log.lines().len(), 2);
    for secret in [TOKEN, &Digest::of(TOKEN).to_hex(), "Name for people", "grant-of-a-test"] {
        assert!(!log.text().contains(secret), "{secret}");
    }
}
