//! The port: what the core and the functions ask of a database.
//!
//! The traits name no database and no SDK. [`dynamodb`](crate::dynamodb) implements them. No parameter carries what a
//! call cost. An implementation records it in the [`CallStatistics`] of the scope in which the call runs.

mod client_status;
mod statistics;

pub use client_status::ClientStatus;
pub use statistics::CallStatistics;

use crate::{
    model::{Deletion, Id, Idle, IdlePartition},
    rule::{Authorization, sweep::Announcement},
    snapshot::{Key, Record, Snapshot, Unreadable},
};
use std::{
    collections::BTreeSet,
    future::Future,
    time::{Duration, SystemTime},
};
use tokio::time::{Instant, timeout_at};

/// A table of clients, services and access tokens.
pub trait Store: Send + Sync {
    /// Reads the items under `keys`, in one strongly consistent read. An item that cannot be read is a
    /// [`Record::Unreadable`].
    ///
    /// # Errors
    /// [`Fault::Unavailable`] or [`Fault::Unexpected`].
    fn load(&self, keys: BTreeSet<Key>) -> impl Future<Output = Result<Snapshot, Fault>> + Send;

    /// Turns the authorized client into a tombstone that carries `deletion`, in one write. The write asserts that the
    /// client is live and not protected, and everything that the authorization says about it.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if an attempt may have taken effect or may still take effect, or [`Fault::Unexpected`].
    fn write_tombstone(
        &self,
        authorization: &Authorization<'_>,
        deletion: &Deletion,
    ) -> impl Future<Output = Result<WriteOutcome, Fault>> + Send;
}

/// The outcome of [`Store::write_tombstone`] and [`IdleClients::announce`].
#[derive(Debug, Clone, PartialEq)]
#[expect(clippy::large_enum_variant, reason = "a request has one")]
pub enum WriteOutcome {
    /// The client is a tombstone, or has the notice.
    Written,
    /// Nothing was written: the client does not meet the condition. The item as it is now, if there is one.
    ConditionFailed(Option<Record>),
}

/// The status of clients, for the revocation check and the cascade.
pub trait ClientStatuses: Send + Sync {
    /// The status of the client with this id, in one strongly consistent read. It sees every deletion that was answered
    /// before the read.
    ///
    /// # Errors
    /// [`Fault`] if the database fails or if the item cannot be read. Then issue and accept nothing.
    fn client_status(&self, id: &Id) -> impl Future<Output = Result<ClientStatus, Fault>> + Send;
}

/// The index of idle clients, and the notices before their deletion.
pub trait IdleClients: Send + Sync {
    /// Where the next page of the index starts.
    type Cursor: Clone + Send;

    /// One page of the clients in `partition` that have been idle since `since` or longer, the longest first. The index
    /// lags behind the table, so a write must assert what the index says:
    /// [`Precondition::Idle`](crate::rule::Precondition::Idle).
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    fn idle_clients(
        &self,
        partition: IdlePartition,
        since: SystemTime,
        after: Option<Self::Cursor>,
    ) -> impl Future<Output = Result<IdlePage<Self::Cursor>, Fault>> + Send;

    /// Writes the notice of an announcement, on condition that the client has none and still is as it was read. If the
    /// announcement replaces a notice, a write before that one removes it. If the item has no room, the notice is written
    /// without the metadata. `None`: it has no room for that either.
    ///
    /// If a condition fails, an earlier attempt may still take effect. That is harmless: it announces the same client, on
    /// the same condition.
    ///
    /// # Errors
    /// [`Fault::Unavailable`] if the database is unavailable. Then the notice may be written. Or [`Fault::Unexpected`].
    fn announce(
        &self,
        announcement: &Announcement<'_>,
    ) -> impl Future<Output = Result<Option<WriteOutcome>, Fault>> + Send;
}

/// One page of the index of idle clients.
#[derive(Debug, Clone, PartialEq)]
pub struct IdlePage<C> {
    /// The clients, each with the time since which it is idle.
    pub clients: Vec<(Id, Idle)>,
    /// Those of which the index does not say since when they are idle.
    pub unreadable: Vec<Unreadable>,
    /// Where the next page starts. `None`: this page is the last.
    pub next: Option<C>,
}

/// The table of grants: everything that an authorization server issued to its clients.
pub trait Grants: Send + Sync {
    /// The key of a grant.
    type Key: Send;
    /// Where the next page of a client's grants starts.
    type Cursor: Send;

    /// One page of the keys of this client's grants.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    fn page(
        &self,
        client: &Id,
        after: Option<Self::Cursor>,
    ) -> impl Future<Output = Result<GrantsPage<Self::Key, Self::Cursor>, Fault>> + Send;

    /// How long a change can take to appear in the pages. Zero: the pages are strongly consistent.
    fn lag(&self) -> Duration;

    /// Removes the grants with these keys, if they are still this client's. Adds to `removed` the number of grants that the
    /// database confirmed. Grants that the database leaves unprocessed are tried again until the caller drops the future.
    ///
    /// # Errors
    /// [`Fault`] if the database fails. Some grants may be removed then.
    fn remove(
        &self,
        client: &Id,
        keys: Vec<Self::Key>,
        removed: &mut usize,
    ) -> impl Future<Output = Result<(), Fault>> + Send;

    /// Whether the client has a grant that has not ended at `now`.
    ///
    /// # Errors
    /// [`Fault`] if the database fails.
    fn is_any_live(&self, client: &Id, now: SystemTime) -> impl Future<Output = Result<bool, Fault>> + Send;
}

/// One page of the grants of a client.
#[derive(Debug, Clone, PartialEq)]
pub struct GrantsPage<K, C> {
    /// The keys of the grants. There can be none, although a page follows.
    pub keys: Vec<K>,
    /// Where the next page starts. `None`: this page is the last.
    pub next: Option<C>,
}

/// Why a database call failed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// The database throttled the call, cannot be reached, or did not answer in time. The same request may succeed
    /// later.
    #[error("the database is unavailable: {0}")]
    Unavailable(String),
    /// An item cannot be read.
    #[error(transparent)]
    Unreadable(#[from] Unreadable),
    /// The database refused the call: a wrong table name, a missing permission, a defect of this program.
    #[error("the database call failed: {0}")]
    Unexpected(String),
}

/// Waits for `call` until `deadline`.
///
/// # Errors
/// The error of the call, or [`Fault::Unavailable`] at the deadline.
pub(crate) async fn before<T>(deadline: Instant, call: impl Future<Output = Result<T, Fault>>) -> Result<T, Fault> {
    match timeout_at(deadline, call).await {
        Ok(answer) => answer,
        Err(_) => Err(Fault::Unavailable("no answer before the deadline of the invocation".to_owned())),
    }
}
