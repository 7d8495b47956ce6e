//! The rule of the client configuration endpoint (RFC 7592): a client deletes itself with its registration access
//! token.

use super::{Facts, IfMatch, Key, Permit, Premise, Presence, RequestToDelete, same_version};
use crate::{
    client::{Client, Id, Kind},
    credential::{self, Digest},
    deletion::NotDeleted,
};
use std::{collections::BTreeSet, time::SystemTime};

/// A client's request to delete itself.
#[derive(Debug)]
pub struct Request {
    /// The client.
    pub target: Id,
    /// The digest of the registration access token presented.
    pub token: Digest,
    /// The versions that may be deleted.
    pub if_match: Option<IfMatch>,
}

/// Why the client configuration endpoint refuses, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself, in its label too")]
pub enum Refusal {
    #[error("no_credentials")]
    NoCredentials,
    #[error("malformed_credentials")]
    MalformedCredentials,
    #[error("token_outside_header")]
    TokenOutsideHeader,
    #[error("unknown_client")]
    UnknownClient,
    #[error("deleted_client")]
    DeletedClient,
    #[error("not_an_oauth_client")]
    NotAnOAuthClient,
    #[error("no_registration_token")]
    NoRegistrationToken,
    #[error("wrong_token")]
    WrongToken,
    #[error("protected")]
    Protected,
    #[error("version_mismatch")]
    VersionMismatch,
}

impl super::Refusal for Refusal {}

impl RequestToDelete for Request {
    type Refusal = Refusal;

    const DOOR: &'static str = "registration";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, facts: &Facts) -> Option<String> {
        facts.known(&self.target).map(|id| ["client#", id.as_str()].concat())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.target.clone())])
    }

    fn decide(&self, facts: &Facts, _now: SystemTime) -> Result<Permit<'_>, NotDeleted<Refusal>> {
        let client = self.authenticate(facts)?;
        if client.protected {
            return Err(Refusal::Protected.into());
        }
        if self.if_match.as_ref().is_some_and(|wanted| !wanted.admits(client.version)) {
            return Err(Refusal::VersionMismatch.into());
        }

        let mut premises = vec![Premise::RegistrationToken(&self.token)];
        premises.extend(same_version(self.if_match.as_ref(), client));
        Ok(Permit { target: &self.target, premises })
    }
}

impl Request {
    /// The client, once the token is known to be its own. Whatever is missing costs the same comparison.
    fn authenticate<'f>(&self, facts: &'f Facts) -> Result<&'f Client, NotDeleted<Refusal>> {
        let found = facts.client(&self.target)?;
        let (token, otherwise) = match found {
            Presence::Unknown => (None, Refusal::UnknownClient),
            Presence::Deleted => (None, Refusal::DeletedClient),
            Presence::Live(Client { kind: Kind::Api(_), .. }) => (None, Refusal::NotAnOAuthClient),
            Presence::Live(Client { kind: Kind::OAuth(client), .. }) => match &client.registration_token_digest {
                None => (None, Refusal::NoRegistrationToken),
                Some(token) => (Some(token), Refusal::WrongToken),
            },
        };
        match (credential::matches(&self.token, token), found) {
            (true, Presence::Live(client)) => Ok(client),
            _ => Err(otherwise.into()),
        }
    }
}
