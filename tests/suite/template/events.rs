//! The table's stream: which records the cascade and the pipes get, and the events that the pipes make of them.

use super::{NOTICE_PERIOD, announce, schema, sweep, template};
use crate::support::{
    Fixture,
    build::{id, oauth_client},
    endpoint::Endpoint,
    invocation, now,
    sample::{self, CLIENT, RFC_CLIENT, SERVICE, TARGET},
    stream::Stream,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    deletion,
    invocation::Invocation,
    model::{Block, Id, Idle, Metadata, Restoration, Service},
    rule::operator,
    store::ClientStatuses,
};
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};
use tokio::time::Instant;

/// The pipes, each with its pattern and the kind of its events.
const PIPES: [(&str, &str, &str); 3] = [
    ("EventsPipe", "Deletions", "Client Deleted"),
    ("RestoredPipe", "Restorations", "Client Restored"),
    ("ExpiringPipe", "Announcements", "Client Expiring"),
];

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

/// Restores a client, and returns the stream's record.
async fn restoration(fixture: &Fixture, stream: &mut Stream, client: &str) -> Value {
    let restoration = Restoration { at: now() + Duration::from_hours(1), by: "operator#jane".to_owned() };
    fixture.direct().restore(&id(client), &restoration).await.unwrap();
    stream.record().await
}

/// Registers a client that is due, has the sweep announce it, and returns the stream's record.
async fn announcement(fixture: &Fixture, stream: &mut Stream, client: &str, metadata: Metadata) -> Value {
    let registered = oauth_client().service(SERVICE).registration_token("token").metadata(metadata);
    fixture.create(client, registered.idle(Idle::unused(now() - Duration::from_hours(25)))).await;
    stream.records().await;
    announce(fixture, 10).await;
    let key = format!("client#{client}");
    let mut records = stream.records().await.into_iter().filter(|record| record["dynamodb"]["Keys"]["pk"]["S"] == key);
    let (Some(record), None) = (records.next(), records.next()) else { panic!("not one record of {client}") };
    record
}

/// The filters of a pipe or of the cascade's event source.
fn filters<'t>(template: &'t Value, resource: &str) -> &'t Value {
    let properties = &template["Resources"][resource]["Properties"];
    properties.get("SourceParameters").unwrap_or(properties).get("FilterCriteria").unwrap()
}

/// The patterns by their names. The cascade and the pipe of the deletions share one, and only the cascade has that of the
/// blocks.
fn patterns() -> HashMap<&'static str, Value> {
    let template = template();
    let filter = |name| json!({ "Pattern": { "!FindInMap": ["Stream", name, "Pattern"] } });
    let of_cascade = json!({ "Filters": [filter("Deletions"), filter("Blocks")] });
    assert_eq!(*filters(&template, "CascadeSource"), of_cascade);
    for (pipe, name, _) in PIPES {
        assert_eq!(*filters(&template, pipe), json!({ "Filters": [filter(name)] }));
    }
    let names = PIPES.map(|(_, name, _)| name).into_iter().chain(["Blocks"]);
    let pattern = |name| template["Mappings"]["Stream"][name]["Pattern"].as_str().unwrap().to_owned();
    names.map(|name| (name, serde_json::from_str(&pattern(name)).unwrap())).collect()
}

/// Whether the record matches the pattern. It supports only `exists` of AWS's patterns.
fn matches(pattern: &Value, record: &Value) -> bool {
    pattern.as_object().unwrap().iter().all(|(name, pattern)| {
        if let Some(condition) = pattern.as_array() {
            let [condition] = &condition[..] else { panic!("{pattern}") };
            let exists = !matches!(record[name], Value::Null | Value::Object(_) | Value::Array(_));
            return condition["exists"].as_bool().unwrap() == exists;
        }
        matches(pattern, &record[name])
    })
}

/// The patterns that the record matches.
fn matched(record: &Value) -> Vec<&'static str> {
    let patterns = patterns();
    let names = PIPES.map(|(_, name, _)| name).into_iter().chain(["Blocks"]);
    names.filter(|name| matches(&patterns[name], record)).collect()
}

#[tokio::test]
async fn each_pattern_matches_its_changes_and_no_others() {
    // Lambda filters only this member of a record. Neither Lambda nor a pipe can filter the name of the change.
    for pattern in patterns().values() {
        assert_eq!(pattern.as_object().unwrap().keys().collect::<Vec<_>>(), ["dynamodb"]);
    }

    let fixture = Fixture::with_samples().await;
    let (store, mut stream) = (fixture.direct(), Stream::of(&fixture).await);
    for (channel, record) in deletions(&fixture, &mut stream).await {
        assert_eq!(record["dynamodb"]["NewImage"]["deleted"]["M"]["via"]["S"], channel);
        assert_eq!(matched(&record), ["Deletions"], "{record}");
    }
    for client in [TARGET, CLIENT.0] {
        assert_eq!(matched(&restoration(&fixture, &mut stream, client).await), ["Restorations"]);
    }
    // An announced client is deleted, is restored and is deleted again.
    let record = announcement(&fixture, &mut stream, "expiring", Metadata::default()).await;
    assert_eq!(matched(&record), ["Announcements"], "{record}");
    let delete = async || {
        let request = operator::Request { operator: "operator#jane".to_owned(), target: id("expiring"), blocks: false };
        let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
        deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
    };
    delete().await;
    assert_eq!(matched(&stream.record().await), ["Deletions"]);
    assert_eq!(matched(&restoration(&fixture, &mut stream, "expiring").await), ["Restorations"]);
    delete().await;
    assert_eq!(matched(&stream.record().await), ["Deletions"]);

    let mut others = Vec::new();
    store.create_client(&id("new"), &sample::owner()).await.unwrap();
    others.push(stream.record().await);
    store.create_service(&id("new"), &Service::default()).await.unwrap();
    others.push(stream.record().await);
    store.set_protected(&id("new"), true).await.unwrap();
    others.push(stream.record().await);
    let (later, status) = (now() + Duration::from_hours(3), store.client_status(&id(CLIENT.0)).await.unwrap());
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
    assert_eq!(names, ["INSERT", "INSERT", "MODIFY", "MODIFY", "MODIFY", "REMOVE", "REMOVE"]);
    for record in others {
        assert_eq!(matched(&record), [""; 0], "{record}");
    }
}

/// A block of a live client is a deletion, with an event. The other blocks are for the cascade only.
#[tokio::test]
async fn the_patterns_match_blocks_and_not_their_ends() {
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
    let of_deletion = Invocation { request_id: "deletion".to_owned(), ..invocation.clone() };
    deletion::delete(&store, request(&deleted, false), &of_deletion).await.result.unwrap();
    stream.record().await;

    deletion::delete(&store, request(&live, true), &invocation).await.result.unwrap();
    let of_live = stream.record().await;
    store.block(&deleted, &block).await.unwrap();
    let of_deleted = stream.record().await;
    store.block(&url, &block).await.unwrap();
    let of_url = stream.record().await;
    assert_eq!([&of_deleted["eventName"], &of_url["eventName"]], ["MODIFY", "INSERT"]);
    for (record, expected) in
        [(&of_live, &["Deletions", "Blocks"][..]), (&of_deleted, &["Blocks"]), (&of_url, &["Blocks"])]
    {
        assert_eq!(matched(record), expected, "{record}");
    }
    assert_conforms(&event("EventsPipe", &of_live), "Client Deleted", &of_live);

    let restoration = Restoration { at: now(), by: "operator".to_owned() };
    for (target, expected) in [(&live, &["Restorations"][..]), (&deleted, &[]), (&url, &[])] {
        store.unblock(target, &restoration).await.unwrap();
        let record = stream.record().await;
        assert_eq!(matched(&record), expected, "{record}");
    }
}

/// A use cancels the deletion without an event. The next announcement is an event again.
#[tokio::test]
async fn a_notice_is_used_and_replaced_without_an_event_and_announced_anew_with_one() {
    let fixture = Fixture::with_samples().await;
    let (store, mut stream) = (fixture.direct(), Stream::of(&fixture).await);
    let record = announcement(&fixture, &mut stream, "a", Metadata::default()).await;
    assert_eq!(matched(&record), ["Announcements"]);
    let status = store.client_status(&id("a")).await.unwrap();
    assert!(store.note_use(&id("a"), &status, now() - Duration::from_hours(91 * 24)).await.unwrap());
    assert_eq!(matched(&stream.record().await), [""; 0]);
    announce(&fixture, 10).await;
    let records = stream.records().await;
    let matched: Vec<_> = records.iter().map(matched).collect();
    assert_eq!(matched, [vec![], vec!["Announcements"]], "{records:?}");
}

/// The pipe's input template with each path replaced by the record's value there. A path without a value is replaced by
/// nothing.
fn rendered(template: &str, record: &Value) -> Value {
    let mut parts = template.split("<$.");
    let mut text = parts.next().unwrap().to_owned();
    for (path, rest) in parts.map(|part| part.split_once('>').unwrap()) {
        let value = path.split('.').fold(record, |value, name| &value[name]);
        assert!(value.is_string() || value.is_boolean() || value.is_null(), "{path}: {value}");
        // Between quotation marks the pipe inserts the value as it is. Otherwise it inserts JSON.
        let value = match value {
            Value::Null => String::new(),
            Value::String(value) if text.ends_with('"') => value.clone(),
            value => value.to_string(),
        };
        text.extend([&value, rest]);
    }
    serde_json::from_str(&text).unwrap()
}

/// The event that the pipe makes of the record, as a subscriber gets it.
fn event(pipe: &str, record: &Value) -> Value {
    let template = template();
    let parameters = &template["Resources"][pipe]["Properties"]["TargetParameters"];
    let of_the_bus = &parameters["EventBridgeEventBusParameters"];
    let arn: Vec<_> = record["eventSourceARN"].as_str().unwrap().split(':').collect();
    json!({
        "version": "0",
        "id": "6a7e8feb-b491-4cf7-a9f1-bf3703467718",
        "detail-type": of_the_bus["DetailType"],
        "source": of_the_bus["Source"],
        "account": arn[4],
        "time": "2027-01-15T08:00:01Z",
        "region": arn[3],
        "resources": [],
        "detail": rendered(parameters["InputTemplate"].as_str().unwrap(), record),
    })
}

/// Asserts that the event is of this kind, conforms to the schemas, has no other members, and repeats no digest of the
/// record.
#[track_caller]
fn assert_conforms(event: &Value, kind: &str, record: &Value) {
    assert_eq!(event["detail-type"], kind);
    assert_eq!(schema::check(&schema::schema("event.schema.json"), event), Ok(()), "{event}");
    assert_eq!(schema::undescribed(event), [""; 0]);
    assert!(digests(record).iter().all(|digest| !event.to_string().contains(digest)), "{event}");
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

/// The example of this kind of event in `docs/events.md`.
fn example(kind: &str) -> Value {
    let page = include_str!("../../../docs/events.md");
    let section = page.split(&format!("\n## {kind}\n")).nth(1).unwrap();
    let example = section.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    serde_json::from_str(example).unwrap()
}

/// Asserts that the page has this event as its example. The ids of invocations differ.
fn assert_is_the_example(mut event: Value, kind: &str) {
    let example = example(kind);
    if let Some(request_id) = event["detail"].get_mut("request_id") {
        *request_id = example["detail"]["request_id"].clone();
    }
    for generated in ["id", "time"] {
        event[generated] = example[generated].clone();
    }
    assert_eq!(event, example, "the example in docs/events.md");
    assert_conforms(&example, kind, &Value::Null);
}

#[tokio::test]
async fn the_event_of_each_deletion_conforms_to_its_schema_and_has_no_digest() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    for (channel, record) in deletions(&fixture, &mut stream).await {
        let event = event("EventsPipe", &record);
        assert_conforms(&event, "Client Deleted", &record);
        let detail = &event["detail"];
        let holder = match detail["kind"].as_str().unwrap() {
            "api" => json!([sample::APPLICATION, ""]),
            _ => json!(["", SERVICE]),
        };
        assert_eq!(json!([detail["app_id"], detail["service_id"]]), holder, "{channel}");
        assert_eq!(detail["via"], channel);
        // The sample clients that an operator and the sweep delete have no token.
        assert_eq!(digests(&record).is_empty(), ["deregisterctl", "sweep"].contains(&channel), "{channel}");
        if channel == "configuration" {
            assert_is_the_example(event, "Client Deleted");
        }
    }
}

#[tokio::test]
async fn the_event_of_each_restoration_conforms_to_its_schema_and_has_no_digest() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    let deletions = deletions(&fixture, &mut stream).await;
    for (channel, deleted) in deletions {
        let client = deleted["dynamodb"]["Keys"]["pk"]["S"].as_str().unwrap();
        let record = restoration(&fixture, &mut stream, client.strip_prefix("client#").unwrap()).await;
        let restored = event("RestoredPipe", &record);
        assert_conforms(&restored, "Client Restored", &record);
        // It names the deletion that it ended.
        let of_deletion = event("EventsPipe", &deleted);
        for (name, other) in [
            ("client", "client"),
            ("kind", "kind"),
            ("app_id", "app_id"),
            ("service_id", "service_id"),
            ("deleted_at", "at"),
            ("deleted_by", "by"),
            ("via", "via"),
            ("request_id", "request_id"),
        ] {
            assert_eq!(restored["detail"][name], of_deletion["detail"][other], "{channel}: {name}");
        }
        assert_eq!(restored["detail"]["by"], "operator#jane");
        if channel == "configuration" {
            assert_is_the_example(restored, "Client Restored");
        }
    }
}

/// The restored client is deleted and restored again. The event has the latest restoration.
#[tokio::test]
async fn the_event_of_a_second_restoration_is_of_the_second() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    let mut events = Vec::new();
    for (n, by) in ["operator#jane", "operator#joe"].into_iter().enumerate() {
        fixture.invoke(&Endpoint::Configuration.event()).await;
        stream.records().await;
        let at = now() + u32::try_from(n + 1).unwrap() * Duration::from_hours(1);
        let restoration = Restoration { at, by: by.to_owned() };
        fixture.direct().restore(&id(TARGET), &restoration).await.unwrap();
        events.push(event("RestoredPipe", &stream.record().await)["detail"].take());
    }
    assert_eq!([&events[0]["by"], &events[1]["by"]], ["operator#jane", "operator#joe"]);
    assert_eq!([&events[0]["at"], &events[1]["at"]], ["1800003600", "1800007200"]);
    assert_ne!(events[0]["request_id"], events[1]["request_id"]);
}

/// What a stranger can register.
fn metadata(name: &str, contact: &str) -> Metadata {
    Metadata {
        client_name: Some(name.to_owned()),
        contacts: Some(vec![contact.to_owned()]),
        redirect_uris: Some(vec!["https://example.com/callback".to_owned()]),
        ..Metadata::default()
    }
}

#[tokio::test]
async fn the_event_of_each_announcement_conforms_to_its_schema_and_has_no_digest() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    let record = announcement(&fixture, &mut stream, "1140735090", metadata("Jane's tool", "jane@example.com")).await;
    assert!(!digests(&record).is_empty());
    let expiring = event("ExpiringPipe", &record);
    assert_conforms(&expiring, "Client Expiring", &record);
    let sweep_at = now() + NOTICE_PERIOD;
    let seconds = sweep_at.duration_since(std::time::UNIX_EPOCH).unwrap().as_secs().to_string();
    assert_eq!(expiring["detail"]["sweep_at"], seconds);
    assert_is_the_example(expiring, "Client Expiring");

    let record = announcement(&fixture, &mut stream, "unnamed", Metadata::default()).await;
    let expiring = event("ExpiringPipe", &record);
    assert_conforms(&expiring, "Client Expiring", &record);
    assert_eq!(expiring["detail"]["metadata"], "{}");
}

/// A registered name cannot add members to the event, and cannot break it.
#[tokio::test]
async fn no_name_that_a_stranger_registers_forges_or_breaks_an_event() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    for (n, name) in
        ["\", \"sweep_at\": \"0", "\\", "\"}", "\u{0}\n\u{1F}\u{2028}", "<$.dynamodb.Keys.pk.S>"].iter().enumerate()
    {
        let client = format!("stranger-{n}");
        let record = announcement(&fixture, &mut stream, &client, metadata(name, name)).await;
        let expiring = event("ExpiringPipe", &record);
        assert_conforms(&expiring, "Client Expiring", &record);
        assert_eq!(expiring["detail"]["sweep_at"], "1801209600");
        let metadata: Value = serde_json::from_str(expiring["detail"]["metadata"].as_str().unwrap()).unwrap();
        assert_eq!(metadata, json!({ "client_name": name, "contacts": [name] }));
    }
}

/// The paths of an input template between quotation marks: the pipe does not escape their values.
fn quoted(template: &str) -> BTreeSet<&str> {
    let parts = template.split("\"<$.").skip(1);
    parts.map(|part| part.split('>').next().unwrap().rsplit('.').nth(1).unwrap()).collect()
}

#[test]
fn only_what_no_stranger_can_choose_is_between_quotation_marks() {
    let template = template();
    for (pipe, expected) in [
        ("EventsPipe", &["app_id", "service_id", "source_ip"][..]),
        ("RestoredPipe", &["app_id", "service_id"]),
        ("ExpiringPipe", &["service_id"]),
    ] {
        let parameters = &template["Resources"][pipe]["Properties"]["TargetParameters"];
        let quoted = quoted(parameters["InputTemplate"].as_str().unwrap());
        assert_eq!(quoted, expected.iter().copied().collect(), "{pipe}");
    }
}

#[test]
fn the_pipes_differ_only_in_their_events() {
    let template = template();
    let rest = |pipe: &str| {
        let mut properties = template["Resources"][pipe]["Properties"].clone();
        properties["SourceParameters"]["FilterCriteria"].take();
        properties["TargetParameters"]["InputTemplate"].take();
        properties["TargetParameters"]["EventBridgeEventBusParameters"]["DetailType"].take();
        properties
    };
    for (pipe, _, kind) in PIPES {
        assert_eq!(rest(pipe), rest("EventsPipe"), "{pipe}");
        let parameters = &template["Resources"][pipe]["Properties"]["TargetParameters"];
        assert_eq!(parameters["EventBridgeEventBusParameters"], json!({ "Source": "deregister", "DetailType": kind }));
    }
    let pipes = template["Resources"].as_object().unwrap().values().filter(|it| it["Type"] == "AWS::Pipes::Pipe");
    assert_eq!(pipes.count(), PIPES.len());
}

/// Each pipe is one more reader of the stream, so it exists only if its parameter switches it on.
#[test]
fn each_pipe_has_a_condition_and_the_alarm_counts_its_failures() {
    let template = template();
    let has_bus = json!({ "!Not": [{ "!Equals": [{ "!Ref": "EventBus" }, ""] }] });
    let and = |condition: Value| json!({ "!And": [{ "!Condition": "HasEventBus" }, condition] });
    let metrics = template["Resources"]["EventsAlarm"]["Properties"]["Metrics"].as_array().unwrap();
    for (pipe, condition, expected) in [
        ("EventsPipe", "HasEventBus", has_bus),
        ("RestoredPipe", "SendsRestored", and(json!({ "!Equals": [{ "!Ref": "RestoredEvents" }, "true"] }))),
        ("ExpiringPipe", "SendsExpiring", and(json!({ "!Not": [{ "!Equals": [{ "!Ref": "SweepNoticeDays" }, 0] }] }))),
    ] {
        assert_eq!(template["Resources"][pipe]["Condition"], condition);
        assert_eq!(template["Conditions"][condition], expected);
        let metric = metrics.iter().find(|metric| metric.to_string().contains(pipe)).unwrap();
        let metric = if pipe == "EventsPipe" {
            metric
        } else {
            assert_eq!((&metric["!If"][0], &metric["!If"][2]), (&json!(condition), &json!({ "!Ref": "AWS::NoValue" })));
            let expression = &metrics[0]["Expression"]["!Sub"];
            assert!(expression.to_string().contains(condition), "{expression}");
            &metric["!If"][1]
        };
        assert_eq!(metric["MetricStat"]["Metric"]["MetricName"], "ExecutionFailed");
    }
    for default in ["RestoredEvents", "SweepNoticeDays"] {
        assert!([json!("false"), json!(0)].contains(&template["Parameters"][default]["Default"]), "{default}");
    }
}
