//! The items of the model, and the condition of the write.

use super::model::Variant;
use crate::support::{build, now};
use deregister::{
    model::{
        ApiClient, Client, Deletion, Digest, Id, Idle, IdlePolicy, Kind, OAuthClient, OWNER, StoredSecret,
        StoredVersion, Version,
    },
    rule::{Authorization, Precondition},
    snapshot::Record,
    store::WriteOutcome,
};
use std::time::Duration;

pub const APPLICATION: &str = "application";

/// The item under a client's id.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Item {
    /// No item. This client may be created.
    Free(ClientItem),
    Live(ClientItem),
    Deleted(Tombstone),
    Blocked(Blocked),
}

/// What an operator blocked.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Blocked {
    /// An id without an item. This client may be created after the block.
    Free(ClientItem),
    /// A live client. The block deleted it.
    Live(ClientItem),
    Deleted(Tombstone),
}

/// The request id of every block.
pub const BLOCK: &str = "block";

/// A client as the table has it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[expect(clippy::struct_excessive_bools, reason = "independent facts")]
pub struct ClientItem {
    /// Whether it is an API client. If not, it is an OAuth client.
    pub is_api: bool,
    pub is_owner: bool,
    pub is_protected: bool,
    /// The number of the secret or token. A number is never used again.
    pub credential: u8,
    pub version: u8,
    /// How often it was restored.
    pub restorations: u8,
    /// How often what was issued to it was revoked.
    pub revocations: u8,
    /// Whether it was used recently, so that no sweep lists it. A restoration counts as a use.
    pub is_used: bool,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Tombstone {
    pub client: ClientItem,
    /// The request that the record names.
    pub request: usize,
    /// Whether the record names the caller and the endpoint of that request, too.
    pub is_recorded: bool,
    /// Whether the caller was an owner with this secret when it was read, or presented the client's own token.
    pub is_entitled: bool,
    /// The number of requests whose answer reports this deletion.
    pub reports: u8,
    /// The requests that were under way when the tombstone was written and still are. A bit each.
    pub under_way: u8,
}

/// The id with this number.
pub fn id(number: usize) -> Id {
    build::id(&number.to_string())
}

/// The secret or token with this number.
pub fn secret(credential: u8) -> String {
    format!("secret-{credential}")
}

/// Its digest.
pub fn digest(credential: u8) -> Digest {
    Digest::of(secret(credential))
}

/// How long clients may be idle.
pub fn policy() -> IdlePolicy {
    IdlePolicy { unused: Duration::from_hours(24), used: Duration::from_hours(24 * 90) }
}

/// The record of a deletion by this request. Nothing reads its other members.
pub fn record_of(request: usize) -> Deletion {
    let [by, via] = [String::new(), String::new()];
    Deletion { at: now(), by, via, source_ip: None, request_id: request.to_string(), lacks: Vec::new(), blocked: None }
}

impl ClientItem {
    /// The first client with this id.
    pub fn new(id: u8, is_api: bool, is_owner: bool) -> Self {
        Self {
            is_api,
            is_owner,
            is_protected: false,
            credential: 16 * id,
            version: 0,
            restorations: 0,
            revocations: 0,
            is_used: false,
        }
    }

    /// The client as the library has it.
    pub fn client(self) -> Client {
        let digest = digest(self.credential);
        let kind = if self.is_api {
            let features = self.is_owner.then(|| OWNER.to_owned()).into_iter().collect();
            let secrets = vec![StoredSecret { digest, expires_at: None }];
            Kind::Api(ApiClient { app_id: APPLICATION.to_owned(), features, secrets, ..ApiClient::default() })
        } else {
            let (service_id, registration_token_digest) = (Some(id(0)), Some(digest));
            Kind::OAuth(OAuthClient { service_id, dynamic: true, registration_token_digest, ..OAuthClient::default() })
        };
        Client {
            protected: self.is_protected,
            version: self.version(),
            idle: (!self.is_api).then(|| self.idle()),
            restored_from: (self.restorations > 0).then(|| self.restorations.to_string()),
            ..Client::new(kind)
        }
    }

    /// The version, as the item holds it.
    fn version(self) -> StoredVersion {
        Version(self.version.into()).into()
    }

    /// How long the client is idle.
    fn idle(self) -> Idle {
        if self.is_used { Idle::used(now()) } else { Idle::unused(now() - 2 * policy().unused) }
    }

    /// Whether the client meets the precondition: what the clause of the write's condition says.
    pub fn meets(self, precondition: &Precondition<'_>) -> bool {
        match *precondition {
            Precondition::Application(application) => self.is_api && application == APPLICATION,
            Precondition::NotOwner => !self.is_owner,
            Precondition::RegistrationToken(token) => !self.is_api && *token == digest(self.credential),
            Precondition::Dynamic => !self.is_api,
            Precondition::RegisteredAt(service) => !self.is_api && *service == id(0),
            Precondition::Idle(idle) => !self.is_api && idle == self.idle(),
            Precondition::NoNotice => true,
            Precondition::Notice(_) | Precondition::StaleNotice(_) => false,
        }
    }
}

impl Item {
    /// How long the client is idle, if the item is a client whose use is tracked.
    pub fn idle(self) -> Option<Idle> {
        match self {
            Self::Live(client) if !client.is_api => Some(client.idle()),
            _ => None,
        }
    }

    /// The tombstone that a request wrote, blocked or not.
    pub fn tombstone(&self) -> Option<&Tombstone> {
        match self {
            Self::Deleted(tombstone) | Self::Blocked(Blocked::Deleted(tombstone)) => Some(tombstone),
            _ => None,
        }
    }

    pub fn tombstone_mut(&mut self) -> Option<&mut Tombstone> {
        match self {
            Self::Deleted(tombstone) | Self::Blocked(Blocked::Deleted(tombstone)) => Some(tombstone),
            _ => None,
        }
    }

    /// What a read returns.
    pub fn record(&self) -> Option<Record> {
        match self {
            Self::Free(_) => None,
            Self::Live(client) => Some(Record::Client(client.client())),
            Self::Deleted(tombstone) | Self::Blocked(Blocked::Deleted(tombstone)) => {
                Some(Record::Deleted(record_of(tombstone.request)))
            }
            Self::Blocked(Blocked::Free(_) | Blocked::Live(_)) => {
                Some(Record::Deleted(Deletion { request_id: BLOCK.to_owned(), ..record_of(0) }))
            }
        }
    }

    /// The write of this request, with its condition.
    pub fn write_tombstone(
        &mut self,
        authorization: &Authorization<'_>,
        request: usize,
        variant: Variant,
    ) -> WriteOutcome {
        let is_met = |client: ClientItem, precondition: &Precondition<'_>| match variant {
            Variant::Omits(name) if format!("{precondition:?}").starts_with(name) => true,
            _ => client.meets(precondition),
        };
        let is_unprotected = |client: ClientItem| !client.is_protected || matches!(variant, Variant::OmitsProtection);
        let is_as_read = |client: ClientItem| {
            let is_same = authorization.version == client.version() || matches!(variant, Variant::OmitsVersion);
            is_same && authorization.kind == client.client().kind.name()
        };
        match *self {
            Self::Live(client)
                if is_unprotected(client)
                    && is_as_read(client)
                    && authorization.preconditions.iter().all(|precondition| is_met(client, precondition)) =>
            {
                *self = Self::Deleted(Tombstone::of(client, request));
                WriteOutcome::Written
            }
            _ => WriteOutcome::ConditionFailed(self.record()),
        }
    }
}

impl Tombstone {
    pub fn of(client: ClientItem, request: usize) -> Self {
        Self { client, request, is_recorded: false, is_entitled: false, reports: 0, under_way: 0 }
    }
}
