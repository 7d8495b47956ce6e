//! Reads the index of idle clients. The client that has been idle longest is the first.

use super::{
    ClientsTable,
    call::fault,
    item::{self, Item},
    members::{Flaws, Members},
    schema::IDLE,
};
use crate::{
    model::IdlePartition,
    snapshot::{Key, Unreadable},
    store::{CallStatistics, Fault, IdleClients, IdlePage},
};
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
            .expression_attribute_values(":partition", item::of_text(partition))
            .expression_attribute_values(":since", item::of_time(since))
            .set_exclusive_start_key(after)
            .limit(PAGE_SIZE);
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
        Ok(IdlePage { clients, unreadable, next: page.last_evaluated_key })
    }
}
