//! The grants table: everything that an authorization server issued. The table belongs to that server.
//!
//! The client id is the partition key of the table, or of a global secondary index of it. A prefix may precede the id.
//! Nothing else is assumed. The reads of a table are strongly consistent. Those of an index are not, so each removal
//! through an index asserts that the grant still belongs to the client.

use super::{
    call::{RecordAttempts, fault, not_built, record_unprocessed},
    item::Item,
};
use crate::{
    model::{Id, epoch_seconds},
    settings,
    store::{CallStatistics, Fault, Grants, GrantsPage},
};
use aws_sdk_dynamodb::{
    Client, config,
    operation::{
        delete_item::DeleteItemError,
        query::{QueryOutput, builders::QueryFluentBuilder},
    },
    types::{
        AttributeValue, DeleteRequest, GlobalSecondaryIndexDescription, IndexStatus, KeySchemaElement, KeyType,
        ProjectionType, ScalarAttributeType, Select, TableDescription, WriteRequest,
    },
};
use futures::{StreamExt, stream};
use std::time::{Duration, SystemTime};

/// The most grants in a page.
const PAGE_SIZE: i32 = 1000;
/// The most items that `BatchWriteItem` takes.
const BATCH_SIZE: usize = 25;
/// The most `DeleteItem` calls at the same time, if an index is used. All of them change the same partition of the index,
/// and DynamoDB allows 1,000 writes a second to a partition.
const CONCURRENCY: usize = 8;
/// The wait before the next attempt to remove grants that DynamoDB left unprocessed: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(25);
const MAX_WAIT: Duration = Duration::from_secs(1);
/// The longest partition key, in bytes.
const MAX_KEY_BYTES: usize = 2048;

/// A table of grants.
#[derive(Debug, Clone)]
pub struct GrantsTable {
    sdk: Client,
    settings: settings::Grants,
    /// The partition key of the table or of the index: the attribute with the client id.
    client: String,
    /// The keys of the table.
    keys: Vec<String>,
    /// Whether the pages show the attribute with the end of a grant.
    shows_expiry: bool,
}

impl GrantsTable {
    /// Opens the grants table in the database that `config` names. Makes one call: it describes the table, to learn the
    /// names of the keys.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, if there is no such index or it is being created, if the partition key is not a
    /// string, or if the settings name no index for a table that needs one.
    pub async fn open(config: config::Builder, settings: settings::Grants) -> Result<Self, Fault> {
        let sdk = Client::from_conf(config.interceptor(RecordAttempts).build());
        let name = &settings.table;
        let described = sdk.describe_table().table_name(name).send().await;
        let described = described.map_err(|error| match fault(&error) {
            Fault::Unavailable(why) => Fault::Unavailable(format!("{why}, for the grants table {name}")),
            Fault::Unexpected(why) => Fault::Unexpected(format!("{why}, for the grants table {name}")),
            unreadable @ Fault::Unreadable(_) => unreadable,
        })?;
        let table = described.table.unwrap_or_else(|| TableDescription::builder().build());
        let index = index(&table, &settings)?;
        let schema = index.map_or_else(|| table.key_schema(), GlobalSecondaryIndexDescription::key_schema);
        let client = partition_key(schema, &table).ok_or_else(|| {
            let place = settings.index.as_ref().map_or(String::new(), |index| format!("index {index} of the "));
            Fault::Unexpected(format!("the partition key of the {place}table {name} must be a string, the client id"))
        })?;
        let keys: Vec<_> = table.key_schema().iter().map(|key| key.attribute_name().to_owned()).collect();
        let shows_expiry = index.and_then(GlobalSecondaryIndexDescription::projection).is_none_or(|projection| {
            let mut shown = projection.non_key_attributes().iter().chain(&keys);
            // An item without a key attribute of the index is not in the index. So a grant without an end would be missing.
            schema.iter().all(|key| key.attribute_name() != settings.expires_at)
                && (projection.projection_type() == Some(&ProjectionType::All)
                    || shown.any(|name| *name == settings.expires_at))
        });
        Ok(Self { sdk, settings, client, keys, shows_expiry })
    }

    /// Returns this table if its pages show when grants end. [`Grants::is_any_live`] needs that.
    ///
    /// # Errors
    /// [`Fault::Unexpected`] if the index does not project the attribute, or has it as a key.
    pub fn require_expiry(self) -> Result<Self, Fault> {
        let settings::Grants { table, index, expires_at, .. } = &self.settings;
        if self.shows_expiry {
            return Ok(self);
        }
        let index = index.as_deref().unwrap_or_default();
        Err(Fault::Unexpected(format!(
            "the index {index} of the table {table} must project {expires_at}, the end of a grant, and not have it as a key"
        )))
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.settings.table
    }

    /// Counts the client's grants, up to `bound`. `bound + 1` means that there are more.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn count(&self, client: &Id, bound: usize) -> Result<usize, Fault> {
        let (mut counted, mut after) = (0, None);
        let Some(key) = self.key(client) else { return Ok(0) };
        loop {
            let left = i32::try_from(bound.saturating_add(1) - counted).unwrap_or(i32::MAX);
            let query = self.query(key.clone()).select(Select::Count).limit(left).set_exclusive_start_key(after);
            let page = send(query).await?;
            counted += usize::try_from(page.count).unwrap_or_default();
            after = page.last_evaluated_key;
            if after.is_none() || counted > bound {
                return Ok(counted);
            }
        }
    }

    /// The partition key of the client's grants. `None`: a key cannot be that long, so the client has no grants.
    fn key(&self, client: &Id) -> Option<AttributeValue> {
        let key = [&self.settings.key_prefix, client.as_str()].concat();
        (key.len() <= MAX_KEY_BYTES).then_some(AttributeValue::S(key))
    }

    /// The query for the grants under this partition key.
    fn query(&self, key: AttributeValue) -> QueryFluentBuilder {
        self.sdk
            .query()
            .table_name(&self.settings.table)
            .set_index_name(self.settings.index.clone())
            // DynamoDB refuses strongly consistent reads of an index.
            .consistent_read(self.settings.index.is_none())
            .key_condition_expression("#client = :client")
            .expression_attribute_names("#client", &self.client)
            .expression_attribute_values(":client", key)
    }

    /// Removes at most [`BATCH_SIZE`] grants. Tries again those that DynamoDB leaves unprocessed, without a limit.
    async fn remove_batch(&self, mut requests: Vec<WriteRequest>, removed: &mut usize) -> Result<(), Fault> {
        let (mut wait, name) = (FIRST_WAIT, &self.settings.table);
        loop {
            let requested = requests.len();
            let call = self.sdk.batch_write_item().request_items(name, requests).send();
            let answer = call.await.map_err(|error| fault(&error))?;
            let unprocessed = answer.unprocessed_items.and_then(|mut tables| tables.remove(name));
            requests = unprocessed.unwrap_or_default();
            *removed += requested.saturating_sub(requests.len());
            if requests.is_empty() {
                return Ok(());
            }
            record_unprocessed();
            tokio::time::sleep(wait).await;
            wait = MAX_WAIT.min(wait * 2);
        }
    }

    /// Removes a grant if it is still the client's. Returns whether it was.
    async fn remove_asserted(&self, grant: Item, client: AttributeValue) -> Result<bool, Fault> {
        let delete = self
            .sdk
            .delete_item()
            .table_name(&self.settings.table)
            .set_key(Some(grant))
            .condition_expression("#client = :client")
            .expression_attribute_names("#client", &self.client)
            .expression_attribute_values(":client", client);
        let Err(error) = CallStatistics::of_call(Box::pin(delete.send())).await.0 else { return Ok(true) };
        let condition_failed = matches!(
            error.as_service_error(),
            // The index showed a grant that is removed, or that another client has now.
            Some(DeleteItemError::ConditionalCheckFailedException(_))
        );
        if condition_failed { Ok(false) } else { Err(fault(&error)) }
    }
}

impl Grants for GrantsTable {
    type Key = Item;
    type Cursor = Item;

    async fn page(&self, client: &Id, after: Option<Item>) -> Result<GrantsPage<Item, Item>, Fault> {
        let Some(key) = self.key(client) else { return Ok(GrantsPage { keys: Vec::new(), next: None }) };
        let placeholders: Vec<_> = (0..self.keys.len()).map(|position| format!("#key{position}")).collect();
        let mut query = self.query(key).projection_expression(placeholders.join(", ")).limit(PAGE_SIZE);
        for (placeholder, name) in placeholders.into_iter().zip(&self.keys) {
            query = query.expression_attribute_names(placeholder, name);
        }
        let page = send(query.set_exclusive_start_key(after)).await?;
        // DynamoDB answers with an empty list if nothing matches. If a malformed answer were read as empty, the grants
        // would never be removed.
        let malformed = || Fault::Unavailable("the answer does not list grants".to_owned());
        Ok(GrantsPage { keys: page.items.ok_or_else(malformed)?, next: page.last_evaluated_key })
    }

    fn lag(&self) -> Duration {
        if self.settings.index.is_some() { self.settings.index_lag } else { Duration::ZERO }
    }

    async fn remove(&self, client: &Id, keys: Vec<Item>, removed: &mut usize) -> Result<(), Fault> {
        if self.settings.index.is_some() {
            let client = self.key(client).ok_or_else(|| Fault::Unexpected("the key is too long".to_owned()))?;
            let removals = keys.into_iter().map(|grant| self.remove_asserted(grant, client.clone()));
            let mut removals = stream::iter(removals).buffer_unordered(CONCURRENCY);
            while let Some(was_removed) = removals.next().await {
                *removed += usize::from(was_removed?);
            }
            return Ok(());
        }
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let batch = keys.by_ref().take(BATCH_SIZE).map(removal).collect::<Result<_, _>>()?;
            CallStatistics::of_call(Box::pin(self.remove_batch(batch, removed))).await.0?;
        }
        Ok(())
    }

    async fn is_any_live(&self, client: &Id, now: SystemTime) -> Result<bool, Fault> {
        let mut after = None;
        let Some(key) = self.key(client) else { return Ok(false) };
        loop {
            let query = self
                .query(key.clone())
                .select(Select::Count)
                // Negated, so that a grant is live if its end is missing or is not a number.
                .filter_expression("NOT #expires_at <= :now")
                .expression_attribute_names("#expires_at", &self.settings.expires_at)
                .expression_attribute_values(":now", AttributeValue::N(epoch_seconds::of(now).to_string()))
                .set_exclusive_start_key(after);
            let page = send(query).await?;
            after = page.last_evaluated_key;
            if page.count > 0 || after.is_none() {
                return Ok(page.count > 0);
            }
        }
    }
}

async fn send(query: QueryFluentBuilder) -> Result<QueryOutput, Fault> {
    CallStatistics::of_call(Box::pin(query.send())).await.0.map_err(|error| fault(&error))
}

/// The index that the settings name. `None`: they name none.
fn index<'t>(
    table: &'t TableDescription,
    settings: &settings::Grants,
) -> Result<Option<&'t GlobalSecondaryIndexDescription>, Fault> {
    let (name, indexes) = (&settings.table, table.global_secondary_indexes());
    let Some(index_name) = &settings.index else {
        // Such a table has one item for each key, and finds the items of a client through an index. Without the index
        // the client would seem to have no grants, and the sweep would delete it.
        if table.key_schema().len() == 1 && !indexes.is_empty() {
            let why = "its key is one attribute, so GRANTS_INDEX must name the index by client id";
            return Err(Fault::Unexpected(format!("the table {name} has indexes, and {why}")));
        }
        return Ok(None);
    };
    let found = indexes.iter().find(|index| index.index_name() == Some(index_name));
    let index = found
        .ok_or_else(|| Fault::Unexpected(format!("the table {name} has no global secondary index {index_name}")))?;
    let is_complete = index.index_status().is_none_or(|status| {
        [IndexStatus::Active, IndexStatus::Updating].contains(status) && index.backfilling() != Some(true)
    });
    if is_complete {
        return Ok(Some(index));
    }
    Err(Fault::Unavailable(format!("the index {index_name} of the table {name} is being created or deleted")))
}

/// The partition key, if it is one attribute and a string. An index can have a partition key of several attributes.
fn partition_key(schema: &[KeySchemaElement], table: &TableDescription) -> Option<String> {
    let mut partition = schema.iter().filter(|key| *key.key_type() == KeyType::Hash);
    let (Some(key), None) = (partition.next(), partition.next()) else { return None };
    let mut attributes = table.attribute_definitions().iter();
    let attribute = attributes.find(|attribute| attribute.attribute_name() == key.attribute_name())?;
    (*attribute.attribute_type() == ScalarAttributeType::S).then(|| key.attribute_name().to_owned())
}

fn removal(key: Item) -> Result<WriteRequest, Fault> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build();
    let delete = delete.map_err(not_built)?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}
