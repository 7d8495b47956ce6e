//! Lists clients and deletions, page by page.

use super::Deletions;
use crate::{
    dynamodb::{
        ClientsTable,
        call::fault,
        item::{self, Item},
        schema,
    },
    model::{Id, epoch_seconds},
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::types::AttributeValue;
use std::time::SystemTime;

/// The most items that a page of a scan reads: few enough that a page takes less than the time-out of a call.
pub(super) const PAGE_SIZE: i32 = 500;

/// One page of a list.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T = Record> {
    /// The clients, each with its id.
    pub clients: Vec<(Id, T)>,
    /// Where the next page starts. `None`: this page is the last.
    pub next: Option<Item>,
}

/// Which items a scan returns.
struct Filter<'f> {
    /// The attribute that holds the client: `client`, or `tombstone` for a deleted one.
    attribute: &'static str,
    /// The member of the client that names its application or service, and the id of that. `None`: every client.
    parent: Option<(&'static str, &'f str)>,
    /// The earliest time of the deletion.
    since: Option<SystemTime>,
}

impl ClientsTable {
    /// One page of an application's API clients, live or deleted, in no order. Unreadable items are included. The page
    /// starts at `after`. All pages together read the whole table, because the table's key finds only one client at a
    /// time.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn clients_of_application(&self, id: &str, deleted: bool, after: Option<Item>) -> Result<Page, Fault> {
        self.clients(Some(("app_id", id)), deleted, after).await
    }

    /// One page of a service's OAuth clients, like [`clients_of_application`](Self::clients_of_application).
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn clients_of_service(&self, id: &Id, deleted: bool, after: Option<Item>) -> Result<Page, Fault> {
        self.clients(Some(("service_id", id.as_str())), deleted, after).await
    }

    /// One page of all clients, like [`clients_of_application`](Self::clients_of_application).
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn all_clients(&self, deleted: bool, after: Option<Item>) -> Result<Page, Fault> {
        self.clients(None, deleted, after).await
    }

    /// One page of the deletions of an application's API clients. With `since`, only the deletions from that time on.
    /// All pages together read the whole table.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn deletions_of_application(
        &self,
        id: &str,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        self.deleted(Some(("app_id", id)), since, after).await
    }

    /// One page of the deletions of a service's OAuth clients, like
    /// [`deletions_of_application`](Self::deletions_of_application).
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn deletions_of_service(
        &self,
        id: &Id,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        self.deleted(Some(("service_id", id.as_str())), since, after).await
    }

    /// One page of all deletions, like [`deletions_of_application`](Self::deletions_of_application).
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn all_deletions(
        &self,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        self.deleted(None, since, after).await
    }

    async fn deleted(
        &self,
        parent: Option<(&'static str, &str)>,
        since: Option<SystemTime>,
        after: Option<Item>,
    ) -> Result<Page<Result<Deletions, Unreadable>>, Fault> {
        let filter = Filter { attribute: schema::TOMBSTONE, parent, since };
        self.scan(filter, after, |id, item| Deletions::read(&Key::Client(id.clone()), item)).await
    }

    async fn clients(
        &self,
        parent: Option<(&'static str, &str)>,
        deleted: bool,
        after: Option<Item>,
    ) -> Result<Page, Fault> {
        let attribute = if deleted { schema::TOMBSTONE } else { schema::CLIENT };
        self.scan(Filter { attribute, parent, since: None }, after, |_, item| item::read(item)).await
    }

    /// One page of the items that the filter selects, each read by `read`.
    async fn scan<T>(
        &self,
        Filter { attribute, parent, since }: Filter<'_>,
        after: Option<Item>,
        read: impl Fn(&Id, Item) -> T,
    ) -> Result<Page<T>, Fault> {
        let mut filter = "attribute_exists(#attribute)".to_owned();
        let mut scan = self
            .sdk()
            .scan()
            .table_name(self.name())
            .consistent_read(true)
            .set_exclusive_start_key(after)
            .limit(PAGE_SIZE)
            .projection_expression("#key, #client, #deleted, #expires_at, #history, idle, idle_since")
            .expression_attribute_names("#attribute", attribute)
            .expression_attribute_names("#key", schema::KEY)
            .expression_attribute_names("#client", schema::CLIENT)
            .expression_attribute_names("#deleted", schema::DELETED)
            .expression_attribute_names("#expires_at", schema::EXPIRES_AT)
            .expression_attribute_names("#history", schema::HISTORY);
        if let Some((member, value)) = parent {
            filter += " AND #attribute.#member = :value";
            scan = scan
                .expression_attribute_names("#member", member)
                .expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        }
        if let Some(since) = since {
            filter += " AND #deleted.#at >= :since";
            scan = scan
                .expression_attribute_names("#at", "at")
                .expression_attribute_values(":since", AttributeValue::N(epoch_seconds::of(since).to_string()));
        }
        let page = scan.filter_expression(filter).send().await.map_err(|error| fault(&error))?;
        let client = |item: Item| {
            let id = item.get(schema::KEY)?.as_s().ok()?.strip_prefix("client#").and_then(Id::new)?;
            let client = read(&id, item);
            Some((id, client))
        };
        let clients = page.items.unwrap_or_default().into_iter().filter_map(client).collect();
        Ok(Page { clients, next: page.last_evaluated_key })
    }
}
