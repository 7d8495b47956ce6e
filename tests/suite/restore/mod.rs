//! Restorations: what a restored client has, when a client is not restored, and which records remain.

mod client;
mod conditions;
mod credentials;
mod full;
mod history;
mod race;

use crate::support::{
    Fixture, authorization, basic, bearer,
    build::{ClientBuilder, id},
    now,
    sample::APPLICATION,
};
use aws_sdk_dynamodb::{operation::update_item::builders::UpdateItemFluentBuilder, types::AttributeValue};
use deregister::{
    dynamodb::{
        ClientsTable,
        admin::{Deletions, RestoreOutcome, Restored},
        item::Item,
    },
    model::{Deletion, Restoration},
    store::{Store, WriteOutcome},
};
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);

fn restoration(at: SystemTime) -> Restoration {
    Restoration { at, by: "operator#jane".to_owned() }
}

async fn restore(fixture: &Fixture, client_id: &str) -> RestoreOutcome {
    fixture.clients.restore(&id(client_id), &restoration(now())).await.unwrap()
}

/// The outcome with this restored client, which lacks nothing.
fn done(client: ClientBuilder) -> RestoreOutcome {
    RestoreOutcome::Done(Restored { client: client.build(), lacks: Vec::new() })
}

fn deletion(request_id: &str) -> Deletion {
    Deletion {
        at: now(),
        by: "operator#jane".to_owned(),
        via: "deregisterctl".to_owned(),
        source_ip: None,
        request_id: request_id.to_owned(),
        lacks: Vec::new(),
        blocked: None,
    }
}

/// Deletes the client without a rule, as the request with this id.
async fn delete(clients: &ClientsTable, client_id: &str, request_id: &str) -> WriteOutcome {
    write_tombstone(clients, client_id, &deletion(request_id)).await
}

async fn write_tombstone(clients: &ClientsTable, client_id: &str, deletion: &Deletion) -> WriteOutcome {
    let target = id(client_id);
    let authorization = authorization(clients, &target, &[]).await;
    clients.write_tombstone(&authorization, deletion).await.unwrap()
}

async fn deletions(fixture: &Fixture, client_id: &str) -> Deletions {
    fixture.clients.deletions(&id(client_id)).await.unwrap().unwrap()
}

async fn item(fixture: &Fixture, client_id: &str) -> Item {
    fixture.item(&format!("client#{client_id}")).await.unwrap()
}

/// An update of the client's item, without the wire.
fn update(fixture: &Fixture, client_id: &str) -> UpdateItemFluentBuilder {
    let key = AttributeValue::S(format!("client#{client_id}"));
    fixture.sdk.update_item().table_name(&fixture.table).key("pk", key)
}

/// The status of the answer to a deletion at the Configuration API.
async fn delete_at_configuration(fixture: &Fixture, caller: (&str, &str), target: &str) -> u16 {
    let path = format!("/config/{APPLICATION}/clients/{target}");
    fixture.send("DELETE", &path, Some(&basic(caller)), "").await.status().as_u16()
}

/// The status of the answer to a deletion at the client configuration endpoint.
async fn delete_at_registration(fixture: &Fixture, (client_id, token): (&str, &str)) -> u16 {
    fixture.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(token)), "").await.status().as_u16()
}
