//! Deleting clients by hand: a few at a time, each by the rule and in the writes of the function, so that a run that ends
//! anywhere can be run again.

use crate::{
    command::{Failure, Tool, with_use},
    generate,
    grants::{Counted, with_grants},
    options::{self, id},
    report::{self, Columns, Report},
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
use indicatif::ProgressBar;
use std::{
    collections::BTreeSet,
    fs,
    io::{self, BufRead, IsTerminal, Read, Write},
    path::{Path, PathBuf},
    pin::pin,
    time::Duration,
};
use tokio::{task::JoinSet, time::Instant};

/// What is printed of each client, for people.
const OUTCOMES: Columns = &[("client_id", 32), ("outcome", 16), ("reason", 0)];
/// The same in a dry run, and where grants are counted.
const FORESEEN: Columns = &[("client_id", 32), ("outcome", 16), ("last_used_at", 20), ("reason", 0)];
const FORESEEN_WITH_GRANTS: Columns =
    &[("client_id", 32), ("outcome", 16), ("last_used_at", 20), ("grants", 14), ("reason", 0)];

/// How long a deletion may take in all: beyond what the settings can allow its two calls.
const LONGEST: Duration = Duration::from_secs(150);

/// What came of a client, and its name in the report.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Outcome {
    Deleted,
    WouldBeDeleted(Loss),
    AlreadyDeleted,
    Refused(&'static str),
    Failed,
}

/// What would go with a client.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Loss {
    idle: Option<Idle>,
    grants: Option<Counted>,
}

/// A client whose fate is known.
struct Done {
    id: Id,
    outcome: Outcome,
    /// What the record of its deletion is found by, where that is new.
    request_id: Option<String>,
    fault: Option<Fault>,
}

/// How many clients there were of each kind so far.
#[derive(Default)]
struct Tally {
    deleted: usize,
    already_deleted: usize,
    refused: usize,
    failed: usize,
}

impl Tool {
    /// Deletes clients. Where it is interrupted, or the database fails, no further deletions are started, and those under
    /// way are waited for.
    pub async fn delete_clients(&self, delete: options::Delete) -> Result<(), Failure> {
        let options::Delete { ids, from, dry_run, grants, yes, concurrency, by } = delete;
        let ask = !yes && !dry_run;
        if ask && !io::stdin().is_terminal() {
            return Err(Failure::NotConfirmed);
        }
        let ids = from.map_or(Ok(ids), |file| read_ids(&file))?;
        // The same client twice is one deletion.
        let mut seen = BTreeSet::new();
        let ids: Vec<_> = ids.into_iter().filter(|id| seen.insert(id.clone())).collect();
        if ask && !ids.is_empty() {
            confirm(&ids, io::stdin().lock(), io::stderr())?;
        }

        let columns = match &self.grants {
            _ if !dry_run => OUTCOMES,
            None => FORESEEN,
            Some(_) => FORESEEN_WITH_GRANTS,
        };
        if dry_run {
            self.print_heading(columns)?;
        }

        let foreseen = dry_run.then_some(grants.count_up_to);
        let operator = self.operator(by.by);
        // It is drawn on the standard error, and only where that is a terminal.
        let bar = ProgressBar::new(ids.len().try_into().unwrap_or(u64::MAX));
        let mut waiting = ids.into_iter();
        let mut running = JoinSet::new();
        let (mut tally, mut result) = (Tally::default(), Ok(()));
        let mut interrupt = pin!(tokio::signal::ctrl_c());
        loop {
            while result.is_ok()
                && running.len() < concurrency.get()
                && let Some(target) = waiting.next()
            {
                let (tool, operator) = (self.clone(), operator.clone());
                running.spawn(async move { tool.delete(Request { operator, target }, foreseen).await });
            }
            tokio::select! {
                biased;
                _ = &mut interrupt, if result.is_ok() && !running.is_empty() => {
                    bar.suspend(|| report::complain("interrupted: waiting for the deletions under way"));
                    result = Err(Failure::Interrupted("deletes"));
                }
                Some(done) = running.join_next() => {
                    let told = done.map_err(Failure::from).flatten().and_then(|done: Done| {
                        bar.inc(1);
                        tally.add(done.outcome);
                        bar.suspend(|| self.print_row(&done.report(), columns))?;
                        // An item that cannot be read says nothing of the others.
                        match done.fault {
                            None | Some(Fault::Unreadable(_)) => Ok(()),
                            Some(fault) => Err(fault.into()),
                        }
                    });
                    result = result.and(told);
                }
                else => break,
            }
        }
        bar.finish_and_clear();
        report::tell(&tally.summary(dry_run));
        result.and(match tally.refused + tally.failed {
            0 => Ok(()),
            left => Err(Failure::Left(left)),
        })
    }

    /// Deletes a client; or only says what would go with it, of which its grants are counted up to the bound `foreseen`.
    async fn delete(&self, request: Request, foreseen: Option<usize>) -> Result<Done, Failure> {
        let id = request.target.clone();
        let request_id = generate::api_client_id(self.randomness)?;
        let invocation = Invocation {
            now: (self.now)(),
            deadline: Instant::now() + LONGEST,
            source_ip: None,
            request_id: request_id.clone(),
        };
        let result = match foreseen {
            Some(bound) => self.foresee(request, bound, &invocation).await.map(Outcome::WouldBeDeleted),
            None => deletion::delete(&self.store, request, &invocation).await.result.map(|()| Outcome::Deleted),
        };
        let (outcome, fault) = match result {
            Ok(outcome) => (outcome, None),
            Err(NotDeleted::Refused(Refusal::DeletedClient)) => (Outcome::AlreadyDeleted, None),
            Err(NotDeleted::Refused(Refusal::UnknownClient)) => (Outcome::Refused("there is no such client"), None),
            Err(NotDeleted::Refused(Refusal::TargetIsOwner)) => (Outcome::Refused("it is an owner"), None),
            Err(NotDeleted::Refused(Refusal::Protected)) => (Outcome::Refused("it is protected"), None),
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => (Outcome::Failed, Some(fault)),
        };
        Ok(Done { id, outcome, request_id: Some(request_id).filter(|_| outcome == Outcome::Deleted), fault })
    }

    /// What would go with a client, if it would be deleted.
    async fn foresee(
        &self,
        request: Request,
        bound: usize,
        invocation: &Invocation,
    ) -> Result<Loss, NotDeleted<Refusal>> {
        let target = request.target.clone();
        let rehearsed = deletion::dry_run(&self.store, request, invocation).await;
        rehearsed.result?;
        let idle = match rehearsed.snapshot.client(&target).map_err(Denied::from)? {
            Lookup::Live(client) => client.idle,
            Lookup::Deleted | Lookup::Missing => None,
        };
        let grants = self.count_grants(&target, bound).await;
        Ok(Loss { idle, grants: grants.map_err(NotDeleted::ReadFailed)? })
    }
}

impl Done {
    fn report(&self) -> Report {
        let (outcome, words) = match self.outcome {
            Outcome::Deleted => ("deleted", "deleted"),
            Outcome::WouldBeDeleted(_) => ("would_be_deleted", "would be deleted"),
            Outcome::AlreadyDeleted => ("already_deleted", "already deleted"),
            Outcome::Refused(_) => ("refused", "refused"),
            Outcome::Failed => ("failed", "failed"),
        };
        let reason = match self.outcome {
            Outcome::Refused(why) => Some(why.to_owned()),
            _ => self.fault.as_ref().map(Fault::to_string),
        };
        let report = Report::new("A client.")
            .with("client_id", self.id.as_str())
            .worded("outcome", outcome, words)
            .with("reason", reason)
            .with("request_id", self.request_id.as_deref());
        match self.outcome {
            Outcome::WouldBeDeleted(Loss { idle, grants }) => with_grants(with_use(report, idle), grants),
            _ => report,
        }
    }
}

impl Tally {
    fn add(&mut self, outcome: Outcome) {
        *match outcome {
            Outcome::Deleted | Outcome::WouldBeDeleted(_) => &mut self.deleted,
            Outcome::AlreadyDeleted => &mut self.already_deleted,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Failed => &mut self.failed,
        } += 1;
    }

    fn summary(&self, dry_run: bool) -> String {
        let Self { deleted, already_deleted, refused, failed } = self;
        let would = if dry_run { "would be " } else { "" };
        format!("{would}deleted: {deleted}, already deleted: {already_deleted}, refused: {refused}, failed: {failed}")
    }
}

/// The ids in the file, one a line.
fn read_ids(file: &Path) -> Result<Vec<Id>, Failure> {
    let unreadable = |error| Failure::UnreadableFile(file.to_owned(), error);
    let mut text = String::new();
    if file.as_os_str() == options::STDIN {
        io::stdin().read_to_string(&mut text).map_err(unreadable)?;
    } else {
        text = fs::read_to_string(file).map_err(unreadable)?;
    }
    let lines = text.lines().map(str::trim).enumerate();
    let ids = lines.filter(|(_, line)| !line.is_empty() && !line.starts_with('#'));
    ids.map(|(index, line)| id(line).map_err(|why| Failure::WrongId(file.to_owned(), index + 1, why))).collect()
}

/// Has the operator type what is about to be deleted.
fn confirm(ids: &[Id], mut input: impl BufRead, mut output: impl Write) -> Result<(), Failure> {
    let (question, wanted) = match ids {
        [id] => (format!("To delete the client {id}, type its id again: "), id.to_string()),
        ids => (format!("To delete {0} clients, type their number, {0}: ", ids.len()), ids.len().to_string()),
    };
    let mut typed = String::new();
    let asked = output.write_all(report::printable(&question).as_bytes()).and_then(|()| output.flush());
    match asked.and_then(|()| input.read_line(&mut typed)) {
        Ok(_) if typed.trim_end_matches(['\r', '\n']) == wanted => Ok(()),
        Ok(_) => Err(Failure::Declined),
        Err(error) => Err(Failure::UnreadableFile(PathBuf::from(options::STDIN), error)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_asked_for_confirms() {
        let ids = ["one", "two"].map(|text| id(text).unwrap());
        for (ids, typed, confirms) in [
            (&ids[..1], "one\n", true),
            (&ids[..1], "one\r\n", true),
            (&ids[..1], "two\n", false),
            (&ids[..1], "y\n", false),
            (&ids[..1], "", false),
            (&ids[..], "2\n", true),
            (&ids[..], "one\n", false),
        ] {
            let mut asked = Vec::new();
            assert_eq!(confirm(ids, typed.as_bytes(), &mut asked).is_ok(), confirms, "{typed:?}");
            assert!(String::from_utf8(asked).unwrap().contains(if ids.len() == 1 {
                "client one"
            } else {
                "2 clients"
            }));
        }
    }
}
