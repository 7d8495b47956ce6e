//! Converts items of the clients table to the model, and back.

use super::schema::{IDLE, IDLE_SINCE, KEY};
use crate::{
    model::{AccessToken, Client, Deletion, Digest, Id, Idle, Service, TokenScope, epoch_seconds},
    snapshot::{Key, Record},
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use std::{collections::HashMap, time::SystemTime};

/// An item, in the SDK's types.
pub type Item = HashMap<String, AttributeValue>;

#[derive(Default, Serialize, Deserialize)]
struct Attributes {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    client: Option<Client>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    deleted: Option<Deletion>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    service: Option<Service>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    token: Option<TokenScope>,
    #[serde(default, with = "epoch_seconds::optional", skip_serializing_if = "Option::is_none")]
    expires_at: Option<SystemTime>,
}

/// The value of the partition key.
#[must_use]
pub fn key(key: &Key) -> AttributeValue {
    AttributeValue::S(key.to_string())
}

/// Reads an item. Unknown attributes are ignored. An item that does not have the table's form becomes a
/// [`Record::Unreadable`].
#[must_use]
pub fn read(item: Item) -> Record {
    let idle = idle(&item);
    match from_item(item) {
        Err(error) => Record::Unreadable(without_values(&error.to_string())),
        Ok(Attributes { client: Some(client), .. }) => Record::Client(Client { idle, ..client }),
        Ok(Attributes { deleted: Some(deletion), .. }) => Record::Deleted(deletion),
        Ok(Attributes { service: Some(service), .. }) => Record::Service(service),
        Ok(Attributes { token: Some(scope), expires_at, .. }) => Record::Token(AccessToken { scope, expires_at }),
        Ok(_) => Record::Unreadable("it holds no client, service or token".to_owned()),
    }
}

/// How long the item's client is idle. Attributes that cannot be read count as absent: no decision of an endpoint uses
/// them.
pub(super) fn idle(item: &Item) -> Option<Idle> {
    let used = item.get(IDLE)?.as_s().ok()?.starts_with(idle_prefix(true));
    let since = item.get(IDLE_SINCE)?.as_n().ok()?.parse().ok().and_then(epoch_seconds::at)?;
    Some(Idle { used, since })
}

/// The attributes of the index of idle clients, for the client with this id.
pub(super) fn of_idle(id: &Id, idle: Idle) -> [(&'static str, AttributeValue); 2] {
    let digest = Digest::of(id.as_str()).to_hex();
    let partition = [idle_prefix(idle.used), digest.get(..1).unwrap_or_default()].concat();
    [(IDLE, AttributeValue::S(partition)), (IDLE_SINCE, AttributeValue::N(epoch_seconds::of(idle.since).to_string()))]
}

/// The prefix of the partitions for clients that were used, or for those that never were.
pub(super) fn idle_prefix(used: bool) -> &'static str {
    if used { "used#" } else { "unused#" }
}

/// The message of serde, without the value that it quotes. The value may be a secret.
fn without_values(why: &str) -> String {
    match why.rsplit_once(", expected") {
        Some((found, expected)) => {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("{kind}, expected{expected}")
        }
        // The message names a member.
        None => why.chars().take(256).collect(),
    }
}

/// The item of a live client.
///
/// # Errors
/// None in practice: the model has no value that an item cannot hold.
pub fn of_client(id: &Id, client: &Client) -> serde_dynamo::Result<Item> {
    let attributes = Attributes { client: Some(client.clone()), ..Attributes::default() };
    let mut item = with_key(&Key::Client(id.clone()), &attributes)?;
    let idle = client.idle.map(|idle| of_idle(id, idle));
    item.extend(idle.into_iter().flatten().map(|(name, value)| (name.to_owned(), value)));
    Ok(item)
}

/// The item of a service.
///
/// # Errors
/// None in practice: the model has no value that an item cannot hold.
pub fn of_service(key: &Key, service: &Service) -> serde_dynamo::Result<Item> {
    with_key(key, &Attributes { service: Some(service.clone()), ..Attributes::default() })
}

/// The item of an access token.
///
/// # Errors
/// None in practice: the model has no value that an item cannot hold.
pub fn of_token(key: &Key, token: &AccessToken) -> serde_dynamo::Result<Item> {
    let AccessToken { scope, expires_at } = token.clone();
    with_key(key, &Attributes { token: Some(scope), expires_at, ..Attributes::default() })
}

fn with_key(of: &Key, attributes: &Attributes) -> serde_dynamo::Result<Item> {
    let mut item: Item = to_item(attributes)?;
    item.insert(KEY.to_owned(), key(of));
    Ok(item)
}
