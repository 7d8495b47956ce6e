//! Reads the index of idle clients, and writes the notices before their deletion. The client that has been idle longest
//! is the first in the index.

use super::{
    ClientsTable,
    call::fault,
    clients_table::update_if,
    item::{self, Item},
    members::{Flaws, Members},
    schema::{IDLE, KEY},
};
use crate::{
    model::{Client, IdlePartition, StoredNotice, epoch_seconds},
    rule::{Authorization, sweep::Announcement},
    snapshot::{Key, Record, Unreadable},
    store::{CallStatistics, Fault, IdleClients, IdlePage, WriteOutcome},
};
use aws_sdk_dynamodb::operation::{
    query::builders::QueryFluentBuilder, update_item::builders::UpdateItemFluentBuilder,
};
use std::time::{Duration, SystemTime};

/// The most clients in a page.
const PAGE_SIZE: i32 = 500;

/// Where the next page of a partition starts.
#[derive(Debug, Clone, PartialEq)]
pub enum Cursor {
    /// After this key, in the clients that are idle long enough.
    Due(Item),
    /// In those whose time is after the year 9999: after this key, or at the first.
    AfterTheEnd(Option<Item>),
}

impl IdleClients for ClientsTable {
    type Cursor = Cursor;

    async fn idle_clients(
        &self,
        partition: IdlePartition,
        since: SystemTime,
        after: Option<Cursor>,
    ) -> Result<IdlePage<Cursor>, Fault> {
        let name = format!("{}{}", item::idle_prefix(partition.used), partition.shard);
        let query = self
            .sdk()
            .query()
            .table_name(self.name())
            .index_name(IDLE)
            .expression_attribute_values(":partition", item::of_text(name))
            .limit(PAGE_SIZE);
        let (query, is_due) = match after {
            Some(Cursor::AfterTheEnd(after)) => {
                let query = query.key_condition_expression("idle = :partition AND idle_since >= :end");
                let end = item::number(epoch_seconds::END);
                (query.expression_attribute_values(":end", end).set_exclusive_start_key(after), false)
            }
            Some(Cursor::Due(after)) => (due(query, since).set_exclusive_start_key(Some(after)), true),
            None => (due(query, since), true),
        };
        let page = CallStatistics::of_call(Box::pin(query.send())).await.0.map_err(|error| fault(&error))?;
        // DynamoDB answers with an empty list if nothing matches.
        let malformed = || Fault::Unavailable("the answer does not list clients".to_owned());
        let (mut clients, mut unreadable) = (Vec::new(), Vec::new());
        for item in page.items.ok_or_else(malformed)? {
            // Other programs' items are not clients.
            let Some(Key::Client(id)) = item::key_of(&item) else { continue };
            let mut flaws = Flaws::default();
            match (item::tracked(&mut Members::of_item(item, &mut flaws)), flaws.descriptive.pop()) {
                (Some(idle), None) => clients.push((id, idle)),
                (_, flaw) => {
                    let flaw = flaw.unwrap_or_else(item::no_record);
                    unreadable.push(Unreadable { key: Key::Client(id), flaw, proof: Box::default() });
                }
            }
        }
        let next = match page.last_evaluated_key {
            Some(last) if is_due => Some(Cursor::Due(last)),
            None if is_due => Some(Cursor::AfterTheEnd(None)),
            last => last.map(|last| Cursor::AfterTheEnd(Some(last))),
        };
        Ok(IdlePage { clients, unreadable, next })
    }

    async fn announce(&self, announcement: &Announcement<'_>) -> Result<Option<WriteOutcome>, Fault> {
        let Announcement { authorization, removal, notice, metadata } = announcement;
        if let Some(removal) = removal {
            let remove = self.sdk().update_item().update_expression("REMOVE notice");
            match self.update_notice(remove, removal).await? {
                Some((WriteOutcome::Written, _)) => {}
                other => return Ok(other.map(|(outcome, _)| outcome)),
            }
        }
        let is_own = |client: &Client| client.notice == StoredNotice::Notice(*notice);
        // If the item has no room for the metadata, the notice is written without it.
        for metadata in [metadata, "{}"] {
            let set = self.sdk().update_item().update_expression("SET notice = :notice");
            let set = set.expression_attribute_values(":notice", item::of_notice(*notice, metadata));
            match self.update_notice(set, authorization).await? {
                // An earlier attempt took effect, and its answer was lost.
                Some((WriteOutcome::ConditionFailed(Some(Record::Client(client))), true)) if is_own(&client) => {
                    return Ok(Some(WriteOutcome::Written));
                }
                Some((outcome, _)) => return Ok(Some(outcome)),
                None => {}
            }
        }
        Ok(None)
    }
}

impl ClientsTable {
    /// Changes the notice of the authorized client, like [`update_if`].
    async fn update_notice(
        &self,
        update: UpdateItemFluentBuilder,
        authorization: &Authorization<'_>,
    ) -> Result<Option<(WriteOutcome, bool)>, Fault> {
        let key = item::key(&Key::Client(authorization.target.clone()));
        update_if(update.table_name(self.name()).key(KEY, key), authorization, None).await
    }
}

/// The query for the clients that are idle since `since` or longer. The index may hold a fraction of a second.
fn due(query: QueryFluentBuilder, since: SystemTime) -> QueryFluentBuilder {
    query
        .key_condition_expression("idle = :partition AND idle_since < :later")
        .expression_attribute_values(":later", item::of_time(since + Duration::from_secs(1)))
}
