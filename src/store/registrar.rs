//! What an operator does: create the table, clients, services and access tokens, look one up, list clients, protect them,
//! and keep track of their use. The function calls none of this.

use super::{
    DynamoDb, Fault,
    dynamodb::fault,
    item::{self, Item},
    table,
};
use crate::{
    client::{AccessToken, Client, Id, Idle, Service, epoch_seconds},
    credential::Digest,
    rule::{Key, Record, Unreadable},
};
use aws_sdk_dynamodb::{
    operation::{create_table::CreateTableError, put_item::PutItemError, update_item::UpdateItemError},
    types::{
        AttributeDefinition, AttributeValue, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        GlobalSecondaryIndexUpdate, ReturnValue, ReturnValuesOnConditionCheckFailure, TableDescription, TableStatus,
        TimeToLiveStatus,
    },
};
use std::time::{Duration, SystemTime};

/// How long a new table may take to become active, in polls and the time between them.
const POLLS: u32 = 120;
const BETWEEN_POLLS: Duration = Duration::from_millis(500);

/// How many items a page of a scan looks at: few enough that it comes well within the time that a call may take.
const ITEMS_A_PAGE: i32 = 500;

/// What came of creating something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is there now.
    Done,
    /// Nothing was written: there is already one of that name, or was until it was deleted.
    Taken,
}

/// From what stands in its place.
impl From<Option<Record>> for Creation {
    fn from(instead: Option<Record>) -> Self {
        if instead.is_none() { Self::Done } else { Self::Taken }
    }
}

/// What a table lacked, and was given.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Repairs {
    /// Its time to live.
    pub time_to_live: bool,
    /// The index of idle clients, which DynamoDB fills in its own time.
    pub index: bool,
}

/// Some of the clients that were asked for.
#[derive(Debug, Clone, PartialEq)]
pub struct Page<T = Record> {
    /// Each with its id.
    pub clients: Vec<(Id, T)>,
    /// Where the next page begins; `None`: this was the last.
    pub next: Option<Item>,
}

/// Which items a scan is to find.
pub(super) struct Wanted<'w> {
    /// The attribute that the client is in.
    pub holder: &'static str,
    /// The member of it that says whose it is.
    pub member: &'static str,
    /// Whose it must be.
    pub value: &'w str,
    /// Since when it must have been deleted.
    pub since: Option<SystemTime>,
}

impl DynamoDb {
    /// Creates the table, waits until it is active, and switches on its time to live.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn create_table(&self) -> Result<Creation, Fault> {
        let definition = table::definition(self.table()).map_err(|error| Fault::Unexpected(error.to_string()))?;
        let created = self
            .client()
            .create_table()
            .set_table_name(definition.table_name)
            .set_attribute_definitions(definition.attribute_definitions)
            .set_key_schema(definition.key_schema)
            .set_global_secondary_indexes(definition.global_secondary_indexes)
            .set_billing_mode(definition.billing_mode)
            .send()
            .await;
        match created {
            Ok(_) => {}
            Err(error) if matches!(error.as_service_error(), Some(CreateTableError::ResourceInUseException(_))) => {
                return Ok(Creation::Taken);
            }
            Err(error) => return Err(fault(&error)),
        }
        self.wait_until_active().await?;
        self.switch_time_to_live_on().await?;
        Ok(Creation::Done)
    }

    /// Gives the table what it lacks: the time to live, where its creation was interrupted, and the index, where it was
    /// created before there was one. What that was: a table of another definition is not ours to change.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached. The time to live may be on then.
    pub async fn repair_table(&self) -> Result<Repairs, Fault> {
        let definition = table::definition(self.table()).map_err(|error| Fault::Unexpected(error.to_string()))?;
        let found = self.wait_until_active().await?;
        if found.key_schema != definition.key_schema {
            return Ok(Repairs::default());
        }
        let described = self.client().describe_time_to_live().table_name(self.table()).send().await;
        let described = described.map_err(|error| fault(&error))?.time_to_live_description;
        let status = described.and_then(|description| description.time_to_live_status);
        let time_to_live = status.is_none_or(|status| status == TimeToLiveStatus::Disabled);
        if time_to_live {
            self.switch_time_to_live_on().await?;
        }
        let is_there = found.global_secondary_indexes().iter().any(|index| index.index_name() == Some(table::IDLE));
        if !is_there {
            self.add_indexes(definition.global_secondary_indexes, definition.attribute_definitions).await?;
        }
        Ok(Repairs { time_to_live, index: !is_there })
    }

    async fn add_indexes(
        &self,
        indexes: Option<Vec<GlobalSecondaryIndex>>,
        attributes: Option<Vec<AttributeDefinition>>,
    ) -> Result<(), Fault> {
        let creation = |index: GlobalSecondaryIndex| {
            let create = CreateGlobalSecondaryIndexAction::builder()
                .index_name(index.index_name)
                .set_key_schema(Some(index.key_schema))
                .set_projection(index.projection)
                .build();
            create.map(|create| GlobalSecondaryIndexUpdate::builder().create(create).build())
        };
        let creations: Result<Vec<_>, _> = indexes.into_iter().flatten().map(creation).collect();
        let update = self
            .client()
            .update_table()
            .table_name(self.table())
            .set_attribute_definitions(attributes)
            .set_global_secondary_index_updates(Some(creations.map_err(|error| Fault::Unexpected(error.to_string()))?));
        update.send().await.map(drop).map_err(|error| fault(&error))
    }

    async fn switch_time_to_live_on(&self) -> Result<(), Fault> {
        let time_to_live = table::time_to_live().map_err(|error| Fault::Unexpected(error.to_string()))?;
        let update =
            self.client().update_time_to_live().table_name(self.table()).time_to_live_specification(time_to_live);
        update.send().await.map(drop).map_err(|error| fault(&error))
    }

    async fn wait_until_active(&self) -> Result<TableDescription, Fault> {
        for _ in 0..POLLS {
            let described = self.client().describe_table().table_name(self.table()).send().await;
            let table = described.map_err(|error| fault(&error))?.table;
            if let Some(table) = table.filter(|table| table.table_status == Some(TableStatus::Active)) {
                return Ok(table);
            }
            tokio::time::sleep(BETWEEN_POLLS).await;
        }
        Err(Fault::Unavailable("the table did not become active".to_owned()))
    }

    /// Creates a client.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn create_client(&self, id: &Id, client: &Client) -> Result<Creation, Fault> {
        self.take_over_client(id, client).await.map(Creation::from)
    }

    /// Creates a client that comes from elsewhere. What stands under its id, where that is taken: be it unreadable, or
    /// the very same client.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn take_over_client(&self, id: &Id, client: &Client) -> Result<Option<Record>, Fault> {
        self.put_new(item::of_client(id, client)).await
    }

    /// Creates a service.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn create_service(&self, id: &Id, service: &Service) -> Result<Creation, Fault> {
        self.put_new(item::of_service(&Key::Service(id.clone()), service)).await.map(Creation::from)
    }

    /// Adds an access token, of which this is the digest.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn add_token(&self, digest: &Digest, token: &AccessToken) -> Result<Creation, Fault> {
        self.put_new(item::of_token(&Key::of_token(digest), token)).await.map(Creation::from)
    }

    /// What stands under `key`, in a strongly consistent read; `None`, where nothing does.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the item is not of the table's form.
    pub async fn find(&self, key: &Key) -> Result<Option<Record>, Fault> {
        Ok(self.item(key).await?.map(|item| readable(key, item)).transpose()?)
    }

    /// The item under `key`, whole.
    pub(super) async fn item(&self, key: &Key) -> Result<Option<Item>, Fault> {
        let get = self.client().get_item().table_name(self.table()).key(table::KEY, item::key(key));
        get.consistent_read(true).send().await.map(|found| found.item).map_err(|error| fault(&error))
    }

    /// One page of an application's API clients, live or deleted, in no order, with those whose item is not of the
    /// table's form. It starts `after` where the page before ended. All pages together read the whole table, since its
    /// key only tells one client from another.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn clients_of_application(&self, id: &str, deleted: bool, after: Option<Item>) -> Result<Page, Fault> {
        self.clients(id, "app_id", deleted, after).await
    }

    /// The same of a service's OAuth clients.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn clients_of_service(&self, id: &Id, deleted: bool, after: Option<Item>) -> Result<Page, Fault> {
        self.clients(id.as_str(), "service_id", deleted, after).await
    }

    async fn clients(
        &self,
        value: &str,
        member: &'static str,
        deleted: bool,
        after: Option<Item>,
    ) -> Result<Page, Fault> {
        let holder = if deleted { table::TOMBSTONE } else { table::CLIENT };
        self.scan(Wanted { holder, member, value, since: None }, after, |_, item| item::read(item)).await
    }

    /// One page of what is wanted, each item as `read` has it.
    pub(super) async fn scan<T>(
        &self,
        Wanted { holder, member, value, since }: Wanted<'_>,
        after: Option<Item>,
        read: impl Fn(&Id, Item) -> T,
    ) -> Result<Page<T>, Fault> {
        let mut filter = "#holder.#member = :value".to_owned();
        let mut scan = self
            .client()
            .scan()
            .table_name(self.table())
            .consistent_read(true)
            .set_exclusive_start_key(after)
            .limit(ITEMS_A_PAGE)
            .projection_expression("#key, #client, #deleted, #expires_at, #history, idle, idle_since")
            .expression_attribute_names("#holder", holder)
            .expression_attribute_names("#member", member)
            .expression_attribute_names("#key", table::KEY)
            .expression_attribute_names("#client", table::CLIENT)
            .expression_attribute_names("#deleted", table::DELETED)
            .expression_attribute_names("#expires_at", table::EXPIRES_AT)
            .expression_attribute_names("#history", table::HISTORY)
            .expression_attribute_values(":value", AttributeValue::S(value.to_owned()));
        if let Some(since) = since {
            filter += " AND #deleted.#at >= :since";
            scan = scan
                .expression_attribute_names("#at", "at")
                .expression_attribute_values(":since", AttributeValue::N(epoch_seconds::of(since).to_string()));
        }
        let page = scan.filter_expression(filter).send().await.map_err(|error| fault(&error))?;
        let client = |item: Item| {
            let id = item.get(table::KEY)?.as_s().ok()?.strip_prefix("client#").and_then(Id::new)?;
            let client = read(&id, item);
            Some((id, client))
        };
        let clients = page.items.unwrap_or_default().into_iter().filter_map(client).collect();
        Ok(Page { clients, next: page.last_evaluated_key })
    }

    /// Protects a live client from deletion, or no longer, and gives it its next version. The client as it is now; `None`,
    /// where no live client has this id.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the item is not of the table's form.
    pub async fn set_protected(&self, id: &Id, protected: bool) -> Result<Option<Client>, Fault> {
        let key = Key::Client(id.clone());
        let updated = self
            .client()
            .update_item()
            .table_name(self.table())
            .key(table::KEY, item::key(&key))
            .update_expression(
                "SET #client.#protected = :protected, #client.#version = if_not_exists(#client.#version, :none) + :one",
            )
            .condition_expression("attribute_exists(#client)")
            .expression_attribute_names("#client", table::CLIENT)
            .expression_attribute_names("#protected", "protected")
            .expression_attribute_names("#version", "version")
            .expression_attribute_values(":protected", AttributeValue::Bool(protected))
            .expression_attribute_values(":none", AttributeValue::N("0".to_owned()))
            .expression_attribute_values(":one", AttributeValue::N("1".to_owned()))
            .return_values(ReturnValue::AllNew)
            .send()
            .await;
        match updated {
            Ok(updated) => match updated.attributes.map(|item| readable(&key, item)).transpose()? {
                Some(Record::Client(client)) => Ok(Some(client)),
                _ => Err(Fault::Unexpected("the update did not return the client".to_owned())),
            },
            Err(error) => match error.as_service_error() {
                Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(None),
                _ => Err(fault(&error)),
            },
        }
    }

    /// Keeps track of a client's use from `now` on, as if it was used then, if it is live and registered itself and nobody
    /// does so yet. Whether all of this was so.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn track(&self, id: &Id, now: SystemTime) -> Result<bool, Fault> {
        let [list, since] = item::of_idle(id, Idle::used(now));
        let update = self
            .client()
            .update_item()
            .table_name(self.table())
            .key(table::KEY, item::key(&Key::Client(id.clone())))
            .update_expression("SET idle = :list, idle_since = :since")
            .condition_expression("client.#dynamic = :yes AND attribute_not_exists(idle_since)")
            .expression_attribute_names("#dynamic", "dynamic")
            .expression_attribute_values(":list", list.1)
            .expression_attribute_values(":since", since.1)
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        let Err(error) = update.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(fault(&error)),
        }
    }

    /// Puts an item. What stands in its place, where that is taken.
    async fn put_new(&self, item: serde_dynamo::Result<Item>) -> Result<Option<Record>, Fault> {
        let item = item.map_err(|error| Fault::Unexpected(error.to_string()))?;
        let put = self
            .client()
            .put_item()
            .table_name(self.table())
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", table::KEY)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
            .send()
            .await;
        match put {
            Ok(_) => Ok(None),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                    Ok(Some(item::read(failed.item.clone().unwrap_or_default())))
                }
                _ => Err(fault(&error)),
            },
        }
    }
}

fn readable(key: &Key, item: Item) -> Result<Record, Unreadable> {
    match item::read(item) {
        unreadable @ Record::Unreadable(_) => Err(Unreadable::new(key.clone(), &unreadable)),
        record => Ok(record),
    }
}
