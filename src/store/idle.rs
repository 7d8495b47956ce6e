//! The index of idle clients: who stands in it longest.

use super::{
    DynamoDb, Fault, Meter, Page,
    dynamodb::fault,
    item::{self, Item},
    table::{IDLE, KEY},
};
use crate::client::{Id, Idle, epoch_seconds};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::SystemTime;

/// How many clients a page has at most.
const CLIENTS_A_PAGE: i32 = 500;

/// One of the lists that idle clients stand in. Each client stands in one of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct List {
    /// Whether its clients were ever used.
    pub used: bool,
    shard: char,
}

impl List {
    /// Every list.
    #[must_use]
    pub fn all() -> Vec<Self> {
        let lists = |used| "0123456789abcdef".chars().map(move |shard| Self { used, shard });
        lists(false).chain(lists(true)).collect()
    }

    fn name(self) -> String {
        format!("{}{}", item::prefix(self.used), self.shard)
    }
}

impl DynamoDb {
    /// One page of the clients in this list that are idle since `since` or before, those that are so longest first. It
    /// starts `after` where the page before ended. The index follows the table within a moment: what it says must be
    /// checked, and [`Premise::Idle`](crate::rule::Premise::Idle) does that.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn idle_clients(
        &self,
        list: List,
        since: SystemTime,
        after: Option<Item>,
        meter: &Meter,
    ) -> Result<Page<Idle>, Fault> {
        let query = self
            .client()
            .query()
            .table_name(self.table())
            .index_name(IDLE)
            .key_condition_expression("idle = :list AND idle_since <= :since")
            .expression_attribute_values(":list", AttributeValue::S(list.name()))
            .expression_attribute_values(":since", AttributeValue::N(epoch_seconds::of(since).to_string()))
            .set_exclusive_start_key(after)
            .limit(CLIENTS_A_PAGE);
        let page = meter.time(query.send()).await.map_err(|error| fault(&error))?;
        let client = |item: Item| {
            let id = item.get(KEY)?.as_s().ok()?.strip_prefix("client#").and_then(Id::new)?;
            Some((id, item::idle(&item)?))
        };
        let clients = page.items.unwrap_or_default().into_iter().filter_map(client).collect();
        Ok(Page { clients, next: page.last_evaluated_key })
    }
}
