//! The Configuration API's rule: an owner deletes an API client of its own application.

use super::{Authorization, DeletionRequest, Denied, Precondition};
use crate::{
    model::{
        ApiClient, Client, Digest, Id, Kind, VersionConditions,
        credential::{self, Mismatch},
    },
    snapshot::{Key, Lookup, Snapshot},
};
use std::{collections::BTreeSet, net::IpAddr, time::SystemTime};
use strum::IntoStaticStr;

/// A request to delete an API client.
#[derive(Debug)]
pub struct Request {
    /// The client id that the caller presents.
    pub caller: Id,
    /// The digest of the secret that the caller presents.
    pub secret: Digest,
    /// The caller's address, if the platform gives one.
    pub source_ip: Option<IpAddr>,
    /// The application that the path names.
    pub application: String,
    /// The client to delete.
    pub target: Id,
    /// The versions that the caller wants to delete.
    pub conditions: VersionConditions,
}

/// Why the Configuration API refuses, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Refusal {
    NoCredentials,
    MalformedCredentials,
    UnknownCaller,
    DeletedCaller,
    UnreadableCaller,
    WrongSecret,
    ExpiredSecret,
    OutsideAllowList,
    CallerIsNotOwner,
    AnotherApplication,
    UnknownClient,
    UnreadableClient,
    TargetIsOwner,
    Protected,
    VersionMismatch,
}

impl super::Refusal for Refusal {}

impl DeletionRequest for Request {
    type Refusal = Refusal;

    const CHANNEL: &'static str = "configuration";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, snapshot: &Snapshot) -> Option<String> {
        snapshot.known(&self.caller).map(|id| ["client#", id.as_str()].concat())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.caller.clone()), Key::Client(self.target.clone())])
    }

    fn decide(&self, snapshot: &Snapshot, now: SystemTime) -> Result<Authorization<'_>, Denied<Refusal>> {
        let caller = self.authenticate(snapshot, now)?;
        if !caller.ip_allow_list.admits(self.source_ip) {
            return Err(Refusal::OutsideAllowList.into());
        }
        if !caller.is_owner() {
            return Err(Refusal::CallerIsNotOwner.into());
        }
        if caller.app_id != self.application {
            return Err(Refusal::AnotherApplication.into());
        }
        let (client, target) = match snapshot.client(&self.target) {
            Ok(Lookup::Live(client @ Client { kind: Kind::Api(target), .. })) => (client, target),
            Ok(_) => return Err(Refusal::UnknownClient.into()),
            Err(unreadable) if unreadable.proof.app_id.as_ref() == Some(&self.application) => {
                return Err(unreadable.into());
            }
            Err(_) => return Err(Refusal::UnreadableClient.into()),
        };
        if target.app_id != self.application {
            return Err(Refusal::UnknownClient.into());
        }
        if target.is_owner() {
            return Err(Refusal::TargetIsOwner.into());
        }
        if client.protected {
            return Err(Refusal::Protected.into());
        }
        if !self.conditions.admit(&client.version) {
            return Err(Refusal::VersionMismatch.into());
        }

        let preconditions = vec![Precondition::Application(&self.application), Precondition::NotOwner];
        Ok(Authorization::new(&self.target, client, preconditions))
    }
}

impl Request {
    /// Authenticates the caller. For an unknown caller, a dummy is compared, so that the answer takes the same time.
    fn authenticate<'f>(&self, snapshot: &'f Snapshot, now: SystemTime) -> Result<&'f ApiClient, Refusal> {
        let (caller, absent) = match snapshot.client(&self.caller) {
            Ok(Lookup::Live(Client { kind: Kind::Api(caller), .. })) => (Some(caller), Refusal::UnknownCaller),
            Ok(Lookup::Live(_) | Lookup::Missing) => (None, Refusal::UnknownCaller),
            Ok(Lookup::Deleted) => (None, Refusal::DeletedCaller),
            Err(_) => (None, Refusal::UnreadableCaller),
        };
        let secrets = caller.map_or(&[][..], |caller| &caller.secrets);
        match (credential::verify(&self.secret, secrets, now), caller) {
            (Ok(()), Some(caller)) => Ok(caller),
            (_, None) => Err(absent),
            (Err(Mismatch::Expired), _) => Err(Refusal::ExpiredSecret),
            (Err(Mismatch::Wrong), _) => Err(Refusal::WrongSecret),
        }
    }
}
