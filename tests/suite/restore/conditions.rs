//! The cases in which a client is not restored, and nothing is written.

use super::{SECOND, delete, done, item, restoration, restore, update};
use crate::support::{
    Fixture, RETENTION,
    build::{api_client, id, oauth_client},
    now,
    wire::Fault as Planned,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::{ClientsTable, admin::RestoreOutcome},
    model::Restoration,
    store::{ClientStatus, ClientStatuses, Fault},
};
use std::time::Duration;

#[tokio::test]
async fn a_client_is_restored_until_the_last_second_of_the_retention_and_no_longer() {
    let fixture = Fixture::anywhere().await;
    let until = now() + RETENTION;
    let client = api_client().version(None);
    for (client_id, at, expected) in [
        ("at the end", until, RestoreOutcome::Expired(until)),
        ("long after the end", until + 1000 * SECOND, RestoreOutcome::Expired(until)),
        ("a second before", until - SECOND, done(client.clone().version(1).restored_from("first"))),
        (
            "in the last second",
            until - Duration::from_millis(1),
            done(client.clone().version(1).restored_from("first")),
        ),
    ] {
        fixture.create(client_id, client.clone()).await;
        delete(&fixture.clients, client_id, "first").await;
        let tombstone = item(&fixture, client_id).await;
        let outcome = fixture.clients.restore(&id(client_id), &restoration(at)).await.unwrap();
        assert_eq!(outcome, expected, "{client_id}");
        let is_unchanged = item(&fixture, client_id).await == tombstone;
        assert_eq!(is_unchanged, matches!(outcome, RestoreOutcome::Expired(_)), "{client_id}");
    }
}

#[tokio::test]
async fn a_client_is_not_restored_if_the_retention_is_zero() {
    let fixture = Fixture::anywhere().await;
    let clients = ClientsTable::new(fixture.sdk.config().to_builder(), &fixture.table, Duration::ZERO);
    fixture.create("a", api_client()).await;
    delete(&clients, "a", "first").await;
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Expired(now()));
}

#[tokio::test]
async fn a_live_client_and_a_missing_one_are_not_restored() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    let live = item(&fixture, "a").await;
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Live);
    assert_eq!(restore(&fixture, "missing").await, RestoreOutcome::Unknown);
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "GetItem"]);
    assert_eq!(item(&fixture, "a").await, live);
    assert_eq!(fixture.item("client#missing").await, None);
    assert_eq!(fixture.clients.deletions(&id("missing")).await, Ok(None));
}

#[tokio::test]
async fn a_tombstone_that_changes_after_the_read_is_not_restored() {
    for change in ["deleted again", "collected", "changed"] {
        let fixture = Fixture::anywhere().await;
        fixture.create("a", api_client()).await;
        delete(&fixture.clients, "a", "first").await;
        let bystander = fixture.clone();
        let event = async move {
            let clients = bystander.direct();
            match change {
                "deleted again" => {
                    let by = "operator#john".to_owned();
                    clients.restore(&id("a"), &Restoration { at: now(), by }).await.unwrap();
                    delete(&clients, "a", "second").await;
                }
                "collected" => {
                    let key = AttributeValue::S("client#a".to_owned());
                    let collect = bystander.sdk.delete_item().table_name(&bystander.table).key("pk", key);
                    collect.send().await.unwrap();
                }
                _ => {
                    let protect = update(&bystander, "a").update_expression("SET tombstone.protected = :yes");
                    protect.expression_attribute_values(":yes", AttributeValue::Bool(true)).send().await.unwrap();
                }
            }
        };
        fixture.wire.plan("UpdateItem", Planned::meanwhile(event));
        assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Changed, "{change}");
        assert!(!fixture.lives("a").await, "{change}");
    }
}

#[tokio::test]
async fn a_client_beside_the_tombstone_is_not_overwritten() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client().secret("old")).await;
    delete(&fixture.clients, "a", "first").await;
    fixture.create("b", api_client().secret("new")).await;
    let client = item(&fixture, "b").await["client"].clone();
    let put = update(&fixture, "a").update_expression("SET client = :client");
    let put = put.expression_attribute_values(":client", client.clone());
    fixture.wire.plan("UpdateItem", Planned::meanwhile(async { drop(put.send().await.unwrap()) }));
    assert_eq!(restore(&fixture, "a").await, RestoreOutcome::Changed);
    assert_eq!(item(&fixture, "a").await["client"], client);
}

/// The record is descriptive: the client is restored, and its history and its status can be read.
#[tokio::test]
async fn a_client_is_restored_whatever_its_deletion_record_says() {
    for member in ["at", "by", "via", "request_id", "source_ip", "lacks"] {
        for value in
            [AttributeValue::S("1".to_owned()), AttributeValue::N("1e100".to_owned()), AttributeValue::Null(true)]
        {
            let fixture = Fixture::anywhere().await;
            fixture.create("a", oauth_client().registration_token("token")).await;
            delete(&fixture.clients, "a", "first").await;
            let set = update(&fixture, "a").update_expression("SET deleted.#member = :value");
            let set = set.expression_attribute_names("#member", member);
            set.expression_attribute_values(":value", value).send().await.unwrap();
            let restored = restore(&fixture, "a").await;
            assert!(matches!(restored, RestoreOutcome::Done(_)), "{member}: {restored:?}");
            assert_eq!(fixture.clients.deletions(&id("a")).await.unwrap().unwrap().past.len(), 1, "{member}");
            let status = fixture.clients.client_status(&id("a")).await.unwrap();
            let ClientStatus::Live { revoked_until, .. } = status else { panic!("{member}: {status:?}") };
            assert_eq!(revoked_until, Some(now()), "{member}");
        }
    }
}

/// An operator removed the expiry, so that the tombstone is kept.
#[tokio::test]
async fn a_tombstone_without_an_expiry_can_be_restored_without_end() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    delete(&fixture.clients, "a", "first").await;
    update(&fixture, "a").update_expression("REMOVE expires_at").send().await.unwrap();
    let far = now() + Duration::from_hours(24 * 365 * 100);
    let restored = fixture.clients.restore(&id("a"), &restoration(far)).await;
    assert!(matches!(restored, Ok(RestoreOutcome::Done(_))), "{restored:?}");
}

#[tokio::test]
async fn an_unreadable_tombstone_is_left_as_it_is() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    delete(&fixture.clients, "a", "first").await;
    let tombstone = item(&fixture, "a").await;
    for (attribute, value) in [
        ("tombstone", Some(AttributeValue::Bool(true))),
        ("deleted", Some(AttributeValue::Bool(true))),
        ("history", Some(AttributeValue::Bool(true))),
        ("tombstone", None),
        ("deleted", None),
    ] {
        let mut broken = tombstone.clone();
        match value {
            Some(value) => drop(broken.insert(attribute.to_owned(), value)),
            None => drop(broken.remove(attribute)),
        }
        let put = fixture.sdk.put_item().table_name(&fixture.table).set_item(Some(broken.clone()));
        put.send().await.unwrap();
        let fault = fixture.clients.restore(&id("a"), &restoration(now())).await.unwrap_err();
        assert!(matches!(fault, Fault::Unreadable(_)), "{attribute}: {fault}");
        assert_eq!(item(&fixture, "a").await, broken);
    }
}
