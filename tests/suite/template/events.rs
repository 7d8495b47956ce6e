//! Deletions on the table's stream: which records the cascade and the pipe get, and the event that the pipe makes of
//! them.

use super::{sweep, template};
use crate::support::{
    Fixture,
    build::id,
    endpoint::Endpoint,
    now,
    sample::{self, CLIENT, RFC_CLIENT, SERVICE, TARGET},
    stream::Stream,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion,
    invocation::Invocation,
    model::{Block, Id, Restoration, Service},
    rule::operator,
    store::ClientStatuses,
};
use serde_json::{Value, json};
use std::{collections::HashMap, time::Duration};
use tokio::time::Instant;

/// The stream's record of a deletion through each channel.
async fn deletions(fixture: &Fixture, stream: &mut Stream) -> HashMap<&'static str, Value> {
    let mut records = HashMap::new();
    for (channel, endpoint) in [
        ("configuration", Endpoint::Configuration),
        ("registration", Endpoint::Registration),
        ("authlete", Endpoint::Authlete),
    ] {
        fixture.invoke(&endpoint.event()).await;
        records.insert(channel, stream.record().await);
    }
    let request =
        operator::Request { operator: "operator#jane".to_owned(), target: id(sample::TOKENLESS_CLIENT), blocks: false };
    let invocation = Invocation {
        request_id: "by-hand".to_owned(),
        now: now(),
        deadline: Instant::now() + Duration::from_mins(1),
        source_ip: None,
    };
    deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
    records.insert("deregisterctl", stream.record().await);
    assert_eq!(sweep(fixture, None, true, 1).await.swept, 1);
    records.insert("sweep", stream.record().await);
    records
}

/// The pattern, which the cascade's event source and the pipe share, and the one that only the cascade has.
fn patterns() -> [Value; 2] {
    let template = template();
    let filter = |name| json!({ "Pattern": { "!FindInMap": ["Stream", name, "Pattern"] } });
    let resources = &template["Resources"];
    let of_cascade = json!({ "Filters": [filter("Deletions"), filter("Blocks")] });
    assert_eq!(resources["CascadeSource"]["Properties"]["FilterCriteria"], of_cascade);
    let of_pipe = json!({ "Filters": [filter("Deletions")] });
    assert_eq!(resources["EventsPipe"]["Properties"]["SourceParameters"]["FilterCriteria"], of_pipe);
    ["Deletions", "Blocks"].map(|name| {
        let pattern = &template["Mappings"]["Stream"][name]["Pattern"];
        serde_json::from_str(pattern.as_str().unwrap()).unwrap()
    })
}

/// Whether the record matches the pattern. It supports only `exists` of AWS's patterns.
fn matches(pattern: &Value, record: &Value) -> bool {
    pattern.as_object().unwrap().iter().all(|(name, pattern)| {
        if pattern.is_array() {
            assert_eq!(pattern, &json!([{ "exists": true }]));
            return !matches!(record[name], Value::Null | Value::Object(_) | Value::Array(_));
        }
        matches(pattern, &record[name])
    })
}

#[tokio::test]
async fn the_pattern_matches_deletions_and_no_other_changes() {
    let [pattern, of_blocks] = patterns();
    // Lambda filters only this member of a record. Neither Lambda nor a pipe can filter the name of the change.
    assert_eq!(pattern.as_object().unwrap().keys().collect::<Vec<_>>(), ["dynamodb"]);
    assert_eq!(of_blocks.as_object().unwrap().keys().collect::<Vec<_>>(), ["dynamodb"]);

    let fixture = Fixture::with_samples().await;
    let (store, mut stream) = (fixture.direct(), Stream::of(&fixture).await);
    for (channel, record) in deletions(&fixture, &mut stream).await {
        assert_eq!(record["dynamodb"]["NewImage"]["deleted"]["M"]["via"]["S"], channel);
        assert!(matches(&pattern, &record) && !matches(&of_blocks, &record), "{record}");
    }

    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    let mut others = Vec::new();
    store.create_client(&id("new"), &sample::owner()).await.unwrap();
    others.push(stream.record().await);
    store.create_service(&id("new"), &Service::default()).await.unwrap();
    others.push(stream.record().await);
    store.set_protected(&id("new"), true).await.unwrap();
    others.push(stream.record().await);
    store.restore(&id(TARGET), &restoration).await.unwrap();
    others.push(stream.record().await);
    store.restore(&id(CLIENT.0), &restoration).await.unwrap();
    others.push(stream.record().await);
    let (later, status) = (now() + Duration::from_hours(2), store.client_status(&id(CLIENT.0)).await.unwrap());
    assert!(store.note_use(&id(CLIENT.0), &status, later).await.unwrap());
    others.push(stream.record().await);
    let update = fixture.sdk.update_item().table_name(&fixture.table).update_expression("SET expires_at = :later");
    let update = update.key("pk", AttributeValue::S(format!("client#{}", RFC_CLIENT.0)));
    update.expression_attribute_values(":later", AttributeValue::N("1900000000".to_owned())).send().await.unwrap();
    others.push(stream.record().await);
    // The time to live removes a tombstone like this, or by mistake a live client.
    for client in [RFC_CLIENT.0, "new"] {
        let key = AttributeValue::S(format!("client#{client}"));
        fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key).send().await.unwrap();
        others.push(stream.record().await);
    }
    let names: Vec<_> = others.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "INSERT", "MODIFY", "MODIFY", "MODIFY", "MODIFY", "MODIFY", "REMOVE", "REMOVE"]);
    for record in others {
        assert!(!matches(&pattern, &record) && !matches(&of_blocks, &record), "{record}");
    }
}

/// A block of a live client is a deletion, with an event. The other blocks are for the cascade only.
#[tokio::test]
async fn the_patterns_match_blocks_and_not_their_ends() {
    let [of_deletions, of_blocks] = patterns();
    let fixture = Fixture::with_samples().await;
    let (store, mut stream) = (fixture.direct(), Stream::of(&fixture).await);
    let invocation = Invocation {
        request_id: "block".to_owned(),
        now: now(),
        deadline: Instant::now() + Duration::from_mins(1),
        source_ip: None,
    };
    let block = Block { at: now(), by: "operator".to_owned(), request_id: "block".to_owned() };
    let (live, deleted, url) = (id(sample::TOKENLESS_CLIENT), id(TARGET), id("https://client.example/a"));
    let request =
        |target: &Id, blocks| operator::Request { operator: block.by.clone(), target: target.clone(), blocks };
    deletion::delete(&store, request(&deleted, false), &invocation).await.result.unwrap();
    stream.record().await;

    deletion::delete(&store, request(&live, true), &invocation).await.result.unwrap();
    let of_live = stream.record().await;
    store.block(&deleted, &block).await.unwrap();
    let of_deleted = stream.record().await;
    store.block(&url, &block).await.unwrap();
    let of_url = stream.record().await;
    assert_eq!([&of_deleted["eventName"], &of_url["eventName"]], ["MODIFY", "INSERT"]);
    for (record, is_deletion) in [(&of_live, true), (&of_deleted, false), (&of_url, false)] {
        assert!(matches(&of_blocks, record), "{record}");
        assert_eq!(matches(&of_deletions, record), is_deletion, "{record}");
    }
    let template = template();
    let parameters = &template["Resources"]["EventsPipe"]["Properties"]["TargetParameters"];
    assert_conforms(&rendered(parameters["InputTemplate"].as_str().unwrap(), &of_live));

    let restoration = Restoration { at: now(), by: "operator".to_owned() };
    for target in [&live, &deleted, &url] {
        store.unblock(target, &restoration).await.unwrap();
        let record = stream.record().await;
        assert!(!matches(&of_blocks, &record) && !matches(&of_deletions, &record), "{record}");
    }
}

/// The pipe's input template with each path replaced by the record's value there. A path without a value is replaced by
/// nothing.
fn rendered(template: &str, record: &Value) -> Value {
    let mut parts = template.split("<$.");
    let mut text = parts.next().unwrap().to_owned();
    for (path, rest) in parts.map(|part| part.split_once('>').unwrap()) {
        let value = path.split('.').fold(record, |value, name| &value[name]);
        assert!(value.is_string() || value.is_null(), "{path}: {value}");
        // Between quotation marks the pipe inserts the value as it is. Otherwise it inserts JSON.
        let value = match value.as_str() {
            Some(value) if text.ends_with('"') => value.to_owned(),
            Some(_) => value.to_string(),
            None => String::new(),
        };
        text.extend([&value, rest]);
    }
    serde_json::from_str(&text).unwrap()
}

/// Asserts that the detail conforms to `docs/client-deleted.schema.json` and has no other members.
fn assert_conforms(detail: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../../../docs/client-deleted.schema.json")).unwrap();
    let detail = detail.as_object().unwrap();
    for required in schema["required"].as_array().unwrap() {
        assert!(detail.contains_key(required.as_str().unwrap()), "{required} is missing");
    }
    for (name, value) in detail {
        let text = value.as_str().unwrap();
        for (keyword, expected) in schema["properties"][name].as_object().unwrap() {
            let conforms = match (keyword.as_str(), expected.as_str().unwrap_or_default()) {
                ("description", _) | ("type", "string") => true,
                ("enum", _) => expected.as_array().unwrap().contains(value),
                ("minLength", _) => text.len() as u64 >= expected.as_u64().unwrap(),
                ("pattern", "^[0-9]+$") => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
                ("pattern", "^client#.") => text.len() > "client#".len() && text.starts_with("client#"),
                other => panic!("the schema has a keyword that this test does not know: {other:?}"),
            };
            assert!(conforms, "{name} is {value}, and not {keyword} {expected}");
        }
    }
}

/// Every binary value in an image, in base64. The table's binary values are digests.
fn digests(image: &Value) -> Vec<&str> {
    match image {
        Value::Object(members) => {
            let own = members.get("B").and_then(Value::as_str);
            members.values().flat_map(digests).chain(own).collect()
        }
        Value::Array(items) => items.iter().flat_map(digests).collect(),
        _ => Vec::new(),
    }
}

#[tokio::test]
async fn the_event_of_each_deletion_conforms_to_its_schema_and_has_no_digest() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    let template = template();
    let parameters = &template["Resources"]["EventsPipe"]["Properties"]["TargetParameters"];
    let input_template = parameters["InputTemplate"].as_str().unwrap();
    let page = include_str!("../../../docs/events.md");
    let example = page.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(parameters["EventBridgeEventBusParameters"]["Source"], example["source"]);
    assert_eq!(parameters["EventBridgeEventBusParameters"]["DetailType"], example["detail-type"]);

    for (channel, record) in deletions(&fixture, &mut stream).await {
        let detail = rendered(input_template, &record);
        assert_conforms(&detail);
        let holder = match detail["kind"].as_str().unwrap() {
            "api" => json!([sample::APPLICATION, ""]),
            _ => json!(["", SERVICE]),
        };
        assert_eq!(json!([detail["app_id"], detail["service_id"]]), holder, "{channel}");
        assert_eq!(detail["via"], channel);
        let digests = digests(&record);
        // The sample clients that an operator and the sweep delete have no token.
        assert_eq!(digests.is_empty(), ["deregisterctl", "sweep"].contains(&channel), "{channel}");
        assert!(digests.iter().all(|digest| !detail.to_string().contains(digest)), "{detail}");
        if channel == "configuration" {
            example["detail"]["request_id"] = detail["request_id"].clone();
            assert_eq!(example["detail"], detail, "the example in docs/events.md");
        }
    }
}
