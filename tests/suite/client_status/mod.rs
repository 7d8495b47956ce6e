//! The revocation check of an authorization server: the status of a client, and the note that the client is used.

mod accepts;
mod block;
mod note_use;
mod revoke;
mod servers;
mod status;

use crate::support::{
    Fixture, authorization,
    build::{ClientBuilder, api_client, id, oauth_client},
    now,
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::{
        ClientsTable,
        admin::{RestoreOutcome, RevokeOutcome},
        item::Item,
    },
    model::{Deletion, Idle, Restoration, Revocation},
    store::{ClientStatus, ClientStatuses, Store, WriteOutcome},
};
use std::time::{Duration, SystemTime};

const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_hours(1);

/// An OAuth client that registered itself a day ago, and was never used.
fn dynamic() -> ClientBuilder {
    oauth_client().idle(Idle::unused(now() - 24 * HOUR))
}

/// A client of each kind. The name is also the id.
fn kinds() -> [(&'static str, ClientBuilder); 3] {
    [("api", api_client()), ("static", oauth_client().not_dynamic()), ("dynamic", dynamic())]
}

/// A table with this client, whose id is `a`.
async fn with(client: ClientBuilder) -> Fixture {
    let fixture = Fixture::empty().await;
    fixture.create("a", client).await;
    fixture
}

fn deletion(at: SystemTime) -> Deletion {
    Deletion {
        at,
        by: "operator#jane".to_owned(),
        via: "deregisterctl".to_owned(),
        source_ip: None,
        request_id: format!("{at:?}"),
        lacks: Vec::new(),
        blocked: None,
    }
}

/// Deletes the client, without the wire and without a rule.
async fn delete(fixture: &Fixture, client_id: &str, at: SystemTime) {
    let (target, clients) = (id(client_id), fixture.direct());
    let authorization = authorization(&clients, &target, &[]).await;
    let written = clients.write_tombstone(&authorization, &deletion(at)).await;
    assert_eq!(written, Ok(WriteOutcome::Written));
}

/// Restores the client, without the wire.
async fn restore(fixture: &Fixture, client_id: &str, at: SystemTime) {
    let restoration = Restoration { at, by: "operator#jane".to_owned() };
    let restored = fixture.direct().restore(&id(client_id), &restoration).await.unwrap();
    assert!(matches!(restored, RestoreOutcome::Done(_)), "{restored:?}");
}

/// Revokes what was issued to the client.
async fn revoke(clients: &ClientsTable, client_id: &str, at: SystemTime, request_id: &str) -> RevokeOutcome {
    let revocation = Revocation { at, by: "operator#jane".to_owned(), request_id: request_id.to_owned() };
    clients.revoke(&id(client_id), &revocation).await.unwrap()
}

/// Removes the item, as the time to live does.
async fn remove_item(fixture: &Fixture, client_id: &str) {
    let key = AttributeValue::S(format!("client#{client_id}"));
    fixture.sdk.delete_item().table_name(&fixture.table).key("pk", key).send().await.unwrap();
}

async fn client_status(fixture: &Fixture, client_id: &str) -> ClientStatus {
    fixture.clients.client_status(&id(client_id)).await.unwrap()
}

async fn item(fixture: &Fixture, client_id: &str) -> Item {
    fixture.item(&format!("client#{client_id}")).await.unwrap()
}
