//! The cascade: what was issued to a client goes with it (RFC 7592, section 2.3).
//!
//! The tombstone is a barrier at once ([`Standing`]); this clears away what stands behind it. It
//! is a function on the table's stream, which tells of every deletion at least once. All that it takes from a record is
//! whose client it is about; what is the case with that client it asks the table. So it keeps no state: a run that ends
//! anywhere is resumed by running again, with what is left.
//!
//! [`Standing`]: crate::store::Standing

use crate::{
    client::Id,
    deletion::in_time,
    function::time_left,
    store::{DynamoDb, Fault, Grants, Meter},
    telemetry::Clearance,
};
use lambda_http::{Context, LambdaEvent, lambda_runtime::Diagnostic};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What is kept of the time that an invocation has, so that it tells how far it came.
const TO_ANSWER: Duration = Duration::from_secs(2);
/// The wait before unfinished tasks get another turn, at first and at the most.
const FIRST_WAIT: Duration = Duration::from_millis(100);
const LONGEST_WAIT: Duration = Duration::from_secs(10);

/// The handler, with all that outlives an invocation.
#[derive(Debug, Clone)]
pub struct Cascade {
    clients: DynamoDb,
    grants: Grants,
    clock: fn() -> SystemTime,
}

/// Some records of the table's stream, as Lambda hands them over.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Batch {
    records: Vec<Value>,
}

/// The records that are to be handed over again, and in the end to the queue of those that nobody could handle.
#[derive(Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failures {
    /// In the order of the records.
    pub batch_item_failures: Vec<Failure>,
}

/// A record that is to be handed over again.
#[derive(Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Failure {
    /// Its sequence number.
    pub item_identifier: String,
}

/// A batch that says not even which of its records cannot be read.
#[derive(Debug, thiserror::Error)]
#[error("a record of the stream has no sequence number")]
pub struct NoSequenceNumber;

impl From<NoSequenceNumber> for Diagnostic {
    fn from(error: NoSequenceNumber) -> Self {
        Self { error_type: "NoSequenceNumber".to_owned(), error_message: error.to_string() }
    }
}

/// How the grants of a client ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// None is left.
    Removed,
    /// The client is live, since its deletion was undone: what is left stays.
    Kept,
}

/// What a record asks for, and how far that is.
struct Task<'r> {
    number: &'r str,
    client: Id,
    removed: usize,
    duration: Duration,
    meter: Meter,
}

impl<'r> Task<'r> {
    /// To remove the grants of the client with this key, if it is a client's.
    fn of(number: &'r str, key: &str) -> Option<Self> {
        let client = Id::new(key.strip_prefix("client#")?)?;
        Some(Self { number, client, removed: 0, duration: Duration::ZERO, meter: Meter::default() })
    }

    fn write(&self, fate: &Result<Fate, Fault>, context: &Context) {
        let Self { client, removed, duration, meter, .. } = self;
        Clearance { client, fate, removed: *removed, duration: *duration, meter, context }.write();
    }
}

impl Cascade {
    /// The handler over these tables; `clock` tells the time.
    pub fn new(clients: DynamoDb, grants: Grants, clock: fn() -> SystemTime) -> Self {
        Self { clients, grants, clock }
    }

    /// Removes what was issued to the clients that the records are about. One that fails does not keep the others waiting:
    /// where the database is out of reach or throttles, its turn comes again, for as long as there is time.
    ///
    /// # Errors
    /// [`NoSequenceNumber`]: the whole batch is to be handed over again.
    pub async fn call(
        &self,
        LambdaEvent { payload, context }: LambdaEvent<Batch>,
    ) -> Result<Failures, NoSequenceNumber> {
        let deadline = Instant::now() + time_left(&context, (self.clock)(), TO_ANSWER);
        let number = |record| Value::pointer(record, "/dynamodb/SequenceNumber").and_then(Value::as_str);
        let numbers = payload.records.iter().map(number).collect::<Option<Vec<_>>>().ok_or(NoSequenceNumber)?;
        let (mut tasks, mut failed) = (Vec::new(), BTreeSet::new());
        for (record, &number) in payload.records.iter().zip(&numbers) {
            if let Some(key) = record.pointer("/dynamodb/Keys/pk/S").and_then(Value::as_str) {
                // Of the items that are no clients nothing was ever issued.
                tasks.extend(Task::of(number, key));
            } else {
                tracing::error!(sequence_number = number, "a record of the stream has no key of the clients table");
                failed.insert(number);
            }
        }
        failed.extend(self.carry_out(tasks, deadline, &context).await);
        let failure = |number: &str| Failure { item_identifier: number.to_owned() };
        let failures = numbers.into_iter().filter(|number| failed.contains(number)).map(failure);
        Ok(Failures { batch_item_failures: failures.collect() })
    }

    /// Carries out the tasks, one after the other; a line in the log says how each ended. The numbers of those that failed.
    async fn carry_out<'r>(&self, mut tasks: Vec<Task<'r>>, deadline: Instant, context: &Context) -> Vec<&'r str> {
        let (mut failed, mut wait) = (Vec::new(), FIRST_WAIT);
        loop {
            let (mut unfinished, mut progress) = (Vec::new(), false);
            for mut task in tasks {
                let (started, before) = (Instant::now(), task.removed);
                // Boxed, since the SDK's futures are large.
                let work = Box::pin(self.remove_grants(&task.client, &mut task.removed, &task.meter));
                let fate = in_time(deadline, work).await;
                task.duration += started.elapsed();
                if matches!(fate, Err(Fault::Unavailable(_))) && Instant::now() + wait < deadline {
                    progress |= task.removed > before;
                    unfinished.push(task);
                } else {
                    progress = true;
                    failed.extend(fate.is_err().then_some(task.number));
                    task.write(&fate, context);
                }
            }
            if unfinished.is_empty() {
                return failed;
            }
            tasks = unfinished;
            tokio::time::sleep(wait).await;
            wait = if progress { FIRST_WAIT } else { LONGEST_WAIT.min(wait * 2) };
        }
    }

    /// Removes what was issued to a client that is no longer there, a page at a time, and adds to `removed` how much that
    /// was.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB refuses or cannot be reached. What is left then is left for another time.
    pub async fn remove_grants(&self, client: &Id, removed: &mut usize, meter: &Meter) -> Result<Fate, Fault> {
        loop {
            let page = self.grants.some_of(client, meter).await?;
            if page.is_empty() {
                return Ok(Fate::Removed);
            }
            // Asked after the grants: those of a client that is restored from now on are not among them.
            if meter.time(self.clients.standing(client)).await?.is_live() {
                return Ok(Fate::Kept);
            }
            self.grants.remove(page, removed, meter).await?;
        }
    }
}
