//! Creates clients, services and access tokens, looks items up, and changes clients.

use crate::{
    dynamodb::{
        ClientsTable,
        call::fault,
        item::{self, Item},
        schema,
    },
    model::{AccessToken, Client, Digest, Id, Idle, Service, epoch_seconds},
    snapshot::{Key, Record, Unreadable},
    store::{CallStatistics, Fault},
};
use aws_sdk_dynamodb::{
    operation::{put_item::PutItemError, update_item::UpdateItemError},
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use std::time::SystemTime;

/// The maximum number of writes of a call. Each one after the first follows a change of the client by another writer.
const MAX_WRITES: u32 = 4;

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
    /// [`Fault`] if the database fails, or if the item cannot be read.
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
    /// [`Fault`] if the database fails, if the item cannot be read, or if other writers change it all the time.
    pub async fn set_protected(&self, id: &Id, protected: bool) -> Result<Option<Client>, Fault> {
        let key = Key::Client(id.clone());
        for _ in 0..MAX_WRITES {
            let Some(Record::Client(client)) = self.find(&key).await? else { return Ok(None) };
            let version = client.version.next();
            let update = self
                .sdk()
                .update_item()
                .table_name(self.name())
                .key(schema::KEY, item::key(&key))
                .update_expression("SET client.#protected = :protected, client.#version = :next")
                .expression_attribute_names("#protected", "protected")
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":protected", AttributeValue::Bool(protected))
                .expression_attribute_values(":next", item::number(version.0))
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
            let update = match item::of_version(&client.version) {
                Some(stored) => update
                    .condition_expression("attribute_exists(client) AND client.#version = :version")
                    .expression_attribute_values(":version", stored),
                None => {
                    update.condition_expression("attribute_exists(client) AND attribute_not_exists(client.#version)")
                }
            };
            let (answer, statistics) = CallStatistics::of_call(Box::pin(update.send())).await;
            let changed = Client { protected, version: version.into(), ..client };
            let Err(error) = answer else { return Ok(Some(changed)) };
            let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
                return Err(fault(&error));
            };
            // An earlier attempt of this call took effect, and its answer was lost. The client may have been used since.
            if let Some(Record::Client(found)) = failed.item.clone().map(item::read)
                && statistics.ambiguous > 0
                && (found.protected, &found.version) == (changed.protected, &changed.version)
            {
                return Ok(Some(found));
            }
        }
        Err(Fault::Unavailable("the client changed before each write".to_owned()))
    }

    /// Starts to track a client's use, and notes a use at `now`. What cannot be read of an earlier tracking is replaced.
    /// Returns `false`, and writes nothing, if the client is not live, did not register itself, or is tracked already.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn track(&self, id: &Id, now: SystemTime) -> Result<bool, Fault> {
        let idle = item::of_idle(id, Idle::used(now));
        let [partition, since] = idle.clone();
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(schema::KEY, item::key(&Key::Client(id.clone())))
            .update_expression("SET idle = :partition, idle_since = :since")
            .condition_expression(
                "client.#dynamic = :yes AND (attribute_not_exists(idle_since) OR idle_since < :first \
                 OR idle_since >= :end OR NOT (begins_with(idle, :used) OR begins_with(idle, :unused)))",
            )
            .expression_attribute_names("#dynamic", "dynamic")
            .expression_attribute_values(":partition", partition.1)
            .expression_attribute_values(":since", since.1)
            .expression_attribute_values(":yes", AttributeValue::Bool(true))
            .expression_attribute_values(":first", item::number(0))
            .expression_attribute_values(":end", item::number(epoch_seconds::END))
            .expression_attribute_values(":used", item::of_text(item::idle_prefix(true)))
            .expression_attribute_values(":unused", item::of_text(item::idle_prefix(false)))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (answer, statistics) = CallStatistics::of_call(Box::pin(update.send())).await;
        let Err(error) = answer else { return Ok(true) };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                // An earlier attempt of this call took effect, and its answer was lost.
                let is_own = |found: &Item| idle.iter().all(|(name, value)| found.get(*name) == Some(value));
                Ok(statistics.ambiguous > 0 && failed.item.as_ref().is_some_and(is_own))
            }
            _ => Err(fault(&error)),
        }
    }

    /// Writes a new item. If the key is taken, returns the record under it.
    async fn put_new(&self, item: Item) -> Result<Option<Record>, Fault> {
        let put = self
            .sdk()
            .put_item()
            .table_name(self.name())
            .set_item(Some(item.clone()))
            .condition_expression("attribute_not_exists(#key)")
            .expression_attribute_names("#key", schema::KEY)
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (answer, statistics) = CallStatistics::of_call(Box::pin(put.send())).await;
        let Err(error) = answer else { return Ok(None) };
        match error.as_service_error() {
            // An earlier attempt of this call created the item, and its answer was lost.
            Some(PutItemError::ConditionalCheckFailedException(failed))
                if statistics.ambiguous > 0 && failed.item.as_ref() == Some(&item) =>
            {
                Ok(None)
            }
            Some(PutItemError::ConditionalCheckFailedException(failed)) => {
                Ok(Some(item::read(failed.item.clone().unwrap_or_default())))
            }
            _ => Err(fault(&error)),
        }
    }
}

fn readable(key: &Key, item: Item) -> Result<Record, Unreadable> {
    match item::read(item) {
        unreadable @ Record::Unreadable(..) => Err(Unreadable::new(key.clone(), &unreadable)),
        record => Ok(record),
    }
}
