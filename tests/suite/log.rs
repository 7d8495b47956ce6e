//! The log: one line a request, with what operators look for and callers are not told.

use crate::support::{
    Fixture, basic, bearer,
    log::Captured,
    sample::{APPLICATION, OWNER, SERVICE, SERVICE_TOKEN, TARGET},
    wire::Fault,
};
use serde_json::{Value, json};

/// The only line that there is.
fn only_line(log: &Captured) -> Value {
    let [line] = log.lines().try_into().unwrap();
    line
}

async fn delete_target(fixture: &Fixture, caller: (&str, &str)) -> u16 {
    let path = format!("/config/{APPLICATION}/clients/{TARGET}");
    fixture.send("DELETE", &path, Some(&basic(caller)), "").await.status().as_u16()
}

#[tokio::test]
async fn a_deletion_is_one_line_for_information() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    delete_target(&fixture, OWNER).await;
    let line = only_line(&log);
    for (key, value) in [
        ("level", json!("INFO")),
        ("timestamp", json!("2027-01-15T08:00:00Z")),
        ("service", json!("deregister")),
        ("message", json!("deleted a client")),
        ("door", json!("configuration")),
        ("outcome", json!("deleted")),
        ("client_id", json!(TARGET)),
        ("caller", json!(format!("client#{}", OWNER.0))),
        ("source_ip", json!("203.0.113.7")),
        ("status", json!(204)),
        ("database_calls", json!(2)),
        ("retries", json!(0)),
        ("throttles", json!(0)),
        ("reason", Value::Null),
    ] {
        assert_eq!(line[key], value, "{key} in {line}");
    }
    assert!(line["function_request_id"].as_str().unwrap().starts_with("invocation-"));
    assert!(line["duration_ms"].as_f64().unwrap() >= line["database_ms"].as_f64().unwrap());
}

#[tokio::test]
async fn a_refusal_carries_its_exact_reason_for_information() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, (OWNER.0, "wrong")).await, 401);
    let line = only_line(&log);
    assert_eq!((&line["level"], &line["outcome"]), (&json!("INFO"), &json!("refused")));
    assert_eq!(line["reason"], "wrong_secret");
    assert_eq!(line["database_calls"], 1);
}

#[tokio::test]
async fn a_fault_is_one_line_as_an_error() {
    let fixture = Fixture::with_samples().await;
    fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "AccessDeniedException"));
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, OWNER).await, 500);
    let line = only_line(&log);
    assert_eq!((&line["level"], &line["outcome"]), (&json!("ERROR"), &json!("failed")));
    assert!(line["reason"].as_str().unwrap().contains("AccessDeniedException"), "{line}");
}

#[tokio::test]
async fn retries_and_throttles_are_counted() {
    let fixture = Fixture::with_samples().await;
    fixture.wire.plan("BatchGetItem", wire::Fault::error(400, "ThrottlingException"));
    fixture.wire.plan("UpdateItem", wire::Fault::error(400, "ProvisionedThroughputExceededException"));
    fixture.wire.plan("UpdateItem", wire::Fault::Reset);
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, OWNER).await, 204);
    let line = only_line(&log);
    let counts = [&line["database_calls"], &line["retries"], &line["throttles"]];
    assert_eq!(counts, [&json!(5), &json!(3), &json!(2)]);
}

#[tokio::test]
async fn requests_that_no_door_takes_have_a_line_too() {
    let fixture = Fixture::empty().await;
    let log = Captured::at("INFO");
    fixture.send("DELETE", "/nowhere", None, "").await;
    fixture.send("GET", "/register/a", None, "").await;
    let told: Vec<_> = log.lines().iter().map(|line| (line["door"].clone(), line["reason"].clone())).collect();
    let expected = [("none", "unknown_path"), ("registration", "method_not_allowed")];
    assert_eq!(told, expected.map(|(door, reason)| (json!(door), json!(reason))));
}

#[tokio::test]
async fn the_line_is_its_own_metrics_in_the_embedded_format() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    delete_target(&fixture, OWNER).await;
    let line = only_line(&log);
    assert_eq!(line["_aws"]["Timestamp"], 1_800_000_000_000_u64);
    let directives = line["_aws"]["CloudWatchMetrics"].as_array().unwrap();
    let names = |directive: &Value| -> Vec<String> {
        let metrics = directive["Metrics"].as_array().unwrap();
        metrics.iter().map(|metric| metric["Name"].as_str().unwrap().to_owned()).collect()
    };
    let all: Vec<_> = directives.iter().flat_map(names).collect();
    assert_eq!(all, ["requests", "duration_ms", "database_ms", "throttles", "cold_starts"]);
    for metric in all {
        assert!(line[&metric].is_number(), "{metric} in {line}");
    }
    for dimension in directives.iter().flat_map(|directive| directive["Dimensions"][0].as_array().unwrap()) {
        let value = line[dimension.as_str().unwrap()].as_str().unwrap();
        assert!(["configuration", "deleted"].contains(&value), "{dimension}: {value}");
    }
}

#[tokio::test]
async fn only_the_first_request_of_an_environment_is_a_cold_start() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    delete_target(&fixture, OWNER).await;
    delete_target(&fixture, OWNER).await;
    let starts: Vec<_> = log.lines().iter().map(|l| (l["cold_start"].clone(), l["cold_starts"].clone())).collect();
    assert_eq!(starts, [(json!(true), json!(1)), (json!(false), json!(0))]);
}

#[tokio::test]
async fn the_trace_id_is_that_of_x_ray() {
    let fixture = Fixture::empty().await;
    let log = Captured::at("INFO");
    let mut invocation = support::invocation();
    invocation.xray_trace_id =
        Some("Root=1-5759e988-bd862e3fe1be46a994272793;Parent=53995c3f42cd8ad8;Sampled=1".to_owned());
    fixture.invoke_in(invocation, &support::event("DELETE", "/nowhere", "", &[], "")).await;
    assert_eq!(only_line(&log)["xray_trace_id"], "1-5759e988-bd862e3fe1be46a994272793");
}

#[tokio::test]
async fn the_level_silences_all_but_the_requests_lines() {
    let fixture = Fixture::with_samples().await;
    for (level, expected) in [("WARN", vec!["odd", "refused a request"]), ("ERROR", vec!["refused a request"])] {
        let log = Captured::at(level);
        tracing::info!("usual");
        tracing::warn!("odd");
        delete_target(&fixture, (OWNER.0, "wrong")).await;
        let messages: Vec<_> = log.lines().iter().map(|line| line["message"].clone()).collect();
        assert_eq!(messages, expected, "{level}");
    }
}

#[tokio::test]
async fn an_unreadable_entry_of_an_allow_list_is_named_with_its_client() {
    use aws_sdk_dynamodb::types::AttributeValue;
    let fixture = Fixture::with_samples().await;
    let overlong = "x".repeat(1000);
    let entries = ["203.0.113.0/33", "198.51.100.0/24", &overlong, "three", "four", "five", "six", "seven"];
    let entries = AttributeValue::L(entries.map(|entry| AttributeValue::S(entry.to_owned())).into());
    fixture
        .sdk
        .update_item()
        .table_name("clients")
        .key("pk", AttributeValue::S(format!("client#{}", OWNER.0)))
        .update_expression("SET client.ip_allow_list = :entries")
        .expression_attribute_values(":entries", entries)
        .send()
        .await
        .unwrap();
    let log = Captured::at("INFO");
    assert_eq!(delete_target(&fixture, OWNER).await, 403);
    let [warning, request] = log.lines().try_into().unwrap();
    let named = format!("[\"203.0.113.0/33\", \"{}\", \"three\", \"four\", \"five\"]", "x".repeat(64));
    assert_eq!((&warning["level"], &warning["entries"]), (&json!("WARN"), &json!(named)));
    assert_eq!(warning["others"], 2);
    assert_eq!(warning["key"], json!(format!("client#{}", OWNER.0)));
    assert_eq!(request["reason"], "outside_allow_list");
}

#[tokio::test]
async fn the_caller_of_the_authlete_api_is_what_its_token_covers() {
    let fixture = Fixture::with_samples().await;
    let log = Captured::at("INFO");
    let path = format!("/api/{SERVICE}/client/registration/delete");
    fixture.send("POST", &path, Some(&bearer(SERVICE_TOKEN)), r#"{"clientId":"nobody"}"#).await;
    let line = only_line(&log);
    assert_eq!((&line["caller"], &line["reason"]), (&json!(format!("service#{SERVICE}")), &json!("unknown_client")));
}
