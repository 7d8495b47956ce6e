//! The roles: each allows the calls that its function makes, and no others.

use super::{sweep, template};
use crate::support::{
    Fixture, basic, bearer,
    endpoint::Endpoint,
    event, invocation, now,
    sample::{self, IDLE_CLIENT, TARGET},
    wire::{Wire, http},
};
use aws_lambda_events::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use deregister::{
    dynamodb::GrantsTable,
    functions::{Cascade, Environment},
    model::IdlePartition,
    store::IdleClients,
};
use lambda_http::LambdaEvent;
use serde_json::{Value, json};
use std::collections::BTreeSet;

const GRANTS: &str = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${GrantsTable}";

/// A grants table with a grant of this client, through a wire of its own.
async fn grants(fixture: &Fixture, client: &str) -> (GrantsTable, Wire) {
    fixture.create_grants_table().await;
    let put = ["client_id", "grant_id"]
        .into_iter()
        .fold(PutRequest::builder(), |put, name| put.item(name, AttributeValue::S(client.to_owned())));
    let put = WriteRequest::builder().put_request(put.build().unwrap()).build();
    fixture.sdk.batch_write_item().request_items("grants", vec![put]).send().await.unwrap();
    let wire = Wire::over(http());
    let config = fixture.sdk.config().to_builder().http_client(wire.clone());
    (GrantsTable::open(config, "grants", "expires_at").await.unwrap(), wire)
}

/// The calls that went over the wire, as IAM's actions.
fn actions(wire: &Wire) -> BTreeSet<String> {
    wire.take_calls().into_iter().map(|call| format!("dynamodb:{call}")).collect()
}

fn allow(actions: impl IntoIterator<Item = impl Into<Value>>, resource: &Value) -> Value {
    json!({ "Effect": "Allow", "Action": Value::from_iter(actions), "Resource": resource })
}

/// The value that the template has under a condition, and only then.
fn only_if<'t>(condition: &str, value: &'t Value) -> &'t Value {
    assert_eq!((&value["!If"][0], &value["!If"][2]), (&json!(condition), &json!({ "!Ref": "AWS::NoValue" })));
    &value["!If"][1]
}

fn assert_allows_only_kms(policy: &Value) {
    for statement in policy["Statement"].as_array().unwrap() {
        let mut actions = statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap());
        assert!(actions.all(|action| action.starts_with("kms:")), "{statement}");
    }
}

/// The permissions that AWS documents for a reader of a stream, Lambda or a pipe, with a queue for records that it
/// cannot deliver.
fn of_a_stream_reader(queue: &str) -> [Value; 3] {
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
async fn each_route_leads_to_a_deletion_and_the_functions_role_allows_only_its_calls() {
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
        ("Registration", bearer(sample::RFC_CLIENT.1), vec![("{clientId+}", sample::RFC_CLIENT.0)], "", 204),
        ("Authlete", bearer(sample::SERVICE_TOKEN), vec![("{serviceId}", sample::SERVICE)], &body, 200),
    ] {
        let route = &function["Events"][route]["Properties"];
        let path =
            ids.iter().fold(route["Path"].as_str().unwrap().to_owned(), |path, (name, id)| path.replace(name, id));
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = fixture.invoke(&event(route["Method"].as_str().unwrap(), &path, "", &headers, body)).await;
        assert_eq!(answer.status(), status, "{path}: {answer:?}");
        calls.extend(actions(&fixture.wire));
    }
    for client in [sample::TARGET, sample::RFC_CLIENT.0, sample::CLIENT.0] {
        assert!(!fixture.lives(client).await, "{client}");
    }

    let [of_the_table, of_the_key] = &function["Policies"].as_array().unwrap()[..] else { panic!("{function}") };
    assert_eq!(of_the_table["Statement"], json!([allow(calls, &json!({ "!GetAtt": "Table.Arn" }))]));
    assert_allows_only_kms(only_if("HasTableKey", of_the_key));
}

#[tokio::test]
async fn the_cascades_role_allows_only_its_calls() {
    let fixture = Fixture::with_samples().await;
    let (grants, wire) = grants(&fixture, TARGET).await;
    fixture.invoke(&Endpoint::Configuration.event()).await;
    fixture.wire.take_calls();
    let cascade = Cascade::new(fixture.clients.clone(), grants, now, Environment::default());
    let records =
        json!([{ "dynamodb": { "SequenceNumber": "1", "Keys": { "pk": { "S": format!("client#{TARGET}") } } } }]);
    let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
    let response = Box::pin(cascade.call(LambdaEvent::new(batch, invocation()))).await.unwrap();
    assert_eq!(response, DynamoDbEventResponse::default());

    let template = template();
    let policies = template["Resources"]["Cascade"]["Properties"]["Policies"].as_array().unwrap();
    let [of_tables, of_the_stream, of_the_key, of_the_grants_key] = &policies[..] else { panic!("{policies:?}") };
    let clients = allow(actions(&fixture.wire), &json!({ "!GetAtt": "Table.Arn" }));
    let grants = allow(actions(&wire), &json!({ "!Sub": GRANTS }));
    assert_eq!(of_tables["Statement"], json!([clients, grants]));
    assert_eq!(of_the_stream["Statement"], json!(of_a_stream_reader("CascadeQueue")));
    assert_allows_only_kms(only_if("HasTableKey", of_the_key));
    assert_allows_only_kms(only_if("HasGrantsTableKey", of_the_grants_key));
}

#[tokio::test]
async fn the_sweeps_role_allows_only_its_calls_and_no_write_while_it_observes() {
    let fixture = Fixture::with_samples().await;
    let (grants, wire) = grants(&fixture, IDLE_CLIENT).await;
    fixture.clients.idle_clients(IdlePartition::all()[0], now(), None).await.unwrap();
    let of_the_index = actions(&fixture.wire);
    let query: Value = serde_json::from_str(&fixture.wire.last_body()).unwrap();
    let mut of_runs = Vec::new();
    for deletes in [false, true] {
        let report = sweep(&fixture, Some(grants.clone()), deletes, 10).await;
        assert_eq!((report.swept, report.granted), (1, 1));
        of_runs.push(&actions(&fixture.wire) - &of_the_index);
    }

    let template = template();
    let policies = template["Resources"]["Sweep"]["Properties"]["Policies"].as_array().unwrap();
    let [of_the_table, of_grants, of_the_key, of_the_grants_key] = &policies[..] else { panic!("{policies:?}") };
    let index = format!("${{Table.Arn}}/index/{}", query["IndexName"].as_str().unwrap());
    let mut of_runs_allowed = allow([""], &json!({ "!GetAtt": "Table.Arn" }));
    of_runs_allowed["Action"] = json!({ "!If": ["SweepMayDelete", of_runs[1], of_runs[0]] });
    assert_eq!(of_the_table["Statement"], json!([of_runs_allowed, allow(of_the_index, &json!({ "!Sub": index }))]));
    assert_eq!(template["Conditions"]["SweepMayDelete"], json!({ "!Equals": [{ "!Ref": "SweepDeletes" }, "true"] }));
    let of_grants = only_if("HasGrantsTable", of_grants);
    assert_eq!(of_grants["Statement"], json!([allow(actions(&wire), &json!({ "!Sub": GRANTS }))]));
    assert_allows_only_kms(only_if("HasTableKey", of_the_key));
    assert_allows_only_kms(only_if("HasGrantsTableKey", of_the_grants_key));
}

#[test]
fn the_pipes_role_allows_only_reading_the_stream_and_writing_to_the_bus() {
    let template = template();
    let policies = template["Resources"]["EventsRole"]["Properties"]["Policies"].as_array().unwrap();
    let [of_the_pipe, of_the_key] = &policies[..] else { panic!("{policies:?}") };
    let bus = &template["Resources"]["EventsPipe"]["Properties"]["Target"];
    let mut expected = of_a_stream_reader("EventsQueue").to_vec();
    expected.push(allow(["events:PutEvents"], bus));
    assert_eq!(of_the_pipe["PolicyDocument"]["Statement"], json!(expected));
    assert_allows_only_kms(&only_if("HasTableKey", of_the_key)["PolicyDocument"]);
}
