//! Revokes what was issued to a live client.

use super::deletions::push;
use crate::{
    dynamodb::{
        ClientsTable,
        call::{fault, is_validation},
        item::{self, Item},
        members::{Flaws, Members},
        schema,
    },
    model::{Client, Id, Revocation, StoredVersion, Version},
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};

/// The maximum number of reads of a call. Each one after the first follows a change of the client by another writer.
const MAX_READS: u32 = 4;

/// The outcome of [`ClientsTable::revoke`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum RevokeOutcome {
    /// What was issued is revoked. The client is live, at this version.
    Done(Version),
    /// Nothing was written: there is no client with this id.
    Unknown,
    /// Nothing was written: the client is deleted, or the id is blocked.
    Deleted,
    /// Nothing was written: the item has no room for the revocation.
    Full,
}

impl ClientsTable {
    /// Revokes everything that was issued to a live client up to the time of the revocation. One write adds the
    /// revocation to the client's history, and gives the client its next version. The client keeps its credentials, and
    /// this is no use of it. If the item would be too large, its history keeps only the latest deletion.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, if the item cannot be read, or if other writers change it all the time.
    pub async fn revoke(&self, id: &Id, revocation: &Revocation) -> Result<RevokeOutcome, Fault> {
        let key = Key::Client(id.clone());
        for _ in 0..MAX_READS {
            let Some(found) = self.item(&key).await? else { return Ok(RevokeOutcome::Unknown) };
            let client = match item::read(found.clone()) {
                Record::Client(client) => client,
                unreadable @ Record::Unreadable(..) => return Err(Unreadable::new(key, &unreadable).into()),
                _ => return Ok(RevokeOutcome::Deleted),
            };
            // The endpoints read less of the history.
            revocations(&key, found.clone())?;
            if let Some(outcome) = self.revoke_once(&key, &found, &client, revocation).await? {
                return Ok(outcome);
            }
        }
        Err(Fault::Unavailable("the client changed before each write".to_owned()))
    }

    /// Writes the revocation, if the client is as it was read. `None`: it changed meanwhile.
    async fn revoke_once(
        &self,
        key: &Key,
        found: &Item,
        client: &Client,
        revocation: &Revocation,
    ) -> Result<Option<RevokeOutcome>, Fault> {
        let history = match found.get(schema::HISTORY) {
            Some(AttributeValue::L(history)) => &history[..],
            _ => &[],
        };
        let latest = history.iter().rfind(|entry| !item::is_revocation(entry)).cloned().into_iter();
        let mut plans = vec![(history.to_vec(), Vec::new())];
        if history.len() > latest.len() {
            plans.push((latest.collect(), vec![schema::HISTORY.to_owned()]));
        }
        for (mut plan, lacks) in plans {
            push(&mut plan, item::of_revocation(revocation, &lacks));
            let Err(error) = self.write_revoked(key, &client.version, plan).await else {
                return Ok(Some(RevokeOutcome::Done(client.version.next())));
            };
            if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
                // An earlier attempt of this call took effect, and its answer was lost. The client may be deleted since.
                let found = failed.item.clone().unwrap_or_default();
                let is_own = revocations(key, found)?.contains(&revocation.request_id);
                return Ok(is_own.then_some(RevokeOutcome::Done(client.version.next())));
            }
            // DynamoDB refuses an item that would be too large.
            if !is_validation(&error) {
                return Err(fault(&error));
            }
        }
        Ok(Some(RevokeOutcome::Full))
    }

    /// Writes the history and the next version of a client with this version. Every other write of the history changes
    /// the version too.
    async fn write_revoked(
        &self,
        key: &Key,
        version: &StoredVersion,
        revoked: Vec<AttributeValue>,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let mut condition = "attribute_exists(client)".to_owned();
        let mut update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(key))
            .update_expression("SET history = :revoked, client.#version = :next")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":revoked", AttributeValue::L(revoked))
            .expression_attribute_values(":next", item::number(version.next().0))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        if let Some(version) = item::of_version(version) {
            condition += " AND client.#version = :version";
            update = update.expression_attribute_values(":version", version);
        } else {
            condition += " AND attribute_not_exists(client.#version)";
        }
        Box::pin(update.condition_expression(condition).send()).await
    }
}

/// The request ids of the revocations in an item's history.
fn revocations(key: &Key, item: Item) -> Result<Vec<String>, Unreadable> {
    let mut flaws = Flaws::default();
    let history = item::history(&mut Members::of_item(item, &mut flaws));
    match flaws.deciding.into_iter().next() {
        Some(flaw) => Err(Unreadable { key: key.clone(), flaw, proof: Box::default() }),
        None => Ok(history.revocations.into_iter().map(|revocation| revocation.request_id).collect()),
    }
}
