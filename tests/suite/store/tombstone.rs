//! The one write: what the tombstone holds, and which clients meet its condition.

use super::{deletion, put, write_tombstone};
use crate::support::{
    Fixture, RETENTION,
    build::{api_client, id, oauth_client},
    now,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    model::{Digest, Idle, Version},
    rule::{Authorization, Precondition},
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

    assert_eq!(write_tombstone(&fixture.clients, "a", &[]).await, Ok(WriteOutcome::Written));

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
    assert_eq!(write_tombstone(&fixture.clients, "a", &preconditions).await, Ok(WriteOutcome::Written));

    let item = fixture.item("client#a").await.unwrap();
    assert_eq!(item["tombstone"], client);
    assert_eq!(item["note"], AttributeValue::Bool(true));
}

#[tokio::test]
async fn is_not_written_where_there_is_no_item() {
    let fixture = Fixture::anywhere().await;
    assert_eq!(write_tombstone(&fixture.clients, "a", &[]).await, Ok(WriteOutcome::ConditionFailed(None)));
    assert_eq!(fixture.item("client#a").await, None);
}

#[tokio::test]
async fn is_not_written_over_another_tombstone() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    write_tombstone(&fixture.clients, "a", &[]).await.unwrap();
    let first = fixture.item("client#a").await;
    let authorization = Authorization { target: &id("a"), preconditions: vec![] };
    let again = fixture.clients.write_tombstone(&authorization, &deletion("another")).await;
    assert_eq!(again, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(deletion("this"))))));
    assert_eq!(fixture.item("client#a").await, first);
}

#[tokio::test]
async fn is_not_written_for_a_protected_client() {
    let fixture = Fixture::anywhere().await;
    let protected = api_client().protected();
    fixture.create("a", protected.clone()).await;
    let outcome = write_tombstone(&fixture.clients, "a", &[]).await;
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
        (api(), Precondition::Version(Version(7)), true),
        (api(), Precondition::Version(Version(8)), false),
        (api().version(None), Precondition::Version(Version(7)), false),
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
        assert_eq!(write_tombstone(&fixture.clients, &client_id, &[precondition]).await, Ok(expected), "{case}");
        assert_eq!(fixture.lives(&client_id).await, !is_met, "{case}");
    }
}

#[tokio::test]
async fn every_precondition_must_be_met() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client().version(7)).await;
    let at_version =
        |version| [Precondition::Application("application"), Precondition::NotOwner, Precondition::Version(version)];
    let failed = write_tombstone(&fixture.clients, "a", &at_version(Version(1))).await;
    assert_eq!(failed, Ok(WriteOutcome::ConditionFailed(Some(api_client().version(7).into()))));
    let written = write_tombstone(&fixture.clients, "a", &at_version(Version(7))).await;
    assert_eq!(written, Ok(WriteOutcome::Written));
}
