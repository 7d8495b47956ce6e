//! The sweep's rule: clients that registered themselves and are not used go, unless they are protected.

use super::{Facts, Key, Permit, Premise, Presence, RequestToDelete};
use crate::{
    client::{Id, Idle},
    deletion::NotDeleted,
};
use std::{
    collections::BTreeSet,
    time::{Duration, SystemTime},
};

/// A request to delete a client that is listed as idle.
#[derive(Debug)]
pub struct Request {
    /// The client to delete.
    pub target: Id,
    /// Since when it is idle, as it is listed.
    pub idle: Idle,
    /// How long it may be.
    pub patience: Patience,
}

/// How long clients may be idle.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Patience {
    /// Those that were never used, from their registration.
    pub unused: Duration,
    /// The others, from their latest use.
    pub used: Duration,
}

impl Patience {
    /// The instant since when a client must be idle to be due at `now`: one that was `used` before, or never was.
    #[must_use]
    pub fn due_since(&self, used: bool, now: SystemTime) -> SystemTime {
        let patience = if used { self.used } else { self.unused };
        now.checked_sub(patience).unwrap_or(SystemTime::UNIX_EPOCH)
    }
}

/// Why the sweep leaves a client alone, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself, in its label too")]
pub enum Refusal {
    #[error("unknown_client")]
    UnknownClient,
    #[error("deleted_client")]
    DeletedClient,
    #[error("not_dynamic")]
    NotDynamic,
    #[error("protected")]
    Protected,
    /// It was used, or restored, since it was listed; or the list is not up to date.
    #[error("used_meanwhile")]
    UsedMeanwhile,
    #[error("not_due")]
    NotDue,
}

impl super::Refusal for Refusal {}

impl RequestToDelete for Request {
    type Refusal = Refusal;

    const DOOR: &'static str = "sweep";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, _: &Facts) -> Option<String> {
        Some("sweep".to_owned())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.target.clone())])
    }

    fn decide(&self, facts: &Facts, now: SystemTime) -> Result<Permit<'_>, NotDeleted<Refusal>> {
        let client = match facts.client(&self.target)? {
            Presence::Live(client) => client,
            Presence::Deleted => return Err(Refusal::DeletedClient.into()),
            Presence::Unknown => return Err(Refusal::UnknownClient.into()),
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
        if self.idle.since > self.patience.due_since(self.idle.used, now) {
            return Err(Refusal::NotDue.into());
        }
        Ok(Permit { target: &self.target, premises: vec![Premise::Dynamic, Premise::Idle(self.idle)] })
    }
}
