//! The cascade: it removes the grants of deleted clients and no others, and the next run continues after an interrupted
//! one.

mod batch;
mod block;
mod faults;
mod grants;
mod index;
mod log;
mod purge;
mod restoration;

use crate::support::{
    Fixture,
    build::{grants_settings, id},
    endpoint::Endpoint,
    invocation,
    log::Captured,
    now,
    wire::Fault,
};
use aws_lambda_events::streams::DynamoDbEventResponse;
use aws_sdk_dynamodb::{
    primitives::Blob,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, KeySchemaElement, KeyType, PutRequest, ScalarAttributeType,
        WriteRequest,
    },
};
use deregister::{
    dynamodb::{ClientsTable, GrantsTable, admin::RestoreOutcome, item::Item},
    functions::{Cascade, Environment, cascade::Batch},
    model::Restoration,
    settings,
};
use lambda_http::LambdaEvent;
use serde_json::{Value, json};
use std::{
    ops::Range,
    time::{Duration, SystemTime},
};

/// The content of a grant, without its keys.
const CONTENT: &str = "a secret of the authorization server";
/// The attribute with the end of a grant. DynamoDB reserves this word.
const EXPIRES_AT: &str = "ttl";
/// The cascade reads this many grants in a page, and removes this many in a write.
const PAGE: usize = 1000;
const BATCH: usize = 25;
/// The longest invocation.
const MAX_DURATION: Duration = Duration::from_mins(15);

/// The key attributes of a grants table, with their types.
type Keys = &'static [(&'static str, ScalarAttributeType)];

/// The sample clients, a grants table, and the cascade over both. Its calls go through the fixture's wire.
struct Tables {
    fixture: Fixture,
    keys: Keys,
    grants: GrantsTable,
    cascade: Cascade<ClientsTable, GrantsTable>,
}

impl Tables {
    async fn new() -> Self {
        Self::with_keys(&[("client_id", ScalarAttributeType::S), ("grant_id", ScalarAttributeType::S)]).await
    }

    /// The grants table has these keys.
    async fn with_keys(keys: Keys) -> Self {
        let fixture = Fixture::with_samples().await;
        create_table(&fixture, "grants", keys).await;
        let config = fixture.sdk.config().to_builder().http_client(fixture.wire.clone());
        let grants = GrantsTable::open(config, by_client()).await.unwrap();
        let cascade = Cascade::new(fixture.clients.clone(), grants.clone(), now, Environment::default());
        fixture.wire.take_calls();
        Self { fixture, keys, grants, cascade }
    }

    /// Issues these grants to the client.
    async fn issue(&self, client: &str, grants: Range<usize>) {
        for numbers in grants.collect::<Vec<_>>().chunks(BATCH) {
            let puts = numbers.iter().map(|number| {
                let mut item = key(self.keys, client, *number);
                item.insert("content".to_owned(), s(CONTENT));
                put(item)
            });
            let puts = puts.collect();
            self.fixture.sdk.batch_write_item().request_items("grants", puts).send().await.unwrap();
        }
    }

    /// Deletes the client at its endpoint.
    async fn delete(&self, client: &str) {
        let endpoint = Endpoint::ALL.into_iter().find(|endpoint| endpoint.client() == client).unwrap();
        assert!(self.fixture.invoke(&endpoint.event()).await.status().is_success());
        assert!(!self.fixture.lives(client).await);
        self.take_calls();
    }

    /// Invokes the cascade with these records.
    async fn deliver(&self, records: &[Value]) -> DynamoDbEventResponse {
        self.deliver_within(MAX_DURATION, records).await
    }

    /// The same, in an invocation with this much time.
    async fn deliver_within(&self, time: Duration, records: &[Value]) -> DynamoDbEventResponse {
        Box::pin(self.cascade.call(event(time, records))).await.unwrap()
    }

    fn take_calls(&self) -> Vec<String> {
        self.fixture.wire.take_calls()
    }

    /// Lets this many calls of the operation through, before what is planned next.
    fn pass(&self, operation: &str, calls: usize) {
        (0..calls).for_each(|_| self.fixture.wire.plan(operation, Fault::meanwhile(async {})));
    }

    /// Plans an event before the next call of the operation goes through. It is a separate task, so that the call
    /// statistics do not count its calls.
    fn meanwhile(&self, operation: &str, event: impl Future<Output = ()> + Send + 'static) {
        self.fixture.wire.plan(operation, Fault::meanwhile(async { tokio::spawn(event).await.unwrap() }));
    }

    /// All items of both tables.
    async fn items(&self) -> [Vec<Item>; 2] {
        [scan(&self.fixture, &self.fixture.table, &["pk"]).await, self.grant_items().await]
    }

    /// All items of both tables, without the grants of this client.
    async fn items_without(&self, client: &str) -> [Vec<Item>; 2] {
        let [clients, mut grants] = self.items().await;
        grants.retain(|grant| grant[self.keys[0].0] != s(client));
        [clients, grants]
    }

    async fn grant_items(&self) -> Vec<Item> {
        scan(&self.fixture, "grants", &self.keys.iter().map(|(name, _)| *name).collect::<Vec<_>>()).await
    }

    /// How many grants the client has.
    async fn count(&self, client: &str) -> usize {
        self.grant_items().await.iter().filter(|grant| grant[self.keys[0].0] == s(client)).count()
    }
}

/// The settings of a table whose partition key is the client id.
fn by_client() -> settings::Grants {
    settings::Grants { expires_at: EXPIRES_AT.to_owned(), ..grants_settings() }
}

fn s(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

/// The key of a grant.
fn key(keys: Keys, client: &str, number: usize) -> Item {
    let value = |kind: &ScalarAttributeType| match kind {
        ScalarAttributeType::N => AttributeValue::N(number.to_string()),
        ScalarAttributeType::B => AttributeValue::B(Blob::new(number.to_be_bytes())),
        _ => s(&format!("grant-{number:05}")),
    };
    let mut key = Item::from([(keys[0].0.to_owned(), s(client))]);
    key.extend(keys[1..].iter().map(|(name, kind)| ((*name).to_owned(), value(kind))));
    key
}

fn put(item: Item) -> WriteRequest {
    WriteRequest::builder().put_request(PutRequest::builder().set_item(Some(item)).build().unwrap()).build()
}

async fn create_table(fixture: &Fixture, table: &str, keys: Keys) {
    let mut create = fixture.sdk.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for ((name, kind), role) in keys.iter().zip([KeyType::Hash, KeyType::Range]) {
        let attribute = AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build();
        let key = KeySchemaElement::builder().attribute_name(*name).key_type(role).build();
        create = create.attribute_definitions(attribute.unwrap()).key_schema(key.unwrap());
    }
    create.send().await.unwrap();
}

/// All items of the table, in the order of their keys.
async fn scan(fixture: &Fixture, table: &str, keys: &[&str]) -> Vec<Item> {
    let mut pages = fixture.sdk.scan().table_name(table).consistent_read(true).into_paginator().items().send();
    let mut items = Vec::new();
    while let Some(item) = pages.next().await {
        items.push(item.unwrap());
    }
    items.sort_by_cached_key(|item| format!("{:?}", keys.iter().map(|key| &item[*key]).collect::<Vec<_>>()));
    items
}

/// Restores the client, without the wire.
async fn restore(fixture: &Fixture, client: &str) {
    let restoration = Restoration { at: now(), by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
}

/// The stream's record of a client's deletion: the members that the cascade reads.
fn deletion(sequence_number: &str, client: &str) -> Value {
    json!({
        "eventName": "MODIFY",
        "dynamodb": {
            "Keys": { "pk": { "S": format!("client#{client}") } },
            "SequenceNumber": sequence_number,
        },
    })
}

/// The event of an invocation with this much time.
fn event(time: Duration, records: &[Value]) -> LambdaEvent<Batch> {
    let mut context = invocation();
    let end = (now() + time).duration_since(SystemTime::UNIX_EPOCH).unwrap();
    context.deadline = end.as_millis().try_into().unwrap();
    LambdaEvent::new(serde_json::from_value(json!({ "Records": records })).unwrap(), context)
}

/// No record failed.
fn all_done() -> DynamoDbEventResponse {
    DynamoDbEventResponse::default()
}

/// The sequence numbers of the records that failed.
fn failed(response: &DynamoDbEventResponse) -> Vec<&str> {
    response.batch_item_failures.iter().map(|failure| failure.item_identifier.as_deref().unwrap()).collect()
}

/// The calls of a purge that removes pages of this many grants.
fn calls(pages: &[usize]) -> Vec<&'static str> {
    let page = |grants: &usize| {
        ["Query", "GetItem"].into_iter().chain(std::iter::repeat_n("BatchWriteItem", grants.div_ceil(BATCH)))
    };
    // A full page does not say that it is the last.
    let last = pages.last().is_none_or(|grants| *grants == PAGE).then_some("Query");
    pages.iter().flat_map(page).chain(last).collect()
}

/// The records of purges. The SDK's lines have no metrics.
fn purges(log: &Captured) -> Vec<Value> {
    log.lines().into_iter().filter(|line| line.get("_aws").is_some()).collect()
}

/// The outcome, the removed grants and the database calls of each purge.
fn outcomes(log: &Captured) -> Vec<(String, usize, usize)> {
    let number = |purge: &Value, name: &str| purge[name].as_u64().unwrap().try_into().unwrap();
    let outcome = |purge: &Value| {
        let outcome = purge["outcome"].as_str().unwrap().to_owned();
        (outcome, number(purge, "grants_removed"), number(purge, "database_calls"))
    };
    purges(log).iter().map(outcome).collect()
}
