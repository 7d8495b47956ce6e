//! Restores deleted clients, and looks up their deletions, as long as the tombstone exists.

use crate::{
    dynamodb::{
        ClientsTable,
        call::{fault, is_validation},
        item::{self, Item},
        members::{Flaws, MAP, Map, Members, TIME},
        schema,
    },
    model::{Client, Deletion, Id, Idle, PastDeletion, Restoration, epoch_seconds},
    snapshot::{Flaw, Key, Proof, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
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
    /// [`Fault`] if the database fails, or if the item cannot be read.
    pub async fn restore(&self, id: &Id, restoration: &Restoration) -> Result<RestoreOutcome, Fault> {
        let key = Key::Client(id.clone());
        let Some(item) = self.item(&key).await? else { return Ok(RestoreOutcome::Unknown) };
        let Some((deletion, until)) = Deletions::read(&key, item.clone())?.current else {
            return Ok(RestoreOutcome::Live);
        };
        if restoration.at >= until {
            return Ok(RestoreOutcome::Expired(until));
        }
        let restored = Restored::of(&key, item, restoration)?;
        let mut answer = self.write_restored(id, &restored, &restored.history, restoration).await;
        if answer.as_ref().is_err_and(is_validation) {
            // The item would be too large. Keep only the deletion that this restoration ends.
            let latest = restored.history.last().cloned().into_iter().collect::<Vec<_>>();
            answer = self.write_restored(id, &restored, &latest, restoration).await;
        }
        let Err(error) = answer else { return Ok(RestoreOutcome::Done(restored.client)) };
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
            Some(Deletions { past, .. }) if past.iter().any(is_own) => RestoreOutcome::Done(restored.client),
            _ => RestoreOutcome::Changed,
        })
    }

    /// Writes a restored client with this history, if the tombstone is as it was read.
    async fn write_restored(
        &self,
        id: &Id,
        restored: &Restored,
        history: &[AttributeValue],
        restoration: &Restoration,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let idle = restored.client.idle;
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&Key::Client(id.clone())))
            .update_expression(if idle.is_some() {
                "SET client = :client, history = :history, idle = :idle, idle_since = :idle_since \
                 REMOVE tombstone, deleted, expires_at"
            } else {
                "SET client = :client, history = :history REMOVE tombstone, deleted, expires_at"
            })
            .condition_expression(
                "attribute_not_exists(client) AND tombstone = :tombstone AND deleted = :deleted AND expires_at > :now",
            )
            .expression_attribute_values(":client", AttributeValue::M(restored.live.clone()))
            .expression_attribute_values(":history", AttributeValue::L(history.to_vec()))
            .expression_attribute_values(":tombstone", AttributeValue::M(restored.tombstone.clone()))
            .expression_attribute_values(":deleted", AttributeValue::M(restored.deleted.clone()))
            .expression_attribute_values(":now", item::of_time(restoration.at))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let idle = idle.map(|idle| item::of_idle(id, idle)).into_iter().flatten();
        let update =
            idle.fold(update, |update, (name, value)| update.expression_attribute_values(format!(":{name}"), value));
        Box::pin(update.send()).await
    }

    /// The deletions of the client with this id, in a strongly consistent read. `None` if there is no such client.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item cannot be read.
    pub async fn deletions(&self, id: &Id) -> Result<Option<Deletions>, Fault> {
        let key = Key::Client(id.clone());
        Ok(self.item(&key).await?.map(|item| Deletions::read(&key, item)).transpose()?)
    }
}

impl Deletions {
    /// Reads the deletions from a client's item.
    pub(super) fn read(key: &Key, item: Item) -> Result<Self, Unreadable> {
        let mut flaws = Flaws::default();
        let mut item = Members::of_item(item, &mut flaws);
        let is_live = item.has(schema::CLIENT);
        let past = item::history(&mut item);
        let current = if is_live {
            None
        } else {
            let deletion = item::current_deletion(&mut item);
            if !item.has(schema::EXPIRES_AT) {
                item.reject(schema::EXPIRES_AT, TIME.must());
            }
            deletion.zip(item.expiry(schema::EXPIRES_AT))
        };
        match flaws.deciding.into_iter().next() {
            Some(flaw) => Err(unreadable(key, flaw)),
            None if !is_live && current.is_none() => Err(unreadable(key, item::no_record())),
            None => Ok(Self { current, past }),
        }
    }
}

/// What a restoration makes of an item.
struct Restored {
    /// The restored client, in the model's type.
    client: Client,
    /// The same with all its members.
    live: Map,
    /// The client's history, with the restored deletion as its last entry.
    history: Vec<AttributeValue>,
    /// The tombstone as it was read.
    tombstone: Map,
    /// The record of the deletion as it was read.
    deleted: Map,
}

impl Restored {
    fn of(key: &Key, item: Item, restoration: &Restoration) -> Result<Self, Unreadable> {
        let mut flaws = Flaws::default();
        let mut item = Members::of_item(item, &mut flaws);
        let history = item.take(schema::HISTORY);
        let deleted = item.required(schema::DELETED, &MAP).unwrap_or_default();
        let tombstone = item.required(schema::TOMBSTONE, &MAP).unwrap_or_default();
        let client = item::client(&mut item.within(schema::TOMBSTONE, tombstone.clone()), &mut Proof::default());
        let client = match (client, flaws.deciding.into_iter().next()) {
            (Some(client), None) => client,
            (_, flaw) => return Err(unreadable(key, flaw.unwrap_or_else(item::no_record))),
        };
        // An attempt of the deletion may still arrive. It must find another version.
        let version = client.version.next();
        let mut live = tombstone.clone();
        live.insert("version".to_owned(), item::number(version.0));
        // A restoration counts as a use: the sweep must not delete the client again at once.
        let idle = client.is_dynamic().then(|| Idle::used(restoration.at));
        let restored_from = deleted.get("request_id").and_then(|id| id.as_s().ok()).cloned();
        let client = Client { version: version.into(), idle, restored_from, ..client };
        let history = longer_history(history, deleted.clone(), restoration);
        Ok(Self { client, live, history, tombstone, deleted })
    }
}

/// The client's history, with this deletion as its last entry. Older entries are copied unchanged.
fn longer_history(history: Option<AttributeValue>, mut deleted: Map, restoration: &Restoration) -> Vec<AttributeValue> {
    let mut history = match history {
        Some(AttributeValue::L(history)) => history,
        _ => Vec::new(),
    };
    deleted.insert("restored".to_owned(), item::of_restoration(restoration));
    history.push(AttributeValue::M(deleted));
    history.drain(..history.len().saturating_sub(MAX_HISTORY));
    history
}

fn unreadable(key: &Key, flaw: Flaw) -> Unreadable {
    Unreadable { key: key.clone(), flaw, proof: Box::default() }
}
