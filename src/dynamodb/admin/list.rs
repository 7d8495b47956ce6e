//! Reads the table page by page: lists of clients, deletions, services and access tokens. The table's key finds only
//! one item at a time, so all pages together read the whole table. Several segments can be read at the same time.

use super::{Deletions, check::is_known};
use crate::{
    dynamodb::{
        ClientsTable,
        call::fault,
        item::{self, Item},
        schema,
    },
    model::Id,
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::operation::scan::builders::ScanFluentBuilder;
use std::{num::NonZeroU16, time::SystemTime};

/// The most items that a page reads: few enough that a page takes less than the time-out of a call.
const PAGE_SIZE: i32 = 500;

/// The start of a page, in a segment of the table.
#[derive(Debug, Clone, PartialEq)]
pub struct Position {
    segment: u16,
    segments: NonZeroU16,
    /// The key of the last item before the page. `None`: the page is the first of the segment.
    after: Option<Item>,
}

impl Position {
    /// The start of the table.
    #[must_use]
    pub fn start() -> Self {
        Self { segment: 0, segments: NonZeroU16::MIN, after: None }
    }

    /// The start of each of so many segments. Together they are the table.
    pub fn starts(segments: NonZeroU16) -> impl Iterator<Item = Self> {
        (0..segments.get()).map(move |segment| Self { segment, segments, after: None })
    }

    fn after(self, key: Option<Item>) -> Option<Self> {
        key.map(|key| Self { after: Some(key), ..self })
    }
}

/// One page of a list, in no order.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T> {
    /// How many items of the table were read for it.
    pub read: usize,
    /// The entries.
    pub entries: Vec<T>,
    /// Where the next page of the segment starts. `None`: this page is the last.
    pub next: Option<Position>,
}

/// The clients of a list.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ClientFilter {
    /// Only clients of this application or service.
    pub parent: Option<Parent>,
    /// Only clients with this text in their names, byte for byte.
    pub name: Option<String>,
    /// Only live clients whose latest use was noted at this time or earlier.
    pub idle_since: Option<SystemTime>,
    /// Only clients that were deleted at this time or later.
    pub deleted_since: Option<SystemTime>,
    /// Only clients that were deleted through this channel.
    pub via: Option<String>,
}

/// What a client belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Parent {
    /// The application of an API client.
    Application(String),
    /// The service of an OAuth client.
    Service(Id),
}

impl ClientsTable {
    /// One page of the clients, live or deleted. Unreadable items are included.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn clients(
        &self,
        filter: &ClientFilter,
        deleted: bool,
        from: Position,
    ) -> Result<Page<(Id, Record)>, Fault> {
        self.filtered(filter, deleted, from, |id, item| (id, item::read(item))).await
    }

    /// One page of the deletions of deleted clients.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn deleted_clients(
        &self,
        filter: &ClientFilter,
        from: Position,
    ) -> Result<Page<(Id, Result<Deletions, Unreadable>)>, Fault> {
        let deletions = |id: Id, item| {
            let deletions = Deletions::read(&Key::Client(id.clone()), item);
            (id, deletions)
        };
        self.filtered(filter, true, from, deletions).await
    }

    /// One page of the services. Unreadable items are included.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn services(&self, from: Position) -> Result<Page<(Key, Record)>, Fault> {
        self.records(schema::SERVICE, from).await
    }

    /// One page of the access tokens. Unreadable items are included.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn tokens(&self, from: Position) -> Result<Page<(Key, Record)>, Fault> {
        self.records(schema::TOKEN, from).await
    }

    /// One page of the items with this attribute.
    async fn records(&self, attribute: &'static str, from: Position) -> Result<Page<(Key, Record)>, Fault> {
        let scan = self.sdk().scan().expression_attribute_names("#attribute", attribute);
        // Another text in the key may be the token itself, and must not be printed.
        let record = |item: Item| Some((item::key_of(&item).filter(is_known)?, item::read(item)));
        self.page(scan.filter_expression("attribute_exists(#attribute)"), from, record).await
    }

    async fn filtered<T>(
        &self,
        filter: &ClientFilter,
        deleted: bool,
        from: Position,
        read: impl Fn(Id, Item) -> T,
    ) -> Result<Page<T>, Fault> {
        let scan = filter.apply(self.sdk().scan(), if deleted { schema::TOMBSTONE } else { schema::CLIENT });
        let entry = |item: Item| match item::key_of(&item)? {
            Key::Client(id) => Some(read(id, item)),
            Key::Service(_) | Key::Token(_) => None,
        };
        self.page(scan, from, entry).await
    }

    /// One page of a scan, in strongly consistent reads. `entry` selects and reads items.
    pub(super) async fn page<T>(
        &self,
        scan: ScanFluentBuilder,
        from: Position,
        entry: impl Fn(Item) -> Option<T>,
    ) -> Result<Page<T>, Fault> {
        let Position { segment, segments, after } = from.clone();
        let is_filtered = scan.get_filter_expression().is_some();
        let is_parallel = segments > NonZeroU16::MIN;
        let scan = scan
            .table_name(self.name())
            .consistent_read(true)
            .set_segment(is_parallel.then(|| segment.into()))
            .set_total_segments(is_parallel.then(|| segments.get().into()))
            .set_exclusive_start_key(after)
            .limit(PAGE_SIZE);
        let page = Box::pin(scan.send()).await.map_err(|error| fault(&error))?;
        let scanned = page.scanned_count().try_into().unwrap_or_default();
        let items = page.items.unwrap_or_default();
        let read = if is_filtered { scanned } else { items.len() };
        let entries = items.into_iter().filter_map(entry).collect();
        Ok(Page { read, entries, next: from.after(page.last_evaluated_key) })
    }
}

impl ClientFilter {
    /// The scan of the selected clients. `attribute` holds the client: `client`, or `tombstone` if it is deleted.
    fn apply(&self, scan: ScanFluentBuilder, attribute: &'static str) -> ScanFluentBuilder {
        let scan = scan
            .projection_expression("#key, #client, #deleted, #expires_at, #history, idle, idle_since, notice")
            .expression_attribute_names("#key", schema::KEY)
            .expression_attribute_names("#client", schema::CLIENT)
            .expression_attribute_names("#deleted", schema::DELETED)
            .expression_attribute_names("#expires_at", schema::EXPIRES_AT)
            .expression_attribute_names("#history", schema::HISTORY)
            .expression_attribute_names("#attribute", attribute);
        let parent = self.parent.as_ref().map(|parent| match parent {
            Parent::Application(id) => ("#attribute.app_id = :parent", ":parent", item::of_text(id)),
            Parent::Service(id) => ("#attribute.service_id = :parent", ":parent", item::of_text(id.as_str())),
        });
        // `name` is a reserved word.
        let scan = match self.name {
            Some(_) => scan.expression_attribute_names("#name", "name"),
            None => scan,
        };
        let in_name = "(contains(#attribute.#name, :name) OR contains(#attribute.metadata.client_name, :name))";
        let clauses = [
            parent,
            self.name.as_ref().map(|name| (in_name, ":name", item::of_text(name))),
            self.idle_since.map(|since| ("idle_since <= :idle_since", ":idle_since", item::of_time(since))),
            self.deleted_since.map(|since| ("#deleted.#at >= :since", ":since", item::of_time(since))),
            self.via.as_ref().map(|via| ("#deleted.via = :via", ":via", item::of_text(via))),
        ];
        let scan = match self.deleted_since {
            Some(_) => scan.expression_attribute_names("#at", "at"),
            None => scan,
        };
        let (scan, filter) = clauses.into_iter().flatten().fold(
            (scan, "attribute_exists(#attribute)".to_owned()),
            |(scan, filter), (clause, placeholder, value)| {
                (scan.expression_attribute_values(placeholder, value), filter + " AND " + clause)
            },
        );
        scan.filter_expression(filter)
    }
}
