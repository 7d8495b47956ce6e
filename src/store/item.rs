//! Items: what stands in the table, to and from the model.

use super::table::{IDLE, IDLE_SINCE, KEY};
use crate::{
    client::{AccessToken, Client, Coverage, Deletion, Id, Idle, Service, epoch_seconds},
    credential::Digest,
    rule::{Key, Record},
};
use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use serde_dynamo::aws_sdk_dynamodb_1::{from_item, to_item};
use std::{collections::HashMap, time::SystemTime};

/// An item as the SDK has it.
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
    token: Option<Coverage>,
    #[serde(default, with = "epoch_seconds::optional", skip_serializing_if = "Option::is_none")]
    expires_at: Option<SystemTime>,
}

/// The attribute of the partition key.
#[must_use]
pub fn key(key: &Key) -> AttributeValue {
    AttributeValue::S(key.to_string())
}

/// What the item says. Unknown attributes are ignored; an item that cannot be read says so.
#[must_use]
pub fn read(item: Item) -> Record {
    let idle = idle(&item);
    match from_item(item) {
        Err(error) => Record::Unreadable(without_values(&error.to_string())),
        Ok(Attributes { client: Some(client), .. }) => Record::Client(Client { idle, ..client }),
        Ok(Attributes { deleted: Some(deletion), .. }) => Record::Deleted(deletion),
        Ok(Attributes { service: Some(service), .. }) => Record::Service(service),
        Ok(Attributes { token: Some(covers), expires_at, .. }) => Record::Token(AccessToken { covers, expires_at }),
        Ok(_) => Record::Unreadable("it holds no client, service or token".to_owned()),
    }
}

/// Since when the item's client is idle. What cannot be read is not kept track of: no decision of a door rests on it.
pub(super) fn idle(item: &Item) -> Option<Idle> {
    let used = item.get(IDLE)?.as_s().ok()?.starts_with(prefix(true));
    let since = item.get(IDLE_SINCE)?.as_n().ok()?.parse().ok().and_then(epoch_seconds::instant)?;
    Some(Idle { used, since })
}

/// The attributes that say since when the client with this id is idle.
pub(super) fn of_idle(id: &Id, idle: Idle) -> [(&'static str, AttributeValue); 2] {
    let list = Digest::of(id.as_str().as_bytes()).to_hex();
    let list = [prefix(idle.used), list.get(..1).unwrap_or_default()].concat();
    [(IDLE, AttributeValue::S(list)), (IDLE_SINCE, AttributeValue::N(epoch_seconds::of(idle.since).to_string()))]
}

/// What the names of the lists of used clients begin with, or of those that never were.
pub(super) fn prefix(used: bool) -> &'static str {
    if used { "used#" } else { "unused#" }
}

/// What is wrong with an item, in the words of serde, without the value that it quotes: it may be a secret.
fn without_values(why: &str) -> String {
    match why.rsplit_once(", expected") {
        Some((found, expected)) => {
            let kind = found.split(['"', '`']).next().unwrap_or_default().trim_end();
            format!("{kind}, expected{expected}")
        }
        // It names a member.
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
    let AccessToken { covers, expires_at } = token.clone();
    with_key(key, &Attributes { token: Some(covers), expires_at, ..Attributes::default() })
}

fn with_key(of: &Key, attributes: &Attributes) -> serde_dynamo::Result<Item> {
    let mut item: Item = to_item(attributes)?;
    item.insert(KEY.to_owned(), key(of));
    Ok(item)
}
