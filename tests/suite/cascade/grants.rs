//! The grants table: how it is opened and counted, and which grants are live.

use super::{CONTENT, EXPIRES_AT, Tables, by_client, create_table, id, key, put, s};
use crate::support::{Fixture, now};
use aws_sdk_dynamodb::types::{AttributeValue, ScalarAttributeType};
use deregister::{
    dynamodb::GrantsTable,
    settings,
    store::{CallStatistics, Grants},
};
use std::time::SystemTime;

#[tokio::test]
async fn opening_costs_one_call_and_the_partition_key_must_be_a_string() {
    let fixture = Fixture::empty().await;
    create_table(&fixture, "good", &[("id", ScalarAttributeType::S), ("at", ScalarAttributeType::N)]).await;
    create_table(&fixture, "number", &[("id", ScalarAttributeType::N), ("client", ScalarAttributeType::S)]).await;
    create_table(&fixture, "binary", &[("id", ScalarAttributeType::B)]).await;
    let open = async |table: &str| {
        let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
        let opened = GrantsTable::open(config, settings::Grants { table: table.to_owned(), ..by_client() }).await;
        assert_eq!(fixture.wire.take_calls(), ["DescribeTable"], "{table}");
        opened.map(|grants| grants.name().to_owned()).map_err(|fault| fault.to_string())
    };
    assert_eq!(open("good").await, Ok("good".to_owned()));
    for table in ["number", "binary"] {
        let why = format!("the partition key of the table {table} must be a string, the client id");
        assert_eq!(open(table).await, Err(format!("the database call failed: {why}")));
    }
    assert!(open("missing").await.unwrap_err().contains("ResourceNotFoundException"));
}

/// A grant with this content fills half a page of the database.
fn large() -> String {
    "x".repeat(390_000)
}

/// Issues a grant with this content for each of these ends.
async fn issue(tables: &Tables, client: &str, content: &str, ends: &[Option<AttributeValue>]) {
    for (number, end) in ends.iter().enumerate() {
        let mut item = key(tables.keys, client, number);
        item.insert("content".to_owned(), s(content));
        item.extend(end.clone().map(|end| (EXPIRES_AT.to_owned(), end)));
        let put = tables.fixture.sdk.batch_write_item().request_items("grants", vec![put(item)]);
        put.send().await.unwrap();
    }
    tables.take_calls();
}

fn at(seconds: u64) -> AttributeValue {
    AttributeValue::N(seconds.to_string())
}

#[tokio::test]
async fn grants_are_counted_up_to_the_bound_and_one_more() {
    let tables = Tables::new().await;
    tables.issue("a", 0..5).await;
    tables.issue("ab", 0..5).await;
    issue(&tables, "large", &large(), &[const { None }; 5]).await;
    for (client, bound, counted, calls) in [
        ("none", 0, 0, 1),
        ("none", 10, 0, 1),
        ("a", 0, 1, 1),
        ("a", 3, 4, 1),
        ("a", 4, 5, 1),
        ("a", 5, 5, 1),
        ("a", usize::MAX, 5, 1),
        ("large", 1, 2, 1),
        ("large", 4, 5, 3),
        ("large", 100, 5, 3),
    ] {
        let (count, statistics) = CallStatistics::collect(tables.grants.count(&id(client), bound)).await;
        assert_eq!(count, Ok(counted), "{client} {bound}");
        assert_eq!(tables.take_calls(), vec!["Query"; calls], "{client} {bound}");
        assert_eq!([statistics.calls, statistics.attempts].map(|count| count as usize), [calls; 2]);
    }
}

#[tokio::test]
async fn a_grant_is_live_until_the_second_of_its_end_or_for_ever_without_an_end() {
    let tables = Tables::new().await;
    let seconds = now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_secs();
    for (client, ends, live) in [
        ("none", vec![], false),
        ("without", vec![None], true),
        ("future", vec![Some(at(seconds + 1))], true),
        ("now", vec![Some(at(seconds))], false),
        ("past", vec![Some(at(seconds - 1)), Some(at(0))], false),
        ("both", vec![Some(at(0)), Some(at(seconds)), None], true),
    ] {
        issue(&tables, client, CONTENT, &ends).await;
        assert_eq!(tables.grants.is_any_live(&id(client), now()).await, Ok(live), "{client}");
        assert_eq!(tables.take_calls(), ["Query"], "{client}");
    }
}

#[tokio::test]
async fn a_live_grant_is_found_after_pages_of_ended_grants_and_ends_the_search() {
    let tables = Tables::new().await;
    let ended = vec![Some(at(0)); 5];
    for (client, ends, live, calls) in [
        ("none", ended.clone(), false, 3),
        ("last", [&ended[..], &[None]].concat(), true, 3),
        ("first", [&[None], &ended[..]].concat(), true, 1),
    ] {
        issue(&tables, client, &large(), &ends).await;
        assert_eq!(tables.grants.is_any_live(&id(client), now()).await, Ok(live), "{client}");
        assert_eq!(tables.take_calls(), vec!["Query"; calls], "{client}");
    }
}

#[tokio::test]
async fn a_grant_whose_end_cannot_be_read_is_live() {
    let tables = Tables::new().await;
    let ends = [s("2030-01-01T00:00:00Z"), AttributeValue::Null(true), AttributeValue::Bool(true)];
    for (number, end) in ends.into_iter().enumerate() {
        let client = format!("client-{number}");
        issue(&tables, &client, CONTENT, &[Some(end.clone())]).await;
        assert_eq!(tables.grants.is_any_live(&id(&client), now()).await, Ok(true), "{end:?}");
    }
}
