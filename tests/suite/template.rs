//! What `template.yaml` deploys is what the program expects.

use crate::support::{
    Fixture, basic, bearer,
    door::Door,
    event, invocation, now,
    sample::{self, CLIENT, IDLE_CLIENT, RFC_CLIENT, SERVICE, TARGET},
    stream::Stream,
    wire::{Wire, http as past_the_wire},
};
use aws_sdk_dynamodb::types::{AttributeValue, KeySchemaElement, PutRequest, WriteRequest};
use deregister::{
    cascade::Failures,
    deletion,
    dynamodb::{
        GrantsTable,
        schema::{definition, time_to_live},
    },
    functions::{Cascade, Sweep, sweep::Report},
    invocation::Invocation,
    model::{Id, IdlePartition, IdlePolicy, Restoration, Service},
    rule::operator,
    settings::{Setting, Settings, Upkeep},
};
use lambda_http::LambdaEvent;
use saphyr::{LoadableYamlNode, Scalar, Yaml};
use serde::de::IgnoredAny;
use serde_json::{Value, json};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

fn template() -> Value {
    let documents = Yaml::load_from_str(include_str!("../template.yaml")).unwrap();
    as_json(&documents[0])
}

/// YAML as JSON: `!Ref Table` becomes `{"!Ref": "Table"}`.
fn as_json(yaml: &Yaml<'_>) -> Value {
    match yaml {
        Yaml::Value(Scalar::String(text)) => json!(text),
        Yaml::Value(Scalar::Integer(number)) => json!(number),
        Yaml::Value(Scalar::Boolean(yes)) => json!(yes),
        Yaml::Sequence(items) => items.iter().map(as_json).collect(),
        Yaml::Mapping(members) => members.iter().map(|(key, value)| (key.as_str().unwrap(), as_json(value))).collect(),
        Yaml::Tagged(tag, value) => json!({ tag.to_string(): as_json(value) }),
        other => panic!("this has no place in a template: {other:?}"),
    }
}

#[test]
fn the_table_is_the_one_that_the_store_is_made_for() {
    let table = &template()["Resources"]["Table"]["Properties"];
    let definition = definition("clients").unwrap();
    let attributes: Value = definition
        .attribute_definitions()
        .iter()
        .map(|it| json!({ "AttributeName": it.attribute_name(), "AttributeType": it.attribute_type().as_str() }))
        .collect();
    let keys = |schema: &[KeySchemaElement]| -> Value {
        let key =
            |it: &KeySchemaElement| json!({ "AttributeName": it.attribute_name(), "KeyType": it.key_type().as_str() });
        schema.iter().map(key).collect()
    };
    let indexes: Value = definition
        .global_secondary_indexes()
        .iter()
        .map(|it| {
            let projection = it.projection().and_then(|it| it.projection_type()).unwrap().as_str();
            json!({
                "IndexName": it.index_name(),
                "KeySchema": keys(it.key_schema()),
                "Projection": { "ProjectionType": projection },
            })
        })
        .collect();
    let time_to_live = time_to_live().unwrap();

    assert_eq!(table["AttributeDefinitions"], attributes);
    assert_eq!(table["KeySchema"], keys(definition.key_schema()));
    assert_eq!(table["GlobalSecondaryIndexes"], indexes);
    let with_both_images = json!({ "StreamViewType": "NEW_AND_OLD_IMAGES" });
    assert_eq!(table["StreamSpecification"], with_both_images);
    assert_eq!(table["BillingMode"], definition.billing_mode().unwrap().as_str());
    assert_eq!(
        table["TimeToLiveSpecification"],
        json!({ "AttributeName": time_to_live.attribute_name(), "Enabled": time_to_live.enabled() })
    );
}

#[tokio::test]
async fn each_route_leads_to_a_deletion_and_the_role_allows_its_calls_alone() {
    let fixture = Fixture::with_samples().await;
    let function = &template()["Resources"]["Function"]["Properties"];
    let body = json!({ "clientId": sample::CLIENT.0, "token": sample::CLIENT.1 }).to_string();
    let mut calls = BTreeSet::new();
    for (route, authorization, ids, body, status) in [
        (
            "Configuration",
            basic(sample::OWNER),
            vec![("{appId}", sample::APPLICATION), ("{apiClientId}", sample::TARGET)],
            "",
            204,
        ),
        ("Registration", bearer(sample::RFC_CLIENT.1), vec![("{clientId}", sample::RFC_CLIENT.0)], "", 204),
        ("Authlete", bearer(sample::SERVICE_TOKEN), vec![("{serviceId}", sample::SERVICE)], &body, 200),
    ] {
        let route = &function["Events"][route]["Properties"];
        let path =
            ids.iter().fold(route["Path"].as_str().unwrap().to_owned(), |path, (name, id)| path.replace(name, id));
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = fixture.invoke(&event(route["Method"].as_str().unwrap(), &path, "", &headers, body)).await;
        assert_eq!(answer.status(), status, "{path}: {answer:?}");
        calls.extend(fixture.wire.take_calls().into_iter().map(|call| format!("dynamodb:{call}")));
    }
    for client in [sample::TARGET, sample::RFC_CLIENT.0, sample::CLIENT.0] {
        assert!(!fixture.lives(client).await, "{client}");
    }

    let policies = function["Policies"].as_array().unwrap();
    let of_the_table = json!([{ "Effect": "Allow", "Action": calls, "Resource": { "!GetAtt": "Table.Arn" } }]);
    assert_eq!(policies[0]["Statement"], of_the_table);
    // The other policy is that of the table's key.
    assert_eq!((policies.len(), &policies[1]["!If"][0]), (2, &json!("HasTableKey")));
    let of_the_key = policies[1]["!If"][1]["Statement"].as_array().unwrap();
    let actions = of_the_key.iter().flat_map(|statement| statement["Action"].as_array().unwrap());
    assert_eq!(actions.filter(|action| !action.as_str().unwrap().starts_with("kms:")).count(), 0);
}

/// The table of grants, with one of each of these clients, through a wire of its own.
async fn grants(fixture: &Fixture, clients: &[&str]) -> (Grants, Wire) {
    fixture.create_grants_table().await;
    let puts = clients.iter().map(|client| {
        let names = ["client_id", "grant_id"].into_iter();
        let put =
            names.fold(PutRequest::builder(), |put, name| put.item(name, AttributeValue::S((*client).to_owned())));
        WriteRequest::builder().put_request(put.build().unwrap()).build()
    });
    fixture.sdk.batch_write_item().request_items("grants", puts.collect()).send().await.unwrap();
    let wire = Wire::over(past_the_wire());
    let config = fixture.sdk.config().to_builder().http_client(wire.clone());
    (Grants::open(config, "grants", "expires_at").await.unwrap(), wire)
}

/// A run of the sweep, which finds both sample clients due that are idle.
async fn sweep(fixture: &Fixture, grants: Option<Grants>, deletes: bool, most: usize) -> Report {
    let policy = IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(90 * 24) };
    let sweep = Sweep { store: fixture.clients.clone(), grants, policy, deletes, most, clock: now };
    let event = LambdaEvent::new(serde_json::from_str::<IgnoredAny>("{}").unwrap(), invocation());
    Box::pin(sweep.call(event)).await.unwrap()
}

/// The calls that went over the wire, as permissions.
fn calls(wire: &Wire) -> BTreeSet<String> {
    wire.take_calls().into_iter().map(|call| format!("dynamodb:{call}")).collect()
}

fn allow(actions: impl IntoIterator<Item = impl Into<Value>>, resource: &Value) -> Value {
    json!({ "Effect": "Allow", "Action": Value::from_iter(actions), "Resource": resource })
}

/// What holds under a condition of the template.
fn only_if<'t>(condition: &str, value: &'t Value) -> &'t Value {
    assert_eq!((&value["!If"][0], &value["!If"][2]), (&json!(condition), &json!({ "!Ref": "AWS::NoValue" })));
    &value["!If"][1]
}

/// That a policy is about a key alone.
fn is_of_a_key(policy: &Value) {
    for statement in policy["Statement"].as_array().unwrap() {
        let mut actions = statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap());
        assert!(actions.all(|action| action.starts_with("kms:")), "{statement}");
    }
}

const GRANTS: &str = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${GrantsTable}";

/// What AWS documents that a reader of a stream needs, be it Lambda or a pipe, with a queue for what it cannot hand on.
fn of_a_reader(queue: &str) -> [Value; 3] {
    [
        allow(
            ["DescribeStream", "GetRecords", "GetShardIterator"].map(|call| format!("dynamodb:{call}")),
            &json!({ "!GetAtt": "Table.StreamArn" }),
        ),
        allow(["dynamodb:ListStreams"], &json!({ "!Sub": "${Table.Arn}/stream/*" })),
        allow(["sqs:SendMessage"], &json!({ "!GetAtt": format!("{queue}.Arn") })),
    ]
}

#[tokio::test]
async fn the_cascades_role_allows_its_calls_alone() {
    let fixture = Fixture::with_samples().await;
    let (grants, wire) = grants(&fixture, &[TARGET]).await;
    fixture.invoke(&Door::Configuration.event()).await;
    fixture.wire.take_calls();
    let cascade = Cascade::new(fixture.clients.clone(), grants, now);
    let records =
        json!([{ "dynamodb": { "SequenceNumber": "1", "Keys": { "pk": { "S": format!("client#{TARGET}") } } } }]);
    let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
    let failures = Box::pin(cascade.call(LambdaEvent::new(batch, invocation()))).await.unwrap();
    assert_eq!(failures, Failures::default());

    let template = template();
    let policies = template["Resources"]["Cascade"]["Properties"]["Policies"].as_array().unwrap();
    let of_tables = [
        allow(calls(&fixture.wire), &json!({ "!GetAtt": "Table.Arn" })),
        allow(calls(&wire), &json!({ "!Sub": GRANTS })),
    ];
    assert_eq!(policies[0]["Statement"], json!(of_tables));
    assert_eq!(policies[1]["Statement"], json!(of_a_reader("CascadeQueue")));
    let [of_the_key, of_the_grants_key] = &policies[2..] else { panic!("{policies:?}") };
    is_of_a_key(only_if("HasTableKey", of_the_key));
    is_of_a_key(only_if("HasGrantsTableKey", of_the_grants_key));
}

#[tokio::test]
async fn the_sweeps_role_allows_its_calls_alone_and_no_write_while_it_observes() {
    let fixture = Fixture::with_samples().await;
    let (grants, wire) = grants(&fixture, &[IDLE_CLIENT]).await;
    // It asks the index for what is due, and the table for the rest.
    fixture.clients.idle_clients(List::all()[0], now(), None).await.unwrap();
    let of_the_index = calls(&fixture.wire);
    let asked: Value = serde_json::from_str(&fixture.wire.last_body()).unwrap();
    let mut of_runs = Vec::new();
    for deletes in [false, true] {
        let report = sweep(&fixture, Some(grants.clone()), deletes, 10).await;
        assert_eq!((report.swept, report.granted), (1, 1));
        of_runs.push(&calls(&fixture.wire) - &of_the_index);
    }

    let template = template();
    let policies = template["Resources"]["Sweep"]["Properties"]["Policies"].as_array().unwrap();
    let index = format!("${{Table.Arn}}/index/{}", asked["IndexName"].as_str().unwrap());
    let mut of_the_table = allow([""], &json!({ "!GetAtt": "Table.Arn" }));
    of_the_table["Action"] = json!({ "!If": ["SweepMayDelete", of_runs[1], of_runs[0]] });
    assert_eq!(policies[0]["Statement"], json!([of_the_table, allow(of_the_index, &json!({ "!Sub": index }))]));
    assert_eq!(template["Conditions"]["SweepMayDelete"], json!({ "!Equals": [{ "!Ref": "SweepDeletes" }, "true"] }));
    let of_grants = only_if("HasGrantsTable", &policies[1]);
    assert_eq!(of_grants["Statement"], json!([allow(calls(&wire), &json!({ "!Sub": GRANTS }))]));
    let [of_the_key, of_the_grants_key] = &policies[2..] else { panic!("{policies:?}") };
    is_of_a_key(only_if("HasTableKey", of_the_key));
    is_of_a_key(only_if("HasGrantsTableKey", of_the_grants_key));
}

#[test]
fn the_pipes_role_allows_the_way_from_the_stream_to_the_bus_alone() {
    let template = template();
    let policies = template["Resources"]["EventsRole"]["Properties"]["Policies"].as_array().unwrap();
    let target = &template["Resources"]["EventsPipe"]["Properties"]["Target"];
    let mut way = of_a_reader("EventsQueue").to_vec();
    way.push(allow(["events:PutEvents"], target));
    let [of_the_way, of_the_key] = &policies[..] else { panic!("{policies:?}") };
    assert_eq!(of_the_way["PolicyDocument"]["Statement"], json!(way));
    is_of_a_key(&only_if("HasTableKey", of_the_key)["PolicyDocument"]);
}

#[test]
fn every_setting_can_be_set_and_has_its_default() {
    let template = template();
    let settings: Vec<Setting> = [&Settings::TABLE[..], &Upkeep::TABLE].concat();
    let all = |settings: &[Setting]| settings.iter().map(|setting| setting.name).collect::<BTreeSet<_>>();
    let of_the_store =
        || all(&Settings::TABLE).into_iter().filter(|name| name.contains("TABLE") || name.contains("DATABASE"));
    for (function, expected) in [
        ("Function", all(&Settings::TABLE)),
        ("Cascade", of_the_store().chain(["GRANTS_TABLE"]).collect()),
        ("Sweep", of_the_store().chain(["RETENTION_DAYS"]).chain(all(&Upkeep::TABLE)).collect()),
    ] {
        let variables = &template["Resources"][function]["Properties"]["Environment"]["Variables"];
        // AWS's own variables are not settings.
        let names = variables.as_object().unwrap().keys().map(String::as_str).filter(|name| !name.starts_with("AWS_"));
        let names: BTreeSet<_> = names.collect();
        assert_eq!(names, expected, "{function}");

        for setting in settings.iter().filter(|it| it.name != "CLIENTS_TABLE" && names.contains(it.name)) {
            let parameter = variables[setting.name]["!Ref"].as_str().unwrap();
            let default = &template["Parameters"][parameter]["Default"];
            let default = default.as_str().map_or_else(|| default.to_string(), ToOwned::to_owned);
            assert_eq!(default, setting.default, "{}", setting.name);
        }
        assert_eq!(variables["CLIENTS_TABLE"], json!({ "!Ref": "Table" }));
    }
}

#[test]
fn a_parameter_of_the_sweep_takes_what_the_sweep_takes() {
    let template = template();
    let variables = &template["Resources"]["Sweep"]["Properties"]["Environment"]["Variables"];
    let accepts = |name, value: &str| Upkeep::read(|other| (other == name).then(|| value.to_owned())).is_ok();
    for name in ["SWEEP_UNUSED_HOURS", "SWEEP_IDLE_DAYS", "SWEEP_LIMIT"] {
        let parameter = &template["Parameters"][variables[name]["!Ref"].as_str().unwrap()];
        let (least, most) = (parameter["MinValue"].as_u64().unwrap(), parameter["MaxValue"].as_u64().unwrap());
        let taken = [least - 1, least, most, most + 1].map(|number| accepts(name, &number.to_string()));
        assert_eq!(taken, [false, true, true, false], "{name}");
    }
    for value in template["Parameters"]["SweepDeletes"]["AllowedValues"].as_array().unwrap() {
        assert!(accepts("SWEEP_DELETES", value.as_str().unwrap()), "{value}");
    }
}

#[test]
fn each_function_is_a_binary_of_the_package() {
    let template = template();
    for function in ["Function", "Cascade", "Sweep"] {
        let binary = template["Resources"][function]["Metadata"]["BuildProperties"]["Binary"].as_str().unwrap();
        assert!(include_str!("../Cargo.toml").contains(&format!("[[bin]]\nname = \"{binary}\"\n")), "{binary}");
    }
}

/// A template in which one name stands for both cannot be deployed. Where SAM makes the resource, no linter sees it.
#[test]
fn no_resource_has_the_name_of_a_parameter() {
    let template = template();
    let resources = template["Resources"].as_object().unwrap();
    let of_events = resources.iter().flat_map(|(function, resource)| {
        let events = resource["Properties"]["Events"].as_object().into_iter().flatten();
        events.map(move |(event, _)| format!("{function}{event}"))
    });
    let parameters = template["Parameters"].as_object().unwrap();
    let shared: Vec<_> =
        resources.keys().cloned().chain(of_events).filter(|name| parameters.contains_key(name)).collect();
    assert_eq!(shared, [""; 0]);
}

#[test]
fn two_database_calls_fit_into_the_functions_time() {
    let template = template();
    let milliseconds = template["Resources"]["Function"]["Properties"]["Timeout"].as_u64().unwrap() * 1000;
    let longest_call = template["Parameters"]["DatabaseCallTimeoutMs"]["MaxValue"].as_u64().unwrap();
    let alarm = template["Resources"]["DurationAlarm"]["Properties"]["Threshold"].as_u64().unwrap();
    assert!(2 * longest_call < milliseconds, "{longest_call} ms twice");
    assert!(alarm < milliseconds, "the alarm at {alarm} ms");
}

#[test]
fn the_access_log_is_json_without_credentials() {
    let template = template();
    let format = template["Resources"]["Api"]["Properties"]["AccessLogSettings"]["Format"].as_str().unwrap();
    assert!(!format.to_lowercase().contains("authorization"), "{format}");
    let line: serde_json::Map<String, Value> = serde_json::from_str(format).unwrap();
    for (name, value) in line {
        assert!(value.as_str().unwrap().starts_with("$context."), "{name}");
    }
}

#[test]
fn the_dashboard_is_json() {
    let template = template();
    let body = template["Resources"]["Dashboard"]["Properties"]["DashboardBody"]["!Sub"].as_str().unwrap();
    let dashboard: Value = serde_json::from_str(body).unwrap();
    assert_eq!(dashboard["widgets"].as_array().unwrap().len(), 8);
}

/// The records of a deletion in each way that there is, by that way.
async fn deletions(fixture: &Fixture, stream: &mut Stream) -> HashMap<&'static str, Value> {
    let mut records = HashMap::new();
    for (via, door) in
        [("configuration", Door::Configuration), ("registration", Door::Registration), ("authlete", Door::Authlete)]
    {
        fixture.invoke(&door.event()).await;
        records.insert(via, stream.record().await);
    }
    let request = operator::Request { operator: "operator#jane".to_owned(), target: id(sample::TOKENLESS_CLIENT) };
    let invocation = Invocation {
        now: now(),
        deadline: tokio::time::Instant::now() + Duration::from_mins(1),
        source_ip: None,
        request_id: "by-hand".to_owned(),
    };
    deletion::delete(&fixture.clients, request, &invocation).await.result.unwrap();
    records.insert("deregisterctl", stream.record().await);
    assert_eq!(sweep(fixture, None, true, 1).await.swept, 1);
    records.insert("sweep", stream.record().await);
    records
}

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

/// The pattern that the cascade's source and the pipe share.
fn pattern() -> Value {
    let template = template();
    let filters = json!({ "Filters": [{ "Pattern": { "!FindInMap": ["Stream", "Deletions", "Pattern"] } }] });
    let resources = &template["Resources"];
    assert_eq!(resources["CascadeSource"]["Properties"]["FilterCriteria"], filters);
    assert_eq!(resources["EventsPipe"]["Properties"]["SourceParameters"]["FilterCriteria"], filters);
    let pattern = &template["Mappings"]["Stream"]["Deletions"]["Pattern"];
    serde_json::from_str(pattern.as_str().unwrap()).unwrap()
}

/// Whether a record has what the pattern asks for, in the part of AWS's language that it uses: that a value exists.
fn lets_through(pattern: &Value, record: &Value) -> bool {
    pattern.as_object().unwrap().iter().all(|(name, pattern)| {
        if pattern.is_array() {
            assert_eq!(pattern, &json!([{ "exists": true }]));
            return !matches!(record[name], Value::Null | Value::Object(_) | Value::Array(_));
        }
        lets_through(pattern, &record[name])
    })
}

#[tokio::test]
async fn of_all_changes_in_the_table_deletions_alone_are_handed_on() {
    let pattern = pattern();
    // Lambda filters by nothing else of a record, and neither of them by the name of the change.
    assert_eq!(pattern.as_object().unwrap().keys().collect::<Vec<_>>(), ["dynamodb"]);

    let fixture = Fixture::with_samples().await;
    let (store, mut stream) = (fixture.direct(), Stream::of(&fixture).await);
    for (via, record) in deletions(&fixture, &mut stream).await {
        assert_eq!(record["dynamodb"]["NewImage"]["deleted"]["M"]["via"]["S"], via);
        assert!(lets_through(&pattern, &record), "{record}");
    }

    let mut others = Vec::new();
    store.create_client(&id("new"), &sample::owner()).await.unwrap();
    others.push(stream.record().await);
    store.create_service(&id("new"), &Service::default()).await.unwrap();
    others.push(stream.record().await);
    store.set_protected(&id("new"), true).await.unwrap();
    others.push(stream.record().await);
    store.restore(&id(TARGET), &Restoration { at: now(), by: "operator#jane".to_owned() }).await.unwrap();
    others.push(stream.record().await);
    store.restore(&id(CLIENT.0), &Restoration { at: now(), by: "operator#jane".to_owned() }).await.unwrap();
    others.push(stream.record().await);
    let (later, standing) = (now() + Duration::from_hours(2), store.client_status(&id(CLIENT.0)).await.unwrap());
    assert!(store.note_use(&id(CLIENT.0), &standing, later).await.unwrap());
    others.push(stream.record().await);
    let longer = fixture.sdk.update_item().table_name(&fixture.table).update_expression("SET expires_at = :later");
    let longer = longer.key("pk", AttributeValue::S(format!("client#{}", RFC_CLIENT.0)));
    longer.expression_attribute_values(":later", AttributeValue::N("1900000000".to_owned())).send().await.unwrap();
    others.push(stream.record().await);
    // The time to live removes items like this, be it a tombstone or, by mistake, a live client.
    for client in [RFC_CLIENT.0, "new"] {
        let key = AttributeValue::S(format!("client#{client}"));
        fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key).send().await.unwrap();
        others.push(stream.record().await);
    }
    let names: Vec<_> = others.iter().map(|record| record["eventName"].as_str().unwrap()).collect();
    assert_eq!(names, ["INSERT", "INSERT", "MODIFY", "MODIFY", "MODIFY", "MODIFY", "MODIFY", "REMOVE", "REMOVE"]);
    for record in others {
        assert!(!lets_through(&pattern, &record), "{record}");
    }
}

/// What a pipe makes of its template: in place of each path what the record has there; nothing, where it has nothing.
fn rendered(template: &str, record: &Value) -> Value {
    let mut parts = template.split("<$.");
    let mut text = parts.next().unwrap().to_owned();
    for (path, rest) in parts.map(|part| part.split_once('>').unwrap()) {
        let value = path.split('.').fold(record, |value, name| &value[name]);
        assert!(value.is_string() || value.is_null(), "{path}: {value}");
        text.extend([value.as_str().unwrap_or_default(), rest]);
    }
    serde_json::from_str(&text).unwrap()
}

/// That the detail is as docs/client-deleted.schema.json says, and has no other members.
fn conforms(detail: &Value) {
    let schema: Value = serde_json::from_str(include_str!("../docs/client-deleted.schema.json")).unwrap();
    let detail = detail.as_object().unwrap();
    for required in schema["required"].as_array().unwrap() {
        assert!(detail.contains_key(required.as_str().unwrap()), "{required} is missing");
    }
    for (name, value) in detail {
        let text = value.as_str().unwrap();
        for (keyword, expected) in schema["properties"][name].as_object().unwrap() {
            let holds = match (keyword.as_str(), expected.as_str().unwrap_or_default()) {
                ("description", _) | ("type", "string") => true,
                ("enum", _) => expected.as_array().unwrap().contains(value),
                ("minLength", _) => text.len() as u64 >= expected.as_u64().unwrap(),
                ("pattern", "^[0-9]+$") => !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()),
                ("pattern", "^client#.") => text.len() > "client#".len() && text.starts_with("client#"),
                other => panic!("the schema has what this test does not know: {other:?}"),
            };
            assert!(holds, "{name} is {value}, and not {keyword} {expected}");
        }
    }
}

/// Every binary value in an image, as digests are, in base64.
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
async fn the_event_of_each_deletion_is_as_its_schema_says_and_has_no_digest_in_it() {
    let fixture = Fixture::with_samples().await;
    let mut stream = Stream::of(&fixture).await;
    let template = template();
    let parameters = &template["Resources"]["EventsPipe"]["Properties"]["TargetParameters"];
    let template = parameters["InputTemplate"].as_str().unwrap();
    let document = include_str!("../docs/events.md");
    let example = document.split("```json\n").nth(1).and_then(|rest| rest.split("```").next()).unwrap();
    let mut example: Value = serde_json::from_str(example).unwrap();
    assert_eq!(parameters["EventBridgeEventBusParameters"]["Source"], example["source"]);
    assert_eq!(parameters["EventBridgeEventBusParameters"]["DetailType"], example["detail-type"]);

    for (via, record) in deletions(&fixture, &mut stream).await {
        let detail = rendered(template, &record);
        conforms(&detail);
        let holder = match detail["kind"].as_str().unwrap() {
            "api" => json!([sample::APPLICATION, ""]),
            _ => json!(["", SERVICE]),
        };
        assert_eq!(json!([detail["app_id"], detail["service_id"]]), holder, "{via}");
        assert_eq!(detail["via"], via);
        let digests = digests(&record);
        // The others have no token.
        assert_eq!(digests.is_empty(), ["deregisterctl", "sweep"].contains(&via), "{via}");
        assert!(digests.iter().all(|digest| !detail.to_string().contains(digest)), "{detail}");
        if via == "configuration" {
            example["detail"]["request_id"] = detail["request_id"].clone();
            assert_eq!(example["detail"], detail, "the example in docs/events.md");
        }
    }
}
