//! The cascade: it removes what was issued to a deleted client (RFC 7592, section 2.3).
//!
//! The tombstone revokes all of it at once: [`ClientStatus`] refuses it. The cascade then removes the grants. It is a
//! function on the table's stream, which delivers every deletion at least once. It takes only the client's id, the time
//! and whether the id is blocked from a record, and reads the client's status from the table. So it keeps no state: after
//! an interrupted run, run it again.
//!
//! A server may not store the client of a blocked id. Then its grants are removed only as long as the id is blocked.
//!
//! An index of grants lags behind its table. If a deletion is so recent that the index may not show every grant, the
//! cascade purges twice: at once, and again after [`Grants::lag`]. A grant that the index shows even later is not removed.

use super::{
    record::{Cost, Environment},
    wait::Wait,
};
use crate::{
    invocation::Invocation,
    json::{self, RawValue},
    model::Id,
    store::{CallStatistics, ClientStatus, ClientStatuses, Fault, Grants, before},
    telemetry::{self, Metric, Metrics},
};
use aws_lambda_events::streams::{DynamoDbBatchItemFailure, DynamoDbEventResponse};
use lambda_runtime::{Context, Diagnostic, LambdaEvent};
use serde::{Deserialize, Deserializer, Serialize};
use std::{
    borrow::Cow,
    collections::BTreeSet,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Time reserved for the response, which lists the records that failed.
const RESPONSE_MARGIN: Duration = Duration::from_secs(2);

/// The function that removes the grants of deleted clients.
#[derive(Debug, Clone)]
pub struct Cascade<C, G> {
    clients: C,
    grants: G,
    clock: fn() -> SystemTime,
    environment: Environment,
}

/// Some records of the table's stream, as Lambda delivers them. Every JSON can be read as a batch.
#[derive(Debug)]
pub struct Batch {
    /// `None` if the batch has no list of records.
    records: Option<Vec<Record>>,
}

/// What the cascade reads of a record. A member that is missing, of a wrong type or there twice counts as absent.
#[derive(Debug)]
struct Record {
    sequence_number: Option<String>,
    /// The key of the item.
    key: Option<String>,
    /// Whether the id is blocked after the change.
    is_block: bool,
    /// When the stream got the record, in whole seconds, rounded down.
    created: Option<SystemTime>,
}

impl<'de> Deserialize<'de> for Batch {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        // Owned, because not every deserializer has a text that can be borrowed.
        let batch = Box::<RawValue>::deserialize(deserializer)?;
        let [records] = json::values(Some(&batch), ["Records"]);
        let records = records.and_then(json::list).map(|records| records.into_iter().map(Record::read).collect());
        Ok(Self { records })
    }
}

impl Record {
    fn read(record: &RawValue) -> Self {
        let [change] = json::values(Some(record), ["dynamodb"]);
        let [sequence_number, keys, created, image] =
            json::values(change, ["SequenceNumber", "Keys", "ApproximateCreationDateTime", "NewImage"]);
        let is_block = ["deleted", "M", "blocked"].into_iter().fold(image, |image, name| {
            let [member] = json::values(image, [name]);
            member
        });
        let is_block = is_block.is_some();
        let [key] = json::values(keys, ["pk"]);
        let [key] = json::values(key, ["S"]);
        let text = |value: Option<_>| value.and_then(json::text).map(Cow::into_owned);
        // Seconds since the epoch. A number has several forms, such as 1.8E9.
        let created = created.and_then(|seconds| Duration::try_from_secs_f64(seconds.get().parse().ok()?).ok());
        let created = created.and_then(|since| SystemTime::UNIX_EPOCH.checked_add(since));
        Self { sequence_number: text(sequence_number), key: text(key), is_block, created }
    }
}

/// A batch that the function cannot process. Lambda must deliver all of it again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error, strum::IntoStaticStr)]
pub enum UnreadableBatch {
    /// The event has no list of records.
    #[error("the event has no list of records")]
    NoRecords,
    /// A record has no sequence number, so it cannot be reported as failed.
    #[error("a record of the stream has no sequence number")]
    NoSequenceNumber,
}

impl From<UnreadableBatch> for Diagnostic {
    fn from(error: UnreadableBatch) -> Self {
        Self { error_type: <&str>::from(error).to_owned(), error_message: error.to_string() }
    }
}

/// The outcome of a purge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PurgeOutcome {
    /// The purge found no more grants of the client.
    Removed,
    /// The client was restored, or its id unblocked: its grants stay.
    Kept,
}

/// The removal of one client's grants, and its progress.
struct Purge<'r> {
    sequence_number: &'r str,
    client: Id,
    keeps: Keeps,
    /// When the lag of the index is over. A pass that starts earlier is repeated.
    settled: Instant,
    removed: usize,
    duration: Duration,
    calls: CallStatistics,
}

/// Whether the grants of a client with this status stay.
type Keeps = fn(&ClientStatus) -> bool;

/// Without an item, the id is free again: a server may have issued grants to a client that it does not store.
fn keeps_after_a_block(status: &ClientStatus) -> bool {
    !matches!(status, ClientStatus::Deleted(_))
}

impl<'r> Purge<'r> {
    /// The purge for the item with this key. `None` if the item is not a client: nothing was issued to it.
    fn of(sequence_number: &'r str, key: &str, is_block: bool, settled: Instant) -> Option<Self> {
        let keeps = if is_block { keeps_after_a_block } else { ClientStatus::is_live };
        let client = Id::new(key.strip_prefix("client#")?)?;
        let (duration, calls) = (Duration::ZERO, CallStatistics::default());
        Some(Self { sequence_number, client, keeps, settled, removed: 0, duration, calls })
    }
}

impl<C: ClientStatuses, G: Grants> Cascade<C, G> {
    /// The function over these tables. `clock` gives the time.
    pub fn new(clients: C, grants: G, clock: fn() -> SystemTime, environment: Environment) -> Self {
        Self { clients, grants, clock, environment }
    }

    /// Removes the grants of the clients that the records name. A purge that fails does not delay the others. If the
    /// database is unavailable, the purge is tried again while there is time. Returns the records that Lambda must
    /// deliver again.
    ///
    /// # Errors
    /// [`UnreadableBatch`]: Lambda must deliver the whole batch again.
    pub async fn call(&self, event: LambdaEvent<Batch>) -> Result<DynamoDbEventResponse, UnreadableBatch> {
        let LambdaEvent { payload, context } = event;
        let invocation = Invocation::new(&context, (self.clock)(), RESPONSE_MARGIN);
        let records = payload.records.ok_or(UnreadableBatch::NoRecords)?;
        let numbers = records.iter().map(|record| record.sequence_number.as_deref());
        let numbers = numbers.collect::<Option<Vec<_>>>().ok_or(UnreadableBatch::NoSequenceNumber)?;
        let (mut purges, mut failed) = (Vec::new(), BTreeSet::new());
        for (record, &number) in records.iter().zip(&numbers) {
            if let Some(key) = &record.key {
                purges.extend(Purge::of(number, key, record.is_block, self.settled(record.created, invocation.now)));
            } else {
                tracing::error!(sequence_number = number, "a record of the stream has no key of the clients table");
                failed.insert(number);
            }
        }
        failed.extend(self.run(purges, invocation.deadline, &context).await);
        let mut response = DynamoDbEventResponse::default();
        for number in numbers.into_iter().filter(|number| failed.contains(number)) {
            let mut failure = DynamoDbBatchItemFailure::default();
            failure.item_identifier = Some(number.to_owned());
            response.batch_item_failures.push(failure);
        }
        Ok(response)
    }

    /// When the lag of the index is over, for a deletion whose record was created at this time.
    fn settled(&self, created: Option<SystemTime>, now: SystemTime) -> Instant {
        let lag = self.grants.lag();
        if lag.is_zero() {
            return Instant::now();
        }
        // A clock that is behind the stream's does not shorten the wait.
        let age = now.duration_since(created.unwrap_or(now)).unwrap_or_default();
        let age = age.saturating_sub(Duration::from_secs(1));
        Instant::now() + lag.saturating_sub(age)
    }

    /// Runs the purges, and logs a record for each. Returns the sequence numbers of those that failed.
    async fn run<'r>(&self, purges: Vec<Purge<'r>>, deadline: Instant, context: &Context) -> Vec<&'r str> {
        let (mut failed, mut again) = (Vec::new(), Vec::new());
        self.run_pass(purges, deadline, context, &mut failed, Some(&mut again)).await;
        if let Some(settled) = again.iter().map(|purge| purge.settled).max() {
            tokio::time::sleep_until(settled.min(deadline)).await;
            self.run_pass(again, deadline, context, &mut failed, None).await;
        }
        failed
    }

    /// Runs the purges one after the other. Adds to `failed` the sequence numbers of those that failed. Those that began
    /// before the pages were settled are added to `again`, and not logged.
    async fn run_pass<'r>(
        &self,
        mut purges: Vec<Purge<'r>>,
        deadline: Instant,
        context: &Context,
        failed: &mut Vec<&'r str>,
        mut again: Option<&mut Vec<Purge<'r>>>,
    ) {
        let mut wait = Wait::FIRST;
        loop {
            let (mut unfinished, mut progress) = (Vec::new(), false);
            for mut purge in purges {
                let (started, removed_before) = (Instant::now(), purge.removed);
                // Boxed, because the SDK's futures are large.
                let work =
                    Box::pin(before(deadline, self.purge_unless(purge.keeps, &purge.client, &mut purge.removed)));
                let (result, calls) = CallStatistics::collect(work).await;
                purge.duration += started.elapsed();
                purge.calls.add(&calls);
                if matches!(result, Err(Fault::Unavailable(_))) && wait.ends_before(deadline) {
                    progress |= purge.removed > removed_before;
                    unfinished.push(purge);
                    continue;
                }
                progress = true;
                match &mut again {
                    Some(again) if result == Ok(PurgeOutcome::Removed) && started < purge.settled => again.push(purge),
                    _ => {
                        failed.extend(result.is_err().then_some(purge.sequence_number));
                        self.log(&purge, &result, context);
                    }
                }
            }
            if unfinished.is_empty() {
                return;
            }
            purges = unfinished;
            wait.pass(progress).await;
        }
    }

    /// Removes the grants of a client that is not live, page by page. Adds the number of removed grants to `removed`.
    ///
    /// # Errors
    /// [`Fault`] if the database fails. Some grants may be left then.
    pub async fn purge(&self, client: &Id, removed: &mut usize) -> Result<PurgeOutcome, Fault> {
        self.purge_unless(ClientStatus::is_live, client, removed).await
    }

    async fn purge_unless(&self, keeps: Keeps, client: &Id, removed: &mut usize) -> Result<PurgeOutcome, Fault> {
        let mut after = None;
        loop {
            let page = self.grants.page(client, after).await?;
            if !page.keys.is_empty() {
                // Read the status after the page. If the client is restored later, its new grants are not in this page.
                if keeps(&self.clients.client_status(client).await?) {
                    return Ok(PurgeOutcome::Kept);
                }
                self.grants.remove(client, page.keys, removed).await?;
            }
            after = page.next;
            if after.is_none() {
                return Ok(PurgeOutcome::Removed);
            }
        }
    }

    fn log(&self, purge: &Purge<'_>, result: &Result<PurgeOutcome, Fault>, context: &Context) {
        let is_cold = self.environment.is_cold();
        let record = PurgeRecord {
            outcome: match result {
                Ok(PurgeOutcome::Removed) => "removed",
                Ok(PurgeOutcome::Kept) => "kept",
                Err(_) => "unfinished",
            },
            reason: result.as_ref().err().map(Fault::to_string),
            client_id: &purge.client,
            grants_removed: purge.removed,
            cost: Cost::new(context, &self.environment, is_cold, purge.duration, &purge.calls),
        };
        telemetry::write(&record, self.environment.namespace(), (self.clock)());
    }
}

/// The record of a purge.
#[derive(Serialize)]
struct PurgeRecord<'p> {
    outcome: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    client_id: &'p Id,
    grants_removed: usize,
    #[serde(flatten)]
    cost: Cost<'p>,
}

impl telemetry::Record for PurgeRecord<'_> {
    const METRICS: &'static [Metrics] = &[Metrics {
        dimensions: &[&["outcome"]],
        metrics: &[
            Metric { name: "grants_removed", unit: "Count" },
            Metric { name: "duration_ms", unit: "Milliseconds" },
        ],
    }];

    fn is_failure(&self) -> bool {
        self.reason.is_some()
    }

    fn message(&self) -> &'static str {
        match self.outcome {
            "removed" => "found no more grants of the client",
            "kept" => "kept the grants of a client that is not deleted",
            _ => "left grants of a deleted client for a later attempt",
        }
    }
}
