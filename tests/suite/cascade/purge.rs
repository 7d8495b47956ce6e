//! What a purge removes, and what it costs.

use super::{BATCH, Keys, PAGE, Tables, all_done, calls, deletion, failed, id, key, outcomes, purges, s};
use crate::support::{log::Captured, wire::Fault};
use aws_sdk_dynamodb::types::ScalarAttributeType;
use deregister::{
    model::Id,
    store::{CallStatistics, Grants},
};
use serde_json::{Value, json};
use tokio::sync::mpsc;

#[tokio::test]
async fn removes_all_grants_of_the_client_and_no_others_for_any_id_and_key_names() {
    let longest = "x".repeat(Id::MAX_BYTES);
    let plain = ["a", "ab", "A", "1", "01", "1.0", "null", &longest];
    let odd = [" a", "a ", "a#b", "client#a", "a/b%2F?", "\"a\"", "a\nb", "\u{e4}", "a\u{308}", "\u{1f980}"];
    let ids = [&plain[..], &odd].concat();
    let tables: [(Keys, usize); 4] = [
        (&[("client_id", ScalarAttributeType::S)], 1),
        (&[("client_id", ScalarAttributeType::S), ("grant_id", ScalarAttributeType::S)], 3),
        // Words that DynamoDB reserves, and a name that looks like a placeholder.
        (&[("token", ScalarAttributeType::S), ("dynamic", ScalarAttributeType::N)], 3),
        (&[("#sort", ScalarAttributeType::S), ("a.b[0]", ScalarAttributeType::B)], 3),
    ];
    for (keys, grants) in tables {
        let tables = Tables::with_keys(keys).await;
        for id in &ids {
            tables.issue(id, 0..grants).await;
        }
        let mut expected = tables.items().await;
        for (deleted, id) in ids.iter().enumerate() {
            expected[1].retain(|grant| grant[keys[0].0] != s(id));
            assert_eq!(expected[1].len(), (ids.len() - deleted - 1) * grants);
            assert_eq!(tables.deliver(&[deletion("1", id)]).await, all_done(), "{keys:?} {id}");
            assert!(tables.items().await == expected, "{keys:?} {id}");
        }
    }
}

#[tokio::test]
async fn costs_a_query_and_a_read_for_each_page_and_a_write_for_25_grants() {
    let tables = Tables::new().await;
    tables.issue("other", 0..30).await;
    for (client, pages) in [
        ("none", vec![]),
        ("one", vec![1]),
        ("a batch", vec![BATCH]),
        ("a batch and one", vec![BATCH + 1]),
        ("a page", vec![PAGE]),
        ("a page and one", vec![PAGE, 1]),
    ] {
        let grants = pages.iter().sum();
        tables.issue(client, 0..grants).await;
        tables.take_calls();
        let log = Captured::at("INFO");
        assert_eq!(tables.deliver(&[deletion("1", client)]).await, all_done());
        let made = tables.take_calls();
        assert_eq!(made, calls(&pages), "{client}");
        assert_eq!(outcomes(&log), [("removed".to_owned(), grants, made.len())], "{client}");
        assert_eq!(tables.count(client).await, 0, "{client}");
    }
    assert_eq!(tables.count("other").await, 30);
}

/// Otherwise the cascade could miss a grant that was stored just before the deletion, or remove those of a client that
/// was restored just before.
#[tokio::test]
async fn reads_are_strongly_consistent_and_take_only_the_keys_of_grants() {
    let tables = Tables::new().await;
    tables.issue("a", 0..1).await;
    let (send, mut bodies) = mpsc::unbounded_channel();
    for operation in ["Query", "GetItem"] {
        let (wire, send) = (tables.fixture.wire.clone(), send.clone());
        let look = async move { send.send(serde_json::from_str::<Value>(&wire.last_body()).unwrap()).unwrap() };
        tables.fixture.wire.plan(operation, Fault::meanwhile(look));
    }
    tables.deliver(&[deletion("1", "a")]).await;
    let [query, get] = [bodies.try_recv().unwrap(), bodies.try_recv().unwrap()];
    assert_eq!([&query["ConsistentRead"], &get["ConsistentRead"]], [&json!(true), &json!(true)]);
    assert_eq!(query["ProjectionExpression"], "#key0, #key1");
    assert_eq!(
        query["ExpressionAttributeNames"],
        json!({ "#client": "client_id", "#key0": "client_id", "#key1": "grant_id" })
    );
}

#[tokio::test]
async fn writes_again_only_what_the_database_left_unprocessed() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    tables.issue("b", 0..26).await;
    let keys = [0, 1, 2].map(|number| key(tables.keys, "a", number));
    tables.fixture.wire.plan("BatchWriteItem", Fault::OnlyFirst);
    let mut removed = 0;
    tables.grants.remove(&id("a"), keys.to_vec(), &mut removed).await.unwrap();
    assert_eq!(removed, 3);
    assert_eq!(tables.take_calls(), ["BatchWriteItem", "BatchWriteItem"]);
    let body: Value = serde_json::from_str(&tables.fixture.wire.last_body()).unwrap();
    let writes = body["RequestItems"]["grants"].as_array().unwrap();
    let written: Vec<_> = writes.iter().map(|write| &write["DeleteRequest"]["Key"]["grant_id"]["S"]).collect();
    assert_eq!(written, ["grant-00001", "grant-00002"]);
    assert_eq!([tables.count("a").await, tables.count("b").await], [0, 26]);

    (0..3).for_each(|_| tables.fixture.wire.plan("BatchWriteItem", Fault::OnlyFirst));
    assert_eq!(tables.deliver(&[deletion("1", "b")]).await, all_done());
    let mut expected = calls(&[26]);
    expected.splice(2..2, ["BatchWriteItem"; 3]);
    assert_eq!(tables.take_calls(), expected);
    assert_eq!(tables.count("b").await, 0);
}

#[tokio::test]
async fn unprocessed_grants_count_as_throttles_and_retries() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    let keys = [0, 1, 2].map(|number| key(tables.keys, "a", number));
    (0..2).for_each(|_| tables.fixture.wire.plan("BatchWriteItem", Fault::OnlyFirst));
    let (result, statistics) = CallStatistics::collect(tables.grants.remove(&id("a"), keys.to_vec(), &mut 0)).await;
    assert_eq!(result, Ok(()));
    assert_eq!([statistics.calls, statistics.attempts, statistics.throttles, statistics.retries()], [1, 3, 2, 2]);
    assert_eq!(statistics.ambiguous, 0);

    tables.issue("b", 0..2).await;
    tables.fixture.wire.plan("BatchWriteItem", Fault::OnlyFirst);
    let log = Captured::at("INFO");
    assert_eq!(tables.deliver(&[deletion("1", "b")]).await, all_done());
    let [purge] = purges(&log).try_into().unwrap();
    for (name, value) in [("grants_removed", 2), ("database_calls", 4), ("retries", 1), ("throttles", 1)] {
        assert_eq!(purge[name], value, "{name} in {purge}");
    }
}

#[tokio::test]
async fn an_answer_without_a_list_of_items_does_not_end_the_purge() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    tables.fixture.wire.plan("Query", Fault::Answer(200, "{}".to_owned()));
    assert_eq!(tables.deliver(&[deletion("1", "a")]).await, all_done());
    assert_eq!(tables.take_calls(), ["Query", "Query", "GetItem", "BatchWriteItem"]);
    assert_eq!(tables.count("a").await, 0);
}

#[tokio::test]
async fn an_empty_page_before_another_page_does_not_end_the_purge() {
    let tables = Tables::new().await;
    tables.issue("a", 0..3).await;
    let page = json!({
        "Items": [],
        "Count": 0,
        "ScannedCount": 0,
        "LastEvaluatedKey": { "client_id": { "S": "a" }, "grant_id": { "S": "grant-" } },
    });
    tables.fixture.wire.plan("Query", Fault::Answer(200, page.to_string()));
    let response = tables.deliver(&[deletion("1", "a")]).await;
    assert_eq!((failed(&response), tables.count("a").await), (vec![], 0));
}
