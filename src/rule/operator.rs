//! The operator's rule: who may write to the table anyway deletes any client but owners and those that are protected.

use super::{Facts, Key, Permit, Premise, Presence, RequestToDelete};
use crate::{
    client::{Id, Kind},
    deletion::NotDeleted,
};
use std::{collections::BTreeSet, time::SystemTime};

/// A request to delete a client of any kind.
#[derive(Debug)]
pub struct Request {
    /// Who asks: `operator`, or `operator#…`.
    pub operator: String,
    /// The client to delete.
    pub target: Id,
}

/// Why an operator is refused, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself, in its label too")]
pub enum Refusal {
    #[error("unknown_client")]
    UnknownClient,
    #[error("deleted_client")]
    DeletedClient,
    #[error("target_is_owner")]
    TargetIsOwner,
    #[error("protected")]
    Protected,
}

impl super::Refusal for Refusal {}

impl RequestToDelete for Request {
    type Refusal = Refusal;

    const DOOR: &'static str = "deregisterctl";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, _: &Facts) -> Option<String> {
        Some(self.operator.clone())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.target.clone())])
    }

    fn decide(&self, facts: &Facts, _: SystemTime) -> Result<Permit<'_>, NotDeleted<Refusal>> {
        let client = match facts.client(&self.target)? {
            Presence::Live(client) => client,
            Presence::Deleted => return Err(Refusal::DeletedClient.into()),
            Presence::Unknown => return Err(Refusal::UnknownClient.into()),
        };
        if matches!(&client.kind, Kind::Api(api) if api.is_owner()) {
            return Err(Refusal::TargetIsOwner.into());
        }
        if client.protected {
            return Err(Refusal::Protected.into());
        }
        Ok(Permit { target: &self.target, premises: vec![Premise::NotOwner] })
    }
}
