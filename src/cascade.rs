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
use std::time::{Duration, SystemTime};
use tokio::time::Instant;

/// What is kept of the time that an invocation has, so that it tells how far it came.
const TO_ANSWER: Duration = Duration::from_secs(2);

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

impl Cascade {
    /// The handler over these tables; `clock` tells the time.
    pub fn new(clients: DynamoDb, grants: Grants, clock: fn() -> SystemTime) -> Self {
        Self { clients, grants, clock }
    }

    /// Removes what was issued to the clients that the records are about. One that fails does not keep the others waiting.
    ///
    /// # Errors
    /// [`NoSequenceNumber`]: the whole batch is to be handed over again.
    pub async fn call(
        &self,
        LambdaEvent { payload, context }: LambdaEvent<Batch>,
    ) -> Result<Failures, NoSequenceNumber> {
        let deadline = Instant::now() + time_left(&context, (self.clock)(), TO_ANSWER);
        let mut failures = Failures::default();
        for record in &payload.records {
            let number = record.pointer("/dynamodb/SequenceNumber").and_then(Value::as_str).ok_or(NoSequenceNumber)?;
            if !self.handle(record, number, deadline, &context).await {
                failures.batch_item_failures.push(Failure { item_identifier: number.to_owned() });
            }
        }
        Ok(failures)
    }

    /// Whether all is done that the record asks for; a line in the log says what was.
    async fn handle(&self, record: &Value, number: &str, deadline: Instant, context: &Context) -> bool {
        let Some(key) = record.pointer("/dynamodb/Keys/pk/S").and_then(Value::as_str) else {
            tracing::error!(sequence_number = number, "a record of the stream has no key of the clients table");
            return false;
        };
        // Of the other items nothing was ever issued.
        let Some(client) = key.strip_prefix("client#").and_then(Id::new) else { return true };
        let (started, meter, mut removed) = (Instant::now(), Meter::default(), 0);
        // Boxed, since the SDK's futures are large.
        let fate = in_time(deadline, Box::pin(self.remove_grants(&client, &mut removed, &meter))).await;
        Clearance { client: &client, fate: &fate, removed, duration: started.elapsed(), meter: &meter, context }
            .write();
        fate.is_ok()
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
