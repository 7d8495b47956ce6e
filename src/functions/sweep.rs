//! The sweep: it deletes clients that registered themselves and are not used, by its [rule](crate::rule::sweep).
//!
//! It is a function on a schedule. It reads the index of idle clients, so the cost of a run depends on the number of
//! due clients, not on the size of the table. It deletes as the endpoints do, so each client can be restored. By
//! default, it only reports which clients it would delete.

use super::record::{Cost, Environment, NAMESPACE};
use crate::{
    deletion::{self, NotDeleted},
    invocation::Invocation,
    model::{Id, Idle, IdlePartition},
    rule::sweep::{Refusal, Request},
    settings,
    store::{CallStatistics, Fault, Grants, IdleClients, Store, before},
    telemetry::{self, Metric, Metrics},
};
use lambda_runtime::{Diagnostic, LambdaEvent};
use serde::{Serialize, de::IgnoredAny};
use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// Time reserved for the report.
const RESPONSE_MARGIN: Duration = Duration::from_secs(1);
/// Time reserved for the last client. If the invocation has little time, half of it is reserved instead.
const CLIENT_MARGIN: Duration = Duration::from_secs(9);
/// Stop after this many failed writes: then the cause is the table or its permissions, not the clients.
const MAX_FAILURES: usize = 10;

/// The function that deletes idle clients.
#[derive(Debug, Clone)]
pub struct Sweep<S, G> {
    /// The clients.
    pub store: S,
    /// The grants table, if there is one. A client with a grant that has not ended is kept.
    pub grants: Option<G>,
    /// How long clients may be idle, whether to delete, and how many.
    pub settings: settings::Sweep,
    /// Gives the time.
    pub clock: fn() -> SystemTime,
    /// The execution environment, for the record.
    pub environment: Environment,
}

/// The report of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether the run deletes, or only reports.
    pub deletes: bool,
    /// The clients that the index listed as due and that the run checked.
    pub due: usize,
    /// Those that were deleted, or would be.
    pub swept: usize,
    /// Those that were kept because they are protected.
    pub protected: usize,
    /// Those that were kept because they have a grant that has not ended.
    pub granted: usize,
    /// Those that were used, restored, changed or deleted after they were listed.
    pub changed: usize,
    /// Those that could not be read.
    pub unreadable: usize,
    /// Those whose deletion DynamoDB refused.
    pub failed: usize,
    /// Whether the run checked every due client. If not, the next run continues: a deleted client is no longer listed.
    pub complete: bool,
}

/// What the run did with a client.
enum ClientOutcome {
    Swept,
    Protected,
    Granted,
    Changed,
    Unreadable,
    Failed(Fault),
}

impl From<Fault> for Diagnostic {
    fn from(fault: Fault) -> Self {
        Self { error_type: "Fault".to_owned(), error_message: fault.to_string() }
    }
}

impl<S: Store + IdleClients, G: Grants> Sweep<S, G> {
    /// Runs once, whatever the event, and logs the report.
    ///
    /// # Errors
    /// [`Fault`] if the database fails. If it only refuses to delete some clients, the run first continues with the others.
    pub async fn call(&self, LambdaEvent { context, .. }: LambdaEvent<IgnoredAny>) -> Result<Report, Fault> {
        let started = Instant::now();
        let invocation = Invocation::new(&context, (self.clock)(), RESPONSE_MARGIN);
        let mut report = Report { deletes: self.settings.deletes, ..Report::default() };
        // Boxed, because the SDK's futures are large.
        let run = Box::pin(self.run(&invocation, &mut report));
        let (result, calls) = CallStatistics::collect(run).await;
        let is_cold = self.environment.is_cold();
        let record = SweepRecord {
            mode: if report.deletes { "delete" } else { "observe" },
            reason: result.as_ref().err().map(Fault::to_string),
            report: &report,
            cost: Cost::new(&context, &self.environment, is_cold, started.elapsed(), &calls),
        };
        telemetry::write(&record, (self.clock)());
        result.map(|()| report)
    }

    /// Reads every partition of the index. The id of the invocation chooses the first partition. Clients that are
    /// protected or have a grant stay due. They must not be the first in every run.
    async fn run(&self, invocation: &Invocation, report: &mut Report) -> Result<(), Fault> {
        let Invocation { request_id, now, deadline, .. } = invocation;
        let time = deadline.duration_since(Instant::now());
        let last_start = Instant::now() + time.saturating_sub(CLIENT_MARGIN).max(time / 2);
        let mut partitions = IdlePartition::all();
        let hash = BuildHasherDefault::<DefaultHasher>::new().hash_one(request_id);
        let first = usize::try_from(hash).unwrap_or_default() % partitions.len();
        partitions.rotate_left(first);
        let mut result = Ok(());
        for partition in partitions {
            let since = self.settings.policy.due_since(partition.used, *now);
            let mut after = None;
            loop {
                let page = before(*deadline, self.store.idle_clients(partition, since, after)).await?;
                for (client, idle) in page.clients {
                    if report.swept >= self.settings.limit
                        || report.failed >= MAX_FAILURES
                        || Instant::now() >= last_start
                    {
                        return result;
                    }
                    // A run takes time, and each record must have the time of its own deletion.
                    let invocation = Invocation { now: (self.clock)(), ..invocation.clone() };
                    let outcome = self.sweep(&client, idle, &invocation).await?;
                    report.count(&outcome);
                    if let ClientOutcome::Failed(fault) = outcome {
                        result = result.and(Err(fault));
                    }
                }
                after = page.next;
                if after.is_none() {
                    break;
                }
            }
        }
        report.complete = true;
        result
    }

    /// Deletes a listed client, or decides whether it would be deleted.
    async fn sweep(&self, client: &Id, idle: Idle, invocation: &Invocation) -> Result<ClientOutcome, Fault> {
        if let Some(grants) = &self.grants
            && before(invocation.deadline, grants.is_any_live(client, invocation.now)).await?
        {
            return Ok(ClientOutcome::Granted);
        }
        let request = Request { target: client.clone(), idle, policy: self.settings.policy };
        let result = if self.settings.deletes {
            deletion::delete(&self.store, request, invocation).await.result
        } else {
            deletion::dry_run(&self.store, request, invocation).await.result
        };
        match result {
            Ok(()) => {
                let since = humantime::format_rfc3339_seconds(idle.since);
                let message = if self.settings.deletes { "swept a client" } else { "would sweep a client" };
                tracing::info!(client_id = client.as_str(), used = idle.used, idle_since = %since, "{message}");
                Ok(ClientOutcome::Swept)
            }
            Err(NotDeleted::Refused(Refusal::Protected)) => Ok(ClientOutcome::Protected),
            Err(NotDeleted::Refused(_)) => Ok(ClientOutcome::Changed),
            Err(NotDeleted::ReadFailed(Fault::Unreadable(unreadable))) => {
                tracing::error!("{unreadable}");
                Ok(ClientOutcome::Unreadable)
            }
            Err(NotDeleted::WriteFailed(fault @ Fault::Unexpected(_))) => {
                tracing::error!(client_id = client.as_str(), "an idle client cannot be deleted: {fault}");
                Ok(ClientOutcome::Failed(fault))
            }
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => Err(fault),
        }
    }
}

impl Report {
    fn count(&mut self, outcome: &ClientOutcome) {
        self.due += 1;
        *match outcome {
            ClientOutcome::Swept => &mut self.swept,
            ClientOutcome::Protected => &mut self.protected,
            ClientOutcome::Granted => &mut self.granted,
            ClientOutcome::Changed => &mut self.changed,
            ClientOutcome::Unreadable => &mut self.unreadable,
            ClientOutcome::Failed(_) => &mut self.failed,
        } += 1;
    }
}

/// The record of a run.
#[derive(Serialize)]
struct SweepRecord<'r> {
    mode: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<String>,
    #[serde(flatten)]
    report: &'r Report,
    #[serde(flatten)]
    cost: Cost<'r>,
}

impl telemetry::Record for SweepRecord<'_> {
    const METRICS: &'static [Metrics] = &[Metrics {
        namespace: NAMESPACE,
        dimensions: &[&["mode"]],
        metrics: &[
            Metric { name: "due", unit: "Count" },
            Metric { name: "swept", unit: "Count" },
            Metric { name: "unreadable", unit: "Count" },
            Metric { name: "duration_ms", unit: "Milliseconds" },
        ],
    }];

    fn is_failure(&self) -> bool {
        self.reason.is_some()
    }

    fn message(&self) -> &'static str {
        if self.reason.is_none() { "read the index of idle clients" } else { "the sweep failed" }
    }
}
