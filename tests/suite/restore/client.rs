//! The item of a restored client.

use super::{delete, deletion, deletions, done, item, restoration, restore, update};
use crate::support::{
    Fixture, basic,
    build::{api_client, id},
    event, now,
    sample::{APPLICATION, OWNER, TARGET, VERSION},
    wire::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::admin::Deletions,
    model::PastDeletion,
    snapshot::{Key, Record},
};

#[tokio::test]
async fn is_the_former_client_at_the_next_version_with_a_history() {
    let fixture = Fixture::anywhere().await;
    let client = api_client().secret("secret");
    fixture.create("a", client.clone().version(7)).await;
    // Attributes that the model does not have: one in the client, and one in the item.
    let unknown = update(&fixture, "a").update_expression("SET client.from_the_future = :true, note = :true");
    unknown.expression_attribute_values(":true", AttributeValue::Bool(true)).send().await.unwrap();
    let mut expected = item(&fixture, "a").await;

    delete(&fixture.direct(), "a", "first").await;
    let outcome = restore(&fixture, "a").await;

    assert_eq!(outcome, done(client.version(8).restored_from("first")));
    assert_eq!(fixture.wire.take_calls(), ["GetItem", "UpdateItem"]);
    let mut restored = item(&fixture, "a").await;
    let history = restored.remove("history").unwrap();
    let [entry] = &history.as_l().unwrap()[..] else { panic!("{history:?}") };
    assert_eq!(restored.remove("restored").as_ref(), entry.as_m().unwrap().get("restored"));
    let AttributeValue::M(members) = expected.get_mut("client").unwrap() else { panic!("the client is not a map") };
    members.insert("version".to_owned(), AttributeValue::N("8".to_owned()));
    assert_eq!(restored, expected);
    let past = PastDeletion { deletion: deletion("first"), restored: restoration(now()) };
    assert_eq!(deletions(&fixture, "a").await, Deletions { current: None, past: vec![past], revocations: Vec::new() });
}

#[tokio::test]
async fn is_at_another_version_whatever_the_earlier_one_was() {
    let fixture = Fixture::anywhere().await;
    let number = |number: &str| AttributeValue::N(number.to_owned());
    for (client_id, version, next) in [
        ("none", None, 1),
        ("the largest", Some(number("18446744073709551615")), 1),
        ("too large", Some(number("18446744073709551616")), 1),
        ("a fraction", Some(number("1.5")), 1),
        ("a text", Some(AttributeValue::S("7".to_owned())), 1),
        ("nothing", Some(AttributeValue::Null(true)), 1),
        ("a number", Some(number("7")), 8),
    ] {
        fixture.create(client_id, api_client().version(None)).await;
        if let Some(version) = version {
            let set = update(&fixture, client_id).update_expression("SET client.version = :version");
            set.expression_attribute_values(":version", version).send().await.unwrap();
        }
        delete(&fixture.clients, client_id, "first").await;
        let expected = done(api_client().version(next).restored_from("first"));
        assert_eq!(restore(&fixture, client_id).await, expected, "{client_id}");
    }
}

#[tokio::test]
async fn does_not_match_an_entity_tag_from_before_the_deletion() {
    let fixture = Fixture::anywhere_with_samples().await;
    delete(&fixture.clients, TARGET, "first").await;
    restore(&fixture, TARGET).await;
    for (tag, status) in [(VERSION.0, 412), (VERSION.0 + 1, 204)] {
        let (authorization, tag) = (basic(OWNER), format!("\"{tag}\""));
        let headers = [("authorization", authorization.as_str()), ("if-match", &tag)];
        let path = format!("/config/{APPLICATION}/clients/{TARGET}");
        assert_eq!(fixture.invoke(&event("DELETE", &path, "", &headers, "")).await.status(), status, "{tag}");
    }
}

#[tokio::test]
async fn is_at_a_new_version_after_every_restoration() {
    let fixture = Fixture::anywhere().await;
    let client = api_client().secret("secret");
    fixture.create("a", client.clone()).await;
    for version in 2..5 {
        delete(&fixture.clients, "a", "this").await;
        restore(&fixture, "a").await;
        let expected = Record::Client(client.clone().version(version).restored_from("this").build());
        assert_eq!(fixture.clients.find(&Key::Client(id("a"))).await, Ok(Some(expected)));
    }
}

#[tokio::test]
async fn is_restored_once_even_if_the_answer_is_lost() {
    let fixture = Fixture::anywhere().await;
    fixture.create("a", api_client()).await;
    delete(&fixture.clients, "a", "first").await;
    fixture.wire.plan("UpdateItem", Fault::AnswerLost);
    assert_eq!(restore(&fixture, "a").await, done(api_client().version(2).restored_from("first")));
    assert_eq!(deletions(&fixture, "a").await.past.len(), 1);
}
