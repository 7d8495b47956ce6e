//! The sweep's rule: it deletes a client that registered itself, is not protected, and is idle for too long.
//!
//! With a [`NoticePolicy`] it first announces the deletion. A notice counts only if it is of the client's current idle
//! time. So a use ends it, although the authorization server does not write it.

use super::{Authorization, DeletionRequest, Denied, Precondition};
use crate::{
    model::{Client, Id, Idle, IdlePolicy, Kind, Metadata, Notice, NoticePolicy, StoredNotice, epoch_seconds},
    snapshot::{Key, Lookup, Snapshot},
};
use std::{collections::BTreeSet, time::SystemTime};
use strum::IntoStaticStr;

/// A request to delete a client that the index lists as idle.
#[derive(Debug)]
pub struct Request {
    /// The client to delete.
    pub target: Id,
    /// How long the client is idle, as the index says.
    pub idle: Idle,
    /// How long clients may be idle.
    pub policy: IdlePolicy,
    /// How a deletion is announced. `None`: it is not.
    pub notice: Option<NoticePolicy>,
}

/// Why the sweep keeps a client, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Refusal {
    UnknownClient,
    DeletedClient,
    NotDynamic,
    Protected,
    /// The client was used or restored after it was listed, or the index lags.
    UsedMeanwhile,
    NotDue,
    /// The deletion must be announced first: [`Request::announcement`].
    NotAnnounced,
    /// The deletion is announced for a later time.
    Announced,
}

impl super::Refusal for Refusal {}

/// The permission to announce the deletion of one client.
#[derive(Debug)]
pub struct Announcement<'r> {
    /// The client, and what the write of the notice asserts about it.
    pub authorization: Authorization<'r>,
    /// What an earlier write asserts, if the client has a notice that is stale or cannot be read. That write removes
    /// the notice, so that an announcement always changes an item without a notice to one with it.
    pub removal: Option<Authorization<'r>>,
    /// The notice.
    pub notice: Notice,
    /// The registered metadata that it repeats, as the text of a JSON object.
    pub metadata: String,
}

impl Request {
    /// Decides on an announcement, like [`decide`](DeletionRequest::decide) on a deletion.
    ///
    /// # Errors
    /// [`Denied`] with the first refusal, or with an item that cannot be read.
    pub fn announcement(&self, snapshot: &Snapshot, now: SystemTime) -> Result<Announcement<'_>, Denied<Refusal>> {
        let client = self.due(snapshot, now)?;
        let Some(policy) = self.notice else { return Err(Refusal::NotAnnounced.into()) };
        if client.notice.of(self.idle).is_some() {
            return Err(Refusal::Announced.into());
        }
        let registered = match &client.kind {
            Kind::OAuth(oauth) => &oauth.metadata,
            Kind::Api(_) => &Metadata::default(),
        };
        Ok(Announcement {
            authorization: self.authorization(client, Some(Precondition::NoNotice)),
            removal: (client.notice != StoredNotice::None)
                .then(|| self.authorization(client, Some(Precondition::StaleNotice(self.idle)))),
            notice: Notice { idle: self.idle, sweep_at: epoch_seconds::rounded(now + policy.period) },
            metadata: policy.metadata(registered),
        })
    }

    /// The client, if it is due.
    fn due<'s>(&self, snapshot: &'s Snapshot, now: SystemTime) -> Result<&'s Client, Denied<Refusal>> {
        let client = match snapshot.client(&self.target)? {
            Lookup::Live(client) => client,
            Lookup::Deleted => return Err(Refusal::DeletedClient.into()),
            Lookup::Missing => return Err(Refusal::UnknownClient.into()),
        };
        if !client.is_dynamic() {
            return Err(Refusal::NotDynamic.into());
        }
        if client.protected {
            return Err(Refusal::Protected.into());
        }
        if client.idle != Some(self.idle) {
            return Err(Refusal::UsedMeanwhile.into());
        }
        if self.idle.since > self.policy.due_since(self.idle.used, now) {
            return Err(Refusal::NotDue.into());
        }
        Ok(client)
    }

    /// The permission for a client that is due, and whose notice is as this precondition says.
    fn authorization(&self, client: &Client, notice: Option<Precondition<'static>>) -> Authorization<'_> {
        let due = [Precondition::Dynamic, Precondition::Idle(self.idle)];
        Authorization::new(&self.target, client, due.into_iter().chain(notice).collect())
    }
}

impl DeletionRequest for Request {
    type Refusal = Refusal;

    const CHANNEL: &'static str = "sweep";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, _: &Snapshot) -> Option<String> {
        Some("sweep".to_owned())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.target.clone())])
    }

    fn decide(&self, snapshot: &Snapshot, now: SystemTime) -> Result<Authorization<'_>, Denied<Refusal>> {
        let client = self.due(snapshot, now)?;
        let notice = match (self.notice, client.notice.of(self.idle)) {
            (None, _) => None,
            (Some(_), None) => return Err(Refusal::NotAnnounced.into()),
            (Some(_), Some(notice)) if now < notice.sweep_at => return Err(Refusal::Announced.into()),
            (Some(_), Some(notice)) => Some(Precondition::Notice(notice)),
        };
        Ok(self.authorization(client, notice))
    }
}
