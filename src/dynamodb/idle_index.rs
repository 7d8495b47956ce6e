//! Reads the index of idle clients. The client that has been idle longest is the first.

use super::{
    ClientsTable,
    call::fault,
    item::{self, Item},
    schema::{IDLE, IDLE_SINCE, KEY},
};
use crate::{
    model::{Id, IdlePartition, epoch_seconds},
    snapshot::{Key, Unreadable},
    store::{CallStatistics, Fault, IdleClients, IdlePage},
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::SystemTime;

/// The most clients in a page.
const PAGE_SIZE: i32 = 500;

impl IdleClients for ClientsTable {
    type Cursor = Item;

    async fn idle_clients(
        &self,
        partition: IdlePartition,
        since: SystemTime,
        after: Option<Item>,
    ) -> Result<IdlePage<Item>, Fault> {
        let partition = format!("{}{}", item::idle_prefix(partition.used), partition.shard);
        let query = self
            .sdk()
            .query()
            .table_name(self.name())
            .index_name(IDLE)
            .key_condition_expression("idle = :partition AND idle_since <= :since")
            .expression_attribute_values(":partition", AttributeValue::S(partition))
            .expression_attribute_values(":since", AttributeValue::N(epoch_seconds::of(since).to_string()))
            .set_exclusive_start_key(after)
            .limit(PAGE_SIZE);
        let page = CallStatistics::of_call(Box::pin(query.send())).await.0.map_err(|error| fault(&error))?;
        let (mut clients, mut unreadable) = (Vec::new(), Vec::new());
        for item in page.items.unwrap_or_default() {
            // Items of other kinds are not clients, whatever attributes they have.
            let Some(id) = client(&item) else { continue };
            match item::idle(&item) {
                Some(idle) => clients.push((id, idle)),
                None => unreadable.push(Unreadable {
                    key: Key::Client(id),
                    why: format!("`{IDLE_SINCE}` is not a time in seconds since the epoch"),
                }),
            }
        }
        Ok(IdlePage { clients, unreadable, next: page.last_evaluated_key })
    }
}

/// The id of the client whose item this is.
fn client(item: &Item) -> Option<Id> {
    item.get(KEY)?.as_s().ok()?.strip_prefix("client#").and_then(Id::new)
}
