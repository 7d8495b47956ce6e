//! The heart: read once, decide, write once.
//!
//! A refused request never writes. A deletion takes two round trips, whatever the table's size, and rests on nothing
//! that the write does not assert again: a client that becomes an owner between the two is not deleted.

use crate::{
    client::Deletion,
    rule::{Facts, Key, Record, Refusal, RequestToDelete, Unreadable},
    store::{Burial, Fault, Meter, Store},
};
use std::{future::Future, net::IpAddr, time::SystemTime};
use tokio::time::{Instant, timeout_at};

/// The circumstances in which a request is carried out.
#[derive(Debug, Clone)]
pub struct Circumstances {
    /// The time.
    pub now: SystemTime,
    /// Until when the database may take to answer.
    pub deadline: Instant,
    /// Where the request comes from, where the platform said so.
    pub source_ip: Option<IpAddr>,
    /// The invocation: an id that no other request has and no caller chooses.
    pub request_id: String,
    /// What counts the database calls.
    pub meter: Meter,
}

/// How a request ended: what was asked, what was known, what came of it.
#[derive(Debug)]
pub struct Ended<R: RequestToDelete> {
    /// What was asked; `None` where the door could not make it out.
    pub request: Option<R>,
    /// What the decision was taken on.
    pub facts: Facts,
    /// Whether the client was deleted.
    pub result: Result<(), NotDeleted<R::Refusal>>,
}

/// Why a client was not deleted.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotDeleted<R> {
    /// A rule forbids it.
    #[error("{0}")]
    Refused(R),
    /// What the decision needs could not be read.
    #[error("{0}")]
    Unread(Fault),
    /// The decision could not be carried out, or nobody knows whether it was.
    #[error("{0}")]
    Unwritten(Fault),
}

impl<R: Refusal> From<R> for NotDeleted<R> {
    fn from(reason: R) -> Self {
        Self::Refused(reason)
    }
}

impl<R> From<Unreadable> for NotDeleted<R> {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unread(unreadable.into())
    }
}

impl<R: RequestToDelete> Ended<R> {
    /// The end of a request that its door could not make out.
    pub fn at_the_door(reason: R::Refusal) -> Self {
        Self { request: None, facts: Facts::default(), result: Err(reason.into()) }
    }
}

/// Carries out a request to delete.
pub async fn delete<R: RequestToDelete>(store: &impl Store, request: R, circumstances: &Circumstances) -> Ended<R> {
    let mut facts = Facts::default();
    let result = load_decide_commit(store, &request, &mut facts, circumstances).await;
    Ended { request: Some(request), facts, result }
}

/// Says how a request to delete would end: it is decided, and not carried out.
pub async fn rehearse<R: RequestToDelete>(store: &impl Store, request: R, circumstances: &Circumstances) -> Ended<R> {
    let Circumstances { now, deadline, meter, .. } = circumstances;
    let (facts, result) = match in_time(*deadline, store.load(request.reads(), meter)).await {
        Ok(facts) => {
            let result = request.decide(&facts, *now).map(drop);
            (facts, result)
        }
        Err(fault) => (Facts::default(), Err(NotDeleted::Unread(fault))),
    };
    Ended { request: Some(request), facts, result }
}

async fn load_decide_commit<R: RequestToDelete>(
    store: &impl Store,
    request: &R,
    facts: &mut Facts,
    circumstances: &Circumstances,
) -> Result<(), NotDeleted<R::Refusal>> {
    let Circumstances { now, deadline, source_ip, request_id, meter } = circumstances;

    *facts = in_time(*deadline, store.load(request.reads(), meter)).await.map_err(NotDeleted::Unread)?;

    let permit = request.decide(facts, *now)?;

    let deletion = Deletion {
        at: *now,
        by: request.caller(facts).unwrap_or_default(),
        via: R::DOOR.to_owned(),
        source_ip: source_ip.map(|address| address.to_string()),
        request_id: request_id.clone(),
    };
    match in_time(*deadline, store.bury(&permit, &deletion, meter)).await.map_err(NotDeleted::Unwritten)? {
        Burial::Done => Ok(()),
        // An earlier try of this very request took effect, and its answer was lost.
        Burial::Refused(Some(Record::Deleted(earlier))) if earlier.is_of(request_id) => Ok(()),
        // The client has changed since it was read: what it is now decides, without a second read.
        Burial::Refused(found) => {
            facts.set(Key::Client(permit.target.clone()), found);
            request.decide(facts, *now)?;
            Err(NotDeleted::Unwritten(Fault::Unavailable("the client changed, and changed back".to_owned())))
        }
    }
}

pub(crate) async fn in_time<T>(deadline: Instant, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match timeout_at(deadline, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::Unavailable("no answer in the time that the invocation has".to_owned())),
    }
}
