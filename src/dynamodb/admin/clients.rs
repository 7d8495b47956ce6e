//! Creates clients, looks items up, and changes clients.

use crate::{
    dynamodb::{
        ClientsTable,
        call::fault,
        item::{self, Item},
        schema,
    },
    model::{ApiClient, Client, Digest, Id, Idle, Kind, OAuthClient, StoredSecret, epoch_seconds},
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
        self.change(id, |_, _| Some(("protected", AttributeValue::Bool(protected)))).await
    }

    /// Gives a live API client a further secret, and the client its next version. The former secrets expire at
    /// `former_until`, unless they expire earlier. Those that have expired at `now` are removed. Returns the client as
    /// it is now, or `None` if there is no live API client with this id.
    ///
    /// # Errors
    /// As [`set_protected`](Self::set_protected).
    pub async fn add_secret(
        &self,
        id: &Id,
        secret: &Digest,
        former_until: SystemTime,
        now: SystemTime,
    ) -> Result<Option<Client>, Fault> {
        self.change(id, |kind, members| {
            let Kind::Api(ApiClient { secrets, .. }) = kind else { return None };
            let former = members.get("secrets").and_then(|secrets| secrets.as_l().ok()).cloned().unwrap_or_default();
            let until = |stored: &StoredSecret| stored.expires_at.map_or(former_until, |end| end.min(former_until));
            let ends = secrets.iter().map(until);
            let former = former.into_iter().zip(ends).filter(|(_, end)| *end > now).map(|(secret, end)| {
                let mut secret = secret.as_m().cloned().unwrap_or_default();
                secret.insert("expires_at".to_owned(), item::of_time(end));
                AttributeValue::M(secret)
            });
            let new = item::of_secret(&StoredSecret { digest: *secret, expires_at: None });
            Some(("secrets", AttributeValue::L(former.chain([new]).collect())))
        })
        .await
    }

    /// Gives a live client that registered itself another registration access token (RFC 7592, section 3), and the
    /// client its next version. The former token is refused at once. Returns the client as it is now, or `None` if there
    /// is no such client.
    ///
    /// # Errors
    /// As [`set_protected`](Self::set_protected).
    pub async fn replace_registration_token(&self, id: &Id, token: &Digest) -> Result<Option<Client>, Fault> {
        self.change(id, |kind, _| match kind {
            Kind::OAuth(OAuthClient { dynamic: true, .. }) => {
                Some(("registration_token_digest", item::of_digest(token)))
            }
            _ => None,
        })
        .await
    }

    /// Sets a member of a live client, and gives the client its next version. `value` takes the kind and the members as
    /// they were read, and returns the name and the value of the member. If it returns `None`, nothing is written.
    async fn change(
        &self,
        id: &Id,
        value: impl Fn(&Kind, &Item) -> Option<(&'static str, AttributeValue)>,
    ) -> Result<Option<Client>, Fault> {
        let key = Key::Client(id.clone());
        for _ in 0..MAX_WRITES {
            let Some(mut item) = self.item(&key).await? else { return Ok(None) };
            let Record::Client(client) = readable(&key, item.clone())? else { return Ok(None) };
            let Some(AttributeValue::M(members)) = item.get_mut(schema::CLIENT) else { return Ok(None) };
            let Some((member, value)) = value(&client.kind, members) else { return Ok(None) };
            let version = client.version.next();
            let changes = [(member, value), ("version", item::number(version.0))];
            members.extend(changes.iter().map(|(name, value)| ((*name).to_owned(), value.clone())));
            let [(_, value), (_, next)] = changes;
            let update = self
                .sdk()
                .update_item()
                .table_name(self.name())
                .key(schema::KEY, item::key(&key))
                .update_expression("SET client.#member = :value, client.#version = :next")
                .expression_attribute_names("#member", member)
                .expression_attribute_names("#version", "version")
                .expression_attribute_values(":value", value.clone())
                .expression_attribute_values(":next", next)
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
            let live = |item: Item| match item::read(item) {
                Record::Client(client) => Some(client),
                _ => None,
            };
            let Err(error) = answer else { return Ok(live(item)) };
            let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
                return Err(fault(&error));
            };
            // An earlier attempt of this call took effect, and its answer was lost. The client may have been used since.
            let has_value = |found: &Item| {
                let members = found.get(schema::CLIENT).and_then(|client| client.as_m().ok());
                members.and_then(|members| members.get(member)) == Some(&value)
            };
            if let Some(found) = failed.item.clone().filter(|found| statistics.ambiguous > 0 && has_value(found))
                && let Some(found) = live(found).filter(|found| found.version == version.into())
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
    pub(super) async fn put_new(&self, item: Item) -> Result<Option<Record>, Fault> {
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
