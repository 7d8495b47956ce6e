//! The Configuration API's rule: an owner deletes an API client of its own application.

use super::{Facts, IfMatch, Key, Permit, Premise, Presence, RequestToDelete, same_version};
use crate::{
    client::{ApiClient, Client, Id, Kind},
    credential::{self, Digest, Mismatch},
    deletion::NotDeleted,
};
use std::{collections::BTreeSet, net::IpAddr, time::SystemTime};

/// A request to delete an API client.
#[derive(Debug)]
pub struct Request {
    /// Who calls, as claimed.
    pub caller: Id,
    /// The digest of the secret presented.
    pub secret: Digest,
    /// Where the call comes from, where the platform said so.
    pub source_ip: Option<IpAddr>,
    /// The application named.
    pub application: String,
    /// The client to delete.
    pub target: Id,
    /// The versions that may be deleted.
    pub if_match: Option<IfMatch>,
}

/// Why the Configuration API refuses, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself, in its label too")]
pub enum Refusal {
    #[error("no_credentials")]
    NoCredentials,
    #[error("malformed_credentials")]
    MalformedCredentials,
    #[error("unknown_caller")]
    UnknownCaller,
    #[error("deleted_caller")]
    DeletedCaller,
    #[error("wrong_secret")]
    WrongSecret,
    #[error("expired_secret")]
    ExpiredSecret,
    #[error("outside_allow_list")]
    OutsideAllowList,
    #[error("caller_is_not_owner")]
    CallerIsNotOwner,
    #[error("another_application")]
    AnotherApplication,
    #[error("unknown_client")]
    UnknownClient,
    #[error("target_is_owner")]
    TargetIsOwner,
    #[error("protected")]
    Protected,
    #[error("version_mismatch")]
    VersionMismatch,
}

impl super::Refusal for Refusal {}

impl RequestToDelete for Request {
    type Refusal = Refusal;

    const DOOR: &'static str = "configuration";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, facts: &Facts) -> Option<String> {
        facts.known(&self.caller).map(|id| ["client#", id.as_str()].concat())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.caller.clone()), Key::Client(self.target.clone())])
    }

    fn decide(&self, facts: &Facts, now: SystemTime) -> Result<Permit<'_>, NotDeleted<Refusal>> {
        let caller = self.authenticate(facts, now)?;
        if !caller.ip_allow_list.admits(self.source_ip) {
            return Err(Refusal::OutsideAllowList.into());
        }
        if !caller.is_owner() {
            return Err(Refusal::CallerIsNotOwner.into());
        }
        if caller.app_id != self.application {
            return Err(Refusal::AnotherApplication.into());
        }
        let Presence::Live(client @ Client { kind: Kind::Api(target), .. }) = facts.client(&self.target)? else {
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

        let mut premises = vec![Premise::Application(&self.application), Premise::NotOwner];
        premises.extend(same_version(self.if_match.as_ref(), client));
        Ok(Permit { target: &self.target, premises })
    }
}

impl Request {
    /// The caller, once its secret is known to be one of its own. An unknown caller costs the same comparison.
    fn authenticate<'f>(&self, facts: &'f Facts, now: SystemTime) -> Result<&'f ApiClient, NotDeleted<Refusal>> {
        let (caller, absent) = match facts.client(&self.caller)? {
            Presence::Live(Client { kind: Kind::Api(caller), .. }) => (Some(caller), Refusal::UnknownCaller),
            Presence::Live(_) | Presence::Unknown => (None, Refusal::UnknownCaller),
            Presence::Deleted => (None, Refusal::DeletedCaller),
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
