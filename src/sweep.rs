//! The sweep: clients that registered themselves and are not used are deleted, by the [rule](crate::rule::sweep) for that
//! and in the write of every deletion, so that each can be undone.
//!
//! It is a function on a schedule. It goes through an index of the clients that are idle, so that a run costs what is due,
//! and not what the table holds. Unless it is told to delete, it only reports what it would delete.

use crate::{
    client::{Id, Idle},
    deletion::{self, Circumstances, NotDeleted, in_time},
    function::time_left,
    rule::sweep::{Patience, Refusal, Request},
    store::{DynamoDb, Fault, Grants, List, Meter},
    telemetry,
};
use lambda_http::{LambdaEvent, lambda_runtime::Diagnostic};
use serde::{Serialize, de::IgnoredAny};
use std::{
    hash::{BuildHasher, BuildHasherDefault, DefaultHasher},
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// What is kept of the time that an invocation has, for the report.
const TO_ANSWER: Duration = Duration::from_secs(1);
/// What is kept for the client that is looked at last; half of the time, where that is less.
const FOR_THE_LAST: Duration = Duration::from_secs(9);

/// After so many clients that DynamoDB refuses to delete a run ends: it is not for what they are.
const MOST_FAILED: usize = 10;

/// The handler, with all that outlives a run.
#[derive(Debug, Clone)]
pub struct Sweep {
    /// The clients.
    pub store: DynamoDb,
    /// What was issued to them, where that can be looked at: a client with a grant that has not ended is left alone.
    pub grants: Option<Grants>,
    /// How long clients may be idle.
    pub patience: Patience,
    /// Whether it deletes; else it only reports.
    pub deletes: bool,
    /// How many clients it deletes in a run, or would, at the most.
    pub most: usize,
    /// Tells the time.
    pub clock: fn() -> SystemTime,
}

/// What came of a run.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize)]
pub struct Report {
    /// Whether it was to delete.
    pub deletes: bool,
    /// How many clients were listed as due, and looked at.
    pub due: usize,
    /// How many were deleted, or would have been.
    pub swept: usize,
    /// How many were left, since they are protected.
    pub protected: usize,
    /// How many were left, since something that was issued to them has not ended.
    pub granted: usize,
    /// How many were left, since they are no longer what they were listed as: used, restored, changed or gone.
    pub changed: usize,
    /// How many could not be read.
    pub unreadable: usize,
    /// How many DynamoDB refused to delete.
    pub failed: usize,
    /// Whether all that were listed were looked at. If not, the next run goes on: what is deleted is no longer listed.
    pub complete: bool,
}

/// What came of a client.
enum Fate {
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

impl Sweep {
    /// Makes a run, whatever the event, and writes its report in the log.
    ///
    /// # Errors
    /// [`Fault`], where DynamoDB cannot be reached, or refuses; if only to delete some clients, after all others.
    pub async fn call(&self, LambdaEvent { context, .. }: LambdaEvent<IgnoredAny>) -> Result<Report, Fault> {
        let now = (self.clock)();
        let started = Instant::now();
        let circumstances = Circumstances {
            now,
            deadline: started + time_left(&context, now, TO_ANSWER),
            source_ip: None,
            request_id: context.request_id.clone(),
            meter: Meter::default(),
        };
        let mut report = Report { deletes: self.deletes, ..Report::default() };
        // Boxed, since the SDK's futures are large.
        let result = Box::pin(self.run(&circumstances, &mut report)).await;
        let fault = result.as_ref().err();
        telemetry::write_sweep(&report, fault, started.elapsed(), &circumstances.meter, &context);
        result.map(|()| report)
    }

    /// Goes through the lists of idle clients. It begins with one that the invocation's id draws, whatever the schedule, so
    /// that clients which stay due for long, since they are protected or hold a grant, do not stand before all others for
    /// ever.
    async fn run(&self, circumstances: &Circumstances, report: &mut Report) -> Result<(), Fault> {
        let Circumstances { now, deadline, request_id, meter, .. } = circumstances;
        let time = deadline.duration_since(Instant::now());
        let last_look = Instant::now() + time.saturating_sub(FOR_THE_LAST).max(time / 2);
        let mut lists = List::all();
        let drawn = BuildHasherDefault::<DefaultHasher>::new().hash_one(request_id);
        let first = usize::try_from(drawn).unwrap_or_default() % lists.len();
        lists.rotate_left(first);
        let mut result = Ok(());
        for list in lists {
            let since = self.patience.due_since(list.used, *now);
            let mut after = None;
            loop {
                let page = in_time(*deadline, self.store.idle_clients(list, since, after, meter)).await?;
                for (client, idle) in page.clients {
                    if report.swept >= self.most || report.failed >= MOST_FAILED || Instant::now() >= last_look {
                        return result;
                    }
                    // The record of a deletion says when it was made, in a run that takes its time too.
                    let circumstances = Circumstances { now: (self.clock)(), ..circumstances.clone() };
                    let fate = self.consider(&client, idle, &circumstances).await?;
                    report.add(&fate);
                    if let Fate::Failed(fault) = fate {
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

    /// Deletes a client that is listed, or says what would come of that.
    async fn consider(&self, client: &Id, idle: Idle, circumstances: &Circumstances) -> Result<Fate, Fault> {
        let Circumstances { now, deadline, meter, .. } = circumstances;
        if let Some(grants) = &self.grants
            && in_time(*deadline, grants.is_any_live(client, *now, meter)).await?
        {
            return Ok(Fate::Granted);
        }
        let request = Request { target: client.clone(), idle, patience: self.patience };
        let result = if self.deletes {
            deletion::delete(&self.store, request, circumstances).await.result
        } else {
            deletion::rehearse(&self.store, request, circumstances).await.result
        };
        match result {
            Ok(()) => {
                telemetry::write_swept(client, idle, self.deletes);
                Ok(Fate::Swept)
            }
            Err(NotDeleted::Refused(Refusal::Protected)) => Ok(Fate::Protected),
            Err(NotDeleted::Refused(_)) => Ok(Fate::Changed),
            Err(NotDeleted::Unread(Fault::Unreadable(unreadable))) => {
                tracing::error!("{unreadable}");
                Ok(Fate::Unreadable)
            }
            Err(NotDeleted::Unwritten(fault @ Fault::Unexpected(_))) => {
                tracing::error!(client_id = client.as_str(), "an idle client cannot be deleted: {fault}");
                Ok(Fate::Failed(fault))
            }
            Err(NotDeleted::Unread(fault) | NotDeleted::Unwritten(fault)) => Err(fault),
        }
    }
}

impl Report {
    fn add(&mut self, fate: &Fate) {
        self.due += 1;
        *match fate {
            Fate::Swept => &mut self.swept,
            Fate::Protected => &mut self.protected,
            Fate::Granted => &mut self.granted,
            Fate::Changed => &mut self.changed,
            Fate::Unreadable => &mut self.unreadable,
            Fate::Failed(_) => &mut self.failed,
        } += 1;
    }
}
