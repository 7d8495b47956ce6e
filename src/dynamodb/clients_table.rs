//! The clients table: one `BatchGetItem` to read, one conditional `UpdateItem` to delete.
//!
//! `token` and `dynamic` are reserved words of DynamoDB. Expressions name these attributes by a placeholder with `#`.

use super::{
    call::{RecordAttempts, fault, not_built, record_unprocessed},
    item::{self, Item},
    schema::KEY,
};
use crate::{
    model::{Client, Deletion, Kind, OWNER, Version, epoch_seconds},
    rule::{Authorization, Precondition},
    snapshot::{Key, Record, Snapshot},
    store::{CallStatistics, Fault, Store, WriteOutcome},
};
use aws_sdk_dynamodb::{
    Client as Sdk, config,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    primitives::Blob,
    types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure},
};
use std::{
    collections::{BTreeSet, HashMap},
    time::Duration,
};

/// The most rounds of a read. Each further round asks for the keys that DynamoDB left unprocessed.
const MAX_ROUNDS: u32 = 4;
/// The wait before the second round. The wait doubles with each round.
const FIRST_WAIT: Duration = Duration::from_millis(25);

/// The table of clients, services and access tokens.
#[derive(Debug, Clone)]
pub struct ClientsTable {
    sdk: Sdk,
    name: String,
    retention: Duration,
}

impl ClientsTable {
    /// The table with this name, in the database that `config` names. A deleted client can be restored for `retention`.
    pub fn new(config: config::Builder, name: impl Into<String>, retention: Duration) -> Self {
        let sdk = Sdk::from_conf(config.interceptor(RecordAttempts).build());
        Self { sdk, name: name.into(), retention }
    }

    /// The SDK's client.
    pub(super) fn sdk(&self) -> &Sdk {
        &self.sdk
    }

    /// The table's name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Opens the connection with a read of a key that does not exist, for at most `limit`. Errors are ignored: the
    /// first request will meet them. A limit of zero does nothing.
    pub async fn open(&self, limit: Duration) {
        if limit.is_zero() {
            return;
        }
        let missing = BTreeSet::from([Key::Token("none".to_owned())]);
        let _ = tokio::time::timeout(limit, self.load(missing)).await;
    }

    /// Reads the items under these keys. Asks again for keys that DynamoDB leaves unprocessed.
    async fn batch_get(&self, keys: &BTreeSet<Key>) -> Result<Vec<Item>, Fault> {
        let mut wanted = Some(read_of(keys)?);
        let mut items = Vec::with_capacity(keys.len());
        let mut wait = FIRST_WAIT;
        for round in 0..MAX_ROUNDS {
            let Some(keys) = wanted.take() else { break };
            if round > 0 {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            let (found, unprocessed) = self.batch_get_once(keys).await?;
            items.extend(found);
            wanted = unprocessed;
        }
        match wanted {
            None => Ok(items),
            Some(_) => Err(Fault::Unavailable("keys were left unprocessed in every round".to_owned())),
        }
    }

    async fn batch_get_once(&self, wanted: KeysAndAttributes) -> Result<(Vec<Item>, Option<KeysAndAttributes>), Fault> {
        let call = self.sdk.batch_get_item().request_items(&self.name, wanted).send();
        let answer = call.await.map_err(|error| fault(&error))?;
        let found = answer.responses.and_then(|mut tables| tables.remove(&self.name));
        let unprocessed = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.name));
        if found.is_none() && unprocessed.is_none() {
            // DynamoDB answers with an empty list if nothing matches. An answer without our table is malformed; reading
            // it as empty would refuse valid callers.
            return Err(Fault::Unavailable("the answer does not name the table".to_owned()));
        }
        let unprocessed = unprocessed.filter(|unprocessed| !unprocessed.keys.is_empty());
        if unprocessed.is_some() {
            record_unprocessed();
        }
        Ok((found.unwrap_or_default(), unprocessed))
    }
}

impl Store for ClientsTable {
    async fn load(&self, keys: BTreeSet<Key>) -> Result<Snapshot, Fault> {
        let (items, _) = CallStatistics::of_call(Box::pin(self.batch_get(&keys))).await;
        let by_key: HashMap<String, Key> = keys.into_iter().map(|key| (key.to_string(), key)).collect();
        let record = |item: Item| {
            let key = by_key.get(item.get(KEY)?.as_s().ok()?)?.clone();
            let record = item::read(item);
            warn_of_unreadable_entries(&key, &record);
            Some((key, record))
        };
        Ok(items?.into_iter().filter_map(record).collect())
    }

    async fn write_tombstone(
        &self,
        authorization: &Authorization<'_>,
        deletion: &Deletion,
    ) -> Result<WriteOutcome, Fault> {
        let deleted = serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(deletion).map_err(not_built)?;
        let expires_at = epoch_seconds::of(deletion.at).saturating_add(self.retention.as_secs());
        let update = self
            .sdk
            .update_item()
            .table_name(&self.name)
            .key(KEY, item::key(&Key::Client(authorization.target.clone())))
            .update_expression(
                "SET tombstone = client, deleted = :deleted, expires_at = :expires_at REMOVE client, idle, idle_since",
            )
            .expression_attribute_values(":deleted", deleted)
            .expression_attribute_values(":expires_at", AttributeValue::N(expires_at.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let (answer, statistics) =
            CallStatistics::of_call(Box::pin(only_if(update, &authorization.preconditions).send())).await;
        let Err(error) = answer else { return Ok(WriteOutcome::Written) };
        let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
            return Err(match fault(&error) {
                // The last attempt changed nothing, but an earlier one may have.
                Fault::Unexpected(why) if statistics.ambiguous > 0 => Fault::Unavailable(why),
                fault => fault,
            });
        };
        let found = failed.item.clone().map(item::read);
        let is_own = matches!(&found, Some(Record::Deleted(earlier)) if earlier.is_of(&deletion.request_id));
        if statistics.ambiguous > 0 && !is_own {
            return Err(Fault::Unavailable("an earlier attempt of the write may still take effect".to_owned()));
        }
        Ok(WriteOutcome::ConditionFailed(found))
    }
}

/// Warns of the entries of an allow list that cannot be read: they admit no address. The line shows at most five
/// entries, each shortened.
fn warn_of_unreadable_entries(key: &Key, record: &Record) {
    if let Record::Client(Client { kind: Kind::Api(client), .. }) = record {
        let mut unreadable = client.ip_allow_list.unreadable();
        let cut = |entry: &str| entry.chars().take(64).collect::<String>();
        let entries: Vec<_> = unreadable.by_ref().take(5).map(cut).collect();
        if !entries.is_empty() {
            let others = unreadable.count();
            tracing::warn!(%key, ?entries, others, "entries of the allow list cannot be read, and admit no address");
        }
    }
}

/// The strongly consistent read of these keys. It reads only the attributes that a decision needs, and not the client
/// in a tombstone.
fn read_of(keys: &BTreeSet<Key>) -> Result<KeysAndAttributes, Fault> {
    KeysAndAttributes::builder()
        .set_keys(Some(keys.iter().map(|key| HashMap::from([(KEY.to_owned(), item::key(key))])).collect()))
        .consistent_read(true)
        .projection_expression("pk, client, deleted, service, #token, expires_at, idle, idle_since")
        .expression_attribute_names("#token", "token")
        .build()
        .map_err(not_built)
}

/// The update, on condition that the client is live, is not protected, and meets each precondition.
fn only_if(update: UpdateItemFluentBuilder, preconditions: &[Precondition<'_>]) -> UpdateItemFluentBuilder {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: u64| AttributeValue::N(number.to_string());
    let live = Condition { update, text: "attribute_exists(client)".to_owned() }.also(
        "(attribute_not_exists(client.protected) OR client.protected = :no)",
        ":no",
        AttributeValue::Bool(false),
    );
    let Condition { update, text } = preconditions.iter().fold(live, |condition, precondition| match *precondition {
        Precondition::Application(application) => condition.also("client.kind = :kind", ":kind", text("api")).also(
            "client.app_id = :application",
            ":application",
            text(application),
        ),
        Precondition::NotOwner => condition.also("NOT contains(client.features, :owner)", ":owner", text(OWNER)),
        Precondition::RegistrationToken(digest) => condition.also(
            "client.registration_token_digest = :digest",
            ":digest",
            AttributeValue::B(Blob::new(digest.as_bytes())),
        ),
        Precondition::Dynamic => condition.dynamic(),
        Precondition::RegisteredAt(service) => {
            condition.dynamic().also("client.service_id = :service", ":service", text(service.as_str()))
        }
        Precondition::Idle(idle) => condition
            .also("begins_with(idle, :idle)", ":idle", text(item::idle_prefix(idle.used)))
            .also("idle_since = :since", ":since", number(epoch_seconds::of(idle.since))),
        Precondition::Version(Version(version)) => {
            condition.also("client.version = :version", ":version", number(version))
        }
    });
    update.condition_expression(text)
}

/// A condition on the members of a live client, under construction.
struct Condition {
    update: UpdateItemFluentBuilder,
    text: String,
}

impl Condition {
    /// Adds a clause. `placeholder` in it is replaced by this value.
    fn also(self, clause: &str, placeholder: &str, value: AttributeValue) -> Self {
        let Self { update, mut text } = self;
        text.extend([" AND ", clause]);
        Self { update: update.expression_attribute_values(placeholder, value), text }
    }

    /// Adds the condition that the client registered itself.
    fn dynamic(self) -> Self {
        let update = self.update.expression_attribute_names("#dynamic", "dynamic");
        Self { update, ..self }.also("client.#dynamic = :yes", ":yes", AttributeValue::Bool(true))
    }
}
