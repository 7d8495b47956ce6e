//! Blocks ids that have no live client, ends blocks, and lists blocked ids.
//!
//! The item of a blocked id has no `client`, and its `deleted` has the member `blocked`. It expires at the end of the
//! year 9999. So a revocation check refuses the id, and a registration finds it taken. The block of a live client is a deletion:
//! [`deletion::delete`](crate::deletion::delete) with [`operator::Request`](crate::rule::operator::Request).

use super::{Deletions, Page, Position, Restored};
use crate::{
    dynamodb::{
        ClientsTable,
        call::{fault, is_validation},
        item::{self, BLOCKED, Item},
        schema::{self, CLIENT, DELETED, EXPIRES_AT, TOMBSTONE},
    },
    model::{Block, Deletion, Id, Restoration},
    snapshot::{Key, Record, Unreadable},
    store::{CallStatistics, Fault},
};
use aws_sdk_dynamodb::{
    operation::{delete_item::DeleteItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use std::time::SystemTime;

/// The outcome of [`ClientsTable::block`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockOutcome {
    /// The id is blocked.
    Done,
    /// Nothing was written: the id is blocked already.
    AlreadyBlocked,
    /// Nothing was written: the client is live, or the item changed after it was read.
    Changed,
    /// Nothing was written: the item has no room for the block.
    Full,
}

/// The outcome of [`ClientsTable::unblock`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one value at a time")]
pub enum UnblockOutcome {
    /// The item is removed: a client can be registered under the id.
    Free,
    /// The client that the block deleted is live again.
    Restored(Restored),
    /// The client was deleted before the block. It stays deleted, and can be restored until this time.
    Deleted(SystemTime),
    /// Nothing was written: the id is not blocked.
    NotBlocked,
    /// Nothing was written: the item changed after it was read.
    Changed,
}

impl ClientsTable {
    /// Blocks an id that has no item, or the tombstone of a client, in one write. A tombstone that has expired counts as
    /// removed.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item cannot be read.
    pub async fn block(&self, id: &Id, block: &Block) -> Result<BlockOutcome, Fault> {
        let key = Key::Client(id.clone());
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&key))
            .expression_attribute_values(":never", item::never())
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let update = match self.item(&key).await? {
            None => update
                .update_expression("SET deleted = :record, expires_at = :never")
                .condition_expression("attribute_not_exists(pk)")
                .expression_attribute_values(":record", record_of(block)),
            Some(item) => {
                let Some((deletion, until)) = Deletions::read(&key, item.clone())?.current else {
                    return Ok(BlockOutcome::Changed);
                };
                if deletion.blocked.is_some() {
                    return Ok(BlockOutcome::AlreadyBlocked);
                }
                let update = if block.at < until {
                    update
                        .update_expression("SET deleted.blocked = :block, expires_at = :never")
                        .expression_attribute_values(":block", item::of_block(block))
                } else {
                    update
                        .update_expression("SET deleted = :record, expires_at = :never REMOVE tombstone, history")
                        .expression_attribute_values(":record", record_of(block))
                };
                // The end of a block changes the expiry: an attempt that arrives later must not block the id again.
                let condition = "attribute_not_exists(client) AND deleted = :deleted AND ";
                let update = update.expression_attribute_values(":deleted", attribute(&item, DELETED));
                match item.get(EXPIRES_AT) {
                    None => update.condition_expression([condition, "attribute_not_exists(expires_at)"].concat()),
                    Some(expires_at) => update
                        .condition_expression([condition, "expires_at = :expires_at"].concat())
                        .expression_attribute_values(":expires_at", expires_at.clone()),
                }
            }
        };
        let Err(error) = Box::pin(update.send()).await else { return Ok(BlockOutcome::Done) };
        match error.as_service_error() {
            // An earlier attempt of this call may have taken effect, and its answer was lost.
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let found = blocked(&key, failed.item.clone().unwrap_or_default());
                let is_own = found.is_ok_and(|found| found.is_some_and(|found| found.request_id == block.request_id));
                Ok(if is_own { BlockOutcome::Done } else { BlockOutcome::Changed })
            }
            _ if is_validation(&error) => Ok(BlockOutcome::Full),
            _ => Err(fault(&error)),
        }
    }

    /// Ends the block of an id, in one write. A client that the block deleted is restored, as by
    /// [`restore`](Self::restore). A client that was deleted before can be restored for the retention from now on. An id
    /// without a client is free again.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item cannot be read.
    pub async fn unblock(&self, id: &Id, restoration: &Restoration) -> Result<UnblockOutcome, Fault> {
        let key = Key::Client(id.clone());
        let Some(item) = self.item(&key).await? else { return Ok(UnblockOutcome::NotBlocked) };
        let Some((deletion, _)) = Deletions::read(&key, item.clone())?.current else {
            return Ok(UnblockOutcome::NotBlocked);
        };
        let Some(block) = &deletion.blocked else { return Ok(UnblockOutcome::NotBlocked) };
        if !item.contains_key(TOMBSTONE) {
            return self.free(&key, &item).await;
        }
        if deletion.is_of(&block.request_id) {
            let restored = self.restore_tombstone(id, item, &deletion, restoration).await?;
            return Ok(restored.map_or(UnblockOutcome::Changed, UnblockOutcome::Restored));
        }
        self.keep_deleted(&key, item, restoration.at).await
    }

    /// Removes the item of a blocked id that has no tombstone.
    async fn free(&self, key: &Key, item: &Item) -> Result<UnblockOutcome, Fault> {
        let delete = self
            .sdk()
            .delete_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(key))
            .condition_expression(
                "attribute_not_exists(client) AND attribute_not_exists(tombstone) AND deleted = :deleted",
            )
            .expression_attribute_values(":deleted", attribute(item, DELETED))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (answer, statistics) = CallStatistics::of_call(Box::pin(delete.send())).await;
        let Err(error) = answer else { return Ok(UnblockOutcome::Free) };
        match error.as_service_error() {
            Some(DeleteItemError::ConditionalCheckFailedException(failed)) => {
                // An earlier attempt of this call took effect, and its answer was lost. There may be a client since.
                let is_gone = failed.item.as_ref().is_none_or(|found| found.contains_key(CLIENT));
                let is_own = statistics.ambiguous > 0 && is_gone;
                Ok(if is_own { UnblockOutcome::Free } else { UnblockOutcome::Changed })
            }
            _ => Err(fault(&error)),
        }
    }

    /// Ends the block of a client that was deleted before.
    async fn keep_deleted(&self, key: &Key, item: Item, now: SystemTime) -> Result<UnblockOutcome, Fault> {
        let expires_at = self.expiry_of_tombstone(now);
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(key))
            .update_expression("SET expires_at = :expires_at REMOVE deleted.blocked")
            .condition_expression("attribute_not_exists(client) AND deleted = :deleted")
            .expression_attribute_values(":expires_at", expires_at.clone())
            .expression_attribute_values(":deleted", attribute(&item, DELETED))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let mut unblocked = item;
        if let Some(AttributeValue::M(record)) = unblocked.get_mut(DELETED) {
            record.remove(BLOCKED);
        }
        unblocked.insert(EXPIRES_AT.to_owned(), expires_at);
        let found = match Box::pin(update.send()).await {
            Ok(_) => true,
            Err(error) => match error.as_service_error() {
                // An earlier attempt of this call may have taken effect, and its answer was lost.
                Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                    failed.item.as_ref() == Some(&unblocked)
                }
                _ => return Err(fault(&error)),
            },
        };
        let until = Deletions::read(key, unblocked)?.current.map(|(_, until)| until);
        Ok(until.filter(|_| found).map_or(UnblockOutcome::Changed, UnblockOutcome::Deleted))
    }

    /// One page of the blocked ids, each with its record. Unreadable items are included.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn blocked_ids(&self, from: Position) -> Result<Page<(Id, Record)>, Fault> {
        let scan = self
            .sdk()
            .scan()
            .projection_expression("pk, deleted")
            .filter_expression("attribute_exists(deleted.blocked)");
        let blocked = |item: Item| {
            let Key::Client(id) = item::key_of(&item)? else { return None };
            Some((id, item::read(item)))
        };
        self.page(scan, from, blocked).await
    }
}

/// The record of an id without a client.
fn record_of(block: &Block) -> AttributeValue {
    item::of_deletion(&Deletion {
        at: block.at,
        by: block.by.clone(),
        via: "deregisterctl".to_owned(),
        source_ip: None,
        request_id: block.request_id.clone(),
        lacks: Vec::new(),
        blocked: Some(block.clone()),
    })
}

/// The block of the id with this item.
fn blocked(key: &Key, item: Item) -> Result<Option<Block>, Unreadable> {
    Ok(Deletions::read(key, item)?.current.and_then(|(deletion, _)| deletion.blocked))
}

/// An attribute that the item has.
fn attribute(item: &Item, name: &str) -> AttributeValue {
    item.get(name).cloned().unwrap_or(AttributeValue::Null(true))
}
