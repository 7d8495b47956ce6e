//! Restores deleted clients, and looks up their deletions, as long as the tombstone exists.

use crate::{
    dynamodb::{
        ClientsTable,
        call::fault,
        item::{self, Item},
        schema,
    },
    model::{Client, Deletion, Id, Idle, PastDeletion, Restoration, Version, epoch_seconds},
    snapshot::{Key, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::Deserialize;
use serde_dynamo::aws_sdk_dynamodb_1::{from_attribute_value, from_item, to_attribute_value};
use std::time::SystemTime;

/// The most entries in a client's history. An item has a size limit.
const MAX_HISTORY: usize = 10;

/// The deletions of a client.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    /// The current deletion, and the time until which the client can be restored. `None`: the client is live.
    pub current: Option<(Deletion, SystemTime)>,
    /// The past deletions: a restoration ended each of them. The latest is the last.
    pub past: Vec<PastDeletion>,
}

/// The outcome of [`ClientsTable::restore`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one value at a time, and most often the large variant")]
pub enum RestoreOutcome {
    /// The client is live again. This is the restored client.
    Done(Client),
    /// Nothing was written: there is no client with this id.
    Unknown,
    /// Nothing was written: the client is live.
    Live,
    /// Nothing was written: the client could be restored until this time.
    Expired(SystemTime),
    /// Nothing was written: the item changed after it was read.
    Changed,
}

impl ClientsTable {
    /// Makes a deleted client live again, with its credentials, at its next version, in one write. The record of the
    /// deletion and the record of the restoration become an entry of the client's history. If the time of the
    /// restoration is too late, it writes nothing.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item does not have the table's form.
    pub async fn restore(&self, id: &Id, restoration: &Restoration) -> Result<RestoreOutcome, Fault> {
        let key = Key::Client(id.clone());
        let Some(mut item) = self.item(&key).await? else { return Ok(RestoreOutcome::Unknown) };
        let Some((deletion, until)) = Deletions::read(&key, item.clone())?.current else {
            return Ok(RestoreOutcome::Live);
        };
        if restoration.at >= until {
            return Ok(RestoreOutcome::Expired(until));
        }

        let tombstone = item.remove(schema::TOMBSTONE).unwrap_or(AttributeValue::Null(true));
        let (client, live) = next_version(tombstone.clone()).map_err(|error| unreadable(&key, &error))?;
        // A restoration counts as a use: the sweep must not delete the client again at once.
        let idle = client.is_dynamic().then(|| Idle::used(restoration.at));
        let client = Client { idle, ..client };
        let history = longer_history(&mut item, restoration).map_err(|error| unreadable(&key, &error))?;
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&key))
            .update_expression(if idle.is_some() {
                "SET client = :client, history = :history, idle = :idle, idle_since = :idle_since \
                 REMOVE tombstone, deleted, expires_at"
            } else {
                "SET client = :client, history = :history REMOVE tombstone, deleted, expires_at"
            })
            .condition_expression(
                "attribute_not_exists(client) AND tombstone = :tombstone AND deleted.request_id = :request \
                 AND expires_at > :now",
            )
            .expression_attribute_values(":client", live)
            .expression_attribute_values(":history", AttributeValue::L(history))
            .expression_attribute_values(":tombstone", tombstone)
            .expression_attribute_values(":request", AttributeValue::S(deletion.request_id.clone()))
            .expression_attribute_values(":now", AttributeValue::N(epoch_seconds::of(restoration.at).to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let idle = idle.map(|idle| item::of_idle(id, idle)).into_iter().flatten();
        let update =
            idle.fold(update, |update, (name, value)| update.expression_attribute_values(format!(":{name}"), value));
        let Err(error) = update.send().await else { return Ok(RestoreOutcome::Done(client)) };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(fault(&error));
        };
        let found = failed.item.clone().map(|item| Deletions::read(&key, item)).transpose()?;
        // An earlier attempt of this call took effect, and its answer was lost.
        let is_own = |past: &PastDeletion| {
            past.deletion == deletion
                && past.restored.by == restoration.by
                && epoch_seconds::of(past.restored.at) == epoch_seconds::of(restoration.at)
        };
        Ok(match found {
            Some(Deletions { past, .. }) if past.iter().any(is_own) => RestoreOutcome::Done(client),
            _ => RestoreOutcome::Changed,
        })
    }

    /// The deletions of the client with this id, in a strongly consistent read. `None` if there is no such client.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item does not have the table's form.
    pub async fn deletions(&self, id: &Id) -> Result<Option<Deletions>, Fault> {
        let key = Key::Client(id.clone());
        Ok(self.item(&key).await?.map(|item| Deletions::read(&key, item)).transpose()?)
    }
}

impl Deletions {
    /// Reads the deletions from a client's item.
    pub(super) fn read(key: &Key, item: Item) -> Result<Self, Unreadable> {
        #[derive(Deserialize)]
        struct Attributes {
            deleted: Option<Deletion>,
            #[serde(default, with = "epoch_seconds::optional")]
            expires_at: Option<SystemTime>,
            #[serde(default)]
            history: Vec<PastDeletion>,
        }
        let is_live = item.contains_key(schema::CLIENT);
        let Attributes { deleted, expires_at, history: past } =
            from_item(item).map_err(|error| unreadable(key, &error))?;
        match deleted.zip(expires_at) {
            _ if is_live => Ok(Deletions { current: None, past }),
            None => Err(unreadable(key, &"it holds no client, and no whole record of a deletion")),
            current => Ok(Deletions { current, past }),
        }
    }
}

/// Reads the client of a tombstone, at its next version. Returns it in the model's type, and as the attribute with all
/// members.
fn next_version(mut tombstone: AttributeValue) -> serde_dynamo::Result<(Client, AttributeValue)> {
    let mut client: Client = from_attribute_value(tombstone.clone())?;
    client.version = client.version.map(|Version(version)| Version(version.saturating_add(1)));
    if let (AttributeValue::M(members), Some(version)) = (&mut tombstone, client.version) {
        members.insert("version".to_owned(), to_attribute_value(version)?);
    }
    Ok((client, tombstone))
}

/// The client's history, with the restored deletion as its last entry. Older entries are copied unchanged.
fn longer_history(item: &mut Item, restoration: &Restoration) -> serde_dynamo::Result<Vec<AttributeValue>> {
    let mut history = match item.remove(schema::HISTORY) {
        Some(AttributeValue::L(history)) => history,
        _ => Vec::new(),
    };
    if let Some(AttributeValue::M(mut deleted)) = item.remove(schema::DELETED) {
        deleted.insert("restored".to_owned(), to_attribute_value(restoration)?);
        history.push(AttributeValue::M(deleted));
    }
    history.drain(..history.len().saturating_sub(MAX_HISTORY));
    Ok(history)
}

fn unreadable(key: &Key, why: &impl ToString) -> Unreadable {
    Unreadable { key: key.clone(), why: why.to_string() }
}
