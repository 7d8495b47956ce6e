//! The sweep's rule: it deletes a client that registered itself, is not protected, and is idle for too long.

use super::{Authorization, DeletionRequest, Denied, Precondition};
use crate::{
    model::{Id, Idle, IdlePolicy},
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
}

impl super::Refusal for Refusal {}

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
        let preconditions = vec![Precondition::Dynamic, Precondition::Idle(self.idle)];
        Ok(Authorization::new(&self.target, client, preconditions))
    }
}
