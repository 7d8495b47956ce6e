//! The Authlete API's rule: an authorization server asks, with its own access token, to delete a client that presented
//! a registration access token.

use super::{Facts, Key, Permit, Premise, Presence, RequestToDelete};
use crate::{
    client::{Client, Id, Kind, Service},
    credential::{self, Digest},
    deletion::NotDeleted,
};
use std::{collections::BTreeSet, time::SystemTime};

/// An authorization server's request to delete a client.
#[derive(Debug)]
pub struct Request {
    /// The digest of the authorization server's access token.
    pub access_token: Digest,
    /// The service named.
    pub service: Id,
    /// The client to delete, as it was named.
    pub client_id: String,
    /// The same as an id; `None` where it cannot be one.
    pub target: Option<Id>,
    /// The digest of the registration access token that the client presented; `None` where it presented none.
    pub token: Option<Digest>,
}

/// Why the Authlete API refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(transparent)]
pub enum Refusal {
    /// The call itself is refused.
    Call(#[from] CallRefusal),
    /// The call is in order, and its outcome is not a deletion.
    Deletion(#[from] DeletionRefusal),
}

/// Why a call of the Authlete API is refused, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself, in its label too")]
pub enum CallRefusal {
    #[error("no_credentials")]
    NoCredentials,
    #[error("malformed_credentials")]
    MalformedCredentials,
    #[error("malformed_body")]
    MalformedBody,
    #[error("unknown_access_token")]
    UnknownAccessToken,
    #[error("expired_access_token")]
    ExpiredAccessToken,
    #[error("unknown_service")]
    UnknownService,
    #[error("another_service")]
    AnotherService,
}

/// Why a client is not deleted, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[expect(missing_docs, reason = "each says itself, in its label too")]
pub enum DeletionRefusal {
    #[error("no_dynamic_registration")]
    NoDynamicRegistration,
    #[error("unreadable_client_id")]
    UnreadableClientId,
    #[error("unknown_client")]
    UnknownClient,
    #[error("static_client")]
    StaticClient,
    #[error("no_token")]
    NoToken,
    #[error("no_registration_token")]
    NoRegistrationToken,
    #[error("wrong_token")]
    WrongToken,
    #[error("protected")]
    Protected,
}

impl super::Refusal for Refusal {}

impl RequestToDelete for Request {
    type Refusal = Refusal;

    const DOOR: &'static str = "authlete";

    fn target(&self) -> Option<&Id> {
        self.target.as_ref()
    }

    fn caller(&self, facts: &Facts) -> Option<String> {
        facts.token(&self.access_token).ok().flatten().map(|token| token.covers.to_string())
    }

    fn reads(&self) -> BTreeSet<Key> {
        let caller = [Key::of_token(&self.access_token), Key::Service(self.service.clone())];
        caller.into_iter().chain(self.target.clone().map(Key::Client)).collect()
    }

    fn decide(&self, facts: &Facts, now: SystemTime) -> Result<Permit<'_>, NotDeleted<Refusal>> {
        let refuse = |reason: DeletionRefusal| Err(Refusal::from(reason).into());

        let service = self.authorize(facts, now)?;
        if !service.dynamic_registration {
            return refuse(DeletionRefusal::NoDynamicRegistration);
        }
        let Some(target) = &self.target else {
            return refuse(DeletionRefusal::UnreadableClientId);
        };
        let Presence::Live(Client { kind: Kind::OAuth(client), protected, .. }) = facts.client(target)? else {
            return refuse(DeletionRefusal::UnknownClient);
        };
        if client.service_id != self.service {
            return refuse(DeletionRefusal::UnknownClient);
        }
        if !client.dynamic {
            return refuse(DeletionRefusal::StaticClient);
        }
        let Some(token) = &self.token else {
            return refuse(DeletionRefusal::NoToken);
        };
        if client.registration_token_digest.is_none() {
            return refuse(DeletionRefusal::NoRegistrationToken);
        }
        if !credential::matches(token, client.registration_token_digest.as_ref()) {
            return refuse(DeletionRefusal::WrongToken);
        }
        if *protected {
            return refuse(DeletionRefusal::Protected);
        }

        let premises = vec![Premise::RegisteredAt(&self.service), Premise::RegistrationToken(token)];
        Ok(Permit { target, premises })
    }
}

impl Request {
    /// The service, once the access token is known to cover it.
    fn authorize<'f>(&self, facts: &'f Facts, now: SystemTime) -> Result<&'f Service, NotDeleted<Refusal>> {
        let refuse = |reason: CallRefusal| Err(Refusal::from(reason).into());

        let Some(token) = facts.token(&self.access_token)? else {
            return refuse(CallRefusal::UnknownAccessToken);
        };
        if token.expires_at.is_some_and(|end| end <= now) {
            return refuse(CallRefusal::ExpiredAccessToken);
        }
        let Some(service) = facts.service(&self.service)? else {
            return refuse(CallRefusal::UnknownService);
        };
        if !token.covers.includes(&self.service, service) {
            return refuse(CallRefusal::AnotherService);
        }
        Ok(service)
    }
}
