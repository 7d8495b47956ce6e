//! The grants table: everything that an authorization server has issued, under the id of the client that holds it. It is
//! that server's own table; its partition key is the client id, and nothing else of it is given.

use super::{Fault, Meter, dynamodb::fault, item::Item, meter::CountTries};
use crate::client::{Id, epoch_seconds};
use aws_sdk_dynamodb::{
    Client, config,
    operation::query::{QueryOutput, builders::QueryFluentBuilder},
    types::{AttributeValue, DeleteRequest, KeyType, ScalarAttributeType, Select, TableDescription, WriteRequest},
};
use std::{
    collections::HashMap,
    time::{Duration, SystemTime},
};

/// How many grants a page has at most.
const GRANTS_A_PAGE: i32 = 1000;
/// How many items `BatchWriteItem` takes.
const GRANTS_A_WRITE: usize = 25;
/// The wait before grants that were left unprocessed are written again, at first and at the most.
const FIRST_WAIT: Duration = Duration::from_millis(25);
const LONGEST_WAIT: Duration = Duration::from_secs(1);

/// A table of grants.
#[derive(Debug, Clone)]
pub struct Grants {
    client: Client,
    table: String,
    keys: Vec<String>,
    expires_at: String,
}

impl Grants {
    /// The table with this name, at the database that `config` leads to. `expires_at` is the attribute that says when a
    /// grant ends, in seconds since the epoch; a grant without it does not end. The table is asked for its keys, in one
    /// call.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the table's partition key is no string.
    pub async fn open(
        config: config::Builder,
        table: impl Into<String>,
        expires_at: impl Into<String>,
    ) -> Result<Self, Fault> {
        let client = Client::from_conf(config.interceptor(CountTries).build());
        let table = table.into();
        let described = client.describe_table().table_name(&table).send().await.map_err(|error| fault(&error))?;
        let keys = described.table.as_ref().and_then(keys).ok_or_else(|| {
            Fault::Unexpected(format!("the partition key of the table {table} is no string, as a client id is"))
        })?;
        Ok(Self { client, table, keys, expires_at: expires_at.into() })
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// The keys of some grants of this client's, in a strongly consistent read of its own grants alone. None: it has none.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn some_of(&self, client: &Id, meter: &Meter) -> Result<Vec<Item>, Fault> {
        let query = match &*self.keys {
            [_, sort] => {
                self.of(client).projection_expression("#client, #sort").expression_attribute_names("#sort", sort)
            }
            _ => self.of(client).projection_expression("#client"),
        };
        let mut after = None;
        loop {
            let page = self.ask(query.clone().limit(GRANTS_A_PAGE).set_exclusive_start_key(after), meter).await?;
            // No grants are an empty list of them. To take silence for it would leave them for ever.
            let silent = || Fault::Unavailable("the answer does not speak of grants".to_owned());
            let grants = page.items.ok_or_else(silent)?;
            after = page.last_evaluated_key;
            // An empty page is the end only where nothing follows it.
            if !grants.is_empty() || after.is_none() {
                return Ok(grants);
            }
        }
    }

    /// Removes the grants with these keys, as many at a time as DynamoDB takes, and adds to `removed` how many it said that
    /// it has. Those that it leaves for another time are tried again, until whoever waits for this has no more time.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached. Some grants may be gone then.
    pub async fn remove(&self, keys: Vec<Item>, removed: &mut usize, meter: &Meter) -> Result<(), Fault> {
        let mut keys = keys.into_iter().peekable();
        while keys.peek().is_some() {
            let mut wanted: Vec<_> = keys.by_ref().take(GRANTS_A_WRITE).map(removal).collect::<Result<_, _>>()?;
            let mut wait = FIRST_WAIT;
            loop {
                let asked = wanted.len();
                let write = self.client.batch_write_item().request_items(&self.table, wanted);
                let answer = meter.time(write.send()).await.map_err(|error| fault(&error))?;
                let left = answer.unprocessed_items.and_then(|mut tables| tables.remove(&self.table));
                wanted = left.unwrap_or_default();
                *removed += asked.saturating_sub(wanted.len());
                if wanted.is_empty() {
                    break;
                }
                tokio::time::sleep(wait).await;
                wait = LONGEST_WAIT.min(wait * 2);
            }
        }
        Ok(())
    }

    /// How many grants the client has, counted up to `bound`: one more than that where there are more.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn count(&self, client: &Id, bound: usize, meter: &Meter) -> Result<usize, Fault> {
        let (mut counted, mut after) = (0, None);
        loop {
            let left = i32::try_from(bound.saturating_add(1) - counted).unwrap_or(i32::MAX);
            let query = self.of(client).select(Select::Count).limit(left).set_exclusive_start_key(after);
            let page = self.ask(query, meter).await?;
            counted += usize::try_from(page.count).unwrap_or_default();
            after = page.last_evaluated_key;
            if after.is_none() || counted > bound {
                return Ok(counted);
            }
        }
    }

    /// Whether the client has a grant that has not ended by `now`.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn is_any_live(&self, client: &Id, now: SystemTime, meter: &Meter) -> Result<bool, Fault> {
        let mut after = None;
        loop {
            let query = self
                .of(client)
                .select(Select::Count)
                // Said so, a grant is live that has no end, and one whose end is no number.
                .filter_expression("NOT #expires_at <= :now")
                .expression_attribute_names("#expires_at", &self.expires_at)
                .expression_attribute_values(":now", AttributeValue::N(epoch_seconds::of(now).to_string()))
                .set_exclusive_start_key(after);
            let page = self.ask(query, meter).await?;
            after = page.last_evaluated_key;
            if page.count > 0 || after.is_none() {
                return Ok(page.count > 0);
            }
        }
    }

    fn of(&self, client: &Id) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#client = :client")
            .set_expression_attribute_names(
                self.keys.first().map(|name| HashMap::from([("#client".to_owned(), name.clone())])),
            )
            .expression_attribute_values(":client", AttributeValue::S(client.as_str().to_owned()))
    }

    async fn ask(&self, query: QueryFluentBuilder, meter: &Meter) -> Result<QueryOutput, Fault> {
        meter.time(query.send()).await.map_err(|error| fault(&error))
    }
}

/// The names of the table's key attributes, the partition key's first; `None` unless that is a string.
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
    let delete = delete.map_err(|error| Fault::Unexpected(error.to_string()))?;
    Ok(WriteRequest::builder().delete_request(delete).build())
}
