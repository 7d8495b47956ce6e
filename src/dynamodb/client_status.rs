//! The calls of an authorization server: it reads the status of a client, and notes that the client was used. The
//! function behind the API does not use them. `docs/integrating.md` shows where a server uses them.

use super::{
    ClientsTable,
    call::fault,
    item,
    schema::{CLIENT, KEY},
};
use crate::{
    model::{Deletion, Id, Idle, PastDeletion, epoch_seconds},
    snapshot::{Key, Unreadable},
    store::{CallStatistics, ClientStatus, ClientStatuses, Fault},
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::Deserialize;
use serde_dynamo::aws_sdk_dynamodb_1::from_item;
use std::time::{Duration, SystemTime};

/// At most one use of a client is noted in this time.
const USE_GRANULARITY: Duration = Duration::from_hours(1);

impl ClientStatuses for ClientsTable {
    async fn client_status(&self, id: &Id) -> Result<ClientStatus, Fault> {
        let key = Key::Client(id.clone());
        let get = self
            .sdk()
            .get_item()
            .table_name(self.name())
            .key(KEY, item::key(&key))
            .consistent_read(true)
            .projection_expression("client.kind, client.#dynamic, deleted, history, idle, idle_since")
            .expression_attribute_names("#dynamic", "dynamic");
        match CallStatistics::of_call(Box::pin(get.send())).await.0.map_err(|error| fault(&error))?.item {
            Some(item) => Ok(read(&key, item)?),
            None => Ok(ClientStatus::Unknown),
        }
    }
}

impl ClientsTable {
    /// Notes that the client is used `now`. If the client registered itself and no use was noted in the last hour, this
    /// is one write. Otherwise it makes no call. Returns whether the client is still live. A server that calls this
    /// before it issues something needs no second check.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    pub async fn note_use(&self, id: &Id, status: &ClientStatus, now: SystemTime) -> Result<bool, Fault> {
        let ClientStatus::Live { dynamic, idle, .. } = status else { return Ok(false) };
        let an_hour_ago = now.checked_sub(USE_GRANULARITY).unwrap_or(SystemTime::UNIX_EPOCH);
        if !dynamic || idle.is_some_and(|idle| idle.used && idle.since > an_hour_ago) {
            return Ok(true);
        }
        let [partition, since] = item::of_idle(id, Idle::used(now));
        let update = self
            .sdk()
            .update_item()
            .table_name(self.name())
            .key(KEY, item::key(&Key::Client(id.clone())))
            .update_expression("SET idle = :partition, idle_since = :since")
            .condition_expression(
                "attribute_exists(client) AND (attribute_not_exists(idle_since) OR begins_with(idle, :unused) \
                 OR idle_since <= :an_hour_ago)",
            )
            .expression_attribute_values(":partition", partition.1)
            .expression_attribute_values(":since", since.1)
            .expression_attribute_values(":unused", AttributeValue::S(item::idle_prefix(false).to_owned()))
            .expression_attribute_values(":an_hour_ago", AttributeValue::N(epoch_seconds::of(an_hour_ago).to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = update.send().await else { return Ok(true) };
        match error.as_service_error() {
            // Another process noted a use meanwhile, or the client is deleted.
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(failed.item.as_ref().is_some_and(|item| item.contains_key(CLIENT)))
            }
            _ => Err(fault(&error)),
        }
    }
}

fn read(key: &Key, item: item::Item) -> Result<ClientStatus, Unreadable> {
    #[derive(Deserialize)]
    struct Attributes {
        client: Option<Client>,
        deleted: Option<Deletion>,
        #[serde(default)]
        history: Vec<PastDeletion>,
    }
    #[derive(Deserialize)]
    struct Client {
        #[serde(default)]
        dynamic: bool,
    }
    let idle = item::idle(&item);
    let Attributes { client, deleted, history } =
        from_item(item).map_err(|error| Unreadable { key: key.clone(), why: error.to_string() })?;
    match (client, deleted) {
        (Some(Client { dynamic }), _) => {
            let revoked_until = history.iter().map(|past| past.deletion.at.max(past.restored.at)).max();
            Ok(ClientStatus::Live { revoked_until, dynamic, idle })
        }
        (None, Some(deletion)) => Ok(ClientStatus::Deleted(deletion)),
        (None, None) => Err(Unreadable { key: key.clone(), why: "it holds no client and no deletion".to_owned() }),
    }
}
