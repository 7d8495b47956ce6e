//! Deletes clients by the operator's rule, with the same write as the function. A run can stop at any point and be run
//! again.

use crate::{
    failure::Failure,
    generate,
    grants::{GrantCount, with_grants},
    options::{self, STDIN},
    pump::{ONE, Pump},
    report::{self, Columns, Report, timestamp},
    show::with_use,
    tool::Tool,
};
use deregister::{
    deletion::{self, NotDeleted},
    invocation::Invocation,
    model::{Id, Idle},
    rule::{
        Denied,
        operator::{Refusal, Request},
    },
    snapshot::Lookup,
    store::Fault,
};
use futures::stream;
use std::{
    io::{self, BufRead, IsTerminal, Write},
    path::PathBuf,
    time::{Duration, SystemTime},
};
use tokio::time::Instant;

/// The columns, for people.
const OUTCOMES: Columns = &[("client_id", 32), ("outcome", 16), ("reason", 0)];
/// The columns of a dry run, without and with a table of grants.
const IMPACTS: Columns = &[("client_id", 32), ("outcome", 16), ("last_used_at", 20), ("reason", 0)];
const IMPACTS_WITH_GRANTS: Columns =
    &[("client_id", 32), ("outcome", 16), ("last_used_at", 20), ("grants", 14), ("reason", 0)];

/// The time limit of one deletion: longer than the longest time-outs of its two calls.
const MAX_DURATION: Duration = Duration::from_secs(150);

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Deleted,
    WouldBeDeleted(Impact),
    AlreadyDeleted,
    NotFound,
    Refused(&'static str),
    Failed,
}

/// The impact of a deletion: what else it would end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Impact {
    idle: Option<Idle>,
    grants: Option<GrantCount>,
}

/// A client with its outcome.
struct Done {
    id: Id,
    outcome: Outcome,
    /// The request id in the record of a new deletion.
    request_id: Option<String>,
    fault: Option<Fault>,
}

/// How many clients had each outcome.
#[derive(Default)]
struct Summary {
    deleted: usize,
    already_deleted: usize,
    not_found: usize,
    refused: usize,
    failed: usize,
}

impl Tool {
    /// Deletes clients, or with `--dry-run` prints the impact of their deletions.
    pub async fn delete_clients(&self, delete: options::Delete) -> Result<(), Failure> {
        let options::Delete { targets, dry_run, grants, yes } = delete;
        let ask = !yes && !dry_run;
        if ask && !io::stdin().is_terminal() {
            return Err(Failure::NotConfirmed);
        }
        let ids = targets.ids()?;
        if ask && !ids.is_empty() {
            confirm(&ids, &self.warning(), io::stdin().lock(), io::stderr())?;
        }

        let columns = match &self.grants {
            _ if !dry_run => OUTCOMES,
            None => IMPACTS,
            Some(_) => IMPACTS_WITH_GRANTS,
        };
        if dry_run {
            self.print_heading(columns)?;
        }

        let pump = Pump {
            concurrency: targets.concurrency.get(),
            length: ids.len().try_into().ok(),
            unit: "deletions",
            has_effect: true,
            advice: "run the same command again to delete the other clients",
        };
        let operator = self.operator(targets.by.by);
        let work = async |target| {
            let request = Request { operator: operator.clone(), target, blocks: false };
            self.delete(request, dry_run.then_some(grants.count_up_to)).await
        };
        let mut summary = Summary::default();
        let print = |done: Done| {
            summary.add(done.outcome);
            self.print_row(&done.report(), columns)?;
            match done.fault {
                // An unreadable item does not affect the other clients.
                None | Some(Fault::Unreadable(_)) => Ok(ONE),
                Some(fault) => Err(fault.into()),
            }
        };
        let result = pump.run(&self.output, stream::iter(ids.into_iter().map(Ok)), work, print).await;
        report::note(&summary.sentence(dry_run));
        result.and(Failure::if_any("clients not deleted", summary.not_found + summary.refused + summary.failed))
    }

    /// Says where the clients are, and until when a client that is deleted now can be restored.
    fn warning(&self) -> [String; 2] {
        let retention = self.store.retention();
        let until = timestamp((self.now)() + retention);
        let days = retention.as_secs() / 86_400;
        [
            format!("In the {}.", self.place),
            format!("RETENTION_DAYS is {days}: you can restore the clients until {until}."),
        ]
    }

    /// Deletes a client. With `count_up_to` it writes nothing, and counts the client's grants up to that number.
    async fn delete(&self, request: Request, count_up_to: Option<usize>) -> Result<Done, Failure> {
        let id = request.target.clone();
        let request_id = generate::api_client_id(self.randomness)?;
        let invocation = invocation((self.now)(), request_id.clone());
        let result = match count_up_to {
            Some(bound) => self.impact(request, bound, &invocation).await.map(Outcome::WouldBeDeleted),
            None => deletion::delete(&self.store, request, &invocation).await.result.map(|()| Outcome::Deleted),
        };
        let (outcome, fault) = match result {
            Ok(outcome) => (outcome, None),
            Err(NotDeleted::Refused(Refusal::DeletedClient)) => (Outcome::AlreadyDeleted, None),
            Err(NotDeleted::Refused(Refusal::UnknownClient)) => (Outcome::NotFound, None),
            Err(NotDeleted::Refused(Refusal::TargetIsOwner)) => (Outcome::Refused("it is an owner"), None),
            Err(NotDeleted::Refused(Refusal::Protected)) => (Outcome::Refused("it is protected"), None),
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => (Outcome::Failed, Some(fault)),
        };
        Ok(Done { id, outcome, request_id: Some(request_id).filter(|_| outcome == Outcome::Deleted), fault })
    }

    /// The impact of a deletion that the rule authorizes.
    async fn impact(
        &self,
        request: Request,
        count_up_to: usize,
        invocation: &Invocation,
    ) -> Result<Impact, NotDeleted<Refusal>> {
        let target = request.target.clone();
        let outcome = deletion::dry_run(&self.store, request, invocation).await;
        outcome.result?;
        let idle = match outcome.snapshot.client(&target).map_err(Denied::from)? {
            Lookup::Live(client) => client.idle,
            Lookup::Deleted | Lookup::Missing => None,
        };
        let grants = self.count_grants(&target, count_up_to).await;
        Ok(Impact { idle, grants: grants.map_err(NotDeleted::ReadFailed)? })
    }
}

/// What a deletion by this tool is called with.
pub fn invocation(now: SystemTime, request_id: String) -> Invocation {
    Invocation { now, deadline: Instant::now() + MAX_DURATION, source_ip: None, request_id }
}

impl Done {
    fn report(&self) -> Report {
        let outcome = match self.outcome {
            Outcome::Deleted => "deleted",
            Outcome::WouldBeDeleted(_) => "would_be_deleted",
            Outcome::AlreadyDeleted => "already_deleted",
            Outcome::NotFound => "not_found",
            Outcome::Refused(_) => "refused",
            Outcome::Failed => "failed",
        };
        let reason = match self.outcome {
            Outcome::Refused(why) => Some(why.to_owned()),
            _ => self.fault.as_ref().map(Fault::to_string),
        };
        let report = Report::new("A client.")
            .with("client_id", self.id.as_str())
            .with_outcome(outcome)
            .with("reason", reason)
            .with("request_id", self.request_id.as_deref());
        match self.outcome {
            Outcome::WouldBeDeleted(Impact { idle, grants }) => with_grants(with_use(report, idle), grants),
            _ => report,
        }
    }
}

impl Summary {
    fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Deleted | Outcome::WouldBeDeleted(_) => &mut self.deleted,
            Outcome::AlreadyDeleted => &mut self.already_deleted,
            Outcome::NotFound => &mut self.not_found,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }

    fn sentence(&self, dry_run: bool) -> String {
        let Self { deleted, already_deleted, not_found, refused, failed } = self;
        let would = if dry_run { "would be " } else { "" };
        format!(
            "{would}deleted: {deleted}, already deleted: {already_deleted}, not found: {not_found}, refused: {refused}, \
             failed: {failed}"
        )
    }
}

/// Warns the operator in lines, and asks for the id of the client, or for the number of clients.
fn confirm(ids: &[Id], warning: &[String], mut input: impl BufRead, mut output: impl Write) -> Result<(), Failure> {
    let (question, expected) = match ids {
        [id] => (format!("To delete the client {id}, type its id again: "), id.to_string()),
        ids => (format!("To delete {0} clients, type their number, {0}: ", ids.len()), ids.len().to_string()),
    };
    let lines: Vec<_> = warning.iter().chain([&question]).map(|line| report::printable(line)).collect();
    let asked = output.write_all(lines.join("\n").as_bytes()).and_then(|()| output.flush());
    let mut typed = String::new();
    match asked.and_then(|()| input.read_line(&mut typed)) {
        Ok(_) if typed.trim_end_matches(['\r', '\n']) == expected => Ok(()),
        Ok(_) => Err(Failure::Declined),
        Err(error) => Err(Failure::UnreadableFile(PathBuf::from(STDIN), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_id_or_the_number_of_clients_confirms() {
        let ids = ["one", "two"].map(|text| Id::new(text).unwrap());
        for (ids, typed, confirms) in [
            (&ids[..1], "one\n", true),
            (&ids[..1], "one\r\n", true),
            (&ids[..1], "two\n", false),
            (&ids[..1], "y\n", false),
            (&ids[..1], "", false),
            (&ids[..], "2\n", true),
            (&ids[..], "one\n", false),
        ] {
            let mut question = Vec::new();
            assert_eq!(
                confirm(ids, &["In a table.".to_owned()], typed.as_bytes(), &mut question).is_ok(),
                confirms,
                "{typed:?}"
            );
            let target = if ids.len() == 1 { "client one" } else { "2 clients" };
            assert!(String::from_utf8(question).unwrap().contains(target));
        }
    }
}
