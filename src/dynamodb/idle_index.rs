//! Reads the index of idle clients. The client that has been idle longest is the first.

use super::{
    ClientsTable,
    call::fault,
    item::{self, Item},
    members::{Flaws, Members},
    schema::IDLE,
};
use crate::{
    model::{IdlePartition, epoch_seconds},
    snapshot::{Key, Unreadable},
    store::{CallStatistics, Fault, IdleClients, IdlePage},
};
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
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
}

/// The query for the clients that are idle since `since` or longer. The index may hold a fraction of a second.
fn due(query: QueryFluentBuilder, since: SystemTime) -> QueryFluentBuilder {
    query
        .key_condition_expression("idle = :partition AND idle_since < :later")
        .expression_attribute_values(":later", item::of_time(since + Duration::from_secs(1)))
}
