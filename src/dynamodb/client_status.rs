//! The calls of an authorization server: it reads the status of a client, and notes that the client was used. The
//! function behind the API does not use them. `docs/integrating.md` shows where a server uses them.

use super::{
    ClientsTable,
    call::{fault, is_validation},
    item,
    members::{Flaws, MAP, Members},
    schema::{CLIENT, KEY},
};
use crate::{
    model::{Id, Idle, Kind, epoch_seconds},
    snapshot::{Key, Unreadable},
    store::{CallStatistics, ClientStatus, ClientStatuses, Fault},
};
use aws_sdk_dynamodb::operation::update_item::UpdateItemError;
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
    /// before it issues something needs no second check. If the write fails because another process noted a use, because
    /// the client was deleted, or because the item has no room for the note, a second call reads the status.
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
                "attribute_exists(client) AND (attribute_not_exists(idle) OR attribute_not_exists(idle_since) \
                 OR idle <> :partition OR idle_since <= :an_hour_ago OR idle_since >= :end)",
            )
            .expression_attribute_values(":partition", partition.1)
            .expression_attribute_values(":since", since.1)
            .expression_attribute_values(":an_hour_ago", item::of_time(an_hour_ago))
            .expression_attribute_values(":end", item::number(epoch_seconds::END));
        let Err(error) = CallStatistics::of_call(Box::pin(update.send())).await.0 else { return Ok(true) };
        let condition_failed =
            matches!(error.as_service_error(), Some(UpdateItemError::ConditionalCheckFailedException(_)));
        // Another process noted a use meanwhile, the client is deleted, or the item has no room for the note. The item is
        // read again, and not returned by the update: a server has no right to read a tombstone.
        if condition_failed || is_validation(&error) {
            return Ok(self.client_status(id).await?.is_live());
        }
        Err(fault(&error))
    }
}

/// Reads the members that the status needs. The others may be unreadable.
fn read(key: &Key, item: item::Item) -> Result<ClientStatus, Unreadable> {
    let mut flaws = Flaws::default();
    let mut item = Members::of_item(item, &mut flaws);
    let status = if item.has(CLIENT) {
        let revoked_until = item::history(&mut item).revoked_until();
        let idle = item::tracked(&mut item);
        let client = item.deciding(CLIENT, &MAP).unwrap_or_default();
        let mut client = item.within(CLIENT, client);
        let kind = item::kind(&mut client);
        // An API client has no such member.
        let dynamic = matches!(kind, Some(Kind::OAuth(_))) && item::dynamic(&mut client);
        Some(ClientStatus::Live { revoked_until, dynamic, idle })
    } else {
        item::current_deletion(&mut item).map(ClientStatus::Deleted)
    };
    let unreadable = |flaw| Unreadable { key: key.clone(), flaw, proof: Box::default() };
    match (status, flaws.deciding.into_iter().next()) {
        (Some(status), None) => Ok(status),
        (_, Some(flaw)) => Err(unreadable(flaw)),
        (None, None) => Err(unreadable(item::no_record())),
    }
}
