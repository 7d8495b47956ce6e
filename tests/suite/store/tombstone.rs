//! The one write: what the tombstone holds, and which clients meet its condition.

use super::{deletion, put, write_tombstone};
use crate::support::{
    Fixture, RETENTION, authorization,
    build::{api_client, id, oauth_client},
    now,
};
use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use deregister::{
    model::{Digest, Idle},
    rule::Precondition,
    snapshot::Record,
    store::{Store, WriteOutcome},
};
use std::{
    collections::HashMap,
    time::{Duration, UNIX_EPOCH},
};

#[tokio::test]
async fn holds_the_client_and_the_record_after_one_write() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client().feature("metadata")).await;
    let client = fixture.item("client#a").await.unwrap()["client"].clone();

    assert_eq!(write_tombstone(&fixture, "a", &[]).await, Ok(WriteOutcome::Written));

    assert_eq!(fixture.wire.take_calls(), ["UpdateItem"]);
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: Duration| AttributeValue::N(number.as_secs().to_string());
    let at = now().duration_since(UNIX_EPOCH).unwrap();
    let record = HashMap::from([
        ("at".to_owned(), number(at)),
        ("by".to_owned(), text("client#owner")),
        ("via".to_owned(), text("configuration")),
        ("source_ip".to_owned(), text("203.0.113.7")),
        ("request_id".to_owned(), text("this")),
    ]);
    let tombstone = HashMap::from([
        ("pk".to_owned(), text("client#a")),
        ("tombstone".to_owned(), client),
        ("deleted".to_owned(), AttributeValue::M(record)),
        ("expires_at".to_owned(), number(at + RETENTION)),
    ]);
    assert_eq!(fixture.item("client#a").await, Some(tombstone));
}

#[tokio::test]
async fn keeps_attributes_that_the_model_does_not_have() {
    let fixture = Fixture::anywhere().await;
    let client = AttributeValue::M(HashMap::from([
        ("kind".to_owned(), AttributeValue::S("api".to_owned())),
        ("app_id".to_owned(), AttributeValue::S("application".to_owned())),
        ("from_the_future".to_owned(), AttributeValue::Ss(vec!["x".to_owned()])),
    ]));
    put(&fixture, "client#a", &[("client", client.clone()), ("note", AttributeValue::Bool(true))]).await;

    let preconditions = [Precondition::Application("application"), Precondition::NotOwner];
    assert_eq!(write_tombstone(&fixture, "a", &preconditions).await, Ok(WriteOutcome::Written));

    let item = fixture.item("client#a").await.unwrap();
    assert_eq!(item["tombstone"], client);
    assert_eq!(item["note"], AttributeValue::Bool(true));
}

#[tokio::test]
async fn is_not_written_where_there_is_no_item() {
    let fixture = Fixture::anywhere().await;
    assert_eq!(write_tombstone(&fixture, "a", &[]).await, Ok(WriteOutcome::ConditionFailed(None)));
    assert_eq!(fixture.item("client#a").await, None);
}

#[tokio::test]
async fn is_not_written_over_another_tombstone() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    write_tombstone(&fixture, "a", &[]).await.unwrap();
    let first = fixture.item("client#a").await;
    let target = id("a");
    let authorization = authorization(&fixture.direct(), &target, &[]).await;
    let again = fixture.clients.write_tombstone(&authorization, &deletion("another")).await;
    assert_eq!(again, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(deletion("this"))))));
    assert_eq!(fixture.item("client#a").await, first);
}

#[tokio::test]
async fn is_not_written_for_a_protected_client() {
    let fixture = Fixture::anywhere().await;
    let protected = api_client().protected();
    fixture.create("a", protected.clone()).await;
    let outcome = write_tombstone(&fixture, "a", &[]).await;
    assert_eq!(outcome, Ok(WriteOutcome::ConditionFailed(Some(protected.into()))));
    assert!(fixture.lives("a").await);
}

#[tokio::test]
async fn each_precondition_is_met_by_the_clients_that_it_describes_and_by_no_others() {
    let fixture = Fixture::anywhere().await;
    let api = || api_client().version(7);
    let oauth = || oauth_client().registration_token("token");
    let (token, other_token) = (Digest::of("token"), Digest::of("other"));
    let (service, other_service) = (id("service"), id("another"));
    let (unused, used, later) = (Idle::unused(now()), Idle::used(now()), Idle::used(now() + Duration::from_secs(1)));

    let cases = [
        (api(), Precondition::Application("application"), true),
        (api(), Precondition::Application("another"), false),
        (oauth(), Precondition::Application("application"), false),
        (api().feature("metadata").feature("login_client"), Precondition::NotOwner, true),
        (api().feature("metadata").owner(), Precondition::NotOwner, false),
        (api().feature("owner "), Precondition::NotOwner, true),
        (oauth(), Precondition::RegistrationToken(&token), true),
        (oauth(), Precondition::RegistrationToken(&other_token), false),
        (api(), Precondition::RegistrationToken(&token), false),
        (oauth(), Precondition::Dynamic, true),
        (oauth().not_dynamic(), Precondition::Dynamic, false),
        (api(), Precondition::Dynamic, false),
        (oauth(), Precondition::RegisteredAt(&service), true),
        (oauth(), Precondition::RegisteredAt(&other_service), false),
        (oauth().not_dynamic(), Precondition::RegisteredAt(&service), false),
        (oauth().idle(used), Precondition::Idle(used), true),
        (oauth().idle(unused), Precondition::Idle(unused), true),
        (oauth().idle(unused), Precondition::Idle(used), false),
        (oauth().idle(used), Precondition::Idle(unused), false),
        (oauth().idle(later), Precondition::Idle(used), false),
        (oauth(), Precondition::Idle(used), false),
    ];
    for (number, (client, precondition, is_met)) in cases.into_iter().enumerate() {
        let client_id = number.to_string();
        fixture.create(&client_id, client.clone()).await;
        let case = format!("{:?} {precondition:?}", client.clone().build());
        let expected = if is_met { WriteOutcome::Written } else { WriteOutcome::ConditionFailed(Some(client.into())) };
        assert_eq!(write_tombstone(&fixture, &client_id, &[precondition]).await, Ok(expected), "{case}");
        assert_eq!(fixture.lives(&client_id).await, !is_met, "{case}");
    }
}

#[tokio::test]
async fn every_precondition_must_be_met() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    let of = |application| [Precondition::Application(application), Precondition::NotOwner];
    let failed = write_tombstone(&fixture, "a", &of("another")).await;
    assert_eq!(failed, Ok(WriteOutcome::ConditionFailed(Some(api_client().into()))));
    assert_eq!(write_tombstone(&fixture, "a", &of("application")).await, Ok(WriteOutcome::Written));
}

/// The version as it was read is asserted, whatever type it has. Reader and database agree on every type.
#[tokio::test]
async fn the_version_that_was_read_is_asserted_whatever_its_type() {
    let fixture = Fixture::anywhere().await;
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: &str| AttributeValue::N(number.to_owned());
    let versions = [
        None,
        Some(number("7")),
        Some(number("18446744073709551615")),
        Some(number("-1")),
        Some(number("1.5")),
        Some(number("99999999999999999999999999999999999999")),
        Some(text("7")),
        Some(AttributeValue::Null(true)),
        Some(AttributeValue::Bool(true)),
        Some(AttributeValue::L(vec![number("7")])),
        Some(AttributeValue::M(HashMap::from([("v".to_owned(), number("7"))]))),
        Some(AttributeValue::B(Blob::new("7"))),
        Some(AttributeValue::Ns(vec!["7".to_owned()])),
    ];
    for (index, version) in versions.iter().enumerate() {
        let other = versions.iter().enumerate().find(|(other, _)| *other != index).and_then(|(_, other)| other.clone());
        let other = other.unwrap_or_else(|| number("8"));
        let client_id = index.to_string();
        fixture.create(&client_id, api_client()).await;
        set_version(&fixture, &client_id, version.clone()).await;
        let (target, clients) = (id(&client_id), fixture.direct());
        let as_read = authorization(&clients, &target, &[]).await;
        set_version(&fixture, &client_id, Some(other)).await;
        let failed = clients.write_tombstone(&as_read, &deletion("this")).await;
        assert!(
            matches!(failed, Ok(WriteOutcome::ConditionFailed(Some(Record::Client(_))))),
            "{version:?}: {failed:?}"
        );
        set_version(&fixture, &client_id, version.clone()).await;
        let written = clients.write_tombstone(&as_read, &deletion("this")).await;
        assert_eq!(written, Ok(WriteOutcome::Written), "{version:?}");
    }
}

async fn set_version(fixture: &Fixture, client_id: &str, version: Option<AttributeValue>) {
    let key = AttributeValue::S(format!("client#{client_id}"));
    let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
    let update = match version {
        Some(version) => {
            update.update_expression("SET client.version = :version").expression_attribute_values(":version", version)
        }
        None => update.update_expression("REMOVE client.version"),
    };
    update.send().await.unwrap();
}

/// Features of a type that the function does not read may be an owner's.
#[tokio::test]
async fn no_client_is_deleted_whose_features_the_function_cannot_read() {
    let fixture = Fixture::anywhere().await;
    let (text, bytes) = (|text: &str| AttributeValue::S(text.to_owned()), AttributeValue::B(Blob::new("owner")));
    let sets = |texts: &[&str]| AttributeValue::Ss(texts.iter().map(ToString::to_string).collect());
    let cases = [
        (AttributeValue::Bs(vec![Blob::new("owner")]), false),
        (AttributeValue::L(vec![bytes.clone()]), false),
        (AttributeValue::L(vec![text("metadata"), bytes.clone()]), false),
        (AttributeValue::L(vec![AttributeValue::M(HashMap::new())]), false),
        (AttributeValue::L(vec![AttributeValue::N("1".to_owned())]), false),
        // The types of the elements of another list cannot be tested.
        (AttributeValue::L(vec![text("metadata")]), false),
        (bytes, false),
        (text("metadata"), false),
        (AttributeValue::Null(true), false),
        (AttributeValue::Bool(false), false),
        (AttributeValue::Ns(vec!["1".to_owned()]), false),
        (sets(&["metadata", "owner"]), false),
        (sets(&["metadata"]), true),
        (AttributeValue::L(vec![]), true),
    ];
    for (number, (features, is_deleted)) in cases.into_iter().enumerate() {
        let client_id = number.to_string();
        fixture.create(&client_id, api_client()).await;
        let (target, clients) = (id(&client_id), fixture.direct());
        let as_read = authorization(&clients, &target, &[Precondition::NotOwner]).await;
        let key = AttributeValue::S(format!("client#{client_id}"));
        let update = fixture.sdk.update_item().table_name(&fixture.table).key("pk", key);
        let update = update.update_expression("SET client.features = :features");
        update.expression_attribute_values(":features", features.clone()).send().await.unwrap();
        let outcome = clients.write_tombstone(&as_read, &deletion("this")).await.unwrap();
        assert_eq!(outcome == WriteOutcome::Written, is_deleted, "{features:?}");
    }
}
