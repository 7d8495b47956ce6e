//! The contract of the port [`Store`], checked on the clients table. The helpers take any store.

mod create;
mod faults;
mod load;
mod notice;
mod statistics;
mod tombstone;

use crate::support::{
    Fixture,
    build::{api_client, id},
    now,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::item,
    model::Deletion,
    rule::{Authorization, Precondition},
    snapshot::{Key, Record, Snapshot},
    store::{Fault, Store, WriteOutcome},
};

fn key(client_id: &str) -> Key {
    Key::Client(id(client_id))
}

fn deletion(request_id: &str) -> Deletion {
    Deletion {
        at: now(),
        by: "client#owner".to_owned(),
        via: "configuration".to_owned(),
        source_ip: Some("203.0.113.7".to_owned()),
        request_id: request_id.to_owned(),
        lacks: Vec::new(),
        blocked: None,
    }
}

async fn load(store: &impl Store, keys: &[Key]) -> Result<Snapshot, Fault> {
    store.load(keys.iter().cloned().collect()).await
}

/// Writes the tombstone of the request `this`.
async fn write_tombstone(
    fixture: &Fixture,
    client_id: &str,
    preconditions: &[Precondition<'_>],
) -> Result<WriteOutcome, Fault> {
    let target = id(client_id);
    let read = match Box::pin(fixture.item(&format!("client#{client_id}"))).await.map(item::read) {
        Some(Record::Client(client)) => client,
        _ => api_client().build(),
    };
    let authorization = Authorization::new(&target, &read, preconditions.to_vec());
    Box::pin(fixture.clients.write_tombstone(&authorization, &deletion("this"))).await
}

/// Puts an item with these attributes, whatever the table has under the key.
async fn put(fixture: &Fixture, key: &str, attributes: &[(&str, AttributeValue)]) {
    let mut put = fixture.sdk.put_item().table_name(&fixture.table).item("pk", AttributeValue::S(key.to_owned()));
    for (name, value) in attributes {
        put = put.item(*name, value.clone());
    }
    put.send().await.unwrap();
}
