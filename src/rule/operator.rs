//! The operator's rule: an operator deletes any client that is neither an owner nor protected. IAM decides whether the
//! operator may write to the table.

use super::{Authorization, DeletionRequest, Denied, Precondition};
use crate::{
    model::{Id, Kind},
    snapshot::{Key, Lookup, Snapshot},
};
use std::{collections::BTreeSet, time::SystemTime};
use strum::IntoStaticStr;

/// A request to delete a client of any kind.
#[derive(Debug)]
pub struct Request {
    /// The operator: `operator` or `operator#…`.
    pub operator: String,
    /// The client to delete.
    pub target: Id,
    /// Whether to block its id too.
    pub blocks: bool,
}

/// Why the rule refuses an operator, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Refusal {
    UnknownClient,
    DeletedClient,
    TargetIsOwner,
    Protected,
}

impl super::Refusal for Refusal {}

impl DeletionRequest for Request {
    type Refusal = Refusal;

    const CHANNEL: &'static str = "deregisterctl";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, _: &Snapshot) -> Option<String> {
        Some(self.operator.clone())
    }

    fn blocks(&self) -> bool {
        self.blocks
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.target.clone())])
    }

    fn decide(&self, snapshot: &Snapshot, _: SystemTime) -> Result<Authorization<'_>, Denied<Refusal>> {
        let client = match snapshot.client(&self.target)? {
            Lookup::Live(client) => client,
            Lookup::Deleted => return Err(Refusal::DeletedClient.into()),
            Lookup::Missing => return Err(Refusal::UnknownClient.into()),
        };
        // An OAuth client has no features that mean anything.
        let preconditions = match &client.kind {
            Kind::Api(api) if api.is_owner() => return Err(Refusal::TargetIsOwner.into()),
            Kind::Api(_) => vec![Precondition::NotOwner],
            Kind::OAuth(_) => Vec::new(),
        };
        if client.protected {
            return Err(Refusal::Protected.into());
        }
        Ok(Authorization::new(&self.target, client, preconditions))
    }
}
