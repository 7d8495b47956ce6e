//! The clients table: one `BatchGetItem` to read, one conditional `UpdateItem` to delete.
//!
//! `token` and `dynamic` are reserved words of DynamoDB. Expressions name these attributes by a placeholder with `#`.

use super::{
    abridged::Abridged,
    call::{RecordAttempts, fault, is_validation, not_built, record_unprocessed},
    item::{self, Item},
    schema::{KEY, TOKEN},
};
use crate::{
    model::{Client, Deletion, Idle, Kind, Notice, OWNER, epoch_seconds},
    rule::{Authorization, Precondition},
    snapshot::{Key, Record, Snapshot},
    store::{CallStatistics, Fault, Store, WriteOutcome},
};
use aws_sdk_dynamodb::{
    Client as Sdk, config,
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure},
};
use std::{
    collections::{BTreeSet, HashMap},
    time::{Duration, SystemTime},
};

/// The attributes that a decision needs. The client in a tombstone is not one of them.
const DECIDING: &str = "pk, client, deleted, service, #token, expires_at, history, idle, idle_since, notice";
/// Turns a client into a tombstone.
const TOMBSTONE_OF_CLIENT: &str =
    "SET tombstone = client, deleted = :deleted, expires_at = :expires_at REMOVE client, idle, idle_since, notice";

/// The most rounds of a read. Each further round asks for the keys that DynamoDB left unprocessed.
const MAX_ROUNDS: u32 = 4;
/// The wait before the second round. The wait doubles with each round.
const FIRST_WAIT: Duration = Duration::from_millis(25);
const SECOND: Duration = Duration::from_secs(1);

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

    /// How long a deleted client can be restored.
    #[must_use]
    pub fn retention(&self) -> Duration {
        self.retention
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

    /// Reads the items under these keys: the attributes of `projection`, or all. Asks again for keys that DynamoDB
    /// leaves unprocessed.
    pub(super) async fn batch_get(
        &self,
        keys: &BTreeSet<Key>,
        projection: Option<&'static str>,
    ) -> Result<Vec<Item>, Fault> {
        let mut wanted = Some(read_of(keys, projection)?);
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
        let (items, _) = CallStatistics::of_call(Box::pin(self.batch_get(&keys, Some(DECIDING)))).await;
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
        match self.write(authorization, deletion, None).await? {
            Some(outcome) => Ok(outcome),
            // Boxed, because it is rare and every deletion would contain it.
            None => Box::pin(self.write_abridged(authorization, deletion)).await,
        }
    }
}

impl ClientsTable {
    /// Writes a tombstone. Without `abridged`, it has the whole client.
    ///
    /// Returns `None` if DynamoDB answers with a validation error and writes nothing: the item may become too large.
    pub(super) async fn write(
        &self,
        authorization: &Authorization<'_>,
        deletion: &Deletion,
        abridged: Option<Abridged>,
    ) -> Result<Option<WriteOutcome>, Fault> {
        let expires_at = if deletion.blocked.is_some() { item::never() } else { self.expiry_of_tombstone(deletion.at) };
        let update = self
            .sdk
            .update_item()
            .table_name(&self.name)
            .key(KEY, item::key(&Key::Client(authorization.target.clone())))
            .expression_attribute_values(":deleted", item::of_deletion(deletion))
            .expression_attribute_values(":expires_at", expires_at);
        let update = match &abridged {
            None => update.update_expression(TOMBSTONE_OF_CLIENT),
            Some(abridged) => abridged.update(update),
        };
        let Some((outcome, is_ambiguous)) = update_if(update, authorization, abridged).await? else { return Ok(None) };
        let is_own = |found: &Option<Record>| matches!(found, Some(Record::Deleted(earlier)) if earlier.is_of(&deletion.request_id));
        match &outcome {
            WriteOutcome::ConditionFailed(found) if is_ambiguous && !is_own(found) => {
                Err(Fault::Unavailable("an earlier attempt of the write may still take effect".to_owned()))
            }
            _ => Ok(Some(outcome)),
        }
    }

    /// The expiry of a tombstone that can be restored from this time on.
    pub(super) fn expiry_of_tombstone(&self, from: SystemTime) -> AttributeValue {
        item::number(epoch_seconds::of(from).saturating_add(self.retention.as_secs()))
    }
}

/// Sends the update, on condition that the client is as the authorization says. Returns also whether an attempt was
/// ambiguous.
///
/// Returns `None` if DynamoDB answers with a validation error and writes nothing: the item may become too large.
pub(super) async fn update_if(
    update: UpdateItemFluentBuilder,
    authorization: &Authorization<'_>,
    abridged: Option<Abridged>,
) -> Result<Option<(WriteOutcome, bool)>, Fault> {
    let update = only_if(update, authorization, abridged)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
    let (answer, statistics) = CallStatistics::of_call(Box::pin(update.send())).await;
    let is_ambiguous = statistics.ambiguous > 0;
    let Err(error) = answer else { return Ok(Some((WriteOutcome::Written, is_ambiguous))) };
    let Some(UpdateItemError::ConditionalCheckFailedException(failed)) = error.as_service_error() else {
        return match fault(&error) {
            // The last attempt changed nothing, but an earlier one may have.
            Fault::Unexpected(why) if is_ambiguous => Err(Fault::Unavailable(why)),
            Fault::Unexpected(_) if is_validation(&error) => Ok(None),
            fault => Err(fault),
        };
    };
    Ok(Some((WriteOutcome::ConditionFailed(failed.item.clone().map(item::read)), is_ambiguous)))
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

/// The strongly consistent read of these keys: the attributes of `projection`, or all.
fn read_of(keys: &BTreeSet<Key>, projection: Option<&'static str>) -> Result<KeysAndAttributes, Fault> {
    KeysAndAttributes::builder()
        .set_keys(Some(keys.iter().map(|key| HashMap::from([(KEY.to_owned(), item::key(key))])).collect()))
        .consistent_read(true)
        .set_projection_expression(projection.map(ToOwned::to_owned))
        .set_expression_attribute_names(projection.map(|_| HashMap::from([("#token".to_owned(), TOKEN.to_owned())])))
        .build()
        .map_err(not_built)
}

/// The update, on condition that the client is live, is not protected, has the kind and the version that were read, and
/// meets each precondition.
fn only_if(
    update: UpdateItemFluentBuilder,
    authorization: &Authorization<'_>,
    abridged: Option<Abridged>,
) -> UpdateItemFluentBuilder {
    let live = Condition { update, text: "attribute_exists(client)".to_owned() }
        .also("client.kind = :kind", ":kind", item::of_text(authorization.kind))
        .also("(attribute_not_exists(client.protected) OR client.protected = :no)", ":no", AttributeValue::Bool(false));
    let of_version = match item::of_version(&authorization.version) {
        Some(version) => live.also("client.version = :version", ":version", version),
        None => live.and("attribute_not_exists(client.version)"),
    };
    let unchanged = match abridged {
        Some(Abridged { client, .. }) => of_version.also("client = :client", ":client", AttributeValue::M(client)),
        None => of_version,
    };
    let preconditions = authorization.preconditions.iter();
    let Condition { update, text } = preconditions.fold(unchanged, |condition, precondition| match *precondition {
        Precondition::Application(application) => {
            condition.also("client.app_id = :application", ":application", item::of_text(application))
        }
        Precondition::NotOwner => condition.not_owner(&authorization.features),
        Precondition::RegistrationToken(digest) => {
            condition.also("client.registration_token_digest = :digest", ":digest", item::of_digest(digest))
        }
        Precondition::Dynamic => condition.dynamic(),
        Precondition::RegisteredAt(service) => {
            condition.dynamic().also("client.service_id = :service", ":service", item::of_text(service.as_str()))
        }
        // The item may hold a fraction of a second.
        Precondition::Idle(idle) => condition
            .also("begins_with(idle, :idle)", ":idle", item::of_text(item::idle_prefix(idle.used)))
            .also("idle_since >= :since", ":since", item::of_time(idle.since))
            .also("idle_since < :later", ":later", item::of_time(idle.since + SECOND)),
        Precondition::Notice(Notice { idle, sweep_at }) => condition
            .also("notice.used = :used", ":used", AttributeValue::Bool(idle.used))
            .also("notice.idle_since = :noticed", ":noticed", item::of_time(idle.since))
            .also("notice.sweep_at >= :sweep_at", ":sweep_at", item::of_time(sweep_at))
            .also("notice.sweep_at < :after", ":after", item::of_time(sweep_at + SECOND)),
        Precondition::NoNotice => condition.and("attribute_not_exists(notice)"),
        Precondition::StaleNotice(idle) => condition.stale_notice(idle),
    });
    update.condition_expression(text)
}

/// A condition on the members of a live client, under construction.
struct Condition {
    update: UpdateItemFluentBuilder,
    text: String,
}

impl Condition {
    /// Adds a clause.
    fn and(mut self, clause: &str) -> Self {
        self.text.extend([" AND ", clause]);
        self
    }

    /// Adds a clause. `placeholder` in it is replaced by this value.
    fn also(self, clause: &str, placeholder: &str, value: AttributeValue) -> Self {
        let Self { update, text } = self.and(clause);
        Self { update: update.expression_attribute_values(placeholder, value), text }
    }

    /// Adds the condition that the client does not have the feature `owner`. A list must be the one that was read,
    /// because no function tests the types of its elements.
    fn not_owner(self, features: &[String]) -> Self {
        let Self { update, text } = self.and(
            "(attribute_not_exists(client.features) OR (client.features = :features \
             OR attribute_type(client.features, :texts)) AND NOT contains(client.features, :owner))",
        );
        let update = update
            .expression_attribute_values(":features", item::of_texts(features))
            .expression_attribute_values(":texts", item::of_text("SS"))
            .expression_attribute_values(":owner", item::of_text(OWNER));
        Self { update, text }
    }

    /// Adds the condition that there is a notice, and that it cannot be read or is not of this idle time.
    fn stale_notice(self, idle: Idle) -> Self {
        let Self { update, text } = self.and(
            "attribute_exists(notice) AND NOT (notice.used = :used AND notice.idle_since = :noticed \
             AND notice.sweep_at >= :epoch AND notice.sweep_at < :end)",
        );
        let update = update
            .expression_attribute_values(":used", AttributeValue::Bool(idle.used))
            .expression_attribute_values(":noticed", item::of_time(idle.since))
            .expression_attribute_values(":epoch", item::number(0))
            .expression_attribute_values(":end", item::number(epoch_seconds::END));
        Self { update, text }
    }

    /// Adds the condition that the client registered itself.
    fn dynamic(self) -> Self {
        let update = self.update.expression_attribute_names("#dynamic", "dynamic");
        Self { update, ..self }.also("client.#dynamic = :yes", ":yes", AttributeValue::Bool(true))
    }
}
