//! The Configuration API's rule: an owner deletes an API client of its own application.

use super::{Authorization, DeletionRequest, Denied, Precondition, same_version};
use crate::{
    model::{
        ApiClient, Client, Digest, Id, IfMatch, Kind,
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
    pub if_match: Option<IfMatch>,
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
    WrongSecret,
    ExpiredSecret,
    OutsideAllowList,
    CallerIsNotOwner,
    AnotherApplication,
    UnknownClient,
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
        let Lookup::Live(client @ Client { kind: Kind::Api(target), .. }) = snapshot.client(&self.target)? else {
            return Err(Refusal::UnknownClient.into());
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
        if self.if_match.as_ref().is_some_and(|wanted| !wanted.admits(client.version)) {
            return Err(Refusal::VersionMismatch.into());
        }

        let mut preconditions = vec![Precondition::Application(&self.application), Precondition::NotOwner];
        preconditions.extend(same_version(self.if_match.as_ref(), client));
        Ok(Authorization { target: &self.target, preconditions })
    }
}

impl Request {
    /// Authenticates the caller. For an unknown caller, a dummy is compared, so that the answer takes the same time.
    fn authenticate<'f>(&self, snapshot: &'f Snapshot, now: SystemTime) -> Result<&'f ApiClient, Denied<Refusal>> {
        let (caller, absent) = match snapshot.client(&self.caller)? {
            Lookup::Live(Client { kind: Kind::Api(caller), .. }) => (Some(caller), Refusal::UnknownCaller),
            Lookup::Live(_) | Lookup::Missing => (None, Refusal::UnknownCaller),
            Lookup::Deleted => (None, Refusal::DeletedCaller),
        };
        let secrets = caller.map_or(&[][..], |caller| &caller.secrets);
        match (credential::verify(&self.secret, secrets, now), caller) {
            (Ok(()), Some(caller)) => Ok(caller),
            (_, None) => Err(absent.into()),
            (Err(Mismatch::Expired), _) => Err(Refusal::ExpiredSecret.into()),
            (Err(Mismatch::Wrong), _) => Err(Refusal::WrongSecret.into()),
        }
    }
}
