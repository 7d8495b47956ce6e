//! Reads: what a snapshot says about the items, and what a read costs.

use super::{key, load, put, write_tombstone};
use crate::support::{
    Fixture,
    build::{api_client, id, oauth_client},
    now,
    wire::Fault as Planned,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::admin::Creation,
    model::{AccessToken, Client, Digest, Kind, Service, StoredNotice, StoredVersion, TokenScope},
    snapshot::{Key, Lookup, Snapshot},
    store::Fault,
};
use serde_json::json;
use std::collections::HashMap;

#[tokio::test]
async fn every_record_is_read_as_it_was_created() {
    let fixture = Fixture::anywhere().await;
    let api = api_client().owner().feature("metadata");
    let oauth = oauth_client().registration_token("token");
    let service = Service { organization_id: Some("org".to_owned()), error_uri_omitted: true, ..Service::default() };
    let of_service = AccessToken { scope: TokenScope::ServiceId(id("1")), expires_at: Some(now()) };
    let of_organization = AccessToken { scope: TokenScope::OrganizationId("org".to_owned()), expires_at: None };
    let [service_token, organization_token] = ["sat", "org"].map(Digest::of);
    fixture.create("a", api.clone()).await;
    fixture.create("o", oauth.clone()).await;
    assert_eq!(fixture.clients.create_service(&id("1"), &service).await, Ok(Creation::Done));
    assert_eq!(fixture.clients.add_token(&service_token, &of_service).await, Ok(Creation::Done));
    assert_eq!(fixture.clients.add_token(&organization_token, &of_organization).await, Ok(Creation::Done));

    let tokens = [&service_token, &organization_token].map(Key::of_token);
    let keys = [key("a"), key("o"), Key::Service(id("1"))].into_iter().chain(tokens);
    let snapshot = load(&fixture.clients, &keys.collect::<Vec<_>>()).await.unwrap();

    assert_eq!(snapshot.client(&id("a")), Ok(Lookup::Live(&api.build())));
    assert_eq!(snapshot.client(&id("o")), Ok(Lookup::Live(&oauth.build())));
    assert_eq!(snapshot.service(&id("1")), Ok(Some(&service)));
    assert_eq!(snapshot.token(&service_token), Ok(Some(&of_service)));
    assert_eq!(snapshot.token(&organization_token), Ok(Some(&of_organization)));
}

#[tokio::test]
async fn a_key_without_an_item_is_not_in_the_snapshot() {
    let fixture = Fixture::anywhere().await;
    let keys = [key("a"), Key::Service(id("1")), Key::of_token(&Digest::of("t"))];
    assert_eq!(load(&fixture.clients, &keys).await, Ok(Snapshot::default()));
}

#[tokio::test]
async fn is_one_strongly_consistent_call() {
    let fixture = Fixture::anywhere().await;
    load(&fixture.clients, &[key("a"), key("b"), Key::Service(id("1"))]).await.unwrap();
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem"]);
    assert!(fixture.wire.last_body().contains(r#""ConsistentRead":true"#), "{}", fixture.wire.last_body());
}

#[tokio::test]
async fn the_client_in_a_tombstone_is_not_read() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    write_tombstone(&fixture, "a", &[]).await.unwrap();
    load(&fixture.clients, &[key("a")]).await.unwrap();
    assert!(!fixture.wire.last_body().contains("tombstone"), "{}", fixture.wire.last_body());
}

#[tokio::test]
async fn unprocessed_keys_are_read_again() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    fixture.create("b", api_client()).await;
    let table = &fixture.table;
    let unprocessed = json!({
        "Responses": { table: [] },
        "UnprocessedKeys": {
            table: { "ConsistentRead": true, "Keys": [{ "pk": { "S": "client#a" } }, { "pk": { "S": "client#b" } }] }
        },
    });
    fixture.wire.plan("BatchGetItem", Planned::Answer(200, unprocessed.to_string()));

    let snapshot = load(&fixture.clients, &[key("a"), key("b")]).await.unwrap();

    assert_eq!(snapshot.client(&id("a")), Ok(Lookup::Live(&api_client().build())));
    assert_eq!(snapshot.client(&id("b")), Ok(Lookup::Live(&api_client().build())));
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem", "BatchGetItem"]);
}

#[tokio::test]
async fn keys_that_stay_unprocessed_make_the_database_unavailable() {
    let fixture = Fixture::anywhere().await;
    (0..4).for_each(|_| fixture.wire.plan("BatchGetItem", Planned::Unprocessed));
    let fault = load(&fixture.clients, &[key("a")]).await.unwrap_err();
    assert!(matches!(fault, Fault::Unavailable(_)), "{fault}");
    assert_eq!(fixture.wire.take_calls(), ["BatchGetItem"; 4]);
}

#[tokio::test]
async fn unknown_attributes_are_ignored_and_missing_ones_have_defaults() {
    let fixture = Fixture::anywhere().await;
    let client = AttributeValue::M(HashMap::from([
        ("kind".to_owned(), AttributeValue::S("oauth".to_owned())),
        ("service_id".to_owned(), AttributeValue::S("1".to_owned())),
        ("from_the_future".to_owned(), AttributeValue::Null(true)),
    ]));
    put(&fixture, "client#a", &[("client", client)]).await;
    let snapshot = load(&fixture.clients, &[key("a")]).await.unwrap();
    let Ok(Lookup::Live(Client {
        kind: Kind::OAuth(client),
        protected,
        version,
        idle: None,
        notice: StoredNotice::None,
        restored_from: None,
    })) = snapshot.client(&id("a"))
    else {
        panic!("{snapshot:?}");
    };
    assert_eq!(
        (client.dynamic, &client.registration_token_digest, protected, version),
        (false, &None, &false, &StoredVersion::None)
    );
}

#[tokio::test]
async fn an_unreadable_item_is_named_with_what_is_wrong() {
    let fixture = Fixture::anywhere().await;
    put(&fixture, "client#a", &[("client", AttributeValue::S("nonsense".to_owned()))]).await;
    put(&fixture, "client#b", &[]).await;
    let snapshot = load(&fixture.clients, &[key("a"), key("b")]).await.unwrap();
    for client_id in ["a", "b"] {
        let unreadable = snapshot.client(&id(client_id)).unwrap_err();
        assert_eq!(unreadable.key, key(client_id));
        let expected = if client_id == "a" { "client must be a map" } else { "the item must hold a client" };
        assert!(unreadable.to_string().contains(expected), "{unreadable}");
    }
}
