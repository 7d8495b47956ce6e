//! Restores deleted clients, and looks up their deletions, as long as the tombstone exists.

use crate::{
    dynamodb::{
        ClientsTable,
        abridged::{self, Rest},
        call::{fault, is_validation},
        item::{self, History, Item},
        members::{Flaws, MAP, Map, Members, TEXTS},
        schema,
    },
    model::{Client, Deletion, Id, Idle, PastDeletion, Restoration, Revocation, epoch_seconds},
    snapshot::{Flaw, Key, Proof, Record, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::{
    error::SdkError,
    operation::update_item::{UpdateItemError, UpdateItemOutput},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use std::{collections::BTreeSet, time::SystemTime};

/// The most entries in a client's history. An item has a size limit.
const MAX_HISTORY: usize = 10;

/// The deletions of a client, and the revocations of its grants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Deletions {
    /// The current deletion, and the time until which the client can be restored: the end of the year 9999 if the
    /// tombstone has no expiry. `None`: the client is live.
    pub current: Option<(Deletion, SystemTime)>,
    /// The past deletions: a restoration ended each of them. The latest is the last.
    pub past: Vec<PastDeletion>,
    /// The revocations while the client was live. The latest is the last.
    pub revocations: Vec<Revocation>,
}

/// The outcome of [`ClientsTable::restore`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "there is one value at a time, and most often the large variant")]
pub enum RestoreOutcome {
    /// The client is live again.
    Done(Restored),
    /// Nothing was written: there is no client with this id.
    Unknown,
    /// Nothing was written: the client is live.
    Live,
    /// Nothing was written: the id is blocked.
    Blocked,
    /// Nothing was written: the client could be restored until this time.
    Expired(SystemTime),
    /// Nothing was written: the item changed after it was read.
    Changed,
}

/// A restored client.
#[derive(Debug, Clone, PartialEq)]
pub struct Restored {
    /// The client.
    pub client: Client,
    /// What it lacks of the client that was deleted, because the item was too full: names of members and attributes.
    /// The entry of its history has them too.
    pub lacks: Vec<String>,
}

impl ClientsTable {
    /// Makes a deleted client live again, with its credentials, at its next version, in one write. The record of the
    /// deletion and the record of the restoration become an entry of the client's history. If the time of the
    /// restoration is too late, it writes nothing. If the item would be too large, it restores less: without the earlier
    /// history, without `metadata`, and so on.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item cannot be read.
    pub async fn restore(&self, id: &Id, restoration: &Restoration) -> Result<RestoreOutcome, Fault> {
        let key = Key::Client(id.clone());
        let Some(item) = self.item(&key).await? else { return Ok(RestoreOutcome::Unknown) };
        let Some((deletion, until)) = Deletions::read(&key, item.clone())?.current else {
            return Ok(RestoreOutcome::Live);
        };
        if deletion.blocked.is_some() {
            return Ok(RestoreOutcome::Blocked);
        }
        if restoration.at >= until {
            return Ok(RestoreOutcome::Expired(until));
        }
        let restored = self.restore_tombstone(id, item, &deletion, restoration).await?;
        Ok(restored.map_or(RestoreOutcome::Changed, RestoreOutcome::Done))
    }

    /// Restores the client in a tombstone with this record of its deletion. `None`: the item changed after it was read.
    pub(super) async fn restore_tombstone(
        &self,
        id: &Id,
        item: Item,
        deletion: &Deletion,
        restoration: &Restoration,
    ) -> Result<Option<Restored>, Fault> {
        let key = Key::Client(id.clone());
        let tombstone = Tombstone::of(&key, item)?;
        let mut refused = None;
        for plan in tombstone.plans(restoration) {
            let Err(error) = self.write_restored(id, &tombstone, &plan, restoration).await else {
                return Ok(Some(plan.restored));
            };
            if let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() {
                let Some(found) = failed.item.clone() else { return Ok(None) };
                return Ok(plan.restored.if_in(&key, found, deletion, restoration)?);
            }
            refused = Some(fault(&error));
            // DynamoDB refuses an item that would be too large. The next plan restores less.
            if !is_validation(&error) {
                break;
            }
        }
        Err(refused.unwrap_or_else(|| Fault::Unexpected("the tombstone has no client".to_owned())))
    }

    /// Writes a restored client, if the tombstone is as it was read.
    async fn write_restored(
        &self,
        id: &Id,
        tombstone: &Tombstone,
        plan: &Plan,
        restoration: &Restoration,
    ) -> Result<UpdateItemOutput, SdkError<UpdateItemError>> {
        let idle = plan.restored.client.idle;
        let text = if idle.is_some() {
            "SET client = :client, history = :history, restored = :restored, idle = :idle, idle_since = :idle_since \
             REMOVE tombstone, deleted, expires_at, notice"
        } else {
            "SET client = :client, history = :history, restored = :restored \
             REMOVE tombstone, deleted, expires_at, notice"
        };
        let update =
            self.sdk().update_item().table_name(self.name()).key(schema::KEY, item::key(&Key::Client(id.clone())));
        let update = abridged::remove(update, text, &plan.removed)
            .condition_expression(
                "attribute_not_exists(client) AND tombstone = :tombstone AND deleted = :deleted \
                 AND (attribute_not_exists(expires_at) OR expires_at > :now)",
            )
            .expression_attribute_values(":client", AttributeValue::M(plan.client.clone()))
            .expression_attribute_values(":history", AttributeValue::L(plan.history.clone()))
            .expression_attribute_values(":restored", item::of_restoration(restoration))
            .expression_attribute_values(":tombstone", AttributeValue::M(tombstone.client.clone()))
            .expression_attribute_values(":deleted", AttributeValue::M(tombstone.deleted.clone()))
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
        let History { past, revocations } = item::history(&mut item);
        let current = if is_live {
            None
        } else {
            let until = item.expiry(schema::EXPIRES_AT).or_else(|| epoch_seconds::at(epoch_seconds::END - 1));
            item::current_deletion(&mut item).zip(until)
        };
        match flaws.deciding.into_iter().next() {
            Some(flaw) => Err(unreadable(key, flaw)),
            None if !is_live && current.is_none() => Err(unreadable(key, item::no_record())),
            None => Ok(Self { current, past, revocations }),
        }
    }
}

impl Restored {
    /// This restored client, if the restoration made the item: an earlier attempt took effect, and its answer was lost.
    fn if_in(
        self,
        key: &Key,
        found: Item,
        deletion: &Deletion,
        restoration: &Restoration,
    ) -> Result<Option<Self>, Unreadable> {
        let record = item::read(found.clone());
        let is_own = |PastDeletion { deletion: past, restored }: &PastDeletion| {
            let as_deleted = Deletion { lacks: deletion.lacks.clone(), ..past.clone() };
            as_deleted == *deletion
                && restored.by == restoration.by
                && epoch_seconds::of(restored.at) == epoch_seconds::of(restoration.at)
        };
        let own = Deletions::read(key, found)?.past.into_iter().find(is_own);
        Ok(own.map(|own| match record {
            Record::Client(client) => Self { client, lacks: own.deletion.lacks },
            _ => self,
        }))
    }
}

/// A deleted client's item, as it was read.
struct Tombstone {
    item: Item,
    /// The client that was deleted.
    client: Map,
    /// The record of the deletion.
    deleted: Map,
    /// The history.
    history: Vec<AttributeValue>,
    /// What the tombstone lacks.
    lacks: Vec<String>,
}

impl Tombstone {
    fn of(key: &Key, item: Item) -> Result<Self, Unreadable> {
        let mut flaws = Flaws::default();
        let mut members = Members::of_item(item.clone(), &mut flaws);
        let history = match members.take(schema::HISTORY) {
            Some(AttributeValue::L(history)) => history,
            _ => Vec::new(),
        };
        let client = members.required(schema::TOMBSTONE, &MAP).unwrap_or_default();
        let is_readable =
            item::client(&mut members.within(schema::TOMBSTONE, client.clone()), &mut Proof::default()).is_some();
        let deleted = members.required(schema::DELETED, &MAP).unwrap_or_default();
        let lacks = members.within(schema::DELETED, deleted.clone()).descriptive("lacks", &TEXTS).unwrap_or_default();
        match flaws.deciding.into_iter().next() {
            None if is_readable => Ok(Self { item, client, deleted, history, lacks }),
            flaw => Err(unreadable(key, flaw.unwrap_or_else(item::no_record))),
        }
    }

    /// What a restoration can write, the most first.
    fn plans(&self, restoration: &Restoration) -> Vec<Plan> {
        let whole = |has_history| {
            let (client, removed, lacks) = (self.client.clone(), Vec::new(), BTreeSet::new());
            Rest { client, has_history, removed, lacks }
        };
        let without_history = |rest| Rest { has_history: false, ..rest };
        let less = Rest::of(&self.client, &self.item).map(without_history);
        let plans = [whole(true), whole(false)].into_iter().chain(less);
        let mut plans: Vec<_> = plans.filter_map(|rest| self.plan(rest, restoration)).collect();
        let size = |plan: &Plan| (plan.client.len(), plan.history.len(), plan.removed.len());
        plans.dedup_by(|next, last| size(next) == size(last));
        plans
    }

    /// A restoration of this much. Older entries of the history are copied unchanged.
    fn plan(
        &self,
        Rest { mut client, has_history, removed, mut lacks }: Rest,
        restoration: &Restoration,
    ) -> Option<Plan> {
        let mut flaws = Flaws::default();
        let restored = item::client(&mut Members::of_item(client.clone(), &mut flaws), &mut Proof::default())?;
        if !flaws.deciding.is_empty() {
            return None;
        }
        // An attempt of the deletion may still arrive. It must find another version.
        let version = restored.version.next();
        client.insert("version".to_owned(), item::number(version.0));
        // A restoration counts as a use: the sweep must not delete the client again at once.
        let idle = restored.is_dynamic().then(|| Idle::used(restoration.at));
        let mut history = if has_history { self.history.clone() } else { Vec::new() };
        if history.len() < self.history.len() {
            lacks.insert(schema::HISTORY);
        }
        let lacks: BTreeSet<_> = lacks.into_iter().map(ToOwned::to_owned).chain(self.lacks.iter().cloned()).collect();
        let lacks: Vec<_> = lacks.into_iter().collect();
        let mut deleted = self.deleted.clone();
        deleted.insert("restored".to_owned(), item::of_restoration(restoration));
        if !lacks.is_empty() {
            deleted.insert("lacks".to_owned(), item::of_texts(&lacks));
        }
        push(&mut history, AttributeValue::M(deleted));
        let restored_from = item::restored_from(&history);
        let restored = Restored { client: Client { version: version.into(), idle, restored_from, ..restored }, lacks };
        Some(Plan { restored, client, history, removed })
    }
}

/// What a restoration writes.
struct Plan {
    /// The restored client, in the model's type.
    restored: Restored,
    /// The same with all its members.
    client: Map,
    /// The client's history, with the restored deletion as its last entry.
    history: Vec<AttributeValue>,
    /// The attributes of other programs that are removed.
    removed: Vec<String>,
}

/// Adds an entry to a history. A full history loses its oldest revocation, or else its oldest deletion: what a revocation
/// revokes, each later entry revokes too.
pub(super) fn push(history: &mut Vec<AttributeValue>, entry: AttributeValue) {
    while history.len() >= MAX_HISTORY {
        history.remove(history.iter().position(item::is_revocation).unwrap_or_default());
    }
    history.push(entry);
}

fn unreadable(key: &Key, flaw: Flaw) -> Unreadable {
    Unreadable { key: key.clone(), flaw, proof: Box::default() }
}
