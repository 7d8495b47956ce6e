//! The store's contract, against a database through the real SDK.

use crate::support::{Fixture, RETENTION, now, wire::Fault};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::{ClientsTable, admin::Creation},
    model::{
        AccessToken, ApiClient, Client, Deletion, Digest, Id, Idle, Kind, OAuthClient, Service, TokenScope, Version,
    },
    rule::{Authorization, Precondition},
    snapshot::{Key, Lookup, Record, Snapshot, Unreadable},
    store::{Fault, Store, WriteOutcome},
};
use std::{collections::HashMap, time::Duration};

fn id(id: &str) -> Id {
    Id::new(id).unwrap()
}

fn key(client_id: &str) -> Key {
    Key::Client(id(client_id))
}

fn digest(secret: &str) -> Digest {
    Digest::of(secret)
}

fn api(features: &[&str]) -> Client {
    let features = features.iter().map(ToString::to_string).collect();
    let client = ApiClient { app_id: "app".to_owned(), features, ..ApiClient::default() };
    Client { kind: Kind::Api(client), protected: false, version: Some(Version(7)), idle: None }
}

fn oauth(token: &str) -> Client {
    let client = OAuthClient {
        service_id: id("1"),
        dynamic: true,
        registration_token_digest: Some(digest(token)),
        metadata: deregister::client::Metadata::default(),
    };
    Client { kind: Kind::OAuth(client), protected: false, version: Some(Version(7)), idle: None }
}

fn deletion(request_id: &str) -> Deletion {
    Deletion {
        at: now(),
        by: "client#owner".to_owned(),
        via: "configuration".to_owned(),
        source_ip: Some("203.0.113.7".to_owned()),
        request_id: request_id.to_owned(),
    }
}

async fn write_tombstone(fixture: &Fixture, client_id: &str, preconditions: Vec<Precondition<'_>>) -> WriteOutcome {
    fixture
        .clients
        .write_tombstone(&Authorization { target: &id(client_id), preconditions }, &deletion("this"))
        .await
        .unwrap()
}

/// What the store says now stands under the client's id.
async fn record(fixture: &Fixture, client_id: &str) -> Option<Record> {
    match bury(fixture, client_id, vec![Precondition::Application("nobody's")]).await {
        WriteOutcome::ConditionFailed(found) => found,
        WriteOutcome::Written => panic!("a premise that does not hold was let through"),
    }
}

async fn load(store: &ClientsTable, keys: &[Key]) -> Result<Snapshot, Fault> {
    store.load(keys.iter().cloned().collect()).await
}

#[tokio::test]
async fn what_was_created_is_what_is_loaded() {
    let fixture = Fixture::empty().await;
    let service = Service { organization_id: Some("org".to_owned()), error_uri_omitted: true, ..Service::default() };
    let token = AccessToken { scope: TokenScope::ServiceId(id("1")), expires_at: Some(now()) };
    let everywhere = AccessToken { scope: TokenScope::OrganizationId("org".to_owned()), expires_at: None };
    fixture.clients.create_client(&id("a"), &api(&["owner", "metadata"])).await.unwrap();
    fixture.clients.create_client(&id("o"), &oauth("token")).await.unwrap();
    fixture.clients.create_service(&id("1"), &service).await.unwrap();
    fixture.clients.add_token(&digest("sat"), &token).await.unwrap();
    fixture.clients.add_token(&digest("org"), &everywhere).await.unwrap();

    let keys =
        [key("a"), key("o"), Key::Service(id("1")), Key::of_token(&digest("sat")), Key::of_token(&digest("org"))];
    let snapshot = load(&fixture.clients, &keys).await.unwrap();

    assert_eq!(snapshot.client(&id("a")), Ok(Lookup::Live(&api(&["owner", "metadata"]))));
    assert_eq!(snapshot.client(&id("o")), Ok(Lookup::Live(&oauth("token"))));
    assert_eq!(snapshot.service(&id("1")), Ok(Some(&service)));
    assert_eq!(snapshot.token(&digest("sat")), Ok(Some(&token)));
    assert_eq!(snapshot.token(&digest("org")), Ok(Some(&everywhere)));
}

#[tokio::test]
async fn what_is_not_there_is_no_fault() {
    let fixture = Fixture::empty().await;
    let snapshot =
        load(&fixture.clients, &[key("a"), Key::Service(id("1")), Key::of_token(&digest("t"))]).await.unwrap();
    assert_eq!(snapshot, Snapshot::default());
}

#[tokio::test]
async fn a_load_is_one_strongly_consistent_call() {
    let fixture = Fixture::empty().await;
    load(&fixture.clients, &[key("a"), key("b"), Key::Service(id("1"))]).await.unwrap();
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem"]);
    assert!(fixture.wire.last_body().contains(r#""ConsistentRead":true"#), "{}", fixture.wire.last_body());
}

#[tokio::test]
async fn a_load_leaves_a_tombstones_client_in_the_table() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api(&[])).await.unwrap();
    bury(&fixture, "a", vec![]).await;
    load(&fixture.clients, &[key("a")]).await.unwrap();
    assert!(!fixture.wire.last_body().contains("tombstone"), "{}", fixture.wire.last_body());
}

#[tokio::test]
async fn keys_that_were_left_unprocessed_are_asked_for_again() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api(&[])).await.unwrap();
    fixture.clients.create_client(&id("b"), &api(&[])).await.unwrap();
    fixture.wire.take_calls();
    let table = &fixture.table;
    let left = serde_json::json!({
        "Responses": { table: [] },
        "UnprocessedKeys": { table: { "ConsistentRead": true, "Keys": [{"pk": {"S": "client#a"}}, {"pk": {"S": "client#b"}}] } },
    });
    fixture.wire.plan("BatchGetItem", wire::Fault::Answer(200, left.to_string()));

    let snapshot = load(&fixture.clients, &[key("a"), key("b")]).await.unwrap();

    assert_eq!(snapshot.client(&id("a")), Ok(Lookup::Live(&api(&[]))));
    assert_eq!(snapshot.client(&id("b")), Ok(Lookup::Live(&api(&[]))));
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "BatchGetItem"]);
}

#[tokio::test]
async fn keys_that_are_always_left_unprocessed_are_a_passing_fault() {
    let fixture = Fixture::empty().await;
    let left = serde_json::json!({
        "Responses": {},
        "UnprocessedKeys": { &fixture.table: { "Keys": [{"pk": {"S": "client#a"}}] } },
    });
    for _ in 0..4 {
        fixture.wire.plan("BatchGetItem", wire::Fault::Answer(200, left.to_string()));
    }
    let fault = load(&fixture.clients, &[key("a")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
}

#[tokio::test]
async fn burying_turns_the_client_into_a_tombstone_in_one_write() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api(&["metadata"])).await.unwrap();
    let was = fixture.item("client#a").await.unwrap()["client"].clone();
    fixture.wire.take_calls();

    assert_eq!(bury(&fixture, "a", vec![]).await, WriteOutcome::Written);

    assert_eq!(fixture.wire.take_calls(), ["UpdateItem"]);
    let item = fixture.item("client#a").await.unwrap();
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: Duration| AttributeValue::N(number.as_secs().to_string());
    let at = now().duration_since(std::time::UNIX_EPOCH).unwrap();
    let record = HashMap::from([
        ("at".to_owned(), number(at)),
        ("by".to_owned(), text("client#owner")),
        ("via".to_owned(), text("configuration")),
        ("source_ip".to_owned(), text("203.0.113.7")),
        ("request_id".to_owned(), text("this")),
    ]);
    let tombstone = HashMap::from([
        ("pk".to_owned(), text("client#a")),
        ("tombstone".to_owned(), was),
        ("deleted".to_owned(), AttributeValue::M(record)),
        ("expires_at".to_owned(), number(at + RETENTION)),
    ]);
    assert_eq!(item, tombstone);
}

#[tokio::test]
async fn what_the_client_had_beyond_the_model_goes_into_the_tombstone_too() {
    let fixture = Fixture::empty().await;
    let client = AttributeValue::M(HashMap::from([
        ("kind".to_owned(), AttributeValue::S("api".to_owned())),
        ("app_id".to_owned(), AttributeValue::S("app".to_owned())),
        ("from_the_future".to_owned(), AttributeValue::Ss(vec!["x".to_owned()])),
    ]));
    put(&fixture, "client#a", &[("client", client.clone()), ("note", AttributeValue::Bool(true))]).await;

    assert_eq!(
        bury(&fixture, "a", vec![Precondition::Application("app"), Precondition::NotOwner]).await,
        WriteOutcome::Written
    );

    let item = fixture.item("client#a").await.unwrap();
    assert_eq!(item["tombstone"], client);
    assert_eq!(item["note"], AttributeValue::Bool(true));
}

#[tokio::test]
async fn nothing_is_buried_where_nothing_is() {
    let fixture = Fixture::empty().await;
    assert_eq!(bury(&fixture, "a", vec![]).await, WriteOutcome::ConditionFailed(None));
    assert_eq!(fixture.item("client#a").await, None);
}

#[tokio::test]
async fn a_tombstone_is_not_buried_again() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api(&[])).await.unwrap();
    bury(&fixture, "a", vec![]).await;
    let first = fixture.item("client#a").await;
    let again = fixture
        .store
        .write_tombstone(&Authorization { target: &id("a"), preconditions: vec![] }, &deletion("another"))
        .await;
    assert_eq!(again, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(deletion("this"))))));
    assert_eq!(fixture.item("client#a").await, first);
}

#[tokio::test]
async fn a_protected_client_is_not_buried() {
    let fixture = Fixture::empty().await;
    let protected = Client { protected: true, ..api(&[]) };
    fixture.clients.create_client(&id("a"), &protected).await.unwrap();
    assert_eq!(bury(&fixture, "a", vec![]).await, WriteOutcome::ConditionFailed(Some(Record::Client(protected))));
}

#[tokio::test]
async fn each_premise_lets_through_what_it_says_and_nothing_else() {
    let fixture = Fixture::empty().await;
    let (token, other) = (digest("token"), digest("other"));
    let (service, other_service) = (id("1"), id("2"));
    let mut is_static = oauth("token");
    let Kind::OAuth(client) = &mut is_static.kind else { unreachable!() };
    client.dynamic = false;
    let unversioned = Client { version: None, ..api(&[]) };
    let idle = |idle| Client { idle: Some(idle), ..oauth("token") };
    let (unused, used, later) = (Idle::unused(now()), Idle::used(now()), Idle::used(now() + Duration::from_secs(1)));

    for (client, premise, holds) in [
        (api(&[]), Precondition::Application("app"), true),
        (api(&[]), Precondition::Application("another"), false),
        (oauth("token"), Precondition::Application("app"), false),
        (api(&["metadata", "login_client"]), Precondition::NotOwner, true),
        (api(&["metadata", "owner"]), Precondition::NotOwner, false),
        (api(&["owner "]), Precondition::NotOwner, true),
        (oauth("token"), Precondition::RegistrationToken(&token), true),
        (oauth("token"), Precondition::RegistrationToken(&other), false),
        (api(&[]), Precondition::RegistrationToken(&token), false),
        (oauth("token"), Precondition::Dynamic, true),
        (is_static.clone(), Precondition::Dynamic, false),
        (api(&[]), Precondition::Dynamic, false),
        (oauth("token"), Precondition::RegisteredAt(&service), true),
        (oauth("token"), Precondition::RegisteredAt(&other_service), false),
        (is_static, Precondition::RegisteredAt(&service), false),
        (api(&[]), Precondition::Version(Version(7)), true),
        (api(&[]), Precondition::Version(Version(8)), false),
        (unversioned, Precondition::Version(Version(7)), false),
        (idle(used), Precondition::Idle(used), true),
        (idle(unused), Precondition::Idle(unused), true),
        (idle(unused), Precondition::Idle(used), false),
        (idle(used), Precondition::Idle(unused), false),
        (idle(later), Precondition::Idle(used), false),
        (oauth("token"), Precondition::Idle(used), false),
    ] {
        let fixture = &fixture;
        let name = format!("{client:?} {premise:?}");
        fixture
            .sdk
            .delete_item()
            .table_name(&fixture.table)
            .key("pk", AttributeValue::S("client#a".to_owned()))
            .send()
            .await
            .unwrap();
        fixture.clients.create_client(&id("a"), &client).await.unwrap();
        let expected =
            if holds { WriteOutcome::Written } else { WriteOutcome::ConditionFailed(Some(Record::Client(client))) };
        assert_eq!(bury(fixture, "a", vec![premise]).await, expected, "{name}");
    }
}

#[tokio::test]
async fn every_premise_must_hold() {
    let fixture = Fixture::empty().await;
    fixture.clients.create_client(&id("a"), &api(&[])).await.unwrap();
    let refused = bury(
        &fixture,
        "a",
        vec![Precondition::Application("app"), Precondition::NotOwner, Precondition::Version(Version(1))],
    )
    .await;
    assert_eq!(refused, WriteOutcome::ConditionFailed(Some(Record::Client(api(&[])))));
    let done = bury(
        &fixture,
        "a",
        vec![Precondition::Application("app"), Precondition::NotOwner, Precondition::Version(Version(7))],
    )
    .await;
    assert_eq!(done, WriteOutcome::Written);
}

#[tokio::test]
async fn an_id_is_taken_by_a_live_client_and_by_a_tombstone() {
    let fixture = Fixture::empty().await;
    assert_eq!(fixture.clients.create_client(&id("a"), &api(&[])).await, Ok(Creation::Done));
    assert_eq!(fixture.clients.create_client(&id("a"), &api(&["owner"])).await, Ok(Creation::Taken));
    assert_eq!(record(&fixture, "a").await, Some(Record::Client(api(&[]))));
    bury(&fixture, "a", vec![]).await;
    assert_eq!(fixture.clients.create_client(&id("a"), &api(&[])).await, Ok(Creation::Taken));
    assert_eq!(record(&fixture, "a").await, Some(Record::Deleted(deletion("this"))));
}

#[tokio::test]
async fn unknown_attributes_are_ignored_and_missing_ones_have_defaults() {
    let fixture = Fixture::empty().await;
    let client = AttributeValue::M(HashMap::from([
        ("kind".to_owned(), AttributeValue::S("oauth".to_owned())),
        ("service_id".to_owned(), AttributeValue::S("1".to_owned())),
        ("from_the_future".to_owned(), AttributeValue::Null(true)),
    ]));
    put(&fixture, "client#a", &[("client", client)]).await;
    let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
    let Ok(Lookup::Live(Client { kind: Kind::OAuth(client), protected, version, idle: None })) =
        snapshot.client(&id("a"))
    else {
        panic!("{snapshot:?}");
    };
    assert_eq!((client.dynamic, &client.registration_token_digest, protected, version), (false, &None, &false, &None));
}

#[tokio::test]
async fn an_item_that_cannot_be_read_says_which_and_why() {
    let fixture = Fixture::empty().await;
    put(&fixture, "client#a", &[("client", AttributeValue::S("nonsense".to_owned()))]).await;
    put(&fixture, "client#b", &[]).await;
    let snapshot = load(&fixture.clients, &[key("a"), key("b")]).await.unwrap();
    for client in ["a", "b"] {
        let Unreadable { key: named, why } = snapshot.client(&id(client)).unwrap_err();
        assert_eq!(named, key(client));
        assert!(!why.is_empty());
    }
}

#[tokio::test]
async fn faults_are_passing_or_not_as_the_database_means_them() {
    for (status, kind, passing) in [
        (400, "ProvisionedThroughputExceededException", true),
        (400, "RequestLimitExceeded", true),
        (400, "ThrottlingException", true),
        (400, "TransactionConflictException", true),
        (400, "ReplicatedWriteConflictException", true),
        (500, "InternalServerError", true),
        (503, "ServiceUnavailable", true),
        (400, "ValidationException", false),
        (400, "ResourceNotFoundException", false),
        (400, "AccessDeniedException", false),
        (400, "UnrecognizedClientException", false),
    ] {
        let fixture = Fixture::empty().await;
        for operation in ["BatchGetItem", "UpdateItem"] {
            (0..4).for_each(|_| fixture.wire.plan(operation, wire::Fault::error(status, kind)));
        }
        let read = load(&fixture.clients, &[key("a")]).await.unwrap_err();
        let permit = Authorization { target: &id("a"), preconditions: vec![] };
        let write = fixture.clients.write_tombstone(&permit, &deletion("this")).await.unwrap_err();
        for fault in [read, write] {
            assert_eq!(matches!(fault, Fault::Unavailable(_)), passing, "{kind}: {fault}");
            assert!(fault.to_string().contains(kind), "{fault}");
        }
    }
}

#[tokio::test]
async fn a_database_out_of_reach_is_a_passing_fault() {
    let fixture = Fixture::empty().await;
    (0..4).for_each(|_| fixture.wire.plan("BatchGetItem", wire::Fault::Reset));
    let fault = load(&fixture.clients, &[key("a")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
}

#[tokio::test]
async fn the_table_is_created_once() {
    let fixture = Fixture::empty().await;
    assert_eq!(fixture.clients.create_table().await, Ok(Creation::Taken));
    let described = fixture.sdk.describe_time_to_live().table_name(&fixture.table).send().await.unwrap();
    assert_eq!(described.time_to_live_description.unwrap().attribute_name.unwrap(), "expires_at");
}

async fn put(fixture: &Fixture, key: &str, attributes: &[(&str, AttributeValue)]) {
    let mut put = fixture.sdk.put_item().table_name(&fixture.table).item("pk", AttributeValue::S(key.to_owned()));
    for (name, value) in attributes {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}
