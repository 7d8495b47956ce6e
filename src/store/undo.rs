//! Undoing a deletion, and looking deletions up: what an operator does while the tombstone stands. The function calls
//! none of this.

use super::{
    DynamoDb, Fault, Page,
    dynamodb::fault,
    item::{self, Item},
    registrar::Wanted,
    table,
};
use crate::{
    client::{Client, Deletion, Id, Idle, Restoration, Undone, Version, epoch_seconds},
    rule::{Key, Unreadable},
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::Deserialize;
use serde_dynamo::aws_sdk_dynamodb_1::{from_attribute_value, from_item, to_attribute_value};
use std::time::SystemTime;

/// How many deletions a client's history has at most: an item cannot grow without end.
const LONGEST_HISTORY: usize = 10;

/// What is known of a client's deletions.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    /// The deletion that stands, and the instant from which it can no longer be undone; `None`: the client is live.
    pub standing: Option<(Deletion, SystemTime)>,
    /// Those that were undone, the latest at the end.
    pub undone: Vec<Undone>,
}

/// What came of [`DynamoDb::restore`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one at a time, and it is most often the large one")]
pub enum Restored {
    /// The client is live again, as it is now.
    Done(Client),
    /// Nothing was written: nobody has this id.
    Unknown,
    /// Nothing was written: the client is live.
    Live,
    /// Nothing was written: until then the deletion could be undone.
    Expired(SystemTime),
    /// Nothing was written: the item has changed since it was looked at.
    Changed,
}

impl DynamoDb {
    /// Makes a deleted client live again, with the credentials that it had, at its next version, in one write. The record
    /// of its deletion goes into its history with that of its restoration, whose time decides whether it is too late.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the item is not of the table's form.
    pub async fn restore(&self, id: &Id, restoration: &Restoration) -> Result<Restored, Fault> {
        let key = Key::Client(id.clone());
        let Some(mut item) = self.item(&key).await? else { return Ok(Restored::Unknown) };
        let Some((deletion, until)) = deletions(&key, item.clone())?.standing else { return Ok(Restored::Live) };
        if restoration.at >= until {
            return Ok(Restored::Expired(until));
        }

        let tombstone = item.remove(table::TOMBSTONE).unwrap_or(AttributeValue::Null(true));
        let (client, live) = next_version(tombstone.clone()).map_err(|error| unreadable(&key, &error))?;
        // Whoever restored it means it to be used: it is idle from now on.
        let idle = client.is_dynamic().then(|| Idle::used(restoration.at));
        let client = Client { idle, ..client };
        let history = longer_history(&mut item, restoration).map_err(|error| unreadable(&key, &error))?;
        let update = self
            .client()
            .update_item()
            .table_name(self.table())
            .key(table::KEY, item::key(&key))
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
        let Err(error) = update.send().await else { return Ok(Restored::Done(client)) };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(fault(&error));
        };
        let instead = failed.item.clone().map(|item| deletions(&key, item)).transpose()?;
        // An earlier try of this very call took effect, and its answer was lost.
        let is_own = |undone: &Undone| {
            undone.deletion == deletion
                && undone.restored.by == restoration.by
                && epoch_seconds::of(undone.restored.at) == epoch_seconds::of(restoration.at)
        };
        Ok(match instead {
            Some(Deletions { undone, .. }) if undone.iter().any(is_own) => Restored::Done(client),
            _ => Restored::Changed,
        })
    }

    /// The deletions of the client with this id, in a strongly consistent read; `None`, where nobody has it.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the item is not of the table's form.
    pub async fn deletions(&self, id: &Id) -> Result<Option<Deletions>, Fault> {
        let key = Key::Client(id.clone());
        Ok(self.item(&key).await?.map(|item| deletions(&key, item)).transpose()?)
    }

    /// One page of an application's API clients that were deleted, `since` then if it is given. Like
    /// [`clients_of_application`](Self::clients_of_application), all pages together read the whole table.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn deletions_of_application(
        &self,
        id: &str,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        self.deleted(id, "app_id", since, after).await
    }

    /// The same of a service's OAuth clients.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn deletions_of_service(
        &self,
        id: &Id,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        self.deleted(id.as_str(), "service_id", since, after).await
    }

    async fn deleted(
        &self,
        value: &str,
        member: &'static str,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        let wanted = Wanted { holder: table::TOMBSTONE, member, value, since };
        self.scan(wanted, after, |id, item| deletions(&Key::Client(id.clone()), item)).await
    }
}

/// What the client's item says of its deletions.
fn deletions(key: &Key, item: Item) -> Result<Deletions, Unreadable> {
    #[derive(Deserialize)]
    struct Attributes {
        deleted: Option<Deletion>,
        #[serde(default, with = "epoch_seconds::optional")]
        expires_at: Option<SystemTime>,
        #[serde(default)]
        history: Vec<Undone>,
    }
    let is_live = item.contains_key(table::CLIENT);
    let Attributes { deleted, expires_at, history: undone } =
        from_item(item).map_err(|error| unreadable(key, &error))?;
    match deleted.zip(expires_at) {
        _ if is_live => Ok(Deletions { standing: None, undone }),
        None => Err(unreadable(key, &"it holds no client, and no whole record of a deletion")),
        standing => Ok(Deletions { standing, undone }),
    }
}

/// The client of a tombstone at its next version: as the model has it, and whole.
fn next_version(mut tombstone: AttributeValue) -> serde_dynamo::Result<(Client, AttributeValue)> {
    let mut client: Client = from_attribute_value(tombstone.clone())?;
    client.version = client.version.map(|Version(version)| Version(version.saturating_add(1)));
    if let (AttributeValue::M(members), Some(version)) = (&mut tombstone, client.version) {
        members.insert("version".to_owned(), to_attribute_value(version)?);
    }
    Ok((client, tombstone))
}

/// The deleted client's history with the deletion that now ends, whole as it stands in the item.
fn longer_history(item: &mut Item, restoration: &Restoration) -> serde_dynamo::Result<Vec<AttributeValue>> {
    let mut history = match item.remove(table::HISTORY) {
        Some(AttributeValue::L(history)) => history,
        _ => Vec::new(),
    };
    if let Some(AttributeValue::M(mut deleted)) = item.remove(table::DELETED) {
        deleted.insert("restored".to_owned(), to_attribute_value(restoration)?);
        history.push(AttributeValue::M(deleted));
    }
    history.drain(..history.len().saturating_sub(LONGEST_HISTORY));
    Ok(history)
}

fn unreadable(key: &Key, why: &impl ToString) -> Unreadable {
    Unreadable { key: key.clone(), why: why.to_string() }
}
