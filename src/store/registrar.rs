//! What an operator does: create the table, clients, services and access tokens, and look one up. The function calls
//! none of this.

use super::{
    DynamoDb, Fault,
    dynamodb::fault,
    item::{self, Item},
    table,
};
use crate::{
    client::{AccessToken, Client, Id, Service},
    credential::Digest,
    rule::{Key, Record, Unreadable},
};
use aws_sdk_dynamodb::{
    operation::{create_table::CreateTableError, put_item::PutItemError},
    types::TableStatus,
};
use std::time::Duration;

/// How long a new table may take to become active, in polls and the time between them.
const POLLS: u32 = 120;
const BETWEEN_POLLS: Duration = Duration::from_millis(500);

/// What came of creating something.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It is there now.
    Done,
    /// Nothing was written: there is already one of that name, or was until it was deleted.
    Taken,
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
        let time_to_live = table::time_to_live().map_err(|error| Fault::Unexpected(error.to_string()))?;
        self.client()
            .update_time_to_live()
            .table_name(self.table())
            .time_to_live_specification(time_to_live)
            .send()
            .await
            .map_err(|error| fault(&error))?;
        Ok(Creation::Done)
    }

    async fn wait_until_active(&self) -> Result<(), Fault> {
        for _ in 0..POLLS {
            let described = self.client().describe_table().table_name(self.table()).send().await;
            let table = described.map_err(|error| fault(&error))?.table;
            if table.and_then(|table| table.table_status) == Some(TableStatus::Active) {
                return Ok(());
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
        self.put_new(item::of_client(&Key::Client(id.clone()), client)).await
    }

    /// Creates a service.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn create_service(&self, id: &Id, service: &Service) -> Result<Creation, Fault> {
        self.put_new(item::of_service(&Key::Service(id.clone()), service)).await
    }

    /// Adds an access token, of which this is the digest.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn add_token(&self, digest: &Digest, token: &AccessToken) -> Result<Creation, Fault> {
        self.put_new(item::of_token(&Key::of_token(digest), token)).await
    }

    /// What stands under `key`, in a strongly consistent read; `None`, where nothing does.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the item is not of the table's form.
    pub async fn find(&self, key: &Key) -> Result<Option<Record>, Fault> {
        let get = self.client().get_item().table_name(self.table()).key(table::KEY, item::key(key));
        let found = get.consistent_read(true).send().await.map_err(|error| fault(&error))?;
        match found.item.map(item::read) {
            Some(Record::Unreadable(why)) => Err(Unreadable { key: key.clone(), why }.into()),
            record => Ok(record),
        }
    }

    async fn put_new(&self, item: serde_dynamo::Result<Item>) -> Result<Creation, Fault> {
        let item = item.map_err(|error| Fault::Unexpected(error.to_string()))?;
        let put = self
            .client()
            .put_item()
            .table_name(self.table())
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", table::KEY)
            .send()
            .await;
        match put {
            Ok(_) => Ok(Creation::Done),
            Err(error) => match error.as_service_error() {
                Some(PutItemError::ConditionalCheckFailedException(_)) => Ok(Creation::Taken),
                _ => Err(fault(&error)),
            },
        }
    }
}
