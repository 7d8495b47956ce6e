//! What an authorization server asks and tells: whether a client stands, and that it was used. The function calls none
//! of this; `docs/integrating.md` shows where a server does.

use super::{
    DynamoDb, Fault,
    dynamodb::fault,
    item::{self, Item},
    table::CLIENT,
};
use crate::{
    client::{Deletion, Id, Idle, Undone, epoch_seconds},
    rule::{Key, Unreadable},
};
use aws_sdk_dynamodb::{
    operation::update_item::UpdateItemError,
    types::{AttributeValue, ReturnValuesOnConditionCheckFailure},
};
use serde::Deserialize;
use serde_dynamo::aws_sdk_dynamodb_1::from_item;
use std::time::{Duration, SystemTime};

/// How long a noted use lasts: a client costs one write in this time at most, however often it is used.
const A_USE_LASTS: Duration = Duration::from_hours(1);

/// Whether a client stands: the barrier that a deletion puts up at once before all that was issued to the client
/// (RFC 7592, section 2.3).
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Standing {
    /// It is live.
    Live {
        /// The instant up to which everything issued to it is revoked: that of its latest restoration. Between a deletion
        /// and its undoing nothing is issued, but a deletion takes its time, and clocks differ.
        revoked_until: Option<SystemTime>,
        /// Whether it registered itself.
        dynamic: bool,
        /// Since when it is idle, where that is kept track of.
        idle: Option<Idle>,
    },
    /// It was deleted.
    Deleted(Deletion),
    /// Nobody has this id, or no longer.
    Unknown,
}

impl Standing {
    /// Whether something may be issued to the client now.
    #[must_use]
    pub fn is_live(&self) -> bool {
        matches!(self, Self::Live { .. })
    }

    /// Whether what was issued to the client at this instant still counts: an access token, a refresh token, a code, a
    /// consent. Instants are compared in whole seconds, as tokens have them; in doubt it does not count.
    #[must_use]
    pub fn honours(&self, issued_at: SystemTime) -> bool {
        match self {
            Self::Live { revoked_until: Some(until), .. } => epoch_seconds::of(issued_at) > epoch_seconds::of(*until),
            Self::Live { revoked_until: None, .. } => true,
            Self::Deleted(_) | Self::Unknown => false,
        }
    }
}

impl DynamoDb {
    /// Whether the client with this id stands, in one strongly consistent read: whatever was answered to a deletion before
    /// is known here.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached, or where the item is not of the table's form. Nobody knows
    /// then, and nothing should be issued or accepted.
    pub async fn standing(&self, id: &Id) -> Result<Standing, Fault> {
        let key = Key::Client(id.clone());
        let get = self
            .client()
            .get_item()
            .table_name(self.table())
            .key(super::table::KEY, item::key(&key))
            .consistent_read(true)
            .projection_expression("client.kind, client.#dynamic, deleted, history, idle, idle_since")
            .expression_attribute_names("#dynamic", "dynamic");
        match get.send().await.map_err(|error| fault(&error))?.item {
            Some(item) => Ok(read(&key, item)?),
            None => Ok(Standing::Unknown),
        }
    }

    /// Notes that the client is used `now`, if it registered itself and no use was noted in the last hour: then this is one
    /// write, and else no call. Whether the client is still live: a server that asks this before it issues something needs
    /// no second look.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached.
    pub async fn note_use(&self, id: &Id, standing: &Standing, now: SystemTime) -> Result<bool, Fault> {
        let Standing::Live { dynamic, idle, .. } = standing else { return Ok(false) };
        let an_hour_ago = now.checked_sub(A_USE_LASTS).unwrap_or(SystemTime::UNIX_EPOCH);
        if !dynamic || idle.is_some_and(|idle| idle.used && idle.since > an_hour_ago) {
            return Ok(true);
        }
        let [list, since] = item::of_idle(id, Idle::used(now));
        let update = self
            .client()
            .update_item()
            .table_name(self.table())
            .key(super::table::KEY, item::key(&Key::Client(id.clone())))
            .update_expression("SET idle = :list, idle_since = :since")
            .condition_expression(
                "attribute_exists(client) AND (attribute_not_exists(idle_since) OR begins_with(idle, :unused) \
                 OR idle_since <= :an_hour_ago)",
            )
            .expression_attribute_values(":list", list.1)
            .expression_attribute_values(":since", since.1)
            .expression_attribute_values(":unused", AttributeValue::S(item::prefix(false).to_owned()))
            .expression_attribute_values(":an_hour_ago", AttributeValue::N(epoch_seconds::of(an_hour_ago).to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let Err(error) = update.send().await else { return Ok(true) };
        match error.as_service_error() {
            // Somebody else noted a use meanwhile, or the client is gone.
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                Ok(failed.item.as_ref().is_some_and(|item| item.contains_key(CLIENT)))
            }
            _ => Err(fault(&error)),
        }
    }
}

fn read(key: &Key, item: Item) -> Result<Standing, Unreadable> {
    #[derive(Deserialize)]
    struct Attributes {
        client: Option<Client>,
        deleted: Option<Deletion>,
        #[serde(default)]
        history: Vec<Undone>,
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
            let revoked_until = history.iter().map(|undone| undone.deletion.at.max(undone.restored.at)).max();
            Ok(Standing::Live { revoked_until, dynamic, idle })
        }
        (None, Some(deletion)) => Ok(Standing::Deleted(deletion)),
        (None, None) => Err(Unreadable { key: key.clone(), why: "it holds no client and no deletion".to_owned() }),
    }
}
