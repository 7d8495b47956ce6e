//! Creates clients, services and access tokens, looks items up, and changes clients.

use crate::{
    dynamodb::{
        ClientsTable,
        call::{fault, not_built},
        item::{self, Item},
        schema,
    },
    model::{AccessToken, Client, Digest, Id, Idle, Service},
    snapshot::{Key, Record, Unreadable},
    store::Fault,
};
use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use std::time::SystemTime;

/// The outcome of a creation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Creation {
    /// It was created.
    Done,
    /// Nothing was written: the name is taken, perhaps by a tombstone.
    Taken,
}

/// `Taken` if there is a record under the key already.
impl From<Option<Record>> for Creation {
    fn from(taken_by: Option<Record>) -> Self {
        if taken_by.is_none() { Self::Done } else { Self::Taken }
    }
}

impl ClientsTable {
    /// Creates a client.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn create_client(&self, id: &Id, client: &Client) -> Result<Creation, Fault> {
        self.import_client(id, client).await.map(Creation::from)
    }

    /// Creates an imported client. If the id is taken, returns the record under it: perhaps a tombstone, an unreadable
    /// item, or the same client.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn import_client(&self, id: &Id, client: &Client) -> Result<Option<Record>, Fault> {
        self.put_new(item::of_client(id, client)).await
    }

    /// Creates a service.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn create_service(&self, id: &Id, service: &Service) -> Result<Creation, Fault> {
        self.put_new(item::of_service(&Key::Service(id.clone()), service)).await.map(Creation::from)
    }

    /// Adds the access token with this digest.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn add_token(&self, digest: &Digest, token: &AccessToken) -> Result<Creation, Fault> {
        self.put_new(item::of_token(&Key::of_token(digest), token)).await.map(Creation::from)
    }

    /// Reads the record under `key`, strongly consistent. `None` if there is no item.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item does not have the table's form.
    pub async fn find(&self, key: &Key) -> Result<Option<Record>, Fault> {
        Ok(self.item(key).await?.map(|item| readable(key, item)).transpose()?)
    }

    /// The whole item under `key`.
    pub(super) async fn item(&self, key: &Key) -> Result<Option<Item>, Fault> {
        let get = self.sdk().get_item().table_name(self.name()).key(schema::KEY, item::key(key));
        get.consistent_read(true).send().await.map(|found| found.item).map_err(|error| fault(&error))
    }

    /// Protects a live client from deletion, or ends its protection, and gives the client its next version. Returns the
    /// client as it is now, or `None` if there is no live client with this id.
    ///
    /// # Errors
    /// [`Fault`] if the database fails, or if the item does not have the table's form.
    pub async fn set_protected(&self, id: &Id, protected: bool) -> Result<Option<Client>, Fault> {
        let key = Key::Client(id.clone());
        let updated = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&key))
            .update_expression(
                "SET #client.#protected = :protected, #client.#version = if_not_exists(#client.#version, :none) + :one",
            )
            .condition_expression("attribute_exists(#client)")
            .expression_attribute_names("#client", schema::CLIENT)
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

    /// Starts to track a client's use, and notes a use at `now`. Returns `false`, and writes nothing, if the client is
    /// not live, did not register itself, or is tracked already.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn track(&self, id: &Id, now: SystemTime) -> Result<bool, Fault> {
        let [partition, since] = item::of_idle(id, Idle::used(now));
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&Key::Client(id.clone())))
            .update_expression("SET idle = :partition, idle_since = :since")
            .condition_expression("client.#dynamic = :yes AND attribute_not_exists(idle_since)")
            .expression_attribute_names("#dynamic", "dynamic")
            .expression_attribute_values(":partition", partition.1)
            .expression_attribute_values(":since", since.1)
            .expression_attribute_values(":yes", AttributeValue::Bool(true));
        let Err(error) = update.send().await else { return Ok(true) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(_)) => Ok(false),
            _ => Err(fault(&error)),
        }
    }

    /// Writes a new item. If the key is taken, returns the record under it.
    async fn put_new(&self, item: serde_dynamo::Result<Item>) -> Result<Option<Record>, Fault> {
        let item = item.map_err(not_built)?;
        let put = self
            .sdk()
            .put_item()
            .table_name(self.name())
            .set_item(Some(item))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", schema::KEY)
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
