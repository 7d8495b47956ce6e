//! The roles and policies: each allows the calls that its function or its holder makes, and no others.

use super::{announce, sweep, template};
use crate::support::{
    Fixture, basic, bearer,
    build::{grants_settings, id},
    endpoint::Endpoint,
    event, invocation, now,
    sample::{self, IDLE_CLIENT, TARGET},
    wire::{Wire, http},
};
use aws_lambda_events::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::types::{AttributeValue, PutRequest, WriteRequest};
use deregister::{
    deletion,
    dynamodb::{
        GrantsTable,
        admin::{ClientFilter, Position},
        item,
    },
    functions::{Cascade, Environment},
    invocation::Invocation,
    model::{Block, IdlePartition, Restoration, Revocation},
    rule::operator,
    settings,
    snapshot::Key,
    store::{ClientStatuses, IdleClients},
};
use lambda_http::LambdaEvent;
use serde_json::{Value, json};
use std::{collections::BTreeSet, time::Duration};

const TABLE: &str = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${TableName}";
const GRANTS: &str = "arn:${AWS::Partition}:dynamodb:${AWS::Region}:${AWS::AccountId}:table/${GrantsTable}";

/// A grants table with a grant of this client, by the client or by an index, through a wire of its own.
async fn grants(fixture: &Fixture, client: &str, index: Option<&str>) -> (GrantsTable, Wire) {
    match index {
        None => fixture.create_grants_table().await,
        Some(index) => fixture.create_indexed_grants_table(index).await,
    }
    let put = ["client_id", "grant_id"]
        .into_iter()
        .fold(PutRequest::builder(), |put, name| put.item(name, AttributeValue::S(client.to_owned())));
    let put = WriteRequest::builder().put_request(put.build().unwrap()).build();
    fixture.sdk.batch_write_item().request_items("grants", vec![put]).send().await.unwrap();
    let wire = Wire::over(http());
    let config = fixture.sdk.config().to_builder().http_client(wire.clone());
    let settings = settings::Grants { index: index.map(str::to_owned), ..grants_settings() };
    (GrantsTable::open(config, settings).await.unwrap(), wire)
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

/// Asserts that the value is this policy of a key, under its condition, and that the policy allows only the use of the
/// key.
fn assert_is_key_policy(template: &Value, value: &Value, condition: &str, policy: &str) {
    assert_eq!(only_if(condition, value), &json!({ "!Ref": policy }));
    let policy = &template["Resources"][policy];
    assert_eq!(policy["Condition"], condition);
    for statement in policy["Properties"]["PolicyDocument"]["Statement"].as_array().unwrap() {
        let mut actions = statement["Action"].as_array().unwrap().iter().map(|action| action.as_str().unwrap());
        assert!(actions.all(|action| action.starts_with("kms:")), "{statement}");
        assert_eq!(statement["Condition"]["StringLike"]["kms:ViaService"]["!Sub"], "dynamodb.${AWS::Region}.*");
    }
}

/// The permissions that AWS documents for a reader of a stream, Lambda or a pipe, with a queue for records that it
/// cannot deliver.
fn of_a_stream_reader(queue: &str) -> [Value; 3] {
    [
        allow(
            ["DescribeStream", "GetRecords", "GetShardIterator"].map(|call| format!("dynamodb:{call}")),
            &json!({ "!If": ["CreatesTable", { "!GetAtt": "Table.StreamArn" }, { "!Ref": "TableStreamArn" }] }),
        ),
        allow(["dynamodb:ListStreams"], &json!({ "!Sub": format!("{TABLE}/stream/*") })),
        allow(["sqs:SendMessage"], &json!({ "!GetAtt": format!("{queue}.Arn") })),
    ]
}

#[tokio::test]
async fn each_route_leads_to_a_deletion_and_the_functions_role_allows_only_its_calls() {
    let fixture = Fixture::with_samples().await;
    let template = template();
    let function = &template["Resources"]["Function"]["Properties"];
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
        (
            "Registration",
            bearer(sample::RFC_CLIENT.1),
            vec![("${RegistrationPath}", "/register"), ("{clientId+}", sample::RFC_CLIENT.0)],
            "",
            204,
        ),
        ("Authlete", bearer(sample::SERVICE_TOKEN), vec![("{serviceId}", sample::SERVICE)], &body, 200),
    ] {
        let key = &template["Resources"][format!("{route}Route")]["Properties"]["RouteKey"];
        let key = key.as_str().or_else(|| key["!Sub"].as_str()).unwrap().to_owned();
        let key = ids.iter().fold(key, |key, (name, id)| key.replace(name, id));
        let (method, path) = key.split_once(' ').unwrap();
        let headers = [("authorization", &*authorization), ("content-type", "application/json")];
        let answer = fixture.invoke(&event(method, path, "", &headers, body)).await;
        assert_eq!(answer.status(), status, "{path}: {answer:?}");
        calls.extend(actions(&fixture.wire));
    }
    for client in [sample::TARGET, sample::RFC_CLIENT.0, sample::CLIENT.0] {
        assert!(!fixture.lives(client).await, "{client}");
    }

    let [of_the_table, of_the_key] = &function["Policies"].as_array().unwrap()[..] else { panic!("{function}") };
    assert_eq!(of_the_table["Statement"], json!([allow(calls, &json!({ "!Sub": TABLE }))]));
    assert_is_key_policy(&template, of_the_key, "HasTableKey", "TableKeyPolicy");
}

/// The statements for the grants table: those that the calls of a run need, without and with an index.
fn of_grants(calls: [BTreeSet<String>; 2]) -> [Value; 2] {
    let [without, with] = calls;
    let query = BTreeSet::from(["dynamodb:Query".to_owned()]);
    let mut statement = allow([""], &json!({ "!Sub": GRANTS }));
    statement["Action"] = json!({ "!If": ["HasGrantsIndex", &with - &query, without] });
    let queries = allow(query, &json!({ "!Sub": format!("{GRANTS}/index/${{GrantsIndex}}") }));
    [statement, json!({ "!If": ["HasGrantsIndex", queries, { "!Ref": "AWS::NoValue" }] })]
}

#[tokio::test]
async fn the_cascades_role_allows_only_its_calls() {
    let (mut of_clients, mut of_the_grants) = (BTreeSet::new(), Vec::new());
    for index in [None, Some("by-client")] {
        let fixture = Fixture::with_samples().await;
        let (grants, wire) = grants(&fixture, TARGET, index).await;
        fixture.invoke(&Endpoint::Configuration.event()).await;
        fixture.wire.take_calls();
        let cascade = Cascade::new(fixture.clients.clone(), grants, now, Environment::default());
        let records =
            json!([{ "dynamodb": { "SequenceNumber": "1", "Keys": { "pk": { "S": format!("client#{TARGET}") } } } }]);
        let batch = serde_json::from_value(json!({ "Records": records })).unwrap();
        let response = Box::pin(cascade.call(LambdaEvent::new(batch, invocation()))).await.unwrap();
        assert_eq!(response, DynamoDbEventResponse::default());
        of_clients.extend(actions(&fixture.wire));
        of_the_grants.push(actions(&wire));
    }

    let template = template();
    let policies = template["Resources"]["Cascade"]["Properties"]["Policies"].as_array().unwrap();
    let [of_tables, of_the_stream, of_the_key, of_the_grants_key] = &policies[..] else { panic!("{policies:?}") };
    let has_index = json!({ "!Not": [{ "!Equals": [{ "!Ref": "GrantsIndex" }, ""] }] });
    assert_eq!(template["Conditions"]["HasGrantsIndex"], has_index);
    let [on_table, on_index] = of_grants(of_the_grants.try_into().unwrap());
    let clients = allow(of_clients, &json!({ "!Sub": TABLE }));
    assert_eq!(of_tables["Statement"], json!([clients, on_table, on_index]));
    assert_eq!(of_the_stream["Statement"], json!(of_a_stream_reader("CascadeQueue")));
    assert_is_key_policy(&template, of_the_key, "HasTableKey", "TableKeyPolicy");
    assert_is_key_policy(&template, of_the_grants_key, "HasGrantsTableKey", "GrantsKeyPolicy");
}

#[tokio::test]
async fn the_sweeps_role_allows_only_its_calls_and_no_write_while_it_observes() {
    let (mut of_the_grants, mut of_runs, mut query) = (Vec::new(), Vec::new(), Value::Null);
    for index in [None, Some("by-client")] {
        let fixture = Fixture::with_samples().await;
        let (grants, wire) = grants(&fixture, IDLE_CLIENT, index).await;
        fixture.clients.idle_clients(IdlePartition::all()[0], now(), None).await.unwrap();
        let of_the_index = actions(&fixture.wire);
        query = serde_json::from_str(&fixture.wire.last_body()).unwrap();
        for deletes in [false, true] {
            let report = sweep(&fixture, Some(grants.clone()), deletes, 10).await;
            assert_eq!((report.swept, report.granted), (1, 1));
            of_runs.push(&actions(&fixture.wire) - &of_the_index);
        }
        assert_eq!(of_the_index, BTreeSet::from(["dynamodb:Query".to_owned()]));
        of_the_grants.push(actions(&wire));
    }
    assert_eq!(of_runs[..2], of_runs[2..]);
    // An announcement makes no other call than a deletion.
    let fixture = Fixture::with_samples().await;
    assert_eq!(announce(&fixture, 10).await.announced, 2);
    let of_the_index = BTreeSet::from(["dynamodb:Query".to_owned()]);
    assert_eq!(&actions(&fixture.wire) - &of_the_index, of_runs[1]);

    let template = template();
    let policies = template["Resources"]["Sweep"]["Properties"]["Policies"].as_array().unwrap();
    let [of_the_table, grants, of_the_key, of_the_grants_key] = &policies[..] else { panic!("{policies:?}") };
    let index = format!("{TABLE}/index/{}", query["IndexName"].as_str().unwrap());
    let mut of_runs_allowed = allow([""], &json!({ "!Sub": TABLE }));
    of_runs_allowed["Action"] = json!({ "!If": ["SweepMayDelete", of_runs[1], of_runs[0]] });
    let queries = allow(["dynamodb:Query"], &json!({ "!Sub": index }));
    assert_eq!(of_the_table["Statement"], json!([of_runs_allowed, queries]));
    assert_eq!(template["Conditions"]["SweepMayDelete"], json!({ "!Equals": [{ "!Ref": "SweepDeletes" }, "true"] }));
    let grants = only_if("HasGrantsTable", grants);
    assert_eq!(grants["Statement"], json!(of_grants(of_the_grants.try_into().unwrap())));
    assert_is_key_policy(&template, of_the_key, "HasTableKey", "TableKeyPolicy");
    assert_is_key_policy(&template, of_the_grants_key, "HasGrantsTableKey", "GrantsKeyPolicy");
}

#[test]
fn the_pipes_role_allows_only_reading_the_stream_and_writing_to_the_bus() {
    let template = template();
    let role = &template["Resources"]["EventsRole"]["Properties"];
    let policies = [&role["Policies"], &role["ManagedPolicyArns"]].map(|policies| policies.as_array().unwrap());
    let ([of_the_pipe], [of_the_key]) = (&policies[0][..], &policies[1][..]) else { panic!("{policies:?}") };
    let bus = &template["Resources"]["EventsPipe"]["Properties"]["Target"];
    let mut expected = of_a_stream_reader("EventsQueue").to_vec();
    expected.push(allow(["events:PutEvents"], bus));
    assert_eq!(of_the_pipe["PolicyDocument"]["Statement"], json!(expected));
    assert_is_key_policy(&template, of_the_key, "HasTableKey", "TableKeyPolicy");
}

/// The attributes of a client's item that a call names.
fn attributes(wire: &Wire) -> BTreeSet<&'static str> {
    let all = ["pk", "client", "tombstone", "deleted", "expires_at", "history", "idle", "idle_since"];
    let body: Value = serde_json::from_str(&wire.last_body()).unwrap();
    let expressions = ["ProjectionExpression", "UpdateExpression", "ConditionExpression"];
    let text: String = expressions.iter().filter_map(|name| Some(format!("{} ", body.get(name)?.as_str()?))).collect();
    let words: BTreeSet<_> = text.split(|character: char| !character.is_alphanumeric() && character != '_').collect();
    all.into_iter().filter(|name| *name == "pk" || words.contains(name)).collect()
}

fn allowed(statement: &Value) -> BTreeSet<&str> {
    let attributes = &statement["Condition"]["ForAllValues:StringEquals"]["dynamodb:Attributes"];
    attributes.as_array().unwrap().iter().map(|name| name.as_str().unwrap()).collect()
}

fn statements(policy: &str) -> Vec<Value> {
    let policy = &template()["Resources"][policy]["Properties"]["PolicyDocument"];
    policy["Statement"].as_array().unwrap().clone()
}

/// The revocation check, a noted use and a registration, as `docs/integrating.md` describes them.
#[tokio::test]
async fn the_servers_policy_allows_its_three_calls_and_no_put() {
    let fixture = Fixture::with_samples().await;
    let [check, write] = &statements("ServerPolicy")[..] else { panic!("not two statements") };
    assert_eq!([&check["Action"], &write["Action"]], ["dynamodb:GetItem", "dynamodb:UpdateItem"]);

    let client = id(sample::CLIENT.0);
    let status = fixture.clients.client_status(&client).await.unwrap();
    assert_eq!(attributes(&fixture.wire), allowed(check));
    assert!(fixture.clients.note_use(&client, &status, now() + Duration::from_hours(2)).await.unwrap());
    assert_eq!(attributes(&fixture.wire), allowed(write));
}

#[tokio::test]
async fn a_server_registers_clients_by_an_update_and_never_over_a_tombstone() {
    let fixture = Fixture::with_samples().await;
    let item = item::of_client(&id("new"), &sample::owner());
    let register = |client: &str| {
        let key = AttributeValue::S(format!("client#{client}"));
        let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
        let update = update.update_expression("SET client = :client").condition_expression("attribute_not_exists(pk)");
        update.expression_attribute_values(":client", item["client"].clone()).send()
    };
    register("new").await.unwrap();
    assert_eq!(fixture.item("client#new").await, Some(item.clone()));
    assert!(register(TARGET).await.is_err(), "a live client");
    fixture.invoke(&Endpoint::Configuration.event()).await;
    let tombstone = fixture.item(&format!("client#{TARGET}")).await;
    assert!(register(TARGET).await.is_err(), "a tombstone");
    assert_eq!(fixture.item(&format!("client#{TARGET}")).await, tombstone);
}

#[tokio::test]
async fn the_operators_policies_allow_the_calls_of_the_tool() {
    let fixture = Fixture::with_samples().await;
    let (clients, target) = (&fixture.clients, id(TARGET));
    let request = || operator::Request { operator: "operator".to_owned(), target: target.clone(), blocks: false };
    let invocation = Invocation::new(&invocation(), now(), Duration::ZERO);
    clients.find(&Key::Client(target.clone())).await.unwrap();
    clients.deletions(&target).await.unwrap();
    clients.clients(&ClientFilter::default(), false, Position::start()).await.unwrap();
    clients.check(Position::start()).await.unwrap();
    deletion::dry_run(clients, request(), &invocation).await.result.unwrap();
    let reads = actions(&fixture.wire);
    deletion::delete(clients, request(), &invocation).await.result.unwrap();
    let restoration = Restoration { at: now(), by: "operator".to_owned() };
    clients.restore(&target, &restoration).await.unwrap();
    clients.set_protected(&target, true).await.unwrap();
    let [by, request_id] = ["operator"; 2].map(ToOwned::to_owned);
    let revocation = Revocation { at: now(), by: by.clone(), request_id: request_id.clone() };
    clients.revoke(&target, &revocation).await.unwrap();
    clients.block(&id("never stored"), &Block { at: now(), by, request_id }).await.unwrap();
    clients.blocked_ids(Position::start()).await.unwrap();
    clients.unblock(&id("never stored"), &restoration).await.unwrap();
    let all = &reads | &actions(&fixture.wire);
    let table = json!({ "!Sub": TABLE });
    let mut writes = allow(&all - &reads, &table);
    writes["Condition"] = json!({ "ForAllValues:StringLike": { "dynamodb:LeadingKeys": ["client#*"] } });
    assert_eq!(statements("ReaderPolicy"), [allow(reads.clone(), &table)]);
    assert_eq!(statements("OperatorPolicy"), [allow(reads, &table), writes]);
}
