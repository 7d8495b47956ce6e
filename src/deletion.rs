//! The core: read once, decide, write once.
//!
//! A request that is refused after the read never writes. A deletion takes two round trips, whatever the size of the
//! table. The condition of the write repeats every fact that the decision used. So a client that becomes an owner
//! between the read and the write is not deleted. The condition repeats the version too, and a restoration changes it.
//! So an attempt that arrives late does not delete a restored client.

use crate::{
    invocation::Invocation,
    model::{Block, Deletion, Id},
    rule::{Authorization, DeletionRequest, Denied},
    snapshot::{Key, Lookup, Record, Snapshot},
    store::{Fault, Store, WriteOutcome, before},
};

/// The maximum number of writes of a request. Each one after the first follows a change of the client by another writer.
pub const MAX_WRITES: u32 = 4;

/// How a request to delete a client ended.
#[derive(Debug)]
pub struct Outcome<R: DeletionRequest> {
    /// The request. `None` if the endpoint could not parse it.
    pub request: Option<R>,
    /// The snapshot that the decision was taken on.
    pub snapshot: Snapshot,
    /// Whether the client was deleted.
    pub result: Result<(), NotDeleted<R::Refusal>>,
}

/// Why a client was not deleted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDeleted<R> {
    /// A rule refused.
    Refused(R),
    /// The items that the decision needs could not be read.
    ReadFailed(Fault),
    /// The write failed, or its effect is not known.
    WriteFailed(Fault),
}

impl<R> From<Denied<R>> for NotDeleted<R> {
    fn from(denied: Denied<R>) -> Self {
        match denied {
            Denied::Refused(reason) => Self::Refused(reason),
            Denied::Unreadable(unreadable) => Self::ReadFailed(unreadable.into()),
        }
    }
}

impl<R: DeletionRequest> Outcome<R> {
    /// The outcome of a request that the endpoint could not parse.
    pub fn not_parsed(reason: R::Refusal) -> Self {
        Self { request: None, snapshot: Snapshot::default(), result: Err(NotDeleted::Refused(reason)) }
    }
}

/// Carries out a request to delete a client. If the database fails, the outcome says so.
pub async fn delete<R: DeletionRequest>(store: &impl Store, request: R, invocation: &Invocation) -> Outcome<R> {
    let mut snapshot = Snapshot::default();
    let result = load_decide_commit(store, &request, &mut snapshot, invocation).await;
    Outcome { request: Some(request), snapshot, result }
}

/// Decides a request to delete a client, and writes nothing. The outcome is what a deletion without faults would give.
pub async fn dry_run<R: DeletionRequest>(store: &impl Store, request: R, invocation: &Invocation) -> Outcome<R> {
    let mut snapshot = Snapshot::default();
    let result = load_decide(store, &request, &mut snapshot, invocation).await.map(drop);
    Outcome { request: Some(request), snapshot, result }
}

async fn load_decide<'r, R: DeletionRequest>(
    store: &impl Store,
    request: &'r R,
    snapshot: &mut Snapshot,
    invocation: &Invocation,
) -> Result<Authorization<'r>, NotDeleted<R::Refusal>> {
    *snapshot = before(invocation.deadline, store.load(request.reads())).await.map_err(NotDeleted::ReadFailed)?;
    Ok(request.decide(snapshot, invocation.now)?)
}

async fn load_decide_commit<R: DeletionRequest>(
    store: &impl Store,
    request: &R,
    snapshot: &mut Snapshot,
    invocation: &Invocation,
) -> Result<(), NotDeleted<R::Refusal>> {
    let Invocation { request_id, now, deadline, source_ip } = invocation;

    let mut authorization = load_decide(store, request, snapshot, invocation).await?;

    let restored_from = restored_from(snapshot, authorization.target);
    let by = request.caller(snapshot).unwrap_or_default();
    let blocked = request.blocks().then(|| Block { at: *now, by: by.clone(), request_id: request_id.clone() });
    let deletion = Deletion {
        at: *now,
        by,
        via: R::CHANNEL.to_owned(),
        source_ip: source_ip.map(|address| address.to_string()),
        request_id: request_id.clone(),
        lacks: Vec::new(),
        blocked,
    };
    for _ in 0..MAX_WRITES {
        let write = store.write_tombstone(&authorization, &deletion);
        let found = match before(*deadline, write).await.map_err(NotDeleted::WriteFailed)? {
            WriteOutcome::Written => return Ok(()),
            // An earlier attempt of this request took effect, and its answer was lost.
            WriteOutcome::ConditionFailed(Some(Record::Deleted(earlier))) if earlier.is_of(request_id) => return Ok(()),
            WriteOutcome::ConditionFailed(found) => found,
        };
        // The client changed after it was read. Decide again on the item as it is now, without a second read.
        snapshot.set(Key::Client(authorization.target.clone()), found);
        authorization = request.decide(snapshot, *now)?;
        if self::restored_from(snapshot, authorization.target) != restored_from {
            return Err(NotDeleted::WriteFailed(Fault::Unavailable("the client was restored meanwhile".to_owned())));
        }
    }
    Err(NotDeleted::WriteFailed(Fault::Unavailable("the client changed before each write".to_owned())))
}

/// The deletion that the client's latest restoration ended.
fn restored_from(snapshot: &Snapshot, client: &Id) -> Option<String> {
    match snapshot.client(client) {
        Ok(Lookup::Live(client)) => client.restored_from.clone(),
        _ => None,
    }
}
