//! The items that the tests write to the table and read from it.

use crate::{
    run::{Ran, text},
    support::{
        Fixture, bearer,
        build::{id, oauth_client},
        event, now,
    },
};
use aws_sdk_dynamodb::types::AttributeValue;
use deregister::{
    dynamodb::item::Item,
    model::Client,
    snapshot::{Key, Record},
    store::ClientStatuses,
};
use serde_json::{Value, json};
use std::{collections::BTreeMap, time::SystemTime};

impl Fixture {
    /// Registers a client with this id at the service `1`, and returns its registration access token.
    pub async fn register(&self, id: &str) -> String {
        let registered = self.object(&format!("client register --service 1 --id {id}")).await;
        text(&registered, "registration_access_token").to_owned()
    }

    /// Registers a client of which no use is tracked, as before the table had its index.
    pub async fn register_untracked(&self, service: &str, client_id: &str) {
        let client = oauth_client().service(service);
        self.direct().create_client(&id(client_id), &client.build()).await.unwrap();
    }

    /// Registers an untracked client of the service `1` with a name of this length. Returns whether the item has room
    /// for it.
    pub async fn register_with_name_length(&self, client_id: &str, length: usize) -> bool {
        let client = oauth_client().service("1").name(&"x".repeat(length));
        self.direct().create_client(&id(client_id), &client.build()).await.is_ok()
    }

    /// Registers a client of the service `1` whose item has room for so many bytes, or up to nine more.
    pub async fn register_with_room(&self, client_id: &str, room: usize) {
        let mut length = 409_600;
        while !self.register_with_name_length(client_id, length).await {
            length -= 10;
        }
        self.remove_item(&format!("client#{client_id}")).await;
        assert!(self.register_with_name_length(client_id, length - room).await);
    }

    /// Registers two clients: 7 was never used, and 8 was.
    pub async fn used_and_unused(&self) {
        self.object("service create 1").await;
        for id in ["7", "8"] {
            self.register(id).await;
        }
        self.use_client("8").await;
    }

    /// Tracks a use of a client, at the tests' time.
    pub async fn use_client(&self, client_id: &str) {
        let (id, store) = (id(client_id), self.direct());
        let status = store.client_status(&id).await.unwrap();
        assert!(store.note_use(&id, &status, now()).await.unwrap());
    }

    /// Puts an unreadable item under the id `broken`: `attribute` is `client` or `tombstone`, and its one member names
    /// the application or service.
    pub async fn put_broken(&self, attribute: &str, member: &str, value: &str) {
        let client = [(member.to_owned(), AttributeValue::S(value.to_owned()))].into();
        let key = AttributeValue::S("client#broken".to_owned());
        let put = self.sdk.put_item().table_name("clients").item("pk", key);
        put.item(attribute, AttributeValue::M(client)).send().await.unwrap();
    }

    pub async fn remove_item(&self, key: &str) {
        let key = AttributeValue::S(key.to_owned());
        self.sdk.delete_item().table_name("clients").key("pk", key).send().await.unwrap();
    }

    /// Every item of a table.
    pub async fn items(&self, table: &str) -> Vec<Item> {
        self.sdk.scan().table_name(table).send().await.unwrap().items.unwrap()
    }

    /// Every item of the clients table, by its key.
    pub async fn clients_by_key(&self) -> BTreeMap<String, Item> {
        let items = self.items("clients").await.into_iter();
        items.map(|item| (item["pk"].as_s().unwrap().clone(), item)).collect()
    }

    /// The key of each client, in order.
    pub async fn client_keys(&self) -> Vec<String> {
        self.clients_by_key().await.into_keys().filter(|key| key.starts_with("client#")).collect()
    }

    /// The record under a client's id.
    pub async fn client(&self, client_id: &str) -> Option<Record> {
        self.direct().find(&Key::Client(id(client_id))).await.unwrap()
    }

    /// The live client with this id.
    pub async fn live(&self, client_id: &str) -> Client {
        match self.client(client_id).await {
            Some(Record::Client(client)) => client,
            other => panic!("{client_id} is not live: {other:?}"),
        }
    }

    /// The status with which the client configuration endpoint answers.
    pub async fn delete_itself(&self, client_id: &str, token: &str) -> u16 {
        self.send("DELETE", &format!("/register/{client_id}"), Some(&bearer(token)), "").await.status().as_u16()
    }

    /// Runs `client delete` with this input.
    pub async fn delete(&self, line: &str, stdin: &str) -> Ran {
        self.ctl(&format!("--json client delete {line}")).with_stdin(stdin).run().await
    }

    /// Creates the table of grants, with this many grants of the client.
    pub async fn grant(&self, client_id: &str, count: u32) {
        self.create_grants_table().await;
        for number in 0..count {
            let put = self.sdk.put_item().table_name("grants");
            let put = put.item("client_id", AttributeValue::S(client_id.to_owned()));
            put.item("grant_id", AttributeValue::S(number.to_string())).send().await.unwrap();
        }
    }
}

/// The call of the Authlete API that deletes a registered client.
pub fn authlete_call(service: &str, access_token: &str, registered: &Value) -> String {
    let path = format!("/api/{service}/client/registration/delete");
    let body = json!({ "clientId": registered["client_id"], "token": registered["registration_access_token"] });
    event("POST", &path, "", &[("authorization", &bearer(access_token))], &body.to_string())
}

/// The time of the tool, which has the real clock.
#[expect(clippy::disallowed_methods, reason = "the tool has the real clock")]
pub fn clock() -> SystemTime {
    SystemTime::now()
}

/// A time as the tool prints it.
pub fn timestamp(time: SystemTime) -> String {
    humantime::format_rfc3339_seconds(time).to_string()
}
