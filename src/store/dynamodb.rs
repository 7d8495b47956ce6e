//! The store on DynamoDB: one `BatchGetItem`, one conditional `UpdateItem`.
//!
//! Of the names in the expressions, `token` and `dynamic` are words that DynamoDB reserves, and stand behind a `#`.

use super::{
    Burial, Fault, Meter, Store,
    item::{self, Item},
    meter::{CountTries, THROTTLES},
    table::KEY,
};
use crate::{
    client::{self, Deletion, Kind, OWNER, Version, epoch_seconds},
    rule::{Facts, Key, Permit, Premise, Record},
};
use aws_sdk_dynamodb::{
    Client, config,
    error::{ProvideErrorMetadata, SdkError},
    operation::update_item::{UpdateItemError, builders::UpdateItemFluentBuilder},
    primitives::Blob,
    types::{AttributeValue, KeysAndAttributes, ReturnValuesOnConditionCheckFailure},
};
use std::{
    collections::{BTreeSet, HashMap},
    error::Error,
    iter,
    time::Duration,
};

/// A table in DynamoDB.
#[derive(Debug, Clone)]
pub struct DynamoDb {
    client: Client,
    table: String,
    retention: Duration,
}

impl DynamoDb {
    /// How often keys that DynamoDB left unprocessed are asked for again.
    const ROUNDS: u32 = 4;
    /// How long to wait before the first of these rounds; the wait doubles with each.
    const FIRST_WAIT: Duration = Duration::from_millis(25);

    /// The table with this name, at the database that `config` leads to; what is deleted in it can be restored for as long
    /// as `retention`.
    pub fn new(config: config::Builder, table: impl Into<String>, retention: Duration) -> Self {
        let client = Client::from_conf(config.interceptor(CountTries).build());
        Self { client, table: table.into(), retention }
    }

    /// The SDK's client.
    pub(super) fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Opens the connection ahead of the first request, by asking for an item that nobody has. What goes wrong is left to
    /// that request; nothing takes longer than `limit`, and a limit of zero leaves all to that request.
    pub async fn open(&self, limit: Duration) {
        if limit.is_zero() {
            return;
        }
        let nobodys = BTreeSet::from([Key::Token("none".to_owned())]);
        let _ = tokio::time::timeout(limit, self.load(nobodys, &Meter::default())).await;
    }

    /// Asks for these keys once, and says which of them DynamoDB left for another time.
    async fn batch_get(
        &self,
        wanted: KeysAndAttributes,
        meter: &Meter,
    ) -> Result<(Vec<Item>, Option<KeysAndAttributes>), Fault> {
        let call = self.client.batch_get_item().request_items(&self.table, wanted);
        let answer = meter.time(call.send()).await.map_err(|error| fault(&error))?;
        let found = answer.responses.and_then(|mut tables| tables.remove(&self.table));
        let left = answer.unprocessed_keys.and_then(|mut tables| tables.remove(&self.table));
        if found.is_none() && left.is_none() {
            // No items is an empty list of them. To take silence for it would refuse who may be known.
            return Err(Fault::Unavailable("the answer does not speak of the table".to_owned()));
        }
        Ok((found.unwrap_or_default(), left.filter(|left| !left.keys.is_empty())))
    }
}

impl Store for DynamoDb {
    async fn load(&self, keys: BTreeSet<Key>, meter: &Meter) -> Result<Facts, Fault> {
        let mut wanted = Some(read_of(&keys)?);
        let mut items = Vec::with_capacity(keys.len());
        let mut wait = Self::FIRST_WAIT;
        for round in 0..Self::ROUNDS {
            let Some(keys) = wanted.take() else { break };
            if round > 0 {
                tokio::time::sleep(wait).await;
                wait *= 2;
            }
            let (found, left) = self.batch_get(keys, meter).await?;
            items.extend(found);
            wanted = left;
        }
        if wanted.is_some() {
            return Err(Fault::Unavailable("keys were left unprocessed in every round".to_owned()));
        }
        let by_key: HashMap<String, Key> = keys.into_iter().map(|key| (key.to_string(), key)).collect();
        let record = |item: Item| {
            let key = by_key.get(item.get(KEY)?.as_s().ok()?)?.clone();
            let record = item::read(item);
            report_unreadable_entries(&key, &record);
            Some((key, record))
        };
        Ok(items.into_iter().filter_map(record).collect())
    }

    async fn bury(&self, permit: &Permit<'_>, deletion: &Deletion, meter: &Meter) -> Result<Burial, Fault> {
        let deleted = serde_dynamo::aws_sdk_dynamodb_1::to_attribute_value(deletion)
            .map_err(|error| Fault::Unexpected(error.to_string()))?;
        let expires_at = epoch_seconds::of(deletion.at).saturating_add(self.retention.as_secs());
        let update = self
            .client
            .update_item()
            .table_name(&self.table)
            .key(KEY, item::key(&Key::Client(permit.target.clone())))
            .update_expression(
                "SET tombstone = client, deleted = :deleted, expires_at = :expires_at REMOVE client, idle, idle_since",
            )
            .expression_attribute_values(":deleted", deleted)
            .expression_attribute_values(":expires_at", AttributeValue::N(expires_at.to_string()))
            .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld);
        let call = only_if(update, &permit.premises).send();
        let unheard = meter.unheard();
        let Err(error) = meter.time(call).await else {
            return Ok(Burial::Done);
        };
        match error.as_service_error() {
            Some(UpdateItemError::ConditionalCheckFailedException(failed)) => {
                let found = failed.item.clone().map(item::read);
                let is_own = matches!(&found, Some(Record::Deleted(earlier)) if earlier.is_of(&deletion.request_id));
                if meter.unheard() > unheard && !is_own {
                    return Err(Fault::Unavailable("an earlier try of the write may still arrive".to_owned()));
                }
                Ok(Burial::Refused(found))
            }
            _ => Err(fault(&error)),
        }
    }
}

/// Entries of an allow list that cannot be read admit nobody: somebody should know, in one line that stays short whatever is
/// in the list.
fn report_unreadable_entries(key: &Key, record: &Record) {
    if let Record::Client(client::Client { kind: Kind::Api(client), .. }) = record {
        let mut unreadable = client.ip_allow_list.unreadable();
        let cut = |entry: &str| entry.chars().take(64).collect::<String>();
        let entries: Vec<_> = unreadable.by_ref().take(5).map(cut).collect();
        if !entries.is_empty() {
            let others = unreadable.count();
            tracing::warn!(%key, ?entries, others, "entries of the allow list cannot be read, and admit nobody");
        }
    }
}

/// The read of these keys: strongly consistent, of the attributes that matter. What else an item holds, a tombstone's
/// client above all, stays in the table.
fn read_of(keys: &BTreeSet<Key>) -> Result<KeysAndAttributes, Fault> {
    KeysAndAttributes::builder()
        .set_keys(Some(keys.iter().map(|key| HashMap::from([(KEY.to_owned(), item::key(key))])).collect()))
        .consistent_read(true)
        .projection_expression("pk, client, deleted, service, #token, expires_at, idle, idle_since")
        .expression_attribute_names("#token", "token")
        .build()
        .map_err(|error| Fault::Unexpected(error.to_string()))
}

/// The update, on condition that the client is live, not protected, and as each premise says.
fn only_if(update: UpdateItemFluentBuilder, premises: &[Premise<'_>]) -> UpdateItemFluentBuilder {
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let number = |number: u64| AttributeValue::N(number.to_string());
    let live = Condition { update, text: "attribute_exists(client)".to_owned() }.also(
        "(attribute_not_exists(client.protected) OR client.protected = :no)",
        ":no",
        AttributeValue::Bool(false),
    );
    let Condition { update, text } = premises.iter().fold(live, |condition, premise| match *premise {
        Premise::Application(application) => condition.also("client.kind = :kind", ":kind", text("api")).also(
            "client.app_id = :application",
            ":application",
            text(application),
        ),
        Premise::NotOwner => condition.also("NOT contains(client.features, :owner)", ":owner", text(OWNER)),
        Premise::RegistrationToken(digest) => condition.also(
            "client.registration_token_digest = :digest",
            ":digest",
            AttributeValue::B(Blob::new(digest.as_bytes())),
        ),
        Premise::Dynamic => condition.dynamic(),
        Premise::RegisteredAt(service) => {
            condition.dynamic().also("client.service_id = :service", ":service", text(service.as_str()))
        }
        Premise::Idle(idle) => condition.also("begins_with(idle, :idle)", ":idle", text(item::prefix(idle.used))).also(
            "idle_since = :since",
            ":since",
            number(epoch_seconds::of(idle.since)),
        ),
        Premise::Version(Version(version)) => condition.also("client.version = :version", ":version", number(version)),
    });
    update.condition_expression(text)
}

/// A condition on the members of a live client, as it grows.
struct Condition {
    update: UpdateItemFluentBuilder,
    text: String,
}

impl Condition {
    /// The clause holds too, in which `placeholder` stands for this value.
    fn also(self, clause: &str, placeholder: &str, value: AttributeValue) -> Self {
        let Self { update, mut text } = self;
        text.extend([" AND ", clause]);
        Self { update: update.expression_attribute_values(placeholder, value), text }
    }

    /// The client registered itself.
    fn dynamic(self) -> Self {
        let update = self.update.expression_attribute_names("#dynamic", "dynamic");
        Self { update, ..self }.also("client.#dynamic = :yes", ":yes", AttributeValue::Bool(true))
    }
}

/// Whether the call may succeed later, or is wrong in itself. The text is for the log: codes and messages, never items.
pub(super) fn fault<E: ProvideErrorMetadata + Error + 'static>(error: &SdkError<E>) -> Fault {
    const CONFLICTS: [&str; 2] = ["ReplicatedWriteConflictException", "TransactionConflictException"];
    match error {
        SdkError::ServiceError(refused) => {
            let code = refused.err().code().unwrap_or("no error code");
            let message = refused.err().message().unwrap_or("no message");
            let text = format!("{code}: {message}");
            let status = refused.raw().status();
            // A success that cannot be read is nobody's refusal: the call may have taken effect.
            if status.is_success()
                || status.is_server_error()
                || status.as_u16() == 429
                || CONFLICTS.contains(&code)
                || THROTTLES.contains(&code)
            {
                Fault::Unavailable(text)
            } else {
                Fault::Unexpected(text)
            }
        }
        SdkError::ConstructionFailure(_) => Fault::Unexpected(causes(error)),
        _ => Fault::Unavailable(causes(error)),
    }
}

/// The error and what caused it, in one line.
fn causes(error: &dyn Error) -> String {
    let messages = iter::successors(Some(error), |&error| error.source()).map(ToString::to_string);
    messages.collect::<Vec<_>>().join(": ")
}
