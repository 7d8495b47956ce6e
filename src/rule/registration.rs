//! The rule of the client configuration endpoint (RFC 7592): a client deletes itself with its registration access
//! token.

use super::{Authorization, DeletionRequest, Denied, Precondition};
use crate::{
    model::{Client, Digest, Id, Kind, VersionConditions, credential},
    snapshot::{Key, Lookup, Snapshot},
};
use std::{collections::BTreeSet, time::SystemTime};
use strum::IntoStaticStr;

/// A client's request to delete itself.
#[derive(Debug)]
pub struct Request {
    /// The client.
    pub target: Id,
    /// The digest of the registration access token that the client presents.
    pub token: Digest,
    /// The versions that the client wants to delete.
    pub conditions: VersionConditions,
}

/// Why the client configuration endpoint refuses, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum Refusal {
    NoCredentials,
    MalformedCredentials,
    TokenOutsideHeader,
    UnknownClient,
    DeletedClient,
    UnreadableClient,
    #[strum(serialize = "not_an_oauth_client")]
    NotAnOAuthClient,
    NoRegistrationToken,
    WrongToken,
    Protected,
    VersionMismatch,
}

impl super::Refusal for Refusal {}

impl DeletionRequest for Request {
    type Refusal = Refusal;

    const CHANNEL: &'static str = "registration";

    fn target(&self) -> Option<&Id> {
        Some(&self.target)
    }

    fn caller(&self, snapshot: &Snapshot) -> Option<String> {
        snapshot.known(&self.target).map(|id| ["client#", id.as_str()].concat())
    }

    fn reads(&self) -> BTreeSet<Key> {
        BTreeSet::from([Key::Client(self.target.clone())])
    }

    fn decide(&self, snapshot: &Snapshot, _now: SystemTime) -> Result<Authorization<'_>, Denied<Refusal>> {
        let client = self.authenticate(snapshot)?;
        if client.protected {
            return Err(Refusal::Protected.into());
        }
        if !self.conditions.admit(&client.version) {
            return Err(Refusal::VersionMismatch.into());
        }

        let preconditions = vec![Precondition::RegistrationToken(&self.token)];
        Ok(Authorization::new(&self.target, client, preconditions))
    }
}

impl Request {
    /// Authenticates the client. If there is no client, or no stored token, a dummy is compared, so that the answer
    /// takes the same time.
    fn authenticate<'f>(&self, snapshot: &'f Snapshot) -> Result<&'f Client, Denied<Refusal>> {
        let found = snapshot.client(&self.target);
        let (token, otherwise) = match &found {
            Ok(Lookup::Missing) => (None, Refusal::UnknownClient),
            Ok(Lookup::Deleted) => (None, Refusal::DeletedClient),
            Ok(Lookup::Live(Client { kind: Kind::Api(_), .. })) => (None, Refusal::NotAnOAuthClient),
            Ok(Lookup::Live(Client { kind: Kind::OAuth(client), .. })) => match &client.registration_token_digest {
                None => (None, Refusal::NoRegistrationToken),
                Some(token) => (Some(token), Refusal::WrongToken),
            },
            Err(unreadable) => (unreadable.proof.registration_token_digest.as_ref(), Refusal::UnreadableClient),
        };
        match (credential::matches(&self.token, token), found) {
            (true, Ok(Lookup::Live(client))) => Ok(client),
            // Only the holder of the token learns that there is an item.
            (true, Err(unreadable)) => Err(unreadable.into()),
            _ => Err(otherwise.into()),
        }
    }
}
