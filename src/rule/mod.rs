//! The permission rules. Each takes a snapshot, and returns an authorization or a refusal.
//!
//! Each channel has one rule, in its own file. A rule checks its conditions in the order of its `Refusal`. It reads no
//! clock and does no I/O. It names the keys that it needs ([`DeletionRequest::reads`]) and decides on their
//! [`Snapshot`]. An [`Authorization`] lists every fact about the client that the decision used, as a [`Precondition`].
//! The condition of the write repeats them.

pub mod authlete;
pub mod configuration;
pub mod operator;
pub mod registration;
pub mod sweep;

use crate::{
    model::{Client, Digest, Id, Idle, Notice, StoredVersion},
    snapshot::{Key, Snapshot, Unreadable},
};
use std::{collections::BTreeSet, fmt, time::SystemTime};

/// A request to delete a client, after parsing.
pub trait DeletionRequest {
    /// Why this rule refuses.
    type Refusal: Refusal;

    /// The channel of the request, for the record of the deletion and the log.
    const CHANNEL: &'static str;

    /// The client to delete. `None` if the request names something that cannot be an id.
    fn target(&self) -> Option<&Id>;

    /// The caller: `client#…`, `service#…`, `organization#…`, `operator#…` or `sweep`. It is the caller's claim until
    /// the rule authorizes the request. `None` if the table has no such caller.
    fn caller(&self, snapshot: &Snapshot) -> Option<String>;

    /// Whether the deletion also blocks the client's id.
    fn blocks(&self) -> bool {
        false
    }

    /// The keys of all items that the decision needs.
    fn reads(&self) -> BTreeSet<Key>;

    /// Decides. Uses only the snapshot and the time.
    ///
    /// # Errors
    /// [`Denied`] with the first refusal in the order of `docs/api.md`, or with an item that the decision needs and that
    /// cannot be read.
    fn decide(&self, snapshot: &Snapshot, now: SystemTime) -> Result<Authorization<'_>, Denied<Self::Refusal>>;
}

/// Why a rule refuses. `Into<&str>` gives the exact reason in `snake_case`, for the log. The caller often learns less.
pub trait Refusal: Into<&'static str> + Copy + fmt::Debug + Send {}

/// Why a rule gives no authorization.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Denied<R> {
    /// The rule refuses.
    Refused(R),
    /// An item that the decision needs cannot be read.
    Unreadable(Unreadable),
}

impl<R: Refusal> From<R> for Denied<R> {
    fn from(reason: R) -> Self {
        Self::Refused(reason)
    }
}

impl<R> From<Unreadable> for Denied<R> {
    fn from(unreadable: Unreadable) -> Self {
        Self::Unreadable(unreadable)
    }
}

/// The permission to delete one client, or to announce its deletion.
#[derive(Debug)]
pub struct Authorization<'r> {
    /// The client.
    pub target: &'r Id,
    /// The name of the client's kind.
    pub kind: &'static str,
    /// What the item held as the client's version.
    pub version: StoredVersion,
    /// The client's features, as they were read. [`Precondition::NotOwner`] asserts them.
    pub features: Vec<String>,
    /// What else the write asserts about the client. It also asserts that the client is live and not protected, and
    /// still has this kind and this version.
    pub preconditions: Vec<Precondition<'r>>,
}

impl<'r> Authorization<'r> {
    /// The permission for the client as it was read.
    #[must_use]
    pub fn new(target: &'r Id, client: &Client, preconditions: Vec<Precondition<'r>>) -> Self {
        let (version, features) = (client.version.clone(), client.kind.features().to_vec());
        Self { target, kind: client.kind.name(), version, features, preconditions }
    }
}

/// A fact about a client that the decision used and that the write asserts.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Precondition<'r> {
    /// The client belongs to this application.
    Application(&'r str),
    /// The client does not have the feature `owner`: its features are those that were read, or another set of strings.
    NotOwner,
    /// The client has this registration access token.
    RegistrationToken(&'r Digest),
    /// The client registered itself.
    Dynamic,
    /// The client registered itself at this service.
    RegisteredAt(&'r Id),
    /// The client has been idle since this time.
    Idle(Idle),
    /// The client has this notice.
    Notice(Notice),
    /// The client has no notice.
    NoNotice,
    /// The client has a notice that cannot be read, or that is of another idle time than this one.
    StaleNotice(Idle),
}
