//! The rules, row by row, in the order of decision. They need no database and no runtime.
//!
//! Each case starts from a request that is granted, and changes one thing. A rule does not decide what an endpoint
//! refuses at parsing, such as malformed credentials.

mod authlete;
mod configuration;
mod operator;
mod reasons;
mod registration;
mod sweep;

use crate::support::{build::id, now};
use deregister::{
    deletion::NotDeleted,
    model::{Deletion, Digest, EntityTags, Service, Version, VersionConditions},
    rule::{DeletionRequest, Denied, Precondition, operator::Refusal},
    snapshot::{Flaw, Key, Proof, Record, Snapshot, Unreadable},
    store::Fault,
};
use std::time::Duration;

/// Features that could be mistaken for `owner`. The last two have a letter that only looks like an o.
const ALMOST_OWNER: [&str; 8] = ["", "Owner", "OWNER", " owner", "owner ", "owner\0", "\u{43e}wner", "\u{ff4f}wner"];
/// The smallest difference between two times.
const INSTANT: Duration = Duration::from_nanos(1);

/// A request, and the snapshot that it is decided on.
struct Case<R> {
    request: R,
    snapshot: Snapshot,
}

/// A change of a case.
type Change<R> = fn(&mut Case<R>);

/// A row of a rule's table: its number, the condition, the refusal, and a change after which the condition is met.
type Row<R> = (&'static str, &'static str, <R as DeletionRequest>::Refusal, Change<R>);

/// The preconditions of the authorization, or why there is none.
type Decision<'r, Refusal> = Result<Vec<Precondition<'r>>, Denied<Refusal>>;

impl<R: DeletionRequest> Case<R> {
    fn new(request: R, records: impl IntoIterator<Item = (Key, Record)>) -> Self {
        Self { request, snapshot: records.into_iter().collect() }
    }

    /// The same after `change`.
    fn with(mut self, change: impl FnOnce(&mut Self)) -> Self {
        change(&mut self);
        self
    }

    /// Sets the record under `key`.
    fn has(&mut self, key: Key, record: impl Into<Record>) {
        self.snapshot.set(key, Some(record.into()));
    }

    /// Sets the record of the client `client`.
    fn client(&mut self, record: impl Into<Record>) {
        self.has(client("client"), record);
    }

    /// Removes the record under `key`.
    fn lacks(&mut self, key: Key) {
        self.snapshot.set(key, None);
    }

    fn decide(&self) -> Decision<'_, R::Refusal> {
        self.request.decide(&self.snapshot, now()).map(|authorization| authorization.preconditions)
    }
}

/// Asserts that `granted` is refused once the condition of a row is met.
#[track_caller]
fn assert_refusals<R: DeletionRequest<Refusal: PartialEq>>(granted: fn() -> Case<R>, rows: &[Row<R>]) {
    for &(row, condition, refusal, change) in rows {
        assert_eq!(granted().with(change).decide(), Err(Denied::Refused(refusal)), "row {row}: {condition}");
    }
}

/// Asserts that `granted` is still granted after each of these changes.
#[track_caller]
fn assert_grants<R: DeletionRequest<Refusal: PartialEq>>(
    granted: fn() -> Case<R>,
    changes: &[(&'static str, &'static str, Change<R>)],
) {
    for &(row, condition, change) in changes {
        let case = granted().with(change);
        assert!(case.decide().is_ok(), "row {row}: {condition}: {:?}", case.decide());
    }
}

/// Asserts the order of decision. `case` meets the conditions of all `steps`: each has the refusal, and the change
/// after which its condition is no longer met.
#[track_caller]
fn assert_order<R: DeletionRequest<Refusal: PartialEq>>(mut case: Case<R>, steps: &[(R::Refusal, Change<R>)]) {
    for &(refusal, change) in steps {
        assert_eq!(case.decide(), Err(Denied::Refused(refusal)));
        change(&mut case);
    }
    assert!(case.decide().is_ok(), "{:?}", case.decide());
}

/// Asserts that the decision fails if the item under `key` cannot be read.
#[track_caller]
fn assert_unreadable_is_a_fault<R: DeletionRequest<Refusal: PartialEq>>(granted: fn() -> Case<R>, key: Key) {
    let case = granted().with(|case| case.has(key.clone(), unreadable(&Proof::default())));
    assert_eq!(case.decide(), cannot_read(key, &Proof::default()));
}

fn client(text: &str) -> Key {
    Key::Client(id(text))
}

fn digest(text: &str) -> Digest {
    Digest::of(text)
}

fn tombstone() -> Record {
    Record::Deleted(Deletion {
        at: now(),
        by: "client#another".to_owned(),
        via: "configuration".to_owned(),
        source_ip: None,
        request_id: "earlier".to_owned(),
        lacks: Vec::new(),
        blocked: None,
    })
}

fn flaw() -> Flaw {
    Flaw { member: "client.features".to_owned(), must: "be a list" }
}

/// An item that cannot be read.
fn unreadable(proof: &Proof) -> Record {
    Record::Unreadable(flaw(), Box::new(proof.clone()))
}

/// The decision on an item that cannot be read.
fn cannot_read<'r, Refusal>(key: Key, proof: &Proof) -> Decision<'r, Refusal> {
    Err(Denied::Unreadable(Unreadable { key, flaw: flaw(), proof: Box::new(proof.clone()) }))
}

#[test]
fn an_item_that_cannot_be_read_is_a_fault_of_the_database() {
    let unreadable = Unreadable { key: client("client"), flaw: flaw(), proof: Box::default() };
    assert_eq!(
        NotDeleted::<Refusal>::from(Denied::Unreadable(unreadable.clone())),
        NotDeleted::ReadFailed(Fault::Unreadable(unreadable))
    );
    assert_eq!(NotDeleted::from(Denied::Refused(Refusal::Protected)), NotDeleted::Refused(Refusal::Protected));
}

#[test]
fn an_item_of_another_kind_cannot_be_read() {
    let snapshot = Snapshot::from_iter([(client("client"), Record::Service(Service::default()))]);
    let unreadable = snapshot.client(&id("client")).unwrap_err();
    assert_eq!(
        unreadable.to_string(),
        "the item client#client cannot be read: the item must be of the kind that its key says"
    );
}

#[test]
fn an_entity_tag_of_another_spelling_is_another_tag() {
    for tag in [r#""03""#, r#""+3""#, r#"" 3""#, r#""3 ""#, r"'3'", r#"w/"3""#] {
        let conditions = VersionConditions { if_match: Some(EntityTags::parse(tag)), if_none_match: None };
        assert!(!conditions.admit(&Version(3).into()), "{tag}");
    }
}
