//! The grants table: everything that an authorization server issued, by the id of the client. The table belongs to that
//! server. Its partition key must be the client id. Nothing else is assumed.

use super::{
    call::{RecordAttempts, fault, not_built, record_unprocessed},
    item::Item,
};
use crate::{
    model::{Id, epoch_seconds},
    store::{CallStatistics, Fault, Grants},
};
use aws_sdk_dynamodb::{
    Client, config,
    operation::query::{QueryOutput, builders::QueryFluentBuilder},
    types::{AttributeValue, DeleteRequest, KeyType, ScalarAttributeType, Select, TableDescription, WriteRequest},
};
use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

/// The most grants in a page.
const PAGE_SIZE: i32 = 1000;
/// The most items that `BatchWriteItem` takes.
const BATCH_SIZE: usize = 25;
/// The wait before the next attempt to remove grants that DynamoDB left unprocessed: the first, and the longest.
const FIRST_WAIT: Duration = Duration::from_millis(25);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A table of grants.
#[derive(Debug, Clone)]
pub struct GrantsTable {
    sdk: Client,
    name: String,
    keys: Vec<String>,
    expires_at: String,
}

impl GrantsTable {
    /// Opens the table with this name, in the database that `config` names. `expires_at` is the attribute with the time
    /// at which a grant ends, in seconds since the epoch. A grant without it does not end. Makes one call: it describes
    /// the table, to learn the names of its keys.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the table's partition key is not a string.
    pub async fn open(
        config: config::Builder,
        name: impl Into<String>,
        expires_at: impl Into<String>,
    ) -> Result<Self, Fault> {
        let sdk = Client::from_conf(config.interceptor(RecordAttempts).build());
        let name = name.into();
        let described = sdk.describe_table().table_name(&name).send().await;
        let described = described.map_err(|error| match fault(&error) {
            Fault::Unavailable(why) => Fault::Unavailable(format!("{why}, for the grants table {name}")),
            Fault::Unexpected(why) => Fault::Unexpected(format!("{why}, for the grants table {name}")),
            unreadable @ Fault::Unreadable(_) => unreadable,
        })?;
        let keys = described.table.as_ref().and_then(keys).ok_or_else(|| {
            Fault::Unexpected(format!("the partition key of the table {name} must be a string, the client id"))
        })?;
        Ok(Self { sdk, name, keys, expires_at: expires_at.into() })
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Counts the client's grants, up to `bound`. `bound + 1` means that there are more.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn count(&self, client: &Id, bound: usize) -> Result<usize, Fault> {
        let (mut counted, mut after) = (0, None);
        loop {
            let left = i32::try_from(bound.saturating_add(1) - counted).unwrap_or(i32::MAX);
            let query = self.of(client).select(Select::Count).limit(left).set_exclusive_start_key(after);
            let page = send(query).await?;
            counted += usize::try_from(page.count).unwrap_or_default();
            after = page.last_evaluated_key;
            if after.is_none() || counted > bound {
                return Ok(counted);
            }
        }
    }

    fn of(&self, client: &Id) -> QueryFluentBuilder {
        self.sdk
            .query()
            .table_name(&self.name)
            .consistent_read(true)
            .key_condition_expression("#client = :client")
            .set_expression_attribute_names(
                self.keys.first().map(|name| HashMap::from([("#client".to_owned(), name.clone())])),
            )
            .expression_attribute_values(":client", AttributeValue::S(client.as_str().to_owned()))
    }

    /// Removes at most [`BATCH_SIZE`] grants. Tries again those that DynamoDB leaves unprocessed, without a limit.
    async fn remove_batch(&self, mut wanted: Vec<WriteRequest>, removed: &mut usize) -> Result<(), Fault> {
        let mut wait = FIRST_WAIT;
        loop {
            let asked = wanted.len();
            let call = self.sdk.batch_write_item().request_items(&self.name, wanted).send();
            let answer = call.await.map_err(|error| fault(&error))?;
            let unprocessed = answer.unprocessed_items.and_then(|mut tables| tables.remove(&self.name));
            wanted = unprocessed.unwrap_or_default();
            *removed += asked.saturating_sub(wanted.len());
            if wanted.is_empty() {
                return Ok(());
            }
            record_unprocessed();
            tokio::time::sleep(wait).await;
            wait = LONGEST_WAIT.min(wait * 2);
        }
    }
}

impl Grants for GrantsTable {
    type Key = Item;

    async fn page(&self, client: &Id) -> Result<Vec<Item>, Fault> {
        let query = match &*self.keys {
            [_, sort] => {
                self.of(client).projection_expression("#client, #sort").expression_attribute_names("#sort", sort)
            }
            _ => self.of(client).projection_expression("#client"),
        };
        let mut after = None;
        loop {
            let page = send(query.clone().limit(PAGE_SIZE).set_exclusive_start_key(after)).await?;
            // DynamoDB answers with an empty list if nothing matches. If a malformed answer were read as empty, the
            // grants would never be removed.
            let malformed = || Fault::Unavailable("the answer does not list grants".to_owned());
            let grants = page.items.ok_or_else(malformed)?;
            after = page.last_evaluated_key;
            // An empty page is the end only if no page follows it.
            if !grants.is_empty() || after.is_none() {
                return Ok(grants);
            }
        }
    }

    async fn remove(&self, keys: Vec<Item>, removed: &mut usize) -> Result<(), Fault> {
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let batch = keys.by_ref().take(BATCH_SIZE).map(removal).collect::<Result<_, _>>()?;
            CallStatistics::of_call(Box::pin(self.remove_batch(batch, removed))).await.0?;
        }
        Ok(())
    }

    async fn is_any_live(&self, client: &Id, now: SystemTime) -> Result<bool, Fault> {
        let mut after = None;
        loop {
            let query = self
                .of(client)
                .select(Select::Count)
                // Negated, so that a grant is live if its end is missing or is not a number.
                .filter_expression("NOT #expires_at <= :now")
                .expression_attribute_names("#expires_at", &self.expires_at)
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

/// The names of the table's key attributes, the partition key first. `None` if the partition key is not a string.
fn keys(table: &TableDescription) -> Option<Vec<String>> {
    let of = |kind: KeyType| {
        let mut schema = table.key_schema().iter();
        schema.find(|key| *key.key_type() == kind).map(|key| key.attribute_name().to_owned())
    };
    let partition = of(KeyType::Hash)?;
    let mut attributes = table.attribute_definitions().iter();
    let partition_type = attributes.find(|attribute| attribute.attribute_name() == partition)?.attribute_type();
    (*partition_type == ScalarAttributeType::S).then(|| std::iter::once(partition).chain(of(KeyType::Range)).collect())
}

fn removal(key: Item) -> Result<WriteRequest, Fault> {
    let delete = DeleteRequest::builder().set_key(Some(key)).build();
    let delete = delete.map_err(not_built)?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}
