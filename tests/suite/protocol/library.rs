//! The library carries out a request of the model, over the table of the model.

use super::{
    item::{APPLICATION, Item, digest, id, policy, record_of},
    model::{Answer, CONFIGURATION, Delivery, Protocol, REGISTRATION, Reads, Request, SWEEP, Variant},
};
use crate::support::now;
use deregister::{
    deletion::{self, NotDeleted},
    invocation::Invocation,
    model::{Deletion, EntityTags, Version, VersionConditions},
    rule::{Authorization, DeletionRequest, configuration, registration, sweep},
    snapshot::{Key, Record, Snapshot},
    store::{Fault, Store, WriteOutcome},
};
use std::{collections::BTreeSet, sync::Mutex, time::Duration};
use tokio::{
    runtime::{Builder, Runtime},
    time::Instant,
};

/// An attempt of the write.
#[derive(Debug, Clone, Copy)]
pub struct Attempt {
    pub delivery: Delivery,
    /// Whether an earlier attempt had no answer.
    pub is_after_ambiguous: bool,
}

impl Protocol {
    /// Carries out a request on what it read, with at most one attempt of its write. Without an attempt, the write has no
    /// answer.
    pub fn carry_out(&self, request: usize, reads: &Reads, attempt: Option<Attempt>, table: &[Item]) -> CarriedOut {
        let Request { endpoint, caller, credential, target, if_match } = self.requests[request];
        let progress = Mutex::new(Written { target: table[target], attempt, again: None });
        let database = Database { protocol: self, request, reads, progress };
        let idle = reads[target].and_then(Item::idle);
        let (caller, token, target) = (id(caller), digest(credential), id(target));
        let if_match = if_match.map(|version| EntityTags::OneOf(vec![Version(version.into()).to_string()]));
        let conditions = VersionConditions { if_match, if_none_match: None };
        let answer = if endpoint == CONFIGURATION {
            let (secret, application) = (token, APPLICATION.to_owned());
            delete(
                &database,
                configuration::Request { caller, secret, source_ip: None, application, target, conditions },
            )
        } else if endpoint == REGISTRATION {
            delete(&database, registration::Request { target, token, conditions })
        } else {
            // The sweep lists a client as it reads it.
            match idle.filter(|idle| !idle.used) {
                Some(idle) => delete(&database, sweep::Request { target, idle, policy: policy(), notice: None }),
                None => Answer::Refused("not_listed"),
            }
        };
        let Written { target, again, .. } = database.progress.into_inner().unwrap();
        CarriedOut { answer, target, again }
    }
}

/// What became of a request.
pub struct CarriedOut {
    /// Its answer.
    pub answer: Answer,
    /// The target's item after it.
    pub target: Item,
    /// The item for which the request wants to write again. Then the answer says nothing.
    pub again: Option<Item>,
}

/// The answer of the library to the request.
fn delete<R: DeletionRequest>(database: &Database<'_>, request: R) -> Answer {
    thread_local!(static RUNTIME: Runtime = Builder::new_current_thread().enable_time().build().unwrap());
    let invocation = Invocation {
        now: now(),
        deadline: Instant::now() + Duration::from_hours(1),
        source_ip: None,
        request_id: database.request.to_string(),
    };
    let outcome = RUNTIME.with(|runtime| runtime.block_on(deletion::delete(database, request, &invocation)));
    match outcome.result {
        Ok(()) => Answer::Deleted,
        Err(NotDeleted::Refused(reason)) => Answer::Refused(reason.into()),
        Err(NotDeleted::ReadFailed(_) | NotDeleted::WriteFailed(_)) => Answer::Unavailable,
    }
}

/// The database for one request and at most one attempt of its write.
struct Database<'m> {
    protocol: &'m Protocol,
    request: usize,
    reads: &'m Reads,
    progress: Mutex<Written>,
}

struct Written {
    target: Item,
    attempt: Option<Attempt>,
    again: Option<Item>,
}

impl Store for Database<'_> {
    async fn load(&self, keys: BTreeSet<Key>) -> Result<Snapshot, Fault> {
        let number = |key: &Key| key.to_string().trim_start_matches("client#").parse::<usize>().unwrap();
        let found = |key: Key| self.reads[number(&key)].unwrap().record().map(|record| (key, record));
        Ok(keys.into_iter().filter_map(found).collect())
    }

    async fn write_tombstone(
        &self,
        authorization: &Authorization<'_>,
        deletion: &Deletion,
    ) -> Result<WriteOutcome, Fault> {
        let no_answer = Err(Fault::Unavailable("no answer".to_owned()));
        let attempt = self.progress.lock().unwrap().attempt.take();
        let Some(Attempt { delivery, is_after_ambiguous }) = attempt else {
            // A second write is a step of its own.
            let mut progress = self.progress.lock().unwrap();
            progress.again = Some(progress.target);
            return no_answer;
        };
        let written = delivery.arrives().then(|| self.write(authorization, deletion));
        let answer = written.filter(|_| delivery == Delivery::Answered).map_or_else(|| no_answer.clone(), Ok);
        let answer = self.misread(answer);
        // A restoration may have ended the deletion of an earlier attempt, or that attempt may still arrive.
        let is_ambiguous = is_after_ambiguous && !matches!(self.protocol.variant, Variant::RefusesAfterAmbiguous);
        match &answer {
            Ok(outcome @ WriteOutcome::ConditionFailed(_))
                if is_ambiguous && *outcome != found_tombstone(self.request) =>
            {
                no_answer
            }
            _ => answer,
        }
    }
}

impl Database<'_> {
    fn write(&self, authorization: &Authorization<'_>, deletion: &Deletion) -> WriteOutcome {
        let Request { endpoint, caller, credential, target, .. } = self.protocol.requests[self.request];
        assert_eq!((authorization.target, &deletion.request_id), (&id(target), &self.request.to_string()));
        let item = &mut self.progress.lock().unwrap().target;
        let outcome = item.write_tombstone(authorization, self.request, self.protocol.variant);
        if let (WriteOutcome::Written, Item::Deleted(tombstone)) = (&outcome, item) {
            let by = if endpoint == SWEEP { SWEEP.to_owned() } else { format!("client#{caller}") };
            tombstone.is_recorded = deletion.by == by && deletion.via == endpoint;
            tombstone.is_entitled = match self.reads[caller] {
                Some(Item::Live(caller)) if endpoint == CONFIGURATION => {
                    caller.is_owner && caller.credential == credential
                }
                _ if endpoint == SWEEP => !tombstone.client.is_used,
                _ => endpoint == REGISTRATION && tombstone.client.credential == credential,
            };
        }
        outcome
    }

    /// What a planted defect makes of the answer to the write.
    fn misread(&self, answer: Result<WriteOutcome, Fault>) -> Result<WriteOutcome, Fault> {
        match (self.protocol.variant, &answer) {
            (Variant::EveryTombstoneIsOwn, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(_))))) => {
                Ok(found_tombstone(self.request))
            }
            (Variant::NoTombstoneIsOwn, Ok(WriteOutcome::ConditionFailed(Some(Record::Deleted(_))))) => {
                Ok(found_tombstone(usize::MAX))
            }
            (Variant::NoAnswerIsSuccess, Err(_)) => Ok(WriteOutcome::Written),
            _ => answer,
        }
    }
}

/// The outcome of a write that finds the tombstone of this request.
fn found_tombstone(request: usize) -> WriteOutcome {
    WriteOutcome::ConditionFailed(Some(Record::Deleted(record_of(request))))
}
