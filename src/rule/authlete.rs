//! The Authlete API's rule: an authorization server presents its own access token and the registration access token of
//! the client, and asks to delete the client.

use super::{Authorization, DeletionRequest, Denied, Precondition};
use crate::{
    model::{Digest, Id, Kind, Service, credential},
    snapshot::{Key, Lookup, Proof, Snapshot},
};
use std::{collections::BTreeSet, time::SystemTime};
use strum::IntoStaticStr;

/// An authorization server's request to delete a client.
#[derive(Debug)]
pub struct Request {
    /// The digest of the authorization server's access token.
    pub access_token: Digest,
    /// The service that the path names.
    pub service: Id,
    /// The client to delete, as the body names it.
    pub client_id: String,
    /// The same as an id. `None` if the text cannot be one.
    pub target: Option<Id>,
    /// The digest of the registration access token that the client presented, if it presented one.
    pub token: Option<Digest>,
}

/// Why the Authlete API refuses.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Refusal {
    /// The API call itself is refused.
    Call(CallRefusal),
    /// The API call is accepted; the deletion is refused.
    Deletion(DeletionRefusal),
}

impl From<CallRefusal> for Refusal {
    fn from(reason: CallRefusal) -> Self {
        Self::Call(reason)
    }
}

impl From<DeletionRefusal> for Refusal {
    fn from(reason: DeletionRefusal) -> Self {
        Self::Deletion(reason)
    }
}

impl From<Refusal> for &'static str {
    fn from(reason: Refusal) -> Self {
        match reason {
            Refusal::Call(reason) => reason.into(),
            Refusal::Deletion(reason) => reason.into(),
        }
    }
}

/// Why a call of the Authlete API is refused, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum CallRefusal {
    NoCredentials,
    MalformedCredentials,
    MalformedBody,
    UnknownAccessToken,
    UnreadableAccessToken,
    ExpiredAccessToken,
    UnknownService,
    UnreadableService,
    AnotherService,
}

/// Why a client is not deleted, in the order of decision.
#[derive(Debug, Clone, Copy, PartialEq, Eq, IntoStaticStr)]
#[strum(serialize_all = "snake_case")]
#[expect(missing_docs, reason = "the names say it")]
pub enum DeletionRefusal {
    NoDynamicRegistration,
    UnreadableClientId,
    UnknownClient,
    UnreadableClient,
    StaticClient,
    NoToken,
    NoRegistrationToken,
    WrongToken,
    Protected,
}

impl super::Refusal for Refusal {}

impl DeletionRequest for Request {
    type Refusal = Refusal;

    const CHANNEL: &'static str = "authlete";

    fn target(&self) -> Option<&Id> {
        self.target.as_ref()
    }

    fn caller(&self, snapshot: &Snapshot) -> Option<String> {
        snapshot.token(&self.access_token).ok().flatten().map(|token| token.scope.to_string())
    }

    fn reads(&self) -> BTreeSet<Key> {
        let caller = [Key::of_token(&self.access_token), Key::Service(self.service.clone())];
        caller.into_iter().chain(self.target.clone().map(Key::Client)).collect()
    }

    fn decide(&self, snapshot: &Snapshot, now: SystemTime) -> Result<Authorization<'_>, Denied<Refusal>> {
        let refuse = |reason: DeletionRefusal| Err(Refusal::from(reason).into());

        let service = self.authorize(snapshot, now)?;
        if !service.dynamic_registration {
            return refuse(DeletionRefusal::NoDynamicRegistration);
        }
        let Some(target) = &self.target else {
            return refuse(DeletionRefusal::UnreadableClientId);
        };
        let client = match snapshot.client(target) {
            Ok(Lookup::Live(client)) => client,
            Ok(_) => return refuse(DeletionRefusal::UnknownClient),
            Err(unreadable) if self.is_proven_by(&unreadable.proof) => return Err(unreadable.into()),
            Err(_) => return refuse(DeletionRefusal::UnreadableClient),
        };
        let Kind::OAuth(oauth) = &client.kind else {
            return refuse(DeletionRefusal::UnknownClient);
        };
        if oauth.service_id.as_ref() != Some(&self.service) {
            return refuse(DeletionRefusal::UnknownClient);
        }
        if !oauth.dynamic {
            return refuse(DeletionRefusal::StaticClient);
        }
        let Some(token) = &self.token else {
            return refuse(DeletionRefusal::NoToken);
        };
        if oauth.registration_token_digest.is_none() {
            return refuse(DeletionRefusal::NoRegistrationToken);
        }
        if !credential::matches(token, oauth.registration_token_digest.as_ref()) {
            return refuse(DeletionRefusal::WrongToken);
        }
        if client.protected {
            return refuse(DeletionRefusal::Protected);
        }

        let preconditions = vec![Precondition::RegisteredAt(&self.service), Precondition::RegistrationToken(token)];
        Ok(Authorization::new(target, client, preconditions))
    }
}

impl Request {
    /// Whether the client whose item says this belongs to the service, and presented its registration access token.
    fn is_proven_by(&self, proof: &Proof) -> bool {
        let belongs = proof.service_id.as_ref() == Some(&self.service);
        let presented = self.token.as_ref();
        belongs && presented.is_some_and(|token| credential::matches(token, proof.registration_token_digest.as_ref()))
    }

    /// Authorizes the API call: the access token is valid, and its scope includes the service.
    fn authorize<'f>(&self, snapshot: &'f Snapshot, now: SystemTime) -> Result<&'f Service, Denied<Refusal>> {
        let refuse = |reason: CallRefusal| Err(Refusal::from(reason).into());

        let token = match snapshot.token(&self.access_token) {
            Ok(Some(token)) => token,
            Ok(None) => return refuse(CallRefusal::UnknownAccessToken),
            Err(_) => return refuse(CallRefusal::UnreadableAccessToken),
        };
        if token.expires_at.is_some_and(|end| end <= now) {
            return refuse(CallRefusal::ExpiredAccessToken);
        }
        let service = match snapshot.service(&self.service) {
            Ok(Some(service)) => service,
            Ok(None) => return refuse(CallRefusal::UnknownService),
            Err(unreadable) => {
                let organization = unreadable.proof.organization_id.as_deref();
                if token.scope.includes(&self.service, organization) {
                    return Err(unreadable.into());
                }
                return refuse(CallRefusal::UnreadableService);
            }
        };
        if !token.scope.includes(&self.service, service.organization_id.as_deref()) {
            return refuse(CallRefusal::AnotherService);
        }
        Ok(service)
    }
}
