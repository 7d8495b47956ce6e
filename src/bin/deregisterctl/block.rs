//! Revokes what was issued to clients, and blocks and unblocks ids. A run can stop at any point and be
//! run again.

use crate::{
    delete::invocation,
    failure::Failure,
    generate, options,
    pump::{ONE, Pump},
    report::{self, Columns, Report, timestamp},
    show::lacking,
    tool::Tool,
};
use deregister::{
    deletion::{self, NotDeleted},
    dynamodb::admin::{BlockOutcome, RevokeOutcome, UnblockOutcome},
    model::{Block, Id, Restoration, Revocation},
    rule::operator::{Refusal, Request},
    store::Fault,
};
use futures::stream;

/// The columns of the outcomes, for people.
const OUTCOMES: Columns = &[("client_id", 32), ("outcome", 16), ("now", 8), ("reason", 0)];

/// The maximum number of rounds of a block or of its end. Each one after the first follows a change by another writer.
const MAX_ROUNDS: u32 = 4;

const CHANGED: &str = "it changed meanwhile";
const FULL: &str = "its item is full: nothing was changed";

/// What a command does to each client.
#[derive(Debug, Clone, Copy)]
pub enum Action {
    Revoke,
    Block,
    Unblock,
}

/// What became of a client.
enum Outcome {
    Done,
    AlreadyBlocked,
    NotFound,
    Refused(&'static str),
    /// Nothing was written, for this reason.
    Failed(&'static str),
    /// The database failed, or the item cannot be read.
    Fault(Fault),
}

/// A client with its outcome. The report has what else is known.
struct Done {
    outcome: Outcome,
    report: Report,
}

/// How many clients had each outcome.
#[derive(Default)]
struct Summary {
    done: usize,
    already_blocked: usize,
    not_found: usize,
    refused: usize,
    failed: usize,
}

impl Action {
    /// The outcome of a client, what Ctrl-C waits for, what to do after it, and what some clients are not.
    fn words(self) -> [&'static str; 4] {
        match self {
            Self::Revoke => [
                "revoked",
                "revocations",
                "run the command again with the other clients",
                "clients whose grants were not revoked",
            ],
            Self::Block => {
                ["blocked", "blocks", "run the same command again to block the other ids", "ids not blocked"]
            }
            Self::Unblock => {
                ["unblocked", "writes", "run the same command again to unblock the other ids", "ids not unblocked"]
            }
        }
    }
}

impl Tool {
    /// Carries out the action on each client, and prints its outcome.
    pub async fn change_clients(&self, targets: options::Targets, action: Action) -> Result<(), Failure> {
        let ids = targets.ids()?;
        let operator = self.operator(targets.by.by);
        let [done_word, unit, advice, not_done] = action.words();
        let pump = Pump {
            concurrency: targets.concurrency.get(),
            length: ids.len().try_into().ok(),
            unit,
            has_effect: true,
            advice,
        };
        let work = async |id: Id| match action {
            Action::Revoke => self.revoke(id, &operator).await,
            Action::Block => self.block(id, &operator).await,
            Action::Unblock => self.unblock(id, &operator).await,
        };
        let mut summary = Summary::default();
        let print = |Done { outcome, report }: Done| {
            let (name, reason) = match &outcome {
                Outcome::Done => (done_word, None),
                Outcome::AlreadyBlocked => ("already_blocked", None),
                Outcome::NotFound => ("not_found", None),
                Outcome::Refused(why) => ("refused", Some((*why).to_owned())),
                Outcome::Failed(why) => ("failed", Some((*why).to_owned())),
                Outcome::Fault(fault) => ("failed", Some(fault.to_string())),
            };
            self.print_row(&report.with_outcome(name).with("reason", reason), OUTCOMES)?;
            summary.add(&outcome);
            match outcome {
                // An unreadable item does not affect the other clients.
                Outcome::Fault(fault @ (Fault::Unavailable(_) | Fault::Unexpected(_))) => Err(fault.into()),
                _ => Ok(ONE),
            }
        };
        let result = pump.run(&self.output, stream::iter(ids.into_iter().map(Ok)), work, print).await;
        let Summary { done, already_blocked, not_found, refused, failed } = summary;
        let also = match action {
            Action::Revoke => format!("not found: {not_found}, "),
            Action::Block => format!("already blocked: {already_blocked}, "),
            Action::Unblock => String::new(),
        };
        report::note(&format!("{done_word}: {done}, {also}refused: {refused}, failed: {failed}"));
        result.and(Failure::if_any(not_done, not_found + refused + failed))
    }

    async fn revoke(&self, id: Id, by: &str) -> Result<Done, Failure> {
        let request_id = generate::api_client_id(self.randomness)?;
        let revocation = Revocation { at: (self.now)(), by: by.to_owned(), request_id: request_id.clone() };
        let report = Report::new("A client.").with("client_id", id.as_str());
        Ok(match self.store.revoke(&id, &revocation).await {
            Ok(RevokeOutcome::Done(version)) => Done {
                outcome: Outcome::Done,
                report: report
                    .with("revoked_until", timestamp(revocation.at))
                    .with("version", version.0)
                    .with("entity_tag", version.to_string())
                    .with("request_id", request_id),
            },
            Ok(RevokeOutcome::Full) => Done { outcome: Outcome::Failed(FULL), report },
            Ok(RevokeOutcome::Unknown) => Done { outcome: Outcome::NotFound, report },
            Ok(RevokeOutcome::Deleted) => {
                Done { outcome: Outcome::Refused("it is deleted or blocked: everything is refused"), report }
            }
            Err(fault) => Done { outcome: Outcome::Fault(fault), report },
        })
    }

    /// Blocks an id: deletes its live client, or else marks its item. If the client changes in between, begins again.
    async fn block(&self, id: Id, by: &str) -> Result<Done, Failure> {
        let request_id = generate::api_client_id(self.randomness)?;
        let block = Block { at: (self.now)(), by: by.to_owned(), request_id: request_id.clone() };
        let report = Report::new("A client.").with("client_id", id.as_str());
        let is_changed = |outcome: &Outcome| matches!(outcome, Outcome::Failed(CHANGED));
        let outcome = in_rounds(async || self.block_once(&id, &block).await, is_changed).await;
        let request_id = Some(request_id).filter(|_| matches!(outcome, Outcome::Done));
        Ok(Done { outcome, report: report.with("request_id", request_id) })
    }

    async fn block_once(&self, id: &Id, block: &Block) -> Outcome {
        let request = Request { operator: block.by.clone(), target: id.clone(), blocks: true };
        let invocation = invocation(block.at, block.request_id.clone());
        match deletion::delete(&self.store, request, &invocation).await.result {
            Ok(()) => Outcome::Done,
            Err(NotDeleted::Refused(Refusal::UnknownClient | Refusal::DeletedClient)) => {
                match self.store.block(id, block).await {
                    Ok(BlockOutcome::Done) => Outcome::Done,
                    Ok(BlockOutcome::AlreadyBlocked) => Outcome::AlreadyBlocked,
                    Ok(BlockOutcome::Full) => Outcome::Failed(FULL),
                    Ok(BlockOutcome::Changed) => Outcome::Failed(CHANGED),
                    Err(fault) => Outcome::Fault(fault),
                }
            }
            Err(NotDeleted::Refused(Refusal::TargetIsOwner)) => Outcome::Refused("it is an owner"),
            Err(NotDeleted::Refused(Refusal::Protected)) => Outcome::Refused("it is protected"),
            Err(NotDeleted::ReadFailed(fault) | NotDeleted::WriteFailed(fault)) => Outcome::Fault(fault),
        }
    }

    async fn unblock(&self, id: Id, by: &str) -> Result<Done, Failure> {
        let restoration = Restoration { at: (self.now)(), by: by.to_owned() };
        let report = Report::new("A client.").with("client_id", id.as_str());
        let is_changed = |unblocked: &Result<_, _>| matches!(unblocked, Ok(UnblockOutcome::Changed));
        let unblocked = in_rounds(async || self.store.unblock(&id, &restoration).await, is_changed).await;
        let (outcome, report) = match unblocked {
            Ok(UnblockOutcome::Free) => (Outcome::Done, report.with("now", "free")),
            Ok(UnblockOutcome::Restored(restored)) => {
                let version = restored.client.version.version();
                let report = report.with("now", "live").with("version", version.map(|version| version.0));
                (Outcome::Done, report.with("lacks", lacking(restored.lacks)))
            }
            Ok(UnblockOutcome::Deleted(until)) => {
                (Outcome::Done, report.with("now", "deleted").with("restorable_until", timestamp(until)))
            }
            Ok(UnblockOutcome::NotBlocked) => (Outcome::Refused("it is not blocked"), report),
            Ok(UnblockOutcome::Changed) => (Outcome::Failed(CHANGED), report),
            Err(fault) => (Outcome::Fault(fault), report),
        };
        Ok(Done { outcome, report })
    }
}

/// Tries until the client did not change in between.
async fn in_rounds<T>(attempt: impl AsyncFn() -> T, is_changed: impl Fn(&T) -> bool) -> T {
    let mut result = attempt().await;
    for _ in 1..MAX_ROUNDS {
        if !is_changed(&result) {
            break;
        }
        result = attempt().await;
    }
    result
}

impl Summary {
    fn add(&mut self, outcome: &Outcome) {
        *match outcome {
            Outcome::Done => &mut self.done,
            Outcome::AlreadyBlocked => &mut self.already_blocked,
            Outcome::NotFound => &mut self.not_found,
            Outcome::Refused(_) => &mut self.refused,
            Outcome::Failed(_) | Outcome::Fault(_) => &mut self.failed,
        } += 1;
    }
}
